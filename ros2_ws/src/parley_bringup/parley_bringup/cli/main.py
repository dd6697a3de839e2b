"""`parley`: the command line. Each command's module is imported only when that command is called."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence

import typer

from parley_agents.user_errors import is_for_users
from parley_bringup.paths import keep_caches_inside

COMMANDS = {  # name: (module in parley_bringup.cli, what `parley --help` says)
    "demo": ("demo", "Run a simulated fleet, watch it, and see what it achieved."),
    "up": ("up", "Start a fleet, or one robot's part of it, until Ctrl-C."),
    "play": ("play", "Show a run as a film, a picture or in a window; no ROS, no screen needed."),
    "report": ("report", "Make figures and KPI table from a run folder again."),
    "train": ("train", "Train a fleet policy in a batched world."),
    "plot": ("plot", "Draw learning curves, with intervals over seeds."),
    "eval": ("evaluate", "Measure policies in the batched world over several seeds."),
    "study": ("study", "Measure a bundle beside its rivals under many conditions, against goals."),
    "analyze": ("analyze", "Show what learned messages say, who heeds them, and what they are worth."),
    "parity": ("parity", "Play the same decisions in the fast and the PyBullet warehouse."),
    "soak": ("soak", "Let a fleet work for hours, and check all the way that nothing breaks."),
    "fit-motion": ("fit_motion", "Fit the fast warehouse's motion to trucks driven in PyBullet."),
    "export": ("bundle", "Turn a checkpoint into a policy bundle."),
    "verify": ("bundle", "Check a policy bundle: digests, contract, protocol."),
    "import-map": ("maps", "Turn a map of any known format into a floor plan."),
    "data": ("data", "List public data sets Parley knows, find or download them."),
    "fit-orders": ("data", "Fit the order generator to real order lines."),
    "doctor": ("doctor", "Check this machine and say what to mend."),
}
FUNCTIONS = {"eval": "evaluate"}  # a command whose function cannot bear its name
ABOUT = """Fleets of unlike robots that learn to talk to each other, on ROS 2.

Begin with:  parley demo --minutes 2     and     parley doctor

Every command writes its result as JSON with --json FILE. Exit codes: 0 done, 1 the work failed, 2 bad input or
settings (the message says what was seen, what was wanted and the cure), 130 stopped by Ctrl-C.
"""


def command_line(wanted: str | None) -> typer.Typer:
    """The application; only the wanted command is imported, the others are known by name and one line."""
    app = typer.Typer(
        help=ABOUT, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    for name, (module, about) in COMMANDS.items():
        if name == wanted:
            function = FUNCTIONS.get(name, name.replace("-", "_"))
            app.command(name)(getattr(importlib.import_module(f"parley_bringup.cli.{module}"), function))
        else:
            app.command(name, help=about)(_never_called)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Our own errors are one paragraph on stderr and exit code 2."""
    keep_caches_inside()
    words = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((word for word in words if not word.startswith("-")), None)
    try:
        command_line(wanted)(words, prog_name="parley")
    except Exception as error:
        if not is_for_users(error):
            raise
        print(f"parley {wanted}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # Python's last collection would walk all of numba and torch for seconds


def _never_called() -> None:
    raise AssertionError("a command that was not wanted was called")
