"""Streams pictures into a video file through an ffmpeg process; a film that fails never stops the world."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np


class Film:
    """An MP4 that grows with every frame, and stays readable if the process is killed unless that is not asked for.

    Args:
        path: the file, replaced if it is there.
        width: of every frame (pixels, even).
        height: of every frame (pixels, even).
        frames_per_second: of the finished film.
        survives_kill: pay for it with twice the size; otherwise the file is readable once it is closed.

    Raises:
        OSError: no ffmpeg is installed and imageio-ffmpeg brings none for this machine, or it cannot be started.
    """

    def __init__(
        self, path: Path, width: int, height: int, frames_per_second: float, *, survives_kill: bool = True
    ) -> None:
        import imageio_ffmpeg  # imported late: it looks for the program, and a run without camera needs none

        try:
            program = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise OSError(str(error)) from None
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{frames_per_second:g}"]
        code = [
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast" if survives_kill else "veryfast",
            "-crf",
            "26",
            "-pix_fmt",
            "yuv420p",
            "-threads",
            "1",
        ]
        # Fragments: every group of frames is complete in itself, so a film cut off by SIGKILL still plays.
        fragments = ["-g", "10", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"]
        if not survives_kill:
            fragments = ["-movflags", "+faststart"]
        command = [program, "-y", "-loglevel", "error", *raw, "-i", "-", *code, *fragments, str(path)]
        # A session of its own, so that Ctrl-C reaches the world first and the film is closed in order.
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def add(self, frame: np.ndarray) -> bool:
        """Append one RGB frame [height, width, 3] uint8; False once the film has failed."""
        if self._process is None or self._process.stdin is None:
            return False
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).tobytes())
            return True
        except OSError:
            self.close()
            return False

    def close(self) -> bool:
        """Finish the file; waits 3 s at most. False where it had failed before, or fails now."""
        process, self._process = self._process, None
        if process is None:
            return False
        try:
            if process.stdin is not None:
                process.stdin.close()
        except OSError:
            pass  # ffmpeg has gone already; what it wrote stays
        try:
            process.wait(timeout=3.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.returncode == 0
