"""What `tenure init` proposes: accepted by `read_project`, staged where nothing is open, honest
where something is.
"""

import gzip
import re
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.errors import ConfigError
from features.sources import CONTRACTS
from pipeline.config import read_project
from pipeline.config.schema import Project
from pipeline.config.toml_text import toml_key, toml_string
from pipeline.engine.duckdb import Connection
from pipeline.proposing import Proposal, contract_text, propose
from pipeline.staging import StagedSource, stage


def project_of(proposal: Proposal, folder: Path) -> Project:
    (folder / "tenure.toml").write_text(proposal.toml, encoding="utf-8")
    return read_project(folder)


def staged_of(
    proposal: Proposal, folder: Path, data: Path, duck: Connection, zone: str | None = None
) -> dict[str, StagedSource]:
    """Stage a proposal, with the one answer that init cannot know."""
    text = (
        proposal.toml
        if zone is None
        else proposal.toml.replace('# time_zone = "Europe/London"', f'time_zone = "{zone}"')
    )
    return stage(project_of(Proposal(text), folder), data, duck)


def test_edtech_stages_without_edit(shared_data: Path, tmp_path: Path, duck: Connection) -> None:
    proposal = propose(shared_data / "edtech_365", shared_data)
    staged = staged_of(proposal, tmp_path, shared_data, duck)
    project = read_project(tmp_path)
    assert {name: s.contract.table for name, s in staged.items()} == {
        "accounts": "accounts",
        "subscriptions": "subscriptions",
        "student_learning": "usage_events",
        "student_engagement": "usage_events",
        "student_exams": "usage_events",
        "support_tickets": "support_tickets",
        "surveys": "surveys",
    }
    assert project.sources["subscriptions"].convention == "fixed_term"
    assert (
        not staged["surveys"].notes
        and "Scores run from 1 to 5: taken for csat on 1-5" in proposal.toml
    )
    assert (project.targets[0].kind, project.targets[0].population.kind) == ("churn", "customers")
    assert any(
        "365_student_quizzes: left out, it has no date" in line for line in proposal.unguessed
    )


def test_ravenstack_finds_usage_through_subscriptions(
    shared_data: Path, tmp_path: Path, duck: Connection
) -> None:
    proposal = propose(shared_data / "ravenstack", shared_data)
    with pytest.raises(ConfigError, match="time_zone"):
        staged_of(proposal, tmp_path, shared_data, duck)
    staged = staged_of(proposal, tmp_path, shared_data, duck, "UTC")
    assert staged["usage_events"].settings.lookups[0].take == ("account_id",)
    assert {name: s.rows_staged for name, s in staged.items()} == {
        "accounts": 500,
        "subscriptions": 5_000,
        "usage_events": 25_000,
        "support_tickets": 2_000,
        "outcomes": 600,
    }
    assert read_project(tmp_path).targets[0].source == "outcomes"
    assert any(
        "ravenstack_support_tickets.closed_at" in line and "zone" in line
        for line in proposal.unguessed
    )


def test_retail_sheets_become_parts_that_do_not_overlap(
    shared_data: Path, tmp_path: Path, duck: Connection
) -> None:
    proposal = propose(shared_data / "online_retail_ii", shared_data)
    usage = staged_of(proposal, tmp_path, shared_data, duck, "Europe/London")["usage_events"]
    # The sheets name the customer differently; rows without one are left out on purpose, not
    # allowed as bad rows.
    assert (
        usage.settings.drop_missing == ("Customer ID", "CustomerID")
        and usage.settings.max_bad_share == 0.05
    )
    assert (
        sum(usage.rows_left_out.values()) - usage.rows_left_out["rows_until 2010-12-01"] > 230_000
    )
    assert not usage.rows_bad
    assert "243,007 of 1,067,370 rows (22.8%) have no Customer ID or CustomerID" in proposal.toml
    target = read_project(tmp_path).targets[0]
    assert (target.kind, target.horizon_days, target.population.minimum) == (
        "inactivity",
        90,
        {"amount": 0},
    )
    assert read_project(tmp_path).features.season


def test_commit_logs_are_feeds_of_one_source(
    shared_data: Path, tmp_path: Path, duck: Connection
) -> None:
    staged = staged_of(
        propose(shared_data / "oss_contributors", shared_data), tmp_path, shared_data, duck
    )
    assert set(staged["usage_events"].data_until) == {
        "ansible/ansible",
        "numpy/numpy",
        "symfony/symfony",
    }
    accounts = duck.execute(
        "select count(*) from staged_usage_events where account_id like 'numpy/numpy/%'"
    ).fetchall()
    assert accounts == [(41_819,)]


def test_telephone_contracts_are_asked_from_the_first_recorded_end(
    shared_data: Path, tmp_path: Path, duck: Connection
) -> None:
    proposal = propose(shared_data / "telco", shared_data)
    staged = staged_of(proposal, tmp_path, shared_data, duck)
    assert staged["subscriptions"].rows_staged == 7_043 and staged["accounts"].rows_staged == 7_043
    assert str(read_project(tmp_path).targets[0].dates.first) == "2019-10-01"
    assert "interconnect_personal" in proposal.toml
    assert any("telco_customer_churn" in line and "--label" in line for line in proposal.unguessed)


@pytest.mark.parametrize(
    "folder",
    [
        "bank_churners",
        "iranian_churn",
        "pysurvival_saas_churn",
        "hillstrom_email",
        "cookie_cats_ab",
        "sentiment_sentences",
        "oulad",
    ],
)
def test_sets_without_dates_are_refused_by_name(folder: str, shared_data: Path) -> None:
    with pytest.raises(ConfigError, match="none of the tables can be used.*tenure table train"):
        propose(shared_data / folder, shared_data)


def test_course_days_are_recognised_as_day_numbers(shared_data: Path) -> None:
    with pytest.raises(
        ConfigError, match="date_registration, date_unregistration may be day numbers"
    ):
        propose(shared_data / "oulad", shared_data)


def european(folder: Path) -> Path:
    """Customers and orders as a German export: semicolons, decimal commas, day before month, one
    file gzipped.
    """
    data = folder / "data"
    data.mkdir()
    (data / "customers.csv").write_text(
        "Customer ID;Signup Date;Country\nK-1;31.01.2024;DE\nK-2;15.02.2024;AT\n"
    )
    lines = [
        f'K-{i % 2 + 1};{i % 28 + 1:02d}.{i // 28 + 3:02d}.2024;"{10 + i},50";o{i}'
        for i in range(200)
    ]
    with gzip.open(data / "orders.csv.gz", "wt") as out:
        out.write("Customer ID;Order Date;Amount EUR;Order ID\n" + "\n".join(lines) + "\n")
    return data


def test_csv_of_another_country_is_read_as_written(tmp_path: Path, duck: Connection) -> None:
    data = european(tmp_path)
    proposal = propose(data, data)
    staged = staged_of(proposal, tmp_path, data, duck)
    project = read_project(tmp_path)
    assert project.currency == "EUR"
    assert staged["usage_events"].rows_staged == 200 and staged["accounts"].rows_staged == 2
    assert str(staged["usage_events"].first_event) == "2024-03-01 00:00:00"
    assert project.sources["usage_events"].decimal == ","


def contracts(folder: Path, plans: dict[str, int]) -> Path:
    """Sixty accounts that sign terms of their plan's days, one after another, from 2021 to 2023."""
    lines = []
    for i in range(60):
        days = list(plans.values())[i % len(plans)]
        starts = pd.date_range(
            pd.Timestamp("2021-01-01") + pd.Timedelta(days=i * 5), "2023-12-20", freq=f"{days}D"
        )
        lines += [
            f"a{i},{day:%Y-%m-%d},{day + pd.Timedelta(days=days):%Y-%m-%d},{100 if days > 90 else 10}"
            for day in starts
        ]
    (folder / "subscriptions.csv").write_text(
        "account_id,start_date,end_date,mrr_amount\n" + "\n".join(lines) + "\n"
    )
    days = pd.date_range("2021-01-02", "2023-12-31", freq="3D")
    usage = [f"a{i},{day:%Y-%m-%d}" for i in range(60) for day in days]
    (folder / "logins.csv").write_text("account_id,login_date\n" + "\n".join(usage) + "\n")
    return folder


def test_next_renewal_is_proposed_where_most_cannot_leave_inside_the_horizon(
    tmp_path: Path,
) -> None:
    proposal = propose(contracts(tmp_path, {"year": 365}), tmp_path)
    target = project_of(proposal, tmp_path).targets[0]
    assert (target.name, target.horizon, target.grace_days) == ("renewal", "next_renewal", 14)
    # Dates leave the last term asked about the time to end: 2023-12-30 (the last row) less a year
    # and the grace.
    assert str(target.dates.last) == "2022-12-16"
    assert re.search(
        r"# On an average date 7\d% of customers \(7\d% of the monthly amount\) are on terms that"
        r" end later: "
        r"they cannot leave inside 90 days",
        proposal.toml,
    )
    assert "# horizon_days = 90" in proposal.toml


def test_value_on_long_terms_is_enough_for_next_renewal(tmp_path: Path) -> None:
    """One account in three pays ten times as much, on a year: most accounts can leave, most value
    cannot.
    """
    proposal = propose(contracts(tmp_path, {"year": 365, "month": 30, "months": 30}), tmp_path)
    assert project_of(proposal, tmp_path).targets[0].horizon == "next_renewal"


def test_short_terms_keep_a_fixed_horizon(tmp_path: Path) -> None:
    target = project_of(propose(contracts(tmp_path, {"month": 30}), tmp_path), tmp_path).targets[0]
    assert target.horizon is None and target.horizon_days == 90


def test_terms_that_never_end_in_the_data_are_told(shared_data: Path, tmp_path: Path) -> None:
    proposal = propose(shared_data / "edtech_365", shared_data)
    target = project_of(proposal, tmp_path).targets[0]
    assert target.horizon == "next_renewal" and str(target.dates.last) == "2022-09-05"
    assert "85% of customers are on terms that end later" in proposal.toml
    assert "Terms of 366 days never do" in proposal.toml


def test_tables_in_a_duckdb_file_are_found(tmp_path: Path, duck: Connection) -> None:
    with duckdb.connect(str(tmp_path / "crm.duckdb")) as file:
        file.execute(
            "create table usage_events as select 'a' || i % 20 as account_id, "
            "date '2024-01-01' + cast(i % 300 as integer) as event_time from range(2000) t(i)"
        )
        file.execute('create table "Plan ""x""" as select 1 as code')
    proposal = propose(tmp_path, tmp_path)
    staged = staged_of(proposal, tmp_path, tmp_path, duck)
    assert staged["usage_events"].rows_staged == 2_000
    assert any('Plan "x"' in line for line in proposal.unguessed)


def test_composite_key_is_joined_from_columns_that_tables_share(
    tmp_path: Path, duck: Connection
) -> None:
    (tmp_path / "students.csv").write_text(
        "course_code,student_id,registered_at\nA,1,2024-01-01\nB,1,2024-02-01\nA,2,2024-01-05\nB,2,2024-02-01\n"
    )
    rows = "\n".join(f"{'AB'[i % 2]},{i % 4 // 2 + 1},2024-{i % 9 + 1:02d}-10" for i in range(400))
    (tmp_path / "logins.csv").write_text("course_code,student_id,login_date\n" + rows + "\n")
    staged = staged_of(propose(tmp_path, tmp_path), tmp_path, tmp_path, duck)
    found = duck.execute(
        "select distinct account_id from staged_usage_events order by 1"
    ).fetchall()
    assert found == [("A/1",), ("A/2",), ("B/1",), ("B/2",)]
    assert staged["usage_events"].rows_staged == 400


@pytest.mark.postgres
def test_postgres_tables_are_proposed(
    postgres_address: str, tmp_path: Path, duck: Connection
) -> None:
    import psycopg

    with psycopg.connect(postgres_address) as server:
        server.execute("create schema proposed")
        server.execute(
            "create table proposed.usage_events as select 'a' || i % 20 as account_id, "
            "date '2024-01-01' + (i % 300)::int as event_time from generate_series(1, 2000) i"
        )
    try:
        proposal = propose(postgres_address, None)
        source = next(s for s in project_of(proposal, tmp_path).sources.values())
        assert source.location == postgres_address
        assert source.table == "proposed.usage_events"
    finally:
        with psycopg.connect(postgres_address) as server:
            server.execute("drop schema proposed cascade")


def test_odd_names_do_not_break_the_file() -> None:
    assert toml_string('a"b\\c\nd\x7f') == '"a\\"b\\\\c\\nd\\u007F"'
    assert toml_key("Two year") == '"Two year"' and toml_key("starts_at") == "starts_at"


def test_empty_and_absent_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Put Parquet, CSV"):
        propose(tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        propose(tmp_path / "nowhere", None)


def test_contract_text_names_every_column_with_a_select() -> None:
    text = contract_text()
    for contract in CONTRACTS.values():
        assert f"{contract.table}: " in text
        assert all(f" as {c.name}" in text for c in contract.columns)
