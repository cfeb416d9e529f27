"""The run ledger: one row in `runs` makes a run's scores and drivers the ones that readers see.

Rows are only ever appended. The last row of a run_id gives its state; the current run of a target
is the published one with the newest as_of, then the newest published_at. Rows are chained by
hashes (`pipeline/chain.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from features.errors import GateRefused, NotFound, StoreError
from pipeline.chain import (
    ARTEFACTS,
    ARTEFACTS_HEAD,
    HASH,
    PREVIOUS,
    TABLES,
    LedgerCheck,
    chained,
    check_ledger,
    hashes_after_removal,
    head_of,
    ledger_rows,
    table_hashes,
)
from pipeline.storage import Store

RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("as_of", pa.timestamp("us")),
        ("target", pa.string()),
        ("horizon_days", pa.int64()),
        ("state", pa.string()),
        ("basis", pa.string()),
        ("model_version", pa.string()),
        ("calibrator_version", pa.string()),
        ("scale_version", pa.string()),
        ("config_hash", pa.string()),
        ("input_fingerprints", pa.string()),
        ("counts", pa.string()),
        ("note", pa.string()),
        ("started_at", pa.timestamp("us")),
        ("published_at", pa.timestamp("us")),
        (TABLES, pa.string()),
        (PREVIOUS, pa.string()),
        (HASH, pa.string()),
    ]
)
SHOWN_RUNS = 8
KEPT_STATES = ("published", "superseded")
"""States of runs whose rows are there: one that `failed` never had any, of one that was `removed`
they are gone.
"""
PUBLISHED = ("scores", "drivers", "portfolio")
"""Tables whose rows a row in `runs` makes current."""


AGAIN = "Score again: runs published from now on record it."


@dataclass(frozen=True)
class RunRow:
    """One row of `runs`: what a run is of, what it was made with, and what became of it.

    The fields are the columns, in words at `docs/reference/tables.md`; those that hold JSON are
    text here and read by the properties.
    """

    run_id: str
    as_of: pd.Timestamp
    target: str
    horizon_days: int | None
    """None where the horizon is the next renewal."""
    state: str
    basis: str
    model_version: str
    calibrator_version: str
    scale_version: str
    config_hash: str
    input_fingerprints: str
    counts: str
    note: str | None
    started_at: pd.Timestamp
    published_at: pd.Timestamp
    table_hashes: str | None = None
    """None until the run is published, and in rows of releases before the chain."""
    previous_hash: str | None = None
    row_hash: str | None = None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> "RunRow":
        """A row as a table library gives it, with missing values as NaN or None."""
        plain: dict[str, Any] = {
            each.name: None if pd.isna(row.get(each.name)) else row[each.name]
            for each in fields(cls)
        }
        horizon = plain["horizon_days"]
        return cls(**plain | {"horizon_days": None if horizon is None else int(horizon)})

    @property
    def day(self) -> date:
        """Its as_of as a date."""
        return self.as_of.date()

    @property
    def place(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Where it stands among the runs of its target: by date, then by when it was published."""
        return self.as_of, self.published_at

    @property
    def made_with(self) -> tuple[str, str, str]:
        """Versions of model, calibrator and scale."""
        return self.model_version, self.calibrator_version, self.scale_version

    @property
    def standings(self) -> dict[str, int]:
        """How many accounts the run put into each band, and how many it left without one."""
        counts: dict[str, int] = json.loads(self.counts)
        return counts

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """Fingerprints of its inputs, versions of staged tables and of libraries."""
        inputs: dict[str, Any] = json.loads(self.input_fingerprints)
        return inputs

    @property
    def staged(self) -> dict[str, int]:
        """Staged table -> version it was read at.

        Raises
        ------
        NotFound
            When the run is older than this record.
        """
        if "staged" not in self.recorded:
            raise NotFound(
                f"run {self.run_id} does not say which versions of the staged tables it read."
                f" {AGAIN}"
            )
        return dict(self.recorded["staged"])

    @property
    def accepted_stale(self) -> dict[str, str]:
        """Sources that were accepted as stale, with the reason."""
        return dict(json.loads(self.recorded.get("accepted_stale", "{}")))


def append_run(store: Store, run: RunRow) -> RunRow:
    """Append one row, as the next of the chain; this is the commit of a run. Returns the row."""
    plain = pa.Table.from_pylist([asdict(run)], schema=RUNS).to_pylist()[0]
    linked = chained(plain, ledger_rows(store))
    store.write("runs", pa.Table.from_pylist([linked], schema=RUNS), append=True)
    return replace(run, previous_hash=linked[PREVIOUS], row_hash=linked[HASH])


def published_hashes(store: Store, run_id: str) -> str:
    """Hashes of the rows that a run is about to make current, as JSON for its row in `runs`; and
    the newest hash of what was made of earlier runs, which so stands in this chain too.
    """
    hashes = table_hashes(store, PUBLISHED, run_id)
    artefacts = store.read_arrow(ARTEFACTS).to_pylist() if store.exists(ARTEFACTS) else []
    if artefacts:
        hashes[ARTEFACTS_HEAD] = head_of(artefacts)
    return json.dumps(hashes, sort_keys=True)


def note_removed_rows(store: Store) -> None:
    """Say of every run whose rows were removed on purpose which rows it has now."""
    if not store.exists("runs"):
        return
    for run in _hashed_runs(store):
        hashes = hashes_after_removal(store, PUBLISHED, run.run_id, str(run.table_hashes))
        if hashes is not None:
            # Its place among the other runs stays what it was.
            place = run.published_at + timedelta(microseconds=1)
            append_run(store, replace(run, table_hashes=hashes, published_at=place))


def verify_ledger(store: Store, noted: str | None = None) -> LedgerCheck:
    """Whether `runs` and the tables that it makes current are as they were written."""
    runs = _hashed_runs(store) if store.exists("runs") else []
    promised = {run.run_id: str(run.table_hashes) for run in runs}
    return check_ledger(store, PUBLISHED, promised, noted)


def _hashed_runs(store: Store) -> list[RunRow]:
    """Last rows of the runs whose published rows are there and have hashes."""
    rows = run_rows(store)
    if TABLES not in rows:  # of releases before the chain
        return []
    kept = rows[rows["state"].isin(KEPT_STATES) & rows[TABLES].notna()]
    return read_runs(kept)


def open_ledger(store: Store) -> None:
    """Begin the ledger before the first rows of a first run: rows without one are a lost one.

    Raises
    ------
    StoreError
        The store holds published rows and no ledger.
    """
    if not store.exists("runs"):
        _refuse_lost_ledger(store)
        store.write("runs", RUNS.empty_table())


def _refuse_lost_ledger(store: Store) -> None:
    orphans = [name for name in PUBLISHED if store.exists(name)]
    if orphans:
        raise StoreError(
            f"the ledger `runs` of the store {store.folder} is gone while {', '.join(orphans)}"
            " hold rows: so nobody can tell which of them was published. Put the folder `runs` back"
            " from a copy, or move the store aside and run `tenure run`."
        )


def run_rows(store: Store) -> pd.DataFrame:
    """Every run with its last state, oldest first; no rows where nothing was published yet.

    Raises
    ------
    StoreError
        The store holds published rows and no ledger.
    """
    if not store.exists("runs"):
        _refuse_lost_ledger(store)
        empty: pd.DataFrame = RUNS.empty_table().to_pandas()
        return empty
    rows = store.read("runs").sort_values("published_at", kind="stable")
    return rows.drop_duplicates("run_id", keep="last").reset_index(drop=True)


def read_runs(rows: pd.DataFrame) -> list[RunRow]:
    """Rows of `runs` with named fields, in their order."""
    return [RunRow.of(row) for row in rows.to_dict("records")]


def current_run(store: Store, target: str) -> RunRow | None:
    """The run that readers of a target see, or None."""
    published = _published_runs(store, target)
    return RunRow.of(published.iloc[-1].to_dict()) if len(published) else None


def _published_runs(store: Store, target: str) -> pd.DataFrame:
    """Published runs of a target, by date and then by when they were published."""
    rows = run_rows(store)
    mine = rows[(rows["target"] == target) & (rows["state"] == "published")]
    return mine.sort_values(["as_of", "published_at"], kind="stable")


def published_run(store: Store, target: str, as_of: date | None = None) -> RunRow:
    """The run that readers of a target see; with a date the one they see of that date.

    Raises
    ------
    NotFound
        Where nothing was published yet, or nothing of that date, naming the dates there are.
    """
    current = current_run(store, target)
    if current is None:
        raise nothing_published(target)
    if as_of is None:
        return current
    runs = run_history(store, target)
    dated = runs[runs["as_of"] == pd.Timestamp(as_of)]
    if dated.empty:
        raise NotFound(
            f"target {target!r} has no published run of {as_of}. Published dates:"
            f" {run_dates(runs)}; `tenure score --as-of DATE` publishes another."
        )
    return RunRow.of(dated.iloc[-1].to_dict())


def calibrated_run(store: Store, target: str, as_of: date | None = None) -> RunRow:
    """The run that readers see, or the one of a date, where it has probabilities.

    Raises
    ------
    NotFound
        As `published_run`.
    GateRefused
        Where its scores are those of a scorecard.
    """
    run = published_run(store, target, as_of)
    if run.basis != "calibrated":
        raise GateRefused(
            f"run {run.run_id} is based on a scorecard, which gives no probability to look ahead"
            " from. Promote a calibrated model and score again."
        )
    return run


def nothing_published(target: str) -> NotFound:
    """What readers are told of a target without a published run."""
    return NotFound(f"target {target!r} has no published run. Run `tenure score` first.")


def run_dates(runs: pd.DataFrame) -> str:
    """The dates of runs in words, the newest where there are many: `2025-05-04, 2025-06-01`."""
    dates = sorted({f"{day:%Y-%m-%d}" for day in runs["as_of"]})
    older = len(dates) - SHOWN_RUNS
    return ", ".join(dates[-SHOWN_RUNS:]) + (f" and {older} earlier" if older > 0 else "")


def plain_run(run: RunRow) -> dict[str, Any]:
    """A row of `runs` with its columns of JSON read, for `--json`."""
    inputs = dict(run.recorded)
    if "accepted_stale" in inputs:
        inputs["accepted_stale"] = run.accepted_stale
    return {
        **asdict(run),
        "input_fingerprints": inputs,
        "counts": run.standings,
        TABLES: None if run.table_hashes is None else json.loads(run.table_hashes),
    }


def markers(before: RunRow, after: RunRow) -> tuple[str, ...]:
    """What beside the accounts changed from one run to another: model, calibrator, scale,
    configuration.
    """
    facts = (
        ("model", before.model_version, after.model_version),
        ("calibrator", before.calibrator_version, after.calibrator_version),
        ("scale", before.scale_version, after.scale_version),
        ("configuration", before.config_hash, after.config_hash),
    )
    return tuple(f"{name} {old} -> {new}" for name, old, new in facts if old != new)


def run_history(store: Store, target: str) -> pd.DataFrame:
    """The run that readers see of every date, oldest first; `marker` says what changed since the
    date before.
    """
    published = _published_runs(store, target)
    dated = published.drop_duplicates("as_of", keep="last").reset_index(drop=True)
    runs = read_runs(dated)
    marked = [
        ", ".join(each.split(" ")[0] for each in markers(one, two))
        for one, two in zip(runs, runs[1:], strict=False)
    ]
    return dated.assign(
        marker=pd.Series(["", *marked][: len(dated)], index=dated.index, dtype="str")
    )


def run_before(store: Store, run: RunRow) -> RunRow | None:
    """The published run that came before another one, by date and then by when it was published."""
    earlier = [
        each
        for each in read_runs(_published_runs(store, run.target))
        if each.run_id != run.run_id and each.place < run.place
    ]
    return earlier[-1] if earlier else None


def refuse_taken_back(store: Store, run_id: str) -> None:
    """Stop before a run that was taken back is published again by the same inputs.

    Raises
    ------
    GateRefused
        It was, saying by what, and how to publish it on purpose.
    """
    rows = run_rows(store)
    mine = rows[rows["run_id"] == run_id]
    if mine.empty or mine["state"].iloc[0] != "superseded":
        return
    taken = mine.iloc[0]
    raise GateRefused(
        f"run {run_id} of {taken['as_of']:%Y-%m-%d} was taken back on"
        f" {taken['published_at']:%Y-%m-%d} ({taken['note']}), and the same tables, settings and"
        " model give the same scores. Nothing was published; readers keep the run before. Load"
        " other tables or put another model to use, or publish it all the same with"
        f" `tenure rollback {run_id}`."
    )


def chosen_run(store: Store, run_id: str) -> RunRow:
    """The one run whose id starts so, with its last state.

    Raises
    ------
    NotFound
        There is none or several, listing the newest ones, or its rows are not there.
    """
    rows = run_rows(store)
    chosen = rows[rows["run_id"].str.startswith(run_id)] if run_id else rows.iloc[:0]
    if len(chosen) != 1:
        problem = "no run" if chosen.empty else f"{len(chosen)} runs"
        listed = (
            (rows if chosen.empty else chosen)
            .sort_values(["published_at", "as_of"], kind="stable")
            .tail(SHOWN_RUNS)
        )
        listing = "".join(
            f"\n  {run.run_id}  as of {run.as_of:%Y-%m-%d}  {run.target}  {run.state}"
            + (f" ({run.note})" if run.state == "removed" else "")
            for run in reversed(read_runs(listed))
        )
        raise NotFound(
            f"{problem} with id {run_id!r}."
            f" {'Newest runs' if chosen.empty else 'They are'}:{listing or ' none yet.'}"
        )
    run = RunRow.of(chosen.iloc[0].to_dict())
    if run.state not in KEPT_STATES:
        why = (
            "is too old: its rows are gone ([store] keep_runs_days)"
            if run.state == "removed"
            else "failed and was never published"
        )
        raise NotFound(f"run {run.run_id} {why}; choose a published one.")
    return run


def roll_back(store: Store, run_id: str, now: datetime) -> list[str]:
    """Make an earlier run the current one of its target; returns the runs it supersedes.

    Raises
    ------
    NotFound
        When there is no such run, listing the newest ones.
    """
    wanted, at = chosen_run(store, run_id), pd.Timestamp(now)
    published = run_rows(store)
    published = published[
        (published["target"] == wanted.target) & (published["state"] == "published")
    ]
    newer = [
        run
        for run in read_runs(published)
        if run.run_id != wanted.run_id and run.place > wanted.place
    ]
    if wanted.state != "published":
        again = replace(wanted, state="published", note="rolled back to", published_at=at)
        append_run(store, again)
    for run in newer:
        note = f"rolled back to {wanted.run_id}"
        append_run(store, replace(run, state="superseded", note=note, published_at=at))
    return [run.run_id for run in newer]
