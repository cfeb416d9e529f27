"""Groups of cards: leading ones alone, lists that a project declares, and use that falls or grows
by script.
"""

from datetime import timedelta
from typing import Any

import pytest
from tiny_world import (
    FIRST_DAY,
    TinySource,
    World,
    choices_of,
    compiled,
    features_of,
    moment_of,
    random_world,
)

from features.build import plan_features
from features.catalogue import CARDS, LAGGING, RATIOS, STATES
from pipeline.engine.duckdb import connected
from pipeline.engine.facts import source_facts

AS_OF = FIRST_DAY + 200


def test_leading_only_leaves_no_lagging_signal() -> None:
    world = random_world(0)
    facts = [source_facts(s.staged(), choices_of(world)) for s in world.values()]
    every = plan_features(facts, window_days=(28,)).signals
    leading = plan_features(facts, window_days=(28,), off=LAGGING).signals
    assert all(s.is_leading for s in leading)
    assert {s.column for s in leading} == {s.column for s in every if s.is_leading}
    assert {"days_overdue", "nps", "csat"} <= LAGGING


def test_a_quotient_of_lagging_signals_is_lagging() -> None:
    lagging_columns = {
        f"{c.name}_{d}d" for c in CARDS for d in c.days if c.nature == "lagging"
    } | LAGGING
    assert not [
        r.name
        for r in RATIOS
        if {r.numerator, r.divisor} & lagging_columns and r.nature != "lagging"
    ]


def test_every_dimension_has_cards_and_every_card_its_words() -> None:
    cards = (*CARDS, *STATES, *RATIOS)
    assert {c.dimension for c in cards} == {
        "usage",
        "engagement",
        "outcomes",
        "relationship",
        "financial",
        "support",
        "adoption",
        "contract",
    }
    assert all(c.meaning and c.unit and c.phrase for c in cards)
    # A fact that is so or not so is said as one, and has its own words where it is not.
    assert all("{value}" in c.phrase or (c.unit == "yes" and "0" in c.said_at) for c in cards)
    assert (
        len({c.name for c in cards})
        == len([c for c in cards if c.name != "key_features_share"]) + 1
    )


def test_lists_that_are_not_declared_give_no_signal() -> None:
    """No key features named: no signal, and never a healthy-looking zero."""
    world = random_world(0)
    bare = {name: {**chosen, "categories": {}} for name, chosen in choices_of(world).items()}
    columns = {s.column for s in compiled(world, bare).signals}
    declared = {s.column for s in compiled(world, choices_of(world)).signals}
    gone = {
        "key_features_share_28d",
        "users_stuck_28d",
        "users_stuck_share",
        "first_value_reached",
        "onboarding_pace",
    }
    assert gone <= declared and not gone & columns


def test_declared_lists_are_part_of_a_signals_fingerprint() -> None:
    world = random_world(0)
    other = choices_of(world)
    other["usage_events"]["categories"]["key_features"] = ("select",)
    before, after = (
        {s.column: s.fingerprint for s in compiled(world, c).signals}
        for c in (choices_of(world), other)
    )
    assert {c for c in before if before[c] != after[c]} == {
        "key_features_share_28d",
        "key_features_share_91d",
        "key_users_28d",
        "key_users_share",
    }


def scripted(events_per_week: list[int]) -> dict[str, Any]:
    """Signals of one account whose use follows a script of weeks, the last one ending at as_of."""
    first = AS_OF - 7 * len(events_per_week)
    rows = []
    for week, count in enumerate(events_per_week):
        for number in range(count):
            at = moment_of(first + 7 * week + number % 7) + timedelta(hours=9, minutes=number)
            rows.append(
                {
                    "account_id": "A",
                    "partition": "",
                    "event_time": at,
                    "known_from": at,
                    "known_until": None,
                    "user_id": f"u{number % 3}",
                    "event_name": "e",
                    "session_minutes": 5,
                }
            )
    world: World = {"usage_events": TinySource("usage_events", "usage_events", tuple(rows))}
    with connected(threads=1) as connection:
        table, _ = features_of(connection, world, [("A", AS_OF, "")], {})
    return dict(table.iloc[0])


@pytest.mark.parametrize(
    "column",
    [
        "events_change_28d",
        "events_change_91d",
        "active_days_change_28d",
        "session_minutes_change_28d",
    ],
)
def test_a_scripted_decline_and_a_ramp_are_told_apart(column: str) -> None:
    steady = scripted([5] * 30)
    decline = scripted([*[7] * 22, *[5] * 4, *[2] * 4])
    ramp = scripted([*[2] * 22, *[4] * 4, *[7] * 4])
    assert decline[column] < steady[column] == 0 < ramp[column]
