"""Methods that learn to rank accounts; one interface, each kept as plain values."""

from typing import Any

from models.methods.base import Floats, Method, logit, sigmoid
from models.methods.constant import Constant
from models.methods.gradient_boosting import UNTUNED, BoostingSettings, GradientBoosting
from models.methods.logistic import Logistic
from models.methods.recency import Recency, recency_signals
from models.methods.scorecard import Scorecard

METHODS: dict[str, type[Any]] = {
    "constant": Constant,
    "recency": Recency,
    "logistic": Logistic,
    "gradient_boosting": GradientBoosting,
    "scorecard": Scorecard,
}

__all__ = [
    "METHODS", "UNTUNED", "BoostingSettings", "Constant", "Floats", "GradientBoosting", "Logistic", "Method", "Recency",
    "Scorecard", "logit", "recency_signals", "sigmoid",
]
