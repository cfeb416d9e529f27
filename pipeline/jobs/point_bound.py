"""Whether no published points exceed their contribution times the steepest place of the score, for
every account of a run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.errors import ContractError, NotFound
from models.bundle import Bundle
from models.drivers import REST, shown_driver
from models.health.bound import ROUNDING, bound_excess, steepest
from models.health.scale import Floats
from models.model import Model
from pipeline.config.schema import Target
from pipeline.jobs.past_runs import past_bundle
from pipeline.ledger import RunRow
from pipeline.workspace import Workspace

CHUNK = 20_000
"""Accounts explained at a time, so that memory stays bounded."""


@dataclass(frozen=True)
class BoundCheck:
    """Published points beside the most that their contributions allow.

    Parameters
    ----------
    slope
        Largest slope of the score, points per unit of raw log-odds; 1 for a scorecard.
    drivers
        Published rows compared.
    largest_share
        Of its bound that any of them uses (0-1); rows whose bound is under a tenth of a point are
        left out.
    not_checked
        Why, where the model of the run is gone.
    """

    basis: str
    slope: float | None = None
    drivers: int = 0
    largest_share: float | None = None
    not_checked: str | None = None


def check_bound(
    workspace: Workspace,
    target: Target,
    run: RunRow,
    scores: pd.DataFrame,
    drivers: pd.DataFrame,
) -> BoundCheck:
    """Compare published points with contributions worked out again from the inputs kept with the
    run.

    Parameters
    ----------
    scores, drivers
        Published rows of the run; scores of accounts that have one.

    Raises
    ------
    ContractError
        Naming an account and a driver with more points than allowed.
    """
    try:
        bundle = past_bundle(workspace, target, run)
    except NotFound as gone:
        return BoundCheck(run.basis, not_checked=str(gone))
    share, compared = 0.0, 0
    for each, accounts in _by_bundle(bundle, scores):
        of_these, count = _largest_share(workspace, target, run, each, accounts, drivers)
        share, compared = max(share, of_these), compared + count
    return BoundCheck(bundle.basis, _slope(bundle), compared, share)


def _by_bundle(bundle: Bundle, scores: pd.DataFrame) -> Iterator[tuple[Bundle, "pd.Series[str]"]]:
    """Accounts by the model that scored them: the one in use, or the one that does without a
    source.
    """
    without = scores["without"] if "without" in scores else pd.Series(None, index=scores.index)
    yield bundle, scores["account_id"][without.isna()]
    for source, rows in scores.groupby(without):
        fallback = bundle.without(str(source))
        if fallback is not None:
            yield fallback, rows["account_id"]


def _largest_share(
    workspace: Workspace,
    target: Target,
    run: RunRow,
    bundle: Bundle,
    accounts: "pd.Series[str]",
    drivers: pd.DataFrame,
) -> tuple[float, int]:
    """Largest share of its bound that a driver of these accounts uses, and how many were
    compared.
    """
    slope = _slope(bundle)
    share, compared = 0.0, 0
    for features in _features(workspace, target, run, accounts, bundle.published.columns):
        mine = drivers[drivers["account_id"].isin(features.index)].reset_index(drop=True)
        phi, missed = _driver_contributions(bundle, features, mine)
        allowed = slope * missed + ROUNDING
        excess = bound_excess(mine["points"], phi, slope)
        if (excess > allowed).any():
            worst = mine.iloc[int(np.argmax(excess - allowed))]
            raise ContractError(
                f"driver {worst['driver']} of account {worst['account_id']} has"
                f" {worst['points']:.3g} points, more than its contribution times the score's"
                f" largest slope {slope:.3g} allows. Score again; if it stays, this is a bug in"
                " tenure."
            )
        bound = slope * np.abs(phi)
        counts = bound > 0.1
        share = max(
            share, float((mine["points"].abs().to_numpy()[counts] / bound[counts]).max(initial=0.0))
        )
        compared += len(mine)
    return share, compared


def _slope(bundle: Bundle) -> float:
    """1 for a scorecard: its rules give points, not log-odds."""
    calibrator = bundle.relationship.calibrator
    return 1.0 if calibrator is None else steepest(calibrator, bundle.scale)


def _features(
    workspace: Workspace,
    target: Target,
    run: RunRow,
    accounts: "pd.Series[str]",
    columns: Sequence[str],
) -> Iterator[pd.DataFrame]:
    """Inputs of the scored accounts, some at a time."""
    rows = workspace.store.read(
        f"features_scored_{target.name}",
        columns=["account_id", *columns],
        filters=[("run_id", "=", run.run_id)],
    )
    rows = rows[rows["account_id"].isin(accounts)].set_index("account_id").sort_index()
    for start in range(0, len(rows), CHUNK):
        yield rows.iloc[start : start + CHUNK].astype("float64")


def _driver_contributions(
    bundle: Bundle, features: pd.DataFrame, drivers: pd.DataFrame
) -> tuple[Floats, Floats]:
    """Contribution of every published driver, and what its account's contributions miss of the raw
    log-odds.
    """
    model = bundle.relationship
    each, missed = _contributions(model, features)
    names = [(s.dimension, shown_driver(s, bundle.twins)) for s in model.signals]
    groups = list(dict.fromkeys(names))
    summed = each @ np.array(
        [[name == group for group in groups] for name in names], dtype=np.float64
    )
    account = features.index.get_indexer(pd.Index(drivers["account_id"]))
    place = pd.MultiIndex.from_tuples(groups).get_indexer(
        pd.MultiIndex.from_frame(drivers[["dimension", "driver"]])
    )
    is_rest = (drivers["driver"] == REST).to_numpy()
    listed = np.zeros(summed.shape, dtype=bool)
    listed[account[~is_rest], place[~is_rest]] = True
    phi = np.zeros(len(drivers))
    phi[~is_rest] = summed[account[~is_rest], place[~is_rest]]
    dimensions = np.array([dimension for dimension, _ in groups], dtype=object)
    for dimension in set(drivers.loc[is_rest, "dimension"]):
        rows = np.flatnonzero(is_rest & (drivers["dimension"] == dimension).to_numpy())
        left = np.where(listed | (dimensions != dimension), 0.0, summed).sum(axis=1)
        phi[rows] = left[account[rows]]
    return phi, missed[account]


def _contributions(model: Model, features: pd.DataFrame) -> tuple[Floats, Floats]:
    """Contributions of signals in raw log-odds (a scorecard's own points), and what they miss of
    the whole.
    """
    if model.basis == "scorecard":
        _, points = model.scorecard_points(features)
        return points, np.zeros(len(points))
    base, phi = model.contributions(features)
    return phi, np.abs(model.margin(features) - base - phi.sum(axis=1))


def bound_words(check: BoundCheck) -> str:
    """What came of the check, in one sentence."""
    if check.not_checked:
        return f"not checked against contributions: {check.not_checked.removesuffix('.')}"
    if check.basis == "scorecard":
        return f"no driver has more points than its rules give ({check.drivers:,} drivers)"
    return (
        "no driver has more points than its contribution times the score's largest slope,"
        f" {check.slope:.2f} points per unit of log-odds ({check.drivers:,} drivers; at most"
        f" {check.largest_share:.2%} of it is used)"
    )
