"""Three ways an account can go: it leaves, it stays and its use rises, or it stays as it is.

Leaving is the published probability p. The rest, 1 - p, is split by the chance that the use of a
kept account rises.

*Use* is counted in user-days (a person active on a day is one) over stretches as long as the
horizon. It *rises* when the next stretch is at least 20% and 5 user-days above the last one, after
both were divided by what the typical kept account did meanwhile, so that holidays and seasons,
which all share, are no one's growth.

Worked example: 40 user-days in the last 90 days; the typical account goes on to 0.9 of its last
stretch. From 1.2 * 0.9 * 40 = 43.2 on, if also 5 above 36, the use has risen: at 44 user-days it
has, at 43 it has not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.methods.base import Floats, sigmoid
from models.methods.penalised import ridge_fit
from models.trajectory.projection import mean_log_loss_of

MARGIN_SHARE = 0.2
MARGIN_DAYS = 5.0
FEWEST_ROWS = 200
FEWEST_RISES = 30
_L2 = 1e-3
_MIDDLE = 50.0
_FURTHEST = 3.0


@dataclass(frozen=True, eq=False)
class UserDays:
    """User-days of accounts on a date, arrays of shape (n,): the last part of the last stretch, the
    last stretch, the one before; `parts` is how many parts a stretch has; `carried` is the score
    carried through the horizon, NaN if unknown.
    """

    last_part: Floats
    last: Floats
    before: Floats
    carried: Floats
    parts: int

    def rows(self, picked: NDArray[np.bool_]) -> "UserDays":
        """Return some of the accounts."""
        return UserDays(
            self.last_part[picked],
            self.last[picked],
            self.before[picked],
            self.carried[picked],
            self.parts,
        )

    def at(self, account: NDArray[np.intp], date: NDArray[np.intp]) -> "UserDays":
        """Return accounts on dates, of arrays of shape (n_accounts, n_dates)."""
        return UserDays(
            self.last_part[account, date],
            self.last[account, date],
            self.before[account, date],
            self.carried[account, date],
            self.parts,
        )


@dataclass(frozen=True, eq=False)
class RiseModel:
    """Logistic regression on five declared inputs, or a constant where that was no better on later
    dates.
    """

    mean: Floats
    spread: Floats
    intercept: float
    weights: Floats
    constant: float


def season(last: Floats, following: Floats) -> float:
    """Return what the typical kept account's use became: the median of (next + 1) / (last + 1); 1
    without accounts.
    """
    return float(np.median((following + 1.0) / (last + 1.0))) if len(last) else 1.0


def rises(last: Floats, following: Floats, of_season: float | Floats) -> NDArray[np.bool_]:
    """Say whose use rose beyond both margins."""
    expected = last * of_season
    return np.asarray(
        (following >= (1.0 + MARGIN_SHARE) * expected) & (following - expected >= MARGIN_DAYS)
    )


def fit_rises(use: UserDays, rose: NDArray[np.bool_]) -> RiseModel | None:
    """Learn the chance of a rise from kept accounts; None with too few of them or of rises."""
    if len(rose) < FEWEST_ROWS or not FEWEST_RISES <= rose.sum() <= len(rose) - FEWEST_RISES:
        return None
    inputs = _inputs(use)
    mean, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-9)
    weight = np.full(len(rose), 1.0 / len(rose))
    start = np.zeros(inputs.shape[1] + 1)
    intercept, weights = ridge_fit(
        _standard(inputs, mean, spread), rose.astype(np.float64), weight, _L2, start
    )
    return RiseModel(mean, spread, intercept, weights, float(rose.mean()))


def chance_of_rise(model: RiseModel, use: UserDays, *, constant: bool = False) -> Floats:
    """Return the chance that a kept account's use rises, shape (n,)."""
    if constant:
        return np.full(len(use.last), model.constant)
    return sigmoid(
        model.intercept + _standard(_inputs(use), model.mean, model.spread) @ model.weights
    )


def three_ways(probability: Floats, rise: Floats) -> Floats:
    """Return chances of leaving, of staying with more use, and of staying as it is, shape (n, 3);
    they sum to 1.
    """
    stay = 1.0 - probability
    return np.column_stack([probability, stay * rise, stay * (1.0 - rise)])


def _standard(inputs: Floats, mean: Floats, spread: Floats) -> Floats:
    """Inputs in deviations; what lies beyond three is told like three, since hardly anybody showed
    what happens there.
    """
    return np.clip((inputs - mean) / spread, -_FURTHEST, _FURTHEST)


def _inputs(use: UserDays) -> Floats:
    """Acceleration, change against the stretch before, size, score, and whether there was no
    stretch before.
    """
    return np.column_stack(
        [
            np.log((use.parts * use.last_part + 1.0) / (use.last + 1.0)),
            np.log((use.last + 1.0) / (use.before + 1.0)),
            np.log(use.last + 1.0),
            np.where(np.isfinite(use.carried), use.carried, _MIDDLE) / 10.0,
            (use.before == 0).astype(np.float64),
        ]
    )


@dataclass(frozen=True)
class ThreeWayMeasured:
    """How the three chances did on dates after the model's training, each date from outcomes known
    by then.

    Log loss of all three ways, beside that of the same chance of leaving with a constant split, and
    that of three constants; `rise_said` and `rise_seen` are mean chance and share among kept
    accounts, by fifth of the chance.
    """

    rows: int
    accounts: int
    log_loss: float
    log_loss_constant_split: float
    log_loss_constant: float
    rise_said: tuple[float, ...]
    rise_seen: tuple[float, ...]

    @property
    def is_better(self) -> bool:
        """Whether the split by inputs beats the constant one."""
        return self.log_loss < self.log_loss_constant_split


@dataclass(frozen=True, eq=False)
class Ways:
    """Past rows with known outcomes: use, whether it rose (False for leavers), whether it left,
    probability, account, date.
    """

    use: UserDays
    rose: NDArray[np.bool_]
    has_left: NDArray[np.bool_]
    probability: Floats
    account: NDArray[np.intp]
    origin: NDArray[np.intp]

    def rows(self, picked: NDArray[np.bool_]) -> "Ways":
        """Return some of the rows."""
        return Ways(
            self.use.rows(picked),
            self.rose[picked],
            self.has_left[picked],
            self.probability[picked],
            self.account[picked],
            self.origin[picked],
        )

    def model(self) -> RiseModel | None:
        """Learn from the kept ones."""
        kept = ~self.has_left
        return fit_rises(self.use.rows(kept), self.rose[kept])


def measure_ways(ways: Ways, first_origin: int, ahead: int) -> ThreeWayMeasured | None:
    """Predict every date from `first_origin` on from outcomes known by then; None where that is not
    possible.
    """
    said, split, constant = (np.full((len(ways.rose), 3), np.nan) for _ in range(3))
    for origin in np.unique(ways.origin[ways.origin >= first_origin]):
        # Only outcomes complete at the date: a later one would teach what it is judged on.
        earlier, mine = ways.rows(ways.origin + ahead <= origin), ways.origin == origin
        model = earlier.model()
        if model is not None:
            p, use = ways.probability[mine], ways.use.rows(mine)
            said[mine] = three_ways(p, chance_of_rise(model, use))
            split[mine] = three_ways(p, chance_of_rise(model, use, constant=True))
            constant[mine] = [
                earlier.has_left.mean(),
                earlier.rose.mean(),
                1.0 - (earlier.has_left | earlier.rose).mean(),
            ]
    judged = np.isfinite(said).all(axis=1)
    if not judged.any():
        return None
    outcome = np.select([ways.has_left, ways.rose], [0, 1], 2).astype(np.intp)[judged]
    kept = judged & ~ways.has_left
    rise, rose = said[kept, 1] / (1.0 - said[kept, 0]), ways.rose[kept]
    fifths = np.array_split(np.argsort(rise, kind="stable"), 5)
    return ThreeWayMeasured(
        rows=len(outcome),
        accounts=len(np.unique(ways.account[judged])),
        log_loss=mean_log_loss_of(said[judged], outcome),
        log_loss_constant_split=mean_log_loss_of(split[judged], outcome),
        log_loss_constant=mean_log_loss_of(constant[judged], outcome),
        rise_said=tuple(float(rise[part].mean()) for part in fifths),
        rise_seen=tuple(float(rose[part].mean()) for part in fifths),
    )
