"""One small simulated company, run once through the whole flow, and copies of it for tests that
change something.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_company import Answer, Command, Company, quick_training

from pipeline.cli import main
from pipeline.flow import run_flow
from pipeline.jobs import train as train_job
from pipeline.simulate import WorldOptions, simulate, write_world


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """250 customers, run once; read it, never change it."""
    folder = tmp_path_factory.mktemp("company") / "project"
    write_world(
        simulate(
            250, 3, options=WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.35)
        ),
        folder,
    )
    quick_training(folder / "tenure.toml")
    made = Company(folder)
    workspace, target = made.workspace()
    with pytest.MonkeyPatch.context() as patch:
        # The declared anchors put a quarter of so small a company at 0 or 100, which promotion
        # would rightly refuse: here scores that move far with little are wanted.
        patch.setattr(train_job, "FEWEST_IN_PORTFOLIO", 10_000)
        run_flow(workspace, target, lambda step, text: None)
    return made


@pytest.fixture
def company_copy(company: Company, tmp_path: Path) -> Company:
    """The same project in a folder of its own; unchanging Parquet files are shared, all else is
    copied.
    """

    def copy(source: str, target: str) -> None:
        os.link(source, target) if source.endswith(".parquet") else shutil.copy2(source, target)

    shutil.copytree(company.folder, tmp_path / "project", copy_function=copy)
    return replace(company, folder=tmp_path / "project")


@pytest.fixture
def tenure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
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
