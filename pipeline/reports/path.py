"""The path back of one account, in words."""

from typing import Any

from rich.text import Text

from models.health.scale import BANDS_IN_WORDS
from pipeline.jobs.path import PathReport
from pipeline.reports.render import counted, day

NOT_CAUSAL = (
    "This says how the score reads its rows, not what keeps a customer: only a lot tells what a"
    " play does (`tenure effects`)."
)


def path_lines(report: PathReport) -> list[Any]:
    """Renderables: where the account stands, the path or that there is none, what it is not."""
    lines = [
        Text(
            f"{report.name}  ({report.account_id})  as of {day(report.as_of)}: {report.health}"
            f" {BANDS_IN_WORDS[report.band]}",
            style="bold",
        ),
        *(Text(line) for line in path_words(report)),
    ]
    return lines


def path_words(report: PathReport) -> list[str]:
    """Sentences of the path."""
    wanted = f"{BANDS_IN_WORDS[report.wanted]} ({report.wanted_from} or more)"
    if report.health >= report.wanted_from:
        return [f"It reads {wanted} already."]
    path = report.path
    if path is None:
        return [f"No path to {wanted}: no lever has a row of this account to work on."]
    tried = counted(path.tried, "combination")
    steps = [
        f"  {n} x {lever.name}" for lever, n in zip(report.levers, path.best, strict=True) if n
    ]
    if path.steps is None:
        return [
            f"No path to {wanted}: none of {tried} of the levers reaches it. The best reads"
            f" {path.health} {BANDS_IN_WORDS[report.best_band]}:",
            *steps,
            NOT_CAUSAL,
        ]
    return [
        f"It would read {path.health} {BANDS_IN_WORDS[report.best_band]} with",
        *steps,
        f"Effort {path.effort:g}; {tried} tried from the least effort up, and none cheaper"
        " reaches it.",
        NOT_CAUSAL,
    ]
