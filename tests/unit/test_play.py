"""`parley play`: the run that `parley eval` plays, drawn; a file whole or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from parley_bringup.cli.main import main
from parley_bringup.cli.picture_files import PictureFile
from parley_bringup.cli.played_scenes import links_of, open_world, policy_maker, scenes_of
from parley_bringup.run_choices import read_plan
from policy_core.config import ConfigError
from policy_core.contract import read_contract
from policy_core.export.bundle import read_bundle
from policy_core.serving.onboard import OnboardPolicy
from sim.fast.evaluate import play
from sim.warehouse.settings import read_warehouse

CONFIG = Path(__file__).parents[2] / "config"
CONTRACT = read_contract(CONFIG / "contract.yaml")
SETTINGS = read_warehouse(CONFIG / "warehouse.yaml")


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["play", *words])
    return int(left.value.code or 0)


def test_a_film_has_the_pictures_it_should_and_the_run_is_that_of_eval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film, told = tmp_path / "a" / "play.mp4", tmp_path / "play.json"
    words = (
        "--policy",
        "greedy",
        "--minutes",
        "0.5",
        "--seed",
        "2",
        "--speed",
        "5",
        "--fps",
        "10",
        "--size",
        "640x400",
    )
    assert command(*words, "--out", str(film), "--json", str(told)) == 0
    reader = imageio.get_reader(film)
    assert reader.count_frames() == 61  # one every half second, and the last
    assert reader.get_meta_data()["fps"] == 10
    first, last = reader.get_data(0).astype(int), reader.get_data(60).astype(int)
    assert first.shape == (400, 640, 3)
    assert (np.abs(first - last).max(axis=2) > 60).sum() > 500  # robots have left, the clock has gone on
    assert [path.name for path in film.parent.iterdir()] == ["play.mp4"]
    result = json.loads(told.read_text())
    assert "orders" in capsys.readouterr().out and result["frames"] == 61
    world = open_world("fast", read_plan(None), SETTINGS, CONTRACT, 4, 30.0)
    wanted = play(world, policy_maker("greedy", CONTRACT, 2)[1], 2, reach=SETTINGS.radio.range)
    counted = {name: value for name, value in wanted.items() if name not in ("reward", "alive_s")}
    assert result["kpis"] == counted


@pytest.mark.parametrize(("name", "count"), [("play.gif", 13), ("play.png", 1)])
def test_an_animation_and_a_picture(name: str, count: int, tmp_path: Path) -> None:
    out = tmp_path / name
    assert command("--policy", "random", "--minutes", "0.1", "--fps", "20", "--size", "640x400", "--out", str(out)) == 0
    frames = imageio.mimread(out)
    assert len(frames) == count and frames[0].shape[:2] == (400, 640)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_shipped_bundle_tells_whom_it_listens_to_and_decides_the_same() -> None:
    bundle = read_bundle(CONFIG / "bundles" / "demo", CONTRACT)
    world = open_world("fast", read_plan(None), SETTINGS, CONTRACT, 4, 60.0)
    name, watched, has_links = policy_maker(str(CONFIG / "bundles" / "demo"), CONTRACT, 0)
    assert (name, has_links) == ("bundle:demo", True)
    scenes = list(scenes_of(world, watched, 5, 60, SETTINGS.radio.range, 0.0))
    assert scenes[0].links is None
    links = np.array([scene.links for scene in scenes[1:]])
    np.testing.assert_allclose(links.sum(axis=2), 1.0, atol=1e-5)
    assert np.abs(links[:, range(8), range(8)]).max() == 0.0
    assert np.ptp(links, axis=0).max() > 0.1  # how much one listens to another changes
    assert (links.argmax(axis=2) != links[0].argmax(axis=1)).any()  # and whom one listens to most
    plain = play(world, lambda kind, n: OnboardPolicy(bundle, kind, n + 1), 5, reach=SETTINGS.radio.range)
    plain.pop("reward"), plain.pop("alive_s")
    assert scenes[-1].kpis == plain
    near = np.array([scene.links for scene in list(scenes_of(world, watched, 5, 60, 12.0, 0.0))[1:]])
    assert near.std(axis=0).max() > 0.05  # those whom one hears come and go
    out_of_range = list(scenes_of(world, watched, 5, 2, 0.0, 0.0))
    assert out_of_range[-1].links is not None and out_of_range[-1].links.max() == 0.0


def test_baselines_tell_of_no_links() -> None:
    make_policy: Callable = policy_maker("contract-net", CONTRACT, 0)[1]
    assert links_of([make_policy("forklift", 0)]) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy", "gredy"), "wanted one of greedy, contract-net, random, bundle:FOLDER, saw 'gredy'"),
        (("--policy", "bundle:absent"), "is no policy bundle"),
        (("--world", "slow"), "--world: wanted one of fast, bullet"),
        (("--view", "side"), "--view: wanted one of top, camera"),
        (("--size", "large"), "--size: saw 'large'"),
        (("--size", "641x400"), "picture size: saw 641x400"),
        (("--out", "play.avi"), "wanted a name that ends in .mp4, .gif, .png"),
        (("--out", "play.gif", "--fps", "60"), "a GIF shows 50 pictures a second at most"),
        (("--map", "absent.yaml"), "absent.yaml: no such file"),
        (("--forklifts", "30"), "the plan parks 1 to"),
        (("--window",), "write a film or picture instead"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    policy = () if "--policy" in words else ("--policy", "greedy")
    assert command("--minutes", "0.1", *policy, *words) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["play.mp4", "play.gif", "play.png"])
def test_a_file_that_breaks_off_leaves_the_older_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("older")

    def break_off() -> None:
        with PictureFile(path, (64, 64), 10.0) as out:
            out.add(np.zeros((64, 64, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert path.read_text() == "older" and [each.name for each in tmp_path.iterdir()] == [name]
    with PictureFile(path, (64, 64), 10.0) as out:
        out.add(np.zeros((64, 64, 3), np.uint8))
    assert imageio.mimread(path)[0].shape[:2] == (64, 64)


def test_an_encoder_that_dies_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    def film() -> None:
        with PictureFile(tmp_path / "a.mp4", (64, 64), 10.0) as out:
            out._writer._process.kill()
            out._writer._process.wait()
            for _ in range(100):
                out.add(np.zeros((64, 64, 3), np.uint8))

    with pytest.raises(ConfigError, match="is the disk full"):
        film()
    assert list(tmp_path.iterdir()) == []
