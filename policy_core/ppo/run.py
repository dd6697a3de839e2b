"""One training run in memory: worlds, learner and counters; how it begins, iterates, is saved and goes on."""

from __future__ import annotations

import importlib
import math
import time
from pathlib import Path
from typing import Any

import torch

from policy_core.agents.critic import Critic, ValueScale
from policy_core.agents.fleet_policy import FleetPolicy
from policy_core.config import ConfigError
from policy_core.contract import Contract
from policy_core.environment import BatchEnvironment
from policy_core.ppo.checkpoint import Restorable, pack_arrays, read_commit, unpack_arrays
from policy_core.ppo.rollout import Collector
from policy_core.ppo.settings import TrainingSettings
from policy_core.ppo.update import Learner, prepare, update

MAY_CHANGE = ("frames", "threads", "checkpoint", "evaluation", "device")  # when a run is resumed


class Run:
    """A run in memory: worlds, learner and counters."""

    def __init__(self, settings: TrainingSettings, folder: Path) -> None:
        """Build worlds and fresh weights from the seed."""
        self.settings = settings
        self.folder = folder
        self.device = torch.device(choose_device(settings.device))
        torch.manual_seed(settings.seed)
        self.environment = make_environment(settings, settings.worlds)
        contract = self.environment.contract
        self.policy = FleetPolicy(contract, settings.architecture, settings.channel).to(self.device)
        self.collector = Collector(
            self.environment,
            ticks=settings.ticks,
            rounds=contract.rounds,
            seed=settings.seed,
            device=self.device,
        )
        critic = Critic(contract, settings.architecture, self.collector.observations.state.shape[-1]).to(self.device)
        self.learner = Learner(
            self.policy,
            critic,
            ValueScale().to(self.device),
            torch.optim.Adam(self.policy.parameters(), eps=1e-5),
            torch.optim.Adam(critic.parameters(), eps=1e-5),
            torch.Generator(self.device).manual_seed(settings.seed + 2),
        )
        self.commit = read_commit()
        self.iteration = 0
        self.best_return: float | None = None
        self.evaluations: list[dict[str, float]] = []

    @property
    def frames_each(self) -> int:
        """Agent frames in one iteration."""
        return self.settings.ticks * self.settings.worlds * len(self.environment.agents)

    @property
    def iterations(self) -> int:
        """Iterations in the whole run."""
        return math.ceil(self.settings.frames / self.frames_each)

    def iterate(self) -> dict[str, float]:
        """Collect once and learn from it; gives the figures for the log."""
        began = time.monotonic()
        torch.set_num_threads(self.settings.threads.collect)
        rollout = self.collector.collect(self.policy)
        collected = time.monotonic()
        torch.set_num_threads(self.settings.threads.update)
        progress = self.iteration / self.iterations
        batch, figures = prepare(rollout, self.learner, self.settings.ppo)
        figures |= update(batch, self.learner, self.settings.ppo, progress, detach=self.settings.detach_messages)
        torch.set_num_threads(self.settings.threads.collect)
        ended = time.monotonic()
        figures |= {"seconds/collect": collected - began, "seconds/learn": ended - collected}
        figures["frames per second"] = self.frames_each / (ended - began)
        for name in sorted({name for episode in rollout.episodes for name in episode}):
            known = [episode[name] for episode in rollout.episodes if name in episode]
            figures[f"episode/{name}"] = sum(known) / len(known)
        self.iteration += 1
        return figures

    def content(self) -> dict[str, Any]:
        """All that is needed to go on, as plain data."""
        parts = self.learner
        world = pack_arrays(self.environment.snapshot()) if isinstance(self.environment, Restorable) else None
        return {
            "settings": self.settings.model_dump(mode="json"),
            "commit": self.commit,
            "contract": self.environment.contract.plain(),
            "agents": list(self.environment.agents),
            "kinds": list(self.environment.kinds),
            "iteration": self.iteration,
            "frames": self.iteration * self.frames_each,
            "best_return": self.best_return,
            "evaluations": self.evaluations,
            "policy": parts.policy.state_dict(),
            "critic": parts.critic.state_dict(),
            "scale": parts.scale.state_dict(),
            "policy_optimiser": parts.policy_optimiser.state_dict(),
            "critic_optimiser": parts.critic_optimiser.state_dict(),
            "chance": {name: generator.get_state() for name, generator in self._generators().items()},
            "running_return": torch.from_numpy(self.collector.running_return.copy()),
            "running_ticks": torch.from_numpy(self.collector.running_ticks.copy()),
            "world": world,
        }

    def take_up(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint; a world that cannot be restored starts anew with a seed of its own.

        Raises:
            ConfigError: the settings differ from those of the checkpoint in something that may not change.
        """
        known, wanted = content["settings"], self.settings.model_dump(mode="json")
        for key in wanted:
            if key not in MAY_CHANGE and known.get(key) != wanted[key]:
                raise ConfigError(
                    f"{self.folder}: the run was started with {key}: {known.get(key)}, now {wanted[key]} is asked for. "
                    f"Only {', '.join(MAY_CHANGE)} may change on --resume; start a new run folder otherwise."
                )
        if Contract.model_validate(content["contract"]).digest() != self.environment.contract.digest():
            raise ConfigError(f"{self.folder}: the contract has changed since the run was started; start a new one.")
        for name in ("policy", "critic", "scale", "policy_optimiser", "critic_optimiser"):
            getattr(self.learner, name).load_state_dict(content[name])
        for name, generator in self._generators().items():
            generator.set_state(content["chance"][name])
        self.iteration = content["iteration"]
        self.best_return = content["best_return"]
        self.evaluations = content["evaluations"]
        if content["world"] is not None and isinstance(self.environment, Restorable):
            self.collector.observations = self.environment.restore(unpack_arrays(content["world"]))
            self.collector.running_return[:] = content["running_return"].numpy()
            self.collector.running_ticks[:] = content["running_ticks"].numpy()
        else:
            self.collector.observations = self.environment.reset(self.settings.seed + 7919 * self.iteration)

    def _generators(self) -> dict[str, torch.Generator]:
        return {"chance": self.collector.chance, "air": self.collector.air, "shuffle": self.learner.shuffle}


def make_environment(settings: TrainingSettings, worlds: int) -> BatchEnvironment:
    """Build a batch of worlds by name.

    Raises:
        ConfigError: no such module or function, or it does not take these settings.
    """
    module, _, function = settings.env.partition(":")
    if not function:
        raise ConfigError(f"env: saw '{settings.env}'; wanted 'module:function', such as sim.fast.env:make")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"env: '{settings.env}' cannot be found ({error}); wanted an importable function") from None
    try:
        return make(worlds=worlds, **settings.env_settings)
    except TypeError as error:
        raise ConfigError(f"env_settings: '{settings.env}' does not accept them ({error})") from None


def choose_device(wanted: str) -> str:
    """The device to compute on.

    Raises:
        ConfigError: CUDA is asked for and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device: saw '{wanted}', but torch finds no CUDA device; use 'cpu' or 'auto'")
    return wanted
