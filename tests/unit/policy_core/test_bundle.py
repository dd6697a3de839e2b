"""A bundle travels whole, and every way to spoil one is told in words."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from policy_core.contract import Contract
from policy_core.export.bundle import BundleError, Provenance, compare_contracts, read_bundle, write_bundle
from policy_core.export.checkpoint import export_run
from policy_core.export.verify import verify_bundle
from policy_core.ppo.checkpoint import read_checkpoint
from policy_core.ppo.train import train
from tests.support.small_fleets import COUNTS, make_contract, make_policy
from tests.support.training_runs import tiny_settings

PROVENANCE = Provenance(settings={}, frames=0, git_commit="unknown", trained_fleet=COUNTS)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", make_policy(), 0.5, PROVENANCE)
    return tmp_path / "bundle"


def edit(bundle: Path, **changes: object) -> None:
    manifest = yaml.safe_load((bundle / "manifest.yaml").read_text())
    (bundle / "manifest.yaml").write_text(yaml.safe_dump(manifest | changes))


def test_a_bundle_holds_the_fleet_policy_and_nothing_else(bundle: Path) -> None:
    policy = make_policy()
    read = read_bundle(bundle, make_contract())
    assert sorted(path.name for path in bundle.iterdir()) == ["manifest.yaml", "weights.safetensors"]
    assert read.policy.state_dict().keys() == policy.state_dict().keys()
    assert all(torch.equal(weight, policy.state_dict()[name]) for name, weight in read.policy.state_dict().items())
    assert not any("critic" in name for name in read.policy.state_dict())


def test_the_protocol_changes_with_comm_weights_and_contract_only(bundle: Path, tmp_path: Path) -> None:
    first = read_bundle(bundle).protocol_id
    assert 0 < first < 2**64
    other_actor = make_policy()
    with torch.no_grad():
        other_actor.actors["scout"].encoder.body[0].weight += 1
    write_bundle(tmp_path / "actor", other_actor, 0.5, PROVENANCE)
    assert read_bundle(tmp_path / "actor").protocol_id == first
    other_comm = make_policy()
    with torch.no_grad():
        other_comm.comm[1].head.weight[0, 0] += 1e-6
    write_bundle(tmp_path / "comm", other_comm, 0.5, PROVENANCE)
    assert read_bundle(tmp_path / "comm").protocol_id != first


def test_truncated_weights(bundle: Path) -> None:
    weights = bundle / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BundleError, match="truncated, corrupt or another bundle's"):
        read_bundle(bundle)


def test_one_flipped_bit(bundle: Path) -> None:
    weights = bundle / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match="truncated, corrupt or another bundle's"):
        read_bundle(bundle)


def test_missing_parts(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        read_bundle(tmp_path / "nowhere")
    (bundle / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors: cannot be read"):
        read_bundle(bundle)
    (bundle / "manifest.yaml").unlink()
    with pytest.raises(BundleError, match="no such file"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"protocol_id": "0" * 16}, "manifest says protocol 0000"),
        ({"contract_digest": "0" * 64}, "manifest says contract 0000"),
        ({"format": 9}, "bundle format 9"),
        ({"architectur": {}}, "did you mean 'architecture'"),
        ({"architecture": {"hidden": 32, "heads": 4, "attention": 8, "candidate": 8}}, "weight 'actors"),
    ],
)
def test_an_edited_manifest(bundle: Path, changes: dict[str, object], told: str) -> None:
    edit(bundle, **changes)
    with pytest.raises(BundleError, match=told):
        read_bundle(bundle)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    policy = make_policy()
    with torch.no_grad():
        policy.comm[0].head.bias[0] = float("nan")
    write_bundle(tmp_path / "bundle", policy, 0.5, PROVENANCE)
    with pytest.raises(BundleError, match=r"'comm.0.head.bias' holds NaN"):
        read_bundle(tmp_path / "bundle")


def changed_contract(path: tuple[str | int, ...], value: object) -> Contract:
    content = make_contract().plain()
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return Contract.model_validate(content)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("rounds",), 3, "rounds is 2 in the bundle, 3 here"),
        (("kinds", "lifter", "candidates"), 7, r"lifter\.candidates is 6 in the bundle, 7 here"),
        (("kinds", "scout", "observation", 0, "high"), 2.0, r"scout\.observation field 'view' is .*\"high\": 1.0"),
        (("kinds", "scout", "observation", 0, "about"), "words", ""),
    ],
)
def test_another_contract_is_refused_by_the_name_of_the_field(
    bundle: Path, path: tuple[str | int, ...], value: object, told: str
) -> None:
    contract = changed_contract(path, value)
    if not told:
        assert read_bundle(bundle, contract).protocol_id  # descriptions may differ
        assert contract.digest() == make_contract().digest()
        return
    with pytest.raises(BundleError, match=told):
        read_bundle(bundle, contract)


def test_contracts_with_other_kinds_differ() -> None:
    content = make_contract().plain()
    del content["kinds"]["lifter"]
    assert compare_contracts(make_contract(), Contract.model_validate(content)).startswith("kinds are scout, lifter")


def test_a_bundle_is_written_whole_or_not_at_all(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(bundle, make_policy(seed=5), 0.5, PROVENANCE)
    before = read_bundle(bundle).protocol_id
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(BundleError, match="cannot be written"):
            write_bundle(bundle, make_policy(seed=5), 0.5, PROVENANCE, replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_bundle(bundle).protocol_id == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    write_bundle(bundle, make_policy(seed=5), 0.5, PROVENANCE, replace=True)
    assert read_bundle(bundle).protocol_id != before


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(tmp_path, make_policy(), 0.5, PROVENANCE, replace=True)
    assert (tmp_path / "letter.txt").exists()


def test_a_training_run_becomes_a_verified_bundle(tmp_path: Path) -> None:
    settings = tiny_settings(frames=2 * 32 * 16 * 3)
    train(settings, tmp_path / "run", console=Console(quiet=True))
    manifest = export_run(tmp_path / "run", tmp_path / "bundle")
    assert manifest.provenance.trained_fleet == {"sender": 1, "actor": 2}
    assert manifest.provenance.frames == settings.frames
    assert "return silenced" in manifest.provenance.evaluation
    found = verify_bundle(tmp_path / "bundle", trials=5)
    assert found.greatest_difference < 1e-5
    assert found.same_choices == found.choices == 15
    trained = read_checkpoint(tmp_path / "run" / "best.pt")["policy"]
    read = read_bundle(tmp_path / "bundle").policy.state_dict()
    assert all(torch.equal(read[name], trained[name]) for name in read)


def test_other_choices_and_controls_make_another_contract() -> None:
    field = {"name": "speed", "unit": "m/s", "low": 0, "high": 1}

    def contract(options: int, high: float) -> Contract:
        kind = {"observation": [field], "choices": [{"name": "gear", "options": options}]}
        kind["controls"] = [field | {"high": high}]
        content = {"version": 1, "message_size": 2, "rounds": 1, "tick": 1.0, "kinds": {"cart": kind}}
        return Contract.model_validate(content)

    assert compare_contracts(contract(3, 1), contract(3, 1)) == ""
    assert "cart.choices field 'gear'" in compare_contracts(contract(3, 1), contract(4, 1))
    assert "cart.controls field 'speed'" in compare_contracts(contract(3, 1), contract(3, 2))
