"""What a training run changes, and the error that ends it."""

from __future__ import annotations

from typing import NamedTuple

import torch

from policy_core.agents.critic import Critic, ValueScale
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.agents.joint_critic import JointCritic
from policy_core.ppo.retelling import Retelling


class TrainingError(RuntimeError):
    """Training cannot go on; the text says what was seen and what may cure it."""


class Learner(NamedTuple):
    """Everything that an update changes."""

    policy: FleetPolicy
    critic: Critic | JointCritic
    scale: ValueScale
    policy_optimiser: torch.optim.Optimizer
    critic_optimiser: torch.optim.Optimizer
    shuffle: torch.Generator
    retelling: Retelling | None = None
