"""Tiny random tables in the form staging leaves them, and the real compile over them: shared by the
feature tests.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from features.build import FeaturePlan, plan_features
from features.sources import CONTRACTS
from pipeline.config.schema import Source
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import define_times, prepare, put_table, run_plan, source_facts
from pipeline.staging.staged import StagedColumn, StagedSource

Row = dict[str, Any]
FIRST_DAY = 19_359  # 2023-01-02
WINDOWS = (7, 28, 91)
# Names that read alike, hold quotes, or are a keyword: all of them occur in real logs.
KINDS = ("Add-on", "add on", "it's", "select")
# What a project declares of them.
KEY_FEATURES = (KINDS[0], KINDS[2], "never seen")
TROUBLE_EVENTS = (KINDS[1], KINDS[3])
FIRST_VALUE_EVENTS = (KINDS[2],)
PACE_CUTS = {"m1": tuple(range(0, 95, 5)), "m2": tuple(range(10, 200, 10))}
ACCOUNTS = ("A", "B", "C", "D")
_ARROW = {
    "text": pa.string(),
    "time": pa.timestamp("us"),
    "money": pa.int64(),
    "number": pa.int64(),
    "flag": pa.bool_(),
}


@dataclass(frozen=True)
class TinySource:
    """One staged source: its rows carry known_from, known_until and partition beside the contract's
    columns.
    """

    name: str
    contract: str
    rows: tuple[Row, ...]
    settings: Source = field(default_factory=Source)
    extra: tuple[tuple[str, str, int], ...] = ()
    """(column, type, decimals) beyond the contract."""
    unmapped: frozenset[str] = frozenset()

    def staged(self) -> StagedSource:
        """What later jobs know of it."""
        contract = CONTRACTS[self.contract]
        columns = {"account_id": _column("text", True)}
        for column in contract.columns:
            is_mapped = column.name not in self.unmapped
            columns[column.name] = _column(
                column.type, is_mapped, {"money": 2, "number": 1}.get(column.type, 0)
            )
        for name, type_, decimals in self.extra:
            columns[name] = replace(_column(type_, True, decimals), is_extra=True)
        return StagedSource(
            name=self.name,
            contract=contract,
            settings=self.settings,
            columns=columns,
            rows_read=len(self.rows),
            rows_left_out={},
            rows_bad={},
            rows_staged=len(self.rows),
            first_event=None,
            last_event=None,
            newest_known=None,
            has_known_at=True,
            notes=(),
            has_versions=any(r["known_until"] for r in self.rows),
            # Which feeds there are is declared, not read off the rows: a feed may have no row yet.
            data_until={"": date(2025, 1, 1), "north": date(2025, 1, 1)},
        )

    def arrow(self) -> pa.Table:
        """Its rows with staging's types."""
        columns = {n: c.type for n, c in self.staged().columns.items()}
        schema = pa.schema(
            [
                *((n, _ARROW[t]) for n, t in columns.items()),
                ("known_from", pa.timestamp("us")),
                ("known_until", pa.timestamp("us")),
                ("partition", pa.string()),
            ]
        )
        return pa.Table.from_pylist(
            [{n: r.get(n) for n in schema.names} for r in self.rows], schema=schema
        )


def _column(type_: str, is_mapped: bool, decimals: int = 0) -> StagedColumn:
    return StagedColumn(type_, decimals, is_mapped)  # type: ignore[arg-type]


World = dict[str, TinySource]
Snapshot = tuple[str, int, str]
"""account_id, as_of_day, feed."""


def compiled(world: World, choices: dict[str, Any]) -> FeaturePlan:
    """The plan of a world."""
    return plan_features(
        [source_facts(s.staged(), choices) for s in world.values()], window_days=WINDOWS
    )


def features_of(
    connection: Connection, world: World, snapshots: list[Snapshot], choices: dict[str, Any]
) -> tuple[pd.DataFrame, FeaturePlan]:
    """The feature table of the snapshots, through the real compile, and the plan it came from."""
    load(connection, world)
    put_table(
        connection,
        "snapshots",
        pd.DataFrame(snapshots, columns=["account_id", "as_of_day", "partition_name"]),
    )
    plan = compiled(world, choices)
    define_times(
        connection,
        plan,
        {n: s.staged() for n, s in world.items()},
        connection.execute("select distinct as_of_day, partition_name from snapshots").df(),
    )
    run_plan(connection, plan, "features")
    table = connection.execute("select * from features order by account_id, as_of_day").df()
    return table, plan


def load(connection: Connection, world: World) -> None:
    """Put every source into the connection as its `facts_` view."""
    for source in world.values():
        connection.register("incoming", source.arrow())
        connection.execute(
            f"create or replace temp table staged_{source.name} as select * from incoming"
        )
        connection.unregister("incoming")
        prepare(connection, source.staged(), f"staged_{source.name}")


def moment_of(day: int) -> datetime:
    """00:00 of a day number."""
    return datetime(1970, 1, 1) + timedelta(days=day)


def _known_on(day: int, **row: Any) -> Row:
    return {"partition": "", "known_from": moment_of(day), "known_until": None, **row}


# The account's first event, loaded when the worlds are half over.
LATE_BACKFILL: tuple[Row, ...] = (
    _known_on(
        FIRST_DAY + 120,
        account_id="B",
        event_time=moment_of(FIRST_DAY - 1_000),
        event_name=KINDS[0],
        quantity=10,
        user_id=None,
        session_id=None,
    ),
)
# A term long enough for a look a year back, and a later one that changes what is paid.
LONG_TERMS: tuple[Row, ...] = tuple(
    _known_on(
        day,
        account_id="C",
        starts_at=moment_of(day),
        ends_at=moment_of(FIRST_DAY + 700),
        is_trial=False,
        discount_share=share,
        amount_per_month=2_000 * share,
        seats=10 * share,
        auto_renew=True,
        notice_at=None,
        plan="basic",
    )
    for day, share in ((FIRST_DAY - 420, 1), (FIRST_DAY + 100, 2))
)


# --- random worlds
# ---------------------------------------------------------------------------------


def random_world(seed: int) -> World:
    """All contracts with a few rows each: versions, retractions, late rows, ties, two feeds, a
    silent stretch.
    """
    draw = _Draw(random.Random(seed))
    usage = TinySource(
        "usage_events",
        "usage_events",
        draw.usage(40) + draw.busy_feed() + draw.keen_person() + LATE_BACKFILL,
        extra=(("spent", "money", 2),),
    )
    world = [
        usage,
        TinySource(
            "clicks",
            "usage_events",
            draw.usage(12) + draw.keen_person(),
            extra=(("depth", "number", 1),),
        ),
        TinySource(
            "touchpoints",
            "touchpoints",
            draw.rows(
                25,
                kind=(
                    "meeting",
                    "mail_opened",
                    "mail_answered",
                    "training",
                    "mail_sent",
                    "business_review",
                    "community_post",
                ),
                person=("p", "q", None),
            ),
        ),
        TinySource(
            "invoices",
            "invoices",
            draw.timed(
                20,
                "issued_at",
                ("due_at", "paid_at", "failed_at", "reminded_at"),
                amount=(None, 0, -250, 999),
                overage=(None, 0, 300),
            ),
        ),
        TinySource(
            "support_tickets",
            "support_tickets",
            draw.timed(
                25,
                "opened_at",
                ("first_reply_at", "closed_at", "reopened_at", "rated_at"),
                severity=("low", "high", "urgent", None),
                rating=(None, 10, 30, 50),
                text_sentiment=(None, -6, 0, 9),
            ),
        ),
        TinySource(
            "surveys",
            "surveys",
            draw.timed(
                40,
                "answered_at",
                (),
                kind=("nps", "csat", "ces", "agree", None),
                version=("1", "2", None),
                score=(0, 70, 100),
                points=(None, 0, 500, 1000),
                nps_points=(None, 1000, 0, -1000),
                text_sentiment=(None, -5, 8),
            ),
        ),
        TinySource(
            "contacts",
            "contacts",
            draw.timed(
                12,
                "valid_from",
                ("valid_to",),
                person=("p", "q"),
                role=("champion", "sponsor", "user"),
            ),
        ),
        TinySource(
            "milestones",
            "milestones",
            draw.timed(12, "assigned_at", ("due_at", "reached_at"), milestone=("m1", "m2", "m3")),
        ),
        # Goals that nobody dated: known always.
        TinySource(
            "goals",
            "goals",
            draw.undated(
                draw.timed(12, "set_at", ("due_at", "met_at"), goal=("g",), value=(None, 500))
            ),
            unmapped=frozenset({"set_at"}),
        ),
        TinySource(
            "csm_notes",
            "csm_notes",
            draw.timed(
                16,
                "noted_at",
                ("expires_at",),
                pulse=(None, 10, 30, 50),
                text_sentiment=(None, -5, 8),
            ),
        ),
        TinySource(
            "accounts",
            "accounts",
            draw.timed(
                14,
                "valid_from",
                (),
                segment=("small", "large", None),
                plan=tuple("abcdefghij"),
                seats=(None, 30, 100),
                consent=(True, False),
                country=("X",),
            ),
        ),
        TinySource(
            "subscriptions",
            "subscriptions",
            draw.timed(
                14,
                "starts_at",
                ("ends_at", "notice_at"),
                amount_per_month=(None, 100, 2550),
                seats=(None, 10, 20),
                auto_renew=(True, False, None),
                is_trial=(True, False, False, None),
                discount_share=(None, 1, 2),
                plan=("basic", "plus", None),
            )
            + LONG_TERMS,
            settings=Source(convention=draw.random.choice(["fixed_term", "open_until_cancelled"])),
        ),
    ]
    return {s.name: s for s in world}


def choices_of(world: World) -> dict[str, Any]:
    """Frozen kinds and categories that exercise one-hot columns, ranks and unseen values."""
    return (
        {
            "usage_events": {
                "kinds": KINDS,
                "categories": {
                    "key_features": KEY_FEATURES,
                    "trouble_events": TROUBLE_EVENTS,
                    "first_value_events": FIRST_VALUE_EVENTS,
                },
            },
            "clicks": {"kinds": KINDS[:2], "categories": {}},
            "milestones": {
                "categories": {
                    f"pace_{step}": [str(cut) for cut in cuts] for step, cuts in PACE_CUTS.items()
                }
            },
            "touchpoints": {"kinds": ("mail_sent", "meeting"), "categories": {}},
            "accounts": {
                "categories": {
                    "segment": ["small", "large"],
                    "plan": list("jihgfedcb"),
                    "consent": ["true", "false"],
                }
            },
        }
        if world
        else {}
    )


def some_snapshots(seed: int, *, irregular: bool) -> list[Snapshot]:
    """A grid of three dates for all accounts, or dates of its own for each account."""
    draw = random.Random(seed + 1)
    feeds = {a: draw.choice(["", "north"]) for a in ACCOUNTS}
    if irregular:
        return [
            (a, d, feeds[a])
            for a in ACCOUNTS
            for d in sorted(draw.sample(range(FIRST_DAY + 30, FIRST_DAY + 200), 4))
        ]
    days = [FIRST_DAY + 60, FIRST_DAY + 88, FIRST_DAY + 150]
    feeds["nobody"] = ""
    return [(a, d, feeds[a]) for a in (*ACCOUNTS, "nobody") for d in days]


class _Draw:
    """Random rows; many times fall on midnights and on each other, where the edges are."""

    def __init__(self, seeded: random.Random) -> None:
        self.random = seeded

    def moment(self, first: int) -> datetime:
        """Midnight half of the time, else any second."""
        day = moment_of(
            FIRST_DAY + self.random.randint(first if self.random.random() < 0.3 else 0, 200)
        )
        if self.random.random() < 0.5:
            return day
        return day + timedelta(
            seconds=self.random.randint(0, 86_399), microseconds=self.random.choice([0, 999_999])
        )

    def usage(self, count: int) -> tuple[Row, ...]:
        return self.rows(
            count,
            event_name=(*KINDS, "rare", None),
            user_id=("u", "v", "w", None),
            session_id=("s", "t", None),
            session_minutes=(None, 0, 120, 455),
            quantity=(None, 0, 10, 25),
            spent=(None, -500, 1250, 99),
            depth=(None, 3, -7),
        )

    def rows(self, count: int, **values: tuple[Any, ...]) -> tuple[Row, ...]:
        return self.timed(count, "event_time", (), **values)

    def timed(
        self, count: int, event: str, later: tuple[str, ...], **values: tuple[Any, ...]
    ) -> tuple[Row, ...]:
        """Rows of one contract; each later time is at or after the event, or missing, or (planned)
        anywhere.
        """
        made: list[Row] = []
        # Old tables cover long windows, young ones do not.
        first = self.random.choice([-900, -900, 0])
        for _ in range(count):
            row: Row = {
                "account_id": self.random.choice(ACCOUNTS),
                "partition": self.random.choice(["", "north"]),
                event: self.moment(first),
            }
            row |= {name: self.random.choice(options) for name, options in values.items()}
            for name in later:
                row[name] = (
                    None
                    if self.random.random() < 0.4
                    else row[event]
                    + timedelta(
                        days=self.random.choice(
                            [self.random.randint(0, 80), self.random.randint(0, 900)]
                        ),
                        hours=self.random.choice([0, 0, 7]),
                    )
                )
            made += self._versions(row, event)
            if self.random.random() < 0.2:  # a tie in everything but the values
                made.append(
                    {
                        **made[-1],
                        **{n: self.random.choice(o) for n, o in values.items()},
                        "known_until": None,
                    }
                )
        return tuple(made)

    def _versions(self, row: Row, event: str) -> list[Row]:
        """One version, or one that was corrected, or one that was retracted; some known late, some
        ahead.
        """
        lag = self.random.choice(
            [timedelta(0), timedelta(0), timedelta(hours=5), timedelta(days=9), timedelta(days=-12)]
        )
        first = {**row, "known_from": row[event] + lag, "known_until": None}
        fate = self.random.random()
        if fate > 0.35:
            return [first]
        changed = first["known_from"] + timedelta(
            days=self.random.randint(1, 60), hours=self.random.choice([0, 3])
        )
        first["known_until"] = changed
        if fate < 0.12:
            return [first]
        return [
            first,
            {
                **row,
                event: row[event] - timedelta(days=self.random.choice([0, 0, 3])),
                "known_from": changed,
                "known_until": None,
            },
        ]

    def busy_feed(self) -> tuple[Row, ...]:
        """Six rows a day of one account, dead for 20 days (half of the worlds)."""
        if self.random.random() < 0.5:
            return ()
        times = [
            moment_of(FIRST_DAY + day) + timedelta(hours=hour)
            for day in range(20, 130)
            if day not in range(60, 80)
            for hour in range(6)
        ]
        return tuple(
            {
                "account_id": "D",
                "partition": "north",
                "event_time": time,
                "known_from": time,
                "known_until": None,
                "user_id": f"u{time.hour}",
                "event_name": "Add-on",
                "quantity": 10,
                "spent": 100,
            }
            for time in times
        )

    def keen_person(self) -> tuple[Row, ...]:
        """One person of one account, there nearly every day for three weeks, and often in
        trouble.
        """
        times = [
            moment_of(FIRST_DAY + day) + timedelta(hours=9) for day in range(38, 59) if day % 7 < 5
        ]
        return tuple(
            {
                "account_id": "A",
                "partition": "",
                "event_time": time,
                "known_from": time,
                "known_until": None,
                "user_id": "k",
                "event_name": KINDS[number % 2],
                "quantity": 10,
            }
            for number, time in enumerate(times)
        )

    def undated(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(
            {**row, "set_at": None, "known_from": None, "known_until": None} for row in rows
        )


# --- worlds with another future
# ----------------------------------------------------------------------


def without_future(world: World, day: int) -> World:
    """Every row that became known on or after the day deleted, every value blanked whose clock
    strikes then.
    """
    return {
        n: replace(
            s, rows=tuple(_blank(s, r, day) for r in s.rows if not _is_future(r["known_from"], day))
        )
        for n, s in world.items()
    }


def with_other_future(world: World, day: int, seed: int) -> World:
    """As `without_future`, then a future of another kind: corrections, early-dated rows, other
    outcomes, any order.
    """
    draw = random.Random(seed)
    changed: World = {}
    for name, source in without_future(world, day).items():
        rows: list[Row] = []
        for row in source.rows:
            row = dict(row)
            for column in CONTRACTS[source.contract].columns:
                clock = _clock(source, column.name)
                if column.name == clock and row.get(column.name) is None and draw.random() < 0.3:
                    row[column.name] = moment_of(day + draw.randint(0, 40))
                elif clock and column.name != clock and _is_future(row.get(clock), day):
                    row[column.name] = _garbage(column.type, draw)
            if row["known_until"] is None and row["known_from"] is not None and draw.random() < 0.4:
                row["known_until"] = moment_of(day + draw.randint(0, 30))
                if draw.random() < 0.7:
                    rows.append(
                        {
                            **row,
                            **_corrupted(source, draw),
                            "known_from": row["known_until"],
                            "known_until": None,
                        }
                    )
            rows.append(row)
        if source.rows and source.rows[0]["known_from"] is not None:
            # Backfills: dated in the past, known from the day on.
            rows += [
                {
                    **draw.choice(source.rows),
                    **_corrupted(source, draw),
                    "known_from": moment_of(day + draw.randint(0, 9)),
                    "known_until": None,
                }
                for _ in range(5)
            ]
        draw.shuffle(rows)
        changed[name] = replace(source, rows=tuple(rows))
    return changed


def shuffled(world: World, seed: int) -> World:
    """The same rows in another order."""
    draw = random.Random(seed)
    return {n: replace(s, rows=tuple(draw.sample(s.rows, len(s.rows)))) for n, s in world.items()}


def _is_future(moment: datetime | None, day: int) -> bool:
    return moment is not None and moment >= moment_of(day)


def _clock(source: TinySource, column: str) -> str | None:
    if (
        source.contract == "subscriptions"
        and column == "ends_at"
        and source.settings.convention == "fixed_term"
    ):
        return None
    found = CONTRACTS[source.contract].column(column)
    return found.clock if found else None


def _blank(source: TinySource, row: Row, day: int) -> Row:
    blanked = {
        **row,
        "known_until": None if _is_future(row["known_until"], day) else row["known_until"],
    }
    for column in CONTRACTS[source.contract].columns:
        clock = _clock(source, column.name)
        # A value whose clock never struck is not known either.
        if clock and (row.get(clock) is None or _is_future(row[clock], day)):
            blanked[column.name] = None
    return blanked


def _garbage(type_: str, draw: random.Random) -> Any:
    return {
        "text": draw.choice(["garbage", None]),
        "money": draw.randint(-(10**6), 10**6),
        "number": draw.randint(-99, 99),
        "flag": draw.random() < 0.5,
        "time": moment_of(19_300 + draw.randint(0, 300)),
    }[type_]


def _corrupted(source: TinySource, draw: random.Random) -> Row:
    found = {
        c.name: _garbage(c.type, draw)
        for c in CONTRACTS[source.contract].columns
        if c.name not in source.unmapped and draw.random() < 0.5
    }
    return found | {name: draw.randint(-50, 50) for name, _, _ in source.extra}
