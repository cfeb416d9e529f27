"""Put the candidate to use if it passed the gates; else keep the reasons.

A target's candidate and that of a table's label go the same way.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from features.errors import ConfigError, GateRefused, NotFound
from features.naming import slug
from models.gates import NO_WORSE, STABLE, Gate, not_compared
from models.model import Basis
from pipeline.config.schema import Project, Target
from pipeline.evaluations import IN_USE, Comparison, VersionEvaluation
from pipeline.jobs.bench_advice import BenchAdvice, bench_advice
from pipeline.jobs.drift_bins import frozen_bins
from pipeline.jobs.registry import (
    RegisteredModel,
    Version,
    need_version,
    project_of,
    registered_model,
    registered_table,
)
from pipeline.jobs.table_in_use import NOT_OUT_OF_TIME
from pipeline.tracking import CHALLENGER, CHAMPION, alias_version
from pipeline.workspace import Workspace

LISTED = 8
NONE_IN_USE = "no model was in use: there was none to compare with."


@dataclass(frozen=True)
class Promotion:
    """What is in use now, and why."""

    version: str
    basis: Basis
    reasons: tuple[str, ...]
    registered_model: str
    """Name of the registered model; MLflow loads `models:/NAME@champion`."""
    notes: tuple[str, ...] = ()
    """What its user must know besides."""
    is_out_of_time: bool = True


def promote_target(
    workspace: Workspace,
    target: Target,
    *,
    acknowledge: str | None = None,
    use_scorecard: bool = False,
) -> Promotion:
    """Promote the candidate of a target, as `promote` has it, and freeze what its drift will be
    measured against.
    """
    models = registered_model(workspace, target)
    promotion = promote(
        models,
        "Run `tenure evaluate` first.",
        acknowledge=acknowledge,
        use_scorecard=use_scorecard,
    )
    frozen_bins(workspace, target, models.need(CHAMPION).bundle)
    return promotion


def promote_label(
    folder: Path, label: str, *, acknowledge: str | None = None, use_scorecard: bool = False
) -> Promotion:
    """Promote the candidate that `tenure table train` registered for a label, as `promote` has it.

    Raises
    ------
    NotFound
        When no model was trained on a table for that label.
    """
    models = label_models(folder, project_of(folder), label)
    return promote(
        models, _train_first(label), acknowledge=acknowledge, use_scorecard=use_scorecard
    )


def label_models(folder: Path, project: Project | None, label: str) -> RegisteredModel:
    """The registered model that `tenure table train` made for a label.

    Raises
    ------
    NotFound
        When there is none, with the labels there are.
    """
    is_local = project is None or project.mlflow.tracking_uri is None
    if is_local and not (folder / "mlruns" / "mlflow.db").is_file():
        raise NotFound(f"nothing was trained in {folder} yet. {_train_first(label)}")
    models = registered_table(folder, project, label)
    if alias_version(models.tracker, models.name, CHALLENGER) is None:
        known = _labels(models, label)
        others = f" There are models for {', '.join(known)}." if known else ""
        raise NotFound(f"label {label!r} has no candidate model yet.{others} {_train_first(label)}")
    return models


def promote(
    models: RegisteredModel,
    evaluate_first: str,
    *,
    acknowledge: str | None = None,
    use_scorecard: bool = False,
) -> Promotion:
    """Promote a candidate past its gates.

    Parameters
    ----------
    evaluate_first
        What to do where the candidate was not evaluated.
    acknowledge
        Why problems of the scale (too many accounts at 0 or 100, base out of range), or a
        candidate that is not shown to be as good as the model in use, are accepted.
    use_scorecard
        Publish the scorecard of this version instead of its model; it needs no gates.

    Raises
    ------
    GateRefused
        With the reasons in words, which are kept with the version; the model in use stays.
    """
    candidate = models.need(CHALLENGER)
    if use_scorecard:
        return _scorecard(models, candidate)
    evaluation = models.evaluation(candidate.number)
    if evaluation is None:
        raise ConfigError(f"the candidate of {models.subject} was not evaluated. {evaluate_first}")
    in_use = alias_version(models.tracker, models.name, CHAMPION)
    notes = _notes(in_use, candidate, evaluation)
    gates = _gates(in_use, candidate, evaluation, notes[0])
    reasons = _refusals(candidate, gates, acknowledge)
    if reasons:
        models.tag(candidate.number, refused=json.dumps(reasons)[:5000])
        words = reasons + [note for note in notes if note != NONE_IN_USE]
        raise GateRefused(f"the candidate of {models.subject} is refused. {' '.join(words)}")
    models.put_to_use(candidate.number, "calibrated")
    if acknowledge:
        models.tag(candidate.number, acknowledged=acknowledge)
    accepted = tuple(
        f"accepted because {acknowledge}: {gate.name}: {gate.reason}"
        for gate in gates
        if not gate.passed
    )
    return Promotion(
        candidate.number,
        "calibrated",
        # A gate that was not asked is no reason to trust a model.
        tuple(f"{gate.name}: {gate.reason}" for gate in gates if gate.applies and gate.passed),
        models.name,
        (*notes, *accepted),
        evaluation.is_out_of_time,
    )


def candidate_advice(
    workspace: Workspace, target: Target, *, use_scorecard: bool = False
) -> BenchAdvice | None:
    """What the newest bench recommended beside the candidate; None where none was run."""
    bundle = need_version(workspace, target, CHALLENGER).bundle
    return bench_advice(
        workspace,
        target,
        replace(bundle, basis="scorecard" if use_scorecard else bundle.model.basis),
    )


def _scorecard(models: RegisteredModel, candidate: Version) -> Promotion:
    """Publish the scorecard of a version instead of its model."""
    if candidate.bundle.scorecard is None:
        raise ConfigError(
            "there is no scorecard: no signal of this project says which direction is bad."
        )
    models.put_to_use(candidate.number, "scorecard")
    return Promotion(candidate.number, "scorecard", ("the scorecard was chosen",), models.name)


def _gates(
    in_use: Any | None, candidate: Version, evaluation: VersionEvaluation, beside: str
) -> tuple[Gate, ...]:
    """The gates of the evaluation, held against the model that is in use now."""
    now = None if in_use is None else str(in_use.version)
    compared = evaluation.in_use
    if now == candidate.number or not _has_chances(in_use):
        return tuple(gate for gate in evaluation.gates if gate.name not in (NO_WORSE, STABLE))
    if compared is not None and compared.registered_version == now:
        return evaluation.gates
    others = (gate for gate in evaluation.gates if gate.name != NO_WORSE)
    return (*others, not_compared(beside))


def _has_chances(in_use: Any | None) -> bool:
    """Whether what is in use promises chances; a scorecard promises none to compare with."""
    return in_use is not None and in_use.tags.get("published_basis") != "scorecard"


def _refusals(candidate: Version, gates: Sequence[Gate], acknowledge: str | None) -> list[str]:
    """The gates that are not passed, and what may be accepted and nobody did."""
    reasons = [
        f"{gate.name}: {gate.reason}"
        for gate in gates
        if not gate.passed and not (acknowledge and gate.may_be_accepted)
    ]
    if acknowledge:
        return reasons
    return reasons + [
        f"score scale: {p} Declare [scale] anchors, or accept with --acknowledge REASON."
        for p in candidate.bundle.facts.scale_problems
    ]


def _notes(
    in_use: Any | None, candidate: Version, evaluation: VersionEvaluation
) -> tuple[str, ...]:
    """First how it does beside the model in use."""
    beside = beside_now(evaluation.in_use, in_use, candidate.number)
    return (beside,) if evaluation.is_out_of_time else (beside, NOT_OUT_OF_TIME)


def beside_now(comparison: Comparison | None, in_use: Any | None, candidate: str) -> str:
    """How the candidate did beside the model that is in use now; its evaluation compared it with
    the one in use then.
    """
    if in_use is None:
        return NONE_IN_USE
    now = str(in_use.version)
    if now == candidate:
        return f"version {now} was in use already."
    if not _has_chances(in_use):
        return f"version {now} in use is a scorecard: it promises no chances to compare with."
    if comparison is None or comparison.registered_version != now:
        return (
            f"{IN_USE}, version {now}: not compared, it was put to use after the candidate was"
            " judged; judge it again to see both on the same held-out rows."
        )
    return comparison.words


def _train_first(label: str) -> str:
    return f"Run `tenure table train FILE --label {shlex.quote(label)}` first."


def _labels(models: RegisteredModel, label: str) -> list[str]:
    """Labels of the table models there are, as their names spell them."""
    prefix = models.name.removesuffix(slug(label))
    names = [
        each.name
        for each in models.tracker.search_registered_models(filter_string=f"name LIKE '{prefix}%'")
    ]
    return [name.removeprefix(prefix) for name in sorted(names)][:LISTED]
