"""Judge the newest candidate on the untouched test, beside the baselines and the model in use."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.errors import ConfigError
from models.band_rates import band_rates
from models.bundle import Bundle, Scored, score
from models.by_cause import announced, by_cause
from models.calibration.prior import PriorCheck, check_prior
from models.costs import Savings, savings
from models.dataset import TrainingSet
from models.evaluation import evaluate
from models.fairness import SegmentCheck, by_segment
from models.fallback import check_fallbacks
from models.gates import LOOK, Gate, fair, gates, stable, told_apart, untouched
from models.health import band_table, decided
from models.leakage import LeakFinding, suspects
from models.model import Model
from models.robustness import by_age, leading_alone, without_sources
from models.training import baselines_of
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.evaluations import EVALUATIONS, Stability, Untreated, VersionEvaluation
from pipeline.jobs.causes import row_causes
from pipeline.jobs.contributions import RowContributions, contribution_pictures
from pipeline.jobs.in_use import (
    InUse,
    compare,
    fed_its_own,
    in_use_gate,
    reseeded_moves,
    target_in_use,
)
from pipeline.jobs.model_page import target_card
from pipeline.jobs.portfolio import acting_costs, row_costs, row_segments
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import Version
from pipeline.jobs.run_record import record_evaluation
from pipeline.jobs.stage import load_staged
from pipeline.jobs.train import LearningTask, learning_task, plan_in_memory
from pipeline.jobs.treated import treated_rows
from pipeline.jobs.under_notice import beside_notice
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace, needed_sources, target_rule


@dataclass(frozen=True, eq=False)
class JudgedCandidate:
    """What the untouched test said of a candidate, the scores of its rows, and the models it was
    compared with.
    """

    evaluation: VersionEvaluation
    scored: Scored
    baselines: Mapping[str, Model]


def evaluate_target(workspace: Workspace, target: Target) -> VersionEvaluation:
    """Evaluate the candidate and keep the result in the store.

    Raises
    ------
    ConfigError
        When the features in the store are not those the candidate was trained on.
    """
    task = learning_task(workspace, target)
    candidate = task.models.need(CHALLENGER)
    bundle = candidate.bundle
    rows, features, labels = load_training(workspace, target)
    test = rows.test
    if not len(test):
        raise ConfigError(
            f"target {target.name!r} has no test dates; declare [targets.test] and run `tenure"
            " features`."
        )
    with connected() as connection:
        staged = load_staged(workspace, connection)
        segments = row_segments(connection, staged, test.keys)
        treated = treated_rows(connection, staged, test.keys)
        causes = row_causes(workspace, connection, staged, target, rows.keys)
        costs = acting_costs(row_costs(connection, staged, test.keys), workspace.project.objective)
    counted = target_rule(target).causes
    checks = _checks(bundle, test, segments)
    in_use = fed_its_own(workspace, target, target_in_use(task.models.load(CHAMPION), test), test)
    judged = judge(
        task,
        candidate,
        rows,
        in_use,
        more_gates=(fair(checks),),
        suspects=(
            *suspects(test, task.plan.waivers),
            *(() if causes is None else announced(rows, causes, counted, task.plan.waivers)),
        ),
    )
    evaluation = replace(
        judged.evaluation,
        target=target.name,
        prior=level_check(bundle, test),
        untreated=_untreated(bundle, test, treated),
        segments=checks,
        under_notice=beside_notice(workspace, target, bundle.model, test, features, labels),
        age=by_age(bundle.model, test),
        without_sources=without_sources(bundle.model, test),
        fallbacks=check_fallbacks(
            bundle.model,
            bundle.fallbacks,
            judged.baselines,
            rows,
            needed_sources(workspace, target),
        ),
        leading_alone=leading_alone(bundle.model, rows, plan_in_memory(task.plan, rows)[0]),
        savings=_savings(workspace, target, bundle, test, costs),
        causes=(
            ()
            if causes is None
            else by_cause(
                causes[rows.keys["is_test"]],
                judged.scored.table["probability"].to_numpy(dtype=np.float64),
                test.keys["account_id"],
                counted,
            )
        ),
    )
    tested = backtest(bundle, judged.scored, test, labels, treated)
    shown = decided(tested)
    bands = band_table(bundle.scale, shown["probability"].to_numpy(), shown["label"].to_numpy())
    pictures = contribution_pictures(
        RowContributions(judged.scored.base, judged.scored.points, test.features),
        bundle.published.signals,
    )
    card = target_card(workspace, target, bundle, evaluation, tested, bands, pictures)
    keep_evaluation(workspace, target, bundle, evaluation, tested)
    record_evaluation(task.models, candidate.number, evaluation, tested, card, pictures)
    return evaluation


def _savings(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    test: TrainingSet,
    costs: pd.DataFrame | None,
) -> Savings | None:
    """What acting by chance and cost saves on test rows whose costs are known; None where no costs
    are, the event is one we want, or scores are no chances.
    """
    if costs is None or target_rule(target).is_good or bundle.basis != "calibrated":
        return None
    known = costs.notna().all(axis=1).to_numpy()
    if not known.any():
        return None
    some = test.rows(known)
    return savings(
        some.labels,
        bundle.model.probability(some.features),
        costs.loc[known, "if_missed"].to_numpy(),
        costs.loc[known, "of_contact"].to_numpy(),
        some.keys["account_id"],
        constant=bundle.model.training.latest_rate,
        seed=workspace.project.training.seed,
    )


def judge(
    task: LearningTask,
    candidate: Version,
    rows: TrainingSet,
    in_use: InUse | None,
    *,
    first_gates: Sequence[Gate] = (),
    more_gates: Sequence[Gate] = (),
    suspects: Sequence[LeakFinding] | None = None,
    look: str = LOOK,
) -> JudgedCandidate:
    """Judge a candidate on its test rows, beside its baselines and the model in use, and ask the
    gates.

    Parameters
    ----------
    first_gates, more_gates
        What only this kind of candidate can be asked, before and after the gates of the test.
    suspects
        Signals that nearly tell the outcome of the test rows; None where that is not asked.
    look
        Where a candidate that moves too many accounts sends the reader.
    """
    bundle, test = candidate.bundle, rows.test
    if candidate.is_imported:
        first_gates = (
            *first_gates,
            untouched(bundle.model.training, test.keys["as_of"].min().date()),
        )
    # What another project compared it with says nothing of these accounts.
    plan = plan_in_memory(task.plan, rows)[0]
    baselines = candidate.baselines or baselines_of(rows, plan, task.facts)
    judged = evaluate(bundle.model, baselines, rows, capacity=task.objective.capacity)
    scored = score(bundle, test.features)
    comparison = None if in_use is None else compare(in_use, bundle, candidate.reseeded, test)
    changed = None if comparison is None else comparison.band_changes
    noise = reseeded_moves(bundle, candidate.reseeded, test)
    asked = [
        *first_gates,
        *gates(judged),
        *(() if suspects is None else (told_apart(suspects, judged),)),
        *more_gates,
        points_gate(scored),
    ]
    if comparison is not None:
        asked.append(in_use_gate(comparison, judged.test.metrics.log_loss.value))
    if changed is not None and task.band_change_budget is not None:
        asked.append(
            stable(
                changed,
                noise,
                task.band_change_budget,
                is_stabilised=bundle.model.training.is_stabilised,
                look=look,
            )
        )
    shown = _tested_bands(bundle, scored, test)
    evaluation = VersionEvaluation(
        target=str(bundle.model.target["name"]),
        model=judged.model,
        test=judged.test,
        can_leave=judged.can_leave,
        baselines=judged.baselines,
        gates=tuple(asked),
        model_version=bundle.model_version,
        registered_version=candidate.number,
        in_use=comparison,
        bands=band_rates(shown["label"].to_numpy(), shown["band"].tolist(), shown["account_id"]),
        stability=Stability(changed, noise, task.band_change_budget),
    )
    return JudgedCandidate(evaluation, scored, baselines)


def _tested_bands(bundle: Bundle, scored: Scored, test: TrainingSet) -> pd.DataFrame:
    """Bands of the test and what happened: account_id, band, label; where health is read at the
    decision, of the rows whose contract was about to come up.
    """
    table = scored.table.set_axis(test.keys.index).assign(
        account_id=test.keys["account_id"],
        label=test.labels,
        decides=bundle.published.decides(test.features),
    )
    return decided(table)


def points_gate(scored: Scored) -> Gate:
    """Whether base and points add up to health for every row of the test."""
    exact = scored.table["health_exact"].to_numpy()
    gap = float(np.abs(scored.base + scored.points.sum(axis=1) - exact).max(initial=0.0))
    return Gate(
        "points add",
        gap < 1e-9,
        f"base and points add up to the score within {gap:.1e} on {len(exact)} rows.",
    )


def _checks(
    bundle: Bundle, test: TrainingSet, segments: "pd.Series[Any]"
) -> tuple[SegmentCheck, ...]:
    """Expected beside happened per segment; nothing where no account has one."""
    if segments.isna().all():
        return ()
    return by_segment(
        test.labels,
        bundle.model.probability(test.features),
        test.keys["account_id"],
        segments.tolist(),
    )


def level_check(bundle: Bundle, test: TrainingSet) -> PriorCheck:
    """How far what the model promises of the test lies from what happened there."""
    assert bundle.model.calibrator is not None
    return check_prior(
        bundle.model.calibrator.logit(bundle.model.margin(test.features)),
        test.labels,
        test.keys["account_id"],
    )


def _untreated(
    bundle: Bundle, test: TrainingSet, treated: NDArray[np.bool_] | None
) -> Untreated | None:
    """The same metrics on rows nobody worked on; None where no source tells."""
    if treated is None:
        return None
    rows = test.rows(~treated)
    has_both = len(set(rows.labels.tolist())) == 2
    figures = evaluate(bundle.model, {}, rows, replicates=200).test if has_both else None
    return Untreated(float(treated.mean()), len(rows), figures)


def backtest(
    bundle: Bundle,
    scored: Scored,
    test: TrainingSet,
    labels: pd.DataFrame,
    treated: NDArray[np.bool_] | None,
) -> pd.DataFrame:
    """Scores of the untouched test dates beside what happened: account_id, as_of, label, ...,
    left_at, treated.

    `treated` says whether somebody worked on the account before its outcome; null where no source
    tells. `probability_at_decision` is null where health is read at the account's own date;
    `decides` says whether the account stood where its contract decides.
    """
    table = pd.concat(
        [
            test.keys[["account_id", "as_of"]],
            scored.table.reindex(
                columns=["probability", "health", "band", "probability_at_decision"]
            ).set_axis(test.keys.index),
        ],
        axis=1,
    ).assign(decides=bundle.published.decides(test.features))
    table.insert(2, "label", test.labels.astype("int64"))
    known = treated if treated is not None else [pd.NA] * len(table)
    table["treated"] = pd.array(known, dtype="boolean")
    happened = labels[["account_id", "as_of", "event_at"]].rename(columns={"event_at": "left_at"})
    table = table.merge(happened, on=["account_id", "as_of"], how="left")
    # Only accounts of whom it came true have left in the test; a later event is outside it.
    came_true = table.loc[table["label"] == 1].groupby("account_id")["left_at"].max()
    table["left_at"] = table["account_id"].map(came_true)
    return table


def keep_evaluation(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    evaluation: VersionEvaluation,
    table: pd.DataFrame,
) -> None:
    """Add what a test said of a model version to `evaluations`; its `backtest` becomes the
    target's.
    """
    only = f"target = '{target.name}'"
    store = workspace.store
    rows = pa.Table.from_pandas(
        table.assign(target=target.name, model_version=bundle.model_version), preserve_index=False
    )
    store.write("backtest", rows, replace=only, partition_by=["target"])
    entry = {
        "target": target.name,
        "model_version": bundle.model_version,
        "evaluated_at": workspace.now,
        "evaluation": json.dumps(evaluation.to_dict(), sort_keys=True),
    }
    store.write(
        EVALUATIONS,
        pa.Table.from_pylist([entry]),
        append=store.exists(EVALUATIONS),
        partition_by=["target"],
    )


def latest_evaluation(
    workspace: Workspace, target: Target, model_version: str | None = None
) -> VersionEvaluation | None:
    """The newest evaluation of a target (of one model version), or None."""
    if not workspace.store.exists(EVALUATIONS):
        return None
    rows = workspace.store.read(EVALUATIONS, filters=[("target", "=", target.name)])
    if model_version is not None:
        rows = rows[rows["model_version"] == model_version]
    if rows.empty:
        return None
    newest = rows.sort_values("evaluated_at", kind="stable")["evaluation"].iloc[-1]
    return VersionEvaluation.from_dict(json.loads(newest))
