"""Probability to a score of 0-100: scale, points that add up, whole numbers, bands."""

from models.health.points import (
    Points,
    largest_slope,
    points_from_contributions,
    points_of_scorecard,
)
from models.health.promises import (
    Promise,
    bands_of_range,
    decided,
    observed_words,
    points_to_edges,
    promise_of,
    promises,
    reads_decision,
    reads_decisions,
    scale_sentence,
    sub_scores,
)
from models.health.proposal import (
    ScaleProposal,
    band_table,
    propose_scale,
    raised_probability,
    scale_problems,
)
from models.health.rounding import displayed_points, largest_remainder
from models.health.scale import Scale, displayed, scale_from_anchors, scale_from_dict

__all__ = [
    "Points",
    "Promise",
    "ScaleProposal",
    "Scale",
    "band_table",
    "bands_of_range",
    "decided",
    "displayed",
    "displayed_points",
    "largest_remainder",
    "largest_slope",
    "observed_words",
    "points_from_contributions",
    "points_of_scorecard",
    "points_to_edges",
    "promise_of",
    "promises",
    "propose_scale",
    "raised_probability",
    "reads_decision",
    "reads_decisions",
    "scale_from_anchors",
    "scale_from_dict",
    "scale_problems",
    "scale_sentence",
    "sub_scores",
]
