"""The map formats we read, how each is recognised, and one function that imports any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from policy_core.config import ConfigError
from sim.warehouse.maps.files import as_text, parse_json, read_bytes
from sim.warehouse.maps.geojson import import_geojson
from sim.warehouse.maps.imported import Choices, MapImport
from sim.warehouse.maps.lif import import_lif
from sim.warehouse.maps.lorr import import_lorr, import_lorr_map
from sim.warehouse.maps.map_server import import_map_server
from sim.warehouse.maps.movingai import import_movingai
from sim.warehouse.maps.opentcs import import_opentcs
from sim.warehouse.maps.rware import import_rware
from sim.warehouse.maps.settings import ImportSettings

Importer = Callable[[Path, ImportSettings, Choices], MapImport]


class Format(NamedTuple):
    """A map format by the name that --format takes."""

    about: str
    read: Importer


def _map_server(path: Path, settings: ImportSettings, choices: Choices) -> MapImport:
    if choices.cell is not None or choices.window is not None:
        raise ConfigError(
            f"{path}: --cell and --window are for grids of robot-sized cells; this map has a resolution of its own."
        )
    plan = import_map_server(path, settings, choices)
    return MapImport("map_server", plan, counts={"boxes": len(plan.boxes), "keepout_areas": len(plan.keepout)})


FORMATS: dict[str, Format] = {
    "map_server": Format("Nav2 map_server: YAML with an image beside it", _map_server),
    "movingai": Format("MovingAI grid map (.map)", import_movingai),
    "lorr": Format("League of Robot Runners instance (JSON naming map, agents and tasks)", import_lorr),
    "lorr_map": Format("League of Robot Runners map alone (.map with E and S)", import_lorr_map),
    "rware": Format("RWARE layout string (x shelf, g goal, . highway)", import_rware),
    "lif": Format("VDMA Layout Interchange Format (JSON)", import_lif),
    "opentcs": Format("openTCS plant model (XML)", import_opentcs),
    "geojson": Format("Nav2 route graph (GeoJSON)", import_geojson),
}


def import_map(path: Path, settings: ImportSettings, choices: Choices, form: str | None = None) -> MapImport:
    """Import a map of any known format.

    Args:
        path: the file.
        settings: config/import.yaml.
        choices: what was asked for beyond the file.
        form: a name in FORMATS; None to tell by the file itself.

    Raises:
        ConfigError: no known format, or a file that is not what it seems to be; in words.
    """
    if form is None:
        form = recognise(path, settings)
    elif form not in FORMATS:
        raise ConfigError(f"format '{form}' is not known; wanted one of {', '.join(FORMATS)}.")
    if (choices.keepout is not None and form != "map_server") or (choices.speed is not None and form != "map_server"):
        raise ConfigError(f"{path}: masks belong to map_server maps; this is {form}.")
    if FORMATS[form].read in (import_lif, import_opentcs, import_geojson) and (choices.cell or choices.window):
        raise ConfigError(f"{path}: --cell and --window are for grids of cells; {form} is a graph in metres.")
    try:
        return FORMATS[form].read(path, settings, choices)
    except ValidationError as error:  # numbers that a plan cannot hold
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ConfigError(f"{path}: makes no floor plan: {where}: {fault['msg']}.") from None


def recognise(path: Path, settings: ImportSettings) -> str:
    """The format's name, told by suffix and content; raises ConfigError for a file that is no map we know."""
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder. Give the map file in it.")
    if path.suffix.lower() in (".yaml", ".yml"):
        return "map_server"
    content = read_bytes(path, settings.largest_file)
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<":
        return "opentcs"
    if start in (b"{", b"["):
        return _json_form(path, parse_json(as_text(content, str(path)), str(path)))
    if content.startswith(b"type ") or path.suffix.lower() == ".map":
        return "lorr_map" if b"E" in content.partition(b"map")[2] else "movingai"
    if content.strip() and not content.strip().lower().translate(None, b".xg\r\n"):
        return "rware"
    raise _unknown(path, "it begins with " + repr(content[:20]) if content else "it is empty")


def _json_form(path: Path, content: object) -> str:
    keys = set(content) if isinstance(content, dict) else set()
    for key, form in (("mapFile", "lorr"), ("layouts", "lif"), ("features", "geojson")):
        if key in keys:
            return form
    raise _unknown(
        path, f"its JSON has the keys {', '.join(sorted(map(str, keys))[:8])}" if keys else "a JSON without keys"
    )


def _unknown(path: Path, seen: str) -> ConfigError:
    known = "; ".join(f"{name}: {form.about}" for name, form in FORMATS.items())
    return ConfigError(f"{path}: is no map we know ({seen}). Known are {known}. Name one with --format if this is one.")
