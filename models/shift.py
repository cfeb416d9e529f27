"""Whether the scores of today are distributed as those of the last run were, and which signals
moved if not.

The population stability index compares two distributions over the same bins, `sum (q - p) ln(q /
p)`; by custom 0.1 is a small and 0.25 a major shift. Few accounts move it by chance alone, so a
test stands beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

Floats = NDArray[np.float64]

INDEX_BINS = 10
FEWEST_COMPARED = 50
"""With fewer accounts on either side nothing is judged."""
CHANCE = 0.001
"""A shift counts when chance gives as large a one less often than this."""
OTHER_UNIT = 20.0
"""From this ratio of typical sizes on, a change of unit is the first thing to ask about."""


@dataclass(frozen=True)
class ScoreShift:
    """How far two distributions of scores lie apart."""

    index: float
    """Population stability index, 0 for equal distributions."""
    chance: float
    """Probability of as large a difference between two draws from one distribution, accounts taken
    as independent.
    """
    bands_before: Mapping[str, float]
    bands_now: Mapping[str, float]
    """Shares (0-1) of the accounts that have a score."""
    changed_band: float = 0.0
    """Share (0-1) of the accounts scored both times that are in another band now."""

    def is_beyond(self, limit: float) -> bool:
        """Whether the shift is larger than allowed, and more than chance."""
        return self.index > limit and self.chance < CHANCE


def score_shift(
    before: pd.DataFrame, now: pd.DataFrame, column: str = "health_exact"
) -> ScoreShift | None:
    """Compare a column and the bands of two runs; None with under 50 scored accounts on either
    side.

    Parameters
    ----------
    before, now
        Published scores with account_id; rows without a health are left out.
    column
        What both runs measure alike: a health of one scale, or a chance.
    """
    first, second = (rows[rows["health_exact"].notna()] for rows in (before, now))
    if min(len(first), len(second)) < FEWEST_COMPARED:
        return None
    index, chance = stability_index(first[column].to_numpy(float), second[column].to_numpy(float))
    both = first.merge(second, on="account_id", suffixes=("", "_now"))
    # Runs of version 0.2 and before kept no band of accounts under notice.
    both = both[both["band"].notna() & both["band_now"].notna()]
    changed = float((both["band"] != both["band_now"]).mean()) if len(both) else 0.0
    return ScoreShift(index, chance, _shares(first["band"]), _shares(second["band"]), changed)


def moved_signals(before: pd.DataFrame, now: pd.DataFrame, most: int = 3) -> pd.DataFrame:
    """Return the signals whose values moved most between two runs, the largest shift first.

    Returns
    -------
    DataFrame
        signal; index (population stability index, empty values a bin of their own); median_before,
        median_now; ratio of the typical sizes of what is not 0 (NaN where one side has none).
    """
    rows = []
    for column in before.columns.intersection(now.columns):
        one, other = before[column].to_numpy(float), now[column].to_numpy(float)
        rows.append(
            {
                "signal": column,
                "index": stability_index(one, other)[0],
                "median_before": _median(one),
                "median_now": _median(other),
                "ratio": _median(np.abs(other[other != 0])) / _median(np.abs(one[one != 0])),
            }
        )
    table = pd.DataFrame(rows, columns=["signal", "index", "median_before", "median_now", "ratio"])
    return (
        table.sort_values(["index", "signal"], ascending=[False, True])
        .head(most)
        .reset_index(drop=True)
    )


def stability_index(before: Floats, now: Floats) -> tuple[float, float]:
    """Population stability index over tenths of `before`, and the chance of as large a difference
    (G-test).
    """
    edges = bin_edges(before)
    return index_of_counts(np.array([bin_counts(before, edges), bin_counts(now, edges)]))


def index_of_counts(counts: Floats) -> tuple[float, float]:
    """`stability_index` of two rows of counts in the same bins, before and now."""
    counts = counts[:, counts.sum(axis=0) > 0]
    share = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    index = float(((share[1] - share[0]) * np.log(share[1] / share[0])).sum())
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    g = 2.0 * float((counts * np.log(np.where(counts > 0, counts, 1) / expected)).sum())
    return index, float(chi2.sf(g, max(1, counts.shape[1] - 1)))


def bin_edges(values: Floats) -> Floats:
    """Inner edges of tenths of the values; fewer where values repeat."""
    if not _some(values):
        return np.empty(0)
    tenths = np.linspace(0, 1, INDEX_BINS + 1)[1:-1]
    return np.unique(np.quantile(values[~np.isnan(values)], tenths))


def bin_of(values: Floats, edges: Floats) -> NDArray[np.intp]:
    """Bin of each value (up to and with its edge), empty ones in the last."""
    return np.where(
        np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left")
    ).astype(np.intp)


def bin_counts(values: Floats, edges: Floats) -> Floats:
    """How many values lie in each bin (up to and with its edge), empty ones last."""
    return np.bincount(bin_of(values, edges), minlength=len(edges) + 2).astype(np.float64)


def _some(values: Floats) -> bool:
    return bool((~np.isnan(values)).any())


def _median(values: Floats) -> float:
    return float(np.nanmedian(values)) if _some(values) else float("nan")


def _shares(bands: "pd.Series[str]") -> dict[str, float]:
    return {
        str(band): float(share)
        for band, share in bands.value_counts(normalize=True).sort_index().items()
    }
