"""A copied project is self-contained: what is done in the copy leaves the original as it was."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from small_company import Command, Company

from features.errors import StoreError
from pipeline.tracking import client, experiment_id, settle

TABLE = pd.DataFrame(
    {
        "account": [f"a{i:03}" for i in range(400)],
        "logins": [i % 40 for i in range(400)],
        "left": [int(i % 40 < 12 and i % 3 > 0) for i in range(400)],
    }
)


def bytes_of(folder: Path) -> dict[str, str]:
    """Every file below a folder, by what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def copy_of(company: Company, folder: Path) -> Path:
    """What `cp -r` makes of a project."""
    return Path(shutil.copytree(company.folder, folder / "copy"))


def test_training_in_a_copy_does_not_write_into_the_original(
    company: Company, tmp_path: Path, tenure: Command
) -> None:
    before = bytes_of(company.folder)
    copy = copy_of(company, tmp_path)
    TABLE.to_csv(tmp_path / "left.csv", index=False)
    for command in (
        ("table", "train", tmp_path / "left.csv", "--label", "left", "--account", "account"),
        ("train", "--again"),
        ("evaluate",),
    ):
        answer = tenure(*command, "--project", copy)
        assert answer.code in (0, 3), answer.err
    assert bytes_of(company.folder) == before
    trained = {p.name for p in (copy / "mlruns/artifacts/models").iterdir()}
    assert len(trained) > len(list((company.folder / "mlruns/artifacts/models").iterdir()))


def test_a_copy_and_a_moved_project_need_nothing_of_the_place_they_came_from(
    company: Company, tmp_path: Path, tenure: Command
) -> None:
    copy = copy_of(company, tmp_path)
    assert tenure("evaluate", "--project", copy).code in (0, 3)  # its records settle
    moved = tmp_path / "moved"
    copy.rename(moved)
    assert not copy.exists()
    answer = tenure("score", "--project", moved, "--as-of", "2025-06-01")
    assert answer.code == 0, answer.err
    assert not copy.exists()
    named = sqlite3.connect(moved / "mlruns/mlflow.db").execute(
        "select storage_location from model_versions union select artifact_uri from runs"
        " union select artifact_location from experiments where name <> 'Default'"
    )
    assert {place.startswith((moved / "mlruns").as_uri()) for (place,) in named} == {True}


def test_a_place_of_your_own_is_left_alone_and_a_folder_without_write_access_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    tracker = client(first, None)
    experiment_id(tracker, "ours", first, None)
    tracker.create_experiment("own", artifact_location="s3://bucket/models")
    second = Path(shutil.copytree(first, tmp_path / "second"))
    places = {e.name: e.artifact_location for e in client(second, None).search_experiments()}
    assert places["own"] == "s3://bucket/models"
    assert places["ours"] == (second / "mlruns" / "artifacts").as_uri()
    third = Path(shutil.copytree(first, tmp_path / "third")) / "mlruns"
    connect = sqlite3.connect
    monkeypatch.setattr(
        "pipeline.tracking.sqlite3.connect",
        lambda path, timeout: connect(f"file:{path}?mode=ro", timeout=timeout, uri=True),
    )
    with pytest.raises(StoreError, match="names the models of another folder"):
        settle(third)
