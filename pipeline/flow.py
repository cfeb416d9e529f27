"""The order of everything: each step, the function that runs it, what it reads, what it writes.

`tenure run` walks the first table, which `tenure flow` prints; `tenure night` the second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar

from features.errors import GateRefused
from pipeline.config.schema import Project, Target
from pipeline.edge.faults import as_ours, one_line
from pipeline.engine.duckdb import connected
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs import night, run
from pipeline.jobs.night import NightWork, TargetNight
from pipeline.jobs.night_steps import EVERY_TARGET, FAILED, REFUSED, SKIPPED, StepRecord
from pipeline.jobs.notify import COMPLETED, STARTED, TROUBLED, ping, write_metrics
from pipeline.jobs.report import NO_BRIEFS, Briefs
from pipeline.jobs.run import Preparation, Say, TargetRun
from pipeline.jobs.score import PublishedRun
from pipeline.ledger import RunRow, current_run
from pipeline.workspace import Workspace

Progress = TypeVar("Progress", Preparation, TargetRun, NightWork, TargetNight)


@dataclass(frozen=True)
class Step(Generic[Progress]):
    """One step of a run; `command` runs it alone. Steps of a night tell how many rows they made."""

    name: str
    command: str
    run: Callable[[Progress], int | None]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    what: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "name": self.name,
            "command": self.command,
            "function": f"{self.run.__module__}.{self.run.__qualname__}",
            "reads": self.reads,
            "writes": self.writes,
            "what": self.what,
        }


PREPARE: tuple[Step[Preparation], ...] = (
    Step(
        "stage",
        "tenure check",
        run.stage,
        ("your tables",),
        ("staged_*", "quarantine"),
        "rename, type, convert to UTC, set bad rows aside",
    ),
    Step(
        "features",
        "tenure features",
        run.build_features,
        ("staged_*",),
        ("snapshots", "labels", "features_*"),
        "who counts on each date, what happened next, what was known",
    ),
)
"""For all targets together, before the first of them learns anything."""

PUBLISH: tuple[Step[TargetRun], ...] = (
    Step(
        "train",
        "tenure train",
        run.train,
        ("features_*", "labels"),
        ("candidate model",),
        "tune on earlier dates, calibrate on the last before the test",
    ),
    Step(
        "evaluate",
        "tenure evaluate",
        run.evaluate,
        ("features_*", "labels", "candidate model"),
        ("evaluations", "backtest"),
        "judge on the untouched test, beside constant and recency",
    ),
    Step(
        "promote",
        "tenure promote",
        run.promote,
        ("evaluations", "features_*"),
        ("model in use", "monitor_bins"),
        "put the candidate to use if it passes the gates",
    ),
    Step(
        "score",
        "tenure score",
        run.score,
        ("staged_*", "model in use"),
        ("scores", "drivers", "portfolio", "runs"),
        "score and explain every account, publish in one commit",
    ),
    Step(
        "report",
        "tenure score",
        run.report,
        ("scores", "drivers", "portfolio", "backtest"),
        ("portfolio.html", "accounts.html", "worklist.csv", "model_card.html"),
        "pages people read",
    ),
)
"""Target by target: an error at one leaves what is published before it."""

FLOW: tuple[Step[Any], ...] = (*PREPARE, *PUBLISH)

PREPARE_NIGHT: tuple[Step[NightWork], ...] = (
    Step("check", "tenure status", night.check, (), (), "is there a model in use to score with"),
    Step(
        "stage",
        "tenure check",
        night.stage,
        ("your tables",),
        ("staged_*", "quarantine"),
        "rename, type, convert to UTC, set bad rows aside",
    ),
)
"""Before the first target; always done, for they find out whether anything is new."""

NIGHT: tuple[Step[TargetNight], ...] = (
    Step(
        "score",
        "tenure score",
        night.score,
        ("staged_*", "model in use"),
        ("scores", "drivers", "portfolio", "runs"),
        "are feeds fresh, signals, scores, gate, publication in one commit",
    ),
    Step(
        "trajectory",
        "tenure trajectory",
        night.trajectory,
        ("staged_*", "scores"),
        ("trajectory", "past_scores", "trajectory_checks"),
        "drops, declines, expected scores",
    ),
    Step(
        "forecast",
        "tenure forecast",
        night.forecast,
        ("staged_*", "scores"),
        ("horizons", "renewals", "renewal_forecast", "remaining_value"),
        "chances by day, renewals, remaining value",
    ),
    Step(
        "outcomes",
        "tenure outcomes",
        night.outcomes,
        ("staged_*", "scores", "runs"),
        (),
        "what became of earlier scores",
    ),
    Step(
        "monitor",
        "tenure monitor",
        night.monitor,
        ("scores", "features_*", "monitor_bins", "runs"),
        ("monitor",),
        "what scores promise, how promises did, what moved since training",
    ),
    Step(
        "worklist",
        "tenure worklist",
        night.worklist,
        ("scores", "drivers", "portfolio", "staged_*", "effects"),
        ("assignments",),
        "who gets which play, under the hours of each owner",
    ),
    Step(
        "alerts",
        "tenure alerts run",
        night.alerts,
        ("scores", "changes", "runs", "assignments"),
        ("alerts", "alert_watch", "deliveries"),
        "what is told of the run, and to whom",
    ),
    Step(
        "pages",
        "tenure score",
        night.pages,
        ("scores", "drivers", "portfolio", "backtest"),
        ("portfolio.html", "worklist.csv", "model_card.html"),
        "pages and worklist people read",
    ),
    Step(
        "copies",
        "tenure publish",
        night.copies,
        ("scores", "drivers", "portfolio", "alerts", "runs"),
        ("PostgreSQL", "exports/*.json"),
        "what was published, where other systems read it",
    ),
)
"""Target by target. What fails before a publication stops its target; what fails after it does
not.
"""


@dataclass(frozen=True)
class WholeRun:
    """What a whole run found and left."""

    evaluation: VersionEvaluation | None
    """None where too few left to train a model."""
    refused: str | None
    published: PublishedRun
    pages: tuple[Path, ...]


def run_flow(
    workspace: Workspace,
    target: Target,
    say: Say,
    as_of: date | None = None,
    briefs: Briefs = NO_BRIEFS,
) -> WholeRun:
    """Run every step, each as its own command would.

    A candidate that its gates refuse is not promoted: the model in use goes on, or, where there is
    none yet, the scorecard is published. So it is where too few left to train anything.
    """
    return run_flows(workspace, (target,), say, as_of, briefs)[0]


def run_flows(
    workspace: Workspace,
    targets: Sequence[Target],
    say: Say,
    as_of: date | None = None,
    briefs: Briefs = NO_BRIEFS,
    *,
    is_again: bool = False,
) -> tuple[WholeRun, ...]:
    """The whole flow for several targets, on tables staged once.

    Parameters
    ----------
    is_again
        Whether models are trained although what they learn from did not change.
    """
    with workspace.store.writing():
        with connected() as connection:
            preparation = Preparation(workspace, connection, targets, say)
            for step in PREPARE:
                step.run(preparation)
        return tuple(
            _publish(
                TargetRun(workspace, target, say, as_of, is_again=is_again, briefs=briefs),
                is_named=len(targets) > 1,
            )
            for target in targets
        )


def _publish(progress: TargetRun, *, is_named: bool) -> WholeRun:
    """From features in the store to pages."""
    if is_named:
        progress.say("target", progress.target.name)
    for step in PUBLISH:
        step.run(progress)
    assert progress.published is not None  # the step that scores has run
    return WholeRun(progress.evaluation, progress.refused, progress.published, progress.pages)


@dataclass(frozen=True)
class WholeNight:
    """How a night ended."""

    exit_code: int
    """The gravest of its steps: 0 done, 1 fault, 2 wrong use, 3 refused."""
    steps: tuple[dict[str, Any], ...]
    """Rows of `night_steps`, one for each step that ended in this night."""
    published: tuple[RunRow, ...]
    """The rows of `runs` that readers see of its targets."""


def run_night(
    workspace: Workspace,
    target: Target | None,
    say: Say,
    as_of: date | None = None,
    *,
    backfill: bool = False,
) -> WholeNight:
    """Every step of a night for a target, or for all with a model in use; what an earlier night of
    the same inputs has done is left out.

    Refusals and faults are recorded and told, not raised; the exit code speaks of the gravest.
    """
    ping(workspace, say, STARTED)
    try:
        whole = _night(workspace, target, say, as_of, backfill=backfill)
    except BaseException as stopped:  # whatever stops a night, the switch is told
        ping(workspace, say, TROUBLED, f"stopped: {type(stopped).__name__}")
        raise
    write_metrics(workspace, say, whole.steps, whole.exit_code)
    words = f"exit code {whole.exit_code}"
    ping(workspace, say, TROUBLED if whole.exit_code else COMPLETED, words)
    say("night", f"ended, {words}")
    return whole


def _night(
    workspace: Workspace, named: Target | None, say: Say, as_of: date | None, *, backfill: bool
) -> WholeNight:
    with workspace.store.writing():
        record = StepRecord(workspace, say, EVERY_TARGET)
        whole = NightWork(workspace, named, say, record)
        records, codes = [record], []
        try:
            for step in PREPARE_NIGHT:
                record.begin(step.name)
                record.end(rows=step.run(whole))
        except Exception as error:
            code = _ended_badly(record, error)
            if code == GateRefused.exit_code:
                # One outage is one message, whichever targets wait for it.
                for target in whole.targets[:1]:
                    day = as_of or workspace.now.date()
                    _tell_operator(workspace, target, day, say, error)
            return WholeNight(code, tuple(record.rows), ())
        for target in whole.targets:
            code, steps = _night_of(whole, target, as_of, backfill=backfill)
            codes.append(code)
            records.append(steps)
        runs = [current_run(workspace.store, each.name) for each in whole.targets]
    return WholeNight(
        exit_code=next((code for code in (1, 2, 3) if code in codes), 0),
        steps=tuple(row for each in records for row in each.rows),
        published=tuple(run for run in runs if run is not None),
    )


def _night_of(
    whole: NightWork, target: Target, as_of: date | None, *, backfill: bool
) -> tuple[int, StepRecord]:
    """The steps of one target; returns the exit code and what was recorded."""
    record = StepRecord(whole.workspace, whole.say, target.name, as_of)
    record.begin(night.SCORE_PARTS[0])
    try:
        progress = night.target_night(whole, target, record, as_of, backfill=backfill)
    except Exception as error:
        return _ended_badly(record, error), record
    over, codes = record.over(), []
    for step in NIGHT:
        last_part = night.SCORE_PARTS[-1] if step.name == "score" else step.name
        if last_part in over:
            record.run_id = record.run_id or over[last_part]
            record.leave_out(step.name)
            continue
        if step.name != "score":
            record.begin(step.name)
        try:
            record.end(rows=step.run(progress))
        except night.StepLeftOut as reason:
            record.end(SKIPPED, reason=str(reason))
        except Exception as error:
            code = _ended_badly(record, error)
            codes.append(code)
            if step.name == "score":
                if code == GateRefused.exit_code:
                    _tell_operator(progress.workspace, target, progress.day, progress.say, error)
                break
    return next((code for code in (1, 2, 3) if code in codes), 0), record


def _tell_operator(
    workspace: Workspace, target: Target, day: date, say: Say, error: Exception
) -> None:
    """A refusal that cannot be sent either is said in the log, and the exit code stays."""
    words = one_line(as_ours(error)).removeprefix("tenure: ")
    try:
        night.tell_operator(workspace, target, day, words)
    except Exception as unsent:
        say("alerts", one_line(as_ours(unsent)).removeprefix("tenure: "))


def _ended_badly(record: StepRecord, error: Exception) -> int:
    """Record a step that was refused or failed; returns the exit code of its kind."""
    ours = as_ours(error)
    reason = one_line(ours).removeprefix("tenure: ")
    record.end(REFUSED if ours.exit_code == GateRefused.exit_code else FAILED, reason=reason)
    return ours.exit_code


def flow_of(project: Project | None = None) -> tuple[Step[Any], ...]:
    """The steps; of a project with the names of its own tables in the place of each `*`."""
    if project is None:
        return FLOW
    every = {
        "staged_*": tuple(f"staged_{name}" for name in project.sources),
        "features_*": tuple(f"features_{target.name}" for target in project.targets),
    }

    def named(tables: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for table in tables for name in every.get(table, (table,)))

    return tuple(replace(step, reads=named(step.reads), writes=named(step.writes)) for step in FLOW)


def flow_text(steps: Sequence[Step[Any]] = FLOW) -> str:
    """The flow as a table for a terminal."""
    lines = [f"{'step':<9} {'alone':<16} {'reads':<38} writes"]
    for step in steps:
        lines.append(
            f"{step.name:<9} {step.command:<16} {', '.join(step.reads):<38}"
            f" {', '.join(step.writes)}"
        )
        lines.append(f"{'':<9} {step.what}")
    return "\n".join(lines)
