"""Copies of what was published: a real PostgreSQL server, and one JSON file for each run."""

import json
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import pandas as pd
import pytest
from small_company import Command, Company
from test_company_runs import LATER
from test_night import quick, states, work  # noqa: F401 - a fixture

from features.errors import ConfigError, StoreError
from pipeline.config import read_project
from pipeline.jobs import publish as publish_job
from pipeline.jobs.publish import publish_copies
from pipeline.ledger import run_rows
from pipeline.publish.document import document_schema
from pipeline.publish.postgres import Warehouse

psycopg = pytest.importorskip("psycopg")
NASTY = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://x")',
    "\u202eabc",
    'a,"b"\nc\\N',
    "x" * 9999,
)


@pytest.fixture
def address(postgres_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database server, and its address in the environment."""
    monkeypatch.setenv("TENURE_WAREHOUSE", postgres_address)
    with psycopg.connect(postgres_address, autocommit=True) as server:
        server.execute("DROP SCHEMA IF EXISTS tenure CASCADE")
    yield postgres_address


@pytest.fixture
def publishing(company_copy: Company) -> Company:
    """A company whose project asks for both copies."""
    return _with_settings(company_copy, 'postgres = "env:TENURE_WAREHOUSE"\njson = true\n')


def _with_settings(company: Company, settings: str) -> Company:
    toml = company.folder / "tenure.toml"
    toml.write_text(f"{toml.read_text()}\n[publish]\n{settings}")
    return company


def _copy(company: Company) -> publish_job.Copies:
    workspace, target = company.workspace(LATER)
    return publish_copies(workspace, target)


def _rows(address: str, query: str) -> list[Any]:
    with psycopg.connect(address) as server:
        server.execute("SET TIME ZONE 'UTC'")
        return server.execute(query).fetchall()


def test_postgres_holds_the_published_rows_as_the_store_does(
    publishing: Company, address: str
) -> None:
    copies = _copy(publishing)
    for table in ("scores", "drivers", "portfolio"):
        mine = publishing.published(table)
        there = pd.DataFrame(_rows(address, f"SELECT * FROM tenure.{table}"))
        assert len(there) == len(mine) == copies.rows[table]
    ours = publishing.published("scores").sort_values("account_id")
    theirs = _rows(
        address,
        "SELECT account_id, probability, health_exact, band, scored_at, as_of FROM tenure.scores s"
        ' JOIN tenure.current_runs r USING (run_id, as_of) ORDER BY account_id COLLATE "C"',
    )
    assert [row[0] for row in theirs] == list(ours["account_id"])
    for place, column in ((1, "probability"), (2, "health_exact")):
        # To the bit: a number that was rounded on its way is another one.
        values = [None if pd.isna(value) else value for value in ours[column]]
        assert [row[place] for row in theirs] == values
    assert [row[3] for row in theirs] == [None if pd.isna(band) else band for band in ours["band"]]
    assert theirs[0][4] == ours["scored_at"].iloc[0].to_pydatetime().replace(tzinfo=UTC)
    (listed,) = _rows(address, "SELECT count(*), min(rank) FROM tenure.worklist")[0:1]
    assert listed[0] > 0 and listed[1] == 1


def test_the_same_copy_again_changes_nothing(publishing: Company, address: str) -> None:
    first = _copy(publishing)
    query = "SELECT md5(string_agg(s::text, '|' ORDER BY s::text)) FROM tenure.{} s"
    tables = [*first.rows]
    before = [_rows(address, query.format(table)) for table in tables]
    again = _copy(publishing)
    assert again.rows == first.rows
    assert [_rows(address, query.format(table)) for table in tables] == before


def test_readers_see_nothing_of_a_copy_that_was_stopped(
    publishing: Company, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Warehouse, table: Any) -> int:
        if table.name == "runs":
            raise psycopg.errors.DiskFull("no space left on device")
        return copy(self, table)

    copy = Warehouse.copy
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "copy", stop)
        with pytest.raises(StoreError, match="has nothing of this run: no space left"):
            _copy(publishing)
    assert _rows(address, "SELECT count(*) FROM pg_tables WHERE schemaname = 'tenure'") == [(0,)]
    _copy(publishing)
    assert len(_rows(address, "SELECT * FROM tenure.current_runs")) == 1


def test_a_forgotten_account_goes_there_too(
    publishing: Company, address: str, tenure: Command
) -> None:
    file = _copy(publishing).file
    account = str(publishing.published("scores")["account_id"].iloc[3])
    assert file is not None and f'"{account}"' in file.read_text()
    count = f"SELECT count(*) FROM tenure.{{}} WHERE account_id = '{account}'"
    assert _rows(address, count.format("drivers"))[0][0] > 0
    said = tenure("forget", account, "--yes", "--project", publishing.folder)
    assert said.code == 0, said.err
    for table in ("scores", "drivers", "portfolio", "worklist"):
        assert _rows(address, count.format(table)) == [(0,)]
    assert len(_rows(address, "SELECT * FROM tenure.scores")) > 0
    assert f'"{account}"' not in file.read_text()


def test_a_run_that_was_taken_back_is_not_current_there(
    publishing: Company, address: str, tenure: Command
) -> None:
    first = publishing.published("scores")["run_id"].iloc[0]
    accounts = publishing.table("accounts").assign(owner="CSM-99")
    publishing.replace_table("accounts", accounts)
    said = tenure("score", "--project", publishing.folder)
    assert said.code == 0, said.err
    second = _copy(publishing).run_id
    current = "SELECT run_id FROM tenure.current_runs"
    assert second != first and _rows(address, current) == [(second,)]
    # Copied for the first time, what was published before it is there as well.
    assert {row[0] for row in _rows(address, "SELECT DISTINCT run_id FROM tenure.scores")} == {
        first,
        second,
    }
    assert tenure("rollback", first, "--yes", "--project", publishing.folder).code == 0
    assert _rows(address, current) == [(first,)]
    assert _rows(address, "SELECT DISTINCT run_id FROM tenure.worklist") == [(first,)]


def test_hostile_names_arrive_as_they_are(publishing: Company, address: str) -> None:
    workspace, _ = publishing.workspace()
    people = workspace.store.read("portfolio").sort_values("account_id")
    people["name"] = [NASTY[n % len(NASTY)] for n in range(len(people))]
    workspace.store.write("portfolio", people)
    copies = _copy(publishing)
    names = {row[0] for row in _rows(address, "SELECT name FROM tenure.portfolio")}
    assert names == set(NASTY)
    assert copies.file is not None
    document = json.loads(copies.file.read_text())
    assert {account["name"] for account in document["accounts"]} == set(NASTY)


def test_a_column_of_a_later_release_is_added(publishing: Company, address: str) -> None:
    _copy(publishing)
    with psycopg.connect(address, autocommit=True) as server:
        server.execute("DROP VIEW tenure.current_runs")
        server.execute("ALTER TABLE tenure.scores DROP COLUMN health_low")
    _copy(publishing)
    assert _rows(address, "SELECT count(health_low) FROM tenure.scores")[0][0] > 0


@pytest.mark.usefixtures("quick")
def test_a_night_copies_at_its_end_and_a_dead_server_stops_no_page(
    publishing: Company, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_WAREHOUSE", "postgresql://ann:s3cret@127.0.0.1:1/none")
    whole = work(publishing)
    steps = states(whole)
    assert whole.exit_code == 1 and steps["copies"] == "failed" and steps["pages"] == "done"
    reason = next(row["reason"] for row in whole.steps if row["step"] == "copies")
    assert "s3cret" not in reason and "ann" not in reason and "run `tenure publish`" in reason
    monkeypatch.setenv("TENURE_WAREHOUSE", address)
    again = work(publishing, LATER + timedelta(hours=1))
    assert again.exit_code == 0 and set(states(again)) >= {"copies"}
    (row,) = _rows(address, "SELECT run_id FROM tenure.current_runs")
    assert row[0] == again.published[0].run_id


def test_the_file_of_a_run_keeps_to_its_schema(publishing: Company, address: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    file = _copy(publishing).file
    assert file is not None
    document = json.loads(file.read_text())
    jsonschema.validate(document, document_schema())
    scores = publishing.published("scores").set_index("account_id")
    drivers = publishing.published("drivers")
    assert document["run"]["run_id"] == scores["run_id"].iloc[0]
    assert [account["account_id"] for account in document["accounts"]] == sorted(scores.index)
    told = next(a for a in document["accounts"] if a["health"] is not None)
    mine = drivers[drivers["account_id"] == told["account_id"]]
    assert len(told["drivers"]) == len(mine)
    total = told["base_points"] + sum(driver["points"] for driver in told["drivers"])
    assert total == pytest.approx(told["health_exact"], abs=1e-9)
    assert told["probability"] == scores.loc[told["account_id"], "probability"]


def test_without_a_place_for_copies_publish_says_what_to_set(
    company: Company, tenure: Command
) -> None:
    said = tenure("publish", "--project", company.folder)
    assert said.code == 2 and "[publish] names no place for copies" in said.err
    assert json.loads(tenure("publish", "--schema", "--json").out) == document_schema()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('postgres = "postgresql://ann:s3cret@db/crm"', "may hold a secret"),
        ('postgres = "mysql://db/crm"', "must be .env:NAME"),
        ('postgres = "env:X"\nschema = "a b"', "small letters"),
    ],
)
def test_a_password_stays_out_of_the_file(
    company_copy: Company, settings: str, problem: str
) -> None:
    _with_settings(company_copy, f"{settings}\n")
    with pytest.raises(ConfigError, match=problem) as refused:
        read_project(company_copy.folder)
    assert "s3cret" not in str(refused.value)


def test_copies_move_no_score(company_copy: Company) -> None:
    before = run_rows(company_copy.workspace()[0].store)["config_hash"].iloc[-1]
    publishing = _with_settings(company_copy, "json = true\n")
    from pipeline.config import config_hash

    assert config_hash(publishing.workspace()[0].project) == before
