"""One managed node as the lifecycle manager sees it: its heartbeat, and one change of state at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from parley_msgs.msg import Heartbeat

UNCONFIGURED = State.PRIMARY_STATE_UNCONFIGURED
INACTIVE = State.PRIMARY_STATE_INACTIVE
ACTIVE = State.PRIMARY_STATE_ACTIVE
UNKNOWN = State.PRIMARY_STATE_UNKNOWN

STATE_NAMES = {UNKNOWN: "unknown", UNCONFIGURED: "unconfigured", INACTIVE: "inactive", ACTIVE: "active"}
_WAYS = {  # (from, to): transition
    (UNCONFIGURED, INACTIVE): Transition.TRANSITION_CONFIGURE,
    (INACTIVE, ACTIVE): Transition.TRANSITION_ACTIVATE,
    (ACTIVE, INACTIVE): Transition.TRANSITION_DEACTIVATE,
}
TRUST_DELAY = 1.0  # s after an answer in which an older heartbeat may still be under way
WORDS_DELAY = 0.3  # s for the reason of a refusal to arrive on /diagnostics
QUERY_PATIENCE = 2.0  # s to answer what its state is
QUERY_AGAIN = 1.0  # s without an answer after which it is asked once more what its state is
LOST_AFTER = 3.0  # s without an answer after which a node that beats on in its old state is asked what its state is


class ManagedPeer:
    """A node to be brought up; times are seconds of the monotonic clock, given by the caller.

    A service answers into the void while the two sides have not fully discovered each other. A change of state is asked
    for again, but only after the node itself has said that it still is in the old one: rclpy raises in the node, and so
    ends it, when a transition comes that its state does not know.
    """

    def __init__(self, node: Node, name: str, on_answer: Callable[[], None]) -> None:
        self.name = name
        self.incarnation = ""
        self.state: int = UNKNOWN
        self.heard: float | None = None  # when the last heartbeat came
        self.fault = ""  # the last ERROR it told on /diagnostics
        self.refusal = ""  # why its last change of state failed; empty: it did not
        self.tries = 0
        self._change = node.create_client(ChangeState, f"{name}/change_state")
        self._query = node.create_client(GetState, f"{name}/get_state")
        self._on_answer = on_answer
        self._goal: int | None = None
        self._deadline = 0.0
        self._patience = 0.0
        self._future: Any = None  # the answer to the change
        self._asked = 0.0  # when it was asked to change
        self._question: Any = None  # the answer to what its state is
        self._questioned = 0.0  # when it was asked so
        self._refused_at: float | None = None
        self._trusted_from = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a change of state is under way."""
        return self._goal is not None

    def is_silent(self, now: float, limit: float) -> bool:
        """Whether no heartbeat has come for longer than `limit`; a node at work on a change of state may be silent."""
        return not self.is_busy and (self.heard is None or now - self.heard > limit)

    def hear(self, beat: Heartbeat, now: float) -> bool:
        """Take note of a heartbeat; True if the node was started anew since the last one."""
        is_new = beat.incarnation != self.incarnation
        if is_new:
            self.incarnation, self.fault, self.refusal, self.tries = beat.incarnation, "", "", 0
            self._forget()
        self.heard = now
        if is_new or now >= self._trusted_from:
            self.state = beat.state
        return is_new

    def request(self, goal: int, now: float, patience: float) -> None:
        """Ask for a neighbouring state; `step` follows it up."""
        if self.is_busy or (self.state, goal) not in _WAYS:
            return
        self.refusal, self.fault = "", ""
        self._goal, self._deadline, self._patience = goal, now + patience, patience

    def step(self, now: float) -> None:
        """Send what can be sent, and see whether the change has come about, failed or taken too long."""
        if self._goal is None:
            return
        if self._future is None and self._refused_at is None and self._change.service_is_ready():
            request = ChangeState.Request()
            request.transition.id = _WAYS[(self.state, self._goal)]
            self._future = self._change.call_async(request)
            self._future.add_done_callback(lambda _: self._on_answer())
            self._asked = now
        if self._future is not None and self._future.done():
            if self._future.result() is not None and self._future.result().success:
                self._reached(now)
                return
            self._refused_at, self._future = now, None
        if self._refused_at is not None:
            if now - self._refused_at >= WORDS_DELAY:
                self._refuse(self.fault or f"it refused to become {STATE_NAMES[self._goal]}")
        elif self.state == self._goal:
            self._reached(now)  # the answer was lost, the heartbeat was not
        elif now > self._deadline:
            self._judge(now)
        elif self._is_answer_lost(now):
            self._ask_again(now)

    def _is_answer_lost(self, now: float) -> bool:
        """Whether the node, asked long ago, beats on in a state it should have left: it is not at work on it."""
        if self._future is None or now - self._asked < LOST_AFTER or self.heard is None:
            return False
        return self.heard > self._asked + LOST_AFTER / 2 and (self.state, self._goal) in _WAYS

    def _ask_again(self, now: float) -> None:
        """Drop the unanswered request if the node says it still is in the old state; a heartbeat may be a late one."""
        state = self._told_state(now)
        if state is None:
            return
        if state == self._goal:
            self._reached(now)
        elif state == self.state:
            self._change.remove_pending_request(self._future)
            self._future = None
        else:
            self._asked = now  # at work on it

    def _judge(self, now: float) -> None:
        """The time is over: a lost answer is no failure, so look at the real state first."""
        state = self._told_state(now)
        if state == self._goal:
            self._reached(now)
        elif state is not None:
            self._refuse(f"after {self._patience:g} s it is still {STATE_NAMES.get(state, 'changing state')}")
        elif now > self._deadline + QUERY_PATIENCE:
            self._refuse(f"it did not answer for {self._patience + QUERY_PATIENCE:g} s")

    def _told_state(self, now: float) -> int | None:
        """What the node says its state is; None until it has answered."""
        if self._question is not None and self._question.done():
            answer, self._question = self._question.result(), None
            return int(answer.current_state.id)
        is_due = self._question is None or now - self._questioned > QUERY_AGAIN
        if is_due and self._query.service_is_ready():
            if self._question is not None:
                self._query.remove_pending_request(self._question)
            self._question, self._questioned = self._query.call_async(GetState.Request()), now
            self._question.add_done_callback(lambda _: self._on_answer())
        return None

    def _reached(self, now: float) -> None:
        self.state = self._goal if self._goal is not None else self.state
        self._trusted_from = now + TRUST_DELAY
        self._forget()

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self.tries += 1
        self._forget()

    def _forget(self) -> None:
        self._goal = self._future = self._question = self._refused_at = None
