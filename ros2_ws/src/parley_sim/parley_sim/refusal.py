"""Why a request to the simulator is not fulfilled, in the standard's terms and in words. No ROS in here."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is answered with something else than RESULT_OK.

    Args:
        result: name of the constant in simulation_interfaces/Result, or in the answer of the service that was called.
        words: what was seen, what was wanted, and the cure.
    """

    def __init__(self, result: str, words: str) -> None:
        super().__init__(words)
        self.result = result


def unsupported(words: str) -> Refusal:
    """The simulator cannot do that at all."""
    return Refusal("RESULT_FEATURE_UNSUPPORTED", words)


def failed(words: str) -> Refusal:
    """It could, but not this time."""
    return Refusal("RESULT_OPERATION_FAILED", words)
