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
    the event falls into the window                     1
    otherwise                                           0
"""

from features.build import SourceFacts
from features.snapshots import PopulationRule, activity_filter
from features.windows import US_PER_DAY
from models.targets import TargetRule

# An end that never comes; far above any real time in microseconds.
OPEN_END = 9_000_000_000_000_000_000
_PAID = "(f.is_trial is null or not f.is_trial)"
# The last version of every row: what is known today.
_LATEST = "f.known_until_day is null"


def labels(target: TargetRule, source: SourceFacts, population: PopulationRule) -> str:
    """SELECT of the label of every snapshot.

    Reads `snapshots` (with state), the facts of `source`, `data_until` (partition_name, until_day)
    and `silences` (partition_name, from_day, until_day: stretches on which the feed was dead).

    Returns
    -------
    str
        SQL with columns account_id, as_of_day, label (0, 1 or null), label_reason (null where there
        is a label), label_until_day (first day on which the label was complete), event_us (when the
        event happened, in microseconds, also after the window; null: not yet).
    """
    if target.kind in ("churn", "voluntary", "involuntary"):
        events = _churn(target, source)
    elif target.kind in ("contraction", "expansion"):
        events = _amount_change(target, source)
    elif target.kind == "conversion":
        events = _first_event(f"{_PAID}", "starts_at", source)
    elif target.kind == "event":
        names = PopulationRule("active", event_names=target.event_names)
        kinds = activity_filter(names).replace("f.event_name", "f.kind")
        events = _first_event(kinds, "event_time", source)
    else:
        return _inactivity(target, source, population)
    return _decide(target, events)


def _decide(target: TargetRule, events: str) -> str:
    """Turn (event_us, horizon_end_us, is_kind, ended_before) per snapshot into labels."""
    # A contract end lies at a known instant, so its window closes just after it.
    end = ("(s.as_of_day + {}) * {}".format(target.gap_days + target.horizon_days, US_PER_DAY)
           if target.horizon_days is not None else "e.contract_end_us + 1")
    gap_end = f"(s.as_of_day + {target.gap_days}) * {US_PER_DAY}"
    end_day = f"cast(ceil(({end}) / 8.64e10) as bigint)"
    complete = f"{end_day} + {target.grace_days} <= u.until_day"
    return f"""
select s.account_id, s.as_of_day,
  case when s.state <> 'member' or not ({complete}) or ({end}) is null or e.ended_before = 1 then null
       when e.event_us < {gap_end} then null
       when e.event_us < {end} and e.is_kind = 1 then 1 else 0 end as label,
  case when s.state <> 'member' then s.state
       when ({end}) is null then 'no_contract_end'
       when not ({complete}) then 'incomplete'
       when e.ended_before = 1 then 'ended_before'
       when e.event_us < {gap_end} then 'left_in_gap' end as label_reason,
  {end_day} + {target.grace_days} as label_until_day,
  e.event_us
from snapshots s
join data_until u on u.partition_name = s.partition_name
left join ({events}) e on e.account_id = s.account_id and e.as_of_day = s.as_of_day"""


def _episodes(grace_days: int, source: SourceFacts) -> str:
    """Stretches of cover per account; ends closer together than the grace period are one stretch."""
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
      from {source.table} f
      where {_PAID} and {_LATEST} and (f.ends_at is null or f.ends_at > f.starts_at)
    ) p
  ) i
) m
group by 1, 2"""


def _churn(target: TargetRule, source: SourceFacts) -> str:
    """The end of the stretch of cover that holds the last instant before as_of."""
    kind = {
        "churn": "1",
        "voluntary": "case when {e} = 1 then 1 else 0 end",
        "involuntary": "case when {e} = 0 then 1 else 0 end",
    }[target.kind].format(e="min(r.is_voluntary)")
    as_of = f"s.as_of_day * {US_PER_DAY}"
    return f"""
select s.account_id, s.as_of_day,
  max(case when e.ends_us < {OPEN_END} then e.ends_us end) as event_us,
  max(case when e.account_id is null then 1 else 0 end) as ended_before,
  max(c.contract_end_us) as contract_end_us,
  {kind} as is_kind
from snapshots s
left join ({_episodes(target.grace_days, source)}) e
  on e.account_id = s.account_id and e.starts_us < {as_of} and e.ends_us >= {as_of}
left join (
  select f.account_id, f.ends_at, min(case when f.is_voluntary then 1 when not f.is_voluntary then 0 end) as is_voluntary
  from {source.table} f where {_LATEST} and {_PAID} group by 1, 2
) r on r.account_id = e.account_id and r.ends_at = e.ends_us
left join (
  select s.account_id, s.as_of_day, max(f.ends_at) as contract_end_us
  from snapshots s join {source.table} f on f.account_id = s.account_id and {_PAID} and {_LATEST}
    and f.starts_at < {as_of} and f.ends_at >= {as_of}
  group by 1, 2
) c on c.account_id = s.account_id and c.as_of_day = s.as_of_day
group by 1, 2"""


def _amount_change(target: TargetRule, source: SourceFacts) -> str:
    """Whether the monthly amount at the window's end is lower (or higher) than at as_of, for those still there."""
    assert target.horizon_days is not None
    as_of = f"s.as_of_day * {US_PER_DAY}"
    end = f"(s.as_of_day + {target.gap_days + target.horizon_days}) * {US_PER_DAY}"

    def amount_at(instant: str) -> str:
        return (f"sum(case when f.starts_at < {instant} and (f.ends_at is null or f.ends_at >= {instant}) "
                "then f.amount_per_month end)")

    then, later = amount_at(as_of), amount_at(end)
    changed = (f"{later} < {then} * {1 - target.change_share!r}" if target.kind == "contraction"
               else f"{later} > {then} * {1 + target.change_share!r}")
    return f"""
select s.account_id, s.as_of_day,
  case when {changed} then max({end}) - 1 end as event_us,
  case when {then} is null then 1 else 0 end as ended_before,
  cast(null as bigint) as contract_end_us, 1 as is_kind
from snapshots s
left join {source.table} f on f.account_id = s.account_id and {_PAID} and {_LATEST}
group by 1, 2"""


def _first_event(condition: str, time: str, source: SourceFacts) -> str:
    """The first matching row at or after as_of."""
    return f"""
select s.account_id, s.as_of_day, min(f.{time}) as event_us, 0 as ended_before,
  cast(null as bigint) as contract_end_us, 1 as is_kind
from snapshots s
join {source.table} f on f.account_id = s.account_id and {condition} and {_LATEST}
  and f.{time} >= s.as_of_day * {US_PER_DAY}
group by 1, 2"""


def _inactivity(target: TargetRule, source: SourceFacts, population: PopulationRule) -> str:
    """1 where no activity falls into the window; event_us is the end of the last day of activity."""
    assert target.horizon_days is not None
    first, end = target.gap_days, target.gap_days + target.horizon_days
    complete = f"s.as_of_day + {end} <= u.until_day"
    silent = f"""exists (select 1 from silences z where z.partition_name = s.partition_name
    and z.until_day > s.as_of_day + {first} and z.from_day < s.as_of_day + {end})"""
    return f"""
select s.account_id, s.as_of_day,
  case when s.state <> 'member' or not ({complete}) or max(s.is_silent) = 1 then null
       when count(case when a.event_day >= s.as_of_day + {first} and a.event_day < s.as_of_day + {end} then 1 end) = 0
       then 1 else 0 end as label,
  case when s.state <> 'member' then s.state
       when not ({complete}) then 'incomplete'
       when max(s.is_silent) = 1 then 'feed_silent' end as label_reason,
  s.as_of_day + {end} as label_until_day,
  (max(a.event_day) + 1) * {US_PER_DAY} as event_us
from (select s.account_id, s.as_of_day, s.partition_name, s.state,
        case when {silent} then 1 else 0 end as is_silent from snapshots s) s
join data_until u on u.partition_name = s.partition_name
left join (
  select f.account_id, f.event_time_day as event_day from {source.table} f
  where {activity_filter(population)} and {_LATEST} group by 1, 2
) a on a.account_id = s.account_id and a.event_day < s.as_of_day + {end}
group by s.account_id, s.as_of_day, s.state, u.until_day"""
