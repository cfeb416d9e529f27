"""What promotion and the model card say of the newest bench: agreement, by how much, an older
model; and no bench at all.
"""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from small_company import Command, Company

from models.artifact import fingerprint
from models.bundle import Bundle
from pipeline.config.schema import Target
from pipeline.jobs.bench_advice import NO_BENCH, BenchAdvice, bench_advice
from pipeline.jobs.registry import need_version
from pipeline.tracking import CHALLENGER
from pipeline.workspace import Workspace

MAY = datetime(2024, 5, 3, 6)
NAMES = ("constant", "scorecard", "logistic", "random_forest", "tuned")


def bench_table(
    recommended: str, minus_best: dict[str, tuple[float, float, float]], **columns: Any
) -> pd.DataFrame:
    """As `tenure bench` keeps it, of a few methods: figures against the tuned model are paired,
    0.002 either way.
    """
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        best, low, high = minus_best.get(name, (0.03, 0.01, 0.05))
        tuned = best - minus_best["tuned"][0]
        paired = {
            "minus_tuned": tuned,
            "minus_tuned_low": tuned - 0.002,
            "minus_tuned_high": tuned + 0.002,
        }
        rows.append(
            {
                "method": name,
                "metric": "validation_log_loss",
                "value": 0.13 + best,
                "minus_best": best,
                "minus_best_low": low,
                "minus_best_high": high,
                **paired,
            }
        )
        rows.append(
            {
                "method": name,
                "metric": "log_loss",
                "value": 0.12 + 2 * best,
                **{k: 2 * v for k, v in paired.items()},
            }
        )
        rows.append({"method": name, "metric": "seconds", "value": 1.0})
    table = pd.DataFrame(rows).assign(
        is_recommended=lambda t: t["method"] == recommended, benched_at=MAY, **columns
    )
    # Rows of a Delta table come in no promised order.
    return table.sample(frac=1, random_state=0)


class Bench:
    """A small company whose store is given benches."""

    def __init__(self, company: Company) -> None:
        self.workspace: Workspace
        self.target: Target
        self.workspace, self.target = company.workspace()
        self.bundle: Bundle = replace(
            need_version(self.workspace, self.target, CHALLENGER).bundle, basis="calibrated"
        )

    @property
    def version(self) -> str:
        """Of the model."""
        return fingerprint(self.bundle.model)[:12]

    def keep(self, table: pd.DataFrame) -> None:
        self.workspace.store.write(
            "bench", table.assign(target=self.target.name), partition_by=["target"]
        )

    def advice(self, **changes: Any) -> BenchAdvice:
        found = bench_advice(self.workspace, self.target, replace(self.bundle, **changes))
        assert found is not None
        return found


@pytest.fixture
def bench(company_copy: Company) -> Bench:
    return Bench(company_copy)


def test_no_bench_is_one_line_of_promotion_and_nothing_elsewhere(
    bench: Bench, tenure: Command
) -> None:
    assert bench_advice(bench.workspace, bench.target, bench.bundle) is None
    folder = bench.workspace.folder
    said = tenure("promote", "--scorecard", "--project", folder)
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == NO_BENCH and said.out.count("bench") == 2
    assert "bench" not in (folder / "reports" / bench.target.name / "model_card.md").read_text()


def test_promotion_and_card_say_that_a_smaller_method_was_adequate_and_gates_stay(
    bench: Bench, tenure: Command
) -> None:
    best = {"tuned": (0.0, 0.0, 0.0), "scorecard": (0.0053, -0.0005, 0.0106)}
    bench.keep(bench_table("scorecard", best, tuned_model=bench.version))
    advice = bench.advice()
    assert (advice.recommended, advice.method, advice.agrees, advice.benched_at) == (
        "scorecard",
        "tuned",
        False,
        MAY,
    )
    assert (
        advice.words
        == "the bench of 2024-05-03 found the scorecard adequate: the smallest method with reasons"
        " within noise of the best, the tuned model (log loss +0.0053 (95% -0.0005 to +0.0106))."
        " The method here is the tuned model: its log loss minus that of the scorecard is"
        " -0.0053 (95% -0.0073 to -0.0033) on the validation dates and -0.0106 (95% -0.0146 to"
        " -0.0066) on the test (below 0: this one is better). Advice; the gates do not ask it."
    )
    folder, name = bench.workspace.folder, bench.target.name
    before = tenure("evaluate", "--project", folder, "--json")
    said = tenure("promote", "--project", folder, "--acknowledge", "the declared anchors")
    assert said.out.splitlines()[0] == advice.words
    gates = json.loads(before.out)["gates"]
    assert said.code == (0 if all(gate["passed"] for gate in gates) else 3)
    assert not any("bench" in gate["reason"] for gate in gates)
    as_scorecard = tenure("promote", "--scorecard", "--project", folder, "--json")
    assert json.loads(as_scorecard.out)["bench"]["agrees"] is True
    assert tenure("score", "--project", folder).code == 0
    for card in ("model_card.md", "model_card.html"):
        assert (
            "the bench of 2024-05-03 found the scorecard adequate"
            in (folder / "reports" / name / card).read_text()
        )


@pytest.mark.parametrize(
    ("recommended", "best", "words"),
    [
        (
            "tuned",
            {"tuned": (0.0, 0.0, 0.0)},
            (
                "recommends the tuned model: the smallest log loss on the validation dates"
                " (0.1300), and no smaller method with reasons is within noise of it. That is the"
                " method here."
            ),
        ),
        (
            "tuned",
            {"tuned": (0.004, -0.001, 0.008), "random_forest": (0.0, 0.0, 0.0)},
            (
                "found the tuned model adequate: the smallest method with reasons within noise of"
                " the best, random forest (log loss +0.0040 (95% -0.0010 to +0.0080)). That is the"
                " method here."
            ),
        ),
        (
            "tuned",
            {"tuned": (0.004, 0.001, 0.008), "random_forest": (0.0, 0.0, 0.0)},
            (
                "recommends the tuned model, the best that gives reasons; random forest, which"
                " gives none, is better beyond noise (log loss +0.0040 (95% +0.0010 to +0.0080))."
                " That is the method here."
            ),
        ),
        (
            "constant",
            {"tuned": (0.0, 0.0, 0.0), "constant": (0.001, -0.002, 0.004)},
            "No method was shown to know more than the rate.",
        ),
    ],
)
def test_each_kind_of_recommendation_is_said(
    bench: Bench, recommended: str, best: Any, words: str
) -> None:
    bench.keep(bench_table(recommended, best, tuned_model=bench.version))
    advice = bench.advice()
    assert words in advice.words and advice.agrees == (recommended == "tuned")
    assert "another model" not in advice.words


def test_bench_of_an_earlier_model_or_of_none_is_told(bench: Bench) -> None:
    best = {"tuned": (0.0, 0.0, 0.0)}
    bench.keep(bench_table("tuned", best, tuned_model="0123456789ab"))
    assert (
        f"settings of another model (0123456789ab, this is {bench.version})" in bench.advice().words
    )
    bench.keep(bench_table("tuned", best, tuned_model="none"))
    assert "No model was trained when it ran" in bench.advice().words


def test_bench_kept_before_its_model_was_recorded_is_read_without_interval(bench: Bench) -> None:
    table = bench_table("logistic", {"tuned": (0.0, 0.0, 0.0), "logistic": (0.002, -0.001, 0.005)})
    gaps = ["minus_tuned", "minus_tuned_low", "minus_tuned_high"]
    table.loc[table["metric"] == "validation_log_loss", gaps] = float("nan")
    bench.keep(table)
    words = bench.advice().words
    assert (
        "is -0.0020 on the validation dates and -0.0040 (95% " in words
        and "another model" not in words
    )


def test_published_scorecard_is_compared_as_the_scorecard(bench: Bench) -> None:
    bench.keep(
        bench_table(
            "tuned",
            {"tuned": (0.0, 0.0, 0.0), "scorecard": (0.01, 0.004, 0.02)},
            tuned_model="0123456789ab",
        )
    )
    advice = bench.advice(basis="scorecard")
    assert advice.method == "scorecard" and not advice.agrees
    assert (
        "The method here is the scorecard: its log loss minus that of the tuned model is +0.0100"
        " on the" in advice.words
    )
    assert "0123456789ab" not in advice.words  # the scorecard has no settings


def test_bench_of_another_target_is_not_this_one_s(bench: Bench) -> None:
    table = bench_table("tuned", {"tuned": (0.0, 0.0, 0.0)}).assign(target="another")
    bench.workspace.store.write("bench", table, partition_by=["target"])
    assert bench_advice(bench.workspace, bench.target, bench.bundle) is None
