"""Judge the newest candidate on the untouched test, beside the baselines and the champion."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.errors import ConfigError
from models.band_rates import band_rates
from models.bundle import Bundle, score
from models.calibration.prior import check_prior
from models.dataset import TrainingSet
from models.evaluation import evaluate
from models.fairness import SegmentCheck, by_segment
from models.gates import Gate, fair, gates, stable
from models.model import Model
from models.robustness import by_age, leading_alone, without_sources
from models.stability import band_changes
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.portfolio import row_segments
from pipeline.jobs.prepare import load_training
from pipeline.jobs.run_record import record_evaluation
from pipeline.jobs.stage import load_staged
from pipeline.jobs.train import RESEEDED, load_version, need_version, plan_of
from pipeline.jobs.treated import treated_rows
from pipeline.jobs.under_notice import beside_notice
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace


def evaluate_target(workspace: Workspace, target: Target) -> dict[str, Any]:
    """Evaluate the challenger and keep the result in the store; returns `evaluate --json`.

    Raises
    ------
    ConfigError
        When the features in the store are not those the candidate was trained on.
    """
    bundle, baselines, version = need_version(workspace, target, CHALLENGER)
    reseeded = baselines.pop(RESEEDED, None)
    rows, features, labels = load_training(workspace, target)
    if not rows.keys["is_test"].any():
        raise ConfigError(
            f"target {target.name!r} has no test dates; declare [targets.test] and run `tenure"
            " features`."
        )
    found = evaluate(
        bundle.model, dict(baselines), rows, capacity=workspace.project.objective.capacity
    )
    found["target"] = target.name
    found["model_version"], found["registered_version"] = bundle.model_version, version
    with connected() as connection:
        staged = load_staged(workspace, connection)
        segments = row_segments(connection, staged, rows.test.keys)
        treated = treated_rows(connection, staged, rows.test.keys)
    checks = _checks(bundle, rows.test, segments)
    found["prior"] = _prior(bundle, rows.test)
    found["untreated"] = _untreated(bundle, rows.test, treated)
    found["segments"] = [check.to_dict() for check in checks]
    found["under_notice"] = beside_notice(
        workspace, target, bundle.model, rows.test, features, labels
    )
    found["age"] = by_age(bundle.model, rows.test)
    found["without_sources"] = without_sources(bundle.model, rows.test)
    found["leading_alone"] = leading_alone(bundle.model, rows, plan_of(workspace, target))
    found["champion"] = _beside_champion(workspace, target, rows, found)
    changed, noise = _band_changes(workspace, target, bundle, reseeded, rows.test)
    budget = workspace.project.training.band_change_budget
    tested = backtest(bundle, rows.test, labels)
    found["bands"] = band_rates(
        tested["label"].to_numpy(), tested["band"].tolist(), tested["account_id"]
    )
    found["stability"] = {"changed": changed, "noise": noise, "budget": budget}
    passed = [*gates(found), fair(checks), points_gate(bundle, rows.test)]
    if changed is not None:
        passed.append(
            stable(
                changed, noise, budget, is_stabilised="stabilised_share" in bundle.model.training
            )
        )
    found["gates"] = [gate.to_dict() for gate in passed]
    keep_evaluation(workspace, target, bundle, found, tested)
    record_evaluation(workspace, target, bundle, version, found, tested)
    return found


def points_gate(bundle: Bundle, test: TrainingSet) -> Gate:
    """Whether base and points add up to health for every row of the test."""
    scored = score(bundle, test.features)
    gap = float(
        np.abs(
            scored.base + scored.points.sum(axis=1) - scored.table["health_exact"].to_numpy()
        ).max(initial=0.0)
    )
    return Gate(
        "points add",
        gap < 1e-9,
        f"base and points add to the score within {gap:.1e} on {len(test)} rows.",
    )


def _beside_champion(
    workspace: Workspace, target: Target, rows: TrainingSet, found: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The model in use on the same rows, where it understands them."""
    in_use = load_version(workspace, target, CHAMPION)
    if in_use is None or in_use[0].basis != "calibrated":
        return None
    bundle, _, version = in_use
    if not _understands(bundle, rows):
        return {
            "registered_version": version,
            "note": "built on other signals, so it cannot be judged on these rows",
        }
    beside = evaluate(bundle.model, {}, rows, replicates=200)["test"]
    return {
        "registered_version": version,
        "model_version": bundle.model_version,
        "log_loss": beside["log_loss"],
        "auc": beside["auc"],
        "difference": found["test"]["log_loss"] - beside["log_loss"],
    }


def _checks(
    bundle: Bundle, test: TrainingSet, segments: "pd.Series[Any]"
) -> tuple[SegmentCheck, ...]:
    """Expected beside happened per segment; nothing where no account has one."""
    if segments.isna().all():
        return ()
    return by_segment(
        test.labels,
        bundle.model.probability(test.features),
        test.keys["account_id"],
        segments.tolist(),
    )


def _prior(bundle: Bundle, test: TrainingSet) -> dict[str, Any]:
    """Whether the base rate has moved since training."""
    assert bundle.model.calibrator is not None
    check = check_prior(
        bundle.model.calibrator.logit(bundle.model.margin(test.features)),
        test.labels,
        test.keys["account_id"],
    )
    return {**check.to_dict(), "words": check.words}


def _untreated(
    bundle: Bundle, test: TrainingSet, treated: NDArray[np.bool_] | None
) -> dict[str, Any] | None:
    """The same metrics on rows nobody worked on; None where no source tells, metrics None where too
    few are left.
    """
    if treated is None:
        return None
    share: dict[str, Any] = {"treated_share": float(treated.mean()), "n": int((~treated).sum())}
    rows = test.rows(~treated)
    if len(set(rows.labels.tolist())) < 2:
        return {**share, "metrics": None}
    return {**share, "metrics": evaluate(bundle.model, {}, rows, replicates=200)["test"]}


def _band_changes(
    workspace: Workspace, target: Target, bundle: Bundle, reseeded: Model | None, test: TrainingSet
) -> tuple[float | None, float | None]:
    """Shares of accounts that change band on the latest test date: against the model in use, and
    against another seed.
    """
    latest = test.features[(test.keys["as_of"] == test.keys["as_of"].max()).to_numpy()]
    noise = (
        None if reseeded is None else band_changes(bundle, replace(bundle, model=reseeded), latest)
    )
    in_use = load_version(workspace, target, CHAMPION)
    changed = None
    if in_use is not None and in_use[0].basis == "calibrated" and _understands(in_use[0], test):
        changed = band_changes(in_use[0], bundle, latest)
    return changed, noise


def _understands(bundle: Bundle, rows: TrainingSet) -> bool:
    given = {s.column: s.fingerprint for s in rows.signals}
    return all(given.get(s.column) == s.fingerprint for s in bundle.model.signals)


def backtest(bundle: Bundle, test: TrainingSet, labels: pd.DataFrame) -> pd.DataFrame:
    """Scores of the untouched test dates beside what happened: account_id, as_of, label, ...,
    left_at.
    """
    scored = score(bundle, test.features).table
    table = pd.concat(
        [
            test.keys[["account_id", "as_of"]],
            scored[["probability", "health", "band"]].set_axis(test.keys.index),
        ],
        axis=1,
    )
    table.insert(2, "label", test.labels.astype("int64"))
    happened = labels[["account_id", "as_of", "event_at"]].rename(columns={"event_at": "left_at"})
    table = table.merge(happened, on=["account_id", "as_of"], how="left")
    # Only accounts of whom it came true have left in the test; a later event is outside it.
    came_true = table.loc[table["label"] == 1].groupby("account_id")["left_at"].max()
    table["left_at"] = table["account_id"].map(came_true)
    return table


def keep_evaluation(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    found: Mapping[str, Any],
    table: pd.DataFrame,
) -> None:
    """Add what a test said of a model version to `evaluations`; its `backtest` becomes the
    target's.
    """
    only = f"target = '{target.name}'"
    store = workspace.store
    rows = pa.Table.from_pandas(
        table.assign(target=target.name, model_version=bundle.model_version), preserve_index=False
    )
    store.write("backtest", rows, replace=only, partition_by=["target"])
    entry = {
        "target": target.name,
        "model_version": bundle.model_version,
        "evaluated_at": workspace.now,
        "evaluation": json.dumps(found, sort_keys=True),
    }
    store.write(
        "evaluations",
        pa.Table.from_pylist([entry]),
        append=store.exists("evaluations"),
        partition_by=["target"],
    )


def latest_evaluation(
    workspace: Workspace, target: Target, model_version: str | None = None
) -> dict[str, Any] | None:
    """The newest evaluation of a target (of one model version), or None."""
    if not workspace.store.exists("evaluations"):
        return None
    rows = workspace.store.read("evaluations", filters=[("target", "=", target.name)])
    if model_version is not None:
        rows = rows[rows["model_version"] == model_version]
    if rows.empty:
        return None
    found: dict[str, Any] = json.loads(
        rows.sort_values("evaluated_at", kind="stable")["evaluation"].iloc[-1]
    )
    return found
