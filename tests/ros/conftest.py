"""Every run of the ROS tests has a domain of its own, so that two runs on one machine do not hear each other."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_domain():
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
