"""The predefined protocol: a contract-net auction with right-of-way rules, over the same channel as learned messages.

After Smith (1980), The Contract Net Protocol, IEEE Trans. Computers C-29: open jobs are the announcements, idle
forklifts bid, and the award is worked out by every robot alike from the bids it heard (as in single-item auctions
of Dias et al. 2006, Market-based multirobot coordination, Proc. IEEE 94). Inventory agents tell which families are
short or late, and settle between them who releases and reorders what. Everything goes through the M numbers of a
message, so range, loss and bits hurt it as they hurt a learned protocol.

Message layouts (M >= 16). Forklift: 5 bids of (lot, cost), [10] robot waits in a stand-off, [11] is loaded; a lot is
one pallet, or any free stock of a family. Inventory: [0:12] per family open lines, and after the point how much they
hurry; [12] order line it would release, [13] family it would reorder (-1: none).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from policy_core.contract import Contract, Kind
from policy_core.serving.policy import Heard, Observation
from sim.warehouse.greedy import QuietPolicy, charge_choice, quality_choice, reorder_choice

BIDS = 5
HASTE_WORTH = 20.0  # metres of detour that the greatest haste is worth; these five tuned on seeds 100 to 105
PICK_WORTH = 15.0  # metres of detour that a pick is worth
LACK_WORTH = 4.0  # metres of detour that a pallet not yet in stock is worth, if an order waits for its family
AGE_WORTH = 0.05  # metres of detour per second that a job has been open
LATE_SHARE = 0.25  # of haste that comes of the due time; the rest of how near an order is to its end
RELEASED_EACH = 1.5  # lines released and not yet shipped, per forklift; more scatter the fleet over many orders
PICK, REJECT = 2, 3  # columns of the candidate field `job`
FAMILIES = 12
RELEASES, REORDERS = 12, 13  # slots of the inventory message


class ContractNetForklift(QuietPolicy):
    """Bids for its best jobs, corrected by what inventory agents need, and takes what the auction awards it."""

    def __init__(self, contract: Contract, kind: Kind, number: int) -> None:
        """Keep the message size."""
        super().__init__(contract, kind, number)
        self._need = np.zeros(FAMILIES)
        self._bids: list[tuple[float, int, int]] = []  # cost, bidder, lot
        self._gives_way = False

    def begin(self, observation: Observation) -> np.ndarray:
        """First bids, by what was needed when last anybody told."""
        super().begin(observation)
        self._bids = []
        return self._message()

    def hear(self, heard: Heard) -> np.ndarray | None:
        """Round 1 brings needs, round 2 the bids that count."""
        is_last = super().hear(heard) is None
        self._bids = []
        self._gives_way = False
        told = [heard.messages[row, :FAMILIES] for row in _present(heard, "inventory")]
        self._need = np.max(told, axis=0) if told else self._need
        for row in np.flatnonzero(heard.present):
            values = heard.messages[row]
            if heard.kind[row] == "forklift":
                self._bids += [
                    (float(values[2 * bid + 1]), int(row), int(values[2 * bid]))
                    for bid in range(BIDS)
                    if values[2 * bid] > 0
                ]
                self._gives_way |= self._yields_to(values, int(row))
        return None if is_last else self._message()

    def _yields_to(self, values: np.ndarray, row: int) -> bool:
        """Right of way in a stand-off: loaded robots first, then the first in the fleet."""
        other = row if row < self.number else row + 1
        theirs, mine = (values[11] > 0.5, -other), (self.sensed("is_loaded")[0] > 0.5, -self.number)
        return bool(values[10] > 0.5 and theirs > mine)

    def choose(self) -> int:
        """What the auction awards; before that, the lower right of way goes round, and a low battery is charged."""
        way_out = [*self.legal(3), *self.legal(2)]
        if way_out:
            return int(way_out[0]) if self._gives_way else 0
        rest = charge_choice(self)
        if rest:
            return rest
        jobs, cost = self._costs()
        mine = {self._lot(c): c for c in jobs}
        awarded: Counter[int] = Counter()
        placed: set[int] = set()
        for _, bidder, lot in sorted(self._bids + [(cost[c], -1, self._lot(c)) for c in jobs]):
            pallets = int(self._need[lot - 1]) if lot <= FAMILIES else 1
            if awarded[lot] >= pallets or bidder in placed:
                continue
            if bidder == -1:
                return int(mine[lot])
            awarded[lot] += 1
            placed.add(bidder)
        return 0

    def _lot(self, choice: int) -> int:
        """What is bid for, by a name that all robots compute alike: a family's stock, or a pallet by its place."""
        if self._is_stock()[choice]:
            return 1 + int(self.candidate("sku")[choice].argmax())
        x, y, yaw = self.observation.position
        dx, dy = self.candidate("pallet")[choice]
        px = x + np.cos(yaw) * dx - np.sin(yaw) * dy
        py = y + np.sin(yaw) * dx + np.cos(yaw) * dy
        return 1 + FAMILIES + int(round((px + 200.0) * 2)) * 2048 + int(round((py + 200.0) * 2))

    def _is_stock(self) -> np.ndarray:
        """Candidates that nobody released [C]: picks of free stock."""
        return (self.candidate("job")[:, PICK] > 0.5) & (self.candidate("promised") < 0.5)

    def _costs(self) -> tuple[np.ndarray, np.ndarray]:
        family, kind = self.candidate("sku").argmax(1), self.candidate("job").argmax(1)
        lines, haste = np.divmod(self._need[family], 1.0)
        is_stock = self._is_stock()
        worth = np.where(kind == REJECT, 0.0, LACK_WORTH * np.minimum(lines, 2.0))
        worth = np.where(kind == PICK, PICK_WORTH + HASTE_WORTH * haste, worth)
        worth += np.where(is_stock, 0.0, AGE_WORTH * self.candidate("open_for"))
        jobs = self.legal(1)
        jobs = jobs[~is_stock[jobs] | (lines[jobs] >= 1)]
        if charge_choice(self):  # who will charge bids for nothing
            jobs = jobs[:0]
        return jobs, self.candidate("pick_distance") - worth

    def _message(self) -> np.ndarray:
        message = self._silence.copy()
        jobs, cost = self._costs()
        for bid, choice in enumerate(jobs[np.argsort(cost[jobs])][:BIDS]):
            message[2 * bid], message[2 * bid + 1] = self._lot(choice), cost[choice]
        message[10] = float(len(self.legal(2)) > 0)
        message[11] = self.sensed("is_loaded")[0]
        return message


class ContractNetInventory(QuietPolicy):
    """Tells what is short or late; of two agents that want the same, the first in the fleet gets it."""

    def __init__(self, contract: Contract, kind: Kind, number: int) -> None:
        """Nobody has been heard of yet."""
        super().__init__(contract, kind, number)
        self._forklifts = 0

    def begin(self, observation: Observation) -> np.ndarray:
        """Need per family, and the two things it would do."""
        super().begin(observation)
        self._taken_line, self._taken_family = -1, -1
        return self._message()

    def _may_release(self) -> bool:
        return self._forklifts == 0 or self.sensed("released")[0] < RELEASED_EACH * self._forklifts

    def hear(self, heard: Heard) -> np.ndarray | None:
        """Leave to the agents before it what they announced."""
        is_last = super().hear(heard) is None
        self._forklifts = heard.kind.count("forklift")
        peers = [row for row in np.flatnonzero(heard.present) if heard.kind[row] == "inventory"]
        before = [row for row, kind in enumerate(heard.kind) if kind == "inventory"][: self.number]
        for row in peers:
            if row in before:
                self._taken_line = int(heard.messages[row, RELEASES])
                self._taken_family = int(heard.messages[row, REORDERS])
        return None if is_last else self._message()

    def choose(self) -> int:
        """Release a line of the order nearest to its end that nobody took, else reorder the shortest family."""
        line = self._line()
        return line if line else self._reorder()

    def _line(self) -> int:
        slack, left = self.candidate("slack"), self.candidate("lines_left")
        options = [c for c in self.legal(1) if int(slack[c] * 10) != self._taken_line]
        return int(min(options, key=lambda c: (left[c], slack[c]))) if options and self._may_release() else 0

    def _reorder(self) -> int:
        shortage = self.sensed("demand") - self.sensed("stock") - self.sensed("pipeline")
        if self._taken_family >= 0:
            shortage = shortage.copy()
            shortage[self._taken_family] -= 1
        return reorder_choice(self, shortage)

    def _message(self) -> np.ndarray:
        message = self._silence.copy()
        demand, late = self.sensed("demand"), 1.0 - self.sensed("slack") / 300.0
        haste = np.clip((1.0 - LATE_SHARE) * self.sensed("finishing") + LATE_SHARE * late, 0.0, 0.99)
        message[:FAMILIES] = np.where(demand > 0, demand + haste, 0.0)
        line = self._line()
        message[RELEASES] = int(self.candidate("slack")[line] * 10) if line else -1
        reorder = self._reorder()
        message[REORDERS] = self.candidate("sku")[reorder].argmax() if reorder else -1
        return message


class ContractNetQuality(QuietPolicy):
    """Serves the family the inventory agents need most."""

    def __init__(self, contract: Contract, kind: Kind, number: int) -> None:
        """Nothing is known of needs yet."""
        super().__init__(contract, kind, number)
        self._need = np.zeros(FAMILIES)

    def hear(self, heard: Heard) -> np.ndarray | None:
        """Keep the needs."""
        told = [heard.messages[row, :FAMILIES] for row in _present(heard, "inventory")]
        self._need = np.max(told, axis=0) if told else self._need
        return super().hear(heard)

    def choose(self) -> int:
        """Judge what is clear, else inspect what is needed most, then what waited longest."""
        need = self._need[self.candidate("sku").argmax(1)]
        return quality_choice(self, 100.0 * need + self.candidate("waited"))


def _present(heard: Heard, kind: str) -> list[int]:
    """Rows of those of a kind that were heard."""
    return [int(row) for row in np.flatnonzero(heard.present) if heard.kind[row] == kind]
