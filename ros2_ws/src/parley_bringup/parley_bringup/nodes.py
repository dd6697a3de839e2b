"""What runs: one pure function from a fleet to its processes, for the embedded runner and for `ros2 launch`.

Each process is an ordinary ROS executable that takes only `--ros-args`; what it is told stands in one parameter file
per process, written whole into the run folder, so that any of them can be started by hand with the same words.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from parley_agents.fleet import Fleet
from policy_core.config import ConfigError, read_yaml

Parameters = dict[str, Any]


@dataclass(frozen=True)
class RunOptions:
    """What one run is told; every path is absolute."""

    run_dir: Path
    prefix: Path  # executables lie in <prefix>/lib/<package>/
    fleet_file: Path
    floorplan: Path
    warehouse: Path
    contract: Path
    ros_params: Path
    params_file: Path | None = None  # the user's own, comes last
    policy: str = "greedy"
    inference: str = "onboard"
    clock: str = "lockstep"
    seed: int = 0
    minutes: float = 5.0  # simulated; 0: until stopped
    orders: str = ""  # CSV file or folder; empty: the seeded generator
    order_speed: float = 1.0
    database: str = ""  # SQLAlchemy URL; empty: SQLite in the run folder
    record: bool = True
    use_sim_time: bool = True
    autostart: bool = True
    log_level: str = "info"
    only_host: str = ""  # start only this host's process, as on one robot
    has_hosts: bool = True  # False: the agents are started elsewhere, the manager waits for them all the same


@dataclass(frozen=True)
class NodeSpec:
    """One process: what to start, what it is told, and what its end means."""

    process: str  # name of the process, its log and its parameter file
    package: str
    executable: str
    prefix: Path
    params_file: Path
    parameters: dict[str, Parameters]  # by fully qualified node name
    log_level: str
    name: str | None = None  # node name; None where the process holds several nodes
    remappings: tuple[tuple[str, str], ...] = ()
    is_critical: bool = False  # its end ends the fleet
    respawns: bool = False
    respawn_delay: float = 0.5  # s, doubled at each further try
    managed: tuple[str, ...] = field(default=())  # fully qualified names of its lifecycle nodes

    @property
    def ros_arguments(self) -> list[str]:
        """Arguments of the process as a whole."""
        return ["--log-level", self.log_level]

    def argv(self) -> list[str]:
        """The command line, word for word what launch_ros makes of the same specification."""
        command = [str(self.prefix / "lib" / self.package / self.executable), "--ros-args", *self.ros_arguments]
        command.append("--ros-args")
        if self.name is not None:
            command += ["-r", f"__node:={self.name}"]
        command += ["--params-file", str(self.params_file)]
        for old, new in self.remappings:
            command += ["-r", f"{old}:={new}"]
        return command


def node_list(fleet: Fleet, options: RunOptions) -> list[NodeSpec]:
    """Every process of a run, the lifecycle manager first; nothing is read but the two parameter files.

    Raises:
        ConfigError: a parameter file cannot be read, or `only_host` is no host of this fleet.
    """
    layers = [_parameter_file(path) for path in (options.ros_params, options.params_file) if path]
    ros_params, own = layers[0], layers[1] if len(layers) > 1 else {}
    told = _told(options)

    def spec(process: str, package: str, executable: str, nodes: dict[str, Parameters], **rest: Any) -> NodeSpec:
        merged = {name: _merge(name, ros_params, {**told, **extra}, own) for name, extra in nodes.items()}
        path = options.run_dir / "params" / f"{process}.yaml"
        return NodeSpec(process, package, executable, options.prefix, path, merged, log_level=options.log_level, **rest)

    def single(name: str, package: str, executable: str, extra: Parameters | None = None, **rest: Any) -> NodeSpec:
        return spec(name, package, executable, {f"/{name}": extra or {}}, name=name, managed=(f"/{name}",), **rest)

    hosts = [
        spec(
            f"host_{host}",
            "parley_agents",
            "host",
            {f"/host_{host}": {"agents": list(agents)}, **{f"/{agent}/agent": {"agent": agent} for agent in agents}},
            remappings=(("host:__node", f"host_{host}"),),
            respawns=True,
            managed=tuple(f"/{agent}/agent" for agent in agents),
        )
        for host, agents in fleet.hosts().items()
    ]
    if options.only_host:
        if options.only_host not in fleet.hosts():
            raise ConfigError(f"no host '{options.only_host}' in fleet '{fleet.name}': {', '.join(fleet.hosts())}.")
        return [host for host in hosts if host.process == f"host_{options.only_host}"]

    orders = {"orders": options.orders, "order_speed": options.order_speed, "database": options.database}
    orders["database"] = orders["database"] or f"sqlite:///{options.run_dir / 'ledger.sqlite'}"
    recorder = [single("recorder", "parley_bringup", "recorder", respawns=True)] if options.record else []
    server = []
    if options.inference == "server":
        server = [single("policy_server", "parley_policy_server", "policy_server", respawns=True)]
    tasks = single("task_server", "parley_tasks", "tasks", orders, respawns=True)
    world = []
    if any(agent.backend == "sim" for agent in fleet.agents):
        world = [single("warehouse_sim", "parley_sim", "sim", is_critical=True)]
    managed = [*recorder, tasks, *server, *hosts, *world]
    manager = spec(
        "lifecycle_manager",
        "parley_bringup",
        "lifecycle_manager",
        {
            "/lifecycle_manager": {
                "nodes": [name for each in managed for name in each.managed],
                "autostart": options.autostart,
            }
        },
        name="lifecycle_manager",
        is_critical=True,
    )
    return [manager, *(each for each in managed if options.has_hosts or each not in hosts)]


def write_parameters(specs: Sequence[NodeSpec]) -> None:
    """Write each process's parameter file."""
    for spec in specs:
        spec.params_file.parent.mkdir(parents=True, exist_ok=True)
        content = {name: {"ros__parameters": values} for name, values in spec.parameters.items()}
        spec.params_file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _told(options: RunOptions) -> Parameters:
    """What every node of the run is told."""
    return {
        "use_sim_time": options.use_sim_time,
        "floorplan": str(options.floorplan),
        "fleet": str(options.fleet_file),
        "warehouse": str(options.warehouse),
        "contract": str(options.contract),
        "policy": options.policy,
        "inference": options.inference,
        "clock": options.clock,
        "seed": options.seed,
        "minutes": float(options.minutes),
        "run_dir": str(options.run_dir),
    }


def _merge(name: str, ros_params: dict[str, Parameters], told: Parameters, own: dict[str, Parameters]) -> Parameters:
    """What one node is told: the shipped file, then the run, then the user's file; later layers win."""
    merged: Parameters = {}
    for layer in (ros_params, {"/**": told}, own):
        for key, values in layer.items():
            if _matches(key, name):
                merged.update(copy.deepcopy(values))
    return merged


def _matches(key: str, name: str) -> bool:
    """Whether a key of a parameter file (`/**`, `/**/agent`, `/forklift_1/agent`, `recorder`) means this node."""
    if key.startswith("/**"):
        return name.endswith(key[len("/**") :])
    return name.lstrip("/") == key.lstrip("/")


def _parameter_file(path: Path) -> dict[str, Parameters]:
    """Parameters by node key, out of a file in the usual ROS form.

    Raises:
        ConfigError: the file is not of the form `node: {ros__parameters: {...}}`.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: wanted `node: {{ros__parameters: {{...}}}}`, saw {type(content).__name__}.")
    for key, entry in content.items():
        values = entry.get("ros__parameters") if isinstance(entry, dict) and len(entry) == 1 else None
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: under '{key}' wanted the one key 'ros__parameters' with a mapping below it.")
    return {str(key): entry["ros__parameters"] for key, entry in content.items()}
