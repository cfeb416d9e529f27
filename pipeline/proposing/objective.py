"""What to predict and when to ask, read off the data: horizon, dates, test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from features.sources import CONTRACTS
from pipeline.config.toml_text import TomlTable
from pipeline.engine.duckdb import Connection, identifier, literal, row, rows
from pipeline.proposing.guess import ProposedSource, seen_column
from pipeline.proposing.names import TIME_COLUMNS_NEEDED

NICE_HORIZONS = (14, 30, 60, 90, 180)
GRACE_DAYS = 14
MOST = 0.5
WORTH_WAITING_FOR = 0.05
"""Share of terms of a length from which on its ends decide how far dates may go."""
SHORT_HISTORY_DAYS = 400
VERY_SHORT_HISTORY_DAYS = 120
FIRST_HISTORY_DAYS = 91


@dataclass(frozen=True)
class ProposedTarget:
    """One `[[targets]]` of the file to be."""

    name: str
    keys: TomlTable
    comments: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """First and last day of a source."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """Length in days."""
        return (self.last - self.first).days


def proposed_targets(
    connection: Connection, sources: Sequence[ProposedSource]
) -> tuple[list[ProposedTarget], list[str]]:
    """Targets, the surest first, and the questions they leave open."""
    subscriptions = next((s for s in sources if s.contract == "subscriptions"), None)
    outcomes = next((s for s in sources if s.contract == "outcomes"), None)
    usage = _busiest(connection, [s for s in sources if s.contract == "usage_events"])
    targets: list[ProposedTarget] = []
    questions: list[str] = []
    if subscriptions is not None and "ends_at" in subscriptions.columns:
        target, comments = _churn(connection, subscriptions, sources)
        targets.append(target)
        questions += comments
    elif subscriptions is not None and subscriptions.questions:
        # The end is there and cannot be read yet: leaving is still the end of cover.
        targets.append(_asked_churn(subscriptions, sources))
    elif subscriptions is not None:
        questions.append(
            "when subscriptions end: no column of it was recognised, so nobody can leave; map"
            " ends_at"
        )
    if outcomes is not None:
        # Who keeps a log of outcomes means that; the end of subscriptions is the second opinion.
        targets.insert(0, _event(outcomes, sources))
    if usage is not None and not targets:
        targets.append(
            _inactivity(
                connection, usage, len([s for s in sources if s.contract == "usage_events"])
            )
        )
    return targets, questions


def span(source: ProposedSource, column: str) -> Span | None:
    """First and last day of one of its time columns, over all its tables."""
    days: list[date] = []
    for index, table in enumerate(source.members):
        rule = source.part_columns[index].get(column) if source.part_columns else None
        rule = rule or source.columns.get(column)
        seen = seen_column(table, rule)
        for text in (seen.lowest, seen.highest) if seen is not None else ():
            try:
                days.append(date.fromisoformat(text[:10]))
            except ValueError:
                continue
    return Span(min(days), max(days)) if days else None


EVENT_COLUMNS = {
    name: str(CONTRACTS[name].event_time)
    for name in (*TIME_COLUMNS_NEEDED, "touchpoints", "csm_notes")
}


def data_span(sources: Sequence[ProposedSource]) -> Span | None:
    """From the first to the last dated row of all sources."""
    spans = [
        s
        for s in (
            span(each, EVENT_COLUMNS[each.contract])
            for each in sources
            if each.contract in EVENT_COLUMNS
        )
        if s
    ]
    return Span(min(s.first for s in spans), max(s.last for s in spans)) if spans else None


def _busiest(connection: Connection, usage: Sequence[ProposedSource]) -> ProposedSource | None:
    """The activity source that most accounts show in; its first table decides."""

    def accounts(source: ProposedSource) -> tuple[int, int, str]:
        raw = source.raw("account_id")
        return (raw.distinct if raw is not None else 0, source.table.rows, source.name)

    return max(usage, key=accounts, default=None)


def _churn(
    connection: Connection, source: ProposedSource, sources: Sequence[ProposedSource]
) -> tuple[ProposedTarget, list[str]]:
    is_fixed = source.settings["convention"] == "fixed_term"
    everything, ends = data_span(sources), span(source, "ends_at")
    is_young = everything is not None and everything.days < SHORT_HISTORY_DAYS
    horizon = _fitting(30 if is_young else 90, everything)
    comments = ["Leaving: no paid subscription covers the account any more."]
    questions = []
    first = None
    raw_ends = source.raw("ends_at")
    if everything is not None and raw_ends is not None and ends is not None and not is_fixed:
        late = (ends.first - everything.first).days > everything.days / 2
        if late:
            # Nobody seen to leave before: contracts that ended earlier are missing, and dates there
            # teach survival.
            first = ends.first
            horizon = min(30, horizon)
            questions.append(
                f"contracts that ended before {ends.first} are missing from {source.name} although"
                f" it starts on {everything.first}: dates are asked from then on"
            )
    watched = _watched(source, sources)
    if is_fixed:
        comments.append("A renewal that comes up to grace_days late is not leaving.")
        renewal = _next_renewal(
            source,
            watched,
            long_share(connection, source, watched, horizon),
            terms(connection, source),
            horizon,
            comments,
        )
        if renewal is not None:
            return renewal, questions
    keys: TomlTable = {
        "kind": "churn",
        "horizon_days": horizon,
        **({"grace_days": GRACE_DAYS} if is_fixed else {}),
        "population": {"kind": "customers"},
    }
    return (
        _dated(ProposedTarget(f"churn_{horizon}d", keys, tuple(comments)), watched, first),
        questions,
    )


def _asked_churn(source: ProposedSource, sources: Sequence[ProposedSource]) -> ProposedTarget:
    """Churn by ends that are not readable yet; no figure of them can be had."""
    everything = data_span(sources)
    horizon = _fitting(90, everything)
    keys = {"kind": "churn", "horizon_days": horizon, "population": {"kind": "customers"}}
    comments = ("Leaving: no paid subscription covers the account any more.",)
    return _dated(
        ProposedTarget(f"churn_{horizon}d", keys, comments), _watched(source, sources), None
    )


def _next_renewal(
    source: ProposedSource,
    watched: Span | None,
    share: "LongShare | None",
    lengths: Sequence[tuple[int, float]],
    horizon: int,
    comments: Sequence[str],
) -> ProposedTarget | None:
    """The chance of not renewing at the next contract end, where most cannot leave inside a fixed
    horizon.
    """
    if share is None or watched is None or not share.is_most:
        return None
    usual = [days for days, part in lengths if part >= WORTH_WAITING_FOR]
    first = watched.first + timedelta(days=min(FIRST_HISTORY_DAYS, watched.days // 4))
    # The last date asked leaves a term begun then the time to end: later dates would know the short
    # terms only.
    ends = [
        (days, watched.last - timedelta(days=days + GRACE_DAYS))
        for days in sorted(usual, reverse=True)
    ]
    length, last = next(
        ((d, day) for d, day in ends if (day - first).days * 3 >= watched.days), (0, first)
    )
    if not length:
        return None
    why = [
        f"{share.words}: they cannot leave inside {horizon} days.",
        (
            "So the question is whether an account renews at its next contract end. To ask about a"
            " fixed time instead:"
        ),
        f"horizon_days = {horizon}",
        f"The last date asked leaves terms of {length} days the time to end in these data.",
    ]
    if max(usual) > length:
        why.append(
            f"Terms of {max(usual)} days never do: such accounts will be published as unknown"
            " (`tenure check` counts them)."
        )
    keys = {
        "kind": "churn",
        "horizon": "next_renewal",
        "grace_days": GRACE_DAYS,
        "population": {"kind": "customers"},
    }
    target = _dated(ProposedTarget("renewal", keys, (*comments, *why)), watched, None)
    return ProposedTarget(
        target.name,
        {**target.keys, "dates": {**target.keys["dates"], "last": last}},
        target.comments,
    )


@dataclass(frozen=True)
class LongShare:
    """Share of customers, and of their monthly amount (None: not known), on terms that end after
    the horizon, 0-1.
    """

    accounts: float
    value: float | None

    @property
    def is_most(self) -> bool:
        """Whether most accounts or most value cannot leave inside the horizon."""
        return max(self.accounts, self.value or 0.0) > MOST

    @property
    def words(self) -> str:
        """The shares in words."""
        value = "" if self.value is None else f" ({self.value:.0%} of the monthly amount)"
        return (
            f"On an average date {self.accounts:.0%} of customers{value} are on terms that end"
            " later"
        )


def long_share(
    connection: Connection, source: ProposedSource, watched: Span | None, horizon: int
) -> LongShare | None:
    """Who, of the customers of every fourth week, was on a term beyond the horizon; None where the
    tables cannot tell.
    """
    times = _times(source)
    account = source.raw("account_id")
    if times is None or account is None or watched is None:
        return None
    starts, ends = times
    paid = source.raw("amount_per_month")
    is_number = paid is not None and paid.kind == "number" and not paid.has_decimal_comma
    amount = (
        f"try_cast({identifier(paid.name)} as double)"
        if paid is not None and is_number
        else "cast(null as double)"
    )
    long_, total, money, all_money = row(
        connection,
        f"""
select count(*) filter (cannot), count(*), sum(amount) filter (cannot), sum(amount) from (
  select d.day, t.a, max(t.ends) >= d.day + interval {horizon} day as cannot, sum(t.amount)
    as amount
  from (select unnest(generate_series(timestamp '{watched.first}', timestamp '{watched.last}',
    interval 28 day)) as day) d
  join (select {identifier(account.name)} as a, {starts} as starts, {ends} as ends, {amount}
    as amount
        from {source.table.relation}) t on t.starts < d.day and t.ends >= d.day group by 1, 2)""",
    )
    return (
        LongShare(long_ / total, money / all_money if all_money and money is not None else None)
        if total
        else None
    )


def terms(connection: Connection, source: ProposedSource) -> list[tuple[int, float]]:
    """Lengths of terms in days, to the week, and the share of rows of each."""
    times = _times(source)
    if times is None:
        return []
    lengths = rows(
        connection,
        f"""
select max(days), count(*) / sum(count(*)) over () from (
  select date_diff('day', {times[0]}, {times[1]}) as days from {source.table.relation})
    where days > 0
group by days // 7 order by 1""",
    )
    return [(int(days), float(part)) for days, part in lengths]


def _times(source: ProposedSource) -> tuple[str, str] | None:
    """SQL of start and end of a term; None where init cannot read them."""
    rule, starts, ends = source.columns["ends_at"], source.raw("starts_at"), source.raw("ends_at")
    if len(source.members) > 1 or starts is None or ends is None:
        return None
    begun = starts.time_sql
    if isinstance(rule, str) or ends is not starts:
        return begun, ends.time_sql
    if "plus_codes" not in rule:
        return None
    codes = " ".join(f"when {literal(v)} then {int(d)}" for v, d in rule["plus_codes"].items())
    return begun, f"{begun} + to_days(case cast({identifier(rule['plus'])} as varchar) {codes} end)"


def _watched(source: ProposedSource, sources: Sequence[ProposedSource]) -> Span | None:
    """The span in which both contracts and use are recorded: contracts are often older than the
    usage log.
    """
    contracts, everything = span(source, "starts_at"), data_span(sources)
    used = [
        s
        for s in (span(each, "event_time") for each in sources if each.contract == "usage_events")
        if s
    ]
    if contracts is None or everything is None:
        return everything
    return Span(
        max([contracts.first, *([min(s.first for s in used)] if used else [])]), everything.last
    )


def _event(source: ProposedSource, sources: Sequence[ProposedSource]) -> ProposedTarget:
    created = any(s.contract == "accounts" and "created_at" in s.columns for s in sources)
    subscribed = any(s.contract == "subscriptions" for s in sources)
    everything = data_span(sources)
    horizon = _fitting(90, everything)
    keys: TomlTable = {"kind": "event", "source": source.name, "horizon_days": horizon}
    active = [s.name for s in sources if s.contract == "usage_events"]
    if created or subscribed:
        keys["population"] = (
            {"kind": "accounts", "min_age_days": 28} if created else {"kind": "customers"}
        )
    else:
        which = {"source": active[0]} if len(active) > 1 else {}
        keys["population"] = {"kind": "active", **which, "active_within_days": horizon}
    if source.settings.get("keep"):
        keys["first_event_only"] = True
    return _dated(
        ProposedTarget(f"event_{horizon}d", keys, (f"An event logged in {source.name}.",)),
        everything,
        None,
    )


def _inactivity(connection: Connection, source: ProposedSource, count: int) -> ProposedTarget:
    gap = _usual_gap(connection, source)
    # Rows that arrive late leave the last days of a window empty for everybody.
    late = source.settings.get("delay_days", 0)
    horizon = 90 if gap is None else min(NICE_HORIZONS, key=lambda h: abs(h - 2 * gap - late))
    horizon = _fitting(horizon, span(source, "event_time"))
    population: TomlTable = {"kind": "active"}
    if count > 1:
        population["source"] = source.name
    population["active_within_days"] = horizon
    amount = source.table.column("Quantity") or next(
        (c for c in source.table.columns if c.is_negative), None
    )
    comments = [f"Leaving: active in the last {horizon} days, then nothing for {horizon}."]
    if gap is not None:
        comments.append(
            f"Accounts usually pause {gap:.0f} days between active days; the horizon is"
            f" {_about(horizon / gap)} that."
        )
    if (
        "amount" in (source.part_extra[0] if source.part_extra else source.extra) | source.extra
        and amount is not None
    ):
        population["minimum"] = {"amount": 0}
        comments.append("Cancellations and credits (amounts not above 0) do not count as activity.")
    return _dated(
        ProposedTarget(
            f"inactive_{horizon}d",
            {"kind": "inactivity", "horizon_days": horizon, "population": population},
            tuple(comments),
        ),
        span(source, "event_time"),
        None,
    )


def _about(times: float) -> str:
    """How many times a pause a horizon is, in words."""
    return "about twice" if 1.75 <= times <= 2.25 else f"{times:.1f} times"


def _fitting(horizon: int, watched: Span | None) -> int:
    """The horizon, or the longest usual one that a quarter of a short history holds: dates before
    and tests after need room.
    """
    if watched is None:
        return horizon
    return max(
        [h for h in NICE_HORIZONS if h <= min(horizon, watched.days // 4)], default=NICE_HORIZONS[0]
    )


def _usual_gap(connection: Connection, source: ProposedSource) -> float | None:
    """Median over accounts of the mean days between active days, of accounts with three or more."""
    event, account = source.raw("event_time"), source.raw("account_id")
    name = account.name if account is not None else _last_join(source)
    if event is None or name is None:
        return None
    day = f"cast({event.time_sql} as date)"
    gap = row(
        connection,
        f"""
select median(gap) from (select date_diff('day', min(d), max(d)) / (count(*) - 1) as gap from (
  select distinct {identifier(name)} as a, {day} as d from {source.table.relation}
    where {identifier(name)} is not null)
  group by a having count(*) >= 3)""",
    )[0]
    return None if gap is None else max(1.0, float(gap))


def _last_join(source: ProposedSource) -> str | None:
    rule = source.columns["account_id"]
    return rule["join"][-1] if isinstance(rule, dict) and rule.get("join") else None


def _dated(target: ProposedTarget, span_: Span | None, first: date | None) -> ProposedTarget:
    """The target with a grid of dates and a test of its last three."""
    days = span_.days if span_ is not None else SHORT_HISTORY_DAYS
    is_short = days < SHORT_HISTORY_DAYS or first is not None
    dates: TomlTable = {
        "every_days": 7 if days < VERY_SHORT_HISTORY_DAYS else 14 if is_short else 28
    }
    if span_ is not None:
        # A quarter of history before the first date, or less where there is less than a year in
        # all.
        history = min(FIRST_HISTORY_DAYS, days // 4)
        dates["first"] = first or span_.first + timedelta(days=history)
    return ProposedTarget(
        target.name,
        {**target.keys, "dates": dates, "test": {"count": 2 if first else 3}},
        target.comments,
    )
