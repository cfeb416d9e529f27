"""Published runs whose outcome is known by now: what they promised, beside what happened to their
accounts.

Which runs. Of several runs of one date the one readers saw last before its outcome could be known;
runs taken back (superseded) are left out. A run is judged when the data complete the label window
of its accounts, no day earlier.

What is read. Scores, bands and drivers are those that were published. What became known since
enters the labels alone, which are made by the rules of `models.labels` as the run's own
configuration describes its target.

Promise or hindsight. `tenure score --as-of` can score a date long past, with a model that has
learned what followed. Such a run is shown and marked; it is no promise, and the verdict over all
runs leaves it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd

from features.errors import ChurnError, NotFound
from models.health.scale import GOOD_EVENT_BANDS, HEALTH_BANDS
from models.health.standing import MEMBER, UNKNOWN, is_leaving
from models.health.words import is_decided_later
from models.targets import WITHOUT_MOMENT
from models.track_record import Record, calm_leavers, judged, record
from pipeline.actions.worklist import largest_reasons
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, connected, midnight
from pipeline.engine.facts import put_table
from pipeline.jobs.driver_rows import read_drivers
from pipeline.jobs.features import data_until, grid_candidates, take_labels
from pipeline.jobs.past_runs import past_project, past_target
from pipeline.jobs.stage import load_staged
from pipeline.jobs.treated import treated_rows
from pipeline.ledger import (
    KEPT_STATES,
    RunRow,
    current_run,
    nothing_published,
    read_runs,
    run_dates,
    run_rows,
)
from pipeline.published import read_scores
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, target_rule

LATEST_DAYS = 31
"""A run first published more days after its date than this, or half its horizon, could know part of
its outcome.
"""
SHOWN_LEAVERS = 10
_COLUMNS = [
    "account_id",
    "as_of",
    "horizon_days",
    "probability",
    "decides_on",
    "health",
    "health_exact",
    "band",
    "band_reason",
    "state",
]
_NO_LABEL = {
    "ended_before": "over before the date, learnt later",
    "left_in_gap": "left in the gap before the window",
    "kind_unknown": "left, nobody says whether by choice",
    "feed_silent": "outcome not known, the feed was silent",
    "no_contract_end": "no contract end agreed",
    "incomplete": "window not over yet",
    "gone": "no longer in the data",
}
# Kinds of which the end of cover of an account under notice tells whether the event came.
_SAID_BY_NOTICE = ("churn", "voluntary")
_NOTICE = {"notice": "under notice already", "lapsed": "lapsed already"}


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """A matured run.

    `calm_left` are the accounts of the calm band that left, at most ten, the largest value first:
    account_id, name, value_per_year, currency, health, probability, left_at, towards, away (the
    driver that spoke most for the event, and the one that spoke most against it; empty where none
    did).
    """

    run: RunRow
    scored_on: date
    in_time: bool
    in_use: bool
    """Whether its model is that of the run readers see now."""
    record: Record
    calm_left: pd.DataFrame
    rows: pd.DataFrame
    """The judged rows: account_id, probability (missing: a scorecard) and label."""


@dataclass(frozen=True)
class WaitingRun:
    """A run whose outcome is not known yet, and the first day on which data until then
    complete it.
    """

    run: RunRow
    matures_on: date | None


@dataclass(frozen=True, eq=False)
class OutcomesReport:
    """Every published run of a target, oldest first: judged, or waiting for its outcome.

    `until` is the first day the data do not cover. `months` judge the runs of a calendar month
    together, told where a month has several; `overall` all runs published in time, None where there
    is none. `superseded` counts runs taken back, `replaced` those of a date that another run speaks
    for. `unreadable` are runs that cannot be judged, with the reason.
    """

    target: str
    kind: str
    horizon_days: int | None
    until: date
    judged: tuple[JudgedRun, ...]
    waiting: tuple[WaitingRun, ...]
    months: tuple[tuple[str, Record], ...]
    overall: Record | None
    superseded: int
    replaced: int
    unreadable: tuple[tuple[str, str], ...]

    @property
    def newest(self) -> JudgedRun | None:
        """The newest run that was published in time and has matured."""
        return next((each for each in reversed(self.judged) if each.in_time), None)


@dataclass(frozen=True)
class _FirstSeen:
    """A run as its readers saw it first."""

    run: RunRow
    scored_at: pd.Timestamp
    in_time: bool
    """Whether it was published before its outcome could be known."""


@dataclass(frozen=True, eq=False)
class _Followed:
    """A run with the outcome of its rows."""

    promise: _FirstSeen
    target: Target
    rows: pd.DataFrame

    @property
    def run(self) -> RunRow:
        """The run."""
        return self.promise.run


def outcomes_report(
    workspace: Workspace,
    target: Target,
    *,
    on: pd.Timestamp | None = None,
    newest: int | None = None,
) -> OutcomesReport:
    """Judge the published runs of a target by what is known now.

    Parameters
    ----------
    on
        As the page of this date tells it: runs until then, judged where their outcome was over by
        then.
    newest
        Judge no more than so many runs, the newest; default: all.

    Raises
    ------
    NotFound
        When nothing was published for the target.
    """
    runs, superseded, replaced = _runs(workspace, target)
    if runs.empty:
        raise nothing_published(target.name)
    every_run, runs = runs, runs if on is None else runs[runs["as_of"] <= on]
    if runs.empty:
        raise NotFound(
            f"target {target.name!r} has no published run of {on:%Y-%m-%d} or before. Published"
            f" dates: {run_dates(every_run)}."
        )
    definitions, unreadable = _definitions(workspace, target, runs)
    readable = [each for each in _promises(runs) if each.run.config_hash in definitions]
    with connected() as connection:
        staged = load_staged(workspace, connection)
        until = max(data_until(workspace, staged, target).values())
        until = until if on is None else min(until, on.date())
        days = [_matures_on(definitions[each.run.config_hash], each.run) for each in readable]
        waiting = [
            WaitingRun(each.run, day)
            for each, day in zip(readable, days, strict=True)
            if day is not None and day > until
        ]
        ready = [
            each for each, day in zip(readable, days, strict=True) if day is None or day <= until
        ]
        ready = ready[-(newest or len(ready)) :]
        followed = [
            each
            for described, then in definitions.items()
            for each in _follow(
                workspace,
                connection,
                staged,
                then,
                [each for each in ready if each.run.config_hash == described],
                until,
            )
        ]
    waiting += [
        WaitingRun(each.run, day) for each in followed if (day := _open_until(each)) is not None
    ]
    over = sorted(
        (each for each in followed if _open_until(each) is None), key=lambda each: each.run.as_of
    )
    current = current_run(workspace.store, target.name)
    in_use = None if current is None else current.model_version
    in_time = _of_one_kind([each for each in over if each.promise.in_time])
    return OutcomesReport(
        target=target.name,
        kind=target.kind,
        horizon_days=target.horizon_days,
        until=until,
        judged=tuple(_judge(workspace, each, in_use) for each in over),
        waiting=tuple(sorted(waiting, key=lambda each: each.run.as_of)),
        months=_months(in_time),
        overall=_together(in_time),
        superseded=superseded,
        replaced=replaced,
        unreadable=unreadable,
    )


def _runs(workspace: Workspace, target: Target) -> tuple[pd.DataFrame, int, int]:
    """Runs to judge, oldest first, one of each date; how many were taken back, and how many another
    run speaks for.
    """
    rows = run_rows(workspace.store)
    mine = rows[(rows["target"] == target.name) & rows["state"].isin(KEPT_STATES)]
    if mine.empty:
        return (
            mine.assign(scored_at=pd.Series(dtype="datetime64[us]"), in_time=pd.Series(dtype=bool)),
            0,
            0,
        )
    # A run scored again from the same inputs, or rolled back to, has a later row; its promise was
    # made with the first.
    first = (
        workspace.store.read(
            "runs", columns=["run_id", "started_at"], filters=[("state", "=", "published")]
        )
        .groupby("run_id")["started_at"]
        .min()
    )
    mine = mine.assign(scored_at=mine["run_id"].map(first))
    is_in_time = map(_is_in_time, read_runs(mine), mine["scored_at"])
    mine = mine.assign(in_time=list(is_in_time))
    seen = mine[mine["state"] == "published"].sort_values(
        ["as_of", "in_time", "published_at"], kind="stable"
    )
    chosen = seen.drop_duplicates("as_of", keep="last").reset_index(drop=True)
    return chosen, len(mine) - len(seen), len(seen) - len(chosen)


def _promises(runs: pd.DataFrame) -> list[_FirstSeen]:
    """Rows of `_runs` with named fields."""
    firsts = zip(runs["scored_at"], runs["in_time"], strict=True)
    return [
        _FirstSeen(run, scored_at, bool(in_time))
        for run, (scored_at, in_time) in zip(read_runs(runs), firsts, strict=True)
    ]


def _is_in_time(run: RunRow, scored_at: pd.Timestamp) -> bool:
    days = LATEST_DAYS if run.horizon_days is None else min(LATEST_DAYS, run.horizon_days // 2)
    return bool(scored_at < run.as_of + pd.Timedelta(days=days + 1))


def _definitions(
    workspace: Workspace, target: Target, runs: pd.DataFrame
) -> tuple[dict[str, Target], tuple[tuple[str, str], ...]]:
    """The target as each configuration of the runs described it, and the runs whose configuration
    is gone.
    """
    targets: dict[str, Target] = {}
    gone: list[tuple[str, str]] = []
    for described, part in runs.groupby("config_hash", sort=True):
        try:
            targets[str(described)] = past_target(
                past_project(workspace, RunRow.of(part.iloc[0].to_dict())), target
            )
        except ChurnError as error:
            gone += [(str(run_id), str(error)) for run_id in part["run_id"]]
    return targets, tuple(gone)


def _matures_on(target: Target, run: RunRow) -> date | None:
    """First day on which data until then complete all labels of a run; None where each contract has
    its own day.
    """
    if target.horizon_days is None:
        return None
    days = target.gap_days + target.horizon_days + _grace_days(target)
    return run.day + timedelta(days=days)


def _grace_days(target: Target) -> int:
    """A label of inactivity needs no grace: the window itself is the silence."""
    return 0 if target.kind == "inactivity" else target.grace_days


def _follow(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    promises: Sequence[_FirstSeen],
    until: date,
) -> list[_Followed]:
    """Published rows of some runs with their labels."""
    if not promises:
        return []
    published = pd.concat([_published(workspace, each.run) for each in promises], ignore_index=True)
    labels = _labels(workspace, connection, staged, target, published)
    rows = published.merge(labels, on=["account_id", "as_of"], how="left")
    rows["label_reason"] = rows["label_reason"].mask(
        rows["label_until"].isna() & rows["label_reason"].isna(), "gone"
    )
    # What a page of an earlier date must not tell yet is not over.
    is_open = rows["label_until"] > pd.Timestamp(until)
    rows["label"] = rows["label"].mask(is_open)
    rows["label_reason"] = rows["label_reason"].mask(is_open & ~is_leaving(rows), "incomplete")
    rows = rows.assign(**_happened(target, rows))
    rows = rows.assign(apart=_apart(rows))
    rows = rows.assign(treated=_treated(connection, staged, rows))
    return [
        _Followed(each, target, rows[rows["run_id"] == each.run.run_id].reset_index(drop=True))
        for each in promises
    ]


def _published(workspace: Workspace, run: RunRow) -> pd.DataFrame:
    filters = [
        ("target", "=", run.target),
        ("as_of", "=", run.as_of),
        ("run_id", "=", run.run_id),
    ]
    # Tables of earlier releases have no `decides_on`.
    rows = read_scores(workspace.store, filters).reindex(columns=_COLUMNS)
    later = [
        is_decided_later(*each)
        for each in rows[["as_of", "decides_on", "horizon_days"]].itertuples(index=False)
    ]
    return rows.assign(run_id=run.run_id, decided_later=later).sort_values(
        "account_id", ignore_index=True
    )


def _labels(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    published: pd.DataFrame,
) -> pd.DataFrame:
    """Labels of published rows by what is known now: account_id, as_of, label, label_reason,
    label_until, left_at.

    Who was leaving already is taken from the run, not asked again: its readers were told so.
    Accounts that are no longer in the data have no line.
    """
    days = (published["as_of"] - pd.Timestamp(0)).dt.days.astype("int64")
    # Labels tell by it who could still leave; that a score is unknown is no state of the contract.
    state = published["state"].where(is_leaving(published), MEMBER)
    published_rows = pd.DataFrame(
        {
            "account_id": published["account_id"].astype("str"),
            "as_of_day": days,
            "state": state.astype("str"),
        }
    )
    grid_candidates(connection, workspace, staged, target, sorted(set(days.tolist())))
    put_table(connection, "published_rows", published_rows)
    connection.execute(
        """
create or replace temp table snapshots as
select p.account_id, p.as_of_day, c.partition_name, p.state, false as is_test
from published_rows p join candidates c
  on c.account_id = p.account_id and c.as_of_day = p.as_of_day"""
    )
    take_labels(workspace, connection, staged, target)
    labels = connection.execute(f"""
select account_id, {midnight("as_of_day")} as as_of, cast(label as double) as label, label_reason,
  {midnight("label_until_day")} as label_until, make_timestamp(event_us) as left_at
from labels order by account_id, as_of_day""").df()
    return labels.astype(
        {
            "as_of": published["as_of"].dtype,
            "label_until": "datetime64[us]",
            "left_at": "datetime64[us]",
        }
    )


def _happened(target: Target, rows: pd.DataFrame) -> dict[str, Any]:
    """Whether an account left inside the window, also where nothing was promised, and until when it
    could be worked on.
    """
    over = rows["label_until"] - pd.Timedelta(days=_grace_days(target))
    went = (
        (rows["left_at"] >= rows["as_of"])
        & (rows["left_at"] < over)
        & (target.kind in _SAID_BY_NOTICE)
    )
    left = (rows["label"] == 1) | (is_leaving(rows) & went)
    at = rows["left_at"].where(left & (target.kind not in WITHOUT_MOMENT))
    return {"left": left, "left_at": at, "workable_until": over.where(at.isna() | (at > over), at)}


def _apart(rows: pd.DataFrame) -> "pd.Series[str]":
    """Why a row is not judged; empty where it is."""
    unlabelled = (
        rows["label_reason"]
        .map(_NO_LABEL)
        .where(rows["label"].isna(), "")
        .fillna("outcome cannot be told")
    )
    why = unlabelled.where(rows["state"] != UNKNOWN, "published as unknown")
    return why.where(~is_leaving(rows), rows["state"].map(_NOTICE)).astype("str")


def _treated(
    connection: Connection, staged: Mapping[str, StagedSource], rows: pd.DataFrame
) -> "pd.Series[Any]":
    """Whether somebody worked on the account inside the window and before it left; null where no
    source tells.

    A call to win back who has left is no treatment of the score.
    """
    mine = judged(rows)
    worked_on = treated_rows(
        connection,
        staged,
        mine[["account_id", "as_of", "workable_until"]].rename(
            columns={"workable_until": "label_until"}
        ),
    )
    treated = pd.Series(pd.NA, index=rows.index, dtype="boolean")
    if worked_on is not None:
        treated[mine.index] = worked_on
    return treated


def _open_until(followed: _Followed) -> date | None:
    """When the first accounts of a run are over of which none is yet; None for a run to judge.

    All accounts of a run are over on one day, but where feeds end on different days or the horizon
    is the next renewal. Then one that is over is enough, the others are counted apart: which ones
    are was agreed in a contract or decided by a feed, not by what happened.
    """
    rows = followed.rows
    is_open = rows["label_reason"] == "incomplete"
    if not is_open.any() or len(judged(rows)):
        return None
    day: date = rows.loc[is_open, "label_until"].min().date()
    return day


def _judge(workspace: Workspace, followed: _Followed, in_use: str | None) -> JudgedRun:
    run, rows = followed.run, followed.rows
    return JudgedRun(
        run=run,
        scored_on=followed.promise.scored_at.date(),
        in_time=followed.promise.in_time,
        in_use=run.model_version == in_use,
        record=record(rows, _bands(followed.target)),
        calm_left=_calm_left(workspace, followed),
        rows=judged(rows)[["account_id", "probability", "label"]].reset_index(drop=True),
    )


def _bands(target: Target) -> tuple[str, str, str]:
    return GOOD_EVENT_BANDS if target_rule(target).is_good else HEALTH_BANDS


def _calm_left(workspace: Workspace, followed: _Followed) -> pd.DataFrame:
    """Accounts of the calm band that left, with what the run's drivers said of them."""
    run, store = followed.run, workspace.store
    rows = calm_leavers(followed.rows)[["account_id", "health", "probability", "left_at"]]
    people = store.read(
        "portfolio",
        columns=["account_id", "name", "value_per_year", "currency"],
        filters=[("run_id", "=", run.run_id)],
    )
    rows = rows.merge(people, on="account_id", how="left").assign(
        name=lambda t: t["name"].fillna(t["account_id"])
    )
    rows = rows.sort_values(
        ["value_per_year", "account_id"],
        ascending=[False, True],
        na_position="last",
        ignore_index=True,
    )
    rows = rows.head(SHOWN_LEAVERS)
    if rows.empty:
        return rows.assign(towards=pd.Series(dtype="str"), away=pd.Series(dtype="str"))
    drivers = read_drivers(
        store,
        [
            ("target", "=", run.target),
            ("as_of", "=", run.as_of),
            ("run_id", "=", run.run_id),
            ("account_id", "in", list(rows["account_id"])),
        ],
    )
    good = target_rule(followed.target).is_good
    return rows.assign(
        towards=_said(rows, drivers, good_event=good),
        away=_said(rows, drivers, good_event=not good),
    )


def _said(rows: pd.DataFrame, drivers: pd.DataFrame, *, good_event: bool) -> list[str]:
    first = largest_reasons(drivers, good_event=good_event, most=1).set_index("account_id")
    said = {
        account: f"{sentence} ({points:+d})"
        for account, sentence, points in zip(
            first.index, first["said"], first["points_displayed"].astype(int), strict=True
        )
    }
    return [said.get(account, "") for account in rows["account_id"]]


def _of_one_kind(followed: Sequence[_Followed]) -> list[_Followed]:
    """Runs that promised probabilities; where there are none, the scorecards."""
    promised = [each for each in followed if each.run.basis == "calibrated"]
    return promised or list(followed)


def _together(followed: Sequence[_Followed]) -> Record | None:
    if not followed:
        return None
    return record(
        pd.concat([each.rows for each in followed], ignore_index=True), _bands(followed[0].target)
    )


def _months(followed: Sequence[_Followed]) -> tuple[tuple[str, Record], ...]:
    """Runs of each calendar month judged together; nothing where no month has several."""
    months: dict[str, list[_Followed]] = {}
    for each in followed:
        months.setdefault(f"{each.run.as_of:%Y-%m}", []).append(each)
    if all(len(part) == 1 for part in months.values()):
        return ()
    return tuple(
        (month, combined)
        for month, part in months.items()
        if (combined := _together(part)) is not None
    )


# --- accounts that left
# ---------------------------------------------------------------------------------------

RUNS_APART_DAYS = 28


def lost_accounts(workspace: Workspace, target: Target, first: date, until: date) -> pd.DataFrame:
    """Accounts of published runs that left from `first` on and before `until`, as is known now.

    Runs of one month are asked for the first of them: who left was scored some weeks before, or
    was never scored.

    Returns
    -------
    DataFrame
        account_id, left_at (where the event has no moment of its own the date of the first run
        whose label says so), sorted by both.

    Raises
    ------
    NotFound
        When nothing was published for the target.
    """
    runs, _, _ = _runs(workspace, target)
    if runs.empty:
        raise nothing_published(target.name)
    runs = runs[runs["as_of"] < pd.Timestamp(until)]
    definitions, _ = _definitions(workspace, target, runs)
    chosen: list[RunRow] = []
    for run in read_runs(runs):
        is_later = not chosen or (run.as_of - chosen[-1].as_of).days >= RUNS_APART_DAYS
        if run.config_hash in definitions and is_later:
            chosen.append(run)
    pieces = []
    with connected() as connection:
        staged = load_staged(workspace, connection)
        for described, then in definitions.items():
            mine = [run for run in chosen if run.config_hash == described]
            if not mine:
                continue
            rows = pd.concat([_published(workspace, run) for run in mine], ignore_index=True)
            labels = _labels(workspace, connection, staged, then, rows)
            rows = rows.merge(labels, on=["account_id", "as_of"], how="left")
            rows = rows.assign(**_happened(then, rows))
            pieces.append(rows[rows["left"]])
    empty = pd.DataFrame({"account_id": [], "left_at": pd.Series(dtype="datetime64[us]")})
    lost = pd.concat(pieces, ignore_index=True) if pieces else empty
    if lost.empty:
        return empty
    lost = lost.assign(left_at=lost["left_at"].fillna(lost["as_of"]))
    firsts = lost.groupby("account_id", as_index=False)["left_at"].min()
    inside = (firsts["left_at"] >= pd.Timestamp(first)) & (firsts["left_at"] < pd.Timestamp(until))
    left: pd.DataFrame = firsts[inside].sort_values(["left_at", "account_id"], ignore_index=True)
    return left
