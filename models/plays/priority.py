"""Which play for whom, under the hours of an owner: the choice that saves most, not the riskiest.

`saved = chance x value x save share - cost`. An owner's hours are a limit, so this is a
multiple-choice knapsack: at most one play an account, minutes within the hours, saved value as
large as possible. Minutes are whole, hours of a week or month are a few thousand minutes, so the
exact table is small.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.methods.base import Floats

NO_PLAY = -1


@dataclass(frozen=True, eq=False)
class PlayChoice:
    """The play of each account, as an index into the plays (-1: none), and what they save."""

    play: NDArray[np.int64]
    saved: float
    minutes: int


def saved_value(chance: Floats, value: Floats, save_share: Floats, cost: Floats) -> Floats:
    """Expected value saved of each account and play, shape (n_accounts, n_plays).

    Parameters
    ----------
    chance, value
        Shape (n_accounts,): probability of leaving, money a year.
    save_share, cost
        Shape (n_plays,): share of leavers that a play keeps, money a play costs.

    Examples
    --------
    >>> one = np.array([0.2]), np.array([10_000.0]), np.array([0.3]), np.array([120.0])
    >>> saved_value(*one).tolist()
    [[480.0]]
    """
    return (chance * value)[:, None] * save_share - cost


def choose_plays(
    saved: Floats, minutes: NDArray[np.int64], budget: int, must: NDArray[np.bool_] | None = None
) -> PlayChoice:
    """The plays that save most within a budget of minutes.

    Parameters
    ----------
    saved
        Shape (n_accounts, n_plays); nan where the play is not for the account (trigger, cooldown,
        consent). What saves nothing is left out.
    minutes
        Shape (n_plays,), each at least 1.
    budget
        Minutes of the owner.
    must
        Accounts that come first whatever they save, in the order of the rows while minutes last;
        each gets its best play that fits.
    """
    accounts, _ = saved.shape
    play = np.full(accounts, NO_PLAY, dtype=np.int64)
    left = int(budget)
    for row in np.flatnonzero(must).tolist() if must is not None else ():
        left -= _take_best(saved[row], minutes, left, play, row)
    others = np.ones(accounts, dtype=np.bool_) if must is None else ~must
    free = np.flatnonzero(others).tolist()
    step = int(np.gcd.reduce(minutes)) if len(minutes) else 1
    weight, units = (minutes // step).tolist(), left // step
    best = np.zeros(units + 1)
    taken = np.full((len(free), units + 1), NO_PLAY, dtype=np.int16)
    for place, row in enumerate(free):
        before = best.copy()
        for index in np.flatnonzero(saved[row] > 0).tolist():
            size = weight[index]
            if size > units:
                continue
            offer = before[: units + 1 - size] + saved[row, index]
            is_better = offer > best[size:]
            best[size:][is_better] = offer[is_better]
            taken[place, size:][is_better] = index
    unit: int = units
    for place in range(len(free) - 1, -1, -1):
        index = int(taken[place, unit])
        if index != NO_PLAY:
            play[free[place]] = index
            unit -= weight[index]
    chosen = play != NO_PLAY
    return PlayChoice(
        play,
        float(saved[chosen, play[chosen]].sum()),
        int(minutes[play[chosen]].sum()),
    )


def _take_best(
    saved: Floats, minutes: NDArray[np.int64], left: int, play: NDArray[np.int64], row: int
) -> int:
    """Give one account its best play that fits; returns the minutes it takes."""
    fits = np.flatnonzero(~np.isnan(saved) & (minutes <= left))
    if not len(fits):
        return 0
    play[row] = fits[np.argmax(saved[fits])]
    return int(minutes[play[row]])
