"""Published rows copied into PostgreSQL: all of them and the rows of `runs`, in one transaction.

Rows arrive by COPY in a temporary table, then take the place of rows of the same key. The rows of
`runs` come last and commit together with all others: a reader sees the run before or this one,
whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from features.errors import StoreError
from pipeline.edge.locations import said_of_address, shown_location
from pipeline.staging.postgres import address_of, psycopg_module

if TYPE_CHECKING:
    import psycopg

RUNS_THERE = "runs"
_WAIT_SECONDS = 15


@dataclass(frozen=True)
class CopiedTable:
    """Rows on their way into a table of the same name.

    Attributes
    ----------
    key
        Columns that tell its rows apart; none of them is ever null.
    scope
        A column and values: rows there that have one of them and are not among these go.
    """

    name: str
    key: tuple[str, ...]
    scope: tuple[str, tuple[str, ...]]
    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class RunThere:
    """A run as the database knows it."""

    run_id: str
    table_hashes: str | None


class Warehouse:
    """The tables of one schema, inside one transaction."""

    def __init__(self, server: "psycopg.Connection[Any]", schema: str) -> None:
        self.server, self.schema = server, schema

    def runs(self, target: str) -> Mapping[str, RunThere]:
        """The runs of a target that are there, by id."""
        if not self._columns(RUNS_THERE):
            return {}
        rows = self.server.execute(
            self._sql("SELECT run_id, table_hashes FROM {table} WHERE target = %s", RUNS_THERE),
            [target],
        ).fetchall()
        return {row[0]: RunThere(*row) for row in rows}

    def copy(self, table: CopiedTable) -> int:
        """Put rows in place; returns how many arrived."""
        from psycopg import sql

        self._prepare(table)
        names = [sql.Identifier(name) for name in table.schema.names]
        columns = sql.SQL(", ").join(names)
        self._run("CREATE TEMP TABLE arriving (LIKE {table}) ON COMMIT DROP", table.name)
        copy = sql.SQL("COPY arriving ({columns}) FROM STDIN (FORMAT csv)").format(columns=columns)
        with self.server.cursor().copy(copy) as lines:
            for batch in table.batches():
                lines.write(_csv(batch))
        scope, values = table.scope
        same = sql.SQL(" AND ").join(
            sql.SQL("there.{0} = here.{0}").format(sql.Identifier(name)) for name in table.key
        )
        self.server.execute(
            self._sql(
                "DELETE FROM {table} there WHERE {scope} = ANY(%s) AND NOT EXISTS"
                " (SELECT FROM arriving here WHERE {same})",
                table.name,
                scope=sql.Identifier(scope),
                same=same,
            ),
            [list(values)],
        )
        others = [name for name in table.schema.names if name not in table.key]
        new = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others
        )
        key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
        done = self.server.execute(
            self._sql(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM arriving"
                " ON CONFLICT ({key}) DO UPDATE SET {new}",
                table.name,
                columns=columns,
                key=key,
                new=new,
            )
        )
        self.server.execute("DROP TABLE arriving")
        return int(done.rowcount)

    def remove_runs(self, tables: Sequence[str], runs: Sequence[str]) -> None:
        """Remove every row of runs whose rows are kept no longer."""
        for table in tables:
            if runs and "run_id" in self._columns(table):
                statement = self._sql("DELETE FROM {table} WHERE run_id = ANY(%s)", table)
                self.server.execute(statement, [list(runs)])

    def show_current(self) -> None:
        """The view by which readers find the run of each target that counts."""
        self._run(
            "CREATE OR REPLACE VIEW {schema}.current_runs AS SELECT DISTINCT ON (target) run_id,"
            " target, as_of, basis, model_version, published_at FROM {table}"
            " WHERE state = 'published' ORDER BY target, as_of DESC, published_at DESC",
            RUNS_THERE,
        )

    def _prepare(self, table: CopiedTable) -> None:
        """Make the table, or the columns that a later release added."""
        from psycopg import sql

        kinds = {field.name: sql.SQL(_kind(field.type)) for field in table.schema}
        there = self._columns(table.name)
        if not there:
            columns = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), kind) for name, kind in kinds.items()
            )
            key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
            self._run(
                "CREATE TABLE {table} ({columns}, PRIMARY KEY ({key}))",
                table.name,
                columns=columns,
                key=key,
            )
        for name in (name for name in kinds if there and name not in there):
            column = sql.Identifier(name)
            self._run(
                "ALTER TABLE {table} ADD COLUMN {column} {kind}",
                table.name,
                column=column,
                kind=kinds[name],
            )

    def _columns(self, table: str) -> list[str]:
        names = self.server.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND"
            " table_name = %s",
            [self.schema, table],
        ).fetchall()
        return [row[0] for row in names]

    def _run(self, statement: str, table: str, **parts: Any) -> None:
        self.server.execute(self._sql(statement, table, **parts))

    def _sql(self, statement: str, table: str, **parts: Any) -> Any:
        from psycopg import sql

        schema = sql.Identifier(self.schema)
        name = sql.Identifier(self.schema, table)
        return sql.SQL(statement).format(table=name, schema=schema, **parts)


def in_warehouse(location: str, schema: str, work: Callable[[Warehouse], None]) -> None:
    """Do work in one transaction: all of it is there afterwards, or none.

    Raises
    ------
    ConfigError
        `env:NAME` names a variable that is not set.
    StoreError
        The server cannot be reached, or refuses; neither address nor password is told.
    """
    psycopg = psycopg_module()
    address = address_of(location, "[publish] postgres")
    try:
        with psycopg.connect(address, connect_timeout=_WAIT_SECONDS) as server:
            server.execute("SET LOCAL TIME ZONE 'UTC'")
            # Two nights at once would wait for each other's rows in different orders.
            server.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"tenure {schema}"])
            there = server.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])
            if there.fetchone() is None:
                from psycopg import sql

                server.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            work(Warehouse(server, schema))
    except psycopg.Error as error:
        # `from None`: the driver's own message may repeat the address, password included.
        raise StoreError(
            f"PostgreSQL at {shown_location(location)} has nothing of this run:"
            f" {said_of_address(address, str(error))}. The store is whole. Check the address, the"
            f" right to create tables in the schema {schema}, and that the server is up; then run"
            " `tenure publish`."
        ) from None


def _kind(kind: pa.DataType) -> str:
    """PostgreSQL's type of a column; the times of the store are UTC."""
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    if pa.types.is_floating(kind):
        return "double precision"
    if pa.types.is_boolean(kind):
        return "boolean"
    return "bigint" if pa.types.is_integer(kind) else "text"


def _csv(batch: pa.RecordBatch) -> bytes:
    """Rows as COPY reads them: no value is an empty field, an empty text is a quoted one."""
    columns = [_plain(column) for column in batch.columns]
    sink = pa.BufferOutputStream()
    csv.write_csv(
        pa.record_batch(columns, names=batch.schema.names),
        sink,
        csv.WriteOptions(include_header=False, quoting_style="needed"),
    )
    return bytes(sink.getvalue())


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.replace_substring(column, "\0", "")  # the one letter that PostgreSQL cannot keep
    return column
