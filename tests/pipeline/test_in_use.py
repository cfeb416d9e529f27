"""A target's candidate beside the model in use: the same held-out rows, a paired interval, and the
words that `evaluate` and `promote` print.
"""

from dataclasses import replace

import pytest
from small_company import Company

from features.errors import GateRefused
from models.bundle import Bundle
from models.calibration import Platt
from models.dataset import training_set
from models.figures import from_side_by_side
from models.gates import NO_WORSE, no_worse_than_in_use
from models.metrics import Estimate
from pipeline.evaluations import Comparison
from pipeline.jobs.evaluate import evaluate_target
from pipeline.jobs.in_use import fed_its_own, target_in_use
from pipeline.jobs.prepare import load_training
from pipeline.jobs.promote import promote_target
from pipeline.jobs.registry import need_version, register, registered_model
from pipeline.tracking import CHALLENGER, CHAMPION


def bold(bundle: Bundle, shift: float = 3.0) -> Bundle:
    """The same model promising far more events than happen."""
    calibrator = bundle.model.calibrator
    assert isinstance(calibrator, Platt)
    moved = replace(calibrator, intercept=calibrator.intercept + shift)
    decision = bundle.model.decision
    model = replace(
        bundle.model,
        calibrator=moved,
        decision=None if decision is None else decision.moved(shift),
    )
    return replace(bundle, model=model)


def test_a_worse_candidate_is_told_by_a_paired_interval_and_kept_out(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    in_use = need_version(workspace, target, CHAMPION)
    models = registered_model(workspace, target)
    register(models, bold(in_use.bundle), baselines=in_use.baselines, reseeded=in_use.reseeded)

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
    assert f"{NO_WORSE}: the model in use does better than the candidate by more" in str(
        refusal.value
    )
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


@pytest.mark.parametrize(
    ("difference", "passed", "words"),
    [
        (Estimate(0.0023, 0.0002, 0.0044), False, "by more than chance"),
        (Estimate(0.0023, -0.0010, 0.0056), False, "though it may be chance"),
        (Estimate(0.0004, -0.0010, 0.0018), True, "no worse than the model in use"),
        (Estimate(-0.003, -0.0050, -0.001), True, "does better than the model in use"),
    ],
)
def test_a_log_loss_higher_by_a_hundredth_is_worse_and_may_be_accepted(
    difference: Estimate, passed: bool, words: str
) -> None:
    gate = no_worse_than_in_use(0.1207 + difference.value, 0.1207, difference)
    assert gate.passed is passed and words in gate.reason
    assert gate.may_be_accepted is not passed
    assert ("--acknowledge REASON" in gate.reason) is not passed


def test_the_model_in_use_is_fed_its_own_signals_on_the_same_accounts_and_dates(
    company_copy: Company,
) -> None:
    workspace, target = company_copy.workspace()
    rows, _, _ = load_training(workspace, target)
    in_use = need_version(workspace, target, CHAMPION)
    others = rows.signals[: len(rows.signals) // 2]
    fewer = training_set(rows.keys, rows.features, rows.labels, others).test

    lacking = target_in_use(in_use, fewer)
    fed = fed_its_own(workspace, target, lacking, fewer)

    assert lacking is not None and lacking.test_features is None
    assert fed is not None and fed.note is None and fed.test_features is not None
    model = in_use.bundle.model
    assert model.probability(fed.test_features) == pytest.approx(
        model.probability(rows.test.features), abs=1e-12
    )


def test_signals_that_were_switched_off_are_built_for_the_model_in_use(
    company_copy: Company,
) -> None:
    toml = company_copy.folder / "tenure.toml"
    toml.write_text(toml.read_text().replace('"adoption"]', '"adoption", "support"]'))
    workspace, target = company_copy.workspace()
    rows, _, _ = load_training(workspace, target)
    in_use = need_version(workspace, target, CHAMPION)
    off = [each for each in in_use.bundle.model.signals if each.dimension == "support"]
    left = tuple(each for each in rows.signals if each.dimension != "support")
    fewer = training_set(rows.keys, rows.features, rows.labels, left).test

    fed = fed_its_own(workspace, target, target_in_use(in_use, fewer), fewer)

    assert off and fed is not None and fed.test_features is not None
    columns = [each.column for each in off]
    assert fed.test_features[columns].equals(rows.test.features[columns])


def test_a_candidate_that_cannot_be_compared_needs_a_reason(company_copy: Company) -> None:
    workspace, target = company_copy.workspace()
    first = need_version(workspace, target, CHAMPION)
    models = registered_model(workspace, target)
    later = replace(
        first.bundle.model, training=first.bundle.model.training.with_facts(last_as_of="2030-01-01")
    )
    in_use = register(models, replace(first.bundle, model=later))
    models.put_to_use(in_use, "calibrated")
    candidate = register(models, first.bundle, baselines=first.baselines, reseeded=first.reseeded)
    evaluate_target(workspace, target)

    with pytest.raises(GateRefused, match="learned from rows until 2030-01-01, and the test beg"):
        promote_target(workspace, target)
    done = promote_target(workspace, target, acknowledge="that model knew the future")

    assert done.version == candidate
    assert done.notes[-1].startswith(f"accepted because that model knew the future: {NO_WORSE}:")
    assert not any(reason.startswith(NO_WORSE) for reason in done.reasons)


def test_a_candidate_judged_before_another_was_put_to_use_is_judged_again(
    company_copy: Company,
) -> None:
    workspace, target = company_copy.workspace()
    first = need_version(workspace, target, CHAMPION)
    models = registered_model(workspace, target)
    register(models, first.bundle, baselines=first.baselines, reseeded=first.reseeded)
    evaluate_target(workspace, target)
    candidate = need_version(workspace, target, CHALLENGER)
    models.put_to_use(register(models, bold(first.bundle, 0.01)), "calibrated")
    models.tracker.set_registered_model_alias(models.name, CHALLENGER, candidate.number)

    with pytest.raises(GateRefused, match="it was put to use after the candidate was judged"):
        promote_target(workspace, target)
    evaluate_target(workspace, target)
    assert promote_target(workspace, target).version == candidate.number


def test_scores_of_another_model_are_held_against_the_last_run(
    company_copy: Company,
) -> None:
    workspace, target = company_copy.workspace()
    first = need_version(workspace, target, CHAMPION)
    models = registered_model(workspace, target)
    models.put_to_use(register(models, bold(first.bundle)), "calibrated")

    with pytest.raises(GateRefused, match="under another model .*of accounts change band"):
        company_copy.score(staged=True)
