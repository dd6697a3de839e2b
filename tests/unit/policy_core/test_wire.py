"""Message values survive the wire, and what is not a dense vector of a known type is never read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.comm.rounding import quantise
from policy_core.comm.wire import decode_values, pack_values, unpack_values

VALUES = np.array([0.25, -1.0, 1e-7], np.float32)


def test_values_survive_bit_for_bit() -> None:
    fields = pack_values(VALUES)
    assert len(fields.data) == 12
    assert np.array_equal(unpack_values(fields), VALUES)
    assert np.array_equal(unpack_values(fields._replace(strides=(1,))), VALUES)
    shifted = fields._replace(byte_offset=4, data=b"\0" * 4 + fields.data)
    assert np.array_equal(unpack_values(shifted), VALUES)


@settings(deadline=None)
@given(
    bits=st.integers(1, 16),
    numbers=st.lists(st.floats(-1, 1, width=32), max_size=40),
)
def test_rounded_numbers_travel_as_codes_and_arrive_bit_for_bit(bits: int, numbers: list[float]) -> None:
    said = quantise(torch.tensor(numbers), bits).numpy()
    fields = pack_values(said, bits)
    assert fields[:3] == (1, 8 if bits <= 8 else 16, 1)
    assert len(fields.data) == len(numbers) * (1 if bits <= 8 else 2)
    codes = unpack_values(fields)
    heard = decode_values(codes, bits)
    assert heard.dtype == np.float32
    assert heard.tobytes() == said.tobytes()
    shifted = fields._replace(byte_offset=2, data=b"\0" * 2 + fields.data, strides=(1,))
    assert np.array_equal(unpack_values(shifted), codes)


@settings(deadline=None)
@given(bits=st.integers(1, 32), numbers=st.lists(st.floats(width=32), min_size=1, max_size=9))
def test_numbers_off_the_grid_travel_unchanged(bits: int, numbers: list[float]) -> None:
    said = np.array(numbers, np.float32)
    said[0] = 0.0  # no even number of steps has a zero: a closed gate's message is on no grid
    fields = pack_values(said, bits)
    assert fields[:3] == (2, 32, 1)
    assert decode_values(unpack_values(fields), bits).tobytes() == said.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"dtype_code": 1},
        {"dtype_code": 0},
        {"dtype_bits": 64},
        {"dtype_bits": 16},
        {"dtype_lanes": 4},
        {"shape": (3, 1)},
        {"shape": (-3,)},
        {"shape": (4,)},
        {"strides": (2,)},
        {"byte_offset": 4},
        {"byte_offset": -4},
        {"data": b""},
    ],
)
@pytest.mark.parametrize("bits", [5, 12, 32])
def test_anything_else_is_empty(bits: int, change: dict[str, object]) -> None:
    fields = pack_values(quantise(torch.from_numpy(VALUES), bits).numpy(), bits)
    changed = fields._replace(**change)
    if changed == fields:
        return
    assert unpack_values(changed).size == 0


@pytest.mark.parametrize(
    ("codes", "bits"),
    [
        (np.array([1, 32], np.uint8), 5),  # only 0 to 31 mean anything
        (np.array([1, 2], np.uint16), 5),  # of another width
        (np.array([1, 2], np.uint8), 12),
        (np.array([1, 4096], np.uint16), 12),
        (np.array([1, 2], np.uint8), 32),
        (np.array([1, 2], np.int8), 5),
        (np.array([1.0, 2.0]), 5),
    ],
)
def test_codes_of_another_protocol_mean_nothing(codes: np.ndarray, bits: int) -> None:
    assert decode_values(codes, bits).size == 0
