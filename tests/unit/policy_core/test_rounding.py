"""Rounding: the grid, and what each way of learning through it says, against formulae written here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policy_core.comm.layer import LayerSizes
from policy_core.comm.layers import LAYERS, LayerName, make_layer
from policy_core.comm.rounding import Rounding, draw_bits, express, quantise, to_grid
from policy_core.comm.wire import decode_values

SIZES = LayerSizes(hidden=8, heads=4, attention=8, message=3, kinds=2, bits=4)
every_number = pytest.mark.parametrize("bits", range(1, 17))


@pytest.mark.parametrize(
    ("bits", "expected"), [(1, [-1.0, 1.0, 1.0]), (2, [-1.0, 1 / 3, 1.0]), (32, [-0.9, 0.2, 0.95])]
)
def test_rounding_to_bits_with_a_straight_through_gradient(bits: int, expected: list[float]) -> None:
    message = torch.tensor([-0.9, 0.2, 0.95], requires_grad=True)
    rounded = quantise(message, bits)
    torch.testing.assert_close(rounded, torch.tensor(expected))
    (rounded * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert message.grad is not None
    assert message.grad.tolist() == [1.0, 2.0, 3.0]


@every_number
def test_the_grid_is_even_in_one_and_rounding_finds_its_nearest_number(bits: int) -> None:
    codes = torch.arange(2**bits, dtype=torch.float32)
    numbers = to_grid(codes, bits)
    assert numbers[0] == -1
    assert numbers[-1] == 1
    np.testing.assert_allclose(numbers.numpy(), np.linspace(-1, 1, 2**bits), atol=1e-7, rtol=0)
    assert torch.equal(quantise(numbers, bits), numbers)  # exactly: what is rounded stays as it is
    message = torch.linspace(-1, 1, 1001)
    assert (quantise(message, bits) - message).abs().max() <= 1 / (2**bits - 1) + 1e-6


@every_number
def test_codes_off_the_wire_are_the_very_floats_of_the_trainer(bits: int) -> None:
    codes = np.arange(2**bits, dtype=np.uint8 if bits <= 8 else np.uint16)
    trained = quantise(torch.from_numpy(np.linspace(-1, 1, 2**bits)).float().requires_grad_(), bits)
    assert decode_values(codes, bits).tobytes() == trained.detach().numpy().tobytes()


def test_dru_regularises_in_training_and_discretises_in_execution() -> None:
    raw = torch.tensor([-2.0, -0.3, 0.0, 0.7], requires_grad=True)
    noise = torch.tensor([0.5, -0.5, 0.1, 0.2])
    said = express(raw, 1, "dru", 1.0, noise, learning=True)
    wanted = torch.tanh(raw.detach() + noise)
    torch.testing.assert_close(said.detach(), wanted)
    (gradient,) = torch.autograd.grad(said.sum(), raw)
    torch.testing.assert_close(gradient, 1 - wanted.square())
    executed = express(raw, 1, "dru", 1.0, noise, learning=False)
    assert executed.tolist() == [-1.0, -1.0, -1.0, 1.0]  # 1 where the paper's 1{m > 0} is


def test_gumbel_draws_hard_bits_with_the_gradient_of_the_binary_concrete() -> None:
    temperature, bits = 0.7, 2
    logits = torch.tensor([[0.4, -1.0, 2.0, 0.1]], requires_grad=True)  # two numbers, low bit first
    noise = torch.tensor([[-1.0, 1.5, 0.3, -0.2]])
    said = draw_bits(logits, bits, noise, temperature)
    # bits 0 1 | 1 0: codes 2 and 1 of 0..3
    torch.testing.assert_close(said.detach(), torch.tensor([[2 / 3 * 2 - 1, 2 / 3 * 1 - 1]]))
    (gradient,) = torch.autograd.grad((said * torch.tensor([1.0, 10.0])).sum(), logits)
    soft = torch.sigmoid((logits.detach() + noise) / temperature)
    weight = torch.tensor([[1.0, 2.0, 10.0, 20.0]]) * 2 / 3
    torch.testing.assert_close(gradient, weight * soft * (1 - soft) / temperature)
    likelier = express(logits, bits, "gumbel", temperature, noise, learning=False)
    torch.testing.assert_close(likelier.detach(), torch.tensor([[2 / 3 * 1 - 1, 1.0]]))  # bits 1 0 | 1 1


def test_gumbels_bits_are_drawn_with_the_sigmoid_of_their_logit() -> None:
    uniform = torch.rand(200_000, 1, generator=torch.Generator().manual_seed(0))
    said = draw_bits(torch.full((200_000, 1), 0.8), 1, torch.logit(uniform, eps=1e-6), 1.0)
    assert abs((said > 0).float().mean().item() - torch.sigmoid(torch.tensor(0.8)).item()) < 0.005


def test_the_airs_noise_is_added_to_what_was_rounded() -> None:
    raw, noise = torch.tensor([0.3, -2.0]), torch.tensor([0.05, -0.4])
    said = express(raw, 3, "straight_through", 1.0, noise, learning=True)
    torch.testing.assert_close(said, quantise(torch.tanh(raw), 3) + noise)
    assert torch.equal(said, express(raw, 3, "straight_through", 1.0, noise, learning=False))


@pytest.mark.parametrize("name", list(LAYERS))
@pytest.mark.parametrize("rounding", ["straight_through", "dru", "gumbel"])
def test_every_layer_speaks_on_the_grid_when_deployed_and_learns(name: LayerName, rounding: Rounding) -> None:
    torch.manual_seed(0)
    layer = make_layer(name, SIZES._replace(rounding=rounding))
    hidden = torch.randn(5, 4, 8, requires_grad=True)
    noise = torch.randn(5, 4, 12 if rounding == "gumbel" else 3)
    said = layer.speak(hidden, noise)
    assert said.shape == (5, 4, 3)
    (gradient,) = torch.autograd.grad(said.square().sum(), hidden)
    assert gradient.abs().max() > 0
    deployed = layer.eval().speak(hidden, None if rounding == "straight_through" else noise)
    numbers = [0.0, *to_grid(torch.arange(16.0), 4).tolist()]  # zero: a closed gate
    assert set(deployed.flatten().tolist()) <= set(numbers)
    assert len(deployed.unique()) > 4
