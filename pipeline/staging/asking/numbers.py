"""How numbers are written: marks of thousands or of decimals, hundredths, signs turned round."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from features.sources import Contract
from pipeline.engine.duckdb import literal
from pipeline.staging.asking.question import Opened, Question, Reading
from pipeline.staging.casts import key_text, value_text
from pipeline.staging.mapping import MappedColumn
from pipeline.staging.number_writing import (
    CURRENCY,
    LETTERED,
    OTHER_MARK,
    SIGN_LETTERS,
    grouped_whole,
)
from pipeline.staging.parts import MappedPart

FEWEST_CELLS = 20
"""Amounts from which on their signs say something."""
NEARLY_ALL = 0.95
MINOR_NAME = re.compile(r"(^|_)(cents|pence|minor(_units?)?|subunits?)(_|$)", re.IGNORECASE)
FEWEST_LETTERS = 5
# Debit, credit: as programs name them in a column of its own.
SIGN_WORDS = (("s", "h"), ("soll", "haben"), ("debit", "credit"), ("dr", "cr"), ("d", "c"))


@dataclass(frozen=True)
class _MarkUse:
    """How the values of one column, or of several together, use one mark."""

    grouped: int = 0
    """1.029: thousands or decimals."""
    decisive: int = 0
    """1.5, 0.350 or 12.3456: the mark begins decimals."""
    long: int = 0
    """1029 without any mark: thousands are not grouped."""
    example: str | None = None
    shortest: str | None = None


def number_questions(opened: Opened) -> Iterator[Question]:
    """Questions about how amounts and other numbers are written."""
    if opened.source.decimal is None:
        yield from _thousands(opened)
    money = [
        (part, column)
        for part in opened.parts
        for column in part.columns.values()
        if column.type == "money"
    ]
    if opened.source.minor_units is None:
        yield from _minor_units(opened, money)
    if opened.source.negative_letters is None:
        yield from _letters(opened, money)
    if opened.source.negative_where is None:
        yield from _signs_beside(opened, money)
    yield from _currencies(opened)
    if opened.source.turn_sign is None:
        yield from _turned(opened, [c for _, c in money])


def _text_numbers(part: MappedPart) -> list[MappedColumn]:
    """Mapped numbers that the user's table holds as text."""
    found = []
    for column in part.columns.values():
        raw = part.raw.column(column.from_column) if column.from_column else None
        if column.type in ("money", "number") and raw is not None and raw.is_text:
            found.append(column)
    return found


def _thousands(opened: Opened) -> Iterator[Question]:
    """`1.029` beside `932`: one thousand and twenty-nine, or a little over one?"""
    for part in opened.parts:
        seen = {c.name: _writing(opened, part, c) for c in _text_numbers(part)}
        begins = {mark for each in seen.values() for mark, w in each.items() if w.decisive}
        for mark, other in OTHER_MARK.items():
            doubtful = {name: each[mark] for name, each in seen.items() if each[mark].grouped}
            # Between commas a comma inside quotes was put there by whoever groups thousands.
            if not doubtful or "." in begins or mark == "," and part.raw.delimiter == ",":
                continue
            name = max(doubtful, key=lambda n: doubtful[n].grouped)
            writing = doubtful[name]
            if writing.long and mark == ".":
                continue  # 1029 beside 1.029: thousands are not grouped, and a point is the default
            question = _thousands_question(
                opened.name, part.columns[name].from_column, mark, writing
            )
            if other in begins:
                question = replace(question, is_sure=True)
            yield question
            return


def _thousands_question(source: str, column: str, mark: str, writing: _MarkUse) -> Question:
    number = str(writing.example)
    whole = int(re.sub(r"[^0-9]", "", number))
    decimals = re.sub(rf"[^0-9{mark}]", "", number).replace(mark, ".", 1)
    beside = f" beside {writing.shortest}" if writing.shortest else ""
    readings = [
        Reading("decimal", OTHER_MARK[mark], f"{number} is {whole:,}"),
        Reading("decimal", mark, f"{number} is {decimals}"),
    ]
    return Question(
        "thousands-or-decimals",
        source,
        f"`{column}` holds {writing.grouped:,} values such as {number}{beside}: every"
        f' "{mark}" in it is followed by three figures',
        tuple(readings[::-1] if writing.long else readings),
        ask="Does it group thousands, or begin decimals?",
        is_sure=bool(writing.long),
        count=writing.grouped,
        unit="values",
    )


def _writing(opened: Opened, part: MappedPart, column: MappedColumn) -> dict[str, _MarkUse]:
    """How a column uses each mark."""
    value = value_text(part.raw.required(column.from_column))
    found = opened.row(
        f"SELECT {', '.join(_counts_of(mark, other) for mark, other in OTHER_MARK.items())}"
        f" FROM (SELECT {value} AS x FROM {part.raw.relation} AS source_row WHERE {part.kept})"
    )
    per_mark = len(found) // len(OTHER_MARK)
    return {
        mark: _MarkUse(*found[i * per_mark : (i + 1) * per_mark])
        for i, mark in enumerate(OTHER_MARK)
    }


def _counts_of(mark: str, other: str) -> str:
    """SQL of the five values of a `_MarkUse`."""
    is_grouped = f"regexp_matches(x, {literal(grouped_whole(mark))}) AND NOT contains(x, '{other}')"
    return f"""count(*) FILTER ({is_grouped}),
  count(*) FILTER (contains(x, '{mark}') AND NOT ({is_grouped})
    AND regexp_matches(x, '[{mark}]\\d*[^0-9{mark}{other}]*$')
    AND NOT regexp_matches(x, '[{mark}]\\d{{3}}[{mark}{other}]')),
  count(*) FILTER (regexp_matches(x, '\\d{{4}}') AND NOT contains(x, '{mark}')
    AND NOT contains(x, '{other}')),
  min(x) FILTER ({is_grouped}),
  min(x) FILTER (NOT contains(x, '{mark}') AND regexp_matches(x, '\\d'))"""


def _minor_units(
    opened: Opened, money: list[tuple[MappedPart, MappedColumn]]
) -> Iterator[Question]:
    """Whole amounts beside moments counted in seconds: interfaces that write both in their smallest
    unit.
    """
    is_epoch = any(c.epoch_unit for part in opened.parts for c in part.columns.values())
    for part, column in money:
        named = bool(MINOR_NAME.search(column.from_column))
        if not (is_epoch or named) or _is_scaled(opened, column):
            continue
        value = value_text(part.raw.required(column.from_column)) if column.from_column else "NULL"
        whole, broken, middle = opened.row(
            f"SELECT count(*) FILTER (v = trunc(v)), count(*) FILTER (v <> trunc(v)),"
            f" CAST(quantile_disc(v, 0.5) AS BIGINT) FROM (SELECT TRY_CAST({value} AS DOUBLE) AS v"
            f" FROM {part.raw.relation} AS source_row WHERE {part.kept}) WHERE v <> 0"
        )
        if not whole or broken:
            continue
        others = [*(opened.source.minor_units or ()), column.name]
        yield Question(
            "minor-units",
            opened.name,
            f"`{column.from_column}` holds whole numbers only ({whole:,} values, {middle:,} in the"
            " middle)" + (", beside times that are seconds since 1970" if is_epoch else ""),
            (
                Reading("minor_units", others, f"{middle:,} is {middle / 100:,.2f}"),
                Reading("minor_units", [], f"{middle:,} is {middle:,}"),
            ),
            ask="Hundredths such as cents, or whole units?",
            is_sure=named,
            count=whole,
            unit="values",
        )
        return


def _is_scaled(opened: Opened, column: MappedColumn) -> bool:
    rules = [opened.source.columns, *(part.columns for part in opened.source.parts)]
    return any(getattr(each.get(column.name), "scale", 1.0) != 1.0 for each in rules)


def _letters(opened: Opened, money: list[tuple[MappedPart, MappedColumn]]) -> Iterator[Question]:
    """`1.234,50 H`: a letter behind the amount says whether it is a debit or a credit."""
    for part, column in money:
        raw = part.raw.column(column.from_column) if column.from_column else None
        if raw is None or not raw.is_text:
            continue
        found = opened.rows(
            f"SELECT upper(regexp_extract(x, {literal(LETTERED)}, 2)) AS letter, count(*), min(x)"
            f" FROM (SELECT {value_text(raw)} AS x FROM {part.raw.relation} AS source_row WHERE"
            f" {part.kept}) WHERE regexp_matches(x, {literal(LETTERED)}) GROUP BY 1 ORDER BY 1"
        )
        counts = {str(letter): int(n) for letter, n, _ in found}
        pair = next((p for p in SIGN_LETTERS if set(p) & set(counts)), None)
        if pair is None or sum(counts.values()) < FEWEST_LETTERS:
            continue
        told = ", ".join(f"{letter} on {n:,} rows" for letter, n in counts.items())
        yield Question(
            "debit-or-credit",
            opened.name,
            f"`{column.from_column}` ends its amounts in letters, such as {found[0][2]}: {told}",
            tuple(
                Reading(
                    "negative_letters",
                    [letter],
                    f"{counts.get(letter, 0):,} amounts are below zero",
                )
                for letter in pair[::-1]
            ),
            ask=f"Which of them are credits? On accounts of customers it is mostly {pair[1]}",
            count=sum(counts.values()),
            unit="amounts",
        )
        return


def _signs_beside(
    opened: Opened, money: list[tuple[MappedPart, MappedColumn]]
) -> Iterator[Question]:
    """A column that says debit or credit beside amounts that are all above zero."""
    if not _has_positive_amounts(opened.contract):
        return
    for part, column in money:
        used = {c.from_column for c in part.columns.values()}
        for name in part.raw.columns:
            if name in used:
                continue
            value = f"lower({key_text(part.raw.required(name))})"
            found = opened.rows(
                f"SELECT {value} AS v, count(*), min(x), min({key_text(part.raw.required(name))})"
                f" FROM (SELECT *, {column.value} AS x FROM {part.raw.relation} AS source_row WHERE"
                f" {part.kept}) AS source_row WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY 1"
                " LIMIT 3"
            )
            written = {str(v): (int(n), str(own)) for v, n, _, own in found}
            pair = next((p for p in SIGN_WORDS if set(written) == set(p)), None)
            if pair is None or any(lowest is not None and lowest < 0 for _, _, lowest, _ in found):
                continue
            told = ", ".join(f"{own} on {n:,} rows" for n, own in written.values())
            yield Question(
                "debit-or-credit",
                opened.name,
                f"`{name}` says {told}, and no amount in `{column.from_column}` is below zero",
                (
                    *(
                        Reading(
                            "negative_where",
                            {name: [written[word][1]]},
                            f"{written[word][0]:,} amounts are below zero",
                        )
                        for word in pair[::-1]
                    ),
                    Reading("negative_where", {}, "it says nothing of the sign"),
                ),
                ask="Which of them are credits? On accounts of customers it is mostly"
                f" {written[pair[1]][1]}",
                count=written[pair[1]][0],
                unit="amounts",
            )
            return


def _currencies(opened: Opened) -> Iterator[Question]:
    """Several currencies beside the figures of one column."""
    for part in opened.parts:
        for column in _text_numbers(part):
            if column.type != "money":
                continue
            value = value_text(part.raw.required(column.from_column))
            found = opened.rows(
                f"SELECT regexp_extract(x, {literal(CURRENCY)}) AS mark, count(*) FROM (SELECT"
                f" {value} AS x FROM {part.raw.relation} AS source_row WHERE {part.kept}) WHERE"
                f" regexp_matches(x, {literal(CURRENCY)}) GROUP BY 1 ORDER BY 2 DESC, 1"
            )
            if len(found) < 2:
                continue
            told = ", ".join(f"{mark} on {n:,} rows" for mark, n in found)
            yield Question(
                "currencies-mixed",
                opened.name,
                f"`{column.from_column}` holds amounts in several currencies: {told}",
                todo="Convert them before tenure reads them, or keep rows of one currency; added"
                " up as they are, totals mean nothing.",
                count=sum(n for _, n in found[1:]),
                unit="amounts",
            )
            return


def _turned(opened: Opened, money: list[MappedColumn]) -> Iterator[Question]:
    """Amounts that are nearly all below zero."""
    if not _has_positive_amounts(opened.contract):
        return
    for name in dict.fromkeys(c.name for c in money):
        below, total = opened.row(
            f"SELECT count(*) FILTER (v < 0), count(*) FROM {opened.relation(v=name)} WHERE v <> 0"
        )
        if total < FEWEST_CELLS or below < NEARLY_ALL * total:
            continue
        yield Question(
            "amounts-below-zero",
            opened.name,
            f"{below:,} of {total:,} amounts in `{opened.raw_name(name)}` are below zero",
            (
                Reading("turn_sign", [name], "the sign is turned"),
                Reading("turn_sign", [], "they are credits and stay below zero"),
            ),
            ask="Are they written as costs, or are they all credits?",
            count=below,
            total=total,
            unit="amounts",
        )
        return


def _has_positive_amounts(contract: Contract) -> bool:
    return contract.table in ("invoices", "subscriptions")
