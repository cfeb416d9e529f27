"""The steps of a night: what `tenure night` does for every target after the tables arrived.

The order of the steps stands in `pipeline/flow.py`, which walks them. A step that stands alone as a
command does here what the command does.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from features.errors import ChurnError, ConfigError, EmptySource, NoModel, StoreError
from models.bundle import Bundle
from models.monitoring import MOVED
from pipeline.config import config_hash
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.alerts import raise_alerts, tell_refusal
from pipeline.jobs.deliver import FAILED, deliver
from pipeline.jobs.forecast import forecast_target
from pipeline.jobs.freshness import freshness
from pipeline.jobs.monitor import monitor_target
from pipeline.jobs.night_steps import StepRecord
from pipeline.jobs.outcomes import outcomes_report
from pipeline.jobs.plan_plays import plan_worklist
from pipeline.jobs.publish import copy_lines, is_publishing, publish_copies
from pipeline.jobs.registry import is_in_use, need_version
from pipeline.jobs.report import write_reports
from pipeline.jobs.rollback import published_again
from pipeline.jobs.run import Say, tell_score, tell_stage
from pipeline.jobs.score import PublishedRun, default_as_of, score_target
from pipeline.jobs.stage import load_staged, stage_sources, staged_fingerprints
from pipeline.jobs.trajectory import trajectory_target
from pipeline.ledger import chosen_run
from pipeline.libraries import library_versions
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace

SCORE_PARTS = ("fresh", "features", "score", "gate", "publish")
"""What the step that scores is written down as: nothing of it is kept before the last is done."""


class StepLeftOut(Exception):
    """A step that this target has not: the night goes on without it."""


@dataclass
class NightWork:
    """What the steps before the targets work on."""

    workspace: Workspace
    named: Target | None
    """The only target wanted; None: every one with a model in use."""
    say: Say
    record: StepRecord
    targets: tuple[Target, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Staged table -> what its rows are, after the step that stages."""


@dataclass
class TargetNight:
    """One target on its way from staged tables to pages."""

    workspace: Workspace
    target: Target
    say: Say
    record: StepRecord
    bundle: Bundle
    day: date
    accepted: Mapping[str, str]
    """Sources that are stale, with the project's reason to score all the same."""
    backfill: bool

    @cached_property
    def published(self) -> PublishedRun:
        """What this night or, where it goes on, the one before published."""
        assert self.record.run_id is not None  # the step that scores is done
        row = chosen_run(self.workspace.store, self.record.run_id)
        return published_again(self.workspace, self.target, row)


# --- before the targets


def check(night: NightWork) -> int:
    """Find the targets that have a model in use; others are named.

    Raises
    ------
    NoModel
        None has one.
    """
    workspace = night.workspace
    targets = workspace.project.targets if night.named is None else (night.named,)
    night.targets = tuple(target for target in targets if is_in_use(workspace, target))
    without = ", ".join(target.name for target in targets if target not in night.targets)
    if not night.targets:
        raise NoModel(
            f"no model is in use for {without}, so a night has nothing to score with. Run `tenure"
            " run` once; it trains, judges and puts one to use."
        )
    if without:
        night.say("check", f"left out, for no model of theirs is in use: {without}")
    return len(night.targets)


def stage(night: NightWork) -> int:
    """Read the sources; one that is empty is the one staged before where the project allows it."""
    workspace = night.workspace
    allowed = workspace.project.night.allow_stale
    with connected() as connection:
        try:
            staged = stage_sources(workspace, connection, only_changed=True)
        except EmptySource as empty:
            if not allowed:
                raise
            night.say("stage", f"{empty} Sources of [night] allow_stale are those staged before.")
            staged = stage_sources(workspace, connection, keep=list(allowed))
        tell_stage(night.say, staged)
        night.fingerprints = staged_fingerprints(workspace, connection)
    return sum(source.rows_staged for source in staged.values())


def target_night(
    night: NightWork, target: Target, record: StepRecord, as_of: date | None, *, backfill: bool
) -> TargetNight:
    """A target with everything its steps rest on, hashed: the same again is a night done before."""
    workspace = night.workspace
    with connected() as connection:
        staged = load_staged(workspace, connection)
        day = as_of or default_as_of(workspace, connection, staged, target)
        stale = [state.source for state in freshness(connection, staged, day) if state.problem]
    allowed = workspace.project.night.allow_stale
    accepted = {name: allowed[name] for name in stale if name in allowed}
    bundle = need_version(workspace, target, CHAMPION).bundle
    facts = {
        "target": target.name,
        "as_of": day.isoformat(),
        "tables": dict(night.fingerprints),
        "configuration": config_hash(workspace.project),
        "model": (bundle.model_version, bundle.calibrator_version, bundle.scale.version),
        "basis": bundle.basis,
        "accepted": accepted,
        "tenure": library_versions()["tenure"],
    }
    record.as_of = day
    record.inputs = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return TargetNight(workspace, target, night.say, record, bundle, day, accepted, backfill)


# --- the steps of a target


def score(run: TargetNight) -> int:
    """Score and publish, or keep the run before where a gate refuses."""
    with connected() as connection:
        published = score_target(
            run.workspace,
            connection,
            run.target,
            run.day,
            allow_stale=run.accepted,
            bundle=run.bundle,
            backfill=run.backfill,
            begins=run.record.begin,
        )
    run.published = published
    run.record.run_id = published.run.run_id
    tell_score(run.say, published)
    return len(published.scores)


def trajectory(run: TargetNight) -> int:
    """Where accounts are heading."""
    return _of_probabilities(
        run,
        lambda connection: len(
            trajectory_target(run.workspace, connection, run.target, run.day).accounts
        ),
    )


def forecast(run: TargetNight) -> int:
    """Chances by day, renewals and remaining value."""
    return _of_probabilities(
        run,
        lambda connection: len(
            forecast_target(run.workspace, connection, run.target, run.day).horizons
        ),
    )


def outcomes(run: TargetNight) -> int:
    """What became of earlier scores."""
    report = outcomes_report(run.workspace, run.target)
    run.say(
        "outcomes",
        f"{len(report.judged):,} runs judged, {len(report.waiting):,} wait for theirs;"
        f" `tenure outcomes --target {run.target.name}` says how they did",
    )
    return len(report.judged)


def monitor(run: TargetNight) -> int:
    """What the scores promise, how earlier promises did, what moved since training."""
    report = monitor_target(run.workspace, run.target, run.day)
    moved = report.sources[report.sources["verdict"] == MOVED]
    for row in moved.to_dict("records"):
        run.say(
            "monitor",
            f"{row['source']} moved the mean score by {row['points']:+.1f} points since training,"
            f" most of all by {row['signal']}",
        )
    return len(report.rows)


def worklist(run: TargetNight) -> int:
    """Who gets which play, before anybody is told of accounts."""
    planned = plan_worklist(run.workspace, run.target, run.published)
    if planned is None:
        raise StepLeftOut("no plays are planned for this target")
    listed = sum(each.listed for each in planned.plan.owners)
    run.say("worklist", f"{listed:,} accounts within the hours; `tenure worklist` prints them")
    return listed


def alerts(run: TargetNight) -> int:
    """What is told of the run, and to whom."""
    try:
        report = raise_alerts(run.workspace, run.target)
    except ConfigError as error:
        raise StepLeftOut(str(error)) from error
    run.say("alerts", f"{len(report.news):,} began or changed")
    _hand_over(run.workspace, run.target)
    return len(report.news)


def tell_operator(workspace: Workspace, target: Target, as_of: date, words: str) -> None:
    """Tell of a run that was refused, once until one is published again."""
    if tell_refusal(workspace, target, as_of, words):
        _hand_over(workspace, target)


def _hand_over(workspace: Workspace, target: Target) -> None:
    failed = [each for each in deliver(workspace, target, wait=time.sleep) if each.state == FAILED]
    if failed:
        raise StoreError(
            f"not sent: {len(failed):,} of the messages ({failed[0].sender}: {failed[0].said})."
            " They are kept; the next night, or `tenure alerts run`, sends them."
        )


def pages(run: TargetNight) -> int:
    """Pages and worklist of the run."""
    paths = write_reports(run.workspace, run.target, run.published)
    run.say("look", f"{paths[0]}  {paths[1].name}  {paths[2].name}")
    return len(paths)


def copies(run: TargetNight) -> int:
    """What was published, in PostgreSQL and as a file."""
    if not is_publishing(run.workspace):
        raise StepLeftOut("[publish] names no place for copies")
    copied = publish_copies(run.workspace, run.target, run.published)
    for line in copy_lines(copied):
        run.say("copies", line)
    return sum(copied.rows.values())


def _of_probabilities(run: TargetNight, work: Callable[..., int]) -> int:
    """A step that some targets, and scorecards, have not."""
    try:
        with connected() as connection:
            return work(connection)
    except ChurnError as error:
        if error.exit_code == 1:
            raise
        raise StepLeftOut(str(error)) from error
