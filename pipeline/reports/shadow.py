"""Two scores side by side: for a terminal, as plain values and as a table for a spreadsheet."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.side_by_side import EVEN, OURS, TOO_FEW, Judgement
from models.target_words import TargetWords
from pipeline.actions.worklist import write_worklist_csv
from pipeline.edge.text import visible
from pipeline.jobs.shadow import SideBySide
from pipeline.reports.render import counted, day

MOST_MOVERS = 15


def side_lines(report: SideBySide, words: TargetWords) -> list[Any]:
    """Renderables: how alike the lists are, who moves, which was right."""
    run, accounts = report.run, report.accounts
    lines: list[Any] = [
        Text(
            f"{run.target} of {day(run.as_of)}: the published score beside {report.other}",
            style="bold",
        ),
        Text(
            f"{counted(len(accounts), 'account')} have both. Of the {report.capacity:,} that each"
            f" puts first, {report.in_both:,} are the same."
        ),
    ]
    if report.without:
        lines.append(
            Text(f"{counted(report.without, 'account')} with a published score have no other.")
        )
    if report.unreadable:
        lines.append(
            Text(
                f"{counted(report.unreadable, 'row')} of the table left out: without account,"
                " number or date."
            )
        )
    lines += ["", Text("Who moves most", style="bold"), _moves(report), ""]
    lines.append(Text("Which was right", style="bold"))
    lines += [Text(line) for line in judgement_lines(report, words)]
    return lines


def judgement_lines(report: SideBySide, words: TargetWords) -> Iterator[str]:
    """What known outcomes say, in words."""
    overall = report.overall
    if overall is None:
        yield report.waiting
        return
    dates = ", ".join(day(each) for each in report.dates[-6:])
    yield (
        f"{counted(len(report.dates), 'date')} with a known outcome ({dates}):"
        f" {counted(overall.accounts, 'account')}, {overall.events:,} {words.past}."
    )
    if overall.verdict == TOO_FEW:
        yield f"Too few {words.past} to tell which was right. Ask again after later dates."
        return
    name = "the candidate" if report.is_candidate else "the old score"
    yield (
        f"Of the first {overall.listed:,} on each list {overall.ours_caught:,} {words.past} by the"
        f" published score, {overall.theirs_caught:,} by {name}: a difference of"
        f" {overall.caught.value:+.0f} ({overall.caught.low:+.0f} to {overall.caught.high:+.0f})."
    )
    yield (
        f"Given one account that {words.past} and one that did not, the published score picks the"
        f" right one {100 * overall.ours_auc:.0f} times in 100, {name}"
        f" {100 * overall.theirs_auc:.0f} (difference {100 * overall.auc.low:+.0f} to"
        f" {100 * overall.auc.high:+.0f})."
    )
    yield verdict_words(overall, name)
    for each in report.segments:
        if each.verdict != TOO_FEW:
            yield f"Segment {visible(each.group, one_line=True)}: {verdict_words(each, name)}"


def verdict_words(judgement: Judgement, name: str) -> str:
    """The verdict as a sentence."""
    if judgement.verdict == EVEN:
        return "The difference is no larger than chance gives: neither is shown to be better."
    better = "The published score" if judgement.verdict == OURS else name.capitalize()
    return f"{better} was better by more than chance."


def _moves(report: SideBySide) -> Table:
    table = Table(box=None, pad_edge=False)
    other = "candidate" if report.is_candidate else "old"
    for heading in ("account", "owner", "place", f"{other} place", "score", other, "why"):
        is_number = heading not in ("account", "owner", "why")
        table.add_column(heading, justify="right" if is_number else "left")
    for row in report.accounts[report.accounts["moved"] != 0].head(MOST_MOVERS).to_dict("records"):
        theirs = row["other_health"] if report.is_candidate else row["other_score"]
        table.add_row(
            Text(visible(str(row["name"]), one_line=True)),
            Text("" if pd.isna(row["owner"]) else visible(str(row["owner"]), one_line=True)),
            f"{row['place']:,}",
            f"{row['other_place']:,}",
            f"{row['health']:.0f}",
            f"{theirs:g}",
            Text(str(row["why"])),
        )
    return table


def side_json(report: SideBySide) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "run_id": report.run.run_id,
        "as_of": report.run.as_of,
        "target": report.run.target,
        "other": report.other,
        "capacity": report.capacity,
        "in_both": report.in_both,
        "without": report.without,
        "unreadable": report.unreadable,
        "accounts": report.accounts.to_dict("records"),
        "dates": list(report.dates),
        "overall": None if report.overall is None else asdict(report.overall),
        "segments": [asdict(each) for each in report.segments],
        "waiting": report.waiting if report.overall is None else None,
    }


def write_side_csv(report: SideBySide, path: Path) -> None:
    """Every account with both scores, for a spreadsheet; written aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    write_worklist_csv(report.accounts.dropna(axis=1, how="all"), aside)
    aside.replace(path)
