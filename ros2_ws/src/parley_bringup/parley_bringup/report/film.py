"""The film of a run: camera pictures, where the simulator left any, as one file that every player opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v2 as imageio

FRAMES = "frames"  # folder of numbered PNG files
FILMS = ("fleet.mp4", "fleet.gif")


def assemble_film(run_dir: Path, frames_per_second: float = 10.0) -> Path | None:
    """Give the run's film; made of `frames/*.png` where the simulator has not written one itself.

    Returns:
        `fleet.mp4`, or `fleet.gif` where this machine has no video encoder; None where there are no pictures.
    """
    for name in FILMS:
        if (run_dir / name).is_file() and (run_dir / name).stat().st_size:
            return run_dir / name
    frames = sorted((run_dir / FRAMES).glob("*.png"))
    if not frames:
        return None
    try:
        return _write(run_dir / FILMS[0], frames, fps=frames_per_second, macro_block_size=2, quality=7)
    except (OSError, RuntimeError, ValueError):  # no ffmpeg for this platform, or one without the codec
        return _write(run_dir / FILMS[1], frames, duration=1000.0 / frames_per_second, loop=0)


def _write(target: Path, frames: list[Path], **options: Any) -> Path:
    part = target.with_name(f"{target.stem}.part{target.suffix}")
    try:
        film: Any = imageio.get_writer(part, **options)
        with film:
            for frame in frames:
                film.append_data(imageio.imread(frame)[..., :3])
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
