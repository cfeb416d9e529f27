"""A small simulated company as a project folder, and what a command answered: used by the
pipeline's fixtures and tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from models.health.scale import HEALTH_BANDS
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.score import PublishedRun, score_target
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import current_run
from pipeline.workspace import Workspace, open_workspace

NOW = datetime(2025, 6, 1, 6)


@dataclass(frozen=True)
class Company:
    """A project folder on which `tenure run` was done."""

    folder: Path

    def workspace(self, now: datetime = NOW) -> tuple[Workspace, Target]:
        """As a command would open it."""
        workspace = open_workspace(self.folder, None, now)
        return workspace, workspace.target(None)

    def published(self, table: str) -> pd.DataFrame:
        """What readers see of a table."""
        workspace, target = self.workspace()
        run = current_run(workspace.store, target.name)
        assert run is not None
        return workspace.store.read(table, filters=[("run_id", "=", run.run_id)])

    def score(self, now: datetime = NOW, *, staged: bool = False) -> PublishedRun:
        """Stage (unless it was) and score once more."""
        workspace, target = self.workspace(now)
        with connected() as connection:
            if not staged:
                stage_sources(workspace, connection)
            return score_target(workspace, connection, target)

    def table(self, name: str) -> pd.DataFrame:
        """A raw table."""
        return pd.read_parquet(self.folder / "data" / f"{name}.parquet")

    def declare(self, source: str, line: str) -> None:
        """Add a line about a source to the project file, once."""
        file, heading = self.folder / "tenure.toml", f"[sources.{source}]\n"
        text = file.read_text()
        assert heading in text
        if f"{heading}{line}\n" not in text:
            file.write_text(text.replace(heading, f"{heading}{line}\n"))

    def replace_table(self, name: str, rows: pd.DataFrame) -> None:
        """Put other rows in the place of a raw table; that they may be fewer is declared."""
        path = self.folder / "data" / f"{name}.parquet"
        if 0 < len(rows) < len(self.table(name)):
            self.declare(name, "fewest_rows = 1")
        path.unlink()  # copies share files
        rows.to_parquet(path, index=False)


def quick_training(file: Path) -> None:
    """The smallest search; what is tested here does not depend on how good the model is."""
    text = (
        file.read_text()
        .replace("trials = 15", "trials = 0\nbags = 1\nmax_trees = 30\nthreads = 1")
        .replace("folds = 4", "folds = 2")
    )
    assert "max_trees" in text and "folds = 2" in text
    # Tests that plan plays declare their own.
    before, _, rest = text.partition("# What can be done with an account.")
    text = f"{before}# A short search{rest.partition('# A short search')[2]}"
    file.write_text(
        text + "\n[scale]\np_at_risk = 0.25\np_healthy = 0.1\n\n[features]\nwindow_days = [28,"
        ' 91]\nmax_kinds = 2\noff = ["engagement", "outcomes", "adoption"]\n'
    )


@dataclass(frozen=True)
class Answer:
    """What a command returned and said."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


def assert_bands_follow_health(
    scores: pd.DataFrame, edges: tuple[int, int], names: Sequence[str] = HEALTH_BANDS
) -> None:
    """Every published row: the band is that of the displayed health, whatever the state; an account
    without a health has none and says why.
    """
    scored = scores[scores["health"].notna()]
    place = np.searchsorted(np.asarray(edges), scored["health"].to_numpy(int), side="left")
    assert scored["band"].tolist() == [names[each] for each in place]
    others = scores[scores["health"].isna()]
    assert others["band"].isna().all() and others["band_reason"].notna().all()
    assert not (others["state"] == "member").any() and not (scored["state"] == "unknown").any()
    assert set(scores["state"]) <= {"member", "notice", "lapsed", "unknown"}
