"""Rows of `runs` as a chain of hashes: whoever changes a published value changes a hash that stands
elsewhere.

Every row carries the hash of the row before it, a hash of each published table's rows, and a hash
of itself. The newest hash, the head, is printed and stands in the foot of every page: a copy of it
outside the store shows when somebody wrote all rows anew. Rows of releases before this one have no
hash; the chain begins at the first that has one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from pipeline.engine.duckdb import Connection, columns_of, connected, identifier, literal
from pipeline.engine.duckdb import rows as rows_of
from pipeline.storage import Store

PREVIOUS, HASH, TABLES = "previous_hash", "row_hash", "table_hashes"
SHOWN_DIGITS = 16
"""Digits of a hash that people compare."""
ARTEFACTS, ARTEFACTS_HEAD = "artefacts", "artefacts_head"
"""Table of what is made of runs later, and beside the hashes of tables the newest hash of it."""
CHANGED_ON_PURPOSE = "rows_removed"
"""Beside the hashes of tables: why they are not those of the publication."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class LedgerCheck:
    """What the chain says; sound where there is no problem."""

    rows: int
    hashed: int
    """Rows of the chain; those before it are of an earlier release."""
    begins: datetime | None
    """When the first row of the chain was written."""
    head: str | None
    runs: int
    """Runs whose published rows were compared."""
    problems: tuple[str, ...]


def row_hash(row: Row) -> str:
    """sha256 over the row as canonical JSON, without its own hash. What is null is left out, so
    that a column of a later release changes no hash.

    >>> row_hash({"run_id": "a", "note": None}) == row_hash({"run_id": "a", "row_hash": "b"})
    True
    """
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if name != HASH and value is not None
    }
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def chained(row: dict[str, Any], ledger: Sequence[Row]) -> dict[str, Any]:
    """A row as the next of the chain."""
    linked = {**row, PREVIOUS: head_of(ledger)}
    return {**linked, HASH: row_hash(linked)}


def head_of(ledger: Sequence[Row]) -> str | None:
    """Hash of the newest row; None where no row has one.

    Where rows were taken out several rows have no follower: the newest of them goes on, and the
    check names the break.
    """
    followed = {row[PREVIOUS] for row in ledger if row.get(PREVIOUS)}
    ends = [row for row in ledger if row.get(HASH) and row[HASH] not in followed]
    newest = max(ends, key=lambda row: (row["published_at"], row[HASH]), default=None)
    return None if newest is None else str(newest[HASH])


def ledger_rows(store: Store) -> list[dict[str, Any]]:
    """Rows of `runs` with plain values, as they are hashed."""
    if not store.exists("runs"):
        return []
    rows: list[dict[str, Any]] = store.read_arrow("runs").to_pylist()
    return rows


def ledger_head(store: Store) -> str | None:
    """Hash of the newest row of a store's ledger."""
    return head_of(ledger_rows(store))


def shown_head(store: Store) -> str:
    """The head as pages and commands print it.

    >>> from pathlib import Path
    >>> shown_head(Store(Path("nowhere")))
    'none'
    """
    head = ledger_head(store)
    return "none" if head is None else head[:SHOWN_DIGITS]


# --- rows of published tables


def table_hashes(store: Store, tables: Iterable[str], run_id: str) -> dict[str, str | None]:
    """Hash of the rows that a run published, by table; tables without rows of it are left out."""
    mine = pc.field("run_id") == run_id
    hashes = {name: _hashes_by_run(store, name, mine) for name in tables if store.exists(name)}
    return {name: by_run[run_id] for name, by_run in hashes.items() if run_id in by_run}


def _hashes_by_run(store: Store, table: str, only: pc.Expression | None = None) -> dict[str, str]:
    """Hash of the rows of each run in a table, whatever their order and files.

    A row is the names and values of its columns that are not null; numbers are written with 17
    digits and times in microseconds, so that no version of a library writes them otherwise.
    """
    with connected() as connection:
        reader = store.delta(table).to_pyarrow_dataset().scanner(filter=only).to_reader()
        connection.register("published_rows", reader)
        text = _row_text(connection, "published_rows")
        # In two levels: the text that is sorted and put together is never that of a whole table.
        query = f"""
with hashed as (select run_id, sha256({text}) as h from published_rows),
parts as (
  select run_id, h[1:2] as part, sha256(string_agg(h, '' order by h)) as p
  from hashed group by all)
select run_id, sha256(string_agg(p, '' order by part)) from parts group by run_id"""
        return {str(run_id): str(digest) for run_id, digest in rows_of(connection, query)}


def _row_text(connection: Connection, relation: str) -> str:
    """SQL of the text of a row."""
    parts = []
    for name, kind in sorted(columns_of(connection, relation).items()):
        column = identifier(name)
        if kind in ("DOUBLE", "FLOAT"):
            value = f"printf('%.17g', {column}::double)"
        elif kind.startswith("TIMESTAMP"):
            value = f"epoch_us({column}::timestamp)::varchar"
        else:
            value = f"{column}::varchar"
        said = f"{literal(name + '=')} || length({value}) || ':' || {value} || ';'"
        parts.append(f"coalesce({said}, '')")
    return " || ".join(parts)


# --- the check


def check_ledger(
    store: Store, tables: Sequence[str], promised: Mapping[str, str], noted: str | None = None
) -> LedgerCheck:
    """Every row of `runs` against its hash and its place, every published row against its run.

    Parameters
    ----------
    promised
        Run id -> hashes by table, as JSON, of every run whose published rows are there.
    noted
        A head, or the first digits of one, that was written down elsewhere.
    """
    ledger = ledger_rows(store)
    chain = [row for row in ledger if row.get(HASH)]
    begins = min((row["published_at"] for row in chain), default=None)
    problems = [*_row_problems(ledger, chain, begins)]
    if noted is not None and not any(str(row[HASH]).startswith(noted) for row in chain):
        problems.append(
            f"no row of the ledger has the hash {noted}: the rows were written anew since it was"
            " noted."
        )
    problems += _table_problems(store, tables, promised)
    return LedgerCheck(
        rows=len(ledger),
        hashed=len(chain),
        begins=begins,
        head=head_of(ledger),
        runs=len(promised),
        problems=tuple(problems),
    )


def _row_problems(
    ledger: Sequence[Row], chain: Sequence[Row], begins: datetime | None
) -> Iterator[str]:
    """Rows that were changed, taken out or put in."""
    hashes = [row[HASH] for row in chain]
    for row in chain:
        if row_hash(row) != row[HASH]:
            yield f"{_named(row)} is not as it was written: its hash is another."
        if row[PREVIOUS] is not None and row[PREVIOUS] not in hashes:
            yield f"the row before {_named(row)} is gone or was changed."
    followers = [row[PREVIOUS] for row in chain]
    for row in chain:
        if hashes.count(row[HASH]) > 1 or followers.count(row[PREVIOUS]) > 1:
            yield f"{_named(row)} stands where another row stands: one of them was put in."
    for row in ledger:
        if not row.get(HASH) and begins is not None and row["published_at"] >= begins:
            yield f"{_named(row)} has no hash, and rows before it have one: it was put in."


def _named(row: Row) -> str:
    return (
        f"the row of `runs` that says {row['state']} of run {row['run_id']}"
        f" ({row['published_at']:%Y-%m-%d %H:%M:%S})"
    )


def _table_problems(
    store: Store, tables: Sequence[str], promised: Mapping[str, str]
) -> Iterator[str]:
    """Published tables whose rows are not those of the publication."""
    by_run = {run_id: json.loads(text) for run_id, text in promised.items()}
    for table in tables:
        wanted = {run_id: hashes[table] for run_id, hashes in by_run.items() if table in hashes}
        if not wanted:
            continue
        actual = _hashes_by_run(store, table) if store.exists(table) else {}
        for run_id, digest in wanted.items():
            if actual.get(run_id) != digest:
                what = "are not those that were published" if run_id in actual else "are gone"
                yield f"table `{table}`: the rows of run {run_id} {what}."


def hashes_after_removal(
    store: Store, tables: Sequence[str], run_id: str, published: str
) -> str | None:
    """The hashes of a run whose rows were removed on purpose; None where none went.

    `published` are those it had, as JSON.
    """
    before = json.loads(published)
    after = table_hashes(store, tables, run_id)
    if all(before.get(name) == after.get(name) for name in tables):
        return None
    why = "accounts deleted on request or without consent"
    kept = {name: before[name] for name in (ARTEFACTS_HEAD,) if name in before}
    return json.dumps({**after, **kept, CHANGED_ON_PURPOSE: why}, sort_keys=True)
