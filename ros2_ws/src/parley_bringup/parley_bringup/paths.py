"""Where Parley's own files lie: in a checkout, or in the installed share folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder that holds `config/` and `launch/`: the checkout's top, else this package's installed share."""
    top = Path(__file__).resolve().parents[4]
    if (top / "config" / "contract.yaml").is_file():
        return top
    return Path(sys.prefix) / "share" / "parley_bringup"


def prefix() -> Path:
    """The install prefix that holds the nodes' executables in `lib/<package>/`."""
    return Path(sys.prefix)


def keep_caches_inside() -> None:
    """Let libraries keep their caches and logs in the environment, not in the user's home."""
    inside = prefix() / ".parley"
    os.environ.setdefault("MPLCONFIGDIR", str(inside / "matplotlib"))
    os.environ.setdefault("ROS_LOG_DIR", str(inside / "ros_log"))


def import_from_checkout() -> None:
    """Let a foreign Python (that of `ros2 launch`) import `policy_core` and `sim` from the checkout."""
    top = str(home())
    if top not in sys.path and (home() / "policy_core").is_dir():
        sys.path.append(top)
