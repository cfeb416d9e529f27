"""Other people's models on the rows of ours, each library in an environment of its own, made on
demand.

A library that cannot be installed, or whose run fails, raises `Absent` with the reason: there is no
figure then.
"""

import json
import os
import subprocess
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.snapshots import activity_filter
from features.windows import known
from models.calibration import after_drift, at_level, fit_platt
from models.dataset import TrainingSet
from models.methods.base import Floats, logit
from models.splits import Positions
from models.training import TrainingResult
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import put_table, source_facts
from pipeline.jobs.event_history import day_numbers
from pipeline.jobs.stage import load_staged
from pipeline.workspace import Workspace, population_rule, population_source

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path(tempfile.gettempdir()) / "tenure-benchmarks"
THREADS = 2
SHORTEST_SECONDS = 60
"""What AutoGluon gets where ours took less: under a minute it hardly starts."""
PATIENCE_SECONDS = 900
"""How much longer than its budget a library may take before it is ended."""
ACCOUNT_FOLDS = 8


@dataclass(frozen=True)
class Library:
    """What is installed where, and the script that runs there."""

    name: str
    requirements: tuple[str, ...]
    script: Path


AUTOGLUON = Library(
    "autogluon",
    ("autogluon.tabular[catboost,lightgbm,xgboost]==1.6.3", "pyarrow"),
    HERE / "_quality_autogluon.py",
)
LIFETIMES = Library(
    "lifetimes", ("lifetimes==0.11.3", "pandas<3", "pyarrow"), HERE / "_quality_bgnbd.py"
)


@dataclass(frozen=True)
class Budget:
    """How AutoGluon is asked. `folds`: "own" leaves validation to it, "accounts" keeps rows of an
    account together.
    """

    presets: str = "best_quality"
    folds: str = "own"


@dataclass(frozen=True, eq=False)
class Other:
    """Another library's probabilities of the test rows, shape (n_rows,), and facts about its run.

    `raw`: what it said before we calibrated it, where we did.
    """

    probability: Floats
    facts: Mapping[str, Any]
    raw: Floats | None = None


class Absent(Exception):
    """Why there is no figure of a library."""


# --- environments
# ----------------------------------------------------------------------------------


def python_of(library: Library) -> Path:
    """The interpreter of the library's environment, made once, and anew when its requirements
    change.

    Raises
    ------
    Absent
        When it cannot be made.
    """
    folder = ENVIRONMENTS / library.name
    python, ready = folder / "bin" / "python", folder / "installed"
    asked = "\n".join(library.requirements)
    if not ready.exists() or ready.read_text(encoding="utf-8") != asked:
        try:
            venv.create(folder, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Absent(f"no environment could be made in {folder}: {error}") from error
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *library.requirements,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"not installed: {_last_line(done.stderr, 'pip failed')}")
        ready.write_text(asked, encoding="utf-8")
    return python


def ask(
    library: Library,
    tables: Mapping[str, pd.DataFrame],
    options: Mapping[str, Any],
    patience_seconds: float,
    python: Path | None = None,
) -> tuple[Floats, dict[str, Any]]:
    """Run the library's script on these tables; returns its probabilities and facts.

    Raises
    ------
    Absent
        When the environment cannot be made, or the run fails or does not end.
    """
    python = python or python_of(library)
    with tempfile.TemporaryDirectory(prefix=f"tenure-{library.name}-") as place:
        folder = Path(place)
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet")
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        # -I: the environment's own packages only, whatever the shell says.
        command = [str(python), "-I", "-W", "ignore", str(library.script), place]
        # Threads that wait must not spin: where others use the machine too, two threads of LightGBM
        # were 20 times slower.
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=patience_seconds,
                cwd=folder,
                env=environment,
            )
        except subprocess.TimeoutExpired as error:
            raise Absent(f"did not end within {patience_seconds:.0f} seconds") from error
        if done.returncode:
            raise Absent(f"ended with {done.returncode}: {_last_line(done.stderr, 'no message')}")
        probability = pd.read_parquet(folder / "answer.parquet")["probability"].to_numpy(
            dtype=np.float64
        )
        facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    if not (np.isfinite(probability) & (probability >= 0.0) & (probability <= 1.0)).all():
        raise Absent("gave probabilities that are none")
    return probability, facts


def _last_line(text: str, otherwise: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else otherwise


# --- AutoGluon
# -------------------------------------------------------------------------------------


def autogluon(
    rows: TrainingSet, result: TrainingResult, training_seconds: float, budget: Budget
) -> Other:
    """AutoGluon on the rows and signals of our last fit, for as long as our training took.

    It validates and calibrates as it sees fit, which is how people use it.
    """
    final, test = rows.rows(result.folds.final), rows.test
    train = final.features.assign(_label=final.labels.astype("int64"))
    if budget.folds == "accounts":
        train["_fold"] = (
            pd.util.hash_pandas_object(final.keys["account_id"], index=False).to_numpy()
            % ACCOUNT_FOLDS
        )
    seconds = max(SHORTEST_SECONDS, round(training_seconds))
    options = {"presets": budget.presets, "time_limit": seconds, "threads": THREADS}
    probability, facts = ask(
        AUTOGLUON, {"train": train, "test": test.features}, options, seconds + PATIENCE_SECONDS
    )
    return Other(
        probability,
        {"presets": budget.presets, "folds": budget.folds, "time_limit": seconds, **facts},
    )


# --- BG/NBD
# ----------------------------------------------------------------------------------------


def bgnbd(
    workspace: Workspace,
    connection: Connection,
    target: Target,
    rows: TrainingSet,
    result: TrainingResult,
) -> Other:
    """BG/NBD on the purchase days known at each date, its log-odds calibrated on the dates ours is
    calibrated on.

    Calibration and test rows read parameters fitted at their own date. Earlier rows, which only set
    the level, read those of the first calibration date: after a few months of history nobody seems
    to drop out yet, and the likelihood has no maximum.
    """
    known_then = histories(workspace, connection, target, rows)
    first = int(day_numbers(result.validation["as_of"]).min())
    known_then["fitted_day"] = np.maximum(known_then["as_of_day"], first)
    options = {"horizon_days": target.horizon_days, "gap_days": target.gap_days}
    probability, facts = ask(
        LIFETIMES, {"histories": known_then.drop(columns="account_id")}, options, PATIENCE_SECONDS
    )
    raw = _in_order(known_then, probability, rows)
    is_test = rows.keys["is_test"].to_numpy(dtype=bool)
    return Other(calibrated_alike(logit(raw), rows, result)[is_test], facts, raw[is_test])


def histories(
    workspace: Workspace, connection: Connection, target: Target, rows: TrainingSet
) -> pd.DataFrame:
    """Per date of the rows and account that had bought by then: account_id, as_of_day, frequency,
    recency, age.

    A purchase is what the target's population counts as activity; days with several count once, as
    the model wants it: frequency is the days after the first, recency the days from first to last,
    age the days since the first.
    """
    kind, source = population_source(workspace, target)
    facts = source_facts(load_staged(workspace, connection)[source], {})
    rule = population_rule(kind, target, dict(facts.decimals))
    put_table(
        connection,
        "asked_dates",
        pd.DataFrame({"as_of_day": np.unique(day_numbers(rows.keys["as_of"]))}),
    )
    return connection.execute(f"""
select b.account_id, d.as_of_day, count(distinct b.event_time_day) - 1 as frequency,
  max(b.event_time_day) - min(b.event_time_day) as recency, d.as_of_day - min(b.event_time_day)
    as age
from asked_dates d
join (select distinct f.account_id, f.event_time_day, f.known_from_day, f.known_until_day
      from {facts.table} f where {activity_filter(rule)}) b on b.event_time_day < d.as_of_day
        and {known("b", "d")}
group by 1, 2 order by 2, 1""").df()


def _in_order(known_then: pd.DataFrame, probability: Floats, rows: TrainingSet) -> Floats:
    """The probabilities of the rows, in their order."""
    index = pd.MultiIndex.from_arrays(
        [known_then["account_id"].astype("str"), known_then["as_of_day"].astype("int64")]
    )
    at = index.get_indexer(
        pd.MultiIndex.from_arrays(
            [rows.keys["account_id"].astype("str"), day_numbers(rows.keys["as_of"])]
        )
    )
    if (at < 0).any():
        raise Absent(f"{int((at < 0).sum())} rows have no purchase before their date")
    return probability[at]


def calibrated_alike(margin: Floats, rows: TrainingSet, result: TrainingResult) -> Floats:
    """Probabilities of all rows by the sigmoid that our models get: slope and level from the same
    dates.

    `margin` is log-odds of each row by what was known at its date, so it is out of time on the
    calibration dates.
    """
    pairs = pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]])
    held = pairs.get_indexer(pd.MultiIndex.from_frame(result.validation[["account_id", "as_of"]]))
    weights = np.full(len(held), _accounts(rows, held) / len(held))
    calibrator = fit_platt(margin[held], rows.labels[held], weights)
    final = result.folds.final
    calibrator = at_level(calibrator, margin[final], rows.labels[final])
    if result.folds.is_temporal:
        newest = result.folds.calibration[-1].validation
        calibrator = after_drift(
            calibrator, margin[newest], rows.labels[newest], _accounts(rows, newest)
        )
    return calibrator.calibrate(margin)


def _accounts(rows: TrainingSet, positions: Positions) -> int:
    return int(rows.keys["account_id"].iloc[positions].nunique())
