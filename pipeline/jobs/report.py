"""Draw the pages of a published run from finished tables: portfolio.html, worklist.csv, the model
card.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pandas as pd

from models.declared import COUNTED_IN_WORDS
from models.health import band_table, decided, promises, reads_decisions
from models.health.standing import LEAVING
from models.target_words import TARGET_WORDS
from pipeline.actions.account_rows import (
    ALARM_BANDS,
    AccountRow,
    Fallen,
    ListInputs,
    account_rows,
    list_length,
    to_call,
)
from pipeline.actions.plays import PlannedWorklist
from pipeline.actions.worklist import worklist, write_worklist_csv
from pipeline.artefacts import note_files
from pipeline.chain import shown_head
from pipeline.config.schema import Target
from pipeline.edge.file_names import file_name
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.account_facts import AccountFacts, account_facts, facts_reader
from pipeline.jobs.changes import ScoreChanges
from pipeline.jobs.evaluate import latest_evaluation
from pipeline.jobs.explain import Explained, explain_accounts
from pipeline.jobs.explain_scale import band_edges
from pipeline.jobs.fallen import fallen_accounts
from pipeline.jobs.model_page import leader_limits, target_card, target_words
from pipeline.jobs.outcomes import outcomes_report
from pipeline.jobs.page_file import has_page_file, write_page_file
from pipeline.jobs.pages import (
    ACCOUNTS_FOLDER,
    ALL_ACCOUNTS,
    ALL_ACCOUNTS_CSV,
    CHANGES_PAGE,
    PAGE,
    PATTERNS_PAGE,
    PULSE_PAGE,
    TABLES,
    WORKLIST,
    draw,
    further_page,
    noted_pages,
    with_head,
)
from pipeline.jobs.patterns import PatternReport
from pipeline.jobs.plan_plays import plan_worklist
from pipeline.jobs.pulse import PulseReport
from pipeline.jobs.registry import registered_model
from pipeline.jobs.run_record import CARD, CARD_MD, recorded_pictures
from pipeline.jobs.score import PublishedRun
from pipeline.ledger import current_run
from pipeline.reports.account import account_page
from pipeline.reports.account_charts import account_chart_tables
from pipeline.reports.account_list import account_pages
from pipeline.reports.changes import changes_page
from pipeline.reports.contributions import ContributionInputs
from pipeline.reports.index import IndexInputs, index_page
from pipeline.reports.patterns import pattern_page
from pipeline.reports.portfolio import PortfolioInputs, portfolio_page
from pipeline.reports.portfolio_tables import portfolio_tables
from pipeline.reports.pulse import pulse_page
from pipeline.workspace import Workspace, purpose_of

Briefs = Literal["all", "at-risk", "none"]
"""Which accounts get a page of their own."""
NO_BRIEFS: Briefs = "none"
INDEX = "index.html"
CHARTS = ".csv"
"""Ending of the table behind the pictures of an account's page, which bears the page's name."""
EVERYBODY = "accounts"
"""Name of the table of every account, which stands beside the pages."""
_INDEXED = {
    PAGE: "Whom to work on now, and can I believe it?",
    ALL_ACCOUNTS: "Every account",
    WORKLIST: "The worklist as a table (CSV)",
    CHANGES_PAGE: "What changed since the run before",
    PULSE_PAGE: "What account managers say, and the score",
    PATTERNS_PAGE: "What accounts that left have in common",
    CARD: "Model card: how it was made and tested",
}
"""Pages of a target that the index names."""
_EARLIER_RUNS, _EARLIER_SCORES = 6, 500_000
"""Matured runs on the portfolio page, fewer where they are large; `tenure outcomes` has all."""


@dataclass(frozen=True)
class _Brief:
    """The page of an account, and the numbers behind its pictures."""

    page: str
    charts: pd.DataFrame


def _folder(workspace: Workspace, target: Target, run_id: str, as_of: pd.Timestamp) -> Path:
    """Where the pages of a run stand.

    A run of an earlier date than the one readers see gets a folder of its own: its pages must not
    stand where people look for today's.
    """
    folder = workspace.folder / "reports" / target.name
    current = current_run(workspace.store, target.name)
    if current is not None and current.run_id != run_id:
        folder = folder / f"{as_of:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_reports(
    workspace: Workspace, target: Target, published: PublishedRun, briefs: Briefs = NO_BRIEFS
) -> list[Path]:
    """Write the pages of a run beside the project file; returns their paths.

    Parameters
    ----------
    briefs
        Accounts that get a page of their own: `all`, `none`, or those `at-risk`: at risk, leaving,
        on the one list or fallen suddenly.
    """
    folder = _folder(workspace, target, published.run.run_id, published.run.as_of)
    evaluation = latest_evaluation(workspace, target, published.bundle.model_version)
    if evaluation is None and published.bundle.basis == "scorecard":
        evaluation = latest_evaluation(workspace, target)
    tested = _backtest(workspace, target, published)
    bands = _bands(published, tested)
    inputs = _portfolio_inputs(workspace, target, published, evaluation, tested, bands)
    pictures = (
        None
        if evaluation is None or published.bundle.basis != "calibrated"
        else recorded_pictures(registered_model(workspace, target), evaluation.registered_version)
    )
    card, markdown = target_card(
        workspace, target, published.bundle, evaluation, tested, bands, pictures
    )
    planned = plan_worklist(workspace, target, published)
    inputs = replace(inputs, planned=planned)
    ranked = _worklist(workspace, target, published, planned)
    asked = accounts_with_briefs(workspace, target, published, inputs.fallen, briefs, planned)
    inputs = replace(inputs, pages={account: _address(account) for account in asked})
    tables = portfolio_tables(inputs) | _card_tables(pictures)
    head = shown_head(workspace.store)
    lists = account_pages(inputs, lambda n: ALL_ACCOUNTS if n == 1 else further_page(n))
    first_page = portfolio_page(inputs)
    with _briefs(workspace, target, published, asked) as drawn:
        pages: dict[str, Callable[[Path], None]] = {
            f"{ACCOUNTS_FOLDER}/{_brief_name(account)}": lambda path: _write_brief(
                next(drawn), head, path
            )
            for account in asked
        }
        pages |= {name: partial(_write, with_head(page, head)) for name, page in lists.items()}
        pages |= {
            f"{TABLES}/{name}.csv": partial(write_worklist_csv, table)
            for name, table in tables.items()
            if name != EVERYBODY
        }
        draw(
            folder,
            published.run.run_id,
            pages
            | {
                PAGE: partial(_write, with_head(first_page, head)),
                CARD: partial(_write, with_head(card, head)),
                CARD_MD: partial(_write, markdown),
                WORKLIST: partial(write_worklist_csv, ranked),
                ALL_ACCOUNTS_CSV: partial(write_worklist_csv, tables[EVERYBODY]),
            },
        )
    note_files(workspace, published.run, noted_pages(folder))
    write_index(workspace)
    if has_page_file(workspace, target) and folder.name == target.name:
        page_file = write_page_file(workspace, target, inputs, first_page, card)
        note_files(workspace, published.run, [page_file])
    return [folder / PAGE, folder / WORKLIST, folder / CARD]


def _card_tables(pictures: ContributionInputs | None) -> dict[str, pd.DataFrame]:
    """The tables behind the pictures of the model card; what it shows of chances and outcomes is
    behind the first page, too.
    """
    if pictures is None:
        return {}
    tables = {"what_moves_scores": pictures.strongest, "what_moves_scores_dots": pictures.dots}
    return {name: table for name, table in tables.items() if len(table)}


def run_worklist(workspace: Workspace, target: Target, published: PublishedRun) -> pd.DataFrame:
    """The worklist of a run: in the order of its plays where they are declared."""
    return _worklist(workspace, target, published, plan_worklist(workspace, target, published))


def _worklist(
    workspace: Workspace, target: Target, published: PublishedRun, planned: PlannedWorklist | None
) -> pd.DataFrame:
    if planned is not None:
        return planned.ranked
    return worklist(
        published.scores,
        published.reasons,
        published.portfolio,
        event=TARGET_WORDS[target.kind].verb,
        why=published.why,
        save_share=workspace.project.objective.save_share,
    )


def write_index(workspace: Workspace) -> Path:
    """Write the page that leads to all others; returns its path."""
    reports = workspace.folder / "reports"
    targets = []
    for target in workspace.project.targets:
        run = current_run(workspace.store, target.name)
        links = tuple(
            (quote(f"{target.name}/{name}"), words)
            for name, words in _INDEXED.items()
            if (reports / target.name / name).exists()
        )
        if run is not None and links:
            targets.append(
                IndexInputs(
                    target.name,
                    target_words(target),
                    run.as_of,
                    run.standings,
                    links,
                )
            )
    page = index_page(targets, project=workspace.project.name, now=workspace.now)
    _replace(workspace, reports / INDEX, page)
    return reports / INDEX


def accounts_with_briefs(
    workspace: Workspace,
    target: Target,
    published: PublishedRun,
    fallen: Fallen | None,
    briefs: Briefs,
    planned: PlannedWorklist | None,
) -> list[str]:
    """Accounts that get a page of their own, in the order of the lists."""
    if briefs == "none":
        return []
    rows = _rows(target, published, fallen, planned)
    length = list_length(rows, workspace.project.objective.capacity)
    return [
        row.account_id
        for row in rows
        if briefs == "all"
        or row.standing in (*ALARM_BANDS, LEAVING)
        or row.fall is not None
        or (row.place is not None and row.place <= length)
    ]


@contextmanager
def _briefs(
    workspace: Workspace, target: Target, published: PublishedRun, accounts: Sequence[str]
) -> Iterator[Iterator[_Brief]]:
    """Pages of single accounts, each drawn when it is asked for: all of a large company would not
    fit in memory.
    """
    if not accounts:
        yield iter(())
        return
    as_of = published.run.as_of
    with facts_reader(workspace, accounts, as_of) as read:
        yield (
            _brief(workspace, target, explained, read(account), f"../{PAGE}")
            for account, explained in zip(
                accounts,
                explain_accounts(workspace, target, accounts, as_of.date()),
                strict=True,
            )
        )


def _brief_name(account: str) -> str:
    return file_name(account, ".html")


def _address(account: str) -> str:
    """Where the first page finds an account's own; a name of a file may hold percent signs."""
    return quote(f"{ACCOUNTS_FOLDER}/{_brief_name(account)}")


def first_to_call(workspace: Workspace, target: Target, published: PublishedRun) -> str | None:
    """The account that the one list begins with; None where there is nobody to call."""
    planned = plan_worklist(workspace, target, published)
    return next((row.account_id for row in to_call(_rows(target, published, None, planned))), None)


def _rows(
    target: Target,
    published: PublishedRun,
    fallen: Fallen | None,
    planned: PlannedWorklist | None,
) -> tuple[AccountRow, ...]:
    return account_rows(
        ListInputs(
            scores=published.scores,
            drivers=published.reasons,
            portfolio=published.portfolio,
            verb=TARGET_WORDS[target.kind].verb,
            why=published.why,
            fallen=fallen,
            planned=None if planned is None else planned.ranked,
        )
    )


def _portfolio_inputs(
    workspace: Workspace,
    target: Target,
    published: PublishedRun,
    evaluation: VersionEvaluation | None,
    tested: pd.DataFrame,
    bands: pd.DataFrame,
) -> PortfolioInputs:
    edges = (published.bundle.scale.at_risk_until, published.bundle.scale.stable_until)
    is_scorecard = published.bundle.basis == "scorecard"
    prior = None if evaluation is None or is_scorecard else evaluation.prior
    return PortfolioInputs(
        scores=published.scores,
        drivers=published.reasons,
        why=published.why,
        portfolio=published.portfolio,
        run=published.run,
        backtest=tested,
        test=None if evaluation is None else evaluation.test,
        band_table=bands,
        source_freshness=_freshness(published),
        previous_counts=published.previous_counts,
        objective=replace(
            workspace.project.objective, purpose=purpose_of(workspace.project, target)
        ),
        now=workspace.now,
        project=workspace.project.name,
        target_kind=target.kind,
        target_words=target_words(target),
        names=_former_names(workspace),
        limits=(
            *leader_limits(published.bundle),
            *_scored_without(published.scores),
            *(f"The bands fit badly: {each}" for each in published.scale_problems),
        ),
        ranges=promises(tested, edges=edges),
        edges=edges,
        earlier=outcomes_report(
            workspace, target, on=published.run.as_of, newest=_earlier_runs(published)
        ),
        counted=COUNTED_IN_WORDS.get(str(published.bundle.facts.counted), ""),
        level_in_test="" if prior is None else prior.warning(TARGET_WORDS[target.kind].past) or "",
        fallen=fallen_accounts(workspace, target, published),
    )


def _scored_without(scores: pd.DataFrame) -> Iterator[str]:
    """How many accounts a model that does without a source speaks for."""
    if "without" in scores:
        for source, n in scores["without"].value_counts().items():
            who = "1 account was" if n == 1 else f"{n:,} accounts were"
            yield (
                f"{who} scored without {str(source).replace('_', ' ')}, which came too late, by a"
                " model of its own that reads the other sources."
            )


def write_changes_page(workspace: Workspace, target: Target, changes: ScoreChanges) -> Path:
    """Write the page of what moved between two runs; returns its path."""
    folder = workspace.folder / "reports" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(
        workspace,
        folder / CHANGES_PAGE,
        changes_page(changes, project=workspace.project.name, now=workspace.now),
    )
    note_files(workspace, changes.after, [folder / CHANGES_PAGE])
    write_index(workspace)
    return folder / CHANGES_PAGE


def write_pulse_page(workspace: Workspace, target: Target, report: PulseReport) -> Path:
    """Write the page of pulse and score; returns its path."""
    folder = _folder(workspace, target, report.run.run_id, report.run.as_of)
    _replace(
        workspace,
        folder / PULSE_PAGE,
        pulse_page(
            report,
            horizon_days=target.horizon_days,
            project=workspace.project.name,
            now=workspace.now,
        ),
    )
    write_index(workspace)
    return folder / PULSE_PAGE


def write_pattern_page(workspace: Workspace, target: Target, report: PatternReport) -> Path:
    """Write the page of patterns; returns its path."""
    folder = workspace.folder / "reports" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(workspace, folder / PATTERNS_PAGE, pattern_page(report, now=workspace.now))
    write_index(workspace)
    return folder / PATTERNS_PAGE


def write_account_page(workspace: Workspace, target: Target, explained: Explained) -> Path:
    """Write the brief of one account; returns its path. Ids may hold any character and be of any
    length.
    """
    folder = (
        _folder(workspace, target, explained.score["run_id"], explained.score["as_of"])
        / ACCOUNTS_FOLDER
    )
    folder.mkdir(exist_ok=True)
    account = str(explained.score["account_id"])
    path = folder / _brief_name(account)
    facts = account_facts(workspace, account, explained.score["as_of"])
    first_page = f"../{PAGE}" if (folder.parent / PAGE).exists() else ""
    brief = _brief(workspace, target, explained, facts, first_page)
    aside = path.with_name(f".{path.name}")
    _write_brief(brief, shown_head(workspace.store), aside)
    aside.with_suffix(CHARTS).replace(path.with_suffix(CHARTS))
    aside.replace(path)
    return path


def _write_brief(brief: _Brief, head: str, path: Path) -> None:
    """The page, and beside it the numbers behind its pictures."""
    _write(with_head(brief.page, head), path)
    write_worklist_csv(brief.charts, path.with_suffix(CHARTS))


def _brief(
    workspace: Workspace, target: Target, explained: Explained, facts: AccountFacts, first_page: str
) -> _Brief:
    page = account_page(
        explained,
        horizon_days=target.horizon_days,
        verb=TARGET_WORDS[target.kind].verb,
        edges=band_edges(workspace),
        project=workspace.project.name,
        now=workspace.now,
        facts=facts,
        first_page=first_page,
    )
    return _Brief(page, account_chart_tables(explained, facts))


def _replace(workspace: Workspace, path: Path, page: str) -> None:
    """Write aside, then swap: a reader never sees half a page."""
    aside = path.with_name(f".{path.name}")
    _write(with_head(page, shown_head(workspace.store)), aside)
    aside.replace(path)


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _backtest(workspace: Workspace, target: Target, published: PublishedRun) -> pd.DataFrame:
    empty = pd.DataFrame(
        columns=["account_id", "as_of", "label", "probability", "health", "band", "left_at"]
    )
    if published.bundle.basis == "scorecard" or not workspace.store.exists("backtest"):
        return empty
    rows = workspace.store.read("backtest", filters=[("target", "=", target.name)])
    return rows[rows["model_version"] == published.bundle.model_version].drop(
        columns=["target", "model_version"]
    )


def _earlier_runs(published: PublishedRun) -> int:
    return max(1, min(_EARLIER_RUNS, _EARLIER_SCORES // len(published.scores)))


def _former_names(workspace: Workspace) -> dict[str, str]:
    """Names of all accounts ever listed, so that those that left are not told by their keys."""
    name = workspace.source_named("accounts")
    if name is None or not workspace.store.exists(f"staged_{name}"):
        return {}
    rows = workspace.store.read(
        f"staged_{name}", columns=["account_id", "name", "known_from"]
    ).dropna(subset=["name"])
    newest = rows.sort_values(["known_from", "name"], kind="stable").drop_duplicates(
        "account_id", keep="last"
    )
    return dict(zip(newest["account_id"], newest["name"], strict=True))


def _bands(published: PublishedRun, tested: pd.DataFrame) -> pd.DataFrame:
    if published.bundle.basis == "scorecard":
        return pd.DataFrame()
    if tested.empty:
        scores = published.scores
        at_decision = "probability_at_decision" if reads_decisions(scores) else "probability"
        probability = scores[at_decision].dropna()
        return (
            band_table(published.bundle.scale, probability.to_numpy())
            if len(probability)
            else pd.DataFrame()
        )
    shown = decided(tested)
    return band_table(
        published.bundle.scale, shown["probability"].to_numpy(), shown["label"].to_numpy()
    )


def _freshness(published: PublishedRun) -> pd.DataFrame:
    rows = [
        {
            "source": s.source,
            "newest_known": s.newest_known,
            "rows": s.rows,
            "share": published.covered.get(s.source, float("nan")),
            "note": s.problem,
        }
        for s in published.freshness
    ]
    return pd.DataFrame(rows, columns=["source", "newest_known", "rows", "share", "note"])
