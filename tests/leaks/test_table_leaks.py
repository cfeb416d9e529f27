"""Leaks of a ready feature table and of folds: `tenure table train` and every other path to a fit
refuse them by name.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import LeakageError
from models.leakage import audit_folds
from models.splits import Folds, temporal_folds
from models.table import TableOptions, table_rows

OPTIONS = TableOptions("left", account="account")


def honest(rows: int = 600, seed: int = 3) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    logins = generator.gamma(2.0, 10.0, rows)
    left = (generator.random(rows) < 1 / (1 + np.exp(0.25 * logins - 1.5))).astype(int)
    return pd.DataFrame(
        {
            "account": [f"A{n:04}" for n in range(rows)],
            "logins": logins,
            "seats": generator.integers(1, 40, rows),
            "left": left,
        }
    )


def _noise(table: pd.DataFrame) -> pd.Series:
    return pd.Series(np.random.default_rng(5).normal(size=len(table)), index=table.index)


LEAKS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "customer_no": lambda t: pd.Series(range(len(t))),
    "email": lambda t: "m" + t["account"] + "@example.org",
    "account_target_mean": lambda t: 0.2 + 0.5 * t["left"] + 0.02 * _noise(t),
    "status": lambda t: t["left"].map({1: "closed", 0: "open"}),
    "is_cancelled": lambda t: t["left"] == 1,
    "other_models_score": lambda t: t["left"] + 0.3 * _noise(t),
    "cancel_reason": lambda t: t["left"].map({1: "price", 0: None}),
    "reason_of_some": lambda t: pd.Series(
        np.where((t["left"] == 1) & (t.index % 3 == 0), "moved", None)
    ),
    "last_invoice": lambda t: pd.Series(np.where(t["left"] == 1, 0.0, 100 + _noise(t))),
    "owner_today": lambda t: pd.Series(
        np.where(t["left"] == 1, None, "team " + (t.index % 4).astype(str))
    ),
    "days_since_last_login_today": lambda t: 3 + 200 * t["left"] + _noise(t).abs(),
    "contacts_now": lambda t: pd.Series(np.where(t["left"] == 1, np.nan, 3.0 + t.index % 5)),
}


@pytest.mark.parametrize("column", LEAKS)
def test_leaking_column_of_a_table_is_refused_by_name(column: str) -> None:
    table = honest()
    with pytest.raises(
        LeakageError, match=rf"(^|; ){column} (alone|is )|whether {column} is null"
    ) as error:
        table_rows(table.assign(**{column: LEAKS[column](table)}), OPTIONS)
    assert error.value.exit_code == 3


@pytest.mark.parametrize("column", LEAKS)
def test_waived_column_is_kept_with_its_reason(column: str) -> None:
    table = honest()
    rows = table_rows(
        table.assign(**{column: LEAKS[column](table)}),
        replace(OPTIONS, waivers={column: "known on the date"}),
    )
    assert [(f.column, f.waived) for f in rows.findings] == [(column, "known on the date")]


def test_honest_table_is_not_refused() -> None:
    assert table_rows(honest(), OPTIONS).findings == ()


def _keys() -> tuple[pd.DataFrame, np.ndarray]:
    dates = pd.date_range("2024-01-01", periods=12, freq="28D").astype("datetime64[us]")
    keys = pd.DataFrame(
        [
            (f"A{n:03}", day, day + pd.Timedelta(days=90), day >= dates[-2])
            for n in range(120)
            for day in dates
        ],
        columns=["account_id", "as_of", "label_until", "is_test"],
    )
    labels = (np.random.default_rng(1).random(len(keys)) < 0.3).astype(np.int8)
    return keys, labels


def test_folds_of_ours_pass_their_own_audit() -> None:
    keys, labels = _keys()
    folds = temporal_folds(keys, 3, labels)
    assert folds.is_temporal
    audit_folds(keys, folds)


def test_label_window_that_overlaps_the_test_is_refused_with_account_and_both_dates() -> None:
    keys, labels = _keys()
    folds = temporal_folds(keys, 3, labels)
    everything = replace(folds, final=np.flatnonzero(~keys["is_test"].to_numpy()))
    with pytest.raises(
        LeakageError,
        match=r"reach into the test rows, which begin on 2024-10-07: account A000 at 2024-07-15 "
        r"has a label complete on 2024-10-13",
    ):
        audit_folds(keys, everything)


def test_label_window_that_overlaps_validation_is_refused() -> None:
    keys, labels = _keys()
    folds = temporal_folds(keys, 3, labels)
    block = folds.tuning[0]
    before = np.flatnonzero((keys["as_of"] < block.first_as_of).to_numpy())
    with pytest.raises(LeakageError, match="reach into the validation rows"):
        audit_folds(keys, replace(folds, tuning=(replace(block, train=before), *folds.tuning[1:])))


def test_accounts_spread_across_folds_are_refused() -> None:
    keys, labels = _keys()
    folds = temporal_folds(keys, 3, labels)
    block = replace(folds.tuning[0], train=np.arange(0, 600, 2), validation=np.arange(1, 600, 2))
    spread = Folds((block,), (block,), folds.final, 0, False, folds.leaving_accounts)
    with pytest.raises(LeakageError, match="50 accounts are spread across folds, such as A000"):
        audit_folds(keys, spread)
