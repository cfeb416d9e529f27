"""What became of published scores: what they promised, what happened, and whether chance explains
the difference.

Two things are judged apart, because other things mend them:

    the level     as many left as the published probabilities add up to; `recalibrate` corrects it
    the ranking   those that left were ranked before those that stayed; only another training
        corrects it

Chance: accounts leave independently of each other, each with the probability published for it, so
the number that leaves has a Poisson-binomial distribution. An account scored on several dates has
one fate: in the extreme it leaves inside the windows of all its dates with a probability of p or
more, and of no other. This makes the interval wide rather than narrow where windows overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from models.intervals import FEWEST_ACCOUNTS, LEVEL, Z95, wilson
from models.methods.base import Floats
from models.metrics import auc_of_accounts

HELD, MORE, FEWER = "held", "more", "fewer"
RANKED, NOT_RANKED, TOO_FEW = "ranked", "not_ranked", "too_few"
LEAVERS_TO_RANK = 10
"""With fewer accounts that left, a ranking cannot be judged, and only a large error of the level
would show.
"""
ALARM_BANDS, CALM_BANDS = ("at_risk", "high"), ("healthy", "low")
_EXACT_UNTIL_SD = 20.0
"""Above this standard deviation the normal curve is within an account of the exact distribution."""
_CELLS = 1_000_000


@dataclass(frozen=True)
class Tally:
    """Some scores: what they promised and how many left.

    `scores` and `left` count an account once for each date, `accounts` and `left_accounts` once.
    `promised` is the sum of published probabilities and `chance_low` to `chance_high` what chance
    alone makes of it in 95 of 100 cases; None where no probability was published. The interval of
    the rate is Wilson's for as many trials as accounts; None under 30 accounts, of which counts say
    more.
    """

    scores: int
    accounts: int
    left: int
    left_accounts: int
    promised: float | None
    chance_low: int | None
    chance_high: int | None
    rate: float | None
    rate_low: float | None
    rate_high: float | None

    @property
    def verdict(self) -> str:
        """`held`, `more` or `fewer` left than promised; empty where nothing was promised."""
        if self.chance_low is None or self.chance_high is None:
            return ""
        return (
            FEWER if self.left < self.chance_low else MORE if self.left > self.chance_high else HELD
        )


@dataclass(frozen=True)
class NotJudged:
    """Published accounts that no promise speaks of, or whose outcome cannot be told; counted, never
    judged.
    """

    reason: str
    accounts: int
    left: int


@dataclass(frozen=True)
class Record:
    """What became of the scores of one run, or of several.

    `auc` is None with fewer than ten accounts that left (or stayed). `treated` are the judged
    scores on whose account somebody worked inside the window before it was over, `untreated` the
    others; both None where no source tells. They are part of `total`. `alarms_stayed` counts scores
    of the alarming band that did not come true, `calm_left` accounts of the calm band that left.
    """

    total: Tally
    bands: tuple[tuple[str, Tally], ...]
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    treated: Tally | None
    untreated: Tally | None
    apart: tuple[NotJudged, ...]
    alarms: int
    alarms_stayed: int
    calm: int
    calm_left: int
    is_of_decisions: bool
    """Whether alarms and calm accounts are only those whose contract came up inside the window."""

    @property
    def ranking(self) -> str:
        """`ranked` better than by chance, `not_ranked`, or `too_few` to say."""
        if self.auc_low is None:
            return TOO_FEW
        return RANKED if self.auc_low > 0.5 else NOT_RANKED


def record(rows: pd.DataFrame, bands: Sequence[str]) -> Record:
    """Judge scores whose label window is over.

    Parameters
    ----------
    rows
        Published rows with their outcome: account_id, as_of, probability (missing: none was
        published), health_exact, band, label (1 left, 0 stayed, missing: cannot be told), apart
        (why a row is not judged; empty: it is), left (whether the account left inside the window,
        told for rows apart too), treated (null where no source tells), decided_later (whether the
        contract came up only after the window, so that the account could not leave inside it).
    bands
        Names of the bands, lowest scores first.
    """
    mine = judged(rows)
    count = partial(tally, is_promised=bool(mine["probability"].notna().all()))
    value, low, high = _ranking(mine, good_event="high" in bands)
    known = mine["treated"].notna().all() and len(mine) > 0
    is_treated = mine["treated"].fillna(False).to_numpy(dtype=bool)
    # Nobody who could not leave is a false alarm, or a customer that was kept.
    could = ~mine["decided_later"].astype(bool)
    red, calm = could & mine["band"].isin(ALARM_BANDS), could & mine["band"].isin(CALM_BANDS)
    return Record(
        total=count(mine),
        bands=tuple((band, count(mine[mine["band"] == band])) for band in bands),
        auc=value,
        auc_low=low,
        auc_high=high,
        treated=count(mine[is_treated]) if known else None,
        untreated=count(mine[~is_treated]) if known else None,
        apart=_apart(rows),
        alarms=int(red.sum()),
        alarms_stayed=int((mine.loc[red, "label"] == 0).sum()),
        calm=int(calm.sum()),
        calm_left=int((mine.loc[calm, "label"] == 1).sum()),
        is_of_decisions=bool((~could).any()),
    )


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that a promise speaks of and whose outcome is known."""
    return rows[(rows["apart"] == "") & rows["label"].notna()]


def calm_leavers(rows: pd.DataFrame) -> pd.DataFrame:
    """Accounts that were published in the calm band and left."""
    mine = judged(rows)
    return mine[mine["band"].isin(CALM_BANDS) & (mine["label"] == 1)]


def tally(rows: pd.DataFrame, *, is_promised: bool = True) -> Tally:
    """Count judged scores: promised (unless the run published no probabilities), left, and what
    chance allows.
    """
    accounts, left = int(rows["account_id"].nunique()), int(rows["label"].sum())
    promised = chance_low = chance_high = rate = rate_low = rate_high = None
    if is_promised:
        probability = rows["probability"].to_numpy(dtype=np.float64)
        promised = float(probability.sum())
        chance_low, chance_high = chance_interval(by_account(rows["account_id"], probability))
    if accounts >= FEWEST_ACCOUNTS:
        rate = left / len(rows)
        rate_low, rate_high = wilson(rate, accounts)
    return Tally(
        scores=len(rows),
        accounts=accounts,
        left=left,
        left_accounts=int(rows.loc[rows["label"] == 1, "account_id"].nunique()),
        promised=promised,
        chance_low=chance_low,
        chance_high=chance_high,
        rate=rate,
        rate_low=rate_low,
        rate_high=rate_high,
    )


def by_account(accounts: "pd.Series[str]", probability: Floats) -> Floats:
    """Probabilities with one line per account, shape (n_accounts, most dates of one), largest first
    and filled up with 0.
    """
    codes, names = pd.factorize(accounts, sort=True)
    order = np.lexsort((-probability, codes))
    codes = codes[order]
    place = np.arange(len(codes)) - np.searchsorted(codes, codes, side="left")
    table = np.zeros((len(names), int(place.max(initial=0)) + 1))
    table[codes, place] = probability[order]
    return table


def chance_interval(promised: Floats) -> tuple[int, int]:
    """How many leave by chance in the middle 95 of 100 cases, both ends included.

    Parameters
    ----------
    promised
        Probabilities of each account, largest first, shape (n_accounts, n_dates).

    Notes
    -----
    Exact for a standard deviation up to 20 accounts, the normal curve with half an account of
    continuity above it.

    References
    ----------
    [Hong2013] On computing the distribution function for the Poisson binomial distribution, eq. 7:
    the distribution as the Fourier transform of its characteristic function.

    Examples
    --------
    >>> chance_interval(np.full((10, 1), 0.5))
    (2, 8)
    """
    mean, sd = _moments(promised)
    tail = (1.0 - LEVEL) / 2.0
    if sd > _EXACT_UNTIL_SD:
        # With so many leavers the counts are as good as normal; the half is the step of a count.
        reach = Z95 * sd + 0.5
        return max(0, int(np.ceil(mean - reach))), min(
            int((promised > 0).sum()), int(np.floor(mean + reach))
        )
    below = np.cumsum(_chances(promised, mean, sd))
    # The smallest counts up to which the chances reach 2.5% and 97.5%; rounding of the transform is
    # far below 1e-9.
    low, high = np.searchsorted(below, [tail - 1e-9, 1.0 - tail - 1e-9])
    return int(low), int(high)


def _moments(promised: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the number that leaves.

    An account with p1 >= p2 >= ... leaves on k dates or more with probability pk, so the mean of
    its square is the sum of pk (2k - 1).
    """
    mean = promised.sum(axis=1)
    squares = promised @ (2.0 * np.arange(1, promised.shape[1] + 1) - 1.0)
    return float(mean.sum()), float(np.sqrt(np.maximum(squares - mean**2, 0.0).sum()))


def _chances(promised: Floats, mean: float, sd: float) -> Floats:
    """Chance of each count 0, 1, 2, ...; the counts left out have none that a double would show."""
    size = int(min((promised > 0).sum(), np.ceil(mean + 12.0 * sd + 30.0))) + 1
    turn = np.exp(2j * np.pi * np.arange(size // 2 + 1) / size)
    # E[z^N] of an account is 1 + sum over k of pk (z^k - z^(k-1)).
    step = np.array([turn**k - turn ** (k - 1) for k in range(1, promised.shape[1] + 1)])
    total = np.ones(len(turn), dtype=np.complex128)
    at_once = max(1, _CELLS // len(turn))
    for start in range(0, len(promised), at_once):
        total *= np.prod(1.0 + promised[start : start + at_once] @ step, axis=0)
    return np.asarray(np.clip(np.fft.irfft(total.conj(), n=size), 0.0, 1.0), dtype=np.float64)


def _ranking(
    rows: pd.DataFrame, *, good_event: bool
) -> tuple[float, float, float] | tuple[None, None, None]:
    """AUC with its 95% interval; nothing where too few left, or too few did not."""
    left, stayed = (rows.loc[rows["label"] == each, "account_id"].nunique() for each in (1, 0))
    if min(left, stayed) < LEAVERS_TO_RANK:
        return None, None, None
    score = rows["probability"].to_numpy(dtype=np.float64)
    if np.isnan(score).any():  # a scorecard: the published score ranks
        score = rows["health_exact"].to_numpy(dtype=np.float64) * (1.0 if good_event else -1.0)
    labels = rows["label"].to_numpy(dtype=np.int8)
    auc = auc_of_accounts(labels, score, rows["account_id"].to_numpy())
    return auc.value, auc.low, auc.high


def _apart(rows: pd.DataFrame) -> tuple[NotJudged, ...]:
    counts = rows[rows["apart"] != ""].groupby("apart", sort=True)["left"].agg(["size", "sum"])
    return tuple(
        NotJudged(str(reason), int(size), int(left)) for reason, size, left in counts.itertuples()
    )
