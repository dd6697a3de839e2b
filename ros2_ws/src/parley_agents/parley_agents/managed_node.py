"""The lifecycle node all Parley nodes are made of, and the loop that spins them.

```
class MyNode(ManagedNode):
    def __init__(self) -> None:
        super().__init__("my_node")                       # FQN /my_node; namespace="/forklift_1" for an agent
        self.gain = self.setting("gain", 1.0, "what it does (unit)", low=0.0, high=2.0)
        self.run_settings                                 # RunSettings: what every node of a run is told

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn: ...   # read files, open topics
    def on_activate / on_deactivate / on_cleanup / on_shutdown                       # return SUCCESS

def main() -> int:
    return run(lambda: [MyNode()])                        # the console script: 0 after SIGINT or SIGTERM
```

- An exception inside a lifecycle callback is logged in words (with a traceback unless it is one of ours, whose text
  is made for users: ConfigError, BundleError …), told on /diagnostics, and becomes FAILURE.
- Every node sends a Heartbeat on /fleet/heartbeat twice a second of wall time from the thread that does its work,
  so a node that hangs falls silent. A callback that works longer than 2 s must not run while active.
- `tell(level, message, **values)` publishes one DiagnosticStatus under the node's name.
- In tests: `spin(nodes, until=lambda: done, limit=5.0)` on a context of your own.
"""

from __future__ import annotations

import functools
import gc
import math
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from parley_agents.user_errors import is_for_users
from parley_msgs.msg import Heartbeat
from policy_core.config import ConfigError

HEARTBEAT_PERIOD = 0.5  # s, wall
HEARTBEAT_TOPIC = "/fleet/heartbeat"
PATIENCE = 0.05  # s a signal may wait until the loop looks at it; finite, since an endless spin is broken in Jazzy
INCARNATION = uuid.uuid4().hex  # one per process

_CALLBACKS = ("on_configure", "on_activate", "on_deactivate", "on_cleanup", "on_shutdown")


class RunSettings(NamedTuple):
    """What every node of a run is told, as plain ROS parameters of the same names; empty paths where not given."""

    floorplan: str
    fleet: str
    warehouse: str
    contract: str
    policy: str
    inference: str
    clock: str
    seed: int
    minutes: float
    run_dir: str


class ManagedNode(LifecycleNode):
    """A lifecycle node with a heartbeat, described parameters and failures in words."""

    def __init__(self, node_name: str, *, namespace: str | None = None, context: Context | None = None) -> None:
        super().__init__(node_name, namespace=namespace, context=context)
        self._heartbeat = self.create_publisher(Heartbeat, HEARTBEAT_TOPIC, QoSProfile(depth=10))
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self.create_timer(HEARTBEAT_PERIOD, self._beat, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.run_settings = RunSettings(
            floorplan=self.setting("floorplan", "", "path of the floor plan (YAML)"),
            fleet=self.setting("fleet", "", "path of the fleet manifest (YAML)"),
            warehouse=self.setting("warehouse", "", "path of the warehouse settings (YAML)"),
            contract=self.setting("contract", "", "path of the contract (YAML)"),
            policy=self.setting("policy", "greedy", "greedy, contract-net, random or bundle:DIRECTORY"),
            inference=self.setting("inference", "onboard", "where a bundle is run", choices=("onboard", "server")),
            clock=self.setting("clock", "lockstep", "who waits for whom", choices=("lockstep", "paced")),
            seed=self.setting("seed", 0, "seed of all chance in this run", low=0, high=2**31 - 1),
            minutes=self.setting("minutes", 5.0, "length of the run (simulated minutes); 0 is endless", low=0.0),
            run_dir=self.setting("run_dir", "", "folder that takes all a run writes"),
        )

    def setting(
        self,
        name: str,
        default: Any,
        about: str,
        *,
        low: float | None = None,
        high: float | None = None,
        choices: Sequence[str] = (),
        is_fixed: bool = True,
    ) -> Any:
        """Declare one parameter and read it; fixed ones cannot be changed while the node runs.

        Raises:
            ConfigError: the value given is of another type, out of range or not among the choices.
        """
        if self.has_parameter(name):
            return self.get_parameter(name).value
        descriptor = ParameterDescriptor(description=about, read_only=is_fixed)
        if choices:
            descriptor.additional_constraints = "one of: " + ", ".join(choices)
        if (low is not None or high is not None) and isinstance(default, float):
            bounds = FloatingPointRange(
                from_value=-1e18 if low is None else float(low), to_value=1e18 if high is None else float(high)
            )
            descriptor.floating_point_range = [bounds]
        elif low is not None or high is not None:
            descriptor.integer_range = [
                IntegerRange(
                    from_value=-(2**62) if low is None else int(low), to_value=2**62 if high is None else int(high)
                )
            ]
        try:
            value = self.declare_parameter(name, default, descriptor).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            wanted = f"a {type(default).__name__}" + (f" from {low} to {high}" if low is not None else "")
            raise ConfigError(f"parameter '{name}' ({about}): wanted {wanted}; {error}") from None
        if choices and value not in choices:
            raise ConfigError(f"parameter '{name}': wanted one of {', '.join(choices)}, saw '{value}'.")
        return value

    @property
    def state(self) -> int:
        """The lifecycle state, as in lifecycle_msgs/State."""
        return int(self._state_machine.current_state[0])

    def tell(self, level: bytes, message: str, **values: object) -> None:
        """Publish one status under this node's name; level is DiagnosticStatus.OK, WARN, ERROR or STALE."""
        status = DiagnosticStatus(level=level, name=self.get_fully_qualified_name(), message=message)
        status.hardware_id = self.get_namespace().strip("/")
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _beat(self) -> None:
        now = time.time_ns()
        beat = Heartbeat(node=self.get_fully_qualified_name(), incarnation=INCARNATION, state=self.state)
        beat.pid = os.getpid()
        beat.stamp.sec, beat.stamp.nanosec = divmod(now, 1_000_000_000)
        self._heartbeat.publish(beat)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _CALLBACKS:
            if name in cls.__dict__:
                setattr(cls, name, _in_words(cls.__dict__[name]))


_Callback = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def _in_words(callback: _Callback) -> _Callback:
    """Let a lifecycle callback that raises fail with a logged reason instead of silently."""

    @functools.wraps(callback)
    def guarded(node: ManagedNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(node, state)
        except Exception as error:
            words = str(error) if is_for_users(error) else f"{type(error).__name__}: {error}"
            node.get_logger().error(f"{callback.__name__} failed: {words}")
            if not is_for_users(error):
                traceback.print_exc()
            node.tell(DiagnosticStatus.ERROR, words, callback=callback.__name__)
            return TransitionCallbackReturn.FAILURE

    return guarded


def run(make_nodes: Callable[[], Sequence[Node]], arguments: Sequence[str] | None = None) -> int:
    """Make the nodes, spin them until SIGINT or SIGTERM, shut them down; returns the process's exit code.

    0: told to stop; 1: a callback raised (its traceback is on stderr); 2: the nodes refused their parameters.
    """
    is_told_to_stop = heed_signals()
    nodes: Sequence[Node] = ()
    try:
        rclpy.init(
            args=list(sys.argv if arguments is None else arguments), signal_handler_options=SignalHandlerOptions.NO
        )
        nodes = make_nodes()
        spin(nodes, until=is_told_to_stop)
        return 0
    except Exception as error:
        if is_for_users(error):
            print(f"[FATAL] {error}", file=sys.stderr, flush=True)
            return 2
        traceback.print_exc()
        return 1
    finally:
        _end(nodes)


def heed_signals() -> Callable[[], bool]:
    """Take SIGINT and SIGTERM as a wish to stop; returns a function that says whether one has come."""
    wishes: list[int] = []

    def wish(number: int, frame: FrameType | None) -> None:
        wishes.append(number)

    signal.signal(signal.SIGINT, wish)
    signal.signal(signal.SIGTERM, wish)
    return lambda: bool(wishes)


def spin(nodes: Sequence[Node], until: Callable[[], bool], limit: float = math.inf) -> bool:
    """Serve the nodes' callbacks in this thread until `until` holds; False if `limit` (s, wall) passed before."""
    context = nodes[0].context
    executor = EventsExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    end = time.monotonic() + limit
    try:
        while context.ok() and not until():
            if time.monotonic() > end:
                return False
            try:
                executor.spin_until_future_complete(rclpy.Future(), timeout_sec=PATIENCE)
            except _rclpy.RCLError as error:
                if "transition" not in str(error):
                    raise
                # Somebody asked for a change that the node's state does not allow; that must not end the node.
                nodes[0].get_logger().warning(f"a lifecycle request was refused: {error}")
        return True
    finally:
        for node in nodes:
            executor.remove_node(node)
        executor.shutdown()


def _end(nodes: Sequence[Node]) -> None:
    """Walk every lifecycle node to its end, so that files are closed and ledgers written; then leave ROS."""
    for node in nodes:
        if isinstance(node, ManagedNode):
            try:
                if node.state == State.PRIMARY_STATE_ACTIVE:
                    node.trigger_deactivate()
                if node.state != State.PRIMARY_STATE_FINALIZED:
                    node.trigger_shutdown()
            except Exception:
                traceback.print_exc()
        node.destroy_node()
    rclpy.try_shutdown()
    gc.freeze()  # else Python's last collection walks all of numba and torch: seconds, at every Ctrl-C
