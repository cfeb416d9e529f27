"""When each account first got value from the product (its "aha" moment), and who still waits for
it.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from features.facts import as_known
from features.sql import literal
from features.windows import US_PER_DAY, day_number, happened, known
from models import incidence
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import put_table, source_facts
from pipeline.staging.staged import StagedSource

REACHED, WAITING, LEFT, UNKNOWN = "reached", "waiting", "left", "unknown"
STATES = {REACHED: incidence.REACHED, LEFT: incidence.LEFT, WAITING: incidence.WAITING}
ACCOUNTS_TO_SPREAD = 20
"""Accounts that tell a distribution; of fewer there are counts only."""
SPANS = (364, 182, 91, 28)
"""Days after the first use at which shares are told: the longest that enough accounts have behind
them.
"""
COLUMNS = ("account_id", "as_of", "status", "days", "first_use", "first_value")
UNDATED_DAYS = 28
"""Where no source says when an account began: days from the feed's first in which a first use need
not be the first.
"""


@dataclass(frozen=True)
class TimeToValue:
    """How long first value takes the accounts that began inside the feed, leavers and those still
    waiting counted as such.

    quarter, half, three_quarters: days within which that share of them gets there; NaN where so
    many never did. reached, left: shares `within_days` of the first use; the rest waits.
    """

    accounts: int
    quarter: float
    half: float
    three_quarters: float
    within_days: int
    reached: float
    left: float


def time_to_value(accounts: pd.DataFrame) -> TimeToValue | None:
    """The distribution over the rows of `first_value`; None where under 20 accounts began long
    enough ago to tell.
    """
    timed = accounts[accounts["days"].notna()]
    age = (timed["as_of"] - timed["first_use"].dt.normalize()).dt.days
    span = next((days for days in SPANS if (age >= days).sum() >= ACCOUNTS_TO_SPREAD), None)
    if span is None:
        return None
    states = np.array([STATES[status] for status in timed["status"]], dtype=np.int64)
    curve = incidence.cumulative_incidence(timed["days"].to_numpy(dtype=np.float64), states)
    quarter, half, three_quarters = (
        incidence.day_of_share(curve, part) for part in (0.25, 0.5, 0.75)
    )
    reached, left = incidence.at_day(curve, span)
    return TimeToValue(len(timed), quarter, half, three_quarters, span, reached, left)


def first_value(
    connection: Connection,
    usage: StagedSource,
    terms: StagedSource | None,
    accounts: StagedSource | None,
    as_of: date,
    grace_days: int,
) -> pd.DataFrame:
    """Every account that had used the product, with its way to the first of the source's
    `first_value_events`.

    Only what was known before `as_of` counts. An account that began before the usage feed did may
    have had its moment before: it has no `days`, and is `unknown` until one of the events is seen.

    Returns
    -------
    DataFrame
        account_id; as_of; status: `reached`, `waiting`, `left` (its last term ended more than
        `grace_days` ago, without the event) or `unknown`; days: whole days from the first use to
        the first value, to as_of where it waits, to the end of its last term where it left; null
        where it began before the feed; first_use, first_value: times, null where none was seen.
        Rows by account_id.
    """
    names = ", ".join(literal(name) for name in usage.settings.first_value_events)
    facts, day = source_facts(usage, {}), day_number(as_of)
    used = connection.execute(f"""
with s as (select {day} as as_of_day),
seen as (select f.*, min(f.event_time_day) over (partition by f.partition_name) as feed_day
         from {facts.table} f, s where {known("f", "s")} and f.event_time_day < s.as_of_day)
select account_id, min(feed_day) as feed_day, min(event_time) as first_us,
  min(case when event_name in ({names}) then event_time end) as value_us
from seen group by 1 order by 1""").df()
    put_table(
        connection,
        "asked",
        pd.DataFrame({"account_id": used["account_id"].astype("str"), "as_of_day": day}),
    )
    used["began_day"] = _began(connection, used["account_id"], terms, accounts)
    used["end_day"] = np.nan if terms is None else used["account_id"].map(_ends(connection, terms))
    return _with_status(used, as_of, day - grace_days)


def _with_status(used: pd.DataFrame, as_of: date, left_before: int) -> pd.DataFrame:
    first, value = np.floor(used["first_us"] / US_PER_DAY), np.floor(used["value_us"] / US_PER_DAY)
    timed = (
        (used["began_day"] >= used["feed_day"])
        .where(used["began_day"].notna(), first >= used["feed_day"] + UNDATED_DAYS)
        .astype(bool)
    )
    gone = used["end_day"] <= left_before
    status = np.select([value.notna(), ~timed, gone], [REACHED, UNKNOWN, LEFT], WAITING)
    # Use can go on after the last term, or begin after it; nobody waits less than no time.
    until = value.where(status == REACHED, used["end_day"].where(status == LEFT, day_number(as_of)))
    return pd.DataFrame(
        {
            "account_id": used["account_id"].astype("str"),
            "as_of": pd.Timestamp(as_of),
            "status": status.astype("str"),
            "days": (until - first).clip(lower=0).where(timed),
            "first_use": _times(used["first_us"]),
            "first_value": _times(used["value_us"]),
        }
    )[list(COLUMNS)]


def _began(
    connection: Connection,
    account_ids: "pd.Series[str]",
    terms: StagedSource | None,
    accounts: StagedSource | None,
) -> "pd.Series[float]":
    """First day of each account by the sources that say when it began; null where none does."""
    began = pd.Series(np.nan, index=account_ids.index)
    for source, column in ((accounts, "created_at"), (terms, "starts_at")):
        if source is None or not source.is_mapped(column):
            continue
        rows = as_known(source_facts(source, {}), "asked")
        days = connection.execute(
            f"select account_id, min({column}_day) as day from ({rows}) group by 1"
        ).df()
        by_source = account_ids.map(days.set_index("account_id")["day"]).astype("float64")
        began = began.where(began <= by_source, by_source.fillna(began))
    return began


def _ends(connection: Connection, terms: StagedSource) -> "pd.Series[float]":
    """Day on which the last term of each account ends, as known; none where a term is open."""
    ends = connection.execute(f"""
select t.account_id, max(t.ends_at_day) as day from ({as_known(source_facts(terms, {}), "asked")}) t
where {happened("t", "starts_at")} group by 1 having count(*) = count(t.ends_at)""").df()
    return ends.set_index("account_id")["day"].astype("float64")


def _times(microseconds: "pd.Series[float]") -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(microseconds.astype("Int64"), unit="us").astype("datetime64[us]")
