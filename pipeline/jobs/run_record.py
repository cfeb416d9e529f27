"""What a test adds to the MLflow run that trained the model: metrics with their intervals,
pictures, the model card.
"""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from models.bundle import Bundle
from models.health import band_table
from pipeline.config.schema import Target
from pipeline.jobs.model_page import target_card
from pipeline.jobs.train import model_name
from pipeline.reports.plots import lead_time_figure, lift_figure, reliability_figure
from pipeline.tracking import client
from pipeline.workspace import Workspace

CARD, CARD_MD = "model_card.html", "model_card.md"
EVALUATION = "evaluation.json"


def record_evaluation(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    version: str,
    found: Mapping[str, Any],
    tested: pd.DataFrame,
) -> None:
    """Add an evaluation to the run of a registered version; a later one of the same version takes
    its place.

    Parameters
    ----------
    found
        What `evaluate --json` prints.
    tested
        Scores of the untouched test dates: probability, label, band, left_at.
    """
    tracker = client(workspace.folder, workspace.project.mlflow.tracking_uri)
    import mlflow

    run = tracker.get_model_version(model_name(workspace, target), version).tags["run_id"]
    bands = band_table(bundle.scale, tested["probability"].to_numpy(), tested["label"].to_numpy())
    page, markdown = target_card(workspace, target, bundle, found, tested, bands)
    figures = {
        "test_reliability.png": reliability_figure(tested["label"], tested["probability"]),
        "lift.png": lift_figure(tested, found["test"]),
        "lead_time.png": lead_time_figure(tested),
    }
    mlflow.log_metrics(
        _metrics(found), run_id=run
    )  # in one go; the client's own calls are one transaction a metric
    for name, text in (
        (CARD, page),
        (CARD_MD, markdown),
        (EVALUATION, json.dumps(found, indent=1, sort_keys=True) + "\n"),
    ):
        tracker.log_text(run, text, name)
    for name, figure in figures.items():
        if figure is not None:
            tracker.log_figure(run, figure, name)


def _metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """Every number of the test, and the paired differences to the baselines, each with its
    interval.
    """
    test = {f"test_{name}": value for name, value in found["test"].items()}
    gaps = {
        f"test_log_loss_minus_{name}{end}": numbers[f"difference{end}"]
        for name, numbers in found["baselines"].items()
        for end in ("", "_low", "_high")
    }
    numbers = {**test, **gaps, "band_changes": found["stability"]["changed"]}
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
