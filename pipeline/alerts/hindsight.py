"""An account that left: what its score did, who was told when, and which rule was nearest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from models.health.standing import LEAVING
from pipeline.alerts.rules import DAYS, HYSTERESIS, POINTS, SHORTEST_DAYS, Edges
from pipeline.config.schema import AlertKind

LOOK_BACK_DAYS = 364


@dataclass(frozen=True)
class SeenHealth:
    """What readers saw of the account on a date; `health` None where it had no score, `band` where
    lists showed it (`leaving` under notice).
    """

    day: date
    health: float | None
    band: str
    marker: str = ""


@dataclass(frozen=True)
class Nearest:
    """The default rule that came nearest to warning, and what it would have taken.

    `short` is how many points its threshold would have to be milder; 0 where it would have fired
    as it is.
    """

    rule: str
    day: date
    short: float
    words: str


@dataclass(frozen=True)
class Warned:
    """The first sign that somebody could have seen, and how long before the end it was."""

    day: date
    days: int
    by: str


def first_warning(
    readings: Sequence[SeenHealth], alerted_on: Mapping[str, date], left_on: date
) -> Warned | None:
    """The earliest of: told by an alert, at risk for the last time before it left, under notice.

    Parameters
    ----------
    told
        Rule -> the date on which its alert was first told.

    Examples
    --------
    >>> seen = [SeenHealth(date(2025, 3, 2), 62, "stable")]
    >>> seen += [SeenHealth(date(2025, 4, 6), 35, "at_risk")]
    >>> first_warning(seen, {}, date(2025, 6, 1))
    Warned(day=datetime.date(2025, 4, 6), days=56, by='band at risk')
    """
    signs = [(day, f"alert {rule!r}") for rule, day in alerted_on.items()]
    before = [each for each in readings if each.day < left_on]
    last_calm = max(
        (n for n, each in enumerate(before) if each.band not in ("at_risk", LEAVING)), default=-1
    )
    if last_calm + 1 < len(before):
        first = before[last_calm + 1]
        by = "band at risk" if first.band == "at_risk" else "notice"
        signs.append((first.day, by))
    if not signs:
        return None
    day, by = min(signs)
    return Warned(day, (left_on - day).days, by)


def nearest_rule(readings: Sequence[SeenHealth], edges: Edges, left_on: date) -> Nearest | None:
    """The default rule about the score whose threshold was missed by least, over the last year.

    Steps at which something else than the account changed (`marker`) are taken out of falls.
    """
    seen = [
        each
        for each in readings
        if each.health is not None
        and each.day < left_on
        and (left_on - each.day).days <= LOOK_BACK_DAYS
    ]
    if not seen:
        return None
    candidates = [
        _edge(seen, edges),
        _fall(seen, "sudden_drop", 0),
        _fall(seen, "slow_decline", SHORTEST_DAYS),
    ]
    hits = [each for each in candidates if each is not None]
    return min(hits, key=lambda each: (each.short, each.day))


def _edge(seen: Sequence[SeenHealth], edges: Edges) -> Nearest:
    lowest = min(seen, key=lambda each: (each.health, each.day))
    health = float(lowest.health or 0.0)
    short = max(0.0, health - edges.at_risk_until)
    took = (
        f"an edge of {edges.at_risk_until} was reached"
        if not short
        else f"an edge of {health:.0f} instead of {edges.at_risk_until}, left at"
        f" {min(100, health + HYSTERESIS):.0f}"
    )
    return Nearest("at risk", lowest.day, short, took)


def _fall(seen: Sequence[SeenHealth], kind: AlertKind, least_days: int) -> Nearest | None:
    """The largest fall within the rule's days, by what the account did."""
    points, days = POINTS[kind], DAYS[kind]
    level = 0.0
    own = [0.0]
    for before, after in zip(seen, seen[1:], strict=False):
        step = float(after.health or 0.0) - float(before.health or 0.0)
        level += 0.0 if after.marker else step
        own.append(level)
    falls = [
        (own[i] - own[j], seen[j].day)
        for j in range(len(seen))
        for i in range(j)
        if least_days <= (seen[j].day - seen[i].day).days <= days
    ]
    if not falls:
        return None
    fall, day = max(falls)
    short = max(0.0, points - fall)
    name = kind.replace("_", " ")
    took = (
        f"a fall of {fall:.0f} points within {days} days"
        if not short
        else f"{max(fall, 0):.0f} points instead of {points:.0f} within {days} days"
    )
    return Nearest(name, day, short, took)
