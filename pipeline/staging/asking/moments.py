"""What a written time means: day or month first, rounded on its way, counted on a local clock."""

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from pipeline.engine.duckdb import literal
from pipeline.staging.asking.question import Opened, Question, Reading
from pipeline.staging.casts import HAS_OFFSET, INTEGERS, MICROSECONDS, text
from pipeline.staging.mapping import DAY_AND_MONTH, MappedColumn
from pipeline.staging.number_writing import SCIENTIFIC
from pipeline.staging.parts import MappedPart
from pipeline.staging.read import RawTable

FEWEST_DATES = 5
FEWEST_BESIDE = 20
NEARLY_ALL_PAIRS = 0.9
QUARTER = 15
"""Minutes: offsets of zones are whole quarters of an hour."""
LONGEST_OFFSET = 14 * 60
"""Minutes: no zone is farther from UTC."""
A_FEW_MINUTES = 2
SAMPLED_PAIRS = 5_000
HAPPENED = ("event_time", "starts_at", "issued_at", "opened_at", "answered_at", "created_at")
"""Columns that say when something happened; when a row arrived is written by another clock."""
ANY_ZONE_NAME = "Continent/City"
"""What the user replaces; it is no zone, so that the line as it stands is refused."""
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
    yield from _rounded(opened)
    yield from _on_a_local_clock(opened)


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
    unit = MICROSECONDS[str(column.epoch_unit)]
    mine = f"make_timestamp(CAST(TRY_CAST({own} AS DOUBLE) * {unit} AS BIGINT))"
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
            unit = next((u for u, top in _TOPS.items() if middle < top), "nanoseconds")
            yield (
                name,
                f"make_timestamp(CAST(TRY_CAST({value} AS DOUBLE) * {MICROSECONDS[unit]}"
                " AS BIGINT))",
            )


_TOPS = {"seconds": 1e11, "milliseconds": 1e14, "microseconds": 1e17}


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
