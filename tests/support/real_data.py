"""The public data sets, for tests that run on real input where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.warehouse.datasets import data_folder

TOP = Path(__file__).resolve().parents[2]


def real_data(path: str) -> Path:
    """A file or folder under the data folder; the test is skipped, with the reason, where it is not there."""
    folder = data_folder(TOP)
    if folder is None or not (folder / path).exists():
        pytest.skip(f"real data {path} is not here; set PARLEY_DATA (`parley data` lists and downloads it)")
    return folder / path
