"""`parley analyze` from the command line: one page that needs no network, JSON beside it, and refusals in words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from parley_bringup.cli.main import main

SETTINGS = """
worlds: 12
ticks: 40
every: 5
permutations: 199
bootstraps: 100
listening: {ticks: 2, donors: 1}
worth: {modes: [silence], pair_modes: []}
clusters: {most: 2, points: 50, stability: 5}
topography: {ticks: 4}
"""


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("analysis")
    (folder / "settings.yaml").write_text(SETTINGS)
    out = folder / "report.html"
    main_done(["analyze", "--config", str(folder / "settings.yaml"), "--out", str(out), "--seed", "5"])
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "settings.yaml"]
    return out.read_text(encoding="utf-8"), json.loads((folder / "report.json").read_text())


def main_done(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0


@pytest.mark.timeout(600)
def test_the_page_is_whole_in_itself(analysed: Any) -> None:
    page, result = analysed
    assert len(re.findall(r"src='data:image/png;base64,[A-Za-z0-9+/=]{1000,}'", page)) == 6
    assert page.count("src=") == 6 and "href" not in page and "http" not in page and "<script" not in page
    assert all(sentence.split(" (")[0][:40] in page for sentence in result["sentences"])


def test_every_figure_says_where_it_comes_from_and_how_sure_it_is(analysed: Any) -> None:
    _, result = analysed
    assert len(result["weights_sha256"]) == 64 and result["settings"]["seed"] == 5 and "commit" in result
    assert len(result["sentences"]) == 3
    figures = result["figures"]
    assert figures["control"] == 0.0
    for family in ("signalling", "consistency", "numbers", "listening", "fields", "worth", "topography", "clusters"):
        assert figures[family], family
        for line in figures[family]:
            assert 0 < line["p"] <= 1 or (line["p"] == 0 and family in ("listening", "fields")), (family, line)
            assert line["worlds"] <= 12 and isinstance(line["found"], bool)
    for family, name in (("listening", "nats"), ("worth", "cost"), ("topography", "spearman"), ("fields", "nats")):
        for line in figures[family]:
            low, high = line[name]["interval"]
            assert (low <= line[name]["value"] + 1e-9 and line[name]["value"] <= high + 1e-9) or family == "topography"
            assert "null" in line[name]


def test_nothing_in_the_json_is_beyond_json(analysed: Any) -> None:
    _, result = analysed
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["absent"], "is no policy bundle"),
        (["--worlds", "3"], "worlds: Input should be greater than or equal to 12"),
        (["--config", "absent.yaml"], "absent.yaml: no such file"),
        (["--minutes", "0.1"], "ticks: Input should be greater than or equal to 16"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["analyze", *words])
    assert left.value.code == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
