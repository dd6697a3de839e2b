"""The simulation services speak with other people's tools: their types are those of the standard in ROS 2 Jazzy.

Two ends of a service understand each other if the type hashes agree (REP-2016). Those here were made from version 1.5.1
of the standard's own files; its fields are the same in 1.0 to 1.5.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

HASHES = {
    "DeleteEntity": "ff7e96a5b83dc8e2bb34b8b034480028b3a24d9f8376b2c0590bac3704be3e28",
    "GetEntities": "cb90004c48cd50f37732fb008e22c34c261dd680a723bf0f85d8437ea4498bf7",
    "GetEntitiesStates": "0a76170d0c1c90e1eaf805cfab78ea801d1f82df309a28c1f0fae4b570f19754",
    "GetEntityState": "749c91f2a2353d98367b64f2995a0f5842ce92a08ec1ffb3e185540a91557fb5",
    "GetSimulationState": "3362dcebee4b1afebbf9c4beee5c79c1455385aded62092a892d61fde8644f30",
    "GetSimulatorFeatures": "abb9439c8cf196722a469fb6c68b44b484f198c2a1356ac38849a29c2a20a794",
    "ResetSimulation": "4ce285d7ff9b8ac70dcc95161f32bf54c05a6f4b13427990e41ab40c36c39646",
    "SetEntityState": "ca210e7d2b66629ae133c8e1edf5246e618106d75c78ed0556c0e7a33c59ee5e",
    "SetSimulationState": "a868b916dce49974f637ba252141258c4b07b0c06858b88af560e3eb6bfbcb30",
    "SpawnEntity": "d4c086345d4194a5fc4c9ae45095736ca4062b5cdac4d06a42dec93d683e03cf",
    "StepSimulation": "913fe0653690ce6bf8f09f316e6a626747012e9fca31e26719910d417aa8565c",
}


@pytest.mark.parametrize("name", HASHES)
def test_the_type_hash_is_the_standards(name: str) -> None:
    prefixes = [sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    found = [Path(prefix) / "share" / "simulation_interfaces" / "srv" / f"{name}.json" for prefix in prefixes if prefix]
    described = json.loads(next(path for path in found if path.exists()).read_text(encoding="utf-8"))
    hashes = {each["type_name"]: each["hash_string"] for each in described["type_hashes"]}
    assert hashes[f"simulation_interfaces/srv/{name}"] == f"RIHS01_{HASHES[name]}"
