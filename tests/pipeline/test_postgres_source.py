"""PostgreSQL as a source: a real server, one table and one view."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from features.errors import ConfigError, ContractError
from pipeline.config.schema import ColumnRule, Project, Source
from pipeline.engine.duckdb import Connection, rows
from pipeline.staging import stage
from pipeline.staging.postgres import copy_table

psycopg = pytest.importorskip("psycopg")

TABLE = """
    CREATE TABLE crm_invoices (
        id integer, customer numeric, issued timestamptz, booked timestamp, due date, amount numeric(12, 2),
        share double precision, paid boolean, note text, tags jsonb, big bigint
    )
"""


@pytest.fixture
def database(postgres_address: str) -> Iterator[str]:
    """An address whose database holds three invoices in a table and two of them in a view."""
    with psycopg.connect(postgres_address, autocommit=True) as server:
        server.execute("DROP TABLE IF EXISTS crm_invoices CASCADE")
        server.execute(TABLE)
        server.execute(
            "INSERT INTO crm_invoices VALUES (1, 12346.0, '2024-03-01 12:00+02', '2024-07-01"
            " 10:00', '2024-03-31', 19.99, 0.285, true, 'a,\"b\"\nc', '{\"x\": 1}',"
            " 9007199254740993), (2, 7, '2024-03-02 00:30-05', '2024-01-01 10:00', NULL, -0.01,"
            " NULL, false, '', NULL, NULL), (3, 8, '2024-03-03 00:00+00', '2024-01-02 10:00', NULL,"
            " 1234567890.12, 1e-7, NULL, NULL, NULL, 0)"
        )
        server.execute("CREATE VIEW recent_invoices AS SELECT * FROM crm_invoices WHERE id > 1")
    yield postgres_address


def invoices(location: str, table: str = "crm_invoices") -> Project:
    source = Source(
        location=location,
        table=table,
        columns={
            "account_id": "customer",
            "issued_at": "issued",
            "due_at": "due",
            "paid_at": ColumnRule(column="booked", time_zone="Europe/London"),
        },
        extra={"share": "share", "is_paid": "paid", "note": "note", "big": "big"},
    )
    return Project(name="p", sources={"invoices": source})


def test_types_arrive_as_postgres_meant_them(
    database: str, duck: Connection, tmp_path: Path
) -> None:
    staged = stage(invoices(database), tmp_path, duck)["invoices"]
    found = rows(
        duck,
        "SELECT account_id, issued_at, due_at, paid_at, amount, share, is_paid, note, big "
        "FROM staged_invoices ORDER BY issued_at",
    )
    assert found == [
        (
            "12346",
            datetime(2024, 3, 1, 10),
            datetime(2024, 3, 31),
            datetime(2024, 7, 1, 9),
            1999,
            285,
            True,
            'a,"b"\nc',
            9007199254740993,
        ),
        (
            "7",
            datetime(2024, 3, 2, 5, 30),
            None,
            datetime(2024, 1, 1, 10),
            -1,
            None,
            False,
            None,
            None,
        ),
        ("8", datetime(2024, 3, 3), None, datetime(2024, 1, 2, 10), 123456789012, 0, None, None, 0),
    ]
    assert staged.columns["share"].decimals == 3
    assert staged.data_until == {"": date(2024, 3, 3)}


def test_view_is_read_like_a_table(database: str, duck: Connection, tmp_path: Path) -> None:
    assert (
        stage(invoices(database, "public.recent_invoices"), tmp_path, duck)["invoices"].rows_staged
        == 2
    )


def test_many_chunks_give_every_row(
    database: str, duck: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database, autocommit=True) as server:
        server.execute(
            "INSERT INTO crm_invoices (id, note) SELECT i, repeat('x', 50) FROM generate_series(10,"
            " 5009) i"
        )
    monkeypatch.setattr("pipeline.staging.postgres.CHUNK_BYTES", 10_000)
    copied = copy_table(duck, database, "crm_invoices")
    assert rows(duck, f"SELECT count(*), count(DISTINCT id) FROM {copied.relation}") == [
        (5003, 5003)
    ]


def test_transaction_is_read_only(database: str, duck: Connection) -> None:
    with psycopg.connect(database, autocommit=True) as server:
        server.execute(
            "CREATE OR REPLACE FUNCTION writes() RETURNS integer LANGUAGE sql AS "
            "$$ INSERT INTO crm_invoices (id) VALUES (99) RETURNING id $$"
        )
        server.execute("CREATE OR REPLACE VIEW writing_view AS SELECT writes() AS id")
    with pytest.raises(ContractError, match="read-only transaction"):
        copy_table(duck, database, "writing_view")


def test_address_comes_from_the_environment(
    database: str, duck: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_ADDRESS", database)
    assert stage(invoices("env:CRM_ADDRESS"), tmp_path, duck)["invoices"].rows_staged == 3


def test_unset_variable_is_named(
    duck: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRM_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="environment variable CRM_ADDRESS is not set"):
        stage(invoices("env:CRM_ADDRESS"), tmp_path, duck)


def test_missing_table_names_the_nearest(database: str, duck: Connection, tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match='no table or view "crm_invoice".*did you mean `crm_invoices`'
    ):
        stage(invoices(database, "crm_invoice"), tmp_path, duck)


def test_password_appears_in_no_message(duck: Connection, tmp_path: Path) -> None:
    address = "postgresql://reader:hunter2@127.0.0.1:1/crm"
    with pytest.raises(ContractError, match="cannot be read") as caught:
        stage(invoices(address), tmp_path, duck)
    told = str(caught.value) + str(caught.value.__cause__) + str(caught.value.__cause__.__cause__)
    assert "hunter2" not in told
