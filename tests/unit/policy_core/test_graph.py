"""The communication graph: every kind of it against a loop over agents, and what all of them owe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from policy_core.comm import graph as graph_module
from policy_core.comm.channel import ChannelSettings, carry
from policy_core.comm.graph import GraphSettings, Neighbours, check_graph, choose_neighbours, connect
from policy_core.config import ConfigError
from policy_core.export.bundle import BundleError, Provenance, write_bundle
from policy_core.export.verify import verify_bundle
from tests.support.small_fleets import COUNTS, draw_senses, make_policy

REACH = 4.0
KINDS = ("scout", "scout", "scout", "lifter", "lifter", "tower")
STAR = GraphSettings(kind="star", hub="tower")
EDGES = GraphSettings(kind="edges", edges=(("scout", "lifter"), ("lifter/2", "scout/1"), ("tower/2", "scout")))
GRAPHS = (
    GraphSettings(kind="full"),
    GraphSettings(),
    GraphSettings(kind="nearest", neighbours=2),
    STAR,
    EDGES,
)
every_graph = pytest.mark.parametrize("graph", GRAPHS, ids=[graph.kind for graph in GRAPHS])


def draw_fleets(agents: int = len(KINDS), batch: int = 40, seed: int = 0, size: float = 6.0) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    position = torch.rand(batch, agents, 3, generator=chance) * size
    return position, torch.rand(batch, agents, generator=chance) < 0.8


def may_hear(graph: GraphSettings, place: Tensor, alive: Tensor, receiver: int, sender: int) -> bool:
    """Whether the graph has the link, for one fleet, in words of the issue."""
    if receiver == sender or not (alive[receiver] and alive[sender]):
        return False
    if graph.kind == "full":
        return True

    def apart(other: int) -> tuple[float, int]:
        return float((place[receiver, :2] - place[other, :2]).norm()), other

    if apart(sender)[0] > REACH:
        return False
    if graph.kind == "star":
        return "tower" in (KINDS[receiver], KINDS[sender])
    if graph.kind == "edges":
        return (KINDS[sender], KINDS[receiver]) == ("scout", "lifter") or (sender, receiver) == (4, 0)
    if graph.kind == "nearest":
        others = [other for other in range(len(alive)) if alive[other] and other != receiver]
        return sender in [other for _, other in sorted(map(apart, others))[: graph.neighbours]]
    return True


@every_graph
def test_a_graph_is_what_a_loop_over_its_agents_makes_it(graph: GraphSettings) -> None:
    position, alive = draw_fleets()
    seen = connect(graph, position, alive, KINDS, REACH).spread()
    agents = range(len(KINDS))
    wanted = [
        [[may_hear(graph, place, living, receiver, sender) for sender in agents] for receiver in agents]
        for place, living in zip(position, alive, strict=True)
    ]
    assert seen.tolist() == wanted
    assert 0.05 < seen.float().mean() < 0.7


def test_neighbours_are_alive_within_range_and_never_oneself() -> None:
    position = torch.tensor([[0.0, 0.0, 0.0], [3.0, 4.0, 1.0], [3.0, 4.1, 0.0], [1.0, 0.0, 2.0]])
    alive = torch.tensor([True, True, True, False])
    adjacency = choose_neighbours(position, alive, 5.0)
    assert adjacency.tolist() == [
        [False, True, False, False],  # 5.0 m is heard, 5.08 m is not; the fourth is dead
        [True, False, True, False],
        [False, True, False, False],
        [False, False, False, False],
    ]


@every_graph
def test_a_dead_agent_neither_speaks_nor_hears(graph: GraphSettings) -> None:
    position, alive = draw_fleets()
    seen = connect(graph, position, alive, KINDS, REACH)
    assert not seen.spread()[~alive].any()
    assert not seen.spread().transpose(1, 2)[~alive].any()
    assert not seen.audible()[~alive].any()
    assert torch.equal(seen.audible(), seen.spread().any(1))


@every_graph
def test_the_graph_follows_the_agents_from_step_to_step(graph: GraphSettings) -> None:
    first, second = (connect(graph, *draw_fleets(seed=seed), KINDS, REACH).spread() for seed in (1, 2))
    assert not torch.equal(first, second)


@every_graph
def test_agents_of_a_kind_may_change_places(graph: GraphSettings) -> None:
    if graph is EDGES:  # numbered ends name places
        graph = GraphSettings(kind="edges", edges=(("scout", "lifter"), ("lifter", "lifter")))
    order = torch.tensor([2, 0, 1, 4, 3, 5])
    position, alive = draw_fleets()
    seen = connect(graph, position, alive, KINDS, REACH).spread()
    moved = connect(graph, position[:, order], alive[:, order], KINDS, REACH).spread()
    assert torch.equal(moved, seen[:, order][:, :, order])


@pytest.mark.parametrize(("agents", "count"), [(1, 3), (2, 3), (5, 3), (40, 7), (90, 16)])
def test_lists_hold_the_nearest_in_order_and_ties_go_to_the_earlier(agents: int, count: int) -> None:
    position, alive = draw_fleets(agents, batch=3, size=agents**0.5)
    position = position.round()  # on a grid, so that many are equally far away
    graph = GraphSettings(kind="nearest", neighbours=count)
    allowed, senders = connect(graph, position, alive, (), REACH)
    assert senders is not None
    assert senders.shape == (3, agents, min(count, agents - 1))
    for fleet in range(3):
        for receiver in range(agents):
            apart = (position[fleet, :, :2] - position[fleet, receiver, :2]).norm(dim=-1).tolist()
            near = [
                (apart[other], other)
                for other in range(agents)
                if other != receiver and alive[fleet, other] and alive[fleet, receiver] and apart[other] <= REACH
            ]
            wanted = [other for _, other in sorted(near)[:count]]
            listed = senders[fleet, receiver].tolist()
            assert listed[: len(wanted)] == wanted
            assert allowed[fleet, receiver].tolist() == [place < len(wanted) for place in range(len(listed))]
            assert len(set(listed)) == len(listed)
            assert receiver not in listed


@pytest.mark.parametrize("piece", [3 * 20 * 20, 7 * 20, 1])
def test_pairs_are_sorted_in_pieces_with_the_same_result(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    position, alive = draw_fleets(20, batch=7)
    whole = connect(GRAPHS[2], position, alive, (), REACH)
    monkeypatch.setattr("policy_core.comm.graph.PIECE", piece)
    pieces = connect(GRAPHS[2], position, alive, (), REACH)
    assert all(torch.equal(mine, other) for mine, other in zip(whole, pieces, strict=True))


@pytest.mark.parametrize("living", [0, 3, 300])
def test_a_large_fleets_tree_lists_the_same_as_all_distances(living: int, monkeypatch: pytest.MonkeyPatch) -> None:
    position, alive = draw_fleets(300, batch=2, size=40.0)
    alive[1] = torch.arange(300) < living
    seen = connect(GraphSettings(kind="nearest", neighbours=12), position, alive, (), REACH)
    monkeypatch.setattr(graph_module, "LARGE", 300)
    wanted = connect(GraphSettings(kind="nearest", neighbours=12), position, alive, (), REACH)
    assert seen.may_hear.shape == wanted.may_hear.shape == (2, 300, 12)
    assert torch.equal(seen.may_hear, wanted.may_hear)
    assert torch.equal(seen.senders[seen.may_hear], wanted.senders[wanted.may_hear])
    assert torch.equal(seen.spread(), wanted.spread())
    assert seen.may_hear[0].any()


def test_a_list_spreads_to_the_adjacency_it_means() -> None:
    allowed = torch.tensor([[[True, False], [True, True], [False, False]]])
    senders = torch.tensor([[[2, 1], [2, 0], [0, 1]]])
    lists = Neighbours(allowed, senders)
    assert lists.spread()[0].int().tolist() == [[0, 0, 1], [1, 0, 1], [0, 0, 0]]
    assert lists.audible()[0].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"kind": "star"}, "a star needs the kind of its hubs"),
        ({"hub": "tower"}, "no other graph takes one"),
        ({"kind": "edges"}, "needs at least one"),
        ({"edges": [["scout", "lifter"]]}, "no other graph takes any"),
        ({"kind": "edges", "edges": [["scout", "lifter/0"]]}, "wanted a kind, such as forklift, or kind/number"),
        ({"kind": "nearest", "neighbours": 0}, "greater than or equal to 1"),
        ({"kind": "ring"}, "'full', 'radius', 'nearest', 'star' or 'edges'"),
    ],
)
def test_settings_that_make_no_graph_are_refused_in_words(content: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        GraphSettings.model_validate(content)


def test_a_kind_that_the_contract_lacks_is_named_with_the_nearest_good_one() -> None:
    check_graph(EDGES, ("scout", "lifter", "tower"))
    with pytest.raises(ConfigError, match="unknown kind 'tower'; the contract knows scout, lifter"):
        check_graph(STAR, ("scout", "lifter"))
    with pytest.raises(ConfigError, match="unknown kind 'lifters'; did you mean 'lifter'"):
        make_policy(graph=GraphSettings(kind="edges", edges=(("scout", "lifters/1"),)))


def test_a_policy_hears_lists_as_it_hears_the_same_adjacency() -> None:
    policy, senses = make_policy(), draw_senses(batch=6)
    lists = connect(GraphSettings(kind="nearest", neighbours=2), senses.position, senses.alive, (), REACH)
    settings = ChannelSettings(radio_range=REACH)
    dense = carry(settings, Neighbours(lists.spread()), 2, None)
    listed, spread = policy(senses, carry(settings, lists, 2, None)), policy(senses, dense)
    torch.testing.assert_close(listed.hidden, spread.hidden, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "graph",
    [
        GraphSettings(kind="full"),
        GraphSettings(kind="nearest", neighbours=2),
        GraphSettings(kind="star", hub="lifter"),
        GraphSettings(kind="edges", edges=(("scout/2", "lifter"), ("lifter/1", "scout/3"), ("scout/3", "scout"))),
    ],
    ids=lambda graph: graph.kind,
)
def test_a_bundles_graph_is_the_same_on_board_and_in_the_engine(
    graph: GraphSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(seed=3, bits=6, graph=graph)
    provenance = Provenance(settings={}, frames=0, git_commit="unknown", trained_fleet=COUNTS)
    write_bundle(tmp_path / "bundle", policy, 0.5, provenance)
    seen = verify_bundle(tmp_path / "bundle", trials=10)
    assert seen.bundle.policy.channel.graph == graph
    assert seen.same_choices == seen.choices
    other = GraphSettings()  # negative control: an agent that hears by another graph decides otherwise
    monkeypatch.setattr("policy_core.serving.onboard.connect", lambda _, *facts: connect(other, *facts))
    with pytest.raises(BundleError, match="on board and engine differ"):
        verify_bundle(tmp_path / "bundle", trials=10)
