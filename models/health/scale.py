"""From a probability to a score of 0-100: one straight line in log-odds between two anchors."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import ConfigError, ContractError
from models.declared import AT_RISK_UNTIL, STABLE_UNTIL

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

HEALTH_BANDS = ("at_risk", "stable", "healthy")
GOOD_EVENT_BANDS = ("low", "medium", "high")
BANDS_IN_WORDS = {
    "at_risk": "at risk",
    "stable": "stable",
    "healthy": "healthy",
    "leaving": "leaving",
    "unknown": "unknown",
    "low": "low",
    "medium": "medium",
    "high": "high",
}


@dataclass(frozen=True)
class Scale:
    """A straight line from log-odds to the score, and the two places where its bands meet.

    Score `= clip(a - b * logit(p), 0, 100)`, or `clip(a + b * logit(p), 0, 100)` where the event is
    good. `p_at_risk` is the probability at the edge between the first two bands, `p_healthy` at the
    edge between the last two. Where the event is good the bands are low, medium and high, and the
    first of the two probabilities is the smaller one.
    """

    a: float
    b: float
    p_at_risk: float
    p_healthy: float
    at_risk_until: int = AT_RISK_UNTIL
    stable_until: int = STABLE_UNTIL
    good_event: bool = False

    @property
    def version(self) -> str:
        """12 hex digits that change when any number of the scale does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def bands(self) -> tuple[str, str, str]:
        """Names of the bands, lowest scores first."""
        return GOOD_EVENT_BANDS if self.good_event else HEALTH_BANDS

    def moved(self, shift: float) -> "Scale":
        """The scale with both anchors `shift` log-odds higher: probabilities that moved as far keep
        their scores.
        """
        anchors = (1 / (1 + math.exp(-_logit(p) - shift)) for p in (self.p_at_risk, self.p_healthy))
        return scale_from_anchors(
            *anchors,
            at_risk_until=self.at_risk_until,
            stable_until=self.stable_until,
            good_event=self.good_event,
        )

    def exact(self, probability: npt.ArrayLike) -> Floats:
        """Score before rounding, in 0-100; NaN where the probability is NaN.

        Raises
        ------
        ContractError
            A probability lies outside 0-1.
        """
        p = np.asarray(probability, dtype=np.float64)
        outside = (p < 0) | (p > 1)
        if outside.any():
            raise ContractError(
                f"{int(outside.sum())} probabilities lie outside 0-1, the first is"
                f" {p[outside].flat[0]!r}. Score calibrated probabilities, not raw log-odds."
            )
        # 0 and 1 have infinite log-odds, which the clip turns into 100 and 0.
        with np.errstate(divide="ignore"):
            log_odds = np.log(p) - np.log1p(-p)
        slope = self.b if self.good_event else -self.b
        return np.clip(self.a + slope * log_odds, 0.0, 100.0)

    def band(self, shown: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """Band of each displayed integer; what people see decides, never the decimals behind it."""
        values = np.asarray(shown)
        if not np.issubdtype(values.dtype, np.integer):
            raise ContractError(
                f"bands are a function of the displayed integer, got {values.dtype}. Round with"
                " displayed() first."
            )
        return np.array(self.bands)[
            np.searchsorted([self.at_risk_until, self.stable_until], values, side="left")
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `scale_from_dict` reads them back."""
        return {**asdict(self), "version": self.version}


def displayed(exact: npt.ArrayLike) -> Integers:
    """Integer shown for each exact score: halves go up, so 40.5 shows 41.

    Raises
    ------
    ContractError
        A score is missing: an unknown account has no health and is published without one.
    """
    scores = np.asarray(exact, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ContractError(
            f"{int((~np.isfinite(scores)).sum())} scores are missing or infinite. "
            "Publish those accounts as band unknown, without health, and round the others."
        )
    # floor(x + 0.5) is wrong for the double just below 0.5, because the sum is rounded up to 1.
    whole = np.floor(scores)
    return (whole + (scores - whole >= 0.5)).astype(np.int64)


def scale_from_anchors(
    p_at_risk: float,
    p_healthy: float,
    *,
    at_risk_until: int = AT_RISK_UNTIL,
    stable_until: int = STABLE_UNTIL,
    good_event: bool = False,
) -> Scale:
    """Scale that puts `p_at_risk` half a point above `at_risk_until`, and `p_healthy` above
    `stable_until`.

    With the default bands `p_at_risk` scores 40.5 (the edge 40|41) and `p_healthy` 70.5 (70|71).

    Raises
    ------
    ConfigError
        The anchors are not probabilities, or are in the wrong order.
    """
    if not (0 < p_at_risk < 1 and 0 < p_healthy < 1):
        raise ConfigError(
            f"p_at_risk={p_at_risk} and p_healthy={p_healthy} must lie strictly between 0 and 1."
        )
    if (p_healthy <= p_at_risk) if good_event else (p_healthy >= p_at_risk):
        wanted = "above" if good_event else "below"
        raise ConfigError(
            f"p_healthy={p_healthy} must be {wanted} p_at_risk={p_at_risk}: the score must rise as"
            " things get better."
        )
    if not 0 <= at_risk_until < stable_until < 100:
        raise ConfigError(
            f"at_risk_until={at_risk_until} and stable_until={stable_until} must satisfy "
            "0 <= at_risk_until < stable_until < 100."
        )
    low, high = _logit(p_at_risk), _logit(p_healthy)
    slope = (stable_until - at_risk_until) / (high - low)
    return Scale(
        a=at_risk_until + 0.5 - slope * low,
        b=abs(slope),
        p_at_risk=p_at_risk,
        p_healthy=p_healthy,
        at_risk_until=at_risk_until,
        stable_until=stable_until,
        good_event=good_event,
    )


def scale_from_dict(numbers: dict[str, Any]) -> Scale:
    """Scale from `Scale.to_dict`.

    Raises
    ------
    ContractError
        The numbers do not give the version written beside them.
    """
    scale = Scale(**{name: value for name, value in numbers.items() if name != "version"})
    recorded = numbers.get("version", scale.version)
    if recorded != scale.version:
        raise ContractError(
            f"the scale's numbers give version {scale.version}, but {recorded} is recorded. "
            "The file was edited; restore it or declare new anchors."
        )
    return scale


def _logit(p: float) -> float:
    return float(np.log(p) - np.log1p(-p))
