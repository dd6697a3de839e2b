"""Small fleets of dummy nodes over real DDS, started by the real runner under the real manager."""

from __future__ import annotations

import os
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parley_bringup.domain import hold_domain
from parley_bringup.fleet_process import environment
from parley_bringup.nodes import NodeSpec
from parley_bringup.runner import Runner

DUMMY = Path(__file__).with_name("dummy_node.py")


def install_dummy(prefix: Path) -> None:
    """Make `<prefix>/lib/parley_test/dummy` an executable, as colcon would."""
    path = prefix / "lib" / "parley_test" / "dummy"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\nimport runpy\nrunpy.run_path({str(DUMMY)!r}, run_name='__main__')\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def dummy(run_dir: Path, name: str, fault: str = "", **rest: Any) -> NodeSpec:
    """One process with one dummy node."""
    return NodeSpec(
        process=name,
        package="parley_test",
        executable="dummy",
        prefix=run_dir / "prefix",
        params_file=run_dir / "params" / f"{name}.yaml",
        parameters={f"/{name}": {"fault": fault}},
        log_level="info",
        name=name,
        managed=(f"/{name}",),
        **rest,
    )


def manager(run_dir: Path, *names: str, **parameters: Any) -> NodeSpec:
    """The real lifecycle manager for these nodes."""
    told = {"nodes": [f"/{name}" for name in names], "start_timeout": 15.0, "transition_timeout": 10.0, **parameters}
    return NodeSpec(
        process="lifecycle_manager",
        package="parley_bringup",
        executable="lifecycle_manager",
        prefix=Path(sys.prefix),
        params_file=run_dir / "params" / "lifecycle_manager.yaml",
        parameters={"/lifecycle_manager": told},
        log_level="info",
        name="lifecycle_manager",
        is_critical=True,
    )


def start(run_dir: Path, *specs: NodeSpec, is_locked: bool = True) -> Runner:
    """A started runner on the domain of this test run; unlocked, as processes that no runner started would be."""
    install_dummy(run_dir / "prefix")
    domain, lock = hold_domain(_domain()) if is_locked else (_domain(), socket.socket())
    runner = Runner(specs, run_dir, environment(domain, run_dir, is_local=True), lock)
    runner.start()
    return runner


def _domain() -> int:
    return int(os.environ["ROS_DOMAIN_ID"])


def wait(runner: Runner, until: Callable[[], bool], limit: float) -> bool:
    """Step the runner until the condition holds; False when `limit` seconds have passed."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        runner.step()
        if until():
            return True
        time.sleep(0.05)
    return False


def log(run_dir: Path, process: str) -> str:
    """What a process has said so far."""
    path = run_dir / "logs" / f"{process}.log"
    return path.read_text() if path.exists() else ""
