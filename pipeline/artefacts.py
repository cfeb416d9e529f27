"""What is made of a run after it is published (trajectory, forecast, pages), each with its hash, so
that a table or a file that was rewritten is known and told.

Rows of `artefacts` are only ever appended, and chained like those of `runs` (`pipeline/chain.py`);
the next run carries the newest hash. The last row of a run and a name counts; one without a hash
says that it was taken away.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.chain import (
    ARTEFACTS,
    HASH,
    PREVIOUS,
    LedgerCheck,
    head_of,
    row_hash,
    table_hashes,
)
from pipeline.ledger import KEPT_STATES, RunRow, current_run, run_rows, verify_ledger
from pipeline.storage import Store
from pipeline.workspace import Workspace

SCHEMA = (
    ("run_id", pa.string()),
    ("target", pa.string()),
    ("kind", pa.string()),
    ("name", pa.string()),
    ("sha256", pa.string()),
    ("note", pa.string()),
    ("published_at", pa.timestamp("us")),
    (PREVIOUS, pa.string()),
    (HASH, pa.string()),
)
TABLE, FILE, FOLDER = "table", "file", "folder"


@dataclass(frozen=True)
class Rewritten:
    """One table or file that is not what was made."""

    run_id: str
    kind: str
    name: str
    made_at: datetime
    is_gone: bool

    def words(self) -> str:
        """What is wrong, in a line."""
        when = f"since it was made on {self.made_at:%Y-%m-%d %H:%M} for run {self.run_id}"
        if self.kind == TABLE:
            what = "are gone" if self.is_gone else "were changed"
            return f"table `{self.name}`: the rows {what} {when}."
        if self.kind == FOLDER:
            what = (
                "is gone" if self.is_gone else "holds other files, or another text in one of them,"
            )
            return f"folder {self.name} {what} {when}."
        return f"file {self.name} {'is gone' if self.is_gone else 'was rewritten'} {when}."


def note_tables(workspace: Workspace, target: str, run_id: str, tables: Sequence[str]) -> None:
    """Note the rows of a run in tables that were just written."""
    hashes = table_hashes(workspace.store, tables, run_id)
    noted = [(TABLE, name, digest) for name, digest in hashes.items()]
    _note(workspace, target, run_id, noted)


def note_files(workspace: Workspace, run: RunRow, paths: Iterable[Path]) -> None:
    """Note files and folders of a run that were just drawn; one that is not there is noted as taken
    away.
    """
    noted = [
        (FOLDER if path.is_dir() else FILE, _within(path, workspace.folder), _digest(path))
        for path in paths
    ]
    _note(workspace, run.target, run.run_id, noted)


def note_again(workspace: Workspace, why: str) -> None:
    """Note what stands after rows and pages were removed on purpose."""
    for row in _last(workspace.store):
        now = _now(workspace, row)
        if row["sha256"] is not None and now != row["sha256"]:
            noted = [(row["kind"], row["name"], now)]
            _note(workspace, row["target"], row["run_id"], noted, why)


def rewritten(workspace: Workspace, run_id: str | None = None) -> Iterator[Rewritten]:
    """What is not as it was made, of one run or of all whose rows are there.

    Files are asked of the runs that readers see: those of earlier runs were replaced by theirs.
    """
    runs = run_rows(workspace.store)
    kept = set(runs.loc[runs["state"].isin(KEPT_STATES), "run_id"])
    names = [target.name for target in workspace.project.targets]
    seen = {run.run_id for name in names if (run := current_run(workspace.store, name))}
    for row in _last(workspace.store):
        asked = row["run_id"] in (kept if row["kind"] == TABLE else seen)
        if not asked or row["sha256"] is None or run_id not in (None, row["run_id"]):
            continue
        now = _now(workspace, row)
        if now != row["sha256"]:
            yield Rewritten(
                row["run_id"], row["kind"], row["name"], row["published_at"], now is None
            )


def verify_all(workspace: Workspace, noted: str | None = None) -> LedgerCheck:
    """`runs` and the tables it makes current, and everything that was made of its runs since.

    Parameters
    ----------
    noted
        A head of the ledger that was written down elsewhere.
    """
    checked = verify_ledger(workspace.store, noted)
    more = [*chain_problems(workspace.store), *(each.words() for each in rewritten(workspace))]
    return replace(checked, problems=(*checked.problems, *more))


def chain_problems(store: Store) -> Iterator[str]:
    """Rows of `artefacts` that were changed, taken out or put in, in words."""
    rows = _rows(store)
    hashes = {row[HASH] for row in rows}
    for row in rows:
        named = f"the row of `artefacts` about {row['name']} of run {row['run_id']}"
        if row_hash(row) != row[HASH]:
            yield f"{named} is not as it was written: its hash is another."
        if row[PREVIOUS] is not None and row[PREVIOUS] not in hashes:
            yield f"the row before {named} is gone or was changed."


def _note(
    workspace: Workspace,
    target: str,
    run_id: str,
    noted: Sequence[tuple[str, str, str | None]],
    why: str | None = None,
) -> None:
    """Append what is new or changed, as the next rows of the chain."""
    store, at = workspace.store, workspace.moment()
    ledger = _rows(store)
    before = {(row["run_id"], row["name"]): row["sha256"] for row in _newest_last(ledger)}
    added = []
    for kind, name, digest in noted:
        if before.get((run_id, name)) == digest:
            continue
        row = {
            "run_id": run_id,
            "target": target,
            "kind": kind,
            "name": name,
            "sha256": digest,
            "note": why,
            "published_at": at,
            PREVIOUS: head_of(ledger),
        }
        row = {**row, HASH: row_hash(row)}
        ledger.append(row)
        added.append(row)
    if added:
        rows = pa.Table.from_pylist(added, schema=pa.schema(list(SCHEMA)))
        store.write(ARTEFACTS, rows, append=True)


def _rows(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        store.read_arrow(ARTEFACTS).to_pylist() if store.exists(ARTEFACTS) else []
    )
    return rows


def _newest_last(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows in the order in which they were chained."""
    after = {row[PREVIOUS]: row for row in rows}
    ordered: list[Mapping[str, Any]] = []
    place = after.get(None)
    while place is not None and len(ordered) < len(rows):
        ordered.append(place)
        place = after.get(place[HASH])
    # What a broken chain does not reach is old, or was put in: `chain_problems` says so.
    reached = {row[HASH] for row in ordered}
    return [*(row for row in rows if row[HASH] not in reached), *ordered]


def _last(store: Store) -> list[Mapping[str, Any]]:
    last = {(row["run_id"], row["name"]): row for row in _newest_last(_rows(store))}
    return list(last.values())


def _now(workspace: Workspace, row: Mapping[str, Any]) -> str | None:
    if row["kind"] == TABLE:
        return table_hashes(workspace.store, [row["name"]], row["run_id"]).get(row["name"])
    return _digest(workspace.folder / row["name"])


def _within(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _digest(path: Path) -> str | None:
    """sha256 of a file; of a folder over the names and hashes of its files; None where there is
    neither.
    """
    if path.is_dir():
        whole = hashlib.sha256()
        for each in sorted(path.iterdir()):
            whole.update(f"{each.name}\0{_digest(each)}\n".encode())
        return whole.hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
