"""From margins to probabilities, and how sure they are."""

from models.calibration.bent import (
    Bent,
    ScoredPeriod,
    bent_if_better,
    read_calibrator,
    straightened,
)
from models.calibration.interval import Interval, fit_interval, period_sd
from models.calibration.platt import Platt, after_drift, at_level, fit_platt, losses_at_level
from models.methods.base import logit

__all__ = [
    "Bent",
    "Interval",
    "Platt",
    "ScoredPeriod",
    "after_drift",
    "at_level",
    "bent_if_better",
    "fit_interval",
    "fit_platt",
    "logit",
    "losses_at_level",
    "period_sd",
    "read_calibrator",
    "straightened",
]
