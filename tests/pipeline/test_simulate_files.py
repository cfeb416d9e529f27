"""What is written: Parquet tables, truth apart, a project file; and what a CRM export loses."""

import json
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from pipeline.config.schema import Project
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.simulate.world import TABLES

OPTIONS = WorldOptions(
    first_day=date(2024, 1, 1),
    last_day=date(2025, 1, 1),
    truth_replicates=2,
    truth_dates=(date(2024, 6, 3), date(2024, 7, 1)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("world")
    write_world(simulate(150, 2, options=OPTIONS), target)
    return target


def test_written_tables_equal_those_in_memory(folder: Path) -> None:
    tables = simulate(150, 2, options=OPTIONS).tables
    assert sorted(path.stem for path in (folder / "data").iterdir()) == sorted(TABLES)
    for name in TABLES:
        pd.testing.assert_frame_equal(
            pq.read_table(folder / "data" / f"{name}.parquet").to_pandas(), tables[name]
        )


def test_writing_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_world(simulate(150, 2, options=OPTIONS), tmp_path)
    for path in sorted(folder.rglob("*.*")):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes(), path.name


def test_truth_is_written_apart_from_the_tables(folder: Path) -> None:
    churn = pq.read_table(folder / "truth" / "churn_90d.parquet").to_pandas()
    assert set(churn["as_of"].dt.date) == set(OPTIONS.truth_dates or ())
    drivers = pq.read_table(folder / "truth" / "drivers.parquet").to_pandas()
    assert drivers[["account_id", "as_of"]].equals(churn[["account_id", "as_of"]])
    assert json.loads((folder / "truth" / "effects.json").read_text())["randomised"] == "pilot_call"


def test_project_file_fits_the_schema_and_the_tables(folder: Path) -> None:
    project = TypeAdapter(Project).validate_python(
        tomllib.loads((folder / "tenure.toml").read_text())
    )
    for source in project.sources.values():
        assert (folder / str(source.location)).exists()
    assert project.targets[0].name == "churn_90d"
    assert project.sources["subscriptions"].convention == "fixed_term"


def test_default_grid_leaves_room_for_complete_labels() -> None:
    last = WorldOptions().grid[-1]
    assert (WorldOptions().last_day - last).days > 90 + 14
    steps = {
        (b - a).days for a, b in zip(WorldOptions().grid, WorldOptions().grid[1:], strict=False)
    }
    assert steps == {28}


def test_an_export_has_lost_history_leavers_and_values() -> None:
    options = replace(OPTIONS, truth_dates=())
    full, exported = (
        simulate(400, 2, options=replace(options, as_exported=flag)).tables
        for flag in (False, True)
    )
    accounts = exported["accounts"]
    ended = set(full["subscriptions"].dropna(subset=["end_reason"])["account_id"])
    assert "valid_from" not in accounts and not accounts["account_id"].duplicated().any()
    missing = set(full["accounts"]["account_id"]) - set(accounts["account_id"])
    assert missing and missing <= ended
    assert missing & set(exported["usage_events"]["account_id"])
    assert missing & set(exported["invoices"]["account_id"])
    assert set(accounts.loc[accounts["value_per_year"] == 0, "account_id"]) == ended - missing
    assert 0.15 < len(ended - missing) / len(ended) < 0.5
    assert not missing & set(exported["subscriptions"]["account_id"])
    left = exported["subscriptions"]["account_id"].isin(ended)
    assert (exported["subscriptions"].loc[left, "amount_per_month"] == 0).all()
    assert set(exported["subscriptions"].loc[left, "status"]) == {"cancelled"}
