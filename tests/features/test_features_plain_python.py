"""Every card of the catalogue against slow plain Python, on tiny random tables; a card without a
reference fails.
"""

import math
from functools import cache

import feature_reference as plain
import pytest
import sqlglot
from tiny_world import choices_of, compiled, features_of, random_world, some_snapshots

from features.build import FeaturePlan
from features.catalogue import CARDS, RATIOS, STATES
from features.definition import Signal
from pipeline.engine.duckdb import connected

SEEDS = range(6)


@cache
def _built(seed: int) -> tuple[list[tuple[Signal, tuple[str, int, str], float, float | None]], int]:
    """(signal, snapshot, built value, reference value) of every cell of one world."""
    world, snapshots = random_world(seed), some_snapshots(seed, irregular=seed % 2 == 1)
    with connected(threads=1) as connection:
        table, plan = features_of(connection, world, snapshots, choices_of(world))
    rows = {(r["account_id"], r["as_of_day"]): r for r in table.to_dict("records")}
    cells = [
        (signal, at, rows[at[0], at[1]][signal.column], plain.reference(world, signal, *at))
        for signal in plan.signals
        if plain.has_reference(signal)
        for at in snapshots
    ]
    return cells, len(table) - len(snapshots)


def _plan(seed: int) -> FeaturePlan:
    world = random_world(seed)
    return compiled(world, choices_of(world))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_signal_equals_plain_python(seed: int) -> None:
    cells, surplus_rows = _built(seed)
    assert surplus_rows == 0
    wrong = [
        (s.column, at, built, expected)
        for s, at, built, expected in cells
        if not (math.isnan(built) if expected is None else built == expected)
    ]
    assert not wrong, (
        f"{len(wrong)} of {len(cells)} cells differ, in {sorted({w[0] for w in wrong})}: {wrong[:5]}"
    )


def test_every_card_has_a_reference_and_was_put_to_the_test() -> None:
    seen = {s.column: s for seed in SEEDS for s, *_ in _built(seed)[0]}
    named = {*(c.name for c in CARDS), *(c.name for c in STATES), *(c.name for c in RATIOS)}
    built = {s.driver for s in seen.values()} | set(seen)
    assert not {n for n in named if n not in built}, "cards that the random worlds never build"
    missing = {s.column for seed in (0,) for s in _plan(seed).signals if not plain.has_reference(s)}
    assert not missing, "write down in feature_reference.py what these should be"
    # A reference that only ever saw "nothing happened" proves nothing.
    spoke = {
        s.column
        for seed in SEEDS
        for s, _, _, expected in _built(seed)[0]
        if expected not in (None, s.when_empty)
    }
    silent = set(seen) - spoke
    assert not silent, f"references that never had a value of their own: {sorted(silent)}"


def test_null_and_empty_are_told_apart() -> None:
    """A covered window without events says 0; a window the feed did not cover says nothing."""
    cells = [
        (built, expected)
        for seed in SEEDS
        for s, _, built, expected in _built(seed)[0]
        if s.column == "events_28d"
    ]
    assert {0.0, None} <= {expected for _, expected in cells}


@pytest.mark.parametrize("seed", [0, 1])
def test_emitted_sql_is_portable(seed: int) -> None:
    plan = _plan(seed)
    for statement in [*(step.select for step in plan.steps), plan.query]:
        # Spark reads double quotes as names, not as text (`pipeline/engine/spark.py` sets it so);
        # the parser knows that dialect with its back quotes only.
        for dialect, spelled in (("duckdb", statement), ("spark", statement.replace('"', "`"))):
            assert len(sqlglot.parse(spelled, dialect=dialect)) == 1


def test_kinds_that_read_alike_keep_their_own_counts() -> None:
    """`Add-on` and `add on` have one slug; their bins once overwrote each other."""
    columns = {
        s.column: s
        for s, *_ in _built(0)[0]
        if s.source == "usage_events" and s.definition.get("kinds")
    }
    drivers = {
        tuple(s.definition["kinds"]): s.driver
        for s in columns.values()
        if s.definition["measure"] == "count"
    }
    assert len(set(drivers.values())) == len(drivers) == 4
