"""Kills at random points of every command that writes: readers see a whole run, the next call
finishes, and nothing is lost or half published.
"""

import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from attack_run import Tally, run_command
from everywhere import files_with
from stopped import Stopper
from tiny_company import (
    FIRST,
    LAST,
    THIRD,
    Seen,
    correct_usage,
    linked,
    run_of,
    seen,
    states_of,
    staying_account,
)

from pipeline.jobs.pages import OF_A_RUN


@dataclass(frozen=True)
class Killed:
    """A command that is killed again and again, each time on a copy."""

    command: tuple[str, ...]
    kills: int
    before: Callable[[Path], None] = lambda folder: None
    """What happens to the project first."""
    forgets: bool = False
    shows: str = LAST
    """The date whose pages stand there in the end."""


COMMANDS = {
    "score": Killed(("score",), 4),
    "run": Killed(("run",), 2, before=correct_usage),
    "train": Killed(("train", "--again"), 2, shows=THIRD),
    "promote": Killed(("promote", "--acknowledge", "small"), 4, shows=THIRD),
    "forget": Killed(("forget", "ACCOUNT", "--yes"), 4, forgets=True, shows=THIRD),
    "rollback": Killed(("rollback", "RUN", "--yes"), 4, shows=FIRST),
}
SEED = 18


def whole(folder: Path) -> None:
    """Fail where the store or the pages hold what a command that was stopped left, or a page is of a
    run that nobody sees. MLflow's own half a run goes when it is old.
    """
    parts = (folder / "store", folder / "reports")
    left = [each for part in parts for each in part.rglob(".*") if each.name != ".lock"]
    assert not left, left
    taken_back = [run for run, state in states_of(folder) if state != "published"]
    pages = files_with(folder / "reports", taken_back)
    assert not pages, pages


@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_any_point_loses_nothing(
    name: str, tiny_company: Path, stopper: Stopper, tmp_path: Path, tally: Tally
) -> None:
    killed = COMMANDS[name]
    base = linked(tiny_company, tmp_path / "base")
    killed.before(base)
    account, other = staying_account(base), staying_account(base, 1)
    words = {"ACCOUNT": account, "RUN": run_of(base, FIRST)}
    command = [words.get(word, word) for word in killed.command]
    gone = (account,) if killed.forgets else ()

    control = linked(base, tmp_path / "control")
    undisturbed = stopper.run(control, *command)
    assert undisturbed.answer is not None and undisturbed.answer.code == 0, undisturbed
    before, after = seen(base, gone), seen(control, gone)
    chance = random.Random(f"{SEED} {name}")
    places = [
        1 + int((place + chance.random()) / killed.kills * undisturbed.writes)
        for place in range(killed.kills)
    ]
    survived = 0
    for place in places:
        copy = linked(base, tmp_path / f"at {place}")
        ended = stopper.run(copy, *command, kill_at=place)
        assert ended.signal == signal.SIGKILL, (place, ended)

        between = seen(copy, gone)
        assert between.run in (before.run, after.run), place
        assert between.model in (before.model, after.model), place
        read = run_command("explain", other, "--project", copy)
        assert read.code == 0, (place, read.err)

        again = stopper.run(copy, *command)
        assert again.answer is not None and again.answer.code == 0, (place, again)
        assert same(seen(copy, gone), after), place
        whole(copy)
        page = copy / "reports" / "churn_90d" / "portfolio.html"
        if killed.forgets:
            for part in ("store", "mlruns", "reports"):
                assert files_with(copy / part, [account]) == {}, place
        else:
            assert f"{pd.Timestamp(killed.shows):%-d %b %Y}" in page.read_text(), place
            drawn = {path.name for path in (control / "reports" / "churn_90d").iterdir()}
            for name_of_page in drawn & {*OF_A_RUN}:
                assert (page.parent / name_of_page).exists(), (place, name_of_page)
        shutil.rmtree(copy)
        survived += 1
    tally(f"kills of {name}", tried=len(places), survived=survived, lost=len(places) - survived)


def same(one: Seen, other: Seen) -> bool:
    """Whether two projects show the same; a model registered anew has another number."""
    return (one.run, one.model[1:], one.runs) == (other.run, other.model[1:], other.runs)
