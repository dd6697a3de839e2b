"""The state of a robot's move skill: a row of numbers that `motion.move` updates in place, ten times a second."""

from __future__ import annotations

import math

import numpy as np

from sim.warehouse.compiled import allocating, kernel
from sim.warehouse.routes import Tables
from sim.warehouse.settings import MotionNumbers

# Phases, in the order of a job.
(
    IDLE,
    TO_PICK,
    ALIGN_PICK,
    ENTER_PICK,
    LIFT,
    LEAVE_PICK,
    TO_DROP,
    ALIGN_DROP,
    ENTER_DROP,
    LOWER,
    LEAVE_DROP,
    TO_HOME,
    ALIGN_HOME,
    ENTER_HOME,
    PARKED,
    LEAVE_HOME,
) = range(16)

# Columns of a skill row; places, nodes and robots are indices kept as floats, -1 for none.
PHASE, NODE, HERE, PICK_PLACE, DROP_PLACE, HOME, HOLD_UNTIL, BLOCKED, BLOCKER, BLOCKED_TOTAL, TRAVELLED = range(11)
DETOUR, SPEED = 11, 12  # node to pass before the route is taken up again; last commanded speed
BACKING = 13  # metres still to back off; negative: to creep ahead
LET_PASS, WAIT_UNTIL = 14, 15  # robot that shall pass first, and how long it is waited for (s)
RESTING = 16  # 1: has chosen to charge; claims nothing until the battery holds enough (sim/warehouse/battery.py)
MET, MET_X, MET_Y = 17, 18, 19  # robot of the last stand-off, and where it stood (m, map)
STALLED, STALLED_X, STALLED_Y, STALLED_YAW = 20, 21, 22, 23  # s that commands have moved nothing, and where (m, rad)
WORK_V, WORK_W, WORK_UNTIL = 24, 25, 26  # m/s, rad/s, s; the arc of sim/warehouse/work_free.py, 0: none
SKILL_SIZE = 27


@allocating
def new_skill(home: int, pose: np.ndarray, tables: Tables) -> np.ndarray:
    """A robot that stands parked at its home place."""
    skill = np.zeros(SKILL_SIZE)
    skill[PHASE] = PARKED
    skill[HOME] = home
    skill[PICK_PLACE] = skill[DROP_PLACE] = skill[BLOCKER] = skill[DETOUR] = skill[LET_PASS] = skill[MET] = -1
    skill[HERE] = skill[NODE] = nearest_node(pose, tables)
    return skill


@allocating
def parked_pose(home: int, tables: Tables, numbers: MotionNumbers) -> np.ndarray:
    """Pose [4] of a robot that stands parked, its forks over its parking place."""
    yaw = tables.place_yaw[home]
    x = tables.place_x[home] - numbers.dock_reach * math.cos(yaw)
    y = tables.place_y[home] - numbers.dock_reach * math.sin(yaw)
    return np.array([x, y, yaw, 0.0])


@kernel
def nearest_node(pose: np.ndarray, tables: Tables) -> int:
    """The route node closest to a pose (x, y, ...), the first of several; 0 for one that is no number."""
    rows, columns = tables.near_shape[0], tables.near_shape[1]
    across, along = pose[0] - tables.grid_origin[0], pose[1] - tables.grid_origin[1]
    best, reach = 0, np.inf
    if across >= 0.0 and along >= 0.0 and across < columns * tables.patch and along < rows * tables.patch:
        patch = int(along / tables.patch) * columns + int(across / tables.patch)
        for place in range(tables.near_start[patch], tables.near_start[patch + 1]):
            node = tables.near_node[place]
            distance = (tables.node_x[node] - pose[0]) ** 2 + (tables.node_y[node] - pose[1]) ** 2
            if distance < reach:
                best, reach = int(node), distance
        return best
    for node in range(len(tables.node_x)):
        distance = (tables.node_x[node] - pose[0]) ** 2 + (tables.node_y[node] - pose[1]) ** 2
        if distance < reach:
            best, reach = node, distance
    return best


@kernel
def start_job(skill: np.ndarray, pick: int, drop: int, is_loaded: bool) -> None:
    """Take up a job; a robot that already carries the pallet goes straight to the drop."""
    skill[PICK_PLACE] = pick
    skill[DROP_PLACE] = drop
    if skill[PHASE] == PARKED or skill[PHASE] == ENTER_HOME:
        skill[PHASE] = LEAVE_HOME
    else:
        skill[PHASE] = TO_DROP if is_loaded else TO_PICK
    skill[DETOUR] = skill[LET_PASS] = -1
    skill[HOLD_UNTIL] = 0.0
    skill[BACKING] = skill[WORK_UNTIL] = 0.0
    skill[RESTING] = 0.0


@kernel
def can_take_job(skill: np.ndarray) -> bool:
    """The robot has no job: it idles, goes home or is parked."""
    phase = skill[PHASE]
    return phase == IDLE or (phase >= TO_HOME and phase <= PARKED)


@kernel
def has_lifted(skill: np.ndarray) -> bool:
    """The pallet hangs on the forks: reported as CARRYING."""
    return skill[PHASE] >= LEAVE_PICK and skill[PHASE] <= LOWER


@kernel
def has_dropped(skill: np.ndarray) -> bool:
    """The pallet stands at its target: reported as DROPPED until the job is taken off the board."""
    return skill[PHASE] == LEAVE_DROP


@kernel
def let_go(skill: np.ndarray) -> None:
    """The job was taken away: put a lifted pallet back where it came from, and come out of the place."""
    phase, pick = skill[PHASE], skill[PICK_PLACE]
    if pick < 0:
        return
    if phase == TO_PICK or phase == ALIGN_PICK or phase == LEAVE_HOME:
        skill[PHASE] = IDLE
    elif phase == ENTER_PICK:
        skill[PHASE], skill[DROP_PLACE] = LEAVE_DROP, pick
    elif phase == LIFT or phase == LEAVE_PICK:
        skill[PHASE], skill[DROP_PLACE] = ENTER_DROP, pick
    elif phase == TO_DROP or phase == ALIGN_DROP:
        skill[PHASE], skill[DROP_PLACE] = TO_DROP, pick


@kernel
def is_blocked(skill: np.ndarray, numbers: MotionNumbers) -> bool:
    """The robot has stood behind another one for so long that yield and reroute are choices."""
    phase = skill[PHASE]
    drives = phase == TO_PICK or phase == TO_DROP or phase == TO_HOME
    return drives and skill[BLOCKED] >= numbers.give_way_after


@kernel
def goal_node(skill: np.ndarray, tables: Tables) -> int:
    """The approach point a driving robot heads for; -1 while docking or idle."""
    phase = skill[PHASE]
    if phase == TO_PICK:
        return tables.place_node[int(skill[PICK_PLACE])]
    if phase == TO_DROP:
        return tables.place_node[int(skill[DROP_PLACE])]
    if phase == TO_HOME:
        return tables.place_node[int(skill[HOME])]
    return -1


@kernel
def docking_place(skill: np.ndarray) -> int:
    """The place a docking robot enters or leaves."""
    phase = skill[PHASE]
    if phase <= LEAVE_PICK:
        return int(skill[PICK_PLACE])
    if phase <= LEAVE_DROP:
        return int(skill[DROP_PLACE])
    return int(skill[HOME])


@kernel
def goal_distance(skill: np.ndarray, pose: np.ndarray, tables: Tables) -> float:
    """Metres left to the approach point of the present goal; 0 while docking or idle."""
    goal = goal_node(skill, tables)
    if goal < 0:
        return 0.0
    return route_distance(skill, pose, goal, tables)


@kernel
def route_distance(skill: np.ndarray, pose: np.ndarray, goal: int, tables: Tables) -> float:
    """Metres from where the robot is to a node, along the route."""
    node = int(skill[NODE])
    return math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1]) + tables.distance[node, goal]


@kernel
def is_turned(angle: float, beyond: float) -> bool:
    """Whether an angle is farther than `beyond` from 0 (rad, below 3), whole turns apart: abs(wrap(angle)) > beyond."""
    size = abs(angle)
    if size < beyond - 1e-3:
        return False
    if beyond + 1e-3 < size < 2.0 * math.pi - beyond - 1e-3:
        return True
    return abs(wrap(angle)) > beyond


@kernel
def wrap(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))
