"""The time of year as a signal: whole-number arithmetic on the date alone."""

from datetime import date

import pytest

from features.catalogue import SEASON
from features.windows import day_number
from pipeline.engine.duckdb import Connection, row


def on(duck: Connection, day: date) -> tuple[float, float]:
    expressions = ", ".join(expression for _, expression in SEASON)
    new_year, april = row(
        duck, f"select {expressions} from (select {day_number(day)} as as_of_day) s"
    )
    return new_year, april


@pytest.mark.parametrize(
    ("day", "new_year", "april"),
    [
        (date(2011, 1, 1), 0, 90),
        (date(2011, 4, 1), 90, 0),
        (date(2011, 7, 1), 181, 91),
        (date(2011, 10, 1), 92, 182),
        (date(2010, 12, 31), 1, 91),
        (date(1960, 1, 1), 0, 90),
    ],
)
def test_days_to_the_nearest_return_of_a_day(
    duck: Connection, day: date, new_year: int, april: int
) -> None:
    # Leap days move the average year by under a day.
    assert on(duck, day) == pytest.approx((new_year, april), abs=1.01)


def test_the_same_day_a_year_later_is_nearly_the_same(duck: Connection) -> None:
    first, second = on(duck, date(2010, 9, 1)), on(duck, date(2011, 9, 1))
    assert first == pytest.approx(second, abs=1.0)


def test_spring_and_autumn_differ_in_one_wave_and_agree_in_the_other(duck: Connection) -> None:
    spring, autumn = on(duck, date(2011, 4, 1)), on(duck, date(2011, 10, 1))
    assert spring[0] == pytest.approx(autumn[0], abs=3) and autumn[1] - spring[1] > 180
