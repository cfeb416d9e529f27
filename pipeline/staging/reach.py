"""How far rows reach: no single row sets the end of a source.

A row dated years ahead is a typing error, and a day after the start of the command has not been
yet. Of contracts, which may begin on days to come, the last day counts on which starts are entered
as usually.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np

from pipeline.engine.duckdb import Connection, literal, row

# Rows that record the past; contracts, goals and milestones may speak of days to come.
RECORDS = frozenset(
    {
        "usage_events",
        "invoices",
        "support_tickets",
        "surveys",
        "touchpoints",
        "csm_notes",
        "outcomes",
        "interventions",
    }
)
MOST_OUTLYING = 0.001
"""Share of rows (or one row) beyond the body that may be errors; more are a part of the feed."""
ROWS_OF_A_BODY = 50
SHORTEST_GAP, GAP_OF_CONTRACTS = 14, 366
"""Days without a row, of records and of contracts: of those a few begin long after the season."""
GAPS = 3.0
"""Times the largest usual gap between days with rows after which a few rows stand alone."""
NO_ACCIDENT = 0.001
AFTER_START = "lies after the start of this command"
FAR_BEYOND = "lies far beyond all other rows"
CLOCKS_DIFFER = timedelta(days=1)


def first_outlying_day(
    counts: Sequence[tuple[date, int]], shortest_gap: int = SHORTEST_GAP
) -> date | None:
    """The first of the days that a few rows lie alone on, far beyond the body; None: there is none.

    Parameters
    ----------
    shortest_gap
        Days without a row before them, more than which it takes.

    >>> days = [(date(2024, 1, 1) + timedelta(days=i), 100) for i in range(60)]
    >>> first_outlying_day([*days, (date(2035, 5, 1), 1)])
    datetime.date(2035, 5, 1)
    >>> first_outlying_day(days) is None
    True
    """
    total = sum(n for _, n in counts)
    if total < ROWS_OF_A_BODY:
        return None
    days = sorted(counts)
    may_err = max(1.0, MOST_OUTLYING * total)
    beyond, outlying = 0, None
    for place in range(len(days) - 1, 0, -1):
        beyond += days[place][1]
        if beyond > may_err:
            break
        gap = (days[place][0] - days[place - 1][0]).days
        earlier = [d.toordinal() for d, _ in days[:place]]
        usual = float(np.quantile(np.diff(earlier), 0.99)) if len(earlier) > 1 else float(gap)
        if gap > max(shortest_gap, GAPS * usual):
            outlying = days[place][0]
    return outlying


def end_of_rows(
    counts: Sequence[tuple[date, int]], started: datetime | None, shortest_gap: int = SHORTEST_GAP
) -> tuple[date, str] | None:
    """(first day beyond what the rows as a whole reach, why); None: no row lies beyond."""
    if started is not None:
        tomorrow = (started + CLOCKS_DIFFER).date() + timedelta(days=1)
        counts = [(day, n) for day, n in counts if day < tomorrow] or counts
        if counts and max(counts)[0] >= tomorrow:
            return None  # every row does: a clock of the machine, not of the table
    outlying = first_outlying_day(counts, shortest_gap)
    if outlying is not None:
        return outlying, FAR_BEYOND
    return None if started is None else (tomorrow, AFTER_START)


def entered_until(connection: Connection, table: str, until: date) -> date | None:
    """The newest start in a table of contracts where it ended before `until`; None: it goes on.

    It ended where terms ran out since and fewer were renewed than chance allows. That nobody new
    signs says nothing: a company may have all its customers.
    """
    newest: date | None = row(
        connection,
        f"SELECT CAST(max(starts_at) AS DATE) FROM {table} WHERE starts_at < {literal(until)}",
    )[0]
    if newest is None or (until - newest).days < 2:
        return None
    return newest if _none_renewed(connection, table, newest, until) else None


def _none_renewed(connection: Connection, table: str, newest: date, until: date) -> bool:
    """Whether so many terms ran out since the newest start that some would have been renewed."""
    ended, renewed, waiting = row(
        connection,
        f"""
WITH terms AS (SELECT account_id, ends_at, lead(starts_at) OVER (PARTITION BY account_id
    ORDER BY starts_at, ends_at) AS following FROM {table} WHERE ends_at IS NOT NULL)
SELECT count(*) FILTER (ends_at < {literal(newest)}),
  count(*) FILTER (ends_at < {literal(newest)} AND following <= ends_at + INTERVAL 7 DAY),
  count(DISTINCT account_id) FILTER (following IS NULL AND ends_at > {literal(newest)} + INTERVAL 1
    DAY AND ends_at + INTERVAL 1 DAY < {literal(until)})
FROM terms""",
    )
    if not ended or not renewed or not waiting:
        return False
    return bool((1 - renewed / (ended + 1)) ** waiting < NO_ACCIDENT)
