"""Lets the dynamic linker find our interfaces' libraries where a full ROS 2 is sourced, without sourcing .venv, too.

`make setup` puts this beside a .pth file that imports it at every start of the environment's Python. The linker reads
LD_LIBRARY_PATH only when a process starts, so the interpreter is started once more, with the environment's lib folder
in front; children inherit it and go on at once. The ROS 2 wheels come with the same thing of their own.
"""

import os
import sys


def start_again() -> None:
    """Start this interpreter again with our libraries on LD_LIBRARY_PATH, unless they are."""
    ours = os.path.join(sys.prefix, "lib")
    paths = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if path]
    if ours in paths or not sys.orig_argv:
        return
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([ours, *paths])
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


start_again()
