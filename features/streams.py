"""Signals of dated facts: one pass into bins, then windows as sums of bins.

For each stream (usage, tickets opened, tickets closed, ...) at most four shapes of query exist:

    binned    account x bin x visible_day -> counts, sums, extremes      (one scan of the facts)
    days      account x bin x visible_day -> number of active days       (a day is seen with its first fact)
    distinct  account x value x bin x visible_day                        (exact users, sessions, kinds)
    latest    the newest row per snapshot

Everything is plain integer SQL in the subset that DuckDB and Spark read alike; the only doubles are
made by the last division.
"""

import hashlib
import json
from dataclasses import dataclass

from features.definition import Card, Measure, Signal
from features.facts import SourceFacts, Step, finish, literal
from features.naming import column_name, slug
from features.sources import Contract, Span, Stream
from features.windows import NEVER, edge_column, in_window, in_window_before, seen_by


def _kind_filter(column: str | None, kinds: tuple[str, ...]) -> str:
    """Condition that keeps facts of these kinds; empty: all."""
    if not kinds:
        return ""
    return f"f.{column} in ({', '.join(literal(k) for k in kinds)})"


def _partial(function: str, value: str, condition: str) -> str:
    """An aggregate over the facts that meet the condition."""
    return f"{function}(case when {condition} then {value} end)" if condition else f"{function}({value})"


@dataclass(frozen=True)
class _Atom:
    """One number kept per bin, and how bins combine."""

    name: str
    partial: str
    combine: str


class _StreamBuilder:
    """Collects what the cards of one stream need, then writes its queries."""

    def __init__(self, source: SourceFacts, stream: Stream) -> None:
        self.source, self.stream = source, stream
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

    def atom(self, kind: str, column: str | None, kinds: tuple[str, ...], window: int | None, before: bool = False) -> str:
        """Expression for a count, sum, extreme or day of the binned facts."""
        condition = _kind_filter(self.stream.kind, kinds)
        value = f"f.{column}" if column else "1"
        partials = {
            "n": (_partial("count", "1", condition), "sum"),
            "values": (_partial("count", value, condition), "sum"),
            "sum": (_partial("sum", value, condition), "sum"),
            "max": (_partial("max", value, condition), "max"),
            "min": (_partial("min", value, condition), "min"),
            "last": (_partial("max", "f.event_day", condition), "max"),
            "first": (_partial("min", "f.event_day", condition), "min"),
        }
        name = self._name(kind, column, kinds)
        partial, combine = partials[kind]
        self.binned[name] = _Atom(name, partial, combine)
        return self._want(f"w_{self.key}", name, window, before=before)

    def day_atom(self, kinds: tuple[str, ...], window: int | None, before: bool = False) -> str:
        """Expression for the number of active days."""
        name = self._name("days", None, kinds)
        self.days[name] = _kind_filter(self.stream.kind, kinds)
        return self._want(f"{name}_{self.key}", name, window, before=before)

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

    def steps(self) -> list[Step]:
        """Intermediate tables of this stream, in order."""
        steps = [Step(f"stream_{self.key}", self._facts())]
        if self.binned:
            steps.append(Step(f"b_{self.key}", self._binned()))
            steps.append(self._windowed(f"w_{self.key}", f"b_{self.key}"))
        for name, condition in self.days.items():
            bins = f"b_{name}_{self.key}"
            steps.append(Step(bins, self._binned_days(name, condition)))
            steps.append(self._windowed(f"{name}_{self.key}", bins))
        for name, (column, condition) in self.distinct.items():
            bins = f"b_{name}_{self.key}"
            steps.append(Step(bins, self._binned_values(column, condition)))
            steps.append(self._windowed(f"{name}_{self.key}", bins))
        for name, (column, condition, window) in self.latest.items():
            steps.append(Step(f"{name}_{self.key}", self._latest(name, column, condition, window)))
        return steps

    def tables(self) -> list[str]:
        """Tables the last query joins."""
        return [s.name for s in self.steps() if s.name.startswith(("w_", "days", "different", "latest"))]

    def _facts(self) -> str:
        """One row per fact: account, event day, day it became visible, kind, user, numbers."""
        columns = dict.fromkeys(
            [c for c in (self.stream.kind, self.stream.user, "session_id") if c and c in self.source.mapped]
        )
        numbers = []
        for number in self.stream.numbers:
            if isinstance(number, Span):
                minutes = f"cast(floor((t.{number.end} - t.{number.start}) / 6e7) as bigint)"
                numbers.append(f"{minutes} as {number.name}")
            elif number in self.source.mapped:
                numbers.append(f"t.{number}")
        numbers += [f"t.{n}" for n in self.source.extra_numbers if not self.stream.name]
        event = self.stream.event_time
        until = ", u.visible_day as until_day" if self.source.is_versioned else ""
        join_until = "left join calendar u on u.day = t.known_until_day" if self.source.is_versioned else ""
        chosen = ", ".join([*(f"t.{c}" for c in columns), *numbers])
        return f"""
select t.account_id, t.{event} as event_us, t.{event}_day as event_day, e.bin_day, v.visible_day{until},
  t.known_from as known_us{', ' + chosen if chosen else ''}
from {self.source.table} t
join calendar e on e.day = t.{event}_day
join calendar v on v.day = case when t.known_from_day > t.{event}_day then t.known_from_day else t.{event}_day end
{join_until}
where v.visible_day < {NEVER}"""

    @property
    def _versioned_keys(self) -> str:
        return f", coalesce(f.until_day, {NEVER}) as until_day" if self.source.is_versioned else ""

    @property
    def _group(self) -> str:
        return "1, 2, 3, 4" if self.source.is_versioned else "1, 2, 3"

    def _binned(self) -> str:
        partials = ",\n  ".join(f"{a.partial} as {a.name}" for a in self.binned.values())
        return f"""
select f.account_id, f.bin_day, f.visible_day{self._versioned_keys},
  {partials}
from stream_{self.key} f
group by {self._group}"""

    def _binned_days(self, name: str, condition: str) -> str:
        """Days per bin; a day becomes visible with its first fact, so late facts add no second day."""
        where = f"where {condition}" if condition else ""
        if self.source.is_versioned:
            # A retracted fact may take its day away again, so days are counted one by one later.
            return f"""
select f.account_id, f.bin_day, f.visible_day{self._versioned_keys}, f.event_day as value
from stream_{self.key} f {where}
group by 1, 2, 3, 4, 5"""
        return f"""
select d.account_id, d.bin_day, d.visible_day, count(*) as {name}
from (
  select f.account_id, f.bin_day, f.event_day, min(f.visible_day) as visible_day
  from stream_{self.key} f {where}
  group by 1, 2, 3
) d
group by 1, 2, 3"""

    def _binned_values(self, column: str, condition: str) -> str:
        where = " and ".join(c for c in (condition, f"f.{column} is not null") if c)
        keys = f"f.account_id, f.bin_day, f.visible_day{self._versioned_keys}, f.{column} as value"
        return f"select {keys}\nfrom stream_{self.key} f where {where}\ngroup by {self._group}, {4 + self.source.is_versioned}"

    def _windowed(self, table: str, bins: str) -> Step:
        """Windows of all atoms of one table of bins, per snapshot."""
        columns = []
        for atom, window, before in sorted(self.wanted[table], key=str):
            columns.append(f"{self._over_bins(atom, window, before)} as {_windowed_name(atom, window, before)}")
        chosen = ",\n  ".join(columns)
        return Step(table, f"""
select s.account_id, s.as_of_day,
  {chosen}
from snapshots s
join dates_{slug(self.source.name)} d on d.as_of_day = s.as_of_day and d.partition_name = s.partition_name
join {bins} b on b.account_id = s.account_id and {seen_by('b', 's', versioned=self.source.is_versioned)}
group by 1, 2""")

    def _over_bins(self, atom: str, window: int | None, before: bool) -> str:
        if window is None:
            condition = ""
        elif before:
            condition = in_window_before("b", "d", window)
        else:
            condition = in_window("b", "d", window)
        if atom in self.distinct or (atom in self.days and self.source.is_versioned):
            return f"count(distinct case when {condition} then b.value end)" if condition else "count(distinct b.value)"
        combine = self.binned[atom].combine if atom in self.binned else "sum"
        return _partial(combine, f"b.{atom}", condition)

    def _latest(self, name: str, column: str, condition: str, window: int) -> str:
        where = f"and {condition}" if condition else ""
        return f"""
select r.account_id, r.as_of_day, r.value as {name}
from (
  select s.account_id, s.as_of_day, f.{column} as value, row_number() over (
    partition by s.account_id, s.as_of_day order by f.event_us desc, f.known_us desc, f.{column} desc) as position
  from snapshots s
  join dates_{slug(self.source.name)} d on d.as_of_day = s.as_of_day and d.partition_name = s.partition_name
  join stream_{self.key} f on f.account_id = s.account_id and {seen_by('f', 's', versioned=False)}
    and f.event_day >= d.{edge_column(window)}{self._not_superseded}
  where f.{column} is not null {where}
) r
where r.position = 1"""

    @property
    def _not_superseded(self) -> str:
        return " and (f.until_day is null or s.as_of_day < f.until_day)" if self.source.is_versioned else ""


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
            part, whole = builder.atom("n", None, kinds, window), builder.atom("n", None, (), window)
            return f"coalesce({part}, 0) / nullif({whole} * 1e0, 0e0)", reach
        case "change":
            return _change(builder, column, kinds, int(window or 0)), 2 * reach
    raise AssertionError(measure.kind)


def _mean_gap(builder: _StreamBuilder, kinds: tuple[str, ...]) -> str:
    last, first = builder.atom("last", None, kinds, None), builder.atom("first", None, kinds, None)
    return f"(({last} - {first}) / nullif(({builder.day_atom(kinds, None)} - 1) * 1e0, 0e0))"


def _change(builder: _StreamBuilder, column: str | None, kinds: tuple[str, ...], window: int) -> str:
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
    """What must hold where there is no window: time since the last fact means nothing while the feed is dead."""
    return "alive" if measure.kind in ("days_since", "silence_ratio") else "begun"


def _stream_of(contract: Contract, name: str) -> Stream:
    return next(s for s in contract.streams if s.name == name)


def _is_possible(card: Card, source: SourceFacts, stream: Stream) -> bool:
    """Whether the columns that the card reads are mapped."""
    spans = {n.name: (n.start, n.end) for n in stream.numbers if isinstance(n, Span)}
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
        return float(10 ** source.decimals.get(measure.column, 0))
    return 1.0


def stream_signals(
    source: SourceFacts, cards: list[Card], taken: set[str]
) -> tuple[list[Step], list[str], list[tuple[Signal, str]], set[int]]:
    """Steps, tables to join, (signal, expression) pairs and windows of one source's streams."""
    builders: dict[str, _StreamBuilder] = {}
    columns: list[tuple[Signal, str]] = []
    windows: set[int] = set()
    dates = f"dates_{slug(source.name)}"
    for card in cards:
        stream = _stream_of(source.contract, card.stream)
        if not _is_possible(card, source, stream):
            continue
        builder = builders.setdefault(card.stream, _StreamBuilder(source, stream))
        for window in card.days or (None,):
            value, reach = _measure_sql(builder, card.measure, window)
            if reach:
                windows |= {int(window or 0), reach}
            guard = f"{dates}.{edge_column(reach) if reach else _guard_of_all_history(card.measure)}"
            name = column_name(source.name, source.contract.table, card.name, window, taken)
            taken.add(name)
            expression = finish(value, scale=_scale(source, card.measure), when_empty=card.when_empty, guard=guard)
            columns.append((_signal(card, source, name, window), expression))
    steps = [step for b in builders.values() for step in b.steps()]
    tables = [table for b in builders.values() for table in b.tables()]
    return steps, tables, columns, windows


def _signal(card: Card, source: SourceFacts, column: str, window: int | None) -> Signal:
    driver = column_name(source.name, source.contract.table, card.name, None)
    measure = card.measure
    definition = {
        "source": source.name, "contract": source.contract.table, "stream": card.stream, "measure": measure.kind,
        "number": measure.column, "kinds": list(measure.kinds), "window_days": window,
        "decimals": source.decimals.get(measure.column or "", 0),
    }
    return Signal(
        column=column, driver=driver, dimension=card.dimension, source=source.name, meaning=card.meaning,
        unit=card.unit, phrase=card.phrase, window_days=window, when_empty=card.when_empty, worse=card.worse,
        is_leading=card.is_leading, is_clock=measure.kind in ("age_days",), definition=definition,
    )
