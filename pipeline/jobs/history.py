"""One account's past: its published scores with what else changed, and what the model of a run says
of earlier dates.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from models.health.standing import standing
from models.trajectory import Measured, MovementRecord, ThreeWayMeasured
from pipeline.config.schema import Target
from pipeline.ledger import run_history
from pipeline.published import read_scores
from pipeline.workspace import Workspace

TRAJECTORY, PAST_SCORES, CHECKS = "trajectory", "past_scores", "trajectory_checks"
"""Tables that `tenure trajectory` writes."""


@dataclass(frozen=True)
class TrajectorySummary:
    """What `tenure trajectory` says of a run as a whole, and how good it is on dates after the
    model's training.

    Parameters
    ----------
    past_dates, step_days, first_date
        Dates before the run's that its model scored, and how far they lie apart.
    tested_from
        First date whose outcomes the model was not taught; None without one.
    movements
        Movement -> accounts of the run.
    movement_records
        Movement -> what happened to accounts said to move so on past dates.
    nominal_coverage
        Share of scores that a projection's range is meant to hold.
    use_days
        Length of the two stretches whose use is compared.
    projections
        Days ahead -> how the projection did; None where that could not be measured.
    three_ways
        How the chances of the three ways did; None where that could not be measured.
    """

    target: str
    run_id: str
    as_of: str
    horizon_days: int
    accounts: int
    past_dates: int
    step_days: int
    first_date: str
    tested_from: str | None
    movements: Mapping[str, int]
    movement_records: Mapping[str, MovementRecord]
    nominal_coverage: float
    use_days: int
    projections: Mapping[int, Measured | None]
    three_ways: ThreeWayMeasured | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        ways = self.three_ways
        return {
            **asdict(self),
            "projections": {
                str(days): None if each is None else asdict(each)
                for days, each in self.projections.items()
            },
            "three_ways": (None if ways is None else {**asdict(ways), "is_better": ways.is_better}),
            "notes": list(self.notes),
        }


def summary_from_json(text: str) -> TrajectorySummary:
    """Back from what the store keeps."""
    plain: dict[str, Any] = json.loads(text)
    ways = plain["three_ways"]
    if ways is not None:
        del ways["is_better"]
        ways |= {name: tuple(ways[name]) for name in ("rise_said", "rise_seen")}
    return TrajectorySummary(
        **{
            **plain,
            "movement_records": {
                name: MovementRecord(**each) for name, each in plain["movement_records"].items()
            },
            "projections": {
                int(days): None if each is None else Measured(**each)
                for days, each in plain["projections"].items()
            },
            "three_ways": None if ways is None else ThreeWayMeasured(**ways),
            "notes": tuple(plain["notes"]),
        }
    )


@dataclass(frozen=True, eq=False)
class AccountTrajectory:
    """A row of `trajectory`, the account's rows of `past_scores` (as_of, health_exact) by date, and
    the summary of the run.
    """

    row: Mapping[str, Any]
    past: pd.DataFrame
    summary: TrajectorySummary


@dataclass(frozen=True)
class PublishedScore:
    """What readers saw of an account on a date; `health` is missing where it had no score.

    `marker` names what changed since the date before (model, calibrator, scale, configuration), so
    that a step in the history is not read as a step of the account.
    """

    run_id: str
    as_of: pd.Timestamp
    health: float
    health_exact: float
    band: str | None
    """Of the health; None without one, and in old runs under notice."""
    state: str
    standing: str
    """Where lists showed it: the band, or `leaving` or `unknown`."""
    marker: str


def score_history(workspace: Workspace, target: Target, account_id: str) -> list[PublishedScore]:
    """The published scores of an account, oldest first."""
    runs = run_history(workspace.store, target.name)[["run_id", "marker"]]
    rows = read_scores(
        workspace.store,
        [("target", "=", target.name), ("account_id", "=", account_id)],
        ["run_id", "as_of", "health", "health_exact"],
    )
    merged = (
        rows.assign(standing=standing(rows))
        .merge(runs, on="run_id")
        .sort_values("as_of", kind="stable")
    )
    columns = [each.name for each in fields(PublishedScore)]
    return [PublishedScore(*row) for row in merged[columns].itertuples(index=False)]


def trajectory_summary(workspace: Workspace, run_id: str) -> TrajectorySummary | None:
    """What `tenure trajectory` said of a run as a whole; None where it was not asked."""
    if not workspace.store.exists(CHECKS):
        return None
    rows = workspace.store.read(CHECKS, filters=[("run_id", "=", run_id)])
    return None if rows.empty else summary_from_json(rows["facts"].iloc[0])


def account_trajectories(
    workspace: Workspace, run_id: str, accounts: Sequence[str]
) -> dict[str, AccountTrajectory]:
    """Trajectories of accounts in a run; none where `tenure trajectory` was not asked of that
    run.
    """
    summary = trajectory_summary(workspace, run_id)
    if summary is None:
        return {}
    mine = [("run_id", "=", run_id), ("account_id", "in", list(accounts))]
    rows = workspace.store.read(TRAJECTORY, filters=mine)
    past = workspace.store.read(
        PAST_SCORES, columns=["account_id", "as_of", "health_exact"], filters=mine
    ).sort_values("as_of", kind="stable")
    scores = {str(account): each for account, each in past.groupby("account_id")}
    none = past.iloc[:0]
    return {
        str(row["account_id"]): AccountTrajectory(
            {str(k): v for k, v in row.items()},
            scores.get(str(row["account_id"]), none)[["as_of", "health_exact"]].reset_index(
                drop=True
            ),
            summary,
        )
        for row in rows.to_dict("records")
    }
