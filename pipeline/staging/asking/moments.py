"""What a written time means: day or month first, rounded on its way, counted on a local clock."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from pipeline.config.checks import ANY_ZONE_NAME
from pipeline.config.schema import DAY_ZEROS, ColumnRule, Source
from pipeline.engine.duckdb import Connection, literal, row
from pipeline.staging.asking.question import Opened, Question, Reading
from pipeline.staging.casts import (
    BY_SIZE,
    HAS_OFFSET,
    INTEGERS,
    in_microseconds,
    text,
    unit_by_size,
)
from pipeline.staging.mapping import DAY_AND_MONTH, MappedColumn
from pipeline.staging.number_writing import SCIENTIFIC
from pipeline.staging.parts import MappedPart
from pipeline.staging.read import RawTable

FEWEST_DATES = 5
FEWEST_BESIDE = 20
NEARLY_ALL_PAIRS = 0.9
SINCE_1973, FAR_NANOSECOND = 100_000_000, 4_102_444_800_000_000_000
"""Numbers since 1970 that are moments in some unit: seconds of 1973 to nanoseconds of 2100."""
QUARTER = 15
"""Minutes: offsets of zones are whole quarters of an hour."""
LONGEST_OFFSET = 14 * 60
"""Minutes: no zone is farther from UTC."""
A_FEW_MINUTES = 2
SAMPLED_PAIRS = 5_000
HAPPENED = ("event_time", "starts_at", "issued_at", "opened_at", "answered_at", "created_at")
"""Columns that say when something happened; when a row arrived is written by another clock."""
BETWEEN_ZEROS = (DAY_ZEROS[1] - DAY_ZEROS[0]).days
CLEARLY_NEARER = 3
"""How many times nearer dates must lie to those beside them with the other day zero."""
SHORTEST_OFFSET = 60
"""Minutes: what lies nearer may be a habit, and is no zone that many live in."""
ARRIVED = re.compile(
    r"\w*(process(ed|ing)|api|server|receiv(ed|ing)|upload(ed)?|load(ed)?|ingest(ed|ion)?|arriv(ed|al)"
    r"|sync(ed)?|sent)_?(time(stamp)?|at|ts|date)?(_?(ms|millis|utc|gmt))?"
)
"""Columns that say when a row arrived, by the clock of whoever received it."""
# Zones that are tried by name where two columns of a row show how far a clock was from UTC.
KNOWN_ZONES = (
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Australia/Sydney",
    "Pacific/Auckland",
)


def moment_questions(opened: Opened) -> Iterator[Question]:
    """Questions about the times of one source."""
    if opened.source.day_first is None:
        yield from _day_or_month(opened)
    if opened.source.day_zero is None:
        yield from _from_another_day(opened)
    yield from _rounded(opened)
    yield from _in_several_units(opened)
    yield from _on_a_local_clock(opened)


def moment_notes(opened: Opened) -> Iterator[str]:
    """What was taken for certain of times, in sentences: the day that numbers count from, and units
    told by size.
    """
    source, told = opened.source, set[str]()
    for part, column in _times(opened):
        if column.from_column in told:
            continue
        told.add(column.from_column)
        zero = _day_zero(source, column.name)
        if zero is not None and source.day_zero is None and part.raw.day_zero is None:
            example = opened.row(
                f"SELECT min({column.shown}) FROM {part.raw.relation} AS source_row"
                f" WHERE {part.kept}"
            )[0]
            yield (
                f"{column.from_column} holds numbers of days such as {example}, taken to count"
                f" from {zero} as spreadsheets mostly do; day_zero = {_other_zero(zero)} reads them"
                f" {BETWEEN_ZEROS:,} days {'later' if zero == DAY_ZEROS[0] else 'earlier'}."
            )
        if column.epoch_unit == BY_SIZE:
            yield (
                f"{column.from_column} counts in several units since 1970, told apart by size:"
                f" {_shown_units(_units(opened, part, column))}."
            )


def _times(opened: Opened) -> Iterator[tuple[MappedPart, MappedColumn]]:
    for part in opened.parts:
        for column in part.columns.values():
            if column.local is not None:
                yield part, column


def _day_or_month(opened: Opened) -> Iterator[Question]:
    """`03/04/2024` where no value of any such column has a number above 12 in either place."""
    doubtful: list[tuple[MappedColumn, bool, int, str]] = []
    told: set[bool] = set()
    for part, column in _times(opened):
        order = DAY_AND_MONTH.search((column.local and column.local.format) or "")
        if order is None or order[1] == order[3] or "." in order[2]:
            continue  # between points the day is first
        numbers = f"regexp_extract_all({column.shown}, '\\d+')"
        first, second, dates, example = opened.row(
            f"SELECT max(TRY_CAST(n[1] AS BIGINT)), max(TRY_CAST(n[2] AS BIGINT)),"
            f" count(DISTINCT x) FILTER (n[1] <> n[2]), min(x) FILTER (n[1] <> n[2]) FROM (SELECT"
            f" {column.shown} AS x, {numbers} AS n FROM {part.raw.relation} AS source_row WHERE"
            f" {part.kept})"
        )
        is_day_first = order[1] == "%d"
        if max(first or 0, second or 0) > 12:
            told.add(is_day_first)
        elif dates >= FEWEST_DATES:
            doubtful.append((column, is_day_first, int(dates), str(example)))
    # One column tells the order of all that this table writes.
    wrong = [each for each in doubtful if not told or {each[1]} != told]
    if not wrong:
        return
    column, is_day_first, dates, example = wrong[0]
    one, other = (int(n) for n in re.findall(r"\d+", example)[:2])
    readings = (
        Reading("day_first", True, f"{example} is day {one} of month {other}"),
        Reading("day_first", False, f"{example} is day {other} of month {one}"),
    )
    yield Question(
        "day-or-month",
        opened.name,
        f"`{column.from_column}` holds {dates:,} dates such as {example}, and no number above 12 in"
        " either place",
        readings[::-1] if told == {False} else readings,
        ask="Is the day or the month first?",
        is_sure=len(told) == 1,
        count=dates,
        unit="dates",
    )


def _rounded(opened: Opened) -> Iterator[Question]:
    """Numbers since 1970 in scientific notation: a spreadsheet rounded them to hours or days."""
    for part, column in _times(opened):
        raw = part.raw.column(column.from_column) if column.epoch_unit else None
        if raw is None or not raw.is_text:
            continue
        value = text(raw)
        count, total, example = opened.row(
            f"SELECT count(*) FILTER (s), count(*), min(x) FILTER (s) FROM (SELECT {value} AS x,"
            f" regexp_matches({value}, {literal(SCIENTIFIC)}) AS s FROM {part.raw.relation} AS"
            f" source_row WHERE {part.kept} AND {value} IS NOT NULL)"
        )
        if not count:
            continue
        yield Question(
            "times-rounded",
            opened.name,
            f"`{column.from_column}` holds {count:,} of {total:,} moments such as {example}: long"
            " numbers rounded on their way, by hours or days",
            todo="The figures are lost in this file: export again with the column as text (in a"
            " spreadsheet format it as a number without decimals before saving). Accept the"
            " finding only where days do not matter.",
            count=count,
            total=total,
            examples=(str(example),),
        )
        return


# --- days counted from 1899 or from 1904
# ------------------------------------------------------------------


def _day_zero(source: Source, name: str) -> date | None:
    """The day from which the rule of a column counts days; None where it counts none."""
    rules = [source.columns.get(name), *(part.columns.get(name) for part in source.parts)]
    zeros = (rule.day_zero for rule in rules if isinstance(rule, ColumnRule))
    return next((zero for zero in zeros if zero is not None), None)


def _other_zero(zero: date) -> date:
    return DAY_ZEROS[1] if zero == DAY_ZEROS[0] else DAY_ZEROS[0]


def _speaks_for_the_other(gap: float, zero: date) -> bool:
    """Whether dates that lie `gap` days before what stands beside them lie much nearer to it if
    they are counted from the other day.
    """
    shift = BETWEEN_ZEROS if zero == DAY_ZEROS[0] else -BETWEEN_ZEROS
    return abs(gap - shift) * CLEARLY_NEARER < abs(gap)


def _from_another_day(opened: Opened) -> Iterator[Question]:
    """Numbers of days beside dates of the same row, or in a workbook that names its day zero."""
    for part, column in _times(opened):
        zero = _day_zero(opened.source, column.name)
        if zero is None:
            continue
        if part.raw.day_zero not in (None, zero):
            yield Question(
                "day-zero-of-numbers",
                opened.name,
                f"`{column.from_column}` holds numbers of days, and the workbook says that its"
                f" days count from {part.raw.day_zero}, not from {zero}",
                (Reading("day_zero", part.raw.day_zero, "as the workbook says"),),
                is_sure=True,
                unit="columns",
            )
            return
        for other in part.columns.values():
            if other.local is None or _day_zero(opened.source, other.name) is not None:
                continue
            beside = opened.relation(
                mine=column.name, other=other.name, shown=f"shown:{column.name}"
            )
            gap, both, example = opened.row(
                f"SELECT median(date_diff('day', mine, other)), count(*), min(shown) FROM {beside}"
                " WHERE mine IS NOT NULL AND other IS NOT NULL"
            )
            if both < FEWEST_DATES or not _speaks_for_the_other(gap, zero):
                continue
            yield _zero_question(
                opened.name,
                f"`{column.from_column}` holds numbers of days such as {example}; counted from"
                f" {zero} they lie {abs(gap):,.0f} days {'before' if gap > 0 else 'after'}"
                f" `{other.from_column}` of the same {both:,} rows (median)",
                zero,
                f"they lie {abs(abs(gap) - BETWEEN_ZEROS):,.0f} days from it then",
                "they are so far apart",
                int(both),
            )
            return


def _zero_question(
    source: str, what: str, zero: date, nearer: str, stays: str, count: int | None = None
) -> Question:
    return Question(
        "day-zero-of-numbers",
        source,
        what,
        (
            Reading("day_zero", _other_zero(zero), nearer),
            Reading("day_zero", zero, stays),
        ),
        ask="A spreadsheet counts days from the end of 1899, or, once on a Mac, from 1904: which?",
        count=count,
    )


@dataclass(frozen=True)
class TimesInSource:
    """The rows of a source by the times of one column of ours, `t` of the relation."""

    source: Source
    column: str
    relation: str


def dated_column(opened: Source, is_mapped: Mapping[str, object] | set[str]) -> str | None:
    """The column of a source that says when its rows happened: one of numbers of days first."""
    happened = [name for name in HAPPENED if name in is_mapped]
    counted = [name for name in happened if _day_zero(opened, name) is not None]
    return next(iter([*counted, *happened]), None)


def day_zeros_between(
    connection: Connection, dated: Mapping[str, TimesInSource]
) -> Iterator[Question]:
    """Sources of numbers of days that end years away from all sources of plain dates, and near
    them when they are counted from the other day.
    """
    last = {
        name: row(connection, f"SELECT CAST(quantile_disc(t, 0.99) AS DATE) FROM {each.relation}")[
            0
        ]
        for name, each in dated.items()
    }
    zeros = {name: _day_zero(each.source, each.column) for name, each in dated.items()}
    plain = [(last[name], name) for name, zero in zeros.items() if zero is None and last[name]]
    if not plain:
        return
    newest, beside = max(plain)
    for name, zero in zeros.items():
        if zero is None or dated[name].source.day_zero is not None or last[name] is None:
            continue
        gap = (newest - last[name]).days
        if not _speaks_for_the_other(gap, zero):
            continue
        shift = timedelta(days=BETWEEN_ZEROS if zero == DAY_ZEROS[0] else -BETWEEN_ZEROS)
        yield _zero_question(
            name,
            f"{dated[name].column} of {name} counts days from {zero}, and then ends on"
            f" {last[name]}, {abs(gap):,} days {'before' if gap > 0 else 'after'} {beside}",
            zero,
            f"it ends on {last[name] + shift} then, {beside} on {newest}",
            f"it ends {abs(gap):,} days away from {beside}",
        )


# --- numbers since 1970
# ------------------------------------------------------------------


def _units(opened: Opened, part: MappedPart, column: MappedColumn) -> list[tuple[str, int, str]]:
    """(unit by size, numbers, one of them) of a column of numbers since 1970; the commonest first.
    Zero and less are nobody's moment.
    """
    number = f"TRY_CAST({text(part.raw.required(column.from_column))} AS DOUBLE)"
    return opened.rows(
        f"SELECT {unit_by_size('x')} AS unit, count(*), CAST(CAST(min(x) AS BIGINT) AS VARCHAR)"
        f" FROM (SELECT {number} AS x FROM {part.raw.relation} AS source_row WHERE {part.kept})"
        f" WHERE x >= {SINCE_1973} AND x < {FAR_NANOSECOND} GROUP BY 1 ORDER BY 2 DESC, 1"
    )


def _shown_units(units: list[tuple[str, int, str]]) -> str:
    return ", ".join(f"{count:,} of {unit} such as {example}" for unit, count, example in units)


def _in_several_units(opened: Opened) -> Iterator[Question]:
    """Numbers since 1970 of which some count in another unit than declared."""
    for part, column in _times(opened):
        if column.epoch_unit in (None, BY_SIZE):
            continue
        units = _units(opened, part, column)
        others = sum(count for unit, count, _ in units if unit != column.epoch_unit)
        if not others:
            continue
        rule: ColumnRule = next(
            each
            for each in (
                opened.source.columns.get(column.name),
                *(p.columns.get(column.name) for p in opened.source.parts),
            )
            if isinstance(each, ColumnRule)
        )
        yield Question(
            "units-of-moments",
            opened.name,
            f"`{column.from_column}` counts {column.epoch_unit} since 1970 by the project file, and"
            f" holds {_shown_units(units)}",
            (
                Reading(
                    f"columns.{column.name}",
                    {"value": str(rule.value), "plus": rule.plus, "plus_unit": BY_SIZE},
                    "each number in the unit that its size says",
                ),
            ),
            count=others,
            total=sum(count for _, count, _ in units),
        )
        return


def _on_a_local_clock(opened: Opened) -> Iterator[Question]:
    """Seconds since 1970 that a local clock was read for, as if it had shown UTC."""
    for part, column in _times(opened):
        if column.epoch_unit is None or column.local is None or column.local.aware is None:
            continue
        if column.name in opened.source.epochs_in or column.name not in HAPPENED:
            continue
        beside = _beside(opened, part, column)
        if beside is None and not _is_mixpanel(part.raw):
            continue
        name = column.from_column
        real = Reading("epochs_in", _answer(opened, column, "UTC"), "they are real moments")
        if beside is None:
            yield Question(
                "epochs-of-a-clock",
                opened.name,
                f"`{name}` counts since 1970, and Mixpanel counted on the clock of the project's"
                " zone in projects made before 2023",
                (
                    real,
                    Reading(
                        "epochs_in",
                        _answer(opened, column, ANY_ZONE_NAME),
                        "the zone of your Mixpanel project",
                    ),
                ),
                ask="Real moments, or a local clock? By hours off, every time of day and some days"
                " would be wrong",
                unit="columns",
            )
        else:
            yield beside
        return


def _beside(opened: Opened, part: MappedPart, column: MappedColumn) -> Question | None:
    """Another time of the same rows from which the clock differs by the offset of a zone."""
    own = text(part.raw.required(column.from_column))
    moment = in_microseconds(f"TRY_CAST({own} AS DOUBLE)", str(column.epoch_unit))
    mine = f"make_timestamp(CAST({moment} AS BIGINT))"
    for name, other in _other_moments(opened, part, column.from_column):
        pairs = opened.rows(
            f"SELECT mine, CAST(round(date_diff('second', other, mine) / 60.0) AS BIGINT) FROM"
            f" (SELECT {mine} AS mine, {other} AS other FROM {part.raw.relation} AS source_row"
            f" WHERE {part.kept}) WHERE mine IS NOT NULL AND other IS NOT NULL"
            f" LIMIT {SAMPLED_PAIRS}"
        )
        # What is written down later stands minutes after: only whole quarters are of a zone.
        quarters = [QUARTER * round(minutes / QUARTER) for _, minutes in pairs]
        shifts = [
            quarter
            for (_, minutes), quarter in zip(pairs, quarters, strict=True)
            if abs(minutes - quarter) <= A_FEW_MINUTES
            and SHORTEST_OFFSET <= abs(quarter) <= LONGEST_OFFSET
        ]
        if len(pairs) < FEWEST_BESIDE or len(shifts) < NEARLY_ALL_PAIRS * len(pairs):
            continue
        told = " or ".join(f"{minutes / 60:+g}" for minutes in sorted(set(shifts)))
        if len(set(shifts)) > 2:
            continue
        zones = [zone for zone in KNOWN_ZONES if _explains(zone, pairs)]
        return Question(
            "epochs-of-a-clock",
            opened.name,
            f"`{column.from_column}` differs by {told} hours from `{name}` on {len(shifts):,} of"
            f" {len(pairs):,} rows, as a local clock does from UTC",
            (
                *(
                    Reading(
                        "epochs_in",
                        _answer(opened, column, zone),
                        f"both then agree on {len(shifts):,} rows",
                    )
                    for zone in zones or [ANY_ZONE_NAME]
                ),
                Reading(
                    "epochs_in",
                    _answer(opened, column, "UTC"),
                    f"they are real moments, and `{name}` is not",
                ),
            ),
            ask="Was a local clock read? By hours off, every time of day and some days would be"
            " wrong",
            count=len(shifts),
            total=len(pairs),
        )
    return None


def _answer(opened: Opened, column: MappedColumn, zone: str) -> dict[str, str]:
    return {**opened.source.epochs_in, column.name: zone}


def _other_moments(opened: Opened, part: MappedPart, own: str) -> Iterator[tuple[str, str]]:
    """Other columns of the table that hold moments: name, SQL of a timestamp in UTC."""
    for name, type_ in part.raw.columns.items():
        small = re.sub(r"[^a-z0-9]+", "_", name.rpartition(".")[2].lower()).strip("_")
        if name == own or not ARRIVED.fullmatch(small):
            continue
        if type_ not in (*INTEGERS, "VARCHAR", "DOUBLE", "TIMESTAMP WITH TIME ZONE"):
            continue
        value = text(part.raw.required(name))
        middle, lettered, filled = opened.row(
            f"SELECT median(TRY_CAST(x AS DOUBLE)), count(*) FILTER (regexp_matches(x,"
            f" {literal(HAS_OFFSET)})), count(x) FROM (SELECT {value} AS x FROM"
            f" {part.raw.relation} AS source_row WHERE {part.kept})"
        )
        if type_ == "TIMESTAMP WITH TIME ZONE" or (filled and lettered == filled):
            yield name, f"timezone('UTC', TRY_CAST({value} AS TIMESTAMPTZ))"
        elif middle is not None and middle > 9e8:
            moment = in_microseconds(f"TRY_CAST({value} AS DOUBLE)", BY_SIZE)
            yield name, f"make_timestamp(CAST({moment} AS BIGINT))"


def _explains(zone: str, pairs: list[tuple[object, int]]) -> bool:
    """Whether the clock of a zone shows just what the numbers are off by, on nearly all rows."""
    place = ZoneInfo(zone)
    right = 0
    for stamp, minutes in pairs:
        offset = stamp.replace(tzinfo=place).utcoffset()  # type: ignore[attr-defined]
        right += abs(offset.total_seconds() / 60 - minutes) <= A_FEW_MINUTES
    return right >= NEARLY_ALL_PAIRS * len(pairs)


def _is_mixpanel(raw: RawTable) -> bool:
    names = {name.rpartition(".")[2] for name in raw.columns}
    return "distinct_id" in names and bool(names & {"$insert_id", "insert_id"})
