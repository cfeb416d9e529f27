"""Signals of dated facts: one pass into bins, then windows as sums of bins.

For each stream (usage, tickets opened, tickets closed, ...) at most five shapes of query exist:

    binned    account x bin x visible_day -> counts, sums, extremes, active days   (one scan of the
        facts)
    windows   sums of bins per account and as_of; `ever` the same over all history
    seen      account x value x visible_day -> day last seen, valid until it is seen again (exact
        users, sessions)
    values    account x value x bin x visible_day x until_day, where corrections may take facts back
    latest    the newest row per snapshot

Accounts go by a number of their own, which hashes faster than text and drops those nobody asked
about. Everything is plain integer SQL in the subset that DuckDB and Spark read alike; the only
doubles are made by the last division. `docs/explanation/feature_speed.md` says what was measured.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import partial

from features.definition import Card, Measure, Signal, signal_of
from features.facts import SourceFacts, SqlStep, both, finish, words_guard
from features.naming import column_name, slug
from features.sources import Contract, MinutesBetween, Stream
from features.sql import literal
from features.windows import (
    NEVER,
    edge_column,
    flag_column,
    last_seen_in,
    seen_by,
    seen_while,
    since_first_of,
    within_reach,
)

ACCOUNTS, ASKED, CELLS = "asked_accounts", "asked", "cells"
"""Steps that every plan begins with: a number per account, the snapshots with it, bins per as_of
and window.
"""


def _kind_filter(column: str | None, kinds: tuple[str, ...]) -> str:
    """Condition that keeps facts of these kinds; empty: all."""
    if not kinds:
        return ""
    return f"f.{column} in ({', '.join(literal(k) for k in kinds)})"


def _partial(function: str, value: str, condition: str) -> str:
    """An aggregate over the facts that meet the condition."""
    return (
        f"{function}(case when {condition} then {value} end)"
        if condition
        else f"{function}({value})"
    )


@dataclass(frozen=True)
class _Atom:
    """One number kept per bin, and how bins combine."""

    name: str
    partial: str
    combine: str


class _StreamBuilder:
    """Collects what the cards of one stream need, then writes its queries."""

    def __init__(self, source: SourceFacts, stream: Stream, *, own_dates: bool) -> None:
        self.source, self.stream, self.own_dates = source, stream, own_dates
        self.key = slug(f"{source.name}_{stream.name}") if stream.name else slug(source.name)
        self.binned: dict[str, _Atom] = {}
        self.days: dict[str, str] = {}
        self.distinct: dict[str, tuple[str, str]] = {}
        self.latest: dict[str, tuple[str, str, int]] = {}
        self.wanted: dict[str, set[tuple[str, int | None, bool]]] = {}

    # --- what a card asks for -------------------------------------------------------------

    def _want(self, table: str, atom: str, window: int | None, *, before: bool = False) -> str:
        """Note that a window of an atom is needed; returns its expression in the last query."""
        self.wanted.setdefault(table, set()).add((atom, window, before))
        return f"{table}.{_windowed_name(atom, window, before)}"

    def _want_bins(self, atom: _Atom, window: int | None, before: bool) -> str:
        self.binned[atom.name] = atom
        return self._want(
            f"{'e' if window is None else 'w'}_{self.key}", atom.name, window, before=before
        )

    def atom(
        self,
        kind: str,
        column: str | None,
        kinds: tuple[str, ...],
        window: int | None,
        before: bool = False,
    ) -> str:
        """Expression for a count, sum, extreme or day of the binned facts."""
        condition = _kind_filter(self.stream.kind, kinds)
        value = f"f.{column}" if column else "1"
        partials = {
            "n": (_partial("count", "1", condition), "sum"),
            "values": (_partial("count", value, condition), "sum"),
            # Engines differ in the type of a sum of whole numbers; it is one of 64 bits on all of
            # them here.
            "sum": (f"cast({_partial('sum', value, condition)} as bigint)", "sum"),
            "max": (_partial("max", value, condition), "max"),
            "min": (_partial("min", value, condition), "min"),
            "last": (_partial("max", "f.event_day", condition), "max"),
            "first": (_partial("min", "f.event_day", condition), "min"),
        }
        name = self._name(kind, column, kinds)
        return self._want_bins(_Atom(name, *partials[kind]), window, before)

    def day_atom(self, kinds: tuple[str, ...], window: int | None, before: bool = False) -> str:
        """Expression for the number of active days."""
        name, condition = self._name("days", None, kinds), _kind_filter(self.stream.kind, kinds)
        if self.source.is_versioned:
            # A retracted fact may take its day away again, so days are counted one by one.
            self.distinct[name] = ("event_day", condition)
            return self._want(f"{name}_{self.key}", name, window, before=before)
        self.days[name] = condition
        return self._want_bins(_Atom(name, "", "sum"), window, before)

    def distinct_atom(self, column: str, kinds: tuple[str, ...], window: int | None) -> str:
        """Expression for the exact number of different values."""
        name = self._name("different", column, kinds)
        self.distinct[name] = (column, _kind_filter(self.stream.kind, kinds))
        return self._want(f"{name}_{self.key}", name, window)

    def latest_atom(self, column: str, kinds: tuple[str, ...], window: int) -> str:
        """Expression for the newest value inside the window."""
        name = f"{self._name('latest', column, kinds)}_{window}"
        self.latest[name] = (column, _kind_filter(self.stream.kind, kinds), window)
        return f"{name}_{self.key}.{name}"

    @staticmethod
    def _name(kind: str, column: str | None, kinds: tuple[str, ...]) -> str:
        # The mark keeps kinds apart that read alike (`Add-on`, `add on`; `a`, `b` and `a b`).
        marks = [hashlib.sha256(json.dumps(kinds).encode()).hexdigest()[:6]] if kinds else []
        parts = [kind, *([slug(column)] if column else []), *(slug(k) for k in kinds)]
        return "_".join([column_name("", "", "_".join(parts), None), *marks])

    # --- the queries ----------------------------------------------------------------------

    def steps(self) -> list[SqlStep]:
        """Intermediate tables of this stream, in order."""
        steps = []
        if self.binned:
            steps.append(SqlStep(f"b_{self.key}", self._binned()))
        if f"w_{self.key}" in self.wanted:
            steps.append(self._windows(f"w_{self.key}", f"b_{self.key}"))
        if f"e_{self.key}" in self.wanted:
            steps.append(self._ever())
        for name, (column, condition) in self.distinct.items():
            steps += (
                self._values(name, column, condition)
                if self.source.is_versioned
                else self._seen(name, column, condition)
            )
        for name, (column, condition, window) in self.latest.items():
            steps.append(
                SqlStep(f"{name}_{self.key}", self._latest(name, column, condition, window))
            )
        return steps

    def tables(self) -> list[str]:
        """Tables the last query joins."""
        distinct = [f"{name}_{self.key}" for name in self.distinct]
        return [
            *(t for t in self.wanted if t not in distinct),
            *distinct,
            *(f"{name}_{self.key}" for name in self.latest),
        ]

    def _facts(self) -> str:
        """One row per fact: account, event day, its bin, the day it became visible, kind, user,
        numbers.
        """
        columns = dict.fromkeys(
            [
                c
                for c in (self.stream.kind, self.stream.user, "session_id")
                if c and c in self.source.mapped
            ]
        )
        numbers = []
        for number in self.stream.numbers:
            if isinstance(number, MinutesBetween):
                minutes = f"cast(floor((t.{number.end} - t.{number.start}) / 6e7) as bigint)"
                numbers.append(f"{minutes} as {number.name}")
            elif number in self.source.mapped:
                numbers.append(f"t.{number}")
        numbers += [f"t.{n}" for n in self.source.extra_numbers if not self.stream.name]
        event = self.stream.event_time
        until = (
            f", coalesce(u.visible_day, {NEVER}) as until_day" if self.source.is_versioned else ""
        )
        join_until = (
            "left join calendar u on u.day = t.known_until_day" if self.source.is_versioned else ""
        )
        chosen = ", ".join([*(f"t.{c}" for c in columns), *numbers])
        return f"""
  select a.account_no, t.{event} as event_us, t.{event}_day as event_day, e.bin_day, e.day_bit,
    v.visible_day{until},
    t.known_from as known_us{", " + chosen if chosen else ""}
  from {self.source.table} t
  join {ACCOUNTS} a on a.account_id = t.account_id
  join calendar e on e.day = t.{event}_day
  join calendar v on v.day = case when t.known_from_day > t.{event}_day then t.known_from_day
    else t.{event}_day end
  {join_until}
  where v.visible_day < {NEVER}
"""

    @property
    def _until(self) -> str:
        return ", until_day" if self.source.is_versioned else ""

    def _binned(self) -> str:
        """Atoms per bin, accounts together: sums over neighbours stay in the processor's cache."""
        partials = [
            f"{a.partial} as {a.name}" for a in self.binned.values() if a.name not in self.days
        ]
        bits = [
            f"{_partial('bit_or', 'f.day_bit', condition)} as bits_{name}"
            for name, condition in self.days.items()
        ]
        keys = f"account_no, bin_day, visible_day{self._until}"
        rows = f"""
select {keys},
  {f",{chr(10)}  ".join([*partials, *bits])}
from ({self._facts()}) f
group by {keys}"""
        if not self.days:
            return f"{rows}\norder by account_no"
        # Each day of a bin is one bit. A day counts with its first fact: bits already set by rows
        # visible earlier are not new, so late facts add no second day and the numbers of new days
        # add up.
        before = [
            f"coalesce(bit_or(g.bits_{name}) over (partition by g.account_no, g.bin_day order by"
            f" g.visible_day rows between unbounded preceding and 1 preceding), 0) as set_{name}"
            for name in self.days
        ]
        new = [
            f"cast(bit_count(coalesce(h.bits_{name}, 0) | h.set_{name}) - bit_count(h.set_{name})"
            f" as bigint) as {name}"
            for name in self.days
        ]
        kept = [
            f"h.{a}"
            for a in (
                "account_no",
                "bin_day",
                "visible_day",
                *(n for n in self.binned if n not in self.days),
            )
        ]
        return f"""
select {", ".join([*kept, *new])}
from (select g.*, {", ".join(before)} from ({rows}) g) h
order by account_no"""

    def _windows(self, table: str, bins: str) -> SqlStep:
        """Windows of all atoms of one table of bins, per account and as_of."""
        columns = []
        for atom, window, before in sorted(self.wanted[table], key=str):
            columns.append(
                f"{self._over_bins(atom, window, before)} as {_windowed_name(atom, window, before)}"
            )
        chosen = ",\n  ".join(columns)
        reach = max(
            (2 if before else 1) * int(window or 0) for _, window, before in self.wanted[table]
        )
        seen = partial(seen_by, "b", versioned=self.source.is_versioned)
        if any(window is None for _, window, _ in self.wanted[table]):
            # All history has no cells: bins out of every window's reach count too.
            joined = f"join {ASKED} s on s.account_no = b.account_no and {seen('s')}\nleft join"
            dates, where = "s", ""
        elif self.own_dates:
            # Most accounts have no snapshot on most dates: only pairs that were asked for.
            joined = f"join {ASKED} s on s.account_no = b.account_no and {seen('s')}\njoin"
            dates, where = "s", ""
        else:
            joined, dates, where = (
                "join",
                "c",
                f"\nwhere {seen('c')} and {within_reach('c', reach)}",
            )
        on = f"c.bin_day = b.bin_day{' and c.as_of_day = s.as_of_day' if dates == 's' else ''}"
        return SqlStep(
            table,
            f"""
select b.account_no, {dates}.as_of_day,
  {chosen}
from {bins} b
{joined} {CELLS} c on {on}{where}
group by 1, 2""",
        )

    def _over_bins(self, atom: str, window: int | None, before: bool) -> str:
        flag = None if window is None else f"c.{flag_column(window, before=before)}"
        if atom in self.distinct:
            return (
                f"count(distinct case when {flag} = 1 then b.value end)"
                if flag
                else "count(distinct b.value)"
            )
        combine = self.binned[atom].combine
        if combine == "sum":
            # A product costs half of a case; the flag is 0 or 1.
            return f"sum(b.{atom} * {flag})"
        return f"{combine}(case when {flag} = 1 then b.{atom} end)"

    def _ever(self) -> SqlStep:
        """Atoms over all history per snapshot; bins are added up first, since no window tells them
        apart.
        """
        table = f"e_{self.key}"
        atoms = sorted({atom for atom, _, _ in self.wanted[table]})
        inner = ", ".join(f"{self._whole(atom, f'g.{atom}')} as {atom}" for atom in atoms)
        outer = ",\n  ".join(
            f"{self._whole(atom, f'b.{atom}')} as {_windowed_name(atom, None, False)}"
            for atom in atoms
        )
        keys = f"account_no, visible_day{self._until}"
        return SqlStep(
            table,
            f"""
select s.account_no, s.as_of_day,
  {outer}
from (select {keys}, {inner} from b_{self.key} g group by {keys}) b
join {ASKED} s on s.account_no = b.account_no
  and {seen_by("b", "s", versioned=self.source.is_versioned)}
group by 1, 2""",
        )

    def _whole(self, atom: str, value: str) -> str:
        combine = self.binned[atom].combine
        return f"cast(sum({value}) as bigint)" if combine == "sum" else f"{combine}({value})"

    def _condition(self, column: str, condition: str) -> str:
        return " and ".join(c for c in (condition, f"f.{column} is not null") if c)

    def _seen(self, name: str, column: str, condition: str) -> list[SqlStep]:
        """Exact number of different values per window, without listing them per bin.

        Windows end at as_of, so a value lies in one exactly when the last day on which it was seen
        does. That day holds from the date it became visible until the value is seen again: one row
        decides all windows.
        """
        table = f"{name}_{self.key}"
        rows = f"""
  select f.account_no, f.{column} as value, f.visible_day, max(f.event_day) as last_day
  from ({self._facts()}) f
  where {self._condition(column, condition)}
  group by 1, 2, 3"""
        spans = f"""
select g.account_no, g.visible_day,
  coalesce(lead(g.visible_day) over (partition by g.account_no, g.value order by g.visible_day),
    {NEVER}) as until_day,
  max(g.last_day) over (partition by g.account_no, g.value order by g.visible_day
    rows between unbounded preceding and current row) as last_day
from ({rows}) g"""
        windows = sorted(self.wanted[table], key=str)
        counted = [
            _partial("count", "1", last_seen_in("b", "s", w) if w else "") for _, w, _ in windows
        ]
        chosen = ",\n  ".join(
            f"{n} as {_windowed_name(*which)}" for n, which in zip(counted, windows, strict=True)
        )
        longest = max(w or NEVER for _, w, _ in windows)
        reach = "" if longest == NEVER else f" and {last_seen_in('b', 's', longest)}"
        return [
            SqlStep(f"b_{table}", spans),
            SqlStep(
                table,
                f"""
select s.account_no, s.as_of_day,
  {chosen}
from b_{table} b
join {ASKED} s on s.account_no = b.account_no and {seen_while("b", "s")}{reach}
group by 1, 2""",
            ),
        ]

    def _values(self, name: str, column: str, condition: str) -> list[SqlStep]:
        """Different values where corrections may take facts back: counted one by one."""
        table = f"{name}_{self.key}"
        keys = f"f.account_no, f.bin_day, f.visible_day, f.until_day, f.{column}"
        rows = f"""
select f.account_no, f.bin_day, f.visible_day, f.until_day, f.{column} as value
from ({self._facts()}) f
where {self._condition(column, condition)}
group by {keys}"""
        return [SqlStep(f"b_{table}", rows), self._windows(table, f"b_{table}")]

    def _latest(self, name: str, column: str, condition: str, window: int) -> str:
        return f"""
select r.account_no, r.as_of_day, r.value as {name}
from (
  select s.account_no, s.as_of_day, f.{column} as value, row_number() over (
    partition by s.account_no, s.as_of_day order by f.event_us desc, f.known_us desc,
      f.{column} desc) as position
  from {ASKED} s
  join ({self._facts()}) f on f.account_no = s.account_no
    and {seen_by("f", "s", versioned=self.source.is_versioned)}
    and {since_first_of("f", "s", window)}
  where {self._condition(column, condition)}
) r
where r.position = 1"""


def _windowed_name(atom: str, window: int | None, before: bool) -> str:
    if window is None:
        return f"{atom}_ever"
    return f"{atom}_{window}_before" if before else f"{atom}_{window}"


def _measure_sql(builder: _StreamBuilder, measure: Measure, window: int | None) -> tuple[str, int]:
    """The value of a measure over one window, and the longest window it reads."""
    kinds, column = measure.kinds, measure.column
    reach = window or 0
    match measure.kind:
        case "count":
            return builder.atom("n", None, kinds, window), reach
        case "total":
            return builder.atom("sum", column, kinds, window), reach
        case "mean":
            n = builder.atom("values", column, kinds, window)
            return f"{builder.atom('sum', column, kinds, window)} / nullif({n} * 1e0, 0e0)", reach
        case "largest":
            return builder.atom("max", column, kinds, window), reach
        case "smallest":
            return builder.atom("min", column, kinds, window), reach
        case "distinct":
            return builder.distinct_atom(str(column), kinds, window), reach
        case "distinct_days":
            return builder.day_atom(kinds, window), reach
        case "latest":
            return builder.latest_atom(str(column), kinds, int(window or 0)), reach
        case "days_since":
            return f"s.as_of_day - {builder.atom('last', None, kinds, None)}", 0
        case "age_days":
            return f"s.as_of_day - {builder.atom('first', None, kinds, None)}", 0
        case "mean_gap_days":
            return _mean_gap(builder, kinds), 0
        case "silence_ratio":
            since = f"(s.as_of_day - {builder.atom('last', None, kinds, None)})"
            return f"{since} / nullif({_mean_gap(builder, kinds)}, 0e0)", 0
        case "share":
            part, whole = (
                builder.atom("n", None, kinds, window),
                builder.atom("n", None, (), window),
            )
            return f"coalesce({part}, 0) / nullif({whole} * 1e0, 0e0)", reach
        case "change":
            return _change(builder, column, kinds, int(window or 0)), 2 * reach
    raise AssertionError(measure.kind)


def _blank_when_empty(
    builder: _StreamBuilder, measure: Measure, window: int | None, value: str
) -> str:
    """Sums of bins are 0 where nothing happened; a card that means something else by that must see
    null.
    """
    if measure.kind == "total":
        values = builder.atom("values", measure.column, measure.kinds, window)
        return f"case when {values} > 0 then {value} end"
    return (
        f"nullif({value}, 0)" if measure.kind in ("count", "distinct", "distinct_days") else value
    )


def _mean_gap(builder: _StreamBuilder, kinds: tuple[str, ...]) -> str:
    last, first = builder.atom("last", None, kinds, None), builder.atom("first", None, kinds, None)
    return f"(({last} - {first}) / nullif(({builder.day_atom(kinds, None)} - 1) * 1e0, 0e0))"


def _change(
    builder: _StreamBuilder, column: str | None, kinds: tuple[str, ...], window: int
) -> str:
    def side(*, before: bool) -> str:
        if column == "days":
            value = builder.day_atom(kinds, window, before)
        elif column is None:
            value = builder.atom("n", None, kinds, window, before)
        else:
            value = builder.atom("sum", column, kinds, window, before)
        return f"coalesce({value}, 0)"

    now, before = side(before=False), side(before=True)
    # Amounts can be negative (credit notes), so the divisor is the sum of sizes.
    return f"({now} - {before}) / nullif((abs({now}) + abs({before})) * 1e0, 0e0)"


def _guard_of_all_history(measure: Measure) -> str:
    """What must hold where there is no window: time since the last fact means nothing while the
    feed is dead.
    """
    return "alive" if measure.kind in ("days_since", "silence_ratio") else "begun"


def _stream_of(contract: Contract, name: str) -> Stream:
    return next(s for s in contract.streams if s.name == name)


def _is_possible(card: Card, source: SourceFacts, stream: Stream) -> bool:
    """Whether the columns that the card reads are mapped."""
    spans = {n.name: (n.start, n.end) for n in stream.numbers if isinstance(n, MinutesBetween)}
    needs = {stream.event_time}
    if card.measure.kinds:
        needs.add(str(stream.kind))
    column = card.measure.column
    if column and column != "days":
        needs |= set(spans.get(column, (column,)))
    return needs <= source.mapped


def _scale(source: SourceFacts, measure: Measure) -> float:
    """What a stored whole number is divided by to get the unit people use."""
    if measure.kind in ("total", "mean", "largest", "smallest", "latest") and measure.column:
        return float(source.unit(measure.column))
    return 1.0


def stream_signals(
    source: SourceFacts, cards: list[Card], taken: set[str], *, own_dates: bool
) -> tuple[list[SqlStep], list[str], list[tuple[Signal, str]], set[int]]:
    """Steps, tables to join, (signal, expression) pairs and windows of one source's streams.

    `own_dates`: accounts have dates of their own, so that most pairs of account and date were not
    asked for.
    """
    builders: dict[str, _StreamBuilder] = {}
    columns: list[tuple[Signal, str]] = []
    windows: set[int] = set()
    dates = f"dates_{slug(source.name)}"
    for card in cards:
        stream = _stream_of(source.contract, card.stream)
        if not _is_possible(card, source, stream):
            continue
        builder = builders.setdefault(
            card.stream, _StreamBuilder(source, stream, own_dates=own_dates)
        )
        for window in card.days or (None,):
            value, reach = _measure_sql(builder, card.measure, window)
            if card.when_empty != 0:
                value = _blank_when_empty(builder, card.measure, window, value)
            if reach:
                windows |= {int(window or 0), reach}
            edge = edge_column(reach) if reach else _guard_of_all_history(card.measure)
            guard = both(f"{dates}.{edge}", words_guard(source, stream.kind, card.measure.kinds))
            name = column_name(source.name, source.contract.table, card.name, window, taken)
            taken.add(name)
            expression = finish(
                value, scale=_scale(source, card.measure), when_empty=card.when_empty, guard=guard
            )
            columns.append((_signal(card, source, name, window), expression))
    steps = [step for b in builders.values() for step in b.steps()]
    tables = [table for b in builders.values() for table in b.tables()]
    return steps, tables, columns, windows


def _signal(card: Card, source: SourceFacts, column: str, window: int | None) -> Signal:
    driver = column_name(source.name, source.contract.table, card.name, None)
    measure = card.measure
    definition = {
        "source": source.name,
        "contract": source.contract.table,
        "stream": card.stream,
        "measure": measure.kind,
        "number": measure.column,
        "kinds": list(measure.kinds),
        "window_days": window,
        "decimals": source.decimals.get(measure.column or "", 0),
    }
    return signal_of(
        card,
        column=column,
        driver=driver,
        source=source.name,
        definition=definition,
        window_days=window,
    )
