"""A level that moved after training is corrected from newer labels, and only then."""

from dataclasses import replace

import pandas as pd
import pytest
from small_company import Company

from features.errors import ConfigError, GateRefused
from models.calibration import Platt
from models.evaluation import Evaluation
from models.gates import Gate
from pipeline.jobs import recalibrate, run
from pipeline.jobs.evaluate import evaluate_target, latest_evaluation
from pipeline.jobs.recalibrate import recalibrate_target
from pipeline.jobs.registry import need_version, register, registered_model
from pipeline.tracking import CHALLENGER, CHAMPION


def _promise(company: Company, shift: float, *, use: bool = True) -> None:
    """Register a model, in use or a candidate, whose every promise is `shift` log-odds from what
    the present one says.
    """
    workspace, target = company.workspace()
    in_use = need_version(workspace, target, CHAMPION)
    bundle = in_use.bundle
    calibrator = bundle.model.calibrator
    assert isinstance(calibrator, Platt)
    moved = replace(
        bundle.model, calibrator=replace(calibrator, intercept=calibrator.intercept + shift)
    )
    models = registered_model(workspace, target)
    number = register(
        models,
        replace(bundle, model=moved),
        baselines=in_use.baselines,
        reseeded=in_use.reseeded,
    )
    if use:
        models.put_to_use(number, "calibrated")


def _gates_pass_but_for_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small company has few leavers in its test; here the level alone decides."""

    def judged(evaluation: Evaluation) -> tuple[Gate, ...]:
        figures = evaluation.test.metrics
        rate = figures.rate.value
        is_near = abs(figures.mean_probability.value - rate) < 0.5 * rate + 0.02
        return (Gate("calibrated", is_near, "level"),)

    monkeypatch.setattr(recalibrate, "gates", judged)
    monkeypatch.setattr("pipeline.jobs.evaluate.gates", judged)
    monkeypatch.setattr("models.calibration.prior.LEAVERS_TO_CORRECT", 2)


def _without_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this were the project's first training."""
    monkeypatch.setattr(run, "is_in_use", lambda *_: False)
    for job in ("evaluate", "recalibrate"):
        monkeypatch.setattr(f"pipeline.jobs.{job}.target_in_use", lambda *_: None)
    monkeypatch.setattr("pipeline.jobs.promote.alias_version", lambda *_: None)


def test_a_candidate_refused_for_its_level_is_used_at_the_level_of_newer_labels(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    _gates_pass_but_for_level(monkeypatch)
    _without_champion(monkeypatch)
    workspace, target = company_copy.workspace()
    _promise(company_copy, 2.5, use=False)
    refused = need_version(workspace, target, CHALLENGER).bundle
    evaluate_target(workspace, target)
    told: list[str] = []

    assert run._promote(workspace, target, lambda _, words: told.append(words)) is None

    in_use = need_version(workspace, target, CHAMPION)
    after, version = in_use.bundle, in_use.number
    assert after.calibrator_version != refused.calibrator_version and after.basis == "calibrated"
    # Anchors that a published score rests on stay; only those proposed for the level that was off
    # move with it.
    assert after.scale == refused.scale
    assert any(
        f"Version {version} is in use" in line and "newer outcomes corrected it" in line
        for line in told
    )
    evaluation = latest_evaluation(workspace, target, after.model_version)
    assert evaluation is not None and not evaluation.refusals
    assert len(evaluation.test.counts.as_of) == 1  # judged on the newest date alone


def test_rows_that_set_a_candidates_level_were_complete_before_the_date_that_judges(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, target = company_copy.workspace()
    rows, _, _ = recalibrate.load_training(workspace, target)
    bundle = need_version(workspace, target, CHALLENGER).bundle

    earlier, newest = recalibrate._newer(
        rows, bundle.model.training.learned_until.isoformat(), target, complete=True
    )

    assert len(earlier) and newest.keys["as_of"].nunique() == 1
    assert (earlier.keys["label_until"] <= newest.keys["as_of"].iloc[0]).all()
    with pytest.raises(
        ConfigError,
        match="no outcome .* was known before the newest date",
    ):
        recalibrate._newer(
            rows,
            f"{newest.keys['as_of'].iloc[0] - pd.Timedelta(days=60):%Y-%m-%d}",
            target,
            complete=True,
        )


def test_a_candidate_that_the_newest_date_refuses_too_stays_out(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    _gates_pass_but_for_level(monkeypatch)
    _without_champion(monkeypatch)
    workspace, target = company_copy.workspace()
    in_use = need_version(workspace, target, CHAMPION).number
    _promise(company_copy, 2.5, use=False)
    evaluate_target(workspace, target)
    monkeypatch.setattr(
        recalibrate, "gates", lambda found: (Gate("beats recency", False, "it does not."),)
    )

    with pytest.raises(GateRefused, match="with a corrected level.*beats recency: it does not"):
        recalibrate_target(workspace, target, candidate=True)

    assert need_version(workspace, target, CHAMPION).number == in_use


def test_wrong_level_is_corrected_and_nothing_else(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.calibration.prior.LEAVERS_TO_CORRECT", 5)
    _promise(company_copy, 2.5)
    workspace, target = company_copy.workspace()
    before = need_version(workspace, target, CHAMPION).bundle

    done = recalibrate_target(workspace, target)

    assert done.version is not None and done.check.shift < -1.0
    assert done.log_loss_after < done.log_loss_before
    in_use = need_version(workspace, target, CHAMPION)
    after, version = in_use.bundle, in_use.number
    assert version == done.version and after.scale == before.scale
    assert after.calibrator_version != before.calibrator_version
    assert after.model.calibrator.slope == before.model.calibrator.slope
    assert after.facts.prior is not None and after.facts.prior.has_moved
    assert "moved to labels newer than the training" in after.facts.notes[-1]
    # What is kept of the corrected version speaks of its own level, not of the one it mended.
    kept = latest_evaluation(workspace, target, after.model_version)
    assert kept is not None and kept.prior is not None
    assert kept.prior.mean_probability == pytest.approx(kept.prior.rate, abs=0.1)


def test_level_that_holds_registers_nothing(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, target = company_copy.workspace()
    version = need_version(workspace, target, CHAMPION).number
    monkeypatch.setattr("models.calibration.prior.SMALLEST_SHIFT", 50.0)

    done = recalibrate_target(workspace, target)

    assert done.version is None
    assert need_version(workspace, target, CHAMPION).number == version


def test_correction_the_newest_date_does_not_confirm_is_refused(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.calibration.prior.LEAVERS_TO_CORRECT", 5)
    _promise(company_copy, 2.5)
    workspace, target = company_copy.workspace()
    version = need_version(workspace, target, CHAMPION).number
    # The correction goes the wrong way, so the date that judges must catch it.
    monkeypatch.setattr(
        recalibrate, "corrected", lambda platt, check: replace(platt, intercept=platt.intercept + 1)
    )

    with pytest.raises(GateRefused, match="does not confirm"):
        recalibrate_target(workspace, target)

    assert need_version(workspace, target, CHAMPION).number == version


def test_one_newer_date_corrects_with_half_of_its_accounts_and_judges_with_the_others(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.calibration.prior.LEAVERS_TO_CORRECT", 2)
    _promise(company_copy, 2.5)
    workspace, target = company_copy.workspace()
    rows, summary, labels = recalibrate.load_training(workspace, target)
    dates = sorted(rows.keys["as_of"].unique())
    known = rows.rows((rows.keys["as_of"] <= dates[-1]).to_numpy())
    bundle = need_version(workspace, target, CHAMPION).bundle
    last = bundle.model.training.learned_until.isoformat()
    newer = [date for date in dates if date > pd.Timestamp(last)]
    kept = ~known.keys["as_of"].isin(newer[:-1]).to_numpy()
    monkeypatch.setattr(
        recalibrate, "load_training", lambda *_: (known.rows(kept), summary, labels)
    )
    corrects, judges = recalibrate._newer(known.rows(kept), last, target, complete=False)

    done = recalibrate_target(workspace, target)

    assert set(corrects.keys["as_of"]) == set(judges.keys["as_of"]) == {newer[-1]}
    assert not set(corrects.keys["account_id"]) & set(judges.keys["account_id"])
    assert done.check.n == len(corrects) and done.check.shift < -1.0
    assert done.version is not None and done.log_loss_after < done.log_loss_before
