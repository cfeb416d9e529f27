"""A model with a level and a slope per segment, where validation dates show that it pays; small
segments keep the common fit.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from features.definition import Signal
from features.errors import ContractError
from models import metrics
from models.calibration import Interval, Platt, fit_interval, fit_platt
from models.dataset import TrainingSet
from models.lines import Lines
from models.methods import Floats, Season, logit, sigmoid
from models.methods.cohort import LEAVERS_PER_SEGMENT, NO_SEGMENT, Cohorts, SegmentLine
from models.model import Model
from models.splits import account_groups
from models.training import TrainingResult


@dataclass(frozen=True, eq=False)
class CohortVerdict:
    """Whether segments get lines of their own, by accounts that taught neither line nor sigmoid.

    Attributes
    ----------
    difference
        Log loss with lines minus without, on the validation rows, paired by accounts.
    segments
        The lines learned from all validation rows.
    """

    attribute: str
    difference: metrics.Estimate
    segments: tuple[SegmentLine, ...]
    lines: Lines
    is_judged: bool = True
    """Whether two segments or more had leavers enough to differ at all."""

    @property
    def is_worth_it(self) -> bool:
        """Whether lines are better beyond chance."""
        return bool(self.lines.columns) and bool(self.difference.high < 0.0)

    @property
    def words(self) -> tuple[str, ...]:
        """The verdict, and a line per segment where there are lines."""
        gap = self.difference
        figures = (
            f"log loss {gap.value:+.4f} (95% {gap.low:+.4f} to {gap.high:+.4f}) on validation"
            " dates, by accounts held out"
        )
        if not self.is_judged:
            return (
                (
                    f"no scores by {self.attribute}: all accounts fall back on one model, as fewer"
                    f" than two values of {self.attribute} have {LEAVERS_PER_SEGMENT} accounts that"
                    " left on the validation dates."
                ),
            )
        if not self.is_worth_it:
            return (
                (
                    f"no scores by {self.attribute}: one model for all accounts, as lines per"
                    f" {self.attribute} are not better beyond chance ({figures})."
                ),
            )
        return (
            f"scores by {self.attribute}: {figures}.",
            *(self._of_segment(each) for each in self.segments),
        )

    def _of_segment(self, line: SegmentLine) -> str:
        who = (
            f"{self.attribute} {line.segment} ({line.leaving_accounts} of {line.accounts} accounts"
            " left)"
        )
        if line.pooled == "too few":
            return f"{who} falls back on the common fit: under {LEAVERS_PER_SEGMENT} left."
        if line.pooled:
            return f"{who} keeps the common fit: {line.pooled}."
        return (
            f"{who}: log-odds {line.level:+.2f} ({line.level_share:.0%} of its own estimate),"
            f" spread times {line.slope:.2f} ({line.slope_share:.0%})."
        )


def cohort_signals(signals: Sequence[Signal], attribute: str) -> dict[str, str]:
    """Return value of the attribute -> the column that is 1 for it.

    Raises
    ------
    ContractError
        When no signals say which account has which value.
    """
    columns = {
        str(s.definition["category"]): s.column
        for s in signals
        if s.definition.get("attribute") == attribute and "category" in s.definition
    }
    if len(columns) < 2:
        known = sorted(
            {str(s.definition["attribute"]) for s in signals if "category" in s.definition}
        )
        raise ContractError(
            f"cohorts = {attribute!r} needs signals of at least two of its values; attributes that"
            f" have them: {', '.join(known) or 'none'}. Map the attribute in the accounts table, or"
            " leave cohorts out."
        )
    return columns


def judge_cohorts(
    rows: TrainingSet,
    validation: pd.DataFrame,
    attribute: str,
    *,
    is_log_odds: bool = True,
    seed: int = 0,
) -> CohortVerdict:
    """Learn lines per segment from out-of-time log-odds, and judge them on accounts they were not
    learned from.

    Parameters
    ----------
    rows
        Rows that hold those of `validation`.
    validation
        Out-of-time rows: account_id, as_of, label, margin.
    """
    columns = cohort_signals(rows.signals, attribute)
    features = _features(rows, validation)
    segments = _segments(features, columns)
    margin, labels = validation["margin"].to_numpy(), validation["label"].to_numpy(dtype=np.int8)
    accounts = validation["account_id"]
    leaving = accounts[labels == 1].groupby(segments[labels == 1]).nunique()
    if (leaving >= LEAVERS_PER_SEGMENT).sum() < 2:
        return CohortVerdict(
            attribute, metrics.Estimate(0.0, 0.0, 0.0), (), Lines((), (), ()), is_judged=False
        )
    ours, theirs = np.empty(len(margin)), np.empty(len(margin))
    group = account_groups(accounts, labels)
    for number in np.unique(group):
        judged, taught = group == number, group != number
        learned = Cohorts().fit(margin[taught], labels[taught], accounts[taught], segments[taught])
        moved = _lines(learned, columns).margin(features, margin)
        for margins, probability in ((moved, ours), (margin, theirs)):
            sigmoid_of_others = fit_platt(margins[taught], labels[taught], is_log_odds=is_log_odds)
            probability[judged] = sigmoid_of_others.calibrate(margins[judged])
    gap = metrics.paired_difference(
        metrics.log_losses(labels, ours), metrics.log_losses(labels, theirs), accounts, seed=seed
    )
    everyone = Cohorts().fit(margin, labels, accounts, segments)
    return CohortVerdict(attribute, gap, _described(everyone, columns), _lines(everyone, columns))


def with_cohorts(
    result: TrainingResult, rows: TrainingSet, attribute: str, *, seed: int = 0
) -> TrainingResult:
    """Return the result with lines per segment under its model where they pay, and with a note that
    says what was found.
    """
    verdict = judge_cohorts(
        rows, result.validation, attribute, is_log_odds=_is_log_odds(result.model), seed=seed
    )
    notes = (*result.notes, *verdict.words)
    if not verdict.is_worth_it:
        return replace(result, notes=notes)
    before = result.validation["margin"].to_numpy()
    after = verdict.lines.margin(_features(rows, result.validation), before)
    # Told by another seed, a model differs by noise alone: it stands on the same lines.
    reseeded = (
        None if result.reseeded is None else on_lines(result.reseeded, verdict, before, after)
    )
    model = on_lines(result.model, verdict, before, after)
    validation = _validated(result, model, after)
    lines = {"attribute": attribute, "segments": [asdict(line) for line in verdict.segments]}
    model = replace(
        model,
        training=model.training.with_facts(cohorts=lines),
        interval_table=_interval(result, model, after, seed),
    )
    return replace(result, model=model, reseeded=reseeded, validation=validation, notes=notes)


def on_lines(model: Model, verdict: CohortVerdict, before: Floats, after: Floats) -> Model:
    """Return the model on the lines; rows that had out-of-time log-odds `before` keep their mean
    probability with `after`.
    """
    assert model.calibrator is not None
    # Under each member the same line, with its share of the level: together they are the line under
    # their weighted sum. Lines were learned without what the time of year adds, so that stays
    # beside them.
    total = sum(each.weight for each in model.members if each.method.name != Season.name)
    shared = replace(verdict.lines, levels=tuple(level / total for level in verdict.lines.levels))
    members = tuple(
        each if each.method.name == Season.name else replace(each, lines=shared)
        for each in model.members
    )
    return replace(model, members=members, calibrator=_same_level(model.calibrator, before, after))


def _validated(result: TrainingResult, model: Model, after: Floats) -> pd.DataFrame:
    """The validation table as the model on lines would have made it: its probabilities have a
    calibrator of their own.
    """
    assert result.model.calibrator is not None and model.calibrator is not None
    table = result.validation
    moved = model.calibrator.logit(after) - result.model.calibrator.logit(
        table["margin"].to_numpy()
    )
    return table.assign(
        margin=after, probability=sigmoid(logit(table["probability"].to_numpy()) + moved)
    )


def _interval(result: TrainingResult, model: Model, after: Floats, seed: int) -> Interval | None:
    table, rows = result.model.interval_table, result.validation
    if table is None or model.calibrator is None:
        return table
    remade = fit_interval(
        after,
        rows["label"].to_numpy(dtype=np.int8),
        rows["account_id"],
        model.calibrator,
        seed=seed,
    )
    return replace(remade, period_sd=table.period_sd)


def _is_log_odds(model: Model) -> bool:
    return all(each.method.name != "scorecard" for each in model.members)


def _features(rows: TrainingSet, validation: pd.DataFrame) -> pd.DataFrame:
    places = pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]]).get_indexer(
        pd.MultiIndex.from_frame(validation[["account_id", "as_of"]])
    )
    return rows.features.iloc[places].reset_index(drop=True)


def _segments(features: pd.DataFrame, columns: dict[str, str]) -> NDArray[Any]:
    names = np.full(len(features), NO_SEGMENT, dtype=object)
    for name, column in columns.items():
        names[features[column].to_numpy() == 1.0] = name
    return names


def _described(cohorts: Cohorts, columns: dict[str, str]) -> tuple[SegmentLine, ...]:
    """Every segment, with why it keeps the common fit where it does."""
    return tuple(
        line
        if line.pooled or line.segment in columns
        else replace(line, pooled="no signal tells it apart")
        for line in cohorts.lines()
    )


def _lines(cohorts: Cohorts, columns: dict[str, str]) -> Lines:
    """Lines of the segments that depart and have a column."""
    apart = [line.segment for line in _described(cohorts, columns) if not line.pooled]
    level, slope = cohorts.line(apart)
    return Lines(
        tuple(columns[name] for name in apart), tuple(map(float, level)), tuple(map(float, slope))
    )


def _same_level(calibrator: Platt, before: Floats, after: Floats) -> Platt:
    """The calibrator with the intercept at which the rows' mean probability is what it was."""
    wanted, straight = calibrator.calibrate(before).mean(), calibrator.logit(after)
    shift = brentq(lambda at: sigmoid(straight + at).mean() - wanted, -20.0, 20.0, xtol=1e-12)
    return replace(calibrator, intercept=calibrator.intercept + float(shift))
