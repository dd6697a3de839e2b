"""The world without the agents: simulator, tasks, manager, recorder; start the agents with robot.launch.py."""

from parley_bringup.launch_actions import describe


def generate_launch_description():
    """The launch description; arguments and their defaults: --show-args."""
    return describe("sim")
