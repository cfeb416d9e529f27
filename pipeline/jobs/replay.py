"""Derive a published run again from the inputs that were kept, and compare it with what was
published.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artefacts import rewritten
from pipeline.config.schema import Target
from pipeline.edge.scratch import scratch_folder
from pipeline.engine.duckdb import connected
from pipeline.jobs.driver_rows import SPOKEN, keeps_one_sentence, read_drivers
from pipeline.jobs.past_runs import (
    find_run,
    past_bundle,
    past_project,
    past_target,
    past_workspace,
    same_version_needed,
)
from pipeline.jobs.score import score_target
from pipeline.ledger import RunRow
from pipeline.libraries import library_versions
from pipeline.storage import Store
from pipeline.workspace import Workspace

# Inputs first: where they differ, everything after them differs for that reason.
KEYS = {
    "features_scored": ["account_id"],
    "scores": ["account_id"],
    "drivers": ["account_id", "dimension", "driver"],
    "portfolio": ["account_id"],
}
# The moment of writing may differ. A run's id and the hash of its settings name its inputs, which
# are restored by them; a later version, whose settings have more keys, would write others for the
# same inputs.
NOT_COMPARED = ("scored_at", "run_id")
_RUN_FACTS = (
    "as_of",
    "target",
    "horizon_days",
    "basis",
    "model_version",
    "calibrator_version",
    "scale_version",
    "counts",
)


@dataclass(frozen=True)
class ReplayDifference:
    """One value that is not what was published."""

    table: str
    account_id: str
    column: str
    published: Any
    derived: Any

    def words(self) -> str:
        """The difference in a line."""
        of = f" of account {self.account_id}" if self.account_id else ""
        return (
            f"`{self.table}`{of}, {self.column}: published {_said(self.published)}, derived again"
            f" {_said(self.derived)}"
        )


@dataclass(frozen=True)
class Replay:
    """What a replay found: no `difference` means equal to the last bit."""

    run_id: str
    as_of: str
    values: int
    """How many published values were compared."""
    difference: ReplayDifference | None
    libraries: tuple[str, ...]
    """Libraries whose version is not the one the run was made with, in words."""
    rewritten: tuple[str, ...] = ()
    """What was made of the run since (trajectory, forecast, pages) and is not as it was made."""

    @property
    def is_equal(self) -> bool:
        """Whether everything that is published of the run is what was published."""
        return self.difference is None and not self.rewritten

    def words(self) -> list[str]:
        """The result in lines."""
        if self.difference is None:
            first = (
                f"run {self.run_id} ({self.as_of}): derived again, all {self.values:,} published"
                " values are equal."
            )
        else:
            first = (
                f"run {self.run_id} ({self.as_of}) is not what was published; first difference:"
                f" {self.difference.words()}."
            )
        return [
            first,
            *(f"  {each}" for each in self.rewritten),
            *(f"  other version: {each}" for each in self.libraries),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {**asdict(self), "equal": self.is_equal}


def replay_run(workspace: Workspace, target: Target, wanted: str) -> Replay:
    """Score again with the run's own model, configuration and staged tables, aside, and compare
    every value.

    Raises
    ------
    NotFound
        When an input was not recorded or is gone, saying which.
    """
    run = find_run(workspace, target, wanted)
    bundle, project = past_bundle(workspace, target, run), past_project(workspace, run)
    then = past_target(project, target)
    with scratch_folder("replay") as folder:
        aside = past_workspace(workspace, project, run.staged, folder)
        with connected() as connection, same_version_needed(run):
            derived = score_target(
                aside,
                connection,
                then,
                run.day,
                allow_stale=run.accepted_stale,
                bundle=bundle,
                backfill=True,
            )
        values, difference = compare_runs(workspace.store, aside.store, then.name, run, derived.run)
    return Replay(
        run.run_id,
        run.day.isoformat(),
        values,
        difference,
        _changed_libraries(run),
        tuple(each.words() for each in rewritten(workspace, run.run_id)),
    )


def compare_runs(
    published: Store, derived: Store, target: str, run: RunRow, derived_run: RunRow
) -> tuple[int, ReplayDifference | None]:
    """How many values were compared, and the first that differs."""
    total = 0
    for name, key in KEYS.items():
        table = f"{name}_{target}" if name == "features_scored" else name
        before, after = (
            _rows(store, table, run_id)
            for store, run_id in ((published, run.run_id), (derived, derived_run.run_id))
        )
        if table == "drivers" and keeps_one_sentence(before):
            # An earlier version put it into other words; what it says is in the numbers.
            before, after = (rows.drop(columns=list(SPOKEN)) for rows in (before, after))
        difference = first_difference(before, after, key)
        if difference is not None:
            return total, replace(difference, table=table)
        total += before.size - sum(len(before) for column in NOT_COMPARED if column in before)
    for fact in _RUN_FACTS:
        before, after = getattr(run, fact), getattr(derived_run, fact)
        if not _equal(pd.Series([before]), pd.Series([after])).all():
            return total, ReplayDifference("runs", "", fact, before, after)
    return total, None


def _rows(store: Store, table: str, run_id: str) -> pd.DataFrame:
    filters = [("run_id", "=", run_id)]
    return (
        read_drivers(store, filters) if table == "drivers" else store.read(table, filters=filters)
    )


def first_difference(
    published: pd.DataFrame, derived: pd.DataFrame, key: list[str]
) -> ReplayDifference | None:
    """The first value, by key and then by column, that differs in any bit; None where all are
    equal.
    """
    before, after = (rows.set_index(key).sort_index() for rows in (published, derived))
    if not before.index.equals(after.index):
        return _missing_row(before.index, after.index)
    columns = [c for c in published.columns if c not in (*NOT_COMPARED, *key)]
    if absent := sorted(
        set(columns) ^ {c for c in derived.columns if c not in (*NOT_COMPARED, *key)}
    ):
        is_there = absent[0] in columns
        return ReplayDifference(
            "",
            "",
            absent[0],
            "a column" if is_there else "no column",
            "no column" if is_there else "a column",
        )
    if not columns or before.empty:
        return None
    differs = np.column_stack([~_equal(before[c], after[c]) for c in columns])
    if not differs.any():
        return None
    row = int(np.argmax(differs.any(axis=1)))
    column = columns[int(np.argmax(differs[row]))]
    return ReplayDifference(
        "",
        _account(before.index[row]),
        _named(column, key, before.index[row]),
        before[column].iloc[row],
        after[column].iloc[row],
    )


def _missing_row(before: pd.Index, after: pd.Index) -> ReplayDifference:
    """The first row that only one side has; a row twice on one side shows as a number of rows."""
    gone, come = before.difference(after), after.difference(before)
    if len(gone):
        return ReplayDifference("", _account(gone[0]), "row", "a row", "no row")
    if len(come):
        return ReplayDifference("", _account(come[0]), "row", "no row", "a row")
    return ReplayDifference("", "", "rows", len(before), len(after))


def _account(place: Any) -> str:
    return str(place[0]) if isinstance(place, tuple) else str(place)


def _named(column: str, key: list[str], place: Any) -> str:
    return column if len(key) == 1 else f"{column} ({'/'.join(str(part) for part in place[1:])})"


def _equal(
    before: "pd.Series[Any]", after: "pd.Series[Any]"
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Value by value; missing equals missing, and every bit of a double counts."""
    if pd.api.types.is_float_dtype(before.dtype) and pd.api.types.is_float_dtype(after.dtype):
        one, two = before.to_numpy(dtype=np.float64), after.to_numpy(dtype=np.float64)
        same = (one == two) & (np.signbit(one) == np.signbit(two))
        return np.asarray(same | (np.isnan(one) & np.isnan(two)))
    missing = before.isna().to_numpy() & after.isna().to_numpy()
    equal = before.astype(object).to_numpy() == after.astype(object).to_numpy()
    return np.asarray(missing | np.where(before.isna() | after.isna(), False, equal), dtype=bool)


def _changed_libraries(run: RunRow) -> tuple[str, ...]:
    then, today = run.recorded.get("libraries", {}), library_versions()
    return tuple(
        f"{name} {then.get(name, 'unknown')} then, {now} now"
        for name, now in today.items()
        if then.get(name) != now
    )


def _said(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "nothing" if np.isnan(value) else repr(float(value))
    return "nothing" if value is None or value is pd.NaT else json.dumps(str(value))
