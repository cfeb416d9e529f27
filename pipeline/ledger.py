"""The run ledger: one row in `runs` makes a run's scores and drivers the ones that readers see.

Rows are only ever appended. The last row of a run_id gives its state; the current run of a target
is the published one with the newest as_of, then the newest published_at. Rows are chained by
hashes (`pipeline/chain.py`).
"""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
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


def append_run(store: Store, run: dict[str, Any]) -> dict[str, Any]:
    """Append one row, as the next of the chain; this is the commit of a run. Returns the row."""
    # A row read back has NaN where it had no value (a horizon until the next renewal has no days).
    row = {
        name: None if run.get(name) is None or pd.isna(run[name]) else run[name]
        for name in RUNS.names
    }
    plain = pa.Table.from_pylist([row], schema=RUNS).to_pylist()[0]
    linked = chained(plain, ledger_rows(store))
    store.write("runs", pa.Table.from_pylist([linked], schema=RUNS), append=True)
    return linked


def published_hashes(store: Store, run: Mapping[str, Any]) -> str:
    """Hashes of the rows that a run is about to make current, as JSON for its row in `runs`; and
    the newest hash of what was made of earlier runs, which so stands in this chain too.
    """
    hashes = table_hashes(store, PUBLISHED, run)
    made = store.read_arrow(ARTEFACTS).to_pylist() if store.exists(ARTEFACTS) else []
    return json.dumps(hashes | ({ARTEFACTS_HEAD: head_of(made)} if made else {}), sort_keys=True)


def note_removed_rows(store: Store) -> None:
    """Say of every run whose rows were removed on purpose which rows it has now."""
    if not store.exists("runs"):
        return
    for run in _kept_runs(store):
        hashes = hashes_after_removal(store, PUBLISHED, run)
        if hashes is not None:
            # Its place among the other runs stays what it was.
            place = run["published_at"] + timedelta(microseconds=1)
            append_run(store, {**run, TABLES: hashes, "published_at": place})


def verify_ledger(store: Store, noted: str | None = None) -> LedgerCheck:
    """Whether `runs` and the tables that it makes current are as they were written."""
    kept = _kept_runs(store) if store.exists("runs") else []
    return check_ledger(store, PUBLISHED, kept, noted)


def _kept_runs(store: Store) -> list[dict[str, Any]]:
    """Last rows of the runs whose rows are there and have hashes."""
    rows = run_rows(store)
    if TABLES not in rows:  # of releases before the chain
        return []
    kept = rows[rows["state"].isin(KEPT_STATES) & rows[TABLES].notna()]
    return [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]


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


def current_run(store: Store, target: str) -> dict[str, Any] | None:
    """The run that readers of a target see, or None."""
    rows = run_rows(store)
    published = rows[(rows["target"] == target) & (rows["state"] == "published")]
    if published.empty:
        return None
    return dict(published.sort_values(["as_of", "published_at"], kind="stable").iloc[-1])


def published_run(store: Store, target: str, as_of: date | None = None) -> dict[str, Any]:
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
    return {str(key): value for key, value in dated.iloc[-1].items() if key != "marker"}


def nothing_published(target: str) -> NotFound:
    """What readers are told of a target without a published run."""
    return NotFound(f"target {target!r} has no published run. Run `tenure score` first.")


def run_dates(runs: pd.DataFrame) -> str:
    """The dates of runs in words, the newest where there are many: `2025-05-04, 2025-06-01`."""
    dates = sorted({f"{day:%Y-%m-%d}" for day in runs["as_of"]})
    older = len(dates) - SHOWN_RUNS
    return ", ".join(dates[-SHOWN_RUNS:]) + (f" and {older} earlier" if older > 0 else "")


def plain_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `runs` with its columns of JSON read, for `--json`."""
    inputs = json.loads(run["input_fingerprints"])
    if "accepted_stale" in inputs:
        inputs["accepted_stale"] = json.loads(inputs["accepted_stale"])
    hashes = run.get(TABLES)
    return {
        **run,
        "input_fingerprints": inputs,
        "counts": json.loads(run["counts"]),
        TABLES: json.loads(hashes) if isinstance(hashes, str) else None,
    }


def markers(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """What beside the accounts changed from one run to another: model, calibrator, scale,
    configuration.
    """
    facts = (
        ("model", "model_version"),
        ("calibrator", "calibrator_version"),
        ("scale", "scale_version"),
        ("configuration", "config_hash"),
    )
    return tuple(
        f"{name} {before[key]} -> {after[key]}" for name, key in facts if before[key] != after[key]
    )


def run_history(store: Store, target: str) -> pd.DataFrame:
    """The run that readers see of every date, oldest first; `marker` says what changed since the
    date before.
    """
    rows = run_rows(store)
    mine = rows[(rows["target"] == target) & (rows["state"] == "published")].sort_values(
        ["as_of", "published_at"], kind="stable"
    )
    dated = mine.drop_duplicates("as_of", keep="last").reset_index(drop=True)
    runs: list[Any] = dated.to_dict("records")
    marked = [
        ", ".join(each.split(" ")[0] for each in markers(one, two))
        for one, two in zip(runs, runs[1:], strict=False)
    ]
    return dated.assign(
        marker=pd.Series(["", *marked][: len(dated)], index=dated.index, dtype="str")
    )


def run_before(store: Store, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The published run that came before another one, by date and then by when it was published."""
    rows = run_rows(store)
    order = ["as_of", "published_at"]
    mine = rows[(rows["target"] == run["target"]) & (rows["state"] == "published")]
    earlier = [
        {str(key): value for key, value in each.items()}
        for each in mine.sort_values(order, kind="stable").to_dict("records")
        if each["run_id"] != run["run_id"]
        and tuple(each[c] for c in order) < tuple(run[c] for c in order)
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


def chosen_run(store: Store, run_id: str) -> dict[str, Any]:
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
            f"\n  {run['run_id']}  as of {run['as_of']:%Y-%m-%d}  {run['target']}  {run['state']}"
            + (f" ({run['note']})" if run["state"] == "removed" else "")
            for run in listed.iloc[::-1].to_dict("records")
        )
        raise NotFound(
            f"{problem} with id {run_id!r}."
            f" {'Newest runs' if chosen.empty else 'They are'}:{listing or ' none yet.'}"
        )
    target_run = dict(chosen.iloc[0])
    if target_run["state"] not in KEPT_STATES:
        why = (
            "is too old: its rows are gone ([store] keep_runs_days)"
            if target_run["state"] == "removed"
            else "failed and was never published"
        )
        raise NotFound(f"run {target_run['run_id']} {why}; choose a published one.")
    return target_run


def roll_back(store: Store, run_id: str, now: datetime) -> list[str]:
    """Make an earlier run the current one of its target; returns the runs it supersedes.

    Raises
    ------
    NotFound
        When there is no such run, listing the newest ones.
    """
    target_run, rows = chosen_run(store, run_id), run_rows(store)
    order = ["as_of", "published_at"]
    newer = rows[
        (rows["target"] == target_run["target"])
        & (rows["state"] == "published")
        & (rows["run_id"] != target_run["run_id"])
    ]
    is_later = [
        tuple(r) > tuple(target_run[c] for c in order) for r in newer[order].itertuples(index=False)
    ]
    newer = newer[pd.Series(is_later, index=newer.index, dtype=bool)]
    if target_run["state"] != "published":
        append_run(
            store,
            {**target_run, "state": "published", "note": "rolled back to", "published_at": now},
        )
    for run in newer.to_dict("records"):
        append_run(
            store,
            {
                **run,
                "state": "superseded",
                "note": f"rolled back to {target_run['run_id']}",
                "published_at": now,
            },
        )
    return list(newer["run_id"])
