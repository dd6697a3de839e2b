"""Every test run talks on a ROS domain of its own, on this machine only, and keeps its logs out of the home folder."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

REMEMBERED = 60  # files whose domains are not used again; there are 101 domains, and more files
used_domains: deque[int] = deque(maxlen=REMEMBERED)


def pytest_configure(config: pytest.Config) -> None:
    from parley_bringup.domain import hold_domain
    from parley_bringup.paths import keep_caches_inside

    keep_caches_inside()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "ROS_DOMAIN_ID" not in os.environ:
        domain, lock = hold_domain()
        lock.close()
        os.environ["ROS_DOMAIN_ID"] = str(domain)


@pytest.fixture(scope="module", autouse=True)
def own_domain() -> Iterator[None]:
    """A ROS domain that none of the files just before has used: what those left in the graph can't be heard."""
    from parley_bringup.domain import hold_domain

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as passed_over:
        patch.delenv("ROS_DOMAIN_ID", raising=False)
        domain, lock = hold_domain()
        while domain in used_domains:  # one process is given the same one again
            passed_over.enter_context(lock)
            domain, lock = hold_domain()
        lock.close()
        passed_over.close()
        used_domains.append(domain)
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        yield


@pytest.fixture
def ros_context() -> Iterator[Any]:
    """A ROS context that lives for one test."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)
