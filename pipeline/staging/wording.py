"""Values of closed lists that no measure reads, and the line that translates them.

Champion and CHAMPION are one word; "Executive sponsor" is none of the list, so nobody would count
it. Each such value is listed with its rows, and the `codes` to paste: with the word it most likely
stands for, else with itself, which says that it is meant.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from features.sources import CONTRACTS, Column
from pipeline.config.schema import ColumnRule, Rule, Source
from pipeline.config.toml_text import toml_value
from pipeline.engine.duckdb import Connection, rows
from pipeline.staging.mapping import scalar_text

VALUES_SHOWN = 12
"""Values named in a line, the commonest first."""
# Of each list: what a value often says where it means the word. The first that is found counts.
USUAL_WORDS: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("contacts", "role"): (
        ("champion", "champion"),
        (r"sponsor|executive|economic buyer|decision", "sponsor"),
        ("admin", "admin"),
        ("user", "user"),
    ),
    ("surveys", "kind"): (
        ("nps|net promoter|recommend", "nps"),
        ("csat|satisfaction", "csat"),
        ("ces|effort", "ces"),
        ("agree|yes", "agree"),
    ),
    ("support_tickets", "severity"): (
        (r"^(p|s|sev|prio|priority)\W*[01]\b|blocker|emergency|critical", "urgent"),
        (r"^(p|s|sev|prio|priority)\W*2\b|major|high", "high"),
        (r"^(p|s|sev|prio|priority)\W*3\b|minor|moderate", "medium"),
        (r"^(p|s|sev|prio|priority)\W*[45]\b|trivial|low", "low"),
    ),
    ("touchpoints", "kind"): (
        ("business review|qbr|ebr", "business_review"),
        ("meeting|call|demo|visit", "meeting"),
        ("training|webinar|workshop", "training"),
        ("open", "mail_opened"),
        ("repl|answer", "mail_answered"),
        ("mail", "mail_sent"),
        ("community|forum", "community_post"),
    ),
    ("subscriptions", "billing_period"): (
        ("month", "monthly"),
        ("quarter", "quarterly"),
        ("annual|year", "annual"),
    ),
}


@dataclass(frozen=True)
class UnknownWords:
    """One column of a closed list with values that are none of its words."""

    column: Column
    values: tuple[tuple[str, int], ...]
    """(value, rows), the commonest first."""
    known: int
    """Rows with a word of the list."""
    line: str
    """What to write under `[sources.X.columns]`."""

    @property
    def count(self) -> int:
        """Rows with an unknown value."""
        return sum(n for _, n in self.values)

    @property
    def what(self) -> str:
        """The values with their rows, and what follows for measures."""
        shown = ", ".join(f"{value!r} ({n:,})" for value, n in self.values[:VALUES_SHOWN])
        more = len(self.values) - VALUES_SHOWN
        told = f"{shown} and {more} more" if more > 0 else shown
        none = "" if self.known else "; none of its words occurs, so its measures are empty"
        if self.column.has_own_words and self.known:
            beyond = f"{self.column.name} holds words beyond its list: {told}"
            return f"{beyond}. Its measures leave them out"
        return f"{self.column.name} holds values that no measure reads: {told}{none}"

    @property
    def todo(self) -> str:
        """The words there are, and what a line does."""
        return (
            f"Words: {', '.join(self.column.words)}. Translate each with codes, or keep it as it"
            " is where that is meant"
        )


def unknown_words(
    connection: Connection, relation: str, contract: str, settings: Source
) -> Iterator[UnknownWords]:
    """Of each mapped column with a closed list, the values that are not in it.

    What `codes`, `prefixes`, `otherwise` or `value` write is the project's own choice.

    Parameters
    ----------
    relation
        Rows with a column per contract column that has a list; NULL where it is not mapped.
    """
    for column in CONTRACTS[contract].columns:
        if not column.words:
            continue
        counted = rows(
            connection,
            f"SELECT {column.name}, count(*) FROM {relation} WHERE {column.name} IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC, 1",
        )
        own = _written_by_rules(settings, column.name)
        values = tuple((v, n) for v, n in counted if v not in column.words and v not in own)
        if values:
            known = sum(n for v, n in counted if v in column.words)
            line = _codes_line(contract, settings, column, [v for v, _ in values[:VALUES_SHOWN]])
            yield UnknownWords(column, values, known, line)


def _rules(settings: Source, name: str) -> list[Rule]:
    places = [settings.columns, *(part.columns for part in settings.parts)]
    return [columns[name] for columns in places if name in columns]


def _written_by_rules(settings: Source, name: str) -> set[str]:
    written: set[str] = set()
    for rule in _rules(settings, name):
        if isinstance(rule, ColumnRule):
            constants = (rule.value, rule.otherwise)
            values = [*rule.codes.values(), *rule.prefixes.values(), *constants]
            written |= {scalar_text(v) for v in values if v is not None}
    return written


def _codes_line(contract: str, settings: Source, column: Column, values: list[str]) -> str:
    rule = next(iter(_rules(settings, column.name)), column.name)
    codes = {value: usual_word(contract, column.name, value) for value in values}
    if isinstance(rule, str):
        return f"{column.name} = {toml_value({'column': rule, 'codes': codes})}"
    start = {"join": rule.join} if rule.join else {"column": rule.column}
    others = {"prefixes": rule.prefixes} if rule.prefixes else {}
    return f"{column.name} = {toml_value({**start, 'codes': {**rule.codes, **codes}, **others})}"


def usual_word(contract: str, column: str, value: str) -> str:
    """The word that a value most likely stands for; the value itself where nothing says.

    >>> usual_word("contacts", "role", "Executive sponsor")
    'sponsor'
    >>> usual_word("support_tickets", "severity", "P1"), usual_word("contacts", "role", "Buyer")
    ('urgent', 'Buyer')
    """
    for pattern, word in USUAL_WORDS.get((contract, column), ()):
        if re.search(pattern, value.lower()):
            return word
    return value
