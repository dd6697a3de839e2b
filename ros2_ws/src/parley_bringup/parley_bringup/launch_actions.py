"""The front end for `ros2 launch`: the same node list, as launch_ros actions.

`launch` and `launch_ros` come with a full ROS 2 and are imported when a launch file is read, never by the command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from parley_bringup.paths import import_from_checkout, prefix

import_from_checkout()  # `ros2 launch` may run on another Python than the nodes

from parley_agents.fleet import Fleet  # noqa: E402
from parley_bringup.nodes import NodeSpec, RunOptions, node_list, write_parameters  # noqa: E402
from parley_bringup.run_choices import (  # noqa: E402
    choose_fleet,
    choose_one,
    choose_options,
    choose_run_dir,
    choose_speed,
    choose_yes_or_no,
    read_plan,
    write_run,
)
from policy_core.config import ConfigError  # noqa: E402

Part = Literal["demo", "fleet", "sim", "robot"]

ARGUMENTS = {  # name: (default, what it is)
    "namespace": ("", "robot: which robot's host to start (its name in the fleet manifest)"),
    "use_sim_time": ("", "true or false; empty: true where bodies are simulated"),
    "params_file": ("", "ROS parameters of your own, on top"),
    "map": ("", "floor plan or map of a known format; empty: our own floor plan"),
    "autostart": ("true", "whether the lifecycle manager brings the nodes up by itself"),
    "log_level": ("info", "debug, info, warn or error"),
    "headless": ("true", "kept for habit: there is no window to open"),
    "fleet": ("", "fleet manifest; empty: config/fleets/demo.yaml"),
    "policy": ("", "greedy, contract-net, random or bundle:FOLDER; empty: the shipped bundle"),
    "inference": ("onboard", "onboard or server"),
    "clock": ("", "lockstep or paced; empty: lockstep where all bodies are simulated"),
    "minutes": ("", "simulated minutes; 0 is endless; empty: 5 for demo, else endless"),
    "seed": ("1", "seed of all chance"),
    "orders": ("", "CSV file or folder of order lines; empty: the seeded generator"),
    "order_speed": ("auto", "real seconds per simulated second in a replay, or auto"),
    "database": ("", "SQLAlchemy URL of the ledger; empty: SQLite in the run folder"),
    "record": ("true", "whether to record the topics"),
    "run_dir": ("", "folder for all that is written; empty: runs/<time>-<part>"),
}


def describe(part: Part) -> Any:
    """The launch description of one part: demo and fleet are everything, sim the world, robot one robot's host."""
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    from launch import LaunchDescription

    declared = [
        DeclareLaunchArgument(name, default_value=default, description=about)
        for name, (default, about) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_actions, args=[part])])


def plan_run(part: Part, told: Mapping[str, str]) -> tuple[Fleet, RunOptions, list[NodeSpec]]:
    """What launch arguments mean: the fleet, the options and the processes.

    Raises:
        ConfigError: an argument, the manifest or the map cannot be used.
    """
    fleet_file, fleet = choose_fleet(_path(told["fleet"]))
    hosts = {agent.name: agent.host for agent in fleet.agents}
    robot = told["namespace"].strip("/")
    if part == "robot" and robot not in hosts:
        raise ConfigError(
            f"namespace: wanted the name of a robot of '{fleet.name}' ({', '.join(hosts)}), saw '{robot}'."
        )
    is_simulated = fleet.is_simulated
    try:
        minutes, seed = float(told["minutes"] or (5.0 if part == "demo" else 0.0)), int(told["seed"])
    except ValueError as error:
        raise ConfigError(f"minutes, seed: wanted numbers; {error}.") from None
    shared = choose_options(
        choose_run_dir(_path(told["run_dir"]), part),
        fleet_file,
        policy=told["policy"] or None,
        inference=told["inference"],
        orders=_path(told["orders"]),
        params_file=_path(told["params_file"]),
        log_level=told["log_level"],
        spelling="",
    )
    options = replace(
        shared,
        clock=choose_one("clock", told["clock"] or ("lockstep" if is_simulated else "paced"), ("lockstep", "paced")),
        seed=seed,
        minutes=minutes,
        order_speed=choose_speed(told["order_speed"]),
        database=told["database"],
        record=choose_yes_or_no("record", told["record"]),
        use_sim_time=choose_yes_or_no("use_sim_time", told["use_sim_time"] or str(is_simulated)),
        autostart=choose_yes_or_no("autostart", told["autostart"]),
        only_host=hosts[robot] if part == "robot" else "",
        has_hosts=part != "sim",
    )
    return fleet, options, node_list(fleet, options)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _actions(context: Any, part: Part) -> list[Any]:
    """Write what the nodes read, then one launch_ros action for each process."""
    from launch.actions import SetEnvironmentVariable

    told = {name: context.launch_configurations.get(name, default) for name, (default, _) in ARGUMENTS.items()}
    fleet, options, specs = plan_run(part, told)
    write_run(fleet, options, read_plan(_path(told["map"])), told["map"])
    write_parameters(specs)
    actions: list[Any] = []
    if part in ("demo", "fleet") and fleet.is_simulated and "ROS_AUTOMATIC_DISCOVERY_RANGE" not in os.environ:
        actions.append(SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"))
    if "OMP_NUM_THREADS" not in os.environ:
        actions.append(SetEnvironmentVariable("OMP_NUM_THREADS", "1"))
    return actions + [node_action(spec, options.run_dir if part == "demo" else None) for spec in specs]


def node_action(spec: NodeSpec, report_dir: Path | None = None) -> Any:
    """One process as a launch_ros action, with the very command line of `spec.argv()`.

    Args:
        spec: the process.
        report_dir: run folder to report on when the lifecycle manager has ended the run in good order.
    """
    from launch.actions import ExecuteProcess, Shutdown
    from launch_ros.actions import Node

    ending: dict[str, Any] = {}
    if spec.is_critical:
        ending["on_exit"] = Shutdown(reason=f"{spec.process} has ended")
    if spec.process == "lifecycle_manager" and report_dir is not None:

        def on_exit(event: Any, context: Any) -> list[Any]:
            done = Shutdown(reason="the run is over")
            if event.returncode != 0:
                return [done]
            command = [str(prefix() / "bin" / "parley"), "report", str(report_dir)]
            return [ExecuteProcess(cmd=command, output="screen", on_exit=done)]

        ending["on_exit"] = on_exit
    return Node(
        package=spec.package,
        executable=spec.executable,
        exec_name=spec.process,
        name=spec.name,
        parameters=[str(spec.params_file)],
        remappings=list(spec.remappings),
        ros_arguments=spec.ros_arguments,
        respawn=spec.respawns,
        respawn_delay=spec.respawn_delay,
        output="screen",
        **ending,
    )
