"""Why a score is what it is: drivers per account, and their words."""

from models.drivers.drivers import DRIVER_COLUMNS, MOST_EACH_WAY, REST, driver_table, reference_values
from models.drivers.words import (
    BANDS_IN_WORDS,
    Reason,
    chance_in_words,
    format_value,
    interval_in_words,
    paragraph,
    rest_words,
    signal_words,
    split_comparison,
)

__all__ = [
    "BANDS_IN_WORDS", "DRIVER_COLUMNS", "MOST_EACH_WAY", "REST", "Reason", "chance_in_words", "driver_table",
    "format_value", "interval_in_words", "paragraph", "reference_values", "rest_words", "signal_words",
    "split_comparison",
]
