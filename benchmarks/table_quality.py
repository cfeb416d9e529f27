"""How good models of a flat table are, by cross-validation over accounts: ours beside the simple
ones.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from models import metrics
from models.dataset import TrainingSet
from models.intervals import REPLICATES
from models.methods.base import Floats
from models.model import Model
from models.plan import TrainingPlan
from models.splits import account_groups
from models.table import TableOptions, encoded, labelled
from models.training import train

OURS = "ours"


def quality_of_rows(
    table: pd.DataFrame,
    options: TableOptions,
    plan: TrainingPlan | None = None,
    *,
    folds: int = 5,
    replicates: int = REPLICATES,
) -> dict[str, Any]:
    """Return mean figures over folds of accounts, each judged by models that never saw it.

    Every choice (settings, calibrator, categories) is made anew inside the other folds. Equal rows,
    and all rows of an account, share a fold; leavers are spread evenly over the folds.

    Returns
    -------
    dict
        `rows`, `accounts`, `events`, `signals`, `folds`, `trials`, `is_out_of_time` (false),
        `notes`, and `methods`: per method (`ours`, `lightgbm`, `logistic`, `constant`) `log_loss`,
        `log_loss_sd`, `auc`, `auc_sd` over folds; beside ours also `difference` (ours minus theirs
        over all rows, negative: ours is better) with `_low`, `_high`.
    """
    plan = plan or TrainingPlan()
    found = labelled(table, options)
    accounts = found.keys["account_id"]
    group = account_groups(accounts, found.labels, folds)
    losses: dict[str, Floats] = {}
    figures: dict[str, list[tuple[float, float]]] = {}
    notes: dict[str, None] = {}
    signals = 0
    for fold in range(folds):
        rows = encoded(found, group == fold, options)
        notes |= dict.fromkeys(rows.notes)
        signals = max(signals, len(rows.training_set.signals))
        done = train(
            rows.training_set, replace(plan, waivers={**plan.waivers, **rows.signal_waivers()})
        )
        for name, model in {OURS: done.model, **done.baselines}.items():
            loss, auc = _judged(model, rows.training_set.test)
            losses.setdefault(name, np.zeros(len(found.labels)))[group == fold] = loss
            figures.setdefault(name, []).append((float(loss.mean()), auc))
    return {
        "rows": len(found.labels),
        "accounts": int(accounts.nunique()),
        "events": int(found.labels.sum()),
        "signals": signals,
        "folds": folds,
        "trials": plan.trials,
        "is_out_of_time": False,
        "notes": list(notes),
        "methods": {
            name: _summary(name, figures, losses, accounts, replicates) for name in figures
        },
    }


def _judged(model: Model, test: TrainingSet) -> tuple[Floats, float]:
    loss = metrics.log_losses(test.labels, model.probability(test.features))
    return loss, metrics.auc(test.labels, model.margin(test.features))


def _summary(
    name: str,
    figures: Mapping[str, list[tuple[float, float]]],
    losses: Mapping[str, Floats],
    accounts: pd.Series,
    replicates: int,
) -> dict[str, float]:
    table = np.asarray(figures[name])
    mean, spread = table.mean(axis=0), table.std(axis=0, ddof=1)
    summary = {
        "log_loss": float(mean[0]),
        "log_loss_sd": float(spread[0]),
        "auc": float(mean[1]),
        "auc_sd": float(spread[1]),
    }
    if name != OURS:
        paired = metrics.paired_difference(
            losses[OURS], losses[name], accounts, replicates=replicates
        )
        summary |= {
            "difference": paired.value,
            "difference_low": paired.low,
            "difference_high": paired.high,
        }
    return summary
