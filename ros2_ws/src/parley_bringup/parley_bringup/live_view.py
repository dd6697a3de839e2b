"""What a person sees while a fleet runs: a live terminal picture, or a line now and then where there is no terminal.

```
with FleetWatch(domain_id, agents) as watch, LiveView(console, minutes=5.0) as view:
    while not ended():
        view.update(watch.snapshot())
        time.sleep(0.25)
```
"""

from __future__ import annotations

import time

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from parley_bringup.fleet_watch import AgentStanding, FleetSnapshot, FleetWatch
from parley_bringup.report.run_data import VERBS

__all__ = ["FleetWatch", "LiveView"]

LINE_PERIOD = 5.0  # s of wall time between two lines where there is no terminal
LATE = 2.0  # s of silence after which a node is shown as missing: four heartbeats
PHASES = ("ready", "to pallet", "carrying", "set down")
STATES = {0: "starting", 1: "unconfigured", 2: "inactive", 3: "active", 4: "ended"}


class LiveView:
    """Shows snapshots as they come; starts with the first one and ends with `stop`."""

    def __init__(self, console: Console, minutes: float = 0.0) -> None:
        """Choose the form by the console.

        Args:
            console: where to show; without a terminal behind it, plain lines are printed.
            minutes: length of the run (simulated minutes), for the progress bar; 0: endless.
        """
        self._console, self._length = console, minutes * 60.0
        self._live: Live | None = None
        self._last_line = -LINE_PERIOD

    def update(self, snapshot: FleetSnapshot) -> None:
        """Show the fleet as it is now."""
        if not self._console.is_terminal:
            now = time.monotonic()
            if now - self._last_line >= LINE_PERIOD:
                self._last_line = now
                self._console.print(line(snapshot), markup=False, highlight=False, soft_wrap=True)
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(picture(snapshot, self._length), refresh=True)

    def stop(self) -> None:
        """Take the picture off the terminal. May be called twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def line(snapshot: FleetSnapshot) -> str:
    """One snapshot in one line of text."""
    kpis = snapshot.kpis
    words = [
        f"t {_clock(snapshot.simulated)}",
        f"x{snapshot.real_time_factor:.1f} real time",
        f"orders {kpis.get('orders_done', 0):.0f} done, {_open_orders(kpis):.0f} open",
        f"contacts {kpis.get('contacts', 0):.0f}",
        f"{snapshot.messages_per_second:.0f} messages/s",
        f"rounds complete {_share(snapshot.rounds_complete_share)}",
    ]
    missing = [agent.name for agent in snapshot.agents if _is_missing(agent.silence)]
    if missing:
        words.append(f"missing: {', '.join(missing)}")
    words += [f"{node}: {message}" for node, message in snapshot.complaints.items()]
    return "  ".join(words)


def picture(snapshot: FleetSnapshot, length: float) -> RenderableType:
    """One snapshot as a panel: progress, the fleet's figures, one line per agent, and who complains of what.

    Args:
        snapshot: the fleet.
        length: simulated time the run will take (s); 0: endless.
    """
    parts: list[RenderableType] = [_progress(snapshot, length), _figures(snapshot), _agents(snapshot)]
    late = [node.name for node in snapshot.nodes if _is_missing(node.silence)]
    if late:
        parts.append(Text(f"silent: {', '.join(late)}", style="red"))
    parts += [Text(f"{node}: {message}", style="yellow") for node, message in sorted(snapshot.complaints.items())]
    return Panel(Group(*parts), title="Parley", title_align="left", border_style="dim")


def _progress(snapshot: FleetSnapshot, length: float) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    bar: RenderableType = ProgressBar(total=length, completed=min(snapshot.simulated, length)) if length else Text("")
    of = f" of {_clock(length)}" if length else ""
    grid.add_row(f"{_clock(snapshot.simulated)}{of}", bar, f"{snapshot.real_time_factor:.1f} x real time")
    return grid


def _figures(snapshot: FleetSnapshot) -> Table:
    kpis = snapshot.kpis
    done, on_time = kpis.get("orders_done", 0.0), kpis.get("orders_on_time", 0.0)
    grid = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
    figures = {
        "orders done": f"{done:.0f}",
        "open": f"{_open_orders(kpis):.0f}",
        "on time": f"{on_time / done:.0%}" if done else "-",
        "lines": f"{kpis.get('lines_shipped', 0.0):.0f}",
        "contacts": f"{kpis.get('contacts', 0.0):.0f}",
        "messages/s": f"{snapshot.messages_per_second:.0f}",
        "rounds complete": _share(snapshot.rounds_complete_share),
    }
    for heading in figures:
        grid.add_column(heading, justify="right")
    grid.add_row(*figures.values(), style="bold")
    return grid


def _agents(snapshot: FleetSnapshot) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True, pad_edge=False)
    for heading in ("agent", "is", "decided"):
        table.add_column(heading)
    for heading in ("job", "heartbeat", "restarts", "dropped"):
        table.add_column(heading, justify="right")
    for agent in snapshot.agents:
        table.add_row(
            agent.name,
            _standing(agent),
            VERBS[agent.verb] if 0 < agent.verb < len(VERBS) else "",
            str(agent.job) if agent.job >= 0 else "",
            "" if agent.silence is None else f"{agent.silence:.1f} s ago",
            str(agent.restarts or ""),
            str(agent.dropped or ""),
            style="red" if _is_missing(agent.silence) else None,
        )
    return table


def _standing(agent: AgentStanding) -> str:
    if _is_missing(agent.silence):
        return "missing"
    if agent.state != 3:
        return STATES.get(agent.state, "changing")
    return PHASES[agent.phase] if agent.phase < len(PHASES) else "active"


def _is_missing(silence: float | None) -> bool:
    return silence is not None and silence > LATE


def _open_orders(kpis: dict[str, float]) -> float:
    return max(kpis.get("orders_received", 0.0) - kpis.get("orders_done", 0.0), 0.0)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
