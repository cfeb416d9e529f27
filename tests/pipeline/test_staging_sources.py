"""Staging by tiny tables: every option of a source, both for values that are right and values that
are wrong.
"""

import gzip
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError, ContractError
from pipeline.config.schema import ColumnRule, Lookup, Project, Source, SourcePart
from pipeline.engine.duckdb import Connection, rows
from pipeline.staging import StagedSource, stage

DAY = datetime(2024, 5, 1)


class World:
    """A folder of tables and the sources that read them."""

    def __init__(self, folder: Path, duck: Connection) -> None:
        self.folder = folder
        self.duck = duck

    def parquet(self, name: str, **columns: Any) -> str:
        """Write a Parquet file; returns its location."""
        pq.write_table(
            pa.table({k.replace("__", " "): v for k, v in columns.items()}), self.folder / name
        )
        return name

    def text(self, name: str, content: str, encoding: str = "utf-8") -> str:
        """Write a text file; returns its location."""
        raw = content.encode(encoding)
        (self.folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return name

    def stage(
        self, zone: str | None = None, currency: str = "USD", **sources: Source
    ) -> dict[str, StagedSource]:
        """Stage the sources of a project."""
        project = Project(name="p", time_zone=zone, currency=currency, sources=sources)
        return stage(project, self.folder, self.duck)

    def column(self, column: str, table: str = "staged_usage_events") -> list[Any]:
        """The values of a column, in the order of account_id, then of the values."""
        return [
            r[0] for r in rows(self.duck, f"SELECT {column} FROM {table} ORDER BY account_id, 1")
        ]


@pytest.fixture
def world(tmp_path: Path, duck: Connection) -> World:
    return World(tmp_path, duck)


def accounts_add_up(source: StagedSource) -> bool:
    return source.rows_read == (
        source.rows_staged + sum(source.rows_left_out.values()) + sum(source.rows_bad.values())
    )


# --- names and shape
# -------------------------------------------------------------------------------


def test_columns_of_the_same_name_map_themselves_regardless_of_case(world: World) -> None:
    place = world.parquet("u.parquet", Account_ID=["a"], EVENT_TIME=[DAY], Event_Name=["login"])
    staged = world.stage(usage_events=Source(location=place))["usage_events"]
    assert rows(world.duck, "SELECT * FROM staged_usage_events") == [
        ("a", DAY, None, "login", None, None, None, DAY, None, "")
    ]
    assert staged.is_mapped("event_name") and not staged.is_mapped("session_id")
    assert list(staged.columns) == [
        "account_id",
        "event_time",
        "user_id",
        "event_name",
        "quantity",
        "session_id",
        "session_minutes",
    ]
    described = {n: t for n, t, *_ in rows(world.duck, "DESCRIBE staged_usage_events")}
    assert described["quantity"] == "BIGINT" and described["known_until"] == "TIMESTAMP"


def test_missing_required_columns_name_the_nearest(world: World) -> None:
    place = world.parquet("u.parquet", acount_id=["a"], tme=[DAY])
    with pytest.raises(
        ContractError,
        match=r"source usage_events: u.parquet lacks required columns: account_id .*"
        r"did you mean `acount_id`\?; event_time",
    ):
        world.stage(usage_events=Source(location=place))


def test_mapped_column_that_is_not_there_names_the_nearest(world: World) -> None:
    place = world.parquet("u.parquet", customer=["a"], event_time=[DAY])
    with pytest.raises(ContractError, match=r'has no column "costumer"; did you mean `customer`\?'):
        world.stage(usage_events=Source(location=place, columns={"account_id": "costumer"}))


def test_missing_file_says_where_it_looked(world: World) -> None:
    with pytest.raises(
        ContractError, match=r'nothing found at "no/\*.parquet": looked for .*--data DIR'
    ):
        world.stage(usage_events=Source(location="no/*.parquet"))


def test_empty_table_is_refused(world: World) -> None:
    times = pa.array([], pa.timestamp("us"))
    place = world.parquet("u.parquet", account_id=pa.array([], pa.string()), event_time=times)
    with pytest.raises(ContractError, match="has no rows"):
        world.stage(usage_events=Source(location=place))


def test_unknown_ending_says_what_is_readable(world: World) -> None:
    world.text("u.xls", "x")
    with pytest.raises(ContractError, match=r"ending that is not known. Readable: Parquet"):
        world.stage(usage_events=Source(location="u.xls"))


def test_broken_parquet_is_a_contract_error(world: World) -> None:
    world.text("u.parquet", "not parquet at all")
    with pytest.raises(ContractError, match="u.parquet cannot be read"):
        world.stage(usage_events=Source(location="u.parquet"))


def test_only_picks_sources_and_names_the_nearest(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a"], event_time=[DAY])
    project = Project(
        name="p",
        sources={
            "usage_events": Source(location=place),
            "invoices": Source(location="absent.parquet"),
        },
    )
    assert list(stage(project, world.folder, world.duck, only=["usage_events"])) == ["usage_events"]
    with pytest.raises(ConfigError, match="did you mean `invoices`"):
        stage(project, world.folder, world.duck, only=["invoice"])


# --- account keys and text
# -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([12346.0, 7.0], ["12346", "7"]),
        ([12346, 7], ["12346", "7"]),
        ([Decimal("12346.00"), Decimal("7.00")], ["12346", "7"]),
        (["12346.0", "007"], ["007", "12346"]),
        ([" Ab ", "ab"], ["Ab", "ab"]),
        (["1.10", "v2.0"], ["1.10", "v2.0"]),
    ],
)
def test_account_id_reads_as_text(world: World, values: list[Any], expected: list[str]) -> None:
    place = world.parquet("u.parquet", account_id=values, event_time=[DAY, DAY])
    world.stage(usage_events=Source(location=place))
    assert world.column("account_id") == expected


def test_composite_key_is_joined_and_half_a_key_is_no_key(world: World) -> None:
    place = world.parquet(
        "u.parquet", region=["eu", "us", "us"], no=[1.0, 2.0, None], event_time=[DAY] * 3
    )
    source = Source(
        location=place, columns={"account_id": ColumnRule(join=("region", "no"))}, max_bad_share=0.5
    )
    staged = world.stage(usage_events=source)["usage_events"]
    assert world.column("account_id") == ["eu/1", "us/2"]
    assert staged.rows_bad == {"account_id is empty": 1}


def test_codes_prefixes_and_otherwise(world: World) -> None:
    place = world.parquet(
        "u.parquet",
        account_id=list("abcde"),
        event_time=[DAY] * 5,
        no=["C1", "CX", "A3", "4", None],
    )
    rule = ColumnRule(
        column="no",
        codes={"CX": "exchange"},
        prefixes={"C": "cancel", "A": "adjust"},
        otherwise="sale",
    )
    kept = ColumnRule(column="no", codes={"4": "four", "": "none"})
    world.stage(
        usage_events=Source(location=place, columns={"event_name": rule}, extra={"kept": kept})
    )
    assert world.column("event_name") == ["cancel", "exchange", "adjust", "sale", None]
    assert world.column("kept") == ["C1", "CX", "A3", "four", "none"]


def test_constant_values_fill_every_row(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a"], event_time=[DAY])
    extra = {
        name: ColumnRule(value=v)
        for name, v in {"t": "x", "n": 3, "r": 0.5, "f": True, "d": date(2024, 1, 2)}.items()
    }
    staged = world.stage(usage_events=Source(location=place, extra=extra))["usage_events"]
    assert rows(world.duck, "SELECT t, n, r, f, d FROM staged_usage_events") == [
        ("x", 3, 500, True, datetime(2024, 1, 2))
    ]
    assert [staged.columns[n].type for n in extra] == ["text", "number", "number", "flag", "time"]


# --- numbers
# ---------------------------------------------------------------------------------------


def test_money_is_minor_units_without_binary_noise(world: World) -> None:
    # 0.285 and 1.005 are doubles just below the tie; their decimal texts are the tie itself.
    place = world.parquet(
        "i.parquet",
        account_id=list("abcd"),
        issued_at=[DAY] * 4,
        amount=[0.285, 1.005, -0.285, float("nan")],
    )
    world.stage(invoices=Source(location=place))
    assert world.column("amount", "staged_invoices") == [29, 101, -29, None]


def test_floats_round_as_their_decimal_texts(world: World) -> None:
    # Ties at every size, their neighbours, and values that are no numbers.
    wholes, cents = (0, 7, 1_048_575, 99_999_999), ("00", "12", "28", "99")
    values = [float(f"{whole}.{cent}5") for whole in wholes for cent in cents]
    values += [v + 1e-4 for v in values] + [-v for v in values] + [1e15 + 0.5, 3.0]
    ids = [f"{i:03}" for i in range(len(values))]
    place = world.parquet("i.parquet", account_id=ids, issued_at=[DAY] * len(values), amount=values)
    world.stage(invoices=Source(location=place))
    expected = [int(Decimal(repr(v)).scaleb(2).to_integral_value(ROUND_HALF_UP)) for v in values]
    assert world.column("amount", "staged_invoices") == expected


def test_times_and_scale_multiply_exactly(world: World) -> None:
    place = world.parquet(
        "i.parquet",
        account_id=list("abc"),
        issued_at=[DAY] * 3,
        q=[3, 12, -2],
        price=[0.285, 6.95, 38970.0],
        cents=[1999, 5, 7],
        seconds=[60, 90, 1],
    )
    source = Source(
        location=place,
        columns={"amount": ColumnRule(column="q", times="price")},
        extra={
            "scaled": ColumnRule(column="cents", scale=0.01, decimals=2),
            "minutes": ColumnRule(column="seconds", scale=1 / 60),
            "halved": ColumnRule(column="q", times="price", scale=0.5, decimals=1),
        },
    )
    staged = world.stage(invoices=source)["invoices"]
    assert world.column("amount", "staged_invoices") == [86, 8340, -7794000]
    assert world.column("scaled", "staged_invoices") == [1999, 5, 7]
    assert world.column("minutes", "staged_invoices") == [1000, 1500, 17]
    assert world.column("halved", "staged_invoices") == [4, 417, -389700]
    assert staged.columns["minutes"].decimals == 3


def test_minus_subtracts_exactly_before_anything_is_multiplied(world: World) -> None:
    place = world.parquet(
        "i.parquet",
        account_id=list("abcd"),
        issued_at=[DAY] * 4,
        price=[10.1, 0.3, 5.0, 5.0],
        discount=["0.2", "0,1", None, "1"],
        q=[3, -2, 1, None],
        seats=[9, 4, 2, 1],
        used=[4, 6, 2, 0],
    )
    source = Source(
        location=place,
        columns={"amount": ColumnRule(column="price", minus="discount")},
        extra={
            "paid": ColumnRule(column="price", minus="discount", times="q", scale=2, decimals=2),
            "free": ColumnRule(column="seats", minus="used"),
        },
        max_bad_share=1.0,
    )
    staged = world.stage(invoices=source)["invoices"]
    # 0,1 is no number with a point before decimals: told as bad, never read as 0.
    assert world.column("amount", "staged_invoices") == [990, None, None, 400]
    assert world.column("paid", "staged_invoices") == [5940, None, None, None]
    assert world.column("free", "staged_invoices") == [5, -2, 0, 1]
    assert staged.columns["free"].decimals == 0  # whole less whole is whole


def test_decimals_follow_the_physical_type(world: World) -> None:
    place = world.parquet(
        "u.parquet",
        account_id=["a"],
        event_time=[DAY],
        i=[5],
        f=[1.23456],
        b=[True],
        d=pa.array([Decimal("1.2345")], pa.decimal128(10, 4)),
    )
    extra = {
        "whole": "i",
        "real": "f",
        "exact": "d",
        "many": ColumnRule(column="f", decimals=5),
        "is_b": "b",
    }
    staged = world.stage(usage_events=Source(location=place, extra=extra))["usage_events"]
    assert rows(world.duck, "SELECT whole, real, exact, many, is_b FROM staged_usage_events") == [
        (5, 1235, 12345, 123456, True)
    ]
    assert [staged.columns[n].decimals for n in ("whole", "real", "exact", "many")] == [0, 3, 4, 5]


@pytest.mark.parametrize("value", [1e17, float("inf"), "12 pcs", "1,5"])
def test_optional_number_that_does_not_fit_is_empty_and_told(world: World, value: Any) -> None:
    good = ["1"] * 30 if isinstance(value, str) else [1.0] * 30
    place = world.parquet(
        "i.parquet", account_id=["a"] * 31, issued_at=[DAY] * 31, amount=[*good, value]
    )
    staged = world.stage(invoices=Source(location=place))["invoices"]
    assert not staged.rows_bad
    assert staged.rows_staged == 31
    assert world.column("amount", "staged_invoices").count(None) == 1
    told = f"1 values left empty: amount is not an amount, such as '{value}' (1 row)."
    assert staged.notes == (told,)


def test_decimal_comma_is_declared_and_grouping_points_are_read(world: World) -> None:
    place = world.text(
        "i.csv",
        "account_id;issued_at;amount\na;2024-05-01;1.234,5\nb;2024-05-01;-0,285\n"
        "c;2024-05-01;7\nd;2024-05-01;1.5\n",
    )
    staged = world.stage(
        invoices=Source(location=place, delimiter=";", decimal=",", max_bad_share=0.3)
    )["invoices"]
    # Where the comma is decimal, the point groups thousands, so 1.5 is no number rather than 15.
    assert world.column("amount", "staged_invoices") == [123450, -29, 700, None]
    told = "1 values left empty: amount is not an amount, such as '1.5' (1 row)."
    assert staged.notes == (told,)


def test_flags_are_words_or_bits(world: World) -> None:
    place = world.text(
        "s.csv",
        "account_id,starts_at,auto_renew\na,2024-05-01,Yes\nb,2024-05-01,0\n"
        "c,2024-05-01,\nd,2024-05-01,maybe\n",
    )
    staged = world.stage(subscriptions=Source(location=place, max_bad_share=0.3))["subscriptions"]
    assert world.column("auto_renew", "staged_subscriptions") == [True, False, None, None]
    told = "1 values left empty: auto_renew is not true or false, such as 'maybe' (1 row)."
    assert staged.notes == (told,)


# --- times and zones
# -------------------------------------------------------------------------------


def test_aware_times_become_utc(world: World) -> None:
    east = timezone(timedelta(hours=2))
    place = world.parquet(
        "u.parquet",
        account_id=["a"],
        event_time=pa.array(
            [datetime(2024, 5, 1, 1, 30, tzinfo=east)], pa.timestamp("us", tz="Europe/Berlin")
        ),
    )
    world.stage(usage_events=Source(location=place))
    assert world.column("event_time") == [datetime(2024, 4, 30, 23, 30)]


def test_text_with_offset_needs_no_zone(world: World) -> None:
    place = world.text(
        "u.csv",
        "account_id,event_time\na,2024-05-01T10:00:00Z\nb,2024-05-01 10:00:00+02:00\n"
        "c,2024-05-01T10:00:00.5-0500\nd,2024-05-01\n",
    )
    world.stage(usage_events=Source(location=place))
    assert world.column("event_time") == [
        datetime(2024, 5, 1, 10),
        datetime(2024, 5, 1, 8),
        datetime(2024, 5, 1, 15, 0, 0, 500_000),
        DAY,
    ]


def test_clock_times_without_zone_are_refused(world: World) -> None:
    place = world.parquet(
        "u.parquet", account_id=["a", "b"], event_time=[DAY, datetime(2024, 5, 1, 9, 30)]
    )
    with pytest.raises(
        ConfigError, match=r'2024-05-01 09:30:00 carry no time zone.*time_zone = "Europe/London"'
    ):
        world.stage(usage_events=Source(location=place))
    assert not rows(
        world.duck,
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%usage%'",
    )


def test_declared_zone_is_used_and_the_nearest_declaration_wins(world: World) -> None:
    noon = [datetime(2024, 7, 1, 12)]
    place = world.parquet("s.parquet", account_id=["a"], starts_at=noon, ends_at=noon)
    world.stage("Europe/London", subscriptions=Source(location=place))
    assert world.column("starts_at", "staged_subscriptions") == [datetime(2024, 7, 1, 11)]
    rule = ColumnRule(column="ends_at", time_zone="America/New_York")
    source = Source(location=place, time_zone="Asia/Tokyo", columns={"ends_at": rule})
    world.stage("Europe/London", subscriptions=source)
    assert world.column("starts_at", "staged_subscriptions") == [datetime(2024, 7, 1, 3)]
    assert world.column("ends_at", "staged_subscriptions") == [datetime(2024, 7, 1, 16)]


def test_pure_dates_stay_the_day_they_name(world: World) -> None:
    place = world.parquet(
        "u.parquet", account_id=["a", "b"], event_time=[DAY, datetime(2024, 7, 1)]
    )
    world.stage("Asia/Tokyo", usage_events=Source(location=place))
    assert world.column("event_time") == [DAY, datetime(2024, 7, 1)]


def test_local_times_that_are_skipped_or_come_twice_are_counted(world: World) -> None:
    place = world.parquet(
        "u.parquet",
        account_id=list("abc"),
        event_time=[
            datetime(2024, 3, 31, 1, 30),
            datetime(2024, 10, 27, 1, 30),
            datetime(2024, 10, 27, 2, 0),
        ],
    )
    staged = world.stage("Europe/London", usage_events=Source(location=place))["usage_events"]
    assert len(staged.notes) == 2
    assert "1 times do not exist" in staged.notes[0] and "1 times occur twice" in staged.notes[1]


@pytest.mark.parametrize(
    ("values", "format_", "expected"),
    [
        ([20240501], "%Y%m%d", DAY),
        (["01/05/2024"], "%d/%m/%Y", DAY),
        (["01.05.2024 12:00 +0200"], "%d.%m.%Y %H:%M %z", datetime(2024, 5, 1, 10)),
    ],
)
def test_format_says_how_times_are_written(
    world: World, values: list[Any], format_: str, expected: datetime
) -> None:
    place = world.parquet("u.parquet", account_id=["a"], t=values)
    world.stage(
        usage_events=Source(
            location=place, columns={"event_time": ColumnRule(column="t", format=format_)}
        )
    )
    assert world.column("event_time") == [expected]


def test_number_is_no_time_without_a_format(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a"], event_time=[20240501])
    with pytest.raises(ContractError, match=r'is of type BIGINT, not a time.*format = "%Y%m%d"'):
        world.stage(usage_events=Source(location=place))


def test_plus_adds_durations_by_number_and_by_code(world: World) -> None:
    place = world.parquet(
        "s.parquet",
        account_id=list("abc"),
        bought=[DAY] * 3,
        plan=["Monthly", "Annual", None],
        days=[10, -3, None],
        seconds=[1_714_521_600, 1_714_521_601, 0],
    )
    source = Source(
        location=place,
        columns={
            "starts_at": ColumnRule(value=date(1970, 1, 1), plus="seconds", plus_unit="seconds"),
            "ends_at": ColumnRule(
                column="bought", plus="plan", plus_codes={"Monthly": 31, "Annual": 365}
            ),
            "notice_at": ColumnRule(column="bought", plus="days"),
        },
    )
    world.stage(subscriptions=source)
    assert world.column("starts_at", "staged_subscriptions") == [
        DAY,
        DAY + timedelta(seconds=1),
        datetime(1970, 1, 1),
    ]
    assert world.column("ends_at", "staged_subscriptions") == [
        DAY + timedelta(31),
        DAY + timedelta(365),
        None,
    ]
    assert world.column("notice_at", "staged_subscriptions") == [
        DAY + timedelta(10),
        DAY - timedelta(3),
        None,
    ]


def test_calendar_days_keep_the_time_of_day_and_hours_elapse(world: World) -> None:
    # London 2024-03-31: at noon local the day before, one day later is 23 hours later.
    place = world.parquet(
        "s.parquet", account_id=["a"], starts_at=[datetime(2024, 3, 30, 12)], one=[1], hours=[24]
    )
    source = Source(
        location=place,
        time_zone="Europe/London",
        columns={
            "ends_at": ColumnRule(column="starts_at", plus="one"),
            "notice_at": ColumnRule(column="starts_at", plus="hours", plus_unit="hours"),
        },
    )
    world.stage(subscriptions=source)
    assert rows(world.duck, "SELECT ends_at, notice_at FROM staged_subscriptions") == [
        (datetime(2024, 3, 31, 11), datetime(2024, 3, 31, 12))
    ]


def test_unknown_code_of_a_duration_is_a_bad_row(world: World) -> None:
    place = world.parquet(
        "s.parquet", account_id=["a", "b"], starts_at=[DAY] * 2, plan=["Monthly", "Weekly"]
    )
    rule = ColumnRule(column="starts_at", plus="plan", plus_codes={"Monthly": 31})
    source = Source(location=place, columns={"ends_at": rule}, max_bad_share=0.5)
    assert world.stage(subscriptions=source)["subscriptions"].rows_bad == {
        "ends_at is not a time": 1
    }
    assert world.column(
        '"value"', "(SELECT *, '' AS account_id FROM quarantine_subscriptions)"
    ) == ["2024-05-01 + Weekly"]


# --- rows
# ------------------------------------------------------------------------------------------


def test_parts_have_their_own_names_and_overlaps_are_cut_in_local_time(world: World) -> None:
    # 00:30 in London on 1 July is still 30 June in UTC; the extracts were cut at London's midnight.
    old = world.parquet(
        "old.parquet",
        who=[1.0, 1.0],
        at=[datetime(2024, 6, 30, 12), datetime(2024, 7, 1, 0, 30)],
        n=[1, 2],
    )
    new = world.parquet(
        "new.parquet",
        Customer__ID=["1", "2"],
        When=[datetime(2024, 7, 1, 0, 30), datetime(2024, 7, 2, 9)],
        n=[2.5, 3.0],
    )
    source = Source(
        time_zone="Europe/London",
        columns={"quantity": "n"},
        parts=(
            SourcePart(
                location=old,
                columns={"account_id": "who", "event_time": "at"},
                rows_until=date(2024, 7, 1),
            ),
            SourcePart(location=new, columns={"account_id": "customer id", "event_time": "when"}),
        ),
    )
    staged = world.stage(usage_events=source)["usage_events"]
    assert rows(
        world.duck, "SELECT account_id, event_time, quantity FROM staged_usage_events ORDER BY 2"
    ) == [
        ("1", datetime(2024, 6, 30, 11), 1000),
        ("1", datetime(2024, 6, 30, 23, 30), 2500),
        ("2", datetime(2024, 7, 2, 8), 3000),
    ]
    assert staged.rows_left_out == {"rows_until 2024-07-01": 1}
    assert staged.columns["quantity"].decimals == 3 and accounts_add_up(staged)


def test_keep_drop_and_drop_missing_are_counted_once_per_row(world: World) -> None:
    place = world.parquet(
        "u.parquet",
        account_id=["a", "b", None, "d", "e", None],
        event_time=[DAY] * 6,
        is_bot=[False, True, False, False, None, True],
        plan=["pro", "pro", "pro", "free", "pro", "x"],
        level=[1.0, 1.0, 1.0, 1.0, 2.0, 1.0],
    )
    source = Source(
        location=place,
        drop={"Is_Bot": (True,)},
        keep={"plan": ("pro",), "level": (1, 2)},
        drop_missing=("account_id",),
    )
    staged = world.stage(usage_events=source)["usage_events"]
    assert world.column("account_id") == ["a", "e"]
    assert staged.rows_left_out == {"drop_missing account_id": 2, "keep plan": 1, "drop Is_Bot": 1}
    assert accounts_add_up(staged)


def test_leaving_out_every_row_is_refused(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a"], event_time=[DAY], plan=["pro"])
    with pytest.raises(
        ContractError, match=r"every row of u.parquet is left out \(keep plan: 1 rows\)"
    ):
        world.stage(usage_events=Source(location=place, keep={"plan": ("Pro",)}))


def test_lookup_brings_columns_and_counts_rows_without_match(world: World) -> None:
    events = world.parquet("u.parquet", sub=[1, 2, 3], event_time=[DAY] * 3)
    subs = world.parquet("s.parquet", ID=["1", "2"], Account_Id=["a", "b"], plan=["x", "y"])
    lookup = Lookup(location=subs, on={"sub": "id"}, take=("account_id", "plan"))
    source = Source(location=events, lookups=(lookup,), extra={"plan": "plan"}, max_bad_share=0.4)
    staged = world.stage(usage_events=source)["usage_events"]
    assert world.column("plan") == ["x", "y"]
    assert staged.rows_bad == {"account_id is empty": 1}
    assert "1 rows of u.parquet have no match in s.parquet" in staged.notes[0]


def test_lookup_with_repeated_keys_is_refused(world: World) -> None:
    events = world.parquet("u.parquet", sub=[1], event_time=[DAY])
    subs = world.parquet("s.parquet", sub=[1, 1], account_id=["a", "b"])
    lookup = Lookup(location=subs, on={"sub": "sub"}, take=("account_id",))
    with pytest.raises(ContractError, match=r"one row per sub; repeated: 1 \(2 rows\)"):
        world.stage(usage_events=Source(location=events, lookups=(lookup,)))


def test_lookup_that_repeats_gives_a_row_for_each_match(world: World) -> None:
    """Every enrolment is due everything on its course's calendar."""
    enrolments = world.parquet("e.parquet", student=["a", "b", "c"], course=["x", "x", "y"])
    calendar = world.parquet(
        "c.parquet", course=["x", "x"], due=[DAY, DAY + timedelta(days=7)], step=["one", "two"]
    )
    lookup = Lookup(location=calendar, on={"course": "course"}, take=("due", "step"), repeats=True)
    source = Source(
        location=enrolments,
        lookups=(lookup,),
        drop_missing=("due",),
        columns={"account_id": "student", "milestone": "step", "due_at": "due"},
    )
    staged = world.stage(milestones=source)["milestones"]
    assert sorted(world.column("account_id || milestone", "staged_milestones")) == [
        "aone",
        "atwo",
        "bone",
        "btwo",
    ]
    assert staged.rows_read == 5 and staged.rows_left_out == {"drop_missing due": 1}


# --- bad rows
# --------------------------------------------------------------------------------------


def test_bad_rows_are_quarantined_with_reason_value_and_row(world: World) -> None:
    place = world.text(
        "t.csv",
        "account_id,opened_at,rating\na,2024-05-01,5\nb,2024-13-01,4\n,2024-05-01,3\n"
        "d,2024-05-01,good\ne,,1\n",
    )
    staged = world.stage(support_tickets=Source(location=place, max_bad_share=0.9))[
        "support_tickets"
    ]
    assert staged.rows_bad == {
        "account_id is empty": 1,
        "opened_at is not a time": 1,
        "opened_at is empty": 1,
    }
    told = "1 values left empty: rating is not a number, such as 'good' (1 row)."
    assert staged.notes == (told,)
    found = rows(
        world.duck,
        'SELECT source, reason, "column", "value", "row" FROM quarantine_support_tickets '
        "WHERE reason = 'opened_at is not a time'",
    )
    assert found[0][:4] == ("support_tickets", "opened_at is not a time", "opened_at", "2024-13-01")
    assert json.loads(found[0][4]) == {"account_id": "b", "opened_at": "2024-13-01", "rating": "4"}
    assert accounts_add_up(staged)


def test_too_many_bad_rows_stop_with_counts_and_examples(world: World) -> None:
    place = world.parquet(
        "t.parquet", account_id=["a"] * 10, opened_at=["2024-05-01"] * 8 + ["soon", "later"]
    )
    with pytest.raises(
        ContractError,
        match=r"2 of 10 rows are bad \(20.0%; allowed 5.0%\). opened_at is not a time: "
        r"2 rows, such as 'later' \(1 row\), 'soon' \(1 row\)",
    ):
        world.stage(support_tickets=Source(location=place))
    assert not rows(
        world.duck, "SELECT * FROM information_schema.tables WHERE table_name LIKE '%support%'"
    )


def test_quarantine_stores_the_first_rows_and_counts_all(world: World) -> None:
    place = world.parquet(
        "t.parquet", account_id=["a"] * 12_000, opened_at=["soon"] * 11_000 + ["2024-05-01"] * 1_000
    )
    staged = world.stage(support_tickets=Source(location=place, max_bad_share=1))["support_tickets"]
    assert staged.rows_bad == {"opened_at is not a time": 11_000}
    assert rows(world.duck, "SELECT count(*) FROM quarantine_support_tickets") == [(10_000,)]


def test_column_of_a_type_that_cannot_be_read_is_refused(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a"], event_time=[DAY], quantity=[[1, 2]])
    with pytest.raises(ContractError, match=r"column quantity: `quantity` is of type BIGINT\[\]"):
        world.stage(usage_events=Source(location=place))


# --- versions and repeats
# --------------------------------------------------------------------------

MARCH = [datetime(2024, 3, day) for day in range(1, 32)]


def versioned(world: World, order: list[int]) -> StagedSource:
    """Invoice 7: 100, then 120, then retracted, then 120 again; invoice 8 twice in one moment; 9
    sent twice.
    """
    table = [
        ("a", MARCH[0], "7", MARCH[0], 100, False),
        ("a", MARCH[0], "7", MARCH[4], 120, None),
        (None, None, "7", MARCH[8], None, True),
        ("a", MARCH[0], "7", MARCH[19], 120, False),
        ("b", MARCH[1], "8", MARCH[1], 5, False),
        ("b", MARCH[1], "8", MARCH[1], 6, False),
        ("c", MARCH[2], "9", MARCH[2], 1, False),
        ("c", MARCH[2], "9", MARCH[2], 1, False),
    ]
    chosen = [table[i] for i in order]
    names = ("account_id", "issued_at", "row_key", "known_at", "amount", "is_deleted")
    place = world.parquet("i.parquet", **{n: [r[i] for r in chosen] for i, n in enumerate(names)})
    return world.stage(invoices=Source(location=place))["invoices"]


@pytest.mark.parametrize(
    "order", [list(range(8)), list(range(7, -1, -1)), [3, 6, 1, 5, 0, 7, 4, 2]]
)
def test_versions_have_spans_whatever_the_order_of_rows(world: World, order: list[int]) -> None:
    staged = versioned(world, order)
    query = "SELECT account_id, amount, known_from, known_until FROM staged_invoices ORDER BY 1, 3"
    assert rows(world.duck, query) == [
        ("a", 10000, MARCH[0], MARCH[4]),
        ("a", 12000, MARCH[4], MARCH[8]),
        ("a", 12000, MARCH[19], None),
        ("b", 600, MARCH[1], None),
        ("c", 100, MARCH[2], None),
    ]
    assert staged.rows_left_out == {
        "identical rows": 1,
        "superseded at the same known_at": 1,
        "retractions (is_deleted)": 1,
    }
    assert staged.has_known_at and staged.newest_known == MARCH[19] and accounts_add_up(staged)
    assert staged.data_until == {"": date(2024, 3, 20)}


def test_row_key_without_known_at_keeps_one_and_quarantines_contradictions(world: World) -> None:
    place = world.parquet(
        "i.parquet",
        account_id=list("aabbc"),
        issued_at=[DAY] * 5,
        row_key=list("11223"),
        amount=[1, 1, 2, 3, 4],
    )
    staged = world.stage(invoices=Source(location=place, max_bad_share=0.6))["invoices"]
    assert world.column("account_id", "staged_invoices") == ["a", "c"]
    assert staged.rows_left_out == {"identical rows": 1} and staged.rows_bad == {
        "duplicate row_key": 2
    }
    assert rows(
        world.duck, "SELECT count(*) FROM quarantine_invoices WHERE reason = 'duplicate row_key'"
    ) == [(2,)]
    assert accounts_add_up(staged)


def test_rows_without_key_are_all_kept(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a", "a"], event_time=[DAY, DAY])
    assert world.stage(usage_events=Source(location=place))["usage_events"].rows_staged == 2


def test_identical_accounts_collapse_and_differing_ones_stop(world: World) -> None:
    place = world.parquet("a.parquet", account_id=["a", "a", "b"], plan=["x", "x", "y"])
    assert world.stage(accounts=Source(location=place))["accounts"].rows_left_out == {
        "identical rows": 1
    }
    place = world.parquet("a.parquet", account_id=["a", "a", "b"], plan=["x", "z", "y"])
    with pytest.raises(
        ContractError, match="1 accounts have several rows that differ, such as a.*valid_from"
    ):
        world.stage(accounts=Source(location=place))


def test_accounts_with_history_need_one_row_per_valid_from(world: World) -> None:
    place = world.parquet(
        "a.parquet", account_id=["a", "a"], valid_from=[MARCH[0], MARCH[5]], plan=["x", "z"]
    )
    assert world.stage(accounts=Source(location=place))["accounts"].rows_staged == 2
    assert world.column("known_from", "staged_accounts") == [MARCH[0], MARCH[5]]
    place = world.parquet(
        "a.parquet", account_id=["a", "a"], valid_from=[MARCH[0], MARCH[0]], plan=["x", "z"]
    )
    with pytest.raises(ContractError, match="such as a from 2024-03-01 00:00:00"):
        world.stage(accounts=Source(location=place))


def test_empty_known_at_is_a_bad_row_where_it_is_mapped(world: World) -> None:
    place = world.parquet(
        "u.parquet", account_id=["a", "b"], event_time=[DAY, DAY], known_at=[DAY, None]
    )
    staged = world.stage(usage_events=Source(location=place, max_bad_share=0.5))["usage_events"]
    assert staged.rows_bad == {"known_at is empty": 1}


def test_delay_moves_known_from(world: World) -> None:
    place = world.parquet("u.parquet", account_id=["a"], event_time=[DAY])
    world.stage(usage_events=Source(location=place, delay_days=1.5))
    assert world.column("known_from") == [DAY + timedelta(hours=36)]


# --- consent, currency, coverage
# -------------------------------------------------------------------


def test_accounts_without_consent_are_left_out_of_every_table(world: World) -> None:
    people = world.parquet("a.parquet", account_id=[1.0, 2.0, 3.0], consent=[True, False, None])
    events = world.parquet(
        "u.parquet",
        account_id=["1", "2", "2", "3"],
        event_time=["2024-05-01"] * 2 + ["?"] + ["2024-05-01"],
    )
    sources = {"usage_events": Source(location=events), "accounts": Source(location=people)}
    staged = world.stage(**sources)
    assert world.column("account_id") == ["1", "3"]
    assert staged["usage_events"].rows_left_out == {"consent = false": 2}
    assert staged["accounts"].rows_left_out == {"consent = false": 1}
    # The unreadable row of the account that withheld consent is not kept in quarantine either.
    assert rows(world.duck, "SELECT count(*) FROM quarantine_usage_events") == [(0,)]
    assert all(accounts_add_up(source) for source in staged.values())
    only = stage(
        Project(name="p", sources=sources), world.folder, world.duck, only=["usage_events"]
    )
    assert list(only) == ["usage_events"] and only["usage_events"].rows_staged == 2


def test_newest_consent_counts(world: World) -> None:
    place = world.parquet(
        "a.parquet",
        account_id=["a", "a", "b", "b"],
        consent=[True, False, False, True],
        valid_from=[MARCH[0], MARCH[1], MARCH[0], MARCH[1]],
    )
    world.stage(accounts=Source(location=place))
    assert world.column("account_id", "staged_accounts") == ["b", "b"]


def test_other_currency_stops_with_counts(world: World) -> None:
    place = world.parquet(
        "i.parquet", account_id=list("abc"), issued_at=[DAY] * 3, currency=["usd", "EUR", "EUR"]
    )
    with pytest.raises(
        ContractError, match=r"other currencies than the project's USD \(EUR: 2 rows\)"
    ):
        world.stage(invoices=Source(location=place))


def test_data_until_is_declared_or_the_day_of_the_newest_row(world: World) -> None:
    place = world.parquet(
        "u.parquet",
        account_id=list("abc"),
        partition=["eu", "us", "us"],
        event_time=[MARCH[3], MARCH[5], MARCH[4]],
    )
    source = Source(location=place)
    assert world.stage(usage_events=source)["usage_events"].data_until == {
        "eu": date(2024, 3, 4),
        "us": date(2024, 3, 6),
    }
    declared = Source(location=place, data_until=date(2024, 4, 1))
    assert world.stage(usage_events=declared)["usage_events"].data_until == {
        "eu": date(2024, 4, 1),
        "us": date(2024, 4, 1),
    }
    silent = Source(
        location=place,
        data_until={"eu": MARCH[9].date(), "us": MARCH[9].date(), "jp": MARCH[0].date()},
    )
    assert "jp" in world.stage(usage_events=silent)["usage_events"].data_until
    with pytest.raises(ContractError, match="data_until says nothing of the partitions 'us'"):
        world.stage(usage_events=Source(location=place, data_until={"eu": MARCH[9].date()}))


def test_a_contract_typed_years_ahead_moves_no_end_of_data(world: World) -> None:
    """It stays, since a contract may begin on a day to come; how far the others reach stands."""
    starts = [datetime(2024, 1, 1) + timedelta(days=n) for n in range(60)]
    place = world.parquet(
        "s.parquet",
        account_id=[f"a{n}" for n in range(61)],
        starts_at=[*starts, datetime(2034, 3, 1)],
        ends_at=[*(start + timedelta(days=366) for start in starts), datetime(2035, 3, 1)],
    )
    staged = world.stage(subscriptions=Source(location=place, convention="fixed_term"))
    found = staged["subscriptions"]
    assert found.rows_staged == 61 and found.data_until == {"": date(2024, 2, 29)}
    assert [note for note in found.notes if "far beyond" in note] == [
        "1 row has starts_at on 2034-03-01, far beyond all others: no end of data is taken from it."
    ]
    near = world.parquet(
        "n.parquet",
        account_id=[f"a{n}" for n in range(60)],
        starts_at=starts,
        ends_at=[start + timedelta(days=366) for start in starts],
    )
    staged = world.stage(subscriptions=Source(location=near, convention="fixed_term"))
    assert staged["subscriptions"].data_until == {"": date(2024, 2, 29)}
    assert not staged["subscriptions"].notes


# --- places
# ----------------------------------------------------------------------------------------


def test_csv_is_read_as_text_with_encoding_and_compression(world: World) -> None:
    content = (
        'account_id\tevent_time\tevent_name\n007\t2024-05-01\t"Köln ""x"""\nNA\t2024-05-01\t\n'
    )
    place = world.text("u.tsv.gz", content, "cp1252")
    world.stage(usage_events=Source(location=place, encoding="cp1252"))
    assert world.column("account_id") == ["007", "NA"]
    assert world.column("event_name") == ['Köln "x"', None]


def test_csv_with_byte_order_mark_and_windows_lines(world: World) -> None:
    place = world.text("u.csv", "\ufeffaccount_id,event_time\r\na,2024-05-01\r\n")
    world.stage(usage_events=Source(location=place))
    assert world.column("account_id") == ["a"]


def test_csv_with_another_delimiter_says_which(world: World) -> None:
    place = world.text("u.csv", "account_id;event_time\na;2024-05-01\n")
    with pytest.raises(ContractError, match='Declare the delimiter of u.csv: delimiter = ";"'):
        world.stage(usage_events=Source(location=place))


def test_csv_in_another_encoding_is_refused(world: World) -> None:
    place = world.text("u.csv", "account_id,event_time,event_name\na,2024-05-01,Köln\n", "latin-1")
    with pytest.raises(ContractError, match=r"u.csv.*(encod|unicode|UTF)"):
        world.stage(usage_events=Source(location=place))


def test_csv_line_with_too_many_fields_is_a_bad_row(world: World) -> None:
    place = world.text("u.csv", "account_id,event_time\na,2024-05-01\nb,2024-05-01,x\n")
    staged = world.stage(usage_events=Source(location=place, max_bad_share=0.5))["usage_events"]
    assert staged.rows_bad == {
        "line has a wrong number of fields or quotes": 1
    } and accounts_add_up(staged)


def test_glob_of_csv_files_with_different_columns(world: World) -> None:
    world.text("u1.csv", "account_id,event_time\na,2024-05-01\n")
    world.text("u2.csv", "event_time,account_id,event_name\n2024-05-02,b,login\n")
    world.text("u3.csv", "account_id,event_time\nc,2024-05-03\nd,x,y\n")
    staged = world.stage(usage_events=Source(location="u*.csv", max_bad_share=0.5))["usage_events"]
    assert world.column("event_name") == [None, "login", None]
    assert sum(staged.rows_bad.values()) == 1


def test_folder_and_glob_of_parquet(world: World) -> None:
    (world.folder / "events").mkdir()
    world.parquet("events/1.parquet", account_id=["a"], event_time=[DAY])
    world.parquet("events/2.parquet", event_time=[DAY], account_id=["b"], event_name=["x"])
    for location in ("events", "events/*.parquet"):
        world.stage(usage_events=Source(location=location))
        assert world.column("account_id") == ["a", "b"]


def test_duckdb_file_is_read_and_let_go(world: World) -> None:
    file = world.folder / "crm.duckdb"
    with duckdb.connect(str(file)) as crm:
        crm.execute(
            "CREATE TABLE events AS SELECT 'a' AS account_id, DATE '2024-05-01' AS event_time"
        )
        crm.execute("CREATE SCHEMA raw")
        crm.execute("CREATE VIEW raw.clicks AS SELECT * FROM events")
    world.stage(usage_events=Source(location="crm.duckdb", table="events"))
    world.stage(usage_events=Source(location="crm.duckdb", table="raw.clicks"))
    assert world.column("event_time") == [DAY]
    with duckdb.connect(str(file)) as crm:  # nobody holds it any more
        crm.execute("CREATE TABLE more AS SELECT 1 AS x")
    with pytest.raises(
        ContractError, match='crm.duckdb has no table "event"; did you mean `events`'
    ):
        world.stage(usage_events=Source(location="crm.duckdb", table="event"))


def test_names_with_quotes_and_spaces_are_only_names(world: World) -> None:
    place = world.parquet("u.parquet", **{'who"; DROP': ["a"], "it's when": [DAY]})
    source = Source(location=place, columns={"account_id": 'who"; DROP', "event_time": "it's when"})
    world.stage(usage_events=source)
    assert world.column("account_id") == ["a"]


def test_order_of_input_changes_nothing(world: World) -> None:
    def staged_rows(reverse: bool) -> list[Any]:
        step, start = -1 if reverse else 1, datetime(2024, 1, 1, tzinfo=UTC)
        place = world.parquet(
            "u.parquet",
            account_id=[f"{i % 7}" for i in range(500)][::step],
            event_time=[start + timedelta(hours=i) for i in range(500)][::step],
            quantity=[i / 7 for i in range(500)][::step],
        )
        world.stage(usage_events=Source(location=place))
        return rows(world.duck, "SELECT * FROM staged_usage_events ORDER BY ALL")

    assert staged_rows(False) == staged_rows(True)
