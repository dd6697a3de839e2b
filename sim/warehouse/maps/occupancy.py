"""Reads a Nav2 map_server map (YAML that names an image) as a grid of free, occupied and unknown cells.

Meaning of pixels, thresholds and modes as in Nav2's map_server documentation: the darker, the more occupied, unless
`negate`; trinary compares with both thresholds; scale maps what lies between them linearly and takes transparent
pixels as unknown; raw takes 0 to 100 as percent occupied and all else as unknown. Colour is averaged.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Bound

from policy_core.config import ConfigError, parse_settings
from sim.warehouse.maps.files import read_small_yaml
from sim.warehouse.maps.settings import ImportSettings

FARTHEST = 1e5  # m; beyond it floats no longer tell millimetres


class MapHeader(BaseModel):
    """The YAML of map_server; keys of other tools are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    image: str
    resolution: float = Bound(gt=0, le=10, allow_inf_nan=False)  # m per pixel
    origin: tuple[float, float, float]  # x, y (m) and yaw (rad) of the lower left corner in map
    negate: bool = False
    occupied_thresh: float = Bound(0.65, ge=0, le=1)
    free_thresh: float = Bound(0.196, ge=0, le=1)
    mode: Literal["trinary", "scale", "raw"] = "trinary"


class OccupancyGrid(NamedTuple):
    """Cells [H, W]; row 0 is the lowest. A cell that is neither free nor occupied is unknown."""

    free: np.ndarray  # bool
    occupied: np.ndarray  # bool
    resolution: float  # m
    origin: tuple[float, float, float]  # x, y (m) and yaw (rad) of the corner of cell (0, 0) in map


def read_map(path: Path, settings: ImportSettings) -> OccupancyGrid:
    """Load a map.

    Raises:
        ConfigError: bad YAML, no image, not an image, an image over the limit, or an origin that is not finite.
    """
    header, level, opacity = _load(path, settings)
    free, occupied = _states(level, opacity, header, settings.scale_occupied)
    return OccupancyGrid(free[::-1], occupied[::-1], header.resolution, header.origin)


def read_values(path: Path, settings: ImportSettings) -> tuple[np.ndarray, float, tuple[float, float, float]]:
    """A mask's values [H, W] float, 0 to 100, NaN where unknown, row 0 the lowest; its resolution (m) and origin.

    Raises:
        ConfigError: as read_map.
    """
    header, level, opacity = _load(path, settings)
    if header.mode == "raw":
        values = np.where(level <= 100, level, np.nan)
    elif header.mode == "scale":
        values = np.where(opacity >= 1.0, np.round(_scaled(level, header) * 100), np.nan)
    else:
        free, occupied = _states(level, opacity, header, settings.scale_occupied)
        values = np.where(occupied, 100.0, np.where(free, 0.0, np.nan))
    return values[::-1], header.resolution, header.origin


def _load(path: Path, settings: ImportSettings) -> tuple[MapHeader, np.ndarray, np.ndarray]:
    """The header, and its image's brightness and opacity [H, W] with row 0 on top."""
    header = parse_settings(MapHeader, read_small_yaml(path), source=str(path))
    if not (np.abs(header.origin) <= FARTHEST).all():
        raise ConfigError(
            f"{path}: origin {list(header.origin)}; wanted [x, y, yaw] in metres and radians, within {FARTHEST:g}."
        )
    if header.free_thresh > header.occupied_thresh:
        raise ConfigError(
            f"{path}: free_thresh {header.free_thresh} is above occupied_thresh {header.occupied_thresh}; swap them."
        )
    return header, *_read_image(path.parent / header.image, path, settings.largest_image)


def _read_image(file: Path, named_in: Path, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Brightness [H, W] in 0 .. 255 and opacity [H, W] in 0 .. 1; row 0 is the top."""
    try:
        is_there = file.is_file()
    except (OSError, ValueError):  # a name no file can have
        is_there = False
    if not is_there:
        raise ConfigError(
            f"{named_in}: names the image {file.name}, which is not at {file}. Put it there or fix `image`."
        )
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is ours
            width, height = image.size
            if width * height > largest:
                raise ConfigError(
                    f"{file}: {width} x {height} pixels are more than the limit of {largest / 1e6:g} megapixels. "
                    f"Crop or shrink the map (and adapt `resolution`), or raise largest_image in config/import.yaml."
                )
            if image.mode in ("P", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
            pixels = np.asarray(image.convert("L") if image.mode in ("1", "CMYK", "YCbCr", "HSV", "LAB") else image)
            mode = image.mode
    except ConfigError:
        raise
    except Image.DecompressionBombError as error:
        raise ConfigError(
            f"{file}: {error}; the limit here is {largest / 1e6:g} megapixels. Crop or shrink the map (and adapt "
            f"`resolution`)."
        ) from None
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise ConfigError(f"{file}: is not a readable PGM or PNG image ({error}).") from None
    if pixels.ndim == 2:
        deep = mode.startswith("I")  # 16 bit
        return pixels.astype(np.float32) / (257.0 if deep else 1.0), np.ones(pixels.shape, dtype=np.float32)
    has_alpha = mode in ("LA", "RGBA")
    colour = pixels[..., :-1] if has_alpha else pixels
    opacity = pixels[..., -1] / 255.0 if has_alpha else np.ones(pixels.shape[:2])
    return colour.mean(axis=-1).astype(np.float32), opacity.astype(np.float32)


def _states(
    level: np.ndarray, opacity: np.ndarray, header: MapHeader, scale_occupied: float
) -> tuple[np.ndarray, np.ndarray]:
    """Free [H, W] and occupied [H, W]."""
    if header.mode == "raw":
        known = level <= 100
        return known & (level < 100 * scale_occupied), known & (level >= 100 * scale_occupied)
    share = (level if header.negate else 255.0 - level) / 255.0
    if header.mode == "trinary":
        occupied = share >= header.occupied_thresh
        return ~occupied & (share <= header.free_thresh), occupied
    scaled, known = _scaled(level, header), opacity >= 1.0
    return known & (scaled < scale_occupied), known & (scaled >= scale_occupied)


def _scaled(level: np.ndarray, header: MapHeader) -> np.ndarray:
    """How far between the two thresholds each pixel lies [H, W], 0 to 1."""
    share = (level if header.negate else 255.0 - level) / 255.0
    span = max(header.occupied_thresh - header.free_thresh, 1e-9)
    return np.asarray(np.clip((share - header.free_thresh) / span, 0.0, 1.0))
