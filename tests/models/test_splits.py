"""Folds: label windows never overlap, whatever the dates."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ContractError
from models.splits import (
    LEAVERS_PER_BLOCK,
    Folds,
    account_groups,
    searched,
    temporal_folds,
    thinned,
    unmatured,
)

FIRST = pd.Timestamp("2024-01-01")


def _grid(
    accounts: int,
    dates: int,
    *,
    every: int = 28,
    horizon: int = 90,
    test: int = 2,
    rate: float = 0.2,
    seed: int = 0,
) -> tuple[pd.DataFrame, np.ndarray]:
    number, step = np.meshgrid(np.arange(accounts), np.arange(dates), indexing="ij")
    keys = pd.DataFrame({"account_id": [f"a{each:05d}" for each in number.ravel()]})
    keys["as_of"] = FIRST + pd.to_timedelta(step.ravel() * every, unit="D")
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=horizon)
    keys["is_test"] = step.ravel() >= dates - test
    return keys, (np.random.default_rng(seed).random(len(keys)) < rate).astype(np.int8)


def _assert_apart(keys: pd.DataFrame, folds: Folds) -> None:
    until, as_of = keys["label_until"].to_numpy(), keys["as_of"].to_numpy()
    is_test = keys["is_test"].to_numpy()
    assert not is_test[folds.final].any()
    for block in (*folds.tuning, *folds.calibration):
        assert not is_test[block.train].any() and not is_test[block.validation].any()
        assert not set(block.train) & set(block.validation)
        assert set(block.validation) <= set(folds.final) and set(block.train) <= set(folds.final)
        if folds.is_temporal:
            assert until[block.train].max() <= as_of[block.validation].min()
        else:
            accounts = keys["account_id"].to_numpy()
            assert not set(accounts[block.train]) & set(accounts[block.validation])
    if folds.is_temporal:
        validated = [
            set(block.validation) for block in folds.tuning if block is not folds.calibration[0]
        ]
        validated.append(set(folds.calibration[0].validation))
        assert sum(map(len, validated)) == len(set().union(*validated))
        if is_test.any():
            assert until[folds.final].max() <= as_of[is_test].min()


def test_grid_of_dates_gives_the_blocks_asked_for() -> None:
    keys, labels = _grid(500, 16)
    folds = temporal_folds(keys, 4, labels)
    assert folds.is_temporal and len(folds.tuning) == 3 and len(folds.calibration) == 1
    _assert_apart(keys, folds)
    # The test starts 2025-01-27, so the last final date is 2024-10-07 (its label is complete
    # 2025-01-05).
    assert keys["as_of"].iloc[folds.final].max() == pd.Timestamp("2024-10-07")
    assert folds.calibration[0].last_as_of == pd.Timestamp("2024-10-07")
    assert folds.purged == 3 * 500


def test_label_complete_on_the_first_date_of_a_block_may_teach_it() -> None:
    keys, labels = _grid(400, 14, every=30, horizon=90, test=1)
    folds = temporal_folds(keys, 3, labels)
    for block in folds.tuning:
        assert keys["label_until"].iloc[block.train].max() == block.first_as_of


def test_small_blocks_are_merged_until_enough_accounts_left() -> None:
    keys, labels = _grid(200, 30, rate=0.15)
    folds = temporal_folds(keys, 6, labels)
    assert len(folds.tuning) + 1 < 6
    assert all(
        block.leaving_accounts >= LEAVERS_PER_BLOCK for block in (*folds.tuning, *folds.calibration)
    )
    assert any("instead of 6" in note for note in folds.notes)
    _assert_apart(keys, folds)


def test_one_block_tunes_and_calibrates_and_says_so() -> None:
    keys, labels = _grid(300, 7, test=1, horizon=60)
    folds = temporal_folds(keys, 4, labels)
    if len(folds.tuning) == 1 and folds.tuning[0] is folds.calibration[0]:
        assert any("were used for tuning and calibration" in note for note in folds.notes)
    keys, labels = _grid(60, 12, rate=0.12)
    folds = temporal_folds(keys, 4, labels)
    assert folds.tuning[0] is folds.calibration[0]
    assert any("were used for tuning and calibration" in note for note in folds.notes)
    _assert_apart(keys, folds)


def test_a_single_date_is_divided_by_account_and_says_so() -> None:
    keys, labels = _grid(300, 1, test=0)
    folds = temporal_folds(keys, 4, labels)
    assert not folds.is_temporal and len(folds.tuning) == 5 and folds.tuning == folds.calibration
    assert any("not out of time" in note for note in folds.notes)
    assert sorted(np.concatenate([block.validation for block in folds.tuning])) == list(range(300))
    _assert_apart(keys, folds)


def test_flat_table_keeps_its_test_accounts_apart() -> None:
    keys, labels = _grid(300, 1, test=0)
    keys["is_test"] = np.arange(300) >= 240
    folds = temporal_folds(keys, 4, labels)
    assert len(folds.final) == 240 and folds.purged == 0
    _assert_apart(keys, folds)


def test_dates_of_the_accounts_own_become_date_ranges() -> None:
    generator = np.random.default_rng(3)
    keys = pd.DataFrame({"account_id": [f"a{number:05d}" for number in range(4000)]})
    keys["as_of"] = FIRST + pd.to_timedelta(generator.integers(0, 700, 4000), unit="D")
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=30)
    keys["is_test"] = keys["as_of"] >= FIRST + pd.Timedelta(days=640)
    labels = (generator.random(4000) < 0.3).astype(np.int8)
    folds = temporal_folds(keys, 4, labels)
    sizes = [len(block.validation) for block in (*folds.tuning, *folds.calibration)]
    assert len(sizes) == 4 and max(sizes) < 1.3 * min(sizes)
    _assert_apart(keys, folds)


def test_no_leavers_is_an_error_with_the_next_step() -> None:
    keys, labels = _grid(50, 8)
    with pytest.raises(ContractError, match="at least 2 of each are needed. Bring more history"):
        temporal_folds(keys, 4, np.zeros_like(labels))


def test_a_horizon_too_long_for_the_data_is_told_as_that() -> None:
    keys, labels = _grid(50, 8)
    keys["is_test"] = keys["as_of"] == keys["as_of"].max()
    keys["label_until"] = keys["as_of"] + pd.Timedelta(days=900)
    with pytest.raises(ContractError, match="too long for the data. Choose a shorter horizon"):
        temporal_folds(keys, 4, labels)


def test_no_folds_is_an_error() -> None:
    keys, labels = _grid(50, 8)
    with pytest.raises(ContractError, match="folds=0"):
        temporal_folds(keys, 0, labels)


def test_groups_do_not_depend_on_row_order_and_share_leavers() -> None:
    keys, labels = _grid(200, 3, rate=0.05)
    group = account_groups(keys["account_id"], labels)
    order = np.random.default_rng(1).permutation(len(keys))
    assert (account_groups(keys["account_id"].iloc[order], labels[order]) == group[order]).all()
    leavers = (
        pd.Series(group[labels == 1])
        .groupby(keys["account_id"][labels == 1].to_numpy())
        .first()
        .value_counts()
    )
    assert leavers.max() - leavers.min() <= 1


@settings(max_examples=60, deadline=None)
@given(
    accounts=st.integers(12, 150),
    dates=st.integers(1, 18),
    every=st.integers(1, 60),
    horizon=st.integers(1, 200),
    test=st.integers(0, 3),
    rate=st.floats(0.02, 0.9),
    count=st.integers(1, 6),
    seed=st.integers(0, 5),
)
def test_windows_never_overlap(
    accounts: int,
    dates: int,
    every: int,
    horizon: int,
    test: int,
    rate: float,
    count: int,
    seed: int,
) -> None:
    keys, labels = _grid(
        accounts,
        dates,
        every=every,
        horizon=horizon,
        test=min(test, dates - 1),
        rate=rate,
        seed=seed,
    )
    try:
        folds = temporal_folds(keys, count, labels)
    except ContractError as error:
        assert "at least 2 of each" in str(error) or "too long for the data" in str(error)
        return
    _assert_apart(keys, folds)
    for block in (*folds.tuning, *folds.calibration):
        assert set(labels[block.train]) == {0, 1}


def test_thinning_bounds_what_teaches_and_leaves_validation_whole() -> None:
    keys, labels = _grid(500, 16)
    folds = temporal_folds(keys, 4, labels)

    light = thinned(folds, keys, 2_000)

    assert len(light.final) == 2_000 and set(light.final) <= set(folds.final)
    assert all(len(block.train) <= 2_000 for block in (*light.tuning, *light.calibration))
    assert [block.validation.tolist() for block in light.tuning] == [
        block.validation.tolist() for block in folds.tuning
    ]
    assert "2,000 of" in light.notes[-1]
    # The same rows whatever the labels, and about as often from every account.
    per_account = keys["account_id"].iloc[light.final].value_counts()
    assert per_account.size > 480 and per_account.max() <= 11
    assert thinned(folds, keys, len(folds.final)) is folds


def test_a_search_looks_at_fewer_rows_than_what_calibrates_and_teaches() -> None:
    keys, labels = _grid(500, 16)
    folds = temporal_folds(keys, 4, labels)

    light = searched(folds, keys, 400)

    for block, whole in zip(light.tuning, folds.tuning, strict=True):
        assert len(block.train) == len(block.validation) == 400
        assert set(block.train) <= set(whole.train) and set(block.validation) <= set(
            whole.validation
        )
    assert light.calibration is folds.calibration and light.final is folds.final
    assert "search used 400 of up to 3,000 rows" in light.notes[-1]
    _assert_apart(keys, light)
    assert searched(folds, keys, 8_000) is folds


def test_unmatured_rows_are_neither_taught_nor_tested() -> None:
    keys, labels = _grid(50, 16)
    folds = temporal_folds(keys, 3, labels)

    late = unmatured(keys)

    assert late.sum() == folds.purged > 0
    assert not set(np.flatnonzero(late)) & set(folds.final) and not keys["is_test"][late].any()
    assert keys["as_of"][late].min() > keys["as_of"].iloc[folds.final].max()
    assert not unmatured(keys.assign(is_test=False)).any()
