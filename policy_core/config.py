"""Strict YAML: a file becomes a pydantic model, or an error that names the key, the cure and the file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """A configuration file cannot be used; the text says what was seen, what was wanted and how to cure it."""


class Settings(BaseModel):
    """Base of every configuration section: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsType = TypeVar("SettingsType", bound=BaseModel)


def read_settings(model: type[SettingsType], path: Path | str) -> SettingsType:
    """Load one YAML file into its model.

    Raises:
        ConfigError: the file is missing, is not YAML, or has a key or value the model does not accept.
    """
    path = Path(path)
    return parse_settings(model, read_yaml(path), source=str(path))


def read_yaml(path: Path) -> Any:
    """Parse a YAML file without ever constructing Python objects from it."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Give the path of an existing YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}).") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None


def parse_settings(model: type[SettingsType], content: Any, source: str) -> SettingsType:
    """Check parsed YAML against the model; every fault is reported at once, each with the nearest good key."""
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: wanted a mapping of keys to values, saw {type(content).__name__}.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [f"  {_describe(model, fault)}" for fault in error.errors()]
        raise ConfigError(f"{source}: {len(faults)} setting(s) refused\n" + "\n".join(faults)) from None


def _describe(model: type[BaseModel], fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"{where}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{where}: missing; add it"
    return f"{where}: {fault['msg']} (saw {fault['input']!r})"


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys a nested section accepts; empty where the path leaves the models."""
    current: Any = model
    for part in location:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            return []
        field = current.model_fields.get(str(part))
        if field is None:
            continue
        current = _inner_model(field.annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _inner_model(annotation: Any) -> Any:
    """The model inside an annotation such as `dict[str, Model]`, `tuple[Model, ...]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in reversed(getattr(annotation, "__args__", ())):
        found = _inner_model(inner)
        if found is not None:
            return found
    return None
