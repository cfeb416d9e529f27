"""What the gates say with few events: under 10 nothing is shown, under 100 nothing beyond chance is
claimed.
"""

from typing import Any

import pytest

from models.gates import Gate, gates, verdict


def evaluation(
    events: int, *, difference: float = -0.02, high: float = 0.01, recency: bool = True
) -> dict[str, Any]:
    beside = {
        "log_loss": 0.40,
        "difference": difference,
        "difference_low": -0.05,
        "difference_high": high,
    }
    return {
        "test": {
            "n": 400,
            "leaving_accounts": events,
            "log_loss": 0.38,
            "brier": 0.1,
            "probability_min": 0.01,
            "probability_max": 0.9,
            "constant_rate": 0.1,
            "calibration_slope": 1.0,
            "calibration_slope_low": 0.4,
            "calibration_slope_high": 1.7,
            "mean_probability": 0.1,
            "rate": 0.1,
            "rate_low": 0.05,
            "rate_high": 0.15,
            "ece": 0.02,
            "ece_expected": 0.02,
        },
        "baselines": {"constant": beside, **({"recency": beside} if recency else {})},
    }


def asked(found: dict[str, Any]) -> dict[str, Gate]:
    return {gate.name.removesuffix(" out of time"): gate for gate in gates(found)}


@pytest.mark.parametrize("name", ["beats the constant", "beats recency", "calibrated"])
def test_four_events_show_nothing(name: str) -> None:
    gate = asked(evaluation(4))[name]
    assert not gate.passed and "4 accounts with the event in the test are too few" in gate.reason
    assert "at least 10 are needed" in gate.reason and "0.38" in gate.reason or name == "calibrated"


@pytest.mark.parametrize("name", ["beats the constant", "beats recency"])
def test_thirty_events_pass_without_a_claim(name: str) -> None:
    gate = asked(evaluation(30))[name]
    assert gate.passed and "better beyond chance is not claimed" in gate.reason


@pytest.mark.parametrize(("events", "high"), [(30, -0.001), (100, -0.001)])
def test_a_gain_beyond_chance_is_not_talked_down(events: int, high: float) -> None:
    assert all("not claimed" not in gate.reason for gate in gates(evaluation(events, high=high)))


def test_recency_that_no_signal_can_tell_is_not_applicable() -> None:
    gate = asked(evaluation(200, high=-0.001, recency=False))["beats recency"]
    assert (gate.passed, gate.applies, gate.verdict) == (True, False, "not applicable")
    assert verdict({"name": "kept before this was asked", "passed": True, "reason": ""}) == "passed"


@pytest.mark.parametrize(("low", "passes"), [(-0.03, True), (-0.001, True), (0.002, False)])
def test_a_scorecard_that_is_better_beyond_chance_stops_the_model(low: float, passes: bool) -> None:
    found = evaluation(40)
    found["baselines"]["scorecard"] = {
        "log_loss": 0.37,
        "difference": 0.01,
        "difference_low": low,
        "difference_high": 0.03,
    }
    gate = asked(found)["no worse than the scorecard"]
    assert gate.passed is passes and "0.3800 against 0.3700" in gate.reason
    assert ("it stays" in gate.reason) is not passes


def test_without_directions_there_is_no_scorecard_to_lose_to() -> None:
    gate = asked(evaluation(200, high=-0.001))["no worse than the scorecard"]
    assert (gate.passed, gate.verdict) == (True, "not applicable")


@pytest.mark.parametrize(
    ("figures", "few", "many"),
    [
        ({}, True, True),
        (
            {"calibration_slope": 2.4, "calibration_slope_low": 1.3, "calibration_slope_high": 4.1},
            True,
            False,
        ),
        (
            {"calibration_slope": 3.4, "calibration_slope_low": 2.2, "calibration_slope_high": 5.0},
            False,
            False,
        ),
        (
            {
                "calibration_slope": 0.2,
                "calibration_slope_low": -0.1,
                "calibration_slope_high": 0.45,
            },
            False,
            False,
        ),
        ({"rate": 0.14, "rate_low": 0.11, "rate_high": 0.18}, True, False),
        ({"rate": 0.18, "rate_low": 0.13, "rate_high": 0.24}, False, False),
        ({"rate": 0.04, "rate_low": 0.02, "rate_high": 0.07}, False, False),
    ],
)
def test_with_few_events_only_a_gross_error_of_calibration_stops(
    figures: dict[str, float], few: bool, many: bool
) -> None:
    for events, passes in ((40, few), (400, many)):
        found = evaluation(events, high=-0.001)
        found["test"] |= figures
        gate = asked(found)["calibrated"]
        assert gate.passed is passes, gate.reason
        assert ("only a gross error would show" in gate.reason) is (passes and events == 40)
