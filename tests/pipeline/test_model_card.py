"""The model card: metrics beside simple answers, gates with reasons, and nothing that breaks out of
it.
"""

import json
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ContractError
from models.health import band_table, scale_from_anchors
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.run import tell_beside
from pipeline.reports.model_card import (
    ModelCardInputs,
    comparison_rows,
    metric_rows,
    model_card,
    signals_by_dimension,
)

# As the first release kept it: no bands, segments or ages, and gates that all apply.
EVALUATION = {
    "target": {"name": "churn_90d"},
    "model": "gradient_boosting",
    "model_version": "7",
    "test": {
        "n": 400,
        "accounts": 120,
        "events": 40,
        "leaving_accounts": 31,
        "as_of": ["2025-01-06", "2025-02-03"],
        "log_loss": 0.2812,
        "log_loss_low": 0.25,
        "log_loss_high": 0.31,
        "auc": 0.81,
        "auc_low": 0.74,
        "auc_high": 0.88,
        "log_loss_constant": 0.3251,
        "log_loss_constant_hindsight": 0.3249,
        "ece": 0.02,
        "ece_expected": 0.018,
        "calibration_slope": 1.05,
        "recency_auc": 0.66,
        "brier": None,
    },
    "gates": [
        {"name": "beats recency", "passed": True, "reason": "0.2812 against 0.3100."},
        {"name": "calibrated", "passed": False, "reason": "slope 2.4."},
    ],
    "baselines": {
        "constant": {
            "log_loss": 0.3251,
            "auc": 0.5,
            "difference": -0.0439,
            "difference_low": -0.06,
            "difference_high": -0.02,
        },
        "recency": {
            "log_loss": 0.31,
            "auc": 0.66,
            "difference": -0.0288,
            "difference_low": None,
            "difference_high": None,
        },
    },
}
SIGNALS = tuple(
    Signal(
        f"active_days_{days}d",
        "active_days",
        "usage",
        "usage_events",
        "days with an event",
        "days",
        "active on {value} of {days} days",
        window_days=days,
        worse="down",
    )
    for days in (7, 28)
) + (
    Signal(
        "overdue",
        "overdue",
        "financial",
        "invoices",
        "unpaid | late",
        "invoices",
        "{value} overdue",
        nature="lagging",
    ),
)


def read(**changes):
    return VersionEvaluation.from_dict({**EVALUATION, **changes})


def some_inputs(**changes):
    rng = np.random.default_rng(1)
    p = rng.beta(1, 8, 400)
    facts = {
        "project": "Example Software",
        "target_words": "Will the account have left within 90 days?",
        "evaluation": read(),
        "model_info": {"version": 7, "method": "LightGBM", "calibrator": None},
        "signals": SIGNALS,
        "band_table": band_table(scale_from_anchors(0.3, 0.1), p, rng.random(400) < p),
        "backtest": pd.DataFrame({"probability": p, "label": (rng.random(400) < p).astype(int)}),
        "now": datetime(2025, 6, 2),
    }
    return ModelCardInputs(**{**facts, **changes})


@pytest.mark.parametrize("part", [0, 1])
def test_what_is_assumed_of_the_data_stands_on_both_forms(part):
    told = "is assumed for usage"
    assert told in model_card(some_inputs(assumptions=(told,)))[part]
    assert "Assumed of the data" not in model_card(some_inputs())[part]


@pytest.mark.parametrize("part", [0, 1])
def test_both_forms_hold_metrics_gates_and_limits(part):
    text = model_card(some_inputs())[part]
    said = (
        "0.2812",
        "0.2500 to 0.3100",
        "0.3251",
        "slope 2.4",
        "Only 31 accounts",
        "not recorded",
        "recency alone",
    )
    for wanted in said:
        assert wanted in text
    assert "REFUSED" in text or "✕ refused" in text


def test_hostile_text_stays_text_in_both_forms():
    bad = "</script><img src=x onerror=alert(1)>| `code` [x](javascript:1)"
    page, markdown = model_card(
        some_inputs(
            project=bad,
            target_words=bad,
            limits=(bad,),
            waivers=(bad,),
            model_info={bad: bad},
            evaluation=read(gates=[{"name": bad, "passed": False, "reason": bad}]),
            signals=(Signal("a", bad, "usage", bad, bad, "days", "{value}"),),
        )
    )
    assert "<img" not in page
    assert "<img" not in markdown and "](javascript" not in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| &lt;/script")]
    assert rows and all(line.replace("\\|", "").count("|") in (3, 6) for line in rows)


def test_untested_model_says_so():
    page, markdown = model_card(
        some_inputs(evaluation=None, signals=(), band_table=pd.DataFrame(), backtest=pd.DataFrame())
    )
    for text in (page, markdown):
        assert (
            "Not tested" in text
            and "No gate has judged this model" in text
            and "No signals were recorded" in text
        )


def test_missing_metrics_are_left_out_and_never_zero():
    names = [row["name"] for row in metric_rows(read().test.metrics)]
    assert "Log loss" in names and "Brier score" not in names


def test_model_stands_beside_constants_and_recency():
    rows = comparison_rows(read())
    assert [row["name"] for row in rows] == [
        "this model",
        "one rate for all: the last known",
        "one rate for all: the test's own",
        "recency alone",
    ]
    assert rows[1]["difference"] == "-0.0439 (-0.0600 to -0.0200)"
    assert rows[3]["difference"] == "-0.0288"


LEADING = {
    "signals": 148,
    "lagging": 19,
    "all_log_loss": 0.1798,
    "all_auc": 0.729,
    "n": 398,
    "events": 19,
    "log_loss": 0.1803,
    "auc": 0.714,
    "difference": 0.0005,
    "difference_low": -0.0034,
    "difference_high": 0.0032,
}


@pytest.mark.parametrize("part", [0, 1])
def test_what_leading_signals_alone_cost_is_on_the_card(part):
    text = model_card(some_inputs(evaluation=read(leading_alone=LEADING)))[part]
    assert (
        "leading signals alone, 19 lagging left out, fitted anew" in text
        and "+0.0005 (-0.0034 to +0.0032)" in text
    )
    assert (
        "leading signals alone"
        not in model_card(some_inputs(evaluation=read(leading_alone=None)))[1]
    )


@pytest.mark.parametrize(
    ("low", "said"), [(-0.0034, "could be chance"), (0.0001, "more than chance")]
)
def test_what_leading_signals_alone_cost_is_told_in_one_line(low, said):
    test = {**EVALUATION["test"], "mean_probability": 0.1, "rate": 0.1}
    lines = []
    tell_beside(
        lambda step, text: lines.append(text),
        read(test=test, leading_alone={**LEADING, "difference_low": low}),
    )
    line = next(each for each in lines if each.startswith("leading"))
    assert (
        "(148 of 167): log loss 0.1803 against 0.1798 with all, AUC 0.714 against 0.729" in line
        and line.endswith(said)
    )


def test_signals_are_grouped_with_their_windows():
    usage, financial = signals_by_dimension(SIGNALS)
    assert usage["measures"][0]["windows"] == [7, 28]
    assert financial["measures"][0]["leading"] == "lagging"


PRIOR = {
    "n": 400,
    "leaving_accounts": 31,
    "mean_probability": 0.1,
    "rate": 0.1,
    "shift": 0.0,
    "shift_low": -0.1,
    "shift_high": 0.1,
    "has_moved": False,
    "words": "",
}
SEGMENTS = [
    {
        "segment": "small",
        "n": 300,
        "accounts": 90,
        "leaving_accounts": 24,
        "rate": 0.12,
        "mean_probability": 0.1,
        "gap": -0.02,
        "gap_low": -0.05,
        "gap_high": 0.01,
        "error": 0.3,
        "gain": -0.03,
        "gain_low": -0.05,
        "gain_high": -0.01,
    },
    {
        "segment": "large | new",
        "n": 100,
        "accounts": 1_030,
        "leaving_accounts": 7,
        "rate": 0.04,
        "mean_probability": 0.05,
        "gap": 0.01,
        "gap_low": None,
        "gap_high": None,
        "error": 0.2,
        "gain": 0.01,
        "gain_low": None,
        "gain_high": None,
    },
]


@pytest.mark.parametrize("part", [0, 1])
def test_segments_level_and_other_rows_are_on_the_card(part):
    figures = {"log_loss": 0.31, "auc": 0.8}
    evaluation = read(
        segments=SEGMENTS,
        prior=PRIOR,
        untreated={
            "treated_share": 0.2,
            "n": 320,
            "metrics": {**EVALUATION["test"], **figures},
        },
        under_notice={
            "notice_rows": 36,
            "notice_left": 30,
            "without": figures,
            "with": {"log_loss": 0.4, "auc": None},
        },
    )
    text = model_card(some_inputs(evaluation=evaluation))[part]
    for wanted in (
        "-2.0 (-5.0 to +1.0)",
        "too few to judge",
        "1,030",
        "the level holds.",
        "without the 20% of scores",
        "with 36 scores of accounts that had given notice",
        "0.3100",
        "0.4000",
        "-0.0300 (-0.0500 to -0.0100)",
    ):
        assert wanted in text


def test_no_interval_is_shown_for_the_calibration_error():
    """Its resamples lie above it, so the percentiles 0.007 to 0.020 would stand beside a value of
    0.0069.
    """
    test = {**EVALUATION["test"], "ece": 0.0069, "ece_low": 0.0072, "ece_high": 0.0196}
    row = metric_rows(read(test=test).test.metrics)[-1]
    assert row["value"] == "0.0069" and row["interval"] == ""


@pytest.mark.parametrize("part", [0, 1])
def test_test_dates_are_said_once_and_counts_have_thousands(part):
    text = model_card(
        some_inputs(model_info={"test dates": "2025-01-06, 2025-02-03", "training rows": 3994})
    )[part]
    assert text.lower().count("test dates") == 1 and "3,994" in text


@pytest.mark.parametrize("part", [0, 1])
def test_bands_show_the_share_that_had_the_event_with_its_interval(part):
    rate = {"n": 90, "accounts": 60, "events": 2}
    bands = {"healthy": {**rate, "rate": 0.0201, "rate_low": 0.004, "rate_high": 0.041}}
    assert "2.0% (0.4% to 4.1%)" in model_card(some_inputs(evaluation=read(bands=bands)))[part]
    assert "Share with the event" not in model_card(some_inputs())[0]


@pytest.mark.parametrize("part", [0, 1])
def test_figures_of_a_refused_candidate_are_not_those_of_the_scorecard_that_is_published(part):
    text = model_card(some_inputs(is_of_refused=True))[part]
    assert (
        "The gates and test figures below belong to the candidate model that was refused." in text
        and "this model" not in text
    )
    assert "The gates and test figures below belong to" not in model_card(some_inputs())[part]


def test_what_this_release_keeps_of_an_evaluation_is_read_back() -> None:
    """The first release kept fewer parts; EVALUATION has its shape."""
    first = read()
    assert first.segments == () and first.in_use is None and first.leading_alone is None
    assert first.gates[0].applies and np.isnan(first.test.metrics.brier.value)
    kept = json.loads(json.dumps(first.to_dict(), allow_nan=False))
    assert VersionEvaluation.from_dict(kept).to_dict() == kept
    parts = {"segments": SEGMENTS, "prior": PRIOR, "leading_alone": LEADING}
    kept = json.loads(json.dumps(read(**parts).to_dict(), allow_nan=False))
    assert VersionEvaluation.from_dict(kept).to_dict() == kept
    assert kept["leading_alone"] == LEADING and kept["segments"] == SEGMENTS


def test_an_evaluation_that_lacks_a_count_is_refused_by_name() -> None:
    without = {name: value for name, value in EVALUATION["test"].items() if name != "n"}
    with pytest.raises(ContractError, match="lack 'n'; evaluate the model again"):
        read(test=without)
