"""Which contract term an account is on, as was known on the date.

The example of `features/windows.py` goes on: as_of 2024-03-29. A term of 2024-01-01 to 2025-01-01
counts 366 days. One that was prolonged in place on 2023-12-20, from an end of 2024-01-01 to one of
2025-01-01, counts 366 days too, although its row began years before: what the account decides next
is the last stretch.
"""

from features.facts import SourceFacts, as_known
from features.sources.subscriptions import is_paid, is_running
from features.windows import known

# The nearest in ratio wins; from a year and a half on whole years are counted.
USUAL_TERMS = {
    "weekly": 7.0,
    "monthly": 30.4,
    "quarterly": 91.3,
    "half-yearly": 182.6,
    "yearly": 365.25,
}
_YEAR_AND_A_HALF = 548


def term_name(days: int) -> str:
    """The usual length of term nearest to so many days.

    >>> [term_name(d) for d in (7, 31, 92, 200, 366, 730, 1095)]
    ['weekly', 'monthly', 'quarterly', 'half-yearly', 'yearly', '2-year', '3-year']
    """
    length = max(1, days)
    if length >= _YEAR_AND_A_HALF:
        return f"{round(length / 365.25)}-year"
    return min(
        USUAL_TERMS, key=lambda name: max(length / USUAL_TERMS[name], USUAL_TERMS[name] / length)
    )


def current_terms(source: SourceFacts, snapshots: str = "snapshots") -> str:
    """SELECT of account_id, as_of_day, end_us, term_days: the paid term that ends last among those
    that cover as_of.

    Accounts with an open end have no row, nor have those whose ends are written when they happen:
    no end is known ahead.
    """
    return f"""
select t.account_id, t.as_of_day, t.ends_at as end_us, max(t.ends_at_day - t.begins_day)
  as term_days
from (
  select c.*, max(c.ends_at) over (partition by c.account_id, c.as_of_day) as last_end,
    max(case when c.ends_at is null then 1 else 0 end) over (partition by c.account_id, c.as_of_day)
      as is_open
  from (
    select f.account_id, f.as_of_day, f.starts_at, f.ends_at, f.ends_at_day,
      max(case when p.ends_at_day is null then f.starts_at_day else p.ends_at_day end) as begins_day
    from ({as_known(source, snapshots)}) f
    left join ({_earlier_ends(source, snapshots)}) p on p.account_id = f.account_id
      and p.as_of_day = f.as_of_day and p.starts_at = f.starts_at
      and p.ends_at < f.ends_at
    where {is_running("f")}
    group by 1, 2, 3, 4, 5
  ) c
) t
where t.ends_at = t.last_end and t.is_open = 0
group by 1, 2, 3"""


def open_terms(source: SourceFacts, snapshots: str = "snapshots") -> str:
    """SELECT of the paid terms, running or still to come, that nobody has signed beyond, as was
    known on the date.

    A term whose successor is signed already has no open end: the renewal that is still to be
    decided is the successor's. Ended terms have no row.

    Returns
    -------
    str
        account_id, as_of_day, begins_at, ends_at (null: open), billing_period, is_covered (whether
        a paid term of the account covers the date, signed beyond or not), and first_day, on which
        its first paid term began.
    """
    rows = as_known(source, snapshots)
    return f"""
select f.account_id, f.as_of_day, f.starts_at, f.ends_at, f.billing_period, f.first_day,
  max(f.is_covered) as is_covered,
  max(case when p.ends_at is null then f.starts_at else p.ends_at end) as begins_at
from (
  select t.*, min(case when {is_paid("t")} then t.starts_at_day end)
    over (partition by t.account_id, t.as_of_day) as first_day,
    max(case when {is_running("t")} then 1 else 0 end)
    over (partition by t.account_id, t.as_of_day) as is_covered
  from ({rows}) t
) f
left join ({_earlier_ends(source, snapshots)}) p on p.account_id = f.account_id
  and p.as_of_day = f.as_of_day and p.starts_at = f.starts_at and p.ends_at < f.ends_at
left join (
  select n.account_id, n.as_of_day, n.starts_at, n.ends_at from ({rows}) n
  where {is_paid("n")} and n.starts_at_day >= n.as_of_day
) s on s.account_id = f.account_id and s.as_of_day = f.as_of_day and s.starts_at > f.starts_at
  and s.starts_at <= f.ends_at and (s.ends_at is null or s.ends_at > f.ends_at)
where ({is_running("f")} or ({is_paid("f")} and f.starts_at_day >= f.as_of_day))
  and s.account_id is null
group by 1, 2, 3, 4, 5, 6"""


def _earlier_ends(source: SourceFacts, snapshots: str) -> str:
    """SELECT of the ends that terms had before they were prolonged in place."""
    return f"""
      select s.account_id, s.as_of_day, e.starts_at, e.ends_at, e.ends_at_day
      from {snapshots} s join {source.table} e on e.account_id = s.account_id
        and e.known_from_day < s.as_of_day
        and e.known_until_day is not null and not ({known("e", "s")})
    """
