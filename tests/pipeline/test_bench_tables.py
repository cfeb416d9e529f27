"""The tables of `tenure bench` in a terminal: no line wider than a hundred letters, nothing
lost.
"""

import io
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from models.bench import METRICS, BenchResult, JudgedOn, SegmentVerdict
from models.contenders import CohortDetails
from models.methods.cohort import SegmentLine
from models.methods.segment_weights import SegmentShare, SegmentWeightsDetails
from models.metrics import Estimate
from pipeline.reports.bench import HEADINGS, WIDTH, bench_json, bench_lines

METHODS = ("constant", "four_indicators", "weighted_average", "tuned")


def result() -> BenchResult:
    ends = {
        f"minus_{other}{end}": -0.0123
        for other in ("tuned", "constant")
        for end in ("", "_low", "_high")
    }
    figures = [
        {
            "method": method,
            "metric": metric,
            "value": -3_032.1 if metric == "profit" else 0.7123,
            "low": -3_253.4,
            "high": -2_777.7,
            **ends,
        }
        for method in METHODS
        for metric in METRICS
    ]
    validation = [
        {
            "method": method,
            "words": f"what {method} does",
            "log_loss": 0.14,
            "auc": 0.7,
            "minus_best": 0.01,
            "minus_best_low": 0.0,
            "minus_best_high": 0.02,
            "is_adequate": method == "tuned",
            "gives_reasons": True,
            "seconds": 11.5,
            "inputs": 404,
        }
        for method in METHODS
    ]
    test = JudgedOn(
        n=2028,
        accounts=690,
        leaving_accounts=43,
        rate=0.03,
        as_of=("2024-12-22",),
        alarms_per_date=30.0,
        training_rows=9000,
        training_leaving_accounts=200,
        validation_from="2024-05-12",
        validation_until="2024-09-01",
        validation_rows=2700,
        validation_leaving_accounts=64,
    )
    return BenchResult(
        pd.DataFrame(figures),
        pd.DataFrame(validation),
        "tuned",
        "it has the smallest log loss",
        {},
        {},
        test,
    )


def test_tables_fit_a_hundred_letters_and_hold_every_figure() -> None:
    out = io.StringIO()
    console = Console(file=out, width=400, highlight=False)
    for line in bench_lines(result()):
        console.print(line)
    text = out.getvalue()
    prose = ("methods:", "chosen on", "recommended:", "profit:")
    tables = [line.rstrip() for line in text.splitlines() if not line.startswith(prose)]
    assert max(map(len, tables)) <= WIDTH
    for heading in (*HEADINGS.values(), "log loss - tuned", "log loss - constant"):
        assert heading in text
    for method in METHODS:
        assert f"{method}: what {method} does" in text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (
            -9.0,
            -1.0,
            (
                "profit: calling the accounts that tuned names costs more than it saves: -5 a date"
                " (95% -9 to -1). That is so for every method."
            ),
        ),
        (
            -9.0,
            4.0,
            (
                "profit: it is not clear that calling the accounts that tuned names pays: -5 a"
                " date (95% -9 to 4)."
            ),
        ),
        (1.0, 4.0, "profit: calling the accounts that tuned names pays: 2 a date"),
    ],
)
def test_whether_contacts_pay_is_said_with_its_interval(low: float, high: float, said: str) -> None:
    benched = result()
    figures = benched.figures
    figures.loc[figures["metric"] == "profit", ["value", "low", "high"]] = [
        -5.0 if low < 0 else 2.0,
        low,
        high,
    ]
    told = [str(each) for each in bench_lines(benched)]
    assert said in " ".join(told)
    without = replace(benched, figures=figures[figures["metric"] != "profit"])
    assert not any(str(each).startswith("profit") for each in bench_lines(without))


def test_a_segment_of_few_is_named_with_its_leavers_and_the_verdict_stands_in_words() -> None:
    weights = {"active_days_28d": 60.0, "days_since_use": 40.0}
    own = {"active_days_28d": 31.0, "days_since_use": 69.0}
    tiny = {"segment": "tiny", "accounts": 16, "leaving_accounts": 7}
    facts = {"segment": "large", "accounts": 400, "leaving_accounts": 90}
    cohorts = (
        SegmentLine(**facts, level=0.31, level_share=0.7, slope=1.0, slope_share=0.0, pooled=""),
        SegmentLine(
            **tiny, level=0.0, level_share=0.0, slope=1.0, slope_share=0.0, pooled="too few"
        ),
    )
    gap = Estimate(-0.01, -0.02, -0.001)
    benched = replace(
        result(),
        details={
            "segment_weights": SegmentWeightsDetails(
                weights=weights,
                columns={},
                is_declared=False,
                pull_leavers=40.0,
                segments=(
                    SegmentShare(**facts, own_share=0.82, pooled="", weights=own),
                    SegmentShare(**tiny, own_share=0.0, pooled="too few", weights=weights),
                ),
            ),
            "cohort": CohortDetails(cohorts),
        },
        by_segment=(
            SegmentVerdict(
                "segment_weights", "weighted_average", Estimate(0.001, -0.001, 0.003), gap
            ),
            SegmentVerdict("cohort", "tuned", gap, gap),
        ),
    )
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False)
    for each in bench_lines(benched):
        console.print(each)
    lines = [" ".join(each.split()) for each in out.getvalue().splitlines()]
    assert "tiny 16 7 0% global weights: too few" in lines
    assert "large 400 90 82% active_days_28d 31 (60), days_since_use 69 (40)" in lines
    assert (
        "large 400 90 +0.31 70% x 1.00 0%" in lines
        and "tiny 16 7 +0.00 0% x 1.00 0% pooled: too few" in lines
    )
    text = " ".join(lines)
    assert (
        "segment_weights: not shown to be worth it, no better than weighted_average beyond what"
        " chance gives." in text
    )
    assert (
        "cohort: worth it, better than tuned by more than chance. Log loss minus tuned:"
        " validation -0.0100" in text
    )
    plain = bench_json(benched, "churn_90d")["by_segment"]
    assert [each["is_worth_it"] for each in plain] == [False, True] and plain[1]["validation"][
        "low"
    ] == -0.02
