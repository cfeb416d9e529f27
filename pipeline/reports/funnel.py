"""The onboarding funnel: for a terminal and as plain values."""

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from models.funnel import OnboardingStep
from models.target_words import TargetWords
from pipeline.jobs.funnel import FunnelReport
from pipeline.reports.render import counted, percent


def funnel_lines(report: FunnelReport, words: TargetWords) -> list[Any]:
    """Renderables: the steps that tell who leaves, then all."""
    lines: list[Any] = [Text("Onboarding, step by step", style="bold")]
    telling = [step for step in report.steps if step.tells]
    lines += [
        Text(
            f"{_name(step)}: of those who had not reached it when it was due"
            f" {percent(step.left_missed)} {words.past}, of the others"
            f" {percent(step.left_in_time)}. Look at this step first; it need not be the cause."
        )
        for step in telling
    ] or [Text(f"No step tells who {words.past}: chance alone gives differences like these.")]
    table = Table(box=None, pad_edge=False)
    for name in (
        "step",
        "due after",
        "accounts",
        "in time",
        "late",
        "never",
        f"{words.past}, in time",
        f"{words.past}, missed",
    ):
        table.add_column(name, justify="left" if name == "step" else "right")
    for step in report.steps:
        table.add_row(
            _name(step),
            counted(step.due_after_days, "day"),
            f"{step.accounts:,}",
            percent(step.in_time / step.accounts),
            percent(step.late / step.accounts),
            percent(step.never / step.accounts),
            _range(step.left_in_time, step.left_in_time_low, step.left_in_time_high),
            _range(step.left_missed, step.left_missed_low, step.left_missed_high),
        )
    return [*lines, table]


def _name(step: OnboardingStep) -> str:
    return step.name.replace("_", " ")


def _range(share: float, low: float, high: float) -> str:
    if share != share:
        return "not known"
    return f"{percent(share, 1)} ({100 * low:.0f}-{100 * high:.0f}%)"


def funnel_json(report: FunnelReport) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "target": report.target,
        "horizon_days": report.horizon_days,
        "steps": [{**asdict(step), "tells": step.tells} for step in report.steps],
    }
