"""DuckDB as the engine: one in-memory connection per run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from features.sql import identifier as identifier
from features.sql import standard_literal
from features.windows import US_PER_DAY
from pipeline.edge.scratch import scratch_name
from pipeline.engine.memory import database_limit

literal = standard_literal
"""DuckDB takes a literal of standard SQL everywhere."""

Connection = duckdb.DuckDBPyConnection

# What 1.5 and 2.0 both have: execute().fetchall(), execute().df(), sql().to_arrow_table().
# Nothing else of the Python client is used, so that one code runs on both.


def connect(
    threads: int = 2, memory_limit: str | None = None, spill_directory: Path | None = None
) -> Connection:
    """An in-memory DuckDB whose session is in UTC.

    Parameters
    ----------
    threads
        Cores used by one query.
    memory_limit
        DuckDB's notation (`4GB`); above it DuckDB spills to `spill_directory`. Default: its share
        of `[engine] memory_gb`.
    spill_directory
        Default: a folder of this process below the system's temporary folder, made only when
        needed.
    """
    spill = spill_directory or Path(tempfile.gettempdir()) / scratch_name("spill")
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": memory_limit or database_limit(),
            "temp_directory": str(spill),
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    # A bar on standard output would break --json and the story of a run.
    # In a notebook there is none to switch off, and the setting itself is an error there.
    if row(connection, "SELECT current_setting('enable_progress_bar')")[0]:
        connection.execute("SET enable_progress_bar = false")
    # Nothing is fetched from the network behind the user's back; icu, json and parquet are built
    # in.
    connection.execute("SET autoinstall_known_extensions = false")
    return connection


@contextmanager
def connected(threads: int = 2, memory_limit: str | None = None) -> Iterator[Connection]:
    """`connect` for a `with` statement."""
    connection = connect(threads, memory_limit)
    try:
        yield connection
    finally:
        connection.close()


def midnight(day: str) -> str:
    """The timestamp at which a day begins, of a column of day numbers.

    >>> midnight("as_of_day")
    'make_timestamp(as_of_day * 86400000000)'
    """
    return f"make_timestamp({day} * {US_PER_DAY})"


def rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return connection.execute(query).fetchall()


def row(connection: Connection, query: str) -> tuple[Any, ...]:
    """The one row of an aggregate."""
    return rows(connection, query)[0]


def columns_of(connection: Connection, relation: str) -> dict[str, str]:
    """Column names of a table, view or parenthesised query, with DuckDB's types, in order."""
    return {
        name: type_ for name, type_, *_ in rows(connection, f"DESCRIBE SELECT * FROM {relation}")
    }
