"""The inbox refuses what it must, counts it, and agrees with the channel of training on who is heard and how old."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
import torch

from policy_core.chance import Chance
from policy_core.comm.channel import Bursts, ChannelSettings, carry, receive
from policy_core.comm.graph import Neighbours
from policy_core.comm.rounding import quantise
from policy_core.comm.wire import UNROUNDED, Message, pack_values, unpack_values
from policy_core.serving.inbox import PAGES, Inbox, Verdict

PROTOCOL = 0xFEED_0123_4567_89AB
M = 4


def make_inbox(max_age: float = 1.0) -> Inbox:
    return Inbox({"scout_1": "scout", "lifter_1": "lifter"}, M, PROTOCOL, max_age)


def say(sender: str = "scout_1", tick: int = 7, round: int = 1, **changes: object) -> Message:
    message = Message(sender, tick, round, PROTOCOL, 7.0, (1.0, 2.0, 0.5), np.full(M, 0.25, np.float32))
    return message._replace(**changes)


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (say(), Verdict.ACCEPTED),
        (say("stranger"), Verdict.UNKNOWN_SENDER),
        (say(protocol_id=PROTOCOL + 1), Verdict.FOREIGN_PROTOCOL),
        (say(values=np.zeros(M + 1, np.float32)), Verdict.WRONG_SHAPE),
        (say(values=np.zeros((M, 1), np.float32)), Verdict.WRONG_SHAPE),
        (say(values=np.zeros(0, np.float32)), Verdict.WRONG_SHAPE),
        (say(values=np.array([0, np.nan, 0, 0], np.float32)), Verdict.NOT_FINITE),
        (say(values=np.array([0, 0, np.inf, 0], np.float32)), Verdict.NOT_FINITE),
        (say(position=(np.nan, 0.0, 0.0)), Verdict.NOT_FINITE),
        (say(stamp=5.9), Verdict.TOO_OLD),
        (say(stamp=8.1), Verdict.FROM_FUTURE),
    ],
)
def test_a_message_is_kept_or_refused_for_the_right_reason(message: Message, verdict: Verdict) -> None:
    inbox = make_inbox()
    assert inbox.offer(message, 7.0) is verdict
    assert inbox.counts == {verdict: 1}
    assert inbox.view(7, 1, 7.0).present.any() == (verdict is Verdict.ACCEPTED)


def test_codes_become_numbers_where_the_protocol_has_them_and_are_refused_elsewhere() -> None:
    codes = np.array([0, 31, 16, 5], np.uint8)
    for bits, known in ((5, True), (4, False), (9, False), (32, False)):
        inbox = Inbox({"scout_1": "scout"}, M, PROTOCOL, 1.0, bits=bits)
        assert inbox.offer(say(values=codes), 7.0) is (Verdict.ACCEPTED if known else Verdict.WRONG_SHAPE)
        wanted = (2 * codes.astype(np.float32) - 31) / np.float32(31) * known
        assert inbox.view(7, 1, 7.0).messages[0].tolist() == wanted.tolist()


def test_the_first_of_two_messages_counts() -> None:
    inbox = make_inbox()
    inbox.offer(say(), 7.0)
    assert inbox.offer(say(values=np.ones(M, np.float32)), 7.0) is Verdict.DUPLICATE
    assert inbox.view(7, 1, 7.0).messages[0].tolist() == [0.25] * M
    assert inbox.offer(say(round=2), 7.0) is Verdict.ACCEPTED


def test_a_view_has_zeros_and_a_mask_for_the_missing() -> None:
    inbox = make_inbox()
    inbox.offer(say("lifter_1"), 7.0)
    heard = inbox.view(7, 1, 7.25)
    assert heard.present.tolist() == [False, True]
    assert heard.age.tolist() == [0.0, 0.25]
    assert heard.messages.tolist() == [[0.0] * M, [0.25] * M]
    assert heard.position.tolist() == [[0.0] * 3, [1.0, 2.0, 0.5]]
    assert heard.kind == ("scout", "lifter")
    assert not inbox.view(7, 2, 7.25).present.any()
    assert not inbox.view(7, 1, 8.1).present.any()  # kept, but too old to read


def test_a_round_is_complete_when_all_expected_were_heard() -> None:
    inbox = make_inbox()
    assert inbox.complete(7, 1, [])
    assert not inbox.complete(7, 1, ["scout_1"])
    inbox.offer(say(), 7.0)
    assert inbox.complete(7, 1, ["scout_1"])
    assert not inbox.complete(7, 1, ["scout_1", "lifter_1"])


def test_old_rounds_are_forgotten() -> None:
    inbox = make_inbox()
    for tick in range(100):
        inbox.offer(say(tick=tick, stamp=float(tick)), float(tick))
    assert len(inbox._pages) == PAGES
    assert not inbox.view(7, 1, 7.0).present.any()
    assert inbox.view(99, 1, 99.0).present[0]


@pytest.mark.parametrize("seed", range(4))
def test_channel_and_inboxes_agree_on_a_random_trace(seed: int) -> None:
    """Loss, delay and rubbish on the wire: every inbox, filled in order of arrival, sees what the channel computed."""
    agents, rounds, deadline = 5, 3, 0.2
    chance = np.random.default_rng(seed)
    adjacency = chance.random((agents, agents)) < 0.8
    np.fill_diagonal(adjacency, False)
    lost = chance.random((rounds, agents, agents)) < 0.15
    delay = chance.exponential(0.08, (rounds, agents, agents)).astype(np.float32)
    links = receive(
        torch.from_numpy(adjacency)[None], torch.from_numpy(lost)[None], torch.from_numpy(delay)[None], deadline
    )
    present, age, _ = play_nodes(adjacency, lost, delay.astype(float), deadline, chance)
    assert np.array_equal(present, links.heard[0].numpy())
    np.testing.assert_allclose(age, links.age[0].numpy(), atol=1e-6)
    assert 0.3 < present.mean() < 0.8


class Kept:
    """A chance whose draws are kept: the recorded trace of what the air did."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed, "cpu")
        self.drawn: dict[str, list[torch.Tensor]] = {"exponential": [], "uniform": []}

    def uniform(self, shape: tuple[int, ...]) -> torch.Tensor:
        self.drawn["uniform"].append(self.chance.uniform(shape))
        return self.drawn["uniform"][-1]

    def exponential(self, shape: tuple[int, ...]) -> torch.Tensor:
        self.drawn["exponential"].append(self.chance.exponential(shape))
        return self.drawn["exponential"][-1]


@pytest.mark.parametrize("bits", [1, 5, 8, 12, 16, 32])
@pytest.mark.parametrize("seed", range(2))
def test_a_recorded_trace_through_channel_and_wire_gives_equal_inboxes(seed: int, bits: int) -> None:
    """Bursts, delays and rounding over eight ticks: presence, ages and the values themselves, bit for bit."""
    agents, rounds = 5, 3
    settings = ChannelSettings(radio_range=1.0, loss=0.2, burst=4.0, delay=0.08, deadline=0.2, bits=bits)
    chance, bursts, air = np.random.default_rng(seed), Bursts(), Kept(seed)
    adjacency = chance.random((agents, agents)) < 0.8
    np.fill_diagonal(adjacency, False)
    neighbours = Neighbours(torch.from_numpy(adjacency)[None])
    is_bad = np.zeros((agents, agents), bool)
    met = 0
    for tick in range(8):
        links = carry(settings, neighbours, rounds, air, bursts=bursts)  # type: ignore[arg-type]
        lost, is_bad = play_air(settings, air.drawn["uniform"][-1][0].numpy(), is_bad, first=tick == 0)
        delay = (air.drawn["exponential"][-1] * settings.delay)[0].numpy()
        said = quantise(torch.from_numpy(chance.uniform(-1, 1, (rounds, agents, M)).astype(np.float32)), bits)
        present, age, values = play_nodes(
            adjacency, lost, delay.astype(float), settings.deadline, chance, said.numpy(), bits
        )
        assert np.array_equal(present, links.heard[0].numpy())
        np.testing.assert_allclose(age, links.age[0].numpy(), atol=1e-6)
        trained = torch.where(links.heard[0].unsqueeze(-1), said.unsqueeze(1), 0.0)
        assert values.tobytes() == trained.numpy().tobytes()
        met += int((lost & adjacency).sum())
    assert 0.1 < met / (8 * rounds * adjacency.sum()) < 0.4


def play_air(
    settings: ChannelSettings, drawn: np.ndarray, is_bad: np.ndarray, *, first: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Gilbert and Elliott's chain, message by message: what each of K rounds loses, and the state it leaves."""
    stays, begins = 1 - 1 / settings.burst, settings.loss / (1 - settings.loss) / settings.burst
    lost = []
    for number, each in enumerate(drawn):
        if first and number == 0:
            is_bad = each < np.float32(settings.loss)
        else:
            is_bad = each < np.where(is_bad, np.float32(stays), np.float32(begins))
        lost.append(is_bad)
    return np.stack(lost), is_bad


def play_nodes(
    adjacency: np.ndarray,
    lost: np.ndarray,
    delay: np.ndarray,
    deadline: float,
    chance: np.random.Generator,
    said: np.ndarray | None = None,
    bits: int = UNROUNDED,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One decision among nodes with inboxes, event by event.

    Every message goes over the wire as bytes. `said` [K, sender, M] is what they say; None: anything.

    Returns:
        Presence and age [K, receiver, sender], and what was read [K, receiver, sender, M].
    """
    if said is None:
        said = chance.normal(size=(*delay.shape[:2], M)).astype(np.float32)
    rounds, agents = delay.shape[0], delay.shape[1]
    stamp, tick = 50.0, 50
    names = [f"agent_{index}" for index in range(agents)]
    inboxes = [
        Inbox({name: "scout" for name in names if name != own}, M, PROTOCOL, rounds * deadline, bits=bits)
        for own in names
    ]
    present, age = np.zeros(delay.shape, bool), np.zeros(delay.shape)
    read = np.zeros((*delay.shape, M), np.float32)
    reading = [0] * agents  # the round each agent waits for, from 0
    events: list[tuple[float, int, str, int, Message | None]] = []
    serial = 0

    def speak(sender: int, r: int, now: float) -> None:
        nonlocal serial
        values = unpack_values(pack_values(said[r, sender], bits))
        message = Message(names[sender], tick, r + 1, PROTOCOL, stamp, (0.0, 0.0, 0.0), values)
        rubbish = (
            message._replace(protocol_id=1),
            message._replace(values=np.full(M, np.nan, np.float32)),
            message._replace(values=np.zeros(M - 1, np.float32)),
            message._replace(stamp=stamp - 60),
        )
        for receiver in range(agents):
            if receiver == sender:
                continue
            events.extend((now, serial := serial + 1, "hears", receiver, bad) for bad in rubbish)
            if adjacency[receiver, sender] and not lost[r, receiver, sender]:
                arrival = now + delay[r, receiver, sender]
                events.append((arrival, serial := serial + 1, "hears", receiver, message))
        heapq.heapify(events)

    def try_to_read(receiver: int, now: float, *, gives_up: bool = False) -> None:
        r = reading[receiver]
        expected = [names[sender] for sender in range(agents) if adjacency[receiver, sender]]
        if r >= rounds or not (gives_up or inboxes[receiver].complete(tick, r + 1, expected)):
            return
        heard = inboxes[receiver].view(tick, r + 1, stamp + now)
        others = [sender for sender in range(agents) if sender != receiver]
        present[r, receiver, others], age[r, receiver, others] = heard.present, heard.age
        read[r, receiver, others] = heard.messages
        reading[receiver] = r + 1
        if r + 1 < rounds:
            speak(receiver, r + 1, now)
            try_to_read(receiver, now)

    for agent in range(agents):
        speak(agent, 0, 0.0)
        for r in range(rounds):
            serial += 1
            heapq.heappush(events, ((r + 1) * deadline, 10**9 + serial, f"deadline {r}", agent, None))
    for agent in range(agents):
        try_to_read(agent, 0.0)
    while events:
        now, _, what, agent, message = heapq.heappop(events)
        if message is not None:
            inboxes[agent].offer(message, stamp + now)
            try_to_read(agent, now)
        elif what == f"deadline {reading[agent]}":
            try_to_read(agent, now, gives_up=True)
    rubbish_seen = sum(inbox.counts[Verdict.FOREIGN_PROTOCOL] for inbox in inboxes)
    assert rubbish_seen > 0
    assert all(inbox.counts[verdict] for inbox in inboxes for verdict in (Verdict.NOT_FINITE, Verdict.WRONG_SHAPE))
    return present, age, read
