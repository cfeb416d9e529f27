"""What `tenure init` makes of exports in other shapes: day numbers, moments as numbers, logs,
several links, no header.
"""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import ConfigError, ContractError
from pipeline.config import read_project
from pipeline.engine.duckdb import Connection, rows
from pipeline.proposing import propose
from pipeline.staging import StagedSource, stage

DAY = timedelta(days=1)


def write_csv(file: Path, header: str, lines: list[str]) -> None:
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def staged(
    folder: Path, duck: Connection, *, account: str | None = None
) -> dict[str, StagedSource]:
    """Propose, write, read and stage; what is proposed must need no edit."""
    (folder / "tenure.toml").write_text(
        propose(folder, folder, account=account).toml, encoding="utf-8"
    )
    return stage(read_project(folder), folder, duck)


@pytest.fixture
def music_club(tmp_path: Path) -> Path:
    """Members, terms and daily logs keyed by `msno`, a name nobody knows; days written as
    20160131.
    """
    first = date(2016, 1, 1)
    write_csv(
        tmp_path / "members.csv",
        "msno,city,registration_init_time",
        [f"m{i}=,1,20150{1 + i % 9}05" for i in range(60)],
    )
    write_csv(
        tmp_path / "transactions.csv",
        "msno,plan_list_price,is_auto_renew,transaction_date,membership_expire_date",
        [
            f"m{i}=,149,1,{first + 30 * k * DAY:%Y%m%d},{first + 30 * (k + 1) * DAY:%Y%m%d}"
            for i in range(60)
            for k in range(18 - i % 5)
        ],
    )
    write_csv(
        tmp_path / "user_logs.csv",
        "msno,date,num_25,total_secs",
        [
            f"m{i}=,{first + k * DAY:%Y%m%d},{k % 7},{i * k}.5"
            for i in range(60)
            for k in range(0, 500, 5)
        ],
    )
    return tmp_path


def test_day_numbers_are_days_and_the_shared_column_is_the_account(
    music_club: Path, duck: Connection
) -> None:
    proposal = propose(music_club, music_club)
    assert any("msno is taken" in line for line in proposal.unguessed)
    found = staged(music_club, duck)
    assert {name: s.contract.table for name, s in found.items()} == {
        "accounts": "accounts",
        "subscriptions": "subscriptions",
        "usage_events": "usage_events",
    }
    assert not any(s.rows_bad for s in found.values())
    project = read_project(music_club)
    assert project.sources["subscriptions"].convention == "fixed_term"
    assert (project.targets[0].kind, project.targets[0].dates.first) == ("churn", date(2016, 4, 1))
    assert rows(duck, "select min(starts_at), min(ends_at) from staged_subscriptions") == [
        (datetime(2016, 1, 1), datetime(2016, 1, 31))
    ]


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """Sixty days of clicks as JSON lines: milliseconds since 1970, guests without a user, 20 of 60
    users cancel at their end.
    """
    start = 1_538_352_000_000  # 2018-10-01 00:00 UTC
    lines = [
        {
            "ts": start + d * 86_400_000 + u,
            "userId": str(u),
            "sessionId": d,
            "page": "NextSong",
            "length": 200.5 + d,
        }
        for u in range(60)
        for d in range(0, 20 + u % 40, 2)
    ]
    lines += [
        {
            "ts": start + 60 * 86_400_000,
            "userId": str(u),
            "sessionId": 99,
            "page": "Cancellation Confirmation",
        }
        for u in range(20)
    ]
    lines += [{"ts": start, "userId": "", "sessionId": 1, "page": "Home"} for _ in range(20)]
    (tmp_path / "events.jsonl").write_text(
        "".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8"
    )
    return tmp_path


def test_moments_as_numbers_are_utc_and_a_final_event_is_the_outcome(
    clicks: Path, duck: Connection
) -> None:
    toml = propose(clicks, clicks).toml
    # A zone declared for other columns moves no moment.
    (clicks / "tenure.toml").write_text(
        toml.replace("currency", 'time_zone = "America/Chicago"\ncurrency', 1), encoding="utf-8"
    )
    found = stage(read_project(clicks), clicks, duck)
    usage, left = found["usage_events"], found["usage_events_left"]
    assert rows(duck, "select min(event_time) from staged_usage_events") == [
        (datetime(2018, 10, 1),)
    ]
    assert left.contract.table == "outcomes" and left.rows_staged == 20
    assert usage.rows_left_out == {"drop_missing userId": 20, "drop page": 20}
    target = read_project(clicks).targets[0]
    # Sixty days hold no horizon of ninety.
    assert (target.kind, target.source, target.horizon_days, target.dates.every_days) == (
        "event",
        "usage_events_left",
        14,
        7,
    )


def test_cancelled_orders_of_customers_who_come_back_are_no_leaving(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "log.csv",
        "customer_id,date,event",
        [
            f"c{i},{date(2024, 1, 1) + d * DAY},{'order cancelled' if d == 30 else 'order'}"
            for i in range(40)
            for d in range(0, 300, 10)
        ],
    )
    assert "outcomes" not in propose(tmp_path, tmp_path).toml


@pytest.fixture
def marketplace(tmp_path: Path) -> Path:
    """Orders know a buyer's login (another one per order), logins the customer; reviews know the
    order.
    """
    orders = [
        (f"o{i}", f"login{i}", f"person{i % 60}", date(2023, 1, 1) + i * DAY) for i in range(600)
    ]
    write_csv(
        tmp_path / "customers.csv",
        "customer_id,customer_unique_id,state",
        [f"{c},{u},SP" for _, c, u, _ in orders],
    )
    write_csv(
        tmp_path / "orders.csv",
        "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at",
        [f"{o},{c},delivered,{d},{d + DAY}" for o, c, _, d in orders],
    )
    write_csv(
        tmp_path / "order_reviews.csv",
        "review_id,order_id,review_score,review_answer_timestamp",
        [f"r{i},{o},{1 + i % 5},{d + 9 * DAY}" for i, (o, _, _, d) in enumerate(orders)],
    )
    return tmp_path


def test_accounts_that_never_come_back_are_asked_about(marketplace: Path) -> None:
    told = "\n".join(propose(marketplace, marketplace).unguessed)
    assert "no account ever comes back" in told and "--account customer_unique_id" in told


def test_a_table_two_links_away_finds_the_account(marketplace: Path, duck: Connection) -> None:
    found = staged(marketplace, duck, account="customer_unique_id")
    assert [lookup.take for lookup in found["surveys"].settings.lookups] == [
        ("customer_id",),
        ("customer_unique_id",),
    ]
    assert rows(duck, "select count(distinct account_id) from staged_surveys") == [(60,)]
    # Bought before approved: the purchase is what the customer did.
    assert (
        read_project(marketplace).sources["usage_events"].columns["event_time"]
        == "order_purchase_timestamp"
    )


def test_an_account_column_that_is_nowhere_names_the_likely_ones(music_club: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r'no table has a column "msn"; did you mean `msno`\? Columns that may name',
    ):
        propose(music_club, music_club, account="msn")


def test_days_in_another_writing_give_the_span_of_the_data(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "visits.csv",
        "member_id;Besuch",
        [
            f"{i};{date(2022, 1, 1) + d * DAY:%d.%m.%Y} 10:30"
            for i in range(60)
            for d in range(0, 600, 20)
        ],
    )
    toml = propose(tmp_path, tmp_path).toml
    assert 'event_time = { column = "Besuch", format = "%d.%m.%Y %H:%M" }' in toml
    assert "first = 2022-04-02" in toml and "usually pause 20 days" in toml


def panel(folder: Path, outcome: str) -> Path:
    write_csv(
        folder / "panel.csv",
        f"customerID,month,charges,{outcome}",
        [
            f"{i},{2020 + k // 12}-{k % 12 + 1:02d},{50 + i % 7}.5,{int(k == 19 and i % 3 == 0)}"
            for i in range(60)
            for k in range(20)
        ],
    )
    return folder


def test_rows_of_months_are_known_when_the_month_is_over(tmp_path: Path) -> None:
    toml = propose(panel(tmp_path, "late"), tmp_path).toml
    assert (
        'event_time = { column = "month", format = "%Y-%m" }' in toml and "delay_days = 31" in toml
    )
    # Two pauses of a month, and the month by which rows are late.
    assert "active_within_days = 90" in toml


def test_months_with_their_outcome_are_a_training_set(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match='--label "churn" --account "customerID" --date "month" --horizon-days 31',
    ):
        propose(panel(tmp_path, "churn"), tmp_path)


@pytest.mark.parametrize(
    "written",
    ["%a, %d %b %Y %H:%M:%S +0200", "%a %b %d %H:%M:%S %Y +0200", "%d/%b/%Y:%H:%M:%S +0200"],
)
def test_times_of_mails_and_logs_are_read_with_their_zone(
    tmp_path: Path, duck: Connection, written: str
) -> None:
    write_csv(
        tmp_path / "log.tsv",
        "member\tat",
        [
            f"m{i}\t{datetime(2022, 1, 1, 1, 30) + 20 * d * DAY:{written}}"
            for i in range(60)
            for d in range(30)
        ],
    )
    staged(tmp_path, duck, account="member")
    assert rows(duck, "select min(event_time) from staged_usage_events") == [
        (datetime(2021, 12, 31, 23, 30),)
    ]


def test_terms_that_all_end_are_asked_about(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "contracts.csv",
        "customer_id,start_date,end_date",
        [f"{i},{date(2021, 1, 1) + i * DAY},{date(2022, 1, 1) + 3 * i * DAY}" for i in range(200)],
    )
    assert any("open_until_cancelled" in text for text in propose(tmp_path, tmp_path).unguessed)


def test_numbers_that_are_neither_days_nor_moments_stay_numbers(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "visits.csv",
        "member_id,date,phone,reference",
        [
            f"{i},{date(2022, 1, 1) + d * DAY},{1_500_000_000 + i},{20_240_000 + 50 * i + d}"
            for i in range(60)
            for d in range(0, 600, 20)
        ],
    )
    toml = propose(tmp_path, tmp_path).toml
    assert "1970" not in toml and "%Y%m%d" not in toml


def test_values_between_spaces_without_header_get_the_command_that_converts_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "master.txt").write_text(
        " 00001 19970101  1   11.77\n 00002 19970112  1   12.00\n", encoding="utf-8"
    )
    (tmp_path / "README.txt").write_text("How these data were made\n", encoding="utf-8")
    with pytest.raises(
        ConfigError,
        match="begins with values and not with the names.*awk.*account_id,event_time,value_1",
    ):
        propose(tmp_path, tmp_path)


def test_names_and_values_between_spaces_get_the_command_that_puts_commas(tmp_path: Path) -> None:
    (tmp_path / "master.txt").write_text(
        "customer date cds\n 00001 19970101  1 \n 00002 19970112  1 \n", encoding="utf-8"
    )
    (tmp_path / "README.txt").write_text("One line\nper purchase\n", encoding="utf-8")
    (tmp_path / "NOTE.txt").write_text("Taken on Monday", encoding="utf-8")
    with pytest.raises(
        ConfigError,
        match='^(?!.*(README|NOTE)).*Spaces part its values.*BEGIN { OFS="," }.*> master.csv',
    ):
        propose(tmp_path, tmp_path)


def test_counts_are_measures_and_numbers_of_rows_are_none(tmp_path: Path, duck: Connection) -> None:
    write_csv(
        tmp_path / "visits.csv",
        ",member_id,date,number_of_cds,no_of_calls,receipt_number",
        [
            f"{30 * i + d},{i},{date(2022, 1, 1) + 20 * d * DAY},{1 + d % 3},{d % 5},{900 - 30 * i - d}"
            for i in range(60)
            for d in range(30)
        ],
    )
    columns = staged(tmp_path, duck)["usage_events"].columns
    # Numbers, so that they become signals, although all of a CSV is text.
    assert columns["number_of_cds"].type == columns["no_of_calls"].type == "number"
    assert not {"unnamed_0", "receipt_number"} & set(columns)


def test_workbooks_are_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "customers.xls").write_bytes(b"PK")
    with pytest.raises(
        ConfigError, match="customers.xls: an old Excel workbook is not read: save it as .xlsx"
    ):
        propose(tmp_path, tmp_path)


def test_numbers_since_1970_without_a_rule_are_told_the_rule(
    clicks: Path, duck: Connection
) -> None:
    toml = (
        'name = "x"\n[sources.usage_events]\nlocation = "events.jsonl"\ncolumns = { account_id ='
        ' "userId", event_time = "ts" }\n[[targets]]\nname = "t"\nkind = "inactivity"\nhorizon_days'
        " = 14\npopulation = { active_within_days = 14 }\n"
    )
    (clicks / "tenure.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(
        ContractError, match='value = "1970-01-01T00:00:00Z", plus = "ts".*milliseconds'
    ):
        stage(read_project(clicks), clicks, duck)
