"""Why a score is what it is: drivers per account, and their words."""

from models.drivers.drivers import (
    DRIVER_COLUMNS,
    MOST_EACH_WAY,
    REST,
    driver_table,
    shown_driver,
)
from models.drivers.reasons import (
    LEAST_POINTS,
    NOT_EXPLAINED,
    REASONS,
    ReasonKind,
    account_reasons,
    reason_of,
    reasons_in_words,
)
from models.drivers.sure import SURE_SHARE, sure_drivers
from models.drivers.twins import TWINS_FROM, Twins, find_twins
from models.drivers.words import (
    Reason,
    chance_in_words,
    comparison,
    format_value,
    interval_in_words,
    paragraph,
    rest_words,
    sentence,
    signal_words,
)

__all__ = [
    "DRIVER_COLUMNS",
    "LEAST_POINTS",
    "MOST_EACH_WAY",
    "NOT_EXPLAINED",
    "REASONS",
    "REST",
    "SURE_SHARE",
    "TWINS_FROM",
    "Reason",
    "ReasonKind",
    "Twins",
    "account_reasons",
    "chance_in_words",
    "comparison",
    "driver_table",
    "find_twins",
    "format_value",
    "interval_in_words",
    "paragraph",
    "reason_of",
    "reasons_in_words",
    "rest_words",
    "sentence",
    "shown_driver",
    "signal_words",
    "sure_drivers",
]
