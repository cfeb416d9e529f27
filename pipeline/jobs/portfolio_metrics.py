"""Metrics of the whole portfolio by period and segment: churn, retention, revenue, use, NPS; the
dictionary is `features.metrics`.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from features.metrics import METRICS
from features.naming import facts_table
from features.sources.subscriptions import is_paid
from features.windows import OPEN_END, US_PER_DAY, is_latest
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, literal
from pipeline.engine.facts import put_table
from pipeline.jobs.features import data_until
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

ALL = "all"
_NAMES = [metric.name for metric in METRICS]
_UNITS = {metric.name: metric.unit for metric in METRICS}


def portfolio_metrics(
    workspace: Workspace, connection: Connection, staged: Mapping[str, StagedSource], target: Target
) -> pd.DataFrame:
    """Every metric that the sources allow, for each whole calendar quarter of the data.

    Subscriptions are read as they stand now (late rows and corrections included), so the numbers
    reconcile: customers at the start - lost + new = customers at the end.

    Returns
    -------
    DataFrame
        metric, period_start, period_end (dates), segment (`all` or the account's), wording (survey
        version, else empty), value, numerator, denominator (null where there is none), unit. Value
        null: divisor zero.
    """
    by_contract = {source.contract.table: source for source in reversed(list(staged.values()))}
    terms = by_contract.get("subscriptions")
    periods = _quarters(
        connection,
        by_contract,
        max(data_until(workspace, staged, target).values()),
        target.grace_days,
    )
    if periods.empty:
        return _table([])
    put_table(connection, "periods", periods)
    _put_segments(connection, by_contract.get("accounts"))
    parts: list[pd.DataFrame] = []
    if terms is not None:
        standing = _standing(
            connection, terms, by_contract.get("usage_events"), workspace, target.grace_days
        )
        parts += [
            _of_customers(standing, group, terms, "usage_events" in by_contract)
            for group in _groups(standing)
        ]
        parts.append(_renewals(connection, terms))
        parts.append(_of_first_segments(standing))
    if "surveys" in by_contract:
        parts.append(_surveys(connection, by_contract["surveys"]))
    metrics = pd.concat(parts, ignore_index=True) if parts else _table([])
    order = metrics["metric"].map(_NAMES.index)
    return (
        metrics.assign(order=order)
        .sort_values(["period_start", "order", "segment", "wording"], ignore_index=True)
        .drop(columns="order")
    )


def _quarters(
    connection: Connection, by_contract: Mapping[str, StagedSource], until: date, grace_days: int
) -> pd.DataFrame:
    """Whole quarters from the first subscription (else answer) on, over which grace has passed."""
    source = by_contract.get("subscriptions") or by_contract.get("surveys")
    if source is None:
        return pd.DataFrame(columns=["period_start", "period_end"])
    event = {"subscriptions": "starts_at", "surveys": "answered_at"}[source.contract.table]
    first = connection.execute(
        f"select make_timestamp(min({event})) from {facts_table(source.name)}"
    ).fetchall()[0][0]
    edges = pd.date_range(
        pd.Timestamp(first).normalize(),
        pd.Timestamp(until) - pd.Timedelta(days=grace_days),
        freq="QS",
    )
    return pd.DataFrame({"period_start": edges[:-1], "period_end": edges[1:]}).astype(
        "datetime64[us]"
    )


def _put_segments(connection: Connection, accounts: StagedSource | None) -> None:
    """The segment of each account at each period's end, and its first one: null where accounts
    have no history, since today's may be another.
    """
    if accounts is None or not accounts.is_mapped("segment"):
        connection.execute(
            "create or replace temp table segments as select '' as account_id, p.period_end, "
            "'' as segment, '' as first_segment from periods p where false"
        )
        return
    age = "(coalesce(a.valid_from, 0), a.segment)"
    first = f"arg_min(a.segment, {age})" if accounts.is_mapped("valid_from") else "null::varchar"
    connection.execute(f"""
create or replace temp table segments as
select a.account_id, p.period_end, arg_max(a.segment, {age}) as segment, {first} as first_segment
from {facts_table(accounts.name)} a join periods p on coalesce(a.valid_from,
  0) < epoch_us(p.period_end)
where {is_latest("a")} and a.segment is not null group by 1, 2""")


def _standing(
    connection: Connection,
    terms: StagedSource,
    usage: StagedSource | None,
    workspace: Workspace,
    grace_days: int,
) -> pd.DataFrame:
    """One row per period and account that was a customer at its start or end: money, seats, use,
    why it left.
    """
    money, seats = (terms.unit(c) for c in ("amount_per_month", "seats"))
    # A term ends where the next one begins, if that is within grace and nothing else covers the
    # gap.
    connection.execute(f"""
create or replace temp table bridged as
with t as (select account_id, starts_at as starts, coalesce(ends_at, {OPEN_END}) as ends,
    amount_per_month, seats, is_voluntary
  from {facts_table(terms.name)} f where {is_latest("f")} and {is_paid("f")})
select t.*, coalesce((select min(n.starts) from t n where n.account_id = t.account_id
  and n.starts > t.ends
                        and n.starts <= t.ends + {grace_days} * {US_PER_DAY}
                        and not exists (select 1 from t c where c.account_id = t.account_id
                          and c.starts <= t.ends
                                          and c.ends > t.ends)), t.ends) as covered_until
from t""")
    start, end = (
        f"t.starts <= epoch_us(p.{edge}) and t.covered_until > epoch_us(p.{edge})"
        for edge in ("period_start", "period_end")
    )
    standing = connection.execute(f"""
select p.period_start, p.period_end, t.account_id, any_value(s.segment) as segment,
  any_value(s.first_segment) as first_segment,
  max(case when {start} then 1 else 0 end) as was, max(case when {end} then 1 else 0 end) as "is",
  coalesce(sum(case when {start} then t.amount_per_month end), 0) / {money}.0 as paid_before,
  coalesce(sum(case when {end} then t.amount_per_month end), 0) / {money}.0 as paid,
  coalesce(sum(case when {end} then t.seats end), 0) / {seats}.0 as seats,
  arg_max(t.is_voluntary, t.ends) filter (where t.ends <= epoch_us(p.period_end)) as is_voluntary
from periods p join bridged t on t.starts <= epoch_us(p.period_end)
  and t.covered_until > epoch_us(p.period_start)
left join segments s on s.account_id = t.account_id and s.period_end = p.period_end
group by 1, 2, 3 having was = 1 or "is" = 1 order by 1, 3""").df()
    return standing.merge(
        _users_of_product(connection, usage, workspace), on=["account_id", "period_end"], how="left"
    )


def _users_of_product(
    connection: Connection, usage: StagedSource | None, workspace: Workspace
) -> pd.DataFrame:
    """Accounts with enough active days before each period's end; active as the project
    defines it.
    """
    if usage is None:
        return pd.DataFrame(
            {
                "account_id": pd.Series(dtype="str"),
                "period_end": pd.Series(dtype="datetime64[us]"),
                "uses": pd.Series(dtype="bool"),
            }
        )
    rule = workspace.project.metrics
    names = rule.active_events or usage.settings.key_features
    counted = f"and u.event_name in ({', '.join(literal(n) for n in names)})" if names else ""
    return connection.execute(f"""
select u.account_id, p.period_end, true as uses from {facts_table(usage.name)} u
join periods p on u.event_time < epoch_us(p.period_end)
  and u.event_time >= epoch_us(p.period_end) - {rule.active_within_days} * {US_PER_DAY}
where {is_latest("u")} {counted}
group by 1, 2 having count(distinct u.event_time_day) >= {rule.active_days}""").df()


def _groups(standing: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [
        (ALL, standing),
        *((str(segment), rows) for segment, rows in standing.groupby("segment", sort=True)),
    ]


def _of_customers(
    standing: pd.DataFrame, group: tuple[str, pd.DataFrame], terms: StagedSource, has_usage: bool
) -> pd.DataFrame:
    """Metrics of one segment over all periods."""
    segment, rows = group
    mapped = {name for name, column in terms.columns.items() if column.is_mapped}
    metrics = []
    for (start, end), mine in rows.groupby(["period_start", "period_end"], sort=True):
        was, is_ = mine["was"] == 1, mine["is"] == 1
        lost, before = mine[was & ~is_], float(mine.loc[was, "paid_before"].sum())
        kept = mine.loc[was]
        values: dict[str, tuple[float, float | None]] = {
            "customers": (int(is_.sum()), None),
            "new_customers": (int((is_ & ~was).sum()), None),
            "lost_customers": (len(lost), None),
            "logo_churn_rate": (len(lost), int(was.sum())),
        }
        if "is_voluntary" in mapped:
            for name, chosen in (("voluntary_churn_rate", True), ("involuntary_churn_rate", False)):
                values[name] = (int(lost["is_voluntary"].eq(chosen).sum()), int(was.sum()))
        if "amount_per_month" in mapped:
            paid = float(mine.loc[is_, "paid"].sum())
            less = float((kept["paid_before"] - kept["paid"]).clip(lower=0).sum())
            values |= {
                "monthly_revenue": (paid, None),
                "gross_revenue_churn_rate": (less, before),
                "net_revenue_retention": (float(kept["paid"].sum()), before),
                "revenue_per_account": (paid, int(is_.sum())),
            }
            if "seats" in mapped:
                values["revenue_per_user"] = (paid, float(mine.loc[is_, "seats"].sum()))
        if has_usage:
            values["product_usage_rate"] = (
                int((mine["uses"].eq(True) & is_).sum()),
                int(is_.sum()),
            )
        metrics += [_row(name, start, end, segment, "", *parts) for name, parts in values.items()]
    return _table(metrics)


def _of_first_segments(standing: pd.DataFrame) -> pd.DataFrame:
    """Customers lost by the segment they signed up in: which kind of customer to sell to."""
    was = standing[(standing["was"] == 1) & standing["first_segment"].notna()]
    counted = pd.DataFrame(
        {
            "period_start": was["period_start"],
            "period_end": was["period_end"],
            "segment": was["first_segment"],
            "wording": "",
            "part": (was["is"] != 1).astype(int),
            "whole": 1,
        }
    )
    made = _table(_by_segment("churn_rate_by_first_segment", counted))
    return made[made["segment"] != ALL]


def _renewals(connection: Connection, terms: StagedSource) -> pd.DataFrame:
    """Ends of an account's terms in each period while nothing else ran, and those after which it
    stayed covered.

    A change of seats or price is a new row in the middle of a term: its end is no decision to
    renew.
    """
    if not terms.is_mapped("ends_at"):
        return _table([])
    ended = connection.execute("""
select p.period_start, p.period_end, s.segment, count(*) as whole, sum(t.renewed) as part
from periods p join (
  select b.account_id, b.ends, max(case when b.covered_until > b.ends or exists (
      select 1 from bridged n where n.account_id = b.account_id and n.starts = b.ends) then 1
        else 0 end) as renewed
  from bridged b where not exists (
    select 1 from bridged c where c.account_id = b.account_id and c.starts < b.ends
      and c.ends > b.ends)
  group by 1, 2) t on t.ends >= epoch_us(p.period_start) and t.ends < epoch_us(p.period_end)
left join segments s on s.account_id = t.account_id and s.period_end = p.period_end
group by 1, 2, 3 order by 1, 3""").df()
    return _table(_by_segment("renewal_rate", ended.assign(wording="")))


def _surveys(connection: Connection, surveys: StagedSource) -> pd.DataFrame:
    """NPS and CSAT by wording and segment; wordings are never pooled."""
    metrics: list[tuple[object, ...]] = []
    for name, column, kind in (("nps", "nps_points", "nps"), ("csat", "points", "csat")):
        if not surveys.is_mapped(column):
            continue
        scale = surveys.unit(column)
        answers = connection.execute(f"""
select p.period_start, p.period_end, coalesce(a.version, '') as wording, s.segment,
  sum(a.{column}) / {scale}.0 as part,
  count(a.{column}) as whole
from {facts_table(surveys.name)} a
join periods p on a.answered_at >= epoch_us(p.period_start)
  and a.answered_at < epoch_us(p.period_end)
left join segments s on s.account_id = a.account_id and s.period_end = p.period_end
where {is_latest("a")} and a.kind = '{kind}' and a.{column} is not null
group by 1, 2, 3, 4 order by 1, 3, 4""").df()
        metrics += _by_segment(name, answers)
    return _table(metrics)


def _by_segment(name: str, counted: pd.DataFrame) -> list[tuple[object, ...]]:
    """One metric per period and wording, for all and for each segment, from its `part` and
    `whole`.
    """
    keys = ["period_start", "period_end", "wording"]
    every = counted.assign(segment=ALL)
    both = pd.concat([every, counted.dropna(subset=["segment"])])
    summed = both.groupby([*keys, "segment"], sort=True)[["part", "whole"]].sum()
    return [
        _row(name, start, end, str(segment), str(wording), float(part), float(whole))
        for (start, end, wording, segment), part, whole in zip(
            summed.index, summed["part"], summed["whole"], strict=True
        )
    ]


def _row(
    name: str,
    start: object,
    end: object,
    segment: str,
    wording: str,
    numerator: float,
    denominator: float | None,
) -> tuple[object, ...]:
    value = numerator if denominator is None else numerator / denominator if denominator else np.nan
    return (
        name,
        start,
        end,
        segment,
        wording,
        value,
        numerator,
        np.nan if denominator is None else denominator,
        _UNITS[name],
    )


def _table(metrics: list[tuple[object, ...]]) -> pd.DataFrame:
    columns = [
        "metric",
        "period_start",
        "period_end",
        "segment",
        "wording",
        "value",
        "numerator",
        "denominator",
        "unit",
    ]
    return pd.DataFrame(metrics, columns=columns).astype(
        {
            "metric": "str",
            "segment": "str",
            "wording": "str",
            "unit": "str",
            "value": "float64",
            "numerator": "float64",
            "denominator": "float64",
            "period_start": "datetime64[us]",
            "period_end": "datetime64[us]",
        }
    )
