"""Small maps of every format, made for the tests: a hall of 16 x 12 cells with four racks, a ring of drawn routes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

HALL = """\
................
................
...@@@..@@@.....
...@@@..@@@.....
................
................
...@@@..@@@.....
...@@@..@@@.....
................
................
................
................
"""


def movingai(rows: str = HALL) -> str:
    lines = rows.splitlines()
    return f"type octile\nheight {len(lines)}\nwidth {len(lines[0])}\nmap\n{rows}"


def rware() -> str:
    return HALL.replace("@", "x")[: -len("................\n")] + "....gg..........\n"


def lorr_map() -> str:
    """The hall with a service point below each rack cell of the second and last rows, and emitters at both ends."""
    rows = [list(line) for line in HALL.splitlines()]
    for row in (4, 8):
        for column in (3, 4, 5, 8, 9, 10):
            rows[row][column] = "S"
    for row in (1, 3, 5, 7, 9):
        rows[row][0] = rows[row][15] = "E"
    return movingai("\n".join("".join(row) for row in rows) + "\n")


def lorr(folder: Path, starts: str = "# team\n2\n0\n17\n", tasks: str = "2\n66,16\n67,31\n", team: int = 2) -> Path:
    (folder / "hall.map").write_text(lorr_map())
    (folder / "hall.agents").write_text(starts)
    (folder / "hall.tasks").write_text(tasks)
    told = {"mapFile": "hall.map", "agentFile": "hall.agents", "taskFile": "hall.tasks", "teamSize": team}
    path = folder / "hall.json"
    path.write_text(json.dumps(told))
    return path


RING = ((0, 0), (6, 0), (12, 0), (18, 0), (18, 10), (12, 10), (6, 10), (0, 10))  # m; ways lead round, counter-clockwise
STATIONS = ("goods in", "inspection", "storage", "goods out", "quarantine", "park", "storage", "goods in")


def opentcs(*, reverse: int = 0, extra: str = "") -> str:
    points = "".join(
        f'<point name="P{n}" positionX="{x * 1000}" positionY="{y * 1000}" type="HALT_POSITION"/>'
        for n, (x, y) in enumerate(RING)
    )
    ways = "".join(
        f'<path name="W{n}" sourcePoint="P{n}" destinationPoint="P{(n + 1) % 8}" maxVelocity="1000" '
        f'maxReverseVelocity="{reverse}" locked="false"/>'
        for n in range(8)
    )
    places = "".join(
        f'<location name="{name} {n}" positionX="{x * 1000}" positionY="{(y + (3 if y else -3)) * 1000}" type="t">'
        f'<link point="P{n}"/></location>'
        for n, ((x, y), name) in enumerate(zip(RING, STATIONS, strict=True))
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<model version="7.0.0" name="ring">'
    return f"{head}{points}{ways}{places}{extra}</model>"


def lif() -> str:
    nodes = [
        {"nodeId": f"n{n}", "nodePosition": {"x": x, "y": y}, "vehicleTypeNodeProperties": []}
        for n, (x, y) in enumerate(RING)
    ]
    edges = [
        {
            "edgeId": f"e{n}",
            "startNodeId": f"n{n}",
            "endNodeId": f"n{(n + 1) % 8}",
            "vehicleTypeEdgeProperties": [{"vehicleTypeId": "v", "maxSpeed": 0.7}],
        }
        for n in range(8)
    ]
    stations = [
        {
            "stationId": f"s{n}",
            "stationName": f"{name} {n}",
            "interactionNodeIds": [f"n{n}"],
            "stationPosition": {"x": x, "y": y + (3 if y else -3)},
        }
        for n, ((x, y), name) in enumerate(zip(RING, STATIONS, strict=True))
    ]
    layout = {"layoutId": "one", "layoutVersion": "1", "nodes": nodes, "edges": edges, "stations": stations}
    return json.dumps({"metaInformation": {"lifVersion": "1.0.0"}, "layouts": [layout]})


def geojson() -> str:
    features: list[dict[str, object]] = [
        {"type": "Feature", "properties": {"id": n}, "geometry": {"type": "Point", "coordinates": [x, y]}}
        for n, (x, y) in enumerate(RING)
    ]
    for n in range(8):
        told = {"id": 100 + n, "startid": n, "endid": (n + 1) % 8}
        features.append({"type": "Feature", "properties": told, "geometry": {"type": "LineString", "coordinates": []}})
    return json.dumps({"type": "FeatureCollection", "features": features})


def hall_pixels() -> np.ndarray:
    """A hall of 20 x 14 m at 0.1 m, with two racks: free 254, occupied 0, unknown 205; row 0 on top."""
    pixels = np.full((160, 220), 205, dtype=np.uint8)
    pixels[9:151, 9:211] = 0
    pixels[10:150, 10:210] = 254
    pixels[60:70, 60:160] = 0
    pixels[95:105, 60:160] = 0
    return pixels


def map_server(folder: Path, pixels: np.ndarray, name: str = "hall", **changes: object) -> Path:
    """A map_server YAML with its image."""
    Image.fromarray(pixels).save(folder / f"{name}.pgm")
    header: dict[str, object] = {"image": f"{name}.pgm", "resolution": 0.1, "origin": [0, 0, 0], "negate": 0}
    header |= {"occupied_thresh": 0.65, "free_thresh": 0.196} | changes
    path = folder / f"{name}.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in header.items()))
    return path


def write(folder: Path, form: str) -> Path:
    """A sound file of one format in the folder."""
    if form == "map_server":
        return map_server(folder, hall_pixels())
    if form == "lorr":
        return lorr(folder)
    made = {
        "movingai": ("hall.map", movingai),
        "lorr_map": ("emitters.map", lorr_map),
        "rware": ("hall.txt", rware),
        "lif": ("ring.lif.json", lif),
        "opentcs": ("ring.xml", opentcs),
        "geojson": ("ring.geojson", geojson),
    }
    name, text = made[form]
    (folder / name).write_text(text())
    return folder / name
