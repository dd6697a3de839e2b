"""What can be spawned, and the URIs that name it. No ROS in here.

- `parley://pallet?sku=3`: a pallet of goods as the fleet carries them; sku is its article family [0, 255].
- `parley://box?length=1&width=1&height=1&mass=0`: an obstacle, metres and kg; without mass it stands fast.
- `parley://amr`: an autonomous mobile robot as config/bodies.yaml has it, with topics of its own.

What a URI leaves out has the value shown here, but sku, which then is 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from parley_sim.refusal import Refusal, unsupported
from sim.bullet.boxes import BoxSize

SIDES = (0.05, 10.0)  # m, of a box
MASSES = (0.1, 3000.0)  # kg, of a box that can be pushed
SKUS = (0, 255)


class PalletResource(NamedTuple):
    """A pallet of one article family."""

    sku: int


class AmrResource(NamedTuple):
    """An autonomous mobile robot."""


Resource = PalletResource | AmrResource | BoxSize
OURS = "parley://pallet, parley://box or parley://amr"


def read_resource(uri: str, text: str) -> Resource:
    """What a request wants spawned.

    Raises:
        Refusal: nothing is named, or it is not one of ours, or a number is bad.
    """
    if not uri:
        if text:
            raise unsupported(f"resource_string is not read here; give uri {OURS}")
        raise Refusal("NO_RESOURCE", f"uri is empty, wanted {OURS}")
    try:
        parts = urlsplit(uri)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise Refusal("RESOURCE_PARSE_ERROR", f"uri '{uri}' cannot be read: {error}") from None
    kind = parts.netloc + parts.path.rstrip("/")
    if parts.scheme != "parley" or kind not in ("pallet", "box", "amr"):
        raise Refusal("UNSUPPORTED_FORMAT", f"uri is '{uri}', wanted {OURS}")
    given = dict(pairs)
    if kind == "amr":
        if given:
            raise Refusal(
                "RESOURCE_PARSE_ERROR",
                f"uri '{uri}' has '{min(given)}', but an AMR takes no numbers here; they are config/bodies.yaml's",
            )
        return AmrResource()
    if kind == "pallet":
        return PalletResource(int(_number(uri, given, "sku", 0.0, SKUS, ("sku",))))
    names = ("length", "width", "height", "mass")
    length, width, height = (_number(uri, given, name, 1.0, SIDES, names) for name in names[:3])
    mass = 0.0 if given.get("mass", "0") == "0" else _number(uri, given, "mass", 0.0, MASSES, names)
    return BoxSize(length, width, height, mass)


def _number(
    uri: str, given: dict[str, str], name: str, default: float, limits: tuple[float, float], known: tuple[str, ...]
) -> float:
    strange = sorted(set(given) - set(known))
    if strange:
        raise Refusal("RESOURCE_PARSE_ERROR", f"uri '{uri}' has '{strange[0]}', wanted only {', '.join(known)}")
    try:
        value = float(given.get(name, default))
    except ValueError:
        value = math.nan
    is_whole = not isinstance(limits[0], int) or value == value // 1
    if not (limits[0] <= value <= limits[1] and is_whole):
        kind = "a whole number" if isinstance(limits[0], int) else "a number"
        raise Refusal(
            "RESOURCE_PARSE_ERROR",
            f"uri '{uri}': {name} is '{given.get(name)}', wanted {kind} from {limits[0]} to {limits[1]}",
        )
    return value
