"""config/analysis.yaml: how much is played, and when an effect may be spoken of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from policy_core.config import Settings

Mode = Literal["silence", "shuffle", "swap", "freeze"]


class SignallingSettings(Settings):
    """What messages tell about the sender's facts."""

    components: int = Field(12, ge=1, le=64)
    bins: int = Field(4, ge=2, le=8)
    folds: int = Field(4, ge=2, le=20)
    rows: int = Field(4000, ge=200, le=1_000_000)
    ridge: float = Field(3.0, ge=0.01, le=1000)
    seen: float = Field(0.98, ge=0.5, le=1)
    listed: int = Field(40, ge=1, le=1000)
    strata: int = Field(240, ge=20, le=100_000)


class ListeningSettings(Settings):
    """What messages change in the receiver's choice."""

    ticks: int = Field(16, ge=1, le=10_000)
    donors: int = Field(2, ge=1, le=16)
    least_influence: float = Field(0.01, ge=0, le=10)  # nats


class WorthSettings(Settings):
    """What whole rollouts lose without messages."""

    modes: tuple[Mode, ...] = ("silence", "shuffle", "swap", "freeze")
    pair_modes: tuple[Mode, ...] = ("silence",)


class ClusterSettings(Settings):
    """Groups of messages."""

    most: int = Field(6, ge=2, le=20)
    points: int = Field(400, ge=50, le=5000)
    nulls: int = Field(199, ge=199, le=10_000)
    stability: int = Field(20, ge=5, le=1000)


class TopographySettings(Settings):
    """Whether like facts get like messages."""

    ticks: int = Field(24, ge=1, le=10_000)


class AnalysisSettings(Settings):
    """config/analysis.yaml."""

    worlds: int = Field(48, ge=12, le=1024)
    ticks: int = Field(600, ge=16, le=100_000)
    every: int = Field(5, ge=1, le=1000)
    seed: int = Field(70_000, ge=0, lt=2**31)
    permutations: int = Field(999, ge=199, le=100_000)
    bootstraps: int = Field(1000, ge=100, le=100_000)
    confidence: float = Field(0.95, ge=0.5, le=0.999)
    false_alarm: float = Field(0.005, gt=0, le=0.05)
    signalling: SignallingSettings = SignallingSettings()
    listening: ListeningSettings = ListeningSettings()
    worth: WorthSettings = WorthSettings()
    clusters: ClusterSettings = ClusterSettings()
    topography: TopographySettings = TopographySettings()

    @model_validator(mode="after")
    def _can_find_something(self) -> AnalysisSettings:
        for name, draws in (("permutations", self.permutations), ("clusters.nulls", self.clusters.nulls)):
            if self.false_alarm * (draws + 1) < 1:
                raise ValueError(
                    f"{name} is {draws} at false_alarm {self.false_alarm:g}, so nothing could ever be found; wanted "
                    f"at least {round(1 / self.false_alarm) - 1} draws, or a higher false_alarm"
                )
        if self.ticks // self.every < 4:
            raise ValueError(
                f"{self.ticks} ticks, of which one in {self.every} is kept; wanted at least 4 kept: play more ticks "
                "or keep more of them"
            )
        return self
