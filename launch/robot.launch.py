"""One robot's agents, as on the robot itself.

ros2 launch parley_bringup robot.launch.py namespace:=forklift_1
"""

from parley_bringup.launch_actions import describe


def generate_launch_description():
    """The launch description; arguments and their defaults: --show-args."""
    return describe("robot")
