"""What accounts that left have in common, in words: for a terminal, as plain values, and as a
page.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.patterns import FALSE_DISCOVERIES, Effect, Pattern
from models.target_words import TARGET_WORDS
from pipeline.jobs.patterns import PatternReport
from pipeline.reports.render import counted, day, render, style

SHOWN_PATTERNS = 10
"""Patterns of each direction in the terminal and open on the page."""
VERDICT_WORDS = {
    "confirmed": "held",
    "same_way": "same way, unsure",
    "not_confirmed": "did not hold",
    "too_few": "too few to tell",
}
_ALSO = 3
_ORDER = tuple(VERDICT_WORDS)
NO_CAUSE = (
    "What goes together need not be the cause: a pattern says where to look, not what to change."
)


def pattern_lines(report: PatternReport) -> list[Any]:
    """Renderables: how much was looked at and held, the thread, failure and success patterns."""
    lines: list[Any] = [Text(headline(report), style="bold"), Text(looked_at(report), style="dim")]
    if thread := thread_words(report):
        lines.append(Text(thread))
    for title, patterns in directions(report):
        lines.append(
            _table(report, title, patterns[:SHOWN_PATTERNS])
            if patterns
            else Text(f"{title}: none beyond chance")
        )
        if len(patterns) > SHOWN_PATTERNS:
            lines.append(
                Text(
                    f"{SHOWN_PATTERNS} of {len(patterns)}; all of them with --page or --json",
                    style="dim",
                )
            )
    return [*lines, Text(f"{NO_CAUSE} ?: moves by itself as time passes.", style="dim")]


def pattern_json(report: PatternReport) -> dict[str, Any]:
    """Everything as plain values."""
    plain = asdict(report.search)
    return {
        "target": report.target,
        "kind": report.kind,
        "horizon_days": report.horizon_days,
        "is_event_good": report.is_event_good,
        "project": report.project,
        "false_discovery_rate": FALSE_DISCOVERIES,
        "held": _confirmed(report),
        **{key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()},
    }


def pattern_page(report: PatternReport, *, now: datetime) -> str:
    """One self-contained HTML page: no outside hosts, no script."""
    words = TARGET_WORDS[report.kind]
    thread = report.search.thread
    parts = [
        {
            "title": title,
            "first": [_row(each) for each in patterns[:SHOWN_PATTERNS]],
            "rest": [_row(each) for each in patterns[SHOWN_PATTERNS:]],
        }
        for title, patterns in directions(report)
    ]
    return render(
        "patterns.html.j2",
        style=style(),
        project=report.project,
        target=report.target,
        now=now,
        headline=headline(report),
        looked_at=looked_at(report),
        thread=thread_words(report),
        strongest=thread.patterns if thread else (),
        parts=parts,
        no_cause=NO_CAUSE,
        past=words.past,
        opposite=words.opposite,
        later=later_words(report),
    )


def directions(report: PatternReport) -> list[tuple[str, list[Pattern]]]:
    """Failure patterns, then success patterns, each with its title; what held comes first, then the
    strongest.
    """
    is_good = report.is_event_good
    verb = TARGET_WORDS[report.kind].verb
    often = {True: f"{verb} more often", False: f"{verb} less often"}
    return [
        (f"{name}: accounts like this {often[more]}", _ordered(report.search.of(is_more=more)))
        for name, more in (("Failure patterns", not is_good), ("Success patterns", is_good))
    ]


def _ordered(patterns: Sequence[Pattern]) -> list[Pattern]:
    return sorted(patterns, key=lambda each: (_ORDER.index(each.verdict), each.is_clock))


def _confirmed(report: PatternReport) -> int:
    """Patterns that held on the later dates too."""
    return sum(each.verdict == "confirmed" for each in report.search.patterns)


def headline(report: PatternReport) -> str:
    """What came of it, in one sentence; says plainly where little or nothing survives."""
    count, confirmed = len(report.search.patterns), _confirmed(report)
    words = TARGET_WORDS[report.kind]
    if not count:
        return (
            f"Nothing separates accounts that {words.past} from those that {words.opposite} beyond"
            " chance"
        )
    separated = (
        f"{counted(count, 'pattern')} separated accounts that {words.past} from those"
        f" that {words.opposite}"
    )
    if not confirmed:
        return f"{separated}; none held later: take them as questions, not as findings"
    return f"{separated}; {confirmed} held later"


def looked_at(report: PatternReport) -> str:
    """Dates, accounts and how much was looked at."""
    search = report.search
    past = TARGET_WORDS[report.kind].past
    return (
        f"Found on {_dates(search.earlier_dates)} ({search.earlier_events:,} of"
        f" {search.earlier_accounts:,} accounts {past}), checked on {later_words(report)}"
        f" ({search.later_events:,} of {search.later_accounts:,} {past}). {search.tested:,} traits,"
        f" high and low ends of {search.signals:,} signals, were tested; {search.passed:,} passed"
        f" at a false discovery rate of {FALSE_DISCOVERIES:.0%}; those of much the same accounts"
        " are one pattern. Each account counts once."
    )


def later_words(report: PatternReport) -> str:
    """`the 3 dates from 22 Dec 2024 to 16 Feb 2025`."""
    return _dates(report.search.later_dates)


def thread_words(report: PatternReport) -> str:
    """How many of those that left later showed several of the first patterns; empty without."""
    thread = report.search.thread
    if thread is None:
        return ""
    words = TARGET_WORDS[report.kind]
    effect = thread.effect
    kind = "success" if report.is_event_good else "failure"
    is_thread = effect.p_value <= FALSE_DISCOVERIES and effect.share_event > effect.share_other
    strongest = f"{thread.together} or more of the {len(thread.patterns)} strongest {kind} patterns"
    shares = (
        f"of the {effect.event_accounts:.0f} accounts that {words.past} later"
        f" {effect.share_event:.0%} showed {strongest}, of those that {words.opposite}"
        f" {effect.share_other:.0%}"
    )
    return (
        f"A common thread: {shares}."
        if is_thread
        else f"No common thread: {shares}, which could be chance."
    )


def times(effect: Effect | None) -> str:
    """`2.7 times (2.0-3.7)`; empty where nothing was judged."""
    if effect is None:
        return ""
    span = f"{_times(effect.ratio_low)}-{_times(effect.ratio_high)}"
    return f"{_times(effect.ratio)} times ({span})"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


def _table(report: PatternReport, title: str, patterns: Sequence[Pattern]) -> Table:
    words = TARGET_WORDS[report.kind]
    table = Table(
        "pattern",
        words.past,
        words.opposite,
        "as often",
        "later",
        "as often",
        "verdict",
        box=None,
        pad_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for each in patterns:
        row = _row(each)
        table.add_row(
            row["words"] + row["further"],
            f"{each.found.share_event:.0%}",
            f"{each.found.share_other:.0%}",
            row["found"],
            row["later_shares"],
            row["later"],
            row["verdict"],
        )
    return table


def _row(pattern: Pattern) -> dict[str, Any]:
    """One pattern as its cells."""
    later = pattern.later
    return {
        "words": pattern.words + (" ?" if pattern.is_clock else ""),
        "dimension": pattern.dimension,
        "also": "; ".join(pattern.also[:_ALSO]),
        "unsaid": max(0, len(pattern.also) - _ALSO),
        "further": f" (and {len(pattern.also)} more)" if pattern.also else "",
        "share_event": pattern.found.share_event,
        "share_other": pattern.found.share_other,
        "found": times(pattern.found),
        "later_shares": (
            "" if later is None else f"{later.share_event:.0%}, {later.share_other:.0%}"
        ),
        "later": times(later),
        "verdict": VERDICT_WORDS[pattern.verdict],
        "held": pattern.verdict == "confirmed",
        "failed": pattern.verdict == "not_confirmed",
    }


def _dates(dates: Sequence[pd.Timestamp]) -> str:
    if len(dates) == 1:
        return f"the date {day(dates[0])}"
    return f"the {len(dates)} dates from {day(dates[0])} to {day(dates[-1])}"
