"""Stages of a run: what is played in each share of it, so that a fleet meets easy worlds before hard ones.

A stage changes the world and the air, never the fleet: contract and agents are the same in all, so weights, optimisers
and the count of frames go on as they are. After Bengio et al., Curriculum Learning, ICML 2009; in growing teams as in
Long et al., Evolutionary Population Curriculum, ICLR 2020 (arXiv:2003.10423).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError

from policy_core.comm.channel import ChannelSettings
from policy_core.config import Settings


class StageChannel(Settings):
    """What of the channel a stage may change; the network knows the rest, so that stays. None: as the run has it."""

    loss: float | None = None
    burst: float | None = None
    delay: float | None = None  # s
    deadline: float | None = None  # s


class Stage(Settings):
    """One stage; it begins where the one before it ends."""

    until: float = Field(gt=0, le=1)  # share of the run
    env: str | None = None  # instead of the run's
    env_settings: dict[str, Any] = Field(default_factory=dict)  # over the run's, key by key
    channel: StageChannel = StageChannel()

    def channel_over(self, channel: ChannelSettings) -> ChannelSettings:
        """The run's channel with this stage's changes; raises ValidationError."""
        return ChannelSettings.model_validate(channel.model_dump() | self.channel.model_dump(exclude_none=True))


def check_stages(stages: Sequence[Stage], channel: ChannelSettings) -> None:
    """Hold stages against each other and against the run's channel.

    Raises:
        ValueError: they do not follow one another up to the end of the run, or the channel does not accept one.
    """
    ends = [stage.until for stage in stages]
    if any(after <= before for before, after in itertools.pairwise(ends)):
        raise ValueError(
            f"curriculum: its stages end at {ends}; wanted shares of the run that increase from stage to stage. Put "
            "the stages in the order they are played in."
        )
    if ends and ends[-1] != 1.0:
        raise ValueError(
            f"curriculum: its last stage ends at {ends[-1]:g} of the run, and nothing is said of the rest; wanted 1.0"
        )
    for number, stage in enumerate(stages, 1):
        try:
            stage.channel_over(channel)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"]) or "as a whole"
            raise ValueError(
                f"curriculum, stage {number}: its channel, {where}: {fault['msg']} (saw {fault['input']!r})"
            ) from None


def stage_at(stages: Sequence[Stage], progress: float) -> int:
    """Place of the stage that is played when this share of the run, in [0, 1), is done; 0 without stages."""
    return sum(stage.until <= progress for stage in stages)
