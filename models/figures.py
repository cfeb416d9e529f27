"""Dataclasses of figures as plain values for JSON, and back.

The figures of a part stand beside its owner's. An estimate stands under its name, and its ends
under `<name>_low` and `<name>_high`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pandas as pd

from features.errors import ContractError
from models.metrics import Estimate

Kind = TypeVar("Kind")


def plain(value: Any) -> Any:
    """Return plain values for JSON: what is not a finite number becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def side_by_side(figures: Any) -> dict[str, Any]:
    """Return the figures of a dataclass under their names; a part that is None is left out."""
    values: dict[str, Any] = {}
    for field, kind, _ in _typed_fields(type(figures)):
        name, value = field.name, getattr(figures, field.name)
        if isinstance(value, Estimate):
            values |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        elif is_dataclass(value):
            values |= side_by_side(value)
        elif isinstance(value, pd.DataFrame):
            values[name] = value.to_dict("records")
        elif value is not None or not is_dataclass(kind):
            values[name] = value
    return {name: plain(value) for name, value in values.items()}


def from_side_by_side(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Return the dataclass whose figures `side_by_side` gave, in this release or an earlier one.

    A number that does not exist, or was not kept then, is NaN, or None where its field may be.

    Raises
    ------
    ContractError
        When a count or a name is missing.
    """
    known = {
        field.name: _read(part, field.name, values, is_optional=is_optional)
        for field, part, is_optional in _typed_fields(kind)
        if field.name in values or field.default is MISSING
    }
    return kind(**known)


def _typed_fields(kind: type) -> Iterator[tuple[Field[Any], Any, bool]]:
    """Each field, its type, and whether it may also be None."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        options = get_args(hints[field.name])
        is_optional = NoneType in options
        yield field, options[0] if is_optional else hints[field.name], is_optional


def _read(kind: Any, name: str, values: Mapping[str, Any], *, is_optional: bool) -> Any:
    if kind is Estimate:
        if is_optional and name not in values:
            return None
        numbers = (values.get(each) for each in (name, f"{name}_low", f"{name}_high"))
        return Estimate(*(math.nan if number is None else float(number) for number in numbers))
    if isinstance(kind, type) and is_dataclass(kind):
        own = {field.name for field in fields(kind)}
        return None if is_optional and own.isdisjoint(values) else from_side_by_side(kind, values)
    if kind is pd.DataFrame:
        return pd.DataFrame(values.get(name))
    if get_origin(kind) is tuple:
        return tuple(values.get(name) or ())
    value = values.get(name)
    if value is not None or is_optional:
        return value
    if kind is float:
        return math.nan
    raise ContractError(f"the figures that were kept lack {name!r}; evaluate the model again.")
