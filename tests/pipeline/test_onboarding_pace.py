"""The pace of accounts that stayed: who counts, both clocks, and nothing after the first training
date.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from features.facts import SourceFacts
from features.sources import CONTRACTS
from pipeline.engine.duckdb import Connection, connected
from pipeline.engine.facts import put_table
from pipeline.jobs.onboarding_pace import ACCOUNTS_TO_CUT, onboarding_pace

FIRST = 20_000
MILESTONES = SourceFacts(
    "milestones", CONTRACTS["milestones"], frozenset({"milestone", "assigned_at", "reached_at"})
)


@pytest.fixture
def engine() -> Iterator[Connection]:
    with connected(threads=1) as connection:
        yield connection


def steps(
    taken: list[int | None], *, assigned: int = FIRST - 300, first_account: int = 0, **more: Any
) -> list[dict[str, Any]]:
    """One step per account; None was never reached."""
    return [
        {
            "account_id": f"A{first_account + k}",
            "milestone": "kickoff",
            "assigned_at_day": assigned,
            "reached_at_day": None if days is None else assigned + days,
            "known_from_day": assigned,
            "known_until_day": None,
            **more,
        }
        for k, days in enumerate(taken)
    ]


def pace(
    engine: Connection, rows: list[dict[str, Any]], members: int = 1000
) -> dict[str, list[str]]:
    put_table(
        engine,
        "facts_milestones",
        pd.DataFrame(rows).astype({"reached_at_day": "Int64", "known_until_day": "Int64"}),
    )
    put_table(
        engine,
        "snapshots",
        pd.DataFrame(
            [
                {
                    "account_id": f"A{k}",
                    "as_of_day": as_of,
                    "state": "member",
                    "is_test": as_of > FIRST,
                }
                for k in range(members)
                for as_of in (FIRST, FIRST + 28)
            ]
        ),
    )
    return onboarding_pace(engine, MILESTONES)


def test_twentieths_of_the_accounts_that_stayed(engine: Connection) -> None:
    assert pace(engine, steps([*range(1, 41)])) == {
        "pace_kickoff": [str(2 * k) for k in range(1, 20)]
    }


def test_steps_never_reached_are_slower_than_all(engine: Connection) -> None:
    assert pace(engine, steps([*[3] * 20, *[None] * 20])) == {"pace_kickoff": ["3"] * 10}


def test_accounts_that_left_or_are_young_do_not_count(engine: Connection) -> None:
    stayed = steps([5] * ACCOUNTS_TO_CUT)
    gone = steps([500] * 30, first_account=2000)
    young = steps([1] * 30, assigned=FIRST - 181, first_account=100)
    assert pace(engine, stayed + gone + young) == {"pace_kickoff": ["5"] * 19}


def test_what_became_known_on_the_first_date_or_later_changes_nothing(engine: Connection) -> None:
    known = steps([5] * 30 + [None] * 10)
    late = [*known[:30], *steps([300] * 10, first_account=30)]  # reached on the first date itself
    assert pace(engine, known) == pace(engine, late) == {"pace_kickoff": ["5"] * 15}
    corrected = [{**row, "reached_at_day": 1, "known_from_day": FIRST} for row in known]
    kept = [{**row, "known_until_day": FIRST} for row in known]
    assert pace(engine, kept + corrected) == pace(engine, known)


def test_too_few_accounts_give_no_pace(engine: Connection) -> None:
    assert pace(engine, steps([5] * (ACCOUNTS_TO_CUT - 1))) == {}


def test_step_that_nobody_reached_gives_no_pace(engine: Connection) -> None:
    assert pace(engine, steps([None] * ACCOUNTS_TO_CUT)) == {}
