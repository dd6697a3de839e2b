"""SIGKILL at any moment: what was acknowledged stays, nothing counts twice, and the run goes on as if nothing was."""

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from parley_tasks.invariants import faults
from parley_tasks.opening import open_dispatcher
from sim.warehouse.kpis import KPIS
from sim.warehouse.state import State
from tests.support.scripted_decisions import CREW, TOP, play, told

TICKS, SEED, KILLS = 240, 2, 10
HISTORY = ("orders", "order_lines", "pallets", "jobs", "reorders", "inspections", "judgements", "events")


def rows(place: Path, table: str) -> list[tuple]:
    with sqlite3.connect(place) as database:
        return sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


class Victim:
    """A task server that lives until it is killed, again and again."""

    def __init__(self, url):
        program = [sys.executable, "-m", "tests.support.scripted_decisions", url, str(SEED), str(TICKS)]
        self.process = subprocess.Popen(program, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def live(self, ticks, seconds):
        """Let it live for so many ticks and seconds more, then kill it; gives the last tick it has acknowledged."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        pid, last = int(self.process.stdout.readline()), -1
        for count in itertools.count():
            if count == ticks:
                time.sleep(seconds)
                os.kill(pid, signal.SIGKILL)
            line = self.process.stdout.readline().strip()
            if line == "over":
                return last
            last = int(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


def test_a_killed_task_server_loses_nothing_and_counts_nothing_twice(tmp_path):
    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    undisturbed = open_dispatcher(told(f"sqlite:///{whole}"), CREW)
    states = []
    for tick in range(TICKS):
        play(undisturbed, tick, SEED)
        states.append([array.copy() for array in undisturbed.dispatcher.state])
    undisturbed.ledger.close()

    chance, url, reached = random.Random(1), f"sqlite:///{killed}", -1
    victim = Victim(url)
    for life in range(KILLS + 1):
        ticks = chance.randint(1, TICKS // KILLS) if life < KILLS else -1
        acknowledged = max(reached, victim.live(ticks, chance.random() * 0.004))
        again = open_dispatcher(told(url), CREW)
        reached = again.dispatcher.tick
        assert acknowledged <= reached <= acknowledged + 1
        for field, array, wanted in zip(State._fields, again.dispatcher.state, states[reached], strict=True):
            np.testing.assert_array_equal(array, wanted, err_msg=f"{field} after tick {reached}")
        assert faults(again.dispatcher.state) == []
        again.ledger.close()
    victim.close()
    assert reached == TICKS - 1
    for table in HISTORY:
        assert rows(killed, table) == rows(whole, table), table
    kpis = dict(zip(KPIS, states[-1][State._fields.index("kpi")][0], strict=True))
    again, withdrawn = rows(whole, "now_kpis"), [row for row in rows(whole, "jobs") if row[-1] is not None]
    assert (kpis["pallets_in_vain"], "pallets_in_vain") in {(row[-1], row[1]) for row in again}
    assert kpis["pallets_in_vain"] > 2 and withdrawn, "some stock was brought in vain, some of it served where it stood"
    shipped = [row for row in rows(whole, "order_lines") if row[4] is not None]
    assert len(shipped) == states[-1][State._fields.index("kpi")][0, 2] > 10
    assert len({row[5] for row in shipped} - {None}) == len(shipped), "a pallet ships one line, and is known"
