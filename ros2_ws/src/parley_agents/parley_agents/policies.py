"""From what a run asks for to what decides on one agent, with the inbox that keeps what the others say."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

from parley_agents.body import Sheet
from parley_agents.fleet import Fleet
from policy_core.comm.wire import UNROUNDED
from policy_core.config import ConfigError
from policy_core.contract import Contract, Kind
from policy_core.serving.inbox import Inbox
from policy_core.serving.policy import AgentPolicy
from sim.warehouse.baselines import make_baseline
from sim.warehouse.settings import WarehouseSettings

if TYPE_CHECKING:
    from policy_core.export.bundle import Bundle

BUNDLE = "bundle:"


class Decider(NamedTuple):
    """One agent's policy, and the protocol it speaks."""

    policy: AgentPolicy
    inbox: Inbox
    protocol_id: int
    radio_range: float  # m; farther neighbours are masked. inf where the policy masks them itself
    bits: int = UNROUNDED  # of one message number, on the wire


def open_policy(
    wish: str, contract: Contract, fleet: Fleet, agent: str, warehouse: WarehouseSettings, seed: int, max_age: float
) -> Decider:
    """The policy named by `wish`: greedy, contract-net, random or bundle:DIRECTORY.

    A message may be up to `max_age` (s) old when it comes.

    Raises:
        ConfigError: an unknown name, or a bundle that is missing, corrupt or made for another contract.
    """
    kinds = dict(zip(fleet.names, fleet.kinds, strict=True))
    kind = kinds.pop(agent)
    number = fleet.of_kind(kind).index(agent)
    policy: AgentPolicy
    if wish.startswith(BUNDLE):
        from policy_core.serving.onboard import OnboardPolicy  # torch takes a second to load; baselines do without

        bundle = open_bundle(wish, contract)
        policy = onboard = OnboardPolicy(bundle, kind, number + 1)
        protocol_id, reach = bundle.protocol_id, math.inf
        bits = bundle.manifest.channel.bits
        _rehearse(
            policy, contract.kind(kind), Inbox(kinds, contract.message_size, protocol_id, max_age), contract.rounds
        )
        onboard.forget()
    else:
        policy = make_baseline(wish, contract, kind, number, seed)
        protocol_id, reach, bits = baseline_protocol(wish, contract), warehouse.radio.range, UNROUNDED
    inbox = Inbox(kinds, contract.message_size, protocol_id, max_age, bits=bits)
    return Decider(policy, inbox, protocol_id, reach, bits)


def _rehearse(policy: AgentPolicy, kind: Kind, inbox: Inbox, rounds: int) -> None:
    """Decide once about nothing: the first forward of a network takes a hundred times as long as the second."""
    policy.begin(Sheet(kind).blank())
    for number in range(1, rounds + 1):
        policy.hear(inbox.view(0, number, 0.0))
    policy.choose()


def open_bundle(wish: str, contract: Contract) -> Bundle:
    """The checked bundle of `bundle:DIRECTORY`.

    Raises:
        ConfigError: it is missing, corrupt or made for another contract.
    """
    from policy_core.export.bundle import BundleError, read_bundle

    try:
        return read_bundle(wish.removeprefix(BUNDLE), contract)
    except BundleError as error:
        raise ConfigError(str(error)) from None


def baseline_protocol(name: str, contract: Contract) -> int:
    """Protocol id of a baseline: a digest of its name and the contract, unsigned 64 bits."""
    digest = hashlib.sha256(f"{name} {contract.digest()}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
