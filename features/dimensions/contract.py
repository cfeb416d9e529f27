"""Contract: term, renewal, price and seats; facts of the calendar, not trouble in themselves."""

from features.definition import RatioCard, StateCard
from features.sources.subscriptions import is_paid, is_running
from features.windows import covers, days_since, days_until, ended_within, happened

RENEWAL_NEAR_DAYS = 120
"""A renewal is near within a quarter and a month."""

_PAID = is_paid("t")
_NOW = is_running("t")


def _then(days: int) -> str:
    """A paid term that covered the instant `days` before as_of, as it is known now."""
    begun = f"{happened('t', 'starts_at')} and not ({happened('t', 'starts_at', within_days=days)})"
    return (
        f"{_PAID} and {begun} and ({covers('t', 'starts_at', 'ends_at')} or"
        f" ({ended_within('t', 'ends_at', days)}))"
    )


def _change(column: str, days: int) -> str:
    """(now - then) / (now + then) of a sum over running terms; null where none ran then or now."""
    now, then = (f"sum(case when {when} then t.{column} end)" for when in (_NOW, _then(days)))
    return f"({now} - {then}) * 1e0 / nullif(abs({now}) + abs({then}), 0)"


# With open-ended subscriptions the end is blank until it happens, so these are then null.
STATES = (
    StateCard(
        "days_to_renewal",
        "contract",
        "subscriptions",
        f"min(case when {_NOW} then {days_until('t', 'ends_at')} end)",
        None,
        "days",
        None,
        "{value} days to renewal",
        "days to the nearest known end of a running term",
        needs=("ends_at",),
        driver="renewal_calendar",
        nature="calendar",
        reason="renewal_near",
        reason_until=RENEWAL_NEAR_DAYS,
    ),
    StateCard(
        "term_days",
        "contract",
        "subscriptions",
        f"max(case when {_NOW} then t.ends_at_day - t.starts_at_day end)",
        None,
        "days",
        None,
        "on a term of {value} days",
        "length of the longest running term",
        needs=("ends_at",),
        nature="standing",
    ),
    StateCard(
        "days_in_term",
        "contract",
        "subscriptions",
        f"min(case when {_NOW} then {days_since('t', 'starts_at')} end)",
        None,
        "days",
        None,
        "{value} days into the term",
        "days since the newest running term began",
        driver="renewal_calendar",
        nature="calendar",
        reason="renewal_near",
        reason_worse="up",
    ),
    StateCard(
        "days_as_customer",
        "contract",
        "subscriptions",
        f"max(case when {_PAID} and {happened('t', 'starts_at')} then"
        f" {days_since('t', 'starts_at')} end)",
        None,
        "days",
        None,
        "customer for {value} days",
        "days since the first paid term began",
        nature="clock",
    ),
    StateCard(
        "terms_so_far",
        "contract",
        "subscriptions",
        f"count(case when {_PAID} and {happened('t', 'starts_at')} then 1 end)",
        0,
        "terms",
        None,
        "{value} terms so far",
        "paid terms begun so far",
    ),
    StateCard(
        "terms_running",
        "contract",
        "subscriptions",
        f"count(case when {_NOW} then 1 end)",
        0,
        "terms",
        None,
        "{value} subscriptions running",
        "paid terms running now",
    ),
    StateCard(
        "paid_per_month",
        "contract",
        "subscriptions",
        f"sum(case when {_NOW} then t.amount_per_month end)",
        None,
        "money",
        None,
        "pays {value} per month",
        "sum of monthly amounts of running terms",
        needs=("amount_per_month",),
        scale_of="amount_per_month",
    ),
    StateCard(
        "seats_paid",
        "contract",
        "subscriptions",
        f"sum(case when {_NOW} then t.seats end)",
        None,
        "seats",
        None,
        "{value} seats paid for",
        "seats of running terms",
        needs=("seats",),
        scale_of="seats",
    ),
    StateCard(
        "renews_itself",
        "contract",
        "subscriptions",
        f"max(case when {_NOW} then case when t.auto_renew then 1 else 0 end end)",
        None,
        "yes",
        "down",
        "renews by itself: {value}",
        "1 when a running term renews by itself",
        needs=("auto_renew",),
        reason="renewal_near",
    ),
    StateCard(
        "discount",
        "contract",
        "subscriptions",
        f"max(case when {_NOW} then t.discount_share end)",
        None,
        "share",
        None,
        "discount of {value}",
        "largest discount of a running term",
        needs=("discount_share",),
        scale_of="discount_share",
    ),
    StateCard(
        "terms_ended_91d",
        "contract",
        "subscriptions",
        f"count(case when {_PAID} and {ended_within('t', 'ends_at', 91)} then 1 end)",
        0,
        "terms",
        None,
        "{value} terms ended in the last 91 days",
        "paid terms that ended in 91 days",
        needs=("ends_at",),
    ),
    StateCard(
        "days_since_trial",
        "contract",
        "subscriptions",
        f"min(case when t.is_trial and {happened('t', 'starts_at')} then"
        f" {days_since('t', 'starts_at')} end)",
        None,
        "days",
        None,
        "trial began {value} days ago",
        "days since the newest trial began",
        needs=("is_trial",),
        missing="No trial on record",
        nature="clock",
    ),
    StateCard(
        "paid_change_182d",
        "contract",
        "subscriptions",
        _change("amount_per_month", 182),
        None,
        "change",
        None,
        "pays {value} per month against half a year ago",
        "monthly amounts of running terms against 182 days ago",
        needs=("amount_per_month",),
        reason="price",
        reason_worse="up",
    ),
    StateCard(
        "seats_change_182d",
        "contract",
        "subscriptions",
        _change("seats", 182),
        None,
        "change",
        "down",
        "seats {value} against half a year ago",
        "seats of running terms against 182 days ago",
        needs=("seats",),
        reason="losing_users",
    ),
    StateCard(
        "plans_364d",
        "contract",
        "subscriptions",
        f"count(distinct case when ({_NOW}) or ({_then(364)}) or ({_PAID} and "
        f"{happened('t', 'starts_at', within_days=364)}) then t.plan end)",
        None,
        "plans",
        None,
        "{value} plans held in a year",
        "different plans of the terms that ran in 364 days: 1 where none was changed",
        needs=("plan",),
    ),
    StateCard(
        "terms_with_notice",
        "contract",
        "subscriptions",
        f"count(case when {_NOW} and t.notice_at is not null then 1 end)",
        0,
        "terms",
        "up",
        "notice given on {value} subscriptions",
        "running terms on which notice was given",
        needs=("notice_at",),
        reason="notice",
    ),
    StateCard(
        "discount_change_364d",
        "contract",
        "subscriptions",
        f"max(case when {_NOW} then t.discount_share end) - max(case when {_then(364)} then"
        " t.discount_share end)",
        None,
        "share",
        None,
        "discount {value} against a year ago",
        "largest discount now minus that of 364 days ago",
        needs=("discount_share",),
        scale_of="discount_share",
        reason="price",
        reason_worse="down",
    ),
)

RATIOS = (
    RatioCard(
        "price_per_seat",
        "contract",
        "paid_per_month",
        "seats_paid",
        unit="money",
        worse=None,
        phrase="pays {value} per seat and month",
        meaning="monthly amount over seats of running terms",
        reason="price",
        reason_worse="up",
    ),
)
