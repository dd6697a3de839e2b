"""The command line's own promises: quick help, one paragraph for bad input, nothing half-written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from socket import socket
from types import ModuleType
from typing import Any

import pytest

from parley_bringup.cli import demo as demo_command
from parley_bringup.cli import up as up_command
from parley_bringup.cli.main import COMMANDS, main
from parley_bringup.report.context import read_context, read_run_floorplan
from parley_bringup.session import Outcome

HEAVY = ("torch", "numba", "rclpy", "matplotlib", "sim", "pybullet")


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command says; it must leave with exit code 2."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    return capsys.readouterr().err


def test_help_names_every_command_without_importing_any() -> None:
    script = (
        "import sys; from parley_bringup.cli.main import main\n"
        "try: main(['--help'])\n"
        f"finally: print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert time.monotonic() - began < 20
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert "heavy: []" in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_teaches_and_takes_a_json_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--policy", "gredy"), "wanted one of greedy, contract-net, random, bundle:FOLDER, saw 'gredy'"),
        (("--policy", "bundle:absent"), "is no policy bundle (it has no manifest.yaml). Make one: parley export."),
        (("--map", "absent.yaml"), "absent.yaml: no such file"),
        (("--orders", "absent"), "absent: no such file or folder"),
        (("--order-speed", "fast"), "wanted 'auto' or a number above 0"),
        (("--fleet", "absent.yaml"), "absent.yaml: no such file"),
        (("--domain-id", "300"), "domain id: wanted 0 to 232"),
        (("--inference", "cloud"), "--inference: wanted one of onboard, server"),
        (("--params-file", "absent.yaml"), "absent.yaml: no such file"),
        (("--compare", "--no-record"), "--compare reads the recordings"),
    ],
)
def test_bad_input_is_refused_in_one_paragraph_and_nothing_is_written(
    arguments: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = () if "--policy" in arguments else ("--policy", "greedy")
    said = complaint(capsys, "demo", *policy, *arguments)
    assert words in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_in_use_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kpis.json").write_text("{}")
    said = complaint(capsys, "demo", "--policy", "greedy", "--run-dir", str(tmp_path))
    assert "is there already and not empty" in said
    assert [path.name for path in tmp_path.iterdir()] == ["kpis.json"]


@pytest.mark.parametrize(("name", "command"), [("demo", demo_command), ("up", up_command)])
def test_a_run_folder_says_what_is_run_before_the_first_node_starts(
    name: str, command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def run_fleet(specs: Any, members: Any, folder: Path, domain: int, lock: socket, **rest: Any) -> Outcome:
        with lock:
            started.append((read_context(folder), read_run_floorplan(folder)))
        return Outcome(130, "", None, [])

    monkeypatch.setattr(command, "run_fleet", run_fleet)
    folder = tmp_path / "run"
    with pytest.raises(SystemExit) as left:
        main([name, "--policy", "greedy", "--seed", "7", "--run-dir", str(folder)])
    assert left.value.code == {"demo": 130, "up": 0}[name]  # `up` runs until Ctrl-C, `demo` until its time is over
    [(context, plan)] = started
    assert (context.policy, context.seed, context.minutes) == ("greedy", 7, {"demo": 5.0, "up": 0.0}[name])
    assert (context.map, len(context.agents), context.clock) == (plan.name, 8, "lockstep")


def test_a_misspelt_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean 'demo'" in complaint(capsys, "dmo")


def test_a_damaged_bundle_is_refused_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.yaml").write_text("weights_sha256: 0123456789abcdef\n")
    (tmp_path / "weights.safetensors").write_bytes(b"cut off")
    said = complaint(capsys, "demo", "--policy", f"bundle:{tmp_path}", "--run-dir", str(tmp_path / "run"))
    assert "the weights are damaged or another bundle's" in said
    assert not (tmp_path / "run").exists()


def test_tables_are_whole_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    result = tmp_path / "eval.json"
    played = ("--policy", "greedy", "--policy", "contract-net", "--policy", "random")
    with pytest.raises(SystemExit) as left:
        main(["eval", *played, "--seeds", "2", "--minutes", "0.5", "--json", str(result)])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    lines = [line.split() for line in shown.splitlines() if line.strip()]
    assert lines[0] == ["greedy", "contract-net", "random"]
    runs = json.loads(result.read_text())["runs"]
    blocked = [f"{sum(run['blocked_s'] for run in runs[name]) / 2:.1f}" for name in lines[0]]
    assert next(line for line in lines if line[0] == "blocked")[2::2] == blocked
    with pytest.raises(SystemExit):
        main(["data"])
    assert "ODC-By-1.0 (MovingAI data); carrying repo MIT\n" in re.sub(" +\n", "\n", capsys.readouterr().out)


def test_eval_refuses_what_is_no_policy_before_any_has_played(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "eval", "--policy", "greedy", "--policy", "gredy", "--seeds", "1000", "--minutes", "1440")
    assert "saw 'gredy'" in said
