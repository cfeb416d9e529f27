"""How large a number and how far a date of the project file may be: walked over the whole file.

Without bounds a horizon of 10^30 days or a delay without end stops deep inside a library.
"""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any

Location = tuple[str | int, ...]

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 1, 1)
"""Nanoseconds of 64 bits end in 2262, and horizons come on top."""
CENTURY = 36_525
LARGEST: dict[str, int] = {
    "horizon_days": 3_650,
    "gap_days": 3_650,
    "grace_days": 3_650,
    "trials": 100_000,
    "workers": 1_024,
    "threads": 1_024,
    "folds": 100,
    "bags": 1_000,
    "max_trees": 100_000,
    "max_kinds": 1_000,
    "seed": 2**31 - 1,
    "minutes": 1_000_000,
    "count": 10_000,
}
"""Key -> largest value, either way from 0; keys that end in `_days` are bounded by a century."""
# Constants that stand in for values of a table may be as large as those.
_CONSTANTS = {"value": 2**63 - 1, "codes": 2**63 - 1, "prefixes": 2**63 - 1} | dict.fromkeys(
    ("otherwise", "keep", "drop"), 2**63 - 1
)
LARGEST_NUMBER, LARGEST_AMOUNT = 10**9, 1e15
LONGEST_TEXT = 10_000


def out_of_range(value: Any, path: Location = ()) -> Iterator[tuple[Location, str]]:
    """Path and wording of every value below `value` that is too large, too far or no number."""
    if is_dataclass(value):
        for field in fields(value):
            yield from out_of_range(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from out_of_range(each, (*path, key))
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from out_of_range(each, (*path, index))
    else:
        problem = _problem(value, path)
        if problem is not None:
            yield path, problem


def _problem(value: Any, path: Location) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _of_number(value, path)
    if isinstance(value, date):
        if FIRST_DAY <= value <= LAST_DAY:
            return None
        return f"{value} is out of range. Allowed: {FIRST_DAY} to {LAST_DAY}."
    if isinstance(value, str):
        if "\0" in value:
            return "holds the character NUL (\\u0000), which no file and no table can be named by."
        if len(value) > LONGEST_TEXT:
            return f"is {len(value):,} characters long. Allowed: {LONGEST_TEXT:,}."
    return None


def _of_number(value: float, path: Location) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no number that can be counted with; give a finite one."
    keys = [str(part) for part in path if isinstance(part, str)]
    largest: float = LARGEST_NUMBER if isinstance(value, int) else LARGEST_AMOUNT
    for key in keys:
        if key in _CONSTANTS:
            largest = _CONSTANTS[key]
    if keys:
        named = LARGEST.get(keys[-1]) or (CENTURY if keys[-1].endswith("_days") else None)
        largest = largest if named is None else named
    if abs(value) <= largest:
        return None
    shown = f"{value:.3g}" if isinstance(value, float) or abs(value) >= 10**15 else f"{value:,}"
    return f"{shown} is out of range. Allowed: at most {largest:,}."
