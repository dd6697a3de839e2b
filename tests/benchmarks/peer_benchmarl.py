"""Train BenchMARL's MAPPO on one VMAS world and write its learning curve, the yardstick for our own trainer.

One run is one process and one JSON. A return is the number that BenchMARL reports: the mean over episodes of the
reward summed to the episode's end (100 steps at most), mean over agents. The clocks run in collection and update
only; evaluation leaves no trace in training. Needs the `peers` extra:

    OMP_NUM_THREADS=1 python tests/benchmarks/peer_benchmarl.py --world navigation --seed 0 --out navigation_0.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from benchmarl.algorithms import MappoConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from benchmarl.utils import local_seed
from tensordict import TensorDictBase
from torchrl.envs.utils import ExplorationType, set_exploration_type
from vmas.simulator.environment import Environment

PACKAGES = ("torch", "torchrl", "tensordict", "benchmarl", "vmas", "numpy")
EVALUATION_SEED = 1_000_000  # the same episodes for every run and every point
# BenchMARL, fine_tuned/vmas/conf/config.yaml at 179a956: what it changes of the defaults that MAPPO reads.
TUNED = {
    "gamma": 0.9,
    "on_policy_collected_frames_per_batch": 60_000,
    "on_policy_n_envs_per_worker": 600,
    "on_policy_minibatch_size": 4096,
}
NUMBERS = (
    ("seed", 0, "of networks, worlds and samples"),
    ("frames", 300_000, "of the world, not of its agents"),
    ("threads", 1, "of torch"),
    ("evaluate-every", 30_000, "frames"),
    ("episodes", 200, "per evaluation"),
)
QUIET = {"evaluation": False, "render": False, "loggers": [], "create_json": False}


@dataclass
class Point:
    """The state after one batch; frames and seconds are sums since the start, evaluation left out."""

    frames: int  # of the world
    agent_frames: int
    train_return_mean: float | None  # episodes that ended in this batch, actions sampled; None: no episode ended
    eval_return_mean: float | None  # actions deterministic; None: not evaluated here
    eval_return_std: float | None  # over episodes
    wall_s: float
    cpu_s: float  # of this process, all threads
    collect_s: float  # share of cpu_s
    update_s: float  # share of cpu_s


class Curve(Callback):
    """Clocks collection and update, and evaluates every so many frames."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every, self.points = every, list[Point]()
        self.wall = self.collect = self.update = 0.0

    def start_clocks(self) -> None:
        self.wall_mark, self.cpu_mark = time.perf_counter(), time.process_time()

    def on_batch_collected(self, batch: TensorDictBase) -> None:
        now = time.process_time()
        self.collect, self.cpu_mark = self.collect + now - self.cpu_mark, now

    def on_train_end(self, training_td: TensorDictBase, group: str) -> None:
        self.update += time.process_time() - self.cpu_mark
        self.wall += time.perf_counter() - self.wall_mark
        run = self.experiment
        frames, train = run.total_frames, None if math.isnan(run.mean_return) else run.mean_return
        before = self.points[-1].frames if self.points else -1
        is_due = frames // self.every > before // self.every or frames >= run.config.max_n_frames
        times = (self.wall, self.collect + self.update, self.collect, self.update)
        evaluated: tuple[float | None, float | None] = evaluate(run) if is_due else (None, None)
        self.points.append(Point(frames, frames * len(run.group_map[group]), train, *evaluated, *times))
        if is_due:
            print(json.dumps(asdict(self.points[-1])), flush=True)
        self.start_clocks()


@torch.no_grad()
def evaluate(run: Experiment) -> tuple[float, float]:
    """Mean and spread of the return over one episode in each evaluation world.

    All VMAS environments of a process draw from one random state; it is put back here, otherwise training would
    go on from the evaluation's seed each time.
    """
    kept = list(Environment.vmas_random_state)
    with local_seed(), set_exploration_type(ExplorationType.DETERMINISTIC):
        run.test_env.set_seed(EVALUATION_SEED)
        played = run.test_env.rollout(run.max_steps, run.policy, break_when_any_done=False)["next"]
    Environment.vmas_random_state[:] = kept
    (group,) = run.group_map
    done = played["done"].squeeze(-1).long()  # [E, T]
    is_first_episode = done.cumsum(1) - done == 0
    returns = (played[group, "reward"].squeeze(-1).mean(-1) * is_first_episode).sum(1)  # [E]
    return returns.mean().item(), returns.std().item()


def apply_ours(path: Path, experiment: ExperimentConfig, algorithm: MappoConfig) -> None:
    """Set what one of our training files says; its rate stays constant here, ours falls to zero."""
    ours = yaml.safe_load(path.read_text())
    ppo, worlds = ours["ppo"], ours["worlds"]
    experiment.gamma, experiment.lr, experiment.clip_grad_val = ppo["gamma"], ppo["learning_rate"], ppo["gradient_norm"]
    experiment.on_policy_collected_frames_per_batch = worlds * ours["ticks"]
    experiment.on_policy_n_envs_per_worker = worlds
    experiment.on_policy_n_minibatch_iters, experiment.on_policy_minibatch_size = ppo["epochs"], ppo["minibatch"]
    algorithm.lmbda, algorithm.clip_epsilon = ppo["gae_lambda"], ppo["clip"]
    algorithm.entropy_coef = ppo["entropy_start"]


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """One run; gives what the JSON holds."""
    torch.set_num_threads(arguments.threads)
    task = VmasTask[arguments.world.upper()].get_from_yaml()
    config, algorithm, model = ExperimentConfig.get_from_yaml(), MappoConfig.get_from_yaml(), MlpConfig.get_from_yaml()
    if arguments.settings == "ours":
        apply_ours(arguments.config, config, algorithm)
    config.max_n_frames, config.evaluation_episodes = arguments.frames, arguments.episodes
    for name, value in {**QUIET, **(TUNED if arguments.settings == "tuned" else {})}.items():
        setattr(config, name, value)
    model.num_cells, curve = arguments.network, Curve(arguments.evaluate_every)
    with tempfile.TemporaryDirectory() as config.save_folder:
        experiment = Experiment(task, algorithm, model, arguments.seed, config, callbacks=[curve])
        curve.start_clocks()
        experiment.run()
    unused = ("off_policy", "exploration", "evaluation", "checkpoint", "restore", "save", "exclude", "keep", "wandb")
    used = {name: value for name, value in vars(config).items() if not name.startswith(unused) and name not in QUIET}
    network = {"num_cells": model.num_cells, "activation": model.activation_class.__name__}
    evaluation = {"seed": EVALUATION_SEED, "episodes": arguments.episodes, "actions": "deterministic"}
    settings = {"name": arguments.settings, "threads": arguments.threads, **used, **vars(algorithm)}
    return {
        "world": arguments.world,
        "seed": arguments.seed,
        "settings": {**settings, "network": network, "task": task.config, "evaluation": evaluation},
        "versions": {name: version(name) for name in PACKAGES},
        "evaluations": [  # named as ours, for `parley plot`
            {"frames": point.agent_frames, "episode return": point.eval_return_mean, "cpu seconds": point.cpu_s}
            for point in curve.points
            if point.eval_return_mean is not None
        ],
        "points": [asdict(point) for point in curve.points],
    }


def main() -> None:
    """Read the command line, train, and write the JSON in one go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=("balance", "navigation", "transport"), required=True)
    parser.add_argument("--settings", choices=("default", "tuned", "ours"), default="default")
    parser.add_argument("--config", type=Path, help="our training file, for --settings ours")
    parser.add_argument("--network", type=int, nargs="+", default=[256, 256], help="hidden widths; default 256 256")
    for name, default, meaning in NUMBERS:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning}; default %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    arguments = parser.parse_args()
    if arguments.settings == "ours" and arguments.config is None:
        parser.error("--settings ours wants --config FILE, one of our training files")
    draft = arguments.out.with_suffix(".part")
    draft.write_text(json.dumps(train(arguments), indent=1) + "\n")
    os.replace(draft, arguments.out)


if __name__ == "__main__":
    main()
