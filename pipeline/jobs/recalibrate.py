"""Correct the level of a model, in use or refused for its level alone, from labels that matured
after it was trained.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.errors import ConfigError, GateRefused
from models.bundle import Bundle, score
from models.calibration import Platt
from models.calibration.prior import PriorCheck, check_prior, corrected
from models.dataset import TrainingSet
from models.evaluation import evaluate
from models.gates import gates
from models.metrics import log_loss
from models.model import Model
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.evaluate import (
    backtest,
    keep_evaluation,
    latest_evaluation,
    level_check,
    points_gate,
)
from pipeline.jobs.in_use import compare, fed_its_own, in_use_gate, target_in_use
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import Version, load_version, need_version, register, registered_model
from pipeline.jobs.stage import load_staged
from pipeline.jobs.treated import treated_rows
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Recalibrated:
    """What newer labels said, and the version that follows them; `version` None where the level
    holds.
    """

    check: PriorCheck
    version: str | None
    log_loss_before: float | None
    """On the rows that judge, which the correction has not seen."""
    log_loss_after: float | None
    beside: str | None = None
    """The new version beside the model in use on that date, in words."""


def recalibrate_target(
    workspace: Workspace, target: Target, *, candidate: bool = False
) -> Recalibrated:
    """Shift the calibrator's intercept to labels newer than the training, if they have moved beyond
    chance.

    All newer dates but the last correct; the last one judges. Where only one date is newer, half of
    its accounts correct and the others judge. The trees, their points' proportions and the scale
    stay: the new version differs in its calibrator alone.

    Parameters
    ----------
    candidate
        The model that asks to be used, instead of the one in use. It learns its level only from
        labels that were complete before the newest date, and must then pass the gates on that date,
        which has seen no choice.

    Raises
    ------
    ConfigError
        When the version publishes a scorecard, or no outcome is newer than the training.
    GateRefused
        When the level moved and the newest date does not confirm it, or refuses the candidate all
        the same.
    """
    source = (
        need_version(workspace, target, CHALLENGER)
        if candidate
        else need_version(workspace, target, CHAMPION, "Run `tenure promote` first.")
    )
    bundle = source.bundle
    if bundle.basis != "calibrated":
        raise ConfigError(
            f"target {target.name!r} publishes a scorecard, so there are no probabilities to"
            " correct."
        )
    rows, _, labels = load_training(workspace, target)
    bundle.model.check_signals(rows.signals)
    earlier, newest = _newer(
        rows, bundle.model.training.learned_until.isoformat(), target, complete=candidate
    )
    calibrator = bundle.model.calibrator
    assert isinstance(calibrator, Platt)
    check = check_prior(
        calibrator.logit(bundle.model.margin(earlier.features)),
        earlier.labels,
        earlier.keys["account_id"],
    )
    if not check.has_moved:
        return Recalibrated(check, None, None, None)
    followed = corrected(calibrator, check)
    before, after = (_loss(bundle, each, newest) for each in (calibrator, followed))
    if after >= before:
        raise GateRefused(
            f"{check.words} The newest date ({newest.keys['as_of'].iloc[0]:%Y-%m-%d}) does not"
            f" confirm it: log loss {after:.4f} after the correction, {before:.4f} before. The"
            " model in use stays; train again on newer dates."
        )
    moved = _with(bundle, followed, check)
    if candidate and _anchors_are_free(workspace, target):
        moved = replace(moved, scale=bundle.scale.moved(check.shift))
    evaluation = _judged(workspace, target, moved, source, newest)
    tested = latest_evaluation(workspace, target, bundle.model_version)
    if tested is not None:
        evaluation = replace(evaluation, fallbacks=tested.fallbacks)
    if candidate:
        _require(evaluation, moved, newest)
    with connected() as connection:
        treated = treated_rows(connection, load_staged(workspace, connection), newest.keys)
    models = registered_model(workspace, target)
    version = register(models, moved, baselines=source.baselines, reseeded=source.reseeded)
    keep_evaluation(
        workspace,
        target,
        moved,
        replace(evaluation, registered_version=version),
        backtest(moved, score(moved, newest.features), newest, labels, treated),
    )
    models.put_to_use(version, "calibrated", recalibrated=check.words)
    comparison = evaluation.in_use
    words = None if comparison is None else comparison.words
    return Recalibrated(check, version, before, after, words)


def _anchors_are_free(workspace: Workspace, target: Target) -> bool:
    """Whether nobody declared the anchors and no published score rests on them: they were proposed
    for the level that was off.
    """
    in_use = load_version(workspace, target, CHAMPION)
    return workspace.project.scale.p_at_risk is None and (
        in_use is None or in_use.bundle.basis != "calibrated"
    )


def _judged(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    source: Version,
    newest: TrainingSet,
) -> VersionEvaluation:
    """The evaluation of the corrected model on the newest date, beside the baselines, with its
    gates.
    """
    judged = evaluate(
        bundle.model,
        source.baselines,
        newest,
        capacity=workspace.project.objective.capacity,
    )
    in_use = fed_its_own(
        workspace, target, target_in_use(load_version(workspace, target, CHAMPION), newest), newest
    )
    comparison = None if in_use is None else compare(in_use, bundle, None, newest)
    asked = [*gates(judged), points_gate(score(bundle, newest.features))]
    if comparison is not None:
        asked.append(in_use_gate(comparison, judged.test.metrics.log_loss.value))
    return VersionEvaluation(
        target=target.name,
        model=judged.model,
        test=judged.test,
        can_leave=judged.can_leave,
        baselines=judged.baselines,
        gates=tuple(asked),
        model_version=bundle.model_version,
        in_use=comparison,
        prior=level_check(bundle, newest),
    )


def _require(evaluation: VersionEvaluation, bundle: Bundle, newest: TrainingSet) -> None:
    reasons = [f"{gate.name}: {gate.reason}" for gate in evaluation.refusals]
    reasons += [f"score scale: {problem}" for problem in bundle.facts.scale_problems]
    if reasons:
        raise GateRefused(
            "the candidate with a corrected level, judged on"
            f" {newest.keys['as_of'].iloc[0]:%Y-%m-%d} alone, is refused. {' '.join(reasons)}"
        )


def _newer(
    rows: TrainingSet, last_as_of: str, target: Target, *, complete: bool
) -> tuple[TrainingSet, TrainingSet]:
    """Labelled rows after the training: those that correct, and those that judge.

    The newest date judges; where it is the only one, every second account does. With `complete`
    only rows whose outcome was known before the newest date correct: who asks to be used is judged
    on a date that nothing has been learned from.
    """
    as_of = rows.keys["as_of"]
    dates = np.sort(as_of[as_of > pd.Timestamp(last_as_of)].unique())
    if len(dates) == 0:
        raise ConfigError(
            f"no outcome of target {target.name!r} is newer than the training (until"
            f" {last_as_of}), so there is nothing to correct its level with. Run `tenure features`"
            " when newer outcomes are known."
        )
    judges = (as_of == dates[-1]).to_numpy()
    if complete:
        corrects = (as_of > pd.Timestamp(last_as_of)).to_numpy() & ~judges
        corrects &= (rows.keys["label_until"] <= dates[-1]).to_numpy()
    elif len(dates) == 1:
        is_other = pd.factorize(rows.keys["account_id"], sort=True)[0] % 2 == 1
        corrects, judges = judges & ~is_other, judges & is_other
    else:
        corrects = (as_of > pd.Timestamp(last_as_of)).to_numpy() & ~judges
    if not corrects.any() or not judges.any():
        raise ConfigError(
            f"no outcome of target {target.name!r} is newer than the training (until {last_as_of})"
            f" and was known before the newest date ({pd.Timestamp(dates[-1]):%Y-%m-%d}), so"
            " there is no outcome to correct the level with and judge it on. Hold out more dates in"
            " [targets.test]."
        )
    return rows.rows(corrects), rows.rows(judges)


def _loss(bundle: Bundle, calibrator: Platt, rows: TrainingSet) -> float:
    return log_loss(rows.labels, calibrator.calibrate(bundle.model.margin(rows.features)))


def _with(bundle: Bundle, calibrator: Platt, check: PriorCheck) -> Bundle:
    note = f"the level was moved to labels newer than the training: {check.words}"
    facts = replace(bundle.facts, prior=check, notes=(*bundle.facts.notes, note))
    decision = bundle.model.decision
    model = replace(
        bundle.model,
        calibrator=calibrator,
        # What moved the level of chances moved that of decisions as well.
        decision=None if decision is None else decision.moved(check.shift),
    )
    return replace(
        bundle,
        model=model,
        facts=facts,
        # The level of the business is no other where a source did not come.
        fallbacks={
            source: _at_newer_level(fallback, check)
            for source, fallback in bundle.fallbacks.items()
        },
    )


def _at_newer_level(fallback: Model, check: PriorCheck) -> Model:
    calibrator, decision = fallback.calibrator, fallback.decision
    assert calibrator is not None
    return replace(
        fallback,
        calibrator=corrected(calibrator, check),
        decision=None if decision is None else decision.moved(check.shift),
    )
