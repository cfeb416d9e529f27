"""The history of one block of accounts: the loop over days and what it records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ConfigError
from pipeline.simulate import hazards
from pipeline.simulate import parameters as p
from pipeline.simulate.state import (
    DayDraws,
    Happenings,
    State,
    WorldRules,
    initial_state,
    play_done_day,
    step,
    with_play,
)

Ints = NDArray[np.int64]

# Streams of randomness: each use of a seed has its own, so that one does not move another.
STREAM_WAVES, STREAM_START, STREAM_DAYS, STREAM_PILOT, STREAM_TABLES, STREAM_TRUTH = range(6)
STREAM_DECISION = 6


def stream(seed: int, which: int, block: int = 0, part: int = 0) -> np.random.Generator:
    """An independent generator of one use, block of accounts and part."""
    return np.random.default_rng(np.random.SeedSequence([seed, which, block, part]))


class Log:
    """Dated facts about accounts, collected day by day."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, NDArray[Any]]]] = {}

    def add(self, kind: str, day: int, flags: NDArray[np.bool_], **values: NDArray[Any]) -> None:
        """Note a fact for the flagged accounts; `values` have one entry per account."""
        index = np.flatnonzero(flags)
        if len(index):
            row = {"account": index, "day": np.full(len(index), day)}
            self._rows.setdefault(kind, []).append(
                row | {name: v[index] for name, v in values.items()}
            )

    def facts(self, kind: str, names: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """All facts of a kind as arrays `account`, `day` and `names`, in the order they
        happened.
        """
        rows = self._rows.get(kind, [])
        keys = ("account", "day", *names)
        if not rows:
            return {key: np.zeros(0, dtype=np.int64) for key in keys}
        return {key: np.concatenate([row[key] for row in rows]) for key in keys}


@dataclass(frozen=True)
class Path:
    """What happened to a block of accounts.

    Attributes
    ----------
    number, first_account
        Which block this is, and the number of its first account in the world.
    start, end
        State before the first day and after the last.
    states
        Copies at 00:00 of the days asked for (day index -> state).
    use, mood, bug, gap
        Arrays of shape (n_accounts, n_days): log-odds of use, mood, bug level, champion gap 0-1.
    seats
        Seats per account and day, same shape.
    trouble
        Payment trouble per account and day, same shape.
    log
        Dated facts.
    """

    number: int
    first_account: int
    start: State
    end: State
    states: dict[int, State]
    use: NDArray[np.float32]
    mood: NDArray[np.float32]
    bug: NDArray[np.float32]
    gap: NDArray[np.float32]
    seats: NDArray[np.int32]
    trouble: NDArray[np.bool_]
    log: Log

    @property
    def size(self) -> int:
        """Number of accounts."""
        return self.start.size


def waves(seed: int, days: int) -> NDArray[np.bool_]:
    """Days on which a bad release hits a product area, array of shape (n_days, n_areas)."""
    return np.asarray(stream(seed, STREAM_WAVES).random((days, len(p.AREA_NAMES))) < p.WAVE_DAILY)


def rules_on(day: int, base: float, options: p.WorldOptions) -> WorldRules:
    """The rules in force on a day."""
    changed = options.regime_change_at
    has_changed = changed is not None and day >= options.day_index(changed)
    level = base + (p.REGIME_LOG_HAZARD if has_changed else 0.0)
    return WorldRules(options.first_day, level, memory_days=options.memory_days)


def pilot_days(options: p.WorldOptions) -> tuple[int, ...]:
    """Days on which the randomised pilot picks accounts."""
    days = (p.PILOT_FIRST_DAY + p.GRID_DAYS * i for i in range(p.PILOT_ROUNDS))
    return tuple(day for day in days if day < options.days)


def walk(
    n: int,
    seed: int,
    block: int,
    options: p.WorldOptions,
    base: float,
    observe: Callable[..., None] | None = None,
) -> tuple[State, State]:
    """Run the days for one block; `observe(day, before, after, happenings, pilot)` sees each of
    them.
    """
    state = start = initial_state(n, options, stream(seed, STREAM_START, block))
    generator = stream(seed, STREAM_DAYS, block)
    starts = waves(seed, options.days)
    pilots = set(pilot_days(options))
    for day in range(options.days):
        before = state
        pilot = None
        if day in pilots:
            state, pilot = _pilot(state, day, stream(seed, STREAM_PILOT, block, day))
        draws = DayDraws.fresh(generator, starts[day][state.area])
        state, seen = step(state, day, draws, rules_on(day, base, options))
        if observe is not None:
            observe(day, before, state, seen, pilot)
    return start, state


def _pilot(
    state: State, day: int, generator: np.random.Generator
) -> tuple[State, dict[str, NDArray[Any]]]:
    """A random share of customers without known notice enters the pilot; a coin decides who is left
    alone.
    """
    draw = generator.random((3, state.size))
    free = (
        state.is_customer(day)
        & (state.notice_day >= day)
        & (day - state.last_play > p.PLAY_PAUSE_DAYS)
    )
    chosen = free & (draw[0] < p.PILOT_SHARE)
    holdout = draw[1] < 0.5
    done_day = np.where(holdout, p.NEVER, play_done_day(draw[2], day))
    after = with_play(state, chosen, p.PILOT_PLAY, done_day, day)
    return after, {"chosen": chosen, "holdout": holdout, "done_day": done_day}


def simulate_block(
    n: int, seed: int, block: int, options: p.WorldOptions, base: float, copy_days: Sequence[int]
) -> Path:
    """The path of one block of accounts.

    Parameters
    ----------
    copy_days
        Days at whose 00:00 a copy of the state is kept.
    """
    shape = (options.days, n)
    use, mood, bug, gap = (np.zeros(shape, dtype=np.float32) for _ in range(4))
    seats = np.zeros(shape, dtype=np.int32)
    trouble = np.zeros(shape, dtype=np.bool_)
    states: dict[int, State] = {}
    log = Log()
    wanted = set(copy_days)

    def observe(
        day: int,
        before: State,
        after: State,
        seen: Happenings,
        pilot: dict[str, NDArray[Any]] | None,
    ) -> None:
        if day in wanted:
            states[day] = before
        use[day], mood[day], bug[day] = after.use, after.mood, after.bug
        gap[day], seats[day], trouble[day] = (
            hazards.champion_gap(after),
            before.seats,
            after.trouble,
        )
        _note(log, day, before, after, seen, pilot)

    start, end = walk(n, seed, block, options, base, observe)
    return Path(
        number=block,
        first_account=block * p.BLOCK_ACCOUNTS,
        start=start,
        end=end,
        states=states,
        use=np.ascontiguousarray(use.T),
        mood=np.ascontiguousarray(mood.T),
        bug=np.ascontiguousarray(bug.T),
        gap=np.ascontiguousarray(gap.T),
        seats=np.ascontiguousarray(seats.T),
        trouble=np.ascontiguousarray(trouble.T),
        log=log,
    )


def _note(
    log: Log,
    day: int,
    before: State,
    after: State,
    seen: Happenings,
    pilot: dict[str, NDArray[Any]] | None,
) -> None:
    """Write the day's facts into the log."""
    known = np.where(before.sign_lead < 0, before.term_end - before.sign_lead, day)
    log.add(
        "term",
        day,
        seen.signed,
        starts=before.term_end,
        ends=after.next_end,
        seats=after.next_seats,
        price=after.next_price,
        plan=after.plan,
        known=known,
    )
    log.add(
        "change",
        day,
        seen.expanded,
        starts=np.full(before.size, day + 1),
        ends=after.term_end,
        seats=after.seats,
        price=after.unit_price,
        plan=after.plan,
        known=np.full(before.size, day),
    )
    if seen.decided.any():
        log.add("decided", day, seen.decided, reason=_reason(before, day))
    log.add("suspended", day, seen.suspended)
    log.add("price_notice", day, seen.price_notice)
    for kind in ("champion_left", "champion_came", "sponsor_left", "sponsor_came"):
        log.add(kind, day, getattr(seen, kind))
    log.add("play", day, seen.play >= 0, play=seen.play, done=seen.play_done_day)
    if pilot is not None:
        log.add("pilot", day, pilot["chosen"], holdout=pilot["holdout"], done=pilot["done_day"])


REASONS = ("low_use", "missing_features", "support", "champion_left", "quality", "price", "budget")
_REASON_FACTORS = (
    "low_use",
    "low_value_fit",
    "bad_mood",
    "champion_lost",
    "bug_trouble",
    "price_rise",
    "unobserved",
)


def _reason(state: State, day: int) -> Ints:
    """Index of the largest factor of each account at the decision."""
    parts = hazards.factors(state, day)
    return np.asarray(np.argmax(np.stack([parts[name] for name in _REASON_FACTORS]), axis=0))


def leavers_per_customer_year(start: State, end: State, options: p.WorldOptions) -> float:
    """Accounts that left inside the span, per year of paid service inside it."""
    first, last = np.maximum(start.start_day, 0), np.minimum(end.end_day, options.days)
    years = np.maximum(last - first, 0).sum() / 365.25
    return float(((end.end_day < options.days) & (end.end_day >= 0)).sum() / max(years, 1e-9))


def base_for(accounts: int, seed: int, options: p.WorldOptions) -> float:
    """Base log hazard of the world: the default, or the one that meets `yearly_churn`."""
    if options.yearly_churn is None:
        return p.BASE_LOG_HAZARD
    return _tuned_base(min(accounts, p.BLOCK_ACCOUNTS), seed, options)


@lru_cache(maxsize=32)
def _tuned_base(n: int, seed: int, options: p.WorldOptions) -> float:
    """Search on the first block: with the same draws, the rate grows about in proportion to the
    hazard.
    """
    target = options.yearly_churn
    assert target is not None
    base = best = p.BASE_LOG_HAZARD
    best_rate = np.inf
    for _ in range(10):
        rate = leavers_per_customer_year(*walk(n, seed, 0, options, base), options)
        if abs(rate - target) < abs(best_rate - target):
            best, best_rate = base, rate
        if abs(best_rate - target) < 0.03 * target:
            break
        base += float(np.clip(np.log(target / max(rate, 1e-3)), -1.5, 1.5))
    # A handful of leavers cannot be hit to a tenth; from sixty on they can.
    if abs(best_rate - target) > 0.1 * target and n * target > 60:
        raise ConfigError(
            f"yearly_churn={target} cannot be met: {best_rate:.3f} is the nearest, because unpaid"
            " invoices alone end some customers. Choose a value nearer to 0.19."
        )
    return best
