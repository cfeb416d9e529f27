"""Keep the snapshots, labels and features of a target in the store, and read them back for
training.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.definition import Card, Signal
from features.errors import ConfigError, StoreError
from features.sql import listed
from features.windows import day_number
from models.dataset import KEY_COLUMNS, TrainingSet
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, midnight, row
from pipeline.jobs.features import BuiltFeatures, build_card, build_training
from pipeline.storage import Store
from pipeline.workspace import Workspace

# Days are kept as numbers inside SQL and as timestamps in every table that others read.
_AS_OF = f"{midnight('as_of_day')} as as_of"

HALF_BUILT = "half built"
COLUMNS_AT_ONCE = 16
"""Signals read from the store at a time."""


@dataclass(frozen=True)
class FeatureSet:
    """What a features table holds beside its rows."""

    signals: tuple[Signal, ...]
    choices: Mapping[str, Any]
    train_dates: tuple[str, ...]
    test_dates: tuple[str, ...]


@dataclass(frozen=True)
class TrainingCounts:
    """How much there is to learn from, for the story of the run.

    Parameters
    ----------
    rows, accounts, dates
        All snapshots, the accounts and dates they are of; `first` and `last` are day numbers.
    labelled, rate
        Rows with a complete horizon, and the share of them with the event; None without any.
    leavers, test_leavers
        Accounts with the event, and those of the test among them.
    incomplete
        Dates asked one by one that were left out, since their outcome is complete for nobody.
    """

    signals: int
    rows: int
    accounts: int
    labelled: int
    leavers: int
    rate: float | None
    first: int
    last: int
    dates: int
    test_leavers: int
    test_rows: int
    incomplete: tuple[date, ...] = ()


def prepare_training(
    workspace: Workspace, connection: Connection, target: Target
) -> TrainingCounts:
    """Build and write `snapshots`, `labels` and `features_<target>`; returns counts for the story
    of the run.
    """
    built = build_training(workspace, connection, target)
    store, name = workspace.store, target.name
    only = f"target = '{name}'"
    snapshots = connection.sql(
        f"select account_id, {_AS_OF}, '{name}' as target, partition_name as feed, state, age_days,"
        " is_test from snapshots order by account_id, as_of_day"
    ).to_arrow_table()
    labels = connection.sql(
        f"select account_id, {_AS_OF}, '{name}' as target, cast(label as integer) as label,"
        f" label_reason, {midnight('label_until_day')} as label_until,"
        " make_timestamp(event_us) as event_at from labels order by account_id, as_of_day"
    ).to_arrow_table()
    columns = listed(s.column for s in built.signals)
    features = connection.sql(
        f"select account_id, {_AS_OF}, {columns} from features order by account_id, as_of_day"
    )
    # Until the last table is written the set is marked as half built, so that a kill in between is
    # noticed.
    _write_set(workspace, name, HALF_BUILT)
    store.write("snapshots", snapshots, replace=only, partition_by=["target"])
    store.write("labels", labels, replace=only, partition_by=["target"])
    store.write(f"features_{name}", features)
    _write_set(workspace, name, _to_json(built))
    return _counts(connection, built)


def _write_set(workspace: Workspace, target: str, facts: str) -> None:
    entry = pa.Table.from_pylist([{"target": target, "facts": facts}])
    workspace.store.write(
        "feature_sets", entry, replace=f"target = '{target}'", partition_by=["target"]
    )


def _to_json(built: BuiltFeatures) -> str:
    dates = built.dates
    facts = {
        "signals": [s.to_dict() for s in built.signals],
        "choices": dict(built.choices),
        "train_dates": [d.isoformat() for d in dates.train] if dates else [],
        "test_dates": [d.isoformat() for d in dates.test] if dates else [],
    }
    return json.dumps(facts, sort_keys=True, default=str)


def _counts(connection: Connection, built: BuiltFeatures) -> TrainingCounts:
    counted = row(
        connection,
        """
select count(*), count(distinct s.account_id), count(l.label),
  count(distinct case when l.label = 1 then s.account_id end), avg(l.label),
  min(s.as_of_day), max(s.as_of_day), count(distinct s.as_of_day),
  count(distinct case when s.is_test and l.label = 1 then s.account_id end),
  count(case when s.is_test and l.label is not null then 1 end)
from snapshots s join labels l on l.account_id = s.account_id and l.as_of_day = s.as_of_day""",
    )
    incomplete = () if built.dates is None else built.dates.incomplete
    return replace(TrainingCounts(len(built.signals), *counted), incomplete=incomplete)


def feature_set(workspace: Workspace, target: Target) -> FeatureSet:
    """What the features table of a target holds.

    Raises
    ------
    StoreError
        When they were never built, or only half.
    """
    rows = workspace.store.read("feature_sets", filters=[("target", "=", target.name)])
    if rows.empty or rows["facts"].iloc[0] == HALF_BUILT:
        raise StoreError(
            f"the features of target {target.name!r} are incomplete. "
            f"Run `tenure features --target {target.name}`."
        )
    facts = json.loads(rows["facts"].iloc[0])
    return FeatureSet(
        tuple(Signal.from_dict(s) for s in facts["signals"]),
        facts["choices"],
        tuple(facts["train_dates"]),
        tuple(facts["test_dates"]),
    )


def own_signal(
    workspace: Workspace, connection: Connection, target: Target, card: Card
) -> pd.DataFrame:
    """Values of a card on every row of the features in the store: account_id, as_of, and a column
    for each of its windows. Nothing is kept.

    Raises
    ------
    StoreError
        When the features were never built, or only half.
    ConfigError
        When the project has no source, or not the columns, that the card needs.
    """
    frozen = feature_set(workspace, target)
    kept = workspace.store.read(
        "snapshots",
        columns=["account_id", "as_of", "feed"],
        filters=[("target", "=", target.name)],
    )
    snapshots = kept.assign(as_of_day=[day_number(each.date()) for each in kept["as_of"]])
    snapshots = snapshots.rename(columns={"feed": "partition_name"}).drop(columns="as_of")
    signals = build_card(workspace, connection, target, snapshots, frozen.choices, card)
    # Signals of state stand beside whatever cards are asked for.
    columns = listed(each.column for each in signals if each.driver == card.name)
    if not columns:
        raise ConfigError(
            f"the card {card.name!r} reads {card.contract!r}: no source of this project has that"
            " contract with the columns it needs."
        )
    values: pd.DataFrame = connection.sql(
        f"select account_id, {_AS_OF}, {columns} from features order by account_id, as_of_day"
    ).df()
    return values


def load_training(
    workspace: Workspace, target: Target
) -> tuple[TrainingSet, FeatureSet, pd.DataFrame]:
    """The labelled rows of a target, what their columns mean, and the labels table itself."""
    keys, features, labels = training_keys(workspace, target)
    return training_rows_of(workspace, target, keys, features), features, labels


def training_keys(
    workspace: Workspace, target: Target
) -> tuple[pd.DataFrame, FeatureSet, pd.DataFrame]:
    """Account, dates and label of the labelled rows of a target, what their columns mean, and the
    labels table itself.
    """
    features = feature_set(workspace, target)
    mine = [("target", "=", target.name)]
    labels = workspace.store.read("labels", filters=mine).drop(columns="target")
    snapshots = workspace.store.read(
        "snapshots", columns=["account_id", "as_of", "is_test"], filters=mine
    )
    keys = snapshots.merge(labels, on=["account_id", "as_of"]).dropna(subset=["label"])
    keys = keys.sort_values(["account_id", "as_of"], kind="stable", ignore_index=True)
    return keys[[*KEY_COLUMNS, "label"]], features, labels


def training_rows_of(
    workspace: Workspace, target: Target, keys: pd.DataFrame, features: FeatureSet
) -> TrainingSet:
    """The rows of `training_keys`, or some of them, with their signals."""
    columns = [s.column for s in features.signals]
    values = pd.DataFrame(
        signal_values(workspace.store, f"features_{target.name}", keys, columns), columns=columns
    )
    return TrainingSet(
        keys[list(KEY_COLUMNS)], values, keys["label"].to_numpy(dtype=np.int8), features.signals
    )


def signal_values(
    store: Store, table: str, keys: pd.DataFrame, columns: list[str]
) -> NDArray[np.float64]:
    """Signals of the rows of `keys`, read a few columns at a time into the one array that holds
    them: Arrow would hold a second one beside it, and what it was unpacked from.
    """
    wanted = pd.MultiIndex.from_frame(keys[["account_id", "as_of"]])
    stored = store.read(table, columns=["account_id", "as_of"])
    to = wanted.get_indexer(pd.MultiIndex.from_frame(stored.astype({"as_of": keys["as_of"].dtype})))
    labelled = np.flatnonzero(to >= 0)
    to, filled = to[labelled], len(labelled)
    values = np.full((len(keys), len(columns)), np.nan)
    for first in range(0, len(columns), COLUMNS_AT_ONCE):
        some = columns[first : first + COLUMNS_AT_ONCE]
        read = store.read_arrow(table, columns=some)
        for number, column in enumerate(some, start=first):
            values[to, number] = read.column(column).to_numpy()[labelled]
    if filled != len(keys):
        raise StoreError(
            f"{len(keys) - filled} labelled rows have no features in {table!r}. Run `tenure"
            " features` again."
        )
    return values
