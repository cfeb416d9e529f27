"""Copy what was published to where `[publish]` says: PostgreSQL, and one JSON file for each run.

The store stays the one truth. A run whose rows changed since they were copied (an account was
forgotten, or withheld consent) is copied again, and one whose rows are gone is removed there too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import ConfigError
from pipeline.actions.worklist import WORKLIST_COLUMNS
from pipeline.alerts.tables import ALERTS_TABLE, current_alerts, read_alerts, table_of_alerts
from pipeline.config.schema import Target
from pipeline.edge.locations import shown_location
from pipeline.jobs.report import run_worklist
from pipeline.jobs.rollback import published_again
from pipeline.jobs.score import PublishedRun, published_table
from pipeline.ledger import (
    KEPT_STATES,
    RUNS,
    RunRow,
    current_run,
    nothing_published,
    read_runs,
    run_rows,
)
from pipeline.publish.document import write_document
from pipeline.publish.postgres import RUNS_THERE, CopiedTable, Warehouse, in_warehouse
from pipeline.storage import Store
from pipeline.workspace import Workspace

OF_RUNS: dict[str, tuple[str, ...]] = {
    "scores": ("run_id", "account_id"),
    "drivers": ("run_id", "account_id", "dimension", "driver"),
    "portfolio": ("run_id", "account_id"),
    "trajectory": ("run_id", "account_id"),
    "horizons": ("run_id", "account_id", "days"),
    "remaining_value": ("run_id", "account_id"),
    "renewals": ("run_id", "account_id"),
    "renewal_forecast": ("run_id", "month", "segment", "currency"),
    "assignments": ("run_id", "account_id"),
    "monitor": ("run_id", "what", "segment"),
}
"""Tables of the store that are copied run by run, and what tells their rows apart."""
WORKLIST_TABLE = "worklist"
_NUMBERS = ("value_per_year", "probability", "value_at_risk", "priority")
LISTED = (
    ("as_of", pa.timestamp("us")),
    ("target", pa.string()),
    ("run_id", pa.string()),
    *(
        (
            name,
            pa.float64()
            if name in _NUMBERS
            else pa.int64()
            if name in ("rank", "health")
            else pa.timestamp("us")
            if name == "renewal_date"
            else pa.string(),
        )
        for name in WORKLIST_COLUMNS
    ),
)
"""The worklist as a table."""
EXPORTS = "exports"
"""Folder of the JSON files among a target's pages."""


@dataclass(frozen=True)
class Copies:
    """What was copied: rows by table of PostgreSQL, and the file."""

    run_id: str
    postgres: str | None
    """Where, as it may be printed; None: no PostgreSQL is configured."""
    rows: dict[str, int]
    file: Path | None


def is_publishing(workspace: Workspace) -> bool:
    """Whether the project asks for copies at all."""
    publish = workspace.project.publish
    return publish.postgres is not None or publish.json


def publish_copies(
    workspace: Workspace, target: Target, published: PublishedRun | None = None
) -> Copies:
    """Bring the copies of a target up to what the store holds.

    Parameters
    ----------
    published
        The current run where it is at hand; default: read from the store.

    Raises
    ------
    ConfigError
        The project names no place for copies.
    NotFound
        Nothing was published yet.
    StoreError
        PostgreSQL cannot be reached or refuses: it holds what it held before.
    """
    settings = workspace.project.publish
    if not is_publishing(workspace):
        raise ConfigError(
            '[publish] names no place for copies. Set postgres = "env:NAME" or json = true in'
            " tenure.toml."
        )
    run = current_run(workspace.store, target.name)
    if run is None:
        raise nothing_published(target.name)
    rows: dict[str, int] = {}
    if settings.postgres is not None:
        if published is None or published.run.run_id != run.run_id:
            published = published_again(workspace, target, run)
        copier = _Copier(workspace, target, published, rows)
        in_warehouse(settings.postgres, settings.schema, copier.copy)
    return Copies(
        run_id=run.run_id,
        postgres=None if settings.postgres is None else shown_location(settings.postgres),
        rows=rows,
        file=_write_file(workspace, target, run) if settings.json else None,
    )


def copy_lines(copies: Copies) -> Iterator[str]:
    """What was copied, in words."""
    if copies.postgres is not None:
        rows = sum(copies.rows.values())
        yield f"{rows:,} rows in {len(copies.rows)} tables of {copies.postgres}"
    if copies.file is not None:
        yield str(copies.file)


def publish_every_target(workspace: Workspace) -> tuple[Copies, ...]:
    """Bring the copies of every target that was published up to what the store holds; none where
    the project asks for none.
    """
    if not is_publishing(workspace):
        return ()
    runs = [current_run(workspace.store, target.name) for target in workspace.project.targets]
    return tuple(
        publish_copies(workspace, target)
        for target, run in zip(workspace.project.targets, runs, strict=True)
        if run is not None
    )


def _write_file(workspace: Workspace, target: Target, run: RunRow) -> Path:
    folder = workspace.folder / "reports" / target.name / EXPORTS
    path = folder / f"{run.as_of:%Y-%m-%d}_{run.run_id}.json"
    write_document(workspace.store, run, path)
    return path


@dataclass
class _Copier:
    """Copies one target in one transaction; `rows` is filled as tables arrive."""

    workspace: Workspace
    target: Target
    published: PublishedRun
    rows: dict[str, int]

    def copy(self, warehouse: Warehouse) -> None:
        """Rows of runs that are new or changed, alerts as they stand, then the rows of `runs`."""
        store = self.workspace.store
        ledger = run_rows(store)
        ledger = ledger[ledger["target"] == self.target.name]
        kept = ledger[ledger["state"].isin(KEPT_STATES)]
        there = warehouse.runs(self.target.name)
        wanted = [
            run.run_id
            for run in read_runs(kept)
            if run.run_id == self.published.run.run_id
            or run.run_id not in there
            or there[run.run_id].table_hashes != run.table_hashes
        ]
        for name, key in OF_RUNS.items():
            if store.exists(name):
                self._arrived(warehouse, _of_runs(store, name, key, wanted))
        self._arrived(warehouse, self._worklist())
        self._arrived(warehouse, self._alerts())
        gone = sorted({*there} - {*kept["run_id"]})
        warehouse.remove_runs([*OF_RUNS, WORKLIST_TABLE], gone)
        runs = ledger.reindex(columns=RUNS.names)
        rows = pa.Table.from_pandas(runs, schema=RUNS, preserve_index=False)
        self._arrived(warehouse, _table(RUNS_THERE, ("run_id",), self._mine, rows))
        warehouse.show_current()

    @property
    def _mine(self) -> tuple[str, tuple[str, ...]]:
        return "target", (self.target.name,)

    def _arrived(self, warehouse: Warehouse, table: CopiedTable) -> None:
        self.rows[table.name] = warehouse.copy(table)

    def _worklist(self) -> CopiedTable:
        """The list of the run that readers see; those of runs before it go."""
        ranked = run_worklist(self.workspace, self.target, self.published)
        run = self.published.run
        rows = published_table(
            ranked.assign(as_of=run.as_of, target=self.target.name, run_id=run.run_id),
            LISTED,
        )
        return _table(WORKLIST_TABLE, ("run_id", "account_id"), self._mine, rows)

    def _alerts(self) -> CopiedTable:
        """Every alert once, as it stands."""
        alerts = current_alerts(read_alerts(self.workspace.store, self.target.name))
        return _table(ALERTS_TABLE, ("alert_id",), self._mine, table_of_alerts(alerts))


def _of_runs(store: Store, name: str, key: tuple[str, ...], runs: Sequence[str]) -> CopiedTable:
    """The rows of some runs, piece by piece."""
    rows = store.delta(name).to_pyarrow_dataset()

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows.to_batches(filter=pc.field("run_id").isin(list(runs)), batch_size=20_000)

    return CopiedTable(name, key, ("run_id", tuple(runs)), rows.schema, batches)


def _table(
    name: str, key: tuple[str, ...], scope: tuple[str, tuple[str, ...]], rows: pa.Table
) -> CopiedTable:
    return CopiedTable(name, key, scope, rows.schema, lambda: iter(rows.to_batches()))


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)
