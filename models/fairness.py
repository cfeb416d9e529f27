"""Whether probabilities hold in every segment: expected beside happened, the error beside its own
rate, the worst gap by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.intervals import LEVEL, REPLICATES
from models.methods.base import Floats
from models.methods.cohort import LEAVERS_PER_SEGMENT
from models.metrics import log_losses


@dataclass(frozen=True)
class SegmentCheck:
    """One segment of the untouched test.

    `gap` is mean probability minus rate, `error` the log loss, and `gain` the log loss minus that
    of saying the segment's own rate of the test to all of it: above 0, the model orders nobody
    there. Intervals resample the segment's accounts. Below 20 leaving accounts they are None: the
    figures are printed and not judged.
    """

    segment: str
    n: int
    accounts: int
    leaving_accounts: int
    rate: float
    mean_probability: float
    gap: float
    gap_low: float | None
    gap_high: float | None
    error: float
    gain: float
    gain_low: float | None
    gain_high: float | None

    @property
    def is_judged(self) -> bool:
        """Whether enough accounts left to say anything."""
        return self.gap_low is not None

    @property
    def is_off(self) -> bool:
        """Whether the gap differs from zero beyond chance."""
        return (
            self.gap_low is not None
            and self.gap_high is not None
            and not self.gap_low <= 0.0 <= self.gap_high
        )


def by_segment(
    labels: NDArray[np.int8],
    probability: Floats,
    accounts: pd.Series,
    segments: Sequence[str | None],
    *,
    seed: int = 0,
) -> tuple[SegmentCheck, ...]:
    """Return one check per segment, the largest first; accounts without one are a segment of their
    own.

    Intervals are simultaneous over the judged segments (Bonferroni), so that one false alarm in
    twenty tests is the rate of the whole table, not of each line.

    Parameters
    ----------
    labels, probability, accounts, segments
        One value per row of the test.
    """
    names = pd.Series(list(segments), dtype="object").fillna("(none)").astype(str).to_numpy()
    codes = accounts.to_numpy()
    parts = {name: np.flatnonzero(names == name) for name in np.unique(names)}
    leaving = {name: len(set(codes[rows[labels[rows] == 1]])) for name, rows in parts.items()}
    judged = sum(count >= LEAVERS_PER_SEGMENT for count in leaving.values())
    checks = []
    for name, rows in parts.items():
        missed = probability[rows] - labels[rows]
        error = log_losses(labels[rows], probability[rows])
        gained = error - log_losses(labels[rows], np.full(len(rows), labels[rows].mean()))
        gap: tuple[float | None, float | None] = (None, None)
        gain: tuple[float | None, float | None] = (None, None)
        if leaving[name] >= LEAVERS_PER_SEGMENT:
            gap, gain = (
                _interval(values, codes[rows], (1.0 - LEVEL) / judged, seed)
                for values in (missed, gained)
            )
        checks.append(
            SegmentCheck(
                str(name),
                len(rows),
                len(set(codes[rows])),
                leaving[name],
                float(labels[rows].mean()),
                float(probability[rows].mean()),
                float(missed.mean()),
                *gap,
                float(error.mean()),
                float(gained.mean()),
                *gain,
            )
        )
    return tuple(sorted(checks, key=lambda each: (-each.n, each.segment)))


def worst(checks: Sequence[SegmentCheck]) -> SegmentCheck | None:
    """The judged segment whose gap is largest beside its rate; None where none is judged."""
    judged = [each for each in checks if each.is_judged]
    return max(judged, key=lambda each: abs(each.gap) / max(each.rate, 1e-9)) if judged else None


def _interval(
    values: Floats, accounts: NDArray[Any], alpha: float, seed: int
) -> tuple[float, float]:
    """Percentiles of the mean over resamples of the accounts."""
    codes = pd.factorize(accounts)[0]
    total, size = np.bincount(codes, weights=values), np.bincount(codes)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(size), np.full(len(size), 1.0 / len(size)), size=REPLICATES)
    # A resample may miss every account with rows; its mean is then 0, not a division by zero.
    means = (drawn @ total) / np.maximum(drawn @ size, 1)
    low, high = np.quantile(means, [alpha / 2.0, 1.0 - alpha / 2.0])
    return float(low), float(high)
