"""Facts of one account as tiles, and its sources as lines: absent is said to be absent, never shown
as zero.
"""

from dataclasses import dataclass
from typing import Any

from models.drivers import format_value
from models.pulse import CURRENT, EXPIRED, NEVER
from pipeline.jobs.account_facts import (
    USE_DAYS,
    AccountFacts,
    NpsFact,
    PulseFact,
    RecentUse,
    Tickets,
)
from pipeline.reports.render import counted, day, money

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
    ]


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
