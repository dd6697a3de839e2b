"""A window that shows pictures, where there is a display."""

from __future__ import annotations

import numpy as np
from PIL import Image

from policy_core.config import ConfigError


class Window:
    """One window of a fixed size, by Tk."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """Open it.

        Raises:
            ConfigError: there is no display, or this Python has no Tk.
        """
        try:
            import tkinter

            self._root = tkinter.Tk()
        except ImportError:
            raise ConfigError(
                "a window needs Tk, which this Python lacks (Debian: apt-get install python3-tk). Or write a film or "
                "picture instead: --out play.mp4, or render_mode='rgb_array'."
            ) from None
        except tkinter.TclError as error:
            raise ConfigError(
                f"a window needs a display, and none can be opened here ({error}). Set DISPLAY, log in with ssh -X, or "
                "write a film or picture instead: --out play.mp4, or render_mode='rgb_array'."
            ) from None
        self.is_open = True
        self._root.title(title)
        self._root.resizable(False, False)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._label = tkinter.Label(self._root, width=width, height=height, borderwidth=0)
        self._label.pack()
        self._photo: object = None

    def show(self, frame: np.ndarray) -> None:
        """Show a picture [height, width, 3] uint8; nothing once the window was closed."""
        if not self.is_open:
            return
        from PIL import ImageTk

        photo = ImageTk.PhotoImage(Image.fromarray(frame), master=self._root)
        self._label.configure(image=photo)
        self._photo = photo  # Tk keeps no reference of its own
        self._root.update()

    def close(self) -> None:
        """Take it away; a second call does nothing."""
        if self.is_open:
            self.is_open = False
            self._root.destroy()
