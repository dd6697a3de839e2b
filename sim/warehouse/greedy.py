"""The nearest-job baseline: every agent for itself, no messages. And the random one, the floor of every table."""

from __future__ import annotations

import numpy as np

from policy_core.contract import Contract, Kind
from policy_core.serving.policy import Heard, Observation

LOW = 0.25  # share of the battery below which a forklift goes and charges; a job takes 0.02 of a full one at most
SURE_GOOD, SURE_BAD = 0.4, 0.6  # mean reading below / above which a station stops asking


class QuietPolicy:
    """Base of the policies that hear nothing: sends zeros, and does nothing."""

    def __init__(self, contract: Contract, kind: Kind, number: int) -> None:
        """`number` is the agent's number within its kind."""
        self._silence = np.zeros(contract.message_size, np.float32)
        self._rounds = contract.rounds
        self._round = 0
        self.kind = kind
        self.number = number
        self.observation: Observation

    def begin(self, observation: Observation) -> np.ndarray:
        """Keep the observation; say nothing."""
        self.observation = observation
        self._round = 1
        return self._silence

    def hear(self, heard: Heard) -> np.ndarray | None:
        """Ignore what was said."""
        self._round += 1
        return self._silence if self._round <= self._rounds else None

    def choose(self) -> int:
        """Candidate 0: nothing, carry on."""
        return 0

    def candidate(self, name: str) -> np.ndarray:
        """One named field of all candidates [C] or [C, size]."""
        values = self.observation.candidates[:, self.kind.place(name, of_candidate=True)]
        return values[:, 0] if values.shape[1] == 1 else values

    def sensed(self, name: str) -> np.ndarray:
        """One named field of the observation [size]."""
        return self.observation.vector[self.kind.place(name)]

    def legal(self, verb: int) -> np.ndarray:
        """Indices of the allowed candidates with that verb (column of the candidates' one-hot)."""
        return np.flatnonzero(self.observation.mask & (self.candidate("verb")[:, verb] > 0.5))


class RandomPolicy(QuietPolicy):
    """Any allowed candidate, each as likely."""

    def __init__(self, contract: Contract, kind: Kind, number: int, seed: int) -> None:
        """All chance comes from (seed, number, kind size)."""
        super().__init__(contract, kind, number)
        self._rng = np.random.default_rng((seed, number, kind.observation_size))

    def choose(self) -> int:
        """Draw one allowed candidate."""
        return int(self._rng.choice(np.flatnonzero(self.observation.mask)))


class GreedyForklift(QuietPolicy):
    """Takes the nearest open job, or charges; leaves stand-offs to the classical rule."""

    def choose(self) -> int:
        """Charge if the battery is low, else the nearest job, be it stock that nobody wants; else carry on."""
        rest = charge_choice(self)
        if rest:
            return rest
        jobs = self.legal(1)
        return int(jobs[np.argmin(self.candidate("pick_distance")[jobs])]) if len(jobs) else 0


class GreedyInventory(QuietPolicy):
    """Releases the most urgent line its zone can serve; reorders what its zone lacks."""

    def choose(self) -> int:
        """Release first, then reorder, else wait."""
        lines = self.legal(1)
        if len(lines):
            return int(lines[np.argmin(self.candidate("slack")[lines])])
        return reorder_choice(self, self.sensed("demand") - self.sensed("stock") - self.sensed("pipeline"))


class GreedyQuality(QuietPolicy):
    """Inspects first come, first served; asks again while a reading is unclear."""

    def choose(self) -> int:
        """Judge what is clear, else inspect the pallet that waited longest."""
        return quality_choice(self, self.candidate("waited"))


def charge_choice(policy: QuietPolicy) -> int:
    """To charge, if that may be chosen and the battery is low; else 0."""
    options = policy.legal(4)
    return int(options[0]) if len(options) and policy.sensed("battery")[0] < LOW else 0


def reorder_choice(policy: QuietPolicy, shortage: np.ndarray) -> int:
    """The reorder of the family with the largest shortage [SKUS] (pallets), if any family is short; else 0."""
    options = policy.legal(2)
    if not len(options):
        return 0
    recent = policy.sensed("recent")
    wanted = shortage + 0.5 * recent + 0.5  # cover half of the last ten minutes' demand, and always one pallet in two
    family = policy.candidate("sku")[options].argmax(1)
    best = int(np.argmax(wanted[family]))
    return int(options[best]) if wanted[family[best]] >= 1.0 else 0


def quality_choice(policy: QuietPolicy, priority: np.ndarray) -> int:
    """Pass or reject what readings make clear, else inspect the pallet with the highest priority [C]; else 0."""
    reading, count = policy.candidate("reading"), policy.candidate("inspections")
    clear = [c for c in policy.legal(2) if count[c] > 0 and (reading[c] < SURE_GOOD or count[c] >= 3)]
    if clear:
        return int(max(clear, key=lambda c: priority[c]))
    bad = [c for c in policy.legal(3) if reading[c] > SURE_BAD]
    if bad:
        return int(bad[0])
    unclear = policy.legal(1)
    return int(max(unclear, key=lambda c: priority[c])) if len(unclear) else 0
