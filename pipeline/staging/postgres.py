"""One PostgreSQL table or view copied into DuckDB: read only, in chunks, with the address out of
the file.
"""

import io
import itertools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from features.errors import ConfigError, ContractError
from pipeline.config.checks import nearest
from pipeline.edge.locations import said_of_address, shown_location
from pipeline.engine.duckdb import Connection, columns_of, identifier
from pipeline.staging.read import RawTable

if TYPE_CHECKING:
    import psycopg

# Bytes of CSV handed to DuckDB at a time: large enough for speed, small beside the memory limit.
CHUNK_BYTES = 16 << 20
# PostgreSQL's type -> DuckDB's; types not listed (enums, json, uuid, inet) are read as the text
# they print as.
DUCKDB_TYPES = {
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "bool": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}
# `numeric` without precision has no bound in PostgreSQL; 29 digits before the point and 9 after
# hold any amount.
UNBOUNDED_NUMERIC = "DECIMAL(38, 9)"

_names = itertools.count(1)


def copy_table(connection: Connection, location: str, table: str) -> RawTable:
    """Copy a table or view into a temporary DuckDB table.

    The transaction is read only and repeatable, so the copy is one moment of the table. Neither
    address nor password appears in any message.

    Raises
    ------
    ConfigError
        `env:NAME` names a variable that is not set.
    ContractError
        The server cannot be reached, or has no such table.
    """
    psycopg = psycopg_module()
    address = address_of(location)
    try:
        with psycopg.connect(address, connect_timeout=15) as server:
            server.read_only = True
            server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            server.execute("SET LOCAL TIME ZONE 'UTC'")
            server.execute("SET LOCAL DateStyle TO 'ISO'")
            return _copied(connection, server, table)
    except psycopg.Error as error:
        # `from None`: the driver's own message may repeat the address, password included.
        raise ContractError(
            f'PostgreSQL table "{table}" at {shown_location(location)} cannot be read: '
            f"{said_of_address(address, str(error))}. Check the address, the user's right to"
            " SELECT, and that the server is up."
        ) from None


def psycopg_module() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "PostgreSQL needs the package psycopg: pip install 'tenure[postgres]'."
        ) from error
    return psycopg


def address_of(location: str, key: str = "location") -> str:
    """The address itself, read from the environment where the setting `key` says so.

    Raises
    ------
    ConfigError
        The variable is not set.
    """
    if not location.startswith("env:"):
        return location
    name = location.removeprefix("env:")
    address = os.environ.get(name)
    if not address:
        raise ConfigError(
            f'{key} = "{location}": the environment variable {name} is not set. '
            "Set it to an address such as postgresql://user@host/database."
        )
    return address


def _copied(connection: Connection, server: "psycopg.Connection[Any]", table: str) -> RawTable:
    from psycopg import sql

    found = sql.Identifier(*_found(server, table))
    described = server.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(found)).description or []
    types = {column.name: _duckdb_type(column) for column in described}
    relation = f"raw_postgres_{next(_names)}"
    as_text = ", ".join(f"{identifier(name)} VARCHAR" for name in types)
    connection.execute(f"CREATE TEMP TABLE {relation}_text ({as_text})")
    try:
        with server.cursor().copy(
            sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv)").format(found)
        ) as lines:
            for chunk in _chunks(lines):
                _append(connection, f"{relation}_text", list(types), chunk)
        casts = ", ".join(
            f"CAST({identifier(n)} AS {t}) AS {identifier(n)}" for n, t in types.items()
        )
        connection.execute(f"CREATE TEMP TABLE {relation} AS SELECT {casts} FROM {relation}_text")
    finally:
        connection.execute(f"DROP TABLE {relation}_text")
    return RawTable(relation, columns_of(connection, relation), table)


def _found(server: "psycopg.Connection[Any]", table: str) -> tuple[str, str]:
    """(schema, name) of the table or view; without a schema, the first on the search path."""
    schema, _, name = table.rpartition(".")
    visible = server.execute(
        "SELECT n.nspname, c.relname, pg_table_is_visible(c.oid) FROM pg_class c JOIN pg_namespace"
        " n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname"
        " NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%' ORDER BY"
        " 1, 2"
    ).fetchall()
    for found_schema, found_name, is_visible in visible:
        if found_name == name and (found_schema == schema or (not schema and is_visible)):
            return found_schema, found_name
    names = [n if is_visible else f"{s}.{n}" for s, n, is_visible in visible]
    raise ContractError(
        f'the PostgreSQL database has no table or view "{table}" that this user can see'
        f"{nearest(table, names)} Tables there: {', '.join(names[:20]) or 'none'}."
    )


def _duckdb_type(column: "psycopg.Column") -> str:
    from psycopg.postgres import types

    known = types.get(column.type_code)
    name = known.name if known is not None else ""
    if name == "numeric":
        precision, scale = column.precision, column.scale
        is_bounded = (
            precision is not None
            and scale is not None
            and precision <= 38
            and 0 <= scale <= precision
        )
        return f"DECIMAL({precision}, {scale})" if is_bounded else UNBOUNDED_NUMERIC
    return DUCKDB_TYPES.get(name, "VARCHAR")


def _chunks(lines: "psycopg.Copy") -> Iterator[bytes]:
    """Whole rows, gathered: libpq hands over one row at a time, and a call per row would cost more
    than the data.
    """
    chunk = io.BytesIO()
    for line in lines:
        chunk.write(line)
        if chunk.tell() >= CHUNK_BYTES:
            yield chunk.getvalue()
            chunk = io.BytesIO()
    if chunk.tell():
        yield chunk.getvalue()


def _append(connection: Connection, table: str, names: list[str], chunk: bytes) -> None:
    """Parse a chunk with Arrow (an unquoted empty field is NULL, a quoted one is empty text) and
    append it.
    """
    import pyarrow as pa
    from pyarrow import csv

    parsed = csv.read_csv(
        io.BytesIO(chunk),
        read_options=csv.ReadOptions(column_names=names),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    connection.register("postgres_chunk", parsed)
    connection.execute(f"INSERT INTO {table} SELECT * FROM postgres_chunk")
    connection.unregister("postgres_chunk")
