"""Console script `host`: one process that carries any number of agents."""

from __future__ import annotations

import gc

from rclpy.node import Node

from parley_agents.agent_node import AgentNode
from parley_agents.hub_node import HubNode
from parley_agents.managed_node import run
from policy_core.config import ConfigError


def make_nodes() -> list[Node]:
    """The hub, and one node for each name in its parameter `agents`.

    Raises:
        ConfigError: no agents are named.
    """
    hub = HubNode()
    agents = [name for name in hub.declare_parameter("agents", [""]).value if name]
    if not agents:
        raise ConfigError("parameter 'agents' is empty; name the agents of this process, for example [forklift_1].")
    return [hub, *(AgentNode(name, hub) for name in agents)]


def main() -> int:
    """Run until told to stop."""
    status = run(make_nodes)
    gc.freeze()  # else the interpreter walks all of torch and numba once more before it ends, for most of a second
    return status
