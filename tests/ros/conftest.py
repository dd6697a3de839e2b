"""Every run of the ROS tests has a domain of its own, so that two runs on one machine do not hear each other.

A ROS 2 service answers into the void while the two sides have not fully discovered each other (about one start in
fifty on a busy machine). The product asks again; tests that call a service once are run again, at most twice.
"""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session", autouse=True)
def _own_domain():
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
