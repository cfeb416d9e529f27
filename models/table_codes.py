"""Columns of a foreign table as signals: categories frozen on training rows, what is met later is
null.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.definition import ONE_HOT_UP_TO, Signal
from features.errors import ContractError
from features.naming import capital, distinct_slugs, spelled_slug
from models.methods.base import Floats

SOURCE = "table"

Kind = Literal["number", "flag", "date", "category"]


@dataclass(frozen=True)
class ColumnCode:
    """How one column of the table becomes signals, frozen on training rows.

    `values` are the categories known (the commonest first); others, met later, are null.
    """

    column: str
    kind: Kind
    signals: tuple[str, ...]
    values: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "column": self.column,
            "kind": self.kind,
            "signals": list(self.signals),
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ColumnCode":
        """Return the code that `to_dict` described."""
        return cls(state["column"], state["kind"], tuple(state["signals"]), tuple(state["values"]))


def freeze(columns: pd.DataFrame, dates: Collection[str] = ()) -> tuple[ColumnCode, ...]:
    """Return how each column becomes signals, learned from these rows; `dates` hold days before the
    row's date.

    Text with two values is one column, with up to eight one column each, with more the rank of its
    frequency.
    """
    names = distinct_slugs((str(column) for column in columns.columns), spelled_slug)
    codes = []
    for column in columns.columns:
        name = names[str(column)]
        kind: Kind = "date" if column in dates else _kind(columns[column])
        if kind != "category":
            codes.append(ColumnCode(str(column), kind, (name,)))
            continue
        # Ties are ordered by value: the codes must not depend on the order of rows.
        counts = columns[column].dropna().value_counts().rename_axis("value").reset_index()
        seen = tuple(
            counts.sort_values(["count", "value"], ascending=[False, True])["value"].astype(str)
        )
        if len(seen) > ONE_HOT_UP_TO:
            codes.append(ColumnCode(str(column), kind, (f"{name}_rank",), seen))
        else:
            spoken = [max(seen)] if len(seen) == 2 else list(seen)
            parts = distinct_slugs(spoken, spelled_slug)
            codes.append(
                ColumnCode(
                    str(column), kind, tuple(f"{name}_is_{parts[value]}" for value in spoken), seen
                )
            )
    return _without_collisions(codes)


def encode(columns: pd.DataFrame, codes: Sequence[ColumnCode]) -> pd.DataFrame:
    """Return float64 signals of rows by frozen codes; values never seen when they were frozen are
    null.

    Raises
    ------
    ContractError
        When a column is missing.
    """
    absent = [code.column for code in codes if code.column not in columns.columns]
    if absent:
        raise ContractError(
            f"the table lacks {len(absent)} columns the model was trained on, first {absent[:3]}."
        )
    parts: dict[str, Floats] = {}
    for code in codes:
        values = columns[code.column]
        if code.kind != "category":
            parts[code.signals[0]] = np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
            continue
        places = {value: number for number, value in enumerate(code.values)}
        place: Floats = np.asarray(values.map(places).to_numpy(dtype=np.float64, na_value=np.nan))
        if len(code.values) > ONE_HOT_UP_TO:
            parts[code.signals[0]] = place + 1.0
            continue
        for name, value in zip(code.signals, _one_hot_values(code), strict=True):
            parts[name] = np.where(np.isnan(place), np.nan, place == places[value])
    return pd.DataFrame(parts, index=columns.index)


def misfits(
    columns: pd.DataFrame, codes: Sequence[ColumnCode], dates: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the columns of frozen codes that rows lack, or hold as something else: text for a
    number, say.
    """

    def is_like(code: ColumnCode) -> bool:
        if code.column not in columns.columns or (code.column in dates) != (code.kind == "date"):
            return False
        return code.kind == "date" or (_kind(columns[code.column]) == "category") == (
            code.kind == "category"
        )

    return tuple(code.column for code in codes if not is_like(code))


def signals_of(codes: Sequence[ColumnCode]) -> tuple[Signal, ...]:
    """Return a card per signal; it means what its column is called, and has no opinion of what is
    worse.
    """
    return tuple(signal for code in codes for signal in _signals(code))


def unseen(columns: pd.DataFrame, codes: Sequence[ColumnCode]) -> list[str]:
    """Return a sentence per column whose rows hold categories that were not there when its code was
    frozen.
    """
    notes = []
    for code in codes:
        if code.kind == "category":
            known = columns[code.column].dropna()
            strange = int((~known.isin(code.values)).sum())
            if strange:
                notes.append(
                    f"{strange:,} test rows hold values of {code.column} that training never saw;"
                    " read as null."
                )
    return notes


def _kind(values: pd.Series) -> Kind:
    if pd.api.types.is_bool_dtype(values.dropna().infer_objects()):
        return "flag"
    return "number" if pd.api.types.is_numeric_dtype(values) else "category"


def _one_hot_values(code: ColumnCode) -> list[str]:
    return [max(code.values)] if len(code.values) == 2 else list(code.values)


def _without_collisions(codes: Sequence[ColumnCode]) -> tuple[ColumnCode, ...]:
    """`plan` with the value `a`, and a column `plan is a`, would be one signal; the later gets a
    mark.
    """
    taken: set[str] = set()
    distinct = []
    for code in codes:
        names = []
        for name in code.signals:
            mark = hashlib.sha256(f"{code.column}|{name}".encode()).hexdigest()[:6]
            names.append(name if name not in taken else f"{name}_{mark}")
            taken.add(names[-1])
        distinct.append(ColumnCode(code.column, code.kind, tuple(names), code.values))
    return tuple(distinct)


def _signals(code: ColumnCode) -> list[Signal]:
    spoken = capital(code.column.replace("_", " "))
    definition: dict[str, Any] = {"table_column": code.column, "encoding": code.kind}
    if code.kind == "number":
        return [_signal(code, 0, code.column, "number", f"{spoken}: {{value}}", definition)]
    if code.kind == "flag":
        return [_signal(code, 0, code.column, "yes", f"{spoken}: {{value}}", definition)]
    if code.kind == "date":
        return [
            _signal(
                code,
                0,
                f"days from {code.column} to the row's date",
                "days",
                f"{spoken} was {{value}} days before the date",
                definition,
            )
        ]
    definition["values"] = list(code.values)
    if len(code.values) > ONE_HOT_UP_TO:
        return [
            _signal(
                code,
                0,
                f"frequency rank of {code.column}, 1 is the commonest",
                "rank",
                f"{spoken}: number {{value}} by frequency",
                definition,
            )
        ]
    return [
        _signal(
            code,
            number,
            f"1 where {code.column} is {value}",
            "yes",
            f"{spoken} is {value}",
            {**definition, "category": value},
            {"0": f"{spoken} is not {value}"},
        )
        for number, value in enumerate(_one_hot_values(code))
    ]


def _signal(
    code: ColumnCode,
    number: int,
    meaning: str,
    unit: str,
    phrase: str,
    definition: Mapping[str, Any],
    said_at: Mapping[str, str] | None = None,
) -> Signal:
    # Nothing says what a foreign column is about: all are filed under usage, none has a direction.
    return Signal(
        column=code.signals[number],
        # As the file spells it: people find it there.
        driver=code.column,
        dimension="usage",
        source=SOURCE,
        meaning=meaning,
        unit=unit,
        phrase=phrase,
        said_at=said_at or {},
        definition=dict(definition),
    )
