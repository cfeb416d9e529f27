"""A project does not grow without end: the same inputs train nothing new, and what nobody can go
back to any more goes.
"""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from attack_run import run_command
from tiny_company import SECOND, linked, opened, staying_account

from pipeline.jobs.registry import registered_model, registered_table

DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture
def project(tiny_company: Path, tmp_path: Path) -> Path:
    """A copy of the tiny company."""
    return linked(tiny_company, tmp_path / "project")


def versions(folder: Path) -> list[str]:
    models = registered_model(*opened(folder))
    return sorted(
        str(each.version) for each in models.tracker.search_model_versions(f"name='{models.name}'")
    )


def files(folder: Path) -> set[str]:
    """Every file, but for those of databases and the lock."""
    return {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.startswith(("mlflow.db", ".lock"))
    }


def done(folder: Path, *command: str) -> str:
    answer = run_command(*command, "--project", folder)
    assert answer.code == 0, (command, answer.err)
    return answer.said


def test_the_same_inputs_train_nothing_new(project: Path) -> None:
    before, judged = files(project / "mlruns"), len(opened(project)[0].store.read("evaluations"))

    assert "nothing changed since version 1" in done(project, "train")
    said = done(project, "run")

    assert "nothing changed since version 1" in said and "the model in use stays" in said
    assert versions(project) == ["1"] and files(project / "mlruns") == before
    assert len(opened(project)[0].store.read("evaluations")) == judged

    file = project / "tenure.toml"
    file.write_text(file.read_text().replace("max_trees = 10", "max_trees = 11"))
    assert "nothing changed" not in done(project, "train")
    assert versions(project) == ["1", "2"]
    assert "nothing changed" not in done(project, "train", "--again")
    assert versions(project) == ["1", "2", "3"]


def _older_by(folder: Path, days: int) -> None:
    """As if everything MLflow recorded had been recorded earlier."""
    with closing(sqlite3.connect(folder / "mlruns" / "mlflow.db")) as database, database:
        for table, column in (("model_versions", "creation_time"), ("runs", "start_time")):
            database.execute(f"update {table} set {column} = {column} - {days * DAY_MS}")


def test_models_and_pages_that_nobody_goes_back_to_go(project: Path) -> None:
    before = files(project / "mlruns")
    done(project, "train", "--again")
    second = files(project / "mlruns") - before
    done(project, "train", "--again")
    third = files(project / "mlruns") - before - second
    page = Path(done(project, "explain", staying_account(project), "--page").strip())
    dated = page.parent.parent / SECOND / page.parent.name / page.name
    assert page.exists() and dated.exists()
    _older_by(project, 80)
    done(project, "score")
    assert versions(project) == ["1", "2", "3"], "replay_days is 90"

    _older_by(project, 20)
    old = time.time() - 100 * 24 * 3600
    os.utime(dated, (old, old))
    done(project, "score")

    # The one in use and the candidate stay, and with them their runs.
    assert versions(project) == ["1", "3"]
    left = files(project / "mlruns")
    assert before <= left and third <= left and not second & left
    # A brief of the run before goes with its run's pages, the dated one when it is old enough.
    assert not page.exists() and not dated.exists()
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        (runs,) = database.execute("select count(*) from runs where name like 'train%'").fetchone()
    assert runs == 2
    for command in (("explain", staying_account(project)), ("replay", SECOND), ("evaluate",)):
        done(project, *command)


def test_a_table_does_not_grow_either(tmp_path: Path) -> None:
    """Unchanged rows train nothing, and old models of a label go when a table is scored."""
    table, project = tmp_path / "accounts.csv", tmp_path / "project"
    project.mkdir()
    random = np.random.default_rng(3)
    logins = random.poisson(8, 600)
    left = random.random(600) < 1 / (1 + np.exp(0.4 * logins - 2))
    ids = [f"a{n}" for n in range(600)]
    rows = pd.DataFrame({"id": ids, "logins": logins, "left": left.astype(int)})
    train = ("table", "train", str(table), "--label", "left", "--account", "id", "--trials", "0")
    models = registered_table(project, None, "left")

    def numbers() -> list[str]:
        found = models.tracker.search_model_versions(f"name='{models.name}'")
        return sorted(str(each.version) for each in found)

    rows.iloc[:500].to_csv(table, index=False)
    assert "nothing changed" not in done(project, *train)
    first = files(project / "mlruns")
    assert "nothing changed since version 1" in done(project, *train)
    rows.to_csv(table, index=False)
    assert "nothing changed" not in done(project, *train)
    second = files(project / "mlruns") - first
    assert "nothing changed" not in done(project, *train, "--again")
    assert numbers() == ["1", "2", "3"]
    done(project, "table", "promote", "--label", "left", "--acknowledge", "small")
    _older_by(project, 100)
    done(project, "table", "score", str(table), "--label", "left")

    # Version 2 is the same model as 3, which scored: it stays, 1 goes.
    assert numbers() == ["2", "3"]
    assert second <= files(project / "mlruns") and not first & files(project / "mlruns")


def test_a_run_whose_rows_are_gone_says_so(project: Path) -> None:
    file = project / "tenure.toml"
    file.write_text(file.read_text() + "\n[store]\nkeep_runs_days = 10\n")
    done(project, "score")
    runs = opened(project)[0].store.read("runs")
    (second,) = runs.loc[runs["as_of"] == pd.Timestamp(SECOND), "run_id"].unique()

    listed = done(project, "runs")
    assert "removed" in listed and "rows removed: older than 10 days" in listed
    for command, words in (
        (("rollback", second, "--yes"), "its rows are gone ([store] keep_runs_days)"),
        (("rollback", "none", "--yes"), "removed (rows removed: older than 10 days)"),
    ):
        answer = run_command(*command, "--project", project)
        assert answer.code == 2 and words in answer.err, answer.err
