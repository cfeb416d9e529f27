"""One expression per feature: Spark and DuckDB give the same table from the same staged files."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlglot
from small_company import Command, Company

from features.build import FeaturePlan, plan_features
from features.catalogue import CARDS, RATIOS, STATES
from pipeline.engine import spark as spark_engine
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import source_facts
from pipeline.engine.spark import facts_on_spark, run_plan_on_spark, spark_session
from pipeline.staging.staged import StagedSource
from pipeline.storage import content_hash

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "features"))
from tiny_world import (
    WINDOWS,
    World,
    choices_of,
    features_of,
    random_world,
    some_snapshots,
)  # noqa: E402

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEY = ("account_id", "as_of_day")
# Dates of each account's own, two feeds, versions, late rows, ties: every card of the catalogue is
# built.
SEED = 1


@pytest.mark.spark
@pytest.mark.slow
def test_the_whole_catalogue_is_equal_on_both_engines(
    spark: "SparkSession", duck: Connection, tmp_path: Path
) -> None:
    world, snapshots = random_world(SEED), some_snapshots(SEED, irregular=True)
    expected, plan = features_of(duck, world, snapshots, choices_of(world))
    built = {s.driver.split("__")[-1] for s in plan.signals} | {s.column for s in plan.signals}
    assert {c.name for c in (*CARDS, *STATES, *RATIOS)} <= built
    types = duck.execute("describe features").fetchall()
    found = _on_spark(duck, plan, _files(world, tmp_path))
    assert duck.execute("describe features").fetchall() == types
    _assert_equal(found, expected)


@pytest.mark.spark
def test_rows_come_for_some_accounts_after_the_others(
    spark: "SparkSession", duck: Connection, tmp_path: Path
) -> None:
    world = {"clicks": random_world(SEED)["clicks"]}
    expected, _ = features_of(duck, world, some_snapshots(SEED, irregular=True), choices_of(world))
    plan = plan_features(
        [source_facts(world["clicks"].staged(), {})], window_days=WINDOWS, cards=CARDS[:1]
    )
    found = _on_spark(duck, plan, _files(world, tmp_path), cells_at_once=7 * len(plan.signals))
    _assert_equal(found, expected[list(found.columns)])


def _on_spark(
    duck: Connection,
    plan: FeaturePlan,
    files: Mapping[str, tuple[StagedSource, list[str]]],
    **options: int,
) -> pd.DataFrame:
    session = spark_session()
    run_plan_on_spark(
        session, duck, plan, {name: files[name] for name in plan.windows}, "features", **options
    )
    assert session.catalog.listTables() == []
    return duck.execute("select * from features order by account_id, as_of_day").df()


def _files(world: World, folder: Path) -> dict[str, tuple[StagedSource, list[str]]]:
    files = {}
    for name, source in world.items():
        pq.write_table(source.arrow(), folder / f"{name}.parquet")
        files[name] = (source.staged(), [str(folder / f"{name}.parquet")])
    return files


def _assert_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Bit for bit; where not, the first difference is named."""
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert content_hash(found, KEY) == content_hash(expected, KEY)


@pytest.mark.spark
@pytest.mark.slow
def test_the_same_project_file_gives_the_same_feature_table(
    spark: "SparkSession", company_copy: Company, tenure: Command
) -> None:
    workspace, target = company_copy.workspace()
    table = f"features_{target.name}"
    _leave_usage_and_contract(company_copy.folder / "tenure.toml")
    usage = company_copy.table("usage_events")
    company_copy.replace_table(
        "usage_events", usage[usage["account_id"].isin(usage["account_id"].unique()[:25])]
    )
    assert tenure("features", "--project", company_copy.folder).code == 0
    expected, schema = workspace.store.read(table), workspace.store.delta(table).schema()
    said = tenure("features", "--project", company_copy.folder, "--engine", "spark")
    assert said.code == 0, said.err
    assert workspace.store.delta(table).schema() == schema
    pd.testing.assert_frame_equal(workspace.store.read(table), expected, check_exact=True)


def _leave_usage_and_contract(file: Path) -> None:
    text = file.read_text()
    shorter = text.replace("[28, 91]", "[28]").replace(
        '"adoption"]', '"adoption", "financial", "support", "relationship"]'
    )
    assert len(shorter) > len(text)
    file.write_text(shorter)


def test_the_one_text_of_its_own_is_spark_sql() -> None:
    for name, source in random_world(SEED).items():
        query = facts_on_spark(source.staged(), f"staged_{name}")
        assert '"' not in query
        assert len(sqlglot.parse(query, dialect="spark")) == 1


def test_without_pyspark_or_java_the_next_step_is_said(
    tenure: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = tenure("run", "--project", tmp_path, "--engine", "flink")
    assert said.code == 2 and "spark" in said.err
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    said = tenure("features", "--project", tmp_path, "--engine", "spark")
    assert said.code == 2 and "pip install 'tenure[spark]'" in said.err


def test_without_java_the_next_step_is_said(
    tenure: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sql = pytest.importorskip("pyspark.sql")
    monkeypatch.setattr(sql.SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr(spark_engine.shutil, "which", lambda *_, **__: None)
    said = tenure("run", "--project", tmp_path, "--engine", "spark")
    assert said.code == 2 and "openjdk-17" in said.err


def test_other_commands_load_no_spark() -> None:
    """PySpark takes a second to import, and need not be installed."""
    code = (
        "import sys, pipeline.cli, pipeline.engine.spark, pipeline.jobs.run; assert 'pyspark' not"
        " in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
