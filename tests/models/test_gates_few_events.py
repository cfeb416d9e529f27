"""What the gates say with few events: under 10 nothing is shown, under 100 nothing beyond chance is
claimed.
"""

from dataclasses import fields, replace

import pandas as pd
import pytest

from models.evaluation import Beside, Counts, Evaluation, TestFigures
from models.figures import from_side_by_side
from models.gates import Gate, gates, told_apart
from models.leakage import LeakFinding
from models.metrics import BrierParts, Estimate, MetricValues

SURE = {
    each.name: Estimate(0.1, 0.1, 0.1)
    for each in fields(MetricValues)
    if each.name != "lift_at_capacity"
}
FIGURES = MetricValues(
    **SURE
    | {
        "log_loss": Estimate(0.38, 0.36, 0.40),
        "calibration_slope": Estimate(1.0, 0.4, 1.7),
        "rate": Estimate(0.1, 0.05, 0.15),
        "ece": Estimate(0.02, 0.01, 0.03),
    }
)
BETTER = Beside(0.40, 0.7, None, Estimate(-0.02, -0.05, 0.01))


def evaluation(events: int, *, high: float = 0.01, recency: bool = True) -> Evaluation:
    beside = replace(BETTER, difference=replace(BETTER.difference, high=high))
    test = TestFigures(
        Counts(400, 400, events, events, ("2024-10-07",)),
        FIGURES,
        constant_rate=0.1,
        log_loss_constant=0.4,
        log_loss_constant_hindsight=0.4,
        ece_expected=0.02,
        auc_standard_error=0.02,
        probability_min=0.01,
        probability_max=0.9,
        brier_parts=BrierParts(0.0, 0.0, 0.1, 0.0),
        reliability=pd.DataFrame(),
        at_capacity=None,
        recency_auc=None,
    )
    baselines = {"constant": beside, **({"recency": beside} if recency else {})}
    return Evaluation({}, "logistic", test, None, baselines)


def asked(of: Evaluation) -> dict[str, Gate]:
    return {gate.name.removesuffix(" out of time"): gate for gate in gates(of)}


@pytest.mark.parametrize("name", ["beats the constant", "beats recency", "calibrated"])
def test_four_events_show_nothing(name: str) -> None:
    gate = asked(evaluation(4))[name]
    assert not gate.passed and "4 accounts with the event in the test are too few" in gate.reason
    assert "it takes 10." in gate.reason and "0.38" in gate.reason or name == "calibrated"


@pytest.mark.parametrize("name", ["beats the constant", "beats recency"])
def test_thirty_events_pass_without_a_claim(name: str) -> None:
    gate = asked(evaluation(30))[name]
    assert gate.passed and "the gain may still be chance" in gate.reason


@pytest.mark.parametrize(("events", "high"), [(30, -0.001), (100, -0.001)])
def test_a_gain_beyond_chance_is_not_talked_down(events: int, high: float) -> None:
    assert all(
        "may still be chance" not in gate.reason for gate in gates(evaluation(events, high=high))
    )


def test_recency_that_no_signal_can_tell_is_not_applicable() -> None:
    gate = asked(evaluation(200, high=-0.001, recency=False))["beats recency"]
    assert (gate.passed, gate.applies, gate.verdict) == (True, False, "not applicable")
    kept = {"name": "kept before this was asked", "passed": True, "reason": ""}
    assert from_side_by_side(Gate, kept).verdict == "passed"


@pytest.mark.parametrize(("low", "passes"), [(-0.03, True), (-0.001, True), (0.002, False)])
def test_a_scorecard_that_is_better_beyond_chance_stops_the_model(low: float, passes: bool) -> None:
    without = evaluation(40)
    scorecard = Beside(0.37, 0.7, None, Estimate(0.01, low, 0.03))
    baselines = {**without.baselines, "scorecard": scorecard}
    gate = asked(replace(without, baselines=baselines))["no worse than the scorecard"]
    assert gate.passed is passes and "0.3800 against 0.3700" in gate.reason
    assert ("Keep the scorecard" in gate.reason) is not passes


def test_without_directions_there_is_no_scorecard_to_lose_to() -> None:
    gate = asked(evaluation(200, high=-0.001))["no worse than the scorecard"]
    assert (gate.passed, gate.verdict) == (True, "not applicable")


@pytest.mark.parametrize(
    ("figures", "few", "many"),
    [
        ({}, True, True),
        ({"calibration_slope": Estimate(2.4, 1.3, 4.1)}, True, False),
        ({"calibration_slope": Estimate(3.4, 2.2, 5.0)}, False, False),
        ({"calibration_slope": Estimate(0.2, -0.1, 0.45)}, False, False),
        ({"rate": Estimate(0.14, 0.11, 0.18)}, True, False),
        ({"rate": Estimate(0.18, 0.13, 0.24)}, False, False),
        ({"rate": Estimate(0.04, 0.02, 0.07)}, False, False),
    ],
)
def test_with_few_events_only_a_gross_error_of_calibration_stops(
    figures: dict[str, Estimate], few: bool, many: bool
) -> None:
    for events, passes in ((40, few), (400, many)):
        sound = evaluation(events, high=-0.001)
        test = replace(sound.test, metrics=replace(FIGURES, **figures))
        gate = asked(replace(sound, test=test))["calibrated"]
        assert gate.passed is passes, gate.reason
        assert ("only a large error would show" in gate.reason) is (passes and events == 40)


def test_signal_that_knows_the_outcome_on_the_test_dates_is_a_question_with_its_lines() -> None:
    leak = LeakFinding("status_active_28d", "value", 0.97, leavers=41, examples=("a1", "a2"))
    sure = evaluation(150)
    almost = replace(sure, baselines={"recency": replace(BETTER, auc=0.984)})

    refused = told_apart((leak,), almost)
    waived = told_apart((replace(leak, waived="known on the day"),), almost)

    assert not refused.passed
    assert "status_active_28d alone ranks accounts with an AUC of 0.970" in refused.reason
    assert "41 accounts with the event, such as a1, a2" in refused.reason
    assert "recency alone 0.984" in refused.reason and "[training.waivers]" in refused.reason
    assert waived.passed and "recency alone 0.984" in waived.reason
    assert told_apart((), sure).passed and "AUC" not in told_apart((), sure).reason


def test_an_error_that_a_gate_allows_is_named() -> None:
    many = evaluation(150)
    low = replace(
        many.test,
        metrics=replace(
            FIGURES,
            mean_probability=Estimate(0.381, 0.37, 0.39),
            rate=Estimate(0.437, 0.41, 0.46),
        ),
    )
    gate = asked(replace(many, test=low))["calibrated"]
    assert gate.passed and gate.reason.startswith("the chances are too low, by more than luck")
    assert "38.1% expected and 43.7% happened" in gate.reason
    came_true = asked(many)["calibrated"]
    assert came_true.reason.startswith("the chances came true on the test")
