"""From a world's spaces to the contract's fields, choices and controls, and its values from and to plain numbers.

A space is known by the name of its class, so that those of gymnasium and of the older gym (VMAS) serve alike. What
is nested in dicts and tuples is taken in the space's own order, and named by the path to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from policy_core.config import ConfigError
from policy_core.contract import Choice, Field

MASK = "action_mask"  # PettingZoo's name, in a dict observation, for what may be chosen
ENDLESS = 1e6  # a bound beyond it is none
LONGEST = 512  # numbers in one field, see `Field`


def class_of(space: Any) -> str:
    """The plain class of a space, of whichever package.

    Raises:
        ConfigError: none that can be turned into numbers.
    """
    for name in (each.__name__ for each in type(space).__mro__):
        if name in ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple"):
            return name
    raise ConfigError(f"a space {space} cannot be used; wanted Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple")


def inner_spaces(space: Any) -> list[tuple[Any, Any]]:
    """Key and space of what a dict or tuple space holds."""
    return list(space.spaces.items()) if class_of(space) == "Dict" else list(enumerate(space.spaces))


def leaves(space: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The plain spaces inside a space, each with the path to it as its name."""
    if class_of(space) in ("Dict", "Tuple"):
        for key, inner in inner_spaces(space):
            yield from leaves(inner, f"{name}_{key}" if class_of(space) == "Tuple" else f"{key}")
    else:
        yield name, space


class Sense:
    """How observations of one space become a vector [O]: what is a number stays one, an option is one-hot."""

    def __init__(self, space: Any) -> None:
        """Lay out the fields; an action mask beside the observation is none of them."""
        self.space = space
        self.mask_key = MASK if class_of(space) == "Dict" and MASK in space.spaces else None
        parts = [(name, leaf) for name, leaf in leaves(space, "observation") if name != self.mask_key]
        self.fields = tuple(field for name, leaf in parts for field in _fields(name, leaf))
        self.size = sum(field.size for field in self.fields)
        self.is_plain = class_of(space) == "Box"
        if not self.fields:
            raise ConfigError(f"an observation space {space} holds no number; an agent must sense something")

    def write(self, value: Any, out: np.ndarray) -> None:
        """Put one observation into out [O]."""
        if self.is_plain:
            out[:] = np.asarray(value).ravel()
        else:
            out[:] = np.concatenate([np.ravel(part) for part in self._parts(self.space, value)])

    def legal(self, value: Any) -> np.ndarray | None:
        """The options that the world offers with this observation [L]; None: it does not say."""
        return None if self.mask_key is None else np.asarray(value[self.mask_key], dtype=bool).ravel()

    def _parts(self, space: Any, value: Any) -> Iterator[Any]:
        name = class_of(space)
        if name in ("Dict", "Tuple"):
            for key, inner in inner_spaces(space):
                if key != self.mask_key:
                    yield from self._parts(inner, value[key])
        elif name == "Discrete":
            yield np.arange(space.n) == int(value) - int(_start(space))
        elif name == "MultiDiscrete":
            for options, index in zip(np.ravel(space.nvec), np.ravel(value - _start(space)), strict=True):
                yield np.arange(options) == index
        else:
            yield np.asarray(value)


class Decision:
    """How a decision of P numbers becomes an action of one space: choices first, then controls."""

    def __init__(self, space: Any) -> None:
        """Lay out choices and controls.

        An option that stands alone gets a second beside it that is never legal, because a choice has two at least.
        """
        self.space = space
        choices: list[Choice] = []
        controls: list[Field] = []
        legal: list[bool] = []
        for name, leaf in leaves(space, "action"):
            if class_of(leaf) == "Box":
                controls += _controls(name, leaf)
                continue
            counts = _options(leaf)
            for place, options in enumerate(counts):
                own = name if len(counts) == 1 else f"{name}_{place + 1}"
                choices.append(Choice(name=own, options=max(2, options)))
                legal += [True] * options + [False] * (2 - options)
        self.choices = tuple(choices)
        self.controls = tuple(controls)
        self.legal = np.array(legal, dtype=bool)  # [L]
        self.size = len(choices) + sum(field.size for field in controls)
        self.is_one_choice = class_of(space) == "Discrete"
        self.start = int(_start(space)) if self.is_one_choice else 0

    def read(self, numbers: np.ndarray) -> Any:
        """The action that a decision [P] means, in the form of the space."""
        if self.is_one_choice:
            return int(numbers[0]) + self.start
        return self._build(self.space, iter(numbers[: len(self.choices)]), iter(numbers[len(self.choices) :]))

    def _build(self, space: Any, indices: Iterator[float], values: Iterator[float]) -> Any:
        name = class_of(space)
        if name == "Dict":
            return {key: self._build(inner, indices, values) for key, inner in inner_spaces(space)}
        if name == "Tuple":
            return tuple(self._build(inner, indices, values) for _, inner in inner_spaces(space))
        if name == "Discrete":
            return int(next(indices)) + int(_start(space))
        if name == "Box":
            flat = np.array([next(values) for _ in range(math.prod(space.shape))], dtype=np.float64)
            if np.issubdtype(space.dtype, np.integer):
                flat = np.rint(flat)
            return flat.astype(space.dtype).reshape(space.shape)
        flat = np.array([next(indices) for _ in range(math.prod(space.shape))])
        return (flat.reshape(space.shape) + _start(space)).astype(space.dtype)


def _start(space: Any) -> Any:
    """The number of the first option: of Discrete, or of each of MultiDiscrete's."""
    return getattr(space, "start", 0)


def _options(space: Any) -> list[int]:
    name = class_of(space)
    if name == "Discrete":
        return [int(space.n)]
    return [2] * math.prod(space.shape) if name == "MultiBinary" else [int(each) for each in np.ravel(space.nvec)]


def _fields(name: str, space: Any) -> list[Field]:
    """Fields of a plain observation space, none longer than a field may be."""
    if class_of(space) == "Box":
        size, unit, (low, high) = math.prod(space.shape), "1", _range(space.low, space.high)
    elif class_of(space) == "MultiBinary":
        size, unit, low, high = math.prod(space.shape), "1", 0.0, 1.0
    else:
        size, unit, low, high = sum(_options(space)), "one-hot", 0.0, 1.0
    starts = range(0, size, LONGEST)
    names = [name] if size <= LONGEST else [f"{name}_{place + 1}" for place in range(len(starts))]
    return [
        Field(name=own, size=min(LONGEST, size - start), unit=unit, low=low, high=high)
        for own, start in zip(names, starts, strict=True)
    ]


def _controls(name: str, space: Any) -> list[Field]:
    """One control for each run of equal bounds."""
    bounds = [_range(*each) for each in zip(np.ravel(space.low), np.ravel(space.high), strict=True)]
    firsts = [place for place, each in enumerate(bounds) if place == 0 or each != bounds[place - 1]]
    ends = [*firsts[1:], len(bounds)]
    return [
        Field(
            name=name if len(firsts) == 1 else f"{name}_{place + 1}",
            size=end - first,
            unit="1",
            low=bounds[first][0],
            high=bounds[first][1],
        )
        for place, (first, end) in enumerate(zip(firsts, ends, strict=True))
    ]


def _range(low: Any, high: Any) -> tuple[float, float]:
    """The bounds of all numbers together; -1 to 1 where the space gives none."""
    lowest, highest = float(np.min(low, initial=np.inf)), float(np.max(high, initial=-np.inf))
    return (lowest, highest) if -ENDLESS < lowest < highest < ENDLESS else (-1.0, 1.0)
