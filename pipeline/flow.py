"""The order of everything: each step, what it reads, what it writes. `tenure flow` prints this
table.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.config.schema import Project


@dataclass(frozen=True)
class Step:
    """One step of a run; `command` runs it alone."""

    name: str
    command: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    what: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self)


FLOW = (
    Step(
        "stage",
        "tenure check",
        ("your tables",),
        ("staged_*", "quarantine"),
        "rename, type, convert to UTC, set bad rows aside",
    ),
    Step(
        "features",
        "tenure features",
        ("staged_*",),
        ("snapshots", "labels", "features_*"),
        "who counts on each date, what happened next, what was known",
    ),
    Step(
        "train",
        "tenure train",
        ("features_*", "labels"),
        ("candidate model",),
        "tune on earlier dates, calibrate on the last before the test",
    ),
    Step(
        "evaluate",
        "tenure evaluate",
        ("features_*", "labels", "candidate model"),
        ("evaluations", "backtest"),
        "judge on the untouched test, beside constant and recency",
    ),
    Step(
        "promote",
        "tenure promote",
        ("evaluations",),
        ("model in use",),
        "put the candidate to use if it passes the gates",
    ),
    Step(
        "score",
        "tenure score",
        ("staged_*", "model in use"),
        ("scores", "drivers", "portfolio", "runs"),
        "score and explain every account, publish in one commit",
    ),
    Step(
        "report",
        "tenure score",
        ("scores", "drivers", "portfolio", "backtest"),
        ("portfolio.html", "worklist.csv", "model_card.html"),
        "pages people read",
    ),
)


def flow_of(project: Project | None = None) -> tuple[Step, ...]:
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


def flow_text(steps: Sequence[Step] = FLOW) -> str:
    """The flow as a table for a terminal."""
    lines = [f"{'step':<9} {'alone':<16} {'reads':<38} writes"]
    for step in steps:
        lines.append(
            f"{step.name:<9} {step.command:<16} {', '.join(step.reads):<38}"
            f" {', '.join(step.writes)}"
        )
        lines.append(f"{'':<9} {step.what}")
    return "\n".join(lines)
