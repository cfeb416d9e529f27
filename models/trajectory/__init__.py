"""Where accounts come from and where they go: own past, projected score, and three ways ahead."""

from models.trajectory.carried import carry
from models.trajectory.engagement import (
    MARGIN_DAYS,
    MARGIN_SHARE,
    RiseModel,
    ThreeWayMeasured,
    Use,
    Ways,
    chance_of_rise,
    fit_rises,
    measure_ways,
    rises,
    season,
    three_ways,
)
from models.trajectory.own_past import (
    FALLEN,
    LOOK_BACK,
    MIN_PAST,
    MOVEMENTS,
    RISING,
    SLOW,
    STEADY,
    SUDDEN,
    UNKNOWN,
    OwnPast,
    against_own_past,
    own_path,
)
from models.trajectory.panel import AHEAD, MovementRecord, Panel, movement_records, past_pairs, past_ways, use_on
from models.trajectory.projection import (
    COVERAGE,
    DIRECTIONS,
    Measured,
    Pairs,
    Projected,
    Projector,
    Standing,
    directions,
    fit_projector,
    measure,
    project,
)

__all__ = [
    "AHEAD", "COVERAGE", "DIRECTIONS", "FALLEN", "LOOK_BACK", "MARGIN_DAYS", "MARGIN_SHARE", "MIN_PAST", "MOVEMENTS", "RISING",
    "SLOW", "STEADY", "SUDDEN", "UNKNOWN", "Measured", "MovementRecord", "OwnPast", "Pairs", "Panel", "Projected", "Projector",
    "RiseModel", "Standing", "ThreeWayMeasured", "Use", "Ways", "against_own_past", "carry", "chance_of_rise", "directions",
    "fit_projector", "fit_rises", "measure", "measure_ways", "movement_records", "own_path", "past_pairs", "past_ways",
    "project", "rises", "season", "three_ways", "use_on",
]
