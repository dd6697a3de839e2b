"""Who may import whom (docs/ARCHITECTURE.md): read off every file's imports, so that it stays true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
FLOORS = (  # of the workspace, lowest first; a package imports only from floors below its own
    ("parley_msgs",),
    ("parley_agents",),
    ("parley_policy_server", "parley_sim", "parley_tasks"),
    ("parley_bringup",),
)
ROS_ROOMS = ("parley_agents", "parley_bringup", "parley_policy_server", "parley_sim", "parley_tasks")
MESSAGES = ("parley_msgs", "lifecycle_msgs", "diagnostic_msgs", "geometry_msgs", "nav_msgs", "sensor_msgs", "std_msgs")
MESSAGES += ("rosgraph_msgs", "std_srvs", "tf2_msgs", "visualization_msgs", "rcl_interfaces", "builtin_interfaces")
MESSAGES += ("simulation_interfaces",)
ROS = ("rclpy", "launch", "launch_ros", "ament_index_python", *MESSAGES)
SIM_MAY = ("policy_core.config", "policy_core.contract", "policy_core.environment", "policy_core.serving.policy")
SIM_MAY += ("policy_core.worlds.processes",)  # the handling of processes; it knows no world
# Of sim/bullet: the warehouse as one world, and what holds it to the fast one. Bodies and sensors know no goods.
ON_THE_FAST_WORLD = ("env", "parity", "motion_fit", "contact_log")
# Files that turn ROS messages into plain facts and back; everything else works on plain facts.
SPEAKS_ROS = ("_node", "_topics", "convert")  # endings of their names
ALSO_SPEAK_ROS = ("managed_node", "managed_peer", "lifecycle_manager", "recorder", "fleet_watch", "live_view")


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((TOP / folder).rglob("*.py"))]


def room(name: str) -> str:
    return f"ros2_ws/src/{name}/{name}"


def imports(path: Path) -> set[str]:
    """Every module a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, *rooms: str) -> bool:
    return any(module == each or module.startswith(each + ".") for each in rooms)


def guests(paths: list[Path], *unwanted: str, but: tuple[str, ...] = ()) -> list[str]:
    """Imports of unwanted modules, with the exceptions."""
    return [
        f"{path.relative_to(TOP)} imports {module}"
        for path in paths
        for module in sorted(imports(path))
        if within(module, *unwanted) and not within(module, *but)
    ]


def test_policy_core_knows_neither_ros_nor_a_world() -> None:
    assert guests(files("policy_core"), "sim", "pybullet", *ROS, *ROS_ROOMS) == []


def test_serving_knows_no_training() -> None:
    assert guests(files("policy_core/serving"), "policy_core.ppo", "policy_core.analysis") == []


def test_analysis_knows_neither_training_nor_serving_and_nobody_in_policy_core_knows_it() -> None:
    assert guests(files("policy_core/analysis"), "policy_core.ppo", "policy_core.serving", "policy_core.worlds") == []
    others = [path for path in files("policy_core") if "analysis" not in path.parts]
    assert guests(others, "policy_core.analysis") == []


def test_the_worlds_know_only_the_contract_between_world_and_policy() -> None:
    found = guests(files("sim"), "policy_core", but=SIM_MAY)
    # `from policy_core.serving import policy` names the package, too
    packages = (" policy_core", " policy_core.serving", " policy_core.worlds")
    assert [each for each in found if not each.endswith(packages)] == []
    assert guests(files("sim"), *ROS, *ROS_ROOMS) == []


def test_the_warehouse_knows_no_simulator_and_the_fast_one_not_the_one_built_on_it() -> None:
    assert guests(files("sim/warehouse"), "sim.bullet", "sim.fast", "sim.view", "pybullet") == []
    assert guests(files("sim/view"), "sim.bullet", "sim.fast", "pybullet") == []
    assert guests(files("sim/fast"), "sim.bullet", "pybullet") == []
    assert guests(files("sim/warehouse", "sim/view", "sim/fast", "sim/bullet"), "sim.soak") == []
    bodies = [path for path in files("sim/bullet") if path.stem not in ON_THE_FAST_WORLD]
    assert guests(bodies, "sim.fast") == []


@pytest.mark.parametrize("name", ROS_ROOMS)
def test_ros_packages_use_the_warehouse_but_only_parley_sim_the_physics(name: str) -> None:
    paths = [path for path in files(room(name)) if "cli" not in path.parts]
    assert guests(paths, "sim", but=("sim.warehouse",) if name != "parley_sim" else ("sim",)) == []
    assert guests(paths, "policy_core.ppo") == []


@pytest.mark.parametrize("name", ROS_ROOMS)
def test_ros_messages_stay_in_nodes_and_converters(name: str) -> None:
    quiet = [path for path in files(room(name)) if not path.stem.endswith((*SPEAKS_ROS, *ALSO_SPEAK_ROS))]
    paths = [path for path in quiet if "cli" not in path.parts]
    assert guests(paths, *MESSAGES) == []


@pytest.mark.parametrize("name", ROS_ROOMS)
def test_no_package_imports_one_beside_or_above_it(name: str) -> None:
    assert {package for floor in FLOORS for package in floor} == {"parley_msgs", *ROS_ROOMS}
    level = next(level for level, floor in enumerate(FLOORS) if name in floor)
    not_below = [package for floor in FLOORS[level:] for package in floor if package != name]
    assert guests(files(f"ros2_ws/src/{name}"), *not_below) == []


@pytest.mark.parametrize("name", ROS_ROOMS)
def test_a_package_says_which_ros_packages_it_imports(name: str) -> None:
    told = (TOP / "ros2_ws" / "src" / name / "package.xml").read_text(encoding="utf-8")
    named = set(re.findall(r"<(?:exec_)?depend>(\w+)</", told))
    imported = {module.split(".")[0] for path in files(room(name)) for module in imports(path)}
    assert (imported & {*ROS, *ROS_ROOMS}) - {name} - named == set()


def test_the_node_list_needs_neither_ros_nor_torch() -> None:
    paths = [TOP / room("parley_bringup") / f"{name}.py" for name in ("nodes", "paths", "domain", "keeper")]
    assert guests([*paths, TOP / room("parley_agents") / "fleet.py"], "torch", "sim", *ROS) == []


def test_the_numpy_reference_knows_nothing_of_the_kernels_it_is_held_against() -> None:
    assert guests(files("tests/reference"), "sim", "numba", "policy_core") == []


def test_a_forbidden_import_is_seen() -> None:
    assert guests([TOP / "policy_core" / "config.py"], "yaml") == ["policy_core/config.py imports yaml"]
