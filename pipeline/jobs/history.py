"""One account's past: its published scores with what else changed, and what the model of a run says
of earlier dates.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.config.schema import Target
from pipeline.ledger import run_history
from pipeline.workspace import Workspace

TRAJECTORY, PAST_SCORES, CHECKS = "trajectory", "past_scores", "trajectory_checks"
"""Tables that `tenure trajectory` writes."""


@dataclass(frozen=True, eq=False)
class AccountTrajectory:
    """A row of `trajectory`, the account's rows of `past_scores` (as_of, health_exact) by date, and
    the facts of the run.
    """

    row: Mapping[str, Any]
    past: pd.DataFrame
    facts: Mapping[str, Any]


def score_history(workspace: Workspace, target: Target, account_id: str) -> list[dict[str, Any]]:
    """as_of, run_id, health, health_exact, band and marker of every date, oldest first.

    `marker` names what changed since the date before (model, calibrator, scale, configuration), so
    that a step in the history is not read as a step of the account.
    """
    runs = run_history(workspace.store, target.name)[["run_id", "marker"]]
    rows = workspace.store.read(
        "scores",
        columns=["run_id", "as_of", "health", "health_exact", "band"],
        filters=[("target", "=", target.name), ("account_id", "=", account_id)],
    )
    merged = rows.merge(runs, on="run_id").sort_values("as_of", kind="stable")
    return [{str(key): value for key, value in row.items()} for row in merged.to_dict("records")]


def trajectory_facts(workspace: Workspace, run_id: str) -> dict[str, Any] | None:
    """What `tenure trajectory` said of a run as a whole; None where it was not asked."""
    if not workspace.store.exists(CHECKS):
        return None
    rows = workspace.store.read(CHECKS, filters=[("run_id", "=", run_id)])
    found: dict[str, Any] | None = None if rows.empty else json.loads(rows["facts"].iloc[0])
    return found


def account_trajectory(
    workspace: Workspace, run_id: str, account_id: str
) -> AccountTrajectory | None:
    """Trajectory of an account in a run; None where `tenure trajectory` was not asked of that
    run.
    """
    facts = trajectory_facts(workspace, run_id)
    mine = [("run_id", "=", run_id), ("account_id", "=", account_id)]
    rows = pd.DataFrame() if facts is None else workspace.store.read(TRAJECTORY, filters=mine)
    if facts is None or rows.empty:
        return None
    past = workspace.store.read(PAST_SCORES, columns=["as_of", "health_exact"], filters=mine)
    return AccountTrajectory(
        {str(k): v for k, v in rows.iloc[0].items()},
        past.sort_values("as_of", kind="stable", ignore_index=True),
        facts,
    )
