"""How a snapshot gets its label: the only module that looks forward.

The example of `features/windows.py` goes on: as_of 2024-03-29, gap 0, horizon 90 days. The label
window is [2024-03-29, 2024-06-27). An account whose cover ends at 2024-03-29 00:00 has left inside
it (the end still lay ahead), one whose cover ends at 2024-06-27 00:00 has not. The label is
complete when 2024-06-27 + grace + declared delay <= data_until.

Cases, in order; the first that fits decides `label` and `label_reason`:

    not a member (notice, lapsed)                       none, the state
    window not complete                                 none, incomplete
    feed silent inside the window                       none, feed_silent
    cover had ended before as_of, learnt later          none, ended_before
    the event falls into the gap                        none, left_in_gap
    it ended, and nobody says whether by choice         none, kind_unknown (voluntary, involuntary)
    the event falls into the window                     1
    otherwise                                           0

An account that was merged into another lives on there: its cover (or activity) is its own before
the merge, and that of the account it was merged into from then on. So it leaves when that one does,
and a merge is no leaving.
"""

from features.facts import SourceFacts, as_known
from features.snapshots import PopulationRule, activity_filter
from features.sources.subscriptions import is_paid, is_running
from features.sql import literal
from features.terms import current_terms
from features.windows import OPEN_END, US_PER_DAY, is_latest
from models.targets import AMOUNT_KINDS, CAUSES, ENDS_OF_COVER, Cause, TargetRule

_PAID = is_paid("f")
# Shares of an amount are compared as whole millionths, so that a tenth of 1,000 is 100 exactly.
_MILLIONTHS = 1_000_000
_LATEST = is_latest("f")


def labels(
    target: TargetRule, source: SourceFacts, population: PopulationRule, *, merged: bool = False
) -> str:
    """SELECT of the label of every snapshot.

    Reads `snapshots` (with state), the facts of `source`, `data_until` (partition_name, until_day)
    and `silences` (partition_name, from_day, until_day: stretches on which the feed was dead).
    With `merged` also `holders` (account_id, holder_id, from_us, until_us): of every account that
    was merged, whose rows count as its own from when until when.

    Returns
    -------
    str
        SQL with columns account_id, as_of_day, label (0, 1 or null), label_reason (null where there
        is a label), label_until_day (first day on which the label was complete), event_us (when the
        event happened, in microseconds, also after the window; null: not yet).
    """
    if target.kind in ENDS_OF_COVER:
        events = _churn(target, source, _merged_terms(source) if merged else source.table)
    elif target.kind in AMOUNT_KINDS:
        events = _amount_change(target, source)
    elif target.kind == "conversion":
        events = _first_event(_PAID, "starts_at", source, is_once=True)
    elif target.kind == "event":
        events = _first_event(
            outcome_filter(target), "event_time", source, is_once=target.first_event_only
        )
    else:
        return _inactivity(
            target, population, _merged_activity(source, population) if merged else source.table
        )
    return _decide(target, events)


def outcome_filter(target: TargetRule, row: str = "f") -> str:
    """Condition that a row of an outcomes source is the target's event; `true` when all are."""
    if not target.event_names:
        return "true"
    return f"{row}.kind in ({', '.join(literal(name) for name in target.event_names)})"


def due_terms(target: TargetRule, source: SourceFacts, snapshots: str = "snapshots") -> str:
    """SELECT of account_id, as_of_day, term_days: snapshots whose term comes to its end inside the
    label window.

    For the next renewal that is every account with an end agreed. Only such rows show what accounts
    do when a term of that length ends; before that a label of 0 says no more than that the contract
    runs.
    """
    inside = (
        f"where t.end_us < (t.as_of_day + {target.gap_days + target.horizon_days}) * {US_PER_DAY}"
        if target.horizon_days is not None
        else ""
    )
    return (
        f"select t.account_id, t.as_of_day, t.term_days from ({current_terms(source, snapshots)}) t"
        f" {inside}"
    )


def labelled_terms(target: TargetRule, source: SourceFacts) -> str:
    """SELECT of the distinct `term_days` that came to their end inside a complete label window of
    training.

    Reads `snapshots` (with is_test) and `labels`.
    """
    return f"""
select distinct d.term_days from ({due_terms(target, source)}) d
join snapshots s on s.account_id = d.account_id and s.as_of_day = d.as_of_day and not s.is_test
join labels l on l.account_id = d.account_id and l.as_of_day = d.as_of_day
where l.label is not null order by 1"""


def _decide(target: TargetRule, events: str) -> str:
    """Turn (event_us, horizon_end_us, is_kind, ended_before) per snapshot into labels."""
    # A contract end lies at a known instant, so its window closes just after it.
    end = (
        f"(s.as_of_day + {target.gap_days + target.horizon_days}) * {US_PER_DAY}"
        if target.horizon_days is not None
        else "e.contract_end_us + 1"
    )
    gap_end = f"(s.as_of_day + {target.gap_days}) * {US_PER_DAY}"
    end_day = f"cast(ceil(({end}) / 8.64e10) as bigint)"
    complete = f"{end_day} + {target.grace_days} <= u.until_day"
    return f"""
select s.account_id, s.as_of_day,
  case when s.state <> 'member' or not ({complete}) or ({end}) is null or e.ended_before = 1
    then null
       when e.event_us < {gap_end} then null
       when e.event_us < {end} then e.is_kind else 0 end as label,
  case when s.state <> 'member' then s.state
       when ({end}) is null then 'no_contract_end'
       when not ({complete}) then 'incomplete'
       when e.ended_before = 1 then 'ended_before'
       when e.event_us < {gap_end} then 'left_in_gap'
       when e.event_us < {end} and e.is_kind is null then 'kind_unknown' end as label_reason,
  {end_day} + {target.grace_days} as label_until_day,
  e.event_us
from snapshots s
join data_until u on u.partition_name = s.partition_name
left join ({events}) e on e.account_id = s.account_id and e.as_of_day = s.as_of_day"""


def _merged_terms(source: SourceFacts) -> str:
    """Terms of every account, those of merged ones cut together from the accounts that held them.

    Who chose the end of a term that the merge cut off, nobody says.
    """
    begins = "case when f.starts_at < h.from_us then h.from_us else f.starts_at end"
    is_cut = "(f.ends_at is null or f.ends_at > h.until_us)"
    return f"""(
  select f.account_id, f.starts_at, f.ends_at, f.is_trial, f.is_voluntary, f.known_until_day
  from {source.table} f where f.account_id not in (select h.account_id from holders h)
  union all
  select h.account_id, {begins} as starts_at,
    case when {is_cut} and h.until_us < {OPEN_END} then h.until_us else f.ends_at end as ends_at,
    f.is_trial, case when not {is_cut} then f.is_voluntary end as is_voluntary, f.known_until_day
  from holders h join {source.table} f on f.account_id = h.holder_id
    and f.starts_at < h.until_us and (f.ends_at is null or f.ends_at > h.from_us)
)"""


def _merged_activity(source: SourceFacts, population: PopulationRule) -> str:
    """Events of every account, of merged ones those of the accounts that held them at the time."""
    needed = [name for name, _ in population.minimum] + (
        ["event_name"] if population.event_names else []
    )
    columns = ", ".join(
        f"f.{name}" for name in dict.fromkeys(["event_time_day", "known_until_day", *needed])
    )
    return f"""(
  select f.account_id, {columns} from {source.table} f
    where f.account_id not in (select h.account_id from holders h)
  union all
  select h.account_id, {columns} from holders h join {source.table} f on f.account_id = h.holder_id
    and f.event_time >= h.from_us and f.event_time < h.until_us
)"""


def _episodes(grace_days: int, terms: str) -> str:
    """Stretches of cover per account; ends closer together than the grace period are one
    stretch.
    """
    grace = grace_days * US_PER_DAY
    return f"""
select m.account_id, m.episode, min(m.starts_at) as starts_us, max(m.ends_us) as ends_us
from (
  select i.account_id, i.starts_at, i.ends_us, sum(i.is_new) over (
      partition by i.account_id order by i.starts_at, i.ends_us rows unbounded preceding) as episode
  from (
    select p.account_id, p.starts_at, p.ends_us,
      case when p.starts_at <= max(p.ends_us) over (
          partition by p.account_id order by p.starts_at, p.ends_us
          rows between unbounded preceding and 1 preceding) + {grace} then 0 else 1 end as is_new
    from (
      select f.account_id, f.starts_at, coalesce(f.ends_at, {OPEN_END}) as ends_us
      from {terms} f
      where {_PAID} and {_LATEST} and (f.ends_at is null or f.ends_at > f.starts_at)
    ) p
  ) i
) m
group by 1, 2"""


def _churn(target: TargetRule, source: SourceFacts, terms: str) -> str:
    """The end of the stretch of cover that holds the last instant before as_of.

    The contract's end is the one that was known at as_of: a term that was prolonged in place or
    broken off later had another end then.
    """
    kind = {
        "churn": "1",
        "voluntary": "min(r.is_voluntary)",
        "involuntary": "1 - min(r.is_voluntary)",
    }[target.kind]
    as_of = f"s.as_of_day * {US_PER_DAY}"
    return f"""
select s.account_id, s.as_of_day,
  max(case when e.ends_us < {OPEN_END} then e.ends_us end) as event_us,
  max(case when e.account_id is null then 1 else 0 end) as ended_before,
  max(c.contract_end_us) as contract_end_us,
  {kind} as is_kind
from snapshots s
left join ({_episodes(target.grace_days, terms)}) e
  on e.account_id = s.account_id and e.starts_us < {as_of} and e.ends_us >= {as_of}
left join (
  select f.account_id, f.ends_at, min(case when f.is_voluntary then 1 when not f.is_voluntary
    then 0 end) as is_voluntary
  from {terms} f where {_LATEST} and {_PAID} group by 1, 2
) r on r.account_id = e.account_id and r.ends_at = e.ends_us
left join (
  select f.account_id, f.as_of_day, max(f.ends_at) as contract_end_us
  from ({as_known(source)}) f where {is_running("f")}
  group by 1, 2
) c on c.account_id = s.account_id and c.as_of_day = s.as_of_day
group by 1, 2"""


def _amount_change(target: TargetRule, source: SourceFacts) -> str:
    """Whether the monthly amount at the window's end is lower (or higher) than at its start, for
    those still there, by a cause that counts.

    A change of exactly `change_share` counts.
    """
    assert target.horizon_days is not None
    start = f"(s.as_of_day + {target.gap_days}) * {US_PER_DAY}"
    end = f"(s.as_of_day + {target.gap_days + target.horizon_days}) * {US_PER_DAY}"
    counted = _counted(target, source)
    return f"""
select s.account_id, s.as_of_day,
  case when s.amount_then is null then {start} - 1
       when {_has_changed(target)} and {counted} then {end} - 1 end as event_us,
  case when s.amount_now is null then 1 else 0 end as ended_before,
  cast(null as bigint) as contract_end_us, 1 as is_kind
from ({_then_and_later(target, source)}) s"""


def change_causes(target: TargetRule, source: SourceFacts) -> str:
    """SELECT of account_id, as_of_day, cause: what the amount of each snapshot changed by inside
    the label window, whether or not the target counts it; snapshots without a change are left out.
    """
    flags = _causes(target, source)
    whens = " ".join(f"when {flags[cause]} then {literal(cause)}" for cause in CAUSES[:-1])
    return f"""
select s.account_id, s.as_of_day, case {whens} else {literal(CAUSES[-1])} end as cause
from ({_then_and_later(target, source)}) s where {_has_changed(target)}"""


def _then_and_later(target: TargetRule, source: SourceFacts) -> str:
    """One row per snapshot: what ran at its date, at the window's start (`_then`) and at its end
    (`_later`).
    """
    assert target.horizon_days is not None
    instants = {
        "now": f"s.as_of_day * {US_PER_DAY}",
        "then": f"(s.as_of_day + {target.gap_days}) * {US_PER_DAY}",
        "later": f"(s.as_of_day + {target.gap_days + target.horizon_days}) * {US_PER_DAY}",
    }
    values = {
        "amount": ("sum", "f.amount_per_month"),
        "seats": ("sum", "f.seats"),
        "plan_first": ("min", "f.plan"),
        "plan_last": ("max", "f.plan"),
        "terms": ("count", "1"),
        "discount": ("max", "f.discount_share"),
    }
    columns = [
        f"{function}(case when f.starts_at < {instant} and (f.ends_at is null or f.ends_at >="
        f" {instant}) then {value} end) as {name}_{when}"
        for name, (function, value) in values.items()
        for when, instant in instants.items()
    ]
    return f"""
select s.account_id, s.as_of_day,
  {f",{chr(10)}  ".join(columns)}
from snapshots s
left join {source.table} f on f.account_id = s.account_id and {_PAID} and {_LATEST}
group by 1, 2"""


def _has_changed(target: TargetRule) -> str:
    return _is_more(target, "amount")


def _is_more(target: TargetRule, name: str) -> str:
    """SQL: of this there is more at the end (less, of a contraction), by `change_share` or more."""
    then, later = f"s.{name}_then", f"s.{name}_later"
    change = f"{then} - {later}" if target.kind == "contraction" else f"{later} - {then}"
    share = round(target.change_share * _MILLIONTHS)
    return f"({change} > 0 and ({change}) * {_MILLIONTHS} >= {then} * {share})"


def _causes(target: TargetRule, source: SourceFacts) -> dict[Cause, str]:
    """SQL for each cause but `price`: whether it is there.

    Seats must make the change by themselves: one seat more beside a new price is a new price.
    """
    more, less = (">", "<") if target.kind == "contraction" else ("<", ">")
    flags: dict[Cause, str] = {
        "seats": _is_more(target, "seats"),
        "plan": (
            "(s.plan_first_later <> s.plan_first_then or s.plan_last_later <> s.plan_last_then)"
        ),
        "product": f"(s.terms_then {more} s.terms_later)",
        "discount": f"(coalesce(s.discount_then, 0) {less} coalesce(s.discount_later, 0))",
    }
    needs: dict[Cause, str] = {"seats": "seats", "plan": "plan", "discount": "discount_share"}
    return {
        cause: flag if needs.get(cause, "amount_per_month") in source.mapped else "false"
        for cause, flag in flags.items()
    }


def _counted(target: TargetRule, source: SourceFacts) -> str:
    """SQL: the change is by a cause that counts; without seats and plans nothing tells them
    apart.
    """
    if not target.causes or not {"seats", "plan"} & source.mapped:
        return "true"
    flags = _causes(target, source)
    others = " or ".join(f"coalesce({flag}, false)" for flag in flags.values())
    chosen = [f"coalesce({flags[cause]}, false)" for cause in target.causes if cause in flags]
    if "price" in target.causes:
        chosen.append(f"not ({others})")
    return f"({' or '.join(chosen)})"


def _first_event(condition: str, time: str, source: SourceFacts, *, is_once: bool) -> str:
    """The first matching row at or after as_of; what happens once and had happened before leaves no
    label.
    """
    as_of = f"s.as_of_day * {US_PER_DAY}"
    before = f"max(case when f.{time} < {as_of} then 1 else 0 end)" if is_once else "0"
    return f"""
select s.account_id, s.as_of_day, min(case when f.{time} >= {as_of} then f.{time} end) as event_us,
  {before} as ended_before, cast(null as bigint) as contract_end_us, 1 as is_kind
from snapshots s
join {source.table} f on f.account_id = s.account_id and {condition} and {_LATEST}
group by 1, 2"""


def _inactivity(target: TargetRule, population: PopulationRule, events: str) -> str:
    """1 where no activity falls into the window; event_us is the end of the last day of
    activity.
    """
    assert target.horizon_days is not None
    first, end = target.gap_days, target.gap_days + target.horizon_days
    complete = f"s.as_of_day + {end} <= u.until_day"
    return f"""
select s.account_id, s.as_of_day,
  case when s.state <> 'member' or not ({complete}) or max(s.is_silent) = 1 then null
       when count(case when a.event_day >= s.as_of_day + {first}
         and a.event_day < s.as_of_day + {end} then 1 end) = 0
       then 1 else 0 end as label,
  case when s.state <> 'member' then s.state
       when not ({complete}) then 'incomplete'
       when max(s.is_silent) = 1 then 'feed_silent' end as label_reason,
  s.as_of_day + {end} as label_until_day,
  (max(a.event_day) + 1) * {US_PER_DAY} as event_us
from (select n.account_id, n.as_of_day, n.partition_name, n.state,
        max(case when z.from_day is not null then 1 else 0 end) as is_silent
      from snapshots n
      left join silences z on z.partition_name = n.partition_name
        and z.until_day > n.as_of_day + {first} and z.from_day < n.as_of_day + {end}
      group by 1, 2, 3, 4) s
join data_until u on u.partition_name = s.partition_name
left join (
  select f.account_id, f.event_time_day as event_day from {events} f
  where {activity_filter(population)} and {_LATEST} group by 1, 2
) a on a.account_id = s.account_id and a.event_day < s.as_of_day + {end}
group by s.account_id, s.as_of_day, s.state, u.until_day"""
