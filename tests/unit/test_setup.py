"""`make setup` on machines that lack something: one clear message and exit code 2, and nothing is made."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

SETUP = Path(__file__).resolve().parents[2] / "ros2_ws" / "setup"


def prepare(**changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **changes}
    command = [sys.executable, str(SETUP / "prepare.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_a_missing_compiler_is_named_with_the_cure(tmp_path: Path) -> None:
    for tool in ("cmake", "make"):
        (tmp_path / tool).symlink_to("/bin/true")
    done = prepare(PATH=str(tmp_path), CXX="", CC="", ROS_DISTRO="")
    assert done.returncode == 2
    assert "missing: a C++ compiler (g++), a C compiler (gcc)" in done.stderr
    assert "apt-get install" in done.stderr


def test_another_ros_is_refused_before_it_can_mix_with_ours() -> None:
    done = prepare(ROS_DISTRO="humble")
    assert done.returncode == 2
    assert "ROS 2 'humble' is sourced, Parley needs 'jazzy'" in done.stderr


def test_the_wheels_build_files_get_this_machines_headers() -> None:
    mend = runpy.run_path(str(SETUP / "patch_wheels.py"))["mend"]
    builder = "/opt/python/cp310-cp310"
    text = f"a;{builder}/include/python3.10;{builder}/lib/python3.10/site-packages/numpy/core/include;b"
    assert mend(text, "/here/python", "/here/numpy") == "a;/here/python;/here/numpy;b"
    assert mend("/usr/include/python3.10", "/here/python", "/here/numpy") == "/usr/include/python3.10"


def test_only_message_packages_that_no_ros_brings_are_built(tmp_path: Path) -> None:
    missing = runpy.run_path(str(SETUP / "prepare.py"))["_missing_packages"]
    facts = missing.__globals__
    facts["VENV"], facts["WORKSPACE"] = tmp_path / "venv", tmp_path / "ros2_ws"
    for name in ("simulation_interfaces", "tf2_msgs"):
        (tmp_path / "ros2_ws" / "compat" / name).mkdir(parents=True)
        (tmp_path / "ros2_ws" / "compat" / name / "package.xml").touch()
    assert missing(None) == ["simulation_interfaces", "tf2_msgs"]
    brought = tmp_path / "jazzy" / "share" / "ament_index" / "resource_index" / "packages"
    brought.mkdir(parents=True)
    (brought / "tf2_msgs").touch()
    assert missing(f"/nowhere{os.pathsep}{tmp_path / 'jazzy'}") == ["simulation_interfaces"]
    (tmp_path / "ros2_ws" / "build" / "tf2_msgs").mkdir(parents=True)  # built here before: it stays ours
    assert missing(str(tmp_path / "jazzy")) == ["simulation_interfaces", "tf2_msgs"]
