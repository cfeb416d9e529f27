"""Other libraries in the quality benchmark: asked, judged and calibrated as said, and absent with a
reason.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import _quality_others as quality_others
from benchmarks import quality
from benchmarks._quality_bgnbd import no_purchase
from benchmarks._quality_others import (
    AUTOGLUON,
    LIFETIMES,
    Absent,
    Budget,
    Library,
    Other,
    ask,
    calibrated_alike,
    histories,
)
from features.definition import Signal
from models.dataset import TrainingSet, training_set
from models.methods.base import logit, sigmoid
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import stage_sources
from pipeline.workspace import open_workspace

PLAIN = "import sys, json, pandas\nfrom pathlib import Path\nplace = Path(sys.argv[1])\n"
PARAMETERS = {"r": 0.6, "alpha": 20.0, "a": 0.4, "b": 2.5}


def fake(folder: Path, body: str) -> Library:
    script = folder / "fake.py"
    script.write_text(PLAIN + body, encoding="utf-8")
    return Library("fake", (), script)


def needs(library: Library) -> None:
    if not (quality_others.ENVIRONMENTS / library.name / "installed").exists():
        pytest.skip(f"no environment with {library.name}: `python -m benchmarks.quality` makes it")


# --- asking
# ----------------------------------------------------------------------------------------


def test_a_script_gets_tables_and_options_and_answers_with_probabilities_and_facts(
    tmp_path: Path,
) -> None:
    library = fake(
        tmp_path,
        """
options = json.loads((place / "options.json").read_text())
table = pandas.read_parquet(place / "test.parquet")
pandas.DataFrame({"probability": table["x"] * options["share"]}).to_parquet(place / "answer.parquet")
(place / "facts.json").write_text(json.dumps({"rows": len(table)}))
""",
    )
    table = pd.DataFrame({"x": [0.2, 0.4]})
    probability, facts = ask(library, {"test": table}, {"share": 0.5}, 60, Path(sys.executable))
    assert probability.tolist() == [0.1, 0.2] and facts == {"rows": 2}


@pytest.mark.parametrize(
    ("body", "patience", "reason"),
    [
        (
            "print('far along'); raise ValueError('no memory left')",
            60,
            "ended with 1: ValueError: no memory left",
        ),
        ("import time; time.sleep(60)", 1, "did not end within 1 seconds"),
        (
            (
                "pandas.DataFrame({'probability': [1.5]}).to_parquet(place / 'answer.parquet');"
                " (place / 'facts.json').write_text('{}')"
            ),
            60,
            "gave probabilities that are none",
        ),
    ],
)
def test_a_run_that_fails_says_why(tmp_path: Path, body: str, patience: float, reason: str) -> None:
    with pytest.raises(Absent, match=f"^{reason}$"):
        ask(fake(tmp_path, body), {}, {}, patience, Path(sys.executable))


def test_what_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(folder: Path, **_: Any) -> None:
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.write_text(
            '#!/bin/sh\necho "ERROR: No matching distribution found for $6" >&2\nexit 1\n',
            encoding="utf-8",
        )
        python.chmod(0o755)

    monkeypatch.setattr(quality_others, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(quality_others.venv, "create", offline)
    with pytest.raises(
        Absent, match="^not installed: ERROR: No matching distribution found for far==1$"
    ):
        quality_others.python_of(Library("far", ("far==1",), tmp_path / "none.py"))
    assert not (tmp_path / "far" / "installed").exists()


# --- judging
# ---------------------------------------------------------------------------------------


def rows_of(labels: Any, x: Any, test_share: float = 0.5) -> TrainingSet:
    """One row per account; the later half is the test."""
    count = len(labels)
    is_test = np.arange(count) >= count * (1 - test_share)
    as_of = np.where(is_test, np.datetime64("2024-09-01"), np.datetime64("2024-01-01")).astype(
        "datetime64[us]"
    )
    keys = pd.DataFrame(
        {
            "account_id": [f"a{n:05d}" for n in range(count)],
            "as_of": as_of,
            "label_until": as_of + np.timedelta64(30, "D"),
            "is_test": is_test,
        }
    )
    signal = Signal(
        column="x",
        driver="x",
        dimension="usage",
        source="usage_events",
        unit="number",
        phrase="{value}",
        meaning="x",
    )
    return training_set(keys, pd.DataFrame({"x": x}), labels, [signal])


@pytest.fixture
def rows() -> TrainingSet:
    generator = np.random.default_rng(3)
    x = generator.normal(size=4_000)
    return rows_of((generator.random(4_000) < sigmoid(x)).astype(int), x)


def test_another_library_is_paired_with_ours_and_failure_is_null_with_a_reason(
    rows: TrainingSet,
) -> None:
    test = rows.test
    truth = sigmoid(test.features["x"].to_numpy())

    def fails() -> Other:
        raise Absent("ended with 1: no purchases")

    entry = quality.others(
        {
            "autogluon": lambda: Other(np.full(len(test), 0.5), {"time_limit": 60}, truth),
            "bgnbd": fails,
        },
        truth,
        test,
    )
    found = entry["autogluon"]
    assert (
        found["log_loss"] == pytest.approx(np.log(2), abs=1e-4)
        and found["auc"] == 0.5
        and found["time_limit"] == 60
    )
    assert found["difference_low"] < found["difference"] < found["difference_high"] < 0
    assert found["raw"]["difference"] == found["raw"]["difference_high"] == 0
    assert entry["bgnbd"] is None and entry["absent"] == {"bgnbd": "ended with 1: no purchases"}


def test_the_table_prints_other_libraries_and_why_one_is_missing() -> None:
    figures = {
        "log_loss": 0.5,
        "log_loss_low": 0.4,
        "log_loss_high": 0.6,
        "auc": 0.7,
        "auc_se": 0.01,
        "difference": -0.02,
        "difference_low": -0.03,
        "difference_high": -0.01,
    }
    entry = {
        "set": "s",
        "target": "t",
        "signal": True,
        "reference": None,
        "ours": {**figures, "difference": None},
        "bgnbd": {**figures, "raw": figures},
        "autogluon": None,
        "absent": {"autogluon": "not installed: no wheel"},
        **dict.fromkeys(quality.METHODS),
        "test": {
            "n": 9,
            "accounts": 9,
            "events": 3,
            "rate": 0.3,
            "as_of": ["2024-01-01"],
            "ece": 0.01,
            "ece_expected": 0.02,
            **dict.fromkeys(
                ("calibration_slope", "calibration_slope_low", "calibration_slope_high")
            ),
        },
    }
    text = quality.table_text({"measured": "2024-02-01", "versions": {}, "sets": [entry]})
    assert "  autogluon  not measured: not installed: no wheel" in text
    assert text.count("ours minus this -0.0200 (-0.0300 to -0.0100)") == 2


def test_log_odds_are_calibrated_on_the_dates_of_ours(rows: TrainingSet) -> None:
    distorted = 0.7 * rows.features["x"].to_numpy() + 0.5
    train = np.flatnonzero(~rows.keys["is_test"])
    block = SimpleNamespace(validation=train)
    result: Any = SimpleNamespace(
        validation=rows.keys.iloc[train],
        folds=SimpleNamespace(final=train, is_temporal=True, calibration=(block,)),
    )
    found = logit(calibrated_alike(distorted, rows, result))
    slope, level = np.polyfit(rows.features["x"], found, 1)
    assert slope == pytest.approx(1.0, abs=0.1) and level == pytest.approx(0.0, abs=0.1)


# --- BG/NBD
# ----------------------------------------------------------------------------------------


def buyers(
    count: int, days: float, seed: int = 5
) -> tuple[pd.DataFrame, Callable[[float, float], Any]]:
    """Accounts that buy and drop out as the model says: histories at `days`, and who buys between
    two later days.
    """
    generator = np.random.default_rng(seed)
    rate = generator.gamma(PARAMETERS["r"], 1 / PARAMETERS["alpha"], count)
    chance = generator.beta(PARAMETERS["a"], PARAMETERS["b"], count)
    times: list[list[float]] = [[] for _ in range(count)]
    for account in range(count):
        now = generator.exponential(1 / rate[account])
        while now < 3 * days:
            times[account].append(now)
            if generator.random() < chance[account]:
                break
            now += generator.exponential(1 / rate[account])
    past = [[t for t in each if t <= days] for each in times]
    table = pd.DataFrame(
        {
            "frequency": [len(p) for p in past],
            "recency": [max(p, default=0.0) for p in past],
            "age": days,
        }
    )
    return table, lambda low, high: np.array([any(low <= t < high for t in each) for each in times])


def alive(table: pd.DataFrame) -> Any:
    """P(alive), http://www.brucehardie.com/notes/021/palive_for_BGNBD.pdf."""
    x = np.maximum(table["frequency"], 1)
    odds_dead = (
        PARAMETERS["a"]
        / (PARAMETERS["b"] + x - 1)
        * ((PARAMETERS["alpha"] + table["age"]) / (PARAMETERS["alpha"] + table["recency"]))
        ** (PARAMETERS["r"] + x)
    )
    return np.where(table["frequency"] == 0, 1.0, 1 / (1 + odds_dead))


@pytest.mark.parametrize("gap", [0, 30])
def test_no_purchase_is_as_probable_as_it_is_frequent(gap: int) -> None:
    table, buys = buyers(6_000, 200.0)
    expected = np.asarray(
        no_purchase(
            PARAMETERS,
            table["frequency"].to_numpy(),
            table["age"].to_numpy(),
            alive(table),
            gap,
            60,
        )
    )
    happened = ~buys(200.0 + gap, 260.0 + gap)
    for group in (expected < 0.5, (expected >= 0.5) & (expected < 0.8), expected >= 0.8):
        spread = np.sqrt((expected[group] * (1 - expected[group])).sum()) / group.sum()
        assert (
            group.sum() > 150 and abs(happened[group].mean() - expected[group].mean()) < 4 * spread
        )


def test_without_gap_the_closed_form_of_the_paper_is_left() -> None:
    x, age = np.array([0, 3, 40]), np.array([10.0, 200.0, 500.0])
    closed = ((PARAMETERS["alpha"] + age) / (PARAMETERS["alpha"] + age + 90)) ** (
        PARAMETERS["r"] + x
    )
    found = no_purchase(PARAMETERS, x, age, np.array([1.0, 0.5, 0.9]), 0, 90)
    assert found == pytest.approx(1 - np.array([1.0, 0.5, 0.9]) * (1 - closed), abs=1e-12)


def test_histories_count_the_purchase_days_known_at_each_date(tmp_path: Path) -> None:
    (tmp_path / "tenure.toml").write_text(
        """
name = "shop"
time_zone = "UTC"
[[targets]]
name = "silent"
kind = "inactivity"
horizon_days = 30
population = { kind = "active", active_within_days = 90, event_names = ["purchase"], minimum = { quantity = 0 } }
dates = { list = [2024-03-01, 2024-04-01] }
[sources.purchases]
contract = "usage_events"
location = "purchases.csv"
""",
        encoding="utf-8",
    )
    (tmp_path / "purchases.csv").write_text(
        """account_id,event_time,known_at,event_name,quantity
A,2024-01-10 09:00:00,2024-01-10 09:00:00,purchase,1
A,2024-02-01 09:00:00,2024-02-01 09:00:00,purchase,2
A,2024-02-01 17:00:00,2024-02-01 17:00:00,purchase,1
A,2024-02-20 09:00:00,2024-02-20 09:00:00,cancellation,1
A,2024-02-21 09:00:00,2024-02-21 09:00:00,purchase,0
A,2024-03-01 00:00:00,2024-03-01 00:00:00,purchase,1
B,2024-02-29 23:59:00,2024-03-05 00:00:00,purchase,1
""",
        encoding="utf-8",
    )
    workspace = open_workspace(tmp_path, None, datetime(2024, 6, 1))
    rows: Any = SimpleNamespace(
        keys=pd.DataFrame({"as_of": pd.to_datetime(["2024-03-01", "2024-04-01", "2024-04-01"])})
    )
    with connected() as connection:
        stage_sources(workspace, connection)
        found = histories(workspace, connection, workspace.project.targets[0], rows)
    # 2024-03-01 is day 19783. On it A's purchase of the same day lies ahead, and B's is not known
    # yet.
    assert found.to_dict("split")["data"] == [
        ["A", 19783, 1, 22, 51],
        ["A", 19814, 2, 51, 82],
        ["B", 19814, 0, 0, 32],
    ]


# --- the libraries themselves
# ----------------------------------------------------------------------


def test_bgnbd_finds_the_parameters_that_made_the_histories() -> None:
    needs(LIFETIMES)
    table, _ = buyers(3_000, 300.0)
    asked = pd.concat(
        [
            table.assign(as_of_day=100, fitted_day=100),
            table.head(5).assign(as_of_day=90, fitted_day=100),
        ]
    )
    probability, facts = ask(
        LIFETIMES, {"histories": asked}, {"gap_days": 0, "horizon_days": 60}, 120
    )
    fitted = facts["parameters"]
    assert fitted["r"] == pytest.approx(PARAMETERS["r"], rel=0.2)
    assert fitted["a"] / fitted["b"] == pytest.approx(PARAMETERS["a"] / PARAMETERS["b"], rel=0.4)
    truth = no_purchase(
        PARAMETERS, table["frequency"].to_numpy(), table["age"].to_numpy(), alive(table), 0, 60
    )
    assert np.abs(probability[: len(table)] - truth).max() < 0.06
    assert probability[-5:].tolist() == probability[:5].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("presets", "folds"), [("medium_quality", "own"), ("best_quality", "accounts")]
)
def test_autogluon_learns_without_neural_networks(
    rows: TrainingSet, presets: str, folds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(AUTOGLUON)
    monkeypatch.setattr(quality_others, "SHORTEST_SECONDS", 30)
    result: Any = SimpleNamespace(
        folds=SimpleNamespace(final=np.flatnonzero(~rows.keys["is_test"]))
    )
    other = quality_others.autogluon(rows, result, 1.0, Budget(presets, folds))
    assert np.corrcoef(other.probability, sigmoid(rows.test.features["x"].to_numpy()))[0, 1] > 0.9
    assert (
        other.facts["time_limit"] == 30
        and other.facts["folds"] == folds
        and other.facts["models"] > 1
    )
    json.dumps(dict(other.facts))
