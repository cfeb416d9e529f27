"""Small folders in the shape of exports as their vendors describe them, and what is true of them."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
FIRST = date(2023, 1, 1)
ACCOUNTS = [f"c{i:03d}" for i in range(24)]
SERIAL_ZERO = date(1899, 12, 30)
LOGIN_DAYS = 540


@dataclass(frozen=True)
class ExportInput:
    """One folder of tables.

    Attributes
    ----------
    truth
        SQL over the staged tables -> the rows it must give.
    asks
        Questions that are right to ask of it.
    answers
        Lines of the proposed file that answer them.
    allowed
        Verdicts that are none of them wrong.
    """

    kind: str
    name: str
    write: Callable[[Path], None]
    truth: Mapping[str, Any] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ("right", "asked")
    account: str | None = None


def table(header: str, lines: Sequence[str]) -> str:
    """Text of a CSV."""
    return "\n".join([header, *lines]) + "\n"


def login_pairs(days: int = LOGIN_DAYS) -> list[tuple[str, date]]:
    """Account and day of each login."""
    return [(a, FIRST + k * DAY) for i, a in enumerate(ACCOUNTS) for k in range(i % 7, days, 9)]


def logins(name: str = "customer_id") -> str:
    """A log of logins."""
    return table(f"{name},login_date", [f"{a},{d}" for a, d in login_pairs()])


def files(**texts: str) -> Callable[[Path], None]:
    """A writer of CSV files, name -> text."""

    def write(folder: Path) -> None:
        for name, text in texts.items():
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")

    return write


def seconds(day: date) -> int:
    """Seconds since 1970 at the start of a day, UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def serial(day: date) -> int:
    """A day as a spreadsheet counts it."""
    return (day - SERIAL_ZERO).days


def end_of(i: int) -> date | None:
    """When account number i left: every second one did."""
    return FIRST + (200 + 7 * i) * DAY if i % 2 else None


def start_of(i: int) -> date:
    """When account number i began."""
    return FIRST + i * DAY


STARTS_ENDS = "select account_id, cast(starts_at as date), cast(ends_at as date) from staged_subscriptions order by 1, 2"
TRUE_TERMS = [(a, start_of(i), end_of(i)) for i, a in enumerate(ACCOUNTS)]
LOGINS_TRUE = {
    "select count(*), count(distinct account_id), min(cast(event_time as date)) from"
    " staged_usage_events": [(len(login_pairs()), 24, FIRST)]
}

# --- files as they come
# ---------------------------------------------------------------------------------------------


def stripe_list(folder: Path) -> None:
    """GET /v1/subscriptions: an answer with a list, prices nested in items."""
    data = [
        {
            "id": f"sub_{i}",
            "object": "subscription",
            "customer": a,
            "status": "canceled" if end_of(i) else "active",
            "created": seconds(start_of(i)),
            "start_date": seconds(start_of(i)),
            "current_period_end": seconds(start_of(i) + 400 * DAY),
            "cancel_at": None,
            "canceled_at": seconds(end - 10 * DAY) if (end := end_of(i)) else None,
            "ended_at": seconds(end) if end else None,
            "cancel_at_period_end": False,
            "items": {"object": "list", "data": [{"price": {"unit_amount": 2900}, "quantity": 1}]},
            "plan": {"amount": 2900, "interval": "month", "interval_count": 1},
            "metadata": {},
        }
        for i, a in enumerate(ACCOUNTS)
    ]
    answer = {"object": "list", "url": "/v1/subscriptions", "has_more": False, "data": data}
    (folder / "subscriptions.json").write_text(json.dumps(answer), encoding="utf-8")
    (folder / "logins.csv").write_text(logins("customer"), encoding="utf-8")


def hubspot_objects(folder: Path) -> None:
    """GET /crm/v3/objects: results with properties, all of them text."""
    companies = {
        "results": [
            {
                "id": a,
                "properties": {
                    "createdate": f"{start_of(i)}T08:00:00.000Z",
                    "hs_lastmodifieddate": f"{start_of(i) + 300 * DAY}T08:00:00.000Z",
                    "industry": "COMPUTER_SOFTWARE" if i % 2 else "RETAIL",
                    "name": f"Company {i}",
                },
                "archived": False,
            }
            for i, a in enumerate(ACCOUNTS)
        ]
    }
    (folder / "companies.json").write_text(json.dumps(companies), encoding="utf-8")
    events = [
        {
            "id": f"e{i}-{d}",
            "eventType": "e_visited_page",
            "occurredAt": f"{d}T10:00:00Z",
            "objectType": "COMPANY",
            "objectId": a,
            "properties": {"hs_url": "https://example.org", "hs_city": "Bonn"},
        }
        for i, (a, d) in enumerate(login_pairs())
    ]
    lines = "\n".join(map(json.dumps, events))
    (folder / "events.jsonl").write_text(lines, encoding="utf-8")


def intercom_conversations(folder: Path) -> None:
    """GET /conversations: seconds, statistics and the company nested."""
    found = [
        {
            "type": "conversation",
            "id": str(21500 + k),
            "created_at": seconds(d),
            "updated_at": seconds(d + DAY),
            "state": "closed",
            "priority": "priority" if k % 5 == 0 else "not_priority",
            "company": {"company_id": a},
            "statistics": {
                "first_admin_reply_at": seconds(d) + 900,
                "last_close_at": seconds(d) + 7200,
            },
        }
        for k, (a, d) in enumerate(login_pairs())
        if k % 3 == 0
    ]
    (folder / "conversations.json").write_text(json.dumps(found), encoding="utf-8")
    (folder / "logins.csv").write_text(logins("company_id"), encoding="utf-8")


def shopify_orders(folder: Path) -> None:
    """GET /admin/orders.json: customer nested, prices as text."""
    orders = {
        "orders": [
            {
                "id": 450789469 + k,
                "created_at": f"{d}T16:15:47-05:00",
                "total_price": "409.94",
                "currency": "USD",
                "order_number": 1000 + k,
                "customer": {"id": 207119551 + int(a[1:]), "email": f"{a}@example.org"},
                "shipping_address": {"zip": "40202", "city": "Louisville"},
                "line_items": [{"product_id": 632910392, "quantity": 1}],
            }
            for k, (a, d) in enumerate(login_pairs())
        ]
    }
    (folder / "orders.json").write_text(json.dumps(orders), encoding="utf-8")


def workbook_of_sheets(folder: Path) -> None:
    """A workbook with titles above, a total below, and notes on another sheet."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Contracts"
    sheet.append(["Contracts of Example Ltd", None, None, None])
    sheet.append(["As of 31 Dec 2024"])
    sheet.append([])
    sheet.append(["Customer ID", "Start Date", "End Date", "MRR"])
    for i, a in enumerate(ACCOUNTS):
        end = end_of(i)
        sheet.append([a, _midnight(start_of(i)), _midnight(end) if end else None, 49.5])
    sheet.append([])
    sheet.append(["Total", None, None, 49.5 * 24])
    more = book.create_sheet("Logins")
    more.append(["Customer ID", "Login Date"])
    for a, d in login_pairs():
        more.append([a, _midnight(d)])
    book.create_sheet("Notes").append(["Ask Maria about the April figures"])
    book.save(folder / "export.xlsx")


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def totals_below(folder: Path) -> None:
    """A report as CSV: title above, sums below, of which nobody wants to be a customer."""
    body = [f"{a},{start_of(i)},{end_of(i) or ''},49.50" for i, a in enumerate(ACCOUNTS)]
    text = ["Contract report", "Printed 2024-12-31", "", "Customer ID,Start Date,End Date,MRR"]
    text += [*body, "", f"Total,,,{49.5 * 24}", "24 records,,,", "Generated by Example,,,"]
    (folder / "contracts.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
    (folder / "logins.csv").write_text(logins("Customer ID"), encoding="utf-8")


def german_sums_below(folder: Path) -> None:
    """SAP list: semicolons, comma decimals, a line `Summe` without a date."""
    body = [
        f"{a};{start_of(i):%d.%m.%Y};{f'{end_of(i):%d.%m.%Y}' if end_of(i) else ''};1.049,50"
        for i, a in enumerate(ACCOUNTS)
    ]
    text = [
        "Kundennummer;Vertragsbeginn;Vertragsende;MRR",
        *body,
        ";;;25.188,00",
        "Summe;;;25.188,00",
    ]
    (folder / "vertraege.csv").write_text("\n".join(text) + "\n", encoding="cp1252")
    (folder / "logins.csv").write_text(logins("Kundennummer"), encoding="utf-8")


def sums_of_groups(folder: Path) -> None:
    """Subtotals between the rows: `Total c003` beside a sum of the days."""
    lines = []
    for a in ACCOUNTS:
        own = [d for b, d in login_pairs() if b == a]
        lines += [f"{a},{d},1" for d in own]
        lines.append(f"Total {a},,{len(own)}")
    lines.append(f"Grand Total,,{len(login_pairs())}")
    (folder / "logins.csv").write_text(table("customer_id,login_date,logins", lines), "utf-8")


def unicode_text(folder: Path) -> None:
    """Excel's "Unicode text": UTF-16 with tabs, ending .txt."""
    text = table("Customer ID\tLogin Date", [f"{a}\t{d}" for a, d in login_pairs()])
    (folder / "logins.txt").write_text(text, encoding="utf-16")


def utf16_semicolons(folder: Path) -> None:
    """UTF-16, semicolons, German days."""
    text = table("Kunde;Anmeldedatum", [f"{a};{d:%d.%m.%Y}" for a, d in login_pairs()])
    (folder / "anmeldungen.csv").write_text(text, encoding="utf-16")


def zip_of_two(folder: Path) -> None:
    """A zip with two tables, a folder inside and a readme."""
    body = [f"{a},{start_of(i)},{end_of(i) or ''},49.50" for i, a in enumerate(ACCOUNTS)]
    with zipfile.ZipFile(folder / "export_2024-12-31.zip", "w") as archive:
        archive.writestr(
            "export/subscriptions.csv", table("customer_id,start_date,end_date,mrr", body)
        )
        archive.writestr("export/logins.csv", logins())
        archive.writestr("export/README.txt", "Exported for you.\n")


def serial_moments(folder: Path) -> None:
    """Days with a fraction, as Excel saves a column of times as numbers."""
    lines = [f"{a},{serial(d)}.5" for a, d in login_pairs()]
    (folder / "logins.csv").write_text(table("customer_id,Login Date", lines), "utf-8")


def serial_moments_comma(folder: Path) -> None:
    """The same in German: 44927,5 beside semicolons."""
    lines = [f"{a};{serial(d)},5" for a, d in login_pairs()]
    (folder / "logins.csv").write_text(table("Kundennummer;Datum", lines), "utf-8")


def serial_contracts(folder: Path) -> None:
    """Starts and ends as days of a spreadsheet, some ends empty."""
    lines = [
        f"{a},{serial(start_of(i))},{serial(end) if (end := end_of(i)) else ''},49.5"
        for i, a in enumerate(ACCOUNTS)
    ]
    (folder / "contracts.csv").write_text(table("customer_id,Start,End,MRR", lines), "utf-8")
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


MAC_ZERO = date(1904, 1, 1)


def contracts_from_1904(folder: Path) -> None:
    """Days as an Excel for Mac once counted them; nothing in the file says so."""
    lines = [
        f"{a},{(start_of(i) - MAC_ZERO).days},{(end - MAC_ZERO).days if (end := end_of(i)) else ''},9.5"
        for i, a in enumerate(ACCOUNTS)
    ]
    (folder / "contracts.csv").write_text(table("customer_id,Start,End,MRR", lines), "utf-8")
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


def workbook_from_1904(folder: Path) -> None:
    """A workbook that counts from 1904: one column of dates, one of bare numbers."""
    import openpyxl
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert sheet is not None
    sheet.append(["customer_id", "Start", "End", "MRR"])
    for i, a in enumerate(ACCOUNTS):
        end = end_of(i)
        days = (end - MAC_ZERO).days if end else None
        sheet.append([a, _midnight(start_of(i)), days, 49.5])
    book.save(folder / "contracts.xlsx")
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


SUBSCRIPTIONS_TRUE = {STARTS_ENDS: TRUE_TERMS}
BOTH_TRUE = {**SUBSCRIPTIONS_TRUE, **LOGINS_TRUE}

FILES = (
    ExportInput(
        "files",
        "stripe-list",
        stripe_list,
        BOTH_TRUE | {"select distinct amount_per_month from staged_subscriptions": [(2900,)]},
        ("minor-units",),
        ('minor_units = ["amount_per_month"]',),
    ),
    ExportInput(
        "files",
        "hubspot-objects",
        hubspot_objects,
        LOGINS_TRUE
        | {"select count(*), min(cast(created_at as date)) from staged_accounts": [(24, FIRST)]},
    ),
    ExportInput(
        "files",
        "intercom-conversations",
        intercom_conversations,
        LOGINS_TRUE
        | {
            "select distinct date_diff('second', opened_at, first_reply_at), date_diff('second', opened_at, closed_at) from staged_support_tickets": [
                (900, 7200)
            ]
        },
    ),
    ExportInput("files", "shopify-orders", shopify_orders, LOGINS_TRUE),
    ExportInput("files", "workbook-of-sheets", workbook_of_sheets, BOTH_TRUE),
    ExportInput("files", "totals-below", totals_below, BOTH_TRUE),
    ExportInput(
        "files", "german-sums-below", german_sums_below, BOTH_TRUE, ("thousands-or-decimals",)
    ),
    ExportInput("files", "sums-of-groups", sums_of_groups, LOGINS_TRUE),
    ExportInput("files", "unicode-text", unicode_text, LOGINS_TRUE),
    ExportInput("files", "utf16-semicolons", utf16_semicolons, LOGINS_TRUE),
    ExportInput("files", "zip-of-two", zip_of_two, BOTH_TRUE),
    ExportInput("files", "serial-moments", serial_moments, LOGINS_TRUE),
    ExportInput("files", "serial-moments-comma", serial_moments_comma, LOGINS_TRUE),
    ExportInput("files", "serial-contracts", serial_contracts, BOTH_TRUE),
    ExportInput(
        "files",
        "serial-contracts-from-1904",
        contracts_from_1904,
        BOTH_TRUE,
        ("day-zero-of-numbers",),
        ("day_zero = 1904-01-01",),
        allowed=("asked",),
    ),
    ExportInput("files", "workbook-from-1904", workbook_from_1904, BOTH_TRUE, allowed=("right",)),
)

# --- what a table is, whatever it is called
# ---------------------------------------------------------------------------------------------


def terms_file(header: str, name: str, form: str = "{a},{s},{e},49.50") -> Callable[[Path], None]:
    """A row per customer with start and end under any names."""

    def write(folder: Path) -> None:
        lines = [
            form.format(a=a, s=start_of(i), e=end_of(i) or "", i=i) for i, a in enumerate(ACCOUNTS)
        ]
        (folder / name).write_text(table(header, lines), encoding="utf-8")
        key = header.replace(";", ",").split(",")[0]
        (folder / "logins.csv").write_text(logins(key), encoding="utf-8")

    return write


def unread_ends(folder: Path) -> None:
    """One end in ten is a remark, which must not turn churn into inactivity."""
    remarks = ("end of Q3", "2024-13-45", "see mail 12", "3 months notice", "31.06.2024")
    lines = [
        f"{a},{start_of(i)},{remarks[i // 5 % 5] if i % 5 == 1 else end_of(i) or ''},49.50"
        for i, a in enumerate(ACCOUNTS)
    ]
    (folder / "contracts.csv").write_text(
        table("customer_id,start_date,end_date,mrr", lines), "utf-8"
    )
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


def unread_starts(folder: Path) -> None:
    """Starts in two ways of writing: neither reads nearly all."""
    lines = [
        f"{a},{start_of(i) if i % 3 else format(start_of(i), '%d.%m.%Y')},{end_of(i) or ''},49.50"
        for i, a in enumerate(ACCOUNTS)
    ]
    (folder / "subscriptions.csv").write_text(
        table("customer_id,start_date,end_date,mrr", lines), "utf-8"
    )
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


def mixed_ends(folder: Path) -> None:
    """Ends half as days, half as `Dec 2024`."""
    lines = [
        f"{a},{start_of(i)},{f'{end:%b %Y}' if (end := end_of(i)) and i % 4 == 1 else end or ''},49.50"
        for i, a in enumerate(ACCOUNTS)
    ]
    (folder / "memberships.csv").write_text(
        table("customer_id,start_date,end_date,mrr", lines), "utf-8"
    )
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


def four_keys(folder: Path) -> None:
    """Four tables, four usual names of the account."""
    folder.joinpath("companies.csv").write_text(
        table(
            "company_id,signup_date,industry",
            [f"{a},{start_of(i)},food" for i, a in enumerate(ACCOUNTS)],
        ),
        "utf-8",
    )
    folder.joinpath("subscriptions.csv").write_text(
        table(
            "customer_id,start_date,end_date,mrr",
            [f"{a},{start_of(i)},{end_of(i) or ''},49.50" for i, a in enumerate(ACCOUNTS)],
        ),
        "utf-8",
    )
    folder.joinpath("tickets.csv").write_text(
        table(
            "organization_id,ticket_id,created_at,priority",
            [f"{a},t{k},{d},high" for k, (a, d) in enumerate(login_pairs()) if k % 9 == 0],
        ),
        "utf-8",
    )
    folder.joinpath("events.csv").write_text(
        table("account,event_date,event", [f"{a},{d},login" for a, d in login_pairs()]), "utf-8"
    )


def codes_and_calendar(folder: Path) -> None:
    """Codes, ids and calendar numbers beside one measure."""
    lines = [
        f"{a},{d},{k % 7},{d.year},{d.month},{d.isocalendar().week},{k % 24},{40202 + k % 9},"
        f"{4900 + k % 13},{10 + k % 3},{k % 5 + 1},{7000 + k},{d.year * 100 + d.month}"
        for k, (a, d) in enumerate(login_pairs())
    ]
    header = (
        "customer_id,login_date,minutes_used,year,month,week,hour,postcode,store_nr,"
        "product_group,weekday,session_no,year_month"
    )
    (folder / "logins.csv").write_text(table(header, lines), "utf-8")


def german_codes(folder: Path) -> None:
    """German codes: PLZ, Filialnr, Artikelnummer, Kalenderwoche, Jahr."""
    lines = [
        f"{a};{d:%d.%m.%Y};{k % 7 + 1};{50000 + k % 99};{12 + k % 4};{900100 + k % 50};{d.isocalendar().week};{d.year}"
        for k, (a, d) in enumerate(login_pairs())
    ]
    header = "Kundennummer;Kaufdatum;Menge;PLZ;Filialnr;Artikelnummer;KW;Jahr"
    (folder / "verkaeufe.csv").write_text(table(header, lines), "utf-8")


def shop_baskets(folder: Path) -> None:
    """Lines of baskets, products in a table of their own, a column of money."""
    lines = [
        f"{a},b{k // 2},{d},{100 + k % 5},{3 + k % 4}.50" for k, (a, d) in enumerate(login_pairs())
    ]
    (folder / "basket_lines.csv").write_text(
        table("customer_id,basket_id,purchase_date,product_id,sales_value", lines), "utf-8"
    )
    (folder / "products.csv").write_text(
        table("product_id,department,brand", [f"{100 + k},dep{k % 3},own" for k in range(5)]),
        "utf-8",
    )


def dashboard_of_stripe(folder: Path) -> None:
    """Subscriptions and payments as the dashboard downloads them; some payments failed."""
    lines = [
        f"sub_{i},{a},price_1,1,usd,month,49.00,{'canceled' if (end := end_of(i)) else 'active'},"
        f"{start_of(i)} 09:30,2024-06-01 09:30,2024-07-01 09:30,"
        f"{f'{end - 20 * DAY} 08:00' if end else ''},{'true' if end else 'false'},"
        f"{f'{end} 09:30' if end else ''}"
        for i, a in enumerate(ACCOUNTS)
    ]
    header = (
        "id,Customer ID,Plan,Quantity,Currency,Interval,Amount,Status,Start (UTC),"
        "Current Period Start (UTC),Current Period End (UTC),Canceled At (UTC),"
        "Cancel At Period End,Ended At (UTC)"
    )
    (folder / "subscriptions.csv").write_text(table(header, lines), "utf-8")
    paid = [
        f"ch_{k},{d} 09:31,49.00,0.00,usd,{'Failed' if k % 40 == 0 else 'Paid'},{a}"
        for k, (a, d) in enumerate(login_pairs())
        if k % 4 == 0
    ]
    header = "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,Customer ID"
    (folder / "unified_payments.csv").write_text(table(header, paid), "utf-8")


def chargebee_lists(folder: Path) -> None:
    """Names with the table before a point, days with the month in letters."""
    lines = [
        f"{a},sub{i},{start_of(i):%d-%b-%Y},basic,{'Cancelled' if (end := end_of(i)) else 'Active'},"
        f"49.00,{f'{end:%d-%b-%Y}' if end else ''},01-Jun-2024"
        for i, a in enumerate(ACCOUNTS)
    ]
    header = (
        "customers.id,subscriptions.id,subscriptions.started_at,subscriptions.plan_id,"
        "subscriptions.status,subscriptions.mrr,subscriptions.cancelled_at,"
        "subscriptions.current_term_start"
    )
    (folder / "Subscriptions.csv").write_text(table(header, lines), "utf-8")
    (folder / "logins.csv").write_text(logins(), encoding="utf-8")


def transactions_of_stores(folder: Path) -> None:
    """A row per period that a store of apps renewed, the first of them tried for nothing."""
    lines = [
        f"{a},app.monthly,{start_of(i) + 30 * k * DAY} 10:00:00,{start_of(i) + 30 * (k + 1) * DAY}"
        f" 10:00:00,{'true' if k == 0 else 'false'},false,{k},{0 if k == 0 else 9.99}"
        for i, a in enumerate(ACCOUNTS)
        for k in range(6 + i % 10)
    ]
    header = (
        "rc_original_app_user_id,product_identifier,start_time,end_time,is_trial_period,is_sandbox,"
        "renewal_number,price_in_usd"
    )
    (folder / "transactions.csv").write_text(table(header, lines), "utf-8")


def salesforce_objects(folder: Path) -> None:
    """Four objects that each call their own id `Id`; one deal at most of each account."""
    account = [f"001{a},Company {a},{start_of(i)},Food" for i, a in enumerate(ACCOUNTS)]
    contract = [
        f"800{a},001{a},{start_of(i)},{end_of(i) or ''},49.50" for i, a in enumerate(ACCOUNTS)
    ]
    case = [f"500{k},001{a},{d},High" for k, (a, d) in enumerate(login_pairs()) if k % 9 == 0]
    deal = [f"006{a},001{a},Closed Won,{start_of(i)}" for i, a in enumerate(ACCOUNTS) if i % 2]
    for name, header, lines in (
        ("Account", "Id,Name,CreatedDate,Industry", account),
        ("Contract", "Id,AccountId,StartDate,EndDate,MonthlyFee__c", contract),
        ("Case", "Id,AccountId,CreatedDate,Priority", case),
        ("Opportunity", "Id,AccountId,StageName,CloseDate", deal),
    ):
        (folder / f"{name}.csv").write_text(table(header, lines), "utf-8")


def backslashes(folder: Path) -> None:
    """Quotes behind a backslash, as MySQL writes a CSV."""
    said = '\\"hi\\", k'
    lines = [f'"{a}","{d}","{said if k % 5 == 0 else k}"' for k, (a, d) in enumerate(login_pairs())]
    (folder / "logins.csv").write_text(table('"customer_id","login_date","note"', lines), "utf-8")


def in_capitals(folder: Path) -> None:
    """A log that two programs wrote, one of them in capitals."""
    lines = [f"{a.upper() if k % 2 else a},{d}" for k, (a, d) in enumerate(login_pairs())]
    terms_file("customer_id,start_date,end_date,mrr", "contracts.csv")(folder)
    (folder / "logins.csv").write_text(table("customer_id,login_date", lines), "utf-8")


def deals(folder: Path) -> None:
    """Deals that were won and lost, beside a log of logins."""
    lines = [
        f"{k},Deal {k},{'Closed Lost' if k % 3 == 0 else 'Closed Won'},1234.00,{d},{a}"
        for k, (a, d) in enumerate(login_pairs())
        if k % 12 == 0
    ] + [
        f"{k},Deal {k},Closed Won,1234.00,{d},{a}"
        for k, (a, d) in enumerate(login_pairs())
        if k % 12 == 5
    ]
    header = "Record ID,Deal Name,Deal Stage,Amount,Close Date,company_id"
    (folder / "all-deals.csv").write_text(table(header, lines), "utf-8")
    (folder / "logins.csv").write_text(logins("company_id"), encoding="utf-8")


NO_MEASURES = {
    "select count(*) from (describe staged_usage_events) where lower(column_name) in"
    " ('year', 'year_value', 'month', 'month_value', 'week', 'week_value', 'hour', 'hour_value', 'postcode',"
    " 'store_nr', 'product_group', 'weekday', 'session_no', 'year_month', 'plz', 'filialnr', 'artikelnummer',"
    " 'kw', 'jahr')": [(0,)]
}
TABLES = (
    ExportInput(
        "names",
        "stripe-dashboard",
        dashboard_of_stripe,
        SUBSCRIPTIONS_TRUE
        | {
            "select count(*) from staged_invoices": [
                (sum(k % 4 == 0 and k % 40 != 0 for k in range(len(login_pairs()))),)
            ]
        },
        ("never-happened",),
        ('drop = { Status = ["Failed"] }',),
        allowed=("asked",),
    ),
    ExportInput("names", "chargebee-lists", chargebee_lists, BOTH_TRUE),
    ExportInput(
        "names",
        "transactions-of-stores",
        transactions_of_stores,
        {
            "select count(*), count(*) filter (is_trial) from staged_subscriptions": [
                (sum(6 + i % 10 for i in range(24)), 24)
            ]
        },
        account="rc_original_app_user_id",
    ),
    ExportInput(
        "names",
        "salesforce-objects",
        salesforce_objects,
        {
            "select count(*), min(created_at) from staged_accounts": [
                (24, datetime(FIRST.year, FIRST.month, FIRST.day))
            ],
            "select count(*), count(ends_at), min(amount_per_month) from staged_subscriptions": [
                (24, 12, 4950)
            ],
            "select count(distinct account_id) from staged_support_tickets where account_id in"
            " (select account_id from staged_accounts)": [(24,)],
        },
    ),
    ExportInput("names", "mysql-backslashes", backslashes, LOGINS_TRUE, allowed=("right",)),
    ExportInput(
        "names",
        "capitals-in-one-file",
        in_capitals,
        LOGINS_TRUE,
        ("ids-in-two-writings",),
        ('id_writing = ["small_letters"]',),
        allowed=("asked",),
    ),
    ExportInput(
        "names",
        "deals-lost",
        deals,
        {
            "select count(*) from staged_all_deals": [
                (len([k for k in range(len(login_pairs())) if k % 12 == 5]),)
            ]
        },
        ("never-happened",),
        ('drop = { "Deal Stage" = ["Closed Lost"] }',),
        allowed=("asked",),
    ),
    ExportInput(
        "names",
        "export-start-cancelled",
        terms_file("Customer ID,Start Date,Cancelled Date,MRR", "export_2024.csv"),
        BOTH_TRUE,
    ),
    ExportInput(
        "names",
        "members-joined-left",
        terms_file("member_id,join_date,left_date,fee", "members.csv"),
        BOTH_TRUE,
    ),
    ExportInput(
        "names",
        "german-customers",
        terms_file(
            "Kundennummer;Eintritt;Austritt;Beitrag", "kundenliste.csv", "{a};{s};{e};49,50"
        ),
        BOTH_TRUE,
    ),
    ExportInput(
        "names",
        "customers-signup-churn",
        terms_file("customer_id,signup_date,churn_date,mrr", "customers.csv"),
        BOTH_TRUE,
    ),
    ExportInput(
        "names",
        "recurring-activated-deactivated",
        terms_file("account_code,activated_at,deactivated_at,mrr", "data.csv"),
        BOTH_TRUE,
    ),
    ExportInput(
        "names", "unread-ends", unread_ends, BOTH_TRUE, ("ends-not-read",), allowed=("asked",)
    ),
    ExportInput("names", "unread-starts", unread_starts, BOTH_TRUE, allowed=("asked", "refused")),
    ExportInput(
        "names", "mixed-ends", mixed_ends, BOTH_TRUE, ("ends-not-read",), allowed=("asked",)
    ),
    ExportInput(
        "names",
        "four-keys",
        four_keys,
        BOTH_TRUE
        | {
            "select count(*) from staged_accounts": [(24,)],
            "select count(distinct account_id) from staged_support_tickets": [(24,)],
        },
    ),
    ExportInput(
        "names",
        "ids-of-their-own",
        files(
            subscriptions=table(
                "id,Customer ID,Start (UTC),Ended At (UTC),mrr",
                [f"sub_{i},{a},{start_of(i)},{end_of(i) or ''},49" for i, a in enumerate(ACCOUNTS)],
            ),
            invoices=table(
                "id,Customer,Date (UTC),Amount",
                [f"in_{k},{a},{d},29.50" for k, (a, d) in enumerate(login_pairs())],
            ),
        ),
        SUBSCRIPTIONS_TRUE
        | {
            "select count(*), count(distinct account_id) from staged_invoices": [
                (len(login_pairs()), 24)
            ]
        },
        allowed=("right",),
    ),
    ExportInput("names", "codes-and-calendar", codes_and_calendar, LOGINS_TRUE | NO_MEASURES),
    ExportInput("names", "german-codes", german_codes, LOGINS_TRUE | NO_MEASURES),
    ExportInput(
        "names",
        "shop-baskets",
        shop_baskets,
        LOGINS_TRUE
        | {
            "select count(distinct session_id), count(distinct event_name) from staged_usage_events": [
                ((len(login_pairs()) + 1) // 2, 3)
            ],
            "select sum(sales_value) > 0 from staged_usage_events": [(True,)],
        },
    ),
)

# --- what an end means
# ---------------------------------------------------------------------------------------------


def with_terms(
    lines: Sequence[str], header: str = "customer_id,start_date,end_date,mrr"
) -> Callable[[Path], None]:
    """A table of terms beside logins of all accounts."""
    return files(subscriptions=table(header, lines), logins=logins())


def month_starts(count: int) -> list[date]:
    """The first days of so many months."""
    return [date(2023 + i // 12, i % 12 + 1, 1) for i in range(count + 1)]


def monthly(
    end: Callable[[date], object], amount: Callable[[int, int], object] = lambda i, k: 30
) -> list[str]:
    """Twelve months of every account, ends written by `end`."""
    days = month_starts(12)
    return [
        f"{a},{begin},{end(following)},{amount(i, k)}"
        for i, a in enumerate(ACCOUNTS)
        for k, (begin, following) in enumerate(zip(days, days[1:], strict=False))
    ]


NO_GAPS = {
    "select count(*) from (select starts_at - lag(ends_at) over (partition by account_id order by starts_at) as gap"
    " from staged_subscriptions) where gap <> interval 0 day": [(0,)]
}
ALL_TERMS = {"select count(*) from staged_subscriptions": [(24 * 12 + 1,)]}
ENDS_TRUE = {"select count(ends_at), count(*) from staged_subscriptions": [(12, 24)]}


def stand_in(written: str) -> Callable[[Path], None]:
    """Open terms that end on a day or a word that stands for none."""
    return with_terms(
        [f"{a},{start_of(i)},{end_of(i) or written},49" for i, a in enumerate(ACCOUNTS)]
    )


def chargebee(folder: Path) -> None:
    """Chargebee: Cancelled At is the end, trial in the row, amounts in cents beside seconds."""
    lines = [
        f"cb{i},{a},pro,{2900},month,1,{'cancelled' if end_of(i) else 'active'},{seconds(start_of(i))},"
        f"{seconds(start_of(i) + 14 * DAY)},{seconds(end) if (end := end_of(i)) else ''}"
        for i, a in enumerate(ACCOUNTS)
    ]
    header = "id,customer_id,plan_id,plan_amount,billing_period_unit,billing_period,status,started_at,trial_end,cancelled_at"
    files(subscriptions=table(header, lines), logins=logins())(folder)


TRIALS_LATER = [(a, start_of(i) + 14 * DAY, end_of(i)) for i, a in enumerate(ACCOUNTS)]
ENDS = (
    ExportInput("ends", "last-day-of-month", with_terms(monthly(lambda d: d - DAY)), NO_GAPS),
    ExportInput("ends", "first-day-not-covered", with_terms(monthly(lambda d: d)), NO_GAPS),
    ExportInput(
        "ends",
        "last-second-of-month",
        with_terms(monthly(lambda d: f"{d - DAY} 23:59:59Z")),
        NO_GAPS,
    ),
    ExportInput("ends", "sentinel-9999", stand_in("9999-12-31"), ENDS_TRUE),
    ExportInput("ends", "sentinel-mysql-zero", stand_in("0000-00-00"), ENDS_TRUE),
    ExportInput("ends", "word-unbefristet", stand_in("unbefristet"), ENDS_TRUE),
    ExportInput("ends", "mysql-null", stand_in("\\N"), ENDS_TRUE),
    ExportInput(
        "ends",
        "chargebee-trial-and-cents",
        chargebee,
        {STARTS_ENDS: TRIALS_LATER},
        ("minor-units",),
        ('minor_units = ["amount_per_month"]',),
    ),
)

# --- ids
# ---------------------------------------------------------------------------------------------


def listed(write_id: Callable[[str], str], other: Callable[[str], str]) -> Callable[[Path], None]:
    """Accounts under one writing of their ids, logins under another."""

    def write(folder: Path) -> None:
        ids = [f"{int(a[1:]) + 101:05d}" for a in ACCOUNTS]
        lines = [f"{write_id(x)},{start_of(i)},{end_of(i) or ''},49" for i, x in enumerate(ids)]
        body = [f"{other(ids[int(a[1:])])},{d}" for a, d in login_pairs()]
        files(
            subscriptions=table("customer_id,start_date,end_date,mrr", lines),
            logins=table("customer_id,login_date", body),
        )(folder)

    return write


def salesforce_suffix(x: str) -> str:
    """An id of 18 characters whose first 15 are those of the report."""
    return f"0015000000{x}" + "AAB"


SAME_ACCOUNTS = {
    "select count(distinct account_id) from staged_usage_events join staged_subscriptions using (account_id)": [
        (24,)
    ]
}
IDS = (
    ExportInput(
        "ids",
        "salesforce-15-18",
        listed(salesforce_suffix, lambda x: salesforce_suffix(x)[:15]),
        SAME_ACCOUNTS,
    ),
    ExportInput("ids", "leading-zeros", listed(str, lambda x: str(int(x))), SAME_ACCOUNTS),
    ExportInput(
        "ids",
        "spreadsheet-floats",
        listed(lambda x: str(int(x)), lambda x: f"{int(x)}.0"),
        SAME_ACCOUNTS,
    ),
    ExportInput(
        "ids", "letter-case", listed(lambda x: f"AC-{x}-XY", lambda x: f"ac-{x}-xy"), SAME_ACCOUNTS
    ),
    ExportInput(
        "ids",
        "scientific",
        listed(lambda x: f"4.5{x[3:]}E+14", lambda x: f"4.5{x[3:]}E+14"),
        {},
        ("ids-rounded",),
        allowed=("asked",),
    ),
    ExportInput(
        "ids",
        "other-program",
        listed(str, lambda x: f"q{int(x) * 7919 % 99991}z"),
        {},
        ("no-account-in-common",),
        allowed=("asked",),
    ),
)

# --- numbers
# ---------------------------------------------------------------------------------------------


def amounts(written: Callable[[int], str], delimiter: str = ",") -> Callable[[Path], None]:
    """Invoices of 1,080.50 and less, written in one way."""

    def write(folder: Path) -> None:
        lines = [
            delimiter.join((a, f"{a}-{k}", str(FIRST + 30 * k * DAY), written(k)))
            for a in ACCOUNTS
            for k in range(12)
        ]
        header = delimiter.join(("customer_id", "invoice_id", "invoice_date", "amount"))
        files(invoices=table(header, lines), logins=logins())(folder)

    return write


SUM = "select sum(amount) from staged_invoices"
NUMBERS = (
    ExportInput(
        "numbers",
        "currency-signs",
        amounts(lambda k: f'"$1,0{k + 10}.50"'),
        {SUM: [(24 * sum(101050 + 100 * k for k in range(12)),)]},
    ),
    ExportInput(
        "numbers",
        "german-grouped",
        amounts(lambda k: f"1.0{k + 10},50 €", ";"),
        {SUM: [(24 * sum(101050 + 100 * k for k in range(12)),)]},
    ),
    ExportInput(
        "numbers",
        "swiss-apostrophes",
        amounts(lambda k: f"CHF 1'0{k + 10}.50"),
        {SUM: [(24 * sum(101050 + 100 * k for k in range(12)),)]},
    ),
    ExportInput(
        "numbers",
        "brackets-for-credits",
        amounts(lambda k: f"({k + 10}.50)" if k == 3 else f"{k + 10}.50"),
        {SUM: [(24 * (sum(1050 + 100 * k for k in range(12)) - 2 * 1350),)]},
    ),
    ExportInput(
        "numbers",
        "grouped-integers",
        amounts(lambda k: f"1.0{k + 10}" if k % 2 else str(900 + k), ";"),
        {},
        ("thousands-or-decimals",),
        allowed=("asked",),
    ),
    ExportInput(
        "numbers",
        "all-below-zero",
        amounts(lambda k: f"-{k + 10}.50"),
        {SUM: [(24 * sum(1050 + 100 * k for k in range(12)),)]},
        ("amounts-below-zero",),
        ('turn_sign = ["amount"]',),
    ),
)

# --- copies, losses, free terms, time
# ---------------------------------------------------------------------------------------------


def delivered_twice(folder: Path) -> None:
    """Mixpanel: one insert id, other upload times."""
    lines = [
        f"{a},{d}T10:00:00Z,login,{a}-{d},{d}T10:0{n}:00Z"
        for k, (a, d) in enumerate(login_pairs())
        for n in range(1 + k % 2)
    ]
    files(events=table("user_id,event_time,event_type,insert_id,server_upload_time", lines))(folder)


def twice(folder: Path) -> None:
    """A file appended to itself."""
    body = [f"{a},{d}" for a, d in login_pairs()]
    files(logins=table("customer_id,login_date", body + body))(folder)


def lost_in_two(folder: Path) -> None:
    """Two large customers write days in another way."""
    lines = [f"{a},{d:%d/%m/%Y}" if a in ("c003", "c007") else f"{a},{d}" for a, d in login_pairs()]
    files(logins=table("customer_id,login_date", lines))(folder)


def month_totals(folder: Path) -> None:
    """A row per month, on its first day."""
    lines = [f"{a},{d},{10 + k}" for a in ACCOUNTS for k, d in enumerate(month_starts(17))]
    files(usage=table("customer_id,event_date,minutes", lines))(folder)


def one_far_row(folder: Path) -> None:
    """One login of 2035 among 1,440."""
    files(logins=logins() + "c001,2035-05-01\n")(folder)


def one_far_term(folder: Path) -> None:
    """One contract of 2032 among those of 2023."""
    with_terms([*monthly(lambda d: d), "c003,2032-01-01,2032-02-01,30"])(folder)


def free_month(folder: Path) -> None:
    """Every fourth account has one month as a gift."""
    with_terms(monthly(lambda d: d, lambda i, k: 0 if i % 4 == 1 and k == 5 else 50))(folder)


def free_plan(folder: Path) -> None:
    """A third moves to a free plan."""
    with_terms(monthly(lambda d: d, lambda i, k: 0 if i % 3 == 0 and k >= 6 else 50))(folder)


def paused(folder: Path) -> None:
    """Collection paused for two months: amount 0, then paid again."""
    with_terms(monthly(lambda d: d, lambda i, k: 0 if i % 4 == 0 and k in (4, 5) else 50))(folder)


UNPAID = "select count(*) filter (is_trial) from staged_subscriptions"
OTHERS = (
    ExportInput("copies", "one-insert-id", delivered_twice, LOGINS_TRUE),
    ExportInput(
        "copies",
        "file-twice",
        twice,
        LOGINS_TRUE,
        ("every-row-twice",),
        ("drop_duplicates = true",),
    ),
    ExportInput(
        "copies",
        "lost-in-two-accounts",
        lost_in_two,
        {},
        ("losses-in-few-accounts",),
        allowed=("asked", "refused"),
    ),
    ExportInput(
        "free",
        "gift",
        free_month,
        {UNPAID: [(6,)]},
        ("terms-without-payment",),
        ("paid_above = 0",),
    ),
    ExportInput(
        "free",
        "free-plan",
        free_plan,
        {UNPAID: [(48,)]},
        ("terms-without-payment",),
        ("paid_above = 0",),
    ),
    ExportInput(
        "free", "paused", paused, {UNPAID: [(0,)]}, ("terms-without-payment",), ("paid_above = -1",)
    ),
    ExportInput(
        "time",
        "month-totals",
        month_totals,
        {"select count(*) from staged_usage_events": [(24 * 18,)]},
        ("totals-of-a-month",),
        ("delay_days = 31",),
    ),
    ExportInput("time", "one-far-row", one_far_row, LOGINS_TRUE),
    ExportInput("time", "one-far-term", one_far_term, ALL_TERMS | LOGINS_TRUE),
)

# --- moments: how a time is written, and on which clock it was counted
# ---------------------------------------------------------------------------------------------


def moments(
    written: Callable[[date, int], str], days: Callable[[date], bool] = lambda d: True
) -> Callable[[Path], None]:
    """Events whose times are written in one way."""
    lines = [f"{a},{written(d, k)},login" for k, (a, d) in enumerate(login_pairs()) if days(d)]
    return files(events=table("customer_id,event_time,event", lines))


BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
EARLY = 1800
"""Seconds after midnight: in another zone it is another day."""


def on_a_clock(day: date, zone: ZoneInfo, after: int = EARLY) -> int:
    """Seconds since 1970 that a program counts who takes a local clock for UTC."""
    moment = datetime.fromtimestamp(seconds(day) + after, tz=zone)
    return int(moment.replace(tzinfo=UTC).timestamp())


def mixpanel(folder: Path) -> None:
    """Raw export of an older project: `time` counts on the clock of New York."""
    lines = [
        json.dumps(
            {
                "event": "Report Viewed",
                "properties": {
                    "time": on_a_clock(d, NEW_YORK),
                    "distinct_id": f"u{k % 3}-{a}",
                    "company_id": a,
                    "$insert_id": f"{a}-{d}",
                },
            }
        )
        for k, (a, d) in enumerate(login_pairs())
    ]
    (folder / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")


def clock_beside(zone: ZoneInfo, received: Callable[[int], str]) -> Callable[[Path], None]:
    """A local clock beside the moment of arrival, a few seconds later."""

    def write(folder: Path) -> None:
        lines = [
            f"{a},{on_a_clock(d, zone, EARLY + 60 * k)},{received(seconds(d) + EARLY + 60 * k + 7)}"
            for k, (a, d) in enumerate((a, d) for a, d in login_pairs())
        ]
        files(events=table("customer_id,event_time,loaded_at", lines))(folder)

    return write


def iso(moment: int) -> str:
    """Seconds since 1970 as a moment in UTC."""
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def overlapping(folder: Path) -> None:
    """Two exports of which the later begins before the earlier ends."""
    pairs = sorted(login_pairs(), key=lambda pair: pair[1])
    middle = len(pairs) // 2
    for name, part in (("logins_1", pairs[: middle + 200]), ("logins_2", pairs[middle:])):
        files(**{name: table("customer_id,login_date", [f"{a},{d}" for a, d in part])})(folder)


EARLY_DAYS = [(a, d) for a, d in login_pairs() if d.day <= 12]
MOMENTS_TRUE = {
    "select count(*), min(cast(event_time as date)), max(cast(event_time as date)) from"
    " staged_usage_events": [(len(login_pairs()), FIRST, max(d for _, d in login_pairs()))]
}
EARLY_TRUE = {
    "select count(*), min(cast(event_time as date)), max(cast(event_time as date)) from"
    " staged_usage_events": [(len(EARLY_DAYS), FIRST, max(d for _, d in EARLY_DAYS))]
}
HALF_PAST = {
    "select distinct date_diff('second', date_trunc('day', event_time), event_time) from"
    " staged_usage_events": [(EARLY,)]
}
AGREES = {
    "select max(abs(epoch(event_time) - epoch(known_from))) from staged_usage_events": [(7.0,)]
}
NO_OTHERS = ("asked",)
MOMENTS = (
    ExportInput(
        "moments", "microseconds", moments(lambda d, k: f"{seconds(d)}000000"), MOMENTS_TRUE
    ),
    ExportInput(
        "moments", "nanoseconds", moments(lambda d, k: f"{seconds(d)}000000000"), MOMENTS_TRUE
    ),
    ExportInput(
        "moments",
        "seconds-and-milliseconds",
        moments(lambda d, k: f"{seconds(d) * (1000 if k % 3 else 1)}"),
        MOMENTS_TRUE,
    ),
    ExportInput(
        "moments",
        "milliseconds-later",
        moments(lambda d, k: f"{seconds(d) * (1000 if d.year > 2023 else 1)}"),
        MOMENTS_TRUE,
    ),
    ExportInput(
        "moments", "rails-offset", moments(lambda d, k: f"{d} 10:30:00 +0000"), MOMENTS_TRUE
    ),
    ExportInput("moments", "two-figure-years", moments(lambda d, k: f"{d:%d.%m.%y}"), MOMENTS_TRUE),
    ExportInput(
        "moments", "stripe-words", moments(lambda d, k: f'"{d:%b} {d.day}, {d.year}"'), MOMENTS_TRUE
    ),
    ExportInput(
        "moments",
        "browser-moments",
        moments(lambda d, k: f'"{d.month}/{d.day}/{d.year}, {k % 12 or 12}:30 PM"'),
        {
            "select count(*), count(distinct account_id) from staged_usage_events": [
                (len(login_pairs()), 24)
            ]
        },
        (),
        (),
    ),
    ExportInput(
        "moments",
        "rounded",
        moments(lambda d, k: f"{seconds(d) * 1000:.5E}"),
        {},
        ("times-rounded",),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "moments",
        "day-first",
        moments(lambda d, k: f"{d:%d/%m/%Y}", lambda d: d.day <= 12),
        EARLY_TRUE,
        ("day-or-month",),
        ("day_first = true",),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "moments",
        "month-first",
        moments(lambda d, k: f"{d:%m/%d/%Y}", lambda d: d.day <= 12),
        EARLY_TRUE,
        ("day-or-month",),
        ("day_first = false",),
        allowed=NO_OTHERS,
    ),
    ExportInput("moments", "month-first-told", moments(lambda d, k: f"{d:%m/%d/%Y}"), MOMENTS_TRUE),
    ExportInput(
        "moments",
        "month-first-told-beside",
        files(
            invoices=table(
                "customer_id,invoice_id,invoice_date,due_date,amount",
                [
                    f"{a},{k},{d:%m/%d/%Y},{d.replace(day=1 + d.day % 12):%m/%d/%Y},49.50"
                    for k, (a, d) in enumerate(login_pairs())
                ],
            ),
            logins=logins(),
        ),
        {"select count(*) from staged_invoices where month(due_at) <> month(issued_at)": [(0,)]},
        allowed=("right",),
    ),
    ExportInput(
        "moments",
        "mixpanel-asked",
        mixpanel,
        {},
        ("epochs-of-a-clock",),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "moments",
        "clock-beside-iso",
        clock_beside(BERLIN, iso),
        AGREES,
        ("epochs-of-a-clock",),
        ('epochs_in = { event_time = "Europe/Berlin" }',),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "moments",
        "clock-beside-milliseconds",
        clock_beside(NEW_YORK, lambda moment: f"{moment}000"),
        AGREES,
        ("epochs-of-a-clock",),
        ('epochs_in = { event_time = "America/New_York" }',),
        allowed=NO_OTHERS,
    ),
    ExportInput("moments", "clock-of-utc-beside", clock_beside(ZoneInfo("UTC"), iso), AGREES),
    ExportInput(
        "moments",
        "exports-overlap",
        overlapping,
        LOGINS_TRUE,
        ("parts-overlap",),
        ("drop_duplicates = true",),
        allowed=NO_OTHERS,
    ),
)

# --- several accounts in a cell, ids that people changed
# ---------------------------------------------------------------------------------------------


def companies_in(cell: Callable[[list[str]], str]) -> Callable[[Path], None]:
    """Deals of which every fourth names two companies."""
    lines = [
        f"{k},{d},1200,{cell([a, ACCOUNTS[(int(a[1:]) + 12) % 24]]) if k % 4 == 0 else a}"
        for k, (a, d) in enumerate(login_pairs())
    ]
    return files(deals=table("Deal ID,Close Date,Amount,customer_id", lines))


def of_lists(name: str, cell: Callable[[list[str]], str], mark: str) -> ExportInput:
    """The input for one way to write a list."""
    rows = len(login_pairs())
    return ExportInput(
        "lists",
        name,
        companies_in(cell),
        {
            "select count(distinct account_id), count(*) from staged_usage_events": [
                (24, rows + (rows + 3) // 4)
            ]
        },
        ("several-ids-in-a-cell",),
        (f"split = {{ customer_id = {mark} }}",),
        allowed=NO_OTHERS,
        account="customer_id",
    )


LISTS = (
    of_lists("json", lambda ids: '"[' + ",".join(f'""{i}""' for i in ids) + ']"', '","'),
    of_lists("postgres", lambda ids: '"{' + ",".join(ids) + '}"', '","'),
    of_lists("lines", lambda ids: '"' + "\n".join(ids) + '"', '"\\n"'),
    of_lists("slash", "/".join, '"/"'),
    ExportInput(
        "ids", "braces", listed(lambda x: f"{{AB-{x}}}", lambda x: f"ab-{x}"), SAME_ACCOUNTS
    ),
    ExportInput("ids", "spreadsheet-text", listed(lambda x: f'"=""{x}"""', str), SAME_ACCOUNTS),
    ExportInput(
        "ids", "no-break-space", listed(lambda x: f"A{x}\u00a0", lambda x: f"A{x}"), SAME_ACCOUNTS
    ),
    ExportInput(
        "ids",
        "prefix",
        listed(lambda x: f"acct_{x}", str),
        SAME_ACCOUNTS,
        ("ids-in-two-writings",),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "ids",
        "scientific-comma",
        listed(
            lambda x: '"4,50000E+11"' if x < "00105" else f"4500000{x}", lambda x: f"4500000{x}"
        ),
        {},
        ("ids-rounded",),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "numbers",
        "round-amounts",
        amounts(lambda k: f"1.0{k + 10},-", ";"),
        {SUM: [(24 * sum(101000 + 100 * k for k in range(12)),)]},
    ),
    ExportInput(
        "numbers",
        "credits-of-a-bank",
        amounts(lambda k: "80.00 CR" if k == 3 else "80.00"),
        {SUM: [(24 * 10 * 8000,)]},
        ("debit-or-credit",),
        ('negative_letters = ["CR"]',),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "numbers", "thousands-as-letters", amounts(lambda k: f"$1.{k + 10}K"), allowed=("refused",)
    ),
    ExportInput("ends", "zero-for-none", stand_in("0"), ENDS_TRUE),
    ExportInput(
        "ends",
        "far-day-of-many",
        stand_in("2037-12-31"),
        ENDS_TRUE,
        ("open-ends",),
        ('empty = { end_date = ["2037-12-31"] }',),
        allowed=NO_OTHERS,
    ),
    ExportInput(
        "ends",
        "french",
        terms_file(
            "Code client;Date de début;Date de résiliation;Montant mensuel",
            "abonnements.csv",
            "{a};{s};{e};49,50 €",
        ),
        SUBSCRIPTIONS_TRUE,
    ),
    ExportInput(
        "ends",
        "until-the-period-ends",
        with_terms(
            [
                f"{a},{start_of(i)},{end or '2025-01-01'},{bool(end)},{end - 20 * DAY if end else ''},49"
                for i, a in enumerate(ACCOUNTS)
                for end in (end_of(i),)
            ],
            "customer_id,start_date,current_period_end,cancel_at_period_end,canceled_at,mrr",
        ),
        {},
        ("request-taken-for-end",),
        allowed=NO_OTHERS,
    ),
)

INPUTS: tuple[ExportInput, ...] = (
    *FILES,
    *TABLES,
    *ENDS,
    *IDS,
    *NUMBERS,
    *OTHERS,
    *MOMENTS,
    *LISTS,
)
