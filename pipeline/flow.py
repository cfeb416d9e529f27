"""The order of everything: each step, the function that runs it, what it reads, what it writes.

`tenure run` walks this table, `tenure flow` prints it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.config.schema import Project, Target
from pipeline.engine.duckdb import connected
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs import run
from pipeline.jobs.run import Preparation, Say, TargetRun
from pipeline.jobs.score import PublishedRun
from pipeline.workspace import Workspace

Progress = TypeVar("Progress", Preparation, TargetRun)


@dataclass(frozen=True)
class Step(Generic[Progress]):
    """One step of a run; `command` runs it alone."""

    name: str
    command: str
    run: Callable[[Progress], None]
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
        ("evaluations",),
        ("model in use",),
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
        ("portfolio.html", "worklist.csv", "model_card.html"),
        "pages people read",
    ),
)
"""Target by target: an error at one leaves what is published before it."""

FLOW: tuple[Step[Any], ...] = (*PREPARE, *PUBLISH)


@dataclass(frozen=True)
class WholeRun:
    """What a whole run found and left."""

    evaluation: VersionEvaluation | None
    """None where too few left to train a model."""
    refused: str | None
    published: PublishedRun
    pages: tuple[Path, ...]


def run_flow(workspace: Workspace, target: Target, say: Say, as_of: date | None = None) -> WholeRun:
    """Run every step, each as its own command would.

    A candidate that its gates refuse is not promoted: the model in use goes on, or, where there is
    none yet, the scorecard is published. So it is where too few left to train anything.
    """
    return run_flows(workspace, (target,), say, as_of)[0]


def run_flows(
    workspace: Workspace, targets: Sequence[Target], say: Say, as_of: date | None = None
) -> tuple[WholeRun, ...]:
    """The whole flow for several targets, on tables staged once."""
    with workspace.store.writing():
        with connected() as connection:
            preparation = Preparation(workspace, connection, targets, say)
            for step in PREPARE:
                step.run(preparation)
        return tuple(
            _publish(TargetRun(workspace, target, say, as_of), is_named=len(targets) > 1)
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
