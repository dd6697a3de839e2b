"""Whatever bytes a map file holds, importers give a plan or a ConfigError in words, soon, and write nothing else."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from policy_core.config import ConfigError
from sim.warehouse.maps.formats import FORMATS, import_map
from sim.warehouse.maps.imported import Choices
from sim.warehouse.maps.scenarios import read_scenarios
from sim.warehouse.maps.settings import read_import_settings
from tests.support import map_samples as samples
from tests.support.real_data import TOP

SETTINGS = read_import_settings(TOP / "config" / "import.yaml").model_copy(update={"tries": 1, "ways": (2.0,)})
LONGEST = 20.0  # s: generous, as machines are shared; a hang is far longer
NAMES = {"map_server": ("hall.yaml", "hall.pgm"), "lorr": ("hall.json", "hall.map", "hall.agents", "hall.tasks")}
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(path: Path, form: str | None) -> None:
    """Import; only a ConfigError with words may come out, and no file may."""
    before = {file: file.stat().st_size for file in path.parent.iterdir()}
    began = time.monotonic()
    try:
        found = import_map(path, SETTINGS, Choices(), form)
    except ConfigError as error:
        words = str(error)
    else:
        words = " ".join(found.plan.assumptions)
    assert len(words) > 20
    assert time.monotonic() - began < LONGEST
    assert {file: file.stat().st_size for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("form", FORMATS)
@QUICK
@given(data=some.data())
def test_a_broken_sample_is_a_plan_or_refused_in_words(tmp_path: Path, form: str, data: some.DataObject) -> None:
    path = samples.write(tmp_path, form)
    target = path.parent / data.draw(some.sampled_from(NAMES.get(form, (path.name,))))
    content = bytearray(target.read_bytes())
    for _ in range(data.draw(some.integers(0, 4))):
        content[data.draw(some.integers(0, len(content) - 1))] = data.draw(some.integers(0, 255))
    if data.draw(some.booleans()):
        at = data.draw(some.integers(0, len(content)))
        content[at : at + data.draw(some.integers(0, 40))] = data.draw(some.binary(max_size=12))
    if data.draw(some.booleans()):
        content = content[: data.draw(some.integers(0, len(content)))]
    target.write_bytes(bytes(content))
    survives(path, data.draw(some.sampled_from([None, form])))


@pytest.mark.parametrize("form", FORMATS)
@QUICK
@given(content=some.one_of(some.binary(max_size=200), some.text(max_size=200).map(str.encode)))
def test_any_bytes_at_all_are_a_plan_or_refused_in_words(tmp_path: Path, form: str, content: bytes) -> None:
    (tmp_path / "any").write_bytes(content)
    survives(tmp_path / "any", form)


@QUICK
@given(
    value=some.one_of(
        some.none(), some.booleans(), some.integers(), some.floats(), some.text(), some.lists(some.none())
    )
)
def test_any_value_at_any_key_of_a_layout_is_a_plan_or_refused(tmp_path: Path, value: object) -> None:
    for key in (
        "nodeId",
        "nodePosition",
        "x",
        "startNodeId",
        "maxSpeed",
        "interactionNodeIds",
        "stationPosition",
        "nodes",
    ):
        layout = json.loads(
            samples.lif(), object_pairs_hook=lambda pairs, key=key: {k: value if k == key else v for k, v in pairs}
        )
        (tmp_path / "ring.json").write_text(json.dumps(layout))
        survives(tmp_path / "ring.json", None)


@QUICK
@given(
    content=some.one_of(
        some.binary(max_size=200), some.text(alphabet="\t\n 0123456789.naif", max_size=200).map(str.encode)
    )
)
def test_any_scenario_file_is_read_or_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.scen"
    path.write_bytes(b"version 1\n" + content)
    with contextlib.suppress(ConfigError):
        assert read_scenarios(path, (2, 3), SETTINGS)


def test_the_check_sees_an_exception_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(*_: object) -> None:
        raise KeyError("row")

    path = samples.write(tmp_path, "rware")
    monkeypatch.setitem(FORMATS, "rware", FORMATS["rware"]._replace(read=stumbles))
    with pytest.raises(KeyError):
        survives(path, None)
