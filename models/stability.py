"""How many accounts a new model moves between bands on the same inputs, and how to move fewer."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bundle import Bundle, score
from models.calibration import Platt, straightened
from models.model import ChanceAtDecision, Member, Model

MOST_GRID_DATES = 60
"""More dates than this are not a grid: each account has its own."""


def band_changes(
    first: Bundle,
    second: Bundle,
    features: pd.DataFrame,
    as_second_reads: pd.DataFrame | None = None,
) -> float:
    """Return the share of accounts (0-1) that two bundles put into different bands on the same
    inputs.

    Parameters
    ----------
    features
        One row per account, shape (n_accounts, n_signals), with the columns of both.
    as_second_reads
        The same accounts for the second bundle, where it reads other columns.
    """
    if not len(features):
        return 0.0
    others = features if as_second_reads is None else as_second_reads
    return float(
        np.mean(
            score(first, features).table["band"].to_numpy()
            != score(second, others).table["band"].to_numpy()
        )
    )


def portfolio_rows(keys: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows show one portfolio, an account once, shape (n_rows,): those of the latest
    day.

    Where each account has its own dates the latest day holds hardly anybody; there each account's
    newest row stands for it.

    Parameters
    ----------
    keys
        `account_id` and `as_of`, sorted by account and date.
    """
    # Equal rows of a table without dates follow each other by a microsecond.
    day = keys["as_of"].dt.normalize()
    is_shown = (day == day.max()) if day.nunique() <= MOST_GRID_DATES else day.notna()
    newest = ~keys.loc[is_shown, "account_id"].duplicated(keep="last")
    shown = np.zeros(len(keys), dtype=bool)
    shown[np.flatnonzero(is_shown.to_numpy())[newest.to_numpy()]] = True
    return shown


def speaks_of_the_same(first: Model, second: Model) -> bool:
    """Whether two models read the same signals, and both at a decision or neither, so that they can
    be judged on one frame and blended.
    """
    if (first.decision is None) != (second.decision is None):
        return False
    return [(s.column, s.fingerprint) for s in first.signals] == [
        (s.column, s.fingerprint) for s in second.signals
    ]


def stabilised(champion: Model, challenger: Model, share: float = 0.5) -> Model:
    """Return the challenger drawn towards the model in use: calibrated log-odds averaged, so
    contributions still add.

    Both were calibrated out of time, and so is their mean: the calibrator of the result is the
    identity, and slopes move into the members' weights. Every account lands between what the two
    say.

    Parameters
    ----------
    share
        Weight of the model in use, 0-1.
    """
    assert champion.calibrator is not None and challenger.calibrator is not None
    knots = np.zeros(0) if challenger.interval_table is None else challenger.interval_table.margins
    # A weight of a member cannot bend: of calibrators with bends the nearest straight line counts.
    first = straightened(
        champion.calibrator,
        knots if champion.interval_table is None else champion.interval_table.margins,
    )
    second = straightened(challenger.calibrator, knots)
    members = (
        *_weighted(champion, share * first.slope),
        *_weighted(challenger, (1.0 - share) * second.slope),
    )
    intercept = share * first.intercept + (1.0 - share) * second.intercept
    table = challenger.interval_table
    if table is not None:
        # Knots are margins of the challenger; the blend's margins are calibrated log-odds less the
        # intercept.
        table = replace(table, margins=second.logit(table.margins) - intercept)
    decision = None
    if champion.decision is not None and challenger.decision is not None:
        decision = _decision(champion, challenger, share)
    training = challenger.training.with_facts(stabilised_share=share)
    return replace(
        challenger,
        members=members,
        calibrator=Platt(1.0, intercept, second.events),
        decision=decision,
        interval_table=table,
        training=training,
    )


def _decision(champion: Model, challenger: Model, share: float) -> ChanceAtDecision:
    """Calibrator of the blend at the decision: the mean of both, on margins that the members'
    weights have already turned into calibrated log-odds of the own date.
    """
    slope, intercept = 0.0, 0.0
    for model, weight in ((champion, share), (challenger, 1.0 - share)):
        assert model.decision is not None and model.calibrator is not None
        own = straightened(model.calibrator, np.zeros(0))
        slope += weight * model.decision.calibrator.slope / own.slope
        intercept += weight * model.decision.calibrator.intercept
    assert challenger.decision is not None
    table = challenger.decision.interval_table
    if table is not None:
        table = replace(table, margins=own.slope * table.margins)
    events = challenger.decision.calibrator.events
    return ChanceAtDecision(Platt(slope, intercept, events), table)


def _weighted(model: Model, factor: float) -> tuple[Member, ...]:
    return tuple(replace(each, weight=each.weight * factor) for each in model.members)
