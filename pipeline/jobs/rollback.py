"""Go back to an earlier run, whole: the ledger, then every page that shows a current run."""

import contextlib
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.errors import ChurnError, NotFound
from features.windows import day_number
from models.drivers import account_reasons
from pipeline.actions.worklist import largest_reasons
from pipeline.config.schema import Target
from pipeline.edge.file_names import file_name
from pipeline.engine.duckdb import connected
from pipeline.jobs.changes import find_changes
from pipeline.jobs.driver_rows import read_drivers
from pipeline.jobs.explain import explain_account
from pipeline.jobs.freshness import SourceState, covered_shares, freshness
from pipeline.jobs.pages import ACCOUNTS_FOLDER, CHANGES_PAGE, PULSE_PAGE, set_aside
from pipeline.jobs.past_runs import past_bundle, past_project, past_workspace
from pipeline.jobs.pulse import pulse_report
from pipeline.jobs.registry import load_version
from pipeline.jobs.report import (
    write_account_page,
    write_changes_page,
    write_pulse_page,
    write_reports,
)
from pipeline.jobs.score import PublishedRun
from pipeline.jobs.stage import load_staged
from pipeline.ledger import (
    RunRow,
    chosen_run,
    current_run,
    roll_back,
    run_before,
    run_history,
    run_rows,
)
from pipeline.published import read_scores
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class RolledBack:
    """What readers see again, and what became of the pages."""

    run: RunRow
    superseded: tuple[str, ...]
    pages: tuple[Path, ...]
    """Drawn again."""
    removed: tuple[Path, ...]
    """Pages of a run that was taken back which nothing in the run before can fill."""
    model_in_use: str | None
    """The model that scores the next date, where the run that readers see is of another."""


def roll_back_run(workspace: Workspace, run_id: str) -> RolledBack:
    """Make an earlier run the current one of its target, and draw its pages from the store.

    Raises
    ------
    NotFound
        There is no such run, or its model is gone: nothing is changed then.
    """
    run = chosen_run(workspace.store, run_id)
    target = workspace.target(run.target)
    published = published_again(workspace, target, run)
    pages = _Pages(workspace, target, workspace.folder / "reports" / target.name)
    briefs = sorted((pages.folder / ACCOUNTS_FOLDER).glob("*.html"))
    set_aside(pages.folder)
    superseded = roll_back(workspace.store, run.run_id, workspace.moment())
    drawn = write_reports(workspace, target, published)
    pages.drawn += drawn
    pages.draw_single_pages()
    pages.draw_accounts(published.scores["account_id"], briefs)
    runs = run_rows(workspace.store)
    taken_back = runs["run_id"][(runs["target"] == target.name) & (runs["state"] == "superseded")]
    # Not only those of this call: one that was killed after the ledger was written is gone on with.
    pages.draw_dated_folders([*taken_back])
    in_use = load_version(workspace, target, CHAMPION)
    return RolledBack(
        run=run,
        superseded=tuple(superseded),
        pages=tuple(pages.drawn),
        removed=tuple(pages.removed),
        model_in_use=None
        if in_use is None or in_use.bundle.model_version == run.model_version
        else in_use.bundle.model_version,
    )


def published_again(workspace: Workspace, target: Target, run: RunRow) -> PublishedRun:
    """A published run as `score` returned it, read from the store.

    Raises
    ------
    NotFound
        The run's model is not registered any more.
    """
    bundle = past_bundle(workspace, target, run)
    store, mine = workspace.store, [("run_id", "=", run.run_id)]
    scores = read_scores(store, mine)
    drivers = read_drivers(store, mine)
    states, covered = _freshness(workspace, run, scores)
    before = run_before(store, run)
    return PublishedRun(
        run=run,
        scores=scores,
        reasons=largest_reasons(drivers, good_event=bundle.scale.good_event).drop(columns="place"),
        why=account_reasons(drivers),
        portfolio=store.read("portfolio", filters=mine),
        freshness=states,
        covered=covered,
        previous_counts=None if before is None else before.standings,
        shift=None,
        bundle=bundle,
    )


def _freshness(
    workspace: Workspace, run: RunRow, scores: pd.DataFrame
) -> tuple[tuple[SourceState, ...], dict[str, float]]:
    """How fresh the sources were, by the tables that the run read; by today's where those are
    gone.
    """
    with _sources_of(workspace, run) as past, connected() as connection:
        staged = load_staged(past, connection)
        asked = scores[["account_id"]].assign(as_of_day=day_number(run.day))
        connection.register("snapshots", asked)
        return freshness(connection, staged, run.day), covered_shares(connection, staged, run.day)


@contextmanager
def _sources_of(workspace: Workspace, run: RunRow) -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory() as aside:
        try:
            project = past_project(workspace, run)
            past = past_workspace(workspace, project, run.staged, Path(aside))
        # Better today's freshness than no page: versions of old tables are removed after a while.
        except NotFound:
            past = workspace
        yield past


@dataclass
class _Pages:
    """The pages of a target: each is drawn for the run that readers see now, or goes."""

    workspace: Workspace
    target: Target
    folder: Path

    def __post_init__(self) -> None:
        self.drawn: list[Path] = []
        self.removed: list[Path] = []

    def draw_single_pages(self) -> None:
        """Pages that a command draws when asked, where they stand."""
        workspace, target = self.workspace, self.target
        if (self.folder / PULSE_PAGE).exists():
            with self._drawing(self.folder / PULSE_PAGE):
                write_pulse_page(workspace, target, pulse_report(workspace, target))
        if (self.folder / CHANGES_PAGE).exists():
            with self._drawing(self.folder / CHANGES_PAGE):
                write_changes_page(workspace, target, find_changes(workspace, target))

    def draw_accounts(self, accounts: "pd.Series[str]", briefs: Sequence[Path]) -> None:
        """The pages of single accounts that stood there."""
        names = {file_name(account, ".html"): account for account in accounts}
        for page in briefs:
            with self._drawing(page):
                if page.name not in names:
                    raise NotFound(f"{page.name} is of no account in this run.")
                explained = explain_account(
                    self.workspace, self.target, names[page.name], ask_model=True
                )
                write_account_page(self.workspace, self.target, explained)

    def draw_dated_folders(self, taken_back: Collection[str]) -> None:
        """Folders of earlier dates that show a run taken back: of the run that readers see of that
        date now, or none.
        """
        runs = run_history(self.workspace.store, self.target.name).drop(columns="marker")
        current = current_run(self.workspace.store, self.target.name)
        for folder in sorted(p for p in self.folder.glob("????-??-??") if p.is_dir()):
            texts = [page.read_text(encoding="utf-8") for page in folder.rglob("*.html")]
            if not any(run_id in text for text in texts for run_id in taken_back):
                continue
            shutil.rmtree(folder)
            self.removed.append(folder)
            dated = runs[runs["as_of"] == pd.Timestamp(folder.name)]
            if dated.empty:
                continue
            run = RunRow.of(dated.iloc[-1].to_dict())
            if current is not None and run.run_id == current.run_id:
                continue  # it stands in the main folder
            with contextlib.suppress(NotFound):  # its model is gone: better no page than another's
                published = published_again(self.workspace, self.target, run)
                self.drawn += write_reports(self.workspace, self.target, published)

    @contextmanager
    def _drawing(self, page: Path) -> Iterator[None]:
        """A page that cannot be drawn for this run goes: it would show the one taken back."""
        try:
            yield
        except ChurnError:
            page.unlink(missing_ok=True)
            self.removed.append(page)
        else:
            self.drawn.append(page)
