"""What a table leaves open, found on its rows: questions with their readings and figures."""

from pipeline.staging.asking.ask import questions_of
from pipeline.staging.asking.ids import questions_between, thin_overlaps
from pipeline.staging.asking.moments import (
    TimesInSource,
    dated_column,
    day_zeros_between,
    moment_notes,
)
from pipeline.staging.asking.question import Opened, Question, Reading, Unanswered

__all__ = [
    "Opened",
    "Question",
    "Reading",
    "TimesInSource",
    "Unanswered",
    "dated_column",
    "day_zeros_between",
    "moment_notes",
    "questions_between",
    "questions_of",
    "thin_overlaps",
]
