"""One list of processes, two front ends: the embedded runner and `ros2 launch` start the same command lines."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from parley_agents.fleet import read_fleet
from parley_bringup import launch_actions
from parley_bringup.nodes import NodeSpec, RunOptions, node_list, write_parameters
from parley_bringup.paths import home
from policy_core.config import ConfigError

FLEET = home() / "config" / "fleets" / "demo.yaml"


def options(run_dir: Path, **changes: Any) -> RunOptions:
    config = home() / "config"
    told: dict[str, Any] = {
        "run_dir": run_dir,
        "prefix": Path("/opt/parley"),
        "fleet_file": FLEET,
        "floorplan": run_dir / "floorplan.yaml",
        "warehouse": config / "warehouse.yaml",
        "contract": config / "contract.yaml",
        "ros_params": config / "ros_params.yaml",
    }
    return RunOptions(**{**told, **changes})


def specs(run_dir: Path, **changes: Any) -> dict[str, NodeSpec]:
    return {spec.process: spec for spec in node_list(read_fleet(FLEET), options(run_dir, **changes))}


def test_the_demo_is_five_hosts_the_world_tasks_recorder_and_manager(tmp_path: Path) -> None:
    found = specs(tmp_path)
    assert list(found) == [
        *("lifecycle_manager", "recorder", "task_server"),
        *("host_forklift_1", "host_forklift_2", "host_forklift_3", "host_forklift_4", "host_stations"),
        "warehouse_sim",
    ]
    managed = found["lifecycle_manager"].parameters["/lifecycle_manager"]["nodes"]
    assert managed[:3] == ["/recorder", "/task_server", "/forklift_1/agent"]
    assert managed[-1] == "/warehouse_sim"  # the world starts when all are there
    assert "policy_server" in specs(tmp_path, inference="server")
    assert "recorder" not in specs(tmp_path, record=False)


def test_a_command_line_is_all_one_needs_to_start_a_process_by_hand(tmp_path: Path) -> None:
    found = specs(tmp_path, log_level="debug")
    assert found["task_server"].argv() == [
        "/opt/parley/lib/parley_tasks/tasks",
        *("--ros-args", "--log-level", "debug", "--ros-args", "-r", "__node:=task_server"),
        *("--params-file", f"{tmp_path}/params/task_server.yaml"),
    ]
    assert found["host_stations"].argv()[-4:] == [
        *("--params-file", f"{tmp_path}/params/host_stations.yaml"),
        *("-r", "host:__node:=host_stations"),  # the agents in it keep their names
    ]


def test_parameter_files_are_whole_and_typed(tmp_path: Path) -> None:
    found = specs(tmp_path, minutes=2, seed=7, orders="/data/orders")
    write_parameters(list(found.values()))
    host = yaml.safe_load((tmp_path / "params" / "host_stations.yaml").read_text())
    assert host["/host_stations"]["ros__parameters"]["agents"] == [
        "inventory_1",
        "inventory_2",
        "quality_1",
        "quality_2",
    ]
    agent = host["/quality_2/agent"]["ros__parameters"]
    assert agent["agent"] == "quality_2"
    assert (agent["minutes"], agent["seed"], agent["use_sim_time"]) == (2.0, 7, True)
    assert isinstance(agent["minutes"], float)
    tasks = yaml.safe_load((tmp_path / "params" / "task_server.yaml").read_text())["/task_server"]["ros__parameters"]
    assert tasks["database"] == f"sqlite:///{tmp_path}/ledger.sqlite"
    assert (tasks["orders"], tasks["order_speed"]) == ("/data/orders", 1.0)


def test_the_users_parameters_come_last_and_reach_whom_they_name(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    content = {"/**/agent": {"ros__parameters": {"seed": 3}}, "recorder": {"ros__parameters": {"flush_period": 0.5}}}
    own.write_text(yaml.safe_dump(content))
    found = specs(tmp_path, params_file=own, seed=1)
    assert found["host_forklift_1"].parameters["/forklift_1/agent"]["seed"] == 3
    assert found["host_forklift_1"].parameters["/host_forklift_1"]["seed"] == 1
    assert found["recorder"].parameters["/recorder"]["flush_period"] == 0.5
    assert "flush_period" not in found["task_server"].parameters["/task_server"]
    own.write_text("recorder:\n  flush_period: 0.5\n")
    with pytest.raises(ConfigError, match="under 'recorder' wanted the one key 'ros__parameters'"):
        specs(tmp_path, params_file=own)


def test_one_robot_starts_only_its_host_and_the_world_waits_for_all(tmp_path: Path) -> None:
    assert list(specs(tmp_path, only_host="forklift_3")) == ["host_forklift_3"]
    world = specs(tmp_path, has_hosts=False)
    assert list(world) == ["lifecycle_manager", "recorder", "task_server", "warehouse_sim"]
    assert "/forklift_3/agent" in world["lifecycle_manager"].parameters["/lifecycle_manager"]["nodes"]
    with pytest.raises(ConfigError, match="no host 'forklift_9'"):
        specs(tmp_path, only_host="forklift_9")


class Recorded:
    """Stands in for any launch action: keeps what it was made with."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments, self.options = arguments, options

    def argv(self, prefix: Path) -> list[str]:
        """What launch_ros.actions.Node makes of these options (read off its source, branch jazzy)."""
        given = self.options
        command = [str(prefix / "lib" / given["package"] / given["executable"])]
        command += ["--ros-args", *given["ros_arguments"]] if given.get("ros_arguments") else []
        command += ["--ros-args"]
        command += ["-r", f"__node:={given['name']}"] if given.get("name") else []
        for path in given.get("parameters") or []:
            command += ["--params-file", str(path)]
        for old, new in given.get("remappings") or []:
            command += ["-r", f"{old}:={new}"]
        return command


@pytest.fixture
def recording_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """`launch` and `launch_ros` whose actions only remember."""
    names = ("DeclareLaunchArgument", "OpaqueFunction", "SetEnvironmentVariable", "Shutdown", "ExecuteProcess", "Node")
    kinds = {name: type(name, (Recorded,), {}) for name in names}
    modules = {name: ModuleType(name) for name in ("launch", "launch.actions", "launch_ros", "launch_ros.actions")}
    vars(modules["launch"])["LaunchDescription"] = list
    vars(modules["launch.actions"]).update({name: kinds[name] for name in names[:-1]})
    vars(modules["launch_ros.actions"])["Node"] = kinds["Node"]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def launched(part: launch_actions.Part, **told: str) -> list[Any]:
    """The actions behind one launch file, with these arguments given."""
    *declared, function = launch_actions.describe(part)
    defaults = {argument.arguments[0]: argument.options["default_value"] for argument in declared}
    context = SimpleNamespace(launch_configurations={**defaults, **told})
    return list(function.options["function"](context, *function.options["args"]))


@pytest.mark.usefixtures("recording_launch")
@pytest.mark.parametrize("part", ["demo", "fleet", "sim", "robot"])
@pytest.mark.parametrize("inference", ["onboard", "server"])
def test_launch_and_runner_start_the_same_command_lines(
    tmp_path: Path, part: launch_actions.Part, inference: str
) -> None:
    told = {"policy": "greedy", "run_dir": str(tmp_path), "inference": inference, "log_level": "warn", "minutes": "2"}
    told["namespace"] = "forklift_2" if part == "robot" else ""
    nodes = [action for action in launched(part, **told) if type(action).__name__ == "Node"]
    all_told = {name: default for name, (default, _) in launch_actions.ARGUMENTS.items()} | told
    _, options, wanted = launch_actions.plan_run(part, all_told)
    assert [node.argv(options.prefix) for node in nodes] == [spec.argv() for spec in wanted]
    assert [node.options["respawn"] for node in nodes] == [spec.respawns for spec in wanted]
    assert ["on_exit" in node.options for node in nodes] == [spec.is_critical for spec in wanted]
    for spec in wanted:
        assert set(yaml.safe_load(spec.params_file.read_text())) == set(spec.parameters)


@pytest.mark.usefixtures("recording_launch")
def test_launch_arguments_bear_the_usual_names_and_bad_ones_are_refused(tmp_path: Path) -> None:
    usual = {"namespace", "use_sim_time", "params_file", "map", "autostart", "log_level", "headless"}
    assert usual <= set(launch_actions.ARGUMENTS)
    good = {"policy": "greedy", "run_dir": str(tmp_path / "run")}
    for told, words in (
        ({"autostart": "perhaps"}, "autostart: wanted one of true, false"),
        ({"minutes": "five"}, "minutes, seed: wanted numbers"),
        ({"policy": "gredy"}, "policy: wanted one of"),
        ({"map": str(tmp_path / "absent.yaml")}, "no such file"),
    ):
        with pytest.raises(ConfigError, match=words):
            launched("demo", **{**good, **told})
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="wanted the name of a robot of 'demo'"):
        launched("robot", **good)


SPY = """#!{python}
import json, os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
pathlib.Path({out!r}, f"{{os.getpid()}}.json").write_text(json.dumps(sys.argv))
time.sleep(4.0 if sys.argv[0].endswith("lifecycle_manager") else 60.0)
"""


@pytest.fixture
def spies(tmp_path: Path) -> Path:
    """An install prefix whose executables write down how they were called; the manager's ends after a while."""
    prefix, out = tmp_path / "prefix", tmp_path / "called"
    out.mkdir()
    for package in ("parley_agents", "parley_bringup", "parley_sim", "parley_tasks", "parley_policy_server"):
        marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        for name in ("host", "recorder", "lifecycle_manager", "sim", "tasks", "policy_server"):
            path = prefix / "lib" / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SPY.format(python=sys.executable, out=str(out)))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return prefix


@pytest.mark.timeout(60)
def test_the_real_launch_starts_the_same_command_lines(tmp_path: Path, spies: Path) -> None:
    launch = pytest.importorskip("launch", reason="ROS 2's launch is not a wheel; source a full ROS 2 Jazzy")
    if not hasattr(launch, "LaunchService"):
        pytest.skip("ROS 2's launch is not a wheel; source a full ROS 2 Jazzy")
    pytest.importorskip("launch_ros", reason="ROS 2's launch_ros is not a wheel; source a full ROS 2 Jazzy")
    script = (
        "import sys; from launch import LaunchService; from launch.launch_description_sources import *\n"
        "from launch.actions import IncludeLaunchDescription\n"
        "service = LaunchService()\n"
        f"source = PythonLaunchDescriptionSource({str(home() / 'launch' / 'fleet.launch.py')!r})\n"
        f"told = [('policy', 'greedy'), ('run_dir', {str(tmp_path / 'run')!r}), ('seed', '5')]\n"
        "service.include_launch_description(IncludeLaunchDescription(source, launch_arguments=told))\n"
        "sys.exit(service.run())\n"
    )
    environment = {**os.environ, "AMENT_PREFIX_PATH": str(spies), "ROS_LOG_DIR": str(tmp_path / "log")}
    done = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    try:
        done.wait(45)
    finally:
        if done.poll() is None:
            os.killpg(done.pid, signal.SIGKILL)
    called = [json.loads(path.read_text()) for path in (tmp_path / "called").iterdir()]
    wanted = [spec.argv() for spec in specs(tmp_path / "run", prefix=spies, seed=5).values()]
    assert sorted(called) == sorted(wanted)
