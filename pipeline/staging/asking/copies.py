"""Rows that are there more than once: under one insert id, or every one twice."""

import re
from collections.abc import Iterator

from pipeline.engine.duckdb import identifier
from pipeline.staging.asking.question import Opened, Question, Reading
from pipeline.staging.casts import text
from pipeline.staging.parts import MappedPart

# Names of what one delivery is told by, wherever it comes from.
INSERT_ID = re.compile(
    r"\$?_?(insert|message|event|delivery|dedup(e|lication)?|idempotency|record|row|transaction"
    r"|invoice|charge|payment|line)_?(id|key|uuid|no|number)|uuid|id"
)
LOADED = re.compile(
    r"\w*(upload|load|ingest|insert|receiv|process|sync|extract|export|import|sent|updated|modified"
    r"|batch|sdc|fivetran|airbyte|arriv)\w*"
)
FEWEST_COPIES = 10
WORTH_ASKING = 0.01
MOST_TWICE = 0.3
"""Copies of so many rows are no double clicks."""
ALL_BUT_A_FEW = 0.9
IS_AN_ID = 0.4
"""Different values among the rows, above which a column names rows and not what they share."""


def copy_questions(opened: Opened) -> Iterator[Question]:
    """Questions about rows that may be one row."""
    source = opened.source
    if source.one_row_per or source.drop_duplicates is not None or opened.is_mapped("row_key"):
        return
    for part in opened.parts:
        found = _one_id(opened, part)
        if found is not None:
            yield found
            return
        found = _every_row_twice(opened, part)
        if found is not None:
            yield found
            return
    yield from _parts_overlap(opened)


def _one_id(opened: Opened, part: MappedPart) -> Question | None:
    """An id of rows that stands on several: copies where they differ in the time of loading
    only.
    """
    if opened.contract.table in ("accounts", "contacts"):
        return None
    for name in part.raw.columns:
        small = re.sub(r"[^a-z0-9$]+", "_", name.rpartition(".")[2].lower())
        if not INSERT_ID.fullmatch(small) or name == part.columns["account_id"].from_column:
            continue
        value = text(part.raw.required(name))
        total, ids = opened.row(
            f"SELECT count({value}), count(DISTINCT {value}) FROM {part.raw.relation} AS source_row"
            f" WHERE {part.kept}"
        )
        extra = total - ids
        if extra < max(FEWEST_COPIES, WORTH_ASKING * total) or ids < IS_AN_ID * total:
            continue
        loaded = [n for n in part.raw.columns if LOADED.fullmatch(n.lower()) and n != name]
        others = [n for n in part.raw.columns if n not in (*loaded, name)]
        same = " AND ".join(
            f"count(DISTINCT coalesce(CAST({identifier(n)} AS VARCHAR), '')) = 1" for n in others
        )
        alike, groups = opened.row(
            f"SELECT count(*) FILTER (alike), count(*) FROM (SELECT {same or 'true'} AS alike FROM"
            f" {part.raw.relation} AS source_row WHERE {part.kept} AND {value} IS NOT NULL GROUP BY"
            f" {value} HAVING count(*) > 1)"
        )
        is_sure = alike == groups
        if not is_sure and opened.contract.table in ("subscriptions", "support_tickets"):
            continue  # an id that goes on from term to term
        if not is_sure and alike < MOST_TWICE * groups:
            continue  # lines of one order
        newest = loaded[0] if loaded else None
        by = f" in {', '.join(loaded)} only" if loaded else " in nothing"
        rest = "" if is_sure else f", {groups - alike:,} in more than that: the newest counts then"
        return Question(
            "rows-under-one-id",
            opened.name,
            f"`{name}` names {ids:,} rows and stands on {total:,}; {alike:,} of {groups:,} repeated"
            f" ids differ{by}{rest}",
            (
                Reading("one_row_per", [name], f"{extra:,} copies are left out and counted"),
                *(
                    (Reading("newest_by", newest, "says which of several rows stays"),)
                    if newest and not is_sure
                    else ()
                ),
                Reading("drop_duplicates", False, f"all {total:,} rows count"),
            ),
            is_sure=is_sure,
            count=extra,
            total=total,
        )
    return None


def _every_row_twice(opened: Opened, part: MappedPart) -> Question | None:
    """Most rows equal another in every column of the table."""
    listed = ", ".join(identifier(name) for name in part.raw.columns)
    total, distinct = opened.row(
        f"SELECT coalesce(sum(n), 0), count(*) FROM (SELECT count(*) AS n FROM {part.raw.relation}"
        f" AS source_row WHERE {part.kept} GROUP BY {listed})"
    )
    copies = int(total) - distinct
    # Rows that tell hardly anything (an account and a day) are alike without being copies.
    if copies < max(FEWEST_COPIES, MOST_TWICE * total) or not _is_even(opened, part, listed):
        return None
    return Question(
        "every-row-twice",
        opened.name,
        f"{copies:,} of {int(total):,} rows equal another in every column, and nearly every row is"
        " there as often: a file that was loaded more than once",
        (
            Reading("drop_duplicates", True, f"{distinct:,} rows stay"),
            Reading("drop_duplicates", False, "all of them happened, and count"),
        ),
        count=copies,
        total=int(total),
    )


def _parts_overlap(opened: Opened) -> Iterator[Question]:
    """Two files of a source that hold the same rows of the days they both cover."""
    parts = opened.parts
    for index, one in enumerate(parts):
        for other in parts[index + 1 :]:
            if list(one.raw.columns) != list(other.raw.columns):
                continue
            listed = ", ".join(identifier(name) for name in one.raw.columns)
            mine, theirs, shared = opened.row(
                "WITH "
                + ", ".join(
                    f"{name} AS (SELECT {listed}, count(*) AS row_count FROM {part.raw.relation} AS"
                    f" source_row WHERE {part.kept} GROUP BY {listed})"
                    for name, part in (("one", one), ("other", other))
                )
                + " SELECT (SELECT sum(row_count) FROM one), (SELECT sum(row_count) FROM other),"
                f" (SELECT sum(row_count) FROM (SELECT {listed}, row_count FROM one INTERSECT"
                f" SELECT {listed}, row_count FROM other))"
            )
            shared = int(shared or 0)
            if shared < max(FEWEST_COPIES, WORTH_ASKING * min(mine or 0, theirs or 0)):
                continue
            yield Question(
                "parts-overlap",
                opened.name,
                f"{shared:,} rows of {one.raw.place} ({int(mine):,} rows) are in"
                f" {other.raw.place} ({int(theirs):,} rows), equal in every column",
                (
                    Reading("drop_duplicates", True, f"{shared:,} rows count once"),
                    Reading("drop_duplicates", False, "all of them happened, and count"),
                ),
                ask="Two exports that overlap, or rows that happened again?",
                count=shared,
                total=int(mine) + int(theirs),
            )
            return


def _is_even(opened: Opened, part: MappedPart, listed: str) -> bool:
    """Whether nearly every row is there an even number of times: a file that was loaded twice."""
    even, different = opened.row(
        f"SELECT count(*) FILTER (n % 2 = 0), count(*) FROM (SELECT count(*) AS n FROM"
        f" {part.raw.relation} AS source_row WHERE {part.kept} GROUP BY {listed})"
    )
    return bool(even >= ALL_BUT_A_FEW * different)
