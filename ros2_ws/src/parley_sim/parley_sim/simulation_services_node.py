"""The standard's services (ROS package simulation_interfaces) over a simulated world, under the standard's names.

What they do is in `entities` and `run_control`; this file turns requests into calls, and refusals into results. It
reads the form of Jazzy (1.5) and that of later distributions (2.1), whichever package is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Vector3
from rclpy.node import Node

from parley_sim.entities import Entities, WantedPose
from parley_sim.refusal import Refusal, failed, unsupported
from parley_sim.run_control import RunControl, Wish
from sim.bullet.blocks import Block

try:
    from simulation_interfaces import srv
    from simulation_interfaces.msg import Bounds, EntityCategory, EntityFilters, EntityState, Result, SimulatorFeatures
    from simulation_interfaces.msg import SimulationState as States
except ImportError as error:
    raise ImportError(
        "parley_sim needs the message package simulation_interfaces; `make setup` builds it into .venv, and ROS 2 "
        "has it as ros-jazzy-simulation-interfaces"
    ) from error

FEATURES = (
    *("SPAWNING", "DELETING", "ENTITY_BOUNDS_BOX", "ENTITY_CATEGORIES"),
    *("ENTITY_STATE_GETTING", "ENTITY_STATE_SETTING"),
    *("SIMULATION_RESET", "SIMULATION_RESET_TIME", "SIMULATION_RESET_STATE", "SIMULATION_RESET_SPAWNED"),
    *("SIMULATION_STATE_GETTING", "SIMULATION_STATE_SETTING", "SIMULATION_STATE_PAUSE"),
    *("STEP_SIMULATION_SINGLE", "STEP_SIMULATION_MULTIPLE"),
)
CATEGORIES = ("CATEGORY_ROBOT", "CATEGORY_DYNAMIC_OBJECT", "CATEGORY_STATIC_OBJECT")
ABOUT = (
    "Spawns parley://pallet, parley://box (length, width, height in m and mass in kg as ?length=...), and parley://amr "
    "with cmd_vel, odom and scan under its name. "
    "The world frame is map; poses are of the middle of the underside, of robots base_link. Accelerations are not "
    "measured and read zero. Time and state are reset only where no fleet is linked. One step is one move step."
)
FRAME = "map"
WISHES = {States.STATE_PLAYING: Wish.PLAY, States.STATE_PAUSED: Wish.PAUSE, States.STATE_STOPPED: Wish.STOP}


class Simulation(Protocol):
    """What the services are about."""

    entities: Entities
    control: RunControl

    @property
    def stamp(self) -> Time:
        """Simulated time."""
        ...

    @property
    def is_still(self) -> str:
        """Why time stands still whatever is asked of it; empty: it does not."""
        ...

    def reset(self, *, clock: bool, state: bool, spawned: bool) -> None:
        """Go back to the start in some respects; raises Refusal if that cannot be."""
        ...


class SimulationServices:
    """Every service of one simulation.

    Args:
        node: owns them; its namespace is theirs.
        simulation: what they are about.
    """

    def __init__(self, node: Node, simulation: Simulation) -> None:
        self._node = node
        self._simulation = simulation
        offered = {
            "get_simulator_features": (srv.GetSimulatorFeatures, self._features),
            "spawn_entity": (srv.SpawnEntity, self._spawn),
            "delete_entity": (srv.DeleteEntity, self._delete),
            "get_entities": (srv.GetEntities, self._list),
            "get_entity_state": (srv.GetEntityState, self._state),
            "get_entities_states": (srv.GetEntitiesStates, self._states),
            "set_entity_state": (srv.SetEntityState, self._place),
            "reset_simulation": (srv.ResetSimulation, self._reset),
            "get_simulation_state": (srv.GetSimulationState, self._run_state),
            "set_simulation_state": (srv.SetSimulationState, self._set_run_state),
        }
        self._services = [
            node.create_service(kind, name, partial(_answer, answer)) for name, (kind, answer) in offered.items()
        ]
        self._step_in = node.create_service(srv.StepSimulation, "step_simulation", self._step)
        # The executor sends what a callback returns; the answer to a step is known only when it has been taken.
        self._send_step = self._step_in.send_response
        self._step_in.send_response = self._send_or_hold
        self._held: Any = None  # whom to answer when the steps are taken

    def close(self) -> None:
        """Leave the graph; whoever waits for steps is told first."""
        self._simulation.control.give_up("the simulator was shut down")
        for service in (*self._services, self._step_in):
            self._node.destroy_service(service)

    # --- what it can do

    def _features(self, request: Any, response: Any) -> None:
        response.features.features = [getattr(SimulatorFeatures, name) for name in FEATURES]
        response.features.custom_info = ABOUT

    # --- entities

    def _spawn(self, request: Any, response: Any) -> None:
        resource = getattr(request, "entity_resource", request)  # 2.1 keeps both fields in a message of its own
        pose = _pose(request.initial_pose.header.frame_id, request.initial_pose.pose)
        response.entity_name = self._simulation.entities.spawn(
            request.name, request.allow_renaming, resource.uri, resource.resource_string, request.entity_namespace, pose
        )

    def _delete(self, request: Any, response: Any) -> None:
        self._simulation.entities.delete(request.entity)

    def _list(self, request: Any, response: Any) -> None:
        response.entities = self._selected(request.filters)

    def _state(self, request: Any, response: Any) -> None:
        response.state = self._entity_state(request.entity)

    def _states(self, request: Any, response: Any) -> None:
        response.entities = self._selected(request.filters)
        response.states = [self._entity_state(name) for name in response.entities]

    def _place(self, request: Any, response: Any) -> None:
        state = request.state
        # 2.1 says which parts count; before, all did, and none of the acceleration ever had to.
        if getattr(request, "set_acceleration", False):
            raise unsupported("accelerations cannot be set here; leave set_acceleration away")
        pose = _pose(state.header.frame_id, state.pose) if getattr(request, "set_pose", True) else None
        twist = state.twist
        if not getattr(request, "set_twist", True):
            kept = self._simulation.entities.state(request.entity)
            linear, angular = kept.linear, kept.angular
        else:
            linear, angular = _triple(twist.linear), _triple(twist.angular)
        self._simulation.entities.place(request.entity, pose, linear, angular)

    def _selected(self, filters: EntityFilters) -> list[str]:
        if filters.tags.tags:
            raise unsupported("entities have no tags here; leave filters.tags empty")
        names = {getattr(EntityCategory, name): name for name in CATEGORIES}
        categories = [names.get(each.category, "of nobody here") for each in filters.categories]
        return self._simulation.entities.select(filters.filter, categories, _within(filters.bounds))

    def _entity_state(self, name: str) -> EntityState:
        body = self._simulation.entities.state(name)
        state = EntityState()
        state.header.frame_id, state.header.stamp = FRAME, self._simulation.stamp
        position, turn = state.pose.position, state.pose.orientation
        position.x, position.y, position.z = body.position
        turn.x, turn.y, turn.z, turn.w = body.turn
        for vector, values in ((state.twist.linear, body.linear), (state.twist.angular, body.angular)):
            vector.x, vector.y, vector.z = values
        return state

    # --- time

    def _run_state(self, request: Any, response: Any) -> None:
        response.state.state = self._current()

    def _set_run_state(self, request: Any, response: Any) -> None:
        simulation, wanted = self._simulation, request.state.state
        if wanted not in WISHES:
            raise unsupported(f"state {wanted} cannot be set here, only 0 stopped, 1 playing, 2 paused")
        if wanted == self._current():
            raise Refusal("ALREADY_IN_TARGET_STATE", f"the simulation is {WISHES[wanted].value} already")
        if wanted == States.STATE_PLAYING and simulation.is_still:
            raise Refusal("STATE_TRANSITION_ERROR", simulation.is_still)
        if wanted == States.STATE_STOPPED:
            try:
                simulation.reset(clock=True, state=True, spawned=True)
            except Refusal as refusal:
                raise Refusal("STATE_TRANSITION_ERROR", f"{refusal}; pausing is possible") from None
        simulation.control.set(WISHES[wanted])

    def _current(self) -> int:
        control = self._simulation.control
        if control.is_stepping:
            return int(States.STATE_PLAYING)
        wish = Wish.PAUSE if control.wish is Wish.PLAY and self._simulation.is_still else control.wish
        return int(next(state for state, each in WISHES.items() if each is wish))

    def _reset(self, request: Any, response: Any) -> None:
        scopes = srv.ResetSimulation.Request
        scope = request.scope or scopes.SCOPE_ALL
        if scope != scopes.SCOPE_ALL and scope & ~(scopes.SCOPE_TIME | scopes.SCOPE_STATE | scopes.SCOPE_SPAWNED):
            raise unsupported(f"scope is {scope}, wanted a sum of 1 time, 2 state, 4 spawned, or 255 for all")
        self._simulation.reset(
            clock=bool(scope & scopes.SCOPE_TIME),
            state=bool(scope & scopes.SCOPE_STATE),
            spawned=bool(scope & scopes.SCOPE_SPAWNED),
        )

    def _step(self, request: Any, response: Any) -> Any:
        try:
            if self._simulation.is_still:
                raise failed(self._simulation.is_still)
            self._simulation.control.owe(request.steps, partial(self._stepped, response))
        except Refusal as refusal:
            _conclude(response, refusal)
        return response

    def _send_or_hold(self, response: Any, header: Any) -> None:
        if response.result.result == Result().result:  # nothing is known yet
            self._held = header
        else:
            self._send_step(response, header)

    def _stepped(self, response: Any, words: str) -> None:
        _conclude(response, failed(words) if words else None)
        header, self._held = self._held, None
        if header is not None:
            self._send_step(response, header)


def _answer(work: Callable[[Any, Any], None], request: Any, response: Any) -> Any:
    """Do the work and say how it ended."""
    try:
        work(request, response)
    except Refusal as refusal:
        _conclude(response, refusal)
    else:
        _conclude(response, None)
    return response


def _conclude(response: Any, refusal: Refusal | None) -> None:
    if not hasattr(response, "result"):
        return  # get_simulator_features cannot fail
    if refusal is None:
        response.result.result = Result.RESULT_OK
        return
    # An older package may lack a result of its own for this; that it failed is then all that can be said.
    own = getattr(type(response), refusal.result, Result.RESULT_OPERATION_FAILED)
    response.result.result = getattr(Result, refusal.result, own)
    response.result.error_message = str(refusal)


def _within(bounds: Bounds) -> Callable[[Block], bool] | None:
    """What the filter's bounds ask of the room an entity takes up."""
    points = [_triple(point) for point in bounds.points]
    if bounds.type == Bounds.TYPE_EMPTY:
        return None
    if bounds.type not in (Bounds.TYPE_BOX, Bounds.TYPE_SPHERE):
        raise unsupported(f"bounds of type {bounds.type} are not read here, only 1 box and 3 sphere")
    if len(points) != 2:
        raise failed(f"bounds have {len(points)} points, wanted 2")
    first, second = points
    if bounds.type == Bounds.TYPE_SPHERE:
        return lambda block: block.gap_to(*first) <= second[0]
    x, y, z = (0.5 * (a + b) for a, b in zip(first, second, strict=True))
    dx, dy, dz = (abs(a - b) for a, b in zip(first, second, strict=True))
    return Block(x, y, 0.0, dx, dy, z - 0.5 * dz, z + 0.5 * dz).overlaps


def _pose(frame: str, pose: Any) -> WantedPose:
    turn = pose.orientation
    return WantedPose(frame, _triple(pose.position), (turn.x, turn.y, turn.z, turn.w))


def _triple(vector: Vector3) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z
