"""All questions about one source as its files are; between sources: `ids.questions_between`."""

from collections.abc import Iterator

from pipeline.staging.asking.copies import copy_questions
from pipeline.staging.asking.ends import end_questions, status_questions
from pipeline.staging.asking.ids import id_questions
from pipeline.staging.asking.moments import moment_questions
from pipeline.staging.asking.months import month_questions
from pipeline.staging.asking.numbers import number_questions
from pipeline.staging.asking.question import Opened, Question


def questions_of(opened: Opened) -> tuple[Question, ...]:
    """Questions that one source leaves open."""
    return tuple(_all(opened))


def _all(opened: Opened) -> Iterator[Question]:
    yield from id_questions(opened)
    yield from moment_questions(opened)
    yield from copy_questions(opened)
    yield from end_questions(opened)
    yield from status_questions(opened)
    yield from number_questions(opened)
    yield from month_questions(opened)
