"""What happened after each past snapshot, when and why, and what its contract said then: the rows
hazards are fitted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import NotFound
from features.facts import SourceFacts
from features.feeds import coverage
from features.snapshots import activity_filter
from features.sources.subscriptions import is_paid
from features.terms import open_terms
from features.windows import US_PER_DAY, is_latest
from models.dataset import KEY_COLUMNS
from models.hazards import Known, Outcomes
from models.methods.base import Floats
from models.term_dates import TermMonths, whole_months
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import feed_counts, put_table, source_facts
from pipeline.jobs.features import data_until
from pipeline.jobs.past_log_odds import kept_log_odds
from pipeline.jobs.prepare import training_keys
from pipeline.jobs.registry import load_version
from pipeline.staging.staged import StagedSource
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace, label_source, population_rule, population_source

CLASSES = ("voluntary", "involuntary", "unknown")
MIN_CLASS = 20
"""Distinct accounts that a reason must have before it gets hazards of its own."""
MOST_ROWS = 100_000
"""Snapshots that hazards are fitted on; above it whole accounts are left out, by a hash of their
id.
"""
BILLING_DAYS = {"monthly": 30, "quarterly": 91, "annual": 365}
BILLING_MONTHS = {30: 1, 91: 3, 365: 12}
PART_DAYS = 3
"""February is this much shorter than what `BILLING_DAYS` says of a month."""
_EPOCH = pd.Timestamp(0)


@dataclass(frozen=True, eq=False)
class History:
    """Past snapshots as hazards want them."""

    known: Known
    outcomes: Outcomes
    accounts: NDArray[np.intp]
    as_of: "pd.Series[Any]"
    causes: tuple[str, ...]


def event_history(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    day: pd.Timestamp,
) -> History:
    """Labelled snapshots before the run's date, predicted out of time, with the moment of each
    event if it was over by then.
    """
    labelled, frozen, labels = training_keys(workspace, target)
    before = (labelled["label_until"] <= day).to_numpy()
    past = labelled[_thinned(labelled["account_id"], before)].reset_index(drop=True)
    version = load_version(workspace, target, CHAMPION) or load_version(
        workspace, target, CHALLENGER
    )
    if version is None:
        raise NotFound(f"target {target.name!r} has no model. Run `tenure train` first.")
    version.bundle.model.check_signals(frozen.signals)
    log_odds = kept_log_odds(workspace, target, version.bundle, past, frozen)
    usable = ~np.isnan(log_odds)
    keys = with_cover(workspace, staged, target, past.loc[usable, list(KEY_COLUMNS)], day)
    events = events_after(workspace, connection, staged, target, keys, labels)
    start = keys["as_of"] + pd.Timedelta(days=target.gap_days)
    days = _days_between(start, events["event_at"])
    # An end of cover is known to be one only when the grace after it is over.
    grace = 0 if target.kind == "inactivity" else target.grace_days
    observed = _days_between(start, events["until"]) - grace
    days[np.isnan(days) | (days >= observed)] = np.inf
    accounts, _ = pd.factorize(keys["account_id"], sort=True)
    causes, cause = _causes(
        target, events["cause"].to_numpy(dtype=object), np.isfinite(days), accounts
    )
    known = known_rows(
        target, terms_on(workspace, connection, staged, target, keys), log_odds[usable]
    )
    return History(
        known, Outcomes(days, cause, observed), accounts.astype(np.intp), keys["as_of"], causes
    )


def _days_between(start: "pd.Series[Any]", end: "pd.Series[Any]") -> Floats:
    return np.array((end - start).dt.total_seconds() / 86_400.0, dtype=np.float64)


def _thinned(accounts: "pd.Series[Any]", keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if keep.sum() <= MOST_ROWS:
        return keep
    number = pd.util.hash_array(accounts.to_numpy(dtype=object)).astype(np.float64) / 2.0**64
    return np.asarray(keep & (number < MOST_ROWS / keep.sum()))


def with_cover(
    workspace: Workspace,
    staged: Mapping[str, StagedSource],
    target: Target,
    keys: pd.DataFrame,
    day: pd.Timestamp,
) -> pd.DataFrame:
    """Keys with `feed` and `until`, the first day that it no longer covers.

    Never after the run's date: a run in the past learns from no later event.
    """
    ends = data_until(workspace, staged, target)
    feeds = workspace.store.read(
        "snapshots", columns=["account_id", "as_of", "feed"], filters=[("target", "=", target.name)]
    )
    covered = keys[["account_id", "as_of"]].merge(feeds, on=["account_id", "as_of"], how="left")
    latest = max(ends.values())
    until = pd.to_datetime(covered["feed"].map(lambda each: ends.get(str(each), latest))).astype(
        "datetime64[us]"
    )
    return covered.assign(until=until.where(until < day, day))


def events_after(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    keys: pd.DataFrame,
    labels: pd.DataFrame,
) -> pd.DataFrame:
    """event_at (NaT: none) and cause (voluntary, involuntary, unknown) per row, in the order of the
    rows.
    """
    if target.kind == "inactivity":
        return _silences(workspace, connection, staged, target, keys)
    events = keys.merge(
        labels[["account_id", "as_of", "event_at"]], on=["account_id", "as_of"], how="left"
    )
    if not has_contracts(workspace, target):
        return events.assign(cause="unknown")
    facts = source_facts(staged[label_source(workspace, target)], {})
    if "is_voluntary" not in facts.mapped:
        return events.assign(cause="unknown")
    reasons = (
        connection.execute(f"""
select f.account_id, make_timestamp(f.ends_at) as event_at,
  case min(case when f.is_voluntary then 1 when not f.is_voluntary then 0 end) when 1
    then 'voluntary'
       when 0 then 'involuntary' end as cause
from {facts.table} f where {is_latest("f")} and f.ends_at is not null and {is_paid("f")}
group by 1, 2""")
        .df()
        .astype({"event_at": "datetime64[us]"})
    )
    events = events.astype({"event_at": "datetime64[us]"}).merge(
        reasons, on=["account_id", "event_at"], how="left"
    )
    return events.assign(cause=events["cause"].fillna("unknown"))


def _silences(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    keys: pd.DataFrame,
) -> pd.DataFrame:
    """When, counted from as_of, an account was first silent for the whole horizon.

    Half a day before the end of that stretch, so that a silence complete at the horizon lies inside
    it, as the label says.
    """
    kind, _ = population_source(workspace, target)
    facts = source_facts(staged[label_source(workspace, target)], {})
    rule = population_rule(kind, target, dict(facts.decimals))
    keys = keys.assign(
        until=_before_dead_feed(connection, staged[label_source(workspace, target)], keys)
    )
    put_table(
        connection,
        "asked",
        pd.DataFrame(
            {
                "account_id": keys["account_id"].astype("str"),
                "as_of_day": day_numbers(keys["as_of"]),
                "start_day": day_numbers(keys["as_of"]) + target.gap_days,
                "until_day": day_numbers(keys["until"]),
            }
        ),
    )
    days = connection.execute(f"""
with active as (
  select f.account_id, f.event_time_day as day from {facts.table} f
  where {activity_filter(rule)} and {is_latest("f")} group by 1, 2),
stretches as (
  select account_id, day + 1 as from_day, lead(day) over (partition by account_id order by day)
    as to_day from active)
select s.account_id, s.as_of_day, min(greatest(t.from_day, s.start_day)) + {target.horizon_days}
  as silent_day
from asked s join stretches t on t.account_id = s.account_id
  and greatest(t.from_day, s.start_day) + {target.horizon_days} <= least(coalesce(t.to_day,
    s.until_day), s.until_day)
group by 1, 2""").df()
    snapshots = pd.DataFrame(
        {"account_id": keys["account_id"], "as_of_day": day_numbers(keys["as_of"])}
    )
    silent = snapshots.merge(days, on=["account_id", "as_of_day"], how="left")["silent_day"]
    at = _EPOCH + pd.to_timedelta(silent - 0.5, unit="D")
    return keys.assign(event_at=at.to_numpy(), cause="unknown")


def _before_dead_feed(
    connection: Connection, source: StagedSource, keys: pd.DataFrame
) -> "pd.Series[Any]":
    """The end of each row's cover, or the first day after as_of on which the feed was dead: its
    silence is no account's.
    """
    until = keys["until"].copy()
    for feed, mine in feed_counts(connection, source).groupby("partition_name"):
        of_feed = keys["feed"].to_numpy() == feed
        last = int((keys["until"].max() - _EPOCH).days)
        dead = coverage(mine, last, source.settings.silent_after_days)[1]
        if len(dead) and of_feed.any():
            days = _EPOCH + pd.to_timedelta(dead, unit="D")
            place = np.searchsorted(days, keys["as_of"].to_numpy(), side="left")
            first = pd.Series(
                np.append(days.to_numpy(), np.datetime64("NaT"))[place], index=keys.index
            )
            until = until.where(~(of_feed & (first < until).to_numpy()), first)
    return until


def _causes(
    target: Target, names: NDArray[Any], happened: NDArray[np.bool_], accounts: NDArray[np.intp]
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Causes with hazards of their own, and each row's cause.

    For a target that is one of the reasons the others compete, however few. Otherwise a reason
    needs 20 accounts; where one of the two has fewer, leaving stays one thing.
    """
    counts = {name: len(np.unique(accounts[happened & (names == name)])) for name in CLASSES}
    seen = tuple(name for name in CLASSES if counts[name])
    is_split = target.kind in CLASSES or (
        target.kind == "churn" and min(counts["voluntary"], counts["involuntary"]) >= MIN_CLASS
    )
    causes = seen if is_split else ("all",)
    number = {name: causes.index(name) for name in seen} if is_split else dict.fromkeys(CLASSES, 0)
    return causes, np.array(
        [number.get(str(name), 0) if did else -1 for name, did in zip(names, happened, strict=True)]
    )


def day_numbers(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Whole days since 1970-01-01."""
    return (times - _EPOCH).dt.days.astype("int64")


def has_contracts(workspace: Workspace, target: Target) -> bool:
    return (
        target.kind in ("churn", "voluntary", "involuntary")
        and workspace.source_named("subscriptions") is not None
    )


def terms_on(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    rows: pd.DataFrame,
) -> pd.DataFrame:
    """Age, days to the contract's end and its length, as known on each row's date; rows keep their
    order.
    """
    snapshots = pd.DataFrame(
        {"account_id": rows["account_id"].astype("str"), "as_of_day": day_numbers(rows["as_of"])}
    )
    put_table(connection, "asked", snapshots)
    if has_contracts(workspace, target):
        query = _contract_terms(source_facts(staged[label_source(workspace, target)], {}))
    else:
        _, name = population_source(workspace, target)
        contract = staged[name].contract
        first = {"subscriptions": "starts_at", "accounts": "created_at"}.get(
            contract.table, str(contract.event_time)
        )
        facts = source_facts(staged[name], {})
        query = (
            f"select s.account_id, s.as_of_day, s.as_of_day - min(f.{first}_day) as age_days,"
            " cast(null as double) as renewal_days, cast(null as double) as term_days from asked s"
            f" join {facts.table} f on f.account_id = s.account_id and f.{first}_day < s.as_of_day"
            " group by 1, 2"
        )
    terms = snapshots.merge(
        connection.execute(query).df(), on=["account_id", "as_of_day"], how="left"
    )
    return terms.astype({"age_days": "float64", "renewal_days": "float64", "term_days": "float64"})


def _contract_terms(facts: SourceFacts) -> str:
    """The term that ends first of those nobody has signed beyond, and the first start that was
    known.

    Seats added in mid-term begin a row of their own that ends with the old term, so a term is taken
    to be at least as long as its billing period.
    """
    billed = " ".join(f"when '{name}' then {days}" for name, days in BILLING_DAYS.items())
    billed_days = (
        f"case r.billing_period {billed} else 0 end" if "billing_period" in facts.mapped else "0"
    )
    return f"""
select r.account_id, r.as_of_day, max(r.as_of_day - r.first_day) as age_days,
  cast(max(r.ends_at) as double) / {US_PER_DAY} - r.as_of_day as renewal_days,
  max(greatest(cast(r.ends_at - r.begins_at as double) / {US_PER_DAY}, {billed_days})) as term_days,
  cast(min(r.begins_at) as double) / {US_PER_DAY} as begin_day,
  cast(max(r.ends_at) as double) / {US_PER_DAY} as end_day,
  cast(max({billed_days}) as double) as billed_days
from (
  select t.*, min(t.ends_at) over (partition by t.account_id, t.as_of_day) as first_end
  from ({open_terms(facts, "asked")}) t) r
where r.is_covered = 1 and (r.first_end is null or r.ends_at = r.first_end)
group by 1, 2"""


def _months_of(terms: pd.DataFrame, origin_day: Floats) -> TermMonths | None:
    """The terms in months; None without contracts."""
    if "begin_day" not in terms:
        return None
    begin, end, billed = (
        terms[name].to_numpy(dtype=np.float64) for name in ("begin_day", "end_day", "billed_days")
    )
    months, month_day = whole_months(np.floor(begin), np.floor(end))
    # A row shorter than what is billed at once is part of a term that begins a bill before its end.
    is_part = (end - begin) < billed - PART_DAYS
    by_bill = pd.Series(billed).map(BILLING_MONTHS).to_numpy(dtype=np.float64)
    known_end = np.where(np.isnan(end), 0.0, np.floor(end)).astype("int64")
    day_of_end = pd.DatetimeIndex(known_end.astype("datetime64[D]")).day.to_numpy(dtype=np.float64)
    return TermMonths(
        origin_day,
        np.where(is_part, by_bill, months),
        np.where(is_part, day_of_end, month_day),
    )


def known_rows(target: Target, terms: pd.DataFrame, log_odds: Floats) -> Known:
    """Days count from the end of the gap, where the label window begins."""
    renewal = terms["renewal_days"].to_numpy(dtype=np.float64) - target.gap_days
    term = np.maximum(terms["term_days"].to_numpy(dtype=np.float64), 1.0)
    # The label window of the next renewal closes just after the contract's end.
    anchor = (
        np.full(len(terms), float(target.horizon_days))
        if target.horizon_days
        else np.floor(renewal) + 1.0
    )
    renewal = np.where(np.isnan(term), np.nan, renewal)
    origin_day = terms["as_of_day"].to_numpy(dtype=np.float64) + target.gap_days
    return Known(
        log_odds,
        np.nan_to_num(terms["age_days"].to_numpy(dtype=np.float64)),
        renewal,
        term,
        anchor,
        _months_of(terms, origin_day),
    )
