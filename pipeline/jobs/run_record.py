"""What a test adds to the MLflow run that trained the model: metrics with their intervals,
pictures, the model card.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from models.figures import plain, side_by_side
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.registry import EVALUATION, RegisteredModel
from pipeline.reports.contributions import ContributionInputs
from pipeline.reports.plots import lead_time_figure, lift_figure, reliability_figure

CARD, CARD_MD = "model_card.html", "model_card.md"
TESTED = " Test: "
"""What begins the second half of a version's description."""
CONTRIBUTIONS = "contributions"
"""Folder of a run with the next three."""
BEESWARM, DEPENDENCE, STRONGEST = "beeswarm.png", "dependence.png", "strongest.csv"
DOTS = "dots.csv"


def record_evaluation(
    models: RegisteredModel,
    number: str,
    evaluation: VersionEvaluation,
    tested: pd.DataFrame,
    card: tuple[str, str],
    pictures: ContributionInputs | None = None,
) -> None:
    """Add an evaluation to the run of a registered version; a later one of the same version takes
    its place.

    Parameters
    ----------
    tested
        Scores of the untouched test: probability, label, band; left_at where events have a date.
    card
        The model card as a page and as Markdown.
    pictures
        What signals give to the scores of the test.
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
    own_words, _, _ = models.description(number).partition(TESTED)
    models.describe(number, f"{own_words}{TESTED}{_tested_words(evaluation)}")
    if pictures is not None:
        with TemporaryDirectory() as aside:
            folder = Path(aside)
            (folder / BEESWARM).write_bytes(pictures.beeswarm)
            (folder / DEPENDENCE).write_bytes(pictures.dependence)
            pictures.strongest.to_csv(folder / STRONGEST, index=False)
            pictures.dots.to_csv(folder / DOTS, index=False)
            tracker.log_artifacts(run, aside, CONTRIBUTIONS)


def _tested_words(evaluation: VersionEvaluation) -> str:
    """What the test said, in the description of a version."""
    figures, counts = evaluation.test.metrics, evaluation.test.counts
    refused = ", ".join(gate.name for gate in evaluation.refusals)
    return (
        f"{counts.n:,} scores, {counts.events:,} with the event; AUC {figures.auc.value:.3f}"
        f" ({figures.auc.low:.3f} to {figures.auc.high:.3f}), log loss"
        f" {figures.log_loss.value:.4f}. Gates:"
        f" {'all passed' if not refused else f'refused by {refused}'}."
    )


def recorded_pictures(models: RegisteredModel, number: str | None) -> ContributionInputs | None:
    """What the test of a version recorded of contributions; None where it recorded nothing."""
    import mlflow

    run = None if number is None else models.run_id(number)
    if run is None:
        return None
    with TemporaryDirectory() as aside:
        try:
            folder = Path(
                mlflow.artifacts.download_artifacts(
                    run_id=run, artifact_path=CONTRIBUTIONS, dst_path=aside
                )
            )
            return ContributionInputs(
                pd.read_csv(folder / STRONGEST),
                _dots(folder / DOTS),
                (folder / BEESWARM).read_bytes(),
                (folder / DEPENDENCE).read_bytes(),
            )
        # Pictures are an extra: a version of a release without them keeps its page.
        except (OSError, mlflow.exceptions.MlflowException):
            return None


def _dots(path: Path) -> pd.DataFrame:
    """Of a version tested before dots were kept: none."""
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


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
