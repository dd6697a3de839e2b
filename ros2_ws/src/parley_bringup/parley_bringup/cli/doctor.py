"""`parley doctor`: one page on whether this machine can run a fleet, and what to mend where it cannot."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

import psutil
import typer
from rich.table import Table

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.terminal import open_console
from parley_bringup.domain import hold_domain
from parley_bringup.paths import home, prefix
from policy_core.config import ConfigError

Standing = Literal["good", "poor", "bad"]
STYLES = {"good": "green", "poor": "yellow", "bad": "bold red"}
EXECUTABLES = (
    *("parley_agents/host", "parley_bringup/lifecycle_manager", "parley_bringup/recorder"),
    *("parley_policy_server/policy_server", "parley_sim/sim", "parley_tasks/tasks"),
)
LIBRARIES = ("torch", "numpy", "numba", "pybullet", "sqlalchemy", "mcap")
WANTED_MEMORY, WANTED_DISK, WANTED_SHARED = 3.0, 2.0, 0.1  # GB, for the demo fleet


class Finding(NamedTuple):
    """One thing looked at."""

    name: str
    standing: Standing
    seen: str
    cure: str = ""


def doctor(json_file: JsonFile = None) -> None:
    """Check this machine and say what to mend. Exit code 1 where something would keep a fleet from running."""
    findings = [check() for check in CHECKS]
    console = open_console()
    table = Table(box=None, pad_edge=False)
    for heading in ("", "is", "seen", "cure"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(
            finding.name, f"[{STYLES[finding.standing]}]{finding.standing}[/]", finding.seen, finding.cure or ""
        )
    console.print(table)
    write_json(json_file, [finding._asdict() for finding in findings])
    if any(finding.standing == "bad" for finding in findings):
        raise typer.Exit(1)


def check_python() -> Finding:
    """The interpreter, and whose environment it is."""
    seen = f"{platform.python_version()} in {sys.prefix}"
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        return Finding("Python", "bad", seen, "3.10 to 3.12 is supported: make clean setup PYTHON=python3.11")
    return Finding("Python", "good", seen)


def check_libraries() -> Finding:
    """Whether the libraries that decide a run's numbers are installed."""
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("libraries", "bad", f"missing: {', '.join(missing)}", "make setup")
    return Finding("libraries", "good", ", ".join(found))


def check_ros() -> Finding:
    """Whether ROS 2 can be imported, and whether it is Jazzy."""
    sourced = os.environ.get("ROS_DISTRO", "")
    if sourced not in ("", "jazzy"):
        return Finding("ROS 2", "bad", f"'{sourced}' is sourced", "use a shell that does not source it; make setup")
    try:
        import rclpy
    except ImportError as error:
        return Finding("ROS 2", "bad", f"rclpy cannot be imported: {error}", "make setup")
    return Finding("ROS 2", "good", f"{'sourced' if sourced else 'wheels'}, {Path(rclpy.__file__).parent}")


def check_messages() -> Finding:
    """Whether our interfaces are built for this environment."""
    try:
        from parley_msgs.msg import TensorMessage

        TensorMessage.__import_type_support__()  # loads the libraries behind the Python class
    except Exception as error:
        return Finding("parley_msgs", "bad", f"{type(error).__name__}: {error}", "make setup")
    return Finding("parley_msgs", "good", "built")


def check_executables() -> Finding:
    """Whether every node can be started."""
    missing = [name for name in EXECUTABLES if not os.access(prefix() / "lib" / name, os.X_OK)]
    if missing:
        return Finding("nodes", "bad", f"not installed: {', '.join(missing)}", "make setup")
    return Finding("nodes", "good", f"{len(EXECUTABLES)} executables in {prefix() / 'lib'}")


def check_talk() -> Finding:
    """Whether a message really gets from one DDS participant to another on this machine."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    try:
        domain, lock = hold_domain(None if not os.environ.get("ROS_DOMAIN_ID") else int(os.environ["ROS_DOMAIN_ID"]))
    except (ConfigError, ValueError) as error:
        return Finding("DDS", "poor", str(error), "run doctor again when it is free")
    with lock:
        try:
            seconds = _round_trip(domain)
        except Exception as error:
            return Finding("DDS", "bad", f"{type(error).__name__}: {error}", "make setup")
    if seconds is None:
        cure = "a firewall may block UDP on the loopback interface; unset RMW and Fast DDS variables of your own"
        return Finding("DDS", "bad", f"no message came through in 5 s on domain {domain}", cure)
    return Finding("DDS", "good", f"first message after {seconds:.1f} s on domain {domain}")


def _round_trip(domain: int) -> float | None:
    """Seconds until a message of one participant reached another one; None: not within 5 s."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from parley_agents.managed_node import spin
    from parley_msgs.msg import Heartbeat

    heard: list[Heartbeat] = []
    contexts = [rclpy.Context(), rclpy.Context()]
    for context in contexts:
        rclpy.init(context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
    try:
        speaker, listener = (rclpy.create_node(f"doctor_{i}", context=each) for i, each in enumerate(contexts))
        publisher = speaker.create_publisher(Heartbeat, "/parley_doctor", 10)
        listener.create_subscription(Heartbeat, "/parley_doctor", heard.append, 10)
        began = time.monotonic()
        while time.monotonic() - began < 5.0:
            publisher.publish(Heartbeat(node="/doctor"))
            if spin([listener], until=lambda: bool(heard), limit=0.1):
                return time.monotonic() - began
        return None
    finally:
        for context in contexts:
            rclpy.try_shutdown(context=context)


def check_memory() -> Finding:
    """Free memory and shared memory."""
    memory = psutil.virtual_memory().available / 1e9
    shared = shutil.disk_usage("/dev/shm").free / 1e9 if Path("/dev/shm").is_dir() else 0.0
    seen = f"{memory:.1f} GB free, {shared:.1f} GB in /dev/shm, {os.cpu_count()} cores"
    if memory < WANTED_MEMORY or shared < WANTED_SHARED:
        return Finding("memory", "poor", seen, f"the demo wants {WANTED_MEMORY} GB, and {WANTED_SHARED} GB in /dev/shm")
    return Finding("memory", "good", seen)


def check_disk() -> Finding:
    """Room for runs."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    cure = f"{WANTED_DISK} GB let a few runs be recorded" if free < WANTED_DISK else ""
    return Finding("disk", "poor" if cure else "good", f"{free:.1f} GB free in {Path.cwd()}", cure)


def check_leftovers() -> Finding:
    """Whether nodes of an earlier fleet are still alive."""
    lib = str(prefix() / "lib" / "parley_")
    alive = [
        process.info["pid"]
        for process in psutil.process_iter(["pid", "cmdline"])
        if any(word.startswith(lib) for word in (process.info["cmdline"] or [])[:3])
    ]
    if alive:
        seen = f"{len(alive)} nodes of this checkout are running (processes {', '.join(map(str, alive[:8]))})"
        return Finding("running fleet", "poor", seen, "fine if it is yours; else: kill them")
    return Finding("running fleet", "good", "none")


def check_gpu() -> Finding:
    """Whether there is a GPU for training and the policy server; nothing needs one."""
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return Finding("GPU", "good", ", ".join(devices) if devices else "none; everything runs on the CPU")


def check_config() -> Finding:
    """Whether the shipped contract, fleet and floor plan fit together."""
    from parley_agents.fleet import read_fleet
    from policy_core.contract import read_contract
    from sim.warehouse.floorplan import read_floorplan

    config = home() / "config"
    try:
        fleet = read_fleet(config / "fleets" / "demo.yaml", read_contract(config / "contract.yaml"))
        plan = read_floorplan(config / "floorplans" / "small_dc.yaml")
    except ConfigError as error:
        return Finding("configuration", "bad", str(error), "mend the file, or take it from the repository again")
    seen = f"fleet '{fleet.name}' of {len(fleet.agents)}, floor plan '{plan.name}' with {len(plan.places)} places"
    return Finding("configuration", "good", seen)


CHECKS: tuple[Callable[[], Finding], ...] = (
    *(check_python, check_libraries, check_ros, check_messages, check_executables, check_config),
    *(check_talk, check_memory, check_disk, check_leftovers, check_gpu),
)
