"""What a play seems to do where people chose: doubly robust, and an association unless it would
survive a hidden reason as strong as what is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.intervals import Z95
from models.methods.base import Floats
from models.plays.effects import MeasuredEffect, counted_arms, no_comparison, too_few_outcomes

FOLDS = 5
OVERLAP = (0.02, 0.98)
"""Propensities between which accounts with and without a play can be compared. Below, the records
do not say why such an account was chosen; above, nobody like it was left out.
"""
MOST_OUTSIDE = 0.2
"""Share of the treated outside `OVERLAP` from which an effect is refused."""
HIDDEN_LOG_ODDS = float(np.log(2.0))
"""How strongly people are taken to act on what no table holds: each standard deviation doubles the
odds of being chosen.
"""
HIDDEN = "a reason that tells leavers as well as all signals together and doubles the odds"
_LEAST = 1e-3


class Classifier(Protocol):
    """What is asked of a method that gives probabilities."""

    def fit(self, signals: Floats, label: NDArray[np.bool_]) -> Any:
        """Learn from rows."""

    def predict_proba(self, signals: Floats) -> Any:
        """Two columns, the second the chance."""


def observed_effect(
    play: str,
    *,
    outcome: NDArray[np.bool_],
    assigned: NDArray[np.bool_],
    account: NDArray[Any],
    signals: Floats,
    groups: Mapping[str, Sequence[int]],
    seed: int = 0,
) -> MeasuredEffect:
    """The effect of a play on those it was given to, as far as records explain who was chosen.

    With the chance `m` of the outcome without the play and the propensity `e`, both learnt on
    other accounts, `tau = sum [T - (1-T) e/(1-e)] (y - m) / sum T`. It is right where either `m` or
    `e` is; where people know something that no signal holds, neither is. So the estimate is made
    again without each group of signals: what the strongest group moves is what one hidden reason
    as strong would move. Where people choose by hardly anything that is measured, that says little;
    so a hidden reason is taken for at least one that tells the outcome as well as all signals
    together, and by which people choose with twice the odds for each standard deviation: by ln 2
    times the deviation of `m`. An interval that is not further than the larger of the two from 0 is
    an association.

    Parameters
    ----------
    outcome, assigned, account
        Shape (n_rows,).
    signals
        What was known before the play, shape (n_rows, n_signals); nan where missing. The month
        belongs in it.
    groups
        Name of a group -> its columns. Signals that say the same belong in one group.

    References
    ----------
    [Robins1994] Robins, Rotnitzky, Zhao, Estimation of regression coefficients when some regressors
    are not always observed, JASA 89. [Chernozhukov2018] Double/debiased machine learning for
    treatment and structural parameters, Econometrics Journal 21, equation 5.4 (effect on the
    treated), definition 3.2 (cross-fitting). [CinelliHazlett2020] Making sense of sensitivity,
    JRSS B 82, section 4.4: measured signals as a yardstick of hidden ones.
    """
    effect = counted_arms(play, "observed", outcome, assigned, account)
    if not effect.treated or not effect.untreated:
        return replace(no_comparison(play, effect.treated), untreated=effect.untreated)
    refusal = too_few_outcomes(effect)
    if refusal:
        return replace(effect, reason=refusal)
    fold = _folds(account, seed)
    fitted = _cross_fitted(outcome, assigned, account, signals, fold, seed)
    propensity = fitted.propensity[assigned]
    inside = (propensity >= OVERLAP[0]) & (propensity <= OVERLAP[1])
    effect = replace(
        effect,
        estimate=fitted.estimate,
        low=fitted.estimate - Z95 * fitted.error,
        high=fitted.estimate + Z95 * fitted.error,
        overlap=float(inside.mean()),
    )
    if 1 - effect.overlap > MOST_OUTSIDE:
        return replace(
            effect,
            reason=(
                f"No comparable accounts: {1 - effect.overlap:.0%} of those with it had a"
                f" chance of being chosen below {OVERLAP[0]:.0%} or above {OVERLAP[1]:.0%}."
            ),
        )
    moves = {HIDDEN: HIDDEN_LOG_ODDS * fitted.explained}
    for name, columns in groups.items():
        fewer = np.delete(signals, list(columns), axis=1)
        if fewer.shape[1]:
            without = _cross_fitted(outcome, assigned, account, fewer, fold, seed)
            moves[name] = abs(without.estimate - fitted.estimate)
    strongest = max(moves, key=lambda name: moves[name])
    effect = replace(effect, strongest=strongest, strongest_moves=moves[strongest])
    distance = max(effect.low, -effect.high)
    if not distance > effect.strongest_moves:
        return replace(effect, verdict="association", reason=_association(effect))
    return replace(
        effect,
        verdict="effect",
        reason=(
            "People chose who gets it, so this is no proof. A hidden reason would have to be"
            f" stronger than {strongest} to explain it away."
        ),
    )


def _association(effect: MeasuredEffect) -> str:
    return (
        "Association, not effect: people chose who gets it, and a hidden reason as strong as"
        f" {effect.strongest} (which moves the figure by {100 * effect.strongest_moves:.1f} points)"
        " would explain it away."
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    """A doubly robust estimate."""

    estimate: float
    error: float
    propensity: Floats
    explained: float
    """Standard deviation of the chance without the play: how far signals tell the outcome."""


def _folds(account: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """All rows of an account in one fold, so that nobody is predicted from itself."""
    _, cluster = np.unique(account, return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(int(cluster.max()) + 1) % FOLDS
    return np.asarray(drawn[cluster], dtype=np.int64)


def _cross_fitted(
    outcome: NDArray[np.bool_],
    assigned: NDArray[np.bool_],
    account: NDArray[Any],
    signals: Floats,
    fold: NDArray[np.int64],
    seed: int,
) -> _Fit:
    """Effect on the treated, its error clustered by account."""
    everyone = np.ones(len(outcome), dtype=np.bool_)
    propensity = _chances(signals, assigned, everyone, fold, seed)
    without = _chances(signals, outcome, ~assigned, fold, seed)
    odds = propensity / (1.0 - propensity)
    weight = np.where(assigned, 1.0, -odds)
    gains = weight * (outcome - without)
    share = float(assigned.mean())
    estimate = float(gains.mean()) / share
    influence = (gains - estimate * assigned) / share
    _, cluster = np.unique(account, return_inverse=True)
    sums = np.bincount(cluster, influence)
    correction = len(sums) / max(len(sums) - 1, 1)
    error = float(np.sqrt(correction * (sums**2).sum())) / len(outcome)
    return _Fit(estimate, error, propensity, float(without.std()))


def _chances(
    signals: Floats,
    label: NDArray[np.bool_],
    learns: NDArray[np.bool_],
    fold: NDArray[np.int64],
    seed: int,
) -> Floats:
    """Out-of-fold chances by a logistic regression or trees, whichever fits other accounts better.

    Trees alone are crude where a few hundred rows teach; a logistic regression alone misses bends.
    """
    candidates = []
    for method in (_logistic, _trees):
        chances = np.full(len(label), float(label[learns].mean()))
        for each in range(FOLDS):
            teach = learns & (fold != each)
            if 0 < label[teach].sum() < teach.sum():
                fitted = method(seed).fit(signals[teach], label[teach])
                chances[fold == each] = fitted.predict_proba(signals[fold == each])[:, 1]
        candidates.append(np.clip(chances, _LEAST, 1 - _LEAST))
    losses = [log_loss(label[learns], each[learns], labels=[False, True]) for each in candidates]
    return np.asarray(candidates[int(np.argmin(losses))])


def _logistic(seed: int) -> Classifier:
    method: Classifier = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=1.0, max_iter=300, random_state=seed),
    )
    return method


def _trees(seed: int) -> Classifier:
    method: Classifier = LGBMClassifier(
        n_estimators=60,
        learning_rate=0.08,
        num_leaves=8,
        min_child_samples=40,
        reg_lambda=5.0,
        n_jobs=1,
        random_state=seed,
        verbose=-1,
        deterministic=True,
        force_row_wise=True,
    )
    return method
