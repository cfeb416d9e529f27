"""What a play does to those it is given to, where a lot decided; when an effect is refused.

Intention to treat: an account counts in the arm it was assigned to, done or not, and the outcome is
the matured label of its target. Arms are compared within each month, because both the share that
is given a play and the share that leaves move over the year.

    an arm without accounts                              refused: nothing to compare with
    under 20 events in an arm                            refused: too few to tell
    arms not as large as drawn (p < 0.001)               refused: somebody chose
    over 20% of the treated outside 0.02-0.98 propensity refused: no comparable accounts  (observed)
    a hidden reason as strong as what is measured would  association, not effect          (observed)
      explain it away
    all others                                           effect, with its interval
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import t as student

from models.intervals import FEWEST_ACCOUNTS, LEVEL
from models.methods.base import Floats

Design = Literal["lot", "holdout", "observed", "none"]
Verdict = Literal["effect", "association", "refused"]
DESIGNS: tuple[Design, ...] = ("lot", "holdout", "observed")
"""From the surest down: the first that a play's records allow is used."""
FEWEST_IN_AN_ARM = 20
"""Events in each arm below which an effect is refused."""
RATIO_REFUSED, RATIO_NOTICED = 0.001, 0.01
"""p of the sizes of the arms below which an effect is refused, and below which it is said."""


@dataclass(frozen=True)
class MeasuredEffect:
    """What a play does to the share of accounts with an outcome, or why that cannot be told.

    `estimate`, `low` and `high` (95%) are differences of shares, treated less untreated: -0.04 is
    four in a hundred fewer. They are kept where the verdict is `association` and where a refusal
    comes after them (few events, sample ratio); nobody is shown them as an effect.
    """

    play: str
    design: Design
    verdict: Verdict
    reason: str
    """Why it is refused or an association only; what to keep in mind of an effect; else empty."""
    treated: int = 0
    """Rows assigned to the play, an account once a date."""
    untreated: int = 0
    treated_events: int = 0
    untreated_events: int = 0
    accounts: int = 0
    estimate: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    naive: float = float("nan")
    """Treated less untreated as they are: what comparing called with not called says."""
    ratio_p: float = float("nan")
    """Chance of arms as unequal as these under the drawn shares; nan where no share was drawn."""
    overlap: float = float("nan")
    """Share of the treated with a propensity of 0.02-0.98; nan where a lot decided."""
    strongest: str = ""
    """What would move the estimate furthest were it hidden: a group of signals, or the reason that
    is always reckoned with; observed only.
    """
    strongest_moves: float = float("nan")
    """By how much."""

    @property
    def untreated_share(self) -> float:
        """Share of the untreated with the outcome; nan without any."""
        return self.untreated_events / self.untreated if self.untreated else float("nan")

    @property
    def save_share(self) -> float:
        """Share of those who would leave that the play keeps; nan unless it is an effect."""
        return float(np.clip(-self._of_the_untreated, -1.0, 1.0))

    @property
    def win_share(self) -> float:
        """How many more grow with the play, as a share of those who would without; nan unless it is
        an effect.
        """
        return max(self._of_the_untreated, -1.0)

    @property
    def _of_the_untreated(self) -> float:
        if self.verdict != "effect" or not self.untreated_events:
            return float("nan")
        return self.estimate / self.untreated_share


def no_comparison(play: str, treated: int = 0) -> MeasuredEffect:
    """The refusal where nobody comparable was left without the play."""
    reason = (
        "Nobody was assigned to it yet."
        if not treated
        else "No comparison: no lot, no holdout, and no account without it on the same dates."
    )
    return MeasuredEffect(play, "none", "refused", reason, treated=treated)


def sample_ratio(assigned: NDArray[np.bool_], propensity: Floats) -> float:
    """Two-sided p of so many assigned rows under the shares that were drawn.

    `z = (sum T - sum e) / sqrt(sum e (1 - e))`. A lot that keeps the number fixed varies less, so
    the test errs towards silence there. nan where every share is 0 or 1.

    References
    ----------
    [Fabijan2019] Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.

    Examples
    --------
    >>> arms = np.arange(90_189) < 45_489
    >>> round(sample_ratio(arms, np.full(90_189, 0.5)), 3)
    0.009
    """
    variance = float((propensity * (1.0 - propensity)).sum())
    if variance == 0:
        return float("nan")
    z = (float(assigned.sum()) - float(propensity.sum())) / np.sqrt(variance)
    return float(2.0 * ndtr(-abs(z)))


def randomised_effect(
    play: str,
    design: Literal["lot", "holdout"],
    *,
    outcome: NDArray[np.bool_],
    assigned: NDArray[np.bool_],
    account: NDArray[Any],
    month: NDArray[Any],
    propensity: Floats | None = None,
) -> MeasuredEffect:
    """The effect of a play that a lot, or a declared holdout, decided about.

    With `d` the assignment less its mean of the month, `tau = sum d y / sum d^2`: differences of
    the months, weighted by `n1 n0 / (n1 + n0)`; a month with one arm says and weighs nothing.
    The variance is clustered by account, `sum_c (sum d u)^2 / (sum d^2)^2` times `G/(G-1)
    (N-1)/(N-K)`, and its quantile Student's with G-1 degrees of freedom.

    Parameters
    ----------
    outcome, assigned, account, month
        Shape (n_rows,): an account once for each date on which it was drawn.
    propensity
        Share drawn for each row; None: not declared, and the sizes of the arms are not judged.

    References
    ----------
    [CameronMiller2015] A practitioner's guide to cluster-robust inference, J. Human Resources 50,
    equation 11.
    """
    effect = counted_arms(play, design, outcome, assigned, account)
    if not effect.treated or not effect.untreated:
        return replace(effect, reason=no_comparison(play, effect.treated).reason)
    estimate, error, accounts = stratified_difference(outcome, assigned, account, month)
    if not np.isfinite(error):
        return replace(effect, reason="No comparison: no month holds accounts with and without it.")
    half = float(student.ppf((1 + LEVEL) / 2, max(accounts - 1, 1))) * error
    ratio = float("nan") if propensity is None else sample_ratio(assigned, propensity)
    effect = replace(
        effect, estimate=estimate, low=estimate - half, high=estimate + half, ratio_p=ratio
    )
    refusal = too_few_outcomes(effect) or _unequal(effect)
    if refusal:
        return replace(effect, reason=refusal)
    noticed = (
        f"The arms are less equal than a lot usually makes them (p = {ratio:.3f}): see how accounts"
        " entered."
        if ratio < RATIO_NOTICED
        else ""
    )
    return replace(effect, verdict="effect", reason=noticed)


@dataclass(frozen=True)
class ScoreEffect:
    """How many points further the score of those assigned moved than of the others, with its 95%
    interval.

    Low scores rise and high ones fall by themselves; the others' did so, too, and it cancels out.
    """

    accounts: int
    estimate: float
    low: float
    high: float


def score_effect(
    moved: Floats, assigned: NDArray[np.bool_], account: NDArray[Any], month: NDArray[Any]
) -> ScoreEffect | None:
    """What a play does to the score, where a lot or a holdout decided; None under 30 rows a side.

    Parameters
    ----------
    moved
        Score afterwards less score before, shape (n_rows,); of those that left the score afterwards
        is 0.
    """
    if min(int(assigned.sum()), int((~assigned).sum())) < FEWEST_ACCOUNTS:
        return None
    estimate, error, accounts = stratified_difference(moved, assigned, account, month)
    if not np.isfinite(error):
        return None
    half = float(student.ppf((1 + LEVEL) / 2, max(accounts - 1, 1))) * error
    return ScoreEffect(accounts, estimate, estimate - half, estimate + half)


def stratified_difference(
    outcome: NDArray[np.bool_] | Floats,
    assigned: NDArray[np.bool_],
    account: NDArray[Any],
    month: NDArray[Any],
) -> tuple[float, float, int]:
    """Difference of means within months, its standard error clustered by account, and how many
    accounts there are; an infinite error where no month holds both arms.
    """
    _, stratum = np.unique(month, return_inverse=True)
    strata, rows = int(stratum.max()) + 1, len(outcome)
    size = np.bincount(stratum, minlength=strata)
    y, treatment = outcome.astype(np.float64), assigned.astype(np.float64)
    centred = treatment - (np.bincount(stratum, treatment, strata) / size)[stratum]
    spread = float((centred**2).sum())
    _, cluster = np.unique(account, return_inverse=True)
    accounts = int(cluster.max()) + 1
    freedom = rows - strata - 1
    if spread == 0 or accounts < 2 or freedom < 1:
        return float("nan"), float("inf"), accounts
    estimate = float((centred * y).sum()) / spread
    residual = y - (np.bincount(stratum, y, strata) / size)[stratum] - estimate * centred
    sums = np.bincount(cluster, centred * residual)
    correction = accounts / (accounts - 1) * (rows - 1) / freedom
    return estimate, float(np.sqrt(correction * (sums**2).sum())) / spread, accounts


def counted_arms(
    play: str,
    design: Design,
    outcome: NDArray[np.bool_],
    assigned: NDArray[np.bool_],
    account: NDArray[Any],
) -> MeasuredEffect:
    """An effect that is refused so far, with its counts and what a naive comparison says."""
    treated, events = int(assigned.sum()), outcome & assigned
    effect = MeasuredEffect(
        play,
        design,
        "refused",
        "",
        treated=treated,
        untreated=len(assigned) - treated,
        treated_events=int(events.sum()),
        untreated_events=int(outcome.sum() - events.sum()),
        accounts=len(np.unique(account)),
    )
    if not effect.treated or not effect.untreated:
        return effect
    return replace(effect, naive=effect.treated_events / effect.treated - effect.untreated_share)


def too_few_outcomes(effect: MeasuredEffect) -> str:
    """Why the outcomes are too few to tell an effect; empty where they are enough."""
    fewest = min(effect.treated_events, effect.untreated_events)
    if fewest >= FEWEST_IN_AN_ARM:
        return ""
    return (
        f"Too few outcomes: {effect.treated_events} among {effect.treated:,} with it,"
        f" {effect.untreated_events} among {effect.untreated:,} without. Each side needs"
        f" {FEWEST_IN_AN_ARM}."
    )


def _unequal(effect: MeasuredEffect) -> str:
    if not effect.ratio_p < RATIO_REFUSED:
        return ""
    return (
        f"The sides are not as large as they were drawn: {effect.treated:,} with it and"
        f" {effect.untreated:,} without (p = {effect.ratio_p:.1g}). Somebody chose, or rows are"
        " lost."
    )
