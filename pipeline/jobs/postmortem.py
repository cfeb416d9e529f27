"""Each account that left: first warning, days of notice, what was known and tried, and the rule
that was nearest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd

from features.errors import NotFound
from features.naming import facts_table
from models.drivers import sentence
from pipeline.actions.worklist import largest_reasons
from pipeline.alerts.episodes import OPERATOR, Alert
from pipeline.alerts.hindsight import (
    LOOK_BACK_DAYS,
    Nearest,
    SeenHealth,
    Warned,
    first_warning,
    nearest_rule,
)
from pipeline.alerts.rules import Edges
from pipeline.alerts.tables import read_alerts
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, connected
from pipeline.jobs.accounts import account_named
from pipeline.jobs.driver_rows import read_drivers
from pipeline.jobs.explain_scale import band_edges
from pipeline.jobs.history import score_history
from pipeline.jobs.outcomes import lost_accounts
from pipeline.jobs.stage import load_staged
from pipeline.ledger import published_run
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

REASONS_KNOWN = 3


@dataclass(frozen=True)
class PostMortem:
    """One account that left.

    Attributes
    ----------
    path
        What readers saw of it in its last year, oldest first.
    known
        The reasons on its page at the last run before it left, in words.
    told
        Rule -> the date on which its alert was first told.
    tried
        What the team did in its last year: date and play, oldest first.
    nearest
        The default rule about the score that came nearest; None where it never had a score.
    reason_given
        Why its last contract ended, as the contracts say it; empty where they do not.
    """

    account_id: str
    name: str
    owner: str
    value_per_year: float | None
    currency: str
    left_on: date
    warned: Warned | None
    path: tuple[SeenHealth, ...]
    known: tuple[str, ...]
    told: Mapping[str, date]
    tried: tuple[tuple[date, str], ...]
    nearest: Nearest | None
    reason_given: str


def post_mortems(
    workspace: Workspace, target: Target, first: date, until: date, account: str | None = None
) -> tuple[PostMortem, ...]:
    """What happened to the accounts that left from `first` on and before `until`.

    Parameters
    ----------
    account
        Id or name: only this one.

    Raises
    ------
    NotFound
        The account did not leave in that time, naming those that did.
    """
    lost = lost_accounts(workspace, target, first, until)
    people = _people(workspace)
    lost = lost.merge(people, on="account_id", how="left")
    if account is not None:
        if lost.empty:
            raise NotFound(f"no account left from {first} on and before {until}.")
        where = f"that left from {first} on and before {until}"
        lost = lost[lost["account_id"] == account_named(account, lost, where)]
    history = read_alerts(workspace.store, target.name)
    with connected() as connection:
        staged = load_staged(workspace, connection)
        return tuple(
            _post_mortem(workspace, target, connection, staged, row, history)
            for row in lost.to_dict("records")
        )


def span_of(
    workspace: Workspace, target: Target, month: date | None, *, whole_year: bool
) -> tuple[date, date]:
    """First day of a report and the first day after it.

    Without a month: the last whole one before the run that readers see, or the year before it.
    """
    if month is not None:
        return month, (month + timedelta(days=31)).replace(day=1)
    today = published_run(workspace.store, target.name).day
    if whole_year:
        return today - timedelta(days=LOOK_BACK_DAYS), today
    until = today.replace(day=1)
    return (until - timedelta(days=1)).replace(day=1), until


def _people(workspace: Workspace) -> pd.DataFrame:
    """Who the accounts were at their last run."""
    columns = ["account_id", "as_of", "name", "owner", "value_per_year", "currency"]
    rows = workspace.store.read("portfolio", columns=columns)
    newest = rows.sort_values("as_of", kind="stable").drop_duplicates("account_id", keep="last")
    return newest.drop(columns="as_of")


def _post_mortem(
    workspace: Workspace,
    target: Target,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    row: Mapping[Any, Any],
    history: Sequence[Alert],
) -> PostMortem:
    account_id, left_on = str(row["account_id"]), pd.Timestamp(str(row["left_at"])).date()
    scores = [
        each
        for each in score_history(workspace, target, account_id)
        if each.as_of.date() < left_on and (left_on - each.as_of.date()).days <= LOOK_BACK_DAYS
    ]
    path = tuple(
        SeenHealth(
            each.as_of.date(),
            None if pd.isna(each.health) else float(each.health),
            each.standing,
            each.marker,
        )
        for each in scores
    )
    first_alerts: dict[str, date] = {}
    for alert in history:
        is_mine = alert.account_id == account_id and alert.kind != OPERATOR
        if is_mine and alert.told_on is not None and alert.told_on < left_on:
            first_alerts[alert.rule] = min(
                alert.told_on, first_alerts.get(alert.rule, alert.told_on)
            )
    last = next((each.run_id for each in reversed(scores) if not pd.isna(each.health)), None)
    value = row["value_per_year"]
    return PostMortem(
        account_id=account_id,
        name=_text(row["name"], account_id),
        owner=_text(row["owner"], ""),
        value_per_year=float(value) if isinstance(value, float) and not pd.isna(value) else None,
        currency=_text(row["currency"], workspace.project.currency),
        left_on=left_on,
        warned=first_warning(path, first_alerts, left_on),
        path=path,
        known=() if last is None else _known(workspace, target, last, account_id),
        told=first_alerts,
        tried=_tried(connection, staged, account_id, left_on),
        nearest=nearest_rule(path, Edges(*band_edges(workspace)), left_on),
        reason_given=_reason_given(connection, staged, account_id, left_on),
    )


def _text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) and value else otherwise


def _known(workspace: Workspace, target: Target, run_id: str, account_id: str) -> tuple[str, ...]:
    rows = read_drivers(
        workspace.store,
        [("target", "=", target.name), ("run_id", "=", run_id), ("account_id", "=", account_id)],
    )
    largest = largest_reasons(rows, most=REASONS_KNOWN)
    return tuple(
        f"{sentence(said, compared)} ({int(points):+d})"
        for said, compared, points in zip(
            largest["said"], largest["compared"], largest["points_displayed"], strict=True
        )
    )


def _tried(
    connection: Connection, staged: Mapping[str, StagedSource], account_id: str, left_on: date
) -> tuple[tuple[date, str], ...]:
    """Plays of its last year, not those it was kept out of on purpose."""
    tried: list[tuple[date, str]] = []
    for name, source in staged.items():
        if source.contract.table != "interventions":
            continue
        when = (
            "coalesce(t.done_at, t.assigned_at)" if source.is_mapped("done_at") else "assigned_at"
        )
        rows = connection.execute(
            f"select make_timestamp(cast({when} as bigint)), t.play from {facts_table(name)} t"
            " where t.account_id = ? and (t.is_holdout is null or not t.is_holdout) order by 1, 2",
            [account_id],
        ).fetchall()
        tried += [
            (at.date(), str(play))
            for at, play in rows
            if left_on - timedelta(days=LOOK_BACK_DAYS) <= at.date() < left_on
        ]
    return tuple(sorted(set(tried)))


def _reason_given(
    connection: Connection, staged: Mapping[str, StagedSource], account_id: str, left_on: date
) -> str:
    """`end_reason` of the contract that ended last, up to the day it left."""
    given: list[tuple[date, str]] = []
    for name, source in staged.items():
        if source.contract.table != "subscriptions" or not source.is_mapped("end_reason"):
            continue
        rows = connection.execute(
            f"select make_timestamp(cast(ends_at as bigint)), end_reason from {facts_table(name)}"
            " where account_id = ? and ends_at is not null and end_reason is not null",
            [account_id],
        ).fetchall()
        given += [(at.date(), str(reason)) for at, reason in rows if at.date() <= left_on]
    return max(given)[1] if given else ""
