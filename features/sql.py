"""The one place where words become SQL: names are always quoted, values are literals.

DuckDB reads both as standard SQL does; Spark does with the settings of `pipeline/engine/spark.py`.
"""

import math
from collections.abc import Iterable
from datetime import date, datetime

from features.errors import ContractError


def identifier(words: str) -> str:
    """The words as the name of a column or table, whatever is in them.

    Raises
    ------
    ContractError
        No SQL can name it: the words are empty, or hold half of a character.

    >>> identifier("Customer ID"), identifier('2fa "on"')
    ('"Customer ID"', '"2fa ""on\"""')
    """
    if not words:
        raise ContractError(
            "a column has an empty name. Give it one in the table it comes from, or leave it out."
        )
    return f'"{_whole(words).replace(chr(34), chr(34) * 2)}"'


def listed(columns: Iterable[str], table: str | None = None) -> str:
    """Columns of a table, separated by commas.

    >>> listed(["2fa_count_28d", "logins"], "r")
    'r."2fa_count_28d", r."logins"'
    """
    return ", ".join(_named(column, table) for column in columns)


def as_doubles(columns: Iterable[str], table: str | None = None) -> str:
    """As `listed`, each column as a double under its own name."""
    return ", ".join(
        f"cast({_named(column, table)} as double) as {identifier(column)}" for column in columns
    )


def _named(column: str, table: str | None) -> str:
    return identifier(column) if table is None else f"{table}.{identifier(column)}"


def literal(value: str | int | float | bool | date | None) -> str:
    r"""The value as SQL that every engine reads alike.

    A backslash begins an escape in Spark and is itself in DuckDB, so neither is shown one.

    Raises
    ------
    ContractError
        A text holds half of a character, which no database can keep.

    >>> print(literal("O'Brien"), literal(r"a\b"))
    'O''Brien' ('a' || chr(92) || 'b')
    """
    quoted = standard_literal(value)
    return "(" + quoted.replace("\\", "' || chr(92) || '") + ")" if "\\" in quoted else quoted


def standard_literal(value: str | int | float | bool | date | None) -> str:
    """The value as a literal of standard SQL, for DuckDB, which wants one in places such as ATTACH.

    Raises
    ------
    ContractError
        A text holds half of a character, which no database can keep.

    >>> standard_literal("O'Brien"), standard_literal(True), standard_literal(date(2024, 3, 1))
    ("'O''Brien'", 'true', "DATE '2024-03-01'")
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return f"cast('{value}' as double)"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + _whole(value).replace("'", "''") + "'"


def _whole(words: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in words):
        raise ContractError(
            f"{ascii(words)} holds half of a character (a lone surrogate), which no table can keep."
            " Write it anew as UTF-8."
        )
    return words
