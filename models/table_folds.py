"""A flat table judged by folds, as published protocols do: every fold is the test once, in each
repetition, and its figures come with their spread.

References
----------
[Verbeke2012] New insights into churn prediction in the telecommunication sector, section 4.3: five
repetitions of two folds.
[NadeauBengio2003] Inference for the generalization error, section 3: figures of folds share
training rows, so their spread over the square root of their number is no standard error. The
intervals here resample accounts instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ConfigError, ContractError
from models import metrics
from models.costs import saved_share
from models.dataset import TrainingSet
from models.intervals import REPLICATES
from models.methods.base import Floats
from models.plan import TrainingPlan
from models.splits import account_groups
from models.table import (
    LISTED,
    Advice,
    LabelledTable,
    TableOptions,
    TableRows,
    column_named,
    encoded,
    labelled,
)
from models.training import train

THE_MODEL = "ours"
MOST_FOLDS = 100
"""Of more values a column is taken for something else than folds."""
FOLD_FIGURES = ("log_loss", "auc", "average_precision", "brier", "lift_top_decile", "saved")


@dataclass(frozen=True, eq=False)
class FoldsOfTable:
    """How a table is cut: per repetition a fold of each row, in the order of `source`."""

    source: LabelledTable
    options: TableOptions
    repetitions: Mapping[str, NDArray[np.object_]]


@dataclass(frozen=True)
class MethodByFolds:
    """One method over all folds.

    `mean` and `sd` are over folds, `sd_of_repetitions` over the means of repetitions (NaN of one),
    each per figure; `difference` is our log loss minus the method's over all rows, negative where
    ours is better.
    """

    mean: Mapping[str, float]
    sd: Mapping[str, float]
    sd_of_repetitions: Mapping[str, float]
    difference: metrics.Estimate | None


@dataclass(frozen=True, eq=False)
class JudgedByFolds:
    """What models say of rows they never saw, fold by fold."""

    rows: int
    accounts: int
    events: int
    signals: int
    trials: int
    notes: tuple[str, ...]
    methods: Mapping[str, MethodByFolds]
    folds: pd.DataFrame
    """repetition, fold, method, rows, events, and the figures; `saved` is null without costs."""
    scores: pd.DataFrame
    """Of our model: repetition, fold, row (position in the file), account_id, label and
    probability.
    """


def folds_at_random(
    table: pd.DataFrame, options: TableOptions, *, parts: int, repeats: int
) -> FoldsOfTable:
    """Cut a table into parts of accounts, once per repetition; leavers are spread evenly.

    Accounts are dealt by a hash, so neither the order of rows nor another run changes their part.
    """
    source = labelled(table, options)
    accounts = source.keys["account_id"]
    return FoldsOfTable(
        source,
        options,
        {
            str(number + 1): (account_groups(accounts, source.labels, parts, deal=number) + 1)
            .astype(str)
            .astype(object)
            for number in range(repeats)
        },
    )


def folds_of_columns(
    table: pd.DataFrame, options: TableOptions, columns: Sequence[str]
) -> FoldsOfTable:
    """Take the folds that the table has; each column is a repetition, and never a signal.

    Raises
    ------
    ConfigError
        When a column does not exist, leaves a row without a fold, or has fewer than two values or
        more than `MOST_FOLDS`.
    """
    named = [column_named(table, name) for name in columns]
    options = replace(options, drop=(*options.drop, *named))
    source = labelled(table, options)
    repetitions: dict[str, NDArray[np.object_]] = {}
    for name in named:
        values = table[name].iloc[source.keys["row"].to_numpy()]
        empty = int(values.isna().sum())
        found = values.nunique()
        if empty or not 2 <= found <= MOST_FOLDS:
            what = f"leaves {empty:,} rows without a fold" if empty else f"holds {found:,} values"
            listed = ", ".join(repr(str(each)) for each in values.dropna().unique()[:LISTED])
            raise ConfigError(
                f"--fold {name} {what} ({listed or 'no value'}). It names the fold of every row, 2"
                f" to {MOST_FOLDS} of them; for one test that the table declares see `table train"
                " --split`."
            )
        is_whole = pd.api.types.is_numeric_dtype(values) and bool((values % 1 == 0).all())
        words = values.astype("int64") if is_whole else values
        repetitions[str(name)] = words.astype(str).to_numpy(dtype=object)
    return FoldsOfTable(source, options, repetitions)


def judge_by_folds(
    cut: FoldsOfTable,
    plan: TrainingPlan | None = None,
    *,
    advice: Advice | None = None,
    on_fold: Callable[[str, str, float, float], None] | None = None,
    replicates: int = REPLICATES,
) -> JudgedByFolds:
    """Train and judge once per fold of every repetition.

    Every choice (settings, calibrator, categories, audit) is made anew inside the other folds.

    Parameters
    ----------
    on_fold
        Told repetition, fold, and our AUC and log loss there, as each is done.

    Raises
    ------
    LeakageError
        When the audit refuses a column.
    ContractError
        When a fold, or the rest beside it, lacks one of the two outcomes.
    """
    plan = plan or TrainingPlan()
    found = cut.source
    count = len(found.labels)
    figures: list[dict[str, object]] = []
    scores: list[pd.DataFrame] = []
    losses: dict[str, list[Floats]] = {}
    notes: dict[str, None] = {}
    signals = 0
    for repetition, fold_of in cut.repetitions.items():
        _require_outcomes(found, fold_of, repetition)
        loss_of: dict[str, Floats] = {}
        for fold in sorted(set(fold_of), key=_in_order):
            is_test = np.asarray(fold_of == fold, dtype=bool)
            rows = encoded(found, is_test, cut.options, advice=advice)
            notes |= dict.fromkeys(rows.notes)
            signals = max(signals, len(rows.training_set.signals))
            waivers = {**plan.waivers, **rows.signal_waivers()}
            done = train(rows.training_set, replace(plan, waivers=waivers))
            test = rows.training_set.test
            for name, model in {THE_MODEL: done.model, **done.baselines}.items():
                probability = model.probability(test.features)
                judged = _judged(test, probability, model.margin(test.features), rows)
                figures.append({"repetition": repetition, "fold": fold, "method": name, **judged})
                loss_of.setdefault(name, np.full(count, np.nan))[is_test] = metrics.log_losses(
                    test.labels, probability
                )
                if name == THE_MODEL:
                    scores.append(_scores(found, is_test, repetition, fold, probability))
                    if on_fold is not None:
                        on_fold(repetition, fold, judged["auc"], judged["log_loss"])
        for name, loss in loss_of.items():
            losses.setdefault(name, []).append(loss)
    by_fold = pd.DataFrame(figures)
    accounts = found.keys["account_id"]
    return JudgedByFolds(
        rows=count,
        accounts=int(accounts.nunique()),
        events=int(found.labels.sum()),
        signals=signals,
        trials=plan.trials,
        notes=tuple(notes),
        methods={
            name: _over_folds(name, by_fold, losses, accounts, replicates)
            for name in by_fold["method"].unique()
            # A baseline that some fold could not fit is compared nowhere.
            if len(losses[name]) == len(cut.repetitions) and np.isfinite(losses[name]).all()
        },
        folds=by_fold,
        scores=pd.concat(scores, ignore_index=True),
    )


def _in_order(fold: str) -> tuple[float, str]:
    return (float(fold), "") if fold.isdigit() else (np.inf, fold)


def _require_outcomes(found: LabelledTable, fold_of: NDArray[np.object_], repetition: str) -> None:
    for fold in sorted(set(fold_of), key=_in_order):
        inside = found.labels[fold_of == fold]
        events = int(inside.sum())
        if not 2 <= events <= len(inside) - 2 or events == int(found.labels.sum()):
            raise ContractError(
                f"fold {fold} of repetition {repetition} has {len(inside):,} rows, {events:,} with"
                " the event; a fold, and the rest beside it, need at least 2 with and 2 without it."
                " Take fewer folds, or bring more rows."
            )


def _judged(
    test: TrainingSet, probability: Floats, margin: Floats, rows: TableRows
) -> dict[str, float]:
    costs = rows.source.costs
    saved = float("nan")
    if costs is not None:
        some = costs[rows.is_test]
        saved = saved_share(
            test.labels,
            probability,
            some["if_missed"].to_numpy(),
            some["of_contact"].to_numpy(),
        )
    return {
        "rows": len(test),
        "events": int(test.labels.sum()),
        "log_loss": metrics.log_loss(test.labels, probability),
        "auc": metrics.auc(test.labels, margin),
        "average_precision": metrics.average_precision(test.labels, margin),
        "brier": metrics.brier(test.labels, probability),
        "lift_top_decile": metrics.lift(test.labels, margin),
        "saved": saved,
    }


def _scores(
    found: LabelledTable,
    is_test: NDArray[np.bool_],
    repetition: str,
    fold: str,
    probability: Floats,
) -> pd.DataFrame:
    keys = found.keys[is_test]
    return pd.DataFrame(
        {
            "repetition": repetition,
            "fold": fold,
            "row": keys["row"].to_numpy(),
            "account_id": keys["account_id"].to_numpy(),
            "label": found.labels[is_test].astype("int64"),
            "probability": probability,
        }
    )


def _over_folds(
    name: str,
    by_fold: pd.DataFrame,
    losses: Mapping[str, Sequence[Floats]],
    accounts: pd.Series,
    replicates: int,
) -> MethodByFolds:
    mine = by_fold[by_fold["method"] == name]
    wanted = list(FOLD_FIGURES)
    of_repetitions = mine.groupby("repetition", sort=False)[wanted].mean()
    difference = None
    if name != THE_MODEL:
        difference = metrics.paired_difference(
            np.mean(losses[THE_MODEL], axis=0),
            np.mean(losses[name], axis=0),
            accounts,
            replicates=replicates,
        )
    return MethodByFolds(
        mean=_plain(mine[wanted].mean()),
        sd=_plain(mine[wanted].std(ddof=1)),
        sd_of_repetitions=_plain(of_repetitions.std(ddof=1)),
        difference=difference,
    )


def _plain(values: pd.Series) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
