"""What ten points of the score promise, what the test saw, and where an account stands between
bands.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import ContractError
from models.declared import AT_RISK_UNTIL, STABLE_UNTIL
from models.intervals import FEWEST_ACCOUNTS, wilson

_TOPS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
_OFTEN_SAID = 0.015
"""From here on "about N in 100" is right to within a third; rarer events are counted in 1,000."""


@dataclass(frozen=True)
class Promise:
    """A range of displayed scores: the chance it was shown with, and what happened.

    `accounts` are distinct, `scores` counts an account once for each test date; `observed` is the
    share of scores that came true, its interval is for as many trials as there are accounts,
    because the dates of one account are not independent.
    """

    health_from: int
    health_until: int
    accounts: int
    scores: int
    events: int
    promised: float
    """Mean calibrated probability of the scores (0-1)."""
    observed: float
    observed_low: float
    observed_high: float


def decided(tested: pd.DataFrame) -> pd.DataFrame:
    """Rows that show what a health is worth, with the probability that health is made of.

    Where health is read at the decision (`probability_at_decision` has values), those that stood
    where their contract decides (`decides`): others could not leave inside the window, or had
    decided. Else all.

    Parameters
    ----------
    tested
        Scores of the untouched test, with the columns of the table `backtest`.
    """
    if not reads_decisions(tested):
        return tested
    rows = tested[tested["decides"].astype(bool)]
    return rows.assign(probability=rows["probability_at_decision"])


AT_DECISION_COLUMN = "probability_at_decision"


def reads_decisions(rows: pd.DataFrame) -> bool:
    """Whether the health of these published rows is read at the decision."""
    return AT_DECISION_COLUMN in rows.columns and bool(rows[AT_DECISION_COLUMN].notna().any())


def reads_decision(row: Mapping[str, Any]) -> bool:
    """Whether the health of this published row is read at the decision."""
    return bool(pd.notna(row.get(AT_DECISION_COLUMN)))


def promises(
    tested: pd.DataFrame,
    *,
    edges: Sequence[int] = (AT_RISK_UNTIL, STABLE_UNTIL),
    fewest: int = FEWEST_ACCOUNTS,
) -> tuple[Promise, ...]:
    """Promised and observed per ten points, lowest scores first; they cover 0-100 without gaps.

    Parameters
    ----------
    tested
        Scores of the untouched test: account_id, health (displayed), probability, label (0 or 1);
        where health is read at the decision, only rows whose contract came up count (`decided`).
    edges
        Last displayed score of the first and of the second band. Ranges end there, and are joined
        across an edge only where a whole band has too few accounts.
    fewest
        Distinct accounts that a range needs.

    Returns
    -------
    tuple of Promise
        Empty without test scores; one range of 0-100 where all of them together are too few.
    """
    rows = decided(tested).dropna(subset=["health", "probability", "label"])
    if rows.empty:
        return ()
    tops = sorted({*_TOPS, *edges})
    places = np.searchsorted(tops, rows["health"].to_numpy(dtype=np.int64), side="left")
    groups: list[list[int]] = [[place] for place in range(len(tops))]
    accounts = rows["account_id"].to_numpy(dtype=object)

    def size(group: list[int]) -> int:
        return len(set(accounts[np.isin(places, group)]))

    sizes = [size(group) for group in groups]
    while len(groups) > 1 and min(sizes) < fewest:
        smallest = sizes.index(min(sizes))
        other = _neighbour(groups, sizes, smallest, [tops.index(edge) for edge in edges])
        first = min(smallest, other)
        groups[first : first + 2] = [groups[first] + groups[first + 1]]
        sizes[first : first + 2] = [size(groups[first])]
    starts = [0, *(top + 1 for top in tops[:-1])]
    return tuple(
        _promise(starts[group[0]], tops[group[-1]], rows[np.isin(places, group)])
        for group in groups
    )


def promise_of(health: int, ranges: Sequence[Promise]) -> Promise | None:
    """The range that holds a displayed score; None where there was no test."""
    return next((each for each in ranges if each.health_from <= health <= each.health_until), None)


def scale_sentence(promise: Promise, within: str, *, event: str = "leave") -> str:
    """What a range promises, and what the test saw.

    Parameters
    ----------
    within
        The horizon in words: "within 90 days", "by the next renewal".
    event
        What accounts do, as a verb.

    Examples
    --------
    >>> seen = Promise(31, 40, 92, 92, 11, 0.139, 11 / 92, 0.068, 0.202)
    >>> scale_sentence(seen, "within 90 days")  # doctest: +NORMALIZE_WHITESPACE
    'Accounts scoring 31-40: about 14 in 100 leave within 90 days. When we tested it, 11 of 92
    did.'
    """
    shown = f"{promise.health_from}-{promise.health_until}"
    if not 0.0 <= promise.promised <= 1.0:
        raise ContractError(
            f"scores {shown} promise {promise.promised}: a share of accounts in 0-1 is needed."
        )
    often = promise.promised >= _OFTEN_SAID
    of, expected = (100, 100 * promise.promised) if often else (1000, 1000 * promise.promised)
    count = f"about {expected:.0f}" if expected >= 0.5 else "fewer than 1"
    return (
        f"Accounts scoring {shown}: {count} in {of:,} {event} {within}."
        f" When we tested it, {promise.events:,} of {promise.scores:,} did."
    )


def observed_words(promise: Promise) -> str:
    """The share that came true in the test, with its 95% interval.

    Examples
    --------
    >>> observed_words(Promise(31, 40, 92, 92, 11, 0.139, 11 / 92, 0.068, 0.202))
    '12% (7-20%)'
    """
    ends = f"{_number(promise.observed_low)}-{_number(promise.observed_high)}%"
    return f"{_number(promise.observed)}% ({ends})"


def points_to_edges(
    health: int, bands: Sequence[str], edges: Sequence[int] = (AT_RISK_UNTIL, STABLE_UNTIL)
) -> tuple[tuple[str, int], ...]:
    """Neighbouring bands and the points until they begin: below 0 downwards, above 0 upwards.

    Examples
    --------
    >>> points_to_edges(34, ("at_risk", "stable", "healthy"))
    (('stable', 7),)
    >>> points_to_edges(41, ("at_risk", "stable", "healthy"))
    (('at_risk', -1), ('healthy', 30))
    """
    place = int(np.searchsorted(edges, health, side="left"))
    below = ((bands[place - 1], edges[place - 1] - health),) if place > 0 else ()
    above = ((bands[place + 1], edges[place] + 1 - health),) if place < len(edges) else ()
    return below + above


def bands_of_range(
    health_low: float,
    health_high: float,
    bands: Sequence[str],
    edges: Sequence[int] = (AT_RISK_UNTIL, STABLE_UNTIL),
) -> tuple[str, ...]:
    """Bands that a range of exact scores reaches, lowest first; empty where an end is missing.

    Examples
    --------
    >>> bands_of_range(36.2, 40.5, ("at_risk", "stable", "healthy"))
    ('at_risk', 'stable')
    >>> bands_of_range(36.2, 40.4999, ("at_risk", "stable", "healthy"))
    ('at_risk',)
    """
    if not (np.isfinite(health_low) and np.isfinite(health_high)):
        return ()
    first, last = (
        int(np.searchsorted(np.asarray(edges) + 0.5, end, side="right"))
        for end in sorted((health_low, health_high))
    )
    return tuple(bands[first : last + 1])


def _neighbour(groups: list[list[int]], sizes: list[int], place: int, edges: Sequence[int]) -> int:
    """The group to join with: in the same band if there is one, then the one with fewer
    accounts.
    """

    def crosses(one: int, other: int) -> bool:
        return groups[min(one, other)][-1] in edges

    beside = [other for other in (place - 1, place + 1) if 0 <= other < len(groups)]
    return min(beside, key=lambda other: (crosses(place, other), sizes[other], other))


def _promise(health_from: int, health_until: int, rows: pd.DataFrame) -> Promise:
    accounts, events = int(rows["account_id"].nunique()), int(rows["label"].sum())
    observed = events / len(rows)
    low, high = wilson(observed, accounts)
    return Promise(
        health_from,
        health_until,
        accounts,
        len(rows),
        events,
        float(rows["probability"].mean()),
        observed,
        low,
        high,
    )


def _number(share: float) -> str:
    """Whole percent; one decimal below 2, where a whole number would say half or double."""
    return f"{100 * share:.1f}" if 0 < share < 0.02 else f"{100 * share:.0f}"


def sub_scores(
    points: npt.ArrayLike,
    points_displayed: npt.ArrayLike,
    dimensions: Sequence[str],
    every: Sequence[str],
) -> pd.DataFrame:
    """Points of one account by dimension: base and sub-scores add to the score, exactly and as
    displayed.

    Parameters
    ----------
    points, points_displayed, dimensions
        Of the account's published drivers, rests included, shape (n_drivers,).
    every
        All dimensions, in the order wanted; one without drivers has 0 points.

    Returns
    -------
    DataFrame
        dimension; points (exact); points_displayed (whole).

    Raises
    ------
    ContractError
        A driver's dimension is not among `every`: its points would be lost.
    """
    if lost := sorted(set(dimensions) - set(every)):
        raise ContractError(f"drivers have dimension {lost[0]!r}, known are {', '.join(every)}.")
    exact: dict[str, list[float]] = {name: [] for name in every}
    whole = dict.fromkeys(every, 0)
    for name, point, shown in zip(
        dimensions,
        np.asarray(points, dtype=np.float64).tolist(),
        np.asarray(points_displayed, dtype=np.int64).tolist(),
        strict=True,
    ):
        exact[name].append(point)
        whole[name] += shown
    return pd.DataFrame(
        {
            "dimension": pd.Series([*every], dtype="str"),
            "points": [math.fsum(exact[name]) for name in every],
            "points_displayed": np.array([*whole.values()], dtype=np.int64),
        }
    )
