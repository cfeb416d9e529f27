"""The truth: the probability of leaving given everything that is so on a date, known to the
simulator only.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.simulate import hazards
from pipeline.simulate import parameters as p
from pipeline.simulate.state import DayDraws, State, WorldRules, step

Floats = NDArray[np.float64]

_AT_ONCE = 60_000
"""Account-replicates simulated together: bounds memory."""


@dataclass(frozen=True)
class WorldState:
    """The full state of some accounts at 00:00 of a day, and the rules in force then.

    A competitor who enters later is not part of the state: nobody could know.
    """

    day: int
    state: State
    rules: WorldRules


def true_probability(
    world_state: WorldState, horizon_days: int, replicates: int, generator: np.random.Generator
) -> Floats:
    """Probability that coverage ends for good inside `[as_of, as_of + horizon_days)`.

    Each replicate runs the days of the horizon with fresh randomness, bad releases included. Nobody
    decides to leave in it; instead the daily hazards of decisions that would end inside the horizon
    are multiplied up, which has the same mean as letting them decide and far less noise
    (conditional expectation).

    Parameters
    ----------
    world_state
        The full state at the as-of date.

    Returns
    -------
    array of shape (n_accounts,)
        NaN for accounts that are not customers on the date.
    """
    n = world_state.state.size
    customers = np.flatnonzero(world_state.state.is_customer(world_state.day))
    result = np.full(n, np.nan)
    per_part = max(1, _AT_ONCE // replicates)
    for first in range(0, len(customers), per_part):
        part = customers[first : first + per_part]
        result[part] = _leaves(
            replace(world_state, state=world_state.state.take(part)),
            horizon_days,
            replicates,
            generator,
        )
    return result


def _leaves(
    world_state: WorldState, horizon_days: int, replicates: int, generator: np.random.Generator
) -> Floats:
    """Mean over replicates of the probability of leaving, for customers."""
    first, n = world_state.day, world_state.state.size
    until = first + horizon_days
    state = world_state.state.take(np.tile(np.arange(n), replicates))
    replicate = np.repeat(np.arange(replicates), n)
    rules = replace(world_state.rules, allow_decisions=False)
    log_stays = np.zeros(n * replicates)
    for day in range(first, until):
        starts = generator.random((replicates, len(p.AREA_NAMES))) < p.WAVE_DAILY
        # The decision is taken before renewals are signed, so the end it leads to is the term's end
        # before the step.
        ends_inside = state.term_end < until
        state, seen = step(
            state, day, DayDraws.fresh(generator, starts[replicate, state.area]), rules
        )
        log_stays += np.where(ends_inside, np.log1p(-seen.hazard.astype(np.float64)), 0)
    certain = state.end_day < until  # cut off for unpaid invoices, or decided before the date
    leaves = np.where(certain, 1.0, -np.expm1(log_stays))
    return np.asarray(leaves.reshape(replicates, n).mean(axis=0))


def decision_probability(
    world_state: WorldState, replicates: int, generator: np.random.Generator
) -> Floats:
    """Probability of not renewing, did the contract come up now: how the relationship stands.

    The term's end is moved to where the window to decide begins on the date, with the price review
    that belongs to it, and a decision already made is taken back. Each replicate then runs the days
    of the window with fresh randomness, as `true_probability` does. Unpaid invoices end customers
    at any time, and are no part of it.

    Parameters
    ----------
    world_state
        The full state at the as-of date.

    Returns
    -------
    array of shape (n_accounts,)
        NaN for accounts that are not customers on the date.
    """
    state, day = world_state.state, world_state.day
    result = np.full(state.size, np.nan)
    customers = np.flatnonzero(state.is_customer(day))
    asked = state.take(customers)
    end = day + p.DECIDE_FROM[asked.term]
    never = np.full(asked.size, p.NEVER, dtype=np.int64)
    asked = replace(
        asked,
        term_end=end,
        # A rise that was due at the end of the term is due at this one.
        last_price_day=asked.last_price_day + end - asked.term_end,
        signed=np.zeros(asked.size, dtype=np.bool_),
        decided=np.zeros(asked.size, dtype=np.bool_),
        notice_day=never,
        end_day=never,
    )
    rules = replace(world_state.rules, allow_decisions=False)
    per_part = max(1, _AT_ONCE // replicates)
    for first in range(0, asked.size, per_part):
        part = np.arange(first, min(first + per_part, asked.size))
        result[customers[part]] = _not_renewed(asked.take(part), day, rules, replicates, generator)
    return result


def _not_renewed(
    state: State, first: int, rules: WorldRules, replicates: int, generator: np.random.Generator
) -> Floats:
    """Mean over replicates of the probability of deciding against the term that comes up."""
    n, end = state.size, np.tile(state.term_end, replicates)
    state = state.take(np.tile(np.arange(n), replicates))
    replicate = np.repeat(np.arange(replicates), n)
    log_stays = np.zeros(n * replicates)
    for day in range(first, first + int((p.DECIDE_FROM - p.DECIDE_UNTIL).max()) + 1):
        starts = generator.random((replicates, len(p.AREA_NAMES))) < p.WAVE_DAILY
        # A monthly customer's next term begins while a yearly one still makes up its mind.
        is_asked = state.term_end == end
        state, seen = step(
            state, day, DayDraws.fresh(generator, starts[replicate, state.area]), rules
        )
        log_stays += np.where(is_asked, np.log1p(-seen.hazard.astype(np.float64)), 0)
    leaves = -np.expm1(log_stays)
    return np.asarray(leaves.reshape(replicates, n).mean(axis=0))


def decision_rows(
    world_state: WorldState,
    account_id: NDArray[np.str_],
    as_of: date,
    replicates: int,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """One row per customer of a date: account_id, as_of, probability (of not renewing, did the
    contract come up now), has_decided.
    """
    state = world_state.state
    probability = decision_probability(world_state, replicates, generator)
    rows = np.flatnonzero(state.is_customer(world_state.day))
    return pd.DataFrame(
        {
            "account_id": account_id[rows],
            "as_of": np.full(len(rows), np.datetime64(as_of, "us")),
            "probability": probability[rows],
            "has_decided": state.decided[rows],
        }
    )


TROUBLES = (
    "champion_lost",
    "bug_trouble",
    "payment_trouble",
    "low_value_fit",
    "price_rise",
    "unobserved",
)


def troubles(state: State, day: int) -> dict[str, NDArray[np.bool_]]:
    """Planted troubles that are active on a day, one flag per account and name in `TROUBLES`."""
    return {
        "champion_lost": state.champion_absent > 0,
        "bug_trouble": state.bug > 0.6,
        "payment_trouble": state.trouble,
        "low_value_fit": state.fit < -0.8,
        "price_rise": hazards.price_pressure(state, day) >= 0.05,
        "unobserved": state.budget_left > 0,
    }


def truth_rows(
    world_state: WorldState,
    account_id: NDArray[np.str_],
    as_of: date,
    replicates: int,
    generator: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables about the customers of a date.

    Returns
    -------
    churn
        account_id; as_of; probability (of leaving within 90 days); notice_known (notice was given
        before the date: such rows are band `leaving` and outside metrics).
    drivers
        account_id; as_of; one flag per name in `TROUBLES`.
    """
    state, day = world_state.state, world_state.day
    probability = true_probability(world_state, p.HORIZON_DAYS, replicates, generator)
    rows = np.flatnonzero(state.is_customer(day))
    key = {"account_id": account_id[rows], "as_of": np.full(len(rows), np.datetime64(as_of, "us"))}
    churn = pd.DataFrame(
        key | {"probability": probability[rows], "notice_known": state.notice_day[rows] < day}
    )
    active = {name: flags[rows] for name, flags in troubles(state, day).items()}
    return churn, pd.DataFrame(key | active)


def play_effects(
    world_state: WorldState, replicates: int, seed: int
) -> dict[str, dict[str, float]]:
    """True effect of each play on leaving within 90 days, were it done for every customer on the
    date.

    The same random draws with and without the play: the difference is the play's alone.
    """
    state, day = world_state.state, world_state.day
    free = np.flatnonzero(state.is_customer(day) & (state.notice_day >= day))
    state = state.take(free)
    never = np.full(state.size, p.NEVER)
    untreated = replace(
        state, effect_from=never, effect_until=never, last_play=np.full(state.size, day)
    )
    plain = true_probability(
        replace(world_state, state=untreated),
        p.HORIZON_DAYS,
        replicates,
        np.random.default_rng(seed),
    )
    effects = {}
    for name, effect in zip(p.PLAY_NAMES, p.PLAY_EFFECT, strict=True):
        treated = replace(
            untreated,
            effect=np.full(state.size, effect),
            effect_from=np.full(state.size, day),
            effect_until=np.full(state.size, day + p.PLAY_LASTS_DAYS),
        )
        shown = true_probability(
            replace(world_state, state=treated),
            p.HORIZON_DAYS,
            replicates,
            np.random.default_rng(seed),
        )
        effects[name] = {
            "log_hazard": round(float(effect), 4),
            "lasts_days": float(p.PLAY_LASTS_DAYS),
            "probability_without": float(plain.mean()),
            "probability_with": float(shown.mean()),
            "risk_difference_90d": float((shown - plain).mean()),
        }
    return effects
