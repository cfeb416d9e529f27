"""A disk that is full at any moment: readers keep one run with its own pages, and a deletion is
gone on with.
"""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from everywhere import files_with
from small_company import Command, Company

from pipeline.jobs import pages
from pipeline.jobs.pages import OF_A_RUN, draw, put_back, set_aside
from pipeline.ledger import current_run


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mounting).returncode:
        pytest.skip("a small file system takes root; the tests by RLIMIT_FSIZE run everywhere")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_deletion_that_met_a_full_disk_is_gone_on_with(
    company_copy: Company, tenure: Command
) -> None:
    store = company_copy.workspace()[0].store
    page = company_copy.folder / "reports" / "churn_90d" / pages.PAGE
    shown, portfolio = page.read_text(), company_copy.published("portfolio")
    # Not every account stands on the page.
    rows = zip(portfolio["account_id"], portfolio["name"], strict=True)
    account, name = next(row for row in rows if row[1] in shown)
    with largest_file(30_000):
        stopped = tenure("forget", name, "--yes", "--project", company_copy.folder)

    assert stopped.code == 1 and "Traceback" not in stopped.err
    assert f"tables are rid of {account}" in stopped.err
    assert "staged_usage_events" in stopped.err and "again: it goes on there" in stopped.err
    assert not page.exists()
    assert account not in set(store.read("portfolio")["account_id"]), "small tables came first"

    done = tenure("forget", name, "--yes", "--project", company_copy.folder, "--json")

    assert done.code == 0, done.err
    for part in ("store", "mlruns", "reports"):
        assert files_with(company_copy.folder / part, [account, name]) == {}


def test_the_next_score_goes_on_with_a_deletion(company_copy: Company, tenure: Command) -> None:
    account = company_copy.published("portfolio")["account_id"].iloc[0]
    with largest_file(30_000):
        assert tenure("forget", account, "--yes", "--project", company_copy.folder).code == 1
    for source in ("accounts", "subscriptions"):
        rows = company_copy.table(source)
        company_copy.replace_table(source, rows[rows["account_id"] != account])

    assert tenure("score", "--project", company_copy.folder).code == 0

    store = company_copy.workspace()[0].store
    assert not (store.folder / ".forgetting").exists()
    assert account not in set(store.read("labels")["account_id"])


def test_pages_are_drawn_all_or_none(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("new")

    def full(path: Path) -> None:
        path.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    for broken in OF_A_RUN:
        for name in OF_A_RUN:
            (tmp_path / name).write_text("old")
        set_aside(tmp_path)
        with pytest.raises(OSError, match=r"run r1 is published, and its pages are not drawn: .*"):
            draw(tmp_path, "r1", {n: full if n == broken else write for n in OF_A_RUN})
        assert {path.name for path in tmp_path.iterdir()} == {f".before-{n}" for n in OF_A_RUN}

        put_back(tmp_path)
        assert {(tmp_path / name).read_text() for name in OF_A_RUN} == {"old"}
        set_aside(tmp_path)
        draw(tmp_path, "r1", dict.fromkeys(OF_A_RUN, write))
        assert {path.name for path in tmp_path.iterdir()} == {*OF_A_RUN}
        assert {(tmp_path / name).read_text() for name in OF_A_RUN} == {"new"}


def test_a_run_that_is_not_published_keeps_the_pages(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = company_copy.folder / "reports" / "churn_90d"
    before = {page.name: page.read_bytes() for page in folder.iterdir() if page.is_file()}

    def full(*_: object) -> None:
        assert not (folder / pages.PAGE).exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.jobs.score.append_run", full)
    with pytest.raises(OSError, match="No space left"):
        company_copy.score(staged=True)
    assert {page.name: page.read_bytes() for page in folder.iterdir() if page.is_file()} == before


@pytest.mark.slow
def test_run_and_pages_are_of_one_day_whenever_the_disk_is_full(
    company: Company, small_disk: Path, tenure: Command
) -> None:
    project = Company(small_disk / "project")
    shutil.copytree(company.folder, project.folder)
    workspace, target = project.workspace()
    page = project.folder / "reports" / target.name / pages.PAGE
    first = current_run(workspace.store, target.name)
    assert first is not None
    # Back to an earlier date, so that every score after it is the newest.
    assert tenure("score", "--as-of", "2025-05-19", "--project", project.folder).code == 0
    runs = workspace.store.read("runs")
    (earlier,) = set(runs["run_id"]) - {first.run_id}
    assert tenure("rollback", earlier, "--yes", "--project", project.folder).code == 0
    assert tenure("score", "--as-of", "2025-05-19", "--project", project.folder).code == 0
    stopped = 0
    for place, room in enumerate((0, 60_000, 400_000, 1_200_000, 2_500_000)):
        before = current_run(workspace.store, target.name)
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(b"\0" * max(0, free - room))
        done = tenure("score", "--as-of", f"2025-05-{20 + place}", "--project", project.folder)
        filler.unlink()
        after = current_run(workspace.store, target.name)
        assert before is not None and after is not None and "Traceback" not in done.err
        stopped += done.code != 0
        if page.exists():
            assert f"{after.as_of:%-d %b %Y}" in page.read_text(), (room, done.err)
        else:
            assert "pages are not drawn" in done.err, (room, done.err)
    assert stopped
