"""Labels case by case: the worked table of docs/explanation/labels.md, and plain Python over random
histories.
"""

import random
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.snapshots import PopulationRule, population
from features.sources import CONTRACTS
from features.windows import day_number
from models.labels import labels
from models.targets import TargetRule
from pipeline.config.schema import Source
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import prepare, put_table, source_facts
from pipeline.jobs.merges import holders
from pipeline.staging.staged import StagedColumn, StagedSource

DOC = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "labels.md"
AS_OF = date(2024, 3, 29)
UNTIL = date(2024, 12, 1)
_ARROW = {
    "text": pa.string(),
    "time": pa.timestamp("us"),
    "money": pa.int64(),
    "number": pa.int64(),
    "flag": pa.bool_(),
}
Row = dict[str, Any]


def at(text: str | None) -> datetime | None:
    """`2024-06-27`, `06-27` (of 2024) or with a time."""
    if text is None:
        return None
    return datetime.fromisoformat(text if text.startswith("20") else f"2024-{text}")


def term(
    starts: str,
    ends: str | None = None,
    *,
    known: str | None = None,
    until: str | None = None,
    **more: Any,
) -> Row:
    """One version of a subscription term of account A."""
    begun = at(starts)
    return {
        "account_id": "A",
        "starts_at": begun,
        "ends_at": at(ends),
        "known_from": at(known) or begun,
        "known_until": at(until),
        **more,
    }


def micros(text: str) -> int:
    """Microseconds since 1970 of a moment as `at` reads it."""
    return (datetime.fromisoformat(str(at(text))) - datetime(1970, 1, 1)) // timedelta(
        microseconds=1
    )


def event(moment: str, **more: Any) -> Row:
    """One event or outcome of account A."""
    return {
        "account_id": "A",
        "event_time": at(moment),
        "known_from": at(moment),
        "known_until": None,
        **more,
    }


def staged(contract: str, rows: list[Row], convention: str) -> StagedSource:
    """A staged source as the engine knows it."""
    columns = {"account_id": StagedColumn("text", is_mapped=True)} | {
        c.name: StagedColumn(c.type, 2 if c.type == "money" else 0, is_mapped=True)
        for c in CONTRACTS[contract].columns
    }
    return StagedSource(
        name=contract,
        contract=CONTRACTS[contract],
        settings=Source(convention=convention),  # type: ignore[arg-type]
        columns=columns,
        rows_read=len(rows),
        rows_left_out={},
        rows_bad={},
        rows_staged=len(rows),
        first_event=None,
        last_event=None,
        newest_known=None,
        has_known_at=True,
        data_until={"": UNTIL},
        notes=(),
        has_versions=any(r["known_until"] for r in rows),
    )


def label_table(
    connection: Connection,
    contract: str,
    rows: list[Row],
    target: TargetRule,
    *,
    as_of: Iterable[date] = (AS_OF,),
    rule: PopulationRule | None = None,
    convention: str = "fixed_term",
    until: dict[str, date] | None = None,
    silences: tuple[tuple[str, date, date], ...] = (),
    feeds: dict[str, str] | None = None,
    merges: dict[str, tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Population and labels, through the SQL that runs; `merges`: account -> (merged into, at)."""
    source = staged(contract, rows, convention)
    schema = pa.schema(
        [
            *((n, _ARROW[c.type]) for n, c in source.columns.items()),
            ("known_from", pa.timestamp("us")),
            ("known_until", pa.timestamp("us")),
            ("partition", pa.string()),
        ]
    )
    connection.register(
        "incoming",
        pa.Table.from_pylist(
            [
                {n: r.get(n) for n in schema.names} | {"partition": r.get("partition", "")}
                for r in rows
            ],
            schema=schema,
        ),
    )
    connection.execute("create or replace temp table staged_rows as select * from incoming")
    prepare(connection, source, "staged_rows")
    accounts = sorted({r["account_id"] for r in rows})
    asked = [(a, day_number(d), (feeds or {}).get(a, "")) for a in accounts for d in as_of]
    put_table(
        connection,
        "candidates",
        pd.DataFrame(asked, columns=["account_id", "as_of_day", "partition_name"]),
    )
    facts = source_facts(source, {})
    chosen = rule or PopulationRule("customers", grace_days=target.grace_days)
    if rule is not None and contract == "outcomes":
        connection.execute(
            "create or replace temp table snapshots as select *, 'member' as state from candidates"
        )
    else:
        connection.execute(f"create or replace temp table snapshots as {population(chosen, facts)}")
    ends = pd.DataFrame(
        [(feed, day_number(d)) for feed, d in (until or {"": UNTIL}).items()],
        columns=["partition_name", "until_day"],
    )
    put_table(connection, "data_until", ends)
    dead = pd.DataFrame(
        [(f, day_number(a), day_number(b)) for f, a, b in silences],
        columns=["partition_name", "from_day", "until_day"],
    ).astype({"partition_name": "str", "from_day": "int64", "until_day": "int64"})
    put_table(connection, "silences", dead)
    put_table(
        connection,
        "holders",
        holders({a: (into, micros(moment)) for a, (into, moment) in (merges or {}).items()}),
    )
    query = labels(target, facts, chosen, merged=merges is not None)
    return connection.execute(f"select * from ({query}) order by account_id, as_of_day").df()


def told(table: pd.DataFrame) -> tuple[int | None, str | None] | None:
    """(label, reason) of the first account; None: not in the population."""
    if table.empty:
        return None
    row = table.iloc[0]
    return (
        None if pd.isna(row["label"]) else int(row["label"]),
        None if pd.isna(row["label_reason"]) else str(row["label_reason"]),
    )


def churn(**changes: Any) -> TargetRule:
    return TargetRule(**{"name": "churn", "kind": "churn", "horizon_days": 90, **changes})  # type: ignore[arg-type]


def of_b(*moments: str, **more: Any) -> Row:
    """A term of account B."""
    return {**term(*moments, **more), "account_id": "B"}


def of_c(*moments: str, **more: Any) -> Row:
    """A term of account C."""
    return {**term(*moments, **more), "account_id": "C"}


INTO_B = {"A": ("B", "04-15")}
UNTIL_MERGE = term("2024-01-01", "04-15")
CHAIN = [UNTIL_MERGE, of_b("2024-01-01", "05-10")]

# The table of the page, row by row: (case, terms, changes of the target, expected). 90 days from
# 2024-03-29 end before 2024-06-27; the data reach to 2024-12-01.
WORKED: tuple[tuple[str, list[Row], dict[str, Any], tuple[int | None, str | None] | None], ...] = (
    ("cover ends inside the window", [term("2024-01-01", "05-01")], {}, (1, None)),
    ("cover goes on after it", [term("2024-01-01", "2025-01-01")], {}, (0, None)),
    ("open term", [term("2024-01-01")], {}, (0, None)),
    ("ends exactly at as_of", [term("2024-01-01", "03-29")], {}, (1, None)),
    (
        "ends one microsecond before as_of",
        [term("2024-01-01", "2024-03-28T23:59:59.999999")],
        {},
        None,
    ),
    ("ends exactly at the window's end", [term("2024-01-01", "06-27")], {}, (0, None)),
    (
        "ends one microsecond before it",
        [term("2024-01-01", "2024-06-26T23:59:59.999999")],
        {},
        (1, None),
    ),
    (
        "next term begins as the last ends",
        [term("2024-01-01", "05-01"), term("05-01", "2025-05-01")],
        {},
        (0, None),
    ),
    (
        "comes back within the grace",
        [term("2024-01-01", "05-01"), term("05-20", "2025-05-01")],
        {"grace_days": 30},
        (0, None),
    ),
    (
        "comes back exactly at its end",
        [term("2024-01-01", "05-01"), term("05-31", "2025-05-01")],
        {"grace_days": 30},
        (0, None),
    ),
    (
        "comes back after the grace",
        [term("2024-01-01", "05-01"), term("06-01", "2025-05-01")],
        {"grace_days": 30},
        (1, None),
    ),
    (
        "pause without grace",
        [term("2024-01-01", "05-01"), term("05-20", "2025-05-01")],
        {},
        (1, None),
    ),
    (
        "one of two overlapping terms ends",
        [term("2024-01-01", "05-01"), term("2024-02-01", "2025-02-01")],
        {},
        (0, None),
    ),
    (
        "only a trial follows",
        [term("2024-01-01", "05-01"), term("05-01", "07-01", is_trial=True)],
        {},
        (1, None),
    ),
    ("only a trial covers as_of", [term("2024-03-01", "04-15", is_trial=True)], {}, None),
    (
        "notice already given",
        [term("2024-01-01", "05-01", notice_at=at("03-01"))],
        {},
        (None, "notice"),
    ),
    ("notice given later", [term("2024-01-01", "05-01", notice_at=at("04-01"))], {}, (1, None)),
    (
        "ended, still in the grace",
        [term("2024-01-01", "03-20")],
        {"grace_days": 30},
        (None, "lapsed"),
    ),
    (
        "ended before as_of, learnt later",
        [
            term("2024-01-01", "2025-01-01", until="04-10"),
            term("2024-01-01", "03-01", known="04-10"),
        ],
        {},
        (None, "ended_before"),
    ),
    ("ends inside the gap", [term("2024-01-01", "04-02")], {"gap_days": 14}, (None, "left_in_gap")),
    ("ends exactly at the gap's end", [term("2024-01-01", "04-12")], {"gap_days": 14}, (1, None)),
    (
        "horizon and grace end on the data's last day",
        [term("2024-01-01", "05-01")],
        {"horizon_days": 217, "grace_days": 30},
        (1, None),
    ),
    (
        "one day more is not complete",
        [term("2024-01-01", "05-01")],
        {"horizon_days": 218, "grace_days": 30},
        (None, "incomplete"),
    ),
    (
        "retracted renewal",
        [term("2024-01-01", "05-01"), term("05-01", "2025-05-01", until="06-01")],
        {},
        (1, None),
    ),
    (
        "next renewal: renewed",
        [term("2024-01-01", "09-01"), term("09-01", "2025-09-01")],
        {"horizon_days": None},
        (0, None),
    ),
    ("next renewal: not renewed", [term("2024-01-01", "09-01")], {"horizon_days": None}, (1, None)),
    (
        "next renewal: broken off before",
        [term("2024-01-01", "10-01", until="06-01"), term("2024-01-01", "06-01", known="06-01")],
        {"horizon_days": None},
        (1, None),
    ),
    (
        "next renewal: prolonged in place",
        [
            term("2024-01-01", "09-01", until="08-20"),
            term("2024-01-01", "2025-09-01", known="08-20"),
        ],
        {"horizon_days": None},
        (0, None),
    ),
    (
        "next renewal: no end agreed",
        [term("2024-01-01")],
        {"horizon_days": None},
        (None, "no_contract_end"),
    ),
    (
        "next renewal: beyond the data",
        [term("2024-01-01", "2025-01-01")],
        {"horizon_days": None},
        (None, "incomplete"),
    ),
    (
        "voluntary: chose to leave",
        [term("2024-01-01", "05-01", is_voluntary=True)],
        {"kind": "voluntary"},
        (1, None),
    ),
    (
        "voluntary: was cut off",
        [term("2024-01-01", "05-01", is_voluntary=False)],
        {"kind": "voluntary"},
        (0, None),
    ),
    (
        "involuntary: was cut off",
        [term("2024-01-01", "05-01", is_voluntary=False)],
        {"kind": "involuntary"},
        (1, None),
    ),
    (
        "voluntary: nobody says why",
        [term("2024-01-01", "05-01")],
        {"kind": "voluntary"},
        (None, "kind_unknown"),
    ),
    ("voluntary: stays", [term("2024-01-01", "2025-05-01")], {"kind": "voluntary"}, (0, None)),
    (
        "contraction: pays less at the end",
        [term("2024-01-01", "05-01", amount_per_month=10000), term("05-01", amount_per_month=9000)],
        {"kind": "contraction", "change_share": 0.1},
        (1, None),
    ),
    (
        "contraction: less than the share that counts",
        [term("2024-01-01", "05-01", amount_per_month=10000), term("05-01", amount_per_month=9001)],
        {"kind": "contraction", "change_share": 0.1},
        (0, None),
    ),
    (
        "contraction: one of two terms ends",
        [
            term("2024-01-01", "05-01", amount_per_month=10000),
            term("2024-01-01", amount_per_month=10000),
        ],
        {"kind": "contraction"},
        (1, None),
    ),
    (
        "contraction: left altogether",
        [term("2024-01-01", "05-01", amount_per_month=10000)],
        {"kind": "contraction"},
        (0, None),
    ),
    (
        "contraction: fewer seats at the same price",
        [
            term("2024-01-01", "05-01", amount_per_month=10000, seats=10),
            term("05-01", amount_per_month=8000, seats=8),
        ],
        {"kind": "contraction", "causes": ("seats",)},
        (1, None),
    ),
    (
        "contraction: a discount, asked about seats",
        [
            term("2024-01-01", "05-01", amount_per_month=10000, seats=10),
            term("05-01", amount_per_month=8000, seats=10),
        ],
        {"kind": "contraction", "causes": ("seats",)},
        (0, None),
    ),
    (
        "fewer seats, asked about leaving",
        [
            term("2024-01-01", "05-01", amount_per_month=10000, seats=10),
            term("05-01", amount_per_month=8000, seats=8),
        ],
        {},
        (0, None),
    ),
    (
        "end dated back to before as_of, entered later",
        [term("2024-01-01", until="04-20"), term("2024-01-01", "03-15", known="04-20")],
        {},
        (None, "ended_before"),
    ),
    (
        "end dated back into the window, entered later",
        [term("2024-01-01", until="05-20"), term("2024-01-01", "04-30", known="05-20")],
        {},
        (1, None),
    ),
    (
        "canceled and signed again on the same day",
        [term("2024-01-01", "05-01T09:00"), term("05-01T16:30")],
        {"grace_days": 1},
        (0, None),
    ),
    (
        "the same hours without cover, without grace",
        [term("2024-01-01", "05-01T09:00"), term("05-01T16:30")],
        {},
        (1, None),
    ),
    (
        "yearly from 29 February, renewed on 28 February",
        [term("2023-03-01", "02-29"), term("02-29", "2025-02-28"), term("2025-02-28")],
        {},
        (0, None),
    ),
    (
        "yearly until 29 February, not renewed",
        [term("2023-02-28", "02-29"), term("02-29", "05-29")],
        {},
        (1, None),
    ),
    (
        "paused for a month, with the grace",
        [term("2024-01-01", "05-01"), term("06-01")],
        {"grace_days": 31},
        (0, None),
    ),
    (
        "paused for a month, without",
        [term("2024-01-01", "05-01"), term("06-01")],
        {},
        (1, None),
    ),
    (
        "a free month as a gift, free is not paying",
        [term("2024-01-01", "05-01"), term("05-01", "06-01", is_trial=True), term("06-01")],
        {},
        (1, None),
    ),
    (
        "the same with a grace as long as the gift",
        [term("2024-01-01", "05-01"), term("05-01", "06-01", is_trial=True), term("06-01")],
        {"grace_days": 31},
        (0, None),
    ),
    (
        "a free month as a gift, a free plan is a customer",
        [term("2024-01-01", "05-01"), term("05-01", "06-01", is_trial=False), term("06-01")],
        {},
        (0, None),
    ),
    (
        "expansion: pays more at the end",
        [
            term("2024-01-01", "05-01", amount_per_month=10000),
            term("05-01", amount_per_month=10500),
        ],
        {"kind": "expansion", "change_share": 0.05},
        (1, None),
    ),
    (
        "expansion: up and down again",
        [term("2024-01-01", amount_per_month=10000), term("04-10", "05-10", amount_per_month=500)],
        {"kind": "expansion"},
        (0, None),
    ),
    (
        "expansion: grew inside the gap",
        [term("2024-01-01", amount_per_month=10000), term("04-05", amount_per_month=500)],
        {"kind": "expansion", "gap_days": 14},
        (0, None),
    ),
)


# The same page, of account A that was merged: (case, terms of A and others, who was merged into
# whom and when, ...).
Merged = tuple[
    str, list[Row], dict[str, tuple[str, str]], dict[str, Any], tuple[int | None, str | None] | None
]
MERGED: tuple[Merged, ...] = (
    ("merged into one that stays", [UNTIL_MERGE, of_b("2024-01-01")], INTO_B, {}, (0, None)),
    (
        "merged into one that leaves",
        [UNTIL_MERGE, of_b("2024-01-01", "05-20")],
        INTO_B,
        {},
        (1, None),
    ),
    (
        "merged into one that leaves after the window",
        [UNTIL_MERGE, of_b("2024-01-01", "06-27")],
        INTO_B,
        {},
        (0, None),
    ),
    (
        "its own term left open, the other leaves",
        [term("2024-01-01"), of_b("2024-01-01", "05-20")],
        INTO_B,
        {},
        (1, None),
    ),
    (
        "merged after leaving",
        [term("2024-01-01", "04-05"), of_b("2024-01-01")],
        INTO_B,
        {},
        (1, None),
    ),
    (
        "merged within the grace after its cover ended",
        [term("2024-01-01", "04-05"), of_b("2024-01-01")],
        INTO_B,
        {"grace_days": 30},
        (0, None),
    ),
    (
        "merged later than the grace",
        [term("2024-01-01", "04-05"), of_b("2024-01-01")],
        {"A": ("B", "05-06")},
        {"grace_days": 30},
        (1, None),
    ),
    (
        "merged as its cover ends and the other's begins",
        [UNTIL_MERGE, of_b("04-15")],
        INTO_B,
        {},
        (0, None),
    ),
    (
        "merged into one without cover",
        [term("2024-01-01", "2025-01-01"), of_b("2023-01-01", "2024-01-01")],
        INTO_B,
        {},
        (1, None),
    ),
    (
        "merged into one that had left and came back",
        [UNTIL_MERGE, of_b("2023-01-01", "2024-01-01"), of_b("04-15")],
        INTO_B,
        {},
        (0, None),
    ),
    (
        "chain of merges, the last stays",
        [*CHAIN, of_c("2024-01-01")],
        {**INTO_B, "B": ("C", "05-10")},
        {},
        (0, None),
    ),
    (
        "chain of merges, the last leaves",
        [*CHAIN, of_c("2024-01-01", "06-01")],
        {**INTO_B, "B": ("C", "05-10")},
        {},
        (1, None),
    ),
    (
        "merged into one that had been merged",
        [UNTIL_MERGE, of_b("2024-01-01", "03-01"), of_c("2024-01-01")],
        {**INTO_B, "B": ("C", "03-01")},
        {},
        (0, None),
    ),
    (
        "merged before as_of, learnt later",
        [
            term("2024-01-01", "2025-01-01", until="04-10"),
            term("2024-01-01", "03-01", known="04-10"),
            of_b("2024-01-01"),
        ],
        {"A": ("B", "03-01")},
        {},
        (0, None),
    ),
    (
        "merged inside the gap",
        [term("2024-01-01", "04-02"), of_b("2024-01-01", "05-20")],
        {"A": ("B", "04-02")},
        {"gap_days": 14},
        (1, None),
    ),
    (
        "next renewal: merged before it",
        [term("2024-01-01", "09-01"), of_b("2024-01-01", "2025-01-01")],
        INTO_B,
        {"horizon_days": None},
        (0, None),
    ),
    (
        "voluntary: merged into one that chose to leave",
        [
            term("2024-01-01", "04-15", is_voluntary=False),
            of_b("2024-01-01", "05-20", is_voluntary=True),
        ],
        INTO_B,
        {"kind": "voluntary"},
        (1, None),
    ),
    (
        "involuntary: merged into one that was cut off",
        [
            term("2024-01-01", "04-15", is_voluntary=True),
            of_b("2024-01-01", "05-20", is_voluntary=False),
        ],
        INTO_B,
        {"kind": "involuntary"},
        (1, None),
    ),
    (
        "voluntary: merged into one without cover",
        [term("2024-01-01", "2025-01-01", is_voluntary=True), of_b("2023-01-01", "2024-01-01")],
        INTO_B,
        {"kind": "voluntary"},
        (None, "kind_unknown"),
    ),
)


@pytest.mark.parametrize(
    ("case", "terms", "changes", "expected"), WORKED, ids=[w[0] for w in WORKED]
)
def test_worked_table(
    duck: Connection,
    case: str,
    terms: list[Row],
    changes: dict[str, Any],
    expected: tuple[int | None, str | None] | None,
) -> None:
    assert told(label_table(duck, "subscriptions", terms, churn(**changes))) == expected


@pytest.mark.parametrize(
    ("case", "terms", "merges", "changes", "expected"), MERGED, ids=[m[0] for m in MERGED]
)
def test_worked_table_of_merges(
    duck: Connection,
    case: str,
    terms: list[Row],
    merges: dict[str, tuple[str, str]],
    changes: dict[str, Any],
    expected: tuple[int | None, str | None] | None,
) -> None:
    assert (
        told(label_table(duck, "subscriptions", terms, churn(**changes), merges=merges)) == expected
    )


@pytest.mark.parametrize(
    ("case", "terms", "changes", "expected"), WORKED, ids=[w[0] for w in WORKED]
)
def test_nobody_merged_is_as_before(
    duck: Connection,
    case: str,
    terms: list[Row],
    changes: dict[str, Any],
    expected: tuple[int | None, str | None] | None,
) -> None:
    """Merges are mapped, but none of the accounts was merged."""
    assert (
        told(
            label_table(
                duck, "subscriptions", terms, churn(**changes), merges={"Y": ("Z", "04-15")}
            )
        )
        == expected
    )


def test_page_shows_the_table_that_is_tested() -> None:
    """Every row of the page is a case here with the same answer, and the other way round."""
    rows = re.findall(
        r"^\| ([^|]+?) \| (1|0|none|not asked) \| ([^|]*?) \|$", DOC.read_text(), flags=re.M
    )
    page = {case: (label, reason.strip("` ")) for case, label, reason in rows}
    code = {
        case: (
            ("not asked", "")
            if expected is None
            else ("none" if expected[0] is None else str(expected[0]), expected[1] or "")
        )
        for case, expected in [*((w[0], w[-1]) for w in WORKED), *((m[0], m[-1]) for m in MERGED)]
    }
    assert page == code


# --- conversion, inactivity, events
# -------------------------------------------------------------------


TRIALS = PopulationRule("trials")


def test_conversion_is_the_first_paid_term(duck: Connection) -> None:
    target = churn(kind="conversion")
    trial = term("2024-03-01", "04-15", is_trial=True)
    assert told(
        label_table(duck, "subscriptions", [trial, term("04-15")], target, rule=TRIALS)
    ) == (1, None)
    assert told(
        label_table(duck, "subscriptions", [trial, term("06-27")], target, rule=TRIALS)
    ) == (0, None)
    assert told(label_table(duck, "subscriptions", [trial], target, rule=TRIALS)) == (0, None)


def test_conversion_learnt_too_late_leaves_no_label(duck: Connection) -> None:
    trial, paid = term("2024-03-01", "04-15", is_trial=True), term("03-20", known="04-02")
    assert told(
        label_table(duck, "subscriptions", [trial, paid], churn(kind="conversion"), rule=TRIALS)
    ) == (
        None,
        "ended_before",
    )


ACTIVE = PopulationRule("active", active_within_days=90)


def _inactivity(
    duck: Connection, moments: list[str], **more: Any
) -> tuple[int | None, str | None] | None:
    changes = {k: more.pop(k) for k in ("gap_days",) if k in more}
    rule = more.pop("rule", ACTIVE)
    return told(
        label_table(
            duck,
            "usage_events",
            [event(m) for m in moments],
            churn(kind="inactivity", **changes),
            rule=rule,
            **more,
        )
    )


def test_inactivity_is_no_event_inside_the_window(duck: Connection) -> None:
    assert _inactivity(duck, ["03-01"]) == (1, None)
    assert _inactivity(duck, ["03-01", "03-29"]) == (0, None)  # the first instant of the window
    assert _inactivity(duck, ["03-01", "06-26T23:00:00"]) == (0, None)
    assert _inactivity(duck, ["03-01", "06-27"]) == (1, None)  # the first instant after it


def test_who_was_ever_active_is_asked_however_long_ago(duck: Connection) -> None:
    ever = PopulationRule("ever_active")
    assert _inactivity(duck, ["2019-03-01"], rule=ever) == (1, None)
    assert _inactivity(duck, ["2019-03-01", "05-01"], rule=ever) == (0, None)
    assert _inactivity(duck, ["2019-03-01", "05-01"]) is None  # not within 90 days
    assert _inactivity(duck, ["03-29"], rule=ever) is None  # not before the date


def test_activity_inside_the_gap_does_not_count(duck: Connection) -> None:
    assert _inactivity(duck, ["03-01", "04-11"], gap_days=14) == (1, None)
    assert _inactivity(duck, ["03-01", "04-12"], gap_days=14) == (0, None)


def test_activity_of_a_merged_account_goes_on_where_it_became_part(duck: Connection) -> None:
    rows = [event("03-01"), {**event("05-01"), "account_id": "B"}]

    def told_of(moment: str, **more: Any) -> tuple[int | None, str | None] | None:
        return told(
            label_table(
                duck,
                "usage_events",
                rows,
                churn(kind="inactivity"),
                rule=ACTIVE,
                merges={"A": ("B", moment)},
                **more,
            )
        )

    assert told_of("04-15") == (0, None)
    assert told_of("05-01") == (0, None)  # at the moment of the merge it is the other's already
    assert told_of("2024-05-01T00:00:00.000001") == (1, None)
    rows.append(event("05-02"))  # under the old id after the merge: of neither
    assert told_of("05-02") == (1, None)
    looks = PopulationRule("active", active_within_days=90, event_names=("buy",))
    rows = [
        event("03-01", event_name="buy"),
        {**event("05-01", event_name="look"), "account_id": "B"},
    ]
    assert told(
        label_table(duck, "usage_events", rows, churn(kind="inactivity"), rule=looks, merges=INTO_B)
    ) == (1, None)


def test_silent_feed_gives_no_label(duck: Connection) -> None:
    """Dead for a day inside the window, or only outside it."""
    inside, before, after = (
        ("", date(2024, 6, 26), date(2024, 7, 9)),
        ("", date(2024, 3, 1), date(2024, 3, 29)),
        ("", date(2024, 6, 27), date(2024, 7, 9)),
    )
    assert _inactivity(duck, ["03-01"], silences=(inside,)) == (None, "feed_silent")
    assert _inactivity(duck, ["03-01"], silences=(before, after)) == (1, None)


def test_only_activity_that_counts_is_activity(duck: Connection) -> None:
    rule = PopulationRule("active", active_within_days=90, event_names=("buy",))
    rows = [event("03-01", event_name="buy"), event("05-01", event_name="look")]
    assert told(label_table(duck, "usage_events", rows, churn(kind="inactivity"), rule=rule)) == (
        1,
        None,
    )


def test_each_feed_completes_labels_to_its_own_end(duck: Connection) -> None:
    """numpy's log runs on, ansible's ends on 2024-06-01: its labels are not known, not zero."""
    rows = [
        {**event("03-01"), "account_id": a, "partition": f}
        for a, f in (("n", "numpy"), ("x", "ansible"))
    ]
    table = label_table(
        duck,
        "usage_events",
        rows,
        churn(kind="inactivity"),
        rule=ACTIVE,
        feeds={"n": "numpy", "x": "ansible"},
        until={"numpy": UNTIL, "ansible": date(2024, 6, 1)},
    )
    assert (
        table["label_reason"].fillna("").tolist() == ["", "incomplete"]
        and table["label"].iloc[0] == 1
    )


def _outcome(
    duck: Connection, rows: list[Row], **changes: Any
) -> tuple[int | None, str | None] | None:
    return told(
        label_table(
            duck, "outcomes", rows, churn(kind="event", **changes), rule=PopulationRule("accounts")
        )
    )


def test_event_of_the_wanted_kind_inside_the_window(duck: Connection) -> None:
    rows = [event("05-01", kind="upgrade"), event("07-01", kind="churn's")]
    assert _outcome(duck, rows) == (1, None)
    assert _outcome(duck, rows, event_names=("churn's",)) == (0, None)
    assert _outcome(duck, rows, event_names=("upgrade", "churn's")) == (1, None)


def test_first_event_only_leaves_no_label_after_an_earlier_one(duck: Connection) -> None:
    """An earlier event of another kind does not count as the first."""
    rows = [event("02-01", kind="upgrade"), event("05-01", kind="churn")]
    assert _outcome(duck, rows) == (1, None)
    assert _outcome(duck, rows, first_event_only=True) == (None, "ended_before")
    assert _outcome(duck, rows, first_event_only=True, event_names=("churn",)) == (1, None)


def test_open_convention_knows_no_contract_end_ahead(duck: Connection) -> None:
    """The end is written when it happens: as a renewal date it would tell the label."""
    table = label_table(
        duck,
        "subscriptions",
        [term("2024-01-01", "05-01")],
        churn(horizon_days=None),
        convention="open_until_cancelled",
    )
    assert told(table) == (None, "no_contract_end")


# --- plain Python
# -------------------------------------------------------------------------------------


Pointers = dict[str, tuple[str, datetime]]


def holder_at(account: str, moment: datetime, merges: Pointers) -> str:
    """Whose rows are the account's own at a moment: the pointers are followed one by one."""
    while account in merges and merges[account][1] <= moment:
        account = merges[account][0]
    return account


def lived_through(account: str, every: list[Row], merges: Pointers) -> list[Row]:
    """The account's terms, cut wherever anybody is merged, each piece kept where its account holds
    it.
    """
    cuts = sorted({datetime.min, datetime.max, *(moment for _, moment in merges.values())})
    pieces = []
    for begins, ends in zip(cuts, cuts[1:], strict=False):
        for row in every:
            start, end = max(begins, row["starts_at"]), min(ends, row["ends_at"] or datetime.max)
            if row["account_id"] == holder_at(account, begins, merges) and start < end:
                pieces.append(
                    {**row, "starts_at": start, "ends_at": None if end == datetime.max else end}
                )
    return pieces


def random_merges(draw: random.Random) -> Pointers:
    """Accounts merged into later letters, so that no chain comes round: some at the same time, some
    in the wrong order.
    """
    moments = [
        datetime(2023, 12, 1) + timedelta(days=draw.randint(0, 300), hours=draw.choice([0, 0, 13]))
        for _ in range(3)
    ]
    return {
        a: (draw.choice("ABCDE"["ABCDE".index(a) + 1 :]), draw.choice(moments))
        for a in "ABCD"
        if draw.random() < 0.6
    }


def plain_churn(
    known: list[Row], as_of: date, target: TargetRule, lived: list[Row] | None = None
) -> tuple[int | None, str | None] | None:
    """The rules of the page in slow plain Python, for terms known from their start and of one
    version each.

    `lived` are the terms with merges followed (default: there are none), `known` those under the
    account's own id.
    """
    now = datetime.combine(as_of, datetime.min.time())
    own = [
        (t["starts_at"], t["ends_at"] or datetime.max)
        for t in known
        if not t.get("is_trial") and t["starts_at"] < now
    ]
    terms = known if lived is None else lived
    paid = [(t["starts_at"], t["ends_at"] or datetime.max) for t in terms if not t.get("is_trial")]
    grace = timedelta(days=target.grace_days)
    if not any(start < now <= end for start, end in own):
        lately = any(now - grace <= end < now for _, end in own) and target.grace_days
        return (None, "lapsed") if lately else None
    start = now + timedelta(days=target.gap_days)
    end = start + timedelta(days=int(target.horizon_days or 0))
    if end.date() + grace > UNTIL:
        return None, "incomplete"

    def walk(covered_until: datetime) -> datetime:
        """On to the first instant after which nobody covers for longer than the grace."""
        while covered_until != datetime.max:
            following = [
                e for s, e in paid if s <= covered_until + grace and e > covered_until and e > s
            ]
            if not following:
                break
            covered_until = max(following)
        return covered_until

    reached = [walk(e) for s, e in paid if s < now and e > s]
    covered_until = max(reached, default=datetime.min)
    if covered_until < now:
        return None, "ended_before"
    if covered_until < start:
        return None, "left_in_gap"
    return (1 if covered_until < end else 0), None


def random_terms(draw: random.Random, grace_days: int) -> list[Row]:
    """Terms of five accounts, some exactly back to back, or a day either side of the grace."""
    rows: list[Row] = []
    for account in "ABCDE":
        for _ in range(draw.randint(1, 4)):
            begun = datetime(2023, 11, 1) + timedelta(
                days=draw.randint(0, 300), hours=draw.choice([0, 0, 0, 13])
            )
            length = draw.choice([None, 0, 1, 30, 60, 90, 180])
            rows.append(
                {
                    "account_id": account,
                    "starts_at": begun,
                    "known_from": begun,
                    "known_until": None,
                    "ends_at": None if length is None else begun + timedelta(days=length),
                    "is_trial": draw.choice([True, False, False, None]),
                }
            )
            if draw.random() < 0.5 and rows[-1]["ends_at"]:
                again = rows[-1]["ends_at"] + timedelta(
                    days=draw.choice([0, grace_days, grace_days + 1])
                )
                rows.append(
                    {
                        **rows[-1],
                        "starts_at": again,
                        "known_from": again,
                        "ends_at": again + timedelta(days=60),
                    }
                )
    return rows


@settings(max_examples=15, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("with_merges", [False, True])
def test_labels_equal_plain_python(seed: int, with_merges: bool) -> None:
    draw = random.Random(seed)
    target = churn(
        horizon_days=draw.choice([1, 30, 90, 240]),
        gap_days=draw.choice([0, 0, 10]),
        grace_days=draw.choice([0, 0, 10, 40]),
    )
    rows = random_terms(draw, target.grace_days)
    pointers = random_merges(draw) if with_merges else {}
    dates = [date(2024, 1, 15), date(2024, 3, 29), date(2024, 6, 1)]
    with connected(threads=1) as connection:
        merges = (
            {a: (into, moment.isoformat()) for a, (into, moment) in pointers.items()}
            if with_merges
            else None
        )
        table = label_table(connection, "subscriptions", rows, target, as_of=dates, merges=merges)
    found = {
        (r["account_id"], r["as_of_day"]): told(pd.DataFrame([r])) for r in table.to_dict("records")
    }
    for account in sorted({r["account_id"] for r in rows}):
        for day in dates:
            mine = [r for r in rows if r["account_id"] == account]
            lived = lived_through(account, rows, pointers) if with_merges else None
            told_here = (account, day, target, rows, pointers)
            assert found.get((account, day_number(day))) == plain_churn(mine, day, target, lived), (
                told_here
            )
