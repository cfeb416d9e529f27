"""What a test adds to the MLflow run that trained the model: metrics with their intervals,
pictures, the model card.
"""

import json

import pandas as pd

from models.figures import plain, side_by_side
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.registry import EVALUATION, RegisteredModel
from pipeline.reports.plots import lead_time_figure, lift_figure, reliability_figure

CARD, CARD_MD = "model_card.html", "model_card.md"


def record_evaluation(
    models: RegisteredModel,
    number: str,
    evaluation: VersionEvaluation,
    tested: pd.DataFrame,
    card: tuple[str, str],
) -> None:
    """Add an evaluation to the run of a registered version; a later one of the same version takes
    its place.

    Parameters
    ----------
    tested
        Scores of the untouched test: probability, label, band; left_at where events have a date.
    card
        The model card as a page and as Markdown.
    """
    import mlflow

    tracker, run = models.tracker, models.run_id(number)
    assert run is not None
    figures = {
        "test_reliability.png": reliability_figure(tested["label"], tested["probability"]),
        "lift.png": lift_figure(tested, evaluation.test.metrics.lift_top_decile),
        "lead_time.png": lead_time_figure(tested) if "left_at" in tested else None,
    }
    # In one go: the client's own calls are one transaction a metric.
    mlflow.log_metrics(_metrics(evaluation), run_id=run)
    for name, text in (
        (CARD, card[0]),
        (CARD_MD, card[1]),
        (EVALUATION, json.dumps(evaluation.to_dict(), indent=1, sort_keys=True) + "\n"),
    ):
        tracker.log_text(run, text, name)
    for name, figure in figures.items():
        if figure is not None:
            tracker.log_figure(run, figure, name)


def _metrics(evaluation: VersionEvaluation) -> dict[str, float]:
    """Every number of the test, and the paired differences to the baselines, each with its
    interval.
    """
    numbers = {f"test_{name}": value for name, value in side_by_side(evaluation.test).items()}
    for name, baseline in evaluation.baselines.items():
        gap = baseline.difference
        for end, value in (("", gap.value), ("_low", gap.low), ("_high", gap.high)):
            numbers[f"test_log_loss_minus_{name}{end}"] = plain(value)
    numbers["band_changes"] = evaluation.stability.changed
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
