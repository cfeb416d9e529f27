"""One small simulated company, run once through the whole flow, and copies of it for tests that change something."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from pipeline.cli import main
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.run import run_flow
from pipeline.jobs.score import PublishedRun, score_target
from pipeline.jobs.stage import stage_sources
from pipeline.ledger import current_run
from pipeline.simulate import WorldOptions, simulate, write_world
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
        return workspace.store.read(table, filters=[("run_id", "=", run["run_id"])])

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

    def replace_table(self, name: str, rows: pd.DataFrame) -> None:
        """Put other rows in the place of a raw table."""
        path = self.folder / "data" / f"{name}.parquet"
        path.unlink()  # copies share files
        rows.to_parquet(path, index=False)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """250 customers, run once; read it, never change it."""
    folder = tmp_path_factory.mktemp("company") / "project"
    write_world(simulate(250, 3, options=WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.35)), folder)
    quick_training(folder / "tenure.toml")
    made = Company(folder)
    workspace, target = made.workspace()
    run_flow(workspace, target, lambda step, text: None)
    return made


def quick_training(file: Path) -> None:
    """The smallest search; what is tested here does not depend on how good the model is."""
    text = (
        file.read_text()
        .replace("trials = 15", "trials = 0\nbags = 1\nmax_trees = 30\nthreads = 1")
        .replace("folds = 4", "folds = 2")
    )
    assert "max_trees" in text and "folds = 2" in text
    file.write_text(
        text + "\n[scale]\np_at_risk = 0.1\np_healthy = 0.03\n\n[features]\nwindow_days = [28, 91]\nmax_kinds = 2\n"
        'off = ["engagement", "outcomes", "adoption"]\n'
    )


@pytest.fixture
def company_copy(company: Company, tmp_path: Path) -> Company:
    """The same project in a folder of its own; unchanging Parquet files are shared, all else is copied."""

    def copy(source: str, target: str) -> None:
        os.link(source, target) if source.endswith(".parquet") else shutil.copy2(source, target)

    shutil.copytree(company.folder, tmp_path / "project", copy_function=copy)
    return replace(company, folder=tmp_path / "project")


@dataclass(frozen=True)
class Answer:
    """What a command returned and said."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def tenure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run the console command in this process: `tenure("score", "--project", folder)`."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["tenure", *(str(a) for a in arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    yield run
