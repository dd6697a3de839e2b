"""Films and pictures that a command writes, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from policy_core.config import ConfigError

FILM, MOVING, STILL = ".mp4", ".gif", ".png"
SUFFIXES = (FILM, MOVING, STILL)
MOST_GIF_FRAMES = 50.0  # a second; players slow down what is faster


class PictureFile:
    """A film (.mp4), an animation (.gif) or the last picture (.png), written beside its place and then put there.

    ```
    with PictureFile(Path("play.mp4"), (960, 640), 20.0) as out:
        out.add(frame)
    ```

    An error inside the block leaves nothing, and an older file of that name as it was.
    """

    def __init__(self, path: Path, size: tuple[int, int], frames_per_second: float) -> None:
        """Check what can be checked; nothing is written yet.

        Raises:
            ConfigError: a name or speed that no such file can have.
        """
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"--out: saw '{path}', wanted a name that ends in {', '.join(SUFFIXES)}")
        if path.suffix.lower() == MOVING and frames_per_second > MOST_GIF_FRAMES:
            raise ConfigError(
                f"--fps: a GIF shows {MOST_GIF_FRAMES:.0f} pictures a second at most, saw {frames_per_second:g}"
            )
        if path.is_dir():
            raise ConfigError(f"--out: {path} is a folder; give the name of a file in it")
        self.path, self._size, self._pace = path, size, frames_per_second
        self.is_still = path.suffix.lower() == STILL
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._writer: Any = None
        self._last: np.ndarray | None = None

    def __enter__(self) -> PictureFile:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
            self._open()
        except OSError as error:
            self._part.unlink(missing_ok=True)
            raise ConfigError(f"--out: {self.path} cannot be written ({error})") from None
        return self

    def add(self, frame: np.ndarray) -> None:
        """Append one picture [height, width, 3] uint8.

        Raises:
            ConfigError: the film cannot go on.
        """
        if self.is_still:
            self._last = frame
        elif self.path.suffix.lower() == MOVING:
            self._writer.append_data(frame)
        elif not self._writer.add(frame):
            raise ConfigError(f"--out: the encoder gave up on {self.path}; is the disk full?")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            is_whole = self._finish()
            if kind is None:
                if not is_whole:
                    raise ConfigError(f"--out: {self.path} could not be finished; is the disk full?")
                self._part.replace(self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def _open(self) -> None:
        if self.path.suffix.lower() == FILM:
            from parley_sim.film import Film

            self._writer = Film(self._part, *self._size, self._pace, survives_kill=False)
        elif self.path.suffix.lower() == MOVING:
            import imageio.v2 as imageio

            self._writer = imageio.get_writer(self._part, duration=1000.0 / self._pace, loop=0)

    def _finish(self) -> bool:
        """Close the file; whether it is whole."""
        if self.is_still:
            from PIL import Image

            if self._last is None:
                return False
            Image.fromarray(self._last).save(self._part)
            return True
        closed = self._writer.close()
        return bool(closed) if self.path.suffix.lower() == FILM else True
