"""The training set: one row per account and date, with its signals, its label and when the label
was complete.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError

KEY_COLUMNS = ("account_id", "as_of", "label_until", "is_test")


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Features and labels, sorted by (account_id, as_of) and checked.

    Build one with `training_set`, which sorts; the constructor only checks.

    Attributes
    ----------
    keys
        `account_id` text, `as_of` datetime64, `label_until` datetime64 (the moment the row's label
        was complete), `is_test` bool (the untouched last dates).
    features
        float64, same index as `keys`, one column per signal; NaN is null.
    labels
        int8 array of shape (n_rows,), 1 where the event happened inside the label window.
    signals
        The cards of the columns, in column order.
    """

    keys: pd.DataFrame
    features: pd.DataFrame
    labels: NDArray[np.int8]
    signals: tuple[Signal, ...]

    def __post_init__(self) -> None:
        _check_columns(self.keys, self.features, self.signals)
        _check_rows(self.keys, self.features, self.labels)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, mask: NDArray[Any] | pd.Series) -> "TrainingSet":
        """Return the rows of a boolean mask or of an increasing array of positions."""
        picked = np.asarray(mask)
        positions = np.flatnonzero(picked) if picked.dtype == bool else np.sort(picked)
        return TrainingSet(
            keys=self.keys.iloc[positions].reset_index(drop=True),
            features=self.features.iloc[positions].reset_index(drop=True),
            labels=self.labels[positions],
            signals=self.signals,
        )

    @property
    def test(self) -> "TrainingSet":
        """The untouched rows."""
        return self.rows(self.keys["is_test"].to_numpy(dtype=bool))

    def leaving_accounts(self, positions: NDArray[np.intp] | None = None) -> int:
        """Return how many distinct accounts have the event: the unit in which events are
        counted.
        """
        rows = np.arange(len(self)) if positions is None else positions
        left = self.labels[rows] == 1
        return int(self.keys["account_id"].iloc[rows[left]].nunique())

    def fingerprint(self) -> str:
        """Return sha256 over keys, labels and values, rows by key and columns by name."""
        digest = hashlib.sha256()
        digest.update("\n".join(self.keys["account_id"]).encode())
        for name in ("as_of", "label_until"):
            digest.update(self.keys[name].to_numpy(dtype="datetime64[us]").tobytes())
        digest.update(self.keys["is_test"].to_numpy(dtype=bool).tobytes())
        digest.update(np.ascontiguousarray(self.labels).tobytes())
        for signal in sorted(self.signals, key=lambda each: each.column):
            digest.update(f"{signal.column} {signal.fingerprint}".encode())
            # One bit pattern for null and one for zero: both have several in IEEE 754.
            values = self.features[signal.column].to_numpy(dtype=np.float64) + 0.0
            digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
        return digest.hexdigest()


def training_set(
    keys: pd.DataFrame,
    features: pd.DataFrame,
    labels: Sequence[int] | NDArray[Any] | pd.Series,
    signals: Sequence[Signal],
) -> TrainingSet:
    """Return a `TrainingSet` from rows in any order; keys, features and labels go together by
    position.

    Raises
    ------
    ContractError
        When columns are missing, keys repeat, labels are not 0 or 1, or a value is infinite.
    """
    if not len(keys) == len(features) == len(labels):
        raise ContractError(
            "keys, features and labels must have the same number of rows, not "
            f"{len(keys)}, {len(features)}, {len(labels)}."
        )
    missing = [name for name in KEY_COLUMNS if name not in keys.columns]
    if missing:
        raise ContractError(f"keys lack {', '.join(missing)}; needed are {', '.join(KEY_COLUMNS)}.")
    columns = [signal.column for signal in signals]
    absent = [column for column in columns if column not in features.columns]
    if absent:
        raise ContractError(
            f"features lack {len(absent)} signal columns, first {absent[:3]}. Rebuild the features."
        )
    plain = keys.loc[:, list(KEY_COLUMNS)].reset_index(drop=True)
    order = plain.sort_values(["account_id", "as_of"], kind="stable").index.to_numpy()
    values = features.loc[:, columns].reset_index(drop=True).astype("float64")
    outcomes = np.asarray(labels)
    if outcomes.dtype.kind == "f" and np.isnan(outcomes).any():
        raise ContractError("labels hold nulls: leave rows out whose label is not known yet.")
    return TrainingSet(
        keys=plain.iloc[order].reset_index(drop=True),
        features=values.iloc[order].reset_index(drop=True),
        labels=outcomes[order].astype(np.int8),
        signals=tuple(signals),
    )


def _check_columns(keys: pd.DataFrame, features: pd.DataFrame, signals: Sequence[Signal]) -> None:
    missing = [name for name in KEY_COLUMNS if name not in keys.columns]
    if missing:
        raise ContractError(f"keys lack {', '.join(missing)}; needed are {', '.join(KEY_COLUMNS)}.")
    if list(features.columns) != [signal.column for signal in signals]:
        raise ContractError(
            "feature columns and signals differ in names or order; build both from the same cards."
        )
    if not signals:
        raise ContractError("a training set needs at least one signal; switch some cards on.")
    other = [name for name, kind in features.dtypes.items() if kind != np.float64]
    if other:
        raise ContractError(
            f"feature columns must be float64; {other[0]} is {features[other[0]].dtype}."
        )


def _check_rows(keys: pd.DataFrame, features: pd.DataFrame, labels: NDArray[np.int8]) -> None:
    if not len(keys) == len(features) == len(labels):
        raise ContractError(
            f"keys, features and labels differ in length: {len(keys)}, {len(features)},"
            f" {len(labels)}."
        )
    if not keys.index.equals(features.index):
        raise ContractError("keys and features must share one index.")
    if keys[["account_id", "as_of", "label_until"]].isna().to_numpy().any():
        raise ContractError("account_id, as_of and label_until may not be null.")
    if not np.isin(labels, (0, 1)).all():
        raise ContractError(
            f"labels must be 0 or 1, found {sorted(set(np.unique(labels)) - {0, 1})[:3]}."
        )
    if (keys["label_until"] < keys["as_of"]).any():
        raise ContractError(
            "label_until lies before as_of in some rows: a label cannot be complete before it"
            " starts."
        )
    pairs = keys[["account_id", "as_of"]]
    repeated = pairs.duplicated()
    if repeated.any():
        first = pairs[repeated].iloc[0]
        raise ContractError(
            f"{int(repeated.sum())} rows repeat account and date, first {first.account_id} at"
            f" {first.as_of:%Y-%m-%d}."
        )
    if not pairs.equals(pairs.sort_values(["account_id", "as_of"], kind="stable")):
        raise ContractError(
            "rows must be sorted by account_id and as_of; use training_set(...), which sorts."
        )
    infinite = np.isinf(features.to_numpy())
    if infinite.any():
        column = features.columns[int(np.flatnonzero(infinite.any(axis=0))[0])]
        raise ContractError(
            f"{column} holds infinite values; null is the way to say there is no value."
        )
