"""What each measure is worth out of time: loss when it is shuffled, period by period, with a guard
against luck.

Permutation importance (Breiman 2001, Random Forests, section 10) on rows that came after the ones
that taught, and the false discovery rate held by Benjamini and Hochberg (1995). The untouched test
is not read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from models import metrics
from models.dataset import TrainingSet
from models.intervals import FEWER_REPLICATES, LEAST_ERROR, Z95
from models.methods.base import Floats
from models.methods.gradient_boosting import GradientBoosting
from models.patterns import benjamini_hochberg
from models.plan import TrainingPlan
from models.splits import Block
from models.training import folds_of

REPEATS = 3
FALSELY_VALUABLE = 0.1
"""Share of the measures called valuable that may be so by luck."""
MEASURE, DIMENSION = "measure", "dimension"


def measure_values(training_set: TrainingSet, plan: TrainingPlan) -> pd.DataFrame:
    """Value of every measure (a card with all its windows) and of every dimension, the dearest
    first.

    A plain LightGBM is fitted before each validation block; on the block the measure's columns are
    shuffled together among the accounts of a date, three times. Of measures that say the same each
    keeps the other's value low: a low value says that nothing is lost *beside the others*.

    Returns
    -------
    DataFrame
        level (measure or dimension), name, dimension, source (empty for a dimension), columns (how
        many), filled (share of rows with any value); value, value_low, value_high: log loss added
        per row by shuffling; periods, periods_up: months, and those where the loss rose; p:
        one-sided; is_found: whether it survives Benjamini and Hochberg at 10%, measures and
        dimensions each among themselves.
    """
    folds = folds_of(training_set, plan)
    blocks = tuple({id(b): b for b in (*folds.tuning, *folds.calibration)}.values())
    groups: dict[tuple[str, str], list[int]] = {}
    for position, signal in enumerate(training_set.signals):
        groups.setdefault((MEASURE, signal.driver), []).append(position)
        groups.setdefault((DIMENSION, signal.dimension), []).append(position)
    added = [_added_by_shuffling(training_set, block, groups, plan) for block in blocks]
    keys = pd.concat([training_set.rows(b.validation).keys for b in blocks], ignore_index=True)
    months = keys["as_of"].dt.to_period("M")
    rows = []
    for group, positions in groups.items():
        whole = np.concatenate([block[group] for block in added])
        added_value = metrics.paired_difference(
            whole, np.zeros(len(whole)), keys["account_id"], replicates=FEWER_REPLICATES
        )
        error = max((added_value.high - added_value.low) / (2.0 * Z95), LEAST_ERROR)
        by_month = pd.Series(whole).groupby(months.to_numpy()).mean()
        signal = training_set.signals[positions[0]]
        rows.append(
            {
                "level": group[0],
                "name": group[1],
                "dimension": signal.dimension,
                "source": signal.source if group[0] == MEASURE else "",
                "columns": len(positions),
                "filled": float(
                    training_set.features.iloc[:, positions].notna().any(axis=1).mean()
                ),
                "value": added_value.value,
                "value_low": added_value.low,
                "value_high": added_value.high,
                "periods": len(by_month),
                "periods_up": int((by_month > 0).sum()),
                "p": float(ndtr(-added_value.value / error)) if whole.any() else 1.0,
            }
        )
    table = pd.DataFrame(rows)
    table["is_found"] = False
    for level in (MEASURE, DIMENSION):
        mine = (table["level"] == level).to_numpy()
        table.loc[mine, "is_found"] = (
            benjamini_hochberg(table.loc[mine, "p"].to_numpy()) <= FALSELY_VALUABLE
        )
    return table.sort_values(
        ["value", "name"], ascending=[False, True], kind="stable", ignore_index=True
    )


def _added_by_shuffling(
    training_set: TrainingSet,
    block: Block,
    groups: Mapping[tuple[str, str], list[int]],
    plan: TrainingPlan,
) -> dict[tuple[str, str], Floats]:
    """Loss added on each validation row, per group of columns."""
    taught, judged = training_set.rows(block.train), training_set.rows(block.validation)
    model = GradientBoosting(threads=plan.threads, is_event_good=plan.is_event_good)
    model.fit(taught.features, taught.labels, taught.signals, seed=plan.seed)
    used = model.boosters_[0].feature_importance("split") > 0
    values = judged.features.to_numpy(dtype=np.float64)
    plain = _losses(model, values, judged)
    shuffles = [
        _within_dates(judged.keys["as_of"], plan.seed + number) for number in range(REPEATS)
    ]
    added = {}
    for group, positions in groups.items():
        if not used[positions].any():
            added[group] = np.zeros(len(judged))
            continue
        shuffled = [
            _losses(model, _shuffled(values, positions, order), judged) for order in shuffles
        ]
        added[group] = np.mean(shuffled, axis=0) - plain
    return added


def _within_dates(as_of: pd.Series, seed: int) -> NDArray[np.intp]:
    """Positions of rows shuffled among those of their own date."""
    random, order = np.random.default_rng(seed), np.arange(len(as_of))
    for rows in pd.Series(order).groupby(as_of.to_numpy(), sort=True).indices.values():
        order[rows] = random.permutation(rows)
    return order


def _shuffled(values: Floats, positions: Sequence[int], order: NDArray[np.intp]) -> Floats:
    moved = values.copy()
    moved[:, positions] = values[order][:, positions]
    return moved


def _losses(model: GradientBoosting, values: Floats, rows: TrainingSet) -> Floats:
    margin: Any = model.boosters_[0].predict(values, raw_score=True, num_threads=model.threads)
    return metrics.log_losses(rows.labels, 1.0 / (1.0 + np.exp(-np.asarray(margin))))
