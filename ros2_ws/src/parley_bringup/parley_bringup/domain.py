"""One fleet per ROS domain on a machine: a lock that dies with its holders, and the choice of a free domain."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

from policy_core.config import ConfigError

DOMAINS = range(1, 102)  # 102 and above reach into the ephemeral ports of Linux; 0 is everyone's default


def hold_domain(wanted: int | None = None, part: str = "") -> tuple[int, socket.socket]:
    """Take the wanted domain, else the one in ROS_DOMAIN_ID, else a free one; it is held until the socket is closed.

    The lock is a socket in the abstract name space: it has no file, is seen by every user of this network
    namespace (as DDS is), and the kernel frees it when its last holder ends, however it ends.

    Args:
        wanted: domain id; None leaves the choice.
        part: name of one host of a fleet; parts of different names may share a domain.

    Raises:
        ConfigError: the domain is taken by another fleet, or is not a number from 0 to 232.
    """
    if wanted is None and os.environ.get("ROS_DOMAIN_ID", ""):
        wanted = _number(os.environ["ROS_DOMAIN_ID"])
    if wanted is not None:
        if not 0 <= wanted <= 232:
            raise ConfigError(f"domain id: wanted 0 to 232 (0 to 101 is safe everywhere), saw {wanted}.")
        lock = _bind(wanted, part)
        if lock is None:
            raise ConfigError(
                f"another Parley fleet is running in ROS domain {wanted} on this machine; stop it, or give this one "
                "a domain of its own (--domain-id N, or leave ROS_DOMAIN_ID unset and a free one is taken)."
            )
        return wanted, lock
    for domain in _from_anywhere():
        lock = _bind(domain, part)
        if lock is not None and _is_quiet(domain):
            return domain, lock
        if lock is not None:
            lock.close()
    raise ConfigError("every ROS domain from 1 to 101 is in use on this machine; name one with --domain-id N.")


def _number(text: str) -> int:
    with contextlib.suppress(ValueError):
        return int(text)
    raise ConfigError(f"ROS_DOMAIN_ID: wanted a number from 0 to 232, saw '{text}'.")


def _bind(domain: int, part: str) -> socket.socket | None:
    """The lock of one domain, or None where another holds it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0parley-fleet-domain-{domain}-{part}")
    except OSError:
        lock.close()
        return None
    return lock


def _is_quiet(domain: int) -> bool:
    """Whether no DDS participant listens to the domain's discovery port on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain))
        except OSError:
            return False
    return True


def _from_anywhere() -> Iterator[int]:
    """All domains, from a place that differs between processes, so that two starts seldom try the same one."""
    start = os.getpid() % len(DOMAINS)
    yield from (*DOMAINS[start:], *DOMAINS[:start])
