"""config/study.yaml: conditions and sweeps in which a bundle is measured beside its rivals, and the goals it has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import ConfigError, Settings, read_settings

Policy = Literal["learned", "silenced", "without", "contract-net", "greedy", "planner", "random"]
Over = Literal["loss", "delay", "bits", "dies", "joins", "load", "team"]
Per = Literal["fleet", "robot", "robot_alive"]
DATA = "data:"  # begins a path under the data folder
UNROUNDED = 32
POLICIES: tuple[Policy, ...] = ("learned", "silenced", "without", "contract-net", "greedy", "planner", "random")
SWEPT_PER: dict[Over, Per] = {"dies": "robot_alive", "joins": "robot_alive", "team": "robot"}  # others: the fleet


class Condition(Settings):
    """One set of circumstances; what is not said is as at home. Meanings and units in config/study.yaml."""

    name: str = Bound(pattern=r"^[a-z0-9][a-z0-9_.=-]*$")
    about: str = ""
    map: str = ""
    orders: str = ""
    load: float = Bound(1.0, ge=0.05, le=10.0)
    forklifts: int = Bound(4, ge=1, le=32)
    loss: float = Bound(0.0, ge=0.0, le=1.0)
    delay: float = Bound(0.0, ge=0.0, le=2.0)
    bits: int = Bound(UNROUNDED, ge=1, le=UNROUNDED)
    dies: float = Bound(0.0, ge=0.0, le=1.0)
    joins: float = Bound(0.0, ge=0.0, le=1.0)
    world: Literal["fast", "bullet"] = "fast"
    minutes: float | None = Bound(None, ge=0.1, le=1440.0)
    seeds: int | None = Bound(None, ge=1, le=1000)
    policies: tuple[Policy, ...] | None = Bound(None, min_length=1)

    @model_validator(mode="after")
    def _can_be(self) -> Condition:
        if 16 < self.bits < UNROUNDED:
            raise ValueError(f"bits: saw {self.bits}, wanted 1 to 16, or 32 for numbers as they are")
        for what, share, count in (("dies", self.dies, self.dying), ("joins", self.joins, self.joining)):
            if share > 0.0 and count == 0:
                raise ValueError(
                    f"{what}: a share of {share:g} of {self.forklifts} forklifts is none; wanted 0 or a robot"
                )
        if self.dying + self.joining > self.forklifts:
            raise ValueError(f"dies and joins: saw {self.dies:g} and {self.joins:g}, wanted at most 1 together")
        return self

    @property
    def dying(self) -> int:
        """Robots that die in the middle and stay dead."""
        return round(self.dies * self.forklifts)

    @property
    def joining(self) -> int:
        """Robots that join late."""
        return round(self.joins * self.forklifts)


class Sweep(Settings):
    """One circumstance of a condition, over several values; `team` is forklifts with as much more demand."""

    over: Over
    of: str
    values: tuple[float, ...] = Bound(min_length=2)
    name: str = Bound("", pattern=r"^[a-z0-9_.-]*$")  # for one of two sweeps over the same circumstance
    policies: tuple[Policy, ...] | None = Bound(None, min_length=1)
    seeds: int | None = Bound(None, ge=1, le=1000)

    @property
    def called(self) -> str:
        """What `--only` and the names of its conditions call it."""
        return self.name or self.over

    @property
    def per(self) -> Per:
        """Whose orders an hour it shows."""
        return SWEPT_PER.get(self.over, "fleet")

    def spread(self, base: Condition) -> tuple[Condition, ...]:
        """The conditions of the sweep, in the values' order; the base itself where it has that value."""
        return tuple(self._at(base, value) for value in self.values)

    def _at(self, base: Condition, value: float) -> Condition:
        changes: dict[str, object] = {self.over: value}
        if self.over == "team":
            changes = {"forklifts": value, "load": base.load * value / base.forklifts}
        if all(getattr(base, name) == each for name, each in changes.items()):
            return base
        told = base.model_dump() | changes | {"name": f"{self.called}={value:g}", "about": ""}
        told |= {"policies": self.policies or base.policies, "seeds": self.seeds or base.seeds}
        return Condition.model_validate(told)


class Goal(Settings):
    """A ratio of orders an hour that shall be `least`: of a policy and a condition or group, to another of either."""

    about: str
    policy: Policy = "learned"
    at: str = "home"
    against: Policy | None = None  # the same policy
    against_at: str | None = None  # the same condition
    per: Per = "fleet"
    least: float = Bound(gt=0.0, le=10.0)

    @property
    def rival(self) -> tuple[Policy, str]:
        """Policy and condition that it is compared with."""
        return self.against or self.policy, self.against_at or self.at

    @model_validator(mode="after")
    def _compares_two(self) -> Goal:
        if self.rival == (self.policy, self.at):
            raise ValueError("compares a figure with itself; give `against`, `against_at` or both")
        return self


class StudySettings(Settings):
    """config/study.yaml."""

    minutes: float = Bound(ge=0.1, le=1440.0)
    seeds: int = Bound(ge=1, le=1000)
    first_seed: int = Bound(ge=0, le=1_000_000)
    policies: tuple[Policy, ...] = Bound(min_length=1)
    dies_after: tuple[float, float]
    joins_after: tuple[float, float]
    conditions: tuple[Condition, ...] = Bound(min_length=1)
    sweeps: tuple[Sweep, ...] = ()
    groups: dict[str, tuple[str, ...]] = Bound(default_factory=dict)
    goals: tuple[Goal, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> StudySettings:
        for name in ("dies_after", "joins_after"):
            low, high = getattr(self, name)
            if not 0.0 <= low <= high <= 1.0:
                raise ValueError(f"{name}: wanted a range [low, high] within [0, 1], saw [{low}, {high}]")
        named = [condition.name for condition in self.conditions]
        if len(set(named)) < len(named):
            raise ValueError(f"conditions: a name twice in {', '.join(named)}; each needs its own")
        for sweep in self.sweeps:
            _known(sweep.of, named, f"sweeps.{sweep.over}.of")
        known: dict[str, Condition] = {}
        for condition in self._all():
            if known.setdefault(condition.name, condition) != condition:
                raise ValueError(
                    f"conditions: two that differ are called {condition.name}; give a sweep a name of its own"
                )
        for group, members in self.groups.items():
            if group in known or not members:
                raise ValueError(f"groups.{group}: wanted a name of its own and at least one condition")
            for member in members:
                _known(member, known, f"groups.{group}")
        for number, goal in enumerate(self.goals):
            for policy, place in ((goal.policy, goal.at), goal.rival):
                _known(place, [*known, *self.groups], f"goals.{number}")
                for at in self.members_of(place):
                    if policy not in self.policies_of(known[at]):
                        raise ValueError(
                            f"goals.{number}: {at} is not measured with '{policy}'; add it to its policies"
                        )
        return self

    def members_of(self, place: str) -> tuple[str, ...]:
        """The conditions of a group, or the condition of that name alone."""
        return self.groups.get(place, (place,))

    def _all(self) -> Iterator[Condition]:
        yield from self.conditions
        for sweep in self.sweeps:
            yield from sweep.spread(self.base_of(sweep))

    def every_condition(self) -> dict[str, Condition]:
        """Those of the list, then those of the sweeps, by name."""
        return {condition.name: condition for condition in self._all()}

    def base_of(self, sweep: Sweep) -> Condition:
        """The condition that a sweep starts from."""
        return next(condition for condition in self.conditions if condition.name == sweep.of)

    def policies_of(self, condition: Condition) -> tuple[Policy, ...]:
        """Who is measured in it."""
        return condition.policies or self.policies

    def minutes_of(self, condition: Condition) -> float:
        """Simulated minutes of its episodes."""
        return condition.minutes or self.minutes

    def seeds_of(self, condition: Condition) -> range:
        """Seeds of its episodes."""
        return range(self.first_seed, self.first_seed + (condition.seeds or self.seeds))

    def chosen(self, only: str) -> list[Condition]:
        """The conditions of these names, comma between them; a sweep's name means all of its own. Empty: all.

        Raises:
            ConfigError: no condition or sweep has that name.
        """
        known, sweeps = self.every_condition(), {sweep.called: sweep for sweep in self.sweeps}
        wanted: dict[str, Condition] = {}
        for word in (part.strip() for part in only.split(",") if part.strip()):
            if word in known:
                wanted[word] = known[word]
            elif word in sweeps:
                sweep = sweeps[word]
                wanted |= {each.name: each for each in sweep.spread(self.base_of(sweep))}
            else:
                near = difflib.get_close_matches(word, [*known, *sweeps], n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join([*known, *sweeps])}"
                raise ConfigError(f"--only: saw '{word}', which is no condition and no sweep; {hint}")
        return list((wanted or known).values())


def _known(name: str, names: Iterable[str], where: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, list(names), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"{where}: saw '{name}', which is no condition{hint}")


def read_study(path: Path) -> StudySettings:
    """Load config/study.yaml; raises ConfigError in words."""
    return read_settings(StudySettings, path)
