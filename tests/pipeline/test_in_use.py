"""A target's candidate beside the model in use: the same held-out rows, a paired interval, and the
words that `evaluate` and `promote` print.
"""

from dataclasses import replace

import pytest
from small_company import Company

from features.errors import GateRefused
from models.calibration import Platt
from models.figures import from_side_by_side
from pipeline.evaluations import Comparison
from pipeline.jobs.evaluate import evaluate_target
from pipeline.jobs.promote import promote_target
from pipeline.jobs.registry import need_version, register, registered_model
from pipeline.tracking import CHAMPION


def test_a_worse_candidate_is_told_by_a_paired_interval_and_kept_out(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    in_use = need_version(workspace, target, CHAMPION)
    calibrator = in_use.bundle.model.calibrator
    assert isinstance(calibrator, Platt)
    bold = replace(calibrator, intercept=calibrator.intercept + 3.0)
    bundle = replace(in_use.bundle, model=replace(in_use.bundle.model, calibrator=bold))
    models = registered_model(workspace, target)
    register(models, bundle, baselines=in_use.baselines, reseeded=in_use.reseeded)

    evaluation = evaluate_target(workspace, target)

    plain, comparison = evaluation.to_dict(), evaluation.in_use
    assert comparison is not None
    assert plain["champion"] == plain["in_use"]  # the key of the release before
    assert comparison.registered_version == in_use.number and comparison.note is None
    assert comparison.log_loss is not None and comparison.difference is not None
    assert comparison.difference == pytest.approx(
        evaluation.test.metrics.log_loss.value - comparison.log_loss, abs=1e-12
    )
    assert comparison.difference_low is not None and comparison.difference_low > 0
    assert comparison.band_changes == evaluation.stability.changed
    assert "the candidate is worse beyond what chance gives" in comparison.words
    with pytest.raises(GateRefused) as refusal:
        promote_target(workspace, target)
    assert comparison.words in str(refusal.value)
    assert need_version(workspace, target, CHAMPION).number == in_use.number


def test_a_comparison_of_the_release_before_is_still_read() -> None:
    kept = {
        "registered_version": "1",
        "model_version": "abc",
        "log_loss": 0.12,
        "auc": 0.8,
        "difference": -0.01,
    }
    assert from_side_by_side(Comparison, kept).words == (
        "the model in use, version 1: log loss 0.1200 on the same held-out rows, AUC 0.800; the"
        " candidate's log loss minus that -0.0100."
    )
