"""The ledger is a chain of hashes: what is changed, taken out or put in is named."""

import json
import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from small_company import Command, Company
from test_company_runs import LATER

from pipeline.chain import HASH, PREVIOUS, TABLES, ledger_head, ledger_rows
from pipeline.jobs.privacy import forget_account
from pipeline.ledger import (
    RUNS,
    RunRow,
    append_run,
    current_run,
    roll_back,
    run_rows,
    verify_ledger,
)
from pipeline.storage import Store

START = datetime(2025, 6, 1, 6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three published runs, one after the other."""
    store = Store(tmp_path / "store")
    for day, run_id in enumerate(("a", "b", "c")):
        publish(store, run_id, day)
    return store


def publish(store: Store, run_id: str, day: int) -> None:
    append_run(
        store,
        RunRow.of(
            {
                "run_id": run_id,
                "as_of": datetime(2025, 6, 1) + timedelta(days=day),
                "target": "churn",
                "state": "published",
                "published_at": START + timedelta(days=day),
            }
        ),
    )


def rewrite(store: Store, rows: list[dict[str, object]]) -> None:
    store.write("runs", pa.Table.from_pylist(rows, schema=RUNS))


def test_every_row_carries_the_hash_of_the_row_before(store: Store) -> None:
    rows = sorted(ledger_rows(store), key=lambda row: row["published_at"])
    assert rows[0][PREVIOUS] is None
    assert [row[PREVIOUS] for row in rows[1:]] == [row[HASH] for row in rows[:-1]]
    checked = verify_ledger(store)
    assert checked.problems == () and checked.head == rows[-1][HASH] == ledger_head(store)
    roll_back(store, "a", START + timedelta(days=9))
    assert verify_ledger(store).problems == () and verify_ledger(store).hashed == 5


@pytest.mark.parametrize("column", ["note", "model_version", "as_of", "counts", PREVIOUS])
def test_a_changed_value_names_its_row(store: Store, column: str) -> None:
    rows = ledger_rows(store)
    value = datetime(2020, 1, 1) if column == "as_of" else "changed"
    rewrite(store, [{**row, column: value} if row["run_id"] == "b" else row for row in rows])
    assert any("published of run b " in problem for problem in verify_ledger(store).problems)


def test_a_row_taken_out_or_put_in_is_named(store: Store) -> None:
    rows = ledger_rows(store)
    rewrite(store, [row for row in rows if row["run_id"] != "b"])
    assert "the row before the row of `runs` that says published of run c" in " ".join(
        verify_ledger(store).problems
    )
    put_in = {**rows[0], "run_id": "x", PREVIOUS: None, HASH: None, "published_at": LATER}
    rewrite(store, [*rows, put_in])
    assert "run x" in " ".join(verify_ledger(store).problems)


def test_a_ledger_written_anew_is_known_by_a_head_that_was_noted(store: Store) -> None:
    noted = str(ledger_head(store))[:16]
    assert verify_ledger(store, noted).problems == ()
    rewrite(store, [])
    for day, run_id in enumerate(("a", "b", "d")):
        publish(store, run_id, day)
    assert verify_ledger(store).problems == ()
    assert noted in verify_ledger(store, noted).problems[0]


def test_rows_of_a_release_without_hashes_stay_readable(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    older = [name for name in RUNS.names if name not in (TABLES, PREVIOUS, HASH)]
    row = {"run_id": "old", "target": "churn", "state": "published", "as_of": START}
    schema = pa.schema([RUNS.field(name) for name in older])
    rows = [{**row, "published_at": START - timedelta(days=1)}]
    store.write("runs", pa.Table.from_pylist(rows, schema=schema))
    assert (verify_ledger(store).head, verify_ledger(store).problems) == (None, ())
    publish(store, "new", 1)
    checked = verify_ledger(store)
    assert (checked.rows, checked.hashed, checked.problems) == (2, 1, ())
    assert checked.begins == START + timedelta(days=1)
    assert set(run_rows(store)["run_id"]) == {"old", "new"}


def flip_values(file: Path, random_place: random.Random) -> None:
    """Change a byte somewhere in the pages of a Parquet file."""
    data = bytearray(file.read_bytes())
    footer = int.from_bytes(data[-8:-4], "little")
    place = random_place.randrange(4, len(data) - 8 - footer)
    data[place] ^= 1 << random_place.randrange(8)
    file.unlink()  # copies share files
    file.write_bytes(bytes(data))


@pytest.mark.parametrize("table", ["scores", "drivers", "portfolio"])
def test_a_changed_value_of_a_published_table_is_named(company_copy: Company, table: str) -> None:
    store = company_copy.workspace()[0].store
    assert verify_ledger(store).problems == () and verify_ledger(store).runs == 1
    rows = store.read(table)
    run_id = rows["run_id"].iloc[0]
    column = {"scores": "health", "drivers": "points", "portfolio": "owner"}[table]
    rows[column] = rows[column].where(rows.index != 7, "CSM-99" if table == "portfolio" else 1.0)
    keys = ["run_id"] if table == "portfolio" else ["target", "as_of"]
    schema = store.read_arrow(table).schema
    store.write(table, pa.Table.from_pandas(rows, schema=schema), partition_by=keys)
    (problem,) = verify_ledger(store).problems
    assert problem == (
        f"table `{table}`: the rows of run {run_id} are not those that were published."
    )


@pytest.mark.parametrize("table", ["scores", "runs"])
def test_a_tampered_byte_is_named(company_copy: Company, tenure: Command, table: str) -> None:
    """Of whatever byte among the values: either they do not read any more, or their hash tells."""
    folder = company_copy.folder
    before = company_copy.workspace()[0].store.read(table)
    (file,) = [
        path
        for path in (folder / "store" / table).rglob("*.parquet")
        if "_delta_log" not in path.parts and path.stat().st_size > 4_000
    ]
    whole, place = file.read_bytes(), random.Random(7)
    for _ in range(4):
        flip_values(file, place)
        answer = tenure("ledger", "verify", "--project", folder)
        try:
            is_same = company_copy.workspace()[0].store.read(table).equals(before)
        except OSError:
            is_same = False
        if not is_same:  # a byte of a header that no reader looks at changes nothing
            assert answer.code == 1 and f"`{table}`" in answer.out + answer.err
        file.write_bytes(whole)


def test_a_deletion_on_request_is_no_tampering(company_copy: Company) -> None:
    workspace, target = company_copy.workspace(LATER)
    run = current_run(workspace.store, target.name)
    assert run is not None
    account = company_copy.published("scores").dropna(subset=["health"])["account_id"].iloc[0]
    forget_account(workspace, account)
    now = current_run(workspace.store, target.name)
    assert now is not None and now.run_id == run.run_id
    assert "rows_removed" in json.loads(now.table_hashes or "")
    assert verify_ledger(workspace.store).problems == ()


def test_the_head_stands_in_the_foot_of_every_page(company: Company, tenure: Command) -> None:
    workspace, target = company.workspace()
    head = str(ledger_head(workspace.store))[:16]
    pages = sorted((company.folder / "reports" / target.name).glob("*.html"))
    assert {page.name for page in pages} >= {"portfolio.html", "accounts.html", "model_card.html"}
    for page in pages:
        assert re.findall(r"Ledger (\w+)\.</footer>", page.read_text(encoding="utf-8")) == [head]
    answer = tenure("ledger", "verify", "--head", head, "--project", company.folder)
    assert answer.code == 0 and f"head: {head}" in answer.out


def test_a_date_scored_again_is_compared_with_the_run_before_it(company_copy: Company) -> None:
    first = company_copy.score(LATER, staged=True)
    assert first.previous_counts is None  # there is no other run
    accounts = company_copy.table("accounts").assign(owner="CSM-99")
    company_copy.replace_table("accounts", accounts)
    other = company_copy.score(LATER + timedelta(hours=1))
    again = company_copy.score(LATER + timedelta(hours=2), staged=True)
    assert other.run.run_id == again.run.run_id != first.run.run_id
    assert again.previous_counts == other.previous_counts == json.loads(first.run.counts)


def test_a_run_is_published_when_it_is_and_not_when_it_began(company_copy: Company) -> None:
    from dataclasses import replace

    from pipeline.engine.duckdb import connected
    from pipeline.jobs.score import score_target

    workspace, target = company_copy.workspace(LATER)
    ticking = replace(workspace, clock=lambda: LATER + timedelta(minutes=3))
    with connected() as connection:
        run = score_target(ticking, connection, target).run
    assert (run.started_at, run.published_at) == (LATER, LATER + timedelta(minutes=3))


def test_a_date_before_all_training_asks_for_backfill(
    company_copy: Company, tenure: Command
) -> None:
    early = ("score", "--as-of", "2023-06-01", "--project", company_copy.folder)
    refused = tenure(*early)
    assert refused.code == 2 and "--backfill" in refused.err and "2023-06-01" in refused.err
    assert tenure(*early, "--backfill").code == 0


def test_what_cannot_be_undone_asks(company: Company, tenure: Command) -> None:
    run_id = company.published("scores")["run_id"].iloc[0]
    for words in (("rollback", run_id), ("forget", "A-0000001")):
        answer = tenure(*words, "--project", company.folder)
        assert answer.code == 2 and "--yes" in answer.err and answer.out == ""
    assert isinstance(company.published("scores"), pd.DataFrame)
