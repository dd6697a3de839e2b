"""What stands beside a demo's bundle: rivals on the run's own orders, a table of them, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from parley_bringup.cli import demo as demo_command
from parley_bringup.cli.contenders import make_world, play_episodes
from parley_bringup.cli.rivals import open_batched, play_rivals
from parley_bringup.cli.rivals_table import RIVALS_FILE, SHOWN, read_rivals, show_rivals
from parley_bringup.nodes import RunOptions
from parley_bringup.run_choices import choose_fleet, choose_options, read_plan
from parley_tasks.opening import begin
from policy_core.config import ConfigError
from sim.fast.evaluate import play
from sim.warehouse.orders import generate, read_order_settings
from sim.warehouse.randomisation import read_randomisation
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse
from tests.support.real_data import TOP

CONFIG = TOP / "config"
FLEET_FILE, FLEET = choose_fleet(None)
REAL = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,22001,MUG,600,2011-03-01 08:00:00,1.0,1,UK
2,22002,LAMP,900,2011-03-01 08:10:00,1.0,2,UK
3,22001,MUG,800,2011-03-01 09:00:00,1.0,3,UK
"""


def options(folder: Path, **changes: object) -> RunOptions:
    orders = changes.pop("orders", None)
    assert orders is None or isinstance(orders, Path)
    chosen = choose_options(
        folder, FLEET_FILE, policy=None, inference="onboard", orders=orders, params_file=None, log_level="info"
    )
    return replace(chosen, seed=4, minutes=0.2, order_speed=0.0, **changes)  # type: ignore[arg-type]


def recorder() -> Console:
    return Console(width=200, record=True, file=open("/dev/null", "w"))


@pytest.mark.parametrize("is_replay", [False, True])
def test_the_first_episode_has_the_runs_own_orders_and_stock(tmp_path: Path, is_replay: bool) -> None:
    orders = tmp_path / "day.csv"
    orders.write_text(REAL)
    told = options(tmp_path, orders=orders if is_replay else None)
    plan, settings = read_plan(None), read_warehouse(CONFIG / "warehouse.yaml")
    world = open_batched(told, FLEET, plan)
    world.reset_each([told.seed])
    asked = SimpleNamespace(seed=told.seed, orders=told.orders, order_speed=told.order_speed)
    live, _ = begin(
        asked, build_tables(plan), settings, read_order_settings(CONFIG / "orders.yaml"), 60.0 * told.minutes  # type: ignore[arg-type]
    )  # fmt: skip
    for name in ("place_pallet", "pallet_sku", "pallet_draw", "pallet_place", "stream_time", "stream_sku"):
        own, theirs = getattr(world.state, name)[0], getattr(live, name)[0]
        assert np.array_equal(own[: len(theirs)], theirs), name
    assert (live.stream_sku[0] >= 0).any()
    world.reset_each([told.seed + 1])
    assert not np.array_equal(world.state.place_pallet[0], live.place_pallet[0]), "another seed, another stock"


def test_rivals_are_played_kept_and_shown(tmp_path: Path) -> None:
    console, told = recorder(), options(tmp_path)
    play_rivals(console, told, FLEET, read_plan(None), 2)
    found = read_rivals(tmp_path)
    assert found is not None and list(found.runs) == [
        told.policy, f"{told.policy}, silenced", "greedy", "contract-net", "planner"
    ]  # fmt: skip
    assert all(len(episodes) == 2 for episodes in found.runs.values())
    assert found.runs[told.policy][0]["reward"] != found.runs[told.policy][1]["reward"]
    show_rivals(console, found)
    shown = console.export_text()
    assert "2 episodes" in shown and "seeds 4 to 5; 4 is this run's" in shown
    assert next(line.split() for line in shown.splitlines() if "planner" in line) == [
        "bundle:demo", "silenced", "greedy", "contract-net", "planner"
    ]  # fmt: skip
    assert all(label in shown for label in SHOWN.values())
    (tmp_path / RIVALS_FILE).write_text('{"minutes": 1')
    with pytest.raises(ConfigError, match="delete it"):
        read_rivals(tmp_path)
    assert read_rivals(tmp_path / "elsewhere") is None


def test_a_fleet_without_an_equal_in_the_batched_world_is_not_compared(tmp_path: Path) -> None:
    console = recorder()
    smaller = FLEET.model_copy(update={"agents": FLEET.agents[:-1]})
    play_rivals(console, options(tmp_path), smaller, read_plan(None), 2)
    assert "no comparison" in console.export_text() and read_rivals(tmp_path) is None


def test_ctrl_c_leaves_the_comparison_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("parley_bringup.cli.rivals.play_episodes", stopped)
    console = recorder()
    play_rivals(console, options(tmp_path), FLEET, read_plan(None), 2)
    assert "no comparison: stopped" in console.export_text() and read_rivals(tmp_path) is None


@pytest.mark.parametrize(("policy", "episodes", "is_played"), [("", 3, True), ("", 0, False), ("greedy", 3, False)])
def test_only_a_bundle_is_compared_and_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, episodes: int, is_played: bool
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("parley_bringup.cli.rivals.play_rivals", lambda *given: asked.append(given[-1]))
    told = options(tmp_path)
    told = replace(told, policy=policy or told.policy)
    demo_command._play_rivals(recorder(), told, FLEET, read_plan(None), episodes)
    assert asked == ([episodes] if is_played else [])


def test_episodes_on_several_plans_are_those_played_alone() -> None:
    """A batch has one floor plan, so seeds that draw another make a batch of their own."""
    plan = read_plan(None)
    wider = plan.model_copy(update={"size": (plan.size[0] + 2.0, plan.size[1])})
    ranges = read_randomisation(CONFIG / "randomisation.yaml")
    settings = read_order_settings(CONFIG / "orders.yaml")
    world = make_world(
        "fast", [plan, wider], 4, 12.0, read_warehouse(CONFIG / "warehouse.yaml"),
        lambda rng, duration, draw: generate(settings, int(rng.integers(2**31)), duration),
        np.asarray(settings.popularity), randomisation=ranges,
    )  # fmt: skip
    seeds = range(6)
    found = list(play_episodes("planner", world, seeds, reach=25.0))
    assert {episode["draw floorplan"] for episode in found} == {0.0, 1.0}
    assert found == [pytest.approx(play(world, None, seed, reach=25.0), nan_ok=True) for seed in seeds]
