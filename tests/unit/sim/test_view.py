"""Pictures of a world: what is shown is where it is, between ticks too."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from policy_core.config import ConfigError
from sim.bullet.scene_camera import SceneCamera, ShownPallet
from sim.fast.env import FastWarehouse, make
from sim.fast.evaluate import decide
from sim.view.layout import Layout
from sim.view.scene import Pallet, Scene, between, scene_of
from sim.view.stamps import rgb
from sim.view.top_down import LINK, TopDown
from sim.warehouse.baselines import make_baseline
from sim.warehouse.bodies import read_bodies
from sim.warehouse.colours import robot_colour, sku_colour
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.state import ABSENT, PASSED
from tests.support.bullet_hall import BODIES, HALL, hall, run

CONFIG = Path(__file__).parents[3] / "config"
PLAN = read_floorplan(CONFIG / "floorplans" / "small_dc.yaml")
SIZE = (960, 640)


def played(ticks: int) -> tuple[FastWarehouse, list[Scene], list[int]]:
    """A greedy run: its scenes, and how many pallets the ledger knew at each."""
    world = make(1, stagger=False)
    seen = world.reset(3)
    numbers = [world.kinds[:agent].count(kind) for agent, kind in enumerate(world.kinds)]
    policies = [make_baseline("greedy", world.contract, kind, n) for kind, n in zip(world.kinds, numbers, strict=True)]
    air = np.random.default_rng(0)
    scenes, known = [scene_of(world)], [int((world.state.pallet_state[0] != ABSENT).sum())]
    for _ in range(ticks):
        seen = world.step(decide(world, policies, numbers, seen, air, 30.0, 0.0, False)[None]).observations
        scenes.append(scene_of(world))
        known.append(int((world.state.pallet_state[0] != ABSENT).sum()))
    return world, scenes, known


@pytest.fixture(scope="module")
def run_of_300() -> tuple[FastWarehouse, list[Scene], list[int]]:
    return played(300)


def test_every_pallet_is_shown_and_none_jumps(run_of_300: tuple[FastWarehouse, list[Scene], list[int]]) -> None:
    _, scenes, known = run_of_300
    assert [len(scene.pallets) for scene in scenes] == known
    carried, set_down = 0, 0
    for one, other in itertools.pairwise(scenes):
        for serial, pallet in one.pallets.items():
            later = other.pallets.get(serial)
            if later is None:
                continue
            moved = math.hypot(later.x - pallet.x, later.y - pallet.y)
            assert moved < 1.9, "a robot drives 1.4 m in a tick, and swings what it carries"
            if pallet.carrier < 0 and later.carrier < 0:
                assert moved == 0.0
            carried += pallet.carrier >= 0
            set_down += pallet.carrier >= 0 > later.carrier
    assert carried > 100 and set_down > 2


def test_a_way_begins_at_its_robot_and_ends_at_a_place(
    run_of_300: tuple[FastWarehouse, list[Scene], list[int]],
) -> None:
    _, scenes, _ = run_of_300
    ends = [scene.ways[robot] for scene in scenes for robot in range(4) if len(scene.ways[robot])]
    places = {(round(place.x, 3), round(place.y, 3)) for place in PLAN.places}
    assert len(ends) > 300
    assert all((round(way[-1, 0], 3), round(way[-1, 1], 3)) in places for way in ends)
    assert max(len(way) for way in ends) > 8  # along the route, not through the racks


def test_a_robot_that_cannot_work_is_said_to() -> None:
    world = make(1, stagger=False)
    world.reset(3)
    assert scene_of(world).doing[:4] == ("parked",) * 4
    world.robots.energy[0, 0] = 0.0
    world.robots.alive[0, :2] = False
    world.robots.charging[0, :3] = True
    assert scene_of(world).doing[:4] == ("battery empty", "out of order", "parked, charging", "parked")


def test_a_robot_that_is_not_there_is_not_drawn() -> None:
    world = make(1, stagger=False)
    world.reset(3)
    view = TopDown(PLAN, world.agents, SIZE, read_bodies(CONFIG / "bodies.yaml"))
    layout, before = Layout(PLAN, *SIZE), scene_of(world)
    x, y, yaw, _ = before.robots[3]
    behind = layout.in_picture(x - 0.58 * math.cos(yaw), y - 0.58 * math.sin(yaw))
    assert near(view.draw(before), behind, rgb(robot_colour(3)))
    world.robots.pose[0, 3] = np.nan
    scene = scene_of(world)
    assert scene.doing[3] == "not there"
    assert not near(view.draw(between(scene, scene, 0.5)), behind, rgb(robot_colour(3)))


def straight(time: float, x: float, yaw: float = 0.0, speed: float = 1.0, carrier: int = 0) -> Scene:
    pallets = {5: Pallet(x + 0.4 * math.cos(yaw), 2.0 + 0.4 * math.sin(yaw), yaw, 0, PASSED, carrier, False)}
    pose = np.array([[x, 2.0, yaw, speed]])
    return Scene(time, pose, np.array([0.1]), (np.zeros((0, 2)),), pallets, 0.4, np.zeros((0, 2)), ("",), {}, 0)


def test_between_ticks_a_straight_drive_is_straight_and_a_load_stays_on_its_forks() -> None:
    one, other = straight(4.0, 1.0), straight(5.0, 2.0)
    for share in (0.0, 0.25, 0.5, 1.0):
        middle = between(one, other, share)
        np.testing.assert_allclose(middle.robots[0], [1.0 + share, 2.0, 0.0, 1.0], atol=1e-12)
        assert middle.time == 4.0 + share
        assert middle.pallets[5].x == pytest.approx(1.4 + share)


def test_between_ticks_a_robot_turns_the_short_way_and_speeds_up_smoothly() -> None:
    one, other = straight(0.0, 1.0, yaw=3.0, speed=0.0), straight(1.0, 1.0, yaw=-3.0, speed=0.0)
    assert abs(between(one, other, 0.5).robots[0, 2]) == pytest.approx(math.pi)
    start = between(straight(0.0, 0.0, speed=0.0), straight(1.0, 0.5), 0.1).robots[0, 0]
    assert 0.0 < start < 0.1 * 0.5  # slower than a straight line between both


def test_the_picture_has_robots_and_pallets_where_they_are(
    run_of_300: tuple[FastWarehouse, list[Scene], list[int]],
) -> None:
    world, scenes, _ = run_of_300
    view = TopDown(PLAN, world.agents, SIZE, read_bodies(CONFIG / "bodies.yaml"))
    layout = Layout(PLAN, *SIZE)
    scene = scenes[150]
    frame = view.draw(scene)
    assert frame.shape == (640, 960, 3) and frame.dtype == np.uint8
    for robot, (x, y, yaw, _) in enumerate(scene.robots):
        at = layout.in_picture(x - 0.58 * math.cos(yaw), y - 0.58 * math.sin(yaw))  # behind the wedge
        assert near(frame, at, rgb(robot_colour(robot)))
    standing = [pallet for pallet in scene.pallets.values() if pallet.state == PASSED and pallet.carrier < 0]
    clear = [p for p in standing if all(math.hypot(p.x - x, p.y - y) > 1.5 for x, y, *_ in scene.robots)]
    assert len(clear) > 0.8 * len(standing)
    for pallet in clear:  # over the others a truck may stand
        assert near(frame, layout.in_picture(pallet.x - 0.18, pallet.y - 0.18), rgb(sku_colour(pallet.sku)))
    empty = next(
        p for p in PLAN.places if p.type == "slot" and all(abs(q.x - p.x) + abs(q.y - p.y) > 0.1 for q in standing)
    )
    assert not any(near(frame, layout.in_picture(empty.x, empty.y), rgb(sku_colour(sku)), 60) for sku in range(12))


def near(frame: np.ndarray, at: tuple[float, float], colour: tuple[int, int, int], within: int = 40) -> bool:
    """Whether a pixel around a point has about that colour."""
    x, y = round(at[0]), round(at[1])
    patch = frame[y - 2 : y + 3, x - 2 : x + 3].astype(int)
    return bool((np.abs(patch - np.array(colour)).max(axis=2) <= within).any())


def test_links_are_drawn_where_there_is_attention_only(
    run_of_300: tuple[FastWarehouse, list[Scene], list[int]],
) -> None:
    world, scenes, _ = run_of_300
    view = TopDown(PLAN, world.agents, SIZE, read_bodies(CONFIG / "bodies.yaml"), with_links=True)
    links = np.zeros((8, 8))
    silent = view.draw(scenes[0]._replace(links=links))
    np.testing.assert_array_equal(silent, view.draw(scenes[0]))
    links[4, 6] = 1.0  # an inventory agent listens to a station
    talking = view.draw(scenes[0]._replace(links=links)).astype(int)
    changed = np.argwhere((talking != silent).any(axis=2))
    layout = Layout(PLAN, *SIZE)
    ends = [layout.in_picture(*scenes[0].stands[agent - 4]) for agent in (4, 6)]
    assert len(changed) > 100
    left, right = sorted(end[0] for end in ends)
    assert changed[:, 1].min() >= left - 8 and changed[:, 1].max() <= right + 8
    most = talking[tuple(changed[np.abs(talking - silent).sum(2)[tuple(changed.T)].argmax()])]
    assert np.abs(most - np.array(LINK)).max() < 40


@pytest.mark.parametrize("size", [(961, 640), (320, 200), (9000, 640)])
def test_a_size_that_cannot_be_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="picture size: saw"):
        Layout(PLAN, *size)


def test_the_camera_of_a_scene_sees_what_that_of_the_bodies_sees() -> None:
    world = hall(("robot", 5.0, 5.0, 0.7), ("other", 12.0, 3.0, 2.0))
    world.add_pallet(1, 9.0, 5.0, 0.0, 3)
    run(world, 2.0, v=0.5, forks=0.15, robot="robot")
    wanted = world.camera(480, 320).astype(int)
    poses = np.array([world.pose(name)[:4] for name in world.robots])
    forks = np.array([world.fork_height(name) for name in world.robots])
    camera = SceneCamera(HALL, BODIES, world.robots, 480, 320)
    pallets = {1: ShownPallet(*world.pallet_pose(1), 3)}
    seen = camera.photograph(poses, forks, pallets).astype(int)
    assert share_changed(seen, wanted) < 0.0015
    shifted = camera.photograph(poses + np.array([0.3, 0.0, 0.0, 0.0]), forks, pallets).astype(int)
    assert share_changed(shifted, wanted) > 0.004
    camera.close()
    world.close()


def share_changed(one: np.ndarray, other: np.ndarray) -> float:
    return float((np.abs(one - other).max(axis=2) > 24).mean())
