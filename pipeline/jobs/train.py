"""Train a model for a target, record it in MLflow, and register it as the challenger."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ConfigError, ContractError, NoModel, NotFound
from models.artifact import read_model, write_model
from models.bundle import Bundle, read_bundle, write_bundle
from models.cohorts import cohort_signals, with_cohorts
from models.dataset import TrainingSet
from models.drivers import find_twins
from models.health import ScaleProposal, propose_scale, scale_from_anchors, scale_problems
from models.health.scale import Scale
from models.methods import Scorecard
from models.model import Member, Model
from models.plan import TrainingPlan
from models.splits import unmatured
from models.stability import band_changes, speaks_of_the_same, stabilised
from models.training import TrainingResult, train
from pipeline.config import config_hash
from pipeline.config.schema import Target
from pipeline.jobs.prepare import load_training
from pipeline.jobs.search import searching
from pipeline.tracking import (
    CHALLENGER,
    CHAMPION,
    alias_version,
    client,
    experiment_id,
    log_training_rows,
    log_trials,
)
from pipeline.workspace import Workspace, describe_target, target_rule

BASELINES = "baselines"
RESEEDED = "reseeded"
# Rows kept beside the registered model to show what it reads.
EXAMPLE_ROWS = 3
# More validation dates than this are not a grid: each account has its own.
MOST_GRID_DATES = 60

# With fewer accounts on unmatured rows the calibration rows show the portfolio.
FEWEST_IN_PORTFOLIO = 50


@dataclass(frozen=True)
class Trained:
    """A registered candidate: its bundle, its version, and the facts for the story of the run."""

    bundle: Bundle
    baselines: Mapping[str, Model]
    version: str
    result: TrainingResult
    proposal: ScaleProposal | None


def plan_of(workspace: Workspace, target: Target) -> TrainingPlan:
    """The training plan of the project file."""
    settings = workspace.project.training
    return TrainingPlan(
        trials=settings.trials,
        folds=settings.folds,
        seed=settings.seed,
        bags=settings.bags,
        max_trees=settings.max_trees,
        threads=settings.threads,
        max_rows=settings.max_rows,
        search_rows=settings.search_rows,
        is_event_good=target_rule(target).is_good,
        waivers=dict(settings.waivers),
    )


def train_target(
    workspace: Workspace, target: Target, on_trial: Callable[..., None] | None = None
) -> Trained:
    """Tune, calibrate and register a model on the features in the store.

    Raises
    ------
    LeakageError
        When a signal nearly tells the label alone.
    """
    rows, found, _ = load_training(workspace, target)
    facts, plan = (
        {**describe_target(target), "objective": _objective(workspace)},
        plan_of(workspace, target),
    )
    cohorts = workspace.project.training.cohorts
    if cohorts:
        cohort_signals(rows.signals, cohorts)  # refused before a long search, not after it
    with searching(workspace, target, rows, plan) as (journal, stop):
        trained = train(rows, plan, on_trial, target=facts, journal=journal, stop=stop)
    result = with_cohorts(trained, rows, cohorts, seed=plan.seed) if cohorts else trained
    result = _stabilised(workspace, target, result, rows)
    scale, proposal, problems = choose_scale(workspace, target, result, rows)
    bundle = Bundle(
        model=result.model,
        scorecard=result.scorecard,
        scale=scale,
        choices=found.choices,
        facts={
            "train_dates": list(found.train_dates),
            "test_dates": list(found.test_dates),
            "config_hash": config_hash(workspace.project),
            "notes": list(result.notes),
            "scale_problems": problems,
            "project": workspace.project.name,
            "currency": workspace.project.currency,
            "twins": find_twins(
                rows.features[~rows.keys["is_test"].to_numpy(dtype=bool)], result.model.signals
            ),
        },
    )
    kept = dict(result.baselines) | (
        {RESEEDED: result.reseeded} if result.reseeded is not None else {}
    )
    version = register(workspace, target, bundle, kept, result, rows)
    return Trained(bundle, result.baselines, version, result, proposal)


def register_scorecard(workspace: Workspace, target: Target, why: str) -> str:
    """Register a scorecard of the features in the store, which needs no labels, as a version
    without a model.

    Parameters
    ----------
    why
        Why there is no model; kept among the facts that reports show.

    Raises
    ------
    ConfigError
        When no signal says which direction is worse.
    """
    rows, found, _ = load_training(workspace, target)
    declared, is_good = workspace.project.scale, target_rule(target).is_good
    try:
        card = Scorecard(is_event_good=is_good).fit(rows.features, rows.labels, rows.signals)
    except ContractError as reason:
        raise ConfigError(f"neither a model ({why}) nor a scorecard: {reason}") from None
    model = Model(
        (Member(card, 1.0),),
        rows.signals,
        target={**describe_target(target), "objective": _objective(workspace)},
        training={
            "rows": len(rows),
            "accounts": int(rows.keys["account_id"].nunique()),
            "events": int(rows.labels.sum()),
        },
    )
    # A scorecard's health needs the edges of the bands only; no probability is promised, so no
    # anchor is used.
    scale = scale_from_anchors(
        0.5,
        0.25,
        at_risk_until=declared.at_risk_until,
        stable_until=declared.stable_until,
        good_event=is_good,
    )
    bundle = Bundle(
        model=model,
        scorecard=model,
        scale=scale,
        choices=found.choices,
        basis="scorecard",
        facts={
            "train_dates": list(found.train_dates),
            "test_dates": list(found.test_dates),
            "notes": [why],
            "config_hash": config_hash(workspace.project),
            "project": workspace.project.name,
            "currency": workspace.project.currency,
            "twins": find_twins(rows.features, rows.signals),
        },
    )
    return register(workspace, target, bundle, {}, None, rows)


def _stabilised(
    workspace: Workspace, target: Target, result: TrainingResult, rows: TrainingSet
) -> TrainingResult:
    """The result, drawn towards the model in use where it would move more accounts between bands
    than allowed.
    """
    in_use = champion_bundle(workspace, target)
    if (
        in_use is None
        or in_use.basis != "calibrated"
        or not speaks_of_the_same(in_use.model, result.model)
    ):
        return result
    if in_use.model.training.get("stabilised_share") is not None:
        return result  # else blends of blends would grow for ever
    budget = workspace.project.training.band_change_budget
    latest = rows.features[(rows.keys["as_of"] == result.validation["as_of"].max()).to_numpy()]
    changed = band_changes(in_use, replace(in_use, model=result.model), latest)
    if changed <= budget:
        return result
    note = (
        f"on the latest validation date {changed:.0%} of accounts would change band"
        f" ({100 * budget:g}% are allowed), so the log-odds are averaged with those of the model in"
        " use."
    )
    return replace(
        result, model=stabilised(in_use.model, result.model), notes=(*result.notes, note)
    )


def _objective(workspace: Workspace) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(workspace.project.objective)


def choose_scale(
    workspace: Workspace, target: Target, result: TrainingResult, rows: TrainingSet
) -> tuple[Scale, ScaleProposal | None, list[str]]:
    """The declared scale, the one already in use, or a proposal from out-of-time probabilities."""
    declared = workspace.project.scale
    is_good = target_rule(target).is_good
    probability, share = _portfolio_probabilities(
        result, rows, workspace.project.objective.capacity
    )
    base = _base_probability(result.model)
    if declared.p_at_risk is not None and declared.p_healthy is not None and not is_good:
        scale = scale_from_anchors(
            declared.p_at_risk,
            declared.p_healthy,
            at_risk_until=declared.at_risk_until,
            stable_until=declared.stable_until,
        )
        return scale, None, list(scale_problems(scale, probability, base, capacity_share=share))
    in_use = champion_bundle(workspace, target)
    if in_use is not None and in_use.basis == "calibrated":
        # Anchors are fixed when first chosen: a retrain must not move what 40 means.
        return (
            in_use.scale,
            None,
            list(scale_problems(in_use.scale, probability, base, capacity_share=share)),
        )
    proposal = propose_scale(
        probability,
        share,
        base,
        at_risk_until=declared.at_risk_until,
        stable_until=declared.stable_until,
        good_event=is_good,
    )
    return proposal.scale, proposal, list(proposal.problems)


def _portfolio_probabilities(
    result: TrainingResult, rows: TrainingSet, capacity: int | None
) -> tuple[np.ndarray[Any, Any], float | None]:
    """Out-of-time probabilities as a portfolio shows them, and the share of it the team can take
    on.

    Every date is one portfolio; taking each account's last row instead would fill the sample with
    accounts on the day before they left. Where each account has its own dates, all its rows stand
    for the accounts there are. Rows whose outcome was not known yet show best what the model will
    publish: the calibration rows were scored by one of less history, bolder or more timid, and
    anchors chosen on them left a small firm with two red accounts.
    """
    late = rows.rows(unmatured(rows.keys))
    if late.keys["account_id"].nunique() >= FEWEST_IN_PORTFOLIO:
        shown = late.keys[["account_id", "as_of"]].assign(
            probability=result.model.probability(late.features)
        )
    else:
        shown = result.validation
    per_date = shown.groupby("as_of").size()
    accounts = (
        float(per_date.mean())
        if len(per_date) <= MOST_GRID_DATES
        else float(shown["account_id"].nunique())
    )
    share = min(1.0, capacity / max(1.0, accounts)) if capacity else None
    return shown["probability"].to_numpy(dtype=np.float64), share


def _base_probability(model: Model) -> float:
    """Calibrated probability at `phi_0`, where every account's points start."""
    nothing = pd.DataFrame(np.nan, index=[0], columns=model.columns)
    phi_0, _ = model.contributions(nothing)
    assert model.calibrator is not None
    return float(model.calibrator.calibrate(np.array([phi_0]))[0])


def register(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    baselines: Mapping[str, Model],
    result: TrainingResult | None,
    rows: TrainingSet | None,
) -> str:
    """Record a run in MLflow and register the bundle as a new version with the alias challenger."""
    uri = workspace.project.mlflow.tracking_uri
    tracker = client(workspace.folder, uri)
    import mlflow

    experiment = experiment_id(tracker, workspace.project.name, workspace.folder, uri)
    name = model_name(workspace, target)
    with (
        mlflow.start_run(experiment_id=experiment, run_name=f"train {target.name}") as run,
        tempfile.TemporaryDirectory() as aside,
    ):
        folder = Path(aside)
        write_bundle(bundle, folder / "bundle")
        for each, baseline in baselines.items():
            write_model(baseline, folder / BASELINES / each)
        _log(target, bundle, result, rows, folder, experiment)
        # MLflow announces each registration on standard error, in the middle of the story; errors
        # still raise.
        with contextlib.redirect_stderr(io.StringIO()):
            logged = mlflow.pyfunc.log_model(
                name=target.name,
                python_model=str(Path(__file__).parent.parent / "serving.py"),
                artifacts={
                    name: str(folder / name)
                    for name in ("bundle", BASELINES)
                    if (folder / name).is_dir()
                },
                pip_requirements=["tenure"],
                registered_model_name=name,
                signature=signature(bundle),
                input_example=None if rows is None else rows.features.head(EXAMPLE_ROWS),
            )
        version = str(logged.registered_model_version)
        tracker.set_model_version_tag(name, version, "run_id", run.info.run_id)
    tracker.set_registered_model_alias(name, CHALLENGER, version)
    return version


def signature(bundle: Bundle) -> Any:
    """What the registered model reads and returns; doubles, because null is NaN."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    numbers = ("probability", "probability_low", "probability_high")
    returned = [
        *(ColSpec("double", n) for n in numbers),
        ColSpec("long", "health"),
        ColSpec("string", "band"),
        ColSpec("string", "drivers"),
    ]
    inputs = [ColSpec("double", column) for column in bundle.model.columns]
    return ModelSignature(inputs=Schema(list(inputs)), outputs=Schema(list(returned)))


def _log(
    target: Target,
    bundle: Bundle,
    result: TrainingResult | None,
    rows: TrainingSet | None,
    folder: Path,
    experiment: str,
) -> None:
    import mlflow

    from pipeline.reports.plots import importance_figure, reliability_figure

    mlflow.log_params(
        {
            "target": target.name,
            "kind": target.kind,
            "horizon": str(target.horizon or target.horizon_days),
            "signals": len(bundle.model.signals),
            "model": bundle.model.name,
            "config_hash": bundle.facts.get("config_hash", ""),
            "scale_version": bundle.scale.version,
        }
    )
    training = dict(bundle.model.training)
    mlflow.log_metrics(
        {k: float(v) for k, v in training.items() if isinstance(v, int | float) and v is not None}
    )
    mlflow.log_dict(
        {"training": json.loads(json.dumps(training, default=str)), "facts": dict(bundle.facts)},
        "facts.json",
    )
    if result is None or rows is None:
        return
    settings = training.get("settings") or {}
    mlflow.log_params(
        {f"chosen_{k}": str(v)[:250] for k, v in settings.items() if not isinstance(v, dict)}
    )
    log_trials(result.trials, experiment)
    result.trials.to_csv(folder / "trials.csv", index=False)
    mlflow.log_artifact(str(folder / "trials.csv"))
    mlflow.log_figure(
        reliability_figure(result.validation["label"], result.validation["probability"]),
        "reliability.png",
    )
    mlflow.log_figure(importance_figure(bundle.model, rows), "importance.png")
    log_training_rows(rows, f"features_{target.name}")


def model_name(workspace: Workspace, target: Target) -> str:
    """Name of a target's registered model."""
    return f"{workspace.project.name}-{target.name}".replace("/", "-").replace(":", "-")


def load_version(
    workspace: Workspace, target: Target, alias: str
) -> tuple[Bundle, dict[str, Model], str] | None:
    """Bundle, baselines and version behind an alias, or None."""
    tracker = client(workspace.folder, workspace.project.mlflow.tracking_uri)
    return load_registered(tracker, model_name(workspace, target), alias)


def load_registered(
    tracker: Any, name: str, alias: str
) -> tuple[Bundle, dict[str, Model], str] | None:
    """As `load_version`, by the name of the registered model."""
    version = alias_version(tracker, name, alias)
    if version is None:
        return None
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version.version}"))
    bundle = read_bundle(folder / "artifacts" / "bundle")
    basis = version.tags.get("published_basis", bundle.basis)
    kept = folder / "artifacts" / BASELINES
    baselines = (
        {p.name: read_model(p) for p in sorted(kept.iterdir()) if p.is_dir()}
        if kept.is_dir()
        else {}
    )
    if basis != bundle.basis:
        bundle = replace(bundle, basis=basis)
    return bundle, baselines, str(version.version)


def champion_bundle(workspace: Workspace, target: Target) -> Bundle | None:
    """The bundle in use, or None."""
    found = load_version(workspace, target, CHAMPION)
    return found[0] if found else None


def need_version(
    workspace: Workspace, target: Target, alias: str, next_step: str = ""
) -> tuple[Bundle, dict[str, Model], str]:
    """As `load_version`, or an error with the next step: without a model in use the caller's,
    without a candidate to train.
    """
    found = load_version(workspace, target, alias)
    if found is None:
        if alias != CHAMPION:
            raise NotFound(
                f"target {target.name!r} has no candidate model yet. Run `tenure train --target"
                f" {target.name}` first."
            )
        raise NoModel(f"target {target.name!r} has no model in use yet. {next_step}")
    return found
