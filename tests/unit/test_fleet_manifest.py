from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from parley_agents.fleet import read_fleet
from parley_bringup.paths import home
from policy_core.config import ConfigError
from policy_core.contract import read_contract

DEMO = home() / "config" / "fleets" / "demo.yaml"
CONTRACT = read_contract(home() / "config" / "contract.yaml")


def write(folder: Path, **changes: object) -> Path:
    content = yaml.safe_load(DEMO.read_text())
    content["agents"][0].update(changes)
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_demo_fleet_is_the_one_the_worlds_are_built_for() -> None:
    fleet = read_fleet(DEMO, CONTRACT)
    assert fleet.names == (
        *("forklift_1", "forklift_2", "forklift_3", "forklift_4"),
        *("inventory_1", "inventory_2", "quality_1", "quality_2"),
    )
    assert fleet.of_kind("quality") == ("quality_1", "quality_2")
    assert fleet.is_simulated
    hosts = fleet.hosts()
    assert hosts["stations"] == ("inventory_1", "inventory_2", "quality_1", "quality_2")
    assert len(hosts) == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "forklfit"}, "unknown kind 'forklfit'; did you mean 'forklift'"),
        ({"name": "forklift_2"}, "agent names must be unique; twice: forklift_2"),
        ({"name": "tasks"}, "'tasks' begins topics of the whole fleet"),
        ({"name": "Forklift-1"}, "agents.0.name"),
        ({"backend": "magic"}, "'sim' or 'hardware'"),
        ({"knid": "forklift"}, "knid: unknown key; did you mean 'kind'"),
    ],
)
def test_bad_manifests_are_refused_in_words(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match="(?s).*" + words):
        read_fleet(write(tmp_path, **changes), CONTRACT)


def test_one_real_body_makes_the_fleet_no_longer_simulated(tmp_path: Path) -> None:
    assert not read_fleet(write(tmp_path, backend="hardware"), CONTRACT).is_simulated
