"""Are today's scores distributed as the last run's were? Asked before they become the ones that
readers see.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from features.errors import GateRefused
from models.shift import OTHER_UNIT, ScoreShift, moved_signals, score_shift
from pipeline.storage import Store

SAME = ("model_version", "calibrator_version", "scale_version")
"""Where one of these changed, a shift is what was promoted on purpose; the gates have judged it."""


def shift_since(
    store: Store, previous: Mapping[str, Any] | None, run: Mapping[str, Any], scores: pd.DataFrame
) -> ScoreShift | None:
    """How far scores moved since the run before; None where there is none to compare with, or too
    few accounts.
    """
    if previous is None or any(previous[name] != run[name] for name in SAME):
        return None
    before = store.read(
        "scores", filters=[("run_id", "=", previous["run_id"])], columns=["health_exact", "band"]
    )
    return score_shift(before, scores)


def refuse_shift(
    store: Store,
    target: str,
    previous: Mapping[str, Any],
    shift: ScoreShift,
    signals: Callable[[], pd.DataFrame],
    limit: float,
) -> None:
    """Stop a publication whose scores moved more than allowed, with what moved them.

    Parameters
    ----------
    signals
        Reads the signals of the accounts about to be published, one row per account; asked only
        where it is needed.

    Raises
    ------
    GateRefused
        When the shift is beyond the limit and beyond chance.
    """
    if not shift.is_beyond(limit):
        return
    before = store.read(f"features_scored_{target}", filters=[("run_id", "=", previous["run_id"])])
    bands = ", ".join(
        f"{band.replace('_', ' ')} {share:.0%} -> {shift.bands_now.get(band, 0.0):.0%}"
        for band, share in shift.bands_before.items()
    )
    moved = "; ".join(_moved(row) for row in moved_signals(before, signals()).to_dict("records"))
    raise GateRefused(
        f"scores moved too far since run {previous['run_id']} of {previous['as_of']:%Y-%m-%d},"
        f" under the same model and scale: stability index {shift.index:.2f}, and"
        f" score.largest_shift allows {limit:g}. Bands: {bands}. Signals that moved most: {moved}."
        " Nothing was published; readers keep the previous run. Fix the source, or accept with"
        " --accept-shift REASON."
    )


def _moved(row: Mapping[Any, Any]) -> str:
    before, now = (
        "empty" if pd.isna(each) else f"{each:,.4g}"
        for each in (row["median_before"], row["median_now"])
    )
    words = f"{row['signal']} (median {before} -> {now}"
    ratio = row["ratio"]
    if ratio >= OTHER_UNIT or ratio <= 1 / OTHER_UNIT:
        words += f", sizes {ratio:,.3g} times as before: another unit?"
    return f"{words})"
