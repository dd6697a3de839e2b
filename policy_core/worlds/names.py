"""From the name a person gives a world to the function that builds it."""

from __future__ import annotations

import importlib.util
from typing import Any

from policy_core.config import ConfigError

ADAPTERS = {  # prefix: module, and an example
    "pettingzoo": ("policy_core.worlds.pettingzoo", "pettingzoo:mpe2.simple_speaker_listener_v4"),
    "rware": ("policy_core.worlds.gymnasium", "rware:rware-tiny-2ag-v2"),
    "gymnasium": ("policy_core.worlds.gymnasium", "gymnasium:package:Name-v0"),
    "vmas": ("policy_core.worlds.vmas", "vmas:transport"),
}


def resolve(env: str, env_settings: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Module, function and settings that `env` stands for; "module:function" stands for itself.

    Raises:
        ConfigError: it is neither a module and a function nor a known prefix and a name.
    """
    prefix, _, name = env.partition(":")
    examples = ", ".join(example for _, example in ADAPTERS.values())
    wanted = f"wanted 'module:function', such as sim.fast.env:make, or a world by its name: {examples}"
    if not name:
        raise ConfigError(f"env: saw '{env}'; {wanted}")
    if prefix in ADAPTERS:
        own_name = f"rware:{name}" if prefix == "rware" else name
        return ADAPTERS[prefix][0], "make", {"name": own_name, **env_settings}
    if "." not in prefix and importlib.util.find_spec(prefix) is None:
        raise ConfigError(f"env: saw '{env}', but there is no prefix '{prefix}'; {wanted}")
    return prefix, name, env_settings
