"""Whose score fell suddenly: against an account's own past where `tenure trajectory` looked there,
else since the run before.
"""

from typing import Any

import pandas as pd

from models.health.standing import is_member
from models.target_words import TARGET_WORDS
from models.trajectory import LOOK_BACK, MIN_FALL, SUDDEN, MovementRecord
from pipeline.actions.account_rows import Fall, Fallen
from pipeline.config.schema import Target
from pipeline.jobs.history import TRAJECTORY, trajectory_summary
from pipeline.jobs.past_scores import STEP_DAYS
from pipeline.jobs.score import PublishedRun
from pipeline.ledger import run_before
from pipeline.workspace import Workspace

_FEWEST_FALLEN = 30
"""Past falls from which their outcome is told."""


def fallen_accounts(workspace: Workspace, target: Target, published: PublishedRun) -> Fallen | None:
    """Sudden drops of a run; None where there is nothing to compare with, or a high score is no
    good news.
    """
    if published.bundle.scale.good_event:
        return None
    return _against_own_past(workspace, target, published) or _since_run_before(
        workspace, published
    )


def _against_own_past(
    workspace: Workspace, target: Target, published: PublishedRun
) -> Fallen | None:
    run_id = published.run.run_id
    summary = trajectory_summary(workspace, run_id)
    if summary is None:
        return None
    rows = workspace.store.read(
        TRAJECTORY,
        columns=["account_id", "usual_health", "fell_by"],
        filters=[("run_id", "=", run_id), ("movement", "=", SUDDEN)],
    )
    return Fallen(
        {
            str(row["account_id"]): Fall(round(row["usual_health"]), _moment(row["fell_by"]))
            for row in rows.to_dict("records")
        },
        f"Compared with each account's own last {LOOK_BACK * STEP_DAYS // 30} months, whatever its"
        " score is now.",
        record_words(summary.movement_records.get(SUDDEN), target),
    )


def record_words(record: MovementRecord | None, target: Target) -> str:
    """What became of accounts that fell before; empty where there were too few."""
    if record is None or record.rows < _FEWEST_FALLEN:
        return ""
    words = TARGET_WORDS[target.kind]
    return (
        f"Of {record.rows:,} such falls before, {record.happened:.1%} {words.past} within"
        f" {target.horizon_days} days; the scores alone had expected {record.said:.1%}."
    )


def _since_run_before(workspace: Workspace, published: PublishedRun) -> Fallen | None:
    """Falls since the run before, where the same model and scale gave both scores: else the fall
    may be theirs.
    """
    before = run_before(workspace.store, published.run)
    if (
        before is None
        or before.as_of >= published.run.as_of
        or before.made_with != published.run.made_with
    ):
        return None
    then = workspace.store.read(
        "scores",
        columns=["account_id", "health_exact"],
        filters=[("run_id", "=", before.run_id)],
    )
    is_ranked = is_member(published.scores)
    both = published.scores.loc[is_ranked, ["account_id", "health_exact"]].merge(
        then, on="account_id", suffixes=("", "_before")
    )
    fell = both[both["health_exact_before"] - both["health_exact"] >= MIN_FALL]
    return Fallen(
        {
            str(row["account_id"]): Fall(round(row["health_exact_before"]), None)
            for row in fell.to_dict("records")
        },
        f"By {MIN_FALL:.0f} points or more since the run of {before.as_of.day}"
        f" {before.as_of:%b %Y}.",
    )


def _moment(value: Any) -> pd.Timestamp | None:
    return None if pd.isna(value) else pd.Timestamp(value)
