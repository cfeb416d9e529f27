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
from models.health.scale import BANDS_IN_WORDS, GOOD_EVENT_BANDS, HEALTH_BANDS

NO_TEST = "what such scores promise has not been tested on record; run `tenure evaluate`"


def horizon_words(horizon_days: Any) -> str:
    """`within 90 days`, or `by the next renewal` where the horizon is the contract's end."""
    return (
        "by the next renewal"
        if horizon_days is None or pd.isna(horizon_days)
        else f"within {int(horizon_days)} days"
    )


def base_words(base_displayed: int) -> str:
    """Where every account's points start, in words."""
    return f"a typical account of yours starts at {base_displayed}"


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
    """`at risk or stable` where the score's range crosses a band edge, else empty."""
    reached = bands_of_range(
        float(score["health_low"]),
        float(score["health_high"]),
        band_names([str(score["band"])]),
        edges,
    )
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
