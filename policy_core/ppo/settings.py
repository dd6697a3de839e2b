"""Every number of a training run, with unit and range."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from policy_core.agents.fleet_policy import Architecture
from policy_core.comm.channel import ChannelSettings
from policy_core.config import Settings
from policy_core.ppo.curriculum import Stage, check_stages


class PpoSettings(Settings):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) over joint fleet samples."""

    epochs: int = Field(4, ge=1, le=50)
    minibatch: int = Field(1024, ge=1)  # joint samples (whole fleets) that one gradient step stands for
    gamma: float = Field(0.995, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    clip: float = Field(0.2, gt=0, lt=1)
    value_clip: float = Field(0.2, gt=0)  # in units of the returns' running spread
    entropy_start: float = Field(0.01, ge=0)  # bonus per nat, falls linearly
    entropy_end: float = Field(0.001, ge=0)
    learning_rate: float = Field(3e-4, gt=0, le=1)  # at the start
    schedule: Literal["linear", "constant"] = "linear"  # the learning rate falls to zero, or stays
    kl_limit: float = Field(0.03, gt=0)  # nats; the epochs of an iteration stop beyond it
    gradient_norm: float = Field(0.5, gt=0)  # each of policy and critic is clipped to it
    link_gradient_norm: float = Field(0.0, ge=0)  # of one message on one link is clipped to it; 0: unclipped
    credit: Literal["agent", "team"] = "agent"  # each agent learns from its own reward, or from the living's mean
    reward_limit: float = Field(1e4, gt=0)  # a greater reward ends the run with an error
    advice_start: float = Field(
        0.0, ge=0
    )  # weight of the world's adviser (nats against units of advantage), falls linearly
    advice_until: float = Field(0.5, gt=0, le=10)  # to nothing at this share of the run; beyond 1: not quite to nothing
    advice_acts: float = Field(1.0, ge=0.01, le=1000)  # weight of advice to do anything but the first candidate
    retelling: float = Field(0.0, ge=0)  # weight of foretelling what others sense; 0: none
    sequence: int = Field(16, ge=1)  # ticks of a sequence that a policy with memory is trained through

    def advice_weight(self, progress: float) -> float:
        """Weight of the adviser when this share of the run is done."""
        return self.advice_start * max(0.0, 1.0 - progress / self.advice_until)


class Threads(Settings):
    """How many CPU threads torch uses."""

    update: int = Field(2, ge=1, le=256)
    collect: int = Field(1, ge=1, le=256)


class EvaluationSettings(Settings):
    """Regular play with choices drawn as in deployment."""

    every: int = Field(20, ge=1)  # iterations
    worlds: int = Field(16, ge=1)
    ticks: int = Field(300, ge=1)
    seed: int = Field(1_000_000, ge=0)
    temperature: float = Field(0.5, gt=0, le=2)  # of the softmax that choices are drawn from, here and in the bundle


class CheckpointSettings(Settings):
    """When to save and how many to keep."""

    every: int = Field(20, ge=1)  # iterations
    keep: int = Field(2, ge=1)


class TrainingSettings(Settings):
    """One training run."""

    seed: int = Field(0, ge=0)
    env: str  # "module:function", called as function(worlds=..., **env_settings)
    env_settings: dict[str, Any] = Field(default_factory=dict)
    worlds: int = Field(64, ge=1)  # E
    ticks: int = Field(64, ge=1)  # T collected from each world per iteration
    frames: int = Field(ge=1)  # agent frames in all: iterations x T x E x N
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?|auto)$")
    detach_messages: bool = False  # negative control: no gradient between agents
    threads: Threads = Threads()
    architecture: Architecture = Architecture()
    channel: ChannelSettings
    ppo: PpoSettings = PpoSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    curriculum: tuple[Stage, ...] = ()  # empty: the same from beginning to end

    @model_validator(mode="after")
    def _sequences_fit(self) -> TrainingSettings:
        if self.ticks % self.sequence:
            raise ValueError(f"ticks {self.ticks} cannot be cut into sequences of {self.sequence}; make it a multiple")
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> TrainingSettings:
        check_stages(self.curriculum, self.channel)
        return self

    def in_stage(self, place: int) -> TrainingSettings:
        """What the stage at this place plays, as the settings of a run without stages."""
        if not self.curriculum:
            return self
        stage = self.curriculum[place]
        return self.model_copy(
            update={
                "env": stage.env or self.env,
                "env_settings": self.env_settings | stage.env_settings,
                "channel": stage.channel_over(self.channel),
                "curriculum": (),
            }
        )

    @property
    def sequence(self) -> int:
        """L: ticks that the policy is trained through at a time; 1 without memory."""
        return self.ppo.sequence if self.architecture.memory else 1
