"""Move the alias champion to the challenger, if it passed the gates; else keep the reasons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from features.errors import ConfigError, GateRefused
from models.bundle import Bundle
from pipeline.config.schema import Target
from pipeline.jobs.bench_advice import BenchAdvice, bench_advice
from pipeline.jobs.evaluate import latest_evaluation
from pipeline.jobs.train import model_name, need_version
from pipeline.tracking import CHALLENGER, CHAMPION, alias_version, client
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Promotion:
    """What is in use now, and why."""

    version: str
    basis: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A registered version that asks to be used: of a target, or of a table's label."""

    registered: str
    """Name of the registered model."""
    version: str
    bundle: Bundle
    words: str
    """What it is a candidate of, as messages name it."""


def promote_target(
    workspace: Workspace,
    target: Target,
    *,
    acknowledge: str | None = None,
    use_scorecard: bool = False,
) -> Promotion:
    """Promote the challenger past its gates.

    Parameters
    ----------
    acknowledge
        Why the problems of the scale (too many accounts at 0 or 100, base out of range) are
        accepted.
    use_scorecard
        Publish the scorecard of this version instead of its model; it needs no gates.

    Raises
    ------
    GateRefused
        With the reasons in words; the model in use stays.
    """
    bundle, _, version = need_version(workspace, target, CHALLENGER)
    candidate = Candidate(model_name(workspace, target), version, bundle, f"target {target.name!r}")
    tracker = client(workspace.folder, workspace.project.mlflow.tracking_uri)
    if use_scorecard:
        return promote_scorecard(tracker, candidate)
    found = latest_evaluation(workspace, target, bundle.model_version)
    if found is None:
        raise ConfigError(
            f"the candidate of target {target.name!r} was not evaluated. Run `tenure evaluate`"
            " first."
        )
    return promote_candidate(tracker, candidate, found["gates"], acknowledge=acknowledge)


def promote_scorecard(tracker: Any, candidate: Candidate) -> Promotion:
    """Publish the scorecard of a version instead of its model."""
    if candidate.bundle.scorecard is None:
        raise ConfigError(
            "there is no scorecard: no signal of this project says which direction is worse."
        )
    _move(tracker, candidate.registered, candidate.version, "scorecard")
    return Promotion(candidate.version, "scorecard", ("the scorecard was chosen",))


def promote_candidate(
    tracker: Any,
    candidate: Candidate,
    gates: Sequence[Mapping[str, Any]],
    *,
    acknowledge: str | None = None,
    notes: Sequence[str] = (),
) -> Promotion:
    """Put a version to use if its gates are passed and its scale has no problem that nobody
    accepted.

    Parameters
    ----------
    notes
        What a reader of a refusal must know besides.

    Raises
    ------
    GateRefused
        With the reasons in words, which are kept with the version; the model in use stays.
    """
    name, version = candidate.registered, candidate.version
    reasons = [f"{g['name']}: {g['reason']}" for g in gates if not g["passed"]]
    problems = list(candidate.bundle.facts.get("scale_problems", []))
    if problems and not acknowledge:
        reasons += [
            f"score scale: {p} Declare [scale] anchors, or accept with --acknowledge REASON."
            for p in problems
        ]
    if reasons:
        tracker.set_model_version_tag(name, version, "refused", json.dumps(reasons)[:5000])
        raise GateRefused(
            f"the candidate of {candidate.words} is refused. " + " ".join((*reasons, *notes))
        )
    _move(tracker, name, version, "calibrated")
    if acknowledge:
        tracker.set_model_version_tag(name, version, "acknowledged", acknowledge)
    # A gate that was not asked is no reason to trust a model.
    return Promotion(
        version,
        "calibrated",
        tuple(f"{g['name']}: {g['reason']}" for g in gates if g.get("applies", True)),
    )


def candidate_advice(
    workspace: Workspace, target: Target, *, use_scorecard: bool = False
) -> BenchAdvice | None:
    """What the newest bench recommended beside the candidate; None where none was run."""
    bundle, _, _ = need_version(workspace, target, CHALLENGER)
    return bench_advice(
        workspace,
        target,
        replace(bundle, basis="scorecard" if use_scorecard else bundle.model.basis),
    )


def has_champion(workspace: Workspace, target: Target) -> bool:
    """Whether a model is in use."""
    tracker = client(workspace.folder, workspace.project.mlflow.tracking_uri)
    return alias_version(tracker, model_name(workspace, target), CHAMPION) is not None


def put_to_use(
    workspace: Workspace, target: Target, version: str, basis: str, tags: Mapping[str, str]
) -> None:
    """Move the alias champion to a version that has been judged elsewhere, with the reasons as
    tags.
    """
    tracker, name = (
        client(workspace.folder, workspace.project.mlflow.tracking_uri),
        model_name(workspace, target),
    )
    for key, value in tags.items():
        tracker.set_model_version_tag(name, version, key, value)
    _move(tracker, name, version, basis)


def _move(tracker: Any, name: str, version: str, basis: str) -> None:
    tracker.set_model_version_tag(name, version, "published_basis", basis)
    tracker.set_registered_model_alias(name, CHAMPION, version)
