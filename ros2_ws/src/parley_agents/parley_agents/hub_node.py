"""One process's share of the fleet's topics: each is subscribed once, read once, and handed to every agent here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

TICK = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)  # of every topic the lockstep depends on
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
PATIENCE = 0.02  # s, wall, between two looks at the agents' deadlines

Reader = Callable[[Any], Any]
Listener = Callable[[Any], None]


class HubNode(Node):
    """Node `host`: shared subscriptions, one wall-clock timer for all deadlines of the process.

    A message that its reader refuses with ValueError is dropped, counted in `unreadable` and told once per topic.
    """

    def __init__(self, context: Context | None = None) -> None:
        super().__init__("host", context=context)
        self.unreadable: Counter[str] = Counter()
        self._listeners: dict[str, list[Listener]] = {}
        self._shared: dict[str, Subscription] = {}
        self._watches: list[Callable[[], None]] = []
        self.create_timer(PATIENCE, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def listen(self, topic: str, message: type, read: Reader, listener: Listener, qos: QoSProfile = TICK) -> None:
        """Hand what `read` makes of every message on a topic to `listener`, too.

        The first listener of a topic decides type, reader and quality of service.
        """
        listeners = self._listeners.setdefault(topic, [])
        listeners.append(listener)
        if topic not in self._shared:

            def hear(ros: Any) -> None:
                try:
                    content = read(ros)
                except ValueError as error:
                    self._refuse(topic, error)
                    return
                for each in tuple(listeners):
                    each(content)

            self._shared[topic] = self.create_subscription(message, topic, hear, qos)

    def unlisten(self, listener: Listener) -> None:
        """Take a listener off every topic; a topic nobody listens to is left."""
        for topic, listeners in list(self._listeners.items()):
            if listener in listeners:
                listeners.remove(listener)
            if not listeners and topic in self._shared:
                self.destroy_subscription(self._shared.pop(topic))
                del self._listeners[topic]

    def watch(self, look: Callable[[], None]) -> None:
        """Call `look` every PATIENCE of wall time."""
        self._watches.append(look)

    def unwatch(self, look: Callable[[], None]) -> None:
        """Stop calling `look`."""
        if look in self._watches:
            self._watches.remove(look)

    def _watch(self) -> None:
        for look in tuple(self._watches):
            look()

    def _refuse(self, topic: str, error: ValueError) -> None:
        if not self.unreadable[topic]:
            self.get_logger().error(f"{topic}: dropped a message: {error} Further ones are only counted.")
        self.unreadable[topic] += 1
