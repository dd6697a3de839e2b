"""Everything: a simulated fleet for some minutes, then its report.

ros2 launch parley_bringup demo.launch.py minutes:=2
"""

from parley_bringup.launch_actions import describe


def generate_launch_description():
    """The launch description; arguments and their defaults: --show-args."""
    return describe("demo")
