"""What MLflow keeps of a training run: trials below it, the data, test metrics with intervals,
pictures, the model card.
"""

import json
import math
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from small_company import Company

from models.figures import side_by_side
from models.metrics import Estimate
from pipeline.jobs.evaluate import latest_evaluation
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import registered_model
from pipeline.jobs.run_record import recorded_pictures
from pipeline.reports.hindsight import days_of_warning
from pipeline.reports.plots import lead_time_figure, lift_figure
from pipeline.tracking import client


@pytest.fixture(scope="module")
def recorded(company: Company) -> tuple[Any, Any, Any]:
    """The client, the run of the training, and all runs of the project's experiment."""
    workspace, _ = company.workspace()
    tracker = client(workspace.folder, None)
    experiment = tracker.get_experiment_by_name(workspace.project.name)
    runs = tracker.search_runs([experiment.experiment_id])
    return tracker, next(run for run in runs if run.info.run_name.startswith("train")), runs


def test_each_trial_is_a_run_below_the_training_in_the_same_experiment(
    recorded: tuple[Any, Any, Any],
) -> None:
    tracker, training, runs = recorded
    trials = [run for run in runs if run.info.run_name.startswith("trial")]
    assert trials and all(
        run.data.tags["mlflow.parentRunId"] == training.info.run_id for run in trials
    )
    assert all("log_loss" in run.data.metrics for run in trials)
    default = tracker.get_experiment_by_name("Default")
    assert default is None or not tracker.search_runs([default.experiment_id])


def test_the_dataset_counts_all_rows(company: Company, recorded: tuple[Any, Any, Any]) -> None:
    rows, _, _ = load_training(*company.workspace())
    (dataset,) = [each.dataset for each in recorded[1].inputs.dataset_inputs]
    assert json.loads(dataset.profile)["num_rows"] == len(rows)
    columns = {each["name"]: each for each in json.loads(dataset.schema)["mlflow_colspec"]}
    assert [*columns] == [*rows.features, "label"]
    assert {each["type"] for name, each in columns.items() if name != "label"} == {"double"}
    whole = {name for name, each in columns.items() if each["required"]} - {"label"}
    assert whole == set(rows.features.columns[rows.features.notna().all()])
    assert dataset.digest == rows.fingerprint()[:32]


def test_runs_versions_and_models_have_descriptions(
    company: Company, recorded: tuple[Any, Any, Any]
) -> None:
    tracker, training, _ = recorded
    models = registered_model(*company.workspace())
    evaluation = latest_evaluation(*company.workspace())
    assert evaluation is not None and evaluation.registered_version is not None
    words = models.description(evaluation.registered_version)
    rows = f"{int(training.data.metrics['rows']):,} rows"
    assert rows in words and f"AUC {evaluation.test.metrics.auc.value:.3f}" in words
    assert all(gate.name in words for gate in evaluation.refusals)
    assert training.data.tags["mlflow.note.content"] == words
    assert "the version in use" in tracker.get_registered_model(models.name).description


PNG = b"\x89PNG"


def test_the_run_holds_the_test_with_intervals_pictures_and_card(
    company: Company, recorded: tuple[Any, Any, Any]
) -> None:
    tracker, training, _ = recorded
    evaluation = latest_evaluation(*company.workspace())
    assert evaluation is not None
    figures = side_by_side(evaluation.test)
    metrics = training.data.metrics
    for name in ("log_loss", "auc", "calibration_slope"):
        assert (
            metrics[f"test_{name}_low"] <= metrics[f"test_{name}"] <= metrics[f"test_{name}_high"]
        )
        assert metrics[f"test_{name}"] == figures[name]
    gap = evaluation.baselines["recency"].difference
    assert metrics["test_log_loss_minus_recency"] == gap.value
    kept = {artifact.path for artifact in tracker.list_artifacts(training.info.run_id)}
    assert kept >= {
        "reliability.png",
        "importance.png",
        "test_reliability.png",
        "lift.png",
        "lead_time.png",
        "model_card.html",
        "model_card.md",
        "evaluation.json",
        "trials.csv",
        "facts.json",
    }


def test_the_run_and_the_published_card_show_what_signals_give(
    company: Company, recorded: tuple[Any, Any, Any]
) -> None:
    workspace, target = company.workspace()
    evaluation = latest_evaluation(workspace, target)
    assert evaluation is not None
    models = registered_model(workspace, target)
    pictures = recorded_pictures(models, evaluation.registered_version)
    assert pictures is not None and len(pictures.strongest)
    assert pictures.beeswarm.startswith(PNG) and pictures.dependence.startswith(PNG)
    card = mlflow.artifacts.load_text(f"runs:/{recorded[1].info.run_id}/model_card.html")
    first = pictures.strongest.iloc[0]
    assert card.count('<img class="drawn" src="data:image/png;base64,') == 2
    assert "on top: a dot for each" in card and f"<td>{first['words']}</td>" in card
    published = (workspace.folder / "reports" / target.name / "model_card.html").read_text()
    is_model = company.published("scores")["basis"].eq("calibrated").all()
    assert ("What moves the score" in published) == is_model
    assert recorded_pictures(models, None) is None


def scores(*rows: tuple[str, str, int, str, str | None]) -> pd.DataFrame:
    """account_id, as_of, label, band, left_at; the probability is high in red."""
    table = pd.DataFrame(rows, columns=["account_id", "as_of", "label", "band", "left_at"])
    return table.assign(
        as_of=pd.to_datetime(table["as_of"]),
        left_at=pd.to_datetime(table["left_at"]),
        probability=np.where(table["band"] == "at_risk", 0.5, 0.1),
    )


TESTED = scores(
    ("a", "2025-01-01", 1, "at_risk", "2025-03-12"),
    ("a", "2025-02-01", 1, "stable", "2025-03-12"),
    ("b", "2025-01-01", 0, "stable", "2025-02-11"),
    ("b", "2025-02-01", 1, "at_risk", "2025-02-11"),
    ("c", "2025-01-01", 1, "healthy", "2025-01-20"),
    ("c", "2025-02-01", 0, "at_risk", "2025-01-20"),
    ("d", "2025-01-01", 0, "at_risk", None),
)


def test_warning_counts_from_the_first_alarm_before_the_event() -> None:
    days = days_of_warning(TESTED)
    assert days["a"] == 70.0 and days["b"] == 10.0
    assert list(days.index) == ["a", "b", "c"] and np.isnan(
        days["c"]
    )  # c was an alarm only after it had left


def test_pictures_say_what_the_scores_hold() -> None:
    lead = lead_time_figure(TESTED)
    assert lead is not None
    assert (
        "2 of 3 accounts" in lead.axes[0].get_title()
        and "half of them 40 days or more" in lead.axes[0].get_title()
    )
    assert lead_time_figure(TESTED.assign(label=0)) is None
    curve = lift_figure(TESTED, Estimate(math.nan, math.nan, math.nan)).axes[0].lines[1]
    assert curve.get_ydata()[-1] == pytest.approx(1.0)
