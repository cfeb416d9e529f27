"""Files of which a part is missing: from one account on, in the order of ids, nobody has a row."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.windows import OPEN_END, US_PER_DAY
from pipeline.checking.evidence import EXAMPLES, LATEST, PAID, QUIET_DAYS, Evidence, view
from pipeline.checking.report import Finding
from pipeline.engine.duckdb import Connection, rows
from pipeline.staging.staged import StagedSource

CUT_OFF = "rows-cut-off"
FEWEST_CUT_OFF = 10
"""Accounts in a row without any rows, under which a gap may be chance."""
A_TENTH = 0.1
MOSTLY = 0.5
LARGEST_CHANCE = 1e-6
Order = Callable[[str], Any]
# Exports are sorted by ids as text, or as numbers.
ORDERS: tuple[Order, ...] = (lambda name: name, lambda name: (len(name), name))


@dataclass(frozen=True)
class CutOff:
    """Accounts at one end of the order that have no rows, and how many of the others have some."""

    missing: tuple[str, ...]
    present: int
    others: int


def cut_off(accounts: Sequence[tuple[str, bool]]) -> CutOff | None:
    """The end of an order of ids at which no account has rows, where that is no chance.

    Parameters
    ----------
    accounts
        Id, and whether the source has rows of it.

    Examples
    --------
    >>> found = cut_off([(f"a{i:02d}", i < 30) for i in range(50)])
    >>> found.missing[0], len(found.missing), found.present, found.others
    ('a30', 20, 30, 30)
    >>> cut_off([(f"a{i:02d}", i % 5 > 0) for i in range(50)]) is None
    True
    """
    gaps = [
        each
        for order in ORDERS
        for turned in (False, True)
        if (each := _tail(sorted(accounts, key=lambda a: order(a[0]), reverse=turned)))
    ]
    return max(gaps, key=lambda each: len(each.missing), default=None)


def _tail(accounts: Sequence[tuple[str, bool]]) -> CutOff | None:
    others = max((i + 1 for i, (_, has_rows) in enumerate(accounts) if has_rows), default=0)
    present = sum(has_rows for _, has_rows in accounts)
    missing = tuple(name for name, _ in accounts[others:])
    if not others or len(missing) < max(FEWEST_CUT_OFF, A_TENTH * len(accounts)):
        return None
    share = present / others
    # How likely so many in a row lack rows, if each lacks them as often as the others do.
    is_chance = share < 1 and len(missing) * math.log(1 - share) > math.log(LARGEST_CHANCE)
    return None if share < MOSTLY or is_chance else CutOff(missing, present, others)


def cut_off_sources(
    connection: Connection, staged: Mapping[str, StagedSource], end_day: int
) -> dict[str, CutOff]:
    """Logs and bills that know no customer beyond one id, although their cover ran meanwhile.

    Parameters
    ----------
    end_day
        First day no longer covered, as a day number.
    """
    sources = list(staged.values())
    subscriptions = next((s for s in sources if s.contract.table == "subscriptions"), None)
    if subscriptions is None:
        return {}
    made = {}
    for source in sources:
        if source.contract.table not in ("usage_events", "invoices"):
            continue
        event = f"{source.contract.event_time}_day"
        gap = cut_off(
            rows(
                connection,
                f"""
with span as (select min({event}) as first, max({event}) as last from {view(source)}),
covered as (select f.account_id, min(f.starts_at_day) as starts,
    least(max(coalesce(f.ends_at, {OPEN_END})) // {US_PER_DAY}, {end_day}) as ends
  from {view(subscriptions)} f where {LATEST} and {PAID} group by 1),
present as (select distinct account_id from {view(source)})
select c.account_id, p.account_id is not null from covered c cross join span s
left join present p using (account_id)
where least(c.ends, s.last) - greatest(c.starts, s.first) >= {QUIET_DAYS}""",
            )
        )
        if gap is not None:
            made[source.name] = gap
    return made


def cut_off_findings(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each of them."""
    sources = cut_off_sources(evidence.connection, evidence.staged, evidence.end_day)
    for name, gap in sources.items():
        first, last = gap.missing[0], gap.missing[-1]
        yield Finding(
            CUT_OFF,
            "stop",
            name,
            f"{len(gap.missing):,} customers with ids from {first} to {last} have no row, while"
            f" {gap.present:,} of the {gap.others:,} other customers have some: half of a file"
            " looks so",
            "Export it again and compare its number of rows with what the program shows, or accept"
            " the finding with the reason why these customers have none. Until then `score`"
            " publishes them as unknown.",
            len(gap.missing),
            len(gap.missing) + gap.others,
            "accounts",
            gap.missing[:EXAMPLES],
        )
