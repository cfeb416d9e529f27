"""What can be said of scores after they are published: what they promise before outcomes are known,
and which signals moved since training.
"""

from models.monitoring.drift import MOVED, QUIET, STEADY, drift, freeze, source_drift
from models.monitoring.promised import (
    ABOVE,
    BELOW,
    INSIDE,
    WHAT,
    ExpectedMeasure,
    happened,
    promised,
    verdict,
)

__all__ = [
    "ABOVE",
    "BELOW",
    "INSIDE",
    "MOVED",
    "QUIET",
    "STEADY",
    "WHAT",
    "ExpectedMeasure",
    "drift",
    "freeze",
    "happened",
    "promised",
    "source_drift",
    "verdict",
]
