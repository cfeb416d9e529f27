"""Shapes of the stream queries: without corrections, on a grid or on dates of each account, with
many kinds of window.
"""

import math
from dataclasses import replace
from pathlib import Path

import feature_reference as plain
import pandas as pd
import pytest
from tiny_world import (
    FIRST_DAY,
    WINDOWS,
    Snapshot,
    World,
    choices_of,
    load,
    random_world,
    some_snapshots,
)

from benchmarks._events_log import event_log
from benchmarks._features_pandas import build as pandas_build
from benchmarks.features import Load, build
from features.build import FeaturePlan, plan_features
from features.definition import Card, count, distinct, distinct_days, total
from features.windows import day_of
from pipeline.engine.duckdb import connected
from pipeline.engine.facts import CELLS_AT_ONCE, define_times, put_table, run_plan, source_facts

SEEDS = (0, 1)


def _without_corrections(world: World) -> World:
    """Every row is the only version of itself, so that the queries of uncorrected sources are
    used.
    """
    return {
        n: replace(s, rows=tuple({**r, "known_until": None} for r in s.rows))
        for n, s in world.items()
    }


def _built(
    world: World,
    snapshots: list[Snapshot],
    *,
    own_dates: bool,
    cards: tuple[Card, ...] | None = None,
    corrected: bool = False,
    cells_at_once: int = CELLS_AT_ONCE,
) -> tuple[pd.DataFrame, FeaturePlan]:
    staged = {n: s.staged() for n, s in world.items()}
    if corrected:
        staged = {n: replace(s, has_versions=True) for n, s in staged.items()}
    with connected(threads=1) as connection:
        load(connection, world)
        put_table(
            connection,
            "snapshots",
            pd.DataFrame(snapshots, columns=["account_id", "as_of_day", "partition_name"]),
        )
        plan = plan_features(
            [source_facts(s, choices_of(world)) for s in staged.values()],
            window_days=WINDOWS,
            own_dates=own_dates,
            cards=cards,
        )
        days = connection.execute("select distinct as_of_day, partition_name from snapshots").df()
        define_times(connection, plan, staged, days)
        run_plan(connection, plan, "features", cells_at_once)
        return (
            connection.execute("select * from features order by account_id, as_of_day").df(),
            plan,
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_uncorrected_sources_equal_plain_python(seed: int) -> None:
    """Days as bits of a bin and users by the day last seen: only sources without corrections take
    these queries.
    """
    world, snapshots = (
        _without_corrections(random_world(seed)),
        some_snapshots(seed, irregular=seed == 1),
    )
    only = {n: world[n] for n in ("usage_events", "support_tickets", "touchpoints")}
    table, plan = _built(only, snapshots, own_dates=seed == 1)
    rows = {(r["account_id"], r["as_of_day"]): r for r in table.to_dict("records")}
    wrong = []
    for signal in (s for s in plan.signals if plain.has_reference(s)):
        for at in snapshots:
            built, expected = rows[at[0], at[1]][signal.column], plain.reference(only, signal, *at)
            if not (math.isnan(built) if expected is None else built == expected):
                wrong.append((signal.column, at, built, expected))
    assert not wrong, f"{len(wrong)} cells differ: {wrong[:5]}"


@pytest.mark.parametrize("corrected", [False, True])
def test_every_shape_of_query_gives_one_table(corrected: bool) -> None:
    """A grid added up for all pairs, the same by snapshots; queries of corrected sources over rows
    without any.
    """
    world = random_world(3)
    if not corrected:
        world = _without_corrections(world)
    snapshots = some_snapshots(3, irregular=False)
    grid, _ = _built(world, snapshots, own_dates=False)
    pd.testing.assert_frame_equal(grid, _built(world, snapshots, own_dates=True)[0])
    if not corrected:
        pd.testing.assert_frame_equal(
            grid, _built(world, snapshots, own_dates=False, corrected=True)[0]
        )


def test_nothing_is_null_where_a_card_says_so() -> None:
    """Sums of bins are 0 for an account without facts; a card with `when_empty` null must not show
    that.
    """
    measures = {
        "n": count(),
        "sum": total("quantity"),
        "days": distinct_days(),
        "users": distinct("user_id"),
    }
    empties = {"null": None, "0": 0, "5": 5}
    cards = tuple(
        Card(
            f"{kind}_{name}",
            dimension="usage",
            contract="usage_events",
            measure=measure,
            days=(7,),
            when_empty=empty,
            unit="x",
            phrase="x {value}",
            meaning="x",
        )
        for kind, measure in measures.items()
        for name, empty in empties.items()
    )
    early = pd.Timestamp("2023-01-02")
    rows = [
        {
            "account_id": "B",
            "partition": "",
            "event_time": early,
            "known_from": None,
            "known_until": None,
        }
    ]
    world = {"usage_events": replace(random_world(0)["usage_events"], rows=tuple(rows))}
    table, _ = _built(world, [("B", FIRST_DAY + 60, "")], own_dates=False, cards=cards)
    for kind in measures:
        assert math.isnan(table[f"{kind}_null_7d"][0])
        assert table[f"{kind}_0_7d"][0] == 0 and table[f"{kind}_5_7d"][0] == 5


@pytest.mark.parametrize("own_dates", [False, True])
def test_some_accounts_after_the_others_give_the_same_table(own_dates: bool) -> None:
    """Where the table is large, accounts are built in ranges; one cell at a time makes a range of
    each account.
    """
    world, snapshots = random_world(4), some_snapshots(4, irregular=own_dates)
    only = {n: world[n] for n in ("usage_events", "support_tickets", "accounts")}
    whole, _ = _built(only, snapshots, own_dates=own_dates)
    pd.testing.assert_frame_equal(
        whole, _built(only, snapshots, own_dates=own_dates, cells_at_once=1)[0]
    )


def test_generated_log_equals_straightforward_pandas(tmp_path: Path) -> None:
    """The benchmark compares like with like: both clocks, late rows, every window, exact users."""
    load = Load(20_000, 200, 6, users=True)
    log = event_log(load.events, load.accounts, tmp_path)
    with connected(threads=1) as connection:
        accounts = connection.execute(f"select distinct account_id from read_parquet('{log}')").df()
        put_table(
            connection,
            "snapshots",
            accounts.merge(pd.DataFrame({"as_of_day": load.as_of_days}), how="cross").assign(
                partition_name=""
            ),
        )
        build(connection, log, load)
        ours = connection.execute("select * from features order by account_id, as_of_day").df()
    theirs = pandas_build(
        str(log), [pd.Timestamp(day_of(d)) for d in load.as_of_days], list(load.windows)
    )
    theirs = theirs.sort_values(["account_id", "as_of"], ignore_index=True)
    for column in ours.columns[2:]:
        name = column.removeprefix("log__")
        there = theirs[name[:-1] if name[-2].isdigit() else name].astype("float64")
        covered = ours[column].notna()
        assert (ours[column][covered] == there[covered]).all(), column
        assert there[~covered].isna().all(), column
