"""The policies that are always there to compare with, by name."""

from __future__ import annotations

from policy_core.config import ConfigError
from policy_core.contract import Contract
from policy_core.serving.policy import AgentPolicy
from sim.warehouse.contract_net import ContractNetForklift, ContractNetInventory, ContractNetQuality
from sim.warehouse.greedy import GreedyForklift, GreedyInventory, GreedyQuality, RandomPolicy

_GREEDY = {"forklift": GreedyForklift, "inventory": GreedyInventory, "quality": GreedyQuality}
_CONTRACT_NET = {
    "forklift": ContractNetForklift,
    "inventory": ContractNetInventory,
    "quality": ContractNetQuality,
}
BASELINES = ("random", "greedy", "contract-net")


def make_baseline(name: str, contract: Contract, kind: str, number: int, seed: int = 0) -> AgentPolicy:
    """One agent's baseline policy.

    Args:
        name: one of `BASELINES`.
        kind: the agent's kind in the contract.
        number: the agent's number within its kind, from 0.
        seed: of the random baseline.

    Raises:
        ConfigError: an unknown name, or a contract whose messages are too short for the auction.
    """
    spec = contract.kind(kind)
    if name == "random":
        return RandomPolicy(contract, spec, number, seed)
    if name == "greedy":
        return _GREEDY[kind](contract, spec, number)
    if name == "contract-net":
        if contract.message_size < 16:
            raise ConfigError(f"contract-net needs messages of 16 numbers, the contract has {contract.message_size}")
        return _CONTRACT_NET[kind](contract, spec, number)
    raise ConfigError(f"unknown policy '{name}'; wanted {', '.join(BASELINES)} or bundle:PATH")
