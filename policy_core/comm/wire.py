"""A message as plain fields and bytes: what every transport carries, whatever library moves it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FLOAT = 2  # DLPack's dtype code
BITS = 32


class Message(NamedTuple):
    """What one agent says to its neighbours in one round of one decision."""

    sender: str
    tick: int  # decision number
    round: int  # 1..K
    protocol_id: int  # unsigned, 64 bits
    stamp: float  # s, time of the observation behind it
    position: tuple[float, float, float]  # of the sender: x (m), y (m), yaw (rad) in map
    values: np.ndarray  # [M] float32


class TensorFields(NamedTuple):
    """A dense array, field for field as in DLPack and in the tensor type that ROS 2 is standardising."""

    dtype_code: int
    dtype_bits: int
    dtype_lanes: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements; empty: contiguous, row-major
    byte_offset: int
    data: bytes  # little-endian


def pack_values(values: np.ndarray) -> TensorFields:
    """Message values [M] as the fields of a tensor."""
    return TensorFields(FLOAT, BITS, 1, values.shape, (), 0, np.ascontiguousarray(values, "<f4").tobytes())


def unpack_values(fields: TensorFields) -> np.ndarray:
    """Message values [M] from the fields of a tensor; empty where it is not a dense vector of float32."""
    is_float32 = (fields.dtype_code, fields.dtype_bits, fields.dtype_lanes) == (FLOAT, BITS, 1)
    is_vector = len(fields.shape) == 1 and fields.strides in ((), (1,))
    if not (is_float32 and is_vector) or fields.shape[0] < 0 or fields.byte_offset < 0:
        return np.empty(0, np.float32)
    if fields.byte_offset + fields.shape[0] * BITS // 8 != len(fields.data):
        return np.empty(0, np.float32)
    return np.frombuffer(fields.data, "<f4", offset=fields.byte_offset)
