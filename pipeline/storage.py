"""The store: Delta tables under one folder, replaced whole or by predicate in one atomic commit
each.

Delta commits one table at a time. What makes a set of tables readable together is the row in
`runs` that is appended last (`pipeline/ledger.py`).
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from features.errors import NotFound, StoreError
from pipeline.edge.faults import said
from pipeline.edge.locks import holder, taken


class ArrowStream(Protocol):
    """Anything that hands out Arrow batches, so that a table larger than memory can be written."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The stream, by the Arrow C interface."""


@dataclass(frozen=True)
class Store:
    """All tables of one project, each a Delta table in a folder of its name."""

    folder: Path
    pinned: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    """Tables read from another folder as they were at a version; everything else is this store's
    own.
    """

    def path(self, table: str) -> Path:
        """Folder of a table."""
        return self.folder / table

    def exists(self, table: str) -> bool:
        """Whether the table has been written."""
        return table in self.pinned or DeltaTable.is_deltatable(str(self.path(table)))

    def write(
        self,
        table: str,
        rows: "ArrowStream | pd.DataFrame",
        *,
        replace: str | None = None,
        partition_by: Sequence[str] = (),
        append: bool = False,
    ) -> None:
        """Commit rows to a table: a frame, an Arrow table, or a DuckDB relation, which is streamed.

        Parameters
        ----------
        replace
            Predicate of the rows that these replace, e.g. `target = 'churn_90d'`; None replaces the
            whole table and its columns, unless `append`.

        Raises
        ------
        StoreError
            When the disk is full, the folder cannot be written, or another writer was faster.
        """
        data: Any = (
            pa.Table.from_pandas(rows, preserve_index=False)
            if isinstance(rows, pd.DataFrame)
            else rows
        )
        exists = self.exists(table)
        predicate = replace if replace is not None and exists else None
        keys = list(partition_by) or None
        try:
            if exists:
                _log_no_values(self.delta(table))
            if append:
                write_deltalake(
                    str(self.path(table)),
                    data,
                    mode="append",
                    partition_by=keys,
                    schema_mode="merge",
                    configuration=NO_VALUES_IN_LOG,
                    writer_properties=_row_groups(data),
                )
            else:
                write_deltalake(
                    str(self.path(table)),
                    data,
                    mode="overwrite",
                    predicate=predicate,
                    partition_by=keys,
                    schema_mode="merge" if predicate else "overwrite",
                    configuration=NO_VALUES_IN_LOG,
                    writer_properties=_row_groups(data),
                )
        except (OSError, DeltaError) as error:
            raise StoreError(_write_failure(self.path(table), error)) from error

    def read(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Sequence[tuple[str, str, object]] = (),
    ) -> pd.DataFrame:
        """Rows of a table as pandas; times are naive UTC."""
        rows = self.read_arrow(table, columns=columns, filters=filters)
        with _whole(self.path(table)):
            frame: pd.DataFrame = rows.to_pandas()
        return frame

    def read_arrow(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Sequence[tuple[str, str, object]] = (),
    ) -> pa.Table:
        """Rows of a table as Arrow has them."""
        delta = self.delta(table)
        with _whole(self.path(table)):
            return delta.to_pyarrow_table(
                columns=list(columns) if columns else None, filters=list(filters) or None
            )

    def files(self, table: str) -> list[str]:
        """Parquet files of the newest version of a table without partitions."""
        return _files_of(self.delta(table))

    def delta(self, table: str) -> DeltaTable:
        """The Delta table itself.

        Raises
        ------
        NotFound
            When nothing has been written there, with the command that writes it.
        """
        if table in self.pinned:
            return _at_version(*self.pinned[table])
        if not self.exists(table):
            raise NotFound(
                f"no table `{table}` in the store {self.folder}. Run `tenure run` first."
            )
        with _whole(self.path(table)):
            return DeltaTable(str(self.path(table)))

    def tables(self) -> list[str]:
        """Names of the store's own tables."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if path.is_dir() and DeltaTable.is_deltatable(str(path))
        )

    def size(self, table: str) -> int:
        """Bytes of a table's files, of all versions."""
        return sum(file.stat().st_size for file in self.path(table).rglob("*") if file.is_file())

    def columns(self, table: str) -> list[str]:
        """Columns of a table."""
        return [each.name for each in self.delta(table).schema().fields]

    def erase(
        self, table: str, gone: pc.Expression, *, blank: Mapping[str, pc.Expression] | None = None
    ) -> int:
        """Remove rows from the current version; returns how many there were. What earlier versions
        hold goes with `give_up_versions`.

        Parameters
        ----------
        gone
            True for the rows to remove; null counts as false.
        blank
            Column -> where its value goes while the row stays.

        Raises
        ------
        StoreError
            When the disk is full, the folder cannot be written, or another writer was faster.
        """
        delta = self.delta(table)
        rows = delta.to_pyarrow_dataset()
        gone = pc.coalesce(gone, pc.scalar(False))
        with _whole(self.path(table)):
            count = int(rows.count_rows(filter=gone))
            blanked = {
                name: condition
                for name, condition in (blank or {}).items()
                if rows.count_rows(filter=condition)
            }
        if not count and not blanked:
            return 0
        columns = {
            name: pc.if_else(
                pc.coalesce(blanked[name], pc.scalar(False)),
                pa.scalar(None, rows.schema.field(name).type),
                pc.field(name),
            )
            if name in blanked
            else pc.field(name)
            for name in rows.schema.names
        }
        try:
            _log_no_values(delta)
            # Delta's own delete writes text in a type that filters of other readers cannot compare.
            write_deltalake(
                str(self.path(table)),
                rows.scanner(columns=columns, filter=~gone).to_reader(),
                mode="overwrite",
                partition_by=delta.metadata().partition_columns or None,
            )
        except (OSError, DeltaError) as error:
            raise StoreError(_write_failure(self.path(table), error)) from error
        return count

    def give_up_versions(self, table: str) -> None:
        """Remove every file that the current version does not need, what a killed writer left
        behind among them, and every older entry of the log. The number of the version goes on.

        Raises
        ------
        StoreError
            When the disk is full, or the folder cannot be written.
        """
        folder = self.path(table)
        try:
            _log_no_values(self.delta(table))
            self.delta(table).vacuum(
                retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True
            )
            for aside in folder.rglob("*#*"):  # a file that was being written
                aside.unlink()
            delta = self.delta(table)
            kept = f"{delta.version():020d}"
            log = folder / "_delta_log"
            older = sorted(
                entry
                for entry in log.iterdir()
                if entry.name != "_last_checkpoint" and not entry.name.startswith(kept)
            )
            if older:
                delta.create_checkpoint()
            for entry in older:
                entry.unlink()
        except (OSError, DeltaError) as error:
            raise StoreError(_write_failure(folder, error)) from error

    def drop(self, table: str) -> None:
        """Remove a table with all its versions."""
        try:
            shutil.rmtree(self.path(table))
        except OSError as error:
            raise StoreError(_write_failure(self.path(table), error)) from error

    def version(self, table: str) -> int:
        """Number of the version that a reader sees now."""
        return int(self.delta(table).version())

    def keep_versions(self, table: str, days: int) -> None:
        """Keep replaced versions of a table for so many days, and remove files that are older than
        that, also those of killed writers that no version knows.

        Many small files become one, and a log that grew long is summed up.
        """
        wanted = {
            "delta.logRetentionDuration": f"interval {days} days",
            "delta.deletedFileRetentionDuration": f"interval {days} days",
        }
        delta = self.delta(table)
        if not wanted.items() <= delta.metadata().configuration.items():
            delta.alter.set_table_properties(wanted)
        self._put_together(table)
        delta, hours = self.delta(table), 24 * days
        # Asked first: vacuum itself commits two versions, also where it removes nothing.
        if delta.vacuum(retention_hours=hours, enforce_retention_duration=False, full=True):
            delta.vacuum(
                retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True
            )
        log = self.path(table) / "_delta_log"
        checkpoints = [int(entry.name[:20]) for entry in log.glob("*.checkpoint.parquet")]
        delta = self.delta(table)
        if delta.version() - max(checkpoints, default=0) >= LONGEST_LOG:
            delta.create_checkpoint()
            delta.cleanup_metadata()

    def _put_together(self, table: str) -> None:
        """Write a table that was appended to again and again as one file."""
        delta = self.delta(table)
        if delta.metadata().partition_columns or len(delta.file_uris()) < MOST_PARTS:
            return
        # Delta's own compaction writes text in a type that filters of other readers cannot compare.
        write_deltalake(
            str(self.path(table)),
            delta.to_pyarrow_dataset().scanner().to_reader(),
            mode="overwrite",
        )

    def is_being_written(self) -> bool:
        """Whether a command holds the store."""
        try:
            with (self.folder / ".lock").open("r") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store for one writing command, once another one lets go of it within the time
        that `tenure --wait` gives; a killed process lets go of it by itself.

        Raises
        ------
        StoreError
            When another command still holds it, or the folder cannot be written.
        """
        lock = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a+")
        except OSError as error:
            raise StoreError(_write_failure(self.folder, error)) from error
        with handle:
            if not taken(handle):
                raise StoreError(
                    f"the store {self.folder} is in use by process {holder(handle)}. Wait for that"
                    " command to end, or let this one wait: `tenure --wait 900 COMMAND`; readers"
                    " are not affected."
                )
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield


MOST_PARTS, LONGEST_LOG = 20, 20
"""Files of a table, and entries of its log, from which they are put together."""
ROW_GROUP_CELLS = 8_000_000
"""Values of a part of a file, 64 MB of numbers."""
NO_VALUES_IN_LOG = {"delta.dataSkippingNumIndexedCols": "0"}
"""Delta's log would keep the smallest and largest value of each column: names of accounts, where
nobody who deletes a row looks for them.
"""


def _row_groups(data: Any) -> WriterProperties:
    """How many rows the writer holds before they go to the disk: a million unless told, which is
    gigabytes of a table with hundreds of columns.
    """
    is_arrow = isinstance(data, pa.Table | pa.RecordBatchReader)
    width = len(data.schema) if is_arrow else len(data.columns)
    return WriterProperties(max_row_group_size=max(1, ROW_GROUP_CELLS // width))


def _log_no_values(delta: DeltaTable) -> None:
    """Keep values out of the log of a table that another release began."""
    if not NO_VALUES_IN_LOG.items() <= delta.metadata().configuration.items():
        delta.alter.set_table_properties(NO_VALUES_IN_LOG)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say of a table that cannot be read which one it is and what to do."""
    try:
        yield
    except (OSError, DeltaError, pa.ArrowException, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"table `{path.name}` of the store {path.parent} cannot be read: {said(error)}. A file"
            " of it is damaged or gone: put the folder back from a copy, or move the store aside"
            " and run `tenure run`."
        ) from error


def _files_of(delta: DeltaTable) -> list[str]:
    """Paths of a version's files; Delta writes a blank in the name of a folder as %20."""
    return sorted(unquote(uri.removeprefix("file://")) for uri in delta.file_uris())


def _at_version(folder: Path, version: int) -> DeltaTable:
    """A table as it was; every file of that version is there.

    Raises
    ------
    NotFound
        When the version was removed.
    """
    try:
        delta = DeltaTable(str(folder), version=version)
        missing = [file for file in _files_of(delta) if not Path(file).exists()]
    except (DeltaError, OSError) as error:
        raise NotFound(
            f"version {version} of `{folder.name}` cannot be restored:"
            f" {str(error).splitlines()[0]}."
        ) from error
    if missing:
        raise NotFound(
            f"version {version} of `{folder.name}` is gone: {len(missing)} of its files were"
            " removed."
        )
    return delta


def _write_failure(path: Path, error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOSPC or "No space left" in text:
        return (
            f"the disk of {path} is full; nothing was published. Free space and run the command"
            " again."
        )
    if number in (errno.EACCES, errno.EROFS) or "ermission denied" in text:
        return (
            f"{path} cannot be written ({text}). Choose another [store] uri or change its"
            " permissions."
        )
    return f"writing {path} failed: {text}. Nothing was published; run the command again."


def content_hash(table: pd.DataFrame, key: Sequence[str], *, without: Sequence[str] = ()) -> str:
    """sha256 over the values of a table, rows by key, columns by name.

    Two tables have one hash exactly when they are equal whatever their row order, column order or
    file layout. NaN equals NaN; the bits of a double count.
    """
    ordered = table.sort_values(list(key), kind="stable") if len(key) else table
    return columns_hash(
        (name, ordered[name]) for name in sorted(c for c in table.columns if c not in without)
    )


def columns_hash(columns: "Iterable[tuple[str, pd.Series[Any]]]") -> str:
    """`content_hash` of columns that come one by one, by name, their rows by key."""
    digest = hashlib.sha256()
    for name, column in columns:
        digest.update(name.encode() + b"\0")
        digest.update(_column_bytes(column))
    return digest.hexdigest()


def _column_bytes(column: "pd.Series[Any]") -> bytes:
    """The values of one column as bytes, the same for every in-memory representation."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return (
            column.to_numpy(dtype=np.int8).tobytes()
            if not column.isna().any()
            else repr(column.tolist()).encode()
        )
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.astype("datetime64[us]").to_numpy().astype(np.int64).tobytes()
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes()
    return "\x1f".join("\x00" if pd.isna(v) else str(v) for v in column).encode()
