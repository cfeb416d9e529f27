"""Why an account is red, from a short list: which reasons there are, and when one may be claimed.

Which reason a measure stands for is declared by its card.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from features.definition import ReasonCode, Signal
from models.drivers.words import has_past


@dataclass(frozen=True)
class ReasonKind:
    """One reason of the list: its words, and the first thing to do about it."""

    words: str
    advice: str


REASONS: dict[str, ReasonKind] = {
    "low_use": ReasonKind(
        "low use", "Ask what changed, and offer a session on the features they use least."
    ),
    "losing_users": ReasonKind(
        "losing users",
        "Find out who stopped using it and why, and offer to train new people.",
    ),
    "bug_trouble": ReasonKind(
        "bug trouble", "Give each open ticket an owner and a date, and tell the customer both."
    ),
    "slow_support": ReasonKind(
        "slow support", "Answer the waiting tickets today, and agree a reply time with them."
    ),
    "unhappy": ReasonKind(
        "unhappy", "Call the person who gave the low rating, and ask for the one thing to change."
    ),
    "poor_fit": ReasonKind(
        "poor fit",
        "Ask what they bought it for, show the features that do it, and date each missed goal.",
    ),
    "slow_start": ReasonKind(
        "slow start", "Plan the missing onboarding steps with them, with a date for each."
    ),
    "sponsor_lost": ReasonKind(
        "sponsor lost", "Find out who took over, and introduce yourself before the next renewal."
    ),
    "low_engagement": ReasonKind(
        "low engagement", "Propose a meeting about something they care about."
    ),
    "payment": ReasonKind("payment trouble", "Agree a payment plan with their finance team."),
    "price": ReasonKind("price", "Show what they get for the new price, or offer a smaller plan."),
    "spends_less": ReasonKind(
        "spends less", "Ask what they are buying less of, and whether the plan still fits."
    ),
    "renewal_near": ReasonKind(
        "renewal near",
        "Start the renewal conversation now: find out who decides and what they need.",
    ),
    "renewal_off": ReasonKind(
        "auto-renewal off",
        "Ask whether they mean to renew, and what would settle it, before the contract ends.",
    ),
    "notice": ReasonKind(
        "notice given", "Ask what would make them stay, and win them back or learn why not."
    ),
}
"""Code -> the reason."""

UNALTERABLE = ("standing", "calendar")
"""Natures of signals that nobody can do anything about: who the account is, when its contract
ends. They move the score, and are no reason to call.
"""
NOT_EXPLAINED = "not explained"
LEAST_FALL = 0.2
"""Share of its value before by which a signal must be worse for a fall to be told."""
LEAST_POINTS = 1.0
"""A reason is named from one point below 0, summed over its drivers."""


def reason_of(
    signal: Signal, value: float | None, before: float | None = None, reference: float | None = None
) -> ReasonCode:
    """Code of the reason that a driver below 0 stands for; empty where its value does not bear it
    out.

    A reason has a direction, and so must the value: worse than among accounts that stayed, or worse
    than before by more than a fifth. "Low use" is not said of an account that uses it more than
    others and has not fallen, whatever its points are. Ages and other lengths of time grow by
    themselves, so they are compared with others only.
    """
    now, past, others = _known(value), _known(before), _known(reference)
    if not signal.reason:
        return ""
    if signal.reason_until is not None:
        return signal.reason if now is not None and 0 <= now <= signal.reason_until else ""
    worse = signal.bad_direction
    if now is None:
        # Never happened, or not in the years we know: that is the longest silence of all.
        return signal.reason if worse == "up" and signal.missing else ""
    sign = {"up": 1.0, "down": -1.0, None: 0.0}[worse]
    is_worse = others is not None and sign * (now - others) > 0
    # A little less than before is noise where others do no better.
    least = LEAST_FALL * abs(past) if past is not None else 0.0
    has_fallen = past is not None and has_past(signal) and sign * (now - past) > least
    return signal.reason if is_worse or has_fallen else ""


def account_reasons(drivers: pd.DataFrame, least: float = LEAST_POINTS) -> pd.DataFrame:
    """Reasons per account, the heaviest first: account_id, reason, points (below 0), drivers.

    Parameters
    ----------
    drivers
        account_id, points and `reason` (null: none) of every driver.
    least
        Points below 0 from which a reason is named. An account without a row is not explained.
    """
    against = drivers[(drivers["points"] < 0) & drivers["reason"].notna()]
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


def _known(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
