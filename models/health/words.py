"""What the scale means, in words: per ten points what is promised and seen, and where an account
stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from models.health.promises import (
    Promise,
    bands_of_range,
    points_to_edges,
    promise_of,
    scale_sentence,
)
from models.health.scale import BANDS_IN_WORDS, GOOD_EVENT_BANDS, HEALTH_BANDS, Scale
from models.methods.base import logit

NO_TEST = "No test shows yet what such a score means. Run `tenure evaluate`."
AT_DECISION = "when their contract comes up"
"""When accounts leave, where health is read at the decision."""
TOO_LITTLE = "too little data to tell"
"""The range of a score reaches every band."""
MOSTLY = 2 / 3
"""Share of a move, in log-odds, from which one of two causes is named alone."""


def horizon_words(horizon_days: Any) -> str:
    """`within 90 days`, or `by the next renewal` where the horizon is the contract's end."""
    return (
        "by the next renewal"
        if horizon_days is None or pd.isna(horizon_days)
        else f"within {int(horizon_days)} {'day' if int(horizon_days) == 1 else 'days'}"
    )


def health_horizon_words(horizon_days: Any, *, at_decision: bool) -> str:
    """When accounts leave, as health promises it: at the decision, or inside the horizon."""
    return AT_DECISION if at_decision else horizon_words(horizon_days)


def timing_words(as_of: date, decides_on: date | None, horizon_days: Any) -> str:
    """When the contract decides; empty where no end is known or it has passed.

    Examples
    --------
    >>> timing_words(date(2025, 6, 1), date(2025, 11, 14), 90)
    'cannot leave before 14 Nov 2025, when the contract ends'
    >>> timing_words(date(2025, 6, 1), date(2025, 6, 8), 90)
    'the contract ends on 8 Jun 2025, in 7 days'
    """
    if decides_on is None or pd.isna(decides_on):
        return ""
    days = (pd.Timestamp(decides_on) - pd.Timestamp(as_of)).days
    if days < 0:
        return ""
    named = f"{decides_on.day} {decides_on:%b %Y}"
    if is_decided_later(as_of, decides_on, horizon_days):
        return f"cannot leave before {named}, when the contract ends"
    when = {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")
    return f"the contract ends on {named}, {when}"


def chance_moved_words(before: float, after: float, by_timing: float) -> str:
    """Whether the date or the relationship moved a chance within the horizon, or both.

    Parameters
    ----------
    before, after
        Probabilities, inside 0 and 1.
    by_timing
        What the calendar added or took between them, in log-odds; the relationship did the rest.

    Examples
    --------
    >>> chance_moved_words(0.01, 0.09, 2.1)
    "1% before, 9% now: mostly because of the contract's date"
    >>> chance_moved_words(0.01, 0.09, 1.2)
    "1% before, 9% now: the contract's date raises it, and the relationship is weaker"
    >>> chance_moved_words(0.05, 0.05, 0.0)
    '5% before, 5% now'
    """
    words = f"{before:.0%} before, {after:.0%} now"
    by_relationship = float(logit(after) - logit(before)) - by_timing
    if f"{before:.0%}" == f"{after:.0%}":
        return words
    relation = f"the relationship is {'weaker' if by_relationship > 0 else 'stronger'}"
    share = abs(by_timing) / (abs(by_timing) + abs(by_relationship))
    if share >= MOSTLY:
        return f"{words}: mostly because of the contract's date"
    if share <= 1 - MOSTLY:
        return f"{words}: mostly because {relation}"
    raises = f"the contract's date {'raises' if by_timing > 0 else 'lowers'} it"
    and_or_but = "and" if (by_timing > 0) == (by_relationship > 0) else "but"
    return f"{words}: {raises}, {and_or_but} {relation}"


def is_decided_later(as_of: date, decides_on: date | None, horizon_days: Any) -> bool:
    """Whether the contract ends only after the horizon, so that the chance within it says
    nothing.
    """
    if decides_on is None or pd.isna(decides_on) or horizon_days is None or pd.isna(horizon_days):
        return False
    return (pd.Timestamp(decides_on) - pd.Timestamp(as_of)).days > int(horizon_days)


def base_words(base_displayed: int) -> str:
    """Where every account's points start, in words."""
    return f"your typical account starts at {base_displayed}"


def anchor_words(scale: Scale, gerund: str = "the event") -> str:
    """What the last scores of the first two bands mean, as chances.

    Examples
    --------
    >>> from models.health.scale import scale_from_anchors
    >>> anchor_words(scale_from_anchors(0.098, 0.008), "leaving")
    'a score of 40 means a chance of about 9.8% of leaving; 70 means 0.8%'
    """
    return (
        f"a score of {scale.at_risk_until} means a chance of about {scale.p_at_risk:.1%} of"
        f" {gerund}; {scale.stable_until} means {scale.p_healthy:.1%}"
    )


def sentence_of(health: int, ranges: Sequence[Promise], within: str, event: str) -> str:
    """The sentence that stands beside a displayed score; says so where there was no test.

    `within` says when accounts leave (`health_horizon_words`).
    """
    promise = promise_of(health, ranges)
    return NO_TEST if promise is None else scale_sentence(promise, within, event=event)


def band_names(bands: Iterable[str]) -> tuple[str, str, str]:
    """The bands of a target, lowest scores first, told by any band it published."""
    return GOOD_EVENT_BANDS if set(bands) & set(GOOD_EVENT_BANDS) else HEALTH_BANDS


def unsure_band(score: Mapping[str, Any], edges: Sequence[int]) -> str:
    """`at risk or stable` where the score's range crosses a band edge, else empty.

    A range that reaches every band says nothing, and the words say so.
    """
    reached = bands_of_range(
        float(score["health_low"]),
        float(score["health_high"]),
        band_names([str(score["band"])]),
        edges,
    )
    if len(reached) > 2:
        return TOO_LITTLE
    return " or ".join(BANDS_IN_WORDS[band] for band in reached) if len(reached) > 1 else ""


def edge_words(health: int, band: str, edges: Sequence[int]) -> str:
    """`7 points below stable`, `1 point above at risk, 30 below healthy`."""
    parts: list[str] = []
    for neighbour, points in points_to_edges(health, band_names([band]), edges):
        unit = "" if parts else " point" if abs(points) == 1 else " points"
        parts.append(
            f"{abs(points)}{unit} {'below' if points > 0 else 'above'} {BANDS_IN_WORDS[neighbour]}"
        )
    return ", ".join(parts)
