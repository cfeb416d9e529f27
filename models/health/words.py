"""What the scale means, in words: per ten points what is promised and seen, and where an account
stands.
"""

from collections.abc import Iterable, Mapping, Sequence
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

NO_TEST = "No test shows yet what such a score means. Run `tenure evaluate`."
TOO_LITTLE = "too little data to tell"
"""The range of a score reaches every band."""


def horizon_words(horizon_days: Any) -> str:
    """`within 90 days`, or `by the next renewal` where the horizon is the contract's end."""
    return (
        "by the next renewal"
        if horizon_days is None or pd.isna(horizon_days)
        else f"within {int(horizon_days)} days"
    )


def base_words(base_displayed: int) -> str:
    """Where every account's points start, in words."""
    return f"your typical account starts at {base_displayed}"


def anchor_words(scale: Scale, gerund: str = "the event") -> str:
    """What the last scores of the first two bands mean, as chances.

    Examples
    --------
    >>> from models.health.scale import scale_from_anchors
    >>> anchor_words(scale_from_anchors(0.098, 0.008), "leaving")
    'a score of 40 means about a 9.8% chance of leaving; 70 means 0.8%'
    """
    return (
        f"a score of {scale.at_risk_until} means about a {scale.p_at_risk:.1%} chance of {gerund};"
        f" {scale.stable_until} means {scale.p_healthy:.1%}"
    )


def sentence_of(health: int, ranges: Sequence[Promise], horizon_days: Any, event: str) -> str:
    """The sentence that stands beside a displayed score; says so where there was no test."""
    found = promise_of(health, ranges)
    return (
        NO_TEST
        if found is None
        else scale_sentence(found, horizon_words(horizon_days), event=event)
    )


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
