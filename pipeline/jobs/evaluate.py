"""Judge the newest candidate on the untouched test, beside the baselines and the champion."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import ConfigError
from models.bundle import Bundle, score
from models.dataset import TrainingSet
from models.evaluation import evaluate
from models.gates import Gate, gates
from pipeline.config.schema import Target
from pipeline.jobs.prepare import load_training
from pipeline.jobs.train import load_version, need_version
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace


def evaluate_target(workspace: Workspace, target: Target) -> dict[str, Any]:
    """Evaluate the challenger and keep the result in the store; returns `evaluate --json`.

    Raises
    ------
    ConfigError
        When the features in the store are not those the candidate was trained on.
    """
    bundle, baselines, version = need_version(
        workspace, target, CHALLENGER, f"Run `tenure train --target {target.name}` first.")
    rows, _, labels = load_training(workspace, target)
    if not rows.keys["is_test"].any():
        raise ConfigError(f"target {target.name!r} has no test dates; declare [targets.test] and run `tenure features`.")
    found = evaluate(bundle.model, dict(baselines), rows, capacity=workspace.project.objective.capacity)
    found["target"] = target.name
    found["model_version"], found["registered_version"] = bundle.model_version, version
    passed = (*gates(found), points_gate(bundle, rows.test))
    found["gates"] = [gate.to_dict() for gate in passed]
    found["champion"] = _beside_champion(workspace, target, rows, found)
    _keep(workspace, target, bundle, found, backtest(bundle, rows.test, labels))
    return found


def points_gate(bundle: Bundle, test: TrainingSet) -> Gate:
    """Whether base and points add up to health for every row of the test."""
    scored = score(bundle, test.features)
    gap = float(np.abs(scored.base + scored.points.sum(axis=1) - scored.table["health_exact"].to_numpy()).max(initial=0.0))
    return Gate("points add", gap < 1e-9, f"base and points add to the score within {gap:.1e} on {len(test)} rows.")


def _beside_champion(
    workspace: Workspace, target: Target, rows: TrainingSet, found: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The model in use on the same rows, where it understands them."""
    in_use = load_version(workspace, target, CHAMPION)
    if in_use is None or in_use[0].basis != "calibrated":
        return None
    bundle, _, version = in_use
    if {s.column: s.fingerprint for s in rows.signals}.items() < {s.column: s.fingerprint for s in bundle.model.signals}.items():
        return {"registered_version": version, "note": "built on other signals, so it cannot be judged on these rows"}
    beside = evaluate(bundle.model, {}, rows, replicates=200)["test"]
    return {"registered_version": version, "model_version": bundle.model_version, "log_loss": beside["log_loss"],
            "auc": beside["auc"], "difference": found["test"]["log_loss"] - beside["log_loss"]}


def backtest(bundle: Bundle, test: TrainingSet, labels: pd.DataFrame) -> pd.DataFrame:
    """Scores of the untouched test dates beside what happened: account_id, as_of, label, ..., left_at."""
    scored = score(bundle, test.features).table
    table = pd.concat([test.keys[["account_id", "as_of"]],
                       scored[["probability", "health", "band"]].set_axis(test.keys.index)], axis=1)
    table.insert(2, "label", test.labels.astype("int64"))
    happened = labels[["account_id", "as_of", "event_at"]].rename(columns={"event_at": "left_at"})
    table = table.merge(happened, on=["account_id", "as_of"], how="left")
    # Only accounts of whom it came true have left in the test; a later event is outside it.
    came_true = table.loc[table["label"] == 1].groupby("account_id")["left_at"].max()
    table["left_at"] = table["account_id"].map(came_true)
    return table


def _keep(workspace: Workspace, target: Target, bundle: Bundle, found: dict[str, Any], table: pd.DataFrame) -> None:
    only = f"target = '{target.name}'"
    store = workspace.store
    rows = pa.Table.from_pandas(table.assign(target=target.name, model_version=bundle.model_version),
                                preserve_index=False)
    store.write("backtest", rows, replace=only, partition_by=["target"])
    entry = {"target": target.name, "model_version": bundle.model_version, "evaluated_at": workspace.now,
             "evaluation": json.dumps(found, sort_keys=True)}
    store.write("evaluations", pa.Table.from_pylist([entry]), append=store.exists("evaluations"), partition_by=["target"])


def latest_evaluation(workspace: Workspace, target: Target, model_version: str | None = None) -> dict[str, Any] | None:
    """The newest evaluation of a target (of one model version), or None."""
    if not workspace.store.exists("evaluations"):
        return None
    rows = workspace.store.read("evaluations", filters=[("target", "=", target.name)])
    if model_version is not None:
        rows = rows[rows["model_version"] == model_version]
    if rows.empty:
        return None
    found: dict[str, Any] = json.loads(rows.sort_values("evaluated_at", kind="stable")["evaluation"].iloc[-1])
    return found


