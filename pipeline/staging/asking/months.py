"""Rows that all stand on the first of a month: is it the month that begins there, or that ended?"""

from collections.abc import Iterator

from pipeline.staging.asking.question import Opened, Question, Reading

NEARLY_ALL_STAMPS = 0.98
FEWEST_STAMPED = 50
FEWEST_MONTHS = 3
LONGEST_MONTH = 31


def month_questions(opened: Opened) -> Iterator[Question]:
    """The question whether totals of a month would be known on its first day."""
    if (
        opened.contract.table != "usage_events"
        or opened.is_mapped("known_at")
        or opened.source.delay_days
        or not opened.is_mapped("event_time")
    ):
        return
    total, first, months = opened.row(
        "SELECT count(*), count(*) FILTER (t = date_trunc('month', t)),"
        f" count(DISTINCT date_trunc('month', t)) FROM {opened.relation(t='event_time')}"
        " WHERE t IS NOT NULL"
    )
    if total < FEWEST_STAMPED or first < NEARLY_ALL_STAMPS * total or months < FEWEST_MONTHS:
        return
    yield Question(
        "totals-of-a-month",
        opened.name,
        f"`{opened.raw_name('event_time')}` is the first of a month on {first:,} of {total:,} rows",
        (
            Reading(
                "delay_days",
                LONGEST_MONTH,
                "they sum the month that begins there, and are known when it is over",
            ),
        ),
        ask="Do rows sum the month that begins on that day, or the one that ended before it? Read"
        " wrongly, the first of a month knows what will happen until its last",
        todo="Where they sum the month before, accept the finding with that as the reason.",
        count=first,
        total=total,
    )
