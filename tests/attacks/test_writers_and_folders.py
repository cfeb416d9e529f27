"""Two writers at once, and folders that can only be read: told in one line, and nothing is damaged."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attack_run import Attacked, Tally, counted, run_command
from stopped import Stopper
from tiny_company import FIRST, linked, run_of, seen, staying_account

WRITERS = (
    ("score",),
    ("run",),
    ("promote", "--acknowledge", "small"),
    ("train", "--again"),
    ("forget", "ACCOUNT", "--yes"),
    ("rollback", "RUN", "--yes"),
)
READERS = (("explain", "ACCOUNT"), ("explain", "ACCOUNT", "--json"))
PAGES = (("explain", "ACCOUNT", "--page"), ("changes",))


@pytest.fixture
def project(tiny_company: Path, tmp_path: Path) -> Path:
    """A copy of the tiny company."""
    return linked(tiny_company, tmp_path / "project")


def filled(command: tuple[str, ...], folder: Path) -> list[str]:
    words = {"ACCOUNT": staying_account(folder), "RUN": run_of(folder, FIRST)}
    return [words.get(word, word) for word in command]


def test_of_two_writers_one_is_told_who_holds_the_store(
    project: Path, stopper: Stopper, tally: Tally
) -> None:
    """The first stands still in the middle of its work while every other command is tried."""
    before = seen(project)
    first = stopper.run(project, "score", hold_at=25)
    assert first.answer is None

    answers = {
        " ".join(command): run_command(*filled(command, project), "--project", project)
        for command in WRITERS
    }
    read = {
        " ".join(command): run_command(*filled(command, project), "--project", project)
        for command in READERS
    }

    count = counted(answers, naming=rf"in use by process {first.process}\. Wait for")
    tally("second writers", **count.row())
    assert not count.bad, count.bad
    assert all(answer.code == 0 for answer in read.values()), read
    assert seen(project) == before
    ended = stopper.go_on(first)
    assert ended.answer is not None and ended.answer.code == 0, ended
    after = seen(project)
    again = run_command("score", "--project", project)
    assert again.code == 0 and seen(project) == after != before, again.err


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody can write to: by its permissions, or for root by how it is mounted."""
    if os.geteuid():
        parts = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
        modes = [each.stat().st_mode for each in parts]
        try:
            for each in parts:
                each.chmod(0o555)
            yield
        finally:
            for each, mode in zip(parts, modes, strict=True):
                each.chmod(mode)
        return
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "--bind", folder, folder]).returncode:
        pytest.skip("root needs a mount to be kept from writing, and cannot mount here")
    try:
        subprocess.run([mount, "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("part", ["store", "reports", "mlruns"])
def test_a_folder_that_can_only_be_read_is_told(part: str, project: Path, tally: Tally) -> None:
    """A command that has nothing to write there works; every other one names the folder."""
    assert seen(project).model  # the records of a copy settle
    answers: dict[str, Attacked] = {}
    with read_only(project / part):
        for command in (*PAGES, *WRITERS):
            answers[" ".join(command)] = run_command(
                *filled(command, project), "--project", project
            )
            # What could be written is whole, and read: the run before, or the new one.
            other = staying_account(project, 1)
            assert seen(project).model
            assert run_command("explain", other, "--project", project).code == 0, command
    refused = {name: answer for name, answer in answers.items() if answer.code}
    assert refused, "nothing was written there"
    count = counted(refused, naming=rf"{re.escape(str(project))}|mlruns/mlflow\.db")
    tally(f"{part} that can only be read", **count.row())
    assert not count.bad, count.bad
    assert all("Traceback" not in answer.said for answer in answers.values())
    # A run that was taken back is not published again.
    last = [("score",)] if any(name.startswith("rollback") for name in refused) else []
    for command in (*last, ("explain", staying_account(project, 1), "--page")):
        done = run_command(*command, "--project", project)
        assert done.code == 0, (command, done.err)
