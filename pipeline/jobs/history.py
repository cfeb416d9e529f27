"""The published scores of one account, and which steps of them are not the account's own."""

from typing import Any

from pipeline.config.schema import Target
from pipeline.ledger import run_history
from pipeline.workspace import Workspace


def score_history(workspace: Workspace, target: Target, account_id: str) -> list[dict[str, Any]]:
    """as_of, run_id, health, health_exact, band and marker of every date, oldest first.

    `marker` names what changed since the date before (model, calibrator, scale, configuration), so that a step in the
    history is not read as a step of the account.
    """
    runs = run_history(workspace.store, target.name)[["run_id", "marker"]]
    rows = workspace.store.read("scores", columns=["run_id", "as_of", "health", "health_exact", "band"],
                                filters=[("target", "=", target.name), ("account_id", "=", account_id)])
    merged = rows.merge(runs, on="run_id").sort_values("as_of", kind="stable")
    return [{str(key): value for key, value in row.items()} for row in merged.to_dict("records")]
