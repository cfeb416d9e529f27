"""Whether a feed has gone silent: longer without a new row than ever in the year before.

`score` refuses a source that is older than its declared `max_age_days`. A source without one can
die as well, and each of its signals then moves towards trouble with nobody having done anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from features.windows import day_of

WHOLE_WEEKS_YEAR = 364
FEWEST_DAYS = 12
"""Days with rows in the year before that tell how long a feed usually pauses."""
DENSE_SHARE = 0.5
"""A feed with rows on so many of the days before is dense: a pause of it is no chance.

In a simulated company of 1,000 accounts (12 sources, a year of nights) a dense feed was called
silent on 9 nights of one source, all of them one pause; onboarding milestones, with rows on every
fourth day, on 19 nights and for good once few accounts were new.
"""
SLACK_DAYS, SLACK_SHARE = 2, 0.5
"""A pause may exceed the longest one seen by so many days, or by so much of it."""


@dataclass(frozen=True)
class Silence:
    """A feed without new rows."""

    last: date
    days: int
    longest: int
    """Days between rows, at most, in the year before."""
    is_dense: bool
    """Whether it has rows on most days, so that the score cannot be read without it."""

    @property
    def words(self) -> str:
        """The facts, without the name of the source."""
        unit = "day" if self.days == 1 else "days"
        usual = "day" if self.longest == 1 else "days"
        return (
            f"no new row since {self.last.day} {self.last:%b %Y} ({self.days} {unit}; its longest"
            f" pause in the year before was {self.longest} {usual})"
        )


def silence(days: Sequence[int], day: int) -> Silence | None:
    """Return the silence of a feed on a date; None while it is no longer than usual.

    Parameters
    ----------
    days
        Numbers of the days (`features.windows.day_number`) on which rows became known, before
        `day`, each once, in order.

    Examples
    --------
    >>> from features.windows import day_number
    >>> first, today = day_number(date(2025, 3, 1)), day_number(date(2025, 6, 1))
    >>> silence(range(first, today), today) is None
    True
    >>> silence(range(first, today - 5), today).words
    'no new row since 26 May 2025 (5 days; its longest pause in the year before was 1 day)'
    """
    recent = [each for each in days if day - WHOLE_WEEKS_YEAR <= each < day]
    if len(recent) < FEWEST_DAYS:
        return None
    pauses = [after - before for before, after in zip(recent, recent[1:], strict=False)]
    longest, age = max(pauses), day - 1 - recent[-1]
    if age + 1 <= longest + max(SLACK_DAYS, SLACK_SHARE * longest):
        return None
    reach = recent[-1] - recent[0] + 1
    return Silence(day_of(recent[-1]), age, longest, len(recent) >= DENSE_SHARE * reach)
