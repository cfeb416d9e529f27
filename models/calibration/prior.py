"""Whether the base rate has moved since training, and the calibrator that says so.

Only the level is corrected: labels that matured lately are few, and what moves in a business is
first of all how many leave, not who.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration.platt import Platt
from models.intervals import REPLICATES
from models.methods.base import Floats, sigmoid
from models.methods.penalised import levels

SMALLEST_SHIFT = 0.1
"""Log-odds below which a shift is left alone: a tenth of the probability at most."""
LEAVERS_TO_CORRECT = 20
"""With fewer leaving accounts the level is not corrected."""


@dataclass(frozen=True)
class PriorCheck:
    """How far the level of newer labels lies from what was promised, in log-odds.

    `shift` is 0 where the promise holds; positive: more events than promised.
    """

    n: int
    leaving_accounts: int
    mean_probability: float
    rate: float
    shift: float
    shift_low: float
    shift_high: float

    @property
    def is_judged(self) -> bool:
        """Whether enough accounts left to correct anything."""
        return self.leaving_accounts >= LEAVERS_TO_CORRECT

    @property
    def has_moved(self) -> bool:
        """Whether the level moved beyond chance and beyond what matters."""
        return (
            self.is_judged
            and not self.shift_low <= 0.0 <= self.shift_high
            and abs(self.shift) >= SMALLEST_SHIFT
        )

    @property
    def words(self) -> str:
        """One sentence for people."""
        figures = (
            f"on {self.n:,} newer rows {self.mean_probability:.1%} were expected and"
            f" {self.rate:.1%} happened"
        )
        if not self.is_judged:
            return (
                f"{figures}; with {self.leaving_accounts} accounts that had the event that is too"
                " few to correct the level."
            )
        if not self.has_moved:
            return f"{figures}: the level holds."
        return (
            f"{figures}: the level moved by {self.shift:+.2f} log-odds ({self.shift_low:+.2f} to"
            f" {self.shift_high:+.2f})."
        )

    def warning(self, past: str) -> str | None:
        """What readers of chances must know, with the next step; None where the level holds.

        Parameters
        ----------
        past
            What those with the event did: "left".
        """
        if not self.has_moved:
            return None
        side = "low" if self.shift > 0 else "high"
        return (
            f"Chances read too {side}: where the outcome is known since the model learned,"
            f" {self.mean_probability:.1%} were expected and {self.rate:.1%} {past}. To correct"
            " this, run `tenure recalibrate`."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"has_moved": self.has_moved}


def check_prior(
    logit: Floats, labels: NDArray[np.int8], accounts: pd.Series | Sequence[str], *, seed: int = 0
) -> PriorCheck:
    """Compare calibrated log-odds with labels that matured after training.

    The shift is the maximum-likelihood intercept beside the promised log-odds as offset; its 95%
    interval resamples accounts.

    Parameters
    ----------
    logit, labels, accounts
        Promised log-odds, outcome and account of each newer row, shape (n_rows,).
    """
    codes, names = pd.factorize(pd.Series(accounts), sort=True)
    target = labels.astype(np.float64)
    everyone = np.zeros(len(labels), dtype=np.intp)
    shift, _ = levels(logit, target, np.ones(len(labels)), everyone, np.zeros(1))
    generator = np.random.default_rng(seed)
    drawn = np.empty(REPLICATES)
    for number in range(REPLICATES):
        times = np.bincount(generator.integers(0, len(names), len(names)), minlength=len(names))[
            codes
        ].astype(np.float64)
        drawn[number] = levels(logit, target, times, everyone, shift)[0][0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    leaving = len(set(codes[labels == 1].tolist()))
    return PriorCheck(
        len(labels),
        leaving,
        float(sigmoid(logit).mean()),
        float(target.mean()),
        float(shift[0]),
        float(low),
        float(high),
    )


def corrected(calibrator: Platt, check: PriorCheck) -> Platt:
    """Return the calibrator with its level moved to the newer labels; the same one where nothing
    has moved.
    """
    if not check.has_moved:
        return calibrator
    return replace(calibrator, intercept=calibrator.intercept + check.shift)
