"""The numbers of a run: KPIs, what the fleet's talk cost and achieved, what each process used."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from pydantic import Field as Bound

from parley_bringup.report.run_data import RunData, Spoken
from policy_core.config import ConfigError, Settings, parse_settings
from sim.warehouse.kpis import derive

PROCESSES_FILE = "processes.json"


class ProcessUse(Settings):
    """What one process of the fleet used, as its supervisor measured it."""

    name: str
    pid: int = 0
    cpu_s: float = Bound(ge=0)  # s of processor time, user and system
    peak_rss_mb: float = Bound(ge=0)
    wall_s: float = Bound(ge=0)
    restarts: int = Bound(0, ge=0)

    @property
    def cpu_share(self) -> float:
        """Processor time per wall time; 1.0 is one core."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0


class TalkStatistics(Settings):
    """What was said on the fleet topic."""

    messages: int
    message_size: int  # numbers in one message
    senders_heard: tuple[str, ...]
    senders_silent: tuple[str, ...]
    messages_per_simulated_second: float
    messages_per_second: float  # wall time
    decisions: int
    rounds_expected: int  # agent-rounds: decisions times rounds
    rounds_complete: int
    rounds_complete_share: float | None  # None: the policy does not talk
    round_spread_p50_ms: float | None  # first to last message of a round, as the recorder heard them
    round_spread_p99_ms: float | None


class RunSummary(Settings):
    """One run in numbers: what `kpis.json` holds, and one column of the comparison table."""

    name: str  # the policy, as tables head its column
    kpis: dict[str, float]  # counters at the end, with rates and shares (sim/warehouse/kpis.py); empty: none recorded
    talk: TalkStatistics
    processes: tuple[ProcessUse, ...]
    simulated_s: float
    wall_s: float
    real_time_factor: float


def summarise(run: RunData, processes: tuple[ProcessUse, ...] = ()) -> RunSummary:
    """Reduce a run to its numbers."""
    return RunSummary(
        name=run.context.label,
        kpis=derive(defaultdict(float, run.kpis), run.simulated) if run.kpis else {},
        talk=talk_statistics(run),
        processes=processes,
        simulated_s=run.simulated,
        wall_s=run.wall,
        real_time_factor=run.simulated / run.wall if run.wall else 0.0,
    )


def talk_statistics(run: RunData) -> TalkStatistics:
    """Count what was said, by whom, and in how many rounds everyone was heard before the deadline."""
    spoken, decided = run.spoken, run.decided
    count = len(spoken.tick)
    rounds = run.context.rounds if count else 0
    heard = set(spoken.sender.tolist())
    expected = len(decided.tick) * rounds
    complete = int(np.minimum(decided.rounds_complete, rounds).sum())
    spread = _round_spread(spoken) * 1e3
    return TalkStatistics(
        messages=count,
        message_size=spoken.values.shape[1],
        senders_heard=tuple(name for number, name in enumerate(run.names) if number in heard),
        senders_silent=tuple(name for number, name in enumerate(run.names) if number not in heard),
        messages_per_simulated_second=count / run.simulated if run.simulated else 0.0,
        messages_per_second=count / run.wall if run.wall else 0.0,
        decisions=len(decided.tick),
        rounds_expected=expected,
        rounds_complete=complete,
        rounds_complete_share=complete / expected if expected else None,
        round_spread_p50_ms=float(np.percentile(spread, 50)) if spread.size else None,
        round_spread_p99_ms=float(np.percentile(spread, 99)) if spread.size else None,
    )


def _round_spread(spoken: Spoken) -> np.ndarray:
    """Time (s) from the first to the last message of each round that more than one agent spoke in."""
    if not len(spoken.tick):
        return np.zeros(0)
    keys = np.stack([spoken.tick, spoken.round], axis=1)
    _, group, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    first = np.full(len(counts), np.inf)
    last = np.full(len(counts), -np.inf)
    np.minimum.at(first, group.ravel(), spoken.arrived)
    np.maximum.at(last, group.ravel(), spoken.arrived)
    return (last - first)[counts > 1]


def read_processes(run_dir: Path) -> tuple[ProcessUse, ...]:
    """What the supervisor measured; empty where no supervisor wrote it (`ros2 launch`).

    Raises:
        ConfigError: the file is damaged.
    """
    path = run_dir / PROCESSES_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error}).") from None
    if not isinstance(content, list):
        raise ConfigError(f"{path}: wanted a list of processes, saw {type(content).__name__}.")
    return tuple(parse_settings(ProcessUse, entry, source=str(path)) for entry in content)
