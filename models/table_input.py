"""Rows of another table as a model trained on a table reads them: by the columns' own names, in
whatever types they come.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ArtifactMismatch
from models.table import LISTED, YES_AND_NO, account_ids, near_names, row_dates
from models.table_codes import ColumnCode, encode

COLUMNS, ROLES = "table_columns", "table_roles"
"""Choices of a bundle: how columns become signals, and which columns name and date the rows."""
TRUE_WORDS = frozenset({"1", *(yes for yes, _ in YES_AND_NO)})
FALSE_WORDS = frozenset({"0", *(no for _, no in YES_AND_NO)})
NOTHING = frozenset({"", "na", "n/a", "#n/a", "nan", "nat", "none", "null", "<na>", r"\n"})


@dataclass(frozen=True)
class TableRoles:
    """Which columns name and date the rows; None where the model was trained without."""

    account: str | None = None
    as_of: str | None = None

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> "TableRoles":
        """The roles that a bundle's choices keep; models of version 0.2 keep none."""
        return cls(**choices.get(ROLES, {}))

    def to_choices(self) -> dict[str, Any]:
        """Plain values for a bundle's choices."""
        return {ROLES: {"account": self.account, "as_of": self.as_of}}


@dataclass(frozen=True, eq=False)
class TableInput:
    """Signals of the rows of a table, with its own index; `notes` say what was read as null."""

    features: pd.DataFrame
    notes: tuple[str, ...]


def codes_of(choices: Mapping[str, Any]) -> tuple[ColumnCode, ...]:
    """The codes that a bundle's choices keep; none where the model was not trained on a table."""
    return tuple(ColumnCode.from_dict(each) for each in choices.get(COLUMNS, ()))


def input_columns(choices: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns that a table must have to be scored, as the training table spelled them."""
    codes, as_of = codes_of(choices), TableRoles.of(choices).as_of
    needs_date = as_of is not None and any(code.kind == "date" for code in codes)
    named = (*(code.column for code in codes), *((as_of,) if needs_date and as_of else ()))
    return tuple(dict.fromkeys(named))


def table_input(
    table: pd.DataFrame, choices: Mapping[str, Any], as_of: pd.Series | None = None
) -> TableInput:
    """Return the signals of a table's rows by the codes frozen when the model was trained.

    Whole numbers, nullable types, true and false in words, and numbers written as text are read
    alike; a category never seen in training is null, and so is what a cell cannot be read as.

    Parameters
    ----------
    as_of
        Date of each row; None: the column that dated the rows of the training table.

    Raises
    ------
    ArtifactMismatch
        When a column is missing, or holds no value that it could be read as.
    """
    codes = codes_of(choices)
    named = _columns_of(table, input_columns(choices) if as_of is None else _columns(codes))
    if as_of is None and TableRoles.of(choices).as_of in named:
        date_column = named[str(TableRoles.of(choices).as_of)]
        as_of = row_dates(table[date_column], date_column)
    parts: dict[str, pd.Series] = {}
    notes: list[str] = []
    for code in codes:
        values = table[named[code.column]].reset_index(drop=True)
        days = None if as_of is None else as_of.reset_index(drop=True)
        read = _read(values, code, days)
        is_filled = _filled(values)
        lost = is_filled & read.isna()
        if lost.any() and code.kind != "category":
            _refuse_unreadable(code, values[lost], int(is_filled.sum()))
        if lost.any():
            notes.append(_lost_words(code, values[lost]))
        parts[code.column] = read
    plain = pd.DataFrame(parts, index=pd.RangeIndex(len(table)))
    features = encode(plain, codes).set_axis(table.index, axis=0)
    return TableInput(features, tuple(notes))


def table_accounts(table: pd.DataFrame, account: str | None) -> pd.Series:
    """Return an id per row, with the table's index; without a column of accounts `row 1`, `row 2`
    and so on.

    Raises
    ------
    ArtifactMismatch
        When the column is missing, or a row names no account.
    """
    if account is None:
        names = [f"row {n}" for n in range(1, len(table) + 1)]
        return pd.Series(names, index=table.index, dtype=object)
    column = _columns_of(table, (account,))[account]
    ids = account_ids(table[column])
    empty = ids.isna() | (ids == "")
    if empty.any():
        raise ArtifactMismatch(
            f"{int(empty.sum()):,} rows name no account in {column!r}. Fill it, or leave the rows"
            " out."
        )
    return ids


def _columns(codes: Sequence[ColumnCode]) -> tuple[str, ...]:
    return tuple(code.column for code in codes)


def _columns_of(table: pd.DataFrame, wanted: Sequence[str]) -> dict[str, str]:
    """The table's own spelling of each wanted column; letters count alike in every writing of
    theirs.
    """
    spelled: dict[str, list[str]] = {}
    for column in table.columns:
        spelled.setdefault(_folded(str(column)), []).append(column)
    named, absent = {}, []
    for name in wanted:
        same = spelled.get(_folded(name), [])
        exact = [column for column in same if str(column) == name]
        if len(same) == 1 or exact:
            named[name] = (exact or same)[0]
        else:
            absent.append(name)
    if absent:
        more = f" and {len(absent) - LISTED} more" if len(absent) > LISTED else ""
        raise ArtifactMismatch(
            f"the table lacks {', '.join(map(repr, absent[:LISTED]))}{more}, which the model reads;"
            f" {near_names(absent[0], table.columns)}. Bring all columns of the training table but"
            " the label."
        )
    return named


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()


def _filled(values: pd.Series) -> pd.Series:
    """Which cells hold something, words for nothing aside."""
    filled = values.notna()
    if not _is_text(values):
        return filled
    words = values.astype("string").str.strip().str.lower().isin(NOTHING)
    return filled & ~words.fillna(True).astype(bool)


def _is_text(values: pd.Series) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)
    )


def _read(values: pd.Series, code: ColumnCode, as_of: pd.Series | None) -> pd.Series:
    if code.kind == "number":
        return _numbers(values)
    if code.kind == "flag":
        return _flags(values)
    if code.kind == "date":
        return _days_before(values, as_of, code)
    return _categories(values, code)


def _numbers(values: pd.Series) -> pd.Series:
    if pd.api.types.is_timedelta64_dtype(values):
        number = values.dt.total_seconds() / 86_400.0
    elif _is_text(values):
        # Booleans among objects are numbers, too; text is what is left.
        plain = values.map(lambda cell: float(cell) if isinstance(cell, bool | np.bool_) else cell)
        text = plain.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
        number = pd.to_numeric(text, errors="coerce")
    else:
        number = values
    read = pd.Series(number.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index)
    return read.mask(np.isinf(read))


def _flags(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        number = pd.Series(values.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index)
        return number.where(number.isin((0.0, 1.0)))
    words = values.astype("string").str.strip().str.lower().str.replace(r"\.0?$", "", regex=True)
    read = words.isin(TRUE_WORDS).astype("float64").where(words.isin(TRUE_WORDS | FALSE_WORDS))
    return pd.Series(read.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index)


def _days_before(values: pd.Series, as_of: pd.Series | None, code: ColumnCode) -> pd.Series:
    if as_of is None:
        raise ArtifactMismatch(
            f"{code.column!r} is read as days before the row's date, and nothing dates the rows."
            " Name the column that does, or one date for all."
        )
    times = values
    if not pd.api.types.is_datetime64_any_dtype(values):
        times = pd.to_datetime(values.astype("string"), format="ISO8601", errors="coerce", utc=True)
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    days = (as_of - times).dt.total_seconds() / 86_400.0
    return days.astype("float64")


def _categories(values: pd.Series, code: ColumnCode) -> pd.Series:
    """Text as training wrote it: 7.0 is `7`, true is the yes of a yes and a no."""
    known = set(code.values)
    text = values.astype("string").str.strip().astype(object)
    read = text.where(text.isin(known))
    missing = read.isna() & text.notna()
    if missing.any():
        read = read.where(~missing, text[missing].map(lambda cell: _spelled(str(cell), known)))
    return read


def _spelled(cell: str, known: set[str]) -> str | None:
    """A known category that the cell is another writing of; None: there is none."""
    whole = cell.removesuffix(".0")
    if whole in known:
        return whole
    if f"{cell}.0" in known:
        return f"{cell}.0"
    for words in (TRUE_WORDS, FALSE_WORDS):
        if cell.lower() in words:
            same = [value for value in known if value.lower() in words]
            return same[0] if len(same) == 1 else None
    return None


def _refuse_unreadable(code: ColumnCode, lost: pd.Series, filled: int) -> None:
    if len(lost) < filled:
        return
    kind = {"number": "numbers", "flag": "true and false", "date": "dates"}[code.kind]
    raise ArtifactMismatch(
        f"{code.column!r} held {kind} when the model was trained, and none of its {filled:,} values"
        f" here, such as {lost.iloc[0]!r}, can be read so. Bring the column as it was."
    )


def _lost_words(code: ColumnCode, lost: pd.Series) -> str:
    values = ", ".join(map(repr, lost.drop_duplicates().head(3).tolist()))
    if code.kind == "category":
        return (
            f"{len(lost):,} rows hold values of {code.column} that training never saw, such as"
            f" {values}; read as null."
        )
    return f"{len(lost):,} values of {code.column} cannot be read, such as {values}; read as null."
