"""The fleet manifest: which agents a fleet has, of which kind, and which process carries each."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from pydantic import Field as Bound
from pydantic import model_validator

from policy_core.config import ConfigError, Settings, parse_settings, read_yaml
from policy_core.contract import Contract

NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"  # a valid ROS namespace part, and a file name
TAKEN = ("fleet", "tasks", "policy", "tf", "clock")  # first parts of topics that are not one agent's


class Agent(Settings):
    """One agent: its name is its ROS namespace; `backend` says what its body is."""

    name: str = Bound(pattern=NAME, max_length=40)
    kind: str = Bound(pattern=NAME)
    host: str = Bound(pattern=NAME, max_length=40)
    backend: Literal["sim", "hardware"] = "sim"  # hardware: drivers elsewhere speak the robot's topics


class Fleet(Settings):
    """All agents, in the order in which their decisions are applied."""

    name: str = Bound(pattern=NAME)
    about: str = ""
    agents: tuple[Agent, ...] = Bound(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Fleet:
        names = [agent.name for agent in self.agents]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"agent names must be unique; twice: {', '.join(twice)}")
        taken = sorted(set(names) & set(TAKEN))
        if taken:
            raise ValueError(f"'{taken[0]}' begins topics of the whole fleet; give the agent another name")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every agent's name [N]."""
        return tuple(agent.name for agent in self.agents)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every agent's kind [N]."""
        return tuple(agent.kind for agent in self.agents)

    @property
    def is_simulated(self) -> bool:
        """Whether every body is simulated, so that nothing of the fleet lives on another machine."""
        return all(agent.backend == "sim" for agent in self.agents)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Names of the agents of one kind, in fleet order."""
        return tuple(agent.name for agent in self.agents if agent.kind == kind)

    def hosts(self) -> dict[str, tuple[str, ...]]:
        """Names of the agents in each host process."""
        hosts: dict[str, tuple[str, ...]] = {}
        for agent in self.agents:
            hosts[agent.host] = (*hosts.get(agent.host, ()), agent.name)
        return hosts


def read_fleet(path: Path | str, contract: Contract | None = None) -> Fleet:
    """Load a manifest; with a contract, check that it knows every kind.

    Raises:
        ConfigError: a bad file, a name twice, or a kind the contract does not know.
    """
    fleet = parse_settings(Fleet, read_yaml(Path(path)), source=str(path))
    for agent in fleet.agents if contract else ():
        if contract and agent.kind not in contract.kinds:
            near = difflib.get_close_matches(agent.kind, contract.kinds, n=1)
            cure = f"did you mean '{near[0]}'?" if near else f"the contract knows {', '.join(contract.kinds)}."
            raise ConfigError(f"{path}: agent '{agent.name}' is of unknown kind '{agent.kind}'; {cure}")
    return fleet
