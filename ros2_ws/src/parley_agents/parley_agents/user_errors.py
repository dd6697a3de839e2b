"""Which exceptions speak to users: ours, whose text says what was seen, what was wanted and the cure."""

from __future__ import annotations

OURS = ("policy_core.", "sim.", "parley_")


def is_for_users(error: BaseException) -> bool:
    """Whether an exception's text is all a person needs; of any other, they need the traceback."""
    return type(error).__module__.startswith(OURS)
