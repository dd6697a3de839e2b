"""Collecting experience: T ticks of E worlds, with what the world said and what the air did to messages.

Messages themselves are never kept: the loss computes them anew, with gradient, from the same senses and links.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from policy_core.agents.actions import judge, sample, to_world
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.agents.senses import Senses, sense
from policy_core.chance import Chance
from policy_core.comm.channel import Bursts, ChannelSettings, Links, carry, count_bits
from policy_core.comm.graph import connect
from policy_core.environment import Advising, BatchEnvironment, Observations
from policy_core.ppo.checkpoint import Restorable, pack_arrays, unpack_arrays


class Final(NamedTuple):
    """The last senses of episodes that time cut off at one tick."""

    tick: int
    worlds: Tensor  # indices [W]
    senses: Senses  # of those worlds


class Rollout(NamedTuple):
    """T ticks of E worlds."""

    senses: Senses  # [T, E, ...]
    links: Links  # [T, E, K, N, J]
    memory: Tensor  # [T / L, E, N, H] at the start of every sequence; H is 0 without memory
    began: Tensor  # [T, E] bool: the tick was the first of an episode, so nothing is remembered
    actions: Tensor  # [T, E, N, P]
    advice: Tensor  # [T, E, N, P] what the world's adviser would have done; P is 0 where nobody was asked
    log_probability: Tensor  # [T, E, N] of the actions, when they were drawn
    reward: Tensor  # [T, E, N]
    terminated: Tensor  # [T, E] bool
    truncated: Tensor  # [T, E] bool
    last: Senses  # what followed the last tick [E, ...]
    finals: list[Final]
    episodes: list[dict[str, float]]  # KPIs of the episodes that ended, and their `return` and `ticks`
    bits: Tensor  # [T, E] that the living of a world sent at a tick, see `count_bits`


class Collector:
    """Plays the policy in a batch of worlds; its buffers are reused, so a rollout lives until the next `collect`."""

    def __init__(
        self,
        environment: BatchEnvironment,
        *,
        ticks: int,
        sequence: int,
        hidden: int,
        seed: int,
        device: torch.device,
        first_world: int = 0,
        all_worlds: int = 0,
    ) -> None:
        """Start every world anew and make room for T ticks.

        Args:
            environment: this process's worlds.
            ticks: T.
            sequence: L, ticks between memories that are kept; divides T.
            hidden: H of the policy's memory; 0 without.
            seed: of all chance.
            device: of the tensors.
            first_world: place of the first own world among those of all processes.
            all_worlds: of all processes; 0: there is one process.
        """
        worlds, agents = environment.worlds, len(environment.agents)
        rows = slice(first_world, first_world + worlds) if all_worlds else None
        self.environment = environment
        self.ticks = ticks
        self.sequence = sequence
        self.device = device
        self.chance = Chance(seed, device, rows, all_worlds)  # of actions
        self.air = Chance(seed + 1, device, rows, all_worlds)
        self.bursts = Bursts()
        self.observations = environment.reset(seed, first_world)
        self.memory = torch.zeros(worlds, agents, hidden, device=device)
        self.begins = torch.ones(worlds, dtype=torch.bool, device=device)
        size = environment.contract.action_size
        self.running_return = np.zeros(worlds)
        self.running_ticks = np.zeros(worlds, dtype=np.int64)
        self._senses = sense(self.observations).map(
            lambda part: torch.empty((ticks, *part.shape), dtype=part.dtype, device=device)
        )
        self._links: Links | None = None  # made at the first tick, when shapes are known
        self._memory = torch.empty((ticks // sequence, worlds, agents, hidden), device=device)
        self._began = torch.empty((ticks, worlds), dtype=torch.bool, device=device)
        self._bits = torch.empty((ticks, worlds), dtype=torch.int64, device=device)
        self._actions = torch.empty((ticks, worlds, agents, size), device=device)
        self._log_probability, self._reward = (torch.empty((ticks, worlds, agents), device=device) for _ in range(2))
        self._terminated, self._truncated = (
            torch.empty((ticks, worlds), dtype=torch.bool, device=device) for _ in range(2)
        )

    def enter(self, environment: BatchEnvironment, observations: Observations) -> None:
        """Play on in as many other worlds of the same fleet, started; nothing of the old ones is remembered."""
        self.environment = environment
        self.observations = observations
        self.bursts = Bursts()
        self.memory.zero_()
        self.begins.fill_(True)
        self.running_return[:] = 0.0
        self.running_ticks[:] = 0

    @torch.no_grad()
    def collect(
        self, policy: FleetPolicy, *, with_advice: bool = False, channel: ChannelSettings | None = None
    ) -> Rollout:
        """Play T ticks on from where the worlds stand.

        Args:
            policy: who decides.
            with_advice: the world's adviser is asked at each tick.
            channel: what the air does instead of the policy's own; differs in loss, burst, delay and deadline only.
        """
        finals: list[Final] = []
        episodes: list[dict[str, float]] = []
        advice: list[Tensor] = []
        channel = policy.channel if channel is None else channel
        contract, kinds = policy.contract, self.environment.kinds
        for tick in range(self.ticks):
            senses = sense(self.observations, self.device)
            neighbours = connect(channel.graph, senses.position, senses.alive, kinds, channel.radio_range)
            links = carry(
                channel, neighbours, contract.rounds, self.air, numbers=contract.message_size, bursts=self.bursts
            )
            answer = policy(senses, links, self.memory)
            actions = sample(policy.contract, answer, self.chance)
            self._remember(tick, senses, links)
            self._bits[tick] = count_bits(channel, neighbours, answer.messages).sum(-1)
            self._actions[tick] = actions
            self._log_probability[tick] = judge(policy.contract, answer, actions)[0]
            if with_advice and isinstance(self.environment, Advising):
                advice.append(torch.from_numpy(self.environment.advise()).to(self.device))
            step = self.environment.step(to_world(policy.contract, senses.counts(), actions).cpu().numpy())
            self.begins = torch.from_numpy(step.terminated | step.truncated).to(self.device)
            self.bursts.restart(self.begins)
            if policy.architecture.memory:
                self.memory = answer.hidden.masked_fill(self.begins.view(-1, 1, 1), 0.0)
            self._reward[tick] = torch.from_numpy(step.reward)
            self._terminated[tick] = torch.from_numpy(step.terminated)
            self._truncated[tick] = torch.from_numpy(step.truncated)
            self.observations = step.observations
            if step.truncated.any():
                finals.append(self._final(tick, step.final, step.truncated))
            episodes.extend(self._close(step.reward, step.terminated | step.truncated, step.kpis))
        assert self._links is not None
        return Rollout(
            self._senses,
            self._links,
            self._memory,
            self._began,
            self._actions,
            torch.stack(advice) if advice else self._actions[..., :0],
            self._log_probability,
            self._reward,
            self._terminated,
            self._truncated,
            sense(self.observations, self.device),
            finals,
            episodes,
            self._bits,
        )

    def content(self) -> dict[str, Any]:
        """What is needed to go on collecting, as plain data; `world` is None where a world cannot be saved."""
        world = self.environment.snapshot() if isinstance(self.environment, Restorable) else None
        return {
            "chance": self.chance.generator.get_state(),
            "air": self.air.generator.get_state(),
            "bursts": self.bursts.state,
            "memory": self.memory,
            "begins": self.begins,
            "running_return": torch.from_numpy(self.running_return.copy()),
            "running_ticks": torch.from_numpy(self.running_ticks.copy()),
            "world": None if world is None else pack_arrays(world),
        }

    def take_up(self, content: dict[str, Any], *, seed: int, first_world: int) -> None:
        """Go on from saved content; a world that was not saved starts anew from this seed."""
        self.chance.generator.set_state(content["chance"])
        self.air.generator.set_state(content["air"])
        if content["world"] is None or not isinstance(self.environment, Restorable):
            self.observations = self.environment.reset(seed, first_world)
            return
        self.observations = self.environment.restore(unpack_arrays(content["world"]))
        bursts = content.get("bursts")  # absent in older checkpoints
        self.bursts.state = None if bursts is None else bursts.to(self.device)
        self.memory.copy_(content["memory"])
        self.begins.copy_(content["begins"])
        self.running_return[:] = content["running_return"].numpy()
        self.running_ticks[:] = content["running_ticks"].numpy()

    def _remember(self, tick: int, senses: Senses, links: Links) -> None:
        if tick % self.sequence == 0:
            self._memory[tick // self.sequence] = self.memory
        self._began[tick] = self.begins
        for name, kind in senses.kinds.items():
            for kept, part in zip(self._senses.kinds[name], kind, strict=True):
                kept[tick] = part
        self._senses.position[tick] = senses.position
        self._senses.alive[tick] = senses.alive
        self._senses.state[tick] = senses.state
        if self._links is None:
            self._links = links.map(lambda part: part.new_empty((self.ticks, *part.shape)))
        for buffer, drawn in zip(self._links, links, strict=True):
            if buffer is not None and drawn is not None:
                buffer[tick] = drawn

    def _final(self, tick: int, final: Observations | None, truncated: np.ndarray) -> Final:
        if final is None:
            raise ValueError(
                f"the world reports {int(truncated.sum())} truncated episode(s) at a tick but gives no `final` "
                "observations; a truncated episode needs them for its bootstrap value"
            )
        worlds = torch.from_numpy(np.flatnonzero(truncated)).to(self.device)
        return Final(tick, worlds, sense(final, self.device).select(worlds))

    def _close(self, reward: np.ndarray, ended: np.ndarray, kpis: list[dict[str, float]]) -> list[dict[str, float]]:
        """Count the running episodes on; give the ended ones' figures."""
        self.running_return += reward.mean(-1)
        self.running_ticks += 1
        worlds = np.flatnonzero(ended)
        closed = [
            {"return": float(self.running_return[world]), "ticks": float(self.running_ticks[world])} for world in worlds
        ]
        for figures, episode in zip(closed, kpis, strict=False):
            figures.update(episode)
        self.running_return[worlds] = 0.0
        self.running_ticks[worlds] = 0
        return closed
