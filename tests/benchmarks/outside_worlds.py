"""Train in worlds that nobody here wrote, five seeds each, and keep every seed's curve and command.

    OMP_NUM_THREADS=1 python tests/benchmarks/outside_worlds.py navigation balance --out docs/results/outside

A result that is there already is not run again, so a stopped series goes on. Draw them with `parley plot`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = "config/training/worlds.yaml"
ROBOTS = [  # for VMAS: close to BenchMARL's defaults, but batches of few epochs
    "worlds=60",
    "ticks=100",
    "frames=600000",
    "ppo.epochs=4",
    "ppo.minibatch=400",
    "ppo.gae_lambda=0.9",
    "ppo.entropy_start=0",
    "evaluation.every=5",
    "evaluation.worlds=200",
]
TALKERS = [  # for MPE; evaluated over 25 ticks, one episode
    "worlds=64",
    "ticks=50",
    "frames=1280000",
    "ppo.epochs=10",
    "ppo.minibatch=800",
    "evaluation.worlds=200",
    "evaluation.ticks=25",
]
NAVIGATION = (
    "env_settings.options={n_agents: 3, collisions: true, agents_with_same_goal: 1, split_goals: false, "
    "observe_all_goals: false, shared_rew: false, lidar_range: 0.35, agent_radius: 0.1}"
)
BALANCE = "env_settings.options={n_agents: 4, random_package_pos_on_line: true, package_mass: 5}"
TRANSPORT = (
    "env_settings.options={n_agents: 4, n_packages: 1, package_width: 0.15, package_length: 0.15, package_mass: 50}"
)
SILENT, TALKING = "env_settings.rounds=0", "env_settings.rounds=2"
RUNS: dict[str, tuple[str, list[str]]] = {  # name: world, and what differs from SETTINGS
    "navigation": ("vmas:navigation", [*ROBOTS, NAVIGATION, SILENT, "ppo.gamma=0.9", "frames=450000"]),
    "navigation-messages": ("vmas:navigation", [*ROBOTS, NAVIGATION, TALKING, "ppo.gamma=0.9", "frames=450000"]),
    "balance": ("vmas:balance", [*ROBOTS, BALANCE, SILENT, "ppo.gamma=0.99"]),
    "balance-messages": ("vmas:balance", [*ROBOTS, BALANCE, TALKING, "ppo.gamma=0.99"]),
    "transport": ("vmas:transport", [*ROBOTS, TRANSPORT, SILENT, "ppo.gamma=0.99"]),
    "speaker-listener": ("pettingzoo:mpe2.simple_speaker_listener_v4", [*TALKERS, SILENT]),
    "speaker-listener-messages": ("pettingzoo:mpe2.simple_speaker_listener_v4", [*TALKERS, TALKING]),
    "reference": ("pettingzoo:mpe2.simple_reference_v3", [*TALKERS, SILENT]),
    "reference-messages": ("pettingzoo:mpe2.simple_reference_v3", [*TALKERS, TALKING]),
    "rware-tiny-2ag": (
        "rware:rware-tiny-2ag-v2",
        ["worlds=32", "ticks=125", "frames=4000000", "ppo.gamma=0.99", "env_settings.workers=2", SILENT],
    ),
}


def command(name: str, seed: int) -> list[str]:
    """`parley train` of one run."""
    world, changes = RUNS[name]
    words = ["parley", "train", "--config", SETTINGS, "--env", world, "--seed", str(seed)]
    return words + [word for change in changes for word in ("--set", change)]


def run(name: str, seed: int, out: Path) -> None:
    """Train once and write the result, whole or not at all."""
    words = command(name, seed)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        own = [str(Path(sys.executable).with_name("parley")), *words[1:]]
        subprocess.run([*own, "--run-dir", f"{folder}/run", "--json", str(result)], check=True)
        content = json.loads(result.read_text())
    for machine_path in ("run_dir", "best"):
        content.pop(machine_path, None)
    path = out / f"{name}-{seed}.json"
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps({"name": name, "command": shlex.join(words), **content}, indent=1) + "\n")
    draft.replace(path)


def main() -> None:
    """Read the command line and run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all: {', '.join(RUNS)}")
    parser.add_argument("--seeds", type=int, default=5, help="0 to N - 1; default %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    arguments = parser.parse_args()
    for name in arguments.names or RUNS:
        if name not in RUNS:
            parser.error(f"no run '{name}'; there are {', '.join(RUNS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or RUNS:
        for seed in range(arguments.seeds):
            if not (arguments.out / f"{name}-{seed}.json").exists():
                run(name, seed, arguments.out)


if __name__ == "__main__":
    main()
