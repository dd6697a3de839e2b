"""config/bodies.yaml and its model."""

from pathlib import Path

import pytest
import yaml

from policy_core.config import ConfigError
from sim.warehouse.bodies import Bodies, read_bodies

SHIPPED = Path(__file__).parents[3] / "config" / "bodies.yaml"


def test_the_shipped_file_has_every_key_of_the_model():
    assert yaml.safe_load(SHIPPED.read_text()) == read_bodies(SHIPPED).model_dump()


def changed(tmp_path: Path, section: str, key: str, value: object) -> Path:
    content = yaml.safe_load(SHIPPED.read_text())
    content[section][key] = value
    path = tmp_path / "bodies.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_misspelt_key_is_named_with_the_right_one(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'mass'"):
        read_bodies(changed(tmp_path, "pallet", "mas", 3))


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("forks", "spread", 0.45, "pocket"),
        ("forks", "thickness", 0.1, "go under"),
        ("forklift", "mass", -1.0, "forklift.mass"),
    ],
)
def test_bodies_that_do_not_fit_are_refused(tmp_path, section, key, value, words):
    with pytest.raises(ConfigError, match=words):
        read_bodies(changed(tmp_path, section, key, value))


def test_bodies_is_frozen():
    bodies: Bodies = read_bodies(SHIPPED)
    with pytest.raises(ValueError, match="frozen"):
        bodies.pallet.mass = 3.0
