"""Rules of the project file whose values occur nowhere: a rule that does nothing is told."""

from collections.abc import Iterator, Sequence

from pipeline.config.schema import ColumnRule, Scalar
from pipeline.engine.duckdb import literal
from pipeline.staging.asking.question import SHOWN, Opened
from pipeline.staging.casts import key_text
from pipeline.staging.mapping import scalar_text
from pipeline.staging.parts import spellings


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
    shown = ", ".join(f"{v} ({n:,})" for v, n in list(found.items())[:SHOWN])
    yield f"{rule}: no row has {told}; rows have {shown}."


def _written(value: Scalar) -> Sequence[str]:
    return spellings(value) if isinstance(value, bool) else (scalar_text(value),)


def _occurs(value: Scalar, found: dict[str, int]) -> bool:
    if isinstance(value, bool):
        return any(each.lower() in spellings(value) for each in found)
    return any(each == scalar_text(value) or each[:10] == scalar_text(value) for each in found)
