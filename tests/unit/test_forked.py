"""A process that begins as a copy of this one behaves as a fresh interpreter would."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from parley_bringup.forked import Forked, can_fork

SCRIPT = """
import json, os, sys, time
is_leader = os.getsid(0) == os.getpid()
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get("COLOUR"), "HOME" in os.environ, is_leader]))
print("a complaint", file=sys.stderr)
if "wait" in sys.argv:
    time.sleep(60)
sys.exit(7)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    return path


def ended(child: Forked) -> int:
    end = time.monotonic() + 20.0
    while child.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    code = child.poll()
    assert code is not None
    return code


def test_it_has_the_arguments_folder_environment_and_session_it_is_given(script: Path, tmp_path: Path) -> None:
    child = Forked([str(script), "a", "b c"], tmp_path / "log", {"COLOUR": "red"}, tmp_path)
    assert ended(child) == 7
    said, complaint = (tmp_path / "log").read_text().splitlines()
    assert json.loads(said) == [["a", "b c"], str(tmp_path), "red", False, True]
    assert complaint == "a complaint"
    assert os.environ.get("COLOUR") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(script: Path, tmp_path: Path, number: signal.Signals) -> None:
    child = Forked([str(script), "wait"], tmp_path / "log", {}, tmp_path)
    while "complaint" not in (tmp_path / "log").read_text() if (tmp_path / "log").exists() else True:
        time.sleep(0.02)
    os.killpg(child.pid, number)
    assert ended(child) == (1 if number == signal.SIGINT else -number)


def test_a_process_of_several_threads_does_not_copy_itself() -> None:
    is_over = threading.Event()
    other = threading.Thread(target=is_over.wait)
    other.start()
    try:
        assert not can_fork()
    finally:
        is_over.set()
        other.join()
