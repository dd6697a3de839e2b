"""What was run: the settings, seed and versions a run folder carries so that its numbers can be repeated."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field as Bound

from policy_core.config import ConfigError, Settings, parse_settings
from sim.warehouse.floorplan import FloorPlan, read_floorplan

CONTEXT_FILE = "run.json"
FLOORPLAN_FILE = "floorplan.yaml"
_PACKAGES = ("rclpy", "torch", "numpy", "pybullet", "numba", "mcap")


class AgentEntry(Settings):
    """One agent of the fleet, in fleet order."""

    name: str
    kind: str


class RunContext(Settings):
    """How a run was started. Written into the run folder before the first node starts."""

    policy: str  # "greedy", "contract-net", "random" or "bundle:<dir>"
    agents: tuple[AgentEntry, ...]
    seed: int
    minutes: float = Bound(ge=0)  # simulated; 0: until stopped
    rounds: int = Bound(2, ge=0)  # message rounds in one decision, by the contract
    tick: float = Bound(1.0, gt=0)  # s between decisions
    inference: str = "onboard"
    clock: str = "lockstep"
    fleet: str = ""  # the fleet manifest's path or name
    map: str = ""  # where the floor plan came from
    orders: str = ""  # where the orders came from; empty: generated from the seed
    order_speed: float = 1.0
    started: str = ""  # wall time, ISO 8601
    commit: str = ""
    versions: dict[str, str] = Bound(default_factory=dict)

    @property
    def label(self) -> str:
        """The policy in a few letters: a bundle by the name of its folder."""
        kind, _, folder = self.policy.partition(":")
        return f"{kind}:{Path(folder).name}" if folder else kind

    def write(self, run_dir: Path, plan: FloorPlan) -> None:
        """Put the context and the floor plan into the run folder."""
        run_dir.mkdir(parents=True, exist_ok=True)
        plan.write(run_dir / FLOORPLAN_FILE)
        (run_dir / CONTEXT_FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_context(run_dir: Path) -> RunContext:
    """Load what was run.

    Raises:
        ConfigError: the folder is not a run folder, or its context is damaged.
    """
    path = run_dir / CONTEXT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{run_dir}: no {CONTEXT_FILE} in it, so this is no run folder. Give a folder that `parley demo` or "
            "`parley up` wrote."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error}).") from None
    return parse_settings(RunContext, content, source=str(path))


def read_run_floorplan(run_dir: Path) -> FloorPlan:
    """The floor plan of a run.

    Raises:
        ConfigError: the run folder has none, or it is damaged.
    """
    return read_floorplan(run_dir / FLOORPLAN_FILE)


def installed_versions() -> dict[str, str]:
    """Versions of what decides a run's numbers; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def checked_out_commit(folder: Path) -> str:
    """The commit of the checkout a folder lies in, with `+` where files were changed; empty outside a checkout."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=5.0).stdout.strip()
