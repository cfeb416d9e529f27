"""Facts of one account as tiles, and its sources as lines: absent is said to be absent, never shown
as zero.
"""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from models.drivers import format_value
from models.pulse import CURRENT, EXPIRED, NEVER
from pipeline.jobs.account_facts import (
    MOST_USE_DAYS,
    USE_DAYS,
    AccountFacts,
    Goals,
    LastTouch,
    NpsFact,
    Payments,
    PowerUsers,
    PulseFact,
    RecentUse,
    Tickets,
    Weekly,
)
from pipeline.reports.render import counted, day, money, percent

NO_SOURCE = "no data"
_NPS_KINDS = {100: "promoter", 0: "passive", -100: "detractor"}


@dataclass(frozen=True)
class Tile:
    """One fact: what it is, its value, what to know of it. `is_known` False: the value is a word
    for its absence.
    """

    name: str
    value: str
    note: str
    is_known: bool = True


def fact_tiles(facts: AccountFacts, value_per_year: float | None, currency: str) -> list[Tile]:
    """Value, active time, pulse, NPS and open tickets, each with the date it rests on."""
    value = money(value_per_year, currency)
    return [
        Tile("Value per year", value, f"on {day(facts.as_of)}", is_known=value != "unknown"),
        _use_tile(facts.use),
        _pulse_tile(facts.pulse),
        _nps_tile(facts.nps),
        _ticket_tile(facts.tickets),
        *_people_tiles(facts),
        *([] if facts.last_touch is None else [_touch_tile(facts.last_touch)]),
        *([] if facts.payments is None else [_payment_tile(facts.payments, currency)]),
        *([] if facts.goals is None else [_goal_tile(facts.goals)]),
        *([] if facts.power_users is None else [_power_user_tile(facts.power_users)]),
    ]


def _power_user_tile(users: PowerUsers) -> Tile:
    name = "Used most by"
    if not users.shares:
        return Tile(name, "nobody", f"in the last {MOST_USE_DAYS} days", is_known=False)
    (first, share), *others = users.shares
    also = "; ".join(f"then {person}: {percent(part)}" for person, part in others)
    of_all = f"of {counted(users.people, 'person', 'people')} in the last {MOST_USE_DAYS} days"
    return Tile(name, f"{first}: {percent(share)}", "; ".join(filter(None, (also, of_all))))


def unknown_lines(facts: AccountFacts) -> list[str]:
    """What the score cannot know of the account, from what no source says."""
    silent = [each.source.replace("_", " ") for each in facts.sources if each.newest is None]
    undated = {each.source.replace("_", " ") for each in facts.sources if each.undated}
    nothing = [name for name in silent if name not in undated]
    lines = []
    if facts.use is not None and not facts.use.covered:
        lines.append(
            f"The feed of use was not there on all of the last {USE_DAYS} days, so a fall in use"
            " may be one of the feed."
        )
    if nothing:
        lines.append(f"Nothing is on record about this account in: {', '.join(nothing)}.")
    if facts.absent:
        absent = ", ".join(name.replace("_", " ") for name in facts.absent)
        lines.append(f"The project has no table of: {absent}.")
    lines.append("What nobody recorded: a new director, a rival's offer, a call without a note.")
    return lines


@dataclass(frozen=True)
class WeeklyPicture:
    """A small history: its name, its bars, and the same in a sentence."""

    name: str
    picture: Markup
    words: str


def weekly_pictures(facts: AccountFacts) -> list[WeeklyPicture]:
    """Weekly bars of what the sources say; histories that are empty throughout are left out."""
    return [
        WeeklyPicture(each.name, _bars(each), _weekly_words(each))
        for each in facts.weekly
        if any(each.values)
    ]


def _weekly_words(weekly: Weekly) -> str:
    half = len(weekly.values) // 2
    now, before = sum(weekly.values[half:]) / half, sum(weekly.values[:half]) / half
    return (
        f"{_mean(now)} a week over the last three months, {_mean(before)} in the three before; last"
        f" week {weekly.values[-1]}"
    )


def _mean(value: float) -> str:
    return f"{value:.1f}" if value < 10 and value != round(value) else f"{value:.0f}"


def _bars(weekly: Weekly) -> Markup:
    """Bars from the oldest week to the last; numbers of ours only."""
    width, height, gap = 10, 48, 2
    top = max(weekly.values)
    parts = [
        f'<svg class="weeks" viewBox="0 0 {width * len(weekly.values)} {height}" role="img"'
        f' aria-label="{len(weekly.values)} weeks, at most {top} in one">'
    ]
    for place, value in enumerate(weekly.values):
        tall = max(1.0, round(value / top * (height - 2), 1))
        ago = len(weekly.values) - 1 - place
        when = "last week" if ago == 0 else f"{ago + 1} weeks ago"
        kind = "some" if value else "none"
        parts.append(
            f'<rect class="{kind}" x="{place * width}" y="{round(height - tall, 1)}"'
            f' width="{width - gap}" height="{tall}"><title>{when}: {value}</title></rect>'
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers only


def _people_tiles(facts: AccountFacts) -> list[Tile]:
    """Sponsor and champion: who it is, or since when there is none."""
    if facts.people is None:
        return []
    tiles = []
    for role in ("sponsor", "champion"):
        mine = [person for person in facts.people if person.role == role]
        there = [person for person in mine if person.until is None]
        name = role.capitalize()
        if there:
            since = f"since {day(there[0].since)}" if there[0].since else ""
            more = f"; {len(there) - 1} more" if len(there) > 1 else ""
            tiles.append(Tile(name, there[0].person, f"{since}{more}"))
        elif mine:
            tiles.append(Tile(name, "none", f"the last one left {day(mine[0].until)}"))
        else:
            tiles.append(Tile(name, "none", "none on record so far"))
    return tiles


def _touch_tile(touch: LastTouch) -> Tile:
    name = "Last contact"
    if touch.at is None:
        return Tile(name, "none", "none on record so far")
    return Tile(name, day(touch.at), touch.kind.replace("_", " "))


def _payment_tile(payments: Payments, currency: str) -> Tile:
    name = "Payments"
    failed = f"a payment failed {day(payments.failed_at)}" if payments.failed_at else ""
    if not payments.overdue:
        return Tile(name, "nothing overdue", failed or "no failed payment in the last year")
    owed = money(payments.amount, currency) if payments.amount else ""
    parts = [owed, f"oldest due {day(payments.oldest_due_at)}", failed]
    return Tile(name, f"{payments.overdue} overdue", "; ".join(part for part in parts if part))


def _goal_tile(goals: Goals) -> Tile:
    if not goals.met and not goals.open:
        return Tile("Goals", "none", "no goal was agreed so far")
    late = f"{goals.overdue} past their date; " if goals.overdue else ""
    return Tile("Goals", f"{goals.met} of {goals.met + goals.open} met", f"{late}{goals.open} open")


def source_lines(facts: AccountFacts) -> list[dict[str, Any]]:
    """Sources with the date of their newest row for the account and of all; absent ones have
    neither.
    """
    lines: list[dict[str, Any]] = []
    for each in facts.sources:
        newest = (
            "always known, without a date"
            if each.undated
            else day(each.newest) or "nothing about this account"
        )
        lines.append(
            {
                "source": each.source.replace("_", " "),
                "rows": each.rows,
                "newest": newest,
                "of_all": day(each.newest_of_all) or ("undated" if each.undated else "no row"),
                "is_there": True,
            }
        )
    return lines + [
        {
            "source": name.replace("_", " "),
            "rows": None,
            "newest": NO_SOURCE,
            "of_all": NO_SOURCE,
            "is_there": False,
        }
        for name in facts.absent
    ]


def _use_tile(use: RecentUse | None) -> Tile:
    name = "Active time a day"
    if use is None:
        return _absent(name)
    last = f"last use {day(use.last_at)}" if use.last_at else "never used so far"
    if not use.covered:
        return Tile(
            name,
            "not known",
            f"the feed was not there on all of the last {USE_DAYS} days; {last}",
            is_known=False,
        )
    people = (
        ""
        if use.people is None
        else f" by {use.people} {'person' if use.people == 1 else 'people'}"
    )
    days = f"{use.active_days} of {USE_DAYS} days{people}"
    if use.minutes is None:
        return Tile(
            "Active days",
            f"{use.active_days} of {USE_DAYS}",
            f"{people.strip()}{'; ' if people else ''}the length of visits is not recorded; {last}",
        )
    return Tile(
        name,
        format_value(use.minutes / USE_DAYS, "minutes"),
        f"all visits, mean of {USE_DAYS} days; active on {days}; {last}",
    )


def _pulse_tile(pulse: PulseFact | None) -> Tile:
    name = "Pulse"
    if pulse is None:
        return _absent(name)
    if pulse.status == NEVER:
        return Tile(name, "never rated", "no opinion, neither good nor bad", is_known=False)
    by = f"{pulse.author}, " if pulse.author else ""
    rated = f"{by}{day(pulse.noted_at)}"
    if pulse.status == CURRENT:
        return Tile(
            name, f"{pulse.pulse:g} of 5", f"{rated}; counts until {day(pulse.counts_until)}"
        )
    ended = "expired" if pulse.status == EXPIRED else "too old to count since"
    return Tile(
        name,
        "expired" if pulse.status == EXPIRED else "too old",
        f"was {pulse.pulse:g} of 5 ({rated}); {ended} {day(pulse.counts_until)}",
        is_known=False,
    )


def _nps_tile(nps: NpsFact | None) -> Tile:
    name = "NPS"
    if nps is None:
        return _absent(name)
    if nps.answered_at is None:
        return Tile(name, "no answer", "nobody there has answered so far", is_known=False)
    kind = _NPS_KINDS.get(round(nps.points), "") if nps.points == nps.points else ""
    answered = f"{kind + ', ' if kind else ''}answered {day(nps.answered_at)}"
    count = f"{counted(nps.answers_182d, 'answer')} in half a year"
    score = (
        f"{nps.score:g} of 10" if nps.scale in (None, "0-10") else f"{nps.score:g} on {nps.scale}"
    )
    if not nps.answers_182d:
        return Tile(name, "no recent answer", f"last {score} ({answered})", is_known=False)
    return Tile(name, score, f"{answered}; {count}")


def _ticket_tile(tickets: Tickets | None) -> Tile:
    name = "Open tickets"
    if tickets is None:
        return _absent(name)
    last = (
        f"last opened {day(tickets.last_opened_at)}"
        if tickets.last_opened_at
        else "none opened so far"
    )
    if tickets.open is None:
        return Tile(
            name, "not known", f"the source does not say when tickets close; {last}", is_known=False
        )
    oldest = f"oldest waits since {day(tickets.oldest_opened_at)}; " if tickets.open else ""
    return Tile(name, str(tickets.open), f"{oldest}{last}")


def _absent(name: str) -> Tile:
    return Tile(name, NO_SOURCE, "no table of this project says", is_known=False)
