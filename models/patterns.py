"""What accounts with the event have in common: found on earlier dates, checked on later ones.

A trait is one end of a signal ("active on at most 3 of the last 28 days"), its cut fixed on the
earlier dates. Each account that had the event counts once, however many dates saw it coming: its
rows share a weight of 1. It is compared with the accounts of the same date that did not have it, so
that season and growth of the portfolio cancel:

    share_event  mean over accounts with the event of having the trait
    share_other  mean over the same dates of the share of the other accounts that have it
    ratio        odds of share_event over odds of share_other: how many times as often accounts with
        the trait have the
                 event (with others drawn at the event's date the odds ratio is the ratio of rates
                 [Prentice1978])

Looking at some 700 traits finds dozens by chance, so three guards stand between a trait and the
page: the false discovery rate over all traits looked at [Benjamini1995]; traits of the same
accounts told as one pattern; and the later dates, which chose nothing and decide whether it held.
Errors are by account: all rows of an account are one observation.

References
----------
[Benjamini1995] Controlling the false discovery rate, procedure (1).
[Prentice1978] Retrospective studies and failure time models, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from features.definition import Signal
from features.errors import ContractError
from models.dataset import TrainingSet
from models.drivers import signal_words
from models.drivers.twins import CORRELATED_ROWS
from models.intervals import REPLICATES, wilson
from models.methods.base import Floats
from models.metrics import Estimate, account_weights, estimate

Side = Literal["low", "high"]
Verdict = Literal["confirmed", "same_way", "not_confirmed", "too_few"]

FALSE_DISCOVERIES = 0.05
"""False discovery rate on the earlier dates, and again among what they found on the later ones."""
FEWEST_EARLIER, FEWEST_LATER = 20, 10
"""Accounts with the event that a trait needs on the earlier and on the later dates."""
FEWEST_EXPECTED = 5.0
"""Accounts with the event expected to have the trait, and not to have it, were it chance: below, a
test says nothing.
"""
TAIL, THINNEST, THICKEST = 0.2, 0.03, 0.5
"""A trait is the end of a signal nearest to a fifth of the rows; thinner is rare, thicker is the
rule.
"""
OVERLAP = 0.4
"""Correlation of two traits over the rows from which they are the same accounts, and so one
pattern.
"""
THREADS, TOGETHER = 5, 2
"""Patterns that the thread counts, and how many of them an account must show."""
_BLOCK = 64


@dataclass(frozen=True)
class Trait:
    """One end of a signal: `value <= cut` (low) or `value >= cut` (high). `is_end`: no value lies
    beyond the cut.
    """

    place: int
    side: Side
    cut: float
    is_end: bool


@dataclass(frozen=True)
class Effect:
    """A trait in one period; `ratio` with the ends of its 95% interval.

    `p_value` is two-sided; `q_value` its false discovery rate, on the later dates that of the
    one-sided test. The interval resamples accounts; where few accounts with the event have the
    trait, or few lack it, resampling says too little, so it is never narrower than Wilson's for as
    many trials as accounts with the event.
    """

    event_accounts: float
    share_event: float
    share_other: float
    ratio: float
    ratio_low: float
    ratio_high: float
    p_value: float
    q_value: float


@dataclass(frozen=True)
class Pattern:
    """A trait that separated accounts on the earlier dates, and what the later ones say of it.

    `also` are weaker traits of much the same accounts, told with it.
    """

    column: str
    driver: str
    dimension: str
    words: str
    side: Side
    cut: float
    is_more: bool
    """Accounts with the trait have the event more often."""
    is_clock: bool
    also: tuple[str, ...]
    found: Effect
    later: Effect | None
    verdict: Verdict


@dataclass(frozen=True)
class Thread:
    """Accounts with `TOGETHER` or more of the first patterns, on the later dates, which chose none
    of them.
    """

    patterns: tuple[str, ...]
    together: int
    effect: Effect


@dataclass(frozen=True)
class Patterns:
    """All that was found, the strongest first, and how much was looked at."""

    patterns: tuple[Pattern, ...]
    thread: Thread | None
    signals: int
    tested: int
    passed: int
    """Traits within the false discovery rate, before those of the same accounts were joined."""
    earlier_dates: tuple[pd.Timestamp, ...]
    later_dates: tuple[pd.Timestamp, ...]
    earlier_events: int
    later_events: int
    earlier_accounts: int
    later_accounts: int

    def of(self, *, is_more: bool) -> tuple[Pattern, ...]:
        """Patterns of one direction."""
        return tuple(each for each in self.patterns if each.is_more == is_more)


def find_patterns(rows: TrainingSet, *, currency: str = "", seed: int = 0) -> Patterns:
    """Patterns of the rows before the untouched test, checked on the test.

    Rows whose label was not complete at the first test date take no part: their outcome lies among
    those of the test.

    Raises
    ------
    ContractError
        The rows hold no test, or too few accounts with the event to look for anything.
    """
    is_test = rows.keys["is_test"].to_numpy(dtype=bool)
    if not is_test.any():
        raise ContractError(
            "there are no test dates to check patterns on; declare [targets.test] and run `tenure"
            " features`."
        )
    begins = rows.keys.loc[is_test, "as_of"].min()
    early = rows.rows(~is_test & (rows.keys["label_until"] <= begins).to_numpy())
    late = rows.rows(is_test)
    earlier, later = _Period.of(early), _Period.of(late)
    if earlier.events < FEWEST_EARLIER:
        raise ContractError(
            f"{earlier.events} accounts had the event before the test; at least {FEWEST_EARLIER}"
            " are needed to find what they have in common. Wait for more, or start the dates"
            " earlier."
        )
    traits = candidate_traits(early.features, rows.signals)
    screened = _screen(early, earlier, traits, FEWEST_EARLIER)
    tested = np.flatnonzero(~np.isnan(screened.z))
    q = np.full(len(traits), np.nan)
    q[tested] = benjamini_hochberg(2.0 * ndtr(-np.abs(screened.z[tested])))
    passed = np.flatnonzero(q <= FALSE_DISCOVERIES)
    joined = _joined(passed, screened, traits, early)
    chosen = list(joined)
    effects = _effects(
        early, earlier, [traits[i] for i in chosen], screened.rows(chosen), q[chosen], seed
    )
    also = [
        tuple(
            trait_words(rows.signals[traits[i].place], traits[i], currency) for i in joined[leader]
        )
        for leader in chosen
    ]
    patterns = _checked(
        rows.signals, [traits[i] for i in chosen], also, effects, late, later, currency, seed
    )
    return Patterns(
        patterns,
        _thread(patterns, rows.signals, late, later, seed),
        len(rows.signals),
        len(tested),
        len(passed),
        _dates(early),
        _dates(late),
        earlier.events,
        later.events,
        early.keys["account_id"].nunique(),
        late.keys["account_id"].nunique(),
    )


def _dates(rows: TrainingSet) -> tuple[pd.Timestamp, ...]:
    return tuple(pd.Timestamp(each) for each in sorted(rows.keys["as_of"].unique()))


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Return q-values: the smallest false discovery rate at which each test passes, shape as given.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.005])).tolist()
    [0.02, 0.04, 0.04, 0.02]
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * count / np.arange(1, count + 1)
    q = np.empty(count)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def candidate_traits(features: pd.DataFrame, signals: Sequence[Signal]) -> list[Trait]:
    """Both ends of every signal that has any; frequency ranks have no ends, their order means
    nothing.
    """
    traits: list[Trait] = []
    for place, signal in enumerate(signals):
        values = features[signal.column].to_numpy(dtype=np.float64)
        values = values[~np.isnan(values)]
        if signal.unit == "rank" or not len(values):
            continue
        seen, counts = np.unique(values, return_counts=True)
        for side, shares, beyond in (
            ("low", np.cumsum(counts) / len(values), 0),
            ("high", np.cumsum(counts[::-1])[::-1] / len(values), len(seen) - 1),
        ):
            allowed = np.flatnonzero((shares >= THINNEST) & (shares <= THICKEST))
            if len(allowed):
                best = int(allowed[np.argmin(np.round(np.abs(shares[allowed] - TAIL), 9))])
                traits.append(Trait(place, side, float(seen[best]), best == beyond))  # type: ignore[arg-type]
    return traits


def trait_words(signal: Signal, trait: Trait, currency: str = "") -> str:
    """A trait as people say it: the card's phrase with `at most`, `at least`, `down 40% or more`.

    Examples
    --------
    >>> card = Signal("tickets_28d", "tickets", "support", "support_tickets", "tickets opened",
    ...               "tickets", "{value} tickets in the last {days} days", 28)
    >>> trait_words(card, Trait(0, "high", 4.0, False))
    'At least 4 tickets in the last 28 days'
    >>> trait_words(card, Trait(0, "low", 1.0, False))
    'At most 1 ticket in the last 28 days'
    """
    spoken = signal_words(signal, trait.cut, currency=currency)
    if signal.unit == "yes" or (trait.is_end and signal.unit != "change"):
        return spoken
    if "{value}" not in signal.phrase:
        return spoken
    if signal.unit == "tone":
        return f"{spoken} or {'worse' if trait.side == 'low' else 'better'}"
    if signal.unit == "change" and trait.cut == 0:
        return f"{spoken}, or {'down' if trait.side == 'low' else 'up'}"
    if signal.unit == "change" and abs(trait.cut) >= 1.0 - 1e-12:
        return spoken  # from nothing or to nothing: there is no more and no less
    is_at_most = trait.side == "low"
    if signal.unit == "change":
        # "down 40% or more" is of the size of the change, whatever its direction.
        limit = f"{{value}} or {'more' if (trait.cut < 0) == is_at_most else 'less'}"
        return signal_words(signal, trait.cut, currency=currency, limit=limit)
    if (signal.below and trait.cut < 0) or (signal.inverse and 0 < trait.cut < 1):
        # "Paid -2 days after" is said as "paid 2 days before": fewer becomes more.
        is_at_most = not is_at_most
    limit = f"at {'most' if is_at_most else 'least'} {{value}}"
    return signal_words(signal, trait.cut, currency=currency, limit=limit)


# --- periods and sums
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Period:
    """Rows of one period by role; each account with the event has weight 1 over its event rows."""

    account: NDArray[np.intp]
    date: NDArray[np.intp]
    event_rows: NDArray[np.intp]
    weight: Floats
    other_rows: tuple[NDArray[np.intp], ...]
    """Rows without the event, per date."""

    @property
    def events(self) -> int:
        """Accounts with the event."""
        return len(np.unique(self.account[self.event_rows]))

    @classmethod
    def of(cls, rows: TrainingSet) -> "_Period":
        account = pd.factorize(rows.keys["account_id"], sort=True)[0].astype(np.intp)
        date = pd.factorize(rows.keys["as_of"], sort=True)[0].astype(np.intp)
        event = np.flatnonzero(rows.labels == 1)
        times = np.bincount(account[event], minlength=1)
        others = tuple(
            np.flatnonzero((rows.labels == 0) & (date == d))
            for d in range(int(date.max(initial=-1)) + 1)
        )
        return cls(account, date, event, 1.0 / times[account[event]], others)


@dataclass(frozen=True, eq=False)
class _Screened:
    """Exposures of traits and their test, each of shape (n_traits,); z is NaN where a test says
    nothing.
    """

    events: Floats
    share_event: Floats
    share_other: Floats
    z: Floats

    def rows(self, places: Sequence[int]) -> "_Screened":
        at = np.asarray(places, dtype=np.intp)
        return _Screened(self.events[at], self.share_event[at], self.share_other[at], self.z[at])


def _has(features: pd.DataFrame, traits: Sequence[Trait]) -> Floats:
    """1 or 0 where a row has the trait, NaN where its signal has no value; shape (n_rows,
    n_traits).
    """
    values = features.to_numpy(dtype=np.float64)[:, [t.place for t in traits]]
    cuts, is_low = (
        np.array([t.cut for t in traits]),
        np.array([t.side == "low" for t in traits], dtype=bool),
    )
    return np.where(np.isnan(values), np.nan, np.where(is_low, values <= cuts, values >= cuts))


def _screen(rows: TrainingSet, period: _Period, traits: Sequence[Trait], fewest: int) -> _Screened:
    """The test of every trait, some at a time."""
    parts = [
        _exposures(_has(rows.features, traits[start : start + _BLOCK]), period, fewest)
        for start in range(0, len(traits), _BLOCK)
    ]
    return _Screened(
        *(
            np.concatenate([getattr(part, name) for part in parts] or [np.empty(0)])
            for name in ("events", "share_event", "share_other", "z")
        )
    )


def _exposures(has: Floats, period: _Period, fewest: int) -> _Screened:
    """Shares and their test; the error sums the influence of each account, as event and as
    comparison, before squaring.

    Where the shares hardly vary (nobody with the event has the trait) the influence says nothing,
    so the error is at least the binomial one of chance.
    """
    filled, known = np.nan_to_num(has), (~np.isnan(has)).astype(np.float64)
    other_share = np.full((len(period.other_rows), has.shape[1]), np.nan)
    for date, others in enumerate(period.other_rows):
        count = known[others].sum(axis=0)
        other_share[date] = np.divide(
            filled[others].sum(axis=0), count, out=other_share[date], where=count > 0
        )
    beside = other_share[period.date[period.event_rows]]
    counted = period.weight[:, None] * known[period.event_rows] * ~np.isnan(beside)
    events = counted.sum(axis=0)
    share = counted / np.where(events > 0, events, np.nan)
    beside = np.nan_to_num(beside)
    share_event = (share * filled[period.event_rows]).sum(axis=0)
    share_other = (share * beside).sum(axis=0)
    gap = share_event - share_other
    accounts = int(period.account.max(initial=-1)) + 1
    of_event, of_other = np.zeros((accounts, has.shape[1])), np.zeros((accounts, has.shape[1]))
    np.add.at(
        of_event,
        period.account[period.event_rows],
        share * (filled[period.event_rows] - beside - gap),
    )
    at_date = period.date[period.event_rows]
    for date, others in enumerate(period.other_rows):
        count = known[others].sum(axis=0)
        pull = share[at_date == date].sum(axis=0) / np.where(count > 0, count, np.nan)
        # An account has one row per date, so plain addition counts it.
        of_other[period.account[others]] -= (
            np.nan_to_num(pull) * known[others] * (filled[others] - other_share[date])
        )
    variance = ((of_event + of_other) ** 2).sum(axis=0)
    by_chance = share_other * (1.0 - share_other) / np.where(events > 0, events, np.nan) + (
        of_other**2
    ).sum(axis=0)
    # The rarer side decides whether the normal law holds.
    expected = events * np.minimum(share_other, 1.0 - share_other)
    with np.errstate(invalid="ignore", divide="ignore"):
        # With few events the estimated variance can be far too small by luck; that of pure
        # chance is its floor.
        z = gap / np.sqrt(np.maximum(variance, by_chance))
    return _Screened(
        events,
        share_event,
        share_other,
        np.where((events >= fewest) & (expected >= FEWEST_EXPECTED), z, np.nan),
    )


def _ratio(share_event: Any, share_other: Any, events: Any) -> Any:
    """Odds ratio, half an account added to each side of the event's odds so that it stays
    finite.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        odds = (events * share_event + 0.5) / (events * (1.0 - share_event) + 0.5)
        return odds * (1.0 - share_other) / share_other


def _ratio_intervals(
    has: Floats, period: _Period, accounts: "pd.Series[str]", seed: int
) -> list[Estimate]:
    """Ratios of traits over resamples of accounts."""
    filled, known = np.nan_to_num(has), (~np.isnan(has)).astype(np.float64)
    drawn: list[Floats] = []
    for times in account_weights(accounts, seed=seed, replicates=REPLICATES):
        event_times = times[:, period.event_rows] * period.weight
        with np.errstate(invalid="ignore", divide="ignore"):
            events = event_times @ known[period.event_rows]
            share_event = event_times @ filled[period.event_rows] / events
            share_other = np.zeros(events.shape)
            for date, others in enumerate(period.other_rows):
                mine = period.date[period.event_rows] == date
                part = event_times[:, mine] @ known[period.event_rows[mine]] / events
                count = times[:, others] @ known[others]
                share_other += np.where(
                    part > 0, part * (times[:, others] @ filled[others]) / count, 0.0
                )
            drawn.append(_ratio(share_event, share_other, events))
    every = np.concatenate(drawn)
    return [estimate(0.0, every[:, place]) for place in range(has.shape[1])]


def _effects(
    rows: TrainingSet,
    period: _Period,
    traits: Sequence[Trait],
    screened: _Screened,
    q: Floats,
    seed: int,
) -> list[Effect]:
    """Effects with intervals; p-values two-sided."""
    if not traits:
        return []
    return _effects_of(_has(rows.features, traits), rows, period, screened, q, seed)


def _effects_of(
    has: Floats, rows: TrainingSet, period: _Period, screened: _Screened, q: Floats, seed: int
) -> list[Effect]:
    ratio = _ratio(screened.share_event, screened.share_other, screened.events)
    effects = []
    for i, drawn in enumerate(_ratio_intervals(has, period, rows.keys["account_id"], seed)):
        events, share, other = (
            float(each[i]) for each in (screened.events, screened.share_event, screened.share_other)
        )
        low, high = (
            float(_ratio(end, other, events))
            for end in wilson(min(max(share, 0.0), 1.0), round(events))
        )
        effects.append(
            Effect(
                events,
                share,
                other,
                float(ratio[i]),
                min(drawn.low, low),
                max(drawn.high, high),
                float(2.0 * ndtr(-abs(screened.z[i]))),
                float(q[i]),
            )
        )
    return effects


# --- choosing and checking
# ------------------------------------------------------------------------------------


def _joined(
    passed: NDArray[np.intp], screened: _Screened, traits: Sequence[Trait], early: TrainingSet
) -> dict[int, list[int]]:
    """Leading trait -> weaker ones of much the same accounts, the strongest first; one trait per
    driver and direction.
    """
    order = sorted(passed.tolist(), key=lambda i: (-round(abs(float(screened.z[i])), 9), i))
    alike = _overlaps(early.features, [traits[i] for i in order])
    members: dict[int, list[int]] = {}
    spoken: set[tuple[str, str, bool]] = set()
    for place, trait in enumerate(order):
        signal, more = early.signals[traits[trait].place], bool(screened.z[trait] > 0)
        if (signal.dimension, signal.driver, more) in spoken:
            continue
        spoken.add((signal.dimension, signal.driver, more))
        leaders = [each for each in members if bool(screened.z[each] > 0) == more]
        nearest = max(leaders, key=lambda each: alike[place, order.index(each)], default=None)
        if nearest is not None and alike[place, order.index(nearest)] >= OVERLAP:
            members[nearest].append(trait)
        else:
            members[trait] = []
    return members


def _overlaps(features: pd.DataFrame, traits: Sequence[Trait]) -> Floats:
    """Correlation of traits over the rows, a missing value counted as the mean; rounded, so that no
    threshold hangs on bits.
    """
    step = -(-len(features) // CORRELATED_ROWS)
    has = _has(features.iloc[:: max(1, step)], traits)
    if not traits:
        return np.empty((0, 0))
    centred = np.nan_to_num(has - np.nanmean(has, axis=0))
    # A trait that everybody has correlates with nothing; the floor below only avoids 0/0.
    size = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(
        np.round(centred.T @ centred / np.maximum(np.outer(size, size), 1e-12), 6), dtype=np.float64
    )


def _checked(
    signals: Sequence[Signal],
    traits: Sequence[Trait],
    also: Sequence[tuple[str, ...]],
    discovered: Sequence[Effect],
    late: TrainingSet,
    later: _Period,
    currency: str,
    seed: int,
) -> tuple[Pattern, ...]:
    """The patterns with what the later dates say: a one-sided test in the direction found, again
    with a false discovery rate.
    """
    if not traits:
        return ()
    screened = _screen(late, later, traits, FEWEST_LATER)
    is_more = np.array(
        [effect.share_event > effect.share_other for effect in discovered], dtype=bool
    )
    judged = np.flatnonzero(~np.isnan(screened.z))
    q = np.full(len(traits), np.nan)
    q[judged] = benjamini_hochberg(ndtr(np.where(is_more, -screened.z, screened.z)[judged]))
    effects = _effects(late, later, traits, screened, q, seed)
    patterns = []
    for trait, told_with, early, after, more in zip(
        traits, also, discovered, effects, is_more, strict=True
    ):
        signal = signals[trait.place]
        patterns.append(
            Pattern(
                column=signal.column,
                driver=signal.driver,
                dimension=signal.dimension,
                words=trait_words(signal, trait, currency),
                side=trait.side,
                cut=trait.cut,
                is_more=bool(more),
                is_clock=signal.is_clock,
                also=told_with,
                found=early,
                later=None if np.isnan(after.q_value) else after,
                verdict=_verdict(after, more=bool(more)),
            )
        )
    return tuple(patterns)


def _verdict(later: Effect, *, more: bool) -> Verdict:
    if np.isnan(later.q_value):
        return "too_few"
    if (later.share_event > later.share_other) != more:
        return "not_confirmed"
    return "confirmed" if later.q_value <= FALSE_DISCOVERIES else "same_way"


def _thread(
    patterns: Sequence[Pattern],
    signals: Sequence[Signal],
    late: TrainingSet,
    later: _Period,
    seed: int,
) -> Thread | None:
    """How many accounts show several of the strongest patterns that are no clocks; None where there
    are fewer than two.
    """
    first = [each for each in patterns if each.is_more and not each.is_clock][:THREADS]
    if len(first) < TOGETHER or later.events < FEWEST_LATER:
        return None
    places = {signal.column: place for place, signal in enumerate(signals)}
    traits = [Trait(places[each.column], each.side, each.cut, is_end=False) for each in first]
    together = (np.nan_to_num(_has(late.features, traits)).sum(axis=1) >= TOGETHER).astype(
        np.float64
    )[:, None]
    screened = _exposures(together, later, FEWEST_LATER)
    if np.isnan(screened.z[0]):
        return None
    p_value = 2.0 * ndtr(-np.abs(screened.z))
    effect = _effects_of(together, late, later, screened, p_value, seed)[0]
    return Thread(tuple(each.words for each in first), TOGETHER, effect)
