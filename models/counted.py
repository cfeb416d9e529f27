"""Scores that are counted from what people declare: which there are, what one account's points come
from, and whether they rank those who leave first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.definition import Signal
from models.contenders import BenchSettings, contenders
from models.dataset import TrainingSet
from models.declared import Action
from models.drivers.words import signal_words
from models.gates import FEW_TEST_EVENTS, FEWEST_TEST_EVENTS, Gate
from models.intervals import Z95
from models.methods import Actions, Rules, Scorecard, WeightedAverage
from models.methods.actions import action_points
from models.methods.clusters import Clusters
from models.metrics import auc, auc_standard_error

_MOST_TRAITS = 3


@dataclass(frozen=True)
class CountedLine:
    """One action, rule, part or trait of an account.

    Attributes
    ----------
    name
        As declared.
    points
        What it adds to the score; None where it adds none of its own.
    said
        What is so, in words.
    signals
        Columns that it is worked out from.
    deadline
        By when it must be done, and what is deducted from which day on, in words; empty without.
    """

    name: str
    points: float | None
    said: str
    signals: tuple[str, ...] = ()
    deadline: str = ""


@dataclass(frozen=True)
class CountedScore:
    """A counted score of one account: where it starts, what adds to it, and the sum.

    Attributes
    ----------
    base, score
        0-100; None for a group, which is no score. `base` and the lines' points are `score`, unless
        that would leave 0-100.
    lines
        What adds most first.
    """

    method: str
    base: float | None
    score: float | None
    lines: tuple[CountedLine, ...]


def counted_method(name: str, settings: BenchSettings, rows: TrainingSet) -> Any:
    """Return the method of `tenure bench` by this name, made of the rows before the test."""
    taught = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
    every = contenders(settings, None, pd.Series(dtype="float64"))
    contender = next(each for each in every if each.name == name)
    return contender.fit(taught)


def ranks(method: Any, rows: TrainingSet) -> Gate:
    """Whether a counted score ranks those with the event first on the test: beyond chance, or with
    fewer than 100 leaving accounts at all.
    """
    name, test = "ranks better than chance", rows.test
    leaving = test.leaving_accounts()
    if leaving < FEWEST_TEST_EVENTS:
        return Gate(
            name,
            True,
            f"not judged: {leaving} accounts of the test had the event, and it takes"
            f" {FEWEST_TEST_EVENTS}.",
            applies=False,
        )
    margin = np.asarray(method.margin(test.features), dtype=np.float64)
    value, error = auc(test.labels, margin), auc_standard_error(test.labels, margin)
    low, high = max(0.0, value - Z95 * error), min(1.0, value + Z95 * error)
    said = f"AUC {value:.3f} ({low:.3f} to {high:.3f}) on {len(test):,} rows of the test"
    if low > 0.5:
        return Gate(name, True, f"{said}.")
    if leaving < FEW_TEST_EVENTS and value > 0.5:
        return Gate(
            name,
            True,
            f"{said}: with {leaving} accounts that had the event no more than this can be shown.",
        )
    return Gate(name, False, f"{said}, which is no better than drawing lots.")


def counted_score(
    name: str,
    method: Any,
    features: pd.DataFrame,
    signals: Sequence[Signal],
    currency: str,
    as_of: date,
) -> CountedScore:
    """What one account's counted score is made of.

    Parameters
    ----------
    features
        One row, with a column per signal.
    as_of
        Date of the row, from which deadlines are counted.
    """
    card = {signal.column: signal for signal in signals}

    def said(column: str) -> str:
        value = float(features[column].iloc[0])
        return signal_words(card[column], None if np.isnan(value) else value, currency=currency)

    if isinstance(method, Clusters):
        return CountedScore(name, None, None, tuple(_traits(method, features, signals, said)))
    base, points = method.counted(features)
    if isinstance(method, Actions):
        lines = _actions(method, features, said, as_of)
    elif isinstance(method, Rules):
        lines = [
            CountedLine(
                rule.name,
                float(rule.points),
                "; ".join(said(condition.signal) for condition in rule.when),
                tuple(dict.fromkeys(condition.signal for condition in rule.when)),
            )
            for rule, has_fired in zip(method.rules_, method.fired(features)[0], strict=True)
            if has_fired
        ]
    elif isinstance(method, WeightedAverage):
        lines = _parts(method, features, points, signals, said)
    else:
        assert isinstance(method, Scorecard)
        lines = [
            CountedLine(
                signals[n].column.replace("_", " "),
                float(points[0, n]),
                said(signals[n].column),
                (signals[n].column,),
            )
            for n in np.flatnonzero(points[0]).tolist()
        ]
    lines.sort(key=lambda line: -abs(line.points or 0.0))
    score = float(np.clip(base + points.sum(), 0.0, 100.0))
    return CountedScore(name, float(base), score, tuple(lines))


def _actions(
    method: Actions, features: pd.DataFrame, said: Callable[[str], str], as_of: date
) -> list[CountedLine]:
    """Actions that gave or took points, and those whose deadline runs."""
    points = method.points(features)[0]
    lines = []
    for action, own in zip(method.actions_, points.tolist(), strict=True):
        value = _one(features, action.signal)
        age = None if action.counted_from is None else _one(features, action.counted_from)
        deadline = deadline_words(action, value, age, as_of)
        if own or deadline:
            columns = (action.signal, action.counted_from)
            lines.append(
                CountedLine(
                    action.name,
                    float(own),
                    said(action.signal),
                    tuple(each for each in columns if each is not None),
                    deadline,
                )
            )
    return lines


def _one(features: pd.DataFrame, column: str) -> float | None:
    value = float(features[column].iloc[0])
    return None if np.isnan(value) else value


def deadline_words(action: Action, value: float | None, age: float | None, as_of: date) -> str:
    """From which day on a missed action deducts, or deducted: the day after its deadline.

    Parameters
    ----------
    value, age
        Of the action's signal, and of the days that its deadline is counted by; None: not known.

    Examples
    --------
    >>> login = Action("log in", "days_since_login", 5, within_days=30, missed=-10)
    >>> deadline_words(login, 28.0, None, date(2025, 6, 1))
    'in time until 3 Jun 2025, -10 from 4 Jun 2025 on unless it is done again'
    >>> deadline_words(login, 31.0, None, date(2025, 6, 1))
    'the deadline was 31 May 2025, so -10 since 1 Jun 2025'
    """
    if action.within_days is None or not action.missed:
        return ""
    if action.counts_days:
        passed = value if value is not None else age
    else:
        is_done = bool(
            action_points(replace(action, missed=0, points=1), _row(value), _row(age))[0]
        )
        passed = None if is_done or value is None else age
    if passed is None:
        return ""
    last = as_of + timedelta(days=action.within_days - int(passed))
    first, took = last + timedelta(days=1), f"{action.missed:d}"
    if passed > action.within_days:
        return f"the deadline was {_day(last)}, so {took} since {_day(first)}"
    again = "it is done again" if action.counts_days and value is not None else "it is done"
    return f"in time until {_day(last)}, {took} from {_day(first)} on unless {again}"


def _row(value: float | None) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.array([np.nan if value is None else value])


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _parts(
    method: WeightedAverage,
    features: pd.DataFrame,
    points: "np.ndarray[Any, Any]",
    signals: Sequence[Signal],
    said: Any,
) -> list[CountedLine]:
    """Each part with its sub-score, the weight that counted, and what its indicators say."""
    scores, weights = method.part_scores(features).iloc[0], method.row_weights(features).iloc[0]
    place = {signal.column: n for n, signal in enumerate(signals)}
    lines = []
    for part in method.parts_:
        own = float(sum(points[0, place[column]] for column in part.columns))
        rated = scores[part.name]
        sub_score = "no value" if pd.isna(rated) else f"{rated:.0f} of 100"
        words = "; ".join(said(column) for column in part.columns)
        lines.append(
            CountedLine(
                part.name.replace("_", " "),
                own,
                f"{sub_score}, weight {weights[part.name]:.0f}%: {words}",
                tuple(part.columns),
            )
        )
    return lines


def _traits(
    method: Clusters, features: pd.DataFrame, signals: Sequence[Signal], said: Any
) -> list[CountedLine]:
    """The account's group: how many rows it had, how many of them left, and what sets it apart."""
    group = int(method.assign(features)[0])
    rate, size = float(method.rates_[group]), int(method.sizes_[group])
    lines = [
        CountedLine(
            f"group {group + 1} of {method.count}",
            None,
            f"{size:,} past rows, {rate:.1%} of which had the event",
        )
    ]
    centre = method.centres_[group]
    for n in np.argsort(-np.abs(centre))[:_MOST_TRAITS].tolist():
        signal = signals[method.columns_[n]]
        side = "more" if centre[n] > 0 else "less"
        lines.append(
            CountedLine(
                f"{side} than most",
                None,
                f"{signal.column.replace('_', ' ')}; this account: {said(signal.column)}",
            )
        )
    return lines
