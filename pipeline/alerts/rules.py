"""What each kind of rule waits for, asked of all accounts at once.

Every rule that reads the score asks the path of `watch.py`, so only what customers did can fire it.
Rules about facts (notice, payment) hold as long as the fact does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from features.errors import ConfigError
from models.health.standing import NOTICE, is_leaving, with_state
from pipeline.alerts.watch import USUAL_DAYS, Flags, Floats, Watched, median
from pipeline.config.schema import AlertKind, AlertRule, Play

SCORE_KINDS: tuple[AlertKind, ...] = (
    "crossing",
    "sudden_drop",
    "slow_decline",
    "renewal_ahead",
    "strategic",
)
"""Kinds that read the score; they are one reason to call, and of several the first one is told."""
SOURCE_OF = {"notice": "subscriptions", "payment": "invoices"}
"""Kinds about a fact -> the contract of the table that tells it."""
DEFAULT_RULES = (
    AlertRule(name="notice given", kind="notice"),
    AlertRule(name="at risk", kind="crossing"),
    AlertRule(name="sudden drop", kind="sudden_drop"),
    AlertRule(name="renewal at risk", kind="renewal_ahead"),
    AlertRule(name="slow decline", kind="slow_decline"),
    AlertRule(name="payment overdue", kind="payment"),
)
HYSTERESIS = 10
"""Points between the edge by which an episode begins and the one by which it is over.

Of accounts whose scores only jitter by 3 points a week, 1.2 a year cross the edge of 40 downwards.
With 45 to be left it is 0.5 alerts a year, with 50 it is 0.11, with the fall of 8 points as well
0.05 (`python -m benchmarks.alerts`).
"""
POINTS: Mapping[AlertKind, float] = {
    "crossing": 8,
    "sudden_drop": 15,
    "slow_decline": 12,
    "renewal_ahead": 8,
    "strategic": 8,
}
DAYS: Mapping[AlertKind, int] = {"sudden_drop": 28, "slow_decline": 182, "renewal_ahead": 90}
BEYOND_WOBBLE = 2.5
"""A fall counts from so many standard deviations of the account's own wobble."""
FEWEST_DATES, SHORTEST_DAYS = 6, 84
"""A slow decline is told from so many dates on, over so many days."""
RECOVERED = 2 / 3
"""An episode of a fall is over when so much of it is made good."""

Measure = Literal["health", "path", "fact"]


@dataclass(frozen=True)
class Edges:
    """Last scores of the bands at risk and stable."""

    at_risk_until: int
    stable_until: int


@dataclass(frozen=True, eq=False)
class RuleReading:
    """What a rule says of every account; arrays of shape (n_accounts,).

    Attributes
    ----------
    holds
        An episode begins: by what the customer did, or by a new fact.
    raised
        It would begin by displayed values alone, whatever moved them.
    is_over
        An episode that began earlier is over whatever its edge says.
    fall
        Points below usual, by what the customer did; missing for facts.
    measure, leaves_at
        Where an episode that begins now will be over: at this health, or at this place of the
        path; `fact`: when the fact ends.
    """

    holds: Flags
    raised: Flags
    is_over: Flags
    fall: Floats
    measure: Measure
    leaves_at: Floats


def rules_of(
    declared: Sequence[AlertRule], edges: Edges, plays: Sequence[Play] = ()
) -> tuple[AlertRule, ...]:
    """The declared rules, or the default ones, with their edges, points and days filled in, and
    with the first play that names them where they name none.

    Raises
    ------
    ConfigError
        A play names an alert that there is not.
    """
    rules = tuple(_filled(rule, edges) for rule in declared or DEFAULT_RULES)
    names = [rule.name for rule in rules]
    asked: dict[str, str] = {}
    for play in plays:
        for name in play.alerts:
            if name not in names:
                raise ConfigError(
                    f"[[plays]] {play.name!r}: alerts names {name!r}, which is no alert. There are:"
                    f" {', '.join(names)}."
                )
            asked.setdefault(name, play.name)
    return tuple(replace(rule, play=rule.play or asked.get(rule.name)) for rule in rules)


def _filled(rule: AlertRule, edges: Edges) -> AlertRule:
    enter = edges.at_risk_until if rule.enter is None else rule.enter
    leave = min(100, enter + HYSTERESIS) if rule.leave is None else rule.leave
    if leave <= enter:
        raise ConfigError(
            f"[[alerts]] {rule.name!r}: leave = {leave} must be above enter = {enter}, or a score"
            " that jitters opens it again and again."
        )
    return replace(
        rule,
        enter=enter,
        leave=leave,
        points=rule.points if rule.points is not None else POINTS.get(rule.kind),
        within_days=rule.within_days if rule.within_days is not None else DAYS.get(rule.kind),
    )


def read_rule(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """What a rule of `rules_of` says of every account."""
    reading = _READERS[rule.kind](rule, table, edges)
    asked = _asked(rule, table.accounts)
    return replace(reading, holds=reading.holds & asked, raised=reading.raised & asked)


def _asked(rule: AlertRule, accounts: pd.DataFrame) -> Flags:
    """The accounts that a rule is about."""
    asked = np.ones(len(accounts), dtype=bool)
    if rule.value_at_least is not None:
        value = accounts["value_per_year"].to_numpy(dtype=np.float64, na_value=np.nan)
        asked &= value >= rule.value_at_least
    if rule.segments:
        asked &= accounts["segment"].isin(rule.segments).to_numpy()
    return asked


# --- rules about the score
# ---------------------------------------------------------------------------------------


def _crossing(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """Below the lower edge, by behaviour, and clearly below what is usual for the account."""
    enter, leave = _edges(rule)
    now, fall = table.health[:, -1], table.fall()
    is_below = now <= enter
    by_behaviour = table.by_behaviour(enter) <= enter
    return RuleReading(
        holds=is_below & by_behaviour & (fall >= _need(rule, table)),
        raised=is_below & (_before(table) > enter),
        is_over=_not_scored(table),
        fall=fall,
        measure="health",
        leaves_at=np.full(len(table), float(leave)),
    )


def _sudden_drop(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """A large fall within weeks, of an account that was not at risk: below its best of those weeks,
    and below what was usual before them.
    """
    within = table.within(_days(rule))
    need = _need(rule, table, before_days=_days(rule))
    now, path = table.health[:, -1], table.path[:, -1]
    before, health = table.path[:, within], table.health[:, within]
    if not before.shape[1]:
        return _nothing(table)
    was_well = health > edges.at_risk_until
    fall = np.where(was_well, before, -np.inf).max(axis=1, initial=-np.inf) - path
    # The best of some weeks is partly luck: of accounts that jitter by 3 points a week 0.08 a year
    # fell 15 points below it, and none below what was usual as well.
    usual = median(table.path[:, table.within(USUAL_DAYS).start : within.start])
    fall = np.fmin(np.where(np.isfinite(fall), fall, np.nan), usual - path)
    highest = np.where(was_well, health, -np.inf).max(axis=1, initial=-np.inf)
    # What a new model gave back at the same time is no fall that anyone sees.
    is_seen = highest - now >= _points(rule) / 2
    return RuleReading(
        holds=(fall >= need) & is_seen,
        raised=_before(table) - now >= _points(rule),
        is_over=_not_scored(table),
        fall=fall,
        measure="path",
        leaves_at=path + RECOVERED * fall,
    )


def _slow_decline(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """Lower from third to third of half a year, without one step that is most of it, and not
    healthy any more.
    """
    start = table.within(_days(rule)).start
    path, health = table.path[:, start:], table.health[:, start:]
    count = path.shape[1]
    if count < FEWEST_DATES or (table.day - table.dates[start]).days < SHORTEST_DAYS:
        return _nothing(table)
    third = count // 3
    first, middle, last = (
        median(path[:, part])
        for part in (slice(0, third), slice(third, count - third), slice(count - third, count))
    )
    fall = first - last
    # Whose past is shorter has no thirds to compare.
    has_past = ~np.isnan(path[:, :third]).all(axis=1)
    largest_step = np.nan_to_num(-np.diff(path, axis=1), nan=0.0).max(axis=1)
    is_gradual = (first - middle >= fall / 5) & (middle - last >= fall / 5)
    is_gradual &= largest_step <= 0.6 * fall
    is_seen = median(health[:, :third]) - health[:, -1] >= _points(rule) / 2
    now = health[:, -1]
    return RuleReading(
        holds=has_past
        & (fall >= _need(rule, table))
        & is_gradual
        & is_seen
        & (now <= edges.stable_until),
        raised=np.zeros(len(table), dtype=bool),
        is_over=_not_scored(table),
        fall=fall,
        measure="path",
        leaves_at=path[:, -1] + RECOVERED * fall,
    )


def _renewal_ahead(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """At risk with the end of the contract near: the end has come near, or the risk is new."""
    enter, leave = _edges(rule)
    ends = _dates(table.accounts, "renewal_date")
    days = (ends - pd.Timestamp(table.day)).dt.days.to_numpy(dtype=np.float64)
    is_near = (days >= 0) & (days <= _days(rule))
    now, before = table.health[:, -1], _before(table)
    crossing = _crossing(rule, table, edges)
    # The same end, so that a corrected contract is not a date that came near.
    same_end = (ends == _dates(table.accounts, "renewal_before")).to_numpy()
    since_then = (table.day - table.dates[-2]).days if len(table.dates) > 1 else 0
    came_near = same_end & (days + since_then > _days(rule))
    is_below = now <= enter
    return RuleReading(
        holds=is_near & is_below & ((came_near & (before <= enter)) | crossing.holds),
        raised=is_near & crossing.raised,
        is_over=_not_scored(table) | ~is_near,
        fall=crossing.fall,
        measure="health",
        leaves_at=np.full(len(table), float(leave)),
    )


def _strategic(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """Clearly below usual, by behaviour, and not healthy any more."""
    now, fall = table.health[:, -1], table.fall()
    usual = median(table.health[:, table.within(USUAL_DAYS)])
    points = _points(rule)
    return RuleReading(
        holds=(fall >= _need(rule, table))
        & (usual - now >= points / 2)
        & (now <= edges.stable_until),
        raised=_before(table) - now >= points,
        is_over=_not_scored(table),
        fall=fall,
        measure="path",
        leaves_at=table.path[:, -1] + RECOVERED * fall,
    )


# --- rules about facts
# ---------------------------------------------------------------------------------------


def _notice(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """Notice is given on everything that runs."""
    accounts = table.accounts
    return _fact(table, with_state(accounts)["state"] == NOTICE)


def _payment(rule: AlertRule, table: Watched, edges: Edges) -> RuleReading:
    """An invoice is overdue longer than allowed."""
    if "overdue_days" not in table.accounts:
        return _fact(table, pd.Series(False, index=table.accounts.index))
    return _fact(table, table.accounts["overdue_days"].astype(float) >= rule.overdue_days)


_READERS: Mapping[AlertKind, Callable[[AlertRule, Watched, Edges], RuleReading]] = {
    "crossing": _crossing,
    "sudden_drop": _sudden_drop,
    "slow_decline": _slow_decline,
    "renewal_ahead": _renewal_ahead,
    "strategic": _strategic,
    "notice": _notice,
    "payment": _payment,
}


# --- helpers
# ---------------------------------------------------------------------------------------


def _fact(table: Watched, is_so: "pd.Series[bool]") -> RuleReading:
    nothing, holds = np.full(len(table), np.nan), is_so.to_numpy(dtype=bool)
    return RuleReading(holds, holds, ~holds, nothing, "fact", nothing)


def _nothing(table: Watched) -> RuleReading:
    none, nothing = np.zeros(len(table), dtype=bool), np.full(len(table), np.nan)
    return RuleReading(none, none, _not_scored(table), nothing, "path", nothing)


def _not_scored(table: Watched) -> Flags:
    """Accounts that are leaving: what the score said of them is over. Who is unknown for a night
    may be back the next.
    """
    return is_leaving(table.accounts).to_numpy()


def _before(table: Watched) -> Floats:
    """Displayed health at the evaluation before; missing where there was none."""
    if len(table.dates) < 2:
        return np.full(len(table), np.nan)
    before: Floats = table.health[:, -2]
    return before


def _need(rule: AlertRule, table: Watched, *, before_days: int = 0) -> Floats:
    """Points that an account must fall: those of the rule, or more than it wobbles by itself."""
    return np.maximum(_points(rule), BEYOND_WOBBLE * table.wobble(before_days=before_days))


def _dates(accounts: pd.DataFrame, column: str) -> "pd.Series[pd.Timestamp]":
    if column not in accounts:
        return pd.Series(pd.NaT, index=accounts.index, dtype="datetime64[us]")
    return pd.to_datetime(accounts[column])


def _edges(rule: AlertRule) -> tuple[int, int]:
    assert rule.enter is not None and rule.leave is not None  # filled by `rules_of`
    return rule.enter, rule.leave


def _points(rule: AlertRule) -> float:
    assert rule.points is not None  # filled by `rules_of`
    return rule.points


def _days(rule: AlertRule) -> int:
    assert rule.within_days is not None  # filled by `rules_of`
    return rule.within_days
