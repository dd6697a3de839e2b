"""The fused attention: the same values and gradients as plain torch, for shared senders and for lists of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policy_core.comm.fused import LANES, attend, attend_plainly
from policy_core.comm.layer import EDGE_SIZE

RECEIVERS, SENDERS, HEADS, DEPTH, LINKS = 3, 5, 2, 4, 7
PRECISIONS = ((torch.float64, 1e-10), (torch.float32, 1e-5))
BATCHES = (LANES, 2 * LANES + 3)  # one full tile; a tile that is not full


def draw(batch: int, precision: torch.dtype, is_sparse: bool) -> tuple[list[Tensor], list[Tensor | None]]:
    """What is differentiable, and edges, heard and senders; receiver 1 of fleet 0 hears nobody."""
    chance = torch.Generator().manual_seed(batch)
    links = LINKS if is_sparse else SENDERS

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance, dtype=precision)

    asked = normal(batch, RECEIVERS, HEADS * (DEPTH + EDGE_SIZE))  # the queries are strided views, as in the layer
    query, edge_query = asked.split((HEADS * DEPTH, HEADS * EDGE_SIZE), dim=-1)
    said = normal(2, batch, SENDERS, HEADS, DEPTH)
    shapes = (query.unflatten(-1, (HEADS, -1)), said[0], said[1], edge_query.unflatten(-1, (HEADS, -1)))
    heard = torch.rand(batch, RECEIVERS, links, generator=chance) < 0.6
    heard[0, 1] = False
    senders = torch.randint(SENDERS, (batch, RECEIVERS, links), generator=chance) if is_sparse else None
    return [part.detach().requires_grad_() for part in shapes], [normal(*heard.shape, EDGE_SIZE), heard, senders]


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS)
def test_fused_attention_is_plain_attention(
    precision: torch.dtype, tolerance: float, batch: int, is_sparse: bool
) -> None:
    learned, given = draw(batch, precision, is_sparse)
    fused, plain = attend(*learned, *given), attend_plainly(*learned, *given)
    slopes = [torch.randn_like(part) for part in fused]
    fused_grads = torch.autograd.grad(fused, learned, slopes)
    plain_grads = torch.autograd.grad(plain, learned, slopes)
    for seen, wanted in zip((*fused, *fused_grads), (*plain, *plain_grads), strict=True):
        assert wanted.abs().max() > 0.1
        torch.testing.assert_close(seen, wanted, atol=tolerance, rtol=tolerance)
    assert all(part[0, 1].abs().max() == 0 for part in (*fused, fused_grads[0], fused_grads[3]))


@pytest.mark.parametrize("is_sparse", [False, True])
def test_its_gradient_is_that_of_finite_differences(is_sparse: bool) -> None:
    learned, given = draw(LANES if not is_sparse else LANES // RECEIVERS + 1, torch.float64, is_sparse)
    assert torch.autograd.gradcheck(lambda *parts: attend(*parts, *given), learned, fast_mode=True)


def test_what_is_not_heard_has_no_influence_and_gets_no_gradient() -> None:
    (query, key, value, edge_query), (edges, heard, _) = draw(LANES, torch.float32, False)
    assert edges is not None and heard is not None
    heard[..., 2] = False
    loud_key, loud_value = key.detach().clone(), value.detach().clone()
    loud_key[:, 2], loud_value[:, 2] = 1e6, 1e6
    quiet, loud = (attend(query, k, v, edge_query, edges, heard) for k, v in ((key, value), (loud_key, loud_value)))
    assert all(torch.equal(one, other) for one, other in zip(quiet, loud, strict=True))
    gradients = torch.autograd.grad(quiet[0].square().sum(), (key, value))
    assert all(part[:, 2].abs().max() == 0 for part in gradients)


def test_huge_scores_stay_finite() -> None:
    learned, given = draw(LANES, torch.float32, False)
    scaled = [part * 1e3 for part in learned]
    outcome = torch.cat(attend(*scaled, *given), dim=-1)
    torch.testing.assert_close(outcome, torch.cat(attend_plainly(*scaled, *given), dim=-1), rtol=1e-4, atol=1e-2)
    assert torch.isfinite(torch.autograd.grad(outcome.sum(), learned)[0]).all()


def test_what_is_not_a_number_stays_so_and_stays_where_it_is() -> None:
    learned, given = draw(LANES, torch.float32, False)
    heard = torch.ones_like(given[1])
    with torch.no_grad():
        learned[0][3, 1, 0, 2] = torch.nan
        values, _ = attend(*learned, given[0], heard)
    spoiled = torch.zeros_like(values, dtype=torch.bool)
    spoiled[3, 1, :DEPTH] = True  # one receiver, one head
    assert torch.equal(values.isnan(), spoiled)
