"""What the air does to messages of a fleet whose agents decide one by one: range, loss, delay, deadlines, rounding.

The same as `policy_core.comm.channel.receive` and `policy_core.comm.rounding.quantise`, to which tests hold it. Each
world draws from chance of its own, so that an episode is the same alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNROUNDED = 32  # bits of a message number that is sent as it is (policy_core/comm/wire.py)
DEADLINE = 0.2  # s a round of messages lasts at most, as in training (policy_core/comm/channel.py)


def carry(
    chances: Sequence[np.random.Generator],
    position: np.ndarray,
    alive: np.ndarray,
    rounds: int,
    *,
    reach: float,
    loss: np.ndarray,
    delay: np.ndarray,
    is_silenced: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """One tick's messages in E worlds: who hears whom in each of K rounds, and how old what is read then is.

    With a delay an agent reads a round when all it expects have been heard, or when the round's time is over; what
    comes later is absent, and the age of what it read counts from the observation.

    Args:
        chances: each world's own [E].
        position: x (m), y (m), yaw of every agent [E, N, 3].
        alive: [E, N] bool.
        rounds: K.
        reach: radio range (m).
        loss: chance that one message to one receiver is lost [E].
        delay: mean of a message's exponential transport time [E] (s).
        is_silenced: nobody hears anything.

    Returns:
        heard [E, K, receiver, sender] bool, where the diagonal means nothing; age [E, K, receiver] (s).
    """
    worlds, count = alive.shape
    x, y = position[..., 0], position[..., 1]
    distance = np.hypot(x[:, :, None] - x[:, None, :], y[:, :, None] - y[:, None, :])
    in_reach = (distance <= reach) & alive[:, None, :] & alive[:, :, None]
    expected = in_reach & ~np.eye(count, dtype=np.bool_)
    is_late = delay > 0.0
    heard = np.zeros((worlds, rounds, count, count), np.bool_)
    age = np.zeros((worlds, rounds, count))
    sent = np.zeros((worlds, count))  # s since the observation, when each speaks
    transport = np.zeros((worlds, count, count))
    for number in range(rounds):
        luck = np.empty((worlds, count, count))
        for world, chance in enumerate(chances):
            luck[world] = chance.random((count, count))
            if is_late[world]:
                transport[world] = chance.exponential(delay[world], (count, count))
        heard[:, number] = in_reach & (luck >= loss[:, None, None]) & (not is_silenced)
        if is_late.any():
            arrival = sent[:, None, :] + transport
            read, when = in_time(arrival, expected, expected & heard[:, number], sent, (number + 1) * DEADLINE)
            heard[is_late, number] = read[is_late]
            sent = np.where(is_late[:, None], when, 0.0)
        age[:, number] = sent
    return heard, age


def in_time(
    arrival: np.ndarray, expected: np.ndarray, on_its_way: np.ndarray, sent: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which messages of a round are read [..., N, N] bool, receivers first, and when each agent reads [..., N] (s).

    Args:
        arrival: of every message [..., N, N] (s since the observation).
        expected: who waits for whom [..., N, N] bool.
        on_its_way: which of these messages were not lost [..., N, N] bool.
        sent: when each agent itself spoke [..., N] (s).
        limit: when the round ends (s).
    """
    heard = on_its_way & (arrival <= limit)
    is_complete = (heard | ~expected).all(axis=-1)
    last = np.where(heard, arrival, 0.0).max(axis=-1, initial=0.0)
    return heard, np.where(is_complete, np.maximum(last, sent), limit)


def rounded(messages: np.ndarray, bits: int) -> np.ndarray:
    """A copy of messages [N, M], their numbers on the even grid of 2^bits steps in [-1, 1].

    Bit for bit what `policy_core.comm.rounding.quantise` gives, to which a test holds it. Zeros all through are no
    message, and stay.

    Raises:
        ValueError: a number lies beyond [-1, 1], where there is no grid.
    """
    if bits >= UNROUNDED:
        return messages.copy()
    if np.abs(messages).max(initial=0.0) > 1.0:
        raise ValueError(
            f"messages of {bits} bits: saw {np.abs(messages).max():.6g}, wanted numbers in [-1, 1], as learned "
            "messages are; where they name things there is no grid to round to. Leave the policy out, or send 32 bits."
        )
    steps = np.float32(2**bits - 1)
    codes = np.rint((messages + np.float32(1)) * (steps / np.float32(2)))
    grid = (np.float32(2) * codes - steps) / steps
    return np.where(messages.any(axis=1, keepdims=True), grid, messages).astype(np.float32)
