"""Why an account is red, from a short list: which reason each measure stands for, and when it may
be claimed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from features.definition import Direction, Signal


@dataclass(frozen=True)
class ReasonKind:
    """One reason of the list: its words, and the first thing to do about it."""

    words: str
    advice: str


REASONS = {
    "low_use": ReasonKind(
        "low use", "Ask what stopped, and offer a session on the part they use least."
    ),
    "losing_users": ReasonKind(
        "losing users",
        "Find out who stopped using it and why; offer to train those who came after.",
    ),
    "bug_trouble": ReasonKind(
        "bug trouble", "Give the open tickets an owner and a date, and tell the account both."
    ),
    "slow_support": ReasonKind("slow support", "Answer what waits, and agree on a reply time."),
    "unhappy": ReasonKind(
        "unhappy", "Call whoever gave the low rating, and ask for the one thing to change."
    ),
    "poor_fit": ReasonKind(
        "poor fit",
        "Ask what they bought it for; show the features that do it, date the goals missed.",
    ),
    "slow_start": ReasonKind(
        "slow start", "Plan the missing onboarding steps with a date for each."
    ),
    "sponsor_lost": ReasonKind(
        "sponsor lost", "Find out who took over, and introduce yourself before the next renewal."
    ),
    "low_engagement": ReasonKind(
        "low engagement", "Propose a meeting with a reason of theirs, not of yours."
    ),
    "payment": ReasonKind(
        "payment trouble", "Let finance and the account agree on how and when it is paid."
    ),
    "price": ReasonKind("price", "Show what they get for the new price, or offer a smaller plan."),
    "spends_less": ReasonKind(
        "spends less", "Ask what they buy less of, and whether the plan still fits."
    ),
    "renewal_near": ReasonKind(
        "renewal near", "Open the renewal conversation now; know who decides and what they need."
    ),
    "notice": ReasonKind("notice given", "Ask what would have kept them; win back or learn."),
}
"""Code -> the reason."""

NOT_EXPLAINED = "not explained"
LEAST_POINTS = 1.0
"""A reason is named from one point below 0, summed over its drivers."""
RENEWAL_NEAR_DAYS = 120
"""A renewal is near within a quarter and a month."""

# Dimension, driver, reason, and the worse direction where the card has none; the first line that
# fits holds. An empty reason: the measure describes an account and is nothing to act on.
_TABLE: tuple[tuple[str, str, str, Direction | None], ...] = (
    # What a kind of event is called says more than where it was counted.
    ("engagement", "days_since_price*", "price", "down"),
    ("engagement", "*price*", "price", "up"),
    ("usage", "days_since_*error*", "bug_trouble", "down"),
    ("usage", "*error*", "bug_trouble", "up"),
    ("usage", "active_users*", "losing_users", "down"),
    ("usage", "*seats*", "losing_users", "down"),
    ("usage", "*users*", "losing_users", None),
    ("usage", "top_user_share", "losing_users", "up"),
    # Frequency is use; breadth and depth are whether it does for them what they bought it for.
    ("usage", "key_features*", "poor_fit", "down"),
    ("usage", "kinds_used", "poor_fit", "down"),
    ("usage", "*_mean", "poor_fit", "down"),
    ("usage", "days_since_first*", "", None),
    ("usage", "days_since*", "low_use", "up"),
    ("usage", "*", "low_use", "down"),
    ("engagement", "days_since*", "low_engagement", "up"),
    ("engagement", "*sent*", "", None),
    ("engagement", "*", "low_engagement", "down"),
    ("outcomes", "*", "poor_fit", None),
    ("adoption", "*", "slow_start", None),
    ("relationship", "*_new_91d", "", None),
    ("relationship", "champion*", "sponsor_lost", None),
    ("relationship", "sponsor*", "sponsor_lost", None),
    ("relationship", "contacts_present", "sponsor_lost", None),
    ("relationship", "days_since_survey", "low_engagement", "up"),
    ("relationship", "survey_answers", "low_engagement", "down"),
    ("relationship", "*", "unhappy", None),
    ("support", "*rating*", "unhappy", None),
    ("support", "*tone*", "unhappy", None),
    ("support", "reply_time*", "slow_support", "up"),
    ("support", "resolve_time*", "slow_support", "up"),
    ("support", "tickets_unanswered", "slow_support", "up"),
    # Not writing any more is silence, not trouble with bugs.
    ("support", "days_since_ticket", "low_engagement", "up"),
    ("support", "ticket_silence", "low_engagement", "up"),
    ("support", "*", "bug_trouble", "up"),
    ("financial", "invoiced*", "spends_less", "down"),
    ("financial", "overage*", "price", "up"),
    ("financial", "days_since_failed_payment", "payment", "down"),
    ("financial", "*", "payment", "up"),
    ("contract", "renewal_calendar", "renewal_near", None),
    ("contract", "renews_itself", "renewal_near", "down"),
    ("contract", "terms_with_notice", "notice", "up"),
    ("contract", "paid_change*", "price", "up"),
    ("contract", "price_per_seat*", "price", "up"),
    ("contract", "discount_change*", "price", "down"),
    ("contract", "seats_change*", "losing_users", "down"),
)


def reason_of(
    signal: Signal, value: float | None, before: float | None = None, reference: float | None = None
) -> str:
    """Code of the reason that a driver below 0 stands for; empty where its value does not bear it
    out.

    A reason has a direction, and so must the value: worse than among accounts that stayed, or worse
    than before. "Low use" is not said of an account that uses it more than others, whatever its
    points are.
    """
    reason, worse = _rule(signal)
    now, past, others = _known(value), _known(before), _known(reference)
    if not reason:
        return ""
    if signal.driver == "renewal_calendar":
        return reason if _renewal_is_near(signal, now, others) else ""
    if now is None:
        # Never happened, or not in the years we know: that is the longest silence of all.
        return reason if worse == "up" and signal.column.startswith("days_since") else ""
    sign = {"up": 1.0, "down": -1.0, None: 0.0}[worse]
    return (
        reason
        if any(then is not None and sign * (now - then) > 0 for then in (others, past))
        else ""
    )


def account_reasons(drivers: pd.DataFrame, least: float = LEAST_POINTS) -> pd.DataFrame:
    """Reasons per account, the heaviest first: account_id, reason, points (below 0), drivers.

    Parameters
    ----------
    drivers
        account_id, points and `reason` (empty: none) of every driver.
    least
        Points below 0 from which a reason is named. An account without a row is not explained.
    """
    against = drivers[(drivers["points"] < 0) & (drivers["reason"] != "")]
    grouped = against.groupby(["account_id", "reason"], sort=True)["points"]
    table = pd.DataFrame({"points": grouped.sum(), "drivers": grouped.size()}).reset_index()
    table = table[table["points"] <= -least]
    order = (
        table.assign(size=table["points"].round(9))
        .sort_values(["account_id", "size", "reason"], kind="stable")
        .index
    )
    return table.loc[order].reset_index(drop=True)


def reasons_in_words(reasons: Sequence[str], most: int = 3) -> str:
    """`low use, sponsor lost`; `not explained` without any."""
    return ", ".join(REASONS[reason].words for reason in list(reasons)[:most]) or NOT_EXPLAINED


def _rule(signal: Signal) -> tuple[str, Direction | None]:
    """Reason and worse direction of a signal; the card's own direction comes before the table's."""
    for dimension, pattern, reason, worse in _TABLE:
        if dimension == signal.dimension and fnmatchcase(signal.driver, pattern):
            return reason, signal.worse or worse
    return "", None


def _renewal_is_near(signal: Signal, now: float | None, others: float | None) -> bool:
    if now is None:
        return False
    if signal.column.startswith("days_to_renewal"):
        return 0 <= now <= RENEWAL_NEAR_DAYS
    return signal.column.startswith("days_in_term") and others is not None and now > others


def _known(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
