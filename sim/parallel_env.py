"""One warehouse as a PettingZoo world, in which all agents decide at once (Terry et al. 2021, arXiv:2009.14471).

```
from sim.parallel_env import parallel_env

env = parallel_env(world="fast")
observations, infos = env.reset(seed=1)
while env.agents:
    actions = {agent: env.action_space(agent).sample(observations[agent]["action_mask"]) for agent in env.agents}
    observations, rewards, terminations, truncations, infos = env.step(actions)
```

One step is one decision of every agent: `contract.tick` seconds, in which the robots move in steps of 0.1 s.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_core.config import ConfigError
from sim.parallel_form import Form

try:
    from gymnasium.spaces import Box, Dict, Discrete
    from gymnasium.utils.seeding import np_random
    from pettingzoo import ParallelEnv
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the package '{error.name}' is not installed, which sim.parallel_env needs. It comes with the extra 'worlds': "
        "make setup, or pip install -e .[worlds]",
        name=error.name,
    ) from None

WORLDS = {"fast": "sim.fast.env:make", "bullet": "sim.bullet.env:make"}  # name: module and function that builds it
MODES = ("human", "rgb_array")
CONFIG = Path(__file__).parents[1] / "config"


def parallel_env(**settings: Any) -> WarehouseParallelEnv:
    """The world as PettingZoo's modules give theirs; see `WarehouseParallelEnv`."""
    return WarehouseParallelEnv(**settings)


def find_maker(world: str) -> Callable[..., Any]:
    """The function that builds a simulator's worlds; only that simulator is imported.

    Raises:
        ConfigError: there is no such simulator.
    """
    if world not in WORLDS:
        raise ConfigError(f"world: saw '{world}', wanted one of {', '.join(WORLDS)}")
    module, function = WORLDS[world].split(":")
    maker: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return maker


class WarehouseParallelEnv(ParallelEnv):
    """One warehouse: forklifts, one inventory agent a zone, one agent a quality station.

    An agent senses a Dict: `observation` [O] and `candidates` [C, F], float32 in the contract's order and SI units, and
    `action_mask` [C] int8, 1 where a candidate may be chosen. Numbers are clipped at 3 times their contract range, as
    the networks clip them; that is the Box. An action is the place of a candidate. A masked one counts as the first
    (carry on, wait), and `infos[agent]` then says `illegal_action: True`.

    The reward is the team's, the same for all. No task ends; time runs out for all agents at once, and the episode's
    KPIs are then in everybody's `infos[agent]["kpis"]`.

    Args:
        world: the simulator, fast or bullet.
        forklifts: robots.
        episode: seconds of simulated time until truncation.
        floorplan, warehouse, contract, orders, bodies: files, by default those in config/.
        load: each episode's order rate is the configured one times a number drawn from this range.
        scaled: give every number scaled by its contract range, in [-3, 3], instead of in its unit.
        render_mode: rgb_array: `render` gives the floor from above; human: it shows that in a window; None: neither.
        picture: width and height of the picture (pixels).

    Raises:
        ConfigError: a name or file that cannot be used.
    """

    def __init__(
        self,
        world: str = "fast",
        *,
        forklifts: int = 4,
        episode: float = 600.0,
        floorplan: Path | str = CONFIG / "floorplans" / "small_dc.yaml",
        warehouse: Path | str = CONFIG / "warehouse.yaml",
        contract: Path | str = CONFIG / "contract.yaml",
        orders: Path | str = CONFIG / "orders.yaml",
        bodies: Path | str = CONFIG / "bodies.yaml",
        load: tuple[float, float] = (0.7, 1.3),
        scaled: bool = False,
        render_mode: str | None = None,
        picture: tuple[int, int] = (960, 640),
    ) -> None:
        if render_mode not in (None, *MODES):
            raise ConfigError(f"render_mode: saw '{render_mode}', wanted None or one of {', '.join(MODES)}")
        files = {
            "floorplan": floorplan,
            "warehouse": warehouse,
            "contract": contract,
            "orders": orders,
            "bodies": bodies,
        }
        self.world = find_maker(world)(
            1,
            forklifts=forklifts,
            episode=episode,
            **{name: str(path) for name, path in files.items()},
            load=load,
            stagger=False,
        )
        self.metadata = {
            "name": f"parley_{world}_warehouse_v1",
            "render_modes": list(MODES),
            "is_parallelizable": True,
            "render_fps": 10,
        }
        self.render_mode = render_mode
        self.possible_agents = list(self.world.agents)
        self.agents: list[str] = []
        self._form = Form(self.world.contract, self.world.kinds, scaled=scaled)
        self._spaces = dict(zip(self.possible_agents, map(_senses_of, self._form.bounds), strict=True))
        self._actions = {name: Discrete(n) for name, n in zip(self.world.agents, self._form.choices, strict=True)}
        self._ticks = max(1, round(episode / self.world.contract.tick))
        self._left = -1  # ticks to go; below 0: never reset
        self._random: np.random.Generator | None = None
        self._floorplan, self._bodies, self._picture = floorplan, bodies, picture
        self._view: Any = None
        self._window: Any = None
        self.state_space = Box(-np.inf, np.inf, self.world.reset(0).state[0].shape, np.float32)

    def observation_space(self, agent: str) -> Dict:
        """What an agent senses."""
        return self._spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The places of its candidates."""
        return self._actions[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, dict[str, Any]]]:
        """Start an episode; without a seed one that follows from the last seed given, or from the system's chance."""
        if seed is None:
            if self._random is None:
                self._random, _ = np_random(None)
            start = int(self._random.integers(2**31))
        else:
            self._random, _ = np_random(seed)
            start = seed
        self.world.reset(start)
        self._left = self._ticks
        self.agents = list(self.possible_agents)
        return self._look(), {name: {} for name in self.agents}

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[
        dict[str, dict[str, np.ndarray]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """One decision of every agent.

        Raises:
            ValueError: an agent's action is missing, no integer, or no place of a candidate.
            RuntimeError: `reset` was never called.
        """
        if not self.agents:
            if self._left < 0:
                raise RuntimeError("step was called before reset; call reset first, and again when `agents` is empty")
            return {}, {}, {}, {}, {}
        chosen = self._form.read_actions(self.possible_agents, actions)
        names = self.agents
        infos: dict[str, dict[str, Any]] = {name: {} for name in names}
        allowed = self.world.masks
        for place, first in enumerate(self._form.first):
            if not allowed.item(first + chosen[place]):
                infos[names[place]]["illegal_action"] = True
                chosen[place] = 0
        self._left -= 1
        is_over = self._left <= 0
        reward = self.world.advance(np.array([chosen])).item()
        observations = self._look()
        if is_over:
            for info in infos.values():
                info["kpis"] = self.world.kpis(0)
            self.agents = []
        return (
            observations,
            dict.fromkeys(names, reward),
            dict.fromkeys(names, False),
            dict.fromkeys(names, is_over),
            infos,
        )

    def state(self) -> np.ndarray:
        """The whole world in brief [G]; see `FastWarehouse`."""
        return np.asarray(self.world.brief()[0])

    def render(self) -> np.ndarray | None:
        """The floor from above: RGB [height, width, 3] uint8, or a window that shows it.

        Raises:
            ConfigError: a window is wanted where there is no display.
        """
        if self.render_mode is None:
            raise ConfigError(f"render: the world was made without a render_mode; wanted one of {', '.join(MODES)}")
        if self._view is None:
            from sim.view.top_down import TopDown
            from sim.warehouse.bodies import read_bodies
            from sim.warehouse.floorplan import read_floorplan

            plan, bodies = read_floorplan(self._floorplan), read_bodies(self._bodies)
            length = self._ticks * self.world.contract.tick
            self._view = TopDown(plan, self.world.agents, self._picture, bodies, length=length)
        from sim.view.scene import scene_of

        frame = self._view.draw(scene_of(self.world))
        if self.render_mode == "rgb_array":
            return np.asarray(frame)
        if self._window is None:
            from sim.view.window import Window

            self._window = Window(*self._picture, str(self.metadata["name"]))
        self._window.show(frame)
        return None

    def close(self) -> None:
        """Give window and simulator back."""
        if self._window is not None:
            self._window.close()
            self._window = None
        if hasattr(self.world, "close"):  # only one with bodies holds something
            self.world.close()

    def _look(self) -> dict[str, dict[str, np.ndarray]]:
        """What every agent senses now, in arrays that nothing will change."""
        return self._form.split(self.possible_agents, self.world.sensed, self.world.masks)


def _senses_of(bounds: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Dict:
    (low, high), (candidate_low, candidate_high) = bounds
    return Dict(
        {
            "observation": Box(low, high, dtype=np.float32),
            "candidates": Box(candidate_low, candidate_high, dtype=np.float32),
            "action_mask": Box(0, 1, candidate_low.shape[:1], np.int8),
        }
    )
