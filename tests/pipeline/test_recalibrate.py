"""A level that moved after training is corrected from newer labels, and only then."""

from dataclasses import replace

import pytest
from small_company import Company

from features.errors import GateRefused
from models.calibration import Platt
from pipeline.jobs import recalibrate
from pipeline.jobs.promote import put_to_use
from pipeline.jobs.recalibrate import recalibrate_target
from pipeline.jobs.train import need_version, register
from pipeline.tracking import CHAMPION


def _promise(company: Company, shift: float) -> None:
    """Put a model to use whose every promise is `shift` log-odds from what the present one says."""
    workspace, target = company.workspace()
    bundle, baselines, _ = need_version(workspace, target, CHAMPION, "")
    calibrator = bundle.model.calibrator
    assert isinstance(calibrator, Platt)
    moved = replace(bundle.model, calibrator=replace(calibrator, intercept=calibrator.intercept + shift))
    version = register(workspace, target, replace(bundle, model=moved), baselines, None, None)
    put_to_use(workspace, target, version, "calibrated", {})


def test_wrong_level_is_corrected_and_nothing_else(company_copy: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.calibration.prior.MIN_LEAVING", 5)
    _promise(company_copy, 2.5)
    workspace, target = company_copy.workspace()
    before, _, _ = need_version(workspace, target, CHAMPION, "")

    done = recalibrate_target(workspace, target)

    assert done.version is not None and done.check.shift < -1.0
    assert done.log_loss_after < done.log_loss_before
    after, _, version = need_version(workspace, target, CHAMPION, "")
    assert version == done.version and after.scale == before.scale
    assert after.calibrator_version != before.calibrator_version
    assert after.model.calibrator.slope == before.model.calibrator.slope
    assert after.facts["prior"]["has_moved"] is True


def test_level_that_holds_registers_nothing(company_copy: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, target = company_copy.workspace()
    _, _, version = need_version(workspace, target, CHAMPION, "")
    monkeypatch.setattr("models.calibration.prior.SMALLEST_SHIFT", 50.0)

    done = recalibrate_target(workspace, target)

    assert done.version is None
    assert need_version(workspace, target, CHAMPION, "")[2] == version


def test_correction_the_newest_date_does_not_confirm_is_refused(company_copy: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.calibration.prior.MIN_LEAVING", 5)
    _promise(company_copy, 2.5)
    workspace, target = company_copy.workspace()
    _, _, version = need_version(workspace, target, CHAMPION, "")
    # The correction goes the wrong way, so the date that judges must catch it.
    monkeypatch.setattr(recalibrate, "corrected", lambda platt, check: replace(platt, intercept=platt.intercept + 1))

    with pytest.raises(GateRefused, match="does not confirm"):
        recalibrate_target(workspace, target)

    assert need_version(workspace, target, CHAMPION, "")[2] == version
