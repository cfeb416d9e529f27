"""Questions that staging found open on the rows of a source, as findings that stop."""

from collections.abc import Iterator, Mapping

from pipeline.checking.cut_off import cut_off_findings
from pipeline.checking.evidence import Evidence, view
from pipeline.checking.report import Finding, Severity
from pipeline.staging.asking import (
    Question,
    TimesInSource,
    dated_column,
    day_zeros_between,
    questions_between,
    thin_overlaps,
)
from pipeline.staging.staged import StagedSource

# Every question there is; `[checks] accept` may name each.
QUESTIONS = (
    "open-ends",
    "starts-not-read",
    "ends-not-read",
    "ends-on-last-day",
    "request-taken-for-end",
    "trial-inside-the-row",
    "never-active",
    "never-happened",
    "ended-without-an-end",
    "thousands-or-decimals",
    "minor-units",
    "debit-or-credit",
    "terms-without-payment",
    "amounts-below-zero",
    "currencies-mixed",
    "day-or-month",
    "times-rounded",
    "day-zero-of-numbers",
    "units-of-moments",
    "epochs-of-a-clock",
    "ids-rounded",
    "several-ids-in-a-cell",
    "ids-in-two-writings",
    "no-account-in-common",
    "rows-under-one-id",
    "every-row-twice",
    "parts-overlap",
    "totals-of-a-month",
    "rows-cut-off",
    "losses-in-few-accounts",
)


def question_findings(evidence: Evidence) -> Iterator[Finding]:
    """A finding of severity stop for each question that no line of the project file answers."""
    asked = [question for source in evidence.staged.values() for question in source.questions]
    accounts = evidence.first("accounts")
    relations = {name: view(source) for name, source in evidence.staged.items()}
    lists = accounts.name if accounts is not None else None
    asked += questions_between(evidence.connection, relations, lists)
    asked += day_zeros_between(evidence.connection, _dated(evidence.staged))
    yield from (_finding(question, "stop") for question in asked)
    yield from (
        _finding(question, "warn")
        for question in thin_overlaps(evidence.connection, relations, lists)
    )
    yield from cut_off_findings(evidence)


def _dated(staged: Mapping[str, StagedSource]) -> dict[str, TimesInSource]:
    found = {}
    for name, source in staged.items():
        times = dated_column(source.settings, {c for c in source.columns if source.is_mapped(c)})
        if times is not None:
            # The views that checks read hold times as microseconds.
            relation = f"(SELECT make_timestamp({times}) AS t FROM {view(source)})"
            found[name] = TimesInSource(source.settings, times, relation)
    return found


def _finding(question: Question, severity: Severity) -> Finding:
    return Finding(
        question.name,
        severity,
        question.source,
        question.words,
        question.next_step,
        question.count,
        question.total,
        question.unit,
        question.examples,
    )
