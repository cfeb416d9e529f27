"""The time of year from the project file to published points, and where training dates cannot tell
it.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_company import assert_bands_follow_health

from pipeline.engine.duckdb import Connection
from pipeline.flow import run_flow
from pipeline.jobs.explain import check_points, published_rows
from pipeline.jobs.explain_scale import band_edges
from pipeline.jobs.features import build_training
from pipeline.jobs.stage import stage_sources
from pipeline.workspace import open_workspace

NOW = datetime(2023, 10, 1, 6)
SEASON = {"days_from_new_year", "days_from_april"}
PROJECT = """
name = "shop"
time_zone = "UTC"
[sources.usage_events]
location = "orders.parquet"
{dates}
[training]
trials = 0
folds = 2
bags = 1
max_trees = 120
threads = 1
[features]
season = {season}
window_days = [28, 91]
"""
TARGET = """
[[targets]]
name = "silent"
kind = "inactivity"
horizon_days = 60
population = {{ kind = "active", active_within_days = 91 }}
dates = {{ every = "month", first = {first}, last = 2023-08-01 }}
test = {{ list = [2023-08-01] }}
"""


def shop(folder: Path, *, first: str, season: str = "true") -> Path:
    """600 buyers over 20 months who buy three times as often in October as in April."""
    random = np.random.default_rng(3)
    days = pd.date_range("2022-02-01", "2023-09-30", freq="D")
    year = 1.0 + 0.5 * np.cos(2 * np.pi * (days.day_of_year.to_numpy() - 285) / 365)
    pace = random.gamma(2.0, 0.012, 600)[:, None] * year[None, :]
    account, day = np.nonzero(random.random(pace.shape) < pace)
    orders = pd.DataFrame(
        {
            "account_id": [f"B-{n:03d}" for n in account],
            "event_time": days[day],
            "event_name": "order",
        }
    )
    folder.mkdir()
    orders.to_parquet(folder / "orders.parquet", index=False)
    (folder / "tenure.toml").write_text(
        PROJECT.format(season=season, dates=TARGET.format(first=first))
    )
    return folder


@pytest.mark.parametrize(
    ("first", "season", "is_told"),
    [
        (
            "2022-06-01",
            "true",
            True,
        ),  # June to July and 60 days more: a first question about September, as seen a year before
        ("2022-11-01", "true", False),
        ("2022-06-01", "false", False),
    ],
)
def test_the_time_of_year_is_a_signal_only_where_it_was_seen(
    tmp_path: Path, duck: Connection, first: str, season: str, is_told: bool
) -> None:
    workspace = open_workspace(shop(tmp_path / "p", first=first, season=season), None, NOW)
    stage_sources(workspace, duck)
    built = build_training(workspace, duck, workspace.target(None))
    assert (SEASON <= {signal.column for signal in built.signals}) == is_told


def test_the_season_is_a_published_reason_and_points_add(tmp_path: Path) -> None:
    workspace = open_workspace(shop(tmp_path / "p", first="2022-06-01"), None, NOW)
    run = run_flow(workspace, workspace.target(None), lambda step, words: None)
    assert run.published.run.basis == "calibrated"
    # Buyers have no contract: nobody is under notice, and the band is that of the health too.
    assert_bands_follow_health(run.published.scores, band_edges(workspace))
    told = published_rows(workspace, workspace.target(None), "drivers").query("driver == 'season'")
    # October is near, and a buyer seen in autumn returns: everybody gains, by about the same.
    assert (
        len(told) == len(run.published.scores)
        and told["points"].min() > 0
        and set(told["said"]) == {"Time of year"}
    )
    assert (
        not run.published.reasons["driver"].eq("season").any()
    )  # what all share tells nobody whom to call
    checked = check_points(workspace, workspace.target(None))
    assert checked.accounts == len(run.published.scores) and checked.displayed_add
