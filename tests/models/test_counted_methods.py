"""Actions, rules and weighted averages: sums are exact, deadlines strike on their day, weights stay
100.
"""

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ContractError
from models.declared import Action, Condition, Rule, ScorePart, weights_problem
from models.methods import Actions, Hybrid, Logistic, Rules, Scorecard, WeightedAverage
from models.methods.weighted_average import fitted_parts, four_indicators, frequency_breadth_depth

NOBODY = np.zeros(0, dtype=np.int8)


def _signal(
    column: str, worse: str | None = "down", *, dimension: str = "usage", measure: str = "count"
) -> Signal:
    unit = "days" if measure == "days_since" else "count"
    return Signal(
        column,
        column,
        dimension,
        "usage_events",
        "m",
        unit,
        "{value}",
        worse=worse,  # type: ignore[arg-type]
        definition={"measure": measure},
    )


def _frame(**columns: list[float | None]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="float64")


MEETING = _signal("days_since_meeting", "up", dimension="engagement", measure="days_since")
LOGINS, ERRORS, AGE, STEPS = (
    _signal("logins_28d"),
    _signal("errors_28d", "up"),
    _signal("age_days", None),
    _signal("steps_done"),
)


def test_score_is_the_exact_sum_and_every_point_has_its_signal() -> None:
    frame = _frame(logins_28d=[12, 3, None], errors_28d=[0, 7, 2])
    actions = (
        Action("logged in often", "logins_28d", 10, at_least=10),
        Action("one point each", "logins_28d", 1, each=True, up_to=5),
        Action("errors", "errors_28d", -3, at_least=5),
    )
    method = Actions(actions).fit(frame, NOBODY, (LOGINS, ERRORS))
    assert method.score(frame).tolist() == [15, 0, 0]  # 10 + 5; 3 - 3; nothing known
    trace = method.trace(frame)
    assert trace[["row", "action", "signal", "value", "points"]].values.tolist() == [
        [0, "logged in often", "logins_28d", 12.0, 10],
        [0, "one point each", "logins_28d", 12.0, 5],
        [1, "one point each", "logins_28d", 3.0, 3],
        [1, "errors", "errors_28d", 7.0, -3],
    ]
    assert trace.groupby("row")["points"].sum().to_dict() == {0: 15, 1: 0}


def test_deduction_appears_on_the_day_after_the_deadline_and_disappears_when_done() -> None:
    frame = _frame(days_since_meeting=[89, 90, 91, 1])
    method = Actions(
        [Action("quarterly meeting", "days_since_meeting", within_days=90, missed=-15)]
    )
    assert method.fit(frame, NOBODY, (MEETING,)).score(frame).tolist() == [0, 0, -15, 0]


def test_an_action_never_done_is_missed_once_the_account_is_old_enough() -> None:
    frame = _frame(days_since_meeting=[None, None, None, 5], age_days=[30, 31, None, 400])
    first = Action(
        "kick-off", "days_since_meeting", 5, within_days=30, missed=-20, counted_from="age_days"
    )
    method = Actions([first]).fit(frame, NOBODY, (MEETING, AGE))
    assert method.score(frame).tolist() == [0, -20, 0, 5]
    without = Actions([Action("kick-off", "days_since_meeting", 5, within_days=30, missed=-20)])
    assert without.fit(frame, NOBODY, (MEETING, AGE)).score(frame).tolist() == [0, 0, 0, 5]


def test_a_count_has_a_deadline_from_the_account_s_beginning() -> None:
    frame = _frame(steps_done=[2, 2, 3, None], age_days=[60, 61, 61, 61])
    steps = Action(
        "set up", "steps_done", 10, at_least=3, within_days=60, missed=-10, counted_from="age_days"
    )
    method = Actions([steps]).fit(frame, NOBODY, (STEPS, AGE))
    assert method.score(frame).tolist() == [0, -10, 10, 0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "changes nothing"),
        ({"missed": -5}, "needs within_days"),
        ({"missed": 5, "within_days": 3}, "below 0"),
        ({"points": 1, "up_to": 3}, "each = true"),
        ({"points": 1, "each": True, "at_least": 2.0}, "each goes with points alone"),
        ({"missed": -5, "within_days": 3, "at_least": 2.0}, "needs counted_from"),
    ],
)
def test_actions_that_cannot_work_say_why(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        Actions([Action("x", "logins_28d", **settings)])  # type: ignore[arg-type]


def test_an_unknown_signal_names_the_nearest() -> None:
    frame = _frame(logins_28d=[1.0])
    with pytest.raises(ContractError, match="'logins_7d'.*Nearest: logins_28d"):
        Actions([Action("x", "logins_7d", 1)]).fit(frame, NOBODY, (LOGINS,))


def test_proposed_actions_follow_the_cards_and_give_a_deadline_to_days_since() -> None:
    frame = _frame(days_since_meeting=list(range(1, 101)), logins_28d=list(range(100)))
    method = Actions().fit(frame, NOBODY, (MEETING, LOGINS))
    assert {action.signal for action in method.actions_} == {"days_since_meeting", "logins_28d"}
    deadline = next(action for action in method.actions_ if action.signal == "days_since_meeting")
    assert deadline.within_days == 91 and deadline.missed == -10
    asked = _frame(days_since_meeting=[91, 92, 1], logins_28d=[99, 5, 20])
    assert method.score(asked).tolist() == [20, -20, 10]


def _rules() -> tuple[Rule, ...]:
    silent, few = Condition("days_since_meeting", above=60), Condition("logins_28d", below=3)
    return (
        Rule("silent and idle", (silent, few), -40),
        Rule("silent", (silent,), -20),
        Rule("no meeting ever", (Condition("days_since_meeting", missing=True),), -5),
        Rule("busy", (Condition("logins_28d", at_least=10),), 15),
    )


RULED = {"days_since_meeting": [90, 61, 60, None], "logins_28d": [1, 12, 2, 30]}


def test_first_match_takes_one_rule_and_all_match_their_sum() -> None:
    frame = _frame(**RULED)
    first = Rules(_rules(), match="first").fit(frame, NOBODY, (MEETING, LOGINS))
    assert first.score(frame).tolist() == [-40, -20, 0, -5]
    assert first.fired(frame).sum(axis=1).tolist() == [1, 1, 0, 1]
    every = Rules(_rules(), match="all").fit(frame, NOBODY, (MEETING, LOGINS))
    assert every.score(frame).tolist() == [-60, -5, 0, 10]
    assert every.fired(frame).astype(int).tolist() == [
        [1, 1, 0, 0],
        [0, 1, 0, 1],
        [0, 0, 0, 0],
        [0, 0, 1, 1],
    ]


def test_a_rule_s_points_are_shared_by_its_conditions() -> None:
    frame = _frame(**RULED)
    base, phi = Rules(_rules()).fit(frame, NOBODY, (MEETING, LOGINS)).contributions(frame)
    np.testing.assert_allclose(
        base + phi[0], [4.0, 2.0]
    )  # 0.1 log-odds per point: -20 and -20, and -20


@pytest.mark.parametrize("condition", [Condition("a"), Condition("a", above=1.0, missing=True)])
def test_a_condition_without_a_bound_is_refused(condition: Condition) -> None:
    with pytest.raises(ContractError, match="needs one of above"):
        Rules([Rule("x", (condition,), 1)])


def test_proposed_rules_fire_on_the_worst() -> None:
    frame = _frame(days_since_meeting=list(range(1, 101)), logins_28d=list(range(100, 0, -1)))
    method = Rules().fit(frame, NOBODY, (MEETING, LOGINS))
    score = method.score(frame)
    assert score[99] == score.min() and score[0] == 0
    assert (np.diff(score) <= 0).all()


def _weighted() -> tuple[WeightedAverage, pd.DataFrame]:
    frame = _frame(logins_28d=list(range(100)), errors_28d=list(range(100)))
    parts = (ScorePart("use", 75.0, ("logins_28d",)), ScorePart("errors", 25.0, ("errors_28d",)))
    return WeightedAverage(parts).fit(frame, NOBODY, (LOGINS, ERRORS)), frame


def test_weights_sum_to_100_and_are_scaled_again_where_a_part_is_missing() -> None:
    method, _ = _weighted()
    asked = _frame(logins_28d=[99, 99, None, None], errors_28d=[99, None, 0, None])
    weights = method.row_weights(asked)
    assert weights.to_numpy().tolist() == [[75, 25], [100, 0], [0, 100], [0, 0]]
    # The best of 100 has 99.5% below it, ties half: 99.5 for use, 0.5 for errors.
    np.testing.assert_allclose(method.score(asked), [0.75 * 99.5 + 0.25 * 0.5, 99.5, 99.5, 50.0])


def test_the_scale_is_frozen_at_fit_and_needs_no_common_unit() -> None:
    method, frame = _weighted()
    before = method.score(frame.iloc[:3])
    assert (before == method.score(frame)[:3]).all()
    cents = frame.assign(logins_28d=frame["logins_28d"] * 1000)
    other = WeightedAverage(method.parts).fit(cents, NOBODY, (LOGINS, ERRORS))
    np.testing.assert_allclose(other.score(cents), method.score(frame), atol=1e-12)


@pytest.mark.parametrize("weights", [{"a": 60.0, "b": 30.0}, {"a": 120.0, "b": -20.0}])
def test_weights_that_do_not_sum_to_100_are_refused(weights: dict[str, float]) -> None:
    assert weights_problem(weights) is not None and weights_problem({"a": 60.0, "b": 40.0}) is None
    with pytest.raises(ContractError, match="sum to 100"):
        WeightedAverage([ScorePart(name, weight, (name,)) for name, weight in weights.items()])


def test_fitted_weights_follow_the_outcome_and_sum_to_100() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        generator.normal(size=(2000, 3)), columns=["logins_28d", "errors_28d", "steps_done"]
    )
    margin = (
        -1.5 * frame["logins_28d"] + 0.5 * frame["errors_28d"] + 0.5 * frame["steps_done"]
    )  # steps: against its card
    labels = (generator.random(2000) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    parts = fitted_parts(frame, labels, (LOGINS, ERRORS, STEPS))
    weights = {part.name: part.weight for part in parts}
    assert sum(weights.values()) == pytest.approx(100.0) and list(weights) == [
        "logins_28d",
        "errors_28d",
    ]
    assert weights["logins_28d"] > 2 * weights["errors_28d"]


def test_four_indicators_need_no_outcome_and_fill_up_what_is_absent() -> None:
    signals = (
        _signal("milestones_met_share", dimension="adoption"),
        _signal("active_days_28d"),
        _signal("nps_182d", dimension="outcomes"),
        _signal("overdue", "up", dimension="financial"),
    )
    frame = pd.DataFrame(
        np.random.default_rng(1).normal(size=(50, 4)), columns=[s.column for s in signals]
    )
    parts = four_indicators(frame, signals)
    assert [part.name for part in parts] == ["adoption", "usage rate", "NPS", "overdue"]
    assert [part.weight for part in parts] == [25.0] * 4
    assert np.isfinite(WeightedAverage(parts).fit(frame, NOBODY, signals).score(frame)).all()


def test_frequency_breadth_and_depth_are_sub_scores_of_the_total() -> None:
    signals = (_signal("active_days_28d"), _signal("active_users_28d"), _signal("kinds_used_28d"))
    frame = pd.DataFrame(
        np.random.default_rng(2).normal(size=(60, 3)), columns=[s.column for s in signals]
    )
    method = WeightedAverage(frequency_breadth_depth(signals)).fit(frame, NOBODY, signals)
    subs = method.part_scores(frame)
    assert list(subs) == ["frequency", "breadth", "depth"]
    np.testing.assert_allclose(subs.mean(axis=1), method.score(frame))
    prefixed = (_signal("purchases__active_days_28d"), _signal("purchases__sessions_28d"))
    assert [part.columns for part in frequency_breadth_depth(prefixed)] == [
        tuple(s.column for s in prefixed)
    ]
    declared = frequency_breadth_depth(
        signals, {"frequency": ("active_days_28d",), "depth": ("kinds_used_28d",)}
    )
    assert [(part.name, part.weight) for part in declared] == [("frequency", 50.0), ("depth", 50.0)]


def test_hybrid_mixes_in_the_declared_share_and_stays_exactly_explained() -> None:
    generator = np.random.default_rng(3)
    frame = pd.DataFrame(generator.normal(size=(500, 2)), columns=["logins_28d", "errors_28d"])
    labels = (generator.random(500) < 1 / (1 + np.exp(frame["logins_28d"]))).astype(np.int8)
    signals = (LOGINS, ERRORS)
    mixed = Hybrid(Scorecard(), [(Logistic(), 1.0)], share=0.3).fit(frame, labels, signals)
    base, phi = mixed.contributions(frame)
    np.testing.assert_allclose(base + phi.sum(axis=1), mixed.margin(frame), atol=1e-9)
    learned = Hybrid(Scorecard(), [(Logistic(), 1.0)], share=1.0).fit(frame, labels, signals)
    np.testing.assert_allclose(
        learned.margin(frame), Logistic().fit(frame, labels, signals).margin(frame)
    )
    agreed = Hybrid(Scorecard(), [(Logistic(), 1.0)], share=0.0).fit(frame, labels, signals)
    np.testing.assert_allclose(
        mixed.margin(frame), 0.3 * learned.margin(frame) + 0.7 * agreed.margin(frame)
    )
    with pytest.raises(ContractError, match=r"between 0 and 1, not 1\.2"):
        Hybrid(share=1.2)
