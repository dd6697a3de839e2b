"""A lifecycle request that a node's state does not allow is refused; the node lives on."""

from __future__ import annotations

import threading
import time

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor

from parley_agents.managed_node import ManagedNode, spin

PATIENCE = 20.0  # s


def test_a_node_survives_a_transition_that_its_state_does_not_allow():
    contexts = [rclpy.Context(), rclpy.Context()]
    for context in contexts:
        rclpy.init(context=context)
    node = ManagedNode("steadfast", context=contexts[0])
    caller = rclpy.create_node("operator", context=contexts[1])
    executor = SingleThreadedExecutor(context=contexts[1])
    executor.add_node(caller)
    is_over = threading.Event()
    server = threading.Thread(target=spin, args=([node], is_over.is_set))
    server.start()
    try:
        client = caller.create_client(ChangeState, "/steadfast/change_state")
        assert client.wait_for_service(PATIENCE)
        for transition in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE):  # the first is illegal
            client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            end = time.monotonic() + (1.0 if transition == Transition.TRANSITION_ACTIVATE else PATIENCE)
            while time.monotonic() < end and node.state != State.PRIMARY_STATE_INACTIVE:
                executor.spin_once(timeout_sec=0.02)
            assert server.is_alive()
        assert node.state == State.PRIMARY_STATE_INACTIVE
    finally:
        is_over.set()
        server.join(PATIENCE)
        executor.shutdown()
        caller.destroy_node()
        node.destroy_node()
        for context in contexts:
            rclpy.try_shutdown(context=context)
