"""What must always hold in one warehouse; a ledger that breaks it is damaged."""

from __future__ import annotations

import numpy as np

from sim.warehouse.kpis import LINES_RECEIVED, LINES_SHIPPED, ORDERS_DONE, ORDERS_RECEIVED
from sim.warehouse.state import ABSENT, CARRYING, GRANTED, LINES, NO_JOB, OPEN_LINE, RELEASED, State


def faults(state: State) -> list[str]:
    """Every broken rule in words; empty for a sound world (world 0)."""
    return [*_pallets(state), *_jobs(state), *_orders(state)]


def _pallets(state: State) -> list[str]:
    """Each pallet is in exactly one place or on exactly one robot, and has a serial number of its own."""
    wrong = []
    live = state.pallet_state[0] != ABSENT
    carried = live & (state.job_type[0] != NO_JOB) & (state.job_phase[0] == CARRYING)
    serials = state.pallet_serial[0, live]
    if len(np.unique(serials)) != len(serials) or (serials < 0).any() or (serials >= state.next_pallet[0]).any():
        wrong.append("two pallets share a serial number, or one has none")
    for slot in np.flatnonzero(live):
        at = np.flatnonzero(state.place_pallet[0] == slot).tolist()
        place = int(state.pallet_place[0, slot])
        if at != ([] if carried[slot] else [place]) or (carried[slot] and place >= 0):
            wrong.append(f"pallet {state.pallet_serial[0, slot]} stands at places {at}, by its own row at {place}")
    for slot in np.unique(state.place_pallet[0]):
        if slot >= len(live) or (slot >= 0 and not live[slot]):
            wrong.append(f"a place holds pallet slot {slot}, which is empty")
    return wrong


def _jobs(state: State) -> list[str]:
    """A granted job has one robot and one reserved target, and every reservation has its job."""
    wrong = []
    live = state.job_type[0] != NO_JOB
    given = live & np.isin(state.job_phase[0], (GRANTED, CARRYING))
    robots, serials = state.job_robot[0, given], state.job_serial[0, live]
    if len(np.unique(serials)) != len(serials):
        wrong.append("two jobs share a serial number")
    if len(np.unique(robots)) != len(robots) or (robots < 0).any():
        wrong.append("a robot has two jobs, or a granted job has no robot")
    if (live & (state.pallet_state[0] == ABSENT)).any():
        wrong.append("there is a job about a pallet that is gone")
    for slot in np.flatnonzero(given):
        reserved = np.flatnonzero(state.place_reserved[0] == slot).tolist()
        if reserved != [state.job_target[0, slot]]:
            wrong.append(f"job {state.job_serial[0, slot]} has reserved places {reserved}")
    for slot in np.unique(state.place_reserved[0]):
        if slot >= len(live) or (slot >= 0 and not given[slot]):
            wrong.append(f"a place is reserved for pallet slot {slot}, which is not on its way")
    return wrong


def _orders(state: State) -> list[str]:
    """Every line that came is open, released to one pallet, or shipped; sums agree with the KPIs."""
    wrong = []
    kpi, lines = state.kpi[0], state.line_state[0]
    live = state.job_type[0] != NO_JOB
    waiting = np.isin(lines, (OPEN_LINE, RELEASED))
    for line in range(len(lines)):
        pallets = int(((state.pallet_line[0] == line) & live).sum())
        if pallets != (lines[line] == RELEASED):
            wrong.append(f"order line slot {line} in state {lines[line]} has {pallets} pallets on the way")
    if (waiting.reshape(-1, LINES).any(1) != state.order_active[0]).any():
        wrong.append("an order is open without open lines, or closed with some")
    if kpi[LINES_RECEIVED] - kpi[LINES_SHIPPED] != waiting.sum():
        wrong.append(
            f"{kpi[LINES_RECEIVED]:.0f} lines came, {kpi[LINES_SHIPPED]:.0f} shipped, {waiting.sum()} are open"
        )
    if kpi[ORDERS_RECEIVED] - kpi[ORDERS_DONE] != state.order_active[0].sum():
        wrong.append(f"{kpi[ORDERS_RECEIVED]:.0f} orders came, {kpi[ORDERS_DONE]:.0f} are done")
    if kpi[ORDERS_RECEIVED] != state.stream_next[0]:
        wrong.append(f"{kpi[ORDERS_RECEIVED]:.0f} orders came, the stream is at {state.stream_next[0]}")
    return wrong
