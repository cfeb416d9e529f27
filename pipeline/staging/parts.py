"""The files of a source brought to one shape: row rules, lookups, column agreement, zones."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from features.errors import ConfigError, ContractError
from features.sources import Contract
from pipeline.config.schema import Lookup, Project, Scalar, Source, SourcePart
from pipeline.engine.duckdb import Connection, columns_of, identifier, literal, row, rows
from pipeline.staging.casts import (
    FALSE_WORDS,
    NAIVE_TIMES,
    TRUE_WORDS,
    Physical,
    key_text,
    parts_of_cell,
    text,
    time_value,
    wall_clock,
)
from pipeline.staging.mapping import MappedColumn, mapped_columns, scalar_text
from pipeline.staging.read import RawTable, open_raw

# Beyond these years a zone's rules are guesses, and 9999-12-31 means "open" in many systems.
LAST_YEAR_WITH_ZONE_RULES = 2037
# Shown in errors and notes.
QUOTED = 3


COPY, ROW_OF_KEY = "tenure_copy_number", "tenure_row_of_key"
SEEN = "tenure_in_an_earlier_part"
"""Columns beside the user's own, where copies are left out."""


@dataclass(frozen=True)
class MappedPart:
    """One file or table of a source with its columns mapped, and the rules by which rows are left
    out.
    """

    raw: RawTable
    columns: dict[str, MappedColumn]
    left_out: tuple[tuple[str, str], ...]
    """(rule as told to people, SQL that is true for rows it leaves out), in the order they are
    applied.
    """

    @property
    def kept(self) -> str:
        """SQL that is true for rows that stay."""
        return " AND ".join(f"NOT ({condition})" for _, condition in self.left_out) or "true"


def mapped_parts(
    project: Project,
    source: Source,
    contract: Contract,
    data_dir: Path,
    connection: Connection,
    resources: ExitStack,
    notes: list[str],
) -> list[MappedPart]:
    """Every part of a source, mapped, with decimals and types agreed and time zones settled."""
    parts = source.parts or (SourcePart(location=str(source.location), table=source.table),)
    mapped: list[MappedPart] = []
    for part in parts:
        raw = open_raw(
            connection, part.location, part.table or source.table, source, data_dir, resources
        )
        for lookup in source.lookups:
            raw = _looked_up(connection, raw, lookup, source, data_dir, resources, notes)
        made = mapped_part(raw, source, part, contract, project.time_zone)
        mapped.append(_without_seen(made, mapped, source))
    _refuse_names_of_no_part(source, [part.raw for part in mapped])
    return _with_zones(connection, _agreed(mapped), source, notes)


def mapped_part(
    raw: RawTable, source: Source, part: SourcePart, contract: Contract, zone: str | None
) -> MappedPart:
    """One part, mapped; its time zones are not settled yet."""
    raw = answered(raw, source)
    raw = _numbered(raw) if source.drop_duplicates else raw
    raw = _numbered_by(raw, source) if source.one_row_per else raw
    raw, columns = mapped_columns(
        raw,
        contract,
        {**source.columns, **part.columns},
        {**source.extra, **part.extra},
        source,
        zone,
    )
    return MappedPart(raw, columns, tuple(_row_rules(raw, source, part, columns, contract)))


# --- lookups
# ---------------------------------------------------------------------------------------


def _looked_up(
    connection: Connection,
    raw: RawTable,
    lookup: Lookup,
    source: Source,
    data_dir: Path,
    resources: ExitStack,
    notes: list[str],
) -> RawTable:
    """The relation with the columns of another table beside it; as many rows as before, unless the
    lookup repeats.
    """
    other = open_raw(connection, lookup.location, lookup.table, source, data_dir, resources)
    pairs = [(raw.required(here), other.required(there)) for here, there in lookup.on.items()]
    keys = ", ".join(f"{there.sql} AS {_key(i)}" for i, (_, there) in enumerate(_comparable(pairs)))
    taken = [other.required(name) for name in lookup.take]
    for column in taken:
        if raw.column(column.name.strip("`")) is not None:
            raise ContractError(
                f"{raw.place} has a column {column.name} of its own, so the lookup in {other.place}"
                " cannot take one of that name. Take it out of take, or rename one of the two."
            )
    selected = ", ".join(column.sql for column in taken)
    looked_in = f"(SELECT {keys}, {selected} FROM {other.relation})"
    if not lookup.repeats:
        _refuse_repeated_keys(
            connection, looked_in, [f"{p.name.strip('`')}" for _, p in pairs], other.place
        )
    matches = " AND ".join(
        (
            f"here.{here.sql} = there.{_key(i)}"
            if here.sql.startswith('"')
            else f"{here.sql} = there.{_key(i)}"
        )
        for i, (here, _) in enumerate(_comparable(pairs))
    )
    joined = (
        f"(SELECT here.*, {', '.join(f'there.{c.sql}' for c in taken)} FROM {raw.relation} AS here "
        f"LEFT JOIN {looked_in} AS there ON {matches})"
    )
    unmatched = row(
        connection,
        f"SELECT count(*) FROM {raw.relation} AS here WHERE NOT EXISTS "
        f"(SELECT 1 FROM {looked_in} AS there WHERE {matches})",
    )[0]
    if unmatched:
        notes.append(
            f"{unmatched:,} rows of {raw.place} have no match in {other.place}; their "
            f"{', '.join(lookup.take)} are empty."
        )
    return replace(raw, relation=joined, columns=columns_of(connection, joined))


def _key(index: int) -> str:
    return f"lookup_key_{index}"


def _comparable(pairs: list[tuple[Physical, Physical]]) -> Iterator[tuple[Physical, Physical]]:
    """The pairs as they are where the types agree, else both as text (1752 here, '1752' there)."""
    for here, there in pairs:
        if here.type == there.type:
            yield here, there
        else:
            yield (
                Physical(f"({key_text(here)})", "VARCHAR", here.name),
                Physical(f"({key_text(there)})", "VARCHAR", there.name),
            )


def _refuse_repeated_keys(
    connection: Connection, looked_in: str, names: list[str], place: str
) -> None:
    keys = ", ".join(_key(i) for i in range(len(names)))
    is_given = " AND ".join(f"{_key(i)} IS NOT NULL" for i in range(len(names)))
    repeated = rows(
        connection,
        f"SELECT {keys}, count(*) FROM {looked_in} WHERE {is_given} GROUP BY {keys} "
        f"HAVING count(*) > 1 ORDER BY {keys} LIMIT {QUOTED}",
    )
    if repeated:
        examples = ", ".join(
            "/".join(str(v) for v in r[:-1]) + f" ({r[-1]} rows)" for r in repeated
        )
        raise ContractError(
            f"the lookup in {place} needs one row per {' and '.join(names)}; repeated: {examples}."
            " Name more columns in on, look up in a table without repeats, or say repeats = true"
            " where a row here is meant to be repeated for each."
        )


# --- copies
# ----------------------------------------------------------------------------------------


def _numbered(raw: RawTable) -> RawTable:
    """The rows with the number of each among those that equal it in every column."""
    listed = ", ".join(identifier(name) for name in raw.columns)
    numbered = (
        f"(SELECT *, row_number() OVER (PARTITION BY {listed}) AS {COPY} FROM {raw.relation} AS"
        " each_row)"
    )
    return replace(raw, relation=numbered)


def _without_seen(part: MappedPart, earlier: list[MappedPart], source: Source) -> MappedPart:
    """The part without rows that an earlier part holds: exports that overlap.

    `newest_by` compares rows of one part only.
    """
    key = [] if source.newest_by is not None else list(source.one_row_per)
    names = list(part.raw.columns) if source.drop_duplicates else key
    before = [each for each in earlier if set(names) <= set(each.raw.columns)]
    if not names or not before:
        return part
    listed = ", ".join(identifier(name) for name in names)
    seen = " UNION ".join(
        f"SELECT {listed} FROM {each.raw.relation} AS source_row WHERE {each.kept}"
        for each in before
    )
    alike = " AND ".join(
        f"here.{identifier(name)} IS NOT DISTINCT FROM there.{identifier(name)}" for name in names
    )
    has_key = " AND ".join(f"here.{identifier(name)} IS NOT NULL" for name in key) or "true"
    relation = (
        f"(SELECT here.*, there.{SEEN} IS NOT NULL AS {SEEN} FROM {part.raw.relation} AS here LEFT"
        f" JOIN (SELECT *, true AS {SEEN} FROM ({seen})) AS there ON {has_key} AND {alike})"
    )
    rule = "drop_duplicates" if source.drop_duplicates else f"one_row_per {', '.join(key)}"
    return replace(
        part,
        raw=replace(part.raw, relation=relation),
        left_out=(*part.left_out, (rule, SEEN)),
    )


def _numbered_by(raw: RawTable, source: Source) -> RawTable:
    """The rows with the place of each among those of one `one_row_per`: the newest first, then by
    all columns, so that the order of the file does not matter.
    """
    own = [raw.required(name).sql for name in source.one_row_per]
    keys, has_key = ", ".join(own), " AND ".join(f"{name} IS NOT NULL" for name in own)
    newest = [] if source.newest_by is None else [raw.required(source.newest_by)]
    order = ", ".join(
        [
            *(f"coalesce(TRY_CAST({c.sql} AS DOUBLE), 0) DESC, {c.sql} DESC" for c in newest),
            *(identifier(name) for name in raw.columns),
        ]
    )
    numbered = (
        f"(SELECT *, CASE WHEN {has_key} THEN row_number() OVER (PARTITION BY {keys} ORDER BY"
        f" {order}) ELSE 1 END AS {ROW_OF_KEY} FROM {raw.relation} AS each_row)"
    )
    return replace(raw, relation=numbered)


def answered(raw: RawTable, source: Source) -> RawTable:
    """The relation after what the project file says of single cells: `empty` and `split`."""
    changed = {}
    for name, values in source.empty.items():
        column = raw.column(name)
        if column is not None:
            is_empty = f"coalesce({_is_one_of(column, values)}, false)"
            changed[column.sql] = f"CASE WHEN {is_empty} THEN NULL ELSE {column.sql} END"
    relation = raw.relation
    if changed:
        listed = ", ".join(f"{value} AS {name}" for name, value in changed.items())
        relation = f"(SELECT * REPLACE ({listed}) FROM {relation} AS each_row)"
    columns = dict(raw.columns)
    for name, mark in source.split.items():
        column = raw.column(name)
        if column is not None:
            each = parts_of_cell(f"CAST({column.sql} AS VARCHAR)", mark)
            # An empty cell stays one row, to be judged as others are.
            relation = (
                f"(SELECT * REPLACE ({each} AS {column.sql}) FROM {relation} AS each_row"
                f" WHERE {column.sql} IS NOT NULL UNION ALL SELECT * REPLACE"
                f" (CAST({column.sql} AS VARCHAR) AS {column.sql}) FROM {relation} AS each_row"
                f" WHERE {column.sql} IS NULL)"
            )
            columns[column.name.strip("`")] = "VARCHAR"
    return replace(raw, relation=relation, columns=columns)


# --- rows left out by rule
# -------------------------------------------------------------------------


def _row_rules(
    raw: RawTable,
    source: Source,
    part: SourcePart,
    columns: dict[str, MappedColumn],
    contract: Contract,
) -> Iterator[tuple[str, str]]:
    """First rule that fits counts the row, so counts add up."""
    for place in (source, part):
        yield from _period_rules(place.rows_from, place.rows_until, columns, contract)
    for name in _present(raw, source, source.drop_missing):
        yield f"drop_missing {name}", f"{text(raw.required(name))} IS NULL"
    for name in _present(raw, source, tuple(source.keep)):
        yield (
            f"keep {name}",
            f"NOT coalesce({_is_one_of(raw.required(name), source.keep[name])}, false)",
        )
    for name in _present(raw, source, tuple(source.drop)):
        yield (
            f"drop {name}",
            f"coalesce({_is_one_of(raw.required(name), source.drop[name])}, false)",
        )
    if source.drop_duplicates:
        yield "drop_duplicates", f"{COPY} > 1"
    if source.one_row_per:
        yield f"one_row_per {', '.join(source.one_row_per)}", f"{ROW_OF_KEY} > 1"


def _present(raw: RawTable, source: Source, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that this part has; parts may call a column differently, so each name need fit one part
    only.
    """
    if not source.parts:
        return names
    return tuple(name for name in names if raw.column(name) is not None)


def _refuse_names_of_no_part(source: Source, raws: list[RawTable]) -> None:
    for name in (*source.drop_missing, *source.keep, *source.drop, *source.empty, *source.split):
        if not any(raw.column(name) is not None for raw in raws):
            raws[0].required(name)


def _is_one_of(column: Physical, values: tuple[Scalar, ...]) -> str:
    spelled = [each for value in values if isinstance(value, bool) for each in spellings(value)]
    listed = ", ".join(
        literal(scalar_text(value)) for value in values if not isinstance(value, bool)
    )
    by_day = column.type in (*NAIVE_TIMES, "DATE") and all(
        isinstance(value, date) for value in values
    )
    as_text = f"CAST(CAST({column.sql} AS DATE) AS VARCHAR)" if by_day else key_text(column)
    found = [f"{as_text} IN ({listed})"] if listed else []
    if spelled:
        # True and false stand in a file in any of their usual spellings.
        found.append(f"lower({as_text}) IN ({', '.join(map(literal, spelled))})")
    return f"({' OR '.join(found) or 'false'})"


def spellings(value: bool) -> tuple[str, ...]:
    """How true or false is spelled in files, in small letters."""
    return TRUE_WORDS if value else FALSE_WORDS


def _period_rules(
    first: date | None, until: date | None, columns: dict[str, MappedColumn], contract: Contract
) -> Iterator[tuple[str, str]]:
    """Days as the source's own clocks showed them: extracts are cut at local midnight, not at
    UTC's.

    Rows without a readable event time stay; they are judged as bad rows, not left out in silence.
    """
    if first is None and until is None:
        return
    event = columns.get(contract.event_time or "")
    if event is None or event.local is None:
        raise ContractError(
            f"rows_from and rows_until cut by {contract.event_time or 'an event time'}, which is"
            f" not mapped in this {contract.table} source."
        )
    shown = wall_clock(event.local, event.zone)
    if first is not None:
        yield f"rows_from {first}", f"coalesce({shown} < {literal(first)}, false)"
    if until is not None:
        yield f"rows_until {until}", f"coalesce({shown} >= {literal(until)}, false)"


# --- agreement between parts
# -----------------------------------------------------------------------


def _agreed(parts: list[MappedPart]) -> list[MappedPart]:
    """The parts with equal types and decimals per column; the larger number of decimals holds what
    all have.
    """
    decimals: dict[str, int] = {}
    types: dict[str, str] = {}
    for part in parts:
        for column in part.columns.values():
            decimals[column.name] = max(decimals.get(column.name, 0), column.decimals)
            if types.setdefault(column.name, column.type) != column.type:
                raise ContractError(
                    f"extra column {column.name} is {types[column.name]} in {parts[0].raw.place}"
                    " and "
                    f'{column.type} in {part.raw.place}. Declare its type = "...".'
                )
    return [
        replace(part, columns={n: _rescaled(c, decimals[n]) for n, c in part.columns.items()})
        for part in parts
    ]


def _rescaled(column: MappedColumn, decimals: int) -> MappedColumn:
    if column.rescaled is None or column.decimals == decimals:
        return column
    given, value = column.rescaled(decimals)
    return replace(column, decimals=decimals, given=given, value=value)


# --- time zones
# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _NaiveTimes:
    """What the naive values of one column look like."""

    has_time_of_day: bool
    example: datetime | None
    first: datetime | None
    last: datetime | None


def _with_zones(
    connection: Connection, parts: list[MappedPart], source: Source, notes: list[str]
) -> list[MappedPart]:
    """The parts with every time column's value settled.

    Naive values that are all midnight are days, and a day is taken as the UTC day of that name:
    moving 2024-05-01 to 2024-04-30 23:00 because the source sits in London would help nobody. One
    time of day anywhere in the column makes all of it clock times, which need a declared zone.
    """
    seen = [_naive_times(connection, part) for part in parts]
    settled = []
    for part, times in zip(parts, seen, strict=True):
        columns = dict(part.columns)
        for name, column in part.columns.items():
            if column.local is None:
                continue
            of_column = [s[name] for s in seen if name in s]
            is_clock = any(t.has_time_of_day for t in of_column)
            _refuse_unstated_zone(part, column, of_column, is_clock=is_clock)
            zone = column.zone if is_clock or column.zone_is_own else None
            if zone is not None and name in times:
                notes.extend(_summer_time_notes(connection, part, column, zone, times[name]))
            given, value = time_value(column.local, zone)
            columns[name] = replace(column, given=given, value=value)
        settled.append(replace(part, columns=columns))
    return settled


def _naive_times(connection: Connection, part: MappedPart) -> dict[str, _NaiveTimes]:
    naive = {
        n: c.local.naive
        for n, c in part.columns.items()
        if c.local is not None and c.local.naive is not None
    }
    if not naive:
        return {}
    asked = ", ".join(
        f"coalesce(bool_or({x} <> date_trunc('day', {x})), false), "
        f"min({x}) FILTER (WHERE {x} <> date_trunc('day', {x})), min({x}), max({x})"
        for x in naive.values()
    )
    found = row(
        connection, f"SELECT {asked} FROM {part.raw.relation} AS source_row WHERE {part.kept}"
    )
    return {name: _NaiveTimes(*found[4 * i : 4 * i + 4]) for i, name in enumerate(naive)}


def _refuse_unstated_zone(
    part: MappedPart, column: MappedColumn, times: list[_NaiveTimes], *, is_clock: bool
) -> None:
    if not is_clock or column.zone is not None:
        return
    example = next(t.example for t in times if t.has_time_of_day)
    raise ConfigError(
        f"{part.raw.place}, column {column.name}: times such as {example} carry no time zone, and"
        " none is declared. Declare the zone that the clocks of this source showed, in the source"
        ' or for the whole project: time_zone = "Europe/London" (any IANA name, or "UTC").'
    )


def _summer_time_notes(
    connection: Connection, part: MappedPart, column: MappedColumn, zone: str, times: _NaiveTimes
) -> Iterator[str]:
    """Sentences on local times that the zone skipped or showed twice."""
    if column.local is None or times.first is None or times.last is None or zone == "UTC":
        return
    skipped, repeated = _changes_of_clock(ZoneInfo(zone), times.first, times.last)
    for periods, words in (
        (skipped, "do not exist"),
        (repeated, "occur twice; the later one is taken"),
    ):
        if not periods:
            continue
        hits = " OR ".join(
            f"(t >= {literal(start)} AND t < {literal(end)})" for start, end in periods
        )
        count = row(
            connection,
            f"SELECT count(*) FROM (SELECT {column.local.naive} AS t FROM {part.raw.relation} "
            f"AS source_row WHERE {part.kept}) WHERE {hits}",
        )[0]
        if count:
            yield (
                f"{part.raw.place}, column {column.name}: {count:,} times {words} in {zone} (clocks"
                " change)."
            )


Periods = list[tuple[datetime, datetime]]


def _changes_of_clock(zone: ZoneInfo, first: datetime, last: datetime) -> tuple[Periods, Periods]:
    """(periods of local time that were skipped, periods that were shown twice) between two local
    times.

    London 2024: 03-31 01:00-02:00 was skipped, 10-27 01:00-02:00 came twice.
    """
    skipped: Periods = []
    repeated: Periods = []
    start = datetime(max(first.year, 1900), first.month, first.day) - timedelta(days=1)
    end = min(last, datetime(LAST_YEAR_WITH_ZONE_RULES, 12, 31)) + timedelta(days=1)
    while start < end:
        following = start + timedelta(days=1)
        before, after = _offset(zone, start), _offset(zone, following)
        if before != after:
            change = _moment_of_change(zone, start, following)
            low, high = sorted((change + before, change + after))
            (skipped if after > before else repeated).append((low, high))
        start = following
    return skipped, repeated


def _offset(zone: ZoneInfo, utc: datetime) -> timedelta:
    """How far the zone is from UTC at a moment given in UTC."""
    offset = utc.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta(0)


def _moment_of_change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first minute, in UTC, at which the zone has the offset it has at `high`."""
    target = _offset(zone, high)
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if _offset(zone, middle) == target else (middle, high)
    return high.replace(second=0, microsecond=0)


__all__ = ["QUOTED", "MappedPart", "mapped_part", "mapped_parts", "spellings"]
