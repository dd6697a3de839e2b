"""Which nodes and topics a fleet really has, asked of the running ROS graph."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

GRAPH_FILE = "graph.json"
SETTLING = 0.25  # s between two looks; a graph that two looks see alike has been discovered


class TopicEntry(NamedTuple):
    """One topic: its types, and how many endpoints it has."""

    name: str
    types: tuple[str, ...]
    publishers: int
    subscriptions: int


class GraphSnapshot(NamedTuple):
    """The ROS graph at one moment."""

    nodes: tuple[str, ...]  # fully qualified names, each once
    twice: tuple[str, ...]  # names that more than one node has: a second fleet on this domain
    topics: tuple[TopicEntry, ...]

    def write(self, run_dir: Path, processes: list[dict[str, Any]] | None = None) -> Path:
        """Write `graph.json`.

        Args:
            run_dir: the run folder.
            processes: what the supervisor knows of its processes (`{"name", "pid", ...}`), kept beside the graph.
        """
        content = {
            "nodes": list(self.nodes),
            "twice": list(self.twice),
            "topics": [topic._asdict() for topic in self.topics],
            "processes": processes or [],
        }
        path = run_dir / GRAPH_FILE
        part = path.with_suffix(".json.part")
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
        return path


def query_graph(node: Any, limit: float = 5.0) -> GraphSnapshot:
    """Ask a live node what it sees of the graph, itself left out, once two looks in a row agree.

    Args:
        node: a node that has been in the graph for a moment (`FleetWatch.node`).
        limit: s after which the last look counts even where the graph still changes.
    """
    end = time.monotonic() + limit
    seen = _look(node)
    while time.monotonic() < end:
        time.sleep(SETTLING)
        again = _look(node)
        if again == seen and seen.nodes:
            break
        seen = again
    return seen


def _look(node: Any) -> GraphSnapshot:
    own_name = node.get_fully_qualified_name()
    names = Counter(f"{namespace.rstrip('/')}/{name}" for name, namespace in node.get_node_names_and_namespaces())
    names.subtract([own_name])
    topics = []
    for topic, types in sorted(node.get_topic_names_and_types()):
        mine = [own_name == _owner(end) for end in node.get_subscriptions_info_by_topic(topic)]
        others = [end for end in node.get_publishers_info_by_topic(topic) if _owner(end) != own_name]
        entry = TopicEntry(topic, tuple(sorted(types)), len(others), len(mine) - sum(mine))
        if entry.publishers or entry.subscriptions:
            topics.append(entry)
    present = {name: count for name, count in names.items() if count > 0}
    return GraphSnapshot(
        nodes=tuple(sorted(present)),
        twice=tuple(sorted(name for name, count in present.items() if count > 1)),
        topics=tuple(topics),
    )


def _owner(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
