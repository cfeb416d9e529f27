"""The search for a model as processes: the journal it resumes from, its minutes, its workers."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from models.dataset import TrainingSet
from models.plan import TrainingPlan
from models.training import help_search
from pipeline.config.schema import Training

LIBRARIES = ("lightgbm", "optuna")
"""A journal written by other versions of these is not gone on with."""


@dataclass(frozen=True)
class Deadline:
    """True, when called, once the search has had its minutes; never where there are none."""

    at: float | None

    def __call__(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at


@contextmanager
def searching(
    settings: Training,
    folder: Path,
    name: str,
    rows: TrainingSet,
    plan: TrainingPlan,
    target: Mapping[str, Any],
) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """Journal and deadline of a search; workers, where there are several, have added their trials
    by then.

    The journal is named by the rows, the plan and the libraries: a killed run started again on the
    same ones goes on from its last trial. It is deleted when the block ends well, and kept when it
    does not.
    """
    journal = folder / "mlruns" / "searches" / f"{name}-{_key(rows, plan)}.log"
    journal.parent.mkdir(parents=True, exist_ok=True)
    drop_torn_line(journal)
    # The clock of other processes is the same one: `monotonic` counts from the machine's start.
    stop = Deadline(None if settings.minutes is None else time.monotonic() + 60 * settings.minutes)
    _let_workers_search(settings, rows, plan, journal, stop, target)
    yield journal, stop
    journal.unlink(missing_ok=True)


def _key(rows: TrainingSet, plan: TrainingPlan) -> str:
    facts = {
        **replace(plan, threads=1).facts(),
        "rows": rows.fingerprint(),
        **{name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def drop_torn_line(journal: Path) -> None:
    """Cut a last line that was not written to its end, as a power failure leaves it: Optuna appends
    to it and reads neither.
    """
    if not journal.is_file():
        return
    written = journal.read_bytes()
    if not written.endswith(b"\n"):
        journal.write_bytes(written[: written.rfind(b"\n") + 1])


def _let_workers_search(
    settings: Training,
    rows: TrainingSet,
    plan: TrainingPlan,
    journal: Path,
    stop: Callable[[], bool],
    target: Mapping[str, Any],
) -> None:
    if settings.workers < 2 or plan.trials < 2:
        return
    each = replace(plan, threads=max(1, plan.threads // settings.workers))
    # The first trial is the untuned reference: one worker must have finished it before others
    # choose from what it saw.
    help_search(rows, replace(plan, trials=1), journal, target=target)
    # Forked processes inherit locks of threads they do not have.
    with ProcessPoolExecutor(settings.workers, mp_context=get_context("spawn")) as pool:
        for helper in [
            pool.submit(help_search, rows, each, journal, stop, target=target)
            for _ in range(settings.workers)
        ]:
            helper.result()
