"""The simulator node over real DDS, against robots and a task server that follow a script."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import BatteryState, JointState, LaserScan
from tf2_msgs.msg import TFMessage

from parley_msgs.msg import ForkCommand, JobBoard, Kpis, Pallet, PalletList, RobotStates
from parley_sim.robot_topics_node import TICK
from parley_sim.sim_node import WarehouseSim
from sim.warehouse.floorplan import PLACE_TYPES, Box, FloorPlan, Place
from sim.warehouse.settings import read_warehouse

CONFIG = Path(__file__).parents[2] / "config"
BEGIN = 3.0 - read_warehouse(CONFIG / "warehouse.yaml").motion.dock_reach  # m, x of a robot parked before x = 3
ROBOTS = ("forklift_1", "forklift_2")
Script = Callable[[str, int], tuple[float, float, float] | None]  # robot, step -> v, w, forks; None: say nothing


@pytest.fixture
def run_files(tmp_path):
    """A hall with two parked robots, as files; returns ROS arguments without those of one test."""
    parking = [Place(name=f"park_{n}", type="parking", x=3, y=3 + 4 * n, yaw=0.0) for n in range(2)]
    others = [Place(name=kind, type=kind, x=9 + n, y=5.0, yaw=0.0) for n, kind in enumerate(PLACE_TYPES[:-1])]
    walls = (
        Box(kind="wall", x=10, y=0, length=20.2, width=0.2, height=2.5),
        Box(kind="wall", x=20, y=5, length=0.2, width=10.2, height=2.5),
    )
    FloorPlan(name="hall", size=(20, 10), boxes=walls, places=(*others, *parking)).write(tmp_path / "hall.yaml")
    agents = "".join(f"  - {{name: {name}, kind: forklift, host: {name}}}\n" for name in ROBOTS)
    (tmp_path / "fleet.yaml").write_text(f"name: pair\nagents:\n{agents}", encoding="utf-8")
    return {
        "floorplan": tmp_path / "hall.yaml",
        "fleet": tmp_path / "fleet.yaml",
        "warehouse": CONFIG / "warehouse.yaml",
        "contract": CONFIG / "contract.yaml",
        "camera_period": 0.0,
        "step_limit": 0.3,
        "tick_limit": 0.6,
        "link_limit": 2.0,
    }


class Counterpart(Node):
    """Robots and task server of a script; notes whatever the simulator says."""

    def __init__(self, context: rclpy.Context, script: Script, has_tasks: bool = True) -> None:
        super().__init__("counterpart", context=context)
        self.script, self.has_tasks = script, has_tasks
        self.clocks: list[float] = []
        self.poses: dict[str, list[tuple[float, ...]]] = {name: [] for name in ROBOTS}
        self.scans: dict[str, LaserScan] = {}
        self.joints: dict[str, JointState] = {}
        self.batteries: dict[str, list[BatteryState]] = {name: [] for name in ROBOTS}
        self.states, self.contacts, self.transforms = RobotStates(), Kpis(), TFMessage()
        self.static, self.diagnostics = TFMessage(), list[DiagnosticArray]()
        self.pallets: list[Pallet] = []
        self.ahead = 0.0  # s added to the stamps of commands
        self.drive_out = {n: self.create_publisher(TwistStamped, f"/{n}/cmd_vel", TICK) for n in ROBOTS}
        self.forks_out = {n: self.create_publisher(ForkCommand, f"/{n}/fork_command", TICK) for n in ROBOTS}
        self.board_out = self.create_publisher(JobBoard, "/tasks/jobs", TICK)
        self.pallets_out = self.create_publisher(PalletList, "/tasks/pallets", TICK)
        self.create_subscription(Clock, "/clock", self.hear_clock, TICK)
        self.create_subscription(RobotStates, "/fleet/robots", lambda m: setattr(self, "states", m), TICK)
        self.create_subscription(Kpis, "/sim/contacts", lambda m: setattr(self, "contacts", m), TICK)
        self.create_subscription(TFMessage, "/tf", lambda m: setattr(self, "transforms", m), TICK)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(TFMessage, "/tf_static", lambda m: setattr(self, "static", m), latched)
        for name in ROBOTS:
            self.create_subscription(Odometry, f"/{name}/odom", lambda m, n=name: self.hear_odom(n, m), TICK)
            self.create_subscription(LaserScan, f"/{name}/scan", lambda m, n=name: self.scans.update({n: m}), TICK)
            hear_joints = lambda m, n=name: self.joints.update({n: m})  # noqa: E731
            self.create_subscription(JointState, f"/{name}/joint_states", hear_joints, TICK)
            hear_battery = lambda m, n=name: self.batteries[n].append(m)  # noqa: E731
            self.create_subscription(BatteryState, f"/{name}/battery_state", hear_battery, TICK)

    def hear_clock(self, message: Clock) -> None:
        now = message.clock.sec + 1e-9 * message.clock.nanosec
        self.clocks.append(now)
        step = round(now / 0.1)
        if self.has_tasks and step % 10 == 0:
            ledger = PalletList(tick=step // 10, pallets=self.pallets)
            self.pallets_out.publish(ledger)
            self.board_out.publish(JobBoard(tick=step // 10, resolved=True))

    def hear_odom(self, name: str, odom: Odometry) -> None:
        position, turn = odom.pose.pose.position, odom.pose.pose.orientation
        twist = odom.twist.twist
        self.poses[name].append((position.x, position.y, 2 * math.atan2(turn.z, turn.w), twist.linear.x))
        step = round((odom.header.stamp.sec + 1e-9 * odom.header.stamp.nanosec) / 0.1)
        command = self.script(name, step)
        if command is not None:
            self.say(name, odom.header.stamp, *command)

    def say(self, name: str, stamp: object, v: float, w: float, height: float) -> None:
        forks, drive = ForkCommand(height=height), TwistStamped()
        forks.header.stamp = drive.header.stamp = stamp
        drive.twist.linear.x, drive.twist.angular.z = v, w
        self.forks_out[name].publish(forks)
        self.drive_out[name].publish(drive)


class Stage:
    """A simulator and its counterpart on a context of their own."""

    def __init__(self, files: dict[str, object], script: Script, has_tasks: bool = True, **more: object) -> None:
        self.context = rclpy.Context()
        arguments = [text for key, value in {**files, **more}.items() for text in ("-p", f"{key}:={value}")]
        rclpy.init(args=["--ros-args", *arguments], context=self.context)
        self.sim = WarehouseSim(context=self.context)
        self.other = Counterpart(self.context, script, has_tasks)
        # One executor for the whole test: another one would lose the events that wait in the first.
        self.executor = EventsExecutor(context=self.context)
        self.executor.add_node(self.sim)
        self.executor.add_node(self.other)

    def start(self) -> Counterpart:
        assert self.sim.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.sim.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return self.other

    def run_until(self, until: Callable[[], bool], limit: float = 20.0) -> bool:
        """Serve both nodes until `until` holds; looks at it between callbacks, for they leave no pause to wait in."""
        stop, end = rclpy.Future(), time.monotonic() + limit

        def look() -> None:
            if until() or time.monotonic() > end:
                stop.set_result(None)
                self.executor.wake()

        timer = self.other.create_timer(0.005, look, clock=RosClock(clock_type=ClockType.STEADY_TIME))
        self.executor.spin_until_future_complete(stop, timeout_sec=limit + 1.0)
        self.other.destroy_timer(timer)
        return until()

    def close(self) -> None:
        if not self.context.ok():
            return
        self.sim.trigger_shutdown()
        self.executor.shutdown()
        self.sim.destroy_node()
        self.other.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def stage(run_files):
    """Makes stages and closes them after the test."""
    made: list[Stage] = []

    def make(script: Script, has_tasks: bool = True, **more: object) -> Stage:
        made.append(Stage(run_files, script, has_tasks, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def forward(robot: str, step: int) -> tuple[float, float, float]:
    return 0.5, 0.0, 0.1


def test_time_advances_with_the_answers_and_robots_do_as_told(stage):
    world = stage(lambda robot, step: (0.5, 0.0, 0.1) if robot == "forklift_1" else (0.0, 0.5, 0.0), minutes=0.1)
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 60)
    assert other.clocks == pytest.approx([0.1 * step for step in range(61)])
    driver, turner = other.poses["forklift_1"][-1], other.poses["forklift_2"][-1]
    assert driver[:2] == pytest.approx((BEGIN + 0.5 * 5.8, 3.0), abs=0.1)
    assert turner == pytest.approx((BEGIN, 7.0, 2.9, 0.0), abs=0.1)
    assert other.joints["forklift_1"].name[-1] == "fork_joint"
    assert other.joints["forklift_1"].position[-1] == pytest.approx(0.1, abs=0.005)
    states = {state.name: state for state in other.states.robots}
    assert states["forklift_1"].speed == pytest.approx(0.5, abs=0.03)
    scan = other.scans["forklift_1"]
    assert scan.header.frame_id == "forklift_1/laser"
    straight_right = round((-math.pi / 2 % math.tau) / scan.angle_increment)
    assert scan.ranges[straight_right] == pytest.approx(driver[1] - 0.1, abs=0.1)
    frames = {(t.header.frame_id, t.child_frame_id) for t in other.transforms.transforms}
    assert frames == {(f"{name}/odom", f"{name}/base_link") for name in ROBOTS}
    static = {(t.header.frame_id, t.child_frame_id) for t in other.static.transforms}
    assert static == {("map", f"{n}/odom") for n in ROBOTS} | {(f"{n}/base_link", f"{n}/laser") for n in ROBOTS}


def test_the_run_ends_at_its_last_minute_and_the_node_lives_on(stage):
    world = stage(forward, minutes=0.05)
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 30)
    assert not world.run_until(lambda: len(other.clocks) > 31, limit=1.5)
    assert other.clocks[-1] == pytest.approx(3.0)
    over = [array.status[0] for array in other.diagnostics if array.status[0].message == "run is over"]
    assert over
    assert {"real_time_factor", "physics_ms", "waiting_ms"} <= {value.key for value in over[-1].values}


def test_a_silent_robot_is_dropped_stands_still_and_comes_back(stage):
    silence = range(20, 40)
    world = stage(lambda robot, step: None if robot == "forklift_2" and step in silence else forward(robot, step))
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 39)
    speeds = [pose[3] for pose in other.poses["forklift_2"]]
    assert speeds[20] == pytest.approx(0.5, abs=0.05)
    assert speeds[38] == pytest.approx(0.0, abs=0.02)
    assert other.poses["forklift_1"][38][3] == pytest.approx(0.5, abs=0.05)
    assert world.run_until(lambda: len(other.clocks) > 60)
    assert other.poses["forklift_2"][60][3] == pytest.approx(0.5, abs=0.05)


def test_a_silent_task_server_is_waited_for_once(stage):
    world = stage(forward, has_tasks=False)
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 100, limit=5.0)


def test_the_same_commands_give_the_same_poses(stage):
    def wander(robot: str, step: int) -> tuple[float, float, float]:
        return 0.6 * math.sin(0.1 * step + len(robot)), 0.8 * math.cos(0.07 * step), 0.15 if step > 20 else 0.03

    runs = []
    for _ in range(2):
        world = stage(wander)
        other = world.start()
        other.pallets = [Pallet(id=1, sku=3, place=0, carrier="")]
        assert world.run_until(lambda other=other: len(other.clocks) > 80)
        runs.append({name: poses[:80] for name, poses in other.poses.items()})
        world.close()
    assert runs[0] == runs[1]


def test_pallets_follow_the_ledger_and_contacts_are_counted(stage):
    world = stage(lambda robot, step: (0.8, 0.0, 0.03) if robot == "forklift_1" else (0.0, 0.0, 0.0))
    other = world.start()
    other.pallets = [Pallet(id=number, sku=number, place=number, carrier="") for number in range(3)]
    other.pallets.append(Pallet(id=9, sku=9, place=-1, carrier="forklift_2"))
    assert world.run_until(lambda: len(other.clocks) > 15)
    bodies = world.sim._setup.world
    assert sorted(bodies.pallets) == [0, 1, 2, 9]
    assert bodies.pallet_pose(2)[:2] == pytest.approx((11.0, 5.0), abs=0.01)
    assert bodies.pallet_pose(9)[:2] == pytest.approx((3.0, 7.0), abs=0.02)
    other.pallets = other.pallets[:2]
    assert world.run_until(lambda: max(counted(other).values(), default=0.0) > 0, limit=40.0)
    assert sorted(bodies.pallets) == [0, 1]
    assert counted(other) == {"forklift_1": 1.0, "forklift_2": 0.0, "near_misses": 0.0}


def test_a_battery_is_filled_at_the_charger_and_emptied_by_work(stage):
    world = stage(
        lambda robot, step: (-0.4 if step < 30 else 0.4, 0.0, 0.03) if robot == "forklift_1" else (0, 0, 0.03)
    )
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 60)
    gone, parked = ([battery.percentage for battery in other.batteries[name]] for name in ROBOTS[:2])
    assert all(0.5 <= shares[0] <= 1.0 for shares in (gone, parked))
    assert gone[50] < gone[10] and parked[50] > parked[10]
    status = [other.batteries[name][40].power_supply_status for name in ROBOTS[:2]]
    assert status == [BatteryState.POWER_SUPPLY_STATUS_DISCHARGING, BatteryState.POWER_SUPPLY_STATUS_CHARGING]
    odom = round(other.clocks[40] / 0.1)
    stamp = other.batteries[ROBOTS[0]][40].header.stamp
    assert round((stamp.sec + 1e-9 * stamp.nanosec) / 0.1) == odom
    told = dict(zip(other.contacts.names, other.contacts.values, strict=True))
    assert told["energy_wh"] > 0 and told["charging_s"] == pytest.approx(len(other.clocks) * 0.1, abs=1.5)
    assert told["flat_s"] == 0.0


def test_a_robot_with_an_empty_battery_stays_where_it_is_whatever_it_is_told(stage):
    world = stage(lambda robot, step: (-0.4, 0.0, 0.1))
    other = world.start()
    batteries = world.sim._setup.batteries
    batteries.energy[0] = 0.0
    batteries._homes[0] = batteries._homes[1]  # no charger here
    assert world.run_until(lambda: len(other.clocks) > 25)
    start, now = other.poses["forklift_1"][0], other.poses["forklift_1"][-1]
    assert math.dist(start[:2], now[:2]) < 0.01
    start, now = other.poses["forklift_2"][0], other.poses["forklift_2"][-1]
    assert math.dist(start[:2], now[:2]) > 0.3, "negative control"
    assert other.batteries["forklift_1"][-1].percentage == 0.0


def test_two_robots_that_meet_have_each_begun_a_near_miss_and_then_a_contact(stage):
    def meet(robot: str, step: int) -> tuple[float, float, float]:
        side = 1.0 if robot == "forklift_1" else -1.0  # turn towards each other on the spot, then drive
        return (0.0, side * math.pi / 4, 0.1) if step < 20 else (0.3, 0.0, 0.1)

    world = stage(meet)
    other = world.start()
    assert world.run_until(lambda: counted(other).get("near_misses"), limit=40.0)
    assert counted(other) == {"forklift_1": 0.0, "forklift_2": 0.0, "near_misses": 2.0}
    assert world.run_until(lambda: counted(other)["forklift_1"] and counted(other)["forklift_2"], limit=40.0)
    assert counted(other) == {"forklift_1": 1.0, "forklift_2": 1.0, "near_misses": 2.0}


def counted(other: Counterpart) -> dict[str, float]:
    """Contacts and near misses."""
    told = dict(zip(other.contacts.names, other.contacts.values, strict=True))
    return {name: value for name, value in told.items() if name in (*ROBOTS, "near_misses")}


def test_without_agents_the_world_follows_the_wall_clock_and_a_person_can_drive(stage):
    world = stage(lambda robot, step: None, has_tasks=False, link_limit=0.2)
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 3)
    begun = len(other.clocks)
    assert not world.run_until(lambda: False, limit=2.0)
    assert len(other.clocks) - begun == pytest.approx(20, abs=4)
    unstamped = TwistStamped()
    unstamped.twist.linear.x = 0.5
    other.create_timer(0.1, lambda: other.drive_out["forklift_1"].publish(unstamped))
    assert world.run_until(lambda: other.poses["forklift_1"][-1][0] > 3.5, limit=10.0)


def test_paced_time_runs_at_the_asked_speed_with_or_without_answers(stage):
    world = stage(forward, clock="paced", real_time_factor=4.0)
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 2)
    begun = len(other.clocks)
    assert not world.run_until(lambda: False, limit=2.0)
    assert len(other.clocks) - begun == pytest.approx(80, abs=16)
    assert other.poses["forklift_1"][-1][3] == pytest.approx(0.5, abs=0.05)


def test_a_film_is_written(stage, tmp_path):
    import imageio.v3 as imageio

    world = stage(forward, camera_period=0.5, camera_width=160, camera_height=96, run_dir=tmp_path)
    other = world.start()
    assert world.run_until(lambda: len(other.clocks) > 30)
    world.close()
    frames = imageio.imread(tmp_path / "fleet.mp4")
    assert frames.shape == (7, 96, 160, 3)
    assert frames.std() > 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"floorplan": "/nowhere.yaml"}, "no such file"),
        ({"bodies": str(CONFIG / "contract.yaml")}, "setting(s) refused"),
    ],
)
def test_bad_files_are_refused_in_words(stage, change, words):
    world = stage(forward, **change)
    assert world.sim.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert world.run_until(lambda: any(words in a.status[0].message for a in world.other.diagnostics), limit=5.0)


def test_more_robots_than_parking_places_are_refused(stage, run_files):
    plan = (
        run_files["floorplan"]
        .read_text(encoding="utf-8")
        .replace("name: park_1\n  type: parking", "name: park_1\n  type: slot")
    )
    run_files["floorplan"].write_text(plan, encoding="utf-8")
    world = stage(forward)
    assert world.sim.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert world.run_until(lambda: any("parking" in a.status[0].message for a in world.other.diagnostics), limit=5.0)
