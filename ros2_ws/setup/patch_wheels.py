"""Mend the CMake files of the ROS 2 wheels: they name the headers of the machine the wheels were built on."""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

BUILDER = r"/opt/python/cp3\d+-cp3\d+"


def mend(text: str, python_headers: str, numpy_headers: str) -> str:
    """The text with both header folders of the building machine replaced by this machine's."""
    text = re.sub(BUILDER + r"/lib/python3\.\d+/site-packages/numpy/_?core/include", numpy_headers, text)
    return re.sub(BUILDER + r"/include/python3\.\d+", python_headers, text)


def main() -> int:
    """Mend every CMake file below this environment's share folder; safe to run again."""
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        mended = mend(text, sysconfig.get_paths()["include"], np.get_include())
        if mended != text:
            path.write_text(mended, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
