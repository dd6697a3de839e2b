"""A managed node that does nothing, for tests of the runner and the manager; its parameters make it misbehave."""

from __future__ import annotations

import signal
import sys
import time

from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from parley_agents.managed_node import ManagedNode, run
from policy_core.config import ConfigError


class DummyNode(ManagedNode):
    def __init__(self) -> None:
        super().__init__("dummy")
        self.fault = self.setting("fault", "", "how to misbehave")
        if self.fault == "exit":
            sys.exit(5)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self.fault == "refuse":
            raise ConfigError("the weights are for another fleet")
        if self.fault == "slow":
            time.sleep(3.0)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        print(f"active {self.get_fully_qualified_name()}", flush=True)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        print(f"inactive {self.get_fully_qualified_name()} {time.monotonic_ns()}", flush=True)
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self.state != State.PRIMARY_STATE_ACTIVE
        print("shut down", flush=True)
        return TransitionCallbackReturn.SUCCESS


def main() -> int:
    if "deaf" in sys.argv[-1]:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return run(lambda: [DummyNode()])


if __name__ == "__main__":
    sys.exit(main())
