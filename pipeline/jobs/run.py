"""What each step of the whole flow does and tells, in about a dozen lines per target.

The order of the steps stands in `pipeline/flow.py`.
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

from features.errors import ConfigError, GateRefused, TooFewEvents
from models.declared import COUNTED_IN_WORDS, CountedName
from models.gates import CALIBRATED
from models.health.standing import standing
from models.health.words import anchor_words
from models.target_words import TARGET_WORDS
from pipeline.chain import SHOWN_DIGITS
from pipeline.config.schema import Project, Target
from pipeline.engine.duckdb import Connection, connected
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.counted import put_counted_to_use
from pipeline.jobs.evaluate import evaluate_target, latest_evaluation
from pipeline.jobs.model_page import health_event_words
from pipeline.jobs.prepare import TrainingCounts, feature_set, prepare_training
from pipeline.jobs.promote import candidate_advice, promote_target
from pipeline.jobs.recalibrate import recalibrate_target
from pipeline.jobs.registry import (
    Version,
    is_in_use,
    load_version,
    need_version,
    registered_model,
)
from pipeline.jobs.report import NO_BRIEFS, Briefs, write_reports
from pipeline.jobs.score import PublishedRun, score_target
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.train import (
    Trained,
    nothing_changed,
    register_scorecard,
    train_if_changed,
    train_target,
)
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace

Say = Callable[[str, str], None]


@dataclass(frozen=True)
class Preparation:
    """What the steps that prepare every target work on."""

    workspace: Workspace
    connection: Connection
    targets: Sequence[Target]
    say: Say


@dataclass
class TargetRun:
    """One target on its way from features in the store to pages, filled by each step in turn."""

    workspace: Workspace
    target: Target
    say: Say
    as_of: date | None
    is_again: bool = False
    """Whether a model is trained although nothing changed."""
    candidate: Trained | Version | None = None
    """What was trained, or the version that the same inputs made before; None where too few left to
    train a model.
    """
    evaluation: VersionEvaluation | None = None
    refused: str | None = None
    """Why the candidate is not in use, if so."""
    published: PublishedRun | None = None
    pages: tuple[Path, ...] = ()
    briefs: Briefs = NO_BRIEFS
    """Accounts that get a page of their own."""


def stage(run: Preparation) -> None:
    """Read the sources once for all targets."""
    tell_stage(run.say, stage_sources(run.workspace, run.connection))


def build_features(run: Preparation) -> None:
    """Build features and labels of every target; sources that would teach the future stop it."""
    for target in run.targets:
        refuse_bad_sources(run.workspace, run.connection, target)
        counts = prepare_training(run.workspace, run.connection, target)
        tell_features(run.say, target, counts)
    refuse_unknown_signals(run.workspace, run.targets)


def train(run: TargetRun) -> None:
    """Train a candidate, or publish the scorecard where too few left to train one."""
    if run.workspace.project.score.basis in get_args(CountedName):
        version, said = put_counted_to_use(run.workspace, run.target)
        words = COUNTED_IN_WORDS[run.workspace.project.score.basis]
        run.say("train", f"no model: [score] basis has the score counted from {words}")
        run.say("promote", f"version {version} is in use, without chances: {said}")
        return
    training = train_target if run.is_again else train_if_changed
    try:
        run.candidate = training(run.workspace, run.target)
    except TooFewEvents as few:
        run.refused = _publish_scorecard(run.workspace, run.target, run.say, few)
        return
    tell_training(run.say, run.target, run.candidate)


def evaluate(run: TargetRun) -> None:
    """Judge the candidate, where there is one."""
    if run.candidate is None:
        return
    if _is_used_version(run):
        assert isinstance(run.candidate, Version)
        kept = latest_evaluation(run.workspace, run.target, run.candidate.bundle.model_version)
        if kept is not None:
            run.evaluation = kept
            return
    run.evaluation = evaluate_target(run.workspace, run.target)
    tell_evaluation(run.say, run.evaluation)


def promote(run: TargetRun) -> None:
    """Put the candidate to use, where there is one and its gates let it."""
    in_use = load_version(run.workspace, run.target, CHAMPION) if _is_used_version(run) else None
    if in_use is not None and in_use.bundle.basis == "calibrated":
        run.say("promote", "the model in use stays.")
    elif run.candidate is not None:
        run.refused = _promote(run.workspace, run.target, run.say)


def _is_used_version(run: TargetRun) -> bool:
    """Whether the candidate was made before and put to use, itself or its scorecard."""
    if not isinstance(run.candidate, Version):
        return False
    return registered_model(run.workspace, run.target).number_of(CHAMPION) == run.candidate.number


def score(run: TargetRun) -> None:
    """Score and publish with what is in use."""
    with connected() as connection:
        run.published = score_target(run.workspace, connection, run.target, run.as_of)
    tell_score(run.say, run.published)


def report(run: TargetRun) -> None:
    """Draw the pages of what was published."""
    assert run.published is not None  # the step before
    run.pages = tuple(write_reports(run.workspace, run.target, run.published, run.briefs))
    run.say("look", f"{run.pages[0]}  {run.pages[1].name}  {run.pages[2].name}")


def refuse_bad_sources(workspace: Workspace, connection: Connection, target: Target) -> None:
    """Stop before training on sources that would teach the future."""
    from pipeline.checking import check_sources, refuse_training

    refuse_training(check_sources(workspace, connection, target))


def refuse_unknown_signals(workspace: Workspace, targets: Sequence[Target]) -> None:
    """Stop before training where actions, rules or parts of a counted score name a signal that no
    target has: a misspelt one would count for nobody.

    Raises
    ------
    ConfigError
        Naming the table of the project file, the signal and the nearest ones.
    """
    columns = sorted(
        {each.column for target in targets for each in feature_set(workspace, target).signals}
    )
    for table, names in named_signals(workspace.project).items():
        for name in names:
            if name not in columns:
                close = difflib.get_close_matches(name, columns, n=3, cutoff=0.5)
                nearest = f" Nearest: {', '.join(close)}." if close else ""
                raise ConfigError(
                    f"{table} names the signal {name!r}, which no target of this project has."
                    f"{nearest} `tenure catalogue` lists all signals."
                )


def named_signals(project: Project) -> dict[str, tuple[str, ...]]:
    """Table of the project file -> the signals that it names for counted scores."""
    bench = project.bench
    actions = [
        name for each in project.actions for name in (each.signal, each.counted_from) if name
    ]
    rules = [condition.signal for rule in project.rules for condition in rule.when]
    return {
        "[[actions]]": tuple(actions),
        "[[rules]]": tuple(rules),
        "[bench.weights]": tuple(bench.weights),
        "[bench] frequency, breadth or depth": (*bench.frequency, *bench.breadth, *bench.depth),
    }


def refuse_leaking_store(workspace: Workspace, target: Target) -> None:
    """As `refuse_bad_sources`, of what was staged last: training on features in the store asks no
    less.
    """
    from pipeline.checking import check_sources, refuse_training

    if workspace.store.exists("staged_sources"):
        with connected() as connection:
            refuse_training(check_sources(workspace, connection, target, restage=False))


def _publish_scorecard(workspace: Workspace, target: Target, say: Say, few: TooFewEvents) -> str:
    """Where nobody left yet there is nothing to learn; the signs of the cards still say who needs
    looking after.
    """
    say("train", f"no model: {few}")
    if is_in_use(workspace, target):
        say("promote", "the model or scorecard in use stays.")
        return str(few)
    version = register_scorecard(workspace, target, f"no model was trained: {few}")
    registered_model(workspace, target).put_to_use(version, "scorecard", refused=str(few))
    say("promote", "scores come from the scorecard, so there are no probabilities.")
    return str(few)


def _promote(workspace: Workspace, target: Target, say: Say) -> str | None:
    advice = candidate_advice(workspace, target)
    if advice is not None:
        say("promote", advice.words)
    try:
        done = promote_target(workspace, target)
    except GateRefused as refusal:
        say("promote", f"refused: {refusal}")
        if is_in_use(workspace, target):
            say("promote", "the model in use stays.")
        elif _used_at_newer_level(workspace, target, say):
            return None
        else:
            try:
                promote_target(workspace, target, use_scorecard=True)
            # Nothing is left to publish, so the reason of the refusal is what the user must see.
            except ConfigError as error:
                say("promote", f"there is no scorecard to use instead: {error}")
                raise refusal from None
            say(
                "promote",
                "this model was not good enough to use. Scores come from the scorecard instead, so"
                " there are no probabilities.",
            )
        return str(refusal)
    say("promote", f"version {done.version} is in use; it passed {len(done.reasons)} gates")
    return None


def _used_at_newer_level(workspace: Workspace, target: Target, say: Say) -> bool:
    """Whether a candidate refused for its level alone is in use at the level of newer labels, past
    the same gates.
    """
    bundle = need_version(workspace, target, CHALLENGER).bundle
    evaluation = latest_evaluation(workspace, target, bundle.model_version)
    if evaluation is None or {gate.name for gate in evaluation.refusals} != {CALIBRATED}:
        return False
    try:
        done = recalibrate_target(workspace, target, candidate=True)
    except (ConfigError, GateRefused) as reason:
        say("promote", f"correcting its level did not help: {reason}")
        return False
    if done.version is None:
        say(
            "promote",
            f"outcomes known before the newest date do not correct its level: {done.check.words}",
        )
        return False
    say(
        "promote",
        f"only its level was off, and newer outcomes corrected it: {done.check.words} Version"
        f" {done.version} is in use. On the newest date, kept apart for this check, log loss is"
        f" {done.log_loss_after:.4f}; before the correction it was {done.log_loss_before:.4f}.",
    )
    return True


def tell_stage(say: Say, staged: Mapping[str, Any]) -> None:
    """Rows in and out of all sources."""
    read, good = (
        sum(s.rows_read for s in staged.values()),
        sum(s.rows_staged for s in staged.values()),
    )
    bad = sum(sum(s.rows_bad.values()) for s in staged.values())
    left = sum(sum(s.rows_left_out.values()) for s in staged.values())
    firsts = [s.first_event for s in staged.values() if s.first_event]
    lasts = [s.last_event for s in staged.values() if s.last_event]
    span = f", {min(firsts):%Y-%m-%d} to {max(lasts):%Y-%m-%d}" if firsts else ""
    sources = "1 source" if len(staged) == 1 else f"{len(staged)} sources"
    say(
        "stage",
        f"{sources}, {read:,} rows read, {good:,} kept, {left:,} left out by your rules, {bad:,}"
        f" bad{span}",
    )


def tell_features(say: Say, target: Target, counts: TrainingCounts) -> None:
    """Snapshots, signals and leavers."""
    from features.windows import day_of

    say(
        "features",
        f"{target.name}: {counts.rows:,} rows of {counts.accounts:,} accounts on "
        f"{counts.dates} dates, {day_of(counts.first)} to {day_of(counts.last)}; "
        f"{counts.signals} signals",
    )
    if counts.incomplete:
        dates = ", ".join(f"{each:%Y-%m-%d}" for each in counts.incomplete)
        say("note", f"left out, their outcome is complete for nobody yet: {dates}")
    rate, past = counts.rate, TARGET_WORDS[target.kind].past
    say(
        "labels",
        f"the outcome of {counts.labelled:,} rows is known; {counts.leavers:,}"
        f" accounts {past}{'' if rate is None else f' ({rate:.1%} of rows)'}; in the test"
        f" {counts.test_leavers:,}, on {counts.test_rows:,} rows",
    )


def tell_training(say: Say, target: Target, trained: Trained | Version) -> None:
    """What was chosen, and on what."""
    if isinstance(trained, Version):
        say("train", nothing_changed(trained))
        return
    training = trained.bundle.model.training
    say(
        "train",
        f"{trained.bundle.model.name}, {len(trained.result.trials)} trials, learned from"
        f" {training.rows:,} rows until {training.last_as_of}; calibrated on"
        f" {' to '.join(map(str, training.calibrated_on))}",
    )
    scale = trained.bundle.scale
    say(
        "scale",
        anchor_words(scale, health_event_words(target, trained.bundle))
        + (" (proposed; declare them in [scale] to keep them)" if trained.proposal else ""),
    )
    for note in trained.result.notes:
        say("note", note)


def tell_evaluation(say: Say, evaluation: VersionEvaluation) -> None:
    """Test metrics beside the constant and recency alone."""
    test, figures = evaluation.test, evaluation.test.metrics
    recency = (
        "" if test.recency_auc is None else f" (date of last use alone: {test.recency_auc:.3f})"
    )
    say(
        "test",
        f"AUC {figures.auc.value:.3f} ({figures.auc.low:.3f}-{figures.auc.high:.3f}){recency};"
        f" log loss {figures.log_loss.value:.4f} (one rate for all: {test.log_loss_constant:.4f})",
    )
    among, calendar = evaluation.can_leave, evaluation.baselines.get("contract_calendar")
    if among is not None and math.isfinite(among.metrics.auc.value) and calendar is not None:
        say(
            "test",
            f"where the contract ends in time ({among.counts.n:,} scores) AUC"
            f" {among.metrics.auc.value:.3f} (contract calendar alone:"
            f" {calendar.auc_can_leave:.3f}); log loss of the calendar over all scores"
            f" {calendar.log_loss:.4f}",
        )
    say(
        "test",
        f"{figures.mean_probability.value:.1%} expected, {figures.rate.value:.1%} happened;"
        f" calibration slope {figures.calibration_slope.value:.2f}",
    )
    if evaluation.in_use is not None:
        say("beside", evaluation.in_use.words)
    if evaluation.prior is not None and evaluation.prior.has_moved:
        say("drift", evaluation.prior.words)


def tell_beside(say: Say, evaluation: VersionEvaluation) -> None:
    """What the same test says of other rows and fewer signals; a run leaves it to the model
    card.
    """
    apart = evaluation.untreated
    if apart is not None and apart.treated_share and apart.metrics is not None:
        figures = apart.metrics.metrics
        say(
            "test",
            f"somebody worked on {apart.treated_share:.0%} of test rows before the outcome;"
            f" without them AUC {figures.auc.value:.3f}, log loss {figures.log_loss.value:.4f}",
        )
    notice = evaluation.under_notice
    if notice is not None:
        say(
            "test",
            "accounts that had already given notice are not in the test"
            f" ({notice.notice_rows} rows, of which {notice.notice_left} left in time); with them"
            f" AUC {notice.with_them.auc:.3f}, log loss {notice.with_them.log_loss:.4f}",
        )
    for cause in evaluation.causes:
        say("test", cause.words)
    if evaluation.savings is not None:
        say("costs", evaluation.savings.words)
    leading = evaluation.leading_alone
    if leading is not None:
        alone = leading.compared
        gap = alone.difference
        is_beyond = gap.low > 0 or gap.high < 0
        say(
            "test",
            f"leading signals alone ({leading.signals} of {leading.signals + leading.lagging}):"
            f" log loss {alone.log_loss:.4f} against {leading.all_log_loss:.4f} with all, AUC"
            f" {alone.auc:.3f} against {leading.all_auc:.3f}; difference {gap.value:+.4f} (95%"
            f" {gap.low:+.4f} to {gap.high:+.4f}),"
            f" {'more than chance' if is_beyond else 'could be chance'}",
        )


def tell_score(say: Say, published: PublishedRun) -> None:
    """The summary an operator reads."""
    bands = standing(published.scores).value_counts()
    before = published.previous_counts
    changes = [
        f"{str(band).replace('_', ' ')} {int(n):,}"
        + (f" ({int(n) - before.get(str(band), 0):+d})" if before else "")
        for band, n in bands.items()
    ]
    scored = int(published.scores["health"].notna().sum())
    say(
        "score",
        f"as of {published.run.as_of:%Y-%m-%d}: {scored:,} accounts scored,"
        f" {int(bands.get('unknown', 0)):,} could not be; {', '.join(changes)}"
        + (" (change since the last run)" if before else ""),
    )
    for source, n in published.scores["without"].value_counts().items():
        say("note", f"{n:,} accounts were scored by the model that does without {source}")
    stale = [s.source for s in published.freshness if s.problem]
    if published.shift is not None:
        say(
            "score",
            f"scores against the last run: stability index {published.shift.index:.2f} (0.25 and"
            " more is a major shift)",
        )
    for problem in published.scale_problems:
        say("note", f"the scale no longer fits these accounts: {problem}")
    say(
        "score",
        f"run {published.run.run_id} is published; stale sources: {', '.join(stale) or 'none'};"
        f" head of the ledger {str(published.run.row_hash)[:SHOWN_DIGITS]}",
    )
