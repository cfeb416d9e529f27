"""Every account of a run on a page that can be searched, sorted and filtered, and as a table."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from models.health.scale import BANDS_IN_WORDS
from pipeline.actions.account_rows import AccountRow, list_length, shown_columns
from pipeline.actions.worklist import NO_OWNER
from pipeline.reports.portfolio import PortfolioInputs, list_rows, owner_numbers
from pipeline.reports.render import render, script_and_policy, style

ROWS_OF_A_FILE = 5_000
"""Accounts in one file: more, and a browser takes seconds to draw it."""


@dataclass(frozen=True)
class FilterValue:
    """One value of a filter: as in an address, in words, and how many accounts have it."""

    value: str
    words: str
    accounts: int


@dataclass(frozen=True)
class Filter:
    """A filter of the page: its name in addresses and rows, its label, its values."""

    name: str
    label: str
    choices: tuple[FilterValue, ...]


@dataclass(frozen=True)
class FilteredRow:
    """An account with its values of the filters."""

    account: AccountRow
    values: dict[str, str]


def account_pages(inputs: PortfolioInputs, name_of: Callable[[int], str]) -> dict[str, str]:
    """Pages of every account by the name of their file, in the order of the worklist.

    Parameters
    ----------
    name_of
        Name of the file of a number, from 1.
    """
    rows = list_rows(inputs)
    filters, filtered = filters_of(rows)
    script, policy = script_and_policy("list.js")
    starts = range(0, max(1, len(rows)), ROWS_OF_A_FILE)
    names = [name_of(number) for number in range(1, len(starts) + 1)]
    common: dict[str, Any] = {
        "style": style(),
        "script": script,
        "policy": policy,
        "project": inputs.project,
        "run": inputs.run,
        "now": inputs.now,
        "filters": filters,
        "shown": shown_columns(rows),
        "accounts_in_all": len(rows),
        "listed": list_length(rows, inputs.objective.capacity),
        "files": names,
    }
    return {
        name: render(
            "accounts.html.j2",
            rows=filtered[start : start + ROWS_OF_A_FILE],
            first=start + 1,
            file=name,
            **common,
        )
        for name, start in zip(names, starts, strict=True)
    }


def filters_of(rows: Sequence[AccountRow]) -> tuple[list[Filter], list[FilteredRow]]:
    """Filters with more than one value, and the rows with theirs.

    Values are numbers or words of ours: names of owners and segments may hold anything.
    """
    owners = owner_numbers(rows)
    segments = _numbered(row.segment for row in rows)
    reasons = _numbered(reason for row in rows for reason in row.summary)
    values = [
        {
            "band": row.standing,
            "owner": str(owners[row.owner]),
            "segment": str(segments.get(row.segment, 0)),
            "month": row.month or "0",
            "reason": " ".join(str(reasons[reason]) for reason in row.summary),
            "fell": "1" if row.fall else "",
            "list": "1" if row.place is not None else "",
        }
        for row in rows
    ]
    words = {
        "band": {band: BANDS_IN_WORDS.get(band, band) for band in {row.standing for row in rows}},
        "owner": {str(number): owner or NO_OWNER for owner, number in owners.items()},
        "segment": {"0": "no segment"} | {str(n): segment for segment, n in segments.items()},
        "month": {"0": "no end known"} | {row.month: _month(row) for row in rows if row.month},
        "reason": {str(number): reason for reason, number in reasons.items()},
        "fell": {"1": "fell suddenly"},
        "list": {"1": "to call"},
    }
    labels = {
        "list": "List",
        "band": "Band",
        "owner": "Owner",
        "segment": "Segment",
        "month": "Contract ends",
        "reason": "Reason",
        "fell": "Sudden drop",
    }
    filters = []
    for name, label in labels.items():
        counts = Counter(value for each in values for value in each[name].split())
        choices = tuple(
            FilterValue(value, words[name][value], counts[value])
            for value in words[name]
            if counts[value]
        )
        is_a_mark = name in ("fell", "list")
        if len(choices) > (0 if is_a_mark else 1):
            ordered = choices if name == "owner" else sorted(choices, key=_by_value(name))
            filters.append(Filter(name, label, tuple(ordered)))
    used = {each.name for each in filters}
    return filters, [
        FilteredRow(row, {name: value for name, value in each.items() if name in used and value})
        for row, each in zip(rows, values, strict=True)
    ]


def account_table(rows: Iterable[AccountRow]) -> pd.DataFrame:
    """The rows as a tidy table: a line per account, numbers as numbers."""
    return pd.DataFrame(
        [
            {
                "place": row.place,
                "account_id": row.account_id,
                "name": row.name,
                "owner": row.owner,
                "segment": row.segment,
                "value_per_year": row.value,
                "currency": row.currency,
                "contract_ends": row.ends_on,
                "band": row.band,
                "state": row.state,
                "health": row.health,
                "chance": row.chance,
                "chance_in_words": row.chance_words,
                "chance_is_of": (
                    "" if row.chance is None else "decision" if row.is_decided_later else "horizon"
                ),
                "at_stake": row.at_stake,
                "to_do": row.todo,
                "saves": row.saves,
                "reasons": ", ".join(row.summary),
                "usual_health": row.fall.usual if row.fall else None,
                "fell_by": row.fall.by if row.fall else None,
            }
            for row in rows
        ]
    ).astype({"place": "Int64", "health": "Int64", "usual_health": "Int64"})


def table_of(inputs: PortfolioInputs) -> pd.DataFrame:
    """Every account of the run as a tidy table, in the order of the page."""
    return account_table(list_rows(inputs))


def _numbered(words: Iterable[str]) -> dict[str, int]:
    return {word: number for number, word in enumerate(sorted({*words} - {""}), 1)}


def _by_value(name: str) -> Callable[[FilterValue], Any]:
    if name == "month":
        return lambda choice: choice.value
    if name == "band":
        return lambda choice: list(BANDS_IN_WORDS).index(choice.value)
    return lambda choice: (-choice.accounts, choice.words)


def _month(row: AccountRow) -> str:
    assert row.ends_on is not None  # it has a month
    return f"{row.ends_on:%B %Y}"
