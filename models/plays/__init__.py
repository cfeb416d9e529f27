"""Plays: what a call, an offer or a training does to an account, and to whom it is given next."""

from models.plays.effects import (
    DESIGNS,
    FEWEST_IN_AN_ARM,
    Design,
    MeasuredEffect,
    ScoreEffect,
    no_comparison,
    randomised_effect,
    sample_ratio,
    score_effect,
)
from models.plays.lot import LOT_SHARE, Lot, comes_back, draw_lot, lot_cost
from models.plays.observed import observed_effect
from models.plays.power import WITHIN, accounts_per_arm, half_width, months_until_known
from models.plays.priority import PlayChoice, choose_plays, saved_value

__all__ = [
    "DESIGNS",
    "Design",
    "FEWEST_IN_AN_ARM",
    "LOT_SHARE",
    "WITHIN",
    "PlayChoice",
    "MeasuredEffect",
    "Lot",
    "ScoreEffect",
    "accounts_per_arm",
    "choose_plays",
    "comes_back",
    "draw_lot",
    "half_width",
    "lot_cost",
    "months_until_known",
    "no_comparison",
    "observed_effect",
    "randomised_effect",
    "sample_ratio",
    "saved_value",
    "score_effect",
]
