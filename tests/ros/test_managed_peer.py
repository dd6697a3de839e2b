"""The lifecycle manager's view of one node, against a real node whose service loses requests or answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from parley_agents.managed_node import HEARTBEAT_TOPIC, INCARNATION, ManagedNode
from parley_bringup.managed_peer import INACTIVE, LOST_AFTER, UNCONFIGURED, ManagedPeer
from parley_msgs.msg import Heartbeat

CONFIGURE = Transition.TRANSITION_CONFIGURE
PATIENCE = 20.0  # s


class ForgetfulNode(ManagedNode):
    """Loses its first request, or the answer to it; `asked` has every transition that reached it."""

    def __init__(self, context: rclpy.Context, loses: str, tells: int | None = None) -> None:
        self.asked: list[int] = []
        self.tells = tells  # what its heartbeats say; None: the truth
        super().__init__("forgetful", context=context)
        service = self._service_change_state
        change, answer = service.callback, service.send_response

        def hear(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            self.asked.append(request.transition.id)
            is_lost = loses == "request" and len(self.asked) == 1
            return response if is_lost else change(request, response)

        def send(response: ChangeState.Response, header: object) -> None:
            if not loses or len(self.asked) > 1:
                answer(response, header)

        service.callback, service.send_response = hear, send

    def _beat(self) -> None:
        state = self.state if self.tells is None else self.tells
        self._heartbeat.publish(Heartbeat(node="/forgetful", incarnation=INCARNATION, state=state))


class Stage:
    """A peer and its node, each in a context, and so a DDS participant, of its own."""

    def __init__(self, loses: str, tells: int | None = None) -> None:
        self.contexts = [rclpy.Context(), rclpy.Context()]
        for context in self.contexts:
            rclpy.init(context=context)
        self.node = ForgetfulNode(self.contexts[0], loses, tells)
        self.manager = Node("manager", context=self.contexts[1])
        self.peer = ManagedPeer(self.manager, "/forgetful", lambda: None)
        self.manager.create_subscription(
            Heartbeat, HEARTBEAT_TOPIC, lambda beat: self.peer.hear(beat, time.monotonic()), 10
        )
        self.executors = [SingleThreadedExecutor(context=context) for context in self.contexts]
        for executor, node in zip(self.executors, (self.node, self.manager), strict=True):
            executor.add_node(node)

    def wait(self, until: Callable[[], bool], limit: float) -> bool:
        """Serve both sides until the condition holds; False when `limit` seconds have passed."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            for executor in self.executors:
                executor.spin_once(timeout_sec=0.005)
            self.peer.step(time.monotonic())
            if until():
                return True
        return False

    def configure(self) -> float:
        """Ask for it, and let it come about; gives the seconds it took."""
        assert self.wait(lambda: self.peer.heard is not None, PATIENCE)
        began = time.monotonic()
        self.peer.request(INACTIVE, began, PATIENCE)
        assert self.wait(lambda: not self.peer.is_busy, PATIENCE + 5.0)
        assert not self.peer.refusal
        return time.monotonic() - began

    def close(self) -> None:
        for executor, node, context in zip(self.executors, (self.node, self.manager), self.contexts, strict=True):
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown(context=context)


@pytest.fixture
def stage() -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(loses: str, tells: int | None = None) -> Stage:
        made.append(Stage(loses, tells))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_request_that_was_lost_is_made_again(stage: Callable[..., Stage]) -> None:
    world = stage("request")
    assert LOST_AFTER <= world.configure() < PATIENCE
    assert world.node.state == world.peer.state == INACTIVE
    assert world.node.asked == [CONFIGURE, CONFIGURE]


def test_a_request_whose_answer_was_lost_is_not_made_again(stage: Callable[..., Stage]) -> None:
    world = stage("answer")
    assert world.configure() < LOST_AFTER, "the heartbeat tells"
    assert not world.wait(lambda: len(world.node.asked) > 1, LOST_AFTER + 1.0)
    assert world.node.state == world.peer.state == INACTIVE


def test_heartbeats_of_the_old_state_that_come_late_are_no_reason_to_ask_again(stage: Callable[..., Stage]) -> None:
    world = stage("answer", tells=UNCONFIGURED)
    assert LOST_AFTER <= world.configure() < PATIENCE
    assert world.node.asked == [CONFIGURE]
    assert world.node.state == world.peer.state == INACTIVE


def test_without_a_loss_it_is_asked_once(stage: Callable[..., Stage]) -> None:
    world = stage("")
    world.configure()
    assert not world.wait(lambda: len(world.node.asked) > 1, 1.0)
    assert world.node.state == world.peer.state == INACTIVE
