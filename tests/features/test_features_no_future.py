"""What became known on or after T cannot move a feature at T: over every contract and every card, to the byte."""

import functools

import pandas as pd
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tiny_world import (
    FIRST_DAY,
    World,
    choices_of,
    features_of,
    load,
    random_world,
    shuffled,
    some_snapshots,
    with_other_future,
    without_future,
)

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
    """Late corrections, retractions, backfills with early dates, other outcomes: none of it was known."""
    world = random_world(seed)
    assert _hash(with_other_future(world, day, seed + 1), seed, day) == _hash(world, seed, day)


@examples
@given(seed=seeds)
def test_row_order_changes_no_byte(seed: int) -> None:
    world, day = random_world(seed), FIRST_DAY + 150
    assert _hash(shuffled(world, seed + 1), seed, day) == _hash(world, seed, day)


@settings(max_examples=2, deadline=None, derandomize=True, phases=PHASES)
@given(seed=seeds, irregular=st.booleans())
def test_a_row_does_not_depend_on_which_others_are_built(seed: int, irregular: bool) -> None:
    """One account on one date alone equals the same row of the whole table: batch equals one by one."""
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


def test_the_harness_would_notice_a_leak() -> None:
    """Rows of the future that a compile did see would move its table: the futures made here are not empty."""
    day = FIRST_DAY + 88
    moved = 0
    for seed in range(2):
        at_day = functools.partial(_table, snapshots=[s for s in some_snapshots(seed, irregular=False) if s[1] > day])
        moved += not at_day(without_future(random_world(seed), day)).equals(at_day(random_world(seed)))
    assert moved == 2
