"""Why scores moved between two published runs: the inputs of each step, the split, and the table
`changes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import ChurnError, ConfigError, ContractError, NotFound
from features.sql import listed
from features.windows import day_number
from models.bundle import Bundle, score
from models.changes import (
    CAUSES,
    CAUSES_IN_WORDS,
    DATA,
    LINE_COLUMNS,
    MODEL,
    SCALE,
    ScoredState,
    change_lines,
    main_cause,
    split,
)
from models.health.standing import LEAVING, UNKNOWN, standing
from pipeline.config.schema import Project, Target
from pipeline.edge.scratch import scratch_folder
from pipeline.engine.duckdb import connected
from pipeline.jobs.accounts import account_named
from pipeline.jobs.features import build_scoring
from pipeline.jobs.past_runs import (
    find_run,
    past_bundle,
    past_project,
    past_target,
    past_workspace,
    same_version_needed,
)
from pipeline.jobs.stage import has_late_rows
from pipeline.ledger import RunRow, markers, published_run, run_before
from pipeline.published import read_scores
from pipeline.staging.late import InTime
from pipeline.workspace import Workspace

NEW, GONE = "new", "gone"
TABLE = "changes"
# Accounts split at a time, so that memory stays bounded however many there are.
CHUNK = 20_000
CHANGES = (
    ("target", pa.string()),
    ("from_run", pa.string()),
    ("to_run", pa.string()),
    ("from_as_of", pa.timestamp("us")),
    ("to_as_of", pa.timestamp("us")),
    ("account_id", pa.string()),
    ("cause", pa.string()),
    ("dimension", pa.string()),
    ("driver", pa.string()),
    ("points", pa.float64()),
    ("points_displayed", pa.int64()),
    ("value", pa.float64()),
    ("value_before", pa.float64()),
    ("words", pa.string()),
)
CHANCES = ("probability", "timing")
_SCORED = ["account_id", "health", "health_exact", "band_reason", "without", *CHANCES]


@dataclass(frozen=True)
class ScoreChanges:
    """What lies between two runs of one target.

    `lines` are the rows of `changes`; `accounts` has one row per account of either run: account_id,
    name, owner, value_per_year, currency, health_before, health_after, change (displayed),
    band_before, band_after (`leaving` and `unknown` where lists show it so; empty where the account
    is not in that run), moved_by (the cause that
    did most, empty where nothing moved; or new, gone, unknown, leaving), one column of exact
    points per cause, and `probability` and `timing` before and after (log-odds that the calendar
    adds to a health read at the decision; null where there is none). `markers` say what else
    changed between the runs, `notes` what could not be
    told apart.
    """

    before: RunRow
    after: RunRow
    lines: pd.DataFrame
    accounts: pd.DataFrame
    markers: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Side:
    """One run with everything it was made of."""

    run: RunRow
    bundle: Bundle
    project: Project
    scores: pd.DataFrame
    features: pd.DataFrame


def find_changes(
    workspace: Workspace, target: Target, first: str | None = None, last: str | None = None
) -> ScoreChanges:
    """Split the difference of two runs for every account, and publish it as `changes`.

    Parameters
    ----------
    first, last
        Run ids (or their starts) or dates; default: the current run and the one before it.

    Raises
    ------
    NotFound
        A run, its model, its configuration or its staged tables are not there any more.
    """
    before, after = _two_runs(workspace, target, first, last)
    one, two = _side(workspace, target, before), _side(workspace, target, after)
    both = _scored_in_both(one.scores, two.scores)
    notes: list[str] = []
    inputs = _inputs(workspace, target, one, two, both, notes)
    lines = pd.concat(
        [_split(workspace, one, two, inputs, both), _not_split(one.scores, two.scores)],
        ignore_index=True,
    )
    lines = lines.astype({"points_displayed": "Int64"})
    accounts = _accounts(workspace, one, two, lines)
    changes = ScoreChanges(before, after, lines, accounts, markers(before, after), tuple(notes))
    _write(workspace, target, changes)
    return changes


def find_account(changes: ScoreChanges, wanted: str) -> "pd.Series[Any]":
    """The account of that id or name in one of the two runs.

    Raises
    ------
    NotFound
        Naming the nearest ones.
    """
    accounts = changes.accounts
    where = f"in run {changes.before.run_id} or {changes.after.run_id}"
    return accounts[accounts["account_id"] == account_named(wanted, accounts, where)].iloc[0]


# --- the two runs
# ---------------------------------------------------------------------------------------


def _two_runs(
    workspace: Workspace, target: Target, first: str | None, last: str | None
) -> tuple[RunRow, RunRow]:
    if last is None:
        after = published_run(workspace.store, target.name)
    else:
        after = find_run(workspace, target, last)
    before = _run_before(workspace, after) if first is None else find_run(workspace, target, first)
    if before.run_id == after.run_id:
        raise ConfigError(
            f"--from and --to name the same run {after.run_id}. Name two; `--from` defaults to the"
            " run before."
        )
    if before.day > after.day:
        raise ConfigError(
            f"--from is of {before.day} and --to of {after.day}: name the earlier run first."
        )
    return before, after


def _run_before(workspace: Workspace, after: RunRow) -> RunRow:
    """The published run that came before another one, by date and then by when it was published."""
    before = run_before(workspace.store, after)
    if before is None:
        raise NotFound(
            f"no run was published before {after.run_id} ({after.day}), so there is nothing to"
            " compare it with. Score again later, or name two runs with --from and --to."
        )
    return before


def _side(workspace: Workspace, target: Target, run: RunRow) -> _Side:
    mine = [("run_id", "=", run.run_id)]
    scores = read_scores(workspace.store, mine, _SCORED).sort_values(
        "account_id", ignore_index=True
    )
    # Where it is shown: that an account has given notice moves it too, whatever it scores.
    scores["band"] = standing(scores)
    if "without" in scores:
        # A model that does without a source made these scores; the run's own has none of them.
        other = scores.pop("without")
        scores.loc[other.notna(), ["health", "health_exact", *CHANCES]] = np.nan
        scores["band_reason"] = scores["band_reason"].where(other.isna(), "scored without " + other)
    features = workspace.store.read(f"features_scored_{target.name}", filters=mine)
    bundle = past_bundle(workspace, target, run)
    rows = features.set_index("account_id")[bundle.published.columns].astype("float64").sort_index()
    return _Side(run, bundle, past_project(workspace, run), scores, rows)


def _scored_in_both(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Accounts with a score in both runs, by account: exact and displayed scores."""
    columns = ["account_id", "health", "health_exact"]
    one, two = (rows.dropna(subset=["health_exact"])[columns] for rows in (before, after))
    return one.merge(two, on="account_id", suffixes=("_before", "_after")).sort_values(
        "account_id", ignore_index=True
    )


# --- inputs of each step
# ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Inputs:
    """Feature rows of the accounts scored in both runs, in their order, at each step."""

    stored: pd.DataFrame
    rebuilt: pd.DataFrame
    moved: pd.DataFrame
    remodelled: pd.DataFrame


def _inputs(
    workspace: Workspace,
    target: Target,
    one: _Side,
    two: _Side,
    both: pd.DataFrame,
    notes: list[str],
) -> _Inputs:
    """Inputs of the four steps; what equals a stored table is read from it, the rest is built
    again.
    """
    ids = pd.Index(both["account_id"])
    stored, published = one.features.reindex(ids), two.features.reindex(ids)
    same_model = one.bundle.model_version == two.bundle.model_version
    same_settings = _settings(one.project, target) == _settings(two.project, target)
    same_day = one.run.day == two.run.day
    in_time = InTime(one.run.day, two.run.day)
    if one.run.staged == two.run.staged and not _came_late(workspace, one, in_time):
        rebuilt = stored
    elif same_day and same_model and same_settings:
        rebuilt = published
    else:
        rebuilt = _build(workspace, target, one.project, one.bundle, two.run, one.run.day, in_time)
    if same_day:
        moved = rebuilt
    elif same_model and same_settings:
        moved = published
    else:
        moved = _build(workspace, target, one.project, one.bundle, two.run, two.run.day)
    moved = _filled(
        moved,
        ids,
        stored,
        notes,
        "on the new date under the old settings",
        "no change in what customers did",
    )
    rebuilt = _filled(
        rebuilt, ids, moved, notes, "on the old date, as we know it now", CAUSES_IN_WORDS[DATA]
    )
    if same_model:
        return _Inputs(stored, rebuilt, moved, moved)
    return _Inputs(
        stored,
        rebuilt,
        moved,
        _for_new_model(workspace, target, one, two, published, same_settings, notes),
    )


def _settings(project: Project, target: Target) -> tuple[Any, ...]:
    """What of a configuration reaches the inputs of a score."""
    return (project.sources, project.features, project.time_zone, past_target(project, target))


def _came_late(workspace: Workspace, side: _Side, in_time: InTime) -> bool:
    """Whether rows that a run read came late: it had them, and they were not known by its date."""
    with scratch_folder("changes") as folder, connected() as connection:
        aside = past_workspace(workspace, side.project, side.run.staged, folder)
        return has_late_rows(aside, connection, in_time)


def _build(
    workspace: Workspace,
    target: Target,
    project: Project,
    bundle: Bundle,
    data: RunRow,
    day: date,
    in_time: InTime | None = None,
) -> pd.DataFrame:
    """Feature rows of a date for a model's cards, from the data as staged for a run."""
    with (
        scratch_folder("changes") as folder,
        connected() as connection,
        same_version_needed(data),
    ):
        aside = past_workspace(workspace, project, data.staged, folder)
        built = build_scoring(
            aside,
            connection,
            past_target(project, target),
            day,
            bundle.choices,
            bundle.published.signals,
            in_time,
        )
        bundle.published.check_signals(built.signals)
        columns = listed(bundle.published.columns)
        rows = connection.execute(
            f"select account_id, {columns} from features where as_of_day = {day_number(day)} "
            "order by account_id"
        ).df()
    return rows.set_index("account_id").astype("float64")


def _filled(
    rows: pd.DataFrame,
    ids: pd.Index,
    other: pd.DataFrame,
    notes: list[str],
    when: str,
    counted_as: str,
) -> pd.DataFrame:
    """Rows of all accounts; who is not in the population of a step takes the inputs of the step
    beside it.
    """
    absent = ids.difference(rows.index)
    if len(absent):
        notes.append(
            f"{len(absent)} accounts, such as {absent[0]}, are not among the scored accounts"
            f" {when}. Their change is counted as {counted_as}."
        )
    filled = rows.reindex(ids)
    filled.loc[absent] = other.loc[absent]
    return filled


def _for_new_model(
    workspace: Workspace,
    target: Target,
    one: _Side,
    two: _Side,
    published: pd.DataFrame,
    same_settings: bool,
    notes: list[str],
) -> pd.DataFrame:
    """Inputs of the new model under the old configuration, so that what the configuration did comes
    last.
    """
    if same_settings:
        return published
    # Cards belong to the model, so [features] goes with it; sources and population stay as they
    # were.
    project = replace(one.project, features=two.project.features)
    # A step between the two runs: the old settings under the new model. Where the new model needs
    # sources that the old settings lack, there is no such step.
    try:
        rows = _build(workspace, target, project, two.bundle, two.run, two.run.day)
    except ChurnError:
        notes.append(
            "model and configuration of the sources changed together and cannot be told apart: what"
            " the configuration did to the inputs is counted under the new model."
        )
        return published
    return _filled(
        rows,
        published.index,
        published,
        notes,
        "on the new date under the old settings",
        CAUSES_IN_WORDS[MODEL],
    )


# --- the split
# --------------------------------------------------------------------------------------------


def _split(
    workspace: Workspace, one: _Side, two: _Side, inputs: _Inputs, both: pd.DataFrame
) -> pd.DataFrame:
    """Lines of every account scored in both runs."""
    pieces = []
    for start in range(0, max(1, len(both)), CHUNK):
        rows = slice(start, start + CHUNK)
        part = both.iloc[rows]
        stored = _state(one.bundle, inputs.stored.iloc[rows])
        _refuse_other_scores(part["account_id"], stored, part["health_exact_before"], one.run)
        rebuilt = _next(one.bundle, stored, inputs.stored.iloc[rows], inputs.rebuilt.iloc[rows])
        moved = _next(one.bundle, rebuilt, inputs.rebuilt.iloc[rows], inputs.moved.iloc[rows])
        if one.bundle.model_version == two.bundle.model_version:
            remodelled = moved
        else:
            remodelled = _state(
                replace(two.bundle, scale=one.bundle.scale), inputs.remodelled.iloc[rows]
            )
        signals = one.bundle.published.signals
        parts = split(signals, stored, rebuilt, moved, remodelled, part["health_exact_after"])
        shown = part["health_after"].astype("int64") - part["health_before"].astype("int64")
        pieces.append(
            change_lines(
                parts,
                list(part["account_id"]),
                shown,
                signals,
                days=(two.run.day - one.run.day).days,
                currency=one.project.currency,
            )
        )
    return pd.concat(pieces, ignore_index=True)


def _state(bundle: Bundle, rows: pd.DataFrame) -> ScoredState:
    scored = score(bundle, rows)
    return ScoredState(scored.base, scored.points, rows.to_numpy(dtype=np.float64))


def _next(
    bundle: Bundle, before: ScoredState, rows_before: pd.DataFrame, rows: pd.DataFrame
) -> ScoredState:
    """The state of the next step; only accounts whose inputs changed are explained again."""
    values = rows.to_numpy(dtype=np.float64)
    earlier = rows_before.to_numpy(dtype=np.float64)
    changed = ~((values == earlier) | (np.isnan(values) & np.isnan(earlier))).all(axis=1)
    points = before.points.copy()
    if changed.any():
        points[changed] = _state(bundle, rows.loc[changed]).points
    return ScoredState(before.base, points, values)


def _refuse_other_scores(
    ids: "pd.Series[str]", state: ScoredState, published: "pd.Series[float]", run: RunRow
) -> None:
    gap = np.abs(state.base + state.points.sum(axis=1) - published.to_numpy(dtype=np.float64))
    if float(gap.max(initial=0.0)) > 1e-9:
        worst = int(np.argmax(gap))
        raise ContractError(
            f"the kept inputs of account {ids.iloc[worst]} no longer give its score in run"
            f" {run.run_id} (off by {gap[worst]:.2g}), so the change cannot be split into"
            f" causes. `tenure replay {run.run_id}` says where."
        )


def _not_split(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """One line for every account that has no score in one of the runs: it is said, and has no
    points.
    """
    sides = before.merge(
        after, on="account_id", how="outer", suffixes=("_before", "_after"), indicator=True
    )
    rest = sides[sides["health_exact_before"].isna() | sides["health_exact_after"].isna()]
    lines = pd.DataFrame(
        {
            "account_id": rest["account_id"],
            "cause": [_status(r) for r in rest.to_dict("records")],
            "words": [_status_words(r) for r in rest.to_dict("records")],
        }
    )
    return lines.reindex(columns=list(LINE_COLUMNS)).astype(
        {"points": "float64", "points_displayed": "Int64"}
    )


def _status(row: Mapping[Any, Any]) -> str:
    if row["_merge"] == "right_only":
        return NEW
    return GONE if row["_merge"] == "left_only" else UNKNOWN


def _status_words(row: Mapping[Any, Any]) -> str:
    if row["_merge"] == "right_only":
        return f"not in the run before; now {_band(row, 'after')}"
    if row["_merge"] == "left_only":
        return f"not in the run any more; was {_band(row, 'before')}"
    return f"was {_band(row, 'before')}, now {_band(row, 'after')}"


def _band(row: Mapping[Any, Any], side: str) -> str:
    reason, health = row[f"band_reason_{side}"], row[f"health_{side}"]
    band = str(row[f"band_{side}"]).replace("_", " ")
    number = "" if pd.isna(health) else f"{int(health)} "
    because = f" ({reason})" if isinstance(reason, str) else ""
    return f"{number}{band}{because}"


# --- per account, and the table
# ------------------------------------------------------------------------------


def _accounts(workspace: Workspace, one: _Side, two: _Side, lines: pd.DataFrame) -> pd.DataFrame:
    """One row per account of either run; see `ScoreChanges`."""
    columns = ["account_id", "health", "health_exact", "band", *CHANCES]
    table = one.scores[columns].merge(
        two.scores[columns], on="account_id", how="outer", suffixes=("_before", "_after")
    )
    sums = lines[lines["cause"].isin(CAUSES)].pivot_table(
        index="account_id", columns="cause", values="points", aggfunc="sum"
    )
    sums = sums.reindex(columns=list(CAUSES)).fillna(0.0)
    table = table.merge(sums, left_on="account_id", right_index=True, how="left").merge(
        _people(workspace, one.run, two.run), on="account_id", how="left"
    )
    scored = table["health_exact_before"].notna() & table["health_exact_after"].notna()
    table.loc[scored, list(CAUSES)] = table.loc[scored, list(CAUSES)].fillna(0.0)
    moved_by = pd.Series("", index=table.index, dtype="str")
    exact = (table["health_exact_after"] - table["health_exact_before"])[scored]
    moved_by[scored] = main_cause(table.loc[scored, list(CAUSES)], exact)
    bands = table[["band_before", "band_after"]]
    has_moved = bands["band_before"] != bands["band_after"]
    # The same score in another band: the edges moved, and they are part of the scale.
    moved_by[scored & has_moved & (moved_by == "")] = SCALE
    moved_by[(bands == LEAVING).any(axis=1) & has_moved] = LEAVING
    moved_by[(bands == UNKNOWN).any(axis=1)] = UNKNOWN
    moved_by[bands["band_before"].isna()], moved_by[bands["band_after"].isna()] = NEW, GONE
    table["moved_by"] = moved_by
    table["change"] = (table["health_after"] - table["health_before"]).astype("Int64")
    order = [
        "account_id",
        "name",
        "owner",
        "value_per_year",
        "currency",
        "health_before",
        "health_after",
        "change",
        "band_before",
        "band_after",
        "moved_by",
        *CAUSES,
        *(f"{name}_{side}" for name in CHANCES for side in ("before", "after")),
    ]
    return (
        table[order]
        .astype({"health_before": "Int64", "health_after": "Int64"})
        .sort_values("account_id", ignore_index=True)
    )


def _people(workspace: Workspace, before: RunRow, after: RunRow) -> pd.DataFrame:
    """Who the accounts are: as of the new run, and for those that are gone as of the old one."""
    columns = ["account_id", "name", "owner", "value_per_year", "currency"]
    both = [
        workspace.store.read("portfolio", columns=columns, filters=[("run_id", "=", run.run_id)])
        for run in (after, before)
    ]
    return pd.concat(both).drop_duplicates("account_id", keep="first")


def _write(workspace: Workspace, target: Target, changes: ScoreChanges) -> None:
    """Publish the lines of a pair of runs, in the place of those of the same pair."""
    schema = pa.schema(list(CHANGES))
    rows = changes.lines.assign(
        target=target.name,
        from_run=changes.before.run_id,
        to_run=changes.after.run_id,
        from_as_of=pd.Timestamp(changes.before.day),
        to_as_of=pd.Timestamp(changes.after.day),
    ).reindex(columns=schema.names)
    workspace.store.write(
        TABLE,
        pa.Table.from_pandas(rows, schema=schema, preserve_index=False),
        partition_by=["target"],
        replace=(
            f"target = '{target.name}' and from_run = '{changes.before.run_id}' and to_run ="
            f" '{changes.after.run_id}'"
        ),
    )
