"""`parley play`: a run as a film, an animation, a picture or in a window; no ROS, no screen needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from parley_bringup.cli.json_result import JsonFile, write_json
from parley_bringup.cli.picture_files import PictureFile
from parley_bringup.cli.played_scenes import open_world, policy_maker, scenes_of
from parley_bringup.cli.terminal import open_console
from parley_bringup.paths import home
from parley_bringup.run_choices import choose_one, read_plan
from policy_core.config import ConfigError
from policy_core.contract import read_contract
from sim.fast.env import FastWarehouse
from sim.view.scene import Scene, between
from sim.view.top_down import TopDown
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import FloorPlan
from sim.warehouse.settings import read_warehouse

WORLDS, VIEWS = ("fast", "bullet"), ("top", "camera")
LINE_PERIOD = 5.0  # s of wall time between two lines where there is no terminal
Painter = Callable[[Scene], np.ndarray]


def play(
    policy: Annotated[
        str | None,
        typer.Option(help="greedy, contract-net, random, or a bundle's folder. Default: the shipped bundle."),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="Simulated minutes.")] = 5.0,
    out: Annotated[
        Path | None,
        typer.Option(help="play.mp4, play.gif, or play.png for the last moment. Default: play.mp4, unless --window."),
    ] = None,
    view: Annotated[str, typer.Option(help="top: from above, with figures; camera: by PyBullet, slower.")] = "top",
    world: Annotated[str, typer.Option(help="fast, or bullet: bodies with mass, slower.")] = "fast",
    map_file: Annotated[Path | None, typer.Option("--map", help="Floor plan or map of any form; default ours.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of all chance; as `parley eval` counts them.")] = 1,
    forklifts: Annotated[int, typer.Option(min=1, max=32, help="Robots.")] = 4,
    loss: Annotated[float, typer.Option(min=0, max=1, help="Chance that a message to one receiver is lost.")] = 0.0,
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="Simulated seconds in a second of the film.")] = 10.0,
    fps: Annotated[float, typer.Option(min=1, max=120, help="Pictures in a second of the film.")] = 20.0,
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "960x640",
    window: Annotated[bool, typer.Option("--window", help="Show it in a window, too, at that speed.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Show a run: robots, pallets, routes, who listens to whom, and KPIs.

    The world is stepped a decision (1 s) at a time. Pictures in between show the robots on smooth curves through the
    poses, headings and speeds at both ends; figures are those of the last decision. Violet lines, where a bundle's
    messages are weighed by attention, go from who speaks to who listens: the stronger, the more of its attention.
    """
    choose_one("--world", world, WORLDS)
    choose_one("--view", view, VIEWS)
    shape = read_size(size)
    target = out or (None if window else Path("play.mp4"))
    file = None if target is None else PictureFile(target, shape, fps)
    contract = read_contract(home() / "config" / "contract.yaml")
    settings = read_warehouse(home() / "config" / "warehouse.yaml")
    plan = read_plan(map_file)
    name, make_policy, has_links = policy_maker(policy, contract, seed)
    console = open_console()
    with ExitStack() as held:
        floor = open_world(world, plan, settings, contract, forklifts, minutes * 60.0)
        if hasattr(floor, "close"):
            held.callback(floor.close)
        heading = f"{plan.name}, {name}, seed {seed}"
        painter = open_painter(view, plan, floor, shape, heading, minutes * 60.0, has_links, held)
        screen = _open_window(shape, heading, held) if window else None
        output = None if file is None else held.enter_context(file)
        scenes = scenes_of(floor, make_policy, seed, round(minutes * 60.0 / contract.tick), settings.radio.range, loss)
        began = time.monotonic()
        last, frames, drawing = _show(scenes, painter, output, screen, speed / fps, minutes * 60.0, fps, console)
        took = time.monotonic() - began
    console.print(kpi_line(last.kpis), soft_wrap=True, highlight=False)
    pace = f", {frames / drawing:.0f} drawn in a second of CPU time" if drawing else ""
    console.print(f"{frames} pictures in {took:.1f} s{pace}", soft_wrap=True, highlight=False)
    if target is not None:
        console.print(f"wrote {target}", soft_wrap=True, highlight=False)
    write_json(
        json_file,
        {
            "policy": name,
            "world": world,
            "map": str(map_file or plan.name),
            "seed": seed,
            "minutes": minutes,
            "out": None if target is None else str(target),
            "frames": frames,
            "drawing_cpu_s": drawing,
            "wall_s": took,
            "kpis": last.kpis,
        },
    )


def read_size(text: str) -> tuple[int, int]:
    """Width and height of WIDTHxHEIGHT (pixels).

    Raises:
        ConfigError: it is not that.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size: saw '{text}', wanted width x height in pixels, such as 960x640")
    return int(width), int(height)


def open_painter(
    view: str,
    plan: FloorPlan,
    world: FastWarehouse,
    size: tuple[int, int],
    heading: str,
    length: float,
    has_links: bool,
    held: ExitStack,
) -> Painter:
    """What turns a scene into a picture; `held` closes it."""
    bodies = read_bodies(home() / "config" / "bodies.yaml")
    if view == "top":
        return TopDown(plan, world.agents, size, bodies, heading=heading, length=length, with_links=has_links).draw
    from sim.bullet.scene_camera import SceneCamera, ShownPallet

    robots = world.agents[: world.robots.pose.shape[1]]
    camera = SceneCamera(plan, bodies, robots, *size)
    held.callback(camera.close)
    touch = bodies.pallet.entry_height - bodies.forks.thickness  # fork height at which a pallet leaves the floor

    def photograph(scene: Scene) -> np.ndarray:
        pallets = {}
        for serial, (x, y, yaw, sku, _, carrier, _) in scene.pallets.items():
            lifted = max(0.0, float(scene.forks[carrier]) - touch) if carrier >= 0 else 0.0
            pallets[serial] = ShownPallet(x, y, yaw, lifted, sku)
        return camera.photograph(scene.robots, scene.forks, pallets)

    return photograph


def kpi_line(kpis: dict[str, float]) -> str:
    """What a run achieved in one line."""
    return (
        f"orders {kpis['orders_done']:.0f} done ({kpis['orders_per_hour']:.1f} an hour), on time "
        f"{kpis['on_time_share']:.0%}, lines {kpis['lines_shipped']:.0f}, defects {kpis['defects_shipped']:.0f}, "
        f"contacts {kpis['contacts']:.0f}, blocked {kpis['blocked_s']:.0f} s, driven {kpis['distance_m']:.0f} m"
    )


def _show(
    scenes: Iterator[Scene],
    painter: Painter,
    output: PictureFile | None,
    screen: Any,
    pause: float,
    length: float,
    fps: float,
    console: Console,
) -> tuple[Scene, int, float]:
    """Draw a picture every `pause` simulated seconds; the last scene, how many pictures, their CPU seconds."""
    is_moving = screen is not None or (output is not None and not output.is_still)
    frames, drawing, due = 0, 0.0, 0.0

    def draw(scene: Scene) -> None:
        nonlocal frames, drawing
        began = time.process_time()
        frame = painter(scene)
        drawing += time.process_time() - began
        frames += 1
        if output is not None:
            output.add(frame)
        if screen is not None:
            screen.show(frame)

    clock = time.monotonic()
    one = next(scenes)
    with _progress(console) as progress:
        task = progress.add_task("playing", total=length)
        told = time.monotonic()
        for other in scenes:
            while is_moving and due < other.time - 1e-9:
                draw(between(one, other, (due - one.time) / (other.time - one.time)))
                due += pause
                if screen is not None:
                    time.sleep(max(0.0, clock + frames / fps - time.monotonic()))
            one = other
            progress.update(task, completed=one.time)
            if not console.is_terminal and time.monotonic() - told > LINE_PERIOD:
                told = time.monotonic()
                console.print(f"{one.time:.0f} of {length:.0f} s played", highlight=False)
            if screen is not None and not screen.is_open:
                break
    draw(one)
    return one, frames, drawing


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("s"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _open_window(size: tuple[int, int], title: str, held: ExitStack) -> Any:
    from sim.view.window import Window

    screen = Window(*size, f"Parley: {title}")
    held.callback(screen.close)
    return screen
