"""How the inner loops of the worlds are compiled."""

from __future__ import annotations

from numba import njit

# Without reference counts: with them, every view of an array (`robots.pose[e, robot]`) costs an atomic increment and
# decrement, two fifths of a tick in all. So a kernel neither makes arrays nor calls what returns one. Division follows
# numpy: no look at every divisor.
kernel = njit(cache=True, error_model="numpy", _nrt=False)

# For functions called in one spot with the tables of a plan: passing those on the stack costs more than a short body.
inlined = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True)

# The few functions that make arrays. Said outright, for numba hands a caller's setting down to what it calls.
allocating = njit(cache=True, error_model="numpy", _nrt=True)
