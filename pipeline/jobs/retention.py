"""What goes because it is old, after each scoring: published rows and pages, replaced versions of
tables, models that nothing can go back to.

Published rows walk `pipeline/kept.py`, as `privacy.py` does for what is removed on request.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.schema import StoreSettings
from pipeline.dashboard.inbox import inbox_of
from pipeline.dashboard.schema import PAGES
from pipeline.jobs.old_models import drop_old_versions
from pipeline.jobs.privacy import is_one_of, kept_table, text_of
from pipeline.jobs.registry import RegisteredModel
from pipeline.kept import INBOX_KEPT, kept_as
from pipeline.ledger import KEPT_STATES, append_run, read_runs, run_rows
from pipeline.storage import Store
from pipeline.workspace import Workspace

READERS_DAYS = 2
"""The longest that a command may go on reading a version that was replaced meanwhile."""


@dataclass(frozen=True)
class Retention:
    """A store and its pages, and for how long what lies there is kept."""

    store: Store
    settings: StoreSettings
    reports: Path
    now: datetime
    clock: Callable[[], datetime]
    """Tells when rows were removed."""

    @classmethod
    def of(cls, workspace: Workspace) -> "Retention":
        """That of a project."""
        return cls(
            workspace.store,
            workspace.project.store,
            workspace.folder / "reports",
            workspace.now,
            workspace.moment,
        )

    def first_kept(self, as_of: pd.Timestamp) -> pd.Timestamp | None:
        """The earliest date of which rows are kept beside a run; None: all are."""
        days = self.settings.keep_runs_days
        return None if days is None else as_of - timedelta(days=days)

    def replayed_from(self) -> pd.Timestamp:
        """The earliest moment of which versions of tables and models are kept."""
        return pd.Timestamp(self.now - timedelta(days=self.settings.replay_days))

    def tidy(self, models: RegisteredModel, target: str, as_of: pd.Timestamp) -> None:
        """Remove what is old beside a run of a target, or of a table's label, just published."""
        self.drop_old_runs(target, as_of)
        drop_old_versions(self.store, models, target, self.replayed_from())
        self.keep_tidy()

    def drop_old_runs(self, target: str, as_of: pd.Timestamp) -> dict[str, int]:
        """Remove what was published of dates more than `[store] keep_runs_days` before a run, in
        tables and as pages; returns rows removed by table.

        The rows of `runs` stay, as `removed`: they say that and when a run was published, and hold
        no account.
        """
        store, first = self.store, self.first_kept(as_of)
        if first is None:
            return {}
        ledger = run_rows(store)
        mine = ledger[(ledger["target"] == target) & ledger["state"].isin(KEPT_STATES)]
        published = store.read(
            "scores", columns=["run_id", "as_of"], filters=[("target", "=", target)]
        )
        old = sorted(
            {run for rows in (mine, published) for run in rows["run_id"][rows["as_of"] < first]}
        )
        removed = {}
        for table in store.tables():
            columns = store.columns(table)
            kept = kept_as(table, tuple(columns))
            conditions = [is_one_of(name, old) for name in kept.runs if old]
            if kept.dated is not None:
                before = pc.field(kept.dated) < pa.scalar(first.to_pydatetime(), pa.timestamp("us"))
                of_target = (
                    is_one_of("target", [target]) if "target" in columns else pc.scalar(True)
                )
                conditions.append(before & of_target)
            if conditions:
                removed[table] = store.erase(table, reduce(or_, conditions))
                if removed[table]:
                    store.give_up_versions(table)
        for page in _old_pages(self.reports / target, old, first):
            page.unlink()
        removed[INBOX_KEPT.table] = inbox_of(self.reports.with_name(PAGES)).forget(
            lambda told: told.entry.at < first, lambda told: False
        )
        note = f"rows removed: older than {self.settings.keep_runs_days} days"
        for run in read_runs(mine[mine["run_id"].isin(old)]):
            at = pd.Timestamp(self.clock())
            append_run(store, replace(run, state="removed", note=note, published_at=at))
        return {name: count for name, count in removed.items() if count}

    def keep_tidy(self) -> None:
        """Remove what no reader needs any more: of tables that are replayed the versions older
        than `[store] replay_days`, of others all but what a command that runs now may be reading.
        Pages that a person asked for go when they are as old.
        """
        store = self.store
        for table in store.tables():
            is_replayed = kept_table(store, table).is_replayed
            days = self.settings.replay_days if is_replayed else READERS_DAYS
            store.keep_versions(table, days)
        oldest = self.replayed_from()
        for page in _single_pages(self.reports):
            if pd.Timestamp(page.stat().st_mtime, unit="s") < oldest:
                page.unlink()


def _single_pages(folder: Path) -> Iterator[Path]:
    """Pages of one account and of earlier dates: a person asked for them, no run draws them."""
    for page in sorted(folder.glob("*/*/**/*")):
        if page.is_file():
            yield page


def _old_pages(folder: Path, runs: Sequence[str], first: pd.Timestamp) -> Iterator[Path]:
    """Pages in folders of earlier dates, and those that name a run that is gone."""
    for page in sorted(folder.rglob("*")):
        if not page.is_file():
            continue
        dates = [part for part in page.relative_to(folder).parts[:-1] if _is_date(part)]
        if any(pd.Timestamp(day) < first for day in dates):
            yield page
        elif runs and any(run in text_of(page) for run in runs):
            yield page


def _is_date(name: str) -> bool:
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}", name) is not None
