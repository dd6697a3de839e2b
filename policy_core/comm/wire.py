"""A message as plain fields and bytes: what every transport carries, whatever library moves it.

Rounded numbers travel as their codes, one byte each up to 8 bits and two up to 16. The wire says only how wide a code
is; what it means, 2^bits even steps from -1 to 1, is part of the protocol (see `identify_protocol`). So codes become
numbers in the inbox, which knows its protocol's bits, after it has refused foreign ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

UNROUNDED = 32  # bits of a message number that is sent as it is
MOST_BITS = 16  # of one that is rounded
UINT, FLOAT = 1, 2  # DLPack's dtype codes
TYPES = {(UINT, 8, 1): "<u1", (UINT, 16, 1): "<u2", (FLOAT, 32, 1): "<f4"}  # by DLPack's code, bits and lanes


class Message(NamedTuple):
    """What one agent says to its neighbours in one round of one decision."""

    sender: str
    tick: int  # decision number
    round: int  # 1..K
    protocol_id: int  # unsigned, 64 bits
    stamp: float  # s, time of the observation behind it
    position: tuple[float, float, float]  # of the sender: x (m), y (m), yaw (rad) in map
    values: np.ndarray  # [M] float32; as it comes off the wire, codes in uint8 or uint16 where numbers are rounded


class TensorFields(NamedTuple):
    """A dense array, field for field as in DLPack and in the tensor type that ROS 2 is standardising."""

    dtype_code: int
    dtype_bits: int
    dtype_lanes: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements; empty: contiguous, row-major
    byte_offset: int
    data: bytes  # little-endian


def pack_values(values: np.ndarray, bits: int = UNROUNDED) -> TensorFields:
    """Message values [M] float32 as the fields of a tensor: of codes, where all lie on the grid of so many bits.

    Others (the zeros of a closed gate) go as float32, so that nothing is ever changed on the way.
    """
    if bits <= MOST_BITS:
        codes = np.rint((values.astype(np.float64) + 1) * ((2**bits - 1) / 2))
        if ((codes >= 0) & (codes < 2**bits)).all() and np.array_equal(_to_grid(codes, bits), values):
            width = 8 if bits <= 8 else 16
            data = codes.astype(TYPES[UINT, width, 1]).tobytes()
            return TensorFields(UINT, width, 1, values.shape, (), 0, data)
    return TensorFields(FLOAT, 32, 1, values.shape, (), 0, np.ascontiguousarray(values, "<f4").tobytes())


def unpack_values(fields: TensorFields) -> np.ndarray:
    """What the fields of a tensor carry [M]: float32, or codes in uint8 or uint16; see `decode_values`.

    Empty (float32) where it is not a dense vector of one of these.
    """
    dtype = TYPES.get((fields.dtype_code, fields.dtype_bits, fields.dtype_lanes))
    is_vector = len(fields.shape) == 1 and fields.strides in ((), (1,))
    if dtype is None or not is_vector or fields.shape[0] < 0 or fields.byte_offset < 0:
        return np.empty(0, np.float32)
    if fields.byte_offset + fields.shape[0] * fields.dtype_bits // 8 != len(fields.data):
        return np.empty(0, np.float32)
    return np.frombuffer(fields.data, dtype, offset=fields.byte_offset)


def decode_values(values: np.ndarray, bits: int = UNROUNDED) -> np.ndarray:
    """The numbers [M] float32 that values off the wire mean to a protocol of so many bits.

    Bit for bit those that the trainer's rounding gives. Empty where they are no codes of this protocol.
    """
    if values.dtype == np.float32:
        return values
    is_code = bits <= MOST_BITS and values.dtype == (np.uint8 if bits <= 8 else np.uint16)
    if not is_code or (values >= 2**bits).any():
        return np.empty(0, np.float32)
    return _to_grid(values, bits)


def _to_grid(codes: np.ndarray, bits: int) -> np.ndarray:
    steps = np.float32(2**bits - 1)
    return (np.float32(2) * codes.astype(np.float32) - steps) / steps
