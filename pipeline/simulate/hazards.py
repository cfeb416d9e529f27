"""What drives leaving and growing: log hazards as sums of named factors."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import parameters as p

if TYPE_CHECKING:
    from pipeline.simulate.state import State

Floats = NDArray[np.float32]


def champion_gap(state: "State") -> Floats:
    """How much a missing champion is felt, 0-1."""
    return np.asarray(
        np.minimum(state.champion_absent / np.float32(p.CHAMPION_GAP_DAYS), 1), dtype=np.float32
    )


def price_pressure(state: "State", day: int) -> Floats:
    """The rise that is announced for the next renewal or was felt lately, as a share of the
    price.
    """
    announced = (state.term_end - day) <= p.PRICE_NOTICE_LEAD[state.term]
    return (
        np.where(announced & price_due(state), state.pending_uplift, 0).astype(np.float32)
        + state.price_pain
    )


def price_due(state: "State") -> NDArray[np.bool_]:
    """Whether the next renewal is one at which prices may rise: at most once a year."""
    return np.asarray(state.term_end - state.last_price_day >= p.PRICE_EVERY_DAYS)


def factors(state: "State", day: int) -> dict[str, Floats]:
    """Named parts of the log hazard of deciding to leave, each of shape (n_accounts,).

    `low_use` and `bad_mood` carry what earlier troubles did; the others act directly. Payment
    trouble is not among them: it ends customers through unpaid invoices (see `state.step`).
    """
    age = np.maximum(day - state.start_day, 0).astype(np.float32)
    return {
        "low_use": p.WEIGHT_LOW_USE * (p.USE_LOGIT_MEAN - state.use),
        "low_value_fit": -p.WEIGHT_LOW_FIT * state.fit,
        "bad_mood": -p.WEIGHT_BAD_MOOD * state.mood,
        "champion_lost": p.WEIGHT_CHAMPION_LOST * champion_gap(state),
        "bug_trouble": p.WEIGHT_BUG * np.minimum(state.bug, 2),
        "price_rise": p.WEIGHT_PRICE * price_pressure(state, day),
        "unobserved": p.WEIGHT_BUDGET_CUT * (state.budget_left > 0).astype(np.float32),
        "young": p.WEIGHT_YOUNG * np.exp(-age / 150),
        "small": -p.WEIGHT_SMALL * np.log(state.seats / np.float32(10)),
    }


def pressure(state: "State", day: int) -> Floats:
    """Sum of the factors on a day, shape (n_accounts,)."""
    return np.asarray(sum(factors(state, day).values()))


def play_effect(state: "State", day: int) -> Floats:
    """What a play takes off the log hazard while it lasts."""
    lasts = (state.effect_from <= day) & (day < state.effect_until)
    return np.asarray(np.where(lasts, state.effect, 0))


def may_decide(state: "State", day: int) -> NDArray[np.bool_]:
    """Customers inside the part of their term in which leaving is considered."""
    left = state.term_end - day
    inside = (left <= p.DECIDE_FROM[state.term]) & (left >= p.DECIDE_UNTIL[state.term])
    return np.asarray(inside & state.is_customer(day) & ~state.decided & ~state.signed)


def daily_probability(state: "State", day: int, base: float, *, remembers: bool = False) -> Floats:
    """Probability of deciding to leave on this day; zero outside the window to decide.

    Parameters
    ----------
    remembers
        Whether what drives leaving is the memory of the last months, not the day alone.
    """
    driven_by = state.burden if remembers else pressure(state, day)
    total = base + (driven_by + play_effect(state, day))
    hazard = np.minimum(p.TERM_SCALE[state.term] * np.exp(total), p.LARGEST_HAZARD)
    return np.where(may_decide(state, day), hazard, 0).astype(np.float32)


def daily_expansion(state: "State", day: int) -> Floats:
    """Probability of buying seats on this day: steep in how much of the seats is in use."""
    pressure = 1 / (1 + np.exp(-3.5 * (state.use - (p.USE_LOGIT_MEAN + 0.9))))
    inside = (day >= state.term_start + 3) & (state.term_end - day > 8)
    settled = inside & (day - state.last_change > p.SMALLEST_CHANGE_GAP_DAYS)
    open_to = (
        state.is_customer(day)
        & ~state.decided
        & ~state.signed
        & ~state.trouble
        & (state.budget_left == 0)
    )
    return np.where(settled & open_to, p.EXPAND_DAILY * pressure, 0).astype(np.float32)


def contraction_at_renewal(state: "State") -> Floats:
    """Probability of giving seats back at a renewal that happens."""
    slack = 1 / (1 + np.exp(3.0 * (state.use - (p.USE_LOGIT_MEAN - 0.7))))
    pressed = np.where(state.budget_left > 0, 1.6, 1.0)
    return np.asarray(
        np.minimum(p.CONTRACT_AT_RENEWAL[state.term] * slack * pressed, 0.9), dtype=np.float32
    )
