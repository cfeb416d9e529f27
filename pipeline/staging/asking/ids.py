"""Ids that no longer name one account: rounded by a spreadsheet, several in a cell, written in two
ways.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.engine.duckdb import Connection, literal, row, rows
from pipeline.staging.asking.question import Opened, Question, Reading
from pipeline.staging.casts import FLOATS, parts_of_cell
from pipeline.staging.mapping import ID_WRITINGS, MappedColumn
from pipeline.staging.number_writing import SCIENTIFIC
from pipeline.staging.parts import MappedPart

FEWEST = 5
"""Accounts under which two sources may share none by chance, and a pattern is none."""
A_FIFTH, A_TWENTIETH = 0.2, 0.05
TWICE = {"small_letters": "capitals", "no_leading_zeros": "leading zeros", "no_signs": "signs"}
"""Writing of `id_writing` -> what the ids of one source that it brings together differ by."""
MOSTLY = 0.5
IDS_QUOTED = 3
MARKS = (";", ",", "|", "\n")
PLAIN_MARKS = ("/", "&", "+")
"""Marks that a name has, too: every part must be an id of its own elsewhere."""
LARGEST_WHOLE = 2**53
# Writing of `id_writing` -> what is alike then, in words.
PATTERNS = {
    "first_15_letters": "their first 15 letters are ids of",
    "small_letters": "in small letters they are ids of",
    "no_leading_zeros": "without leading zeros they are ids of",
    "no_signs": "in small letters and without signs they are ids of",
    "from_first_figure": "without letters and signs before their figures they are ids of",
}
OF_ANOTHER_KIND = ("from_first_figure",)
"""Writings that may bring together what is not the same: customer 12 and user_12."""


def id_questions(opened: Opened) -> Iterator[Question]:
    """Questions about the ids of accounts in one source."""
    yield from _rounded(opened)
    yield from _lists(opened)
    yield from _twice_written(opened)


def _rounded(opened: Opened) -> Iterator[Question]:
    """Ids in scientific notation, or too long for the number that holds them."""
    for part in opened.parts:
        column = part.columns.get("account_id")
        raw = part.raw.column(column.from_column) if column and column.from_column else None
        if column is None or raw is None or not (raw.is_text or raw.type in FLOATS):
            continue
        is_rounded = (
            f"regexp_matches(x, {literal(SCIENTIFIC)})"
            if raw.is_text
            else f"abs(TRY_CAST(x AS DOUBLE)) >= {LARGEST_WHOLE}"
        )
        count, ids, total, example = opened.row(
            f"SELECT count(*) FILTER ({is_rounded}), count(DISTINCT x) FILTER ({is_rounded}),"
            f" count(*), min(x) FILTER ({is_rounded}) FROM (SELECT {column.shown} AS x FROM"
            f" {part.raw.relation} AS source_row WHERE {part.kept})"
        )
        if not count:
            continue
        yield Question(
            "ids-rounded",
            opened.name,
            f"`{column.from_column}` holds {ids:,} ids such as {example} on {count:,} of"
            f" {total:,} rows: long numbers rounded on their way, so that several accounts may have"
            " become one",
            todo="The figures are lost in this file: export again with the ids as text (in a"
            " spreadsheet format the column as text before it is filled). Accept the finding only"
            " where such ids are real.",
            count=count,
            total=total,
            examples=(str(example),),
        )
        return


def _lists(opened: Opened) -> Iterator[Question]:
    """Cells that name several accounts."""
    for part in opened.parts:
        column = part.columns.get("account_id")
        raw = part.raw.column(column.from_column) if column and column.from_column else None
        if column is None or raw is None or not raw.is_text or column.from_column == "":
            continue
        for mark in _marks_in(opened, part, column):
            repeated = (
                " OR token IN (SELECT token FROM tokens GROUP BY 1 HAVING count(*) > 1)"
                if mark in MARKS
                else ""
            )
            cells, total, known, tokens, example = opened.row(
                f"""
WITH ids AS (SELECT {column.value} AS x, count(*) AS n FROM {part.raw.relation} AS source_row
    WHERE {part.kept} GROUP BY 1),
lists AS (SELECT x, n FROM ids WHERE contains(x, {literal(mark)})),
tokens AS (SELECT {parts_of_cell("x", mark)} AS token FROM lists),
alone AS (SELECT {parts_of_cell("x", mark)} AS token FROM ids
    WHERE NOT contains(x, {literal(mark)}))
SELECT (SELECT sum(n) FROM lists), (SELECT sum(n) FROM ids),
  (SELECT count(DISTINCT token) FROM tokens WHERE token IN (SELECT token FROM alone){repeated}),
  (SELECT count(DISTINCT token) FROM tokens), (SELECT min(x) FROM lists)"""
            )
            if not cells or not tokens or known < max(2, MOSTLY * tokens):
                continue
            yield Question(
                "several-ids-in-a-cell",
                opened.name,
                f"`{column.from_column}` holds several ids between {mark!r} on {int(cells):,} of"
                f" {int(total):,} rows, such as {example}; {known:,} of the {tokens:,} parts occur"
                " elsewhere as ids",
                (
                    Reading(
                        "split",
                        {**dict(opened.source.split), column.from_column: mark},
                        "such a row counts for each of its accounts",
                    ),
                ),
                ask="One account with such a name, or several accounts?",
                count=int(cells),
                total=int(total),
                examples=(str(example),),
            )
            return


def _marks_in(opened: Opened, part: MappedPart, column: MappedColumn) -> list[str]:
    """The marks that occur in any id: hardly one has any, and each is a search of its own."""
    marks = (*MARKS, *PLAIN_MARKS)
    occurs = ", ".join(f"coalesce(bool_or(contains(x, {literal(mark)})), false)" for mark in marks)
    seen = opened.row(
        f"SELECT {occurs} FROM (SELECT {column.value} AS x FROM {part.raw.relation} AS source_row"
        f" WHERE {part.kept})"
    )
    return [mark for mark, is_there in zip(marks, seen, strict=True) if is_there]


def _twice_written(opened: Opened) -> Iterator[Question]:
    """Ids of one source that differ by capitals, zeros or signs only, on many accounts: two
    programs wrote them.
    """
    if opened.source.id_writing or not opened.is_mapped("account_id"):
        return
    ids = f"(SELECT DISTINCT account_id AS id FROM {opened.relation(account_id='account_id')})"
    for form, words in TWICE.items():
        alike = ID_WRITINGS[form].format("id")
        count, single, first, other = opened.row(
            f"SELECT sum(n), count(*), min(low) FILTER (n > 1), min(high) FILTER (n > 1) FROM"
            f" (SELECT count(*) AS n, min(id) AS low, max(id) AS high FROM {ids} WHERE id IS NOT"
            f" NULL GROUP BY {alike})"
        )
        if single is None or count is None or count - single < max(FEWEST, A_TWENTIETH * count):
            continue
        yield Question(
            "ids-in-two-writings",
            opened.name,
            f"{count - single:,} of {count:,} ids differ from another one of the same source by"
            f" {words} only, such as {first} and {other}",
            (Reading("id_writing", [form], f"they are one account each: {single:,} accounts"),),
            ask="Is it one account in two writings?",
            todo="The same line under every source. Accept the finding where they are different"
            " accounts.",
            count=int(count - single),
            total=int(count),
            unit="accounts",
        )
        return


@dataclass(frozen=True)
class _SourcePair:
    """Two sources and how many accounts they share."""

    one: str
    other: str
    accounts: int
    shared: int


def questions_between(
    connection: Connection, relations: Mapping[str, str], lists: str | None
) -> Iterator[Question]:
    """Sources that share no account, or fewer than they would in one writing.

    Parameters
    ----------
    relations
        Source -> SQL relation with the column account_id.
    lists
        The source that lists the accounts, if any; the others are compared with it first.
    """
    relations = _ids_of_each(connection, relations)
    names = sorted(relations, key=lambda name: name != lists)
    asked: set[str] = set()
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            if other in asked:
                continue
            pair = _pair(connection, relations, one, other)
            if pair is None or pair.shared == pair.accounts:
                continue
            question = _of_pair(connection, relations, pair)
            if question is not None:
                asked.add(other)
                yield question


def thin_overlaps(
    connection: Connection, relations: Mapping[str, str], lists: str | None
) -> Iterator[Question]:
    """Sources of which the smaller one shares under half of its accounts with the other, and no
    other writing of the ids brings them together.
    """
    relations = _ids_of_each(connection, relations)
    names = sorted(relations, key=lambda name: name != lists)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            pair = _pair(connection, relations, one, other)
            if pair is None or not 0 < pair.shared < MOSTLY * pair.accounts:
                continue
            if _of_pair(connection, relations, pair) is not None:
                continue
            told = "; ".join(
                f"{name}: {', '.join(_examples(connection, relations[name], relations[against]))}"
                for name, against in ((one, other), (other, one))
            )
            yield Question(
                "few-accounts-in-common",
                other,
                f"{one} and {other} share {pair.shared:,} accounts, of {pair.accounts:,} in the"
                f" smaller of them; others are such as {told}",
                todo="Compare such ids: another company, people without a contract (leave them out"
                " with keep or drop), or ids of another program (fetch ours with a lookup).",
                count=pair.shared,
                total=pair.accounts,
                unit="accounts",
            )


def _ids_of_each(connection: Connection, relations: Mapping[str, str]) -> dict[str, str]:
    """Source -> a temporary table of its ids: every pair of sources is compared several times, and
    a source may hold millions of rows.
    """
    made = {}
    for number, (name, relation) in enumerate(relations.items()):
        made[name] = f"ids_of_source_{number}"
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {made[name]} AS SELECT DISTINCT account_id FROM"
            f" {relation} WHERE account_id IS NOT NULL"
        )
    return made


def _ids(relation: str, form: str = "{0}") -> str:
    value = form.format("account_id")
    return f"SELECT DISTINCT {value} AS id FROM {relation} WHERE account_id IS NOT NULL"


def _pair(
    connection: Connection, relations: Mapping[str, str], one: str, other: str
) -> _SourcePair | None:
    mine, theirs, shared = row(
        connection,
        f"WITH a AS ({_ids(relations[one])}), b AS ({_ids(relations[other])}) SELECT (SELECT"
        " count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM a JOIN b USING (id))",
    )
    if min(mine, theirs) < FEWEST:
        return None
    return _SourcePair(one, other, min(mine, theirs), shared)


def _of_pair(
    connection: Connection, relations: Mapping[str, str], pair: _SourcePair
) -> Question | None:
    one, other = relations[pair.one], relations[pair.other]
    best, words, gained = _best_pattern(connection, one, other, pair.shared)
    is_pattern = gained >= max(FEWEST, A_FIFTH * (pair.accounts - pair.shared))
    if pair.shared and not is_pattern:
        return None
    told = "; ".join(
        f"{name}: {', '.join(_examples(connection, relations[name], against))}"
        for name, against in ((pair.one, other), (pair.other, one))
    )
    which = (
        f"{pair.shared:,} of {pair.accounts:,} accounts"
        if pair.shared
        else f"none of {pair.accounts:,} accounts"
    )
    if not is_pattern:
        return Question(
            "no-account-in-common",
            pair.other,
            f"{pair.one} and {pair.other} share {which} ({told})",
            todo=f"Map account_id of {pair.other} to the column that holds the ids of {pair.one},"
            " or fetch it with a lookup; as they are, no row of one says anything of the other.",
            count=0,
            total=pair.accounts,
            unit="accounts",
        )
    return Question(
        "ids-in-two-writings",
        pair.other,
        f"{pair.one} and {pair.other} share {which} as they are written, but of {gained:,} others"
        f" {words} {pair.one} ({told})",
        (Reading("id_writing", [best], f"{gained:,} more are shared then"),),
        is_sure=best not in OF_ANOTHER_KIND
        and not pair.shared
        and gained >= MOSTLY * pair.accounts,
        todo=f"The same line under [sources.{pair.one}].",
        count=gained,
        total=pair.accounts,
        unit="accounts",
    )


def _best_pattern(
    connection: Connection, one: str, other: str, shared: int
) -> tuple[str, str, int]:
    """(form of `id_writing`, in words, accounts that are shared in it and are not now); a form that
    makes two ids of one table one is none.
    """
    best = ("", "", 0)
    for name, words in PATTERNS.items():
        sql = ID_WRITINGS[name]
        kept, before, found = row(
            connection,
            f"WITH a AS ({_ids(one)}), b AS ({_ids(other)}), x AS ({_ids(one, sql)}), y AS"
            f" ({_ids(other, sql)}) SELECT (SELECT count(*) FROM x) + (SELECT count(*) FROM y),"
            " (SELECT count(*) FROM a) + (SELECT count(*) FROM b),"
            " (SELECT count(*) FROM x JOIN y USING (id))",
        )
        # Ids of one account in two writings inside one table fall together, others must not.
        if found - shared > best[2] and before - kept <= found - shared:
            best = (name, words, found - shared)
    return best


def _examples(connection: Connection, relation: str, against: str) -> Sequence[str]:
    found = rows(
        connection,
        f"SELECT DISTINCT account_id AS id FROM {relation} WHERE account_id IS NOT NULL AND"
        f" account_id NOT IN (SELECT account_id FROM {against} WHERE account_id IS NOT NULL)"
        f" ORDER BY 1 LIMIT {IDS_QUOTED}",
    )
    return [re.sub(r"\s", " ", str(value)) for (value,) in found]
