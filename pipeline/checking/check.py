"""The check as a whole: facts of sources, all questions, and the refusal to train."""

from collections.abc import Iterable
from datetime import date

from features.errors import ConfigError, GateRefused, LeakageError
from models.target_words import TARGET_WORDS
from pipeline.checking.clocks import clock_findings
from pipeline.checking.deletion import deletion_findings
from pipeline.checking.evidence import Evidence, make_accounts
from pipeline.checking.exports import export_findings
from pipeline.checking.facts import source_checks
from pipeline.checking.leaks import leak_findings
from pipeline.checking.leavers import count_leavers
from pipeline.checking.merges import merge_findings
from pipeline.checking.objective import objective_findings
from pipeline.checking.questions import QUESTIONS, question_findings
from pipeline.checking.repeats import repeat_findings
from pipeline.checking.report import SEVERITIES, CheckReport, Finding
from pipeline.checking.rewritten import rewritten_findings
from pipeline.checking.tables import table_findings
from pipeline.checking.timing import timing_findings
from pipeline.checking.units import unit_findings
from pipeline.checking.value import value_findings
from pipeline.config.checks import nearest
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, rows
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.staging.asking.question import sentence
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

# Training itself stops on this one, with the exit code of a wrong date.
SAID_BY_TRAINING = ("no-labels",)
# Numbers that are not what they say; every other refusal is of what cannot be known at the time.
WRONG_NUMBERS = ("answers-off-scale", "unit-changed", *QUESTIONS)
FINDINGS = frozenset(
    {
        "bad-rows",
        "negative-amounts",
        "duplicate-ids",
        "identical-rows",
        "stale-source",
        "feed-silent",
        "label-feed-silent",
        "several-feeds",
        "contracts-end-early",
        "overlapping-subscriptions",
        "nobody-ever-ended",
        "assumed-clock",
        "before-sign-up",
        "before-own-subscription",
        "after-own-subscription",
        "before-first-subscription",
        "after-end-of-cover",
        "ids-missing-from-accounts",
        "leavers-missing-from-accounts",
        "empty-only-for-leavers",
        "filled-only-for-leavers",
        "attributes-without-history",
        "flag-disagrees",
        "flag-tells-outcome",
        "outcome-log-disagrees",
        "outcome-columns-mapped",
        "outcome-words",
        "no-labels",
        "no-test-leavers",
        "interval-to-expect",
        "leaving-rate-jumps",
        "dates-without-labels",
        "leavers-never-labelled",
        "cannot-leave-inside-horizon",
        "term-never-labelled",
        "clock-repeats-another",
        "value-before-its-clock",
        "known-only-since-load",
        "known-before-it-happened",
        "ends-known-too-early",
        "value-tells-outcome",
        "only-leavers-have-it",
        "identifier-mapped",
        "future-moves-a-signal",
        "merged-still-covered",
        "answers-off-scale",
        "unit-changed",
        "unknown-words",
        "few-accounts-in-common",
        "filled-apart",
        "value-goes-with-leaving",
        "value-never-changes",
        "total-on-every-row",
        "set-at-closing",
        "objective-not-stated",
        "no-value",
        "value-unknown",
        *QUESTIONS,
    }
)


def check_sources(
    workspace: Workspace,
    connection: Connection,
    target: Target | None = None,
    *,
    restage: bool = True,
) -> CheckReport:
    """Every fact and question about the sources of a project, for one target.

    Sources staged earlier in the same connection are not read again.

    Parameters
    ----------
    target
        Default: the project's first. Leavers, horizon and who has left follow it.
    restage
        False: ask of what was staged last, as training on features in the store does.

    Raises
    ------
    ContractError
        A source cannot be staged at all.
    ConfigError
        `[checks] accept` names no finding.
    """
    _refuse_unknown_waivers(workspace)
    if not _is_staged(workspace, connection) and (
        restage or not workspace.store.exists("staged_sources")
    ):
        stage_sources(workspace, connection)
    staged = load_staged(workspace, connection)
    chosen = target or workspace.target(None)
    evidence = Evidence(workspace, connection, staged, chosen, _end(staged.values()))
    make_accounts(evidence)
    leavers = count_leavers(evidence)
    findings = [
        *question_findings(evidence),
        *export_findings(evidence),
        *leavers.findings,
        *timing_findings(evidence),
        *table_findings(evidence),
        *clock_findings(evidence),
        *leak_findings(evidence),
        *deletion_findings(evidence),
        *rewritten_findings(evidence),
        *objective_findings(evidence),
        *merge_findings(evidence),
        *value_findings(evidence),
        *unit_findings(evidence),
    ]
    if restage:  # what was staged last may have lost its files
        findings += repeat_findings(evidence)
    return CheckReport(
        project=workspace.project.name,
        target=chosen.name,
        data_end=evidence.end,
        accounts_of="the accounts table" if evidence.first("accounts") else "all sources",
        sources=source_checks(evidence),
        findings=tuple(sorted(findings, key=_gravest_first)),
        dates=leavers.dates,
        folds=leavers.folds,
        past=TARGET_WORDS[chosen.kind].past,
        test_leavers=leavers.test_leavers,
        auc_half_width=leavers.auc_half_width,
        accepted=dict(workspace.project.checks.accept),
    )


def refuse_training(report: CheckReport, *, is_trained: bool = True) -> None:
    """Stop where a model would learn from the future, from survivors only, or from numbers in two
    units.

    Parameters
    ----------
    is_trained
        Whether a training follows, which stops on dates without labels by itself.

    Raises
    ------
    LeakageError
        A finding of severity stop was not accepted with a reason; all of them are told.
    GateRefused
        As above, where none of them is a leak.
    """
    stops = [f for f in report.stops if f.name not in SAID_BY_TRAINING]
    if not stops:
        if report.stops and not is_trained:
            listing = ", ".join(f.name for f in report.stops)
            raise GateRefused(f"the check found what stops a training: {listing}; see above.")
        return
    listing = "\n".join(
        f"- {f.name}{f' ({f.source})' if f.source else ''}: {sentence(f.what)}"
        f" {_such_as(f)}{f.todo}"
        for f in stops
    )
    waived = "\n".join(
        f'"{name}" = "why it does no harm"'
        for name in dict.fromkeys(f"{f.name}/{f.source}" if f.source else f.name for f in stops)
    )
    leaks = [f for f in stops if f.name not in WRONG_NUMBERS]
    taught = [
        *(["what it cannot know at the time"] if leaks else []),
        *(["numbers that are not what they say"] if len(leaks) < len(stops) else []),
    ]
    raise (LeakageError if leaks else GateRefused)(
        f"training is refused: {len(stops)} finding{'s' if len(stops) > 1 else ''} about the"
        f" sources would teach a model {' and '.join(taught)}.\n{listing}\nFix the sources, or, if"
        " you know better, accept a finding and give the reason. Lines for"
        f" tenure.toml:\n[checks.accept]\n{waived}"
    )


def _such_as(finding: Finding) -> str:
    """Of a leak, the row that shows it."""
    return f"Such as {finding.examples[0]}. " if finding.column and finding.examples else ""


def _gravest_first(finding: Finding) -> tuple[int, str, str]:
    return SEVERITIES.index(finding.severity), finding.name, finding.source


def _refuse_unknown_waivers(workspace: Workspace) -> None:
    for key in workspace.project.checks.accept:
        name, _, source = key.partition("/")
        if name not in FINDINGS:
            raise ConfigError(
                f'[checks] accept names "{name}", which is no finding{nearest(name, FINDINGS)} '
                f"Findings: {', '.join(sorted(FINDINGS))}."
            )
        if source and source not in workspace.project.sources:
            raise ConfigError(
                f'[checks] accept names "{key}", but "{source}" is no source'
                f"{nearest(source, workspace.project.sources)}"
            )


def _is_staged(workspace: Workspace, connection: Connection) -> bool:
    tables = {
        name for (name,) in rows(connection, "select table_name from information_schema.tables")
    }
    return all(
        f"{kind}_{name}" in tables
        for name in workspace.project.sources
        for kind in ("staged", "quarantine")
    )


def _end(staged: Iterable[StagedSource]) -> date:
    """The first day that no source covers any more."""
    ends = [until for source in staged for until in source.data_until.values()]
    return max(ends) if ends else date(1970, 1, 1)
