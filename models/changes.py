"""Why a published score moved: the difference of two scores, split exactly into causes.

The way from the old score to the new one is walked in a fixed order, one thing changed at a step:

==========  ===================  ============  =====  ======================================
state       inputs               model, cards  scale  the step before it
==========  ===================  ============  =====  ======================================
stored      as published then    old           old
rebuilt     old date, known now  old           old    data: rewritten since, or known later
                                                      than usual
moved       new date             old           old    clock (cards that move by themselves),
                                                      behaviour apart
remodelled  new date             new           old    model and calibrator; a shift of the
                                                      base apart
published   new date             new           new    scale and configuration
==========  ===================  ============  =====  ======================================

Under one model and one scale the base is a constant, so differences of points are differences of
the score. Another order would share out differently what two causes do together; this one asks
first what the numbers would have been had all been known, and charges the model with new facts
only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definition import Signal
from features.errors import ContractError
from models.drivers import (
    REST,
    change_words,
    largest_each_way,
    sentence,
    signal_words,
    spoken_value,
)
from models.health import displayed_points
from models.health.scale import Floats, Integers

DATA, CLOCK, BEHAVIOUR, MODEL, SCALE = CAUSES = ("data", "clock", "behaviour", "model", "scale")
CAUSES_IN_WORDS = {
    DATA: "late or corrected data",
    CLOCK: "time passing",
    BEHAVIOUR: "what customers did",
    MODEL: "a new model",
    SCALE: "the scale or settings",
}
BASE, SIGNALS = "base", "signals"
MOST_CHANGES = 5
LINE_COLUMNS = (
    "account_id",
    "cause",
    "dimension",
    "driver",
    "points",
    "points_displayed",
    "value",
    "value_before",
    "words",
)


@dataclass(frozen=True, eq=False)
class ScoredState:
    """Accounts under one model, one scale and one set of inputs: `base + points.sum(axis=1)` is the
    score.

    `points` and `values` have shape (n_accounts, n_signals).
    """

    base: float
    points: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a split: a cause, and where there is one a driver with the columns of its
    signals.
    """

    cause: str
    dimension: str
    driver: str
    columns: npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Split:
    """Exact points of every line; `points` has shape (n_accounts, n_lines) and adds to the
    difference.
    """

    lines: tuple[Line, ...]
    points: Floats
    stored: ScoredState
    rebuilt: ScoredState
    moved: ScoredState
    remodelled: ScoredState


def split(
    signals: Sequence[Signal],
    stored: ScoredState,
    rebuilt: ScoredState,
    moved: ScoredState,
    remodelled: ScoredState,
    health_after: npt.ArrayLike,
) -> Split:
    """The difference of two scores by cause and driver; see the table above.

    Parameters
    ----------
    signals
        Cards of the old model, one per column of `stored`, `rebuilt` and `moved`.
    health_after
        Exact score as published in the new run, shape (n_accounts,).

    Raises
    ------
    ContractError
        The first three states do not have one base: they are not of one model and one scale.
    """
    if not stored.base == rebuilt.base == moved.base:
        raise ContractError(
            f"bases {stored.base}, {rebuilt.base} and {moved.base} differ: one model and scale have"
            " one base."
        )
    after = np.asarray(health_after, dtype=np.float64)
    of_data = rebuilt.points - stored.points
    of_time = moved.points - rebuilt.points
    lines = [*_lines(DATA, signals, range(len(signals)))]
    lines += _lines(CLOCK, signals, [i for i, s in enumerate(signals) if s.is_clock])
    lines += _lines(BEHAVIOUR, signals, [i for i, s in enumerate(signals) if not s.is_clock])
    columns = [
        (of_data if line.cause == DATA else of_time)[:, line.columns].sum(axis=1) for line in lines
    ]
    nothing = np.array([], dtype=np.intp)
    lines += [
        Line(MODEL, "", BASE, nothing),
        Line(MODEL, "", SIGNALS, nothing),
        Line(SCALE, "", SCALE, nothing),
    ]
    columns.append(np.full(len(after), remodelled.base - moved.base))
    columns.append(remodelled.points.sum(axis=1) - moved.points.sum(axis=1))
    columns.append(after - (remodelled.base + remodelled.points.sum(axis=1)))
    # base + points is the score to a rounding of the last bits; what is not even that is no change
    # of scale.
    columns[-1][np.abs(columns[-1]) < 1e-10] = 0.0
    return Split(tuple(lines), np.column_stack(columns), stored, rebuilt, moved, remodelled)


def change_lines(
    split: Split,
    account_ids: Sequence[str],
    shown_change: npt.ArrayLike,
    signals: Sequence[Signal],
    *,
    days: int,
    currency: str = "",
    most: int = MOST_CHANGES,
) -> pd.DataFrame:
    """Published lines of a split: the largest each way, and one `rest` per cause.

    Parameters
    ----------
    shown_change
        Displayed score after less displayed score before; the displayed points of an account add to
        it.
    days
        Between the two dates.

    Returns
    -------
    DataFrame
        account_id; cause (`data`, `clock`, `behaviour`, `model`, `scale`); dimension and driver
        (`base` and `signals` of the model, `scale`, `rest` for what is not listed); points (exact;
        all lines of an account add to the difference of its scores); points_displayed (whole);
        value and value_before of the driver's signal that moved most (for data: as known now and as
        first scored); words. Lines without points are left out.
    """
    ids = np.asarray(account_ids, dtype=object)
    change: Integers = np.asarray(shown_change, dtype=np.int64)
    points = split.points
    listed = largest_each_way(points, most) | np.array(
        [line.cause in (MODEL, SCALE) for line in split.lines]
    )
    listed &= points != 0
    left_out = (points != 0) & ~listed
    causes = [line.cause for line in split.lines]
    rests = np.column_stack(
        [
            np.where(
                left_out[:, [c == cause for c in causes]],
                points[:, [c == cause for c in causes]],
                0.0,
            ).sum(axis=1)
            for cause in CAUSES
        ]
    )
    every = np.hstack([np.where(listed, points, 0.0), rests])
    whole = displayed_points(every, [*causes, *CAUSES], change, 0)
    account, place = np.nonzero((every != 0) | (whole != 0))
    order = np.lexsort((place, -np.abs(every[account, place]), place >= len(causes), account))
    account, place = account[order], place[order]
    speaker = _Speaker(split, signals, days, currency)
    spoken = [speaker.say(a, p) for a, p in zip(account.tolist(), place.tolist(), strict=True)]
    return pd.DataFrame(
        {
            "account_id": pd.Series(ids[account], dtype="str"),
            "cause": pd.Series(np.array([*causes, *CAUSES], dtype=object)[place], dtype="str"),
            "dimension": pd.Series(
                np.array([*(x.dimension for x in split.lines), *[""] * len(CAUSES)], object)[place],
                dtype="str",
            ),
            "driver": pd.Series(
                np.array([*(x.driver for x in split.lines), *[REST] * len(CAUSES)], object)[place],
                dtype="str",
            ),
            "points": every[account, place],
            "points_displayed": whole[account, place],
            "value": np.array([s[0] for s in spoken], dtype=np.float64),
            "value_before": np.array([s[1] for s in spoken], dtype=np.float64),
            "words": pd.Series([s[2] for s in spoken], dtype="str"),
        }
    )


def main_cause(by_cause: npt.ArrayLike, change: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """The cause that did most in the direction the score moved; empty where it did not move.

    Parameters
    ----------
    by_cause
        Points per cause in the order of `CAUSES`, shape (n_accounts, 5).
    change
        Exact difference of the scores, shape (n_accounts,).
    """
    sums, moved = np.asarray(by_cause, dtype=np.float64), np.asarray(change, dtype=np.float64)
    moved = np.round(moved, 9)
    place = np.argmax(np.round(sums * np.sign(moved)[:, None], 9), axis=1)
    return np.where(moved == 0, "", np.array(CAUSES)[place])


def _lines(cause: str, signals: Sequence[Signal], which: Sequence[int] | range) -> list[Line]:
    members: dict[tuple[str, str], list[int]] = {}
    for index in which:
        members.setdefault((signals[index].dimension, signals[index].driver), []).append(index)
    return [
        Line(cause, d, name, np.array(columns, dtype=np.intp))
        for (d, name), columns in members.items()
    ]


class _Speaker:
    """Value, value before and words of a line; equal facts are phrased once."""

    def __init__(self, split: Split, signals: Sequence[Signal], days: int, currency: str) -> None:
        self.split, self.signals, self.days, self.currency = split, signals, days, currency
        self.memory: dict[tuple[str, int, str, str], str] = {}

    def say(self, account: int, place: int) -> tuple[float, float, str]:
        if place >= len(self.split.lines):
            cause = CAUSES[place - len(self.split.lines)]
            return (
                np.nan,
                np.nan,
                f"smaller changes together ({CAUSES_IN_WORDS[cause]})",
            )
        line = self.split.lines[place]
        if line.cause in (MODEL, SCALE):
            return np.nan, np.nan, self._of_method(line)
        before, after = (
            (self.split.stored, self.split.rebuilt)
            if line.cause == DATA
            else (self.split.rebuilt, self.split.moved)
        )
        sizes = np.abs(after.points[account, line.columns] - before.points[account, line.columns])
        column = int(line.columns[np.argmax(np.round(sizes, 9))])
        then, now = float(before.values[account, column]), float(after.values[account, column])
        key = (line.cause, column, repr(then), repr(now))
        if key not in self.memory:
            self.memory[key] = self._of_driver(line.cause, self.signals[column], then, now)
        return now, then, self.memory[key]

    def _of_method(self, line: Line) -> str:
        if line.driver == BASE:
            return (
                f"a typical account starts at {self.split.remodelled.base:.1f} in the new model and"
                f" at {self.split.moved.base:.1f} in the old one"
            )
        if line.driver == SIGNALS:
            return "the new model weighs the same facts differently"
        return "the scale of the score or the settings changed"

    def _of_driver(self, cause: str, signal: Signal, then: float, now: float) -> str:
        if cause == CLOCK:
            # Clocks are not compared with their past where a score is explained; where its change
            # is, that is the point.
            was = (
                None
                if np.isnan(then) or then == now
                else f"before: {spoken_value(signal, then, currency=self.currency)}"
            )
            return sentence(signal_words(signal, now, currency=self.currency), was)
        if cause == BEHAVIOUR:
            was = change_words(signal, now, then, days=self.days or None, currency=self.currency)
            return sentence(signal_words(signal, now, currency=self.currency), was or None)
        first = (
            "without this value"
            if np.isnan(then)
            else f"as {spoken_value(signal, then, currency=self.currency)}"
        )
        return (
            f"{signal_words(signal, now, currency=self.currency)}, as we know now; first scored"
            f" {first}"
        )
