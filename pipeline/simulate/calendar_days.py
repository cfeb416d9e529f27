"""The calendar of the company: adding months, working days, holidays."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
_WEEKDAY_USE = np.array([1.0, 1.06, 1.05, 1.0, 0.84, 0.10, 0.07], dtype=np.float32)  # Monday first
# Quiet summers and Decembers; the last days of the year nearly stop (see `season`).
_MONTH_USE = np.array(
    [0.97, 1.0, 1.03, 1.0, 1.0, 0.98, 0.88, 0.74, 1.03, 1.04, 1.02, 0.80], dtype=np.float32
)


def add_months(first_day: date, day: IntArray, months: IntArray) -> IntArray:
    """Day indices moved by whole months; days of the month above 28 are not expected here."""
    moment = np.datetime64(first_day, "D") + day
    month = moment.astype("datetime64[M]")
    of_month = (moment - month.astype("datetime64[D]")).astype(np.int64)
    moved = (month + months).astype("datetime64[D]") + of_month
    return np.asarray((moved - np.datetime64(first_day, "D")).astype(np.int64))


def to_early_month(first_day: date, day: IntArray) -> IntArray:
    """Day indices with days 29-31 pulled back to the 28th, so that months can be added."""
    moment = np.datetime64(first_day, "D") + day
    of_month = (moment - moment.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    return np.asarray(day - np.maximum(of_month - 27, 0))


def season(first_day: date, days: int) -> NDArray[np.float32]:
    """Relative use per day, array of shape (days,): week, month, and the stop around New Year."""
    moment = np.datetime64(first_day, "D") + np.arange(days)
    weekday = (moment.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    month = moment.astype("datetime64[M]")
    use = _WEEKDAY_USE[weekday] * _MONTH_USE[month.astype(np.int64) % 12]
    of_month = (moment - month.astype("datetime64[D]")).astype(np.int64) + 1
    number = month.astype(np.int64) % 12 + 1
    stop = ((number == 12) & (of_month >= 23)) | ((number == 1) & (of_month <= 2))
    return np.where(stop, use * np.float32(0.3), use).astype(np.float32)


def timestamps(
    first_day: date, day: NDArray[np.integer], minute: NDArray[np.integer]
) -> NDArray[np.datetime64]:
    """datetime64[us] of minutes after 00:00 UTC of day indices."""
    moment = np.datetime64(first_day, "us") + (
        day.astype(np.int64) * 1440 + minute
    ) * np.timedelta64(60_000_000, "us")
    return np.asarray(moment)
