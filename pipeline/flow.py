"""The order of everything: each step, what it reads, what it writes. `tenure flow` prints this
table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of a run; `command` runs it alone."""

    name: str
    command: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    what: str


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


def flow_text() -> str:
    """The flow as a table for a terminal."""
    lines = [f"{'step':<9} {'alone':<16} {'reads':<38} writes"]
    for step in FLOW:
        lines.append(
            f"{step.name:<9} {step.command:<16} {', '.join(step.reads):<38}"
            f" {', '.join(step.writes)}"
        )
        lines.append(f"{'':<9} {step.what}")
    return "\n".join(lines)
