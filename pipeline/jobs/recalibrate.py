"""Correct the level of the model in use from labels that matured after it was trained."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ConfigError, GateRefused
from models.bundle import Bundle
from models.calibration import Platt
from models.calibration.prior import PriorCheck, check_prior, corrected
from models.dataset import TrainingSet
from models.metrics import log_loss
from pipeline.config.schema import Target
from pipeline.jobs.prepare import load_training
from pipeline.jobs.promote import put_to_use
from pipeline.jobs.train import need_version, register
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Recalibrated:
    """What newer labels said, and the version that follows them; `version` None where the level holds."""

    check: PriorCheck
    version: str | None
    log_loss_before: float | None
    """On the newest date, which the correction has not seen."""
    log_loss_after: float | None


def recalibrate_target(workspace: Workspace, target: Target) -> Recalibrated:
    """Shift the calibrator's intercept to labels newer than the training, if they have moved beyond chance.

    All newer dates but the last correct; the last one judges. The trees, their points' proportions and the scale
    stay: the new version differs in its calibrator alone.

    Raises
    ------
    ConfigError
        When a scorecard is in use, or fewer than two dates are newer than the training.
    GateRefused
        When the level moved and the newest date does not confirm it.
    """
    bundle, baselines, _ = need_version(workspace, target, CHAMPION, "Run `tenure promote` first.")
    if bundle.basis != "calibrated":
        raise ConfigError(f"target {target.name!r} publishes a scorecard: it promises no probabilities that could be corrected.")
    rows, _, _ = load_training(workspace, target)
    bundle.model.check_signals(rows.signals)
    earlier, newest = _newer(rows, str(bundle.model.training["last_as_of"]), target)
    calibrator = bundle.model.calibrator
    assert isinstance(calibrator, Platt)
    check = check_prior(calibrator.logit(bundle.model.margin(earlier.features)), earlier.labels, earlier.keys["account_id"])
    if not check.has_moved:
        return Recalibrated(check, None, None, None)
    followed = corrected(calibrator, check)
    before, after = (_loss(bundle, each, newest) for each in (calibrator, followed))
    if after >= before:
        raise GateRefused(
            f"{check.words} The newest date ({newest.keys['as_of'].iloc[0]:%Y-%m-%d}) does not confirm it: log loss "
            f"{after:.4f} after the correction, {before:.4f} before. The model in use stays; train again on newer dates.")
    version = register(workspace, target, _with(bundle, followed, check), baselines, None, None)
    put_to_use(workspace, target, version, "calibrated", {"recalibrated": check.words})
    return Recalibrated(check, version, before, after)


def _newer(rows: TrainingSet, last_as_of: str, target: Target) -> tuple[TrainingSet, TrainingSet]:
    """Labelled rows after the training: those that correct, and those of the newest date, that judge."""
    as_of = rows.keys["as_of"]
    dates = np.sort(as_of[as_of > pd.Timestamp(last_as_of)].unique())
    if len(dates) < 2:
        raise ConfigError(
            f"{len(dates)} dates of target {target.name!r} have labels newer than the training (until {last_as_of}); two are "
            "needed, one to correct and one to judge. Run `tenure features` when newer labels are complete.")
    is_newest = (as_of == dates[-1]).to_numpy()
    return rows.rows((as_of > pd.Timestamp(last_as_of)).to_numpy() & ~is_newest), rows.rows(is_newest)


def _loss(bundle: Bundle, calibrator: Platt, rows: TrainingSet) -> float:
    return log_loss(rows.labels, calibrator.calibrate(bundle.model.margin(rows.features)))


def _with(bundle: Bundle, calibrator: Platt, check: PriorCheck) -> Bundle:
    facts: dict[str, Any] = {**bundle.facts, "prior": check.to_dict()}
    return replace(bundle, model=replace(bundle.model, calibrator=calibrator), facts=facts)
