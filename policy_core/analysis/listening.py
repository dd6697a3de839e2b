"""Positive listening: how much a receiver's choice changes when a message is replaced, all else being equal.

The causal influence of communication (Lowe et al. 2019, arXiv:1903.05168, section 3.3; Jaques et al. 2019,
arXiv:1810.08647, section 4), here as KL(real || replaced) in nats of the distribution that decisions are drawn from,
at the deployed temperature. Replaced by itself, the same code gives exactly 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from policy_core.agents.actions import Answer, may_choose
from policy_core.agents.senses import KindSenses, Senses
from policy_core.analysis.meddling import Fleet, Pair, kinds_of, possible_pairs, replace, select_links
from policy_core.analysis.rollouts import Moment, Tell, nobody
from policy_core.contract import Contract, Kind

LEAST_LOG = -30.0  # a choice of smaller log-probability counts as this likely, so that nats stay finite


class Influence(NamedTuple):
    """Nats of a receiving kind's choices, by world."""

    nats: np.ndarray  # [E] mean over the decisions that count
    counts: np.ndarray  # [E] decisions


class Heard(NamedTuple):
    """What replacing messages does."""

    pairs: dict[Pair, Influence]  # another world's message in place of the real one; of all pairs that have a link
    control: float  # most nats anywhere when messages are replaced by themselves; 0
    fields: dict[tuple[Pair, str], Influence]  # the message that would have been sent with one field changed


def divergence(contract: Contract, real: Answer, other: Answer, temperature: float) -> Tensor:
    """KL(real || other) of every agent's decision [B, N] (nats), summed over its parts."""
    found = []
    for name, logits in real.logits.items():
        total = logits.new_zeros(logits.shape[:-1], dtype=torch.float64)
        blocks = contract.kinds[name].blocks
        for mine, theirs in zip(
            logits.double().split(blocks, -1), other.logits[name].double().split(blocks, -1), strict=True
        ):
            logs, changed = (torch.log_softmax(part / temperature, -1) for part in (mine, theirs))
            gap = logs.clamp(min=LEAST_LOG) - changed.clamp(min=LEAST_LOG)
            total = total + (logs.exp() * gap).sum(-1)
        if name in real.controls:
            mean, log_spread = real.controls[name].double().chunk(2, -1)
            to, to_log = other.controls[name].double().chunk(2, -1)
            ratio = (2 * (log_spread - to_log)).exp()
            apart = ((mean - to) * (-to_log).exp() / temperature).square()
            total = total + (to_log - log_spread + 0.5 * (ratio + apart - 1)).sum(-1)
        found.append(total)
    return torch.cat(found, -1)


@torch.no_grad()
def listen(
    fleet: Fleet, moments: list[Moment], *, temperature: float, donors: int, seed: int, tell: Tell = nobody
) -> Heard:
    """Replace what each kind says to each kind, whole or as one field would have changed it, and see who minds.

    Args:
        fleet: the policy.
        moments: ticks of E worlds.
        temperature: that decisions are drawn at.
        donors: other worlds whose message is tried in place of the real one.
        seed: of the choice of worlds.
        tell: is told how far this is.
    """
    pairs = possible_pairs(kinds_of(moments[0].senses))
    tally = _Tally(moments[0].senses.alive.shape[0])
    chance = np.random.default_rng((seed, 21))
    control = 0.0
    for number, moment in enumerate(moments):
        asked = _Asked(fleet, moment, temperature)
        worlds = moment.senses.alive.shape[0]
        for pair in pairs:
            control = max(control, float(asked.minds(pair, asked.real.messages)[0].abs().max()))
            for _ in range(donors):
                shift = int(chance.integers(1, worlds))
                tally.add((pair, ""), asked.minds(pair, [said.roll(shift, 0) for said in asked.real.messages]))
        for sender in moment.senses.kinds:
            for field, place, of_candidates in fields_of(fleet.contract.kinds[sender]):
                shift = int(chance.integers(1, worlds))
                said = asked.would_say(change_field(moment.senses, sender, place, of_candidates, shift))
                for pair in (each for each in pairs if each.sender == sender):
                    tally.add((pair, field), asked.minds(pair, said))
        tell((number + 1) / len(moments))
    found = tally.done()
    return Heard(
        {pair: found[pair, ""] for pair in pairs},
        control,
        {(pair, field): each for (pair, field), each in found.items() if field and each.counts.any()},
    )


def chance_of_no_influence(influence: Influence, least: float) -> float:
    """Chance of nats so far above `least` if that were their mean: one-sided t-test over worlds; 1 where unheard."""
    nats = influence.nats[influence.counts > 0]
    if len(nats) < 3:
        return 1.0
    spread = nats.std(ddof=1) / np.sqrt(len(nats))
    if spread == 0:
        return float(nats.mean() <= least)
    return float(student.sf((nats.mean() - least) / spread, len(nats) - 1))


class _Asked:
    """One moment, asked what would have been."""

    def __init__(self, fleet: Fleet, moment: Moment, temperature: float) -> None:
        self._fleet = fleet
        self._moment = moment
        self._temperature = temperature
        self._kinds = kinds_of(moment.senses)
        # the control takes the very path of the others, so that nothing but the message can differ
        self.real = fleet(moment.senses, moment.links, moment.memory, tap=_as_it_is)
        masks = {name: part.mask for name, part in moment.senses.kinds.items()}
        self._free = may_choose(fleet.contract, masks, moment.senses.alive)

    def minds(self, pair: Pair, said: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Nats [B, R] of the pair's receivers with these messages, and which decisions count [B, R]."""
        moment = self._moment
        other = self._fleet(
            moment.senses, moment.links, moment.memory, tap=replace(pair, self._kinds, moment.links, said)
        )
        nats = divergence(self._fleet.contract, self.real, other, self._temperature)
        hears = (moment.links.heard.any(1) & select_links(pair, self._kinds, moment.links)).any(-1)
        own = torch.tensor([kind == pair.receiver for kind in self._kinds])
        return nats[:, own], (hears & self._free)[:, own]

    def would_say(self, senses: Senses) -> list[Tensor]:
        """What all would have said if they had sensed this."""
        answer: Answer = self._fleet(senses, self._moment.links, self._moment.memory, tap=_as_it_is)
        return answer.messages


class _Tally:
    """Sums of nats by world."""

    def __init__(self, worlds: int) -> None:
        self._worlds = worlds
        self._sums: dict[tuple[Pair, str], np.ndarray] = {}

    def add(self, key: tuple[Pair, str], minded: tuple[Tensor, Tensor]) -> None:
        nats, counts = minded
        sums = self._sums.setdefault(key, np.zeros((2, self._worlds)))
        sums[0] += (nats * counts).sum(-1).numpy()
        sums[1] += counts.sum(-1).numpy()

    def done(self) -> dict[tuple[Pair, str], Influence]:
        return {key: Influence(sums[0] / np.maximum(sums[1], 1), sums[1]) for key, sums in self._sums.items()}


def _as_it_is(_: int, real: Tensor, __: object) -> Tensor:
    return real


def fields_of(kind: Kind) -> list[tuple[str, slice, bool]]:
    """Name, place and whether it is a candidate's, of every field that a kind senses."""
    found = [(field.name, kind.place(field.name), False) for field in kind.observation]
    return found + [
        (f"candidates: {field.name}", kind.place(field.name, of_candidate=True), True) for field in kind.candidate
    ]


def change_field(senses: Senses, name: str, place: slice, of_candidates: bool, shift: int) -> Senses:
    """The same senses, but one field of all agents of a kind is that of another world at the same tick.

    Candidates take another world's value place by place, where both worlds offer one.
    """
    sensed = senses.kinds[name]
    if of_candidates:
        legal = sensed.mask[..., : sensed.candidates.shape[-2]]
        both = (legal & legal.roll(shift, 0)).unsqueeze(-1)
        candidates = sensed.candidates.clone()
        own = candidates[..., place]
        candidates[..., place] = torch.where(both, own.roll(shift, 0), own)
        changed = KindSenses(sensed.vector, candidates, sensed.mask)
    else:
        vector = sensed.vector.clone()
        vector[..., place] = sensed.vector[..., place].roll(shift, 0)
        changed = KindSenses(vector, sensed.candidates, sensed.mask)
    return senses._replace(kinds={**senses.kinds, name: changed})
