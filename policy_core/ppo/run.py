"""One training run in memory: worlds, learner and counters; how it begins, iterates, is saved and goes on."""

from __future__ import annotations

import importlib
import math
import os
import time
from pathlib import Path
from typing import Any

import torch

from policy_core.agents.critic import Critic, ValueScale
from policy_core.agents.fleet_policy import Architecture, FleetPolicy
from policy_core.agents.joint_critic import JointCritic
from policy_core.agents.senses import Senses, sense
from policy_core.config import ConfigError, parse_settings
from policy_core.contract import Contract
from policy_core.environment import BatchEnvironment, Observations
from policy_core.ppo.batch import Split, prepare
from policy_core.ppo.check import check_adviser, check_fleet, check_rollout, check_world
from policy_core.ppo.checkpoint import read_commit
from policy_core.ppo.curriculum import stage_at
from policy_core.ppo.learner import Learner, TrainingError
from policy_core.ppo.ranks import join_ranks
from policy_core.ppo.retelling import Retelling
from policy_core.ppo.rollout import Collector
from policy_core.ppo.settings import TrainingSettings
from policy_core.ppo.update import update
from policy_core.worlds.names import resolve

MAY_CHANGE = ("frames", "threads", "checkpoint", "evaluation")  # when a run is resumed


class Run:
    """A run in memory: worlds, learner and counters."""

    def __init__(self, settings: TrainingSettings, folder: Path) -> None:
        """Build worlds and fresh weights from the seed."""
        self.settings = settings
        self.folder = folder
        self.device = torch.device(choose_device(settings.device))
        self.ranks = join_ranks(self.device)
        rows = self.ranks.rows(settings.worlds)
        self.split = Split(rows, settings.worlds)
        torch.manual_seed(settings.seed)
        self.stage = 0  # place of what is played among the stages
        self.played = settings.in_stage(0)
        self.environment = make_environment(self.played, rows.stop - rows.start)
        contract, sizes = self.environment.contract, settings.architecture
        self.policy = FleetPolicy(contract, sizes, settings.channel).to(self.device)
        self.collector = Collector(
            self.environment,
            ticks=settings.ticks,
            sequence=settings.sequence,
            hidden=sizes.hidden if sizes.memory else 0,
            seed=settings.seed,
            device=self.device,
            first_world=rows.start,
            all_worlds=settings.worlds if self.ranks.count > 1 else 0,
        )
        check_world(self.environment, self.collector.observations)
        check_adviser(self.environment, self.played.env, settings.ppo.advice_start)
        first = sense(self.collector.observations, self.device)
        critic = make_critic(contract, sizes, first).to(self.device)
        retelling = Retelling(self.policy).to(self.device) if settings.ppo.retelling else None
        taught = [*self.policy.parameters(), *(retelling.parameters() if retelling else ())]
        self.learner = Learner(
            self.policy,
            critic,
            ValueScale().to(self.device),
            torch.optim.Adam(taught, eps=1e-5, fused=True),
            torch.optim.Adam(critic.parameters(), eps=1e-5, fused=True),
            torch.Generator(self.device).manual_seed(settings.seed + 2),
            retelling,
        )
        self._watch(first)
        self.commit = read_commit()
        self.iteration = 0
        self.cpu_seconds = 0.0  # of this process, collecting and learning; without worker processes
        self.best_return: float | None = None
        self.evaluations: list[dict[str, float]] = []
        for place in range(1, len(settings.curriculum)):
            self._make_stage(place)  # so that whatever is wrong with it is told now and not after hours

    @property
    def frames_each(self) -> int:
        """Agent frames in one iteration."""
        return self.settings.ticks * self.settings.worlds * len(self.environment.agents)

    @property
    def iterations(self) -> int:
        """Iterations in the whole run."""
        return math.ceil(self.settings.frames / self.frames_each)

    def enter_due_stage(self) -> None:
        """Go over to the stage of the coming iteration, if it is another than that of the one before."""
        due = stage_at(self.settings.curriculum, self.iteration / self.iterations)
        if due != self.stage:
            self._enter(due)

    def _enter(self, place: int) -> None:
        self.environment, observations = self._make_stage(place)
        self.stage, self.played = place, self.settings.in_stage(place)
        self.collector.enter(self.environment, observations)

    def _fresh_seed(self) -> int:
        """Of worlds that start anew before the coming iteration."""
        return self.settings.seed + 7919 * self.iteration

    def _make_stage(self, place: int) -> tuple[BatchEnvironment, Observations]:
        """The worlds of a stage, started, and what they first observe.

        Raises:
            ConfigError: it cannot be built, its fleet is not the run's, or it lacks an adviser that it needs.
        """
        rows, stages, played = self.split.rows, self.settings.curriculum, self.settings.in_stage(place)
        begins = stages[place - 1].until if place else 0.0
        try:
            environment = make_environment(played, rows.stop - rows.start)
            observations = environment.reset(self._fresh_seed(), rows.start)
            check_fleet(self.environment, self.collector.observations, environment, observations)
            check_adviser(environment, played.env, self.settings.ppo.advice_weight(begins))
        except (ConfigError, TrainingError) as error:
            raise ConfigError(f"curriculum, stage {place + 1}: {error}") from None
        return environment, observations

    def iterate(self) -> dict[str, float]:
        """Collect once and learn from it; gives the figures for the log."""
        self.enter_due_stage()
        began, cpu_began = time.monotonic(), time.process_time()
        torch.set_num_threads(self.settings.threads.collect)
        progress = self.iteration / self.iterations
        ppo, parts = self.settings.ppo, self.learner
        with_advice = ppo.advice_weight(progress) > 0
        rollout = self.collector.collect(self.policy, with_advice=with_advice, channel=self.played.channel)
        collected = time.monotonic()
        torch.set_num_threads(self.settings.threads.update)
        check_rollout(rollout, self.environment.contract, ppo.reward_limit)
        batch, figures = prepare(rollout, parts, ppo, self.ranks)
        detach = self.settings.detach_messages
        figures |= update(batch, parts, ppo, progress, split=self.split, ranks=self.ranks, detach=detach)
        self._watch(rollout.senses)
        torch.set_num_threads(self.settings.threads.collect)
        ended = time.monotonic()
        self.cpu_seconds += time.process_time() - cpu_began
        figures |= {"seconds/collect": collected - began, "seconds/learn": ended - collected}
        figures["frames per second"] = self.frames_each / (ended - began)
        for name in sorted({name for episode in rollout.episodes for name in episode}):
            known = [episode[name] for episode in rollout.episodes if name in episode]
            figures[f"episode/{name}"] = sum(known) / len(known)
        if self.settings.curriculum:
            figures["curriculum/stage"] = float(self.stage + 1)
        self.iteration += 1
        return figures

    def _watch(self, senses: Senses) -> None:
        """Let running scales take in what was sensed; between iterations, see `RunningScale`."""
        if self.settings.architecture.normaliser == "running":
            self.policy.watch(senses, self.ranks.sum)
            self.learner.critic.watch(senses, self.ranks.sum)

    def content(self) -> dict[str, Any]:
        """All that is needed to go on, as plain data; whole on the first process only, and all must call it."""
        parts = self.learner
        return {
            "settings": self.settings.model_dump(mode="json"),
            "commit": self.commit,
            "contract": self.environment.contract.plain(),
            "agents": list(self.environment.agents),
            "kinds": list(self.environment.kinds),
            "iteration": self.iteration,
            "stage": self.stage,  # that the collectors' worlds are of; the coming iteration may be of the next one
            "frames": self.iteration * self.frames_each,
            "cpu_seconds": self.cpu_seconds,
            "best_return": self.best_return,
            "evaluations": self.evaluations,
            "policy": parts.policy.state_dict(),
            "critic": parts.critic.state_dict(),
            "scale": parts.scale.state_dict(),
            "retelling": parts.retelling.state_dict() if parts.retelling else {},
            "policy_optimiser": parts.policy_optimiser.state_dict(),
            "critic_optimiser": parts.critic_optimiser.state_dict(),
            "shuffle": parts.shuffle.get_state(),
            "collectors": self.ranks.collect(self.collector.content()),  # one for each process
        }

    def take_up(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint; a world that cannot be restored starts anew with a seed of its own.

        Raises:
            ConfigError: the settings differ from those of the checkpoint in something that may not change.
        """
        saved = parse_settings(TrainingSettings, content["settings"], f"{self.folder}: the run's own settings")
        known, wanted = saved.model_dump(mode="json"), self.settings.model_dump(mode="json")
        for key in wanted:
            if key not in MAY_CHANGE and known[key] != wanted[key]:
                raise ConfigError(
                    f"{self.folder}: the run was started with {key}: {known[key]}, now {wanted[key]} is asked for. "
                    f"Only {', '.join(MAY_CHANGE)} may change on --resume; start a new run folder otherwise."
                )
        if Contract.model_validate(content["contract"]).digest() != self.environment.contract.digest():
            raise ConfigError(f"{self.folder}: the contract has changed since the run was started; start a new one.")
        for name in ("policy", "critic", "scale", "policy_optimiser", "critic_optimiser"):
            getattr(self.learner, name).load_state_dict(content[name])
        if self.learner.retelling:
            self.learner.retelling.load_state_dict(content["retelling"])
        self.learner.shuffle.set_state(content["shuffle"])
        self.iteration = content["iteration"]
        self.cpu_seconds = content["cpu_seconds"]
        self.best_return = content["best_return"]
        self.evaluations = content["evaluations"]
        if content.get("stage", 0) != self.stage:  # absent in older checkpoints
            self._enter(content["stage"])
        seed, first = self._fresh_seed(), self.split.rows.start
        if len(content["collectors"]) == self.ranks.count:
            self.collector.take_up(content["collectors"][self.ranks.index], seed=seed, first_world=first)
        else:
            self.collector.observations = self.environment.reset(seed, first)


def make_critic(contract: Contract, sizes: Architecture, senses: Senses) -> Critic | JointCritic:
    """The critic that the architecture names, for fleets that sense such things."""
    state_size = senses.state.shape[-1]
    if sizes.critic == "joint":
        return JointCritic(contract, sizes, senses.counts(), state_size)
    return Critic(contract, sizes, state_size)


def make_environment(settings: TrainingSettings, worlds: int) -> BatchEnvironment:
    """Build a batch of worlds by name.

    Raises:
        ConfigError: no such module or function, or it does not take these settings.
    """
    module, function, env_settings = resolve(settings.env, settings.env_settings)
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"env: '{settings.env}' cannot be found ({error}); wanted an importable function") from None
    try:
        return make(worlds=worlds, **env_settings)
    except TypeError as error:
        raise ConfigError(f"env_settings: '{settings.env}' does not accept them ({error})") from None


def choose_device(wanted: str) -> str:
    """The device to compute on.

    Raises:
        ConfigError: CUDA is asked for and there is none.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device: saw '{wanted}', but torch finds no CUDA device; use 'cpu' or 'auto'")
    own = os.environ.get("LOCAL_RANK")  # torchrun: every process its own card
    return f"cuda:{own}" if wanted == "cuda" and own is not None else wanted
