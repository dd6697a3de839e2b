"""A fleet until Ctrl-C: the world where bodies are simulated, tasks, agents, manager, recorder."""

from parley_bringup.launch_actions import describe


def generate_launch_description():
    """The launch description; arguments and their defaults: --show-args."""
    return describe("fleet")
