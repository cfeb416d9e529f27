"""The report of a check as plain text for a terminal."""

import textwrap
from collections.abc import Iterator

from pipeline.checking.report import SEVERITIES, CheckReport, DateCount, Finding, SourceCheck
from pipeline.staging.asking.question import sentence

FINDING_WIDTH = 110
DATES_SHOWN = 12
HEADINGS = {
    "stop": "STOP: training is refused",
    "warn": "WARN: look at these",
    "info": "INFO: good to know",
}


def check_text(report: CheckReport) -> str:
    """The report in lines of at most 110 letters (ids and names are never broken)."""
    sources = "1 source" if len(report.sources) == 1 else f"{len(report.sources)} sources"
    lines = [
        f"{report.project}: {sources}, data until {report.data_end}, target {report.target}",
        "",
    ]
    for source in report.sources:
        lines += [*_source_lines(source, report.accounts_of), ""]
    lines += _date_lines(report)
    for severity in SEVERITIES:
        findings = [f for f in report.findings if f.severity == severity]
        if findings:
            lines += [
                HEADINGS[severity],
                *(line for f in findings for line in _finding_lines(f, report)),
                "",
            ]
    return "\n".join([*lines, _last_line(report)])


def _source_lines(source: SourceCheck, accounts_of: str) -> Iterator[str]:
    title = source.name if source.name == source.contract else f"{source.name} ({source.contract})"
    yield f"{title}: {source.rows_read:,} rows read, {source.rows_staged:,} kept"
    for rule, count in source.rows_left_out.items():
        yield f"  left out     {count:,} by {rule}"
    for reason, count in source.rows_bad.items():
        values = ", ".join(repr(v) for r, v in source.bad_examples if r == reason)
        yield f"  bad          {count:,}: {reason}" + (f" (such as {values})" if values else "")
    if source.first_event and source.last_event:
        yield f"  span         {source.first_event:%Y-%m-%d} to {source.last_event:%Y-%m-%d}"
    if source.newest_known is not None:
        yield (
            f"  newest row   known {source.newest_known:%Y-%m-%d}, {source.age_days} days before"
            " the data end"
        )
    delay = f"event time + {source.delay_days:g} days" if source.delay_days else "event time"
    yield (
        f"  clock        {'known_at' if source.has_known_at else f'none; assumed known at {delay}'}"
    )
    if source.own_clocks:
        yield from _wrapped(
            "  own clocks   ",
            ", ".join(
                f"{c} at {clock}" if c != clock else c for c, clock in source.own_clocks.items()
            ),
        )
    share = "" if source.covered_share is None else f", {source.covered_share:.1%} of {accounts_of}"
    yield f"  accounts     {source.accounts:,}{share}"
    for note in source.notes:
        yield from _wrapped("  note         ", note)


def _date_lines(report: CheckReport) -> list[str]:
    if not report.dates:
        return []
    shown = report.dates[-DATES_SHOWN:]
    past = report.past
    width = max(9, len(past) + 2)
    lines = [
        f"accounts that {past}, per date"
        + (" (the last of them)" if len(shown) < len(report.dates) else ""),
        f"  {'date':<12}{'asked':>9}{'labelled':>10}{past:>{width}}{'rate':>8}",
    ]
    lines += [_date_line(d, width) for d in shown]
    if report.folds:
        lines.append(
            "validation blocks: "
            + ", ".join(
                f"{f.first} to {f.last}: {f.leavers:,} {past}"
                + ("" if f.auc_half_width is None else f" (AUC +- {f.auc_half_width:.2f})")
                for f in report.folds
            )
        )
    return [*lines, ""]


def _date_line(date: DateCount, width: int) -> str:
    rate = f"{date.leavers / date.labelled:.1%}" if date.labelled else "-"
    return (
        f"  {date.period:<12}{date.asked:>9,}{date.labelled:>10,}{date.leavers:>{width},}{rate:>8}"
        f"{'  test' if date.is_test else ''}"
    )


def _finding_lines(finding: Finding, report: CheckReport) -> Iterator[str]:
    source = f" [{finding.source}]" if finding.source else ""
    yield f"- {finding.name}{source}{_figure(finding)}"
    yield from _wrapped("    ", sentence(_sentence(finding.what)))
    if finding.column:
        yield from _wrapped(
            "    column: ", f"{finding.column}, known by the clock {finding.clock or 'of its row'}"
        )
    if finding.examples:
        yield from _wrapped("    such as: ", ", ".join(finding.examples))
    yield from _wrapped("    to do: ", finding.todo)
    reason = report.waiver(finding)
    if reason is not None:
        yield from _wrapped("    accepted: ", reason)


def _sentence(text: str) -> str:
    """With a capital, unless it begins with the name of a column."""
    return text if "_" in text.split()[0] else text[:1].upper() + text[1:]


def _figure(finding: Finding) -> str:
    if finding.count is None:
        return ""
    if finding.share is None:
        return f": {finding.count:,} {finding.unit}"
    return f": {finding.count:,} of {finding.total:,} {finding.unit} ({finding.share:.1%})"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        FINDING_WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head]


def _last_line(report: CheckReport) -> str:
    counts = ", ".join(f"{sum(f.severity == s for f in report.findings)} {s}" for s in SEVERITIES)
    step = (
        "next: fix what stops, or accept it in [checks]." if report.stops else "next: `tenure run`."
    )
    return f"{counts}; {step}"
