"""Files as programs write them, and rows whose date is not to be believed."""

import json
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest

from pipeline.config import read_project
from pipeline.engine.duckdb import Connection, rows
from pipeline.proposing import propose
from pipeline.staging import StagedSource, stage
from pipeline.staging.reach import entered_until, first_outlying_day

DAY = timedelta(days=1)
FIRST = date(2023, 1, 1)
ACCOUNTS = [f"c{i:03d}" for i in range(20)]


def staged(
    folder: Path, duck: Connection, *, started: datetime | None = None
) -> dict[str, StagedSource]:
    """Propose and stage; what is proposed must need no edit."""
    (folder / "tenure.toml").write_text(propose(folder, folder).toml, encoding="utf-8")
    return stage(read_project(folder), folder, duck, started=started)


def lines(*, days: int = 300) -> list[str]:
    return [
        f"{a},{FIRST + k * DAY},open" for i, a in enumerate(ACCOUNTS) for k in range(i % 5, days, 7)
    ]


HEADER = "customer_id,login_date,feature"
COUNT = len(lines())


# --- nested JSON
# ----------------------------------------------------------------------------------


def mixpanel() -> list[dict[str, object]]:
    return [
        {
            "event": "Viewed",
            "properties": {"time": 1704324600 + 86400 * k, "distinct_id": a, "company_id": a},
        }
        for a in ACCOUNTS
        for k in range(0, 200, 7)
    ]


def segment() -> list[dict[str, object]]:
    """The group of a call stands in its context; ids are UUIDs with capitals."""
    return [
        {
            "messageId": f"m{a}{k}",
            "timestamp": f"{FIRST + k * DAY}T10:00:00.000Z",
            "context": {"group": {"account_id": f"3F2504E0-4F89-11D3-9A0C-0305E82C3{i:03X}"}},
            "traits": {"tags": ["a", "b"]},
        }
        for i, a in enumerate(ACCOUNTS)
        for k in range(0, 200, 7)
    ]


def intercom() -> list[dict[str, object]]:
    return [
        {"type": "event", "created": {"date": f"{FIRST + k * DAY}"}, "company": {"company_id": a}}
        for a in ACCOUNTS
        for k in range(0, 200, 7)
    ]


@pytest.mark.parametrize("records", [mixpanel, segment, intercom])
def test_nested_fields_are_columns(tmp_path: Path, duck: Connection, records: object) -> None:
    found = records()  # type: ignore[operator]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, found)), encoding="utf-8")
    staged(tmp_path, duck)
    count, accounts, example = rows(
        duck,
        "select count(*), count(distinct account_id), max(account_id) from staged_usage_events",
    )[0]
    assert (count, accounts) == (len(found), 20)
    assert example in ("c019", "3F2504E0-4F89-11D3-9A0C-0305E82C3013")


def test_records_inside_an_answer_are_the_rows(tmp_path: Path, duck: Connection) -> None:
    data = [
        {"id": f"in_{a}_{k}", "customer": a, "created": 1704324600 + 86400 * k, "amount": 10.5}
        for a in ACCOUNTS
        for k in range(0, 200, 30)
    ]
    answer = {"object": "list", "has_more": False, "data": data}
    (tmp_path / "events.json").write_text(json.dumps(answer), encoding="utf-8")
    staged(tmp_path, duck)
    assert rows(duck, "select count(distinct account_id) from staged_usage_events") == [(20,)]


# --- other files
# ----------------------------------------------------------------------------------


def utf16(folder: Path) -> None:
    (folder / "logins.csv").write_text("\n".join([HEADER, *lines()]), encoding="utf-16")


def titles(folder: Path) -> None:
    above = ["Report: logins", "Created 2024-01-05", "", HEADER]
    (folder / "logins.csv").write_text("\n".join([*above, *lines()]), encoding="utf-8")


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("logins.csv", "\n".join([HEADER, *lines()]))
        archive.writestr("readme.md", "nothing")


def workbook(folder: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Logins"
    sheet.append(["Report of logins"])
    sheet.append(HEADER.split(","))
    for line in lines():
        account, day, feature = line.split(",")
        sheet.append([account, datetime.fromisoformat(day), feature])
    book.create_sheet("Notes").append(["written by hand"])
    book.save(folder / "report.xlsx")


def serial_days(folder: Path) -> None:
    text = [
        f"{a},{(date.fromisoformat(d) - date(1899, 12, 30)).days},{f}"
        for a, d, f in (line.split(",") for line in lines())
    ]
    (folder / "logins.csv").write_text("\n".join([HEADER, *text]), encoding="utf-8")


def sap_days(folder: Path) -> None:
    text = [line.replace("-", "") for line in lines()]
    (folder / "logins.csv").write_text("\n".join([HEADER, *text]), encoding="utf-8")


@pytest.mark.parametrize("write", [utf16, titles, zipped, workbook, serial_days, sap_days])
def test_file_of_a_program_is_read(tmp_path: Path, duck: Connection, write: object) -> None:
    write(tmp_path)  # type: ignore[operator]
    staged(tmp_path, duck)
    found = rows(
        duck,
        "select count(*), min(event_time), count(distinct account_id) from staged_usage_events",
    )
    assert found == [(COUNT, datetime(2023, 1, 1), 20)]


# --- no single row sets an end
# --------------------------------------------------------------------


@pytest.mark.parametrize("far", [date(2035, 5, 1), date(2024, 3, 1), date(2090, 2, 3)])
def test_one_row_far_ahead_sets_no_end(tmp_path: Path, duck: Connection, far: date) -> None:
    text = [HEADER, *lines(), f"c001,{far},open"]
    (tmp_path / "logins.csv").write_text("\n".join(text), encoding="utf-8")
    source = staged(tmp_path, duck)["usage_events"]
    assert source.data_until == {"": date(2023, 10, 26)}
    assert source.rows_bad == {"event_time lies far beyond all other rows": 1}
    assert rows(duck, 'select "value" from quarantine_usage_events') == [(str(far),)]


def test_rows_after_the_start_of_the_command_set_no_end(tmp_path: Path, duck: Connection) -> None:
    (tmp_path / "logins.csv").write_text("\n".join([HEADER, *lines()]), encoding="utf-8")
    started = datetime(2023, 10, 20, 12)
    source = staged(tmp_path, duck, started=started)["usage_events"]
    assert max(source.data_until.values()) <= date(2023, 10, 21)
    assert set(source.rows_bad) == {"event_time lies after the start of this command"}


def test_feed_with_pauses_has_no_outlying_rows() -> None:
    monthly = [(FIRST + 30 * i * DAY, 5) for i in range(30)]
    assert first_outlying_day(monthly) is None
    assert first_outlying_day([*monthly, (FIRST + 1200 * DAY, 1)]) == FIRST + 1200 * DAY
    assert first_outlying_day([*monthly, (FIRST + 1200 * DAY, 9)]) is None


@pytest.mark.parametrize(("until", "ended"), [(1, False), (60, True), (200, True)])
def test_contracts_end_where_nobody_renews_any_more(
    duck: Connection, until: int, ended: bool
) -> None:
    """Monthly terms, nine of ten renewed; the table ended while the log of use went on."""
    duck.execute("create table terms (account_id varchar, starts_at timestamp, ends_at timestamp)")
    for i in range(60):
        for k in range(16 if i % 10 else 9):
            begin = datetime(2023, 1, 1) + (i % 28 + 30 * k) * DAY
            duck.execute("insert into terms values (?, ?, ?)", [f"c{i}", begin, begin + 30 * DAY])
    newest = rows(duck, "select cast(max(starts_at) as date) from terms")[0][0]
    found = entered_until(duck, "terms", newest + until * DAY)
    assert found == (newest if ended else None)


def test_contracts_go_on_where_nobody_new_signs(duck: Connection) -> None:
    """Open contracts, and years that nobody had to renew yet."""
    duck.execute("create table terms (account_id varchar, starts_at timestamp, ends_at timestamp)")
    for i in range(60):
        begin = datetime(2023, 1, 1) + i * DAY
        end = begin + 365 * DAY if i % 2 else None
        duck.execute("insert into terms values (?, ?, ?)", [f"c{i}", begin, end])
    assert entered_until(duck, "terms", date(2023, 12, 1)) is None
    assert entered_until(duck, "terms", date(2024, 12, 1)) is None
