"""The lot near the capacity line: who is called decides chance where it hardly matters.

The accounts just above and just below the line are worth about the same. Half of them are called,
drawn by lot, so the same number of calls is made and the two halves differ by nothing but the call.

Who is drawn and not called is left alone until the horizon is over, unless it gets clearly worse:
an account that would now save two and a half times as much as the last one on the list comes back
(`comes_back`). What is measured is therefore "called now, against left alone unless it gets clearly
worse", a little less than what the play does (docs/explanation/plays.md has the figures).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.methods.base import Floats

LOT_SHARE = 0.15
"""Share of the list that is drawn on each side of the line."""
EVEN = 0.5
COMES_BACK = 2.5
"""Times the saved value of the last account on the list from which one that the lot left alone is
listed again.
"""


@dataclass(frozen=True, eq=False)
class Lot:
    """Who is on the list after the draw; all arrays follow the ranking, shape (n_accounts,)."""

    on_list: NDArray[np.bool_]
    propensity: Floats
    """Chance of being on the list: 1 above the zone, 0 below it, 0.5 inside."""

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """Accounts that the lot decided about, called or not."""
        return (self.propensity > 0) & (self.propensity < 1)


def draw_lot(
    accounts: Sequence[str],
    capacity: int,
    *,
    key: str,
    share: float = LOT_SHARE,
    may_draw: NDArray[np.bool_] | None = None,
) -> Lot:
    """Draw half of the accounts near the line, by a hash of account and key.

    The same key gives the same draw, so a list made again is the same list. A zone needs one
    account on each side; a side that is short shortens the other.

    Parameters
    ----------
    accounts
        In the order of the ranking, the most worthwhile first.
    capacity
        How many are called.
    key
        What makes this draw another than the last: project, play, owner and date.
    share
        Part of the list that is drawn on each side of the line; 0: nobody.
    may_draw
        Accounts that may be left alone; others stay where the ranking puts them.
    """
    count = len(accounts)
    on_list = np.arange(count) < capacity
    propensity = on_list.astype(np.float64)
    may = np.ones(count, dtype=np.bool_) if may_draw is None else may_draw
    above, below = np.flatnonzero(on_list & may)[::-1], np.flatnonzero(~on_list & may)
    # Rounded by chance: a list of one is drawn at every seventh time, not always.
    chance = int.from_bytes(_lot_number("", key)[:8], "big") / 2**64
    wide = math.floor(share * min(capacity, count) + chance)
    width = min(wide, len(above), len(below))
    if width == 0:
        return Lot(on_list, propensity)
    zone = np.concatenate([above[:width], below[:width]])
    order = sorted(zone, key=lambda place: _lot_number(accounts[place], key))
    on_list[zone] = False
    on_list[np.asarray(order[:width])] = True
    propensity[zone] = EVEN
    return Lot(on_list, propensity)


def _lot_number(account: str, key: str) -> bytes:
    return hashlib.sha256(f"{key}\0{account}".encode()).digest()


def comes_back(saved: Floats, line: float) -> NDArray[np.bool_]:
    """Which of the accounts that a lot left alone have become so much worse that they are listed
    again.

    Parameters
    ----------
    saved
        Their expected value saved now, shape (n_accounts,).
    line
        That of the last account on the list; below 0 where a list ends before hours do.
    """
    return np.asarray(saved > COMES_BACK * max(line, 0.0))


def lot_cost(lot: Lot, saved: Floats, capacity: int) -> float:
    """Value that the lot gives up beforehand: what the accounts above the line are worth more than
    the average of the zone.

    Parameters
    ----------
    saved
        Expected value saved of each account, in the order of the ranking.
    """
    above = np.arange(len(saved)) < capacity
    return float(saved[above].sum() - (lot.propensity * saved).sum())
