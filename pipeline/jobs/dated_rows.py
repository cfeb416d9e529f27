"""The dated rows behind a signal of one account: what happened, when, in which source, as it was
known on a date.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from features.definition import Signal
from features.naming import facts_table
from features.sql import literal
from features.windows import day_number, day_of, known_by
from pipeline.engine.duckdb import Connection, rows
from pipeline.staging.staged import StagedSource

SHOWN_ROWS = 5
"""Newest rows that are listed of each source."""
_OF_THE_LAST = ("days_since", "latest")
"""Measures that read the newest row alone."""


@dataclass(frozen=True)
class DatedRow:
    """One row: the day it happened on, and what it is."""

    day: date
    said: str


@dataclass(frozen=True)
class SourceTimes:
    """Rows of one source behind a signal: how many there are, and the newest of them.

    `since` is the first day of the window; None where all of the past counts.
    """

    source: str
    since: date | None
    total: int
    rows: tuple[DatedRow, ...]


def dated_rows(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    signal: Signal,
    account: str,
    as_of: date,
) -> tuple[SourceTimes, ...]:
    """Rows of an account that a signal was worked out from, by source; a quotient has those of both
    parts. Sources without a date of their own have none.
    """
    return tuple(
        found
        for part in _parts(signal.definition)
        if (found := _rows_of(connection, staged, part, account, as_of)) is not None
    )


def _parts(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "source" in definition:
        yield definition
        return
    for part in ("numerator", "divisor"):
        if isinstance(definition.get(part), Mapping):
            yield from _parts(definition[part])


def _rows_of(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    part: Mapping[str, Any],
    account: str,
    as_of: date,
) -> SourceTimes | None:
    source = staged.get(str(part["source"]))
    if source is None:
        return None
    contract = source.contract
    stream = next((s for s in contract.streams if s.name == part.get("stream")), None)
    event = contract.event_time if stream is None else stream.event_time
    if event is None or event not in source.columns:
        return None
    day, window = day_number(as_of), part.get("window_days")
    kind = None if stream is None or stream.kind not in source.columns else f"f.{stream.kind}"
    conditions = [
        f"f.account_id = {literal(account)}",
        f"f.{event}_day < {day}",
        known_by("f", day),
    ]
    if window is not None:
        conditions.append(f"f.{event}_day >= {day - int(window)}")
    if kind and part.get("kinds"):
        conditions.append(f"{kind} in ({', '.join(literal(each) for each in part['kinds'])})")
    number = part.get("number")
    has_number = number in source.columns and source.columns[number].type in ("number", "money")
    if has_number:
        conditions.append(f"f.{number} is not null")
    is_last = part.get("measure") in _OF_THE_LAST
    where = f"from {facts_table(source.name)} f where {' and '.join(conditions)}"
    [(total,)] = rows(connection, f"select count(*) {where}")
    dated = rows(
        connection,
        f"select f.{event}_day, {kind or 'null'}, {f'f.{number}' if has_number else 'null'}"
        f" {where} order by f.{event} desc, 2, 3 limit {1 if is_last else SHOWN_ROWS}",
    )
    scale = 10 ** int(part.get("decimals") or 0)
    shown = tuple(
        DatedRow(day_of(int(at)), _said(what, None if value is None else value / scale, part))
        for at, what, value in dated
    )
    since = None if window is None else as_of - timedelta(days=int(window))
    return SourceTimes(source.name, since, len(shown) if is_last else int(total), shown)


def _said(kind: Any, number: float | None, part: Mapping[str, Any]) -> str:
    """`meeting`, `nps 9`, or the name of what happened; empty where the source alone says it."""
    words = str(kind) if kind is not None else str(part.get("stream") or "")
    value = "" if number is None else f"{number:g}"
    return " ".join(each for each in (words.replace("_", " "), value) if each)
