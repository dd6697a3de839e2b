"""`python -m parley_bringup.rehearse`: compile once what task server and robots call, so that no fleet waits for it.

The nodes do the same when they are configured; there it takes seconds where the compiled rules are not yet cached.
"""

from __future__ import annotations

import tempfile
import time

from parley_agents.fleet import read_fleet
from parley_agents.forklift import forklift_body
from parley_bringup.paths import home
from parley_tasks.convert import Reporter
from parley_tasks.dispatcher import Crew
from parley_tasks.opening import Told, open_dispatcher, sqlite_url
from policy_core.contract import read_contract
from sim.warehouse.bodies import read_bodies
from sim.warehouse.floorplan import read_floorplan
from sim.warehouse.guard import read_guard
from sim.warehouse.routes import build_tables
from sim.warehouse.settings import read_warehouse


def main() -> None:
    """Let a task server and a robot of the demo's fleet call all they ever call, with a ledger that is thrown away."""
    started, config = time.perf_counter(), home() / "config"
    files = {name: str(config / f"{name}.yaml") for name in ("warehouse", "contract", "orders")}
    plan = config / "floorplans" / "small_dc.yaml"
    contract, warehouse = read_contract(files["contract"]), read_warehouse(files["warehouse"])
    fleet, bodies = read_fleet(config / "fleets" / "demo.yaml", contract), read_bodies(config / "bodies.yaml")
    with tempfile.TemporaryDirectory() as folder:
        told = Told(
            floorplan=str(plan),
            warehouse=files["warehouse"],
            contract=files["contract"],
            order_settings=files["orders"],
            orders="",
            order_speed=0.0,
            database=sqlite_url(folder),
            seed=0,
            minutes=1.0,
        )
        opened = open_dispatcher(told, Crew(fleet.names, fleet.kinds))
        opened.dispatcher.compile()
        Reporter(opened.dispatcher).compile()
        opened.ledger.close()
    forklift_body(
        "forklift_1",
        fleet.of_kind("forklift"),
        contract.kind("forklift"),
        build_tables(read_floorplan(plan)),
        warehouse.motion_numbers(),
        warehouse.battery_numbers(bodies),
        read_guard(config / "guard.yaml"),
        bodies,
    ).rehearse()
    print(f"what a fleet calls is compiled ({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
