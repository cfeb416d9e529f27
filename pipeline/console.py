"""What commands print: the story of a run, one account's score, JSON."""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from models.counted import CountedScore
from models.declared import COUNTED_IN_WORDS
from models.intervals import FEWEST_ACCOUNTS
from models.target_words import TargetWords
from pipeline.chain import LedgerCheck
from pipeline.edge.text import visible
from pipeline.engine.memory import GIGABYTE, allowed_gb
from pipeline.jobs.dated_rows import SourceTimes
from pipeline.jobs.explain import Explained
from pipeline.jobs.explain_scale import INTERVAL, ScaleExplained
from pipeline.jobs.night_steps import ListedRun, TargetStatus, peak_mebibytes
from pipeline.jobs.watch import Tick
from pipeline.reports.account import (
    chance_of,
    foot_lines,
    open_action_lines,
    planned_lines,
    waterfall,
)
from pipeline.reports.trajectory import account_lines

BAR_WIDTH = 24
"""Cells of the widest bar of a waterfall in the terminal."""
SHOWN_MOVES = 10
"""Accounts that a tick names; JSON and the table have all."""


def ledger_lines(checked: LedgerCheck) -> list[str]:
    """What the check of the ledger says."""
    lines = [*checked.problems]
    if not lines:
        lines.append(
            f"`runs` is as it was written (rows of the chain: {checked.hashed:,}), and so are the"
            f" published tables (runs compared: {checked.runs:,})."
        )
    before = checked.rows - checked.hashed
    if before:
        since = "" if checked.begins is None else f"; the chain begins on {checked.begins:%Y-%m-%d}"
        lines.append(f"Rows of a release that wrote no hashes: {before:,}{since}.")
    lines.append(f"head: {checked.head or 'none'}")
    return lines


class Story:
    """Prints a run's lines as `seconds  step  text`; on standard error when standard output is for
    JSON.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._started = time.monotonic()
        self._stream = sys.stderr if quiet else sys.stdout

    def __call__(self, step: str, text: str) -> None:
        """Print one line."""
        print(
            f"{time.monotonic() - self._started:6.1f}s  {step:<9} {visible(text, one_line=True)}",
            file=self._stream,
            flush=True,
        )

    def end(self) -> None:
        """Print the most memory that the command has held, as the last line of a long one."""
        self("memory", peak_words())


def peak_words() -> str:
    """The most memory this process has held, beside what it may."""
    peak = peak_mebibytes() * 2**20 / GIGABYTE
    return f"{peak:.2f} GB at most; [engine] memory_gb allows {allowed_gb():.2f}"


class DatedStory:
    """Prints a night's lines as `date time  step  text`, UTC; on standard error when standard
    output is for JSON.
    """

    def __init__(self, clock: Callable[[], datetime], *, quiet: bool) -> None:
        self._clock = clock
        self._stream = sys.stderr if quiet else sys.stdout

    def __call__(self, step: str, text: str) -> None:
        """Print one line."""
        print(
            f"{self._clock():%Y-%m-%d %H:%M:%S}  {step:<10} {visible(text, one_line=True)}",
            file=self._stream,
            flush=True,
        )


def tick_lines(tick: Tick) -> list[str]:
    """What a tick read, and whose score moved by it."""
    if tick.rows is None:
        return ["nothing new"]
    read = f"read {', '.join(tick.read)}; " if tick.read else ""
    scored = tick.rows["health"].notna().sum()
    head = f"{read}{scored:,} accounts, provisional for midnight of {tick.as_of:%Y-%m-%d}"
    if tick.rows["health_last_tick"].isna().all():
        return [f"{head}; the next ticks say who moves"]
    moved = tick.moved
    lines = [f"{head}; {len(moved):,} moved since the last tick"]
    for row in moved.head(SHOWN_MOVES).to_dict("records"):
        reason = "" if pd.isna(row["reason"]) else f"; {row['reason']}"
        lines.append(
            f"{row['account_id']}: health {row['health_last_tick']:.0f} -> {row['health']:.0f}"
            f"{reason}"
        )
    return lines


def tick_json(tick: Tick) -> dict[str, Any]:
    """A tick as an object: rows of the accounts that moved."""
    moved = tick.moved.astype(object)
    return {
        "as_of": f"{tick.as_of:%Y-%m-%d}",
        "made_at": f"{tick.made_at:%Y-%m-%dT%H:%M:%S}",
        "is_provisional": True,
        "read": list(tick.read),
        "accounts": None if tick.rows is None else len(tick.rows),
        "moved": [
            {
                "account_id": row["account_id"],
                "health_last_tick": int(row["health_last_tick"]),
                "health": int(row["health"]),
                "band": row["band"],
                "probability": None if pd.isna(row["probability"]) else float(row["probability"]),
                "reason": None if pd.isna(row["reason"]) else str(row["reason"]),
            }
            for row in moved.to_dict("records")
        ],
    }


def status_lines(statuses: Sequence[TargetStatus]) -> list[str]:
    """How each target stands, since when, and what comes next."""
    lines = []
    for each in statuses:
        since = "" if each.since is None else f" since {each.since:%Y-%m-%d %H:%M} UTC"
        lines.append(f"{each.target}: {each.state}{since}: {each.words}")
        shown = (
            "no run is published"
            if each.run_id is None or each.as_of is None
            else f"readers see run {each.run_id} of {each.as_of:%Y-%m-%d}"
        )
        lines.append(f"  {shown}; next: {each.next_step}")
    return lines


def run_lines(runs: Sequence[ListedRun]) -> list[str]:
    """Runs in a table, a line each and its reason below."""
    lines = [f"{'when, UTC':<17} {'as of':<11} {'run':<17} {'state':<20} {'model':<13} target"]
    for each in runs:
        as_of = "" if each.as_of is None else f"{each.as_of:%Y-%m-%d}"
        lines.append(
            f"{each.at:%Y-%m-%d %H:%M}  {as_of:<11} {each.run_id or '':<17} {each.state:<20}"
            f" {(each.version or '')[:12]:<13} {each.target}"
        )
        if each.reason is not None:
            lines.append(f"{'':<17} {each.reason}")
    return lines


def print_json(value: object) -> None:
    """Print one JSON value: a dataclass by its fields, dates as text, what has no value as null."""
    print(json.dumps(_plain(value), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value != value:  # NaN and NaT are the values that differ from themselves
        return None
    if isinstance(value, float) and math.isinf(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, str | int | float) else str(value)


_BAND_COLOUR = {
    "at_risk": "red",
    "stable": "yellow",
    "healthy": "green",
    "low": "yellow",
    "medium": "yellow",
    "high": "green",
    "leaving": "magenta",
    "unknown": "white",
}


def explained_text(explained: Explained, horizon_days: int | None, verb: str) -> list[Any]:
    """Rich renderables of one account: headline, chance, and the points as a waterfall."""
    from rich.text import Text

    from models.health.scale import BANDS_IN_WORDS

    score, account = explained.score, explained.account
    band = explained.standing
    lines: list[Any] = [
        Text(
            f"{account['name']}  ({score['account_id']})  as of {score['as_of']:%Y-%m-%d}",
            style="bold",
        )
    ]
    health = score["health"]
    if health is None or (isinstance(health, float) and math.isnan(health)):
        lines.append(
            Text(
                f"no score: {BANDS_IN_WORDS[band]} ({score['band_reason']})",
                style=_BAND_COLOUR[band],
            )
        )
        return lines
    headline = Text.assemble(
        (f"{int(health)} ", "bold"),
        (explained.unsure_band or band.replace("_", " "), _BAND_COLOUR[band]),
    )
    if isinstance(score["band_reason"], str):
        headline.append(f" ({score['band_reason']})")
    if explained.to_edges:
        headline.append(f"; {explained.to_edges}")
    lines.append(headline)
    if explained.scale_sentence:
        lines.append(Text(explained.scale_sentence))
    if score["basis"] == "calibrated":
        chance = chance_of(score, horizon_days, verb)
        if explained.timing:
            lines.append(Text(f"{explained.timing[0].upper()}{explained.timing[1:]}"))
        lines.append(Text(f"{chance.value:.1%}: {chance.words}; {chance.interval_words}"))
    else:
        lines.append(Text("This is a scorecard: it ranks accounts, so there are no probabilities."))
    lines += [
        Text(line)
        for line in (
            [] if explained.trajectory is None else account_lines(explained.trajectory, verb)
        )
    ]
    if explained.why:
        lines.append(Text.assemble("what pulls it down: ", (explained.why, "bold")))
    if explained.protects:
        lines.append(Text(f"what holds it up: {'; '.join(explained.protects)}"))
    lines += [Text(f"what to do: {advice}") for advice in explained.advice]
    actions = [*planned_lines(explained), *open_action_lines(explained.open_actions)]
    lines += [Text(line) for line in actions]
    lines.append(
        Text(
            "by dimension: "
            + ", ".join(
                f"{each.dimension} {each.points_displayed:+d}"
                for each in explained.dimensions.itertuples()
            )
        )
    )
    lines.append(_waterfall(explained))
    lines += [Text(line, style="dim") for line in foot_lines(explained)]
    return lines


def counted_lines(
    who: Mapping[str, Any], score: CountedScore, behind: Mapping[str, tuple[SourceTimes, ...]]
) -> list[Any]:
    """Rich renderables of an account's counted score: the sum, what it is made of, and the dated
    rows behind each signal.
    """
    from rich.table import Table
    from rich.text import Text

    words = COUNTED_IN_WORDS.get(score.method, score.method)
    lines: list[Any] = [
        Text(f"{who['name']}  ({who['account_id']})  as of {who['as_of']:%Y-%m-%d}", style="bold")
    ]
    if score.score is not None:
        lines.append(Text(f"{score.score:.0f} of 100, counted from {words}"))
        lines.append(Text(f"every account starts at {score.base:g}"))
    table = Table(box=None, show_header=False, pad_edge=False)
    for line in score.lines:
        number = "" if line.points is None else f"{line.points:+.4g}"
        table.add_row(Text(number), Text(line.name), Text(line.said))
        if line.deadline:
            table.add_row("", "", Text(line.deadline))
        for column in line.signals:
            for dated in behind.get(column, ()):
                table.add_row("", "", Text(_rows_behind(dated), style="dim"))
    if not score.lines:
        lines.append(Text("nothing that counts holds for this account"))
    return [*lines, table]


def _rows_behind(dated: SourceTimes) -> str:
    """`4 rows of touchpoints since 2 Mar 2025: 20 May meeting, 11 Apr meeting and 2 earlier`."""
    since = "" if dated.since is None else f" since {dated.since.day} {dated.since:%b %Y}"
    rows = "row" if dated.total == 1 else "rows"
    listed = ", ".join(f"{each.day:%Y-%m-%d} {each.said}".strip() for each in dated.rows)
    older = dated.total - len(dated.rows)
    return (
        f"{dated.total:,} {rows} of {dated.source}{since}"
        + (f": {listed}" if listed else "")
        + (f" and {older:,} earlier" if older else "")
    )


def _waterfall(explained: Explained) -> Any:
    """Points from the base to the score, each bar beginning where the one before ended."""
    from rich.table import Table
    from rich.text import Text

    from models.drivers import sentence

    table = Table("points", "", "signal", "reason", "dimension", box=None, pad_edge=False)
    health = int(explained.score["health"])
    steps = waterfall(explained.driver_rows, int(explained.score["base_displayed"]))
    low, high = (
        min(health, *(min(s.start, s.end) for s in steps), 100),
        max(health, *(max(s.start, s.end) for s in steps), 0),
    )
    scale = BAR_WIDTH / max(1, high - low)
    for step in steps:
        if step.row is None:
            table.add_row(
                str(step.end),
                Text(_bar(low, step.end, low, scale), style="dim"),
                step.said,
                "",
                "",
                style="dim",
            )
            continue
        bar = Text(
            _bar(step.start, step.end, low, scale),
            style="red" if step.end < step.start else "green",
        )
        unsure = " ?" if step.row["is_sure"] is False else ""
        table.add_row(
            f"{step.end - step.start:+d}{unsure}",
            bar,
            sentence(step.said, step.compared),
            step.reason,
            f"{step.row['dimension']}{', lagging' if step.row['nature'] == 'lagging' else ''}",
        )
    table.add_row(
        str(health),
        Text(_bar(low, health, low, scale), style="bold"),
        "the score: the sum of the lines above",
        "",
        "",
        style="bold",
    )
    return table


def _bar(start: float, end: float, low: float, scale: float) -> str:
    """A bar between two scores, at least one cell wide, behind as many blanks as it begins above
    the lowest score shown.
    """
    left, right = sorted(round((each - low) * scale) for each in (start, end))
    return " " * min(left, BAR_WIDTH - 1) + "█" * max(1, right - left)


def scale_lines(explained: ScaleExplained, words: TargetWords) -> list[Any]:
    """Rich renderables of `tenure scale`: what ten points mean, and what the test saw."""
    from rich.table import Table
    from rich.text import Text

    from models.health import observed_words, scale_sentence
    from models.health.scale import BANDS_IN_WORDS
    from models.health.words import NO_TEST, anchor_words, base_words, health_horizon_words

    scale = explained.scale
    within = health_horizon_words(explained.horizon_days, at_decision=explained.at_decision)
    lines: list[Any] = [
        Text(
            f"{explained.target}: scores 0-100; {base_words(explained.base_displayed)}",
            style="bold",
        )
    ]
    if explained.basis != "calibrated":
        return [
            *lines,
            Text(
                "This is a scorecard: it ranks accounts and gives no chance, so a score stands for"
                " no number."
            ),
        ]
    lines.append(
        Text(
            f"{anchor_words(scale, f'{words.gerund} {within}')}; bands"
            f" {', '.join(BANDS_IN_WORDS[band] for band in scale.bands)}"
        )
    )
    if not explained.ranges:
        return [*lines, Text(NO_TEST)]
    table = Table(
        "what a score means",
        "accounts tested",
        "share, 95% interval",
        box=None,
        pad_edge=False,
    )
    for each in explained.ranges:
        table.add_row(
            scale_sentence(each, within, event=words.verb),
            f"{each.accounts:,}",
            observed_words(each),
        )
    note = (
        f"Interval: {INTERVAL}. Ranges with fewer than {FEWEST_ACCOUNTS} tested accounts are"
        " joined."
    )
    return [*lines, table, Text(note, style="dim")]
