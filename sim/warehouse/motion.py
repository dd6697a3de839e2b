"""The move skill: follow the route, dock, lift, back out, give way. One function for both simulators and the robot.

A robot's skill is a row of numbers that `move` updates in place, ten times a second. Traffic is decentralised: a
robot stops when another robot's outline lies in the way it is about to take; a stand-off ends by a yield or reroute
that the agent decides, or after `resolve_after` by a rule that differs from robot to robot.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

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

# Columns of a skill row; places and nodes are indices kept as floats, -1 for none.
PHASE, NODE, HERE, PICK_PLACE, DROP_PLACE, HOME, HOLD_UNTIL, BLOCKED, BLOCKER, BLOCKED_TOTAL, TRAVELLED = range(11)
DETOUR, SPEED = 11, 12  # node to pass before the route is taken up again; last commanded speed
BACKING = 13  # metres still to back off
SKILL_SIZE = 16

FRONT, REAR, HALF_WIDTH = 1.05, 0.38, 0.33  # m, outline of a forklift around its centre, forks included
TURN_RADIUS = 1.15  # m swept by the forks when turning on the spot
BODY_RADIUS = 0.52  # m from the centre to the rear corners
FORESIGHT = 0.9  # s
OUTLINE_POINTS = 12
BACK_OFF, BACK_SPEED, BACK_HOLD = 1.4, 0.35, 3.0  # m, m/s, s: how a robot gives way
ARRIVED = 0.25  # m from a route node that counts as passed
ALIGNED = 0.02  # rad
CENTRED = 0.015  # m


@njit(cache=True)
def new_skill(home: int, pose: np.ndarray, tables: Tables) -> np.ndarray:
    """A robot that stands parked at its home place."""
    skill = np.zeros(SKILL_SIZE)
    skill[PHASE] = PARKED
    skill[HOME] = home
    skill[PICK_PLACE] = skill[DROP_PLACE] = skill[BLOCKER] = skill[DETOUR] = -1
    skill[HERE] = skill[NODE] = nearest_node(pose, tables)
    return skill


@njit(cache=True)
def nearest_node(pose: np.ndarray, tables: Tables) -> int:
    """The route node closest to a pose (x, y, ...)."""
    best, reach = 0, np.inf
    for node in range(len(tables.node_x)):
        distance = (tables.node_x[node] - pose[0]) ** 2 + (tables.node_y[node] - pose[1]) ** 2
        if distance < reach:
            best, reach = node, distance
    return best


@njit(cache=True)
def start_job(skill: np.ndarray, pick: int, drop: int, is_loaded: bool) -> None:
    """Take up a job; a robot that already carries the pallet goes straight to the drop."""
    skill[PICK_PLACE] = pick
    skill[DROP_PLACE] = drop
    if skill[PHASE] == PARKED or skill[PHASE] == ENTER_HOME:
        skill[PHASE] = LEAVE_HOME
    else:
        skill[PHASE] = TO_DROP if is_loaded else TO_PICK
    skill[DETOUR] = -1
    skill[HOLD_UNTIL] = 0.0
    skill[BACKING] = 0.0


@njit(cache=True)
def resume(skill: np.ndarray, pose: np.ndarray, drop: int, is_loaded: bool, tables: Tables) -> None:
    """Find a sensible phase for a robot whose agent was restarted in the middle of things.

    A robot that stands inside a place backs out first; one that carries a pallet goes on to `drop`.
    """
    skill[HERE] = skill[NODE] = nearest_node(pose, tables)
    skill[DROP_PLACE] = drop
    skill[PHASE] = TO_DROP if is_loaded else IDLE
    for place in range(len(tables.place_x)):
        yaw = tables.place_yaw[place]
        dx, dy = tables.place_x[place] - pose[0], tables.place_y[place] - pose[1]
        ahead = dx * math.cos(yaw) + dy * math.sin(yaw)
        aside = -dx * math.sin(yaw) + dy * math.cos(yaw)
        if abs(ahead) < tables.approach - 0.15 and abs(aside) < 0.25 and abs(wrap(yaw - pose[2])) < 0.35:
            if is_loaded:
                skill[PICK_PLACE] = place
                skill[PHASE] = LEAVE_PICK
            elif place == int(skill[HOME]) and ahead < 0.2:
                skill[PHASE] = PARKED
            else:
                skill[DROP_PLACE] = place
                skill[PHASE] = LEAVE_DROP
            return


@njit(cache=True)
def can_take_job(skill: np.ndarray) -> bool:
    """The robot has no job: it idles, goes home or is parked."""
    phase = skill[PHASE]
    return phase == IDLE or (phase >= TO_HOME and phase <= PARKED)


@njit(cache=True)
def has_lifted(skill: np.ndarray) -> bool:
    """The pallet hangs on the forks: reported as CARRYING."""
    return skill[PHASE] >= LEAVE_PICK and skill[PHASE] <= LOWER


@njit(cache=True)
def has_dropped(skill: np.ndarray) -> bool:
    """The pallet stands at its target: reported as DROPPED until the job is taken off the board."""
    return skill[PHASE] == LEAVE_DROP


@njit(cache=True)
def goal_distance(skill: np.ndarray, pose: np.ndarray, tables: Tables) -> float:
    """Metres left to the approach point of the present goal; 0 while docking or idle."""
    goal = _goal_node(skill, tables)
    if goal < 0:
        return 0.0
    return route_distance(skill, pose, goal, tables)


@njit(cache=True)
def route_distance(skill: np.ndarray, pose: np.ndarray, goal: int, tables: Tables) -> float:
    """Metres from where the robot is to a node, along the route."""
    node = int(skill[NODE])
    return math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1]) + tables.distance[node, goal]


@njit(cache=True)
def _goal_node(skill: np.ndarray, tables: Tables) -> int:
    phase = skill[PHASE]
    if phase == TO_PICK:
        return tables.place_node[int(skill[PICK_PLACE])]
    if phase == TO_DROP:
        return tables.place_node[int(skill[DROP_PLACE])]
    if phase == TO_HOME:
        return tables.place_node[int(skill[HOME])]
    return -1


@njit(cache=True)
def move(
    skill: np.ndarray,
    pose: np.ndarray,
    fork_height: float,
    now: float,
    others: np.ndarray,
    me: int,
    tables: Tables,
    numbers: MotionNumbers,
) -> tuple[float, float, float]:
    """Advance the skill by one motion step.

    Args:
        skill: the robot's skill row [SKILL_SIZE], updated in place.
        pose: x (m), y (m), yaw (rad), speed (m/s) in map [4].
        fork_height: m above the floor.
        now: s.
        others: poses of all robots [R, 4]; row `me` is skipped; x is NaN for a robot nobody has heard of.
        me: own row.

    Returns:
        Speed (m/s), yaw rate (rad/s) and fork height (m) to command.
    """
    phase = int(skill[PHASE])
    fork = numbers.fork_high if phase >= LIFT and phase <= ENTER_DROP else numbers.fork_low
    speed, yaw_rate = 0.0, 0.0
    if phase == IDLE:
        skill[PHASE] = TO_HOME
    elif phase == TO_PICK or phase == TO_DROP or phase == TO_HOME:
        speed, yaw_rate = _drive(skill, pose, now, others, me, tables, numbers)
    elif phase == ALIGN_PICK or phase == ALIGN_DROP or phase == ALIGN_HOME:
        speed, yaw_rate = _align(skill, pose, now, others, me, tables, numbers)
    elif phase == ENTER_PICK or phase == ENTER_DROP or phase == ENTER_HOME:
        speed, yaw_rate = _enter(skill, pose, now, others, me, tables, numbers)
    elif phase == LIFT or phase == LOWER:
        if abs(fork_height - fork) < 0.005:
            skill[PHASE] = phase + 1
    elif phase == LEAVE_PICK or phase == LEAVE_DROP or phase == LEAVE_HOME:
        speed, yaw_rate = _leave(skill, pose, now, others, me, tables, numbers)
    limit = numbers.acceleration * numbers.step
    speed = min(max(speed, skill[SPEED] - 2 * limit), skill[SPEED] + limit)
    skill[SPEED] = speed
    if skill[BLOCKED] > 0:
        skill[BLOCKED_TOTAL] += numbers.step
    skill[TRAVELLED] += abs(pose[3]) * numbers.step
    return speed, yaw_rate, fork


@njit(cache=True)
def _drive(
    skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Follow the route to the goal's approach point."""
    if skill[BACKING] > 0:
        return _back_off(skill, pose, now, others, me, tables, numbers)
    goal = _goal_node(skill, tables)
    node = int(skill[NODE])
    gap = math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1])
    is_last = node == goal and skill[DETOUR] < 0
    if is_last and gap < 0.06:
        skill[HERE] = node
        skill[PHASE] += 1  # align
        return 0.0, 0.0
    if gap < ARRIVED and not is_last:
        skill[HERE] = node
        if int(skill[DETOUR]) == node:
            skill[DETOUR] = -1
        skill[NODE] = tables.next_node[node, goal if skill[DETOUR] < 0 else int(skill[DETOUR])]
        node = int(skill[NODE])
        gap = math.hypot(tables.node_x[node] - pose[0], tables.node_y[node] - pose[1])
    if now < skill[HOLD_UNTIL]:
        return 0.0, 0.0
    wanted = math.atan2(tables.node_y[node] - pose[1], tables.node_x[node] - pose[0])
    error = wrap(wanted - pose[2])
    if abs(error) > 0.35:
        blocker = _in_turn(pose, wanted, others, me)
        _note_blocker(skill, blocker, numbers)
        if blocker >= 0:
            _resolve(skill, pose, now, others, me, tables, numbers)
            return 0.0, 0.0
        return 0.0, _turn(error, numbers)
    blocker, free = _in_way(pose, wanted, others, me, numbers.lookahead)
    _note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        _resolve(skill, pose, now, others, me, tables, numbers)
        return 0.0, _turn(error, numbers)
    next_turn = _turn_after(skill, node, wanted, goal, tables)
    end = gap if (is_last or next_turn > 0.6) else gap + 1.0
    brake = math.sqrt(2.0 * 0.7 * numbers.acceleration * max(end - 0.05, 0.0)) + 0.05
    speed = min(numbers.cruise_speed, brake, math.sqrt(numbers.acceleration * max(free - 0.2, 0.0)) + 0.05)
    return speed * math.cos(error), _turn(error, numbers)


@njit(cache=True)
def _turn_after(skill: np.ndarray, node: int, heading: float, goal: int, tables: Tables) -> float:
    """Angle (rad) the route turns by at `node`."""
    following = tables.next_node[node, goal if skill[DETOUR] < 0 else int(skill[DETOUR])]
    if following == node:
        return math.pi
    onward = math.atan2(tables.node_y[following] - tables.node_y[node], tables.node_x[following] - tables.node_x[node])
    return abs(wrap(onward - heading))


@njit(cache=True)
def _align(
    skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Turn on the spot at the approach point until the robot faces the place."""
    place = _docking_place(skill)
    error = wrap(tables.place_yaw[place] - pose[2])
    if abs(error) < ALIGNED:
        skill[PHASE] += 1
        skill[BLOCKED] = 0.0
        return 0.0, 0.0
    blocker = _in_turn(pose, tables.place_yaw[place], others, me)
    _note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        if skill[BLOCKED] < numbers.resolve_after:
            return 0.0, 0.0
        return 0.0, 0.3 * _turn(error, numbers)
    return 0.0, _turn(error, numbers)


@njit(cache=True)
def _enter(
    skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Drive straight in until the pallet sits on the forks (or the robot on its parking place)."""
    place = _docking_place(skill)
    yaw = tables.place_yaw[place]
    dx, dy = tables.place_x[place] - pose[0], tables.place_y[place] - pose[1]
    reach = 0.0 if skill[PHASE] == ENTER_HOME else numbers.dock_reach
    ahead = dx * math.cos(yaw) + dy * math.sin(yaw) - reach
    aside = -dx * math.sin(yaw) + dy * math.cos(yaw)
    if ahead < CENTRED:
        skill[PHASE] += 1
        return 0.0, 0.0
    blocker, _ = _in_way(pose, yaw, others, me, min(ahead, 0.5))
    _note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        return 0.0, 0.0
    heading = yaw + max(-0.25, min(0.25, 1.2 * aside))
    speed = min(numbers.dock_speed, 0.05 + 0.8 * ahead)
    return speed, max(-0.4, min(0.4, 2.0 * wrap(heading - pose[2])))


@njit(cache=True)
def _leave(
    skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Back out straight to the approach point."""
    place = _docking_place(skill)
    yaw = tables.place_yaw[place]
    dx, dy = tables.place_x[place] - pose[0], tables.place_y[place] - pose[1]
    left = tables.approach - (dx * math.cos(yaw) + dy * math.sin(yaw))
    if left < 0.05:
        node = tables.place_node[place]
        skill[HERE] = skill[NODE] = node
        if skill[PHASE] == LEAVE_HOME:
            skill[PHASE] = TO_PICK
        elif skill[PHASE] == LEAVE_PICK:
            skill[PHASE] = TO_DROP
        else:
            skill[PHASE] = IDLE
            skill[PICK_PLACE] = skill[DROP_PLACE] = -1
        return 0.0, 0.0
    blocker, _ = _in_way(pose, yaw + math.pi, others, me, 0.4)
    _note_blocker(skill, blocker, numbers)
    if blocker >= 0:
        return 0.0, 0.0
    return -min(numbers.dock_speed, 0.05 + 0.8 * left), max(-0.4, min(0.4, 2.0 * wrap(yaw - pose[2])))


@njit(cache=True)
def _docking_place(skill: np.ndarray) -> int:
    phase = skill[PHASE]
    if phase <= LEAVE_PICK:
        return int(skill[PICK_PLACE])
    if phase <= LEAVE_DROP:
        return int(skill[DROP_PLACE])
    return int(skill[HOME])


@njit(cache=True)
def _turn(error: float, numbers: MotionNumbers) -> float:
    return max(-numbers.yaw_rate, min(numbers.yaw_rate, 2.5 * error))


@njit(cache=True)
def wrap(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))


@njit(cache=True)
def _note_blocker(skill: np.ndarray, blocker: int, numbers: MotionNumbers) -> None:
    skill[BLOCKER] = blocker
    skill[BLOCKED] = skill[BLOCKED] + numbers.step if blocker >= 0 else 0.0


@njit(cache=True)
def _in_way(pose: np.ndarray, heading: float, others: np.ndarray, me: int, lookahead: float) -> tuple[int, float]:
    """The nearest robot whose outline lies in the strip ahead, and the free metres before it.

    Returns:
        Row of the robot that stands within `lookahead` of the front (-1 if none), and the free way (m, 99 if clear).
    """
    backwards = abs(wrap(heading - pose[2])) > 1.6
    front = REAR if backwards else FRONT
    c, s = math.cos(heading), math.sin(heading)
    blocker, free = -1, 99.0
    for other in range(len(others)):
        if other == me or math.isnan(others[other, 0]):
            continue
        if abs(others[other, 0] - pose[0]) > 6.0 or abs(others[other, 1] - pose[1]) > 6.0:
            continue
        # Of two robots about to cross, the later one in the fleet looks where the earlier one will be.
        foresight = FORESIGHT * max(others[other, 3], 0.0) if other < me else 0.0
        for point in range(OUTLINE_POINTS):
            x, y = outline(others[other], point, foresight)
            ahead = (x - pose[0]) * c + (y - pose[1]) * s - front
            aside = -(x - pose[0]) * s + (y - pose[1]) * c
            margin = 0.15 if ahead > 0.0 else 0.0  # what stands beside the body is no obstacle ahead
            if ahead > -0.6 and abs(aside) < HALF_WIDTH + margin and ahead < free:
                free = max(ahead, 0.0)
                if ahead < lookahead:
                    blocker = other
    return blocker, free


@njit(cache=True)
def outline(pose: np.ndarray, point: int, ahead: float) -> tuple[float, float]:
    """One of twelve points on a robot's outline, in map (m): five along each side, and the middles of front and rear.

    The front is moved forward by `ahead` (m), to cover where the robot will be.
    """
    front = FRONT + ahead
    if point < 10:
        along = front - (front + REAR) * (point // 2) / 4
        aside = HALF_WIDTH if point % 2 == 0 else -HALF_WIDTH
    else:
        along = front if point == 10 else -REAR
        aside = 0.0
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return pose[0] + along * c - aside * s, pose[1] + along * s + aside * c


@njit(cache=True)
def _in_turn(pose: np.ndarray, target: float, others: np.ndarray, me: int) -> int:
    """A robot that the forks would touch while turning on the spot to `target` (rad), -1 if none."""
    sweep = wrap(target - pose[2])
    for other in range(len(others)):
        if other == me or math.isnan(others[other, 0]):
            continue
        for point in range(OUTLINE_POINTS):
            x, y = outline(others[other], point, 0.0)
            reach = math.hypot(x - pose[0], y - pose[1])
            if reach < BODY_RADIUS:
                return other
            if reach > TURN_RADIUS:
                continue
            bearing = wrap(math.atan2(y - pose[1], x - pose[0]) - pose[2])
            if bearing * sweep > 0 and abs(bearing) < abs(sweep) + 0.35:
                return other
    return -1


@njit(cache=True)
def _resolve(
    skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables, numbers: MotionNumbers
) -> None:
    """The rule that ends a stand-off when no agent does: robots wait different times, then go round or back off."""
    patience = numbers.resolve_after + 2.0 * me
    if skill[BLOCKED] < patience:
        return
    if not reroute(skill, pose, others, me, tables):
        give_way(skill, pose, now, others, me, tables)


@njit(cache=True)
def is_blocked(skill: np.ndarray, numbers: MotionNumbers) -> bool:
    """The robot has stood behind another one for so long that yield and reroute are choices."""
    phase = skill[PHASE]
    drives = phase == TO_PICK or phase == TO_DROP or phase == TO_HOME
    return drives and skill[BLOCKED] >= numbers.give_way_after


@njit(cache=True)
def reroute(skill: np.ndarray, pose: np.ndarray, others: np.ndarray, me: int, tables: Tables) -> bool:
    """Pass the blocker by another way: the free neighbouring node from which the goal is nearest."""
    goal = _goal_node(skill, tables)
    blocked_node = int(skill[NODE])
    best, cost = -1, np.inf
    here = nearest_node(pose, tables)
    for option in tables.neighbours[here]:
        if option < 0 or option == blocked_node or goal < 0:
            continue
        if not _is_free(option, others, me, tables):
            continue
        heading = math.atan2(tables.node_y[option] - pose[1], tables.node_x[option] - pose[0])
        if _in_turn(pose, heading, others, me) >= 0:
            continue
        onward = tables.next_node[option, goal]
        length = tables.distance[option, goal] + (8.0 if onward == here or onward == blocked_node else 0.0)
        if length < cost:
            best, cost = option, length
    if best < 0:
        return False
    skill[NODE] = best
    skill[DETOUR] = best
    skill[BLOCKED] = 0.0
    return True


@njit(cache=True)
def give_way(skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables) -> None:
    """Back off straight, the way it came, and hold there a moment."""
    skill[BACKING] = BACK_OFF
    skill[BLOCKED] = 0.0


@njit(cache=True)
def _back_off(
    skill: np.ndarray, pose: np.ndarray, now: float, others: np.ndarray, me: int, tables: Tables, numbers: MotionNumbers
) -> tuple[float, float]:
    """Reverse until the distance is done or something stands behind."""
    blocker, _ = _in_way(pose, pose[2] + math.pi, others, me, 0.3)
    skill[BACKING] -= BACK_SPEED * numbers.step
    if blocker >= 0 or _clearance_behind(pose, tables) < HALF_WIDTH or skill[BACKING] <= 0:
        skill[BACKING] = 0.0
        skill[HOLD_UNTIL] = now + BACK_HOLD
        skill[HERE] = skill[NODE] = nearest_node(pose, tables)
        skill[DETOUR] = -1
        return 0.0, 0.0
    return -BACK_SPEED, 0.0


@njit(cache=True)
def _clearance_behind(pose: np.ndarray, tables: Tables) -> float:
    """Metres from a point behind the rear to the nearest obstacle of the floor plan; 0 outside."""
    x = pose[0] - (REAR + 0.1) * math.cos(pose[2])
    y = pose[1] - (REAR + 0.1) * math.sin(pose[2])
    row, column = int((y - tables.grid_origin[1]) / tables.cell), int((x - tables.grid_origin[0]) / tables.cell)
    if row < 0 or column < 0 or row >= tables.clearance.shape[0] or column >= tables.clearance.shape[1]:
        return 0.0
    return tables.clearance[row, column]


@njit(cache=True)
def _is_free(node: int, others: np.ndarray, me: int, tables: Tables) -> bool:
    for other in range(len(others)):
        if other == me or math.isnan(others[other, 0]):
            continue
        if math.hypot(tables.node_x[node] - others[other, 0], tables.node_y[node] - others[other, 1]) < 1.5:
            return False
    return True
