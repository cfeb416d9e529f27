"""Put a model that was trained on a table to use, by the gates kept with its run."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import ArtifactMismatch, NotFound
from features.naming import slug
from pipeline.jobs.promote import Candidate, Promotion, promote_candidate, promote_scorecard
from pipeline.jobs.table_in_use import IN_USE, beside_words, stored_evaluation
from pipeline.jobs.train import load_registered
from pipeline.jobs.train_table import NOT_OUT_OF_TIME, project_of, table_model_name
from pipeline.tracking import CHALLENGER, CHAMPION, alias_version, client

LISTED = 8


@dataclass(frozen=True)
class TablePromotion:
    """What is in use now and why, and what its user must know besides."""

    registered: str
    """Name of the registered model; MLflow loads `models:/NAME@champion`."""
    promotion: Promotion
    is_out_of_time: bool
    notes: tuple[str, ...]


def promote_table(
    folder: Path, label: str, *, acknowledge: str | None = None, use_scorecard: bool = False
) -> TablePromotion:
    """Promote the candidate that `train --table` registered for a label past the gates of its run.

    Raises
    ------
    NotFound
        When no model was trained on a table for that label.
    GateRefused
        With the reasons in words; the model in use stays.
    """
    project = project_of(folder)
    uri = None if project is None else project.mlflow.tracking_uri
    name = table_model_name(project, label)
    if uri is None and not (folder / "mlruns" / "mlflow.db").is_file():
        raise NotFound(f"nothing was trained in {folder} yet. {_next_step(label)}")
    tracker = client(folder, uri)
    loaded = load_registered(tracker, name, CHALLENGER)
    if loaded is None:
        known = _labels(tracker, name.removesuffix(slug(label)))
        others = f" There are models for {', '.join(known)}." if known else ""
        raise NotFound(f"label {label!r} has no candidate model yet.{others} {_next_step(label)}")
    candidate = Candidate(name, loaded[2], loaded[0], f"label {label!r}")
    evaluation = stored_evaluation(tracker.get_model_version(name, candidate.version))
    if evaluation is None:
        raise ArtifactMismatch(
            f"version {candidate.version} of {name} keeps no evaluation in its run."
            f" {_next_step(label)}"
        )
    is_dated = bool(evaluation["is_out_of_time"])
    notes = (
        _beside(
            evaluation.get("champion"), alias_version(tracker, name, CHAMPION), candidate.version
        ),
        *(() if is_dated else (NOT_OUT_OF_TIME,)),
    )
    if use_scorecard:
        done = promote_scorecard(tracker, candidate)
    else:
        done = promote_candidate(
            tracker, candidate, evaluation["gates"], acknowledge=acknowledge, notes=notes
        )
    return TablePromotion(name, done, is_dated, notes)


def _next_step(label: str) -> str:
    return f"Run `tenure train --table FILE --label {shlex.quote(label)}` first."


def _beside(beside: Mapping[str, Any] | None, in_use: Any | None, version: str) -> str:
    """How the candidate did beside the model that is in use now; its training compared it with the
    one in use then.
    """
    if in_use is None:
        return "no model was in use: there was none to compare with."
    now = str(in_use.version)
    if now == version:
        return f"version {version} was in use already."
    if beside is None or beside["registered_version"] != now:
        return (
            f"{IN_USE}, version {now}: not compared, it was put to use after the candidate was"
            " trained; train again to judge both on the same held-out rows."
        )
    return beside_words(beside)


def _labels(tracker: Any, prefix: str) -> list[str]:
    """Labels of the table models there are, as their names spell them."""
    names = [
        each.name
        for each in tracker.search_registered_models(filter_string=f"name LIKE '{prefix}%'")
    ]
    return [name.removeprefix(prefix) for name in sorted(names)][:LISTED]
