"""What a person may choose for a run, checked the same way by the command line and the launch files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from parley_agents.fleet import Fleet, read_fleet
from parley_bringup.nodes import RunOptions
from parley_bringup.paths import home, prefix
from parley_bringup.report.context import (
    FLOORPLAN_FILE,
    AgentEntry,
    RunContext,
    checked_out_commit,
    installed_versions,
)
from policy_core.config import ConfigError, read_yaml
from policy_core.contract import read_contract
from sim.warehouse.floorplan import FloorPlan, read_floorplan

POLICIES = ("greedy", "contract-net", "random")
AUTO_SPEED = 0.0  # the order speed at which a replay has as many lines an hour as the generator


def choose_fleet(manifest: Path | None) -> tuple[Path, Fleet]:
    """The fleet manifest's absolute path, that of the demo if none is given, and what it says.

    Raises:
        ConfigError: the manifest cannot be used.
    """
    path = (manifest or home() / "config" / "fleets" / "demo.yaml").resolve()
    return path, read_fleet(path, read_contract(_contract_file()))


def choose_options(
    run_dir: Path,
    fleet_file: Path,
    *,
    policy: str | None,
    inference: str,
    orders: Path | None,
    params_file: Path | None,
    log_level: str,
    spelling: str = "--",
) -> RunOptions:
    """What every way to start a fleet is told; the caller replaces what its own options say.

    Args:
        run_dir: takes all that is written, the floor plan too; absolute.
        fleet_file: the manifest; absolute.
        policy: None is the bundle that Parley ships.
        inference: onboard or server.
        orders: CSV file or folder; None is the generator.
        params_file: ROS parameters of the user's own.
        log_level: debug, info, warn or error.
        spelling: what stands before an option's name in errors.

    Raises:
        ConfigError: a choice that cannot be had.
    """
    return RunOptions(
        run_dir=run_dir,
        prefix=prefix(),
        fleet_file=fleet_file,
        floorplan=run_dir / FLOORPLAN_FILE,
        warehouse=home() / "config" / "warehouse.yaml",
        contract=_contract_file(),
        ros_params=home() / "config" / "ros_params.yaml",
        params_file=params_file.resolve() if params_file else None,
        policy=checked_policy(policy),
        inference=choose_one(f"{spelling}inference", inference, ("onboard", "server")),
        orders=checked_orders(orders),
        log_level=choose_one(
            f"{spelling}log-level" if spelling else "log_level", log_level, ("debug", "info", "warn", "error")
        ),
    )


def in_folder(options: RunOptions, run_dir: Path) -> RunOptions:
    """The same run with another run folder."""
    return replace(options, run_dir=run_dir, floorplan=run_dir / FLOORPLAN_FILE)


def read_plan(map_file: Path | None) -> FloorPlan:
    """Our own floor plan, one that was given, or a map of any format we know imported as one.

    Raises:
        ConfigError: no such file, not a plan or map, or no fleet can work in it.
    """
    path = map_file or home() / "config" / "floorplans" / "small_dc.yaml"
    if path.suffix.lower() in (".yaml", ".yml"):
        content = read_yaml(path)
        if not (isinstance(content, dict) and "image" in content):
            return read_floorplan(path)
    from sim.warehouse.maps.formats import import_map
    from sim.warehouse.maps.imported import Choices
    from sim.warehouse.maps.settings import read_import_settings

    found = import_map(path, read_import_settings(home() / "config" / "import.yaml"), Choices())
    if found.hindrance:
        raise ConfigError(f"{path}: {found.hindrance}.")
    return found.plan


def checked_policy(policy: str | None) -> str:
    """The policy's full name; None is the bundle that Parley ships. A bundle's path is made absolute.

    Raises:
        ConfigError: no such policy, or the folder is no bundle.
    """
    if policy is None:
        policy = f"bundle:{home() / 'config' / 'bundles' / 'demo'}"
    if policy.startswith("bundle:"):
        folder = Path(policy.removeprefix("bundle:")).resolve()
        _check_bundle(folder)
        return f"bundle:{folder}"
    return choose_one("policy", policy, (*POLICIES, "bundle:FOLDER"))


def _check_bundle(folder: Path) -> None:
    """Refuse at once what needs no torch to see; the agents check the rest before they open a topic."""
    if not (folder / "manifest.yaml").is_file():
        raise ConfigError(f"policy: {folder} is no policy bundle (it has no manifest.yaml). Make one: parley export.")
    manifest = read_yaml(folder / "manifest.yaml")
    wanted = manifest.get("weights_sha256") if isinstance(manifest, dict) else None
    try:
        seen = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"policy: {folder}: the weights cannot be read ({error}). Make it anew: parley export."
        ) from None
    if seen != wanted:
        raise ConfigError(
            f"policy: {folder}: the weights are damaged or another bundle's (digest {seen[:12]}, the manifest says "
            f"{str(wanted)[:12]}). Copy the bundle again, or make it anew: parley export."
        )


def checked_orders(path: Path | None) -> str:
    """The absolute path of orders that can be read, or '' for the generator.

    Raises:
        ConfigError: no such file, or no CSV file in the folder.
    """
    if path is None:
        return ""
    from sim.warehouse.order_csv import order_files

    order_files(path)
    return str(path.resolve())


def choose_speed(text: str) -> float:
    """A replay's speed; 'auto' is AUTO_SPEED.

    Raises:
        ConfigError: neither 'auto' nor a number above 0.
    """
    if text == "auto":
        return AUTO_SPEED
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < 1e6:
        raise ConfigError(f"order speed: wanted 'auto' or a number above 0 (1 is real time), saw '{text}'.")
    return speed


def choose_one(name: str, value: str, choices: tuple[str, ...]) -> str:
    """The value, if it is one of the choices.

    Raises:
        ConfigError: it is not.
    """
    if value not in choices:
        raise ConfigError(f"{name}: wanted one of {', '.join(choices)}, saw '{value}'.")
    return value


def choose_yes_or_no(name: str, text: str) -> bool:
    """The meaning of true or false.

    Raises:
        ConfigError: it is neither.
    """
    return choose_one(name, text.lower(), ("true", "false")) == "true"


def choose_run_dir(wanted: Path | None, command: str) -> Path:
    """The absolute path of the run folder: what is wanted, else one named by the time and the command."""
    return (wanted or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{command}").resolve()


def new_run_dir(wanted: Path | None, command: str) -> Path:
    """Where a run will write; nothing is made yet.

    Raises:
        ConfigError: something is there already.
    """
    path = choose_run_dir(wanted, command)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"run folder: {path} is there already and not empty; name a new one.")
    return path


def write_run(fleet: Fleet, options: RunOptions, plan: FloorPlan, map_name: str) -> None:
    """Write into the run folder what is run, and the floor plan the nodes will read.

    Raises:
        ConfigError: the folder cannot be written.
    """
    contract = read_contract(options.contract)
    context = RunContext(
        policy=options.policy,
        agents=tuple(AgentEntry(name=agent.name, kind=agent.kind) for agent in fleet.agents),
        seed=options.seed,
        minutes=options.minutes,
        rounds=contract.rounds,
        tick=contract.tick,
        inference=options.inference,
        clock=options.clock,
        fleet=str(options.fleet_file),
        map=map_name or plan.name,
        orders=options.orders,
        order_speed=options.order_speed,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        commit=checked_out_commit(home()),
        versions=installed_versions(),
    )
    try:
        context.write(options.run_dir, plan)
    except OSError as error:
        raise ConfigError(f"run folder: {options.run_dir} cannot be written ({error}); name another one.") from None


def _contract_file() -> Path:
    return home() / "config" / "contract.yaml"
