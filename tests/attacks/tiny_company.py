"""The smallest company on which every command does its work, for tests that start hundreds."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from attack_run import run_command

from pipeline.config.schema import Target
from pipeline.jobs.registry import load_version
from pipeline.ledger import PUBLISHED, current_run, run_rows
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.storage import content_hash
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace, open_workspace

FIRST, SECOND, THIRD, LAST = "2025-05-04", "2025-05-18", "2025-05-25", "2025-06-01"
TOML = """
name = "tiny"
currency = "USD"
time_zone = "UTC"

[sources.accounts]
location = "data/accounts.parquet"
immutable = ["industry", "country"]
data_until = 2025-06-01

[sources.subscriptions]
location = "data/subscriptions.parquet"
convention = "fixed_term"
data_until = 2025-06-01

[sources.usage_events]
location = "data/usage_events.parquet"
data_until = 2025-06-01

[[targets]]
name = "churn_90d"
kind = "churn"
horizon_days = 90
grace_days = 14
population = { kind = "customers" }
dates = { every_days = 28, first = 2023-09-03, last = 2025-02-16 }
test = { count = 6 }

[objective]
purpose = "Call the accounts most likely to leave"
capacity = 10

[training]
trials = 0
bags = 1
max_trees = 10
threads = 1
folds = 2
seed = 0

[scale]
p_at_risk = 0.25
p_healthy = 0.1

[features]
window_days = [28]
max_kinds = 2
off = ["engagement", "outcomes", "adoption", "support", "financial", "relationship"]
"""


def write_tiny(folder: Path) -> None:
    """Three tables and a project file."""
    options = WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.6)
    write_world(simulate(250, 3, options=options), folder)
    for table in (folder / "data").iterdir():
        if table.stem not in ("accounts", "subscriptions", "usage_events"):
            table.unlink()
    change_usage(folder, lambda rows: rows.iloc[::20])
    (folder / "tenure.toml").write_text(TOML)


def change_usage(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Put other rows of usage in the place of those there are."""
    file = folder / "data" / "usage_events.parquet"
    rows = change(pd.read_parquet(file))
    file.unlink()  # copies share files
    rows.to_parquet(file, index=False)


def correct_usage(folder: Path) -> None:
    """Take every thirtieth row out, as corrections do, so that there is something else to learn."""
    change_usage(folder, lambda rows: rows.drop(index=rows.index[::30]))


def linked(source: Path, copy: Path) -> Path:
    """A copy; Parquet files, which are never changed, are shared."""

    def link(file: str, to: str) -> None:
        os.link(file, to) if file.endswith(".parquet") else shutil.copy2(file, to)

    shutil.copytree(source, copy, copy_function=link)
    return copy


def opened(folder: Path) -> tuple[Workspace, Target]:
    """As a command opens it."""
    workspace = open_workspace(folder, None, datetime(2025, 6, 1, 6))
    return workspace, workspace.target(None)


def publish_thrice(folder: Path) -> None:
    """Three runs, pages of the last and one of the second, and a candidate that was judged."""
    for command in (
        ("run", "--as-of", FIRST),
        ("score", "--as-of", SECOND),
        ("score", "--as-of", THIRD),
        ("explain", staying_account(folder), "--as-of", SECOND, "--page"),
    ):
        done = run_command(*command, "--project", folder)
        assert done.code == 0, (command, done.err)


def staying_account(folder: Path, but: int = 0) -> str:
    """An account whose last term ends after every date of a run."""
    terms = pd.read_parquet(folder / "data" / "subscriptions.parquet")
    ends = terms.groupby("account_id")["ends_at"].max().sort_index()
    return str(ends.index[ends > pd.Timestamp(LAST)][but])


def run_of(folder: Path, day: str) -> str:
    """The run of a date."""
    runs = run_rows(opened(folder)[0].store)
    return str(runs["run_id"][runs["as_of"] == pd.Timestamp(day)].iloc[-1])


@dataclass(frozen=True)
class Seen:
    """What readers and the next command see."""

    run: tuple[str, ...]
    """The current run, and a hash of its rows in each table that belongs to it."""
    model: tuple[str, ...]
    """The version in use, its contents and how it is read."""
    runs: tuple[tuple[str, str], ...]
    """Every run and its state."""


def seen(folder: Path, without: tuple[str, ...] = ()) -> Seen:
    """What is seen of a project; the accounts of `without` do not count."""
    workspace, target = opened(folder)
    store = workspace.store
    run = current_run(store, target.name)
    run_id = None if run is None else run.run_id
    hashes = []
    for table in PUBLISHED:
        rows = store.read(table, filters=[("run_id", "=", run_id)])
        rows = rows[~rows["account_id"].isin(without)]
        keys = [name for name in ("account_id", "driver") if name in rows]
        hashes.append(content_hash(rows, keys, without=("scored_at",)))
    version = load_version(workspace, target, CHAMPION)
    model: tuple[Any, ...] = ()
    if version is not None:
        model = (version.number, version.bundle.model_version, version.bundle.basis)
    return Seen((str(run_id), *hashes), tuple(map(str, model)), states_of(folder))


def states_of(folder: Path) -> tuple[tuple[str, str], ...]:
    """Every run and its state."""
    ledger = run_rows(opened(folder)[0].store).sort_values("run_id")
    return tuple(zip(ledger["run_id"], ledger["state"], strict=True))
