"""Accounts that had given notice on a test date: kept out of training and metrics, and what the
metrics were with them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import metrics
from models.dataset import TrainingSet, training_set
from models.methods.base import Floats
from models.model import Model
from pipeline.config.schema import Target
from pipeline.evaluations import Accuracy, UnderNotice
from pipeline.jobs.prepare import FeatureSet, signal_values
from pipeline.workspace import Workspace

NOTICE = "notice"


def beside_notice(
    workspace: Workspace,
    target: Target,
    model: Model,
    test: TrainingSet,
    features: FeatureSet,
    labels: pd.DataFrame,
) -> UnderNotice | None:
    """Log loss and AUC of the test without and with the accounts whose notice was known; None where
    there were none.

    That somebody leaves who said so is no merit of a model: the published metrics are those
    without.
    """
    rows = _noticed(workspace, target, test, features, labels)
    if rows is None or len(set(test.labels.tolist())) < 2:
        return None
    label = np.concatenate([test.labels, rows.labels])
    probability = np.concatenate(
        [model.probability(test.features), model.probability(rows.features)]
    )
    return UnderNotice(
        len(rows),
        int(rows.labels.sum()),
        without_them=_accuracy(test.labels, probability[: len(test)]),
        with_them=_accuracy(label, probability),
    )


def _accuracy(labels: NDArray[np.int8], probability: Floats) -> Accuracy:
    return Accuracy(metrics.log_loss(labels, probability), metrics.auc(labels, probability))


def _noticed(
    workspace: Workspace,
    target: Target,
    test: TrainingSet,
    features: FeatureSet,
    labels: pd.DataFrame,
) -> TrainingSet | None:
    """Rows under notice on the test dates; whether the end fell into the label window is their
    label.
    """
    mine = labels[
        (labels["label_reason"] == NOTICE)
        & labels["as_of"].isin(test.keys["as_of"].unique())
        & labels["label_until"].notna()
    ].reset_index(drop=True)
    if mine.empty:
        return None
    left = (
        (mine["event_at"].notna() & (mine["event_at"] < mine["label_until"]))
        .to_numpy()
        .astype(np.int8)
    )
    columns = [s.column for s in features.signals]
    values = pd.DataFrame(
        signal_values(workspace.store, f"features_{target.name}", mine, columns), columns=columns
    )
    keys = mine[["account_id", "as_of", "label_until"]].assign(is_test=True)
    return training_set(keys, values, left, features.signals)
