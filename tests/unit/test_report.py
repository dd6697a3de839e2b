"""Figures and tables of a run: every number against one computed by hand, every picture against its pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from nav_msgs.msg import Odometry
from rich.console import Console
from rosgraph_msgs.msg import Clock

from parley_bringup.report import palette
from parley_bringup.report.build import SUMMARY_FILE, build, read_run_summary
from parley_bringup.report.context import checked_out_commit, installed_versions
from parley_bringup.report.film import assemble_film
from parley_bringup.report.run_data import CARRYING, DROPPED, JOB_TYPES, VERBS, read_run
from parley_bringup.report.statistics import read_processes, summarise
from parley_bringup.report.tables import kpi_table, process_table
from parley_msgs.msg import Decision, Job, JobBoard, Kpis, RobotState, RobotStates, Tensor, TensorMessage
from parley_tasks.task_node import RESULT_FILE
from policy_core.config import ConfigError
from tests.support.hand_run import HandRun, at

AGENTS = (("forklift_1", "forklift"), ("quality_1", "quality"), ("quality_2", "quality"))


def say_message(run, wall, sender, tick, round_, values):
    message = TensorMessage(sender=sender, tick=tick, round=round_)
    values = np.asarray(values, dtype="<f4")
    message.tensor = Tensor(dtype_code=2, dtype_bits=32, dtype_lanes=1, shape=[values.size])
    message.tensor.data = values.tobytes()
    run.say(wall, "/fleet/messages", message)


def say_state(run, wall, simulated, x, y, yaw=0.0):
    clock, states = Clock(clock=at(simulated)), RobotStates()
    states.header.stamp = at(simulated)
    states.robots = [RobotState(name="forklift_1", x=x, y=y, yaw=yaw)]
    run.say(wall, "/clock", clock)
    run.say(wall, "/fleet/robots", states)


@pytest.fixture
def run_dir(tmp_path):
    """Two agents talk for 4 ticks of 1 s in 2 s of wall time; quality_2 never says a word."""
    run = HandRun(tmp_path / "run", AGENTS)
    job = Job(serial=9, pallet=3, type=Job.PICK, origin=0, target=1, robot="forklift_1")
    phases = (Decision.TO_PICK, Decision.CARRYING, Decision.CARRYING, Decision.DROPPED)
    for tick in range(4):
        say_state(run, 0.5 * tick, float(tick), x=2.0 + 3.0 * tick, y=4.0)
        for round_ in (1, 2):
            spread = 0.010 if round_ == 1 else 0.030
            say_message(run, 0.5 * tick + 0.1 * round_, "forklift_1", tick, round_, [tick, -tick, 0.0])
            say_message(run, 0.5 * tick + 0.1 * round_ + spread, "quality_1", tick, round_, [1.0, 1.0, 1.0])
        board = JobBoard(tick=tick, resolved=True, jobs=[job])
        run.say(0.5 * tick + 0.35, "/tasks/jobs", board)
        decision = Decision(sender="forklift_1", tick=tick, verb=Decision.CLAIM if tick == 0 else Decision.NONE)
        decision.job, decision.phase, decision.rounds_complete = 9, phases[tick], 2
        run.say(0.5 * tick + 0.4, "/fleet/decisions", decision)
        run.say(
            0.5 * tick + 0.4, "/fleet/decisions", Decision(sender="quality_1", tick=tick, job=-1, rounds_complete=1)
        )
        kpis = Kpis(tick=tick, names=["orders_done", "orders_on_time", "contacts"], values=[float(tick), 1.0, 0.0])
        run.say(0.5 * tick + 0.45, "/tasks/kpis", kpis)
    run.say(1.9, "/clock", Clock(clock=at(4.0)))
    run.say(1.9, "/forklift_1/odom", Odometry())  # recorded, but no business of the report
    return run.finish()


def test_numbers_in_words_match_the_interfaces():
    assert [getattr(Decision, verb.upper()) for verb in VERBS] == list(range(len(VERBS)))
    assert [getattr(Job, kind.upper()) for kind in JOB_TYPES] == list(range(len(JOB_TYPES)))
    assert (CARRYING, DROPPED) == (Decision.CARRYING, Decision.DROPPED)
    assert set(palette.VERBS) == set(VERBS)
    assert set(palette.JOBS) == set(JOB_TYPES)


def test_a_run_is_read_as_arrays(run_dir):
    run = read_run(run_dir)
    way = run.trajectories["forklift_1"]
    np.testing.assert_allclose(way.time, [0, 1, 2, 3])
    np.testing.assert_allclose(way.x, [2, 5, 8, 11])
    assert run.spoken.values.shape == (16, 3)
    mine = (run.spoken.sender == 0) & (run.spoken.tick == 3) & (run.spoken.round == 1)
    np.testing.assert_allclose(run.spoken.values[mine], [[3.0, -3.0, 0.0]])
    (job,) = run.jobs
    assert (job.robot, job.granted, job.picked, job.dropped) == ("forklift_1", 0, 1, 3)


def test_statistics_equal_those_counted_by_hand(run_dir):
    summary = summarise(read_run(run_dir))
    talk = summary.talk
    assert talk.messages == 16
    assert talk.senders_heard == ("forklift_1", "quality_1")
    assert talk.senders_silent == ("quality_2",)
    assert talk.messages_per_simulated_second == pytest.approx(16 / 4.0)
    assert talk.messages_per_second == pytest.approx(16 / 1.9)
    assert (talk.decisions, talk.rounds_expected, talk.rounds_complete) == (8, 16, 12)
    assert talk.rounds_complete_share == 0.75
    assert talk.round_spread_p50_ms == pytest.approx(20.0, abs=0.1)  # half the rounds take 10 ms, half 30 ms
    assert summary.kpis["orders_per_hour"] == pytest.approx(3 * 3600 / 4.0)
    assert summary.kpis["on_time_share"] == pytest.approx(1 / 3)
    assert summary.real_time_factor == pytest.approx(4.0 / 1.9)


def test_a_fleet_that_does_not_talk_has_no_share_of_rounds_and_no_picture_of_messages(tmp_path):
    run = HandRun(tmp_path / "run", AGENTS)
    for tick in range(3):
        say_state(run, float(tick), float(tick), x=1.0 + tick, y=1.0)
        run.say(tick + 0.1, "/fleet/decisions", Decision(sender="quality_1", tick=tick, job=-1))
    report = build(run.finish())
    assert report.summary.talk.rounds_complete_share is None
    assert "messages" not in report.files
    assert any("sends no messages" in note for note in report.notes)


def test_senders_that_lie_or_break_do_not_spoil_the_report(tmp_path):
    run = HandRun(tmp_path / "run", AGENTS)
    for tick in range(4):
        say_state(run, float(tick), float(tick), x=1.0, y=1.0)
        say_message(run, tick + 0.1, "quality_1", tick, 1, [1.0, np.nan if tick == 2 else tick, np.inf])
    say_message(run, 3.2, "quality_2", 2**64 - 1, 1, [1.0, 1.0, 1.0])  # a tick that never comes
    say_message(run, 3.3, "nobody", 3, 1, [1.0, 1.0, 1.0])
    report = build(run.finish())
    assert report.summary.talk.messages == 4
    assert report.summary.talk.senders_heard == ("quality_1",)
    assert report.files["messages"].is_file()


def test_build_draws_each_robot_and_each_job_in_its_colour(run_dir):
    report = build(run_dir)
    floor = imread(report.files["floor"])[..., :3]
    assert shows(floor, palette.robot_colour(0))
    assert shows(floor, palette.JOBS["pick"])
    assert not shows(floor, palette.robot_colour(3))  # there is no fourth robot


def test_build_draws_who_was_not_heard_in_grey_and_decisions_in_their_colour(run_dir):
    messages = imread(build(run_dir).files["messages"])[..., :3]
    assert shows(messages, palette.ABSENT)
    assert shows(messages, palette.VERBS["claim"])
    assert not shows(messages, palette.VERBS["reroute"])


def shows(picture, colour, pixels=20):
    """Whether at least so many pixels have a colour, blending at edges and the faded plan aside."""
    return int((np.abs(picture - np.array(to_rgb(colour))).max(axis=-1) < 0.02).sum()) >= pixels


def test_the_summary_is_written_with_what_was_run_and_read_back_alike(run_dir):
    report = build(run_dir)
    content = json.loads((run_dir / "kpis.json").read_text())
    assert content["context"]["seed"] == 1
    assert content["summary"]["kpis"]["orders_done"] == 3.0
    assert read_run_summary(run_dir) == report.summary
    assert not list(run_dir.glob("*.part"))


def test_a_recording_that_was_cut_off_is_reported_up_to_the_cut_and_finished(run_dir):
    path = run_dir / "run.mcap"
    (run_dir / "metadata.yaml").unlink()
    run, sizes = HandRun(run_dir / "cut", AGENTS), []
    for second in range(6):
        say_state(run, float(second), float(second), x=1.0, y=1.0)
        run.writer.flush()
        sizes.append(run.writer.size)
    whole = run.finish() / "run.mcap"
    path.write_bytes(whole.read_bytes()[: sizes[3] + 40])  # in the middle of the fifth second's chunk
    report = build(run_dir)
    assert any("run.mcap was cut off" in note for note in report.notes)
    assert report.summary.simulated_s == 3.0
    assert (run_dir / "metadata.yaml").is_file()
    assert not any("cut off" in note for note in build(run_dir).notes)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "run.json").unlink(), "no run.json"),
        (lambda folder: (folder / "run.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "run.mcap").unlink(), "no run.mcap"),
        (lambda folder: (folder / "floorplan.yaml").unlink(), "floorplan.yaml"),
        (lambda folder: (folder / "processes.json").write_text("{}"), "wanted a list"),
        (lambda folder: (folder / "processes.json").write_text('[{"name": "sim", "cpu": 1}]'), "cpu: unknown key"),
    ],
)
def test_a_damaged_run_folder_is_refused_in_words_and_nothing_is_written(run_dir, damage, words):
    damage(run_dir)
    with pytest.raises(ConfigError, match=words):
        build(run_dir)
    assert not (run_dir / "kpis.json").exists()


def test_the_report_and_the_ledger_write_files_of_their_own(run_dir):
    ledger = run_dir / RESULT_FILE
    ledger.write_text("{}")
    build(run_dir)
    assert ledger.read_text() == "{}"
    page = (Path(__file__).parents[2] / "docs" / "RUN_FOLDER.md").read_text()
    assert all(f"\n| `{name}`" in page for name in (RESULT_FILE, SUMMARY_FILE))


def test_the_comparison_has_a_column_per_run_and_marks_the_best(run_dir):
    greedy = summarise(read_run(run_dir))
    other = greedy.model_copy(
        update={"name": "contract-net", "kpis": greedy.kpis | {"orders_done": 5.0, "contacts": 2}}
    )
    table = kpi_table([greedy, other], title="same seed")
    assert [column.header for column in table.columns] == ["", "greedy", "contract-net"]
    console = Console(width=100, record=True, force_terminal=True)
    console.print(table)
    shown = console.export_text(styles=True)
    assert "\x1b[1;32m5" in shown.replace(" ", "")  # more orders done is better
    contacts = next(line for line in shown.splitlines() if "contacts" in line)
    assert "\x1b[1;32m0" in contacts.replace(" ", "")  # fewer contacts are better


def test_process_shares_are_processor_time_by_wall_time(run_dir):
    use = {"name": "parley_sim", "pid": 7, "cpu_s": 5.0, "peak_rss_mb": 210.0, "wall_s": 20.0, "restarts": 1}
    (run_dir / "processes.json").write_text(json.dumps([use]))
    (process,) = read_processes(run_dir)
    assert process.cpu_share == 0.25
    console = Console(width=100, record=True)
    console.print(process_table([process]))
    assert "25%" in console.export_text()


def test_frames_become_a_film_once(tmp_path):
    from imageio.v2 import get_reader, imwrite

    assert assemble_film(tmp_path) is None
    (tmp_path / "frames").mkdir()
    for number in range(5):
        imwrite(tmp_path / "frames" / f"{number:05d}.png", np.full((32, 48, 3), 50 * number, dtype=np.uint8))
    film = assemble_film(tmp_path)
    assert film.name in ("fleet.mp4", "fleet.gif")
    with get_reader(film) as reader:
        brightness = [float(np.mean(frame)) for frame in reader]
    assert len(brightness) == 5
    assert brightness == sorted(brightness)
    assert sorted(path.name for path in tmp_path.iterdir()) == [film.name, "frames"]
    stamp = film.stat().st_mtime_ns
    assert assemble_film(tmp_path) == film
    assert film.stat().st_mtime_ns == stamp


def test_what_was_installed_and_checked_out_is_told():
    assert {"python", "numpy"} <= set(installed_versions())
    assert checked_out_commit(Path("/")) == ""
