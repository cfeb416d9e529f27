"""When it will happen: a chance for every account and every period, from which all horizons follow
and agree.

Time from as_of is cut into periods (30 days, and the primary horizon as an edge of its own). The
hazard of a period is the chance of the event in it, given none before. A snapshot adds one row for
every period that was observed to its end, so that an account still with us counts for as long as it
was seen and no longer [Singer1993, pp. 164-171].

Worked example: as_of 2024-03-29, horizon 90 days, data until 2024-07-10, grace 0: 103 days are
observed, so there are rows for [0, 30), [30, 60) and [60, 90), and none for [90, 120), even where
the account left on day 95: keeping the leavers of a half-seen period and dropping its stayers would
count leavers twice.

Causes that compete (by choice, for non-payment) each have log-odds against staying, `eta`; the
hazard of cause c is exp(eta_c) / (1 + sum of exp(eta)) [Tutz2016, section 8.1], so that the causes
add up to the total. Each is fitted on the rows of its own events and of stayers [Begg1984].

References
----------
[Singer1993] Singer and Willett, It's about time: using discrete-time survival analysis to study
duration, J. Educ. Stat. 18. [Tutz2016] Tutz and Schmid, Modeling Discrete Time-to-Event Data.
[Begg1984] Begg and Gray, Calculation of polychotomous logistic regression parameters using
individualized regressions. [Kline2012] Kline and Santos, A score based approach to wild bootstrap
inference, J. Econometric Methods 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import ContractError
from models.intervals import FEWER_REPLICATES
from models.methods.base import Floats, logit, sigmoid
from models.methods.penalised import Regression, newton
from models.term_dates import TermMonths, ends_before

STEP_DAYS = 30
MIN_EVENTS = 10
"""Distinct accounts with the event without which no hazard is fitted."""
TERMS = (
    "level",
    "time",
    "early",
    "age",
    "chance",
    "chance early",
    "contract end",
    "end x chance",
    "end x term",
)
# Weight of the pull towards 0, in accounts; the level is nearly free.
_PULL = np.array([1e-3, *[1.0] * (len(TERMS) - 1)])
_FAR = 60.0
_STEPS = 100
"""Steps within [-60, 60] at most; some six are enough, and 70 halvings reach the last bit."""
_SHORT_STEP = 1e-10
"""A Newton step this short ends the search: what is left is its square."""
_SMALLEST_CHANCE = 1e-12
"""Chances that near to 0 or 1 are taken to lie this far from them."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of each row on its date; arrays of shape (n_rows,).

    Attributes
    ----------
    log_odds
        Calibrated log-odds of the event within the primary horizon, from a model that had not seen
        the row.
    age_days
        Days since the account began.
    renewal_days
        Days until the contract's end as known then; NaN where none is known.
    term_days
        Length of that contract: later ends are expected every so many days; NaN where none is
        known.
    anchor_days
        The primary horizon of the row.
    terms
        The same length in months, by which later ends are counted where there is one; None: in days
        everywhere.
    """

    log_odds: Floats
    age_days: Floats
    renewal_days: Floats
    term_days: Floats
    anchor_days: Floats
    terms: TermMonths | None = None

    def __len__(self) -> int:
        return len(self.log_odds)

    def rows(self, picked: NDArray[np.intp] | slice) -> "Known":
        """Return some of the rows."""
        return Known(
            self.log_odds[picked],
            self.age_days[picked],
            self.renewal_days[picked],
            self.term_days[picked],
            self.anchor_days[picked],
            None if self.terms is None else self.terms.rows(picked),
        )


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happened to each row; arrays of shape (n_rows,).

    `days` until the event (infinite: not seen), `cause` its number (-1: none seen),
    `observed_days`: how long the row was watched, whether the event came or not; an event on or
    after that day counts as not seen.
    """

    days: Floats
    cause: NDArray[np.intp]
    observed_days: Floats


@dataclass(frozen=True, eq=False)
class Curves:
    """Chances by day for each account.

    `incidence` has the shape (..., n_causes, n_accounts, n_edges): the chance that the event has
    happened, by that cause, before the edge; 0 at the first. `hazard`, shape (..., n_accounts,
    n_edges - 1), is that of all causes together. What comes before is one draw after another.
    """

    edges: Floats
    incidence: Floats
    hazard: Floats

    @property
    def total(self) -> Floats:
        """Chance of the event by any cause, shape (..., n_accounts, n_edges)."""
        return np.asarray(self.incidence.sum(axis=-3), dtype=np.float64)

    @property
    def survival(self) -> Floats:
        """Chance that nothing has happened yet, shape (..., n_accounts, n_edges)."""
        return 1.0 - self.total


def period_edges(
    horizon_days: int | None, until_day: int, also: Sequence[int] = (), *, first_day: int = 0
) -> Floats:
    """Return 0, every 30 days up to `until_day`, the horizon and `also`; nothing lies between 0 and
    `first_day`.

    >>> period_edges(45, 90)
    array([ 0., 30., 45., 60., 90.])
    >>> period_edges(90, 150, first_day=90)
    array([  0.,  90., 120., 150.])
    """
    days = {
        *range(STEP_DAYS, until_day + 1, STEP_DAYS),
        *also,
        *([horizon_days] if horizon_days else []),
    }
    return np.array(
        [0, *sorted(day for day in days if first_day <= day <= max(until_day, horizon_days or 0))],
        dtype=np.float64,
    )


def contract_ends(known: Known, start: float, end: float) -> Floats:
    """Return how many contract ends fall into [start, end): the known one, and one more every term
    after it.

    The known end is a fact of as_of; those after it are what happens if the account renews for the
    same term.
    """

    def before(day: float) -> Floats:
        return ends_before(day, known.renewal_days, known.term_days, known.terms)

    return np.asarray(np.nan_to_num(before(end) - before(start)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Hazards:
    """Fitted hazards.

    Attributes
    ----------
    causes
        Names, in the order of the first axis of `weights`, shape (n_causes, n_terms).
    replicates
        Weights refitted on resampled accounts, shape (n_replicates, n_causes, n_terms).
    line
        Level and step of the log-odds where a contract ends inside the horizon: "chance" is what is
        left.
    last_day
        Middle of the last period with enough events; beyond it hazards change only with the
        contract calendar.
    """

    edges: Floats
    causes: tuple[str, ...]
    weights: Floats
    replicates: Floats
    line: Floats
    last_day: float
    events: tuple[int, ...]
    """Distinct accounts that had the event, per cause."""

    def curves(self, known: Known, probability: Floats, own: Sequence[str] = ()) -> Curves:
        """Return curves that pass through the primary probabilities.

        All hazards before the primary horizon are shifted alike in log-odds, account by account,
        until the chance there is `probability`; those after it stay as fitted. `own` names the
        causes that the probability is of (default: all).
        """
        drawn = self._through(known, self.weights[None], probability[None], own)
        return Curves(drawn.edges, drawn.incidence[0], drawn.hazard[0])

    def replicate_curves(
        self, known: Known, probability: Floats, own: Sequence[str] = ()
    ) -> Curves:
        """Return the same of every replicate, each through probabilities of its own.

        Parameters
        ----------
        probability
            Shape (n_replicates, n_rows).
        """
        return self._through(known, self.replicates, probability, own)

    def _through(
        self, known: Known, weights: Floats, probability: Floats, own: Sequence[str]
    ) -> Curves:
        anchors = self._anchors(known)
        odds = np.exp(self._log_odds(known, weights))
        is_own = np.array([not own or cause in own for cause in self.causes])
        # Only hazards before the horizon answer for the chance there.
        inside = np.arange(odds.shape[3])[None, :] < anchors[:, None]
        most = int(anchors.max(initial=1))
        near = odds[..., :most]
        factor = np.exp(_solve(near, inside[:, :most], probability, is_own))
        factor = np.where(inside[:, :most], factor[..., None], 1.0)
        near[:, is_own] *= factor[:, None]
        by_period, hazard = _incidence(odds)
        incidence = np.zeros((*by_period.shape[:3], by_period.shape[3] + 1))
        np.cumsum(by_period, axis=3, out=incidence[..., 1:])
        return Curves(self.edges, incidence, hazard)

    def first_hazard(self, known: Known) -> Floats:
        """Return the fitted hazard of the first period, not passed through any probability."""
        odds = np.exp(self._log_odds(known, self.weights[None], 1))
        return _incidence(odds)[1][0, :, 0]

    def _log_odds(self, known: Known, weights: Floats, periods: int | None = None) -> Floats:
        """Log-odds against staying, shape (n_draws, n_causes, n_rows, n_periods).

        Parameters
        ----------
        weights
            Shape (n_draws, n_causes, n_terms).
        """
        count = len(self.edges) - 1 if periods is None else periods
        terms = np.empty((weights.shape[2], len(known), count))
        offset = np.empty((len(known), count))
        for number in range(count):
            design, offset[:, number] = _design(known, self.edges, number, self.line, self.last_day)
            terms[:, :, number] = design.T
        log_odds = np.tensordot(weights, terms, axes=1)
        log_odds += offset
        # Half as far as the anchor's shift may reach, so that the shift can always undo it.
        return np.clip(log_odds, -_FAR / 2, _FAR / 2, out=log_odds)

    def _anchors(self, known: Known) -> NDArray[np.intp]:
        """Number of periods before each row's primary horizon."""
        beyond = known.anchor_days > self.edges[-1]
        if beyond.any():
            raise ContractError(
                f"a primary horizon of {known.anchor_days[beyond][0]:g} days lies beyond the last"
                f" edge, {self.edges[-1]:g} days; make the curve longer."
            )
        return np.searchsorted(self.edges, known.anchor_days, side="left")


def fit_hazards(
    known: Known,
    outcomes: Outcomes,
    accounts: NDArray[np.intp],
    edges: Floats,
    causes: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = FEWER_REPLICATES,
) -> Hazards:
    """Return hazards learned from snapshots and what followed them.

    Parameters
    ----------
    accounts
        Code of each row's account, 0 and up: rows of one account repeat each other, so together
        they count as one account, and resamples draw accounts. A resample takes one Newton step
        from the fit, by the accounts' scores [Kline2012].

    Raises
    ------
    ContractError
        When fewer than 10 accounts were seen to have the event.
    """
    line = _calendar_line(known)
    seen = outcomes.days < outcomes.observed_days
    happened = np.unique(accounts[seen])
    if len(happened) < MIN_EVENTS:
        raise ContractError(
            f"{len(happened)} accounts were seen to have the event; hazards need at least"
            f" {MIN_EVENTS}. Publish the primary horizon alone, or bring more history."
        )
    last_day = _last_day(outcomes, accounts, edges)
    period, number = _person_periods(outcomes, edges)
    design, offset = _stacked(known, edges, line, last_day, period, number)
    is_event = (outcomes.days[number] >= edges[period]) & (
        outcomes.days[number] < edges[period + 1]
    )
    cause = np.where(is_event, outcomes.cause[number], -1)
    size = int(accounts.max()) + 1
    weight = len(np.unique(accounts)) / len(known)
    times = _resamples(size, replicates, seed)
    fitted, refitted = [], []
    for each in range(len(causes)):
        rows = (cause == each) | (cause == -1)
        beta, steps = _fit(
            design[rows],
            offset[rows],
            (cause[rows] == each).astype(np.float64),
            weight,
            accounts[number[rows]],
            times,
        )
        fitted.append(beta)
        refitted.append(steps)
    events = tuple(len(np.unique(accounts[number[cause == each]])) for each in range(len(causes)))
    return Hazards(
        edges, tuple(causes), np.array(fitted), np.stack(refitted, axis=1), line, last_day, events
    )


def _resamples(size: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """How often each account is drawn, minus once, shape (n_replicates, n_accounts)."""
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(size, np.full(size, 1.0 / size), size=replicates)
    return np.asarray(draws - 1, dtype=np.int64)


def _calendar_line(known: Known) -> Floats:
    """Least squares of the log-odds on whether a contract ends inside the horizon.

    An account may score badly only because its contract ends soon; that says nothing about the year
    after.
    """
    inside = _ends_inside(known)
    design = np.column_stack([np.ones(len(known)), inside])
    return np.asarray(np.linalg.lstsq(design, known.log_odds, rcond=None)[0], dtype=np.float64)


def _ends_inside(known: Known) -> Floats:
    return np.asarray(
        np.nan_to_num(known.renewal_days, nan=np.inf) < known.anchor_days, dtype=np.float64
    )


def _last_day(outcomes: Outcomes, accounts: NDArray[np.intp], edges: Floats) -> float:
    # Beyond the last period with enough events the curve has nothing to go by and stays level.
    last = 0.5 * (edges[0] + edges[1])
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        inside = (outcomes.days >= start) & (outcomes.days < end) & (outcomes.observed_days >= end)
        if len(np.unique(accounts[inside])) >= MIN_EVENTS:
            last = 0.5 * (start + end)
    return float(last)


def _design(
    known: Known, edges: Floats, period: int, line: Floats, last_day: float
) -> tuple[Floats, Floats]:
    """Terms of one period, shape (n_rows, n_terms), and the offset of its length.

    Where a contract ends the length does not matter: people leave at the end, however long the
    period around it.
    """
    start, end = float(edges[period]), float(edges[period + 1])
    middle = min(0.5 * (start + end), last_day)
    chance = known.log_odds - line[0] - line[1] * _ends_inside(known)
    is_end = np.minimum(contract_ends(known, start, end), 1.0)
    # On a year's scale, a week to ten years: a term of a day, or one that never ends, must not pull
    # the line; an unknown one counts as a year and adds nothing.
    term = np.log(np.clip(np.nan_to_num(known.term_days, nan=365.0), 7.0, 3650.0) / 365.0)
    early = np.exp(-middle / 90.0)
    ones = np.ones(len(known))
    design = np.column_stack(
        [
            ones,
            middle / 360.0 * ones,
            early * ones,
            np.log1p((known.age_days + middle) / 365.0),
            chance,
            early * chance,
            is_end,
            is_end * chance,
            is_end * term,
        ]
    )
    return design, np.log((end - start) / STEP_DAYS) * (1.0 - is_end)


def _person_periods(outcomes: Outcomes, edges: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Period and row number of every period that a row entered without event and that was observed
    to its end.
    """
    pieces = []
    for period, (start, end) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        number = np.flatnonzero((outcomes.days >= start) & (outcomes.observed_days >= end))
        pieces.append((np.full(len(number), period, dtype=np.intp), number))
    return np.concatenate([p for p, _ in pieces]), np.concatenate([n for _, n in pieces])


def _stacked(
    known: Known,
    edges: Floats,
    line: Floats,
    last_day: float,
    period: NDArray[np.intp],
    number: NDArray[np.intp],
) -> tuple[Floats, Floats]:
    designs, offsets = [], []
    for each in range(int(period.max(initial=-1)) + 1):
        design, offset = _design(known.rows(number[period == each]), edges, each, line, last_day)
        designs.append(design)
        offsets.append(offset)
    return np.concatenate(designs), np.concatenate(offsets)


def _fit(
    design: Floats,
    offset: Floats,
    target: Floats,
    weight: float,
    accounts: NDArray[np.intp],
    times: NDArray[np.int64],
) -> tuple[Floats, Floats]:
    """Logistic regression with a pull towards 0, and its weights on every resample of accounts."""
    rate = (target.sum() + 0.5) / (len(target) + 1.0)
    centre = np.zeros(design.shape[1])
    centre[0] = float(logit(rate))
    regression = Regression(
        design,
        target,
        np.full(len(target), weight),
        _PULL,
        centre=centre,
        offset=offset,
        has_level=False,
    )
    beta = newton(regression, centre)
    probability = sigmoid(regression.margin(beta))
    scores = np.zeros((times.shape[1], len(beta)))
    error = weight * (target - probability)
    for term in range(len(beta)):
        scores[:, term] = np.bincount(
            accounts, weights=error * design[:, term], minlength=times.shape[1]
        )
    return beta, beta + np.linalg.solve(regression.curvature(probability), (times @ scores).T).T


def _incidence(odds: Floats) -> tuple[Floats, Floats]:
    """Chance of each cause in each period, shape (n_draws, n_causes, n_rows, n_periods), and the
    hazard of all causes, from odds of that shape against staying.
    """
    stay = 1.0 / (1.0 + odds.sum(axis=1))
    before = np.ones_like(stay)
    np.cumprod(stay[..., :-1], axis=2, out=before[..., 1:])
    before *= stay
    return odds * before[:, None], 1.0 - stay


def _solve(
    odds: Floats, inside: NDArray[np.bool_], probability: Floats, is_own: NDArray[np.bool_]
) -> Floats:
    """Shift per draw and row, at which the own causes' chance inside the horizon is the
    probability; it rises with the shift.

    Newton's steps on the log-odds of that chance, which are nearly a straight line in the shift;
    a step that leaves what is known to hold the root halves it instead.
    """
    own = np.where(inside, odds[:, is_own].sum(axis=1), 0.0)
    others = 1.0 + odds[:, ~is_own].sum(axis=1)
    wanted = np.clip(probability, _SMALLEST_CHANCE, 1.0 - _SMALLEST_CHANCE)
    target = np.log(wanted) - np.log1p(-wanted)
    low, high = np.full_like(wanted, -_FAR), np.full_like(wanted, _FAR)
    shift = np.zeros_like(wanted)
    is_asked = inside.any(axis=1)
    # Newton inside a bracket: where a step leaves the bracket it is halved instead, so that flat
    # ends of the curve cannot throw the search away.
    for _ in range(_STEPS):
        reached, slope = _reached(own * np.exp(shift)[..., None], others)
        is_short = reached < wanted
        low, high = np.where(is_short, shift, low), np.where(is_short, high, shift)
        with np.errstate(divide="ignore", invalid="ignore"):
            missing = target - np.log(reached) + np.log1p(-reached)
            step = missing * reached * (1.0 - reached) / slope
        following = shift + step
        is_inside = (following >= low) & (following <= high) | (np.abs(step) < _SHORT_STEP)
        following = np.where(is_inside, following, 0.5 * (low + high))
        is_found = np.abs(following - shift) < _SHORT_STEP
        shift = following
        if is_found[:, is_asked].all():
            break
    return shift


def _reached(own: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Chance of the own causes over all periods and its slope in the log of their odds, arrays of
    shape (n_draws, n_rows).

    A hazard h of them grows by h (1 - h), and whoever it takes is not there for the next.
    """
    reached, slope = np.zeros(own.shape[:2]), np.zeros(own.shape[:2])
    survival, gone = np.ones(own.shape[:2]), np.zeros(own.shape[:2])
    for number in range(own.shape[2]):
        hazard = own[..., number] / (others[..., number] + own[..., number])
        now = survival * hazard
        reached += now
        slope += now * (1.0 - hazard - gone)
        gone += hazard
        survival *= 1.0 / (others[..., number] + own[..., number])
    return reached, slope


def chunks(size: int, most: int = 500) -> Iterator[slice]:
    """Slices of at most `most` rows, so that replicates of many accounts never lie in memory
    together.
    """
    return (slice(start, min(start + most, size)) for start in range(0, size, most))
