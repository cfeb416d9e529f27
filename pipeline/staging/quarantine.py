"""Bad rows: why each was refused, kept for people to look at, and the stop when there are too
many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from features.errors import ContractError
from features.sources import Contract
from pipeline.engine.duckdb import Connection, literal, row, rows
from pipeline.staging.mapping import MappedColumn
from pipeline.staging.parts import QUOTED, MappedPart

STORED_ROWS = 10_000
# Optional, but an unreadable one would keep a customer for ever or let one leave.
DECIDING = frozenset({"ends_at", "notice_at", "is_trial", "is_deleted", "consent", "merged_at"})
SHOWN_LENGTH = 200
TYPE_WORDS = {"time": "a time", "money": "an amount", "number": "a number", "flag": "true or false"}


@dataclass(frozen=True)
class Check:
    """One way a row can be bad: the condition, what is said, and the value shown."""

    code: int
    column: str
    reason: str
    condition: str
    shown: str


def checks_of(
    part: MappedPart,
    contract: Contract,
    required: frozenset[str],
    *,
    excused: str,
    never_excused: frozenset[str],
    end: tuple[date, str] | None = None,
) -> list[Check]:
    """Every check of a part, in the order in which a row gets its one reason.

    `excused` is SQL that is true for rows which may lack required values: a retraction only says
    which row is gone. What identifies that row (`never_excused`) it needs all the same. `end` is
    the first day on which no row may lie, and why.
    """
    order = {c.name: i for i, c in enumerate(contract.columns)}
    columns = sorted(
        part.columns.values(), key=lambda c: (c.name != "account_id", order.get(c.name, 99), c.name)
    )
    found: list[tuple[MappedColumn, str, str]] = []
    for column in columns:
        if column.type != "text" and must_be_read(column, required):
            found.append(
                (column, f"{column.name} is not {TYPE_WORDS[column.type]}", _uncastable(column))
            )
        if column.name in required:
            may_lack = "false" if column.name in never_excused else excused
            found.append(
                (column, f"{column.name} is empty", f"NOT ({column.is_given}) AND NOT ({may_lack})")
            )
    event = part.columns.get(contract.event_time or "")
    if end is not None and event is not None:
        day, why = end
        found.append((event, f"{event.name} {why}", f"v_{event.name} >= {literal(day)}"))
    return [
        Check(i, c.name, reason, condition, c.shown)
        for i, (c, reason, condition) in enumerate(found)
    ]


def must_be_read(column: MappedColumn, required: frozenset[str]) -> bool:
    """Whether a row without a readable value here is no row: what it is, and who has left, hang
    on it.
    """
    return column.name in required or column.name in DECIDING


def unread_value(part: MappedPart, required: frozenset[str]) -> str:
    """SQL: the first optional column whose value cannot be read, in words; NULL where all can. The
    row stays, and the value is empty.
    """
    cases = [
        f"WHEN {_uncastable(c)} THEN {literal(f'{c.name} is not {TYPE_WORDS[c.type]}')}"
        for c in sorted(part.columns.values(), key=lambda c: c.name)
        if c.type != "text" and not must_be_read(c, required)
    ]
    return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS VARCHAR)"


def unread_examples(
    connection: Connection, parts: Sequence[MappedPart], column: str
) -> list[tuple[str, int]]:
    """The commonest values of an optional column that cannot be read, each with its rows."""
    found = []
    for part in parts:
        mapped = part.columns.get(column)
        if mapped is not None:
            found.append(
                f"SELECT s AS x FROM (SELECT {mapped.selected()}, {mapped.shown} AS s FROM"
                f" {part.raw.relation} AS source_row WHERE {part.kept})"
                f" WHERE {_uncastable(mapped)}"
            )
    return rows(
        connection,
        f"SELECT left(x, {SHOWN_LENGTH}), count(*) FROM ({' UNION ALL '.join(found)}) WHERE x IS"
        f" NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {QUOTED}",
    )


def quoted_counts(examples: Sequence[tuple[str, int]]) -> str:
    """`, such as '-.-' (12 rows), 'free' (3 rows)`; nothing where there are none."""
    told = ", ".join(f"{value!r} ({n:,} row{'s' if n > 1 else ''})" for value, n in examples)
    return f", such as {told}" if told else ""


def _uncastable(column: MappedColumn) -> str:
    return f"v_{column.name} IS NULL AND {column.is_given}"


def problem_code(checks: list[Check]) -> str:
    """SQL for the code of a row's first problem, NULL for a good row."""
    return "CASE " + " ".join(f"WHEN {c.condition} THEN {c.code}" for c in checks) + " END"


def store_bad_rows(
    connection: Connection,
    table: str,
    source: str,
    checks: list[Check],
    selected: str,
    allowed: str,
) -> None:
    """Add a part's bad rows, with value and whole row as JSON, up to the cap.

    `selected` is the part's query with `problem`, the values shown (`s_<code>`) and `raw_row`;
    `allowed` is true for rows that may be kept at all (consent).
    """
    room = STORED_ROWS - row(connection, f"SELECT count(*) FROM {table}")[0]
    reasons = " ".join(f"WHEN {c.code} THEN {literal(c.reason)}" for c in checks)
    columns = " ".join(f"WHEN {c.code} THEN {literal(c.column)}" for c in checks)
    values = " ".join(f"WHEN {c.code} THEN left(s_{c.code}, {SHOWN_LENGTH})" for c in checks)
    # By hash and not by place in the file: which rows are stored must not depend on the order of
    # the input. A fixed LIMIT lets DuckDB keep the first rows only, and JSON is then made of these
    # alone.
    first = (
        f"SELECT * FROM ({selected}) WHERE problem IS NOT NULL AND {allowed} ORDER BY hash(raw_row)"
        f" LIMIT {room}"
    )
    connection.execute(
        f"INSERT INTO {table} SELECT {literal(source)}, CASE problem {reasons} END, CASE problem"
        f" {columns} END, CASE problem {values} END, CAST(to_json(raw_row) AS VARCHAR) FROM"
        f" ({first})"
    )


def create_quarantine(connection: Connection, table: str) -> None:
    """The empty table of bad rows of one source."""
    connection.execute(
        f'CREATE OR REPLACE TABLE {table} (source VARCHAR, reason VARCHAR, "column" VARCHAR,'
        ' "value" VARCHAR, "row" VARCHAR)'
    )


def refuse_too_many(
    connection: Connection,
    table: str,
    place: str,
    bad: dict[str, int],
    judged: int,
    max_bad_share: float,
    unread: Mapping[str, Sequence[tuple[str, int]]],
) -> None:
    """Stop where the share of bad rows is above what the project allows; `unread`: of reasons that
    the table does not hold, some values with their rows.
    """
    count = sum(bad.values())
    if count == 0 or count <= max_bad_share * judged:
        return
    examples = rows(
        connection,
        f'SELECT reason, "value", count(*) FROM {table} WHERE "value" IS NOT NULL GROUP BY 1, 2'
        " ORDER BY 3 DESC, 2",
    )
    shown: dict[str, list[tuple[str, int]]] = {reason: list(v) for reason, v in unread.items()}
    for reason, value, n in examples:
        shown.setdefault(reason, []).append((value, n))
    told = "; ".join(
        f"{reason}: {n:,} rows{quoted_counts(shown.get(reason, [])[:QUOTED])}"
        for reason, n in sorted(bad.items(), key=lambda item: (-item[1], item[0]))
    )
    whole = " Not one row is good: the columns may be mapped wrongly." if count == judged else ""
    raise ContractError(
        f"{place}: {count:,} of {judged:,} rows are bad ({count / judged:.1%}; allowed"
        f" {max_bad_share:.1%}). {told}.{whole} Correct the mapping (columns, format, time_zone,"
        " codes, decimal) or the data, leave rows out on purpose with drop_missing, keep or drop,"
        " or allow more with max_bad_share."
    )
