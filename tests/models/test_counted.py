"""What one account's counted score is made of, and whether it ranks at all."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.contenders import BenchSettings
from models.counted import counted_method, counted_score, deadline_words, ranks
from models.dataset import TrainingSet, training_set
from models.declared import Action, Condition, Rule, ScorePart
from models.methods.actions import action_points

AS_OF = date(2025, 6, 1)
SETTINGS = BenchSettings(
    actions=(
        Action("used it", "use", points=20, at_least=5),
        Action("answered", "mail", points=7),
    ),
    rules=(
        Rule("silent", (Condition("use", below=1.0),), -30),
        Rule("loved", (Condition("use", at_least=5.0), Condition("mail", at_least=1.0)), 15),
    ),
    weights=(ScorePart("use", 60, ("use",)), ScorePart("mail", 40, ("mail",))),
    clusters=2,
)


@pytest.fixture(scope="module")
def rows() -> TrainingSet:
    random = np.random.default_rng(2)
    accounts, dates = 120, pd.date_range("2024-01-07", periods=6, freq="28D")
    keys = pd.DataFrame(
        [(f"A-{n:03d}", d) for d in dates for n in range(accounts)], columns=["account_id", "as_of"]
    )
    keys = keys.assign(
        label_until=keys["as_of"] + pd.Timedelta(days=28), is_test=keys["as_of"] >= dates[-2]
    )
    features = pd.DataFrame(
        {
            "use": random.integers(0, 12, len(keys)).astype(float),
            "mail": random.integers(0, 3, len(keys)).astype(float),
        }
    )
    chance = 1 / (1 + np.exp(-1.0 + 0.5 * features["use"]))
    labels = (random.random(len(keys)) < chance).to_numpy().astype(np.int8)
    signals = [
        Signal("use", "use", "usage", "usage", "n", "number", "used {value} times", worse="down"),
        Signal("mail", "mail", "usage", "mail", "n", "number", "{value} mails", worse="down"),
    ]
    return training_set(keys, features, labels, signals)


def _row(rows: TrainingSet, **values: float) -> pd.DataFrame:
    return pd.DataFrame([values])[[signal.column for signal in rows.signals]]


def test_actions_tell_their_points_and_add_up(rows: TrainingSet) -> None:
    method = counted_method("actions", SETTINGS, rows)
    score = counted_score("actions", method, _row(rows, use=6, mail=1), rows.signals, "", AS_OF)
    assert score.base == 50 and score.score == 77
    assert [(line.name, line.points) for line in score.lines] == [("used it", 20), ("answered", 7)]
    assert "6 times" in score.lines[0].said
    none = counted_score("actions", method, _row(rows, use=4, mail=0), rows.signals, "", AS_OF)
    assert none.score == 50 and none.lines == ()


def test_rules_name_the_one_that_fired(rows: TrainingSet) -> None:
    method = counted_method("rules", SETTINGS, rows)
    silent = counted_score("rules", method, _row(rows, use=0, mail=2), rows.signals, "", AS_OF)
    assert [(line.name, line.points) for line in silent.lines] == [("silent", -30)]
    assert silent.score == 20
    loved = counted_score("rules", method, _row(rows, use=9, mail=2), rows.signals, "", AS_OF)
    assert loved.lines[0].name == "loved" and loved.score == 65


def test_parts_tell_their_sub_score_and_the_weight_that_counted(rows: TrainingSet) -> None:
    method = counted_method("weighted_average", SETTINGS, rows)
    row = _row(rows, use=11, mail=np.nan)
    score = counted_score("weighted_average", method, row, rows.signals, "", AS_OF)
    use = next(line for line in score.lines if line.name == "use")
    assert "weight 100%" in use.said  # what has no value leaves its weight to the others
    assert score.score == pytest.approx(50 + sum(line.points or 0.0 for line in score.lines))
    assert score.score is not None and score.score > 85


def test_a_group_is_told_with_its_size_rate_and_traits(rows: TrainingSet) -> None:
    method = counted_method("clusters", SETTINGS, rows)
    told = counted_score("clusters", method, _row(rows, use=11, mail=2), rows.signals, "", AS_OF)
    assert told.score is None and told.lines[0].name.startswith("group ")
    assert "past rows" in told.lines[0].said and "% of which had the event" in told.lines[0].said
    assert {line.name for line in told.lines[1:]} <= {"more than most", "less than most"}


def test_a_score_that_ranks_no_better_than_chance_is_refused(rows: TrainingSet) -> None:
    good = counted_method("rules", SETTINGS, rows)
    assert ranks(good, rows).passed
    turned = replace(SETTINGS, rules=(Rule("used", (Condition("use", at_least=5.0),), -30),))
    gate = ranks(counted_method("rules", turned, rows), rows)
    assert not gate.passed and "no better than drawing lots" in gate.reason
    nobody = replace(rows, labels=np.zeros_like(rows.labels))
    assert not ranks(good, nobody).applies


@pytest.mark.parametrize(
    ("action", "value", "age"),
    [
        (Action("log in", "days_since_login", 5, within_days=30, missed=-10), 28.0, None),
        (Action("log in", "days_since_login", 5, within_days=30, missed=-10), 30.0, None),
        (Action("log in", "days_since_login", 5, within_days=30, missed=-10), 45.0, None),
        (
            Action(
                "invite",
                "users",
                at_least=3,
                within_days=60,
                missed=-8,
                counted_from="age",
            ),
            1.0,
            58.0,
        ),
    ],
)
def test_the_deduction_comes_on_the_day_that_is_said(
    action: Action, value: float, age: float | None
) -> None:
    """The days are walked one by one: whatever grows by itself does, and nothing else happens."""
    taken = {}
    for ahead in range(-60, 60):
        days = [
            value + ahead if action.counts_days else value,
            None if age is None else age + ahead,
        ]
        values, ages = (None if each is None else np.array([each]) for each in days)
        assert values is not None
        taken[AS_OF + timedelta(days=ahead)] = int(action_points(action, values, ages)[0]) < 0
    first = next(day for day, is_taken in taken.items() if is_taken)
    said = deadline_words(action, value, age, AS_OF)
    last = first - timedelta(days=1)
    assert f"{first.day} {first:%b %Y}" in said and f"{last.day} {last:%b %Y}" in said
    assert f"{action.missed}" in said and ("since" in said) == (first <= AS_OF)


def test_what_is_done_for_good_or_cannot_be_told_has_no_deadline() -> None:
    once = Action("invite", "users", at_least=3, within_days=60, missed=-8, counted_from="age")
    assert deadline_words(once, 5.0, 10.0, AS_OF) == ""
    assert deadline_words(once, None, 10.0, AS_OF) == ""
    login = Action("log in", "days_since_login", 5, within_days=30, missed=-10)
    assert deadline_words(login, None, None, AS_OF) == ""
    assert deadline_words(replace(login, missed=0), 45.0, None, AS_OF) == ""
