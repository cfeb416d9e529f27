"""Methods that learn to rank accounts; one interface, each kept as plain values."""

from typing import Any

from models.methods.actions import Actions
from models.methods.base import Floats, Method, logit, sigmoid
from models.methods.constant import Constant
from models.methods.contract_calendar import (
    ContractCalendar,
    can_leave,
    fit_members,
    is_contractual,
    leaving_window,
)
from models.methods.gradient_boosting import MODEST, UNTUNED, BoostingSettings, GradientBoosting
from models.methods.hybrid import DeclaredPoints, Hybrid
from models.methods.logistic import Logistic
from models.methods.recency import Recency, recency_signals
from models.methods.rules import Rules
from models.methods.scorecard import Scorecard
from models.methods.season import WORTH_TELLING, Season, fit_season, season_columns, season_spread
from models.methods.usage_drop import UsageDrop
from models.methods.weighted_average import WeightedAverage

METHODS: dict[str, type[Any]] = {
    "constant": Constant,
    "contract_calendar": ContractCalendar,
    "recency": Recency,
    "usage_drop": UsageDrop,
    "actions": Actions,
    "rules": Rules,
    "weighted_average": WeightedAverage,
    "logistic": Logistic,
    "gradient_boosting": GradientBoosting,
    "scorecard": Scorecard,
    "declared_points": DeclaredPoints,
    "hybrid": Hybrid,
    "season": Season,
}

__all__ = [
    "METHODS",
    "MODEST",
    "UNTUNED",
    "WORTH_TELLING",
    "Actions",
    "BoostingSettings",
    "Constant",
    "ContractCalendar",
    "DeclaredPoints",
    "Floats",
    "GradientBoosting",
    "Hybrid",
    "Logistic",
    "Method",
    "Recency",
    "Rules",
    "Scorecard",
    "Season",
    "UsageDrop",
    "WeightedAverage",
    "can_leave",
    "fit_members",
    "fit_season",
    "is_contractual",
    "leaving_window",
    "logit",
    "recency_signals",
    "season_columns",
    "season_spread",
    "sigmoid",
]
