"""The account manager's pulse beside the model: what it weighs in the score, where the two
disagree, who was right.

A pulse counts only while it is current (`current`): newest, not expired, not grown old. An expired
or absent pulse is no opinion; it is never counted as good.

    pulse current and 4-5, band at risk      the model warns, the account manager does not
    pulse current and 1-2, band healthy      the account manager warns, the model does not
    all others                               no disagreement
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from models.intervals import FEWEST_ACCOUNTS, wilson
from models.methods.base import Floats

GOOD_FROM, BAD_UNTIL = 4.0, 2.0
"""On 1 (leaving) to 5 (delighted); 3 is no opinion either way."""
CURRENT, EXPIRED, OLD, NEVER = "current", "expired", "old", "never"
MODEL_WARNS, PULSE_WARNS = "model_warns", "pulse_warns"
KINDS = (MODEL_WARNS, PULSE_WARNS)


def opinion(pulse: "pd.Series[Any]", status: "pd.Series[Any]") -> "pd.Series[Any]":
    """`good`, `bad`, `middle`, or empty where no current pulse says anything."""
    known = pd.Series("middle", index=pulse.index, dtype="object")
    known = known.mask(pulse >= GOOD_FROM, "good").mask(pulse <= BAD_UNTIL, "bad")
    return known.where((status == CURRENT) & pulse.notna(), "")


def disagreement(opinions: "pd.Series[Any]", band: "pd.Series[Any]") -> "pd.Series[Any]":
    """`model_warns`, `pulse_warns`, or empty."""
    none = pd.Series("", index=band.index, dtype="object")
    return none.mask((opinions == "good") & (band == "at_risk"), MODEL_WARNS).mask(
        (opinions == "bad") & (band == "healthy"), PULSE_WARNS
    )


def pulse_signals(signals: Sequence[Signal], source: str) -> NDArray[np.bool_]:
    """Which signals are made of the pulse ratings of a source; the tone of notes is another
    thing.
    """
    return np.array([_reads_pulse(signal.definition, source) for signal in signals], dtype=bool)


def _reads_pulse(definition: Any, source: str) -> bool:
    if not isinstance(definition, dict):
        return False
    if definition.get("source") == source and (
        definition.get("number") == "pulse" or "t.pulse" in str(definition.get("state"))
    ):
        return True
    return any(_reads_pulse(part, source) for part in definition.values())


@dataclass(frozen=True)
class Weight:
    """What the pulse does in the scores of a portfolio.

    `share` is the pulse's part of all points, sizes added without sign; `bands_moved` counts
    accounts whose score without these points would lie in another band.
    """

    accounts: int
    signals: int
    mean_size: float
    largest_up: float
    largest_down: float
    share: float
    felt: int
    """Accounts with a point or more of it."""
    bands_moved: int


def weight(
    points: Floats, every_size: Floats, band: NDArray[Any], band_without: NDArray[Any], signals: int
) -> Weight:
    """Weight of the pulse over a portfolio.

    Parameters
    ----------
    points
        Points of the pulse signals together, shape (n_accounts,).
    every_size
        Sum of |points| over all signals, shape (n_accounts,).
    band, band_without
        Band of each account, and that of its score without these points.
    """
    size, whole = np.abs(points), float(every_size.sum())
    return Weight(
        accounts=len(points),
        signals=signals,
        mean_size=float(size.mean()) if len(size) else 0.0,
        largest_up=float(points.max(initial=0.0)),
        largest_down=float(points.min(initial=0.0)),
        share=float(size.sum()) / whole if whole else 0.0,
        felt=int((size >= 1.0).sum()),
        bands_moved=int((np.asarray(band) != np.asarray(band_without)).sum()),
    )


@dataclass(frozen=True)
class Verdict:
    """One kind of disagreement on dates whose outcome is known.

    `scores` counts an account once for each date, `accounts` once. The model was right where it
    warned and the account left, or did not warn and it stayed; then the pulse was wrong, and the
    other way round. `promised` is the mean probability the model gave, `others_left` the share that
    left among the `others`, scores with such a pulse and another band: what to expect if the pulse
    alone counted. Shares have intervals for as many trials as accounts, because the dates of one
    account are not independent; None below 30 accounts.
    """

    kind: str
    scores: int
    accounts: int
    left: int
    treated: int | None
    """Scores on whose account somebody worked before the outcome; None where no source tells."""
    promised: float
    others: int
    others_left: float
    left_share: float | None
    left_low: float | None
    left_high: float | None

    @property
    def model_right(self) -> int:
        """Scores on which the model was right."""
        return self.left if self.kind == MODEL_WARNS else self.scores - self.left

    @property
    def pulse_right(self) -> int:
        """Scores on which the pulse was right."""
        return self.scores - self.model_right

    def share_right(self, count: int) -> tuple[float, float, float] | None:
        """Share of the scores with its 95% interval; None where counts say more."""
        if self.accounts < FEWEST_ACCOUNTS:
            return None
        return (count / self.scores, *wilson(count / self.scores, self.accounts))


def verdicts(tested: pd.DataFrame) -> tuple[Verdict, ...]:
    """Who was right, for each kind of disagreement.

    Parameters
    ----------
    tested
        Scores whose outcome is known: account_id, label (1 left), probability, band, pulse, status
        (of the pulse as it was known on the date), treated (null where no source tells).
    """
    opinions = opinion(tested["pulse"], tested["status"])
    kind = disagreement(opinions, tested["band"])
    return tuple(
        _verdict(each, tested[kind == each], tested[(kind != each) & (opinions == said)])
        for each, said in zip(KINDS, ("good", "bad"), strict=True)
    )


def _verdict(kind: str, rows: pd.DataFrame, others: pd.DataFrame) -> Verdict:
    """`others` are scores with the same pulse and another band."""
    accounts, left = int(rows["account_id"].nunique()), int(rows["label"].sum())
    share = low = high = None
    if accounts >= FEWEST_ACCOUNTS:
        share = left / len(rows)
        low, high = wilson(share, accounts)
    treated = None if rows["treated"].isna().any() else int(rows["treated"].sum())
    return Verdict(
        kind=kind,
        scores=len(rows),
        accounts=accounts,
        left=left,
        treated=treated,
        promised=float(rows["probability"].mean()) if len(rows) else float("nan"),
        others=len(others),
        others_left=float(others["label"].mean()) if len(others) else float("nan"),
        left_share=share,
        left_low=low,
        left_high=high,
    )
