"""Which ratios of two signals say something that the model does not know yet.

Candidates are ratios of two amounts (counts, totals, money, days) over the same window, or both
without one. Each is judged on the validation blocks of training, the untouched test is not read.
Per block and group of accounts:

    margin   log-odds of a plain LightGBM on all signals, taught without the row's own accounts
    without  logistic regression on margin, both amounts (rank and its square, missing) and where
        the ratio is missing
    with     the same, and the ratio (rank and its square)
    gain     log loss of `without` less that of `with`

both taught on the block's earlier dates by the other accounts. So the gain is of the formula
itself: not of an amount that trees used too little, not of an account recognised again, not of what
happened on the dates judged. Errors are by account, and the false discovery rate is held over all
ratios tried [Benjamini1995].

References
----------
[Benjamini1995] Controlling the false discovery rate, procedure (1).
[Liang1986] Longitudinal data analysis using generalized linear models, eq. 7: errors of rows that
share an account.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from features.definition import Signal
from features.errors import TooFewEvents
from features.naming import column_name
from models.dataset import TrainingSet
from models.intervals import LEAST_ERROR, Z95
from models.methods.base import Floats
from models.methods.gradient_boosting import GradientBoosting
from models.methods.penalised import Regression, newton
from models.metrics import log_losses
from models.patterns import FALSE_DISCOVERIES, benjamini_hochberg
from models.plan import TrainingPlan
from models.splits import Block, Folds
from models.training import folds_of

MOST_TRIED = 200
"""Each window in turn gives a pair, in the order of what the weaker of the two is worth to the
trees of the first block.
"""
GROUPS = 3
NOT_AMOUNTS = frozenset(
    {"yes", "rank", "attribute", "change", "share", "tone", "rating", "points", "tenths", "times"}
)
"""Units of which a ratio says nothing: flags, categories, and what is a comparison already."""
LEAST_OTHERS = 0.02
"""Share of rows that must differ from the commonest value."""
LEAST_FILLED = 0.1
_SHAPED_ROWS = 20_000
_PENALTY = 1.0
_SETTLED = 1e-6
"""Newton's steps end when the whole objective, in nats, gains no more than this."""


@dataclass(frozen=True, eq=False)
class RatioSearch:
    """What was tried and what it gave.

    `ratios`: one row per ratio tried, the largest gain first: name, numerator, divisor, filled
    (share of rows with a value); gain, gain_low, gain_high: log loss less per row, with its 95%
    interval; periods, periods_up: months, and those with a gain; is_more: a higher ratio means the
    event more often; p (one-sided), q, is_found.
    """

    ratios: pd.DataFrame
    rows: int
    accounts: int
    first_as_of: pd.Timestamp
    last_as_of: pd.Timestamp

    @property
    def beyond_chance(self) -> pd.DataFrame:
        """Return the ratios whose gain is more than chance gives."""
        return self.ratios[self.ratios["is_found"]]


@dataclass(frozen=True)
class _Pair:
    """Positions of the columns of one candidate."""

    top: int
    bottom: int


def search_ratios(training_set: TrainingSet, plan: TrainingPlan) -> RatioSearch:
    """Try ratios of the signals of a training set, out of time and on accounts that did not teach
    them.

    Raises
    ------
    TooFewEvents
        The dates before the test, or those who left on them, allow no validation out of time.
    """
    blocks = _blocks(folds_of(training_set, plan))
    pairs = _candidates(training_set.rows(blocks[0].train), plan)
    accounts, _ = pd.factorize(training_set.keys["account_id"], sort=True)
    groups = np.random.default_rng(plan.seed).permutation(np.arange(accounts.max() + 1) % GROUPS)[
        accounts
    ]
    judged = np.concatenate([block.validation for block in blocks])
    tried = [_gains(training_set, block, pairs, groups, plan) for block in blocks]
    months = training_set.keys["as_of"].iloc[judged].dt.to_period("M").to_numpy()
    values = _values(training_set)
    rows, taken = [], {signal.column for signal in training_set.signals}
    for number, pair in enumerate(pairs):
        gain = np.concatenate([gains[number] for gains, _ in tried])
        by_month = pd.Series(gain).groupby(months).mean()
        error = max(_error_of_mean(gain, accounts[judged]), LEAST_ERROR)
        top, bottom = training_set.signals[pair.top], training_set.signals[pair.bottom]
        name = _name(top, bottom, taken)
        taken.add(name)
        rows.append(
            {
                "name": name,
                "numerator": top.column,
                "divisor": bottom.column,
                "filled": float(np.isfinite(_ratio(values, pair)).mean()),
                "gain": float(gain.mean()),
                "gain_low": float(gain.mean() - Z95 * error),
                "gain_high": float(gain.mean() + Z95 * error),
                "periods": len(by_month),
                "periods_up": int((by_month > 0).sum()),
                "is_more": bool(sum(slopes[number] for _, slopes in tried) > 0),
                "p": float(ndtr(-gain.mean() / error)),
            }
        )
    table = pd.DataFrame(
        rows,
        columns=[
            "name",
            "numerator",
            "divisor",
            "filled",
            "gain",
            "gain_low",
            "gain_high",
            "periods",
            "periods_up",
            "is_more",
            "p",
        ],
    )
    table["q"] = benjamini_hochberg(table["p"].to_numpy(dtype=np.float64)) if rows else []
    table["is_found"] = table["q"] <= FALSE_DISCOVERIES
    table = table.sort_values(
        ["gain", "name"], ascending=[False, True], kind="stable", ignore_index=True
    )
    return RatioSearch(
        table,
        len(judged),
        len(np.unique(accounts[judged])),
        min(b.first_as_of for b in blocks),
        max(b.last_as_of for b in blocks),
    )


def _blocks(folds: Folds) -> tuple[Block, ...]:
    if not folds.is_temporal:
        raise TooFewEvents(
            "a ratio is judged on later dates than it was learned from, and there are too few dates"
            " before the test to keep label windows apart, or too few accounts with the event."
            " Add more dates ([targets.dates]) and run `tenure features`."
        )
    # One block may both tune and calibrate.
    return tuple(
        {(b.first_as_of, b.last_as_of): b for b in (*folds.tuning, *folds.calibration)}.values()
    )


def _values(rows: TrainingSet) -> Floats:
    return rows.features.to_numpy(dtype=np.float64)


def _candidates(first: TrainingSet, plan: TrainingPlan) -> list[_Pair]:
    """Pairs of amounts, chosen on the rows that teach the first block: no row judged has a say."""
    model = GradientBoosting(threads=plan.threads, is_event_good=plan.is_event_good)
    model.fit(first.features, first.labels, first.signals, seed=plan.seed)
    worth = model.boosters_[0].feature_importance("gain")
    values, signals = _values(first), first.signals
    amounts = [
        place for place, signal in enumerate(signals) if _is_amount(signal, values[:, place])
    ]
    # A ratio that somebody declared already is a signal; tried again it would only repeat itself.
    known = [
        {str(s.definition["numerator"]), str(s.definition["divisor"])}
        for s in signals
        if "divisor" in s.definition
    ]
    pairs = [
        _upright(one, other, values, signals)
        for one, other in combinations(amounts, 2)
        if signals[one].window_days == signals[other].window_days
        and {str(signals[one].definition), str(signals[other].definition)} not in known
    ]

    def order(pair: _Pair) -> tuple[float, float, str, str]:
        low, high = sorted((worth[pair.top], worth[pair.bottom]))
        return -low, -high, signals[pair.top].column, signals[pair.bottom].column

    chosen: list[_Pair] = []
    seen: set[bytes] = set()
    for pair in _in_turn(sorted(pairs, key=order), signals):
        ratio = _ratio(values, pair)
        same = ratio.tobytes()
        # With one event a window its total is its largest: the same ratio under another name would
        # be tried, and found, twice.
        if np.isfinite(ratio).mean() >= LEAST_FILLED and _varies(ratio) and same not in seen:
            seen.add(same)
            chosen.append(pair)
        if len(chosen) == MOST_TRIED:
            break
    return chosen


def _in_turn(pairs: Sequence[_Pair], signals: Sequence[Signal]) -> list[_Pair]:
    """The first pair of every window, then the second of every window: the many columns without one
    would fill the list.
    """
    turns: Counter[int | None] = Counter()
    turn_of = []
    for pair in pairs:
        window = signals[pair.top].window_days
        turn_of.append(turns[window])
        turns[window] += 1
    return [pair for _, pair in sorted(zip(turn_of, pairs, strict=True), key=lambda each: each[0])]


def _is_amount(signal: Signal, values: Floats) -> bool:
    return (
        signal.unit not in NOT_AMOUNTS
        and not signal.is_clock
        and "divisor" not in signal.definition
        and _varies(values)
        and bool(np.nanmin(values) >= 0)
    )


def _varies(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    if not len(known):
        return False
    _, counts = np.unique(known, return_counts=True)
    return bool(1.0 - counts.max() / len(known) >= LEAST_OTHERS)


def _upright(one: int, other: int, values: Floats, signals: Sequence[Signal]) -> _Pair:
    """The way round that has more values: a ratio and its inverse order accounts alike."""
    more, fewer = sorted(
        (one, other), key=lambda place: (-int((values[:, place] > 0).sum()), signals[place].column)
    )
    return _Pair(top=fewer, bottom=more)


def _ratio(values: Floats, pair: _Pair) -> Floats:
    """As `RatioCard`: null where the divisor is null or zero."""
    below = values[:, pair.bottom]
    return np.asarray(values[:, pair.top] / np.where(below == 0, np.nan, below), dtype=np.float64)


def _name(top: Signal, bottom: Signal, taken: set[str]) -> str:
    ends = f"_{top.window_days}d"
    return column_name(
        "",
        "",
        f"{top.column.removesuffix(ends)}_per_{bottom.column.removesuffix(ends)}",
        top.window_days,
        taken,
    )


def _gains(
    rows: TrainingSet,
    block: Block,
    pairs: Sequence[_Pair],
    groups: NDArray[np.intp],
    plan: TrainingPlan,
) -> tuple[list[Floats], list[float]]:
    """Gain of each pair on each validation row of a block, and the sum of its slopes."""
    taught, judged = rows.rows(block.train), rows.rows(block.validation)
    of_taught, of_judged = groups[block.train], groups[block.validation]
    before, after = _margins(taught, judged, of_taught, of_judged, plan)
    # Evenly over accounts, by which rows are sorted; a handful of slopes needs no more.
    some = np.unique(
        np.linspace(0, len(taught) - 1, min(len(taught), _SHAPED_ROWS)).astype(np.intp)
    )
    early, late = _values(taught)[some], _values(judged)
    of_taught, before, labels = (
        of_taught[some],
        before[some],
        taught.labels[some].astype(np.float64),
    )
    shapes = {
        place: _shape(early[:, place], late[:, place])
        for pair in pairs
        for place in (pair.top, pair.bottom)
    }
    gains, slopes = [], []
    for pair in pairs:
        ratio_early, ratio_late = _shape(_ratio(early, pair), _ratio(late, pair))
        sides = [
            np.column_stack(
                [
                    np.ones(len(margin)),
                    margin,
                    shapes[pair.top][side],
                    shapes[pair.bottom][side],
                    ratio,
                ]
            )
            for side, (margin, ratio) in enumerate(((before, ratio_early), (after, ratio_late)))
        ]
        gain, slope = np.zeros(len(judged)), 0.0
        for group in range(GROUPS):
            teach, judge = of_taught != group, of_judged == group
            if not judge.any():
                continue
            learn, ask = sides[0][teach], sides[1][judge]
            # Without the ratio's rank and its square, which are the last two columns.
            without = _logistic(learn[:, :-2], labels[teach])
            whole = _logistic(learn, labels[teach])
            gain[judge] = log_losses(
                judged.labels[judge], expit(ask[:, :-2] @ without)
            ) - log_losses(judged.labels[judge], expit(ask @ whole))
            slope += float(whole[-2])
        gains.append(gain)
        slopes.append(slope)
    return gains, slopes


def _margins(
    taught: TrainingSet,
    judged: TrainingSet,
    of_taught: NDArray[np.intp],
    of_judged: NDArray[np.intp],
    plan: TrainingPlan,
) -> tuple[Floats, Floats]:
    """Log-odds of the earlier and the later rows, from trees taught by the earlier rows of other
    accounts.
    """
    before, after = np.zeros(len(taught)), np.zeros(len(judged))
    for group in range(GROUPS):
        own, judged_rows = of_taught == group, of_judged == group
        # Other accounts teach, or the margin would know the labels that the ratio is to explain.
        others = taught.rows(~own)
        model = GradientBoosting(threads=plan.threads, is_event_good=plan.is_event_good)
        model.fit(others.features, others.labels, others.signals, seed=plan.seed)
        before[own], after[judged_rows] = (
            model.margin(taught.features[own]),
            model.margin(judged.features[judged_rows]),
        )
    return before, after


def _shape(early: Floats, late: Floats) -> tuple[Floats, Floats]:
    """Columns (missing, rank in -1..1 among the earlier values, its square less a third) of the
    earlier and later rows.
    """
    known = np.sort(early[np.isfinite(early)])

    def columns(values: Floats) -> Floats:
        is_missing = ~np.isfinite(values)
        below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
        rank = np.where(is_missing, 0.0, below / max(len(known), 1) - 1.0)
        return np.column_stack([is_missing, rank, np.where(is_missing, 0.0, rank**2 - 1.0 / 3.0)])

    return columns(early), columns(late)


def _logistic(columns: Floats, labels: Floats) -> Floats:
    """Coefficients by Newton's steps, drawn towards those that leave the margin (the second column)
    as it is.
    """
    start = np.zeros(columns.shape[1])
    start[1] = 1.0
    regression = Regression(
        columns,
        labels,
        np.ones(len(labels)),
        np.full(len(start), _PENALTY),
        centre=start,
        has_level=False,
    )
    return newton(regression, start, least_gain=_SETTLED)


def _error_of_mean(values: Floats, accounts: NDArray[np.intp]) -> float:
    """Standard error of a mean whose rows share accounts [Liang1986]."""
    # Summed by account first: rows of one account are no independent witnesses.
    sums = np.bincount(accounts, weights=values - values.mean())
    sums = sums[np.unique(accounts)]
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)) / len(values))
