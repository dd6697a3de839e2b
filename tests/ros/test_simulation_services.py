"""The standard simulation services, asked over DDS of a simulator that runs alone, paced, or with robots."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from geometry_msgs.msg import TwistStamped, Vector3
from nav_msgs.msg import Odometry
from sensor_msgs.msg import LaserScan
from simulation_interfaces import srv
from simulation_interfaces.msg import Bounds, EntityCategory, EntityFilters, EntityState, Result, SimulatorFeatures
from simulation_interfaces.msg import SimulationState as States
from tf2_msgs.msg import TFMessage

from parley_sim.robot_topics_node import TICK
from parley_sim.simulation_services_node import FEATURES
from tests.ros.test_sim_node import BEGIN, ROBOTS, Counterpart, Stage, forward, run_files, stage  # noqa: F401

PAGE = Path(__file__).parents[2] / "docs" / "SIMULATION.md"
BOX = "parley://box?length=0.4&width=0.4&height=1"
SERVICES = {
    "delete_entity": srv.DeleteEntity,
    "get_entities": srv.GetEntities,
    "get_entities_states": srv.GetEntitiesStates,
    "get_entity_state": srv.GetEntityState,
    "get_simulation_state": srv.GetSimulationState,
    "get_simulator_features": srv.GetSimulatorFeatures,
    "reset_simulation": srv.ResetSimulation,
    "set_entity_state": srv.SetEntityState,
    "set_simulation_state": srv.SetSimulationState,
    "spawn_entity": srv.SpawnEntity,
    "step_simulation": srv.StepSimulation,
}


class Asker:
    """Clients of all services beside a simulator's counterpart."""

    def __init__(self, world: Stage) -> None:
        self.world, self.other = world, world.start()
        self.clients = {name: self.other.create_client(kind, f"/{name}") for name, kind in SERVICES.items()}
        assert world.run_until(lambda: all(client.service_is_ready() for client in self.clients.values()))

    def ask(self, service: str, limit: float = 20.0, **fields: Any) -> Any:
        """Call and wait for the answer."""
        answer = self.clients[service].call_async(SERVICES[service].Request(**fields))
        assert self.world.run_until(answer.done, limit), f"{service} did not answer within {limit} s"
        return answer.result()

    def told(self, service: str, **fields: Any) -> tuple[int, str]:
        """Call; returns result and words."""
        result = self.ask(service, **fields).result
        return result.result, result.error_message

    def ok(self, service: str, **fields: Any) -> Any:
        """Call something that works."""
        answer = self.ask(service, **fields)
        assert answer.result.result == Result.RESULT_OK, answer.result.error_message
        return answer

    def set_state(self, state: int) -> tuple[int, str]:
        return self.told("set_simulation_state", state=States(state=state))

    @property
    def state(self) -> int:
        return self.ok("get_simulation_state").state.state

    def pause(self) -> None:
        """Pause, and wait until the last time told has arrived."""
        assert self.set_state(States.STATE_PAUSED)[0] == Result.RESULT_OK
        now = self.ok("get_entity_state", entity="forklift_1").state.header.stamp
        seconds = now.sec + 1e-9 * now.nanosec
        if seconds:
            assert self.world.run_until(lambda: self.other.clocks and abs(self.other.clocks[-1] - seconds) < 1e-6)

    def spawn(self, name: str, uri: str, x: float, y: float, **more: Any) -> Any:
        request = srv.SpawnEntity.Request(name=name, **more)
        getattr(request, "entity_resource", request).uri = uri
        request.initial_pose.pose.position.x, request.initial_pose.pose.position.y = x, y
        answer = self.clients["spawn_entity"].call_async(request)
        assert self.world.run_until(answer.done)
        return answer.result()

    def move(self, name: str, x: float, y: float, yaw: float = 0.0, v: float = 0.0) -> tuple[int, str]:
        state = EntityState()
        state.pose.position.x, state.pose.position.y = x, y
        state.pose.orientation.z, state.pose.orientation.w = math.sin(yaw / 2), math.cos(yaw / 2)
        state.twist.linear.x, state.twist.linear.y = v * math.cos(yaw), v * math.sin(yaw)
        fields: dict[str, Any] = {"entity": name, "state": state}
        if hasattr(srv.SetEntityState.Request, "set_pose"):
            fields |= {"set_pose": True, "set_twist": True}
        return self.told("set_entity_state", **fields)

    def position(self, name: str) -> tuple[float, float]:
        position = self.ok("get_entity_state", entity=name).state.pose.position
        return position.x, position.y


@pytest.fixture
def asker(stage):  # noqa: F811
    """Makes a simulator with clients; without a script nobody drives the robots, and time follows the wall clock."""

    def make(script=lambda robot, step: None, has_tasks: bool = False, **more: object) -> Asker:
        return Asker(stage(script, has_tasks, **{"link_limit": 0.2, **more}))

    return make


def test_features_are_told_and_say_what_is_missing(asker):
    features = asker().ask("get_simulator_features").features
    names = {name for name in FEATURES if getattr(SimulatorFeatures, name) in features.features}
    assert len(names) == len(features.features)
    assert {"SPAWNING", "DELETING", "ENTITY_STATE_SETTING", "STEP_SIMULATION_MULTIPLE"} <= names
    for name in ("SPAWNING_RESOURCE_STRING", "STEP_SIMULATION_ACTION", "WORLD_LOADING", "ENTITY_TAGS"):
        assert getattr(SimulatorFeatures, name) not in features.features
    assert "parley://pallet" in features.custom_info


def test_a_pallet_and_a_box_come_are_seen_are_moved_and_go(asker):
    world = asker()
    assert world.spawn("crate", BOX + "&mass=10", 12.0, 7.0).entity_name == "crate"
    made = world.spawn("", "parley://pallet", 14.0, 7.0, allow_renaming=True)
    assert (made.result.result, made.entity_name) == (Result.RESULT_OK, "spawned_pallet_1")
    listed = world.ok("get_entities_states")
    assert listed.entities == [*ROBOTS, "crate", "spawned_pallet_1"]
    at = [(state.pose.position.x, state.pose.position.y) for state in listed.states]
    assert at[2:] == [pytest.approx((12.0, 7.0), abs=1e-3), pytest.approx((14.0, 7.0), abs=1e-3)]
    assert {state.header.frame_id for state in listed.states} == {"map"}
    assert world.move("spawned_pallet_1", 16.0, 3.0, 0.5) == (Result.RESULT_OK, "")
    assert world.position("spawned_pallet_1") == pytest.approx((16.0, 3.0), abs=1e-3)
    for name in ("crate", "spawned_pallet_1"):
        world.ok("delete_entity", entity=name)
    assert world.ok("get_entities").entities == list(ROBOTS)


def test_an_amr_has_topics_of_its_own_drives_as_told_and_leaves_none(asker):
    world = asker()
    poses, scans, frames = [], [], set()
    world.other.create_subscription(Odometry, "/walker/odom", poses.append, TICK)
    world.other.create_subscription(LaserScan, "/walker/scan", scans.append, TICK)
    hear = lambda message: frames.update(each.child_frame_id for each in message.transforms)  # noqa: E731
    world.other.create_subscription(TFMessage, "/tf", hear, TICK)
    drive = world.other.create_publisher(TwistStamped, "/walker/cmd_vel", TICK)
    assert drive.get_subscription_count() == 0
    assert world.spawn("walker", "parley://amr", 12.0, 7.0).result.result == Result.RESULT_OK
    assert world.world.run_until(lambda: drive.get_subscription_count() > 0 and len(poses) > 2 and scans)
    assert poses[-1].pose.pose.position.x == pytest.approx(12.0, abs=0.01), "nobody has told it to drive"
    assert len(scans[-1].ranges) == round(2 * math.pi / scans[-1].angle_increment)
    seen = scans[-1].ranges[0]
    assert seen == pytest.approx(19.9 - 12.0, abs=0.1), "the wall in the east"
    wanted = TwistStamped()
    wanted.twist.linear.x = 0.5

    def has_driven() -> bool:
        drive.publish(wanted)
        return poses[-1].pose.pose.position.x > 13.0

    assert world.world.run_until(has_driven, 20.0)
    assert poses[-1].twist.twist.linear.x == pytest.approx(0.5, abs=0.05)
    assert abs(poses[-1].pose.pose.position.y - 7.0) < 0.05
    assert "walker/base_link" in frames
    assert world.ok("get_entities").entities == [*ROBOTS, "walker"]
    world.ok("delete_entity", entity="walker")
    assert world.world.run_until(lambda: drive.get_subscription_count() == 0)
    assert world.other.count_publishers("/walker/odom") == world.other.count_publishers("/walker/scan") == 0


def test_filters_narrow_the_list(asker):
    world = asker()
    world.spawn("pillar", BOX, 12.0, 7.0)
    ball = Bounds(type=Bounds.TYPE_SPHERE, points=[Vector3(x=12.5, y=7.0, z=0.5), Vector3(x=0.4)])
    room = Bounds(type=Bounds.TYPE_BOX, points=[Vector3(x=6.0, y=5.0, z=2.0), Vector3(x=1.0, y=1.0, z=-1.0)])
    robots = [EntityCategory(category=EntityCategory.CATEGORY_ROBOT)]
    for filters, names in (
        (EntityFilters(filter="_2$"), ["forklift_2"]),
        (EntityFilters(categories=robots), list(ROBOTS)),
        (EntityFilters(categories=robots, filter="pillar"), []),
        (EntityFilters(bounds=ball), ["pillar"]),
        (EntityFilters(bounds=room), ["forklift_1"]),
    ):
        assert world.ok("get_entities", filters=filters).entities == names
    refused = EntityFilters()
    refused.tags.tags = ["red"]
    assert world.told("get_entities", filters=refused)[0] == Result.RESULT_FEATURE_UNSUPPORTED
    refused = EntityFilters(bounds=Bounds(type=Bounds.TYPE_CONVEX_HULL))
    assert world.told("get_entities", filters=refused)[0] == Result.RESULT_FEATURE_UNSUPPORTED


@pytest.mark.parametrize("clock", ["lockstep", "paced"])
def test_alone_or_paced_steps_are_counted_off_while_time_is_held(asker, clock):
    world = asker(clock=clock, real_time_factor=4.0)
    assert world.world.run_until(lambda: len(world.other.clocks) > 3)
    assert world.state == States.STATE_PLAYING
    world.pause()
    held = list(world.other.clocks)
    assert not world.world.run_until(lambda: len(world.other.clocks) > len(held), limit=0.5)
    begun = time.monotonic()
    world.ok("step_simulation", steps=7)
    assert time.monotonic() - begun > 6 * 0.1 / 4.0
    assert world.world.run_until(lambda: len(world.other.clocks) >= len(held) + 7)
    assert world.other.clocks[-1] - held[-1] == pytest.approx(0.7)
    assert not world.world.run_until(lambda: len(world.other.clocks) > len(held) + 7, limit=0.5)
    assert world.state == States.STATE_PAUSED
    assert world.set_state(States.STATE_PLAYING)[0] == Result.RESULT_OK
    assert world.world.run_until(lambda: len(world.other.clocks) > len(held) + 9)


def test_in_lockstep_steps_wait_for_the_robots_and_pausing_costs_nobody_his_place(asker):
    world = asker(forward, True, link_limit=5.0)
    assert world.world.run_until(lambda: len(world.other.clocks) > 10)
    world.pause()
    held = len(world.other.clocks)
    assert not world.world.run_until(lambda: len(world.other.clocks) > held, limit=1.0)  # > step_limit
    world.ok("step_simulation", steps=25)
    assert world.world.run_until(lambda: len(world.other.clocks) >= held + 25)
    assert world.other.clocks == pytest.approx([0.1 * step for step in range(held + 25)])
    assert world.other.poses["forklift_1"][-1][3] == pytest.approx(0.5, abs=0.05), "its commands still count"
    assert world.world.sim._missed == 0


def test_steps_are_refused_while_playing_and_answered_for_when_they_are_given_up(asker):
    world = asker()
    result, words = world.told("step_simulation", steps=1)
    assert result == Result.RESULT_OPERATION_FAILED
    assert "pause it first" in words
    world.pause()
    assert world.told("step_simulation", steps=0)[0] == Result.RESULT_OK
    many = world.clients["step_simulation"].call_async(srv.StepSimulation.Request(steps=1000))
    begun = len(world.other.clocks)
    assert world.world.run_until(lambda: len(world.other.clocks) > begun)
    assert world.state == States.STATE_PLAYING
    assert "still to come" in world.told("step_simulation", steps=1)[1]
    assert world.set_state(States.STATE_PAUSED)[0] == Result.RESULT_OK
    assert world.world.run_until(many.done)
    assert many.result().result.result == Result.RESULT_OPERATION_FAILED
    assert "of 1000 steps were taken" in many.result().result.error_message


def test_a_run_that_ends_says_how_many_steps_there_were(asker):
    world = asker(minutes=0.05, real_time_factor=50.0)
    world.pause()
    result, words = world.told("step_simulation", steps=100)
    assert result == Result.RESULT_OPERATION_FAILED
    assert "of 100 steps were taken: the run is over" in words
    assert world.other.clocks[-1] == pytest.approx(3.0)
    assert world.state == States.STATE_PAUSED
    failed = srv.SetSimulationState.Response.STATE_TRANSITION_ERROR
    assert world.set_state(States.STATE_PLAYING) == (failed, "the run is over after 0.05 simulated minutes")


def test_a_robot_is_put_elsewhere_and_its_odometry_follows(asker):
    world = asker()
    world.pause()
    assert world.move("forklift_1", 12.0, 7.0, 0.8) == (Result.RESULT_OK, "")
    assert world.position("forklift_1") == pytest.approx((12.0, 7.0))
    world.ok("step_simulation", steps=3)
    assert world.world.run_until(lambda: world.other.poses["forklift_1"][-1][0] > 11.0)
    assert world.other.poses["forklift_1"][-1] == pytest.approx((12.0, 7.0, 0.8, 0.0), abs=0.01)


def test_what_cannot_be_is_refused_with_the_standards_results(asker):
    world = asker()
    spawned, moved = srv.SpawnEntity.Response, srv.SetEntityState.Response
    invalid_pose = getattr(moved, "INVALID_POSE", Result.RESULT_OPERATION_FAILED)
    for seen, result, words in (
        (world.told("get_entity_state", entity="nobody"), Result.RESULT_NOT_FOUND, "nobody"),
        (world.told("delete_entity", entity="forklift_1"), Result.RESULT_OPERATION_FAILED, "robot of the fleet"),
        (world.move("forklift_1", math.nan, 7.0), invalid_pose, "finite"),
        (world.move("forklift_1", 40.0, 7.0), invalid_pose, "floor"),
        (world.move("forklift_1", BEGIN, 7.0), Result.RESULT_OPERATION_FAILED, "forklift_2 stands there"),
        (world.move("forklift_1", 12.0, 7.0, v=20.0), Result.RESULT_OPERATION_FAILED, "at most"),
    ):
        assert seen[0] == result, seen
        assert words in seen[1]
    for uri, name, result in (
        ("", "a", spawned.NO_RESOURCE),
        ("file:///a.sdf", "a", spawned.UNSUPPORTED_FORMAT),
        ("parley://box?length=much", "a", spawned.RESOURCE_PARSE_ERROR),
        ("parley://box", "", spawned.NAME_INVALID),
        ("parley://box", "forklift_1", spawned.NAME_NOT_UNIQUE),
    ):
        assert world.spawn(name, uri, 12.0, 7.0).result.result == result
    assert world.spawn("a", "parley://box", 40.0, 7.0).result.result == spawned.INVALID_POSE
    changed = srv.SetSimulationState.Response
    assert world.set_state(States.STATE_PLAYING)[0] == changed.ALREADY_IN_TARGET_STATE
    assert world.set_state(States.STATE_QUITTING)[0] == Result.RESULT_FEATURE_UNSUPPORTED
    assert world.told("reset_simulation", scope=8)[0] == Result.RESULT_FEATURE_UNSUPPORTED
    assert world.position("forklift_1") == pytest.approx((BEGIN, 3.0), abs=1e-3)


def test_alone_all_can_be_reset_and_the_same_happens_again(asker):
    world = asker(real_time_factor=20.0)
    world.spawn("pillar", BOX, 12.0, 7.0)
    assert world.world.run_until(lambda: len(world.other.clocks) > 5)
    world.move("forklift_1", 14.0, 7.0)
    assert world.set_state(States.STATE_STOPPED)[0] == Result.RESULT_OK
    assert world.state == States.STATE_STOPPED
    assert world.ok("get_entities").entities == list(ROBOTS)
    assert world.position("forklift_1") == pytest.approx((BEGIN, 3.0), abs=1e-3)
    assert world.world.run_until(lambda: world.other.clocks[-1] == 0.0)
    world.ok("step_simulation", steps=3)
    assert world.world.run_until(lambda: world.other.clocks[-3:] == pytest.approx([0.1, 0.2, 0.3]))


def test_one_respect_can_be_reset_without_the_others(asker):
    world = asker(real_time_factor=20.0)
    assert world.world.run_until(lambda: len(world.other.clocks) > 5)
    world.pause()
    scopes = srv.ResetSimulation.Request
    world.spawn("pillar", BOX, 12.0, 7.0)
    world.move("forklift_1", 14.0, 7.0)
    world.move("pillar", 16.0, 7.0)
    now = world.other.clocks[-1]
    world.ok("reset_simulation", scope=scopes.SCOPE_STATE)
    assert world.position("forklift_1") == pytest.approx((BEGIN, 3.0), abs=1e-3)
    assert world.position("pillar") == pytest.approx((12.0, 7.0))
    assert world.other.clocks[-1] == now
    world.ok("reset_simulation", scope=scopes.SCOPE_SPAWNED)
    assert world.ok("get_entities").entities == list(ROBOTS)
    world.ok("reset_simulation", scope=scopes.SCOPE_TIME)
    assert world.world.run_until(lambda: world.other.clocks[-1] == 0.0)


def test_a_fleet_that_remembers_is_not_reset_under_its_feet(asker):
    world = asker(forward, True, link_limit=5.0)
    assert world.world.run_until(lambda: len(world.other.clocks) > 10)
    for scope in (0, srv.ResetSimulation.Request.SCOPE_TIME, srv.ResetSimulation.Request.SCOPE_STATE):
        result, words = world.told("reset_simulation", scope=scope)
        assert result == Result.RESULT_INCORRECT_STATE
        assert "ledger" in words
    assert world.set_state(States.STATE_STOPPED)[0] == srv.SetSimulationState.Response.STATE_TRANSITION_ERROR
    world.spawn("pillar", BOX, 18.0, 8.0)
    world.ok("reset_simulation", scope=srv.ResetSimulation.Request.SCOPE_SPAWNED)
    clocks = world.other.clocks
    assert clocks == pytest.approx([0.1 * step for step in range(len(clocks))])
    assert world.world.run_until(lambda: len(clocks) > 40)


def test_a_node_that_is_not_active_can_be_asked_but_not_run(asker):
    world = asker()
    world.world.sim.trigger_deactivate()
    assert world.state == States.STATE_PAUSED
    result, words = world.set_state(States.STATE_PLAYING)
    assert result == srv.SetSimulationState.Response.STATE_TRANSITION_ERROR
    assert "not active" in words
    assert world.told("step_simulation", steps=1)[0] == Result.RESULT_OPERATION_FAILED


def test_the_example_of_the_page_does_what_it_says(asker):
    world = asker()
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert world.world.run_until(lambda: len(world.other.clocks) > 2)
    with subprocess.Popen([sys.executable, "-c", example], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asking:
        ended = world.world.run_until(lambda: asking.poll() is not None, limit=90.0)
        if not ended:
            asking.kill()
        said = asking.communicate(timeout=10.0)[0].decode()
    assert asking.returncode == 0, said
    assert said.count(f"result={Result.RESULT_OK}") == 3, said
    assert world.position("crate") == pytest.approx((12.0, 7.0), abs=1e-3)


def test_every_service_of_the_page_is_offered_and_the_other_way_round():
    named = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for cell in named for name in re.findall(r"`(\w+)`", cell)) == sorted(SERVICES)


def test_a_reset_that_the_files_do_not_allow_any_more_is_refused_and_changes_nothing(asker, run_files):  # noqa: F811
    one = asker(real_time_factor=20.0)
    assert one.world.run_until(lambda: len(one.other.clocks) > 5)
    assert one.spawn("crate", BOX, 12.0, 3.0).result.result == Result.RESULT_OK
    plan = run_files["floorplan"].read_text(encoding="utf-8")
    run_files["floorplan"].write_text("name: nothing\n", encoding="utf-8")
    result, words = one.told("reset_simulation")
    assert result == Result.RESULT_OPERATION_FAILED and "build no world any more" in words
    assert one.position("crate") == pytest.approx((12.0, 3.0), abs=0.01)
    run_files["floorplan"].write_text(plan, encoding="utf-8")
    one.ok("reset_simulation")
    assert one.told("get_entity_state", entity="crate")[0] == Result.RESULT_NOT_FOUND
