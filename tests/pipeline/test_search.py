"""A search that was killed goes on where it stood; minutes end one; several workers share one
journal.
"""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models import tuning
from models.dataset import TrainingSet, training_set
from models.plan import TrainingPlan
from models.splits import temporal_folds
from models.training import TrainingResult, help_search, train
from pipeline.jobs.search import Deadline, drop_torn_line

PLAN = TrainingPlan(trials=5, threads=1, folds=2, max_trees=30, bags=1, few_events_below=20)
# The third trial never ends: its process is killed in the middle of it, as by a machine that is
# switched off.
KILLED = """
import os, signal, sys
from pathlib import Path
from models import tuning
from models.training import train
from tests.pipeline.test_search import PLAN, world
whole, asked = tuning._evaluate, []
def third_kills(*given):
    asked.append(1)
    if len(asked) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*given)
tuning._evaluate = third_kills
train(world(), PLAN, journal=Path(sys.argv[1]))
"""


def world() -> TrainingSet:
    """300 accounts on 12 dates, leaving by one signal."""
    random = np.random.default_rng(3)
    accounts, dates = 300, pd.date_range("2024-01-07", periods=12, freq="28D")
    keys = pd.DataFrame(
        [(f"A-{n:03d}", d) for d in dates for n in range(accounts)], columns=["account_id", "as_of"]
    )
    keys = keys.assign(
        label_until=keys["as_of"] + pd.Timedelta(days=28), is_test=keys["as_of"] >= dates[-2]
    )
    features = pd.DataFrame(random.normal(size=(len(keys), 4)), columns=["a", "b", "c", "d"])
    labels = (
        (random.random(len(keys)) < 1 / (1 + np.exp(2.5 - 1.5 * features["a"])))
        .to_numpy()
        .astype(np.int8)
    )
    signals = [
        Signal(name, name, "usage", "usage_events", "a number", "number", "{value}")
        for name in features
    ]
    return training_set(keys, features, labels, signals)


def resumed_search(journal: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TrainingResult, int]:
    """The search gone on with, and how many trials it ran."""
    evaluate, asked = tuning._evaluate, []

    def counted(*given: Any) -> Any:
        asked.append(1)
        return evaluate(*given)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_evaluate", counted)
        return train(world(), PLAN, journal=journal), len(asked)


def test_a_killed_search_resumes_and_ends_as_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "search.log"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(journal)],
        cwd=Path(__file__).parents[2],
        check=False,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL
    resumed, run = resumed_search(journal, monkeypatch)
    assert run == 3  # two trials were not lost
    whole = train(world(), PLAN)
    pd.testing.assert_frame_equal(resumed.trials, whole.trials)
    features = world().test.features
    assert (
        resumed.model.probability(features).tobytes() == whole.model.probability(features).tobytes()
    )


def test_a_journal_whose_last_line_was_not_written_to_its_end_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "search.log"
    help_search(world(), replace(PLAN, trials=3), journal)
    journal.write_bytes(
        journal.read_bytes()[:-20]
    )  # the third trial's result, cut in the middle by a power failure
    drop_torn_line(journal)
    resumed, run = resumed_search(journal, monkeypatch)
    assert run == 3
    pd.testing.assert_frame_equal(resumed.trials, train(world(), PLAN).trials)


def test_minutes_end_a_search_and_the_report_says_so(tmp_path: Path) -> None:
    result = train(world(), PLAN, journal=tmp_path / "search.log", stop=Deadline(0.0))
    assert len(result.trials) == 1  # the reference is always tried
    assert any("ran out of time after 1 of 5 trials" in note for note in result.notes)
    assert not Deadline(None)()


def test_workers_share_a_journal_and_training_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, rows = tmp_path / "search.log", world()
    help_search(rows, PLAN, journal)
    folds = temporal_folds(
        rows.keys, PLAN.folds, np.where(rows.keys["is_test"], 0, rows.labels).astype(np.int8)
    )
    tuning.help_tune(rows, folds, PLAN, journal)  # a second worker finds nothing left to do
    monkeypatch.setattr(tuning, "_one_trial", None)  # nor does training
    assert len(train(rows, PLAN, journal=journal).trials) == PLAN.trials
