"""Third-party data sets staged by the mapping a user would write, against the counts their pages
give.
"""

from datetime import date, datetime
from pathlib import Path

import pytest

from pipeline.config import read_project
from pipeline.engine.duckdb import Connection, row
from pipeline.staging import StagedSource, stage

TARGET = '\n[[targets]]\nname = "churn"\nkind = "inactivity"\nhorizon_days = 90\n'

RETAIL = """
name = "retail"
currency = "GBP"
time_zone = "Europe/London"

[sources.invoices]
drop_missing = ["customer"]
lookups = []

[[sources.invoices.parts]]
location = "online_retail_ii/year_2009_2010.parquet"
rows_until = 2010-12-01
[sources.invoices.parts.columns]
account_id = "Customer ID"
invoice_id = "Invoice"
issued_at = "InvoiceDate"
amount = { column = "Quantity", times = "Price" }
[sources.invoices.parts.extra]
kind = { column = "Invoice", prefixes = { C = "cancellation", A = "adjustment" }, otherwise = "sale" }

[[sources.invoices.parts]]
location = "online_retail_ii/year_2010_2011.parquet"
[sources.invoices.parts.columns]
account_id = "CustomerID"
invoice_id = "InvoiceNo"
issued_at = "InvoiceDate"
amount = { column = "Quantity", times = "UnitPrice" }
[sources.invoices.parts.extra]
kind = { column = "InvoiceNo", prefixes = { C = "cancellation", A = "adjustment" }, otherwise = "sale" }
"""


def staged_from(toml: str, tmp_path: Path, data: Path, duck: Connection) -> dict[str, StagedSource]:
    (tmp_path / "tenure.toml").write_text(toml + TARGET, encoding="utf-8")
    staged = stage(read_project(tmp_path), data, duck)
    for source in staged.values():
        assert source.rows_read == (
            source.rows_staged + sum(source.rows_left_out.values()) + sum(source.rows_bad.values())
        ), source.name
    return staged


def test_online_retail_has_no_double_december(
    tmp_path: Path, shared_data: Path, duck: Connection
) -> None:
    invoices = staged_from(
        RETAIL.replace('drop_missing = ["customer"]\nlookups = []', "max_bad_share = 0.3"),
        tmp_path,
        shared_data,
        duck,
    )["invoices"]
    assert invoices.rows_read == 525_461 + 541_909
    assert invoices.rows_left_out == {"rows_until 2010-12-01": 22_523}
    # About a quarter of the lines have no customer.
    assert set(invoices.rows_bad) == {"account_id is empty"}
    assert 0.2 < invoices.rows_bad["account_id is empty"] / invoices.rows_read < 0.25
    assert row(duck, "SELECT count(DISTINCT account_id) FROM staged_invoices")[0] == 5_942
    assert row(duck, "SELECT count(*) FROM staged_invoices WHERE account_id LIKE '%.%'")[0] == 0
    kinds = dict(
        duck.execute("SELECT kind, count(*) FROM staged_invoices GROUP BY kind").fetchall()
    )
    assert set(kinds) == {"sale", "cancellation"} and kinds["cancellation"] > 15_000
    assert invoices.first_event == datetime(2009, 12, 1, 7, 45)
    assert invoices.data_until == {"": date(2011, 12, 9)}
    # Summer time: the earliest line of the first summer Sunday is an hour earlier in UTC.
    hours = "SELECT min(hour(issued_at)) FROM staged_invoices WHERE month(issued_at) = "
    assert row(duck, hours + "7")[0] <= row(duck, hours + "1")[0]


def test_online_retail_amounts_are_those_of_exact_arithmetic(
    tmp_path: Path, shared_data: Path, duck: Connection
) -> None:
    toml = RETAIL.replace('drop_missing = ["customer"]\nlookups = []', "max_bad_share = 0.3")
    staged_from(toml, tmp_path, shared_data, duck)
    folder = shared_data / "online_retail_ii"
    exact = (
        "round(sum(CAST(CAST({q} AS VARCHAR) AS DECIMAL(12, 0)) * CAST(CAST({p} AS VARCHAR) AS"
        " DECIMAL(12, 6))), 2)"
    )
    first = row(
        duck,
        f"SELECT {exact.format(q='Quantity', p='Price')} FROM '{folder}/year_2009_2010.parquet' "
        "WHERE \"Customer ID\" IS NOT NULL AND InvoiceDate < DATE '2010-12-01'",
    )[0]
    second = row(
        duck,
        f"SELECT {exact.format(q='Quantity', p='UnitPrice')} FROM '{folder}/year_2010_2011.parquet'"
        " WHERE CustomerID IS NOT NULL",
    )[0]
    ours = row(duck, "SELECT sum(amount) FROM staged_invoices")[0]
    # Three lines priced at a tenth of a penny round singly.
    assert abs(ours - 100 * (first + second)) <= 100


def test_guest_orders_are_left_out_by_declaration(
    tmp_path: Path, shared_data: Path, duck: Connection
) -> None:
    toml = RETAIL.replace(
        'drop_missing = ["customer"]\nlookups = []', 'drop_missing = ["Customer ID"]'
    )
    one_part = toml[: toml.rindex("[[sources.invoices.parts]]")]
    invoices = staged_from(one_part, tmp_path, shared_data, duck)["invoices"]
    assert invoices.rows_left_out == {
        "rows_until 2010-12-01": 22_523,
        "drop_missing Customer ID": 100_207,
    }
    assert invoices.rows_bad == {}


def test_commit_logs_of_three_projects_are_one_source(
    tmp_path: Path, shared_data: Path, duck: Connection
) -> None:
    commits = staged_from(
        """
        name = "oss"
        [sources.commits]
        contract = "usage_events"
        parts = [
            { location = "oss_contributors/commits_ansible.parquet" },
            { location = "oss_contributors/commits_numpy.parquet" },
            { location = "oss_contributors/commits_symfony.parquet" },
        ]
        columns.account_id = { join = ["project", "author_id"] }
        columns.event_time = "committed_at"
        columns.partition = "project"
        extra = { insertions = "insertions", is_merge = { column = "n_parents", codes = { 2 = true }, \
otherwise = false, type = "flag" } }
        drop = { is_bot = [true] }
        """,
        tmp_path,
        shared_data,
        duck,
    )["commits"]
    assert commits.rows_read == 54_660 + 72_172 + 41_819
    # 6.4% of numpy's commits look like a bot's, next to none of the others'.
    assert 2_600 < commits.rows_left_out["drop is_bot"] < 2_800
    files = f"read_parquet('{shared_data}/oss_contributors/*.parquet')"
    authors = "count(DISTINCT (project, author_id))"
    everybody, people = row(duck, f"SELECT {authors}, {authors} FILTER (NOT is_bot) FROM {files}")
    assert everybody == 12_971
    assert row(duck, "SELECT count(DISTINCT account_id) FROM staged_commits")[0] == people
    assert commits.data_until == {
        "ansible/ansible": date(2024, 10, 24),
        "numpy/numpy": date(2026, 8, 21),
        "symfony/symfony": date(2024, 10, 23),
    }
    assert commits.first_event == datetime(2001, 12, 18, 15, 45, 10)


def test_purchases_end_by_their_plan(tmp_path: Path, shared_data: Path, duck: Connection) -> None:
    staged = staged_from(
        """
        name = "edtech"
        [sources.accounts]
        location = "edtech_365/365_student_info.parquet"
        columns = { account_id = "student_id", created_at = "date_registered", country = "student_country" }
        [sources.subscriptions]
        location = "edtech_365/365_student_purchases.parquet"
        convention = "fixed_term"
        [sources.subscriptions.columns]
        account_id = "student_id"
        subscription_id = "purchase_id"
        starts_at = "date_purchased"
        plan = "purchase_type"
        billing_period = { column = "purchase_type", codes = { Monthly = "monthly", Quarterly = "quarterly", \
Annual = "annual" } }
        [sources.subscriptions.columns.ends_at]
        column = "date_purchased"
        plus = "purchase_type"
        plus_codes = { Monthly = 31, Quarterly = 92, Annual = 365 }
        [sources.usage_events]
        location = "edtech_365/365_student_learning.parquet"
        columns = { account_id = "student_id", event_time = "date_watched", quantity = "minutes_watched" }
        """,
        tmp_path,
        shared_data,
        duck,
    )
    assert staged["accounts"].rows_staged == 35_230
    assert (
        row(duck, "SELECT count(*) FROM staged_accounts WHERE country = 'NA'")[0] > 0
    )  # Namibia, not missing
    assert row(duck, "SELECT count(*), count(DISTINCT account_id) FROM staged_subscriptions") == (
        3_041,
        2_135,
    )
    assert staged["subscriptions"].data_until == {"": date(2022, 10, 20)}
    days = duck.execute(
        "SELECT billing_period, min(date_diff('day', starts_at, ends_at)), count(*) "
        "FROM staged_subscriptions GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert days == [("annual", 365, 1_547), ("monthly", 31, 1_444), ("quarterly", 92, 50)]
    assert staged["usage_events"].rows_staged == 64_535
    assert staged["usage_events"].columns["quantity"].decimals == 3
    assert row(duck, "SELECT max(quantity) FROM staged_usage_events")[0] == 1_710_600


def test_course_days_become_dates(tmp_path: Path, shared_data: Path, duck: Connection) -> None:
    runs = "{ 2013B = 2013-02-01, 2013J = 2013-10-01, 2014B = 2014-02-01, 2014J = 2014-10-01 }"
    staged = staged_from(
        f"""
        name = "oulad"
        [sources.subscriptions]
        location = "oulad/student_registration.parquet"
        drop_missing = ["date_registration"]
        columns.account_id = {{ join = ["code_module", "code_presentation", "id_student"] }}
        columns.starts_at = {{ column = "code_presentation", codes = {runs}, plus = "date_registration" }}
        columns.ends_at = {{ column = "code_presentation", codes = {runs}, plus = "date_unregistration" }}
        [sources.submissions]
        contract = "usage_events"
        location = "oulad/student_assessment.parquet"
        columns.account_id = {{ join = ["code_module", "code_presentation", "id_student"] }}
        columns.event_time = {{ column = "code_presentation", codes = {runs}, plus = "date_submitted" }}
        extra.score = "score"
        [[sources.submissions.lookups]]
        location = "oulad/assessment.parquet"
        on = {{ id_assessment = "id_assessment" }}
        take = ["code_module", "code_presentation", "assessment_type"]
        """,
        tmp_path,
        shared_data,
        duck,
    )
    enrolments, ended = row(
        duck, "SELECT count(DISTINCT account_id), count(ends_at) FROM staged_subscriptions"
    )
    assert staged["subscriptions"].rows_read == 32_593
    assert (
        enrolments
        == 32_593 - staged["subscriptions"].rows_left_out["drop_missing date_registration"]
    )
    assert ended / enrolments == pytest.approx(0.309, abs=0.002)
    assert row(
        duck,
        "SELECT starts_at, ends_at FROM staged_subscriptions WHERE account_id = 'AAA/2013J/11391'",
    ) == (
        datetime(2013, 4, 25),
        None,
    )  # 159 days before 2013-10-01
    # Five submissions of August and September 2015 stand weeks after all others.
    assert staged["submissions"].rows_staged == 173_907
    assert staged["submissions"].rows_bad == {"event_time lies far beyond all other rows": 5}


def test_usage_finds_its_account_through_the_subscription(
    tmp_path: Path, shared_data: Path, duck: Connection
) -> None:
    staged = staged_from(
        """
        name = "ravenstack"
        [sources.accounts]
        location = "ravenstack/ravenstack_accounts.parquet"
        columns = { name = "account_name", created_at = "signup_date", plan = "plan_tier" }
        [sources.subscriptions]
        location = "ravenstack/ravenstack_subscriptions.parquet"
        columns = { starts_at = "start_date", ends_at = "end_date", amount_per_month = "mrr_amount" }
        [sources.usage_events]
        location = "ravenstack/ravenstack_feature_usage.parquet"
        columns = { event_time = "usage_date", event_name = "feature_name", quantity = "usage_count" }
        extra = { errors = "error_count", seconds = "usage_duration_secs" }
        lookups = [{ location = "ravenstack/ravenstack_subscriptions.parquet", \
on = { subscription_id = "subscription_id" }, take = ["account_id"] }]
        [sources.support_tickets]
        location = "ravenstack/ravenstack_support_tickets.parquet"
        time_zone = "UTC"
        columns = { opened_at = "submitted_at", severity = "priority", rating = "satisfaction_score", \
first_reply_at = { column = "submitted_at", plus = "first_response_time_minutes", plus_unit = "minutes" } }
        [sources.outcomes]
        location = "ravenstack/ravenstack_churn_events.parquet"
        columns = { event_time = "churn_date", reason = "reason_code", amount = "refund_amount_usd" }
        """,
        tmp_path,
        shared_data,
        duck,
    )
    assert {name: source.rows_staged for name, source in staged.items()} == {
        "accounts": 500,
        "subscriptions": 5_000,
        "usage_events": 25_000,
        "support_tickets": 2_000,
        "outcomes": 600,
    }
    assert (
        row(
            duck,
            "SELECT count(*) FROM staged_usage_events ANTI JOIN staged_accounts USING (account_id)",
        )[0]
        == 0
    )
    assert row(duck, "SELECT count(ends_at) FROM staged_subscriptions")[0] == 486
    assert (
        row(
            duck,
            "SELECT max(date_diff('minute', opened_at, first_reply_at)) FROM"
            " staged_support_tickets",
        )[0]
        == 180
    )
    assert row(duck, "SELECT max(amount) FROM staged_outcomes")[0] == 39_292


def test_telephone_contracts_have_begin_and_end(
    tmp_path: Path, shared_data: Path, duck: Connection
) -> None:
    contract = staged_from(
        """
        name = "telco"
        [sources.subscriptions]
        location = "telco/interconnect_contract.parquet"
        columns = { account_id = "customerid", starts_at = "begindate", ends_at = "enddate", \
amount_per_month = "monthlycharges", plan = "type" }
        """,
        tmp_path,
        shared_data,
        duck,
    )["subscriptions"]
    assert contract.rows_staged == 7_043
    assert row(duck, "SELECT count(ends_at), max(amount_per_month) FROM staged_subscriptions") == (
        1_869,
        11_875,
    )
