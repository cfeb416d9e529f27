"""Did a column change its unit on the way (seconds to milliseconds, dollars to cents)? Every window
across that day is wrong.

Growth is slow, a season returns, a large customer is one account, and a new mix of kinds leaves
each kind as it was. A unit changes overnight, for small values as for large ones, for every
account, by a number that units have, and stays. So the question is asked twice: of the months of
each kind, on a histogram of `log10 |value|` (one scan of a source), and only where those jump, of
the accounts that have values on both sides.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.windows import day_number, day_of
from models.shift import OTHER_UNIT
from pipeline.checking.evidence import EXAMPLES, LATEST, Evidence, view
from pipeline.checking.report import Finding
from pipeline.config.schema import ColumnRule
from pipeline.engine.duckdb import literal
from pipeline.staging.staged import StagedSource

Floats = NDArray[np.float64]

FACTORS: dict[str, dict[float, str]] = {
    "money": {
        100.0: "dollars to cents",
        1e3: "thousands to units",
        1e4: "",
        1e5: "lakhs to units",
        1e6: "millions to units",
        1e7: "crores to units",
        1e9: "billions to units",
    },
    "number": {
        24.0: "days to hours",
        60.0: "minutes to seconds, hours to minutes",
        100.0: "shares to percent",
        1e3: "seconds to milliseconds, thousands to units; 1,024: kilobytes to bytes",
        1440.0: "days to minutes",
        3600.0: "hours to seconds",
        1e4: "shares to basis points",
        6e4: "minutes to milliseconds",
        86400.0: "days to seconds",
        1e5: "lakhs to units",
        1e6: "seconds to microseconds, millions to units; 1,048,576: megabytes to bytes",
        3.6e6: "hours to milliseconds",
        1e7: "crores to units",
        8.64e7: "days to milliseconds",
        1e9: "seconds to nanoseconds, billions to units; 1,073,741,824: gigabytes to bytes",
    },
}
"""By a column's type, how many times larger the smaller unit makes a number, and which units these
are.

From `OTHER_UNIT` on: less is within what business does.
"""
PER_DECADE = 20
"""Of the histogram, to a power of ten: one is 12% wide."""
QUANTILES = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Of a month; further out one bill of a year among those of months moves a small table by itself.
"""
MEDIAN = 2
SIDE = 3
"""Months before and after that are compared, and that a change has to last (or to the end of the
data).
"""
LEAST_BEFORE = 2
FEWEST_A_MONTH, FEWEST_A_SIDE = 20, 50
"""Rows with a value other than 0; a month with fewer is passed over."""
FEWEST_BOTH, FEWEST_APART = 10, 20
"""Accounts with values on both sides, else (a table of new contracts) accounts on either side."""
# In powers of ten: how far a month may lie from its side, quantiles' shifts from each other, the
# shift from a unit's factor.
STEADY, ALIKE, NEAR = 0.5, 0.5, 0.15
MOVED = 0.75
"""Share of the accounts with values on both sides that have to show it."""
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class _Jump:
    """A change of size between months of one kind, not yet asked of the accounts; months are
    counted from year 0.
    """

    column: str
    kind: tuple[Any, ...]
    before: tuple[int, int]
    after: tuple[int, int]
    """First and last month of either side; a month between them holds both sizes."""


@dataclass(frozen=True)
class _Change:
    """A change of unit that the accounts confirm."""

    column: str
    kind: str
    first: date
    factor: float
    """Above 1 the numbers became larger."""
    typical_before: float
    typical_after: float
    moved: int
    accounts: int
    """Accounts that show it, of those with values on both sides (of either side where few have
    both).
    """


def unit_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about columns whose numbers are in another unit from some day on, one per column,
    month and factor.
    """
    for source in evidence.staged.values():
        changes = [
            change
            for jump in _jumps(evidence, source)
            if (change := _confirmed(evidence, source, jump)) is not None
        ]
        together: dict[tuple[str, int, int, float], list[_Change]] = {}
        for change in changes:
            together.setdefault(
                (change.column, change.first.year, change.first.month, change.factor), []
            ).append(change)
        for alike in together.values():
            yield _finding(source, alike)


# --- months
# ----------------------------------------------------------------------------------------


def _columns(source: StagedSource) -> dict[str, str]:
    """Mapped numeric columns, each with the time it belongs to: its own clock where it has one."""
    columns = {}
    for name, column in source.columns.items():
        own = source.contract.column(name)
        clock = (
            own.clock
            if own is not None and own.clock in source.columns and source.is_mapped(own.clock)
            else None
        )
        time = clock or source.contract.event_time
        if (
            column.type in ("money", "number")
            and column.is_mapped
            and time
            and source.is_mapped(time)
        ):
            columns[name] = time
    return columns


def _kinds(source: StagedSource) -> list[str]:
    """Columns whose values have a scale of their own each."""
    kinds = [s.kind for s in source.contract.streams if s.kind] + [
        c.name for c in source.contract.columns if c.name == "kind"
    ]
    kind_columns = [
        name
        for name in dict.fromkeys((*kinds, "scale"))
        if name in source.columns and source.is_mapped(name)
    ]
    return [*kind_columns, *(["partition_name"] if source.has_feeds else [])]


def _bin(column: str) -> str:
    return (
        f"case when f.{column} <> 0 then cast(floor(log10(abs(cast(f.{column} as double))) *"
        f" {PER_DECADE}) as integer) end"
    )


def _month(time: str) -> str:
    day = f"(date '1970-01-01' + cast(f.{time}_day as integer))"
    return f"year({day}) * {MONTHS_A_YEAR} + month({day}) - 1"


def _jumps(evidence: Evidence, source: StagedSource) -> list[_Jump]:
    """Jumps of any column and kind between one month and the next: one scan, and few rows leave the
    engine.
    """
    columns, kinds = _columns(source), _kinds(source)
    if not columns:
        return []
    names = ", ".join(literal(name) for name in columns)
    bins, months = (
        ", ".join(_bin(name) for name in columns),
        ", ".join(_month(time) for time in columns.values()),
    )
    keys = "".join(f", f.{kind}" for kind in kinds)
    plain = "".join(f", {kind}" for kind in kinds)
    reached = ", ".join(
        f"min(size) filter (so_far >= {q} * total) as q{i}" for i, q in enumerate(QUANTILES)
    )
    middle, wide = f"q{MEDIAN}", int(np.log10(OTHER_UNIT) * PER_DECADE) - 1
    last = evidence.end.year * MONTHS_A_YEAR + evidence.end.month - 1
    monthly = evidence.rows(f"""
with sized as (select unnest([{names}]) as name, unnest([{months}]) as month, unnest([{bins}])
  as size{keys}
  from {view(source)} f where {LATEST}),
counted as (select name{plain}, month, size, count(*) as n from sized where size is not null
  and month <= {last} group by all),
summed as (select *, sum(n) over (partition by name{plain}, month order by size) as so_far,
  sum(n) over (partition by name{plain}, month) as total from counted),
months as (select name{plain}, month, min(total) as total, {reached} from summed
  where total >= {FEWEST_A_MONTH}
  group by name{plain}, month)
select name{plain}, month, total, {", ".join(f"q{i}" for i in range(len(QUANTILES)))} from months
qualify max({middle}) over (partition by name{plain})
  - min({middle}) over (partition by name{plain}) >= {wide}
order by all""")
    series: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    at = 1 + len(kinds)
    for each in monthly:
        series.setdefault(each[:at], []).append(each[at:])
    return [
        jump
        for (name, *kind), rows in series.items()
        for jump in _jumps_of(name, tuple(kind), np.array(rows, dtype=float))
    ]


def _jumps_of(column: str, kind: tuple[Any, ...], rows: Floats) -> list[_Jump]:
    """Jumps of one series of months: month, rows, quantiles in bins.

    A month in which the unit changed holds both sizes; then the months around it are compared. It
    is tried second, since a change on the first of a month would look like one in the month before
    it as well.
    """
    months, totals, sizes = rows[:, 0].astype(int), rows[:, 1], rows[:, 2:] / PER_DECADE
    count = len(months)
    sharp = [i for i in range(LEAST_BEFORE, count) if _is_jump(sizes, totals, i, i)]
    taken = {i for i in sharp} | {i - 1 for i in sharp}
    mixed = [
        i
        for i in range(LEAST_BEFORE, count - 1)
        if i not in taken and _is_jump(sizes, totals, i, i + 1)
    ]
    jumps = sorted([(i, i) for i in sharp] + [(i, i + 1) for i in mixed])
    ups = [
        (months[stop], bool(sizes[start, MEDIAN] > sizes[stop - 1, MEDIAN]))
        for stop, start in jumps
    ]
    if any(_is_year_later(one, other) for one in ups for other in ups):
        return []
    return [
        _Jump(
            column,
            kind,
            (months[max(0, stop - SIDE)], months[stop - 1]),
            (months[start], months[min(count, start + SIDE) - 1]),
        )
        for stop, start in jumps
        if _lasts(sizes, stop, start)
    ]


def _is_jump(sizes: Floats, totals: Floats, stop: int, start: int) -> bool:
    """Whether the months up to `stop` (not with it) and those from `start` on lie a unit apart,
    small and large values alike.
    """
    before, after = slice(max(0, stop - SIDE), stop), slice(start, start + SIDE)
    if totals[before].sum() < FEWEST_A_SIDE or totals[after].sum() < FEWEST_A_SIDE:
        return False
    levels = np.median(sizes[before], axis=0), np.median(sizes[after], axis=0)
    shift = levels[1] - levels[0]
    if abs(float(np.median(shift))) < np.log10(OTHER_UNIT) - NEAR or np.ptp(shift) > ALIKE:
        return False
    return bool(
        np.abs(sizes[before] - levels[0]).max() <= STEADY
        and np.abs(sizes[after] - levels[1]).max() <= STEADY
    )


def _lasts(sizes: Floats, stop: int, start: int) -> bool:
    """Whether three months follow; fewer at the end of the data may be a peak, if such a one was
    there before.
    """
    level = float(np.median(sizes[start:, MEDIAN]))
    return len(sizes) - start >= SIDE or not bool(
        (np.abs(sizes[:stop, MEDIAN] - level) < STEADY).any()
    )


def _is_year_later(one: tuple[int, bool], other: tuple[int, bool]) -> bool:
    """Whether two changes in one direction are whole years apart, give or take a month: a
    season.
    """
    apart = abs(one[0] - other[0])
    return (
        one[1] == other[1]
        and apart >= MONTHS_A_YEAR - 1
        and min(apart % MONTHS_A_YEAR, -apart % MONTHS_A_YEAR) <= 1
    )


# --- accounts
# --------------------------------------------------------------------------------------


def _confirmed(evidence: Evidence, source: StagedSource, jump: _Jump) -> _Change | None:
    """The jump as a change of unit, if the accounts show it; None where other customers, or a few,
    explain it.
    """
    time = _columns(source)[jump.column]
    kinds = _kinds(source)
    same = "".join(
        f" and f.{name} is not distinct from {literal(value)}"
        for name, value in zip(kinds, jump.kind, strict=True)
    )
    days = [
        _first_day(jump.before[0]),
        _first_day(jump.before[1] + 1),
        _first_day(jump.after[0]),
        _first_day(jump.after[1] + 1),
    ]
    rows = (
        f"(select f.account_id, f.{time}_day as day, abs(f.{jump.column}) as value,"
        f" {_bin(jump.column)} as size, case when f.{time}_day < {days[1]} then 0 when f.{time}_day"
        f" >= {days[2]} then 1 end as side from {view(source)} f where {LATEST} and f.{jump.column}"
        f" <> 0 and f.{time}_day >= {days[0]} and f.{time}_day < {days[3]} and f.{time}_day <="
        f" {evidence.end_day}{same})"
    )
    sums = ", ".join(
        f"sum(size) filter (side = {side}) / count(*) filter (side = {side}) as mean_{side}"
        for side in (0, 1)
    )
    # A division by no rows is null in DuckDB, and NaN here.
    means = (
        np.array(
            evidence.rows(f"select {sums} from {rows} group by account_id order by 1, 2"),
            dtype=float,
        )
        / PER_DECADE
    )
    shift, moved, accounts = _shift_of_accounts(means)
    factor = _nearest_factor(shift, FACTORS[source.columns[jump.column].type])
    if factor is None:
        return None
    typical = dict(
        evidence.rows(
            f"select side, quantile_disc(value, 0.5) from {rows} where side is not null group by 1"
        )
    )
    unit = source.unit(jump.column)
    middle = float(np.nanmedian(means[:, 0])) + shift / 2
    first = _first_changed_day(evidence, rows, middle * PER_DECADE, is_up=shift > 0)
    kind = ", ".join(str(value) for value in jump.kind if value not in (None, ""))
    return _Change(
        jump.column,
        kind,
        day_of(first),
        factor if shift > 0 else 1 / factor,
        typical[0] / unit,
        typical[1] / unit,
        moved,
        accounts,
    )


def _shift_of_accounts(means: Floats) -> tuple[float, int, int]:
    """(powers of ten by which accounts moved, accounts that show it, of how many); a shift of 0
    where they do not agree.

    Compared is each account with itself, so that other customers after than before make no
    difference. Where hardly any has values on both sides (contracts, of which each account signs
    one) those before stand against those after.
    """
    both = means[~np.isnan(means).any(axis=1)]
    if len(both) >= FEWEST_BOTH:
        shifts = both[:, 1] - both[:, 0]
        shift = float(np.median(shifts))
        moved = int((shifts / shift > 0.5).sum()) if shift else 0
        return (shift, moved, len(both)) if moved >= MOVED * len(both) else (0.0, moved, len(both))
    sides = [means[~np.isnan(means[:, side]), side] for side in (0, 1)]
    accounts = sum(map(len, sides))
    if min(map(len, sides)) < FEWEST_APART:
        return 0.0, 0, accounts
    apart = np.subtract(*(np.quantile(side, QUANTILES[1:-1]) for side in sides[::-1]))
    return (float(np.median(apart)) if np.ptp(apart) <= ALIKE else 0.0), accounts, accounts


def _nearest_factor(shift: float, factors: Iterable[float]) -> float | None:
    """The factor that is meant by a shift in powers of ten, up or down; None if it is near none.

    >>> [_nearest_factor(size, (100.0, 1000.0)) for size in (2.95, -1.98, 2.4)]
    [1000.0, 100.0, None]
    """
    off, factor = min((abs(abs(shift) - float(np.log10(factor))), factor) for factor in factors)
    return factor if off <= NEAR else None


def _first_changed_day(evidence: Evidence, rows: str, middle: float, *, is_up: bool) -> int:
    """The day that parts the smaller from the larger values best."""
    later = ">" if is_up else "<="
    days = np.array(
        evidence.rows(
            f"select day, sum(case when size {later} {middle} then 1 else -1 end) from {rows} group"
            " by 1 order by 1"
        ),
        dtype=np.int64,
    )
    from_day_on = days[::-1, 1].cumsum()[::-1]
    return int(days[int(from_day_on.argmax()), 0])


def _first_day(month: int) -> int:
    year, of_year = divmod(month, MONTHS_A_YEAR)
    return day_number(date(year, of_year + 1, 1))


# --- words
# -----------------------------------------------------------------------------------------


def _finding(source: StagedSource, changes: Sequence[_Change]) -> Finding:
    largest = max(changes, key=lambda change: (change.accounts, change.kind))
    factor, column, first = largest.factor, largest.column, largest.first
    kinds = sorted(change.kind for change in changes if change.kind)
    of_kinds = (
        ""
        if not kinds
        else f" of {', '.join(kinds[:EXAMPLES])}"
        + (f" and {len(kinds) - EXAMPLES} more" if len(kinds) > EXAMPLES else "")
    )
    step = f"{factor:,.0f} times" if factor > 1 else f"1/{1 / factor:,.0f} of that"
    known = FACTORS[source.columns[column].type]
    meant = known[_nearest_factor(float(np.log10(factor)), known) or factor]
    way = f" ({meant}{'' if factor > 1 else ', the other way round'}?)" if meant else ""
    return Finding(
        "unit-changed",
        "stop",
        source.name,
        f"{column}{of_kinds} is in another unit from {first} on: typically"
        f" {_figure(largest.typical_before)} before and {_figure(largest.typical_after)} after,"
        f" about {step}{way}, small and large values alike",
        "A signal over both is wrong by that factor. Ask whoever makes the table; export one unit"
        f" throughout, or cut [sources.{source.name}] into two parts of one location, the first"
        f" with rows_until = {first}, the second with rows_from = {first} and"
        f" {_rule(source, column, factor)}.",
        largest.moved,
        largest.accounts,
        "accounts",
        tuple(
            f"{c.kind}: {_figure(c.typical_before)} before, {_figure(c.typical_after)} after"
            for c in changes[:EXAMPLES]
            if c.kind
        ),
    )


def _rule(source: StagedSource, column: str, factor: float) -> str:
    """The line of tenure.toml that brings the new numbers back to the old unit."""
    table = "extra" if source.columns[column].is_extra else "columns"
    rule = (source.settings.extra if table == "extra" else source.settings.columns).get(
        column, column
    )
    if isinstance(rule, ColumnRule):
        return f"scale = {rule.scale / factor:.9g} in the rule of {table}.{column}"
    return f'{table}.{column} = {{ column = "{rule}", scale = {1 / factor:.9g} }}'


def _figure(value: Any) -> str:
    return f"{float(value):,.4g}" if abs(value) < 1000 else f"{float(value):,.0f}"
