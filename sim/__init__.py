"""The worlds: one warehouse, its rules and maps, and the simulators that move it.

Compiled kernels are cached between processes. Numba looks only at the file of the outermost function when it decides
whether a cached kernel is still good, so the cache folder is named by a digest of all kernel sources: an edit of any
of them starts a fresh cache.
"""

import hashlib
import os
import sys
from pathlib import Path

CONSTANTS = ("settings.py", "kpis.py", "state.py")  # sources without kernels whose numbers are compiled into kernels


def _kernel_cache() -> Path:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.rglob("*.py")):
        content = source.read_bytes()
        if b"njit" in content or b"warehouse.compiled" in content or source.name in CONSTANTS:
            digest.update(content)
    return here.parent / ".kernels" / digest.hexdigest()[:16]


if "NUMBA_CACHE_DIR" not in os.environ:
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(_kernel_cache())
    else:
        os.environ["NUMBA_CACHE_DIR"] = str(_kernel_cache())
