"""Questions about clocks: does the time that says when a value became known say so truly?

A value is read from the moment its clock strikes (`features/sources` names the clock of each
column). So a clock that strikes too early lets the value through before anybody had it:

    clock-repeats-another      `rated_at` filled from `opened_at`: ratings count from the moment a
        ticket was opened
    ends-known-too-early       `convention = "fixed_term"` where ends are written down when
        customers cancel
    known-before-it-happened   `known_at` lies before the event: one of the two is not what it is
        called
    value-before-its-clock     a value whose clock has not struck: read by nobody, and a sign of a
        wrong column
    known-only-since-load      `known_at` is the day the table was loaded: nothing was known on any
        earlier date
"""

from collections.abc import Iterator

from features.windows import US_PER_DAY
from pipeline.checking.evidence import EXAMPLES, LATEST, PAID, Evidence, is_mapped, view
from pipeline.checking.report import Finding
from pipeline.config.schema import ColumnRule, Rule
from pipeline.engine.facts import source_facts
from pipeline.staging.staged import StagedSource

UNREAD = ("outcomes", "interventions")
"""Contracts that no signal reads."""
# Rows that speak of days to come are known before they happen.
PLANNED = ("subscriptions", "goals", "milestones", "accounts", "contacts")
ROWS_TO_COMPARE = 20
"""Under so many rows two times may agree by chance."""
NEARLY_ALL = 0.95
SEVERAL = 0.05
# Card payments are paid the moment they are billed, so there equal times are no proof.
MAY_COINCIDE = frozenset({("invoices", "paid_at"), ("invoices", "failed_at")})
# A row of history that begins with the merge says nothing early.
MUST_COINCIDE = frozenset({("accounts", "merged_at")})
LOADED_WITHIN_DAYS = 1
LIVED_DAYS = 90


def clock_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about clocks that contradict the rows they belong to; needs `check_accounts`."""
    for source in evidence.staged.values():
        if source.contract.table in UNREAD or not source.settings.features:
            continue
        for clock in own_clocks(source):
            yield from _repeats(evidence, source, clock)
        yield from _before_clock(evidence, source)
        if source.has_known_at:
            yield from _since_load(evidence, source)
            yield from _before_it_happened(evidence, source)
    subscriptions = evidence.first("subscriptions")
    if subscriptions is not None and subscriptions.settings.convention == "fixed_term":
        yield from _ends_too_early(evidence, subscriptions)


def own_clocks(source: StagedSource) -> list[str]:
    """Mapped time columns that make other columns, or themselves, known later than their row."""
    facts = source_facts(source, {})
    clocks = {facts.clock(c.name) for c in source.contract.columns} - {
        None,
        source.contract.event_time,
    }
    return sorted(str(clock) for clock in clocks if is_mapped(source, str(clock)))


def of_clock(source: StagedSource, clock: str) -> list[str]:
    """Mapped columns that a clock makes known, other than itself."""
    facts = source_facts(source, {})
    return [
        c.name
        for c in source.contract.columns
        if facts.clock(c.name) == clock and c.name != clock and is_mapped(source, c.name)
    ]


def moment(expression: str) -> str:
    """SQL: microseconds as people read them."""
    return f"strftime(make_timestamp({expression}), '%Y-%m-%d %H:%M')"


def _repeats(evidence: Evidence, source: StagedSource, clock: str) -> Iterator[Finding]:
    """A clock that strikes together with its row: by the mapping, or on nearly every row."""
    event = source.contract.event_time
    if not is_mapped(source, event or "") or (source.contract.table, clock) in MUST_COINCIDE:
        return
    same, total = evidence.row(
        f"select count(*) filter (f.{clock} = f.{event}), count(*) from {view(source)} f "
        f"where {LATEST} and f.{clock} is not null"
    )
    is_copied = _column_behind(source, clock) == _column_behind(source, str(event))
    if not is_copied and (total < ROWS_TO_COMPARE or same < NEARLY_ALL * total):
        return
    is_sure = is_copied or (source.contract.table, clock) not in MAY_COINCIDE
    dated = ", ".join(of_clock(source, clock)) or clock
    examples = tuple(
        text
        for (text,) in evidence.rows(
            f"""
select 'account ' || f.account_id || ': {event} ' || {moment(f"f.{event}")} || ', {clock} '
  || {moment(f"f.{clock}")}
from {view(source)} f where {LATEST} and f.{clock} = f.{event}
order by f.account_id, f.{event} limit {EXAMPLES}"""
        )
    )
    yield Finding(
        "clock-repeats-another",
        "stop" if is_sure else "warn",
        source.name,
        f"{clock} says when {dated} became known, and "
        + (
            f"is filled from the same column as {event}"
            if is_copied
            else f"equals {event} on {same:,} of {total:,} rows"
        )
        + ": the value would count from the first moment of its row, before it was there",
        f"Map {clock} to the time at which {dated} was really entered, or leave {dated} out;"
        " without such a time nobody can say what was known on a date.",
        same,
        total,
        "rows",
        examples,
        column=dated,
        clock=clock,
    )


def _column_behind(source: StagedSource, column: str) -> str:
    """The user's column that fills one of ours; ours where it maps itself."""
    rules: dict[str, Rule] = dict(source.settings.columns)
    for part in source.settings.parts:
        rules |= part.columns
    rule = rules.get(column, column)
    if isinstance(rule, ColumnRule):
        # A duration added or a format of its own makes another time of the same column.
        return (rule.column or column) if rule.plus is None else f"{rule.column} + {rule.plus}"
    return rule


def _before_clock(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    for clock in own_clocks(source):
        for column in of_clock(source, clock):
            if source.columns[column].type == "time":
                continue
            early = (
                f"f.{column} is not null and (f.{clock} is null or f.{clock}_day >="
                f" {evidence.end_day})"
            )
            hits, filled = evidence.row(
                f"select count(*) filter ({early}), count(f.{column}) from {view(source)} f "
                f"where {LATEST}"
            )
            if hits <= SEVERAL * filled:
                continue
            examples = tuple(
                text
                for (text,) in evidence.rows(
                    f"select 'account ' || f.account_id || ': {column} = ' || cast(f.{column} as"
                    f" varchar) || ', {clock} ' || coalesce({moment(f'f.{clock}')}, 'empty') from"
                    f" {view(source)} f where {LATEST} and {early} order by 1 limit {EXAMPLES}"
                )
            )
            yield Finding(
                "value-before-its-clock",
                "warn",
                source.name,
                f"{column} is filled although its clock {clock} is empty or still ahead: no signal"
                " reads such values, since nobody can say when they became known",
                f"Map {clock} to the time at which {column} was entered.",
                hits,
                filled,
                "values",
                examples,
                column=column,
                clock=clock,
            )


def _since_load(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    event = f"f.{source.contract.event_time}"
    known, happened, rows_ = evidence.row(
        f"select max(f.known_from_day) - min(f.known_from_day), max({event}_day) -"
        f" min({event}_day), count(*) from {view(source)} f"
    )
    if (
        rows_ < ROWS_TO_COMPARE
        or known is None
        or happened is None
        or known > LOADED_WITHIN_DAYS
        or happened < LIVED_DAYS
    ):
        return
    yield Finding(
        "known-only-since-load",
        "warn",
        source.name,
        f"known_at is the same on all rows although they happened over {happened} days: it is when"
        " the table was loaded, and nothing of it counts on any date before",
        "Map known_at to when each row was entered; if rows were never changed, leave known_at out"
        " and declare delay_days.",
        rows_,
        rows_,
        "rows",
        column=str(source.contract.event_time),
        clock="known_at",
    )


def _before_it_happened(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    if source.contract.table in PLANNED:
        return
    event = source.contract.event_time
    early = f"f.known_from_day < f.{event}_day - 1"
    hits, total = evidence.row(f"select count(*) filter ({early}), count(*) from {view(source)} f")
    if hits <= SEVERAL * total:
        return
    examples = tuple(
        text
        for (text,) in evidence.rows(
            f"select 'account ' || f.account_id || ': {event} ' || {moment(f'f.{event}')} || ',"
            f" known_at ' || {moment('f.known_from')} from {view(source)} f where {early} order by"
            f" 1 limit {EXAMPLES}"
        )
    )
    yield Finding(
        "known-before-it-happened",
        "warn",
        source.name,
        f"rows were known more than a day before they happened: {event} or known_at is not what it"
        " is called",
        f"Find out which of the two is entered by hand; {event} must be when it happened.",
        hits,
        total,
        "rows",
        examples,
        column=str(event),
        clock="known_at",
    )


def _ends_too_early(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    """Ends that only leavers have were written when they cancelled, not in the contract."""
    end = evidence.end_day * US_PER_DAY
    open_, past, last = evidence.row(f"""
select count(*) filter (ends_at is null), count(*) filter (ends_at < {end}),
  count(*) filter (ends_at < {end} and not has_next) from (
  select f.ends_at, lead(f.starts_at) over (partition by f.account_id order by f.starts_at,
    f.ends_at) is not null as has_next
  from {view(source)} f where {LATEST} and {PAID})""")
    if (
        open_ + past < ROWS_TO_COMPARE
        or open_ <= SEVERAL * (open_ + past)
        or last < NEARLY_ALL * past
        or not past
    ):
        return
    examples = tuple(
        text
        for (text,) in evidence.rows(
            f"select 'account ' || f.account_id || ': ends_at ' || {moment('f.ends_at')} || ',"
            f" known from ' || {moment('f.known_from')} from {view(source)} f where {LATEST} and"
            f" {PAID} and f.ends_at < {end} order by 1 limit {EXAMPLES}"
        )
    )
    yield Finding(
        "ends-known-too-early",
        "stop",
        source.name,
        f'convention = "fixed_term" says that an end is known from the start, but {open_:,} terms'
        f" have no end and {last:,} of "
        f"{past:,} terms that ended were their account's last: ends_at was written when customers"
        " left",
        'Set convention = "open_until_cancelled".',
        last,
        past,
        "terms",
        examples,
        column="ends_at",
        clock="known_at",
    )
