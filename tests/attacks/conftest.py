"""A company full of hostile words, and commands run in this process."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from attack_run import Attacked, run_command
from hostile_words import EVENTS, IDS, NAMES
from stopped import Stopper
from tiny_company import publish_thrice, write_tiny

from pipeline.simulate import WorldOptions, simulate, write_world

QUICK = """
[scale]
p_at_risk = 0.1
p_healthy = 0.03

[features]
window_days = [28]
max_kinds = 30
off = ["engagement", "outcomes", "adoption", "support", "financial"]
"""


@pytest.fixture(scope="session")
def calm_company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small company before anything was run on it; read it, never change it."""
    folder = tmp_path_factory.mktemp("attacks") / "calm"
    options = WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.35)
    write_world(simulate(120, 3, options=options), folder)
    file = folder / "tenure.toml"
    text = file.read_text().replace(
        "trials = 15", "trials = 0\nbags = 1\nmax_trees = 20\nthreads = 1"
    )
    file.write_text(text.replace("folds = 4", "folds = 2") + QUICK)
    return folder


@pytest.fixture(scope="session")
def tiny_company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tables, three published runs and a candidate; read it, never change it."""
    folder = tmp_path_factory.mktemp("attacks") / "tiny"
    write_tiny(folder)
    publish_thrice(folder)
    return folder


@pytest.fixture(scope="session")
def stopper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopper]:
    starts = Stopper(tmp_path_factory.mktemp("stopped"))
    yield starts
    starts.close()


@pytest.fixture(scope="session")
def hostile_company(calm_company: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same company with payloads for ids, names, owners, industries and events; `run` done."""
    folder = tmp_path_factory.mktemp("attacks") / "hostile"
    tables = {path.stem: pd.read_parquet(path) for path in (calm_company / "data").glob("*")}
    ids = sorted(tables["accounts"]["account_id"].unique())
    # The newest accounts are still there on the day of the score.
    renamed = dict(zip(reversed(ids), IDS, strict=False))
    words = {account: NAMES[place % len(NAMES)] for place, account in enumerate(ids)}
    accounts = tables["accounts"]
    accounts["name"] = accounts["account_id"].map(words)
    accounts["owner"] = accounts["account_id"].map(
        {account: NAMES[(place // 3) % len(NAMES)] for place, account in enumerate(ids)}
    )
    accounts["industry"] = accounts["account_id"].map(
        {account: NAMES[place % 9] for place, account in enumerate(ids)}
    )
    # Every payload occurs in a third of the rows as well; reading them is what takes long.
    usage = tables["usage_events"] = tables["usage_events"].iloc[::3].copy()
    kinds = sorted(usage["event_name"].unique())
    usage["event_name"] = usage["event_name"].map(
        {kind: EVENTS[place % len(EVENTS)] for place, kind in enumerate(kinds)}
    )
    (folder / "data").mkdir(parents=True)
    for name, table in tables.items():
        for column in ("account_id", "parent_account_id"):
            if column in table:
                table[column] = table[column].replace(renamed)
        table.to_parquet(folder / "data" / f"{name}.parquet", index=False)
    settings = (calm_company / "tenure.toml").read_text()
    file = folder / "tenure.toml"
    file.write_text(
        settings.replace("create_report", EVENTS[0])
        .replace("build_plan", EVENTS[1])
        .replace("sync_integration", "[/b]")
        .replace("error_shown", EVENTS[3])
    )
    ran = run_command("run", "--project", folder)
    assert ran.code == 0, ran.err
    return folder


@pytest.fixture(scope="session")
def hostile_run(hostile_company: Path) -> Attacked:
    """What `check` says of it."""
    return run_command("check", "--project", hostile_company)
