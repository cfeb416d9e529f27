"""Rules of the project file whose values occur nowhere: a rule that does nothing is told."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.config.schema import ColumnRule, Scalar
from pipeline.engine.duckdb import literal
from pipeline.staging.asking.question import SHOWN, Opened
from pipeline.staging.casts import key_text, text
from pipeline.staging.mapping import scalar_text
from pipeline.staging.parts import spellings

EVENT_LISTS = ("kinds", "key_features", "trouble_events", "first_value_events")
"""Keys of a source that name events."""


def rule_notes(opened: Opened) -> Iterator[str]:
    """A sentence per rule with those of its values that no row has, and the values that rows
    have.
    """
    source = opened.source
    for rule, wanted in (("keep", source.keep), ("drop", source.drop)):
        for name, values in wanted.items():
            yield from _unmatched(opened, f"{rule} {name}", name, values)
    for ours, how in {**source.columns, **source.extra}.items():
        if isinstance(how, ColumnRule) and how.column is not None and how.codes:
            yield from _unmatched(
                opened, f"codes of {ours}", how.column, [c for c in how.codes if c]
            )
        if isinstance(how, ColumnRule) and how.column is not None and how.prefixes:
            yield from _no_such_beginning(opened, ours, how.column, tuple(how.prefixes))
    if opened.is_mapped("event_name"):
        for key in EVENT_LISTS:
            yield from _no_such_event(opened, key, getattr(source, key))


def _no_such_beginning(
    opened: Opened, ours: str, name: str, prefixes: Sequence[str]
) -> Iterator[str]:
    found: dict[str, int] = {}
    begins = dict.fromkeys(prefixes, False)
    for part in opened.parts:
        column = part.raw.column(name)
        if column is None:
            continue
        counted = ", ".join(
            f"coalesce(bool_or(starts_with(v, {literal(prefix)})), false)" for prefix in prefixes
        )
        values = f"(SELECT {text(column)} AS v FROM {part.raw.relation})"
        for prefix, occurs in zip(
            prefixes, opened.row(f"SELECT {counted} FROM {values}"), strict=True
        ):
            begins[prefix] = begins[prefix] or occurs
        found |= dict(_commonest(opened, values))
    absent = [prefix for prefix, occurs in begins.items() if not occurs]
    if absent and found:
        told = ", ".join(absent)
        yield f"prefixes of {ours}: no row begins with {told}; rows have {_shown(found)}."


def _no_such_event(opened: Opened, key: str, wanted: Sequence[str]) -> Iterator[str]:
    """Names of events that a key lists and no row has."""
    if not wanted:
        return
    relation = opened.relation(v="event_name")
    listed = ", ".join(map(literal, wanted))
    there = {v for (v,) in opened.rows(f"SELECT DISTINCT v FROM {relation} WHERE v IN ({listed})")}
    absent = [name for name in wanted if name not in there]
    found = dict(_commonest(opened, relation))
    if absent and found:
        yield f"{key}: no row has {', '.join(absent)}; rows have {_shown(found)}."


def _commonest(opened: Opened, values: str) -> list[tuple[str, int]]:
    counted = opened.rows(
        f"SELECT v, count(*) FROM {values} WHERE v IS NOT NULL GROUP BY v ORDER BY 2 DESC, 1"
        f" LIMIT {SHOWN}"
    )
    return [(str(v), int(n)) for v, n in counted]


def _shown(found: Mapping[str, int]) -> str:
    return ", ".join(f"{v} ({n:,})" for v, n in list(found.items())[:SHOWN])


def _unmatched(opened: Opened, rule: str, name: str, values: Sequence[Scalar]) -> Iterator[str]:
    found: dict[str, int] = {}
    for part in opened.parts:
        column = part.raw.column(name)
        if column is None:
            continue
        # All values that a rule names, and the commonest of the others to show.
        named = ", ".join(literal(each.lower()) for v in values for each in _written(v))
        counted = opened.rows(
            f"SELECT v, count(*) FROM (SELECT {key_text(column)} AS v FROM {part.raw.relation})"
            f" WHERE v IS NOT NULL GROUP BY v ORDER BY lower(v) IN ({named}) DESC, 2 DESC, 1"
            f" LIMIT {len(values) * SHOWN + SHOWN}"
        )
        for value, count in counted:
            found[str(value)] = found.get(str(value), 0) + count
    absent = [v for v in values if not _occurs(v, found)]
    if not absent or not found:
        return
    told = ", ".join(scalar_text(v) for v in absent)
    yield f"{rule}: no row has {told}; rows have {_shown(found)}."


def _written(value: Scalar) -> Sequence[str]:
    return spellings(value) if isinstance(value, bool) else (scalar_text(value),)


def _occurs(value: Scalar, found: dict[str, int]) -> bool:
    if isinstance(value, bool):
        return any(each.lower() in spellings(value) for each in found)
    return any(each == scalar_text(value) or each[:10] == scalar_text(value) for each in found)
