"""`tenure table promote`: the gates of the run, the model in use on the same held-out rows, and
what is refused.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_company import Command

from features.errors import ConfigError
from models.figures import from_side_by_side, side_by_side
from models.plan import TrainingPlan
from models.table import TableOptions, table_rows
from models.table_codes import ColumnCode, misfits
from models.training import train
from pipeline.config.schema import Training
from pipeline.evaluations import Comparison
from pipeline.jobs.in_use import compare
from pipeline.jobs.promote import beside_now, promote_label
from pipeline.jobs.registry import RegisteredModel, project_of, registered_table
from pipeline.jobs.table_in_use import NOT_OUT_OF_TIME, table_facts, table_in_use
from pipeline.jobs.train_table import TrainedTable, table_job, train_table
from pipeline.tracking import CHALLENGER, CHAMPION, alias_version, client

NOW = pd.Timestamp("2025-06-02").to_pydatetime()
NAME = "table-left"
PROJECT = """name = "acme"
[sources.usage_events]
location = "usage.parquet"
[[targets]]
name = "quiet"
kind = "inactivity"
horizon_days = 30
[training]
trials = 0
threads = 1
bags = 1
max_trees = 40
band_change_budget = 1
"""


def some_table(rows: int = 800, seed: int = 1) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    usage = generator.gamma(2.0, 10.0, rows)
    plan = generator.choice(["Basic", "Pro", "Team"], rows, p=[0.5, 0.3, 0.2])
    left = generator.random(rows) < 1 / (1 + np.exp(0.12 * usage - 0.5 - 1.2 * (plan == "Basic")))
    return pd.DataFrame(
        {
            "account": [f"{n:05}" for n in range(rows)],
            "logins": usage,
            "plan": plan,
            "seats": generator.integers(1, 40, rows),
            "left": left.astype(int),
        }
    )


def dated(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Ten dates, 28 days apart, an account on each."""
    days = pd.date_range(first, periods=10, freq="28D")
    return table.assign(
        day=np.tile(days, len(table) // 10), account=[f"a{n // 10}" for n in range(len(table))]
    )


def trained(folder: Path, table: pd.DataFrame, **options: Any) -> TrainedTable:
    table.to_parquet(folder / "t.parquet", index=False)
    chosen = TableOptions("left", **{"account": "account", **options})
    return train_table(table_job(Path("t.parquet"), chosen, folder, NOW, data_dir=folder, trials=0))


def log_loss(done: TrainedTable) -> float:
    return done.evaluation.test.metrics.log_loss.value


def models_of(folder: Path) -> RegisteredModel:
    return registered_table(folder, project_of(folder), "left")


def beside(folder: Path, done: TrainedTable, table: pd.DataFrame, **options: Any) -> Comparison:
    """The model in use on the held-out rows of another table."""
    chosen = TableOptions("left", **{"account": "account", **options})
    rows = table_rows(table, chosen)
    in_use = table_in_use(models_of(folder), table_facts("t.parquet", chosen, rows), rows)
    assert in_use is not None
    comparison = compare(in_use, done.bundle, None, rows.training_set.test)
    kept = json.loads(json.dumps(side_by_side(comparison), allow_nan=False))
    assert from_side_by_side(Comparison, kept) == comparison
    return comparison


def alias(folder: Path, name: str, of: str = NAME) -> Any:
    return alias_version(client(folder, None), of, name)


@pytest.fixture(scope="module", autouse=True)
def quick_training() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pipeline.jobs.train_table.Training",
            partial(Training, threads=1, bags=1, max_trees=40),
        )
        yield


@pytest.fixture(scope="module")
def first(
    quick_training: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainedTable]:
    """A project folder whose first table model is in use."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "tenure.toml").write_text(PROJECT)
    done = trained(folder, some_table())
    promote_label(folder, "left", acknowledge="a small made set")
    return folder, done


@pytest.fixture
def in_use(first: tuple[Path, TrainedTable], tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(first[0], tmp_path / "copy"))


def test_first_model_of_a_table_is_promoted_by_its_gates_and_says_it_is_not_out_of_time(
    tmp_path: Path, tenure: Command
) -> None:
    done = trained(tmp_path, some_table(seed=2))
    assert done.evaluation.in_use is None and alias(tmp_path, CHAMPION) is None
    said = tenure(
        "table",
        "promote",
        "--label",
        "left",
        "--project",
        tmp_path,
        "--acknowledge",
        "a small made set",
    )
    assert said.code == 0, said.err
    assert f"version 1 of {NAME} is in use (calibrated)." in said.out
    # What was not asked (no signal counts days) is no reason to trust a model, and is not listed
    # among them.
    assert {gate.applies for gate in done.evaluation.gates} == {True, False}
    for gate in done.evaluation.gates:
        assert (f"{gate.name}: {gate.reason}" in said.out) == gate.applies
    assert NOT_OUT_OF_TIME in said.out and "there was none to compare with" in said.out
    assert "out of time:" not in said.out.replace(NOT_OUT_OF_TIME, "")
    assert f"models:/{NAME}@champion" in said.out
    assert alias(tmp_path, CHAMPION).version == alias(tmp_path, CHALLENGER).version
    assert alias(tmp_path, CHAMPION).tags["acknowledged"] == "a small made set"
    again = tenure(
        "table",
        "promote",
        "--label",
        "left",
        "--project",
        tmp_path,
        "--acknowledge",
        "again",
        "--json",
    )
    found = json.loads(again.out)
    assert found["is_out_of_time"] is False and found["registered_model"] == NAME
    assert "version 1 was in use already." in found["notes"]


def test_refused_candidate_keeps_its_reasons_and_the_model_in_use_stays(
    in_use: Path, tenure: Command
) -> None:
    (in_use / "tenure.toml").write_text(
        PROJECT.replace("band_change_budget = 1", "band_change_budget = 0.001")
    )
    noise = some_table().assign(left=np.random.default_rng(5).integers(0, 2, 800))
    evaluation = trained(in_use, noise).evaluation
    reasons = [f"{gate.name}: {gate.reason}" for gate in evaluation.refusals]
    assert any(reason.startswith("beats the constant on other accounts") for reason in reasons)
    assert (
        evaluation.gates[-1].name == "stable against the model in use"
        and "Raise training.band_change_budget" in reasons[-1]
    )
    said = tenure("table", "promote", "--label", "left", "--project", in_use)
    assert said.code == 3 and said.out == ""
    assert "the candidate of label 'left' is refused." in said.err and all(
        reason in said.err for reason in reasons
    )
    assert NOT_OUT_OF_TIME in said.err and "the model in use, version 1: log loss" in said.err
    assert int(alias(in_use, CHAMPION, f"acme-{NAME}").version) == 1
    kept = json.loads(alias(in_use, CHALLENGER, f"acme-{NAME}").tags["refused"])
    assert kept[: len(reasons)] == reasons


def test_next_candidate_is_judged_beside_the_model_in_use_on_the_same_held_out_rows(
    first: tuple[Path, TrainedTable], in_use: Path
) -> None:
    # The same accounts are held out, one column more is read: the model in use reads its own.
    done = trained(in_use, some_table().assign(visits=lambda t: t["logins"] * 2 + t["seats"]))
    comparison = done.evaluation.in_use
    assert comparison is not None
    assert comparison.note is None and comparison.registered_version == "1"
    assert comparison.log_loss == pytest.approx(log_loss(first[1]), abs=1e-12)
    assert comparison.difference == pytest.approx(log_loss(done) - comparison.log_loss, abs=1e-12)
    assert comparison.difference_low <= comparison.difference <= comparison.difference_high
    assert 0 <= comparison.band_changes <= 1 and 0 <= comparison.reseeded <= 1
    assert done.evaluation.gates[-1].name == "stable against the model in use"
    assert done.bundle.scale == first[1].bundle.scale  # what 40 means stays
    words = comparison.words
    assert "log loss minus that" in words
    assert words in (in_use / "reports" / f"acme-{NAME}" / "model_card.md").read_text().replace(
        "\\", ""
    )
    assert words in promote_label(in_use, "left", acknowledge="a small made set").notes
    assert int(alias(in_use, CHAMPION, f"acme-{NAME}").version) == 2


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        (
            {},
            {"test_share": 0.3},
            "it held out 20% of accounts, here 30%, so it may have learned from some of these rows",
        ),
        (
            {"account": None},
            {"account": None},
            "its accounts were named by account, here distinct rows of 3 columns",
        ),
        ({"plan": None}, {}, "lacks columns it reads, or holds them as another type: plan"),
        (
            {"seats": lambda t: "s" + (t["seats"] % 3).astype(str)},
            {},
            "or holds them as another type: seats",
        ),
        ({}, {"positive": "0"}, "it has another event (none named, here '0')"),
        (
            {"day": pd.Timestamp("2024-01-01")},
            {"as_of": "day", "horizon_days": 28},
            "another time ahead (no dates, here 28 days)",
        ),
    ],
)
def test_two_models_are_not_compared_where_a_figure_would_mislead(
    first: tuple[Path, TrainedTable], change: dict[str, Any], options: dict[str, Any], why: str
) -> None:
    table = some_table().assign(
        **{name: value for name, value in change.items() if value is not None}
    )
    if "as_of" in options:
        table = dated(table, "2024-01-01")
    table = table.drop(columns=[name for name, value in change.items() if value is None])
    found = beside(first[0], first[1], table, **options)
    assert found.note is not None and why in found.note and found.log_loss is None
    assert found.words == f"the model in use, version 1: not compared, {found.note}."


def test_model_in_use_reads_a_column_that_the_candidate_drops(
    first: tuple[Path, TrainedTable],
) -> None:
    chosen = TableOptions("left", account="account", drop=("plan", "joined"))
    rows = table_rows(some_table().assign(joined=pd.Timestamp("2024-01-01")), chosen)
    assert list(rows.source.dropped.columns) == [
        "plan"
    ]  # a time counts from nothing where rows have no date
    assert "plan" not in " ".join(rows.training_set.features.columns)
    done = train(rows.training_set, TrainingPlan(trials=0, threads=1, bags=1, max_trees=40))
    in_use = table_in_use(models_of(first[0]), table_facts("t.parquet", chosen, rows), rows)
    assert in_use is not None
    found = compare(
        in_use, replace(first[1].bundle, model=done.model), None, rows.training_set.test
    )
    assert found.note is None
    assert found.log_loss == pytest.approx(log_loss(first[1]), abs=1e-12)
    assert found.difference is not None and found.difference > 0  # the plan told something


def test_fewer_held_out_accounts_than_the_model_in_use_held_out_are_compared(
    first: tuple[Path, TrainedTable],
) -> None:
    found = beside(first[0], first[1], some_table(), test_share=0.1)
    assert found.note is None and found.difference == 0.0 and found.reseeded is None


def test_dated_tables_are_compared_only_on_dates_after_the_last_label_learned(
    tmp_path: Path,
) -> None:
    when = {"as_of": "day", "horizon_days": 28}
    first = trained(tmp_path, dated(some_table(), "2024-01-01"), **when)
    done = promote_label(tmp_path, "left", acknowledge="a small made set")
    assert done.is_out_of_time and NOT_OUT_OF_TIME not in done.notes
    later = beside(tmp_path, first, dated(some_table(seed=2), "2024-03-25"), **when)
    assert later.note is None and later.log_loss is not None and later.log_loss > 0
    earlier = beside(tmp_path, first, dated(some_table(seed=3), "2023-06-01"), **when)
    assert "after the first held-out date" in str(earlier.note)


def test_a_comparison_with_a_model_that_is_no_longer_in_use_is_not_repeated() -> None:
    then = Comparison("1", "abc")
    assert "version 3: not compared, it was put to use after" in beside_now(
        then, SimpleNamespace(version=3, tags={}), "2"
    )
    assert "version 3: not compared" in beside_now(None, SimpleNamespace(version=3, tags={}), "2")
    same = SimpleNamespace(version=2, tags={})
    assert beside_now(then, same, "2") == "version 2 was in use already."
    scorecard = SimpleNamespace(version=3, tags={"published_basis": "scorecard"})
    assert "promises no chances to compare with" in beside_now(then, scorecard, "2")


def test_what_was_not_trained_is_named_with_the_next_step(
    in_use: Path, tmp_path: Path, tenure: Command
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = tenure("table", "promote", "--label", "left", "--project", empty)
    assert nothing.code == 2 and "tenure table train FILE --label left" in nothing.err
    assert not (empty / "mlruns").exists()  # a question leaves nothing behind
    other = tenure("table", "promote", "--label", "gone", "--project", in_use)
    assert (
        other.code == 2
        and "label 'gone' has no candidate model yet. There are models for left." in other.err
    )
    with pytest.raises(ConfigError, match="there is no scorecard"):
        promote_label(in_use, "left", use_scorecard=True)


def test_run_keeps_the_evaluation_and_how_accounts_were_held_out(
    first: tuple[Path, TrainedTable],
) -> None:
    kept = models_of(first[0]).evaluation("1")
    assert kept is not None and kept.gates == first[1].evaluation.gates
    assert kept.of_table is not None and kept.of_table.table is not None
    facts = kept.of_table.table
    assert facts.accounts_by == "named by account" and facts.test_share == 0.2
    options, table = TableOptions("left"), some_table().drop(columns="account")
    by = [
        table_facts("t.parquet", options, table_rows(each, options)).accounts_by
        for each in (table, table[["left", "seats", "plan", "logins"]], table.drop(columns="seats"))
    ]
    assert by[0] == by[1] != by[2] and by[0].startswith("distinct rows of 3 columns (")


def test_columns_of_another_kind_do_not_fit_frozen_codes() -> None:
    codes = (
        ColumnCode("a", "number", ("a",)),
        ColumnCode("b", "category", ("b_rank",), ("x", "y")),
        ColumnCode("c", "date", ("c",)),
        ColumnCode("d", "flag", ("d",)),
    )
    fits = pd.DataFrame({"a": [1.0], "b": ["x"], "c": [3.0], "d": [True]})
    assert misfits(fits, codes, {"c"}) == ()
    assert misfits(fits, codes) == ("c",)
    assert misfits(pd.DataFrame({"a": ["1"], "b": [2.0], "c": [3.0]}), codes, {"c"}) == (
        "a",
        "b",
        "d",
    )
