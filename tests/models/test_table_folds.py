"""A table judged by folds: who is judged where, by whom, and what the spread is of."""

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, ContractError
from models import metrics
from models.costs import savings
from models.plan import TrainingPlan
from models.table import TableOptions
from models.table_folds import (
    FoldsOfTable,
    JudgedByFolds,
    folds_at_random,
    folds_of_columns,
    judge_by_folds,
)

PLAN = TrainingPlan(trials=0, threads=1)
COSTS = TableOptions("left", account="who", cost_if_missed="lost", cost_of_contact="call")


def accounts_table(rows: int = 600) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    usage = generator.gamma(2.0, 10.0, rows)
    left = generator.random(rows) < 1 / (1 + np.exp(0.15 * usage - 1.5))
    return pd.DataFrame(
        {
            "who": [f"c{number:04d}" for number in range(rows)],
            "logins": usage,
            "seats": generator.integers(1, 40, rows),
            "lost": generator.gamma(1.0, 100.0, rows),
            "call": 20.0,
            "first": np.arange(rows) % 2,
            "second": np.where(np.arange(rows) < rows // 2, "a", "b"),
            "left": left.astype(int),
        }
    )


@pytest.fixture(scope="module")
def cut() -> FoldsOfTable:
    return folds_of_columns(accounts_table(), COSTS, ["first", "SECOND"])


@pytest.fixture(scope="module")
def judged(cut: FoldsOfTable) -> JudgedByFolds:
    return judge_by_folds(cut, PLAN, replicates=50)


def test_each_repetition_judges_every_row_once_in_the_fold_it_names(judged: JudgedByFolds) -> None:
    table, scores = accounts_table(), judged.scores
    for column, repetition in (("first", "first"), ("second", "second")):
        part = scores[scores["repetition"] == repetition].sort_values("row")
        assert part["row"].tolist() == list(range(len(table)))
        assert part["fold"].tolist() == table[column].astype(str).tolist()
        assert part["label"].tolist() == table["left"].tolist()


def test_folds_and_costs_are_no_signals(judged: JudgedByFolds) -> None:
    assert judged.signals == 2  # logins and seats


def test_figures_are_those_of_each_fold_and_their_spread(judged: JudgedByFolds) -> None:
    ours = judged.folds[judged.folds["method"] == "ours"]
    for row in ours.to_dict("records"):
        part = judged.scores[
            (judged.scores["repetition"] == row["repetition"])
            & (judged.scores["fold"] == row["fold"])
        ]
        labels, chance = part["label"].to_numpy(), part["probability"].to_numpy()
        assert row["rows"] == len(part) and row["events"] == labels.sum()
        assert row["log_loss"] == pytest.approx(metrics.log_loss(labels, chance))
        table = accounts_table().iloc[part["row"]]
        whole = savings(
            labels.astype(np.int8),
            chance,
            table["lost"].to_numpy(),
            table["call"].to_numpy(),
            part["account_id"],
            constant=0.3,
        )
        assert row["saved"] == pytest.approx(whole.saved.value)
    method = judged.methods["ours"]
    assert method.mean["auc"] == pytest.approx(ours["auc"].mean())
    assert method.sd["auc"] == pytest.approx(ours["auc"].std(ddof=1))
    halves = ours.groupby("repetition")["auc"].mean()
    assert method.sd_of_repetitions["auc"] == pytest.approx(halves.std(ddof=1))


def test_ours_is_told_beside_the_others_by_a_paired_interval(judged: JudgedByFolds) -> None:
    constant = judged.methods["constant"]
    assert constant.difference is not None and constant.difference.high < 0
    assert judged.methods["ours"].difference is None
    assert {"ours", "lightgbm", "logistic", "constant"} <= set(judged.methods)


def test_dealt_folds_keep_accounts_together_whatever_the_order_and_differ_between_repetitions() -> (
    None
):
    table = accounts_table().assign(who=[f"c{number // 2:03d}" for number in range(600)])
    options = TableOptions("left", account="who", drop=("first", "second"))
    cut = folds_at_random(table, options, parts=5, repeats=2)
    shuffled = folds_at_random(table.sample(frac=1.0, random_state=1), options, parts=5, repeats=2)
    accounts = cut.source.keys["account_id"]
    for name, fold_of in cut.repetitions.items():
        assert (pd.Series(fold_of).groupby(accounts.to_numpy()).nunique() == 1).all()
        assert sorted(set(fold_of)) == ["1", "2", "3", "4", "5"]
        one, other = (
            dict(zip(each.source.keys["account_id"], each.repetitions[name], strict=True))
            for each in (cut, shuffled)
        )
        assert one == other
    assert (cut.repetitions["1"] != cut.repetitions["2"]).mean() > 0.5


@pytest.mark.parametrize(
    ("fold", "words"),
    [
        (pd.Series([None, 1.0] * 300), "--fold part leaves 300 rows without a fold"),
        (pd.Series(["only"] * 600), "--fold part holds 1 values .'only'"),
        (pd.Series(range(600)), "--fold part holds 600 values"),
    ],
)
def test_a_column_that_is_no_fold_is_refused(fold: pd.Series, words: str) -> None:
    table = accounts_table().assign(part=fold)
    with pytest.raises(ConfigError, match=words):
        folds_of_columns(table, COSTS, ["part"])


def test_a_fold_without_an_outcome_is_refused_before_anything_is_trained() -> None:
    table = accounts_table()
    cut = folds_of_columns(table.assign(part=table["left"]), COSTS, ["part"])
    with pytest.raises(ContractError, match="fold 0 of repetition part has .* 0 with the event"):
        judge_by_folds(cut, PLAN)
