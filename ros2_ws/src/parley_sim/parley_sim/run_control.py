"""Whether time may go on: playing, paused, stopped, and steps that are owed while it is paused. No ROS in here."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from parley_sim.refusal import failed

Done = Callable[[str], None]  # takes what went wrong, in words; empty where nothing did


class Wish(Enum):
    """What was last asked of time."""

    PLAY = "playing"
    PAUSE = "paused"
    STOP = "stopped"


class RunControl:
    """Holds time, lets it go, and counts off single steps."""

    def __init__(self) -> None:
        self.wish = Wish.PLAY
        self._owed = self._asked = 0
        self._done: Done | None = None

    @property
    def is_stepping(self) -> bool:
        """Whether steps are owed."""
        return self._done is not None

    @property
    def may_step(self) -> bool:
        """Whether the next step may be taken."""
        return self.wish is Wish.PLAY or self.is_stepping

    def set(self, wish: Wish) -> None:
        """Play, pause or stop; steps still owed are given up."""
        self.wish = wish
        self.give_up(f"the simulation was set to {wish.value}")

    def owe(self, steps: int, done: Done) -> None:
        """Let time take some steps; `done` is called after the last one, or when they are given up.

        Raises:
            Refusal: time is not held, or steps are owed already.
        """
        if self.wish is Wish.PLAY:
            raise failed("the simulation is playing; pause it first, then step")
        if self.is_stepping:
            raise failed(f"{self._owed} of {self._asked} steps that were asked for before are still to come; wait")
        if not steps:
            done("")
            return
        self.wish = Wish.PAUSE  # what was stopped has left its start
        self._owed = self._asked = steps
        self._done = done

    def stepped(self) -> None:
        """Count one step."""
        if self._done is not None:
            self._owed -= 1
            if not self._owed:
                self._finish("")

    def give_up(self, why: str) -> None:
        """Answer for steps that will not be taken."""
        if self._done is not None:
            self._finish(f"only {self._asked - self._owed} of {self._asked} steps were taken: {why}")

    def _finish(self, words: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(words)
