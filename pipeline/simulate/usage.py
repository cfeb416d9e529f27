"""Usage events: one row per user, day and kind of event, streamed in parts of a block."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.simulate.calendar_days import timestamps
from pipeline.simulate.company import Company

EVENT_NAMES = (
    "login",
    "view_dashboard",
    "create_report",
    "build_plan",
    "sync_integration",
    "open_editor",
    "save_draft",
    "export_file",
    "invite_user",
    "error_shown",
)
KEY_FEATURES = ("create_report", "build_plan", "sync_integration")
# Chance that an active user does it on a day; `save_draft` follows `open_editor` (see TWIN_SHARE).
_CHANCE = np.array([0.62, 0.38, 0.15, 0.17, 0.10, 0.13, 0.0, 0.07, 0.012, 0.05], dtype=np.float32)
_MEAN_QUANTITY = np.array([1.2, 4.0, 1.6, 2.2, 2.0, 2.5, 2.5, 1.4, 1.3, 1.5])
TWIN_SHARE = 0.96
"""Whoever opens the editor saves a draft: twin signals, to see how credit is shared."""
_AREA_EVENT = np.array([3, 2, 4, 1])
"""The event of each product area: its accounts do it more."""
_PART = 400
"""Accounts whose rows are made together."""

SCHEMA = pa.schema(
    [
        ("account_id", pa.string()),
        ("event_time", pa.timestamp("us")),
        ("user_id", pa.string()),
        ("event_name", pa.string()),
        ("quantity", pa.int64()),
        ("session_id", pa.string()),
        ("known_at", pa.timestamp("us")),
    ]
)


@dataclass(frozen=True)
class _Visits:
    """Active users: arrays of one entry per user and day with use."""

    account: NDArray[Any]
    day: NDArray[Any]
    user: NDArray[Any]
    minute: NDArray[Any]


def usage_events(company: Company) -> Iterator[pa.Table]:
    """Tables of `SCHEMA`, by account, event time, user and event name."""
    for number, first in enumerate(range(0, company.path.size, _PART)):
        generator = company.generator("usage_events", number)
        yield _part(company, slice(first, min(first + _PART, company.path.size)), generator)


def _part(company: Company, accounts: slice, generator: np.random.Generator) -> pa.Table:
    visits = _visits(company, accounts, generator)
    chosen, event = _events(company, visits, generator)
    account, day, user = visits.account[chosen], visits.day[chosen], visits.user[chosen]
    minute = visits.minute[chosen] + event * 3
    quantity = 1 + generator.poisson(_MEAN_QUANTITY[event] - 1)
    delay = _delay_minutes(len(event), company.options.late_share, generator)
    known = (day * 1440 + minute + delay) < company.options.days * 1440
    order = np.flatnonzero(known)
    key = ((account * company.options.days + day) * 1440 + minute) * 1000 + np.minimum(user, 999)
    order = order[np.lexsort((event[order], key[order]))]
    account, day, user, event, minute = (x[order] for x in (account, day, user, event, minute))
    first_day = company.options.first_day
    names = _user_names(company, account, day, user)
    return pa.table(
        [
            pa.array(company.account_id, pa.string()).take(pa.array(account)),
            pa.array(timestamps(first_day, day, minute)),
            names,
            pa.array(EVENT_NAMES, pa.string()).take(pa.array(event)),
            pa.array(quantity[order].astype(np.int64)),
            pc.binary_join_element_wise(names, pc.cast(pa.array(day), pa.string()), "-"),
            pa.array(timestamps(first_day, day, minute + delay[order])),
        ],
        schema=SCHEMA,
    )


def _visits(company: Company, accounts: slice, generator: np.random.Generator) -> _Visits:
    """Who was active when. Few users do most of the work: the number of a user is skewed to small
    ones.

    User 0 is the champion, who does nothing while the place is empty.
    """
    account, day = company.happen(company.expected_users[accounts], generator)
    account = account + accounts.start
    seats = np.minimum(company.path.seats[account, day], 999)
    user = np.floor(seats * generator.random(len(account)) ** 1.7).astype(np.int64)
    has_champion = company.path.gap[account, day] == 0
    kept = has_champion | (user != 0)
    key = np.unique(((account * company.options.days + day) * 1000 + user)[kept])
    user, rest = key % 1000, key // 1000
    minute = np.clip(generator.normal(11 * 60 + 30, 130, len(key)), 5 * 60, 22 * 60).astype(
        np.int64
    )
    return _Visits(rest // company.options.days, rest % company.options.days, user, minute)


def _events(
    company: Company, visits: _Visits, generator: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which visit did what: visit numbers and event numbers."""
    path = company.path
    n = len(visits.account)
    # Depth: customers who get value use the key features more.
    depth = np.exp(
        0.25
        * np.clip(path.mood[visits.account, visits.day] + path.start.fit[visits.account], -3, 3)
    )
    own_area = _AREA_EVENT[path.start.area[visits.account]]
    bug = np.minimum(path.bug[visits.account, visits.day], 2)
    chosen, events = [], []
    opened = np.zeros(n, dtype=bool)
    for number, name in enumerate(EVENT_NAMES):
        draw = generator.random(n, dtype=np.float32)
        chance: Any = _CHANCE[number] * np.where(own_area == number, 1.6, 1)
        if name in KEY_FEATURES:
            chance = chance * depth
        if name == "error_shown":
            chance = chance * (1 + 5 * bug)
        if name == "save_draft":
            chance = np.where(opened, TWIN_SHARE, 0.002)
        did = draw < chance
        if name == "open_editor":
            opened = did
        index = np.flatnonzero(did)
        chosen.append(index)
        events.append(np.full(len(index), number))
    return np.concatenate(chosen), np.concatenate(events)


def _delay_minutes(n: int, late_share: float, generator: np.random.Generator) -> NDArray[Any]:
    """Rows arrive within the hour, a share of them one to five days late."""
    late = generator.random(n) < late_share
    return np.where(late, generator.integers(1440, 5 * 1440, n), generator.integers(2, 50, n))


def _user_names(
    company: Company, account: NDArray[Any], day: NDArray[Any], user: NDArray[Any]
) -> pa.Array:
    """`u017` for users; the champion `c01`, `c02`, ... as in `contacts`."""
    labels = pa.array(
        [f"u{k:03d}" for k in range(1000)] + [f"c{k:02d}" for k in range(1, 40)], pa.string()
    )
    spell = champion_spell(company)
    code = user.copy()
    champions = np.flatnonzero(user == 0)
    code[champions] = 1000 + np.minimum(spell(account[champions], day[champions]), 38)
    return labels.take(pa.array(code))


def champion_spell(company: Company) -> Any:
    """A function of (accounts, days): how many champions had come before, since the first day."""
    facts = company.path.log.facts("champion_came")
    days = company.options.days + 1
    arrivals = np.sort(facts["account"] * days + facts["day"])
    at_start = np.searchsorted(arrivals, np.arange(company.path.size) * days)

    def count(account: NDArray[Any], day: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(
            np.searchsorted(arrivals, account * days + day, side="right") - at_start[account]
        )

    return count
