"""Every method on one out-of-time test, beside the tuned model and the constant; the smallest
adequate one is named.

Choices look at validation dates only. The test stands beside them, for the reader.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ContractError
from models import metrics
from models.calibration import fit_platt
from models.contenders import CONSTANT, TUNED, Contender, Ranker
from models.dataset import TrainingSet
from models.intervals import REPLICATES
from models.methods.base import Floats
from models.methods.clusters import Clusters
from models.splits import Folds, account_groups, temporal_folds

SHARE_WORKED = 0.10
"""Share of a date's accounts that raise an alarm, where the project declares no capacity."""
ASKED_ROWS = 1000
"""Rows on which the signals a method reads are counted."""
METRICS = (
    "auc",
    "average_precision",
    "log_loss",
    "lift_at_capacity",
    "profit",
    "lead_days",
    "warned",
)


@dataclass(frozen=True)
class Money:
    """What one date's work is worth: `value` a year per row, the share of leavers a contact keeps,
    cost per contact.
    """

    value: Floats
    save_share: float
    cost: float | Floats
    """The same for all rows, or of each row."""
    is_by_row: bool = False
    """Whether rows have costs of their own: then those are worked on first whose chance promises
    most, none that promises less than it costs, and none whose costs are unknown.
    """


@dataclass(frozen=True)
class JudgedOn:
    """The rows of the bench: those of the test, of training, and of the validation dates."""

    n: int
    accounts: int
    leaving_accounts: int
    rate: float
    as_of: tuple[str, ...]
    alarms_per_date: float
    training_rows: int
    training_leaving_accounts: int
    validation_from: str
    validation_until: str
    validation_rows: int
    validation_leaving_accounts: int


@dataclass(frozen=True, eq=False)
class BenchResult:
    """What the bench found.

    Attributes
    ----------
    figures
        One row per method and metric of the test: method, metric, value, low, high; `minus_tuned`
        and `minus_constant` with `_low`, `_high` (paired: the same accounts are drawn for both).
    validation
        One row per method, from simple to elaborate: method, words, log_loss, auc, minus_best,
        minus_best_low, minus_best_high, is_adequate, gives_reasons, minus_tuned, minus_tuned_low,
        minus_tuned_high, seconds (to fit on all training rows), inputs (signals read).
    recommended
        The first method of `validation` that is adequate and gives reasons.
    details
        Method -> what it tells of itself, as a dataclass: weights, actions, rules, clusters.
    skipped
        Method -> why it could not run here.
    test
        What the methods were judged on.
    """

    figures: pd.DataFrame
    validation: pd.DataFrame
    recommended: str
    reason: str
    details: Mapping[str, Any]
    skipped: Mapping[str, str]
    test: JudgedOn
    by_segment: tuple["SegmentVerdict", ...] = ()
    """Of the methods that let segments differ, each beside the same method for all."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentVerdict:
    """A method that lets segments differ, beside the same method for all: log loss minus that
    one's, paired by accounts.
    """

    method: str
    pooled: str
    validation: metrics.Estimate
    test: metrics.Estimate

    @property
    def is_worth_it(self) -> bool:
        """Whether letting segments differ is better on the validation dates beyond chance."""
        return bool(self.validation.high < 0.0)

    @property
    def words(self) -> str:
        """Whether segments of their own are worth it, by the validation dates alone."""
        if self.is_worth_it:
            return f"{self.method}: worth it, better than {self.pooled} by more than chance."
        if self.validation.low > 0.0:
            return f"{self.method}: not worth it, worse than {self.pooled} by more than chance."
        if self.validation.low == self.validation.high == 0.0:
            return (
                f"{self.method}: not worth it, no segment differed beyond what chance gives, so it"
                f" equalled {self.pooled}."
            )
        return (
            f"{self.method}: not shown to be worth it, no better than {self.pooled} beyond what"
            " chance gives."
        )


@dataclass(eq=False)
class _Judged:
    """One method's figures, and their values over resampled accounts."""

    contender: Contender
    losses: Floats
    """Log loss per validation row."""
    validation_auc: float
    seconds: float
    inputs: int
    details: Any
    values: dict[str, float] = field(default_factory=dict)
    drawn: dict[str, Floats] = field(default_factory=dict)


def compare(
    rows: TrainingSet,
    contenders: Sequence[Contender],
    *,
    clock: Callable[[], float],
    left_at: pd.Series,
    folds: int = 4,
    capacity: int | None = None,
    money: Money | None = None,
    seed: int = 0,
    replicates: int = REPLICATES,
    on_method: Callable[[str, float], None] | None = None,
) -> BenchResult:
    """Return every contender's figures on the untouched test, and the smallest adequate method by
    validation dates.

    Each is fitted before the last validation block, calibrated there by a sigmoid, and fitted again
    on all rows before the test. Methods that cannot run on these signals are named with their
    reason.

    Parameters
    ----------
    contenders
        From simple to elaborate; `constant` and `tuned` must be among them.
    clock
        Seconds, for what a fit costs.
    left_at
        Moment of the event per row of `rows` (NaT where unknown), for the lead time of alarms.
    capacity
        Accounts the team can work on at one date; default a tenth.
    money
        Of the test rows, in their order; None: no profit.
    on_method
        Called with each method's name and its seconds.
    """
    plan = temporal_folds(
        rows.keys, folds, np.where(rows.keys["is_test"], 0, rows.labels).astype(np.int8)
    )
    judge = _Judge(rows, plan, clock, left_at, capacity, money, seed, replicates)
    judged: dict[str, _Judged] = {}
    skipped: dict[str, str] = {}
    for contender in contenders:
        try:
            judged[contender.name] = judge(contender)
        except ContractError as error:
            skipped[contender.name] = str(error)
            continue
        if on_method is not None:
            on_method(contender.name, judged[contender.name].seconds)
    for needed in (CONSTANT, TUNED):
        if needed not in judged:
            raise ContractError(
                f"the bench needs {needed}, which could not run:"
                f" {skipped.get(needed, 'it was not given')}"
            )
    table = adequate(
        {name: each.losses for name, each in judged.items()},
        judge.later.keys["account_id"],
        seed=seed,
        replicates=replicates,
    )
    table["gives_reasons"] = [judged[name].contender.gives_reasons for name in table["method"]]
    table = table.merge(
        _minus_tuned(judged, judge.later.keys["account_id"], seed, replicates),
        on="method",
        how="left",
    )
    recommended, reason = recommend(table)
    return BenchResult(
        figures=_figures(judged),
        validation=_with_costs(table, judged),
        recommended=recommended,
        reason=reason,
        details={name: each.details for name, each in judged.items() if each.details is not None},
        skipped=skipped,
        test=judge.judged_on(),
        by_segment=_verdicts(judged, judge.later.keys["account_id"], seed, replicates),
        notes=(*plan.notes, *_flattered(plan)),
    )


def _verdicts(
    judged: Mapping[str, _Judged], accounts: pd.Series, seed: int, replicates: int
) -> tuple[SegmentVerdict, ...]:
    verdicts = []
    for name, each in judged.items():
        pooled = judged.get(each.contender.pooled or "")
        if pooled is None:
            continue
        test = metrics.estimate(
            each.values["log_loss"] - pooled.values["log_loss"],
            each.drawn["log_loss"] - pooled.drawn["log_loss"],
        )
        validation = metrics.paired_difference(
            each.losses, pooled.losses, accounts, seed=seed, replicates=replicates
        )
        verdicts.append(SegmentVerdict(name, pooled.contender.name, validation, test))
    return tuple(verdicts)


def _flattered(plan: Folds) -> tuple[str, ...]:
    if plan.tuning[0] is not plan.calibration[0]:
        return ()
    return (
        (
            "the settings of the tuned model were chosen on these validation dates too, which"
            " flatters it here; the test is untouched."
        ),
    )


class _Judge:
    """Fits and measures one contender after another on the same rows."""

    def __init__(
        self,
        rows: TrainingSet,
        plan: Folds,
        clock: Callable[[], float],
        left_at: pd.Series,
        capacity: int | None,
        money: Money | None,
        seed: int,
        replicates: int,
    ) -> None:
        is_test = rows.keys["is_test"].to_numpy(dtype=bool)
        if not is_test.any():
            raise ContractError(
                "the bench needs an untouched test; declare [targets.test] and run `tenure"
                " features`."
            )
        self.final, self.test = rows.rows(plan.final), rows.rows(is_test)
        self.blocks = [
            (rows.rows(block.train), rows.rows(block.validation)) for block in plan.calibration
        ]
        self.later = rows.rows(np.concatenate([block.validation for block in plan.calibration]))
        # Blocks follow each other in time, rows in key order: this puts the blocks' margins into
        # the rows' order.
        self.order = np.argsort(
            np.concatenate([block.validation for block in plan.calibration]), kind="stable"
        )
        self.moments = _moments(self.test.keys, np.asarray(left_at)[is_test])
        self.clock, self.money, self.seed, self.replicates = clock, money, seed, replicates
        self.worked_per_date = _worked_per_date(self.test.keys, capacity)
        self.share = float(sum(self.worked_per_date.values()) / len(self.test))

    def __call__(self, contender: Contender) -> _Judged:
        margins = [
            contender.fit(train).margin(*contender.inputs(later)) for train, later in self.blocks
        ]
        margin, labels = np.concatenate(margins)[self.order], self.later.labels
        calibrator = fit_platt(margin, labels, is_log_odds=contender.is_log_odds)
        crossed = _crossed(
            margin, labels, self.later.keys["account_id"], is_log_odds=contender.is_log_odds
        )
        started = self.clock()
        ranker = contender.fit(self.final)
        seconds = self.clock() - started
        score = ranker.margin(*contender.inputs(self.test))
        judged = _Judged(
            contender,
            metrics.log_losses(labels, crossed),
            metrics.auc(labels, margin),
            seconds,
            _inputs(ranker, contender, self.test),
            self._details(ranker),
        )
        self._measure(judged, score, calibrator.calibrate(score))
        return judged

    def _details(self, ranker: Ranker) -> object:
        """What a method tells of itself beyond its figures, a dataclass; None where it does not."""
        if isinstance(ranker, Clusters):
            accounts = self.final.keys["account_id"]
            stability = ranker.stability(self.final.features, accounts, seed=self.seed)
            return replace(ranker.describe(), stability=stability)
        describe = getattr(ranker, "describe", None)
        return None if describe is None else describe()

    def _measure(self, judged: _Judged, score: Floats, probability: Floats) -> None:
        accounts = self.test.keys["account_id"]
        values, drawn = metrics.resampled(
            self.test.labels,
            probability,
            accounts,
            score=score,
            capacity_share=self.share,
            seed=self.seed,
            replicates=self.replicates,
        )
        kept = [name for name in METRICS if name in values]
        judged.values, judged.drawn = {n: values[n] for n in kept}, {n: drawn[n] for n in kept}
        if self.money is not None:
            gain = gains(self.test, score, self.worked_per_date, self.money, probability)
            dates = len(self.worked_per_date)
            sums = [weights @ gain / dates for weights in self._weights(accounts)]
            judged.values["profit"], judged.drawn["profit"] = (
                float(gain.sum() / dates),
                np.concatenate(sums),
            )
        lead = lead_days(self.test, score, self.worked_per_date, self.moments)
        if len(lead):
            known = np.isfinite(lead.to_numpy())
            weights = np.concatenate(list(self._weights(pd.Series(lead.index))))
            ones = np.ones((1, len(lead)))
            judged.values["warned"] = float(known.mean())
            judged.drawn["warned"] = weights @ known.astype(np.float64) / weights.sum(axis=1)
            judged.values["lead_days"] = float(_medians(lead.to_numpy(), ones)[0])
            judged.drawn["lead_days"] = _medians(lead.to_numpy(), weights)

    def _weights(self, accounts: pd.Series) -> list[Floats]:
        return list(metrics.account_weights(accounts, seed=self.seed, replicates=self.replicates))

    def judged_on(self) -> JudgedOn:
        """Return what the test, training and validation hold."""
        dates = sorted(self.test.keys["as_of"].unique())
        return JudgedOn(
            n=len(self.test),
            accounts=int(self.test.keys["account_id"].nunique()),
            leaving_accounts=self.test.leaving_accounts(),
            rate=float(self.test.labels.mean()),
            as_of=tuple(f"{date:%Y-%m-%d}" for date in dates),
            alarms_per_date=sum(self.worked_per_date.values()) / len(dates),
            training_rows=len(self.final),
            training_leaving_accounts=self.final.leaving_accounts(),
            validation_from=f"{self.later.keys['as_of'].min():%Y-%m-%d}",
            validation_until=f"{self.later.keys['as_of'].max():%Y-%m-%d}",
            validation_rows=len(self.later),
            validation_leaving_accounts=self.later.leaving_accounts(),
        )


def _crossed(
    margin: Floats, labels: NDArray[np.int8], accounts: pd.Series, *, is_log_odds: bool
) -> Floats:
    """Validation probabilities by a sigmoid that never saw the account, so that no method judges
    its own scale.
    """
    group = account_groups(accounts, labels)
    probability = np.empty(len(margin))
    for number in np.unique(group):
        inside = group == number
        calibrator = fit_platt(margin[~inside], labels[~inside], is_log_odds=is_log_odds)
        probability[inside] = calibrator.calibrate(margin[inside])
    return probability


def _inputs(ranker: Ranker, contender: Contender, test: TrainingSet) -> int:
    """Signals that moved the margin of some row; those without contributions read all they are
    given.
    """
    explain = getattr(ranker, "contributions", None)
    if explain is None:
        return len(getattr(ranker, "columns_", test.signals))
    some = test.rows(np.arange(0, len(test), max(1, len(test) // ASKED_ROWS)))
    _, phi = explain(*contender.inputs(some))
    return int((phi != 0).any(axis=0).sum())


def _worked_per_date(keys: pd.DataFrame, capacity: int | None) -> dict[pd.Timestamp, int]:
    dates, sizes = np.unique(keys["as_of"].to_numpy(), return_counts=True)
    return {
        pd.Timestamp(date): (
            min(int(size), capacity) if capacity else max(1, round(SHARE_WORKED * int(size)))
        )
        for date, size in zip(dates, sizes, strict=True)
    }


def worked(keys: pd.DataFrame, score: Floats, per_date: Mapping[pd.Timestamp, int]) -> Floats:
    """Return how much of each row is worked on, 0-1: the highest scores of a date; ties at the edge
    share what is left.
    """
    share = np.zeros(len(keys))
    as_of = keys["as_of"].to_numpy()
    for date, count in per_date.items():
        at = np.flatnonzero(as_of == np.datetime64(date))
        edge = np.sort(score[at])[::-1][count - 1]
        above, tied = score[at] > edge, score[at] == edge
        share[at] = above + tied * (count - above.sum()) / tied.sum()
    return share


def gains(
    test: TrainingSet,
    score: Floats,
    per_date: Mapping[pd.Timestamp, int],
    money: Money,
    probability: Floats | None = None,
) -> Floats:
    """Return expected gain per row: worked * (left * save_share * value - cost); an unknown value
    counts 0.

    Where money is by row, the accounts worked on are those of the largest
    `probability * save_share * value - cost` above 0, instead of the highest scores.
    """
    if money.is_by_row and probability is not None:
        promised = probability * money.save_share * money.value - money.cost
        is_worth_it = promised > 0  # not where a cost is unknown
        share = worked(test.keys, np.where(is_worth_it, promised, -np.inf), per_date) * is_worth_it
    else:
        share = worked(test.keys, score, per_date)
    saved = test.labels * money.save_share * np.nan_to_num(money.value)
    return share * (saved - np.nan_to_num(money.cost))


def lead_days(
    test: TrainingSet,
    score: Floats,
    per_date: Mapping[pd.Timestamp, int],
    moments: NDArray[np.datetime64],
) -> pd.Series:
    """Return per account that left the days from its first alarm to that moment; NaN where none was
    raised in time.

    Alarms are the highest scores of each date, the same number for every method; ties are broken by
    account.
    """
    as_of = test.keys["as_of"].to_numpy()
    red = np.zeros(len(test), dtype=bool)
    for date, count in per_date.items():
        at = np.flatnonzero(as_of == np.datetime64(date))
        red[at[np.argsort(-score[at], kind="stable")[:count]]] = (
            True  # rows of a date are in the order of accounts
        )
    frame = pd.DataFrame(
        {"account_id": test.keys["account_id"], "as_of": as_of, "moment": moments, "red": red}
    )
    left = frame[test.labels == 1].groupby("account_id", sort=True)["moment"].max()
    frame["left"] = frame["account_id"].map(left)
    first = (
        frame[frame["red"] & (frame["as_of"] < frame["left"])].groupby("account_id")["as_of"].min()
    )
    days = (left - first.reindex(left.index)).dt.total_seconds() / 86_400.0
    return pd.Series(days, name="lead_days")


def _moments(keys: pd.DataFrame, left_at: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """When an account counts as gone: at its event; silence (which began before the date) when it
    is complete.
    """
    as_of, until = keys["as_of"].to_numpy(), keys["label_until"].to_numpy()
    return np.where(left_at > as_of, left_at, until)


def _medians(values: Floats, weights: Floats) -> Floats:
    """Weighted median of the finite values per row of weights; NaN where none is drawn."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.full(len(weights), np.nan)
    order = known[np.argsort(values[known], kind="stable")]
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2.0
    low = values[order][np.argmax(reached >= half, axis=1)]
    high = values[order][np.argmax(reached > half, axis=1)]
    return np.where(half[:, 0] > 0, (low + high) / 2.0, np.nan)


def adequate(
    losses: Mapping[str, Floats],
    accounts: pd.Series,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> pd.DataFrame:
    """Return per method its validation log loss minus the best one's, with the paired interval.

    Columns: method, log_loss, minus_best, minus_best_low, minus_best_high, is_adequate (the
    interval's low end is not above 0: not demonstrably worse than the best). Rows keep the order
    given.
    """
    best = min(losses, key=lambda name: (float(losses[name].mean()), name))
    rows = []
    for name, loss in losses.items():
        gap = metrics.paired_difference(
            loss, losses[best], accounts, seed=seed, replicates=replicates
        )
        rows.append(
            {
                "method": name,
                "log_loss": float(loss.mean()),
                "minus_best": gap.value,
                "minus_best_low": gap.low,
                "minus_best_high": gap.high,
                "is_adequate": bool(gap.low <= 0.0),
            }
        )
    return pd.DataFrame(rows)


def _minus_tuned(
    judged: Mapping[str, _Judged], accounts: pd.Series, seed: int, replicates: int
) -> pd.DataFrame:
    """Validation log loss minus the tuned model's per method, paired: what promotion says of its
    candidate.
    """
    rows = []
    for name, each in judged.items():
        gap = metrics.paired_difference(
            each.losses, judged[TUNED].losses, accounts, seed=seed, replicates=replicates
        )
        rows.append(
            {
                "method": name,
                "minus_tuned": gap.value,
                "minus_tuned_low": gap.low,
                "minus_tuned_high": gap.high,
            }
        )
    return pd.DataFrame(rows)


def recommend(table: pd.DataFrame) -> tuple[str, str]:
    """Return the first adequate method that gives reasons of a table ordered from simple to
    elaborate, and why.
    """
    best = table.iloc[int(table["minus_best"].to_numpy().argmin())]
    usable = table[table["gives_reasons"].to_numpy(dtype=bool)]
    adequate_ones = usable[usable["is_adequate"].to_numpy(dtype=bool)]
    if adequate_ones.empty:
        nearest = usable.iloc[int(usable["minus_best"].to_numpy().argmin())]
        return (
            str(nearest["method"]),
            (
                f"the best of those that give reasons; {best['method']}, which gives none, is"
                f" better by {nearest['minus_best']:.4f} in log loss, beyond what chance gives."
            ),
        )
    chosen = adequate_ones.iloc[0]
    if chosen["method"] == best["method"]:
        return (
            str(chosen["method"]),
            (
                f"it has the smallest log loss on the validation dates ({best['log_loss']:.4f}),"
                " and every simpler method with reasons is worse beyond what chance gives."
            ),
        )
    span = (
        f"{chosen['minus_best']:+.4f} (95% {chosen['minus_best_low']:+.4f} to"
        f" {chosen['minus_best_high']:+.4f})"
    )
    reason = (
        "the simplest method with reasons that is not demonstrably worse than the best,"
        f" {best['method']}: log loss {span}."
    )
    if chosen["method"] == CONSTANT:
        reason += (
            " No method is shown to know more than the rate; more accounts with the event or"
            " other signals are needed to tell."
        )
    return str(chosen["method"]), reason


def _with_costs(table: pd.DataFrame, judged: Mapping[str, _Judged]) -> pd.DataFrame:
    each = [judged[name] for name in table["method"]]
    return table.assign(
        words=[one.contender.words for one in each],
        auc=[one.validation_auc for one in each],
        seconds=[one.seconds for one in each],
        inputs=[one.inputs for one in each],
    )


def _figures(judged: Mapping[str, _Judged]) -> pd.DataFrame:
    """Long table of the test's figures and their paired differences."""
    rows = []
    for name, each in judged.items():
        for metric in METRICS:
            if metric not in each.values:
                continue
            own = metrics.estimate(each.values[metric], each.drawn[metric])
            row: dict[str, Any] = {
                "method": name,
                "metric": metric,
                "value": own.value,
                "low": own.low,
                "high": own.high,
            }
            for other in (TUNED, CONSTANT):
                gap = metrics.estimate(
                    each.values[metric] - judged[other].values[metric],
                    each.drawn[metric] - judged[other].drawn[metric],
                )
                row |= {
                    f"minus_{other}": gap.value,
                    f"minus_{other}_low": gap.low,
                    f"minus_{other}_high": gap.high,
                }
            rows.append(row)
    return pd.DataFrame(rows)
