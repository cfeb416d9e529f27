"""Money per account in a proposed project: the column that says it, or the question for one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.config.toml_text import comment_lines, toml_string
from pipeline.proposing import names
from pipeline.proposing.guess import ProposedSource

BROUGHT = re.compile(
    r"(^|_)(sales|revenue|spend|spent|turnover|gmv|amount|total|paid|value|umsatz|betrag|summe|netto"
    r"|brutto|montant)(_|$)"
)
"""Names of what a row brought; a price or a fee may be of one piece, or not the whole."""
NOT_BROUGHT = re.compile(
    r"(^|_)(disc|discount|rabatt|remise|tax|vat|mwst|tva|shipping|versand|coupon|refund|cost|costs"
    r"|kosten|credit|tip|balance|limit|budget)(_|$)"
)
SHOWN_PLACES = 3
NO_VALUE = (
    "value: no column says what an account is worth; pages will show no money at risk, and lists"
    ' rank by risk alone ([objective] value = "source.column")'
)


@dataclass(frozen=True)
class ProposedValue:
    """`[objective] value` of the file to be; `place` is empty where no column is known, `per` where
    the default is right.
    """

    place: str = ""
    per: str = ""
    why: str = ""

    def lines(self) -> Iterator[str]:
        """Lines of `[objective]`."""
        yield from comment_lines(self.why)
        yield (
            f"value = {toml_string(self.place)}"
            if self.place
            else ('# value = "purchases.sales_value"')
        )
        if self.per:
            yield f"value_per = {toml_string(self.per)}"


def with_value(
    sources: Sequence[ProposedSource],
) -> tuple[list[ProposedSource], ProposedValue | None]:
    """The sources, with the column of money per account read, and what `[objective]` says of it;
    None where contracts or accounts name it themselves.
    """
    known = {"accounts": "value_per_year", "subscriptions": "amount_per_month"}
    if any(known.get(s.contract) in s.columns for s in sources):
        return list(sources), None
    for index, source in enumerate(sources):
        name = _monthly(source)
        if name is not None:
            rule = {"column": name, "type": "money"}
            column = names.snake(name)
            mended = replace(
                source,
                extra={**source.extra, column: rule},
                unmapped=tuple(each for each in source.unmapped if each != name),
            )
            return [*sources[:index], mended, *sources[index + 1 :]], ProposedValue(
                f"{source.name}.{column}",
                "month",
                f"What an account is worth a year: twelve times `{name}` of {source.name}.",
            )
    places = _places(sources)
    if not places:
        return list(sources), ProposedValue(
            why="What is an account worth? No column says it: lists rank by risk alone until one is"
            " named, as source.column."
        )
    others = places[1 : 1 + SHOWN_PLACES]
    or_else = f" Or {' or '.join(others)}?" if others else ""
    return list(sources), ProposedValue(
        places[0],
        why="What an account is worth a year: this column, added up over the last 364 days."
        + or_else,
    )


def _monthly(source: ProposedSource) -> str | None:
    """A column of the accounts table that holds the money of a month."""
    if source.contract != "accounts":
        return None
    patterns = names.COLUMN_PATTERNS["subscriptions"]["amount_per_month"]
    return next(
        (
            column.name
            for pattern in patterns
            for column in source.table.columns
            if column.kind == "number"
            and column.name in source.unmapped
            and re.fullmatch(pattern, column.snake)
        ),
        None,
    )


def _places(sources: Sequence[ProposedSource]) -> list[str]:
    """`source.column` of dated money, the surest first: what activity brought, bills, then columns
    with weaker names.
    """
    sure: list[str] = []
    weak: list[str] = []
    for source in sources:
        if source.contract != "usage_events":
            continue
        extras = {**source.extra, **{k: r for part in source.part_extra for k, r in part.items()}}
        for column, rule in extras.items():
            is_money = isinstance(rule, dict) and rule.get("type") == "money"
            if not is_money or NOT_BROUGHT.search(column):
                continue
            (sure if BROUGHT.search(column) else weak).append(f"{source.name}.{column}")
    bills = [
        f"{s.name}.amount"
        for s in sources
        if s.contract == "invoices"
        and ("amount" in s.columns or any("amount" in part for part in s.part_columns))
    ]
    return [*sure, *bills, *weak]
