"""The onboarding funnel of the sources, with what became of those who missed a step."""

from dataclasses import dataclass

import pandas as pd

from features.errors import NotFound
from models.funnel import OnboardingStep, onboarding_steps
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import load_staged
from pipeline.workspace import Workspace

NEXT_DATE = pd.Timedelta(days=45)
"""An outcome is counted from the first date of the grid after a step was due, no later than so."""


@dataclass(frozen=True)
class FunnelReport:
    """Steps of all accounts, with outcomes of one target."""

    target: str
    kind: str
    horizon_days: int | None
    steps: tuple[OnboardingStep, ...]


def onboarding_funnel(workspace: Workspace, target: Target) -> FunnelReport:
    """Follow every step that was due to a date of the training grid and its label.

    Accounts that were no customers any more on that date are in no step: their onboarding ended
    with them.

    Raises
    ------
    NotFound
        No source holds milestones with a due date, or no labels were built yet.
    """
    with connected() as connection:
        staged = load_staged(workspace, connection)
    sources = [
        name
        for name, source in staged.items()
        if source.contract.table == "milestones" and source.is_mapped("due_at")
    ]
    if not sources:
        raise NotFound(
            "no source holds onboarding steps with a due date. Add [sources.milestones] with"
            " account_id, milestone, due_at and reached_at."
        )
    if not workspace.store.exists("labels"):
        raise NotFound("no labels were built yet. Run `tenure features`.")
    columns = ["account_id", "milestone", "assigned_at", "due_at", "reached_at", "known_until"]
    steps = pd.concat(
        [workspace.store.read(f"staged_{name}").reindex(columns=columns) for name in sources],
        ignore_index=True,
    )
    steps = steps[steps["known_until"].isna()].dropna(subset=["milestone", "due_at"])
    labels = workspace.store.read(
        "labels",
        columns=["account_id", "as_of", "label"],
        filters=[("target", "=", target.name)],
    )
    rows = pd.merge_asof(
        steps.astype({"due_at": labels["as_of"].dtype}).sort_values("due_at"),
        labels.sort_values("as_of"),
        left_on="due_at",
        right_on="as_of",
        by="account_id",
        direction="forward",
        tolerance=NEXT_DATE,
    ).dropna(subset=["as_of"])
    return FunnelReport(target.name, target.kind, target.horizon_days, onboarding_steps(rows))
