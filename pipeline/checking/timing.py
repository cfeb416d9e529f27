"""Questions of order: things dated before sign-up, before their subscription, after the end of
cover.
"""

from collections.abc import Iterator

from features.windows import US_PER_DAY
from pipeline.checking.evidence import LATEST, SIGNS_OF_LIFE, Evidence, is_mapped, view
from pipeline.checking.report import Finding, Severity
from pipeline.staging.staged import StagedSource

# Under this share a few trials, test users or sales meetings explain it.
LATE_WARNING = 0.02
# People look in after their plan ends where a product has a free part.
AFTER_END_WARNING = 0.2
SPOKEN = {
    "usage_events": "usage rows",
    "invoices": "invoices",
    "support_tickets": "tickets",
    "surveys": "survey answers",
    "touchpoints": "contacts",
}


def timing_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about the order of things."""
    subscriptions = evidence.first("subscriptions")
    for source in evidence.of(*SIGNS_OF_LIFE):
        if is_mapped(evidence.first("accounts"), "created_at"):
            yield from _before_sign_up(evidence, source)
        if subscriptions is None:
            continue
        if "subscription_id" in source.columns and is_mapped(subscriptions, "subscription_id"):
            yield from _outside_own_subscription(evidence, source, subscriptions)
        elif source.contract.table == "usage_events":
            yield from _outside_cover(evidence, source, subscriptions)


def _severity(count: int, total: int, warning: float = LATE_WARNING) -> Severity:
    return "warn" if count > warning * total else "info"


def _before_sign_up(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    day = f"f.{source.contract.event_time}_day"
    joined = (
        f"(select f.account_id, {day} < a.created_day as is_early from {view(source)} f "
        f"join check_accounts a using (account_id) where {LATEST} and a.created_day is not null)"
    )
    count, total, examples = evidence.count(joined, "is_early")
    if count:
        words = SPOKEN[source.contract.table]
        yield Finding(
            "before-sign-up",
            _severity(count, total),
            source.name,
            f"{words} are dated before their account's created_at",
            "Ask whether created_at was rewritten (a migration, a merge) or the rows' dates are"
            " wrong; signals of the first weeks cannot be trusted until then.",
            count,
            total,
            words,
            examples,
        )


def _outside_own_subscription(
    evidence: Evidence, source: StagedSource, subscriptions: StagedSource
) -> Iterator[Finding]:
    day = f"f.{source.contract.event_time}_day"
    words = SPOKEN[source.contract.table]
    joined = f"""(select f.subscription_id as id, {day} < s.first_day as is_early,
      {day} > s.last_day as is_late
from {view(source)} f join (
  select f.subscription_id, min(f.starts_at_day) as first_day,
    case when count(f.ends_at) = count(*) then max(f.ends_at_day) end as last_day
  from {view(subscriptions)} f where {LATEST} group by 1) s
  on s.subscription_id = f.subscription_id where {LATEST})"""
    count, total, examples = evidence.count(joined, "is_early", "id")
    if count:
        yield Finding(
            "before-own-subscription",
            _severity(count, total),
            source.name,
            f"{words} are dated before the start of the subscription they name",
            "Compare a few with the billing system: either the ids are joined wrongly or start"
            " dates were overwritten at a renewal (then keep one row per term).",
            count,
            total,
            words,
            examples,
        )
    late, total, examples = evidence.count(joined, "is_late", "id")
    if late:
        yield Finding(
            "after-own-subscription",
            _severity(late, total),
            source.name,
            f"{words} are dated after the end of the subscription they name",
            "Ask when access is really taken away; cover may last longer than ends_at says.",
            late,
            total,
            words,
            examples,
        )


def _outside_cover(
    evidence: Evidence, source: StagedSource, subscriptions: StagedSource
) -> Iterator[Finding]:
    """Account by account: rows before the first and after the last day of any subscription."""
    time = f"f.{source.contract.event_time}"
    joined = f"""(select f.account_id, {time} < s.first_us as is_early, {time}_day > s.last_day
      as is_late
from {view(source)} f join (
  select f.account_id, min(f.starts_at_day) * {US_PER_DAY} as first_us,
    case when count(f.ends_at) = count(*) then max(f.ends_at_day) end as last_day
  from {view(subscriptions)} f where {LATEST} group by 1) s using (account_id) where {LATEST})"""
    early, total, examples = evidence.count(joined, "is_early")
    if early:
        yield Finding(
            "before-first-subscription",
            "info",
            source.name,
            "usage rows are dated before their account's first subscription",
            "Normal where there is a free part or a trial that is not listed; else ask for the"
            " missing terms.",
            early,
            total,
            "usage rows",
            examples,
        )
    late, total, examples = evidence.count(joined, "is_late")
    if late:
        yield Finding(
            "after-end-of-cover",
            _severity(late, total, AFTER_END_WARNING),
            source.name,
            "usage rows are dated after their account's last subscription ended",
            "Normal where there is a free part; else renewals are missing from the subscriptions,"
            " and their customers would count as leavers.",
            late,
            total,
            "usage rows",
            examples,
        )
