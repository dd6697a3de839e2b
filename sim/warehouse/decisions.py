"""One tick of joint decisions: what every agent chose is applied to the world in fleet order."""

from __future__ import annotations

import numpy as np

from sim.warehouse.compiled import kernel
from sim.warehouse.jobs import grant
from sim.warehouse.kpis import CLAIM_CONFLICTS
from sim.warehouse.quality import inspect, judge
from sim.warehouse.replenishment import reorder
from sim.warehouse.routes import Tables
from sim.warehouse.rules import release
from sim.warehouse.settings import Rules
from sim.warehouse.state import State
from sim.warehouse.stock import find_pallet

# As in parley_msgs/Decision.
NONE, CLAIM, YIELD, REROUTE, RELEASE, REORDER, INSPECT, PASS, REJECT_PALLET, CHARGE = range(10)


@kernel
def apply_decisions(
    s: State,
    e: int,
    verb: np.ndarray,
    subject: np.ndarray,
    pick_distance: np.ndarray,
    member: np.ndarray,
    tables: Tables,
    rules: Rules,
) -> None:
    """Apply one tick's decisions in world e.

    Args:
        verb, subject: what each agent chose [N], as in parley_msgs/Decision.
        pick_distance: route metres to the claimed pallet [N]; the nearest claimant wins, then the first in the fleet.
        member: the agent's number within its kind [N]: robot, zone or station.
    """
    for agent in range(len(verb)):
        if verb[agent] == CLAIM:
            if _is_nearest(verb, subject, pick_distance, agent):
                slot = find_pallet(s, e, subject[agent])
                if slot < 0 or not grant(s, e, slot, member[agent], tables, rules):
                    s.kpi[e, CLAIM_CONFLICTS] += 1
            else:
                s.kpi[e, CLAIM_CONFLICTS] += 1
        elif verb[agent] == RELEASE:
            release(s, e, member[agent], subject[agent], tables)
        elif verb[agent] == REORDER:
            reorder(s, e, member[agent], subject[agent], rules)
        elif verb[agent] == INSPECT:
            inspect(s, e, member[agent], subject[agent], tables, rules)
        elif verb[agent] == PASS:
            judge(s, e, member[agent], subject[agent], True, tables, rules)
        elif verb[agent] == REJECT_PALLET:
            judge(s, e, member[agent], subject[agent], False, tables, rules)


@kernel
def _is_nearest(verb: np.ndarray, subject: np.ndarray, pick_distance: np.ndarray, agent: int) -> bool:
    for other in range(len(verb)):
        if other != agent and verb[other] == CLAIM and subject[other] == subject[agent]:
            if pick_distance[other] < pick_distance[agent]:
                return False
            if pick_distance[other] == pick_distance[agent] and other < agent:
                return False
    return True
