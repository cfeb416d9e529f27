"""The dates a target is asked on, by the module's worked example and at its edges."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import IncompleteHorizon
from models.dates import AskedDates, asked_dates, grid, last_complete

UNTIL = date(2024, 10, 1)
LAST = date(2024, 7, 3)


def _asked(**declared: Any) -> AskedDates:
    defaults: dict[str, Any] = {
        "step_days": None,
        "step": None,
        "first": None,
        "last": None,
        "listed": (),
        "test_first": None,
        "test_last": None,
        "test_listed": (),
        "test_count": None,
        "data_from": date(2023, 1, 1),
        "last_possible": LAST,
        "horizon_words": "target 'churn' (horizon_days=90)",
    }
    return asked_dates(**{**defaults, **declared})


def test_last_complete_date_leaves_room_for_gap_horizon_and_grace() -> None:
    assert last_complete(UNTIL, 0, 90, 0) == LAST
    assert last_complete(UNTIL, 7, 90, 30) == date(2024, 5, 27)


def test_grid_of_days_counts_back_from_the_last_complete_date() -> None:
    asked = _asked()
    assert asked.all[-3:] == (date(2024, 5, 8), date(2024, 6, 5), LAST)
    assert asked.test == asked.all[-3:]
    # History for the longest usual window stands before the first date.
    assert date(2023, 4, 2) <= asked.all[0] < date(2023, 4, 30)


def test_declared_first_date_anchors_the_grid() -> None:
    asked = _asked(step_days=28, first=date(2024, 1, 1))
    assert asked.all[0] == date(2024, 1, 1)
    assert {(d - date(2024, 1, 1)).days % 28 for d in asked.all} == {0}
    assert asked.all[-1] <= LAST


def test_months_keep_their_day_after_a_short_one() -> None:
    assert grid(None, "month", date(2024, 1, 31), date(2024, 5, 1)) == (
        date(2024, 1, 31),
        date(2024, 2, 29),
        date(2024, 3, 31),
        date(2024, 4, 30),
    )
    assert grid(None, "quarter", date(2023, 11, 30), date(2024, 6, 1)) == (
        date(2023, 11, 30),
        date(2024, 2, 29),
        date(2024, 5, 30),
    )


def test_weeks_count_back_from_the_end() -> None:
    assert grid(None, "week", date(2024, 1, 1), date(2024, 1, 16)) == (
        date(2024, 1, 2),
        date(2024, 1, 9),
        date(2024, 1, 16),
    )


def test_listed_dates_beyond_the_data_are_left_out_and_named() -> None:
    asked = _asked(
        listed=(date(2024, 9, 1), date(2024, 1, 1), date(2024, 3, 1)),
        test_listed=(date(2024, 6, 1), date(2024, 8, 1)),
    )
    assert asked.train == (date(2024, 1, 1), date(2024, 3, 1))
    assert asked.test == (date(2024, 6, 1),)
    assert asked.incomplete == (date(2024, 8, 1), date(2024, 9, 1))


def test_a_test_whose_outcome_is_complete_for_nobody_is_refused() -> None:
    train = (date(2024, 1, 1), date(2024, 3, 1))
    words = "test from 2024-08-01 is complete for nobody.*up to 2024-07-03.*shorter horizon"
    with pytest.raises(IncompleteHorizon, match=words):
        _asked(listed=train, test_listed=(date(2024, 8, 1),))
    with pytest.raises(IncompleteHorizon, match=words):
        _asked(listed=train, test_first=date(2024, 8, 1))


def test_test_dates_end_the_training_dates() -> None:
    """A date after the first test date is no training date, also where the test has an end."""
    asked = _asked(
        listed=(date(2024, 1, 1), date(2024, 3, 1), date(2024, 5, 1)),
        test_first=date(2024, 2, 1),
        test_last=date(2024, 4, 1),
    )
    assert asked.train == (date(2024, 1, 1),) and asked.test == (date(2024, 3, 1),)


def test_test_list_of_its_own() -> None:
    asked = _asked(listed=(date(2024, 1, 1), date(2024, 2, 1)), test_listed=(date(2024, 6, 1),))
    assert asked.train == (date(2024, 1, 1), date(2024, 2, 1)) and asked.test == (date(2024, 6, 1),)


def test_horizon_that_no_date_completes_is_refused() -> None:
    with pytest.raises(
        IncompleteHorizon,
        match=r"last as_of they complete is 2024-07-03.*2024-08-01.*Choose earlier",
    ):
        _asked(listed=(date(2024, 8, 1),))


def test_data_shorter_than_the_horizon_are_refused() -> None:
    with pytest.raises(IncompleteHorizon, match="horizon_days=90"):
        _asked(data_from=date(2024, 7, 1))


def test_no_training_date_left_is_refused() -> None:
    with pytest.raises(IncompleteHorizon, match="no training date is left"):
        _asked(listed=(date(2024, 1, 1), date(2024, 2, 1)), test_first=date(2023, 1, 1))


@given(step=st.integers(1, 60), days=st.integers(0, 900), count=st.integers(1, 5))
def test_dates_are_ordered_complete_and_train_comes_before_test(
    step: int, days: int, count: int
) -> None:
    try:
        asked = _asked(
            step_days=step, test_count=count, data_from=date.fromordinal(LAST.toordinal() - days)
        )
    except IncompleteHorizon:
        return
    assert list(asked.all) == sorted(set(asked.all)) and asked.all[-1] <= LAST
    # One date alone is training: `evaluate` then says that there is no test.
    assert len(asked.all) == 1 or (max(asked.train) < min(asked.test) and len(asked.test) <= count)
