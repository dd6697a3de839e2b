"""From the name a person gives a world to the function that builds it."""

from __future__ import annotations

import importlib.util
from typing import Any

from policy_core.config import ConfigError

SINGLES = "policy_core.worlds.singles"  # makes batches of worlds whose interface knows one world
ADAPTERS: dict[str, tuple[str, dict[str, str], str]] = {  # prefix: module, settings that it needs, and an example
    "pettingzoo": (
        SINGLES,
        {"build": "policy_core.worlds.pettingzoo:build"},
        "pettingzoo:mpe2.simple_speaker_listener_v4",
    ),
    "rware": (SINGLES, {"build": "policy_core.worlds.gymnasium:build"}, "rware:rware-tiny-2ag-v2"),
    "gymnasium": (SINGLES, {"build": "policy_core.worlds.gymnasium:build"}, "gymnasium:package:Name-v0"),
    "vmas": ("policy_core.worlds.vmas", {}, "vmas:transport"),
}


def resolve(env: str, env_settings: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Module, function and settings that `env` stands for; "module:function" stands for itself.

    Raises:
        ConfigError: it is neither a module and a function nor a known prefix and a name.
    """
    prefix, _, name = env.partition(":")
    examples = ", ".join(example for *_, example in ADAPTERS.values())
    wanted = f"wanted 'module:function', such as sim.fast.env:make, or a world by its name: {examples}"
    if not name:
        raise ConfigError(f"env: saw '{env}'; {wanted}")
    if prefix in ADAPTERS:
        own_name = f"rware:{name}" if prefix == "rware" else name
        module, needed, _ = ADAPTERS[prefix]
        return module, "make", {**needed, "name": own_name, **env_settings}
    if "." not in prefix and importlib.util.find_spec(prefix) is None:
        raise ConfigError(f"env: saw '{env}', but there is no prefix '{prefix}'; {wanted}")
    return prefix, name, env_settings
