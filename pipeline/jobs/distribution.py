"""Are today's scores distributed as the last run's were? Asked before they become the ones that
readers see.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from features.errors import GateRefused
from models.shift import OTHER_UNIT, ScoreShift, moved_signals, score_shift
from pipeline.ledger import RunRow
from pipeline.published import read_scores
from pipeline.storage import Store

CHANCES = ("probability_at_decision", "probability")
"""What two runs on different scales have in common, the one that health reads first."""
WITHOUT = "without"
"""Column of the source that a score does without."""


def shift_since(
    store: Store, previous: RunRow | None, run: RunRow, scores: pd.DataFrame
) -> ScoreShift | None:
    """How far scores moved since the run before, whichever model made them; None where there
    is none to compare with, or too few accounts.

    Health of one scale is compared, of two scales the chances behind it. Points of a scorecard and
    health from a chance have nothing in common, so that nothing is asked between them.
    """
    if previous is None or previous.basis != run.basis:
        return None
    kept = store.columns("scores")
    columns = ["account_id", "health_exact"]
    columns += [name for name in (*CHANCES, WITHOUT) if name in kept]
    before = read_scores(store, [("run_id", "=", previous.run_id)], columns)
    before, scores = _by_the_same_model(before, scores)
    if previous.scale_version == run.scale_version:
        return score_shift(before, scores)
    for chance in CHANCES:
        if all(rows.get(chance, pd.Series(dtype=float)).notna().any() for rows in (before, scores)):
            return score_shift(before, scores, chance)
    return None


def _by_the_same_model(before: pd.DataFrame, now: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """Both without the accounts for which, in either run, a model spoke that does without a source:
    that their scores moved is known, and why.
    """
    others = {
        account
        for rows in (before, now)
        if WITHOUT in rows
        for account in rows["account_id"][rows[WITHOUT].notna()]
    }
    return tuple(rows[~rows["account_id"].isin(others)] for rows in (before, now))


def refuse_shift(
    store: Store,
    previous: RunRow,
    run: RunRow,
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
    before = store.read(f"features_scored_{run.target}", filters=[("run_id", "=", previous.run_id)])
    bands = ", ".join(
        f"{band.replace('_', ' ')} {share:.0%} -> {shift.bands_now.get(band, 0.0):.0%}"
        for band, share in shift.bands_before.items()
    )
    moved = "; ".join(_moved(row) for row in moved_signals(before, signals()).to_dict("records"))
    raise GateRefused(
        f"scores moved too far since run {previous.run_id} of {previous.as_of:%Y-%m-%d},"
        f" {_under(previous, run)}: stability index {shift.index:.2f}, and"
        f" score.largest_shift allows {limit:g}. {shift.changed_band:.0%} of accounts change band:"
        f" {bands}. Signals that moved most: {moved}."
        " Nothing was published; readers keep the previous run. Fix the source, or accept with"
        " --accept-shift REASON."
    )


def _under(previous: RunRow, run: RunRow) -> str:
    """What made the scores, beside the last run."""
    if previous.model_version != run.model_version:
        return f"under another model ({run.model_version}, before {previous.model_version})"
    if previous.scale_version != run.scale_version:
        return "under the same model on another scale"
    return "under the same model and scale"


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
