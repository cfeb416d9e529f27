"""From labelled rows to a registered candidate: plan, folds, search, scale, registration.

A target's features in the store and a table that was read take the same way.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from features.errors import ConfigError, ContractError
from models.bundle import Bundle, BundleFacts, base_probability
from models.cohorts import cohort_signals, with_cohorts
from models.dataset import TrainingSet
from models.declared import HYBRID, Mixture
from models.drivers import find_twins
from models.fallback import fit_fallbacks
from models.health import ScaleProposal, propose_scale, scale_from_anchors, scale_problems
from models.health.proposal import FEWEST_IN_PORTFOLIO
from models.health.scale import Scale
from models.methods import Floats, Method, Scorecard
from models.model import Member, Model, references
from models.plan import LEAST, TrainingPlan
from models.splits import unmatured
from models.stability import (
    band_changes,
    portfolio_rows,
    speaks_of_the_same,
    stabilised,
)
from models.training import TrainingResult, train
from models.training_facts import TrainingFacts
from pipeline.config import config_hash
from pipeline.config.schema import Objective, ScaleAnchors, Target, Training
from pipeline.engine.memory import allowed_gb, training_gb, training_rows
from pipeline.jobs.in_use import InUse, target_in_use
from pipeline.jobs.prepare import FeatureSet, load_training
from pipeline.jobs.registry import RegisteredModel, Version, register, registered_model
from pipeline.jobs.search import searching
from pipeline.libraries import library_versions
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import (
    Workspace,
    describe_target,
    needed_sources,
    target_rule,
)


@dataclass(frozen=True)
class LearningTask:
    """What is to be learned, by which settings, and where it is recorded: all that a target of the
    project file and the label of a table have in common.
    """

    models: RegisteredModel
    facts: Mapping[str, Any]
    """What is predicted, kept in the model."""
    plan: TrainingPlan
    training: Training
    objective: Objective
    scale: ScaleAnchors
    cohorts: str | None
    band_change_budget: float | None
    """Share of accounts that a new model may move to another band; None where nobody declared
    one.
    """


@dataclass(frozen=True)
class Learned:
    """A model with its scale."""

    result: TrainingResult
    scale: Scale
    proposal: ScaleProposal | None
    """None where the anchors were declared, or are those in use."""
    problems: tuple[str, ...]
    """What is wrong with the scale for these accounts."""


@dataclass(frozen=True)
class Trained:
    """A registered candidate: its bundle, its version, and the facts for the story of the run."""

    bundle: Bundle
    baselines: Mapping[str, Model]
    version: str
    result: TrainingResult
    proposal: ScaleProposal | None


def training_plan(
    settings: Training,
    *,
    is_event_good: bool = False,
    waivers: Mapping[str, str] | None = None,
    mixture: Mixture | None = None,
) -> TrainingPlan:
    """The training plan of declared settings; `waivers` come on top of theirs."""
    return TrainingPlan(
        trials=settings.trials,
        folds=settings.folds,
        seed=settings.seed,
        bags=settings.bags,
        max_trees=settings.max_trees,
        threads=settings.threads,
        max_rows=settings.max_rows,
        search_rows=settings.search_rows,
        is_event_good=is_event_good,
        waivers={**settings.waivers, **(waivers or {})},
        mixture=mixture,
    )


def plan_of(workspace: Workspace, target: Target) -> TrainingPlan:
    """The training plan of a target."""
    project = workspace.project
    mixture = None
    if project.score.basis == HYBRID:
        mixture = Mixture(project.rules, project.bench.match, project.bench.model_share)
    return training_plan(
        project.training, is_event_good=target_rule(target).is_good, mixture=mixture
    )


def learning_task(workspace: Workspace, target: Target) -> LearningTask:
    """What the project file says about learning a target."""
    project = workspace.project
    return LearningTask(
        models=registered_model(workspace, target),
        facts={**describe_target(target), "objective": asdict(project.objective)},
        plan=plan_of(workspace, target),
        training=project.training,
        objective=project.objective,
        scale=project.scale,
        cohorts=project.training.cohorts,
        band_change_budget=project.training.band_change_budget,
    )


def train_target(workspace: Workspace, target: Target) -> Trained:
    """Tune, calibrate and register a model on the features in the store.

    Raises
    ------
    LeakageError
        When a signal nearly tells the label alone.
    """
    rows, feature_set, _ = load_training(workspace, target)
    return _train(workspace, target, learning_task(workspace, target), rows, feature_set)


def train_if_changed(workspace: Workspace, target: Target) -> Trained | Version:
    """As `train_target`; the candidate there is where the same inputs made it, since they would
    make it again.
    """
    rows, feature_set, _ = load_training(workspace, target)
    task = learning_task(workspace, target)
    same = candidate_of(task.models, inputs_digest(task, rows, feature_set.choices))
    return same or _train(workspace, target, task, rows, feature_set)


def candidate_of(models: RegisteredModel, inputs: str) -> Version | None:
    """The candidate, where these inputs made it; None where others did, or there is none."""
    candidate = models.load(CHALLENGER)
    if candidate is None or candidate.bundle.facts.inputs != inputs:
        return None
    return candidate


def nothing_changed(candidate: Version) -> str:
    """Why nothing was trained."""
    return (
        f"nothing changed since version {candidate.number}: the same rows, settings and"
        " libraries; --again trains anew"
    )


def inputs_digest(task: LearningTask, rows: TrainingSet, choices: Mapping[str, Any]) -> str:
    """A digest of all that a candidate is made of: rows and cards with their frozen choices, what
    the project file says of learning, and the libraries.

    The model in use is none of it, although its scale goes on: else each promotion would ask for
    another training, and that for another promotion.
    """
    facts = {
        "rows": rows.fingerprint(),
        "choices": dict(choices),
        "target": dict(task.facts),
        "plan": task.plan.facts(),
        "training": asdict(task.training),
        "scale": asdict(task.scale),
        "libraries": library_versions(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _train(
    workspace: Workspace,
    target: Target,
    task: LearningTask,
    rows: TrainingSet,
    feature_set: FeatureSet,
) -> Trained:
    learned = learn(task, rows, target_in_use(task.models.load(CHAMPION), rows.test))
    facts = replace(
        _facts_of(workspace, feature_set),
        notes=learned.result.notes,
        inputs=inputs_digest(task, rows, feature_set.choices),
    )
    needed = needed_sources(workspace, target)
    fallbacks = fit_fallbacks(learned.result.model, rows, task.plan, needed)
    return register_learned(task, learned, rows, feature_set.choices, facts, fallbacks)


def _facts_of(workspace: Workspace, feature_set: FeatureSet) -> BundleFacts:
    project = workspace.project
    return BundleFacts(
        train_dates=feature_set.train_dates,
        test_dates=feature_set.test_dates,
        project=project.name,
        currency=project.currency,
        config_hash=config_hash(project),
    )


def learn(
    task: LearningTask,
    rows: TrainingSet,
    in_use: InUse | None,
) -> Learned:
    """Search, calibrate, and choose the scale.

    Raises
    ------
    LeakageError
        When a signal nearly tells the label alone.
    """
    if task.cohorts:
        cohort_signals(rows.signals, task.cohorts)  # refused before a long search, not after it
    models = task.models
    plan, sampled = plan_in_memory(task.plan, rows)
    with searching(task.training, models.folder, models.short_name, rows, plan, task.facts) as (
        journal,
        stop,
    ):
        result = train(rows, plan, target=task.facts, journal=journal, stop=stop)
    result = replace(result, notes=(*result.notes, *sampled))
    if task.cohorts:
        result = with_cohorts(result, rows, task.cohorts, seed=task.plan.seed)
    result = _stabilised(task, result, rows, in_use)
    scale, proposal, problems = choose_scale(task, result, rows, in_use)
    return Learned(result, scale, proposal, problems)


def plan_in_memory(plan: TrainingPlan, rows: TrainingSet) -> tuple[TrainingPlan, tuple[str, ...]]:
    """The plan with as many rows as fit into `[engine] memory_gb`, and what is said of it.

    Raises
    ------
    ConfigError
        When not even the fewest rows a plan may have fit, with what they need.
    """
    count, columns = len(rows), len(rows.signals)
    taught = min(plan.max_rows, int((~rows.keys["is_test"]).sum()))
    fit = training_rows(count, columns)
    if taught <= fit:
        return plan, ()
    least, whole = (training_gb(count, columns, each) for each in (LEAST["max_rows"], taught))
    if fit < LEAST["max_rows"]:
        raise ConfigError(
            f"training on {count:,} rows of {columns} signals takes {whole:.1f} GB, or"
            f" {least:.1f} GB with a sample of {LEAST['max_rows']:,}, and [engine] memory_gb allows"
            f" {allowed_gb():.1f}. Raise it, or declare fewer windows or dates."
        )
    note = (
        f"a model can learn from {fit:,} of {taught:,} rows in {allowed_gb():.1f} GB ([engine]"
        f" memory_gb); all of them take {whole:.1f} GB."
    )
    return replace(plan, max_rows=fit, search_rows=min(plan.search_rows, fit)), (note,)


def register_learned(
    task: LearningTask,
    learned: Learned,
    rows: TrainingSet,
    choices: Mapping[str, Any],
    facts: BundleFacts,
    fallbacks: Mapping[str, Model] | None = None,
) -> Trained:
    """Bundle what was learned with the frozen choices of its signals, and register it as the
    candidate.
    """
    result = learned.result
    bundle = Bundle(
        model=result.model,
        scorecard=result.scorecard,
        scale=learned.scale,
        choices=choices,
        facts=replace(
            facts,
            scale_problems=learned.problems,
            twins=find_twins(
                rows.features[~rows.keys["is_test"].to_numpy(dtype=bool)], result.model.signals
            ),
        ),
        fallbacks=fallbacks or {},
    )
    number = register(
        task.models,
        bundle,
        baselines=result.baselines,
        reseeded=result.reseeded,
        result=result,
        rows=rows,
    )
    return Trained(bundle, result.baselines, number, result, learned.proposal)


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
    rows, feature_set, _ = load_training(workspace, target)
    task = learning_task(workspace, target)
    try:
        card = Scorecard(is_event_good=task.plan.is_event_good).fit(
            rows.features, rows.labels, rows.signals
        )
    except ContractError as reason:
        raise ConfigError(f"neither a model ({why}) nor a scorecard: {reason}") from None
    model = card_model(card, rows, task.facts)
    return register_card(workspace, target, rows, feature_set, model, why)


def card_model(method: Method, rows: TrainingSet, target: Mapping[str, Any]) -> Model:
    """A counted score as a model without chances, which knows the values of those that stayed:
    without them no value would be a reason.
    """
    taught = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
    return Model(
        (Member(method, 1.0),),
        rows.signals,
        target=dict(target),
        training=TrainingFacts(
            {
                "rows": len(rows),
                "accounts": int(rows.keys["account_id"].nunique()),
                "events": int(rows.labels.sum()),
            }
        ),
        references=references(taught.features, taught.labels),
    )


def register_card(
    workspace: Workspace,
    target: Target,
    rows: TrainingSet,
    feature_set: FeatureSet,
    card: Model,
    why: str,
    counted: str | None = None,
) -> str:
    """Register a score that is counted, without a model beside it; returns its version.

    Parameters
    ----------
    why
        Why there is no model; kept among the facts that reports show.
    counted
        The declared score that is published, by its name in `[score] basis`.
    """
    task = learning_task(workspace, target)
    # Its health needs the edges of the bands only; no probability is promised, so no anchor is
    # used.
    scale = scale_from_anchors(
        0.5,
        0.25,
        at_risk_until=task.scale.at_risk_until,
        stable_until=task.scale.stable_until,
        good_event=task.plan.is_event_good,
    )
    bundle = Bundle(
        model=card,
        scorecard=card,
        scale=scale,
        choices=feature_set.choices,
        basis="scorecard",
        facts=replace(
            _facts_of(workspace, feature_set),
            notes=(why,),
            twins=find_twins(rows.features, rows.signals),
            counted=counted,
        ),
    )
    return register(task.models, bundle, rows=rows)


def _stabilised(
    task: LearningTask, result: TrainingResult, rows: TrainingSet, in_use: InUse | None
) -> TrainingResult:
    """The result, drawn towards the model in use where it would move more accounts between bands
    than allowed.
    """
    budget = task.band_change_budget
    if budget is None or in_use is None or in_use.test_features is None:
        return result
    before = in_use.bundle
    if not speaks_of_the_same(before.model, result.model):
        return result
    if before.model.training.is_stabilised:
        return result  # else blends of blends would grow for ever
    if (before.model.declared is None) != (result.model.declared is None):
        return result  # people asked for another score
    day, is_test = rows.keys["as_of"].dt.normalize(), rows.keys["is_test"].to_numpy(dtype=bool)
    newest = result.validation["as_of"].dt.normalize().max()
    latest = rows.rows((day == newest).to_numpy() & ~is_test)
    shown = latest.features[portfolio_rows(latest.keys)]
    changed = band_changes(before, replace(before, model=result.model), shown)
    if changed <= budget:
        return result
    note = (
        f"the new model alone would move {changed:.0%} of accounts to another band, and"
        f" {100 * budget:g}% are allowed, so its log-odds are averaged with those of the model in"
        " use."
    )
    return replace(
        result, model=stabilised(before.model, result.model), notes=(*result.notes, note)
    )


def choose_scale(
    task: LearningTask, result: TrainingResult, rows: TrainingSet, in_use: InUse | None
) -> tuple[Scale, ScaleProposal | None, tuple[str, ...]]:
    """The declared scale, the one already in use, or a proposal from out-of-time probabilities;
    with the proposal, and the problems it has.
    """
    declared, is_good = task.scale, task.plan.is_event_good
    probability = _portfolio_probabilities(result, rows)
    base = base_probability(result.model)
    if declared.p_at_risk is not None and declared.p_healthy is not None and not is_good:
        scale = scale_from_anchors(
            declared.p_at_risk,
            declared.p_healthy,
            at_risk_until=declared.at_risk_until,
            stable_until=declared.stable_until,
        )
        return scale, None, tuple(scale_problems(scale, probability, base))
    if in_use is not None and in_use.has_same_outcome and _reads_alike(in_use, result.model):
        # Anchors are fixed when first chosen: a retrain must not move what 40 means.
        scale = in_use.bundle.scale
        return scale, None, tuple(scale_problems(scale, probability, base))
    proposal = propose_scale(
        probability,
        base,
        at_risk_until=declared.at_risk_until,
        stable_until=declared.stable_until,
        good_event=is_good,
    )
    return proposal.scale, proposal, tuple(proposal.problems)


def _reads_alike(in_use: InUse, model: Model) -> bool:
    """Whether both models read health at the decision, or neither: else the anchors of one say
    nothing of the other.
    """
    return (in_use.bundle.model.decision is None) == (model.decision is None)


def _portfolio_probabilities(result: TrainingResult, rows: TrainingSet) -> Floats:
    """Out-of-time probabilities as health reads them, of a portfolio as it is shown.

    Every date is one portfolio; taking each account's last row instead would fill the sample with
    accounts on the day before they left. Rows whose outcome was not known yet show best what the
    model will publish: the calibration rows were scored by one of less history, bolder or more
    timid, and anchors chosen on them left a small firm with two red accounts.
    """
    relationship = result.model.at_decision
    late = rows.rows(unmatured(rows.keys))
    if late.keys["account_id"].nunique() >= FEWEST_IN_PORTFOLIO:
        return relationship.probability(late.features)
    if result.model.decision is None:
        return result.validation["probability"].to_numpy(dtype=np.float64)
    days = rows.keys["as_of"].isin(result.validation["as_of"]).to_numpy()
    return relationship.probability(rows.rows(days).features)
