"""What models of the same make as the one in use say of past rows whose outcome they had not seen,
kept until model or rows change: every night asks for the same.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from models.bundle import Bundle
from models.forecast import past_log_odds
from models.methods.base import Floats
from pipeline.config.schema import Target
from pipeline.jobs.prepare import FeatureSet, training_rows_of
from pipeline.libraries import library_versions
from pipeline.workspace import Workspace

PAST_LOG_ODDS = "past_log_odds"


def kept_log_odds(
    workspace: Workspace, target: Target, bundle: Bundle, keys: pd.DataFrame, features: FeatureSet
) -> Floats:
    """Calibrated log-odds of past rows (`models.forecast.past_log_odds`), read from the store where
    model, rows, seed and libraries are those that gave them, learned and kept otherwise.

    Parameters
    ----------
    keys
        Some of the rows of `training_keys`.

    Returns
    -------
    array of shape (n_rows,)
        NaN for the dates before the first block.
    """
    made_of = _made_of(workspace, target, bundle, keys, features)
    kept = _kept(workspace, target, made_of)
    if len(kept) == len(keys) and kept["account_id"].tolist() == keys["account_id"].tolist():
        return kept["log_odds"].to_numpy(dtype=np.float64)
    rows = training_rows_of(workspace, target, keys, features)
    log_odds = past_log_odds(bundle.model, rows, seed=workspace.project.training.seed)
    workspace.store.write(
        PAST_LOG_ODDS,
        keys[["account_id", "as_of"]].assign(
            target=target.name, made_of=made_of, log_odds=log_odds
        ),
        replace=f"target = '{target.name}'",
        partition_by=["target"],
    )
    return log_odds


def _kept(workspace: Workspace, target: Target, made_of: str) -> pd.DataFrame:
    """Rows made of the same, in the order of keys; none where there are none."""
    if not workspace.store.exists(PAST_LOG_ODDS):
        return pd.DataFrame({"account_id": [], "log_odds": []})
    kept = workspace.store.read(
        PAST_LOG_ODDS, filters=[("target", "=", target.name), ("made_of", "=", made_of)]
    )
    return kept.sort_values(["account_id", "as_of"], kind="stable", ignore_index=True)


def _made_of(
    workspace: Workspace, target: Target, bundle: Bundle, keys: pd.DataFrame, features: FeatureSet
) -> str:
    """A digest of all that decides the values. Files of the store never change, so their names
    stand for the signals, which need not be read.
    """
    digest = hashlib.sha256()
    facts = {
        "model": bundle.model_version,
        "signals": [each.fingerprint for each in features.signals],
        "files": [Path(file).name for file in workspace.store.files(f"features_{target.name}")],
        "seed": workspace.project.training.seed,
        "libraries": library_versions(),
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    digest.update("\n".join(keys["account_id"]).encode())
    for name in ("as_of", "label_until"):
        digest.update(keys[name].to_numpy(dtype="datetime64[us]").tobytes())
    digest.update(keys["label"].to_numpy(dtype=np.int8).tobytes())
    return digest.hexdigest()
