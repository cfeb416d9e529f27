"""History that was rewritten near a departure, where no clock shows it.

Leavers are compared with those who stayed at equal distance: in their first three months, by the
quarter in which they began, so that nobody is near the own end or nearer to the export. What
differs so early and in every quarter was not yet known then.

    filled-apart             a value, or a source, that leavers have early on and stayers lack, or
        the other way round
    value-goes-with-leaving  one value of an attribute whose accounts leave in every quarter
    value-never-changes      an attribute of terms that no renewal ever changed, unlike the amount
    total-on-every-row       a number that is the same on all rows of an account and grows with its
        whole life
    set-at-closing           a value that closed tickets have and open ones lack

What leaves no trace (a rating lowered in hindsight, rows of the last weeks deleted) is no finding:
`assumptions.py` says per column what is assumed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.checking.evidence import EXAMPLES, LATEST, PAID, Evidence, is_mapped, view
from pipeline.checking.leaks import LEAVING, USUAL_HORIZON_DAYS, unclocked_columns
from pipeline.checking.report import Finding, Severity
from pipeline.staging.staged import StagedSource

EARLY_DAYS = 91
"""The first days of an account that are compared, and the quarter that groups starts."""
ENOUGH, ENOUGH_IN_ALL = 5, 20
"""Leavers and stayers of a quarter, and of all quarters, under which a difference is chance."""
FEWEST_QUARTERS = 2
APART = 0.4
NEARLY_NONE = 0.1
NEARLY_ALL = 0.95
RATHER_STAY = 0.6
FEWEST_TERMS = 100
FEWEST_CHANGES = 30
FEWEST_ROWS_EACH = 3
LIKE_A_TOTAL = 0.95
FEWEST_OPEN = 20
WITH_ROWS = (
    "usage_events",
    "invoices",
    "support_tickets",
    "surveys",
    "touchpoints",
    "csm_notes",
    "contacts",
)


@dataclass(frozen=True)
class _Quarter:
    """Accounts that began in one quarter: how many left and stayed, and the share of each."""

    left: int
    left_share: float
    stayed: int
    stayed_share: float

    @property
    def gap(self) -> float:
        return self.left_share - self.stayed_share


def rewritten_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about history that was written after the departure; needs `check_accounts`."""
    if evidence.target.kind not in LEAVING:
        return
    _make_beginners(evidence)
    for source in evidence.of(*WITH_ROWS):
        absent = list(_rows_apart(evidence, source))
        yield from absent
        if not absent and source.settings.features:
            yield from _columns_apart(evidence, source)
    accounts = evidence.first("accounts")
    if accounts is not None:
        for column in unclocked_columns(accounts):
            yield from _attribute_apart(evidence, accounts, column)
    for source in filter(None, (accounts, evidence.first("subscriptions"))):
        for column in unclocked_columns(source):
            yield from _single_values(evidence, source, column)
    yield from _never_changing(evidence)
    for source in evidence.of("usage_events"):
        yield from _life_totals(evidence, source)
    for source in evidence.of("support_tickets"):
        yield from _set_at_closing(evidence, source)


def _make_beginners(evidence: Evidence) -> None:
    """Create `check_beginners`: accounts that were there two horizons and more, with start_day and
    has_left.
    """
    horizon = evidence.target.horizon_days or USUAL_HORIZON_DAYS
    terms = evidence.first("subscriptions")
    starts = (
        "select '' as account_id, cast(0 as bigint) as starts_day where false"
        if terms is None
        else f"select f.account_id, min(f.starts_at_day) as starts_day from {view(terms)} f"
        f" where {LATEST} and {PAID} group by 1"
    )
    evidence.connection.execute(f"""
create or replace temp table check_beginners as
select a.account_id, coalesce(a.has_left, a.is_gone) as has_left,
  coalesce(s.starts_day, a.created_day, a.first_day) as start_day
from check_accounts a left join ({starts}) s using (account_id)
where coalesce(a.has_left, a.is_gone) is not null and a.could_leave
  and coalesce(a.left_day, {evidence.end_day})
    - coalesce(s.starts_day, a.created_day, a.first_day) >= {2 * horizon}""")


# --- early, and apart
# ---------------------------------------------------------------------------------


def _quarters(evidence: Evidence, shares: str) -> list[_Quarter]:
    """Quarters with enough leavers and stayers; `shares`: relation of account_id, start_day,
    has_left and a share (0-1).
    """
    counts = evidence.rows(f"""
select count(*) filter (has_left), coalesce(avg(share) filter (has_left), 0),
  count(*) filter (not has_left), coalesce(avg(share) filter (not has_left), 0)
from ({shares}) group by start_day // {EARLY_DAYS} order by start_day // {EARLY_DAYS}""")
    quarters = [_Quarter(*each) for each in counts]
    return [q for q in quarters if min(q.left, q.stayed) >= ENOUGH]


def _are_apart(quarters: Sequence[_Quarter]) -> bool:
    """Whether leavers and stayers differ much, in one direction, in every quarter."""
    gaps = [q.gap for q in quarters]
    return (
        len(quarters) >= FEWEST_QUARTERS
        and min(sum(q.left for q in quarters), sum(q.stayed for q in quarters)) >= ENOUGH_IN_ALL
        and (min(gaps) >= APART or max(gaps) <= -APART)
    )


def _apart(
    source: StagedSource, quarters: Sequence[_Quarter], what: str, column: str, *, is_sure: bool
) -> Finding:
    left, stayed = sum(q.left for q in quarters), sum(q.stayed for q in quarters)
    ours = sum(q.left * q.left_share for q in quarters) / left
    theirs = sum(q.stayed * q.stayed_share for q in quarters) / stayed
    is_none = min(ours, theirs) <= NEARLY_NONE * max(ours, theirs)
    severity: Severity = "stop" if is_sure or is_none else "warn"
    return Finding(
        "filled-apart",
        severity,
        source.name,
        f"{what}: {ours:.0%} of {left:,} accounts that left much later, {theirs:.0%} of"
        f" {stayed:,} that stayed, and so in each of {len(quarters)} quarters of starts. So early"
        " nobody knew who would leave: it was filled in, or deleted, afterwards",
        "Map its history (known_at, valid_from), leave it out, or accept the finding with the"
        " reason why accounts differ from the start.",
        left,
        left + stayed,
        "accounts",
        column=column,
        clock="known_at (assumed)",
    )


def _early(source: StagedSource) -> str:
    """SQL: a row `f` of the first months of a beginner `b`."""
    event = f"f.{source.contract.event_time}_day"
    return f"{event} >= b.start_day and {event} < b.start_day + {EARLY_DAYS}"


def _seen_beginners(evidence: Evidence, source: StagedSource) -> str:
    """Relation of beginners that began after the source did, and three months before it ended."""
    event = f"{source.contract.event_time}_day"
    return (
        f"(select b.* from check_beginners b, (select min({event}) as first, max({event}) as last"
        f" from {view(source)}) s where b.start_day >= s.first and b.start_day + {EARLY_DAYS} <="
        " s.last)"
    )


def _rows_apart(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    if source.contract.event_time is None or source.has_known_at:
        return
    quarters = _quarters(
        evidence,
        f"""
select b.start_day, b.has_left, cast(exists (select 1 from {view(source)} f
  where f.account_id = b.account_id and {_early(source)}) as integer) as share
from {_seen_beginners(evidence, source)} b""",
    )
    if _are_apart(quarters):
        yield _apart(
            source,
            quarters,
            f"rows of {source.name} in the first {EARLY_DAYS} days of an account",
            "",
            is_sure=False,
        )


def _columns_apart(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    if source.contract.event_time is None or source.has_known_at:
        return
    for column in unclocked_columns(source):
        quarters = _quarters(
            evidence,
            f"""
select b.start_day, b.has_left, avg(cast(f.{column} is not null as integer)) as share
from {_seen_beginners(evidence, source)} b join {view(source)} f
  on f.account_id = b.account_id and {_early(source)} group by b.account_id, 1, 2""",
        )
        if _are_apart(quarters):
            what = f"{column} is filled on rows of the first {EARLY_DAYS} days"
            yield _apart(source, quarters, what, column, is_sure=False)


def _attribute_apart(evidence: Evidence, source: StagedSource, column: str) -> Iterator[Finding]:
    if is_mapped(source, "valid_from"):
        return
    quarters = _quarters(
        evidence,
        f"""
select b.start_day, b.has_left, cast(f.{column} is not null as integer) as share
from check_beginners b join {view(source)} f on f.account_id = b.account_id and {LATEST}""",
    )
    if _are_apart(quarters):
        what = f"{column}, declared never to change, is filled"
        yield _apart(source, quarters, what, column, is_sure=True)


# --- values that tell
# ---------------------------------------------------------------------------------


def _single_values(evidence: Evidence, source: StagedSource, column: str) -> Iterator[Finding]:
    """Values with which nearly every account leaves, whenever it began, while others stay."""
    if source.has_known_at or is_mapped(source, "valid_from"):
        return
    facts, event = view(source), source.contract.event_time
    first = "f.account_id" if event is None else f"f.{event}_day"
    values = evidence.rows(f"""
with firsts as (select f.account_id, arg_min(f.{column}, {first}) as v from {facts} f
  where {LATEST} and f.{column} is not null group by 1),
cells as (select v, start_day // {EARLY_DAYS} as quarter, count(*) as n,
    count(*) filter (has_left) as gone
  from firsts join check_beginners using (account_id) group by 1, 2),
usual as (select sum(n) as n, sum(gone) as gone from cells)
select c.v, sum(c.n), sum(c.gone), count(*), min(c.gone / c.n),
  (any_value(u.gone) - sum(c.gone)) / nullif(any_value(u.n) - sum(c.n), 0)
from cells c, usual u where c.n >= {ENOUGH} group by 1
having count(*) >= {FEWEST_QUARTERS} and sum(c.n) >= {ENOUGH_IN_ALL} order by 1""")
    for value, n, gone, quarters, least, others in values:
        if least >= NEARLY_ALL and others is not None and others <= RATHER_STAY:
            yield Finding(
                "value-goes-with-leaving",
                "stop",
                source.name,
                f"{column} = {value}: {int(gone):,} of {int(n):,} accounts left, in each of"
                f" {quarters} quarters of starts, and {others:.0%} of those with other values:"
                " today's value stands on old rows",
                f"Map the history of {column} (a row per change, or known_at), leave it out, or"
                " accept the finding with a reason.",
                int(gone),
                int(n),
                "accounts",
                column=column,
                clock="known_at (assumed)",
            )


def _never_changing(evidence: Evidence) -> Iterator[Finding]:
    """Attributes of terms that stay the same over all renewals, while the amount changes."""
    terms = evidence.first("subscriptions")
    if terms is None or terms.has_known_at or not is_mapped(terms, "amount_per_month"):
        return
    columns = [c for c in ("plan", "seats", "billing_period") if is_mapped(terms, c)]
    for column in columns:
        steps, changed, amounts, values = evidence.row(f"""
with steps as (
  select f.{column} as v, f.amount_per_month as amount, lag(f.{column}) over own as before,
    lag(f.amount_per_month) over own as paid from {view(terms)} f
  where {LATEST} and {PAID} and f.{column} is not null
  window own as (partition by f.account_id order by f.starts_at, f.ends_at))
select count(before), count(*) filter (before <> v), count(*) filter (before is not null
  and paid <> amount), count(distinct v) from steps""")
        if steps >= FEWEST_TERMS and not changed and amounts >= FEWEST_CHANGES and values > 1:
            yield Finding(
                "value-never-changes",
                "warn",
                terms.name,
                f"{column} is the same before and after all {steps:,} renewals, while the amount"
                f" changes on {amounts:,}: it may be today's value on every row, and today's value"
                " knows who was about to leave",
                f"Ask whether the program keeps the old {column} of a term; if not, leave it out of"
                " the mapping or take a history.",
                changed,
                steps,
                "renewals",
                column=column,
                clock="starts_at (assumed)",
            )


def _life_totals(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    """Numbers that are one and the same on all rows of an account and rank accounts as their number
    of rows does.
    """
    for column in unclocked_columns(source):
        if source.columns[column].type not in ("number", "money"):
            continue
        accounts, constant, alike, values = evidence.row(f"""
with each as (select f.account_id, count(*) as n, count(distinct f.{column}) as different,
    max(f.{column}) as v from {view(source)} f where f.{column} is not null group by 1
    having count(*) >= {FEWEST_ROWS_EACH}),
ranks as (select *, rank() over (order by n) as by_rows, rank() over (order by v) as by_value
  from each)
select count(*), count(*) filter (different = 1), corr(by_rows, by_value), count(distinct v)
from ranks""")
        if accounts < 2 * ENOUGH_IN_ALL or values < ENOUGH_IN_ALL:
            continue
        if constant >= NEARLY_ALL * accounts and (alike or 0) >= LIKE_A_TOTAL:
            yield Finding(
                "total-on-every-row",
                "stop",
                source.name,
                f"{column} is one and the same on all rows of {constant:,} of {accounts:,} accounts"
                f" and ranks them as their number of rows does (rank correlation {alike:.2f}): the"
                " total of the whole life, known on the first day",
                f"Leave {column} out of the mapping; tenure counts rows and sums itself, up to each"
                " date.",
                constant,
                accounts,
                "accounts",
                column=column,
                clock="event_time (assumed)",
            )


def _set_at_closing(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    """Values that nearly no open ticket has and most closed ones do: they count from the opening
    on.
    """
    if source.has_known_at or not is_mapped(source, "closed_at"):
        return
    for column in unclocked_columns(source):
        closed, filled, opened, early = evidence.row(f"""
select count(*) filter (f.closed_at is not null),
  count(*) filter (f.closed_at is not null and f.{column} is not null),
  count(*) filter (f.closed_at is null),
  count(*) filter (f.closed_at is null and f.{column} is not null)
from {view(source)} f where {LATEST}""")
        if opened < FEWEST_OPEN or not closed:
            continue
        if filled >= APART * closed and early / opened <= NEARLY_NONE * filled / closed:
            yield Finding(
                "set-at-closing",
                "stop",
                source.name,
                f"{column} is filled on {filled:,} of {closed:,} closed tickets and on {early:,} of"
                f" {opened:,} open ones: it is set at closing, and counts from opened_at on",
                f"Leave {column} out of the mapping, or map known_at to the time of the last"
                " change.",
                filled,
                closed,
                "tickets",
                _tickets(evidence, source, column),
                column=column,
                clock="opened_at (assumed)",
            )


def _tickets(evidence: Evidence, source: StagedSource, column: str) -> tuple[str, ...]:
    return tuple(
        f"account {account}: {column} = {value}"
        for account, value in evidence.rows(
            f"select f.account_id, cast(f.{column} as varchar) from {view(source)} f where {LATEST}"
            f" and f.closed_at is not null and f.{column} is not null order by 1, 2"
            f" limit {EXAMPLES}"
        )
    )
