"""The whole warehouse as arrays, worlds first: places, pallets, jobs, orders, inspection, replenishment, chance.

A pallet lives in a slot of the pallet arrays from arrival to departure; outside it is known by its serial number.
Every job is about one pallet, so jobs are columns of the pallet arrays. All chance of a world is drawn when the
world is made, so what happens does not depend on the order in which agents act.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policy_core.config import ConfigError
from sim.warehouse.floorplan import PLACE_TYPES
from sim.warehouse.kpis import KPIS
from sim.warehouse.orders import OrderStream
from sim.warehouse.routes import Tables
from sim.warehouse.settings import SKUS, SUPPLIERS, WarehouseSettings

SLOT, INBOUND_PLACE, INSPECTION, OUTBOUND, QUARANTINE, PARKING = range(len(PLACE_TYPES))
ABSENT, UNDECIDED, PASSED, REJECTED = range(4)  # pallet_state
NO_JOB, INBOUND, STORE, PICK, REJECT = -1, 0, 1, 2, 3  # job_type, as in parley_msgs/Job
OPEN_JOB, GRANTED, CARRYING = range(3)  # job_phase
NO_LINE, OPEN_LINE, RELEASED, SHIPPED = range(4)  # line_state
LINES = 4  # lines of one order at most
ORDERS = 48  # orders open at once at most; later ones wait at the door
REORDERS = 24  # reorders on their way at most, all agents together
DRAWS = 512  # pallets a world can draw before its chance repeats


class State(NamedTuple):
    """E worlds; P places, L pallet slots, R order slots, Z stations, M orders of the stream."""

    time: np.ndarray  # [E] s
    kpi: np.ndarray  # [E, KPIS]
    place_pallet: np.ndarray  # [E, P] pallet slot that stands there, -1
    place_reserved: np.ndarray  # [E, P] pallet slot on its way there, -1
    pallet_serial: np.ndarray  # [E, L]
    pallet_sku: np.ndarray  # [E, L]
    pallet_state: np.ndarray  # [E, L]
    pallet_place: np.ndarray  # [E, L] place index, -1 while carried or absent
    pallet_since: np.ndarray  # [E, L] s, when it came to its place
    pallet_supplier: np.ndarray  # [E, L]
    pallet_defective: np.ndarray  # [E, L] hidden from every agent
    pallet_reading: np.ndarray  # [E, L] mean of the readings
    pallet_inspections: np.ndarray  # [E, L]
    pallet_draw: np.ndarray  # [E, L] row of the draws
    pallet_line: np.ndarray  # [E, L] order line it is meant for, -1
    job_type: np.ndarray  # [E, L]
    job_phase: np.ndarray  # [E, L]
    job_serial: np.ndarray  # [E, L]
    job_robot: np.ndarray  # [E, L] robot index, -1
    job_target: np.ndarray  # [E, L] place index, -1 until granted
    job_opened: np.ndarray  # [E, L] s
    next_pallet: np.ndarray  # [E] next pallet serial
    next_job: np.ndarray  # [E] next job serial
    order_active: np.ndarray  # [E, R]
    order_arrival: np.ndarray  # [E, R] s
    order_due: np.ndarray  # [E, R] s
    order_dock: np.ndarray  # [E, R]
    line_sku: np.ndarray  # [E, R * LINES]
    line_state: np.ndarray  # [E, R * LINES]
    recent: np.ndarray  # [E, SKUS] order lines, forgotten with a time constant of 600 s
    target_stock: np.ndarray  # [E, SKUS] pallets aimed at
    reorder_sku: np.ndarray  # [E, REORDERS] -1: free
    reorder_agent: np.ndarray  # [E, REORDERS]
    reorder_eta: np.ndarray  # [E, REORDERS] s
    station_pallet: np.ndarray  # [E, Z] pallet slot under inspection, -1
    station_until: np.ndarray  # [E, Z] s
    supplier_seen: np.ndarray  # [E, SUPPLIERS]
    supplier_rejected: np.ndarray  # [E, SUPPLIERS]
    shift_start: np.ndarray  # [E] s, when the first shift began, at or before 0
    wave_first: np.ndarray  # [E] s, the first truck's cut-off
    wave_period: np.ndarray  # [E] s between cut-offs; 0: orders come without waves
    stream_next: np.ndarray  # [E] next order of the stream
    stream_time: np.ndarray  # [E, M] s; inf past the end
    stream_due: np.ndarray  # [E, M] s
    stream_dock: np.ndarray  # [E, M]
    stream_sku: np.ndarray  # [E, M, LINES] -1: no such line
    draw_next: np.ndarray  # [E]
    draw_supplier: np.ndarray  # [E, DRAWS]
    draw_defective: np.ndarray  # [E, DRAWS] bool
    draw_lead: np.ndarray  # [E, DRAWS] in [0, 1)
    draw_reading: np.ndarray  # [E, DRAWS, 4] reading error of inspections 1, 2, 3, 4 and later


def make_state(worlds: int, tables: Tables, orders_held: int) -> State:
    """Empty arrays for `worlds` worlds of one floor plan; `orders_held` is the longest stream, M."""
    places, stations = len(tables.place_type), int(tables.place_group[tables.place_type == INSPECTION].max()) + 1
    pallets = places + 8
    e, i4, f8 = worlds, np.int32, np.float64

    def whole(*shape: int, value: int = 0) -> np.ndarray:
        return np.full((e, *shape), value, i4)

    def real(*shape: int) -> np.ndarray:
        return np.zeros((e, *shape), f8)

    return State(
        time=real(),
        kpi=real(len(KPIS)),
        place_pallet=whole(places, value=-1),
        place_reserved=whole(places, value=-1),
        pallet_serial=whole(pallets, value=-1),
        pallet_sku=whole(pallets),
        pallet_state=whole(pallets),
        pallet_place=whole(pallets, value=-1),
        pallet_since=real(pallets),
        pallet_supplier=whole(pallets),
        pallet_defective=np.zeros((e, pallets), np.bool_),
        pallet_reading=real(pallets),
        pallet_inspections=whole(pallets),
        pallet_draw=whole(pallets),
        pallet_line=whole(pallets, value=-1),
        job_type=whole(pallets, value=NO_JOB),
        job_phase=whole(pallets),
        job_serial=whole(pallets, value=-1),
        job_robot=whole(pallets, value=-1),
        job_target=whole(pallets, value=-1),
        job_opened=real(pallets),
        next_pallet=whole(),
        next_job=whole(),
        order_active=np.zeros((e, ORDERS), np.bool_),
        order_arrival=real(ORDERS),
        order_due=real(ORDERS),
        order_dock=whole(ORDERS),
        line_sku=whole(ORDERS * LINES, value=-1),
        line_state=whole(ORDERS * LINES),
        recent=real(SKUS),
        target_stock=real(SKUS),
        reorder_sku=whole(REORDERS, value=-1),
        reorder_agent=whole(REORDERS, value=-1),
        reorder_eta=real(REORDERS),
        station_pallet=whole(stations, value=-1),
        station_until=real(stations),
        supplier_seen=real(SUPPLIERS),
        supplier_rejected=real(SUPPLIERS),
        shift_start=real(),
        wave_first=real(),
        wave_period=real(),
        stream_next=whole(),
        stream_time=np.full((e, orders_held), np.inf),
        stream_due=real(orders_held),
        stream_dock=whole(orders_held),
        stream_sku=whole(orders_held, LINES, value=-1),
        draw_next=whole(),
        draw_supplier=whole(DRAWS),
        draw_defective=np.zeros((e, DRAWS), np.bool_),
        draw_lead=real(DRAWS),
        draw_reading=real(DRAWS, 4),
    )


def open_world(
    state: State,
    world: int,
    tables: Tables,
    settings: WarehouseSettings,
    stream: OrderStream,
    popularity: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Start one world anew: empty it, draw its chance, fill the racks by `popularity` [SKUS], load its orders."""
    fresh = make_state(1, tables, state.stream_time.shape[1])
    for array, value in zip(state, fresh, strict=True):
        array[world] = value[0]
    state.draw_supplier[world] = rng.integers(SUPPLIERS, size=DRAWS)
    rates = np.asarray(settings.quality.defect_rates)
    state.draw_defective[world] = rng.random(DRAWS) < rates[state.draw_supplier[world]]
    state.draw_lead[world] = rng.random(DRAWS)
    state.draw_reading[world] = rng.normal(0.0, settings.quality.reading_noise, (DRAWS, 4))
    _load_orders(state, world, stream)
    _fill_racks(state, world, tables, settings, popularity, rng)
    state.shift_start[world] = -rng.random() * settings.shifts.length


def _load_orders(state: State, world: int, stream: OrderStream) -> None:
    held = state.stream_time.shape[1]
    if len(stream.time) > held:
        raise ConfigError(
            f"the episode brings {len(stream.time)} orders, a world holds {held}; make it shorter, or orders rarer "
            "(lines_per_hour in config/orders.yaml)"
        )
    count = len(stream.time)
    state.stream_time[world, :count] = stream.time
    state.stream_due[world, :count] = stream.due
    state.stream_dock[world, :count] = stream.dock
    state.stream_sku[world, :count] = stream.sku
    state.wave_first[world], state.wave_period[world] = stream.cutoffs


def _fill_racks(
    state: State,
    world: int,
    tables: Tables,
    settings: WarehouseSettings,
    popularity: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Spread the initial pallets over random slots: one of each family first, the rest by popularity."""
    slots = rng.permutation(np.flatnonzero(tables.place_type == SLOT))
    count = int(len(slots) * settings.goods.initial_fill)
    share = np.maximum(popularity / popularity.sum() * count, 1.0)
    stock = np.floor(share * count / share.sum()).astype(int)
    families = np.argsort(-popularity, kind="stable")
    for family in families[: max(0, count - int(stock.sum()))]:
        stock[family] += 1
    state.target_stock[world] = np.ceil(stock * settings.goods.target_cover)
    skus = np.repeat(np.arange(SKUS), stock)[:count]
    for index, (place, sku) in enumerate(zip(slots, skus, strict=False)):
        state.place_pallet[world, place] = index
        state.pallet_serial[world, index] = index
        state.pallet_sku[world, index] = sku
        state.pallet_state[world, index] = PASSED
        state.pallet_place[world, index] = place
    state.next_pallet[world] = len(skus)
