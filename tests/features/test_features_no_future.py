"""What became known on or after T cannot move a feature at T: over every contract and every card,
to the byte.
"""

import random
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tiny_world import (
    FIRST_DAY,
    World,
    choices_of,
    features_of,
    load,
    moment_of,
    random_world,
    shuffled,
    some_snapshots,
    with_other_future,
    without_future,
)

from features.catalogue import CARDS, RATIOS, STATES
from features.definition import Signal
from features.sources import CONTRACTS
from pipeline.engine.duckdb import connected
from pipeline.engine.facts import choose
from pipeline.storage import content_hash

# Never read by features, so there is nothing to prove of them.
NEVER_READ = {"outcomes", "interventions"}
# A smaller seed is no simpler world, so nothing is shrunk.
PHASES = (Phase.explicit, Phase.generate)
examples = settings(max_examples=3, deadline=None, derandomize=True, phases=PHASES)
seeds = st.integers(0, 10_000)


def _hash(world: World, seed: int, day: int) -> str:
    """Features of every snapshot up to and including the day T."""
    snapshots = [s for s in some_snapshots(seed, irregular=False) if s[1] <= day]
    return content_hash(_table(world, snapshots), ["account_id", "as_of_day"])


def _table(world: World, snapshots: list[tuple[str, int, str]]) -> pd.DataFrame:
    with connected(threads=2) as connection:
        return features_of(connection, world, snapshots, choices_of(world))[0]


@examples
@given(seed=seeds, day=st.sampled_from([FIRST_DAY + 60, FIRST_DAY + 88, FIRST_DAY + 150]))
def test_deleting_the_future_changes_no_byte(seed: int, day: int) -> None:
    world = random_world(seed)
    assert _hash(without_future(world, day), seed, day) == _hash(world, seed, day)


@examples
@given(seed=seeds, day=st.sampled_from([FIRST_DAY + 60, FIRST_DAY + 88, FIRST_DAY + 150]))
def test_another_future_changes_no_byte(seed: int, day: int) -> None:
    """Late corrections, retractions, backfills with early dates, other outcomes: none of it was
    known.
    """
    world = random_world(seed)
    assert _hash(with_other_future(world, day, seed + 1), seed, day) == _hash(world, seed, day)


@examples
@given(seed=seeds, day=st.sampled_from([FIRST_DAY + 60, FIRST_DAY + 88, FIRST_DAY + 150]))
def test_rows_that_arrive_late_count_as_if_they_never_came(seed: int, day: int) -> None:
    """Half of all rows delayed until T or later, whenever they happened: at T the same as rows
    deleted.
    """
    late, gone = _delayed(random_world(seed), day, seed)
    assert _hash(late, seed, day) == _hash(gone, seed, day)


@examples
@given(seed=seeds)
def test_row_order_changes_no_byte(seed: int) -> None:
    world, day = random_world(seed), FIRST_DAY + 150
    assert _hash(shuffled(world, seed + 1), seed, day) == _hash(world, seed, day)


@settings(max_examples=2, deadline=None, derandomize=True, phases=PHASES)
@given(seed=seeds, irregular=st.booleans())
def test_a_row_does_not_depend_on_which_others_are_built(seed: int, irregular: bool) -> None:
    """One account on one date alone equals the same row of the whole table: batch equals one by
    one.
    """
    world, snapshots = random_world(seed), some_snapshots(seed, irregular=irregular)
    together = _table(world, snapshots).set_index(["account_id", "as_of_day"])
    for account, day, feed in snapshots[1::11]:
        alone = _table(world, [(account, day, feed)]).set_index(["account_id", "as_of_day"])
        pd.testing.assert_frame_equal(alone, together.loc[[(account, day)]])


@examples
@given(seed=seeds)
def test_choices_of_kinds_and_categories_know_no_future(seed: int) -> None:
    world, day = random_world(seed), FIRST_DAY + 88
    chosen = []
    for each in (world, without_future(world, day), with_other_future(world, day, seed)):
        with connected(threads=1) as connection:
            load(connection, each)
            chosen.append({n: choose(connection, s.staged(), day, 12) for n, s in each.items()})
    assert chosen[0] == chosen[1] == chosen[2]


def test_every_contract_takes_part() -> None:
    assert {s.contract for s in random_world(0).values()} == set(CONTRACTS) - NEVER_READ


# --- does the proof reach every card?
# -------------------------------------------------------------------

POWER_SEEDS = range(12)
POWER_DAY = FIRST_DAY + 88
# Goals of the random worlds were dated by nobody and so were known always: no row of them lies in
# the future.
NEVER_MOVED = {"goals_set"}


@pytest.fixture(scope="module")
def reached() -> tuple[dict[str, Signal], set[str]]:
    """Every signal the worlds build, and those that the futures made here would move if they were
    read.

    Asked at a later date, where reading them is right: a signal that not even then differs between
    a world and the same world without its future would pass the tests above whatever it read.
    """
    signals: dict[str, Signal] = {}
    moved: set[str] = set()
    for seed in POWER_SEEDS:
        world = random_world(seed)
        later = [s for s in some_snapshots(seed, irregular=False) if s[1] > POWER_DAY]
        # Source by source: planning one query over all of them takes most of the time.
        for name, source in world.items():
            tables = []
            for each in (source, without_future({name: source}, POWER_DAY)[name]):
                with connected(threads=1) as connection:
                    table, plan = features_of(connection, {name: each}, later, choices_of(world))
                tables.append(table)
            signals |= {f"{name}/{s.column}": s for s in plan.signals}
            moved |= {f"{name}/{c}" for c in tables[0] if not tables[0][c].equals(tables[1][c])}
        if all(
            _signals_of(card.name, signals) & moved or card.name in NEVER_MOVED
            for card in (*CARDS, *STATES)
        ):
            break
    return signals, moved


def _signals_of(card: str, signals: dict[str, Signal]) -> set[str]:
    return {
        key
        for key, s in signals.items()
        if card in (s.driver, s.column, s.column.removesuffix(f"_{s.window_days}d"))
    }


def test_every_card_is_reached_by_the_proof(reached: tuple[dict[str, Signal], set[str]]) -> None:
    """A new card fails here until the random worlds hold what it reads, before and after T."""
    signals, moved = reached
    never_built, never_moved = [], []
    for card in (*CARDS, *STATES):
        mine = _signals_of(card.name, signals)
        if not mine:
            never_built.append(card.name)
        elif not mine & moved and card.name not in NEVER_MOVED:
            never_moved.append(card.name)
    assert not never_built, (
        "give random_world (tests/features/tiny_world.py) a source with the columns these cards"
        " need, and write their references in tests/features/feature_reference.py"
    )
    assert not never_moved, (
        "let random_world (tests/features/tiny_world.py) draw values that these cards count, or the"
        " proof says nothing about them"
    )
    columns = {key.partition("/")[2] for key in moved}
    for ratio in RATIOS:
        assert {ratio.numerator, ratio.divisor} <= columns, ratio.name


def _delayed(world: World, day: int, seed: int) -> tuple[World, World]:
    """A world whose rows, half of them, become known only at or after the day; and the same world
    without those rows.
    """
    draw = random.Random(seed)
    late: World = {}
    gone: World = {}
    for name, source in world.items():
        kept, delayed = [], []
        for row in source.rows:
            # A version that took the place of another is left alone: delaying it would lengthen
            # that one's life.
            is_free = (
                row["known_from"] is not None and row["known_until"] is None and draw.random() < 0.5
            )
            moment = moment_of(day) + timedelta(hours=draw.randint(0, 500))
            (delayed if is_free else kept).append({**row, "known_from": moment} if is_free else row)
        late[name] = replace(source, rows=(*kept, *delayed))
        gone[name] = replace(source, rows=tuple(kept))
    return late, gone
