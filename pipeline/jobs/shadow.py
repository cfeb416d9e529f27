"""Score with the candidate beside the model in use without publishing it, or lay an old score from
a table beside the published one: who stands elsewhere and why, and which was right.

What a candidate says is kept in the table `shadow`; once the outcome is known, rows that were kept
before it could be are judged.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import ConfigError, ContractError
from models.bundle import Bundle, score
from models.drivers.words import signal_words
from models.side_by_side import Judgement, judge, places
from pipeline.actions.worklist import largest_reasons
from pipeline.config.schema import Source, Target
from pipeline.edge.text import visible
from pipeline.engine.duckdb import connected
from pipeline.jobs.driver_rows import read_drivers
from pipeline.jobs.features import build_scoring
from pipeline.jobs.outcomes import LATEST_DAYS, OutcomesReport, outcomes_report
from pipeline.jobs.past_runs import past_bundle
from pipeline.jobs.registry import need_version
from pipeline.jobs.score import published_table
from pipeline.jobs.scoring_rows import scoring_rows
from pipeline.ledger import RunRow, published_run
from pipeline.published import read_scores
from pipeline.staging.casts import Physical
from pipeline.staging.read import open_raw
from pipeline.tracking import CHALLENGER
from pipeline.workspace import Workspace, target_rule

SHADOW = "shadow"
SHADOWED = (
    ("account_id", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("run_id", pa.string()),
    ("model_version", pa.string()),
    ("candidate_version", pa.string()),
    ("probability", pa.float64()),
    ("candidate_probability", pa.float64()),
    ("health", pa.int64()),
    ("candidate_health", pa.int64()),
    ("band", pa.string()),
    ("candidate_band", pa.string()),
    ("place", pa.int64()),
    ("candidate_place", pa.int64()),
    ("why", pa.string()),
    ("kept_at", pa.timestamp("us")),
)
OLDEST_DAYS = 92
"""An old score of an account counts on a date if it is no older than this."""
LISTED_SHARE = 0.1
"""Share of the accounts on a list where the project names no `[objective] capacity`."""
LEAST_POINTS_MOVED = 1.0
ACCOUNTS_EXPLAINED_AT_ONCE = 20_000


@dataclass(frozen=True)
class OldScore:
    """Where an old score is: a file, its columns, and what a high value means."""

    file: Path
    account: str
    score: str
    date: str | None
    high_is_good: bool


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Two scores of the accounts of a run.

    `accounts`: account_id, name, owner, segment, value_per_year, currency, health, band, place (on
    the published list, 1 the most likely), other_health, other_band (empty beside an old score),
    other_score (the old score), other_place, moved (places up the list, towards the event), why.
    """

    run: RunRow
    other: str
    """The other score, in words."""
    is_candidate: bool
    capacity: int
    accounts: pd.DataFrame
    without: int
    """Accounts of the run with a score that the other does not have."""
    unreadable: int
    """Rows of the table whose account, score or date could not be read."""
    overall: Judgement | None
    """None where nothing can be judged yet; `waiting` says why."""
    segments: tuple[Judgement, ...]
    dates: tuple[pd.Timestamp, ...]
    waiting: str

    @property
    def in_both(self) -> int:
        """Accounts among the first `capacity` of both."""
        first = self.accounts[["place", "other_place"]] <= self.capacity
        return int(first.all(axis=1).sum())


def shadow_candidate(workspace: Workspace, target: Target) -> SideBySide:
    """Score the accounts of the current run with the candidate, and keep what it says.

    Raises
    ------
    NotFound
        Nothing was published yet, or the model of the run is gone.
    NoModel
        There is no candidate.
    ConfigError
        The candidate is the model that scored the run.
    """
    run = published_run(workspace.store, target.name)
    candidate = need_version(
        workspace, target, CHALLENGER, "Run `tenure train`; it trains one."
    ).bundle
    if candidate.model_version == run.model_version:
        raise ConfigError(
            f"model {candidate.model_version} is in use and the candidate at once: there is nothing"
            " to compare. `tenure train` trains another candidate."
        )
    published = _published(workspace, target, run)
    features, scored = _scored_by(workspace, target, run, candidate)
    both = published.merge(scored, on="account_id")
    both = _placed(both, good=target_rule(target).is_good)
    both["why"] = _why_candidate(workspace, target, run, candidate, features, both)
    _keep(workspace, target, run, candidate, both)
    report = outcomes_report(workspace, target)
    judged = _kept_rows(workspace, target, candidate, report)
    return _side_by_side(
        workspace,
        run,
        both,
        _labelled(workspace, target, judged, report),
        other=f"candidate {candidate.model_version}",
        is_candidate=True,
        without=len(published) - len(both),
        unreadable=0,
        waiting=(
            "No date has been scored by this candidate whose outcome is known. Run `tenure shadow`"
            " after each night; what it says is kept, and judged once it is known who left."
        ),
    )


def beside_old_score(workspace: Workspace, target: Target, old: OldScore) -> SideBySide:
    """Lay an old score beside the current run, and judge both on every date whose outcome is known.

    Raises
    ------
    NotFound
        Nothing was published yet.
    ContractError
        The table cannot be read, lacks a column, or names no account of the run.
    """
    run = published_run(workspace.store, target.name)
    rows, unreadable = _read_old(workspace, old)
    # A risk: for a target about growth the event is good.
    sign = 1.0 if old.high_is_good == target_rule(target).is_good else -1.0
    rows = rows.assign(other_risk=rows["other_score"] * sign)
    published = _published(workspace, target, run)
    both = published.merge(_known_on(rows, run.as_of), on="account_id")
    if both.empty:
        raise ContractError(
            f"{old.file.name} scores none of the {len(published):,} accounts of"
            f" {run.day} within {OLDEST_DAYS} days before. It names, for example,"
            f" {_examples(rows)}; the run names {_examples(published)}."
        )
    both = _placed(both, good=target_rule(target).is_good)
    both["why"] = _why_published(workspace, target, run, both)
    report = outcomes_report(workspace, target)
    matched = [
        _known_on(rows, each.run.as_of).assign(run_id=each.run.run_id)
        for each in report.judged
        if each.in_time and old.date is not None
    ]
    columns = ["account_id", "other_risk", "run_id"]
    judged = pd.concat(matched)[columns] if matched else pd.DataFrame(columns=columns)
    return _side_by_side(
        workspace,
        run,
        both,
        _labelled(workspace, target, judged, report),
        other=f"the score of {visible(old.file.name, one_line=True)}",
        is_candidate=False,
        without=len(published) - len(both),
        unreadable=unreadable,
        waiting=(
            "Name the column of the scores' dates with --date: without it nobody can tell which"
            " were known before the outcome."
            if old.date is None
            else "No published date with a known outcome has old scores from before it."
        ),
    )


# --- the two scores of a date


def _published(workspace: Workspace, target: Target, run: RunRow) -> pd.DataFrame:
    """Accounts of the run with a score, and who they are."""
    mine = [("run_id", "=", run.run_id)]
    columns = ["account_id", "probability", "health", "health_exact"]
    scores = read_scores(workspace.store, mine, columns)
    people = workspace.store.read("portfolio", filters=mine).drop(
        columns=["as_of", "run_id", "renewal_date"]
    )
    scores = scores[scores["health_exact"].notna()].merge(people, on="account_id", how="left")
    return scores.assign(
        name=scores["name"].fillna(scores["account_id"]),
        risk=_risk(scores, good=target_rule(target).is_good),
    ).sort_values("account_id", ignore_index=True)


def _risk(scores: pd.DataFrame, *, good: bool) -> "pd.Series[float]":
    """How likely the event is, as an order: the probability, of a scorecard the score."""
    if scores["probability"].notna().all():
        return scores["probability"].astype(float)
    return scores["health_exact"].astype(float) * (1 if good else -1)


def _scored_by(
    workspace: Workspace, target: Target, run: RunRow, candidate: Bundle
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The candidate's feature rows of the date of the run by account, and what it says of them."""
    with connected() as connection:
        built = build_scoring(
            workspace, connection, target, run.day, candidate.choices, candidate.published.signals
        )
        candidate.published.check_signals(built.signals)
        rows = scoring_rows(connection, candidate.published.columns, run.day).frame()
    features = rows[rows.notna().any(axis=1)]
    table = score(candidate, features).table.rename_axis("account_id").reset_index()
    other = table[["account_id", "probability", "health", "band"]].rename(
        columns={name: f"other_{name}" for name in ("probability", "health", "band")}
    )
    return features, other.assign(other_risk=_risk(table, good=target_rule(target).is_good))


def _placed(both: pd.DataFrame, *, good: bool) -> pd.DataFrame:
    both = both.reindex(
        columns=[*both.columns, *({"other_health", "other_band", "other_score"} - {*both.columns})]
    )
    both["place"] = places(both["risk"].to_numpy())
    both["other_place"] = places(both["other_risk"].to_numpy())
    # How far up the list the account is that it would not have been by the other score.
    return both.assign(moved=both["other_place"] - both["place"])


# --- why


def _why_candidate(
    workspace: Workspace,
    target: Target,
    run: RunRow,
    candidate: Bundle,
    features: pd.DataFrame,
    both: pd.DataFrame,
) -> list[str]:
    """The measure whose points differ most in the direction in which the account moved."""
    used = past_bundle(workspace, target, run)
    wanted = pd.Index(both["account_id"])
    features = features.reindex(wanted)
    stored = workspace.store.read(
        f"features_scored_{target.name}", filters=[("run_id", "=", run.run_id)]
    ).set_index("account_id")
    ours = _points_by_driver(used, stored.reindex(wanted))
    theirs = _points_by_driver(candidate, features)
    names = theirs.columns.union(ours.columns)
    gap = theirs.reindex(columns=names, fill_value=0.0) - ours.reindex(
        columns=names, fill_value=0.0
    )
    signals = {s.driver: s for s in (*used.published.signals, *candidate.published.signals)}
    toward = np.sign(both["other_health"].astype(float) - both["health"].astype(float))
    why = []
    for number, direction in enumerate(toward):
        towards = gap.iloc[number] * direction
        driver = str(towards.idxmax())
        if direction == 0 or towards[driver] < LEAST_POINTS_MOVED:
            why.append("")
            continue
        signal = signals[driver]
        table = features if signal.column in features else stored.reindex(wanted)
        value = table[signal.column].astype(float).iloc[number]
        words = signal_words(signal, value, currency=workspace.project.currency)
        before, after = (
            each[driver].iloc[number] if driver in each else 0.0 for each in (ours, theirs)
        )
        why.append(f"{words}: {after:+.0f} points, {before:+.0f} in the score in use")
    return why


def _points_by_driver(bundle: Bundle, features: pd.DataFrame) -> pd.DataFrame:
    """Exact points by driver, account by account."""
    columns = bundle.published.columns
    drivers = [signal.driver for signal in bundle.published.signals]
    parts = []
    for start in range(0, len(features), ACCOUNTS_EXPLAINED_AT_ONCE):
        part = features.iloc[start : start + ACCOUNTS_EXPLAINED_AT_ONCE]
        points = score(bundle, part[columns].astype("float64")).points
        table = pd.DataFrame(points, index=part.index, columns=drivers)
        parts.append(table.T.groupby(level=0).sum().T)
    return pd.concat(parts)


def _why_published(
    workspace: Workspace, target: Target, run: RunRow, both: pd.DataFrame
) -> list[str]:
    """What tenure sees: of accounts further up its list what speaks for the event, of others what
    speaks against it.
    """
    drivers = read_drivers(workspace.store, [("run_id", "=", run.run_id)])
    good = target_rule(target).is_good
    up, down = (
        largest_reasons(drivers, good_event=event, most=1).set_index("account_id")["said"]
        for event in (good, not good)
    )
    return [
        "" if moved == 0 else str((up if moved > 0 else down).get(account, ""))
        for account, moved in zip(both["account_id"], both["moved"], strict=True)
    ]


# --- the table of an old score


def _read_old(workspace: Workspace, old: OldScore) -> tuple[pd.DataFrame, int]:
    """Rows of the table: account_id, other_score, known_on (null without dates), and how many could
    not be read.
    """
    with connected() as connection, ExitStack() as resources:
        location = str(old.file)
        raw = open_raw(
            connection, location, None, Source(location=location), workspace.data_dir, resources
        )
        columns = [
            f"trim(cast({raw.required(old.account).sql} as varchar)) as account_id",
            f"try_cast({_number(raw.required(old.score))} as double) as other_score",
            "null::timestamp as known_on"
            if old.date is None
            else f"try_cast({raw.required(old.date).sql} as timestamp) as known_on",
        ]
        rows = connection.execute(f"select {', '.join(columns)} from {raw.relation}").df()
    readable = rows["account_id"].fillna("").ne("") & np.isfinite(rows["other_score"])
    if old.date is not None:
        readable &= rows["known_on"].notna()
    if not readable.any():
        raise ContractError(
            f"no row of {old.file.name} has an account in `{old.account}`, a number in"
            f" `{old.score}`" + (f" and a date in `{old.date}`." if old.date else ".")
        )
    kept = rows[readable].astype({"known_on": "datetime64[us]"})
    return kept.reset_index(drop=True), int((~readable).sum())


def _number(column: Physical) -> str:
    return f"trim({column.sql})" if column.is_text else column.sql


def _known_on(rows: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The newest old score of each account on a date: known before it, and not too old."""
    age = as_of - rows["known_on"]
    is_known = (age >= pd.Timedelta(0)) & (age <= pd.Timedelta(days=OLDEST_DAYS))
    usable = rows[is_known | rows["known_on"].isna()].sort_values("known_on", kind="stable")
    newest = usable.drop_duplicates("account_id", keep="last")
    return newest[["account_id", "other_score", "other_risk"]].reset_index(drop=True)


def _examples(rows: pd.DataFrame) -> str:
    return ", ".join(visible(str(each), one_line=True) for each in rows["account_id"].head(3))


# --- which was right


def _kept_rows(
    workspace: Workspace, target: Target, candidate: Bundle, report: OutcomesReport
) -> pd.DataFrame:
    """What this candidate said, in time, of runs whose outcome is known."""
    rows = workspace.store.read(
        SHADOW,
        filters=[
            ("target", "=", target.name),
            ("candidate_version", "=", candidate.model_version),
        ],
    )
    in_time = rows["kept_at"] < rows["as_of"] + pd.Timedelta(days=LATEST_DAYS + 1)
    is_judged = rows["run_id"].isin([each.run.run_id for each in report.judged if each.in_time])
    rows = rows[in_time & is_judged].assign(other_probability=rows["candidate_probability"])
    risk = _risk(
        rows.assign(
            probability=rows["candidate_probability"], health_exact=rows["candidate_health"]
        ),
        good=target_rule(target).is_good,
    )
    return rows.assign(other_risk=risk)[["account_id", "run_id", "other_risk", "other_probability"]]


def _labelled(
    workspace: Workspace, target: Target, other: pd.DataFrame, report: OutcomesReport
) -> pd.DataFrame:
    """Rows that both scored and whose outcome is known, as `judge` reads them, with segment."""
    parts = []
    for each in report.judged:
        theirs = other[other["run_id"] == each.run.run_id]
        if theirs.empty:
            continue
        mine = _published(workspace, target, each.run)
        rows = each.rows[["account_id", "label"]].merge(
            mine[["account_id", "risk", "probability", "segment"]], on="account_id"
        )
        parts.append(rows.merge(theirs, on="account_id").assign(as_of=each.run.as_of))
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True).rename(
        columns={"risk": "ours", "other_risk": "theirs"}
    )
    both = rows.reindex(columns=["probability", "other_probability"]).notna().all(axis=None)
    if both:
        rows = rows.assign(
            ours_probability=rows["probability"], theirs_probability=rows["other_probability"]
        )
    return rows


def _side_by_side(
    workspace: Workspace,
    run: RunRow,
    both: pd.DataFrame,
    labelled: pd.DataFrame,
    **facts: Any,
) -> SideBySide:
    capacity = workspace.project.objective.capacity or max(1, round(len(both) * LISTED_SHARE))
    seed = workspace.project.training.seed
    order = both.assign(size=both["moved"].abs()).sort_values(
        ["size", "account_id"], ascending=[False, True], kind="stable"
    )
    columns = [
        *("account_id", "name", "owner", "segment", "value_per_year", "currency", "health"),
        *("band", "place", "other_health", "other_band", "other_score", "other_place", "moved"),
        "why",
    ]
    of_segments = (
        [
            judge(part, capacity, group=str(name), seed=seed)
            for name, part in labelled.groupby("segment")
        ]
        if len(labelled)
        else []
    )
    return SideBySide(
        run=run,
        capacity=capacity,
        accounts=order[columns].reset_index(drop=True),
        overall=judge(labelled, capacity, seed=seed) if len(labelled) else None,
        segments=tuple(of_segments),
        dates=tuple(sorted(labelled["as_of"].unique())) if len(labelled) else (),
        **facts,
    )


def _keep(
    workspace: Workspace, target: Target, run: RunRow, candidate: Bundle, both: pd.DataFrame
) -> None:
    """Keep what the candidate says; what it said of this run before stays as it was said then."""
    store = workspace.store
    if store.exists(SHADOW):
        said = store.read(
            SHADOW,
            columns=["run_id"],
            filters=[
                ("run_id", "=", run.run_id),
                ("candidate_version", "=", candidate.model_version),
            ],
        )
        if len(said):
            return
    rows = both.rename(
        columns={
            "other_probability": "candidate_probability",
            "other_health": "candidate_health",
            "other_band": "candidate_band",
            "other_place": "candidate_place",
        }
    ).assign(
        as_of=run.as_of,
        target=target.name,
        run_id=run.run_id,
        model_version=run.model_version,
        candidate_version=candidate.model_version,
        kept_at=workspace.now,
    )
    store.write(SHADOW, published_table(rows, SHADOWED), append=True, partition_by=["target"])
