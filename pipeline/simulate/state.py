"""The full state of every account, and one day's step.

Everything the future depends on is here, so a copy of the state on a date is enough to simulate the
truth from it. A step draws the same number of random values whatever happens, so that two worlds of
one seed differ only where their options differ.
"""

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import hazards
from pipeline.simulate import parameters as p
from pipeline.simulate.calendar_days import add_months, to_early_month

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_UNIFORMS = (
    "champion",
    "sponsor",
    "bug",
    "payment",
    "budget",
    "decide",
    "notice",
    "renewal",
    "seats",
    "uplift",
    "sign",
    "expand",
    "expand_size",
    "play",
    "play_kind",
    "play_done",
)
_NORMALS = ("use", "mood", "fit", "play_look")


@dataclass(frozen=True)
class State:
    """Arrays of shape (n_accounts,). Days are indices from the world's first day, possibly
    negative.
    """

    # What an account is.
    area: Ints
    term: Ints
    created_day: Ints
    start_day: Ints
    base_use: Floats
    susceptibility: Floats
    discount: Floats
    # How it is doing.
    fit: Floats
    use: Floats
    """Log-odds that a seat is in use on a working day."""
    mood: Floats
    bug: Floats
    wave_left: Ints
    champion_absent: Ints
    """Days without a champion; 0: present."""
    sponsor_absent: Ints
    trouble: Flags
    """Cannot pay at present."""
    budget_left: Ints
    """Days left of a cut ordered by the parent firm; no table shows it."""
    burden: Floats
    """Mean of what drives leaving over the last `memory_days`; 0 where nothing is remembered."""
    # What it bought.
    plan: Ints
    seats: Ints
    unit_price: NDArray[np.float64]
    term_start: Ints
    term_end: Ints
    signed: Flags
    """The next term is agreed."""
    next_end: Ints
    next_seats: Ints
    next_price: NDArray[np.float64]
    sign_lead: Ints
    """Days before the end on which the renewal is signed; negative: so late."""
    last_price_day: Ints
    last_change: Ints
    pending_uplift: Floats
    price_pain: Floats
    due_day: Ints
    unpaid_since: Ints
    # What was decided and tried.
    decided: Flags
    notice_day: Ints
    end_day: Ints
    """First day no longer covered."""
    effect: Floats
    effect_from: Ints
    effect_until: Ints
    last_play: Ints

    @property
    def size(self) -> int:
        """Number of accounts."""
        return len(self.term)

    def is_customer(self, day: int) -> Flags:
        """Accounts whose paid service covers the day."""
        return np.asarray((self.start_day <= day) & (day < self.end_day))

    def take(self, index: NDArray[Any]) -> "State":
        """The state of some accounts; an index may repeat."""
        return State(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class DayDraws:
    """One day's fresh randomness: a uniform or normal array per name, and where a bad release
    starts.
    """

    uniform: dict[str, Floats]
    normal: dict[str, Floats]
    wave_starts: Flags

    @staticmethod
    def fresh(generator: np.random.Generator, wave_starts: Flags) -> "DayDraws":
        """Draws for as many accounts as `wave_starts` has."""
        n = len(wave_starts)
        uniform = generator.random((len(_UNIFORMS), n), dtype=np.float32)
        normal = generator.standard_normal((len(_NORMALS), n), dtype=np.float32)
        return DayDraws(
            dict(zip(_UNIFORMS, uniform, strict=True)),
            dict(zip(_NORMALS, normal, strict=True)),
            wave_starts,
        )


@dataclass(frozen=True)
class Happenings:
    """What one day brought; flags of shape (n_accounts,)."""

    hazard: Floats
    decided: Flags
    suspended: Flags
    signed: Flags
    expanded: Flags
    price_notice: Flags
    champion_left: Flags
    champion_came: Flags
    sponsor_left: Flags
    sponsor_came: Flags
    play: Ints
    """Index of the play assigned by a CSM; -1: none."""
    play_done_day: Ints


@dataclass(frozen=True)
class WorldRules:
    """What a step needs besides state and draws."""

    first_day: date
    base: float
    """Log hazard at all factors zero, with a regime change added once it is in force."""
    memory_days: float = 0.0
    """Days over which troubles add up before customers decide by them."""
    allow_decisions: bool = True
    """False: nobody decides to leave; the hazard is reported (see `truth`)."""


def initial_state(n: int, options: p.WorldOptions, generator: np.random.Generator) -> State:
    """Accounts before the first day: a share are customers of up to five years, the others sign up
    later.
    """
    who = _who_they_are(n, options, generator)
    fit = generator.standard_normal(n, dtype=np.float32)
    base_use = generator.normal(p.USE_LOGIT_MEAN, 0.3, n).astype(np.float32)
    start, term = who["start_day"], who["term"]
    passed = np.maximum(_months_between(options.first_day, start), 0) // p.TERM_MONTHS[term]
    term_start = add_months(options.first_day, start, passed * p.TERM_MONTHS[term])
    term_end = add_months(options.first_day, term_start, p.TERM_MONTHS[term])
    absent = np.where((generator.random(n) < 0.08) & (start < 0), generator.integers(1, 90, n), 0)
    seats, plan = who["seats"], who["plan"]
    spread = np.clip(generator.normal(1, 0.06, n), 0.85, 1.2)
    zero = np.zeros(n, dtype=np.int64)
    none = np.full(n, p.NEVER, dtype=np.int64)
    calm = np.zeros(n, dtype=np.float32)
    no = np.zeros(n, dtype=np.bool_)
    price = np.round(p.PLAN_PRICE[plan] * spread, 2)
    return State(
        area=generator.integers(0, len(p.AREA_NAMES), n),
        term=term,
        created_day=who["created_day"],
        start_day=start,
        base_use=base_use,
        susceptibility=generator.gamma(2.0, 0.5, n).astype(np.float32),
        discount=np.where(generator.random(n) < 0.35, generator.integers(1, 5, n) * 0.05, 0).astype(
            np.float32
        ),
        fit=fit,
        use=(base_use + 0.55 * fit).astype(np.float32),
        mood=(0.6 * fit).astype(np.float32),
        bug=calm,
        wave_left=zero,
        champion_absent=absent,
        sponsor_absent=zero,
        trouble=no,
        budget_left=zero,
        burden=calm,
        plan=plan,
        seats=seats,
        unit_price=price,
        term_start=term_start,
        term_end=term_end,
        signed=no,
        next_end=zero,
        next_seats=seats,
        next_price=price,
        sign_lead=_sign_lead(term, generator.random(n)),
        last_price_day=np.maximum(start, term_start - generator.integers(0, 330, n)),
        last_change=term_start,
        pending_uplift=_uplift(generator.random(n)),
        price_pain=calm,
        due_day=term_start + p.DUE_DAYS[term],
        unpaid_since=none,
        decided=no,
        notice_day=none,
        end_day=none,
        effect=calm,
        effect_from=none,
        effect_until=none,
        last_play=np.full(n, -p.NEVER, dtype=np.int64),
    )


def _who_they_are(
    n: int, options: p.WorldOptions, generator: np.random.Generator
) -> dict[str, Ints]:
    """Seats, plan, term and days of opening and first paid day."""
    seats = np.clip(np.round(np.exp(generator.normal(np.log(8), 0.95, n))), 2, 600).astype(np.int64)
    plan = np.clip(
        np.searchsorted(p.PLAN_SEATS, seats, side="right") + (generator.random(n) < 0.12), 0, 2
    )
    # Large customers sign for a year, small ones by the month; ranks with noise keep the shares
    # exact.
    rank = np.argsort(np.argsort(np.log(seats) + generator.normal(0, 0.8, n))) / n
    term = np.where(rank < options.monthly_share, p.MONTHLY, p.ANNUAL)
    term[
        (rank >= options.monthly_share) & (rank < options.monthly_share + options.quarterly_share)
    ] = p.QUARTERLY
    is_old = generator.random(n) < options.existing_share
    old_start = -1 - np.floor(1825 * generator.random(n) ** 1.4).astype(np.int64)
    new_start = generator.integers(0, max(options.days - 20, 1), n)
    start = to_early_month(options.first_day, np.where(is_old, old_start, new_start))
    start = np.where(is_old, np.minimum(start, -1), np.maximum(start, 0))
    trial = np.where(generator.random(n) < 0.55, np.where(generator.random(n) < 0.6, 14, 30), 0)
    paperwork = generator.integers(1, 9, n)
    return {
        "seats": seats,
        "plan": plan.astype(np.int64),
        "term": term.astype(np.int64),
        "start_day": start,
        "created_day": start - np.where(trial > 0, trial, paperwork),
    }


def _months_between(first_day: date, start: Ints) -> Ints:
    """Whole months from `start` until the first day of the world; the first term then covers that
    day.
    """
    begin = np.datetime64(first_day, "D") + start
    whole = (np.datetime64(first_day, "M") - begin.astype("datetime64[M]")).astype(np.int64)
    too_far = add_months(first_day, start, np.maximum(whole, 0)) > 0
    return np.asarray(whole - too_far)


def _uplift(uniform: NDArray[Any]) -> Floats:
    """Price rise planned for the next yearly review: none, or 3-15%."""
    size = 0.03 + 0.12 * (uniform - p.NO_RISE_SHARE) / (1 - p.NO_RISE_SHARE)
    return np.where(uniform < p.NO_RISE_SHARE, 0, np.round(size, 3)).astype(np.float32)


def _sign_lead(term: Ints, uniform: NDArray[Any]) -> Ints:
    """Days before the end on which a renewal is signed; a few sign 1-10 days late."""
    late = p.LATE_RENEWAL_SHARE[term]
    early = 1 + np.floor((uniform - late) / (1 - late) * p.SIGN_LEAD[term])
    delay = 1 + np.floor(uniform / np.maximum(late, 1e-9) * 10)
    return np.asarray(
        np.where(uniform < late, -delay, np.minimum(early, p.SIGN_LEAD[term])), dtype=np.int64
    )


def step(state: State, day: int, draws: DayDraws, rules: WorldRules) -> tuple[State, Happenings]:
    """The state after one day, and what happened on it.

    Order of a day: troubles come and go, use and mood follow, people decide, invoices fall due,
    terms are signed and start, seats are added, plays are assigned.
    """
    after, people = _people(state, draws)
    after = _troubles(after, draws)
    after = _slow_state(after, day, draws)
    after = _remember(after, day, rules)
    after, hazard, decided = _decisions(after, day, draws, rules)
    after, suspended = _payments(after, day)
    notice = (
        after.is_customer(day)
        & hazards.price_due(after)
        & (after.pending_uplift > 0)
        & (after.term_end - day == p.PRICE_NOTICE_LEAD[after.term])
    )
    after, signed = _sign(after, day, draws, rules)
    after = _start_terms(after, day, draws)
    after, expanded = _expand(after, day, draws)
    after, play, done = _plays(after, day, draws)
    return after, Happenings(
        hazard=hazard,
        decided=decided,
        suspended=suspended,
        signed=signed,
        expanded=expanded,
        price_notice=np.asarray(notice),
        play=play,
        play_done_day=done,
        **people,
    )


def _people(state: State, draws: DayDraws) -> tuple[State, dict[str, Flags]]:
    """Champions and sponsors leave and are replaced."""

    def turn(
        absent: Ints, uniform: Floats, leaves: float, replaced: float
    ) -> tuple[Ints, Flags, Flags]:
        left = (absent == 0) & (uniform < leaves)
        came = (absent > 0) & (uniform < replaced)
        return np.where(left, 1, np.where(came, 0, absent + (absent > 0))), left, came

    champion, champion_left, champion_came = turn(
        state.champion_absent,
        draws.uniform["champion"],
        p.CHAMPION_LEAVES_DAILY,
        p.CHAMPION_REPLACED_DAILY,
    )
    sponsor, sponsor_left, sponsor_came = turn(
        state.sponsor_absent,
        draws.uniform["sponsor"],
        p.SPONSOR_LEAVES_DAILY,
        p.SPONSOR_REPLACED_DAILY,
    )
    seen = {
        "champion_left": champion_left,
        "champion_came": champion_came,
        "sponsor_left": sponsor_left,
        "sponsor_came": sponsor_came,
    }
    return replace(state, champion_absent=champion, sponsor_absent=sponsor), seen


def _troubles(state: State, draws: DayDraws) -> State:
    """Bugs, bad releases, payment trouble, budget cuts."""
    wave = np.where(draws.wave_starts, p.WAVE_DAYS, np.maximum(state.wave_left - 1, 0))
    own = (draws.uniform["bug"] < p.BUG_OWN_DAILY * state.susceptibility) * np.float32(
        p.BUG_OWN_SIZE
    )
    bug = (
        state.bug * np.float32(p.BUG_DECAY)
        + own
        + (wave > 0) * np.float32(p.WAVE_DAILY_SIZE) * state.susceptibility
    )
    pay = draws.uniform["payment"]
    trouble = np.where(state.trouble, pay >= p.PAYMENT_CLEARS_DAILY, pay < p.PAYMENT_TROUBLE_DAILY)
    cut = (state.budget_left == 0) & (draws.uniform["budget"] < p.BUDGET_CUT_DAILY)
    budget = np.where(cut, p.BUDGET_CUT_DAYS, np.maximum(state.budget_left - 1, 0))
    return replace(
        state, wave_left=wave, bug=bug.astype(np.float32), trouble=trouble, budget_left=budget
    )


def _slow_state(state: State, day: int, draws: DayDraws) -> State:
    """Fit wanders; use and mood move towards what fit, people, bugs and prices make of them."""
    gap = hazards.champion_gap(state)
    bug = np.minimum(state.bug, 2)
    helped = (state.effect_from <= day) & (day < state.effect_until)
    fit = state.fit * np.float32(1 - p.FIT_SPEED) + np.float32(p.FIT_NOISE) * draws.normal["fit"]
    use_target = (
        state.base_use
        + 0.55 * fit
        - 0.9 * gap
        - 0.35 * bug
        - 0.2 * (state.sponsor_absent > 0)
        - p.WIND_DOWN * state.decided
        + 0.1 * helped
    )
    mood_target = 0.6 * fit - 0.8 * bug - 0.5 * gap - 4.0 * hazards.price_pressure(state, day)
    use = state.use + p.USE_SPEED * (use_target - state.use) + p.USE_NOISE * draws.normal["use"]
    mood = (
        state.mood + p.MOOD_SPEED * (mood_target - state.mood) + p.MOOD_NOISE * draws.normal["mood"]
    )
    return replace(
        state,
        fit=fit.astype(np.float32),
        use=use.astype(np.float32),
        mood=mood.astype(np.float32),
        price_pain=state.price_pain * np.float32(0.985),
    )


def _remember(state: State, day: int, rules: WorldRules) -> State:
    """What drives leaving today moves the memory of the last months by a day's share."""
    if not rules.memory_days:
        return state
    today = hazards.pressure(state, day)
    burden = state.burden + np.float32(1 / rules.memory_days) * (today - state.burden)
    return replace(state, burden=burden.astype(np.float32))


def _decisions(
    state: State, day: int, draws: DayDraws, rules: WorldRules
) -> tuple[State, Floats, Flags]:
    """Some decide to leave at the end of the term; most of them give notice some days later."""
    hazard = hazards.daily_probability(state, day, rules.base, remembers=rules.memory_days > 0)
    if not rules.allow_decisions:
        return state, hazard, np.zeros(state.size, dtype=np.bool_)
    decided = draws.uniform["decide"] < hazard
    uniform = draws.uniform["notice"]
    spread = np.maximum(uniform - p.SILENT_LEAVER_SHARE, 1e-6) / (1 - p.SILENT_LEAVER_SHARE)
    notice = day + 1 + np.floor(-np.log(spread) * p.NOTICE_MEAN_DELAY[state.term]).astype(np.int64)
    has_notice = decided & (uniform >= p.SILENT_LEAVER_SHARE) & (notice < state.term_end)
    after = replace(
        state,
        decided=state.decided | decided,
        end_day=np.where(decided, state.term_end, state.end_day),
        notice_day=np.where(has_notice, notice, state.notice_day),
    )
    return after, hazard, decided


def _payments(state: State, day: int) -> tuple[State, Flags]:
    """An invoice that falls due in payment trouble stays unpaid; after 45 days service ends at
    midnight.
    """
    customer = state.is_customer(day)
    fails = customer & (state.due_day == day) & state.trouble & (state.unpaid_since == p.NEVER)
    unpaid = np.where(fails, day, np.where(state.trouble, state.unpaid_since, p.NEVER))
    suspended = customer & (day - unpaid >= p.SUSPEND_AFTER_DAYS) & (state.end_day > day + 1)
    after = replace(state, unpaid_since=unpaid, end_day=np.where(suspended, day + 1, state.end_day))
    return after, suspended


def _sign(state: State, day: int, draws: DayDraws, rules: WorldRules) -> tuple[State, Flags]:
    """The next term is agreed: its seats, its price, its end."""
    left = state.term_end - day
    # On the last covered day at the latest: a late signature is late on paper, service goes on
    # meanwhile.
    signs = state.is_customer(day) & ~state.signed & (left <= np.maximum(state.sign_lead, 1))
    signs &= state.end_day == p.NEVER
    if not signs.any():
        return state, np.asarray(signs)
    gives_back = signs & (draws.uniform["renewal"] < hazards.contraction_at_renewal(state))
    kept = np.maximum(np.floor(state.seats * (0.6 + 0.3 * draws.uniform["seats"])), 1).astype(
        np.int64
    )
    rises = signs & hazards.price_due(state)
    uplift = np.where(rises, state.pending_uplift, 0)
    price = np.round(state.unit_price * (1 + uplift), 2)
    end = add_months(rules.first_day, state.term_end, p.TERM_MONTHS[state.term])
    return replace(
        state,
        signed=state.signed | signs,
        next_end=np.where(signs, end, state.next_end),
        next_seats=np.where(signs, np.where(gives_back, kept, state.seats), state.next_seats),
        next_price=np.where(signs, price, state.next_price),
        last_price_day=np.where(rises, state.term_end, state.last_price_day),
        price_pain=np.maximum(state.price_pain, uplift).astype(np.float32),
        pending_uplift=np.where(
            rises, _uplift(draws.uniform["uplift"]), state.pending_uplift
        ).astype(np.float32),
    ), np.asarray(signs)


def _start_terms(state: State, day: int, draws: DayDraws) -> State:
    """Agreed terms begin on the day after the old one: the step of its last day turns the page."""
    starts = state.signed & (state.term_end == day + 1) & state.is_customer(day)
    begin = np.where(starts, state.term_end, state.term_start)
    return replace(
        state,
        term_start=begin,
        term_end=np.where(starts, state.next_end, state.term_end),
        seats=np.where(starts, state.next_seats, state.seats),
        unit_price=np.where(starts, state.next_price, state.unit_price),
        last_change=np.where(starts & (state.next_seats != state.seats), begin, state.last_change),
        due_day=np.where(starts, begin + p.DUE_DAYS[state.term], state.due_day),
        signed=state.signed & ~starts,
        sign_lead=np.where(starts, _sign_lead(state.term, draws.uniform["sign"]), state.sign_lead),
    )


def _expand(state: State, day: int, draws: DayDraws) -> tuple[State, Flags]:
    """Seats bought inside a term, from the next day on; now and then with the next plan."""
    expands = draws.uniform["expand"] < hazards.daily_expansion(state, day)
    if not expands.any():
        return state, expands
    more = np.maximum(
        np.ceil(state.seats * (1.1 + 0.3 * draws.uniform["expand_size"])), state.seats + 1
    )
    seats = np.where(expands, more, state.seats).astype(np.int64)
    usual = np.searchsorted(p.PLAN_SEATS, seats, side="right")
    upgrades = expands & (usual > state.plan)
    ratio = p.PLAN_PRICE[np.minimum(state.plan + 1, 2)] / p.PLAN_PRICE[state.plan]
    return (
        replace(
            state,
            seats=seats,
            plan=state.plan + upgrades,
            last_change=np.where(expands, day + 1, state.last_change),
            unit_price=np.where(upgrades, np.round(state.unit_price * ratio, 2), state.unit_price),
        ),
        expands,
    )


def _plays(state: State, day: int, draws: DayDraws) -> tuple[State, Ints, Ints]:
    """CSMs pick accounts that look bad to them: the reason why treated accounts leave more
    often.
    """
    look = (p.USE_LOGIT_MEAN - state.use) - 0.8 * state.mood + 0.6 * draws.normal["play_look"]
    free = (
        state.is_customer(day)
        & (day - state.last_play > p.PLAY_PAUSE_DAYS)
        & (state.notice_day > day)
    )
    chance = (
        p.PLAY_DAILY
        * np.exp(np.clip(look, -3, 3))
        * (1 + 0.5 * (state.seats >= p.SEGMENT_SEATS[0]))
    )
    assigned = free & (draws.uniform["play"] < chance)
    kind = np.digitize(draws.uniform["play_kind"], [0.5, 0.8])
    done_day = play_done_day(draws.uniform["play_done"], day)
    return with_play(state, assigned, kind, done_day, day), np.where(assigned, kind, -1), done_day


def play_done_day(uniform: NDArray[Any], day: int) -> Ints:
    """When a play assigned on `day` is done, 2-13 days later; `NEVER` for the share that nobody
    gets to.
    """
    later = day + 2 + np.floor(uniform / p.PLAY_DONE_SHARE * 12)
    return np.where(uniform < p.PLAY_DONE_SHARE, later, p.NEVER).astype(np.int64)


def with_play(state: State, assigned: Flags, play: Ints | int, done_day: Ints, day: int) -> State:
    """The state with a play's effect from the day it is done; never done: no effect."""
    works = assigned & (done_day < p.NEVER)
    return replace(
        state,
        effect=np.where(works, p.PLAY_EFFECT[play], state.effect).astype(np.float32),
        effect_from=np.where(works, done_day, state.effect_from),
        effect_until=np.where(works, done_day + p.PLAY_LASTS_DAYS, state.effect_until),
        last_play=np.where(assigned, day, state.last_play),
    )
