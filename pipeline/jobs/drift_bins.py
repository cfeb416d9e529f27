"""Against what drift is measured: bins of the rows a model learned from, frozen when it is put to
use, while these rows are still in the store.
"""

import numpy as np
import pandas as pd

from models.bundle import Bundle, score
from models.monitoring import freeze
from pipeline.config.schema import Target
from pipeline.workspace import Workspace

BINS = "monitor_bins"
ROWS_FROZEN = 5_000
"""Training rows whose points make the frozen bins; more say the same."""


def frozen_bins(workspace: Workspace, target: Target, bundle: Bundle) -> pd.DataFrame:
    """Bins of a model's training rows (`models.monitoring.freeze`), made once and never moved.

    Empty where the store holds no training rows with the model's signals: it was trained elsewhere.
    """
    store, version = workspace.store, bundle.model_version
    if store.exists(BINS):
        kept = store.read(BINS, filters=[("model_version", "=", version)])
        if len(kept):
            return kept.drop(columns="model_version")
    table = f"features_{target.name}"
    columns = list(bundle.published.columns)
    if not store.exists(table) or not {*columns} <= {*store.columns(table)}:
        return freeze(pd.DataFrame(columns=columns[:0]), np.empty((0, 0)))
    first, last = bundle.published.training.learned_on
    rows = store.read(table, columns=["account_id", "as_of", *columns])
    learned = rows["as_of"].between(pd.Timestamp(first), pd.Timestamp(last))
    rows = rows[learned].sort_values(["as_of", "account_id"], ignore_index=True)
    if len(rows) > ROWS_FROZEN:
        rows = rows.sample(ROWS_FROZEN, random_state=workspace.project.training.seed)
    features = rows[columns].astype("float64").reset_index(drop=True)
    frozen = freeze(features, score(bundle, features).points)
    store.write(BINS, frozen.assign(model_version=version), append=True)
    return frozen
