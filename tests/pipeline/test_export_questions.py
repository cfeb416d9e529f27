"""What an export leaves open: proposed where its rows decide, asked where they do not.

Inputs in the shape of exports as their vendors describe them, each made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.errors import GateRefused
from pipeline.checking import check_sources, refuse_training
from pipeline.checking.assumptions import assumptions
from pipeline.config import read_project
from pipeline.engine.duckdb import Connection, connected, rows
from pipeline.jobs.score import of_cut_off_files, of_lost_rows
from pipeline.jobs.stage import load_staged
from pipeline.proposing import propose
from pipeline.staging import StagedSource, stage
from pipeline.staging.staged import from_json
from pipeline.workspace import open_workspace

DAY = timedelta(days=1)
FIRST = date(2023, 1, 1)


@dataclass(frozen=True)
class Export:
    """A folder of tables with the file that `init` proposed for it."""

    folder: Path
    toml: str
    unguessed: tuple[str, ...]

    def staged(self, duck: Connection, *more: str) -> dict[str, StagedSource]:
        """The sources by the proposed file, with lines put under the first table."""
        toml = self.toml
        for line in more:
            toml = toml.replace("[sources.", f"{line}\n[sources.", 1) if "zone" in line else toml
        (self.folder / "tenure.toml").write_text(toml, encoding="utf-8")
        return stage(read_project(self.folder), self.folder, duck)


def export(folder: Path, *, account: str | None = None, **tables: str) -> Export:
    """Write tables (name -> text) and propose."""
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    proposal = propose(folder, folder, account=account)
    return Export(folder, proposal.toml, proposal.unguessed)


def table(header: str, lines: Sequence[str]) -> str:
    return "\n".join([header, *lines]) + "\n"


def logins(accounts: Sequence[str], name: str = "customer_id", days: int = 540) -> str:
    return table(
        f"{name},login_date",
        [f"{a},{FIRST + k * DAY}" for i, a in enumerate(accounts) for k in range(i % 7, days, 9)],
    )


def months(count: int) -> list[date]:
    """The first days of so many months."""
    return [date(2023 + i // 12, i % 12 + 1, 1) for i in range(count + 1)]


def names(questions: Sequence[Any]) -> list[str]:
    return [question.name for question in questions]


ACCOUNTS = [f"c{i:03d}" for i in range(24)]


# --- the last day paid for
# ------------------------------------------------------------------------


def thirteenth_to_twelfth() -> str:
    """Lago: a billable period runs from the 13th to the 12th."""
    starts = [day.replace(day=13) for day in months(17)]
    return table(
        "customer_id,from_date,end_date,mrr",
        [
            f"{a},{begin},{end - DAY},30"
            for a in ACCOUNTS
            for begin, end in zip(starts, starts[1:], strict=False)
        ],
    ).replace("from_date", "start_date")


def years_in_german() -> str:
    """One contract a customer, 01.01. to 31.12., points between day, month and year."""
    return table(
        "customer_id;start_date;end_date;mrr",
        [f"{a};01.{i % 12 + 1:02d}.2023;{_year_end(i)};30" for i, a in enumerate(ACCOUNTS)],
    )


def _year_end(i: int) -> str:
    begin = date(2023, i % 12 + 1, 1)
    return f"{begin.replace(year=2024) - DAY:%d.%m.%Y}"


def last_second() -> str:
    """Ends written as the last second of their day."""
    days = months(17)
    return table(
        "customer_id,start_date,end_date,mrr",
        [
            f"{a},{begin} 00:00:00Z,{end - DAY} 23:59:59Z,30"
            for a in ACCOUNTS
            for begin, end in zip(days, days[1:], strict=False)
        ],
    )


@pytest.mark.parametrize("contracts", [thirteenth_to_twelfth, years_in_german, last_second])
def test_end_on_the_last_day_paid_for_is_proposed(
    tmp_path: Path, duck: Connection, contracts: Any
) -> None:
    made = export(tmp_path, subscriptions=contracts(), logins=logins(ACCOUNTS))
    assert 'end_day = "included"' in made.toml
    made.staged(duck)
    ends = rows(
        duck,
        "select count(*) from staged_subscriptions where ends_at <> date_trunc('day', ends_at)",
    )
    assert ends == [(0,)]
    gaps = rows(
        duck,
        "select distinct following - ends_at from (select ends_at, lead(starts_at) over (partition"
        " by account_id order by starts_at) as following from staged_subscriptions) where"
        " following is not null",
    )
    assert gaps in ([], [(timedelta(0),)])


def test_undeclared_last_days_stop_a_project_that_was_written_by_hand(
    tmp_path: Path, duck: Connection
) -> None:
    made = export(tmp_path, subscriptions=thirteenth_to_twelfth(), logins=logins(ACCOUNTS))
    toml = made.toml.replace('end_day = "included"\n', "")
    (tmp_path / "tenure.toml").write_text(toml, encoding="utf-8")
    staged = stage(read_project(tmp_path), tmp_path, duck)["subscriptions"]
    assert names(staged.questions) == ["ends-on-last-day"]
    workspace = open_workspace(tmp_path, tmp_path, datetime(2024, 8, 1))
    with workspace.store.writing(), connected() as fresh:
        report = check_sources(workspace, fresh)
    with pytest.raises(GateRefused, match='end_day = "included"'):
        refuse_training(report)


def test_ends_of_both_kinds_are_asked_and_ends_on_the_next_start_are_not(tmp_path: Path) -> None:
    days = months(17)
    both = table(
        "customer_id,start_date,end_date,mrr",
        [
            f"{a},{begin},{end - DAY * (i % 2)},30"
            for i, a in enumerate(ACCOUNTS)
            for begin, end in zip(days, days[1:], strict=False)
        ],
    )
    made = export(tmp_path, subscriptions=both, logins=logins(ACCOUNTS))
    assert '# end_day = "included"' in made.toml
    assert '# end_day = "excluded"' in made.toml
    assert '\nend_day = "' not in made.toml
    folder = tmp_path / "plain"
    folder.mkdir()
    plain = table(
        "customer_id,start_date,end_date,mrr",
        [f"{a},{b},{e},30" for a in ACCOUNTS for b, e in zip(days, days[1:], strict=False)],
    )
    assert "end_day" not in export(folder, subscriptions=plain, logins=logins(ACCOUNTS)).toml


# --- days and words for no end
# --------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "2099-12-31",
        "9999-12-31",
        "1900-01-01",
        "0000-00-00",
        "NULL",
        "\\N",
        "unbefristet",
        "2999-12-31 00:00:00",
    ],
)
def test_what_stands_for_no_end_is_no_end(tmp_path: Path, duck: Connection, written: str) -> None:
    contracts = table(
        "customer_id,valid_from,valid_to,mrr",
        [
            f"{a},{FIRST + i * DAY},{written if i % 3 else FIRST + (200 + i) * DAY},40"
            for i, a in enumerate(ACCOUNTS)
        ],
    )
    made = export(tmp_path, contracts=contracts, logins=logins(ACCOUNTS))
    assert 'kind = "churn"' in made.toml
    assert 'convention = "open_until_cancelled"' in made.toml
    staged = made.staged(duck)["subscriptions"]
    assert not staged.questions
    assert not staged.rows_bad
    assert rows(duck, "select count(ends_at), count(*) from staged_subscriptions") == [(8, 24)]


@pytest.mark.parametrize("written", ["2099-12-31", "unbefristet", "1900-01-01"])
def test_undeclared_stand_in_for_no_end_is_asked(
    tmp_path: Path, duck: Connection, written: str
) -> None:
    contracts = table(
        "account_id,starts_at,ends_at",
        [f"{a},{FIRST},{written if i % 3 else FIRST + 200 * DAY}" for i, a in enumerate(ACCOUNTS)],
    )
    (tmp_path / "c.csv").write_text(contracts, encoding="utf-8")
    (tmp_path / "tenure.toml").write_text(
        'name = "p"\n[sources.subscriptions]\nlocation = "c.csv"\n'
        '[[targets]]\nname = "t"\nkind = "churn"\nhorizon_days = 30\n',
        encoding="utf-8",
    )
    try:
        staged = stage(read_project(tmp_path), tmp_path, duck)
        told = " ".join(q.next_step for q in staged["subscriptions"].questions)
    except GateRefused as refusal:
        told = str(refusal)
    assert f'empty = {{ ends_at = ["{written}"] }}' in told


def test_far_ends_that_differ_are_ends(tmp_path: Path) -> None:
    contracts = table(
        "customer_id,valid_from,valid_to,mrr",
        [f"{a},{FIRST},{date(2033 + i, 5, 1 + i)},40" for i, a in enumerate(ACCOUNTS)],
    )
    made = export(tmp_path, contracts=contracts, logins=logins(ACCOUNTS))
    assert "empty" not in made.toml


# --- request and end, trials, what never ran
# ------------------------------------------------------


def stripe(i: int) -> str:
    begin = datetime(2023, 1, 1) + i * 3 * DAY
    trial = begin + 14 * DAY
    asked, ended = begin + 100 * DAY, begin + 134 * DAY
    status = "incomplete_expired" if i % 8 == 7 else "canceled" if i % 4 == 1 else "active"
    left = f"{asked.timestamp():.0f},{ended.timestamp():.0f}" if i % 4 == 1 else ","
    return f"{ACCOUNTS[i]},{begin.timestamp():.0f},{left},{status},{trial.timestamp():.0f}"


def test_stripe_row_is_cover_from_the_trial_to_ended_at(tmp_path: Path, duck: Connection) -> None:
    text = table(
        "customer,start_date,canceled_at,ended_at,status,trial_end",
        [stripe(i) for i in range(len(ACCOUNTS))],
    )
    made = export(tmp_path, subscriptions=text, logins=logins(ACCOUNTS, "customer"))
    made.staged(duck)
    found = rows(
        duck,
        "select count(*), count(ends_at), count(notice_at), min(starts_at),"
        " max(ends_at - notice_at) from staged_subscriptions",
    )
    assert found == [(21, 6, 6, datetime(2023, 1, 15), timedelta(days=34))]


def test_recurly_row_ends_when_it_expires_and_not_when_that_was_asked_for(
    tmp_path: Path, duck: Connection
) -> None:
    text = table(
        "account_code,uuid,state,activated_at,canceled_at,expires_at,trial_started_at,trial_ends_at",
        [
            f"{a},u{i},{'failed' if i == 3 else 'expired' if i % 2 else 'active'},2023-01-0{1 + i % 9}T00:00:00Z,"
            + ("2023-05-01T10:00:00Z,2023-06-01T00:00:00Z" if i % 2 else ",")
            + ",2023-01-01T00:00:00Z,2023-01-15T00:00:00Z"
            for i, a in enumerate(ACCOUNTS)
        ],
    )
    made = export(
        tmp_path,
        account="account_code",
        subscriptions=text,
        logins=logins(ACCOUNTS, "account_code"),
    )
    made.staged(duck)
    found = rows(
        duck,
        "select count(*), count(ends_at), min(ends_at), min(notice_at), min(starts_at) from"
        " staged_subscriptions",
    )
    assert found == [
        (23, 11, datetime(2023, 6, 1), datetime(2023, 5, 1, 10), datetime(2023, 1, 15))
    ]


def test_request_mapped_as_the_end_is_asked(tmp_path: Path, duck: Connection) -> None:
    lines = [f"{a},2023-01-01,2023-05-0{1 + i % 9},2023-06-01" for i, a in enumerate(ACCOUNTS)]
    (tmp_path / "s.csv").write_text(
        table("account_id,started,cancelled_at,terminated_on", lines), encoding="utf-8"
    )
    (tmp_path / "tenure.toml").write_text(
        'name = "p"\n[sources.subscriptions]\nlocation = "s.csv"\n'
        'columns = { starts_at = "started", ends_at = "cancelled_at" }\n'
        '[[targets]]\nname = "t"\nkind = "churn"\nhorizon_days = 30\n',
        encoding="utf-8",
    )
    questions = stage(read_project(tmp_path), tmp_path, duck)["subscriptions"].questions
    assert names(questions) == ["request-taken-for-end"]
    assert "`terminated_on`" in questions[0].next_step


def test_end_that_cannot_be_read_is_asked_and_leaves_the_target_churn(tmp_path: Path) -> None:
    contracts = table(
        "customer_id,valid_from,valid_to,mrr",
        [f"{a},{FIRST},Q{1 + i % 4}/20{24 + i % 3},40" for i, a in enumerate(ACCOUNTS)],
    )
    made = export(tmp_path, contracts=contracts, logins=logins(ACCOUNTS))
    assert 'kind = "churn"' in made.toml
    assert "ASKED (ends-not-read)" in made.toml
    assert "Q1/2024" in made.toml


# --- numbers
# --------------------------------------------------------------------------------------


def invoices(amounts: Sequence[str], delimiter: str = ";") -> str:
    return table(
        delimiter.join(("customer_id", "invoice_no", "invoice_date", "amount")),
        [
            delimiter.join((ACCOUNTS[i % 24], f"R{i}", f"{FIRST + i * DAY}", amount))
            for i, amount in enumerate(amounts)
        ],
    )


@pytest.mark.parametrize(
    ("writing", "cents"),
    [
        ("$1,080.50", 108050),
        ("($80.00)", -8000),
        ("80.00-", -8000),
        ("USD 12", 1200),
        ("1 234.50", 123450),
        ("CHF 1'234.50", 123450),
        ("−7.25", -725),
        ("12,34,567.00", 123456700),
    ],
)
def test_amount_is_read_as_people_write_it(
    tmp_path: Path, duck: Connection, writing: str, cents: int
) -> None:
    text = invoices([writing, *(["10.25"] * 40)])
    made = export(tmp_path, invoices=text, logins=logins(ACCOUNTS))
    staged = made.staged(duck)["invoices"]
    assert not staged.questions
    assert not staged.rows_bad
    assert rows(duck, "select amount from staged_invoices where invoice_id = 'R0'") == [(cents,)]


@pytest.mark.parametrize(
    ("writing", "cents"), [("1.080,50 €", 108050), ("-80,00", -8000), ("1.029", 102900)]
)
def test_german_amounts_are_read_where_some_show_their_comma(
    tmp_path: Path, duck: Connection, writing: str, cents: int
) -> None:
    text = invoices([writing, *(["10,25"] * 40)])
    made = export(tmp_path, rechnungen_invoices=text, logins=logins(ACCOUNTS))
    made.staged(duck)
    assert rows(duck, "select amount from staged_invoices where invoice_id = 'R0'") == [(cents,)]


@pytest.mark.parametrize(
    "amounts",
    [
        ["1.029", "350", "932"] * 14,
        ["12.500", "7.250"] * 20,
        ["€ 1.200", "€ 80"] * 20,
    ],
)
def test_point_before_three_figures_is_asked(
    tmp_path: Path, duck: Connection, amounts: list[str]
) -> None:
    made = export(tmp_path, invoices=invoices(amounts), logins=logins(ACCOUNTS))
    assert "ASKED (thousands-or-decimals)" in made.toml
    assert names(made.staged(duck)["invoices"].questions) == ["thousands-or-decimals"]
    for mark, cents in ((",", 1000), (".", 1)):
        chosen = made.toml.replace(f'# decimal = "{mark}"  #', f'decimal = "{mark}"  #')
        (tmp_path / "tenure.toml").write_text(chosen, encoding="utf-8")
        staged = stage(read_project(tmp_path), tmp_path, duck)["invoices"]
        assert not staged.questions
        number = float(amounts[0].strip("€ "))
        first = rows(duck, "select amount from staged_invoices where invoice_id = 'R0'")[0][0]
        assert first == pytest.approx(number * cents * 100, abs=1)


@pytest.mark.parametrize("amounts", [["0.350", "1.029"] * 20, ["1029", "1.029"] * 20])
def test_point_that_can_only_begin_decimals_is_not_asked(
    tmp_path: Path, amounts: list[str]
) -> None:
    made = export(tmp_path, invoices=invoices(amounts), logins=logins(ACCOUNTS))
    assert "ASKED" not in made.toml


def test_whole_amounts_beside_moments_are_asked(tmp_path: Path, duck: Connection) -> None:
    lines = [f"{ACCOUNTS[i % 24]},in_{i},{1672531200 + i * 86400},{2900 + i}" for i in range(60)]
    made = export(
        tmp_path,
        invoices=table("customer,invoice_id,created,amount", lines),
        logins=logins(ACCOUNTS, "customer"),
    )
    assert '# minor_units = ["amount"]' in made.toml
    assert "# minor_units = []" in made.toml
    (tmp_path / "tenure.toml").write_text(
        made.toml.replace('# minor_units = ["amount"]', 'minor_units = ["amount"]'), "utf-8"
    )
    assert not stage(read_project(tmp_path), tmp_path, duck)["invoices"].questions
    assert rows(duck, "select min(amount) from staged_invoices") == [(2900,)]


def test_amounts_below_zero_are_asked(tmp_path: Path, duck: Connection) -> None:
    made = export(tmp_path, invoices=invoices(["-80.00"] * 40), logins=logins(ACCOUNTS))
    assert "ASKED (amounts-below-zero)" in made.toml
    (tmp_path / "tenure.toml").write_text(
        made.toml.replace('# turn_sign = ["amount"]', 'turn_sign = ["amount"]'), "utf-8"
    )
    assert not stage(read_project(tmp_path), tmp_path, duck)["invoices"].questions
    assert rows(duck, "select min(amount) from staged_invoices") == [(8000,)]


# --- ids
# ------------------------------------------------------------------------------------------


def accounts_table(ids: Sequence[str]) -> str:
    return table("customer_id,created_at", [f"{a},2022-0{1 + i % 9}-03" for i, a in enumerate(ids)])


SALESFORCE = [f"0015g00000A{i:02d}Bc" + "dE" for i in range(24)]


@pytest.mark.parametrize(
    ("listed", "used", "writing"),
    [
        (SALESFORCE, [f"{a}AA{'ABCDE'[i % 5]}" for i, a in enumerate(SALESFORCE)], "first_15"),
        (
            [f"3F2504E0-4F89-11D3-9A0C-0305E82C3{i:03X}" for i in range(24)],
            [f"3f2504e0-4f89-11d3-9a0c-0305e82c3{i:03x}" for i in range(24)],
            "small_letters",
        ),
        ([f"{i:05d}" for i in range(10, 34)], [str(i) for i in range(10, 34)], "no_leading_zeros"),
    ],
)
def test_ids_in_two_writings_are_brought_together(
    tmp_path: Path, duck: Connection, listed: list[str], used: list[str], writing: str
) -> None:
    made = export(tmp_path, accounts=accounts_table(listed), logins=logins(used))
    assert writing in made.toml
    made.staged(duck)
    shared = rows(
        duck,
        "select count(distinct account_id) from staged_usage_events join staged_accounts using"
        " (account_id)",
    )
    assert shared == [(24,)]


def test_float_ids_are_the_whole_ones(tmp_path: Path, duck: Connection) -> None:
    made = export(
        tmp_path,
        accounts=accounts_table([str(i) for i in range(10, 34)]),
        logins=logins([f"{i}.0" for i in range(10, 34)]),
    )
    made.staged(duck)
    assert rows(duck, "select count(distinct account_id) from staged_usage_events") == [(24,)]
    assert "ASKED" not in made.toml


def test_sources_without_a_common_account_stop(tmp_path: Path) -> None:
    made = export(
        tmp_path,
        accounts=accounts_table([f"acme-{i}" for i in range(24)]),
        logins=logins([f"q{i * 7919 % 997}x" for i in range(24)]),
    )
    assert "ASKED (no-account-in-common)" in made.toml


@pytest.mark.parametrize("written", ["4.5000E+11", "1.23457E+15", "6e+12"])
def test_rounded_ids_are_refused(tmp_path: Path, duck: Connection, written: str) -> None:
    made = export(tmp_path, orders=logins([written, "7.1000E+11", *ACCOUNTS[:9]]))
    assert "ASKED (ids-rounded)" in made.toml
    assert names(made.staged(duck)["usage_events"].questions) == ["ids-rounded"]


@pytest.mark.parametrize("mark", [";", "|", ", "])
def test_several_ids_in_a_cell_are_asked(tmp_path: Path, duck: Connection, mark: str) -> None:
    lines = [
        f'"{a}{mark}{ACCOUNTS[(i + 1) % 24]}",2023-0{1 + k}-05'
        if k % 2
        else f"{a},2023-0{1 + k}-05"
        for i, a in enumerate(ACCOUNTS)
        for k in range(9)
    ]
    made = export(tmp_path, deals=table("customer_id,close_date", lines))
    line = f'split = {{ customer_id = "{mark.strip()}" }}'
    assert f"# {line}" in made.toml
    (tmp_path / "tenure.toml").write_text(made.toml.replace(f"# {line}", line), "utf-8")
    assert not stage(read_project(tmp_path), tmp_path, duck)["usage_events"].questions
    found = rows(duck, "select count(*), count(distinct account_id) from staged_usage_events")
    assert found == [(24 * 5 + 2 * 24 * 4, 24)]


# --- copies
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "loaded"),
    [
        ("insert_id", "server_upload_time"),
        ("messageId", "received_at"),
        ("event_uuid", "_sdc_batched_at"),
    ],
)
def test_one_id_delivered_twice_is_one_row(
    tmp_path: Path, duck: Connection, key: str, loaded: str
) -> None:
    lines = [
        f"{a},2023-0{1 + k}-05T10:00:00Z,open,{a}-{k},2023-0{1 + k}-05T10:0{n}:00Z"
        for a in ACCOUNTS
        for k in range(9)
        for n in range(1 + k % 2)
    ]
    header = f"user_id,event_time,event_type,{key},{loaded}"
    made = export(tmp_path, events=table(header, lines))
    assert "one_row_per" in made.toml
    made.staged(duck)
    assert rows(duck, "select count(*) from staged_usage_events") == [(24 * 9,)]


def test_lines_of_one_order_are_no_copies(tmp_path: Path) -> None:
    lines = [
        f"{a},o{i}-{k},2023-0{1 + k}-05,{n + 1}.50"
        for i, a in enumerate(ACCOUNTS)
        for k in range(9)
        for n in range(1 + k % 2)
    ]
    made = export(tmp_path, orders=table("customer_id,transaction_id,order_date,price", lines))
    assert "one_row_per" not in made.toml


def test_every_row_twice_is_asked(tmp_path: Path, duck: Connection) -> None:
    text = logins(ACCOUNTS)
    header, _, body = text.partition("\n")
    made = export(tmp_path, logins=f"{header}\n{body}{body}")
    assert "# drop_duplicates = true" in made.toml
    assert names(made.staged(duck)["usage_events"].questions) == ["every-row-twice"]
    for line in ("drop_duplicates = true", "drop_duplicates = false"):
        (tmp_path / "tenure.toml").write_text(made.toml.replace(f"# {line}", line), "utf-8")
        assert not stage(read_project(tmp_path), tmp_path, duck)["usage_events"].questions


# --- exports of billing systems
# ------------------------------------------------------------------------


def billing(form: str) -> str:
    """One row a customer: monthly, every three months or yearly; every second one has ended."""
    heads = {
        # What Stripe's page of subscriptions exports.
        "page": "id,Customer ID,Plan,Quantity,Currency,Interval,Interval Count,Amount,Status,"
        "Created (UTC),Start (UTC),Current Period End (UTC),Trial End (UTC),Canceled At (UTC),"
        "Ended At (UTC),Cancel At Period End",
        # What its interface gives: seconds, and a last second for what has no end.
        "interface": "id,customer,plan_amount,plan_interval,plan_interval_count,quantity,status,"
        "start_date,current_period_end,trial_end,canceled_at,ended_at,cancel_at",
        # Recurly: what was asked for is canceled_at, the end is expires_at.
        "recurly": "uuid,account_code,unit_amount,plan_interval_unit,plan_interval_length,quantity,"
        "state,activated_at,current_period_ends_at,trial_ends_at,canceled_at,expires_at",
    }
    lines = []
    for i, account in enumerate(ACCOUNTS):
        unit, count = (("month", 1), ("month", 3), ("year", 1))[i % 3]
        start, end = FIRST + i * DAY, FIRST + (300 + i) * DAY if i % 2 else None
        request = None if end is None else end - 20 * DAY
        if form == "page":
            shown = [f"{d} 00:00" if d else "" for d in (start, start, None, request, end)]
            lines.append(
                f"sub_{i},{account},gold,2,usd,{unit},{count},{10 * count}.00,"
                f"{'canceled' if end else 'active'},{shown[0]},{shown[1]},,,{shown[3]},{shown[4]},"
                "false"
            )
        elif form == "interface":
            seconds = [
                ""
                if d is None
                else str(int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()))
                for d in (start, request, end)
            ]
            ended = seconds[2] or ("253402300799" if i % 4 else "2147483647")
            lines.append(
                f"sub_{i},{account},{1000 * count},{unit},{count},2,active,{seconds[0]},,,"
                f"{seconds[1]},{ended},"
            )
        else:
            length = count * (12 if unit == "year" else 1)
            shown = [f"{d}T00:00:00Z" if d else "" for d in (start, request, end)]
            lines.append(
                f"u{i},{account},{10 * count}.00,months,{length},2,"
                f"{'expired' if end else 'active'},{shown[0]},,,{shown[1]},{shown[2]}"
            )
    return table(heads[form], lines)


@pytest.mark.parametrize(
    ("form", "amounts"),
    [
        ("page", [1000, 1000, 83]),
        ("interface", [2000, 2000, 167]),
        ("recurly", [2000, 2000, 167]),
    ],
)
def test_exports_of_billing_systems_are_read(
    tmp_path: Path, duck: Connection, form: str, amounts: list[int]
) -> None:
    made = export(tmp_path, subscriptions=billing(form), logins=logins(ACCOUNTS, "klient_nr"))
    toml = made.toml
    if form == "interface":
        assert "# minor_units" in toml
        toml = toml.replace(
            '# minor_units = ["amount_per_month"]', 'minor_units = ["amount_per_month"]'
        )
    made = replace(made, toml=toml)
    assert any("names the accounts there" in each for each in made.unguessed)
    staged = made.staged(duck)
    assert not staged["subscriptions"].questions
    found = rows(
        duck,
        "select account_id, cast(starts_at as date), cast(ends_at as date), cast(notice_at as date),"
        " amount_per_month from staged_subscriptions order by 1",
    )
    assert [each[0] for each in found] == ACCOUNTS
    for i, (_, starts, ends, notice, amount) in enumerate(found):
        end = FIRST + (300 + i) * DAY if i % 2 else None
        assert (starts, ends) == (FIRST + i * DAY, end)
        assert notice == (None if end is None else end - 20 * DAY)
        assert amount == amounts[i % 3]


def test_a_status_that_ended_without_an_end_is_asked(tmp_path: Path, duck: Connection) -> None:
    lines = [
        f"{a},{FIRST},{FIRST + 200 * DAY if i < 6 else ''},{'Expired' if i < 14 else 'Active'},9"
        for i, a in enumerate(ACCOUNTS)
    ]
    made = export(
        tmp_path,
        subscriptions=table("customer_id,start_date,end_date,status,mrr", lines),
        logins=logins(ACCOUNTS),
    )
    [question] = made.staged(duck)["subscriptions"].questions
    assert question.name == "ended-without-an-end"
    assert "`status` says Expired on 8 of 14 rows that have no end in `end_date`" in question.what


def test_account_columns_of_tables_are_found_by_their_values(tmp_path: Path) -> None:
    """Four tables, four names; whole numbers that agree by chance name no account."""
    tickets = table(
        "betrieb,opened_at,prio",
        [f"{a},2023-0{k % 9 + 1}-05,{k}" for a in ACCOUNTS for k in range(3)],
    )
    bills = table(
        "client,issued_at,amount",
        [f"{a},2023-0{k + 1}-05,10.50" for a in ACCOUNTS for k in range(5)],
    )
    stock = table("shelf,day,items", [f"{k},2023-01-{k + 1:02d},{k}" for k in range(28)])
    made = export(tmp_path, logins=logins(ACCOUNTS), tickets=tickets, invoices=bills, stock=stock)
    for rule in ('account_id = "betrieb"', 'account_id = "client"', 'account_id = "customer_id"'):
        assert rule in made.toml
    assert "[sources.stock" not in made.toml
    assert any(each.startswith("table stock: left out") for each in made.unguessed)


# --- debit, credit, percent, and what costs nothing
# ------------------------------------------------------------------------


@pytest.mark.parametrize("is_beside", [False, True])
def test_debit_and_credit_are_asked_and_read(
    tmp_path: Path, duck: Connection, is_beside: bool
) -> None:
    """DATEV: S and H behind the amount, or in a column of their own."""
    lines = [
        f"{a};R{i}-{k};{FIRST + 30 * k * DAY:%d.%m.%Y};1.2{k:02d},50"
        f"{';' if is_beside else ' '}{'H' if k == 3 else 'S'}"
        for i, a in enumerate(ACCOUNTS)
        for k in range(8)
    ]
    head = "customer_id;Beleg;invoice_date;amount" + (";Soll/Haben" if is_beside else "")
    made = export(tmp_path, invoices=table(head, lines), logins=logins(ACCOUNTS))
    key = 'negative_where = { "Soll/Haben" = ["H"] }' if is_beside else 'negative_letters = ["H"]'
    assert f"# {key}  # 24 amounts are below zero" in made.toml
    staged = replace(made, toml=made.toml.replace(f"# {key}", key)).staged(duck)
    assert not staged["invoices"].questions
    found = rows(duck, "select amount, count(*) from staged_invoices group by 1 order by 1")
    assert found[0] == (-120350, 24) and found[1] == (120050, 24) and len(found) == 8


def test_percent_of_a_share_is_a_hundredth(tmp_path: Path, duck: Connection) -> None:
    lines = [
        f"{a},{FIRST},{FIRST + 90 * DAY if i % 3 else ''},100,{('5%', '0.1', '', '12.5 %')[i % 4]}"
        for i, a in enumerate(ACCOUNTS)
    ]
    head = "customer_id,start_date,end_date,mrr,discount_rate"
    export(tmp_path, subscriptions=table(head, lines), logins=logins(ACCOUNTS)).staged(duck)
    found = rows(duck, "select distinct discount_share from staged_subscriptions order by 1")
    assert [share for (share,) in found] == [50, 100, 125, None]


@pytest.mark.parametrize(("above", "unpaid"), [(0, 30), (-1, 0), (50, 192)])
def test_terms_that_cost_nothing_are_asked(
    tmp_path: Path, duck: Connection, above: int, unpaid: int
) -> None:
    """Every third account moves to a free plan; every fourth has one month as a gift."""
    lines = [
        f"{a},{begin},{end},{0 if (i % 3 == 0 and k >= 5) or (i % 4 == 1 and k == 3) else 50}"
        for i, a in enumerate(ACCOUNTS)
        for k, (begin, end) in enumerate(zip(months(8), months(8)[1:], strict=False))
    ]
    made = export(
        tmp_path,
        subscriptions=table("customer_id,start_date,end_date,mrr", lines),
        logins=logins(ACCOUNTS),
    )
    [question] = made.staged(duck)["subscriptions"].questions
    assert question.name == "terms-without-payment"
    assert "is 0 on 30 of 192 terms of 12 accounts; 8 accounts paid before" in question.what
    assert question.todo.startswith("6 lie between two paid terms")
    key = "[sources.subscriptions]\n"
    made = replace(made, toml=made.toml.replace(key, f"{key}paid_above = {above}\n", 1))
    assert not made.staged(duck)["subscriptions"].questions
    counted = rows(duck, "select count(*) filter (is_trial) from staged_subscriptions")
    assert counted == [(unpaid,)]


# --- rules that do nothing
# ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("drop = { is_test = [true] }", None),
        (
            'drop = { is_test = ["ja"] }',
            "drop is_test: no row has ja; rows have Yes (12), no (12).",
        ),
        ('keep = { plan = ["pro", "gold"] }', "keep plan: no row has gold; rows have pro (24)."),
        (
            'columns.event_name = { column = "plan", codes = { PRO = "a" } }',
            "codes of event_name: no row has PRO; rows have pro (24).",
        ),
        (
            'columns.event_name = { column = "plan", prefixes = { p = "a", Pr = "b" } }',
            "prefixes of event_name: no row begins with Pr; rows have pro (24).",
        ),
        (
            'columns.event_name = "plan"\nkey_features = ["pro", "export"]',
            "key_features: no row has export; rows have pro (24).",
        ),
    ],
)
def test_rule_that_matches_no_row_is_told(
    tmp_path: Path, duck: Connection, rule: str, told: str | None
) -> None:
    lines = [f"{a},2023-01-05,{'Yes' if i % 2 else 'no'},pro" for i, a in enumerate(ACCOUNTS)]
    (tmp_path / "u.csv").write_text(table("account_id,event_time,is_test,plan", lines), "utf-8")
    (tmp_path / "tenure.toml").write_text(
        f'name = "p"\n[sources.usage_events]\nlocation = "u.csv"\n{rule}\n'
        '[[targets]]\nname = "t"\nkind = "inactivity"\nhorizon_days = 30\n'
        "population = { active_within_days = 30 }\n",
        encoding="utf-8",
    )
    staged = stage(read_project(tmp_path), tmp_path, duck)["usage_events"]
    assert staged.notes == (() if told is None else (told,))
    if told is None:
        assert staged.rows_left_out == {"drop is_test": 12}


# --- the inputs of the public reports
# -------------------------------------------------------------


CASES = {
    "01-salesforce-15-18": "first_15_letters",
    "07-german-grouped-integers": "ASKED (thousands-or-decimals)",
    "09-stripe-canceled-vs-ended": 'trial_ends = "trial_end"',
    "10-open-end-9999": 'empty = { valid_to = ["9999-12-31"] }',
    "11-inclusive-period-ends": 'end_day = "included"',
    "13-null-words-in-ends": 'ends_at = "valid_to"',
    "14-scientific-ids-no-account-table": "ASKED (ids-rounded)",
    "16-insert-id-duplicates": "one_row_per",
}


@pytest.mark.parametrize("case", CASES)
def test_input_of_a_public_report(case: str, shared_data: Path) -> None:
    folder = shared_data.parent / "cases" / case / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    assert CASES[case] in propose(folder, None).toml


# --- rows that are not there
# ------------------------------------------------------------------------


def checked(folder: Path, *, accept: str = "") -> dict[str, str]:
    """Findings of `check` by name, with what each says."""
    toml = (folder / "tenure.toml").read_text(encoding="utf-8")
    (folder / "tenure.toml").write_text(toml + accept, encoding="utf-8")
    workspace = open_workspace(folder, folder, datetime(2025, 1, 1))
    with workspace.store.writing(), connected() as fresh:
        report = check_sources(workspace, fresh)
    return {finding.name: finding.what for finding in report.findings}


def with_contracts(folder: Path, accounts: Sequence[str], active: Sequence[str]) -> None:
    """Contracts of all accounts, and logins of some."""
    lines = [
        f"{a},{FIRST},{FIRST + 400 * DAY if i % 9 == 0 else ''},9" for i, a in enumerate(accounts)
    ]
    made = export(
        folder,
        subscriptions=table("customer_id,start_date,end_date,mrr", lines),
        logins=logins(active),
    )
    (folder / "tenure.toml").write_text(made.toml, encoding="utf-8")


@pytest.mark.parametrize("form", ["c{:03d}", "{}", "sub-{:02d}-x"])
def test_half_of_a_file_stops(tmp_path: Path, form: str) -> None:
    accounts = [form.format(i + 1) for i in range(60)]
    with_contracts(tmp_path, accounts, accounts[:35])
    found = checked(tmp_path)
    assert found["rows-cut-off"].startswith("25 customers with ids from ")


def test_customers_cut_off_are_published_as_unknown(tmp_path: Path) -> None:
    accounts = [f"c{i:03d}" for i in range(60)]
    with_contracts(tmp_path, accounts, accounts[:35])
    workspace = open_workspace(tmp_path, tmp_path, datetime(2025, 1, 1))
    with workspace.store.writing(), connected() as fresh:
        check_sources(workspace, fresh)
        staged = load_staged(workspace, fresh)
        found = of_cut_off_files(fresh, staged, date(2024, 6, 1), {})
        accepted = {"rows-cut-off/usage_events": "they never log in"}
        assert of_cut_off_files(fresh, staged, date(2024, 6, 1), accepted) == {}
    assert found == dict.fromkeys(accounts[35:], "rows cut off: usage_events")


@pytest.mark.parametrize("absent", [set(range(0, 60, 5)), set(range(55, 60)), set()])
def test_customers_without_a_row_here_and_there_are_no_half_of_a_file(
    tmp_path: Path, absent: set[int]
) -> None:
    accounts = [f"c{i:03d}" for i in range(60)]
    with_contracts(tmp_path, accounts, [a for i, a in enumerate(accounts) if i not in absent])
    assert "rows-cut-off" not in checked(tmp_path)


def test_a_source_of_mostly_other_accounts_is_told(tmp_path: Path) -> None:
    accounts = [f"c{i:03d}" for i in range(40)]
    with_contracts(
        tmp_path, accounts, [*accounts[::5], *[f"lead{i * 37 % 101}" for i in range(30)]]
    )
    found = checked(tmp_path)
    assert found["few-accounts-in-common"].startswith(
        "subscriptions and usage_events share 8 accounts, of 38"
    )


def test_accounts_that_lose_most_rows_are_published_as_unknown(
    tmp_path: Path, duck: Connection
) -> None:
    """Days of two accounts stand in another writing; accepted, nobody scores what is left of them."""
    text = logins(ACCOUNTS).splitlines()
    mixed = [
        f"{a},{d[8:]}/{d[5:7]}/{d[:4]}" if a in ("c003", "c007") else f"{a},{d}"
        for a, d in (line.split(",") for line in text[1:])
    ]
    made = export(tmp_path, logins=table(text[0], mixed))
    made = replace(
        made,
        toml=made.toml.replace(
            'location = "logins.csv"', 'location = "logins.csv"\nmax_bad_share = 0.2'
        ),
    )
    source = made.staged(duck)["usage_events"]
    assert names(source.questions) == ["losses-in-few-accounts"]
    kept = from_json(source.to_json(), source.settings)
    assert kept.losing_accounts == ("c003", "c007")
    assert of_lost_rows({"usage_events": kept}) == dict.fromkeys(
        ("c003", "c007"), "most rows in usage_events cannot be read"
    )


def test_what_no_table_can_show_is_an_assumption_per_column(
    tmp_path: Path, duck: Connection
) -> None:
    lines = [
        f"{a},{d},3" for a, d in (line.split(",") for line in logins(ACCOUNTS).splitlines()[1:])
    ]
    made = export(tmp_path, logins=table("customer_id,login_date,minutes", lines))
    assert assumptions(made.staged(duck)) == (
        "known_at is assumed for usage_events: quantity of its rows are taken as known from"
        " event_time on. That is right only if nobody changed them later or deleted any when an"
        " account left.",
    )


def test_a_day_that_a_second_column_does_not_count_from_is_no_unread_end(
    tmp_path: Path, duck: Connection
) -> None:
    """Days since a course began: who has none in the second column has not left."""
    lines = [f"{a},2023B,{i},{200 + i if i % 3 == 0 else ''},49" for i, a in enumerate(ACCOUNTS)]
    made = export(
        tmp_path,
        subscriptions=table("customer_id,course,day_registered,day_left,mrr", lines),
        logins=logins(ACCOUNTS),
    )
    begun = '{ column = "course", codes = { 2023B = 2023-02-01 }, plus = '
    toml = f"""name = "courses"
[sources.subscriptions]
location = "subscriptions.csv"
[sources.subscriptions.columns]
account_id = "customer_id"
starts_at = {begun}"day_registered" }}
ends_at = {begun}"day_left" }}
[sources.usage_events]
location = "logins.csv"
[sources.usage_events.columns]
account_id = "customer_id"
event_time = "login_date"
[[targets]]
name = "churn_90d"
kind = "churn"
horizon_days = 90
"""
    staged = replace(made, toml=toml).staged(duck)
    assert "ends-not-read" not in names(staged["subscriptions"].questions)
    found = rows(duck, "select count(ends_at), count(*) from staged_subscriptions")
    assert found == [(8, 24)]


# --- numbers that are times
# ------------------------------------------------------------------------


def test_moments_in_another_unit_than_declared_are_asked(tmp_path: Path, duck: Connection) -> None:
    moments = [
        int(datetime(2023, 1, 1 + k % 28, tzinfo=UTC).timestamp()) * (1 if k % 25 else 1000)
        for k in range(500)
    ]
    text = table(
        "customer_id,timestamp", [f"{ACCOUNTS[k % 24]},{m}" for k, m in enumerate(moments)]
    )
    made = export(tmp_path, logins=text)
    assert 'plus_unit = "by_size"' in made.toml
    made = replace(made, toml=made.toml.replace("by_size", "seconds"))
    staged = made.staged(duck)["usage_events"]
    [question] = staged.questions
    assert question.name == "units-of-moments"
    assert "480 of seconds" in question.what and "20 of milliseconds" in question.what
    answer = question.readings[0].line
    assert answer.startswith("columns.event_time = ")
    old = next(line for line in made.toml.splitlines() if line.startswith("event_time = "))
    again = replace(made, toml=made.toml.replace(old, answer.removeprefix("columns.")))
    staged = again.staged(duck)["usage_events"]
    assert (staged.rows_staged, staged.questions) == (500, ())
    assert staged.first_event == datetime(2023, 1, 1)
    assert "told apart by size" in staged.notes[0]


def test_day_zero_of_a_text_file_is_told_and_of_a_workbook_is_the_workbooks(
    tmp_path: Path, duck: Connection
) -> None:
    import openpyxl
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    days = [(FIRST + k * DAY - date(1904, 1, 1)).days for k in range(300)]
    rows_of_days = [[ACCOUNTS[k % 24], day] for k, day in enumerate(days)]
    made = export(
        tmp_path, logins=table("customer_id,login_date", [f"{a},{d}" for a, d in rows_of_days])
    )
    staged = made.staged(duck)["usage_events"]
    assert "taken to count from 1899-12-30" in staged.notes[0]
    assert "taken to count from 1899-12-30" in made.toml
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert sheet is not None
    for line in [["customer_id", "login_date"], *rows_of_days]:
        sheet.append(line)
    book.save(tmp_path / "logins.xlsx")
    # The same project reads the workbook now.
    moved = replace(made, toml=made.toml.replace("logins.csv", "logins.xlsx"))
    staged = moved.staged(duck)["usage_events"]
    assert names(staged.questions) == ["day-zero-of-numbers"]
    assert staged.questions[0].readings[0].line == "day_zero = 1904-01-01"
    answered = moved.toml.replace(
        "[sources.usage_events]", "[sources.usage_events]\nday_zero = 1904-01-01"
    )
    staged = replace(moved, toml=answered).staged(duck)["usage_events"]
    assert (staged.questions, staged.notes) == ((), ())
    assert staged.first_event == datetime(2023, 1, 1)


def test_days_from_1904_stop_a_project_that_was_written_by_hand(tmp_path: Path) -> None:
    starts = [(FIRST + i * DAY - date(1904, 1, 1)).days for i, _ in enumerate(ACCOUNTS)]
    text = table(
        "customer_id,start_date,end_date,mrr",
        [
            f"{a},{s},{s + 200 if i % 2 else ''},30"
            for i, (a, s) in enumerate(zip(ACCOUNTS, starts, strict=True))
        ],
    )
    made = export(tmp_path, subscriptions=text, logins=logins(ACCOUNTS))
    (tmp_path / "tenure.toml").write_text(made.toml, encoding="utf-8")

    def findings() -> list[Any]:
        workspace = open_workspace(tmp_path, tmp_path, datetime(2024, 8, 1))
        with connected() as connection:
            return list(check_sources(workspace, connection).findings)

    [asked] = [f for f in findings() if f.name == "day-zero-of-numbers"]
    assert asked.severity == "stop" and "day_zero = 1904-01-01" in asked.todo
    toml = made.toml.replace(
        "[sources.subscriptions]", "[sources.subscriptions]\nday_zero = 1904-01-01"
    )
    (tmp_path / "tenure.toml").write_text(toml, encoding="utf-8")
    assert "day-zero-of-numbers" not in names(findings())
