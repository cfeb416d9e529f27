"""The worklist's plays of a published run: planned once, kept in `assignments`, the same for CSV
and command.
"""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from models.health.standing import LEAVING, standing
from models.target_words import TARGET_WORDS
from models.targets import ENDS_OF_COVER
from pipeline.actions.plays import (
    Belief,
    Past,
    PlannedPlay,
    PlannedWorklist,
    PlayPlan,
    in_planned_order,
    plan_plays,
)
from pipeline.actions.worklist import OF_CONTACT, worklist
from pipeline.config.schema import Play, Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.accounts import consenting
from pipeline.jobs.effects import (
    ASSIGNMENTS,
    EFFECTS,
    prior_of,
    recorded_plays,
)
from pipeline.jobs.score import PublishedRun, published_table
from pipeline.jobs.stage import load_staged
from pipeline.ledger import current_run, run_rows
from pipeline.published import read_scores
from pipeline.workspace import Workspace, target_rule

LEAST_GROWTH = 0.05
"""What an account that grows is counted to pay more where nobody says."""
ASSIGNED = (
    ("account_id", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("run_id", pa.string()),
    ("owner", pa.string()),
    ("play", pa.string()),
    ("rank", pa.int64()),
    ("priority", pa.float64()),
    ("minutes", pa.int64()),
    ("propensity", pa.float64()),
    ("on_list", pa.bool_()),
    ("evidence", pa.string()),
    ("save_share", pa.float64()),
    ("assigned_on", pa.timestamp("us")),
    ("made_at", pa.timestamp("us")),
)
"""The table `assignments`."""


def plan_worklist(
    workspace: Workspace, target: Target, published: PublishedRun
) -> PlannedWorklist | None:
    """Plan the plays of a run and keep who was assigned; None where no plays are declared, or a
    score has no probability to count with.

    Planned again for the same run, the lists before it are the same, so the plan is.
    """
    is_good = target_rule(target).is_good
    plays = tuple(play for play in workspace.project.plays if (play.aim == "grow") == is_good)
    if not plays or published.bundle.basis != "calibrated":
        return None
    ranked = worklist(
        published.scores,
        published.reasons,
        published.portfolio,
        event=TARGET_WORDS[target.kind].verb,
        why=published.why,
        less_contact=False,
    )
    as_of = published.run.as_of
    run_id = published.run.run_id
    reasons = {
        str(account): frozenset(part)
        for account, part in published.why.groupby("account_id")["reason"]
    }
    rules = workspace.project.worklist
    grows = any(play.aim == "grow" for play in workspace.project.plays)
    worth = ranked
    if OF_CONTACT in published.portfolio:
        costs = published.portfolio.set_index("account_id")[OF_CONTACT]
        worth = ranked.assign(**{OF_CONTACT: ranked["account_id"].map(costs)})
    if is_good:
        by = rules.grows_by or target.change_share or LEAST_GROWTH
        worth = worth.assign(priority=ranked["priority"] * by)
    plan = plan_plays(
        worth,
        plays,
        rules,
        _beliefs(workspace, target, plays),
        {play.name: _cost(workspace, play) for play in plays},
        _past(workspace, target, as_of, run_id),
        as_of=as_of,
        key=f"{workspace.project.name}/{target.name}/{as_of:%Y-%m-%d}",
        reasons=reasons,
        consents={
            column: consenting(workspace, column, "[[plays]] consent")
            for column in {play.consent for play in plays if play.consent is not None}
        },
        left_out=_not_to_be_sold_to(workspace) if is_good else frozenset(),
        share_of_hours=(rules.growth_share if is_good else 1 - rules.growth_share) if grows else 1,
    )
    rows = plan.assigned.assign(target=target.name, run_id=run_id, made_at=workspace.now)
    workspace.store.write(
        ASSIGNMENTS,
        published_table(rows, ASSIGNED),
        replace=f"target = '{target.name}' and run_id = '{run_id}'",
        partition_by=["target"],
    )
    return PlannedWorklist(with_plan(ranked, plan), plan)


def listed_places(workspace: Workspace, target: Target) -> dict[str, int]:
    """Account -> its place on its owner's list, of the run that readers see; empty where no plays
    are planned.
    """
    run = current_run(workspace.store, target.name)
    if run is None or not workspace.store.exists(ASSIGNMENTS):
        return {}
    rows = workspace.store.read(
        ASSIGNMENTS,
        columns=["account_id", "rank", "on_list"],
        filters=[("target", "=", target.name), ("run_id", "=", run.run_id)],
    )
    listed = rows[rows["on_list"]]
    return dict(zip(listed["account_id"], listed["rank"].astype(int), strict=True))


def left_alone(workspace: Workspace, run_id: str) -> frozenset[str]:
    """Accounts that the plan of a run left alone by lot."""
    if not workspace.store.exists(ASSIGNMENTS):
        return frozenset()
    rows = workspace.store.read(
        ASSIGNMENTS, columns=["account_id", "on_list"], filters=[("run_id", "=", run_id)]
    )
    return frozenset(rows.loc[~rows["on_list"].astype(bool), "account_id"])


def planned_of(
    workspace: Workspace, run_id: str, accounts: Sequence[str]
) -> dict[str, PlannedPlay]:
    """What the plan of a run says of some accounts; those that it neither lists nor left alone by
    lot are absent.
    """
    if not workspace.store.exists(ASSIGNMENTS):
        return {}
    rows = workspace.store.read(
        ASSIGNMENTS,
        columns=["account_id", "play", "on_list", "priority", "evidence", "assigned_on"],
        filters=[("run_id", "=", run_id), ("account_id", "in", list(accounts))],
    )
    due = {play.name: play.due_days for play in workspace.project.plays}
    return {
        str(row["account_id"]): PlannedPlay(
            play=str(row["play"]),
            is_listed=bool(row["on_list"]),
            due=pd.Timestamp(row["assigned_on"]) + pd.Timedelta(days=due.get(row["play"], 0)),
            saves=None if pd.isna(row["priority"]) else float(row["priority"]),
            evidence=str(row["evidence"]),
        )
        for row in rows.to_dict("records")
    }


def with_plan(ranked: pd.DataFrame, plan: PlayPlan) -> pd.DataFrame:
    """The worklist in the order of the plan: what is on the list first, then by value saved."""
    joined = in_planned_order(
        ranked.merge(plan.accounts, on="account_id", how="left", validate="1:1")
    ).sort_values("owner", kind="stable", ignore_index=True)
    joined["rank"] = joined.groupby("owner").cumcount() + 1
    return joined


def _not_to_be_sold_to(workspace: Workspace) -> frozenset[str]:
    """Accounts that the current run of a target about leaving has at risk, under notice or on a
    list: keeping comes before selling.
    """
    excluded: set[str] = set()
    for target in workspace.project.targets:
        run = current_run(workspace.store, target.name)
        if run is None or target.kind not in ENDS_OF_COVER:
            continue
        scores = read_scores(workspace.store, [("run_id", "=", run.run_id)])
        is_kept = standing(scores).isin(["at_risk", LEAVING])
        excluded |= {*scores.loc[is_kept, "account_id"], *listed_places(workspace, target)}
    return frozenset(excluded)


def _cost(workspace: Workspace, play: Play) -> float:
    if play.cost is not None:
        return play.cost
    return workspace.project.objective.cost_per_contact or 0.0


def _beliefs(workspace: Workspace, target: Target, plays: tuple[Play, ...]) -> dict[str, Belief]:
    """What each play is counted on: its measured share, else the declared or assumed one."""
    measured: dict[str, tuple[str, float]] = {}
    if workspace.store.exists(EFFECTS):
        rows = workspace.store.read(EFFECTS, filters=[("target", "=", target.name)])
        rows = rows[rows["save_share"].notna()]
        measured = {
            row["play"]: (row["design"], max(float(row["save_share"]), 0.0))
            for row in rows.to_dict("records")
        }
    beliefs = {}
    for play in plays:
        prior = prior_of(workspace.project, play, is_good=target_rule(target).is_good)
        design, share = measured.get(play.name, ("prior", prior))
        beliefs[play.name] = Belief(share, design)  # type: ignore[arg-type]
    return beliefs


def _past(workspace: Workspace, target: Target, as_of: pd.Timestamp, run_id: str) -> Past:
    """What was assigned by earlier lists, and done by what sources record."""
    plays = {play.name: play for play in workspace.project.plays}
    with connected() as connection:
        recorded = recorded_plays(workspace, load_staged(workspace, connection))
    recorded = recorded[~recorded["is_holdout"]]
    at = pd.to_datetime(recorded["assigned_at"])
    recorded = recorded.assign(assigned_at=at)[at < as_of]
    lists = _earlier_lists(workspace, target, as_of, run_id)
    open_plays = {}
    for row in lists[lists["on_list"]].to_dict("records"):
        play, start = plays.get(row["play"]), row["assigned_on"]
        is_done = (
            recorded["account_id"].eq(row["account_id"]) & (recorded["assigned_at"] >= start)
        ).any()
        if play is not None and not is_done and start + pd.Timedelta(days=play.due_days) >= as_of:
            open_plays[row["account_id"]] = (row["play"], start, float(row["propensity"]))
    horizon = pd.Timedelta(days=target.horizon_days or 90)
    drawn = (lists["propensity"] > 0) & (lists["propensity"] < 1) & ~lists["on_list"]
    left_alone = lists.loc[drawn & (lists["assigned_on"] + horizon > as_of), "account_id"]
    resting = {}
    for name, play in plays.items():
        since = as_of - pd.Timedelta(days=play.cooldown_days)
        resting[name] = frozenset(
            {
                *recorded.loc[recorded["assigned_at"] >= since, "account_id"],
                *lists.loc[lists["on_list"] & (lists["assigned_on"] >= since), "account_id"],
            }
        ) - frozenset(open_plays)
    return Past(open_plays, resting, frozenset(left_alone) - frozenset(open_plays))


def _earlier_lists(
    workspace: Workspace, target: Target, as_of: pd.Timestamp, run_id: str
) -> pd.DataFrame:
    """First assignments of earlier lists of published runs, the newest of each account."""
    columns = ["account_id", "play", "on_list", "propensity", "assigned_on"]
    if not workspace.store.exists(ASSIGNMENTS):
        return (
            pd.DataFrame(columns=columns)
            .astype({"on_list": bool, "propensity": float})
            .assign(assigned_on=pd.Series(dtype="datetime64[us]"))
        )
    rows = workspace.store.read(ASSIGNMENTS, filters=[("target", "=", target.name)])
    runs = run_rows(workspace.store)
    published = set(runs.loc[runs["state"] == "published", "run_id"]) - {run_id}
    rows = rows[rows["run_id"].isin(published) & (rows["as_of"] < as_of)]
    rows = rows.sort_values(["as_of", "made_at"], kind="stable")
    return rows.drop_duplicates("account_id", keep="last")[columns].reset_index(drop=True)
