"""Message values survive the wire, and what is not a dense float32 vector is never read."""

from __future__ import annotations

import numpy as np
import pytest

from policy_core.comm.wire import pack_values, unpack_values

VALUES = np.array([0.25, -1.0, 1e-7], np.float32)


def test_values_survive_bit_for_bit() -> None:
    fields = pack_values(VALUES)
    assert len(fields.data) == 12
    assert np.array_equal(unpack_values(fields), VALUES)
    assert np.array_equal(unpack_values(fields._replace(strides=(1,))), VALUES)
    shifted = fields._replace(byte_offset=4, data=b"\0" * 4 + fields.data)
    assert np.array_equal(unpack_values(shifted), VALUES)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype_code": 1},
        {"dtype_bits": 64},
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
def test_anything_else_is_empty(change: dict[str, object]) -> None:
    assert unpack_values(pack_values(VALUES)._replace(**change)).size == 0
