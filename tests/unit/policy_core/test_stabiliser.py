"""Messages link by link: the same result, and every link's gradient watched and bounded by itself."""

from __future__ import annotations

import pytest
import torch

from policy_core.agents.actions import judge
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.comm.channel import Links
from policy_core.comm.layers import LAYERS, LayerName
from policy_core.comm.stabiliser import GradientStabiliser
from tests.support.small_fleets import draw_senses, in_double, make_policy, perfect_links

KINDS = ("scout", "lifter")
every_layer = pytest.mark.parametrize("layer", list(LAYERS))


def as_lists(links: Links) -> Links:
    """The same links, as lists of the other agents in a mixed order, and a place that nobody fills."""
    agents = links.heard.shape[-1]
    order = torch.randperm(agents, generator=torch.Generator().manual_seed(0))
    senders = torch.stack([torch.cat((order[order != receiver], order[:1])) for receiver in range(agents)])
    senders = senders.expand(len(links.heard), -1, -1).contiguous()
    index = senders.unsqueeze(1).expand(-1, links.heard.shape[1], -1, -1)
    heard = links.heard.gather(-1, index)
    heard[..., -1] = False
    return Links(heard, links.age.gather(-1, index), senders)


def gradients(policy: FleetPolicy, links: Links, tap: GradientStabiliser | None) -> list[torch.Tensor]:
    senses = in_double(draw_senses())
    policy.zero_grad()
    answer = policy(senses, links._replace(age=links.age.double()), tap=None if tap is None else tap.tap)
    judge(policy.contract, answer, torch.zeros(3, 5, 1))[0].sum().backward()
    return [weight.grad.clone() for weight in policy.parameters() if weight.grad is not None]


@every_layer
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("tapped", [False, True])
def test_lists_and_copies_on_links_give_the_same_values_and_gradients(
    layer: LayerName, listed: bool, tapped: bool
) -> None:
    policy = make_policy(layer=layer).double()
    links = perfect_links(draw_senses())
    links.heard[:, :, 0, 3] = False
    wanted = gradients(policy, links, None)
    tap = GradientStabiliser(2, KINDS, 0.0, "cpu") if tapped else None
    seen = gradients(policy, as_lists(links) if listed else links, tap)
    for mine, other in zip(wanted, seen, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-10, rtol=1e-8)


@every_layer
@pytest.mark.parametrize("listed", [False, True])
def test_no_link_carries_more_than_the_limit(layer: LayerName, listed: bool) -> None:
    policy, links = make_policy(layer=layer).double(), perfect_links(draw_senses())
    links = as_lists(links) if listed else links
    free, limit = GradientStabiliser(2, KINDS, 0.0, "cpu"), 1e-5
    unclipped = gradients(policy, links, free)
    stabiliser = GradientStabiliser(2, KINDS, limit, "cpu")
    seen: list[torch.Tensor] = []
    tapped = stabiliser.tap

    def spy(round_index: int, messages: torch.Tensor, incoming: object) -> torch.Tensor:
        messages.register_hook(lambda _: None)  # before the stabiliser's hook: sees nothing of its change
        messages = tapped(round_index, messages, incoming)  # type: ignore[arg-type]
        messages.register_hook(lambda gradient: seen.append(gradient.norm(dim=-1)))  # after it
        return messages

    stabiliser.tap = spy  # type: ignore[method-assign]
    clipped = gradients(policy, links, stabiliser)
    assert max(float(norm.max()) for norm in seen) <= limit * (1 + 1e-9)
    assert any(not torch.allclose(mine, other) for mine, other in zip(unclipped, clipped, strict=True))


def test_the_log_counts_links_by_round_and_pair_of_kinds() -> None:
    policy, links = make_policy().double(), perfect_links(draw_senses())
    stabiliser = GradientStabiliser(2, KINDS, 0.0, "cpu")
    gradients(policy, links, stabiliser)
    # 3 fleets of 3 scouts and 2 lifters, all in range: receiver kind by sender kind
    assert stabiliser.sums[0, :, 0].tolist() == [3 * 6, 3 * 6, 3 * 6, 3 * 2]
    figures = stabiliser.figures()
    assert figures["message gradient share/round 1/scout to lifter"] == 1.0
    assert figures["message gradient norm/round 2/lifter to lifter"] > 0
    links.heard[:, :, :3] = False  # scouts hear nobody
    deaf = GradientStabiliser(2, KINDS, 0.0, "cpu")
    gradients(policy, links, deaf)
    assert "message gradient share/round 1/lifter to scout" not in deaf.figures()
