"""`[[features.ratios]]`: found by `tenure ratios`, pasted, built for training and scoring
alike; mistakes are named.
"""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_company import NOW, Command

from features.errors import ConfigError
from features.windows import day_number
from models.dataset import TrainingSet
from models.methods.gradient_boosting import GradientBoosting
from models.metrics import log_losses
from models.ratios import RatioSearch
from pipeline.config.read import read_project
from pipeline.engine.duckdb import connected
from pipeline.jobs.features import build_scoring
from pipeline.jobs.prepare import feature_set, load_training
from pipeline.reports.ratios import declaration, search_text
from pipeline.workspace import open_workspace

TOML = """
name = "ratios"
[sources.usage_events]
location = "usage.csv"
extra = { pages = { column = "pages", type = "number" }, errors = { column = "errors", type = "number" } }
data_until = 2025-01-27
[sources.outcomes]
location = "outcomes.csv"
data_until = 2025-01-27
[[targets]]
name = "upset"
kind = "event"
source = "outcomes"
horizon_days = 28
population = { kind = "active", source = "usage_events", active_within_days = 28 }
dates = { every_days = 28, first = 2024-01-29, last = 2024-12-30 }
test = { count = 2 }
[features]
window_days = [28]
[training]
trials = 0
folds = 3
threads = 1
"""
LINES = (
    '[[features.ratios]]\nname = "errors_per_page"\nnumerator = "errors_total_28d"\ndivisor ='
    ' "pages_total_28d"\n'
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """250 accounts of very different size whose errors per page, not their errors or pages, upset
    them.
    """
    folder = tmp_path_factory.mktemp("ratios")
    random = np.random.default_rng(4)
    dates = pd.date_range("2024-01-29", "2024-12-30", freq="28D")
    usage, outcomes = [], []
    for account in (f"A{n:03d}" for n in range(250)):
        for day in dates:
            size, own = 1.5 * random.normal(), random.normal()
            pages, errors = round(1000 * np.exp(size)), round(1000 * np.exp(size + 0.2 * own))
            usage.append(
                f"{account},{day - pd.Timedelta(days=int(random.integers(2, 27))):%Y-%m-%d},click,{pages},{errors}"
            )
            if random.random() < 1 / (1 + np.exp(1.5 - 1.5 * own)):
                outcomes.append(f"{account},{day + pd.Timedelta(days=3):%Y-%m-%d},upset")
    (folder / "usage.csv").write_text(
        "account_id,event_time,event_name,pages,errors\n" + "\n".join(usage) + "\n"
    )
    (folder / "outcomes.csv").write_text(
        "account_id,event_time,kind\n" + "\n".join(outcomes) + "\n"
    )
    return folder


@pytest.fixture
def made(tables: Path) -> Path:
    """Their project, without a ratio."""
    (tables / "tenure.toml").write_text(TOML)
    return tables


def held_out_loss(rows: TrainingSet) -> float:
    """Of a plain model, on the test."""
    taught = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
    model = GradientBoosting(threads=1).fit(taught.features, taught.labels, taught.signals)
    margin = model.margin(rows.test.features)
    return float(log_losses(rows.test.labels, 1 / (1 + np.exp(-margin))).mean())


def test_found_pasted_trained_on_and_scored(made: Path, tenure: Command) -> None:
    assert tenure("features", "--project", made).code == 0
    said = tenure("ratios", "--json", "--project", made)
    found = json.loads(said.out)["found"][0]
    assert {found["numerator"].split("_")[0], found["divisor"].split("_")[0]} == {"errors", "pages"}
    assert found["toml"] in tenure("ratios", "--project", made).out

    workspace = open_workspace(made, None, NOW)
    before = held_out_loss(load_training(workspace, workspace.target(None))[0])
    (made / "tenure.toml").write_text(TOML + found["toml"] + "\n")
    assert tenure("features", "--project", made).code == 0
    workspace = open_workspace(made, None, NOW)
    target = workspace.target(None)
    rows, frozen, _ = load_training(workspace, target)
    assert held_out_loss(rows) < before - 0.01
    own = next(signal for signal in frozen.signals if signal.column == found["name"])
    assert own.definition.keys() == {"numerator", "divisor"} and own.dimension == "usage"

    # A model in use keeps the ratios it was trained with, whatever the file says later.
    (made / "tenure.toml").write_text(TOML + LINES.replace("pages_total", "no_such"))
    later = open_workspace(made, None, NOW)
    with connected() as connection:
        built = build_scoring(later, connection, target, date(2024, 12, 30), frozen.choices)
        asked = connection.execute(
            f"select * from features where as_of_day = {day_number(date(2024, 12, 30))} "
            "order by account_id"
        ).df()
    assert [s.fingerprint for s in built.signals] == [s.fingerprint for s in frozen.signals]
    np.testing.assert_array_equal(
        asked[found["name"]], asked[found["numerator"]] / asked[found["divisor"]]
    )
    assert feature_set(later, target).choices == frozen.choices


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("pages_total_28d", "page_total_28d"),
            'divisor = "page_total_28d" is no signal.*nearest is "pages_total_28d"',
        ),
        (
            ('"errors_per_page"', '"pages_total_28d"'),
            'name = "pages_total_28d" is the name of another signal',
        ),
    ],
)
def test_columns_are_looked_up_where_features_are_built(
    made: Path, tenure: Command, change: tuple[str, str], said: str
) -> None:
    (made / "tenure.toml").write_text(TOML + LINES.replace(*change))
    answer = tenure("features", "--project", made)
    assert answer.code == 2
    with pytest.raises(ConfigError, match=said):
        raise ConfigError(" ".join(answer.err.split()))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (LINES.replace("errors_per_page", "Errors per page"), "small letters"),
        (LINES.replace("errors_per_page", "select"), "no word of SQL"),
        (LINES + LINES, "name of two ratios"),
        (LINES.replace("pages_total", "errors_total"), "always 1"),
        (LINES + 'phrase = "errors per page"\n', "must hold {value}"),
        (LINES + 'phrase = "{value} in {days} days"\n', "must hold {value}"),
        (LINES + 'worse = "sideways"\n', "worse"),
        (LINES + 'divider = "x"\n', "divider"),
    ],
)
def test_mistakes_in_the_file_are_named(made: Path, lines: str, said: str) -> None:
    file = made / "tenure.toml"
    file.write_text(TOML + lines)
    with pytest.raises(ConfigError) as refused:
        read_project(made)
    assert said in str(refused.value)


def test_nothing_found_is_said_plainly() -> None:
    row = {
        "name": "a_per_b",
        "numerator": "a",
        "divisor": "b",
        "gain": 0.002,
        "gain_low": 0.001,
        "gain_high": 0.003,
        "periods": 4,
        "periods_up": 4,
        "is_more": True,
        "is_found": False,
    }
    day = pd.Timestamp("2024-05-01")
    assert search_text(RatioSearch(pd.DataFrame([row] * 190), 10, 5, day, day)).startswith(
        "None of 190 ratios adds anything beyond chance."
    )
    one = RatioSearch(pd.DataFrame([{**row, "is_found": True}, *([row] * 189)]), 10, 5, day, day)
    assert search_text(one).startswith("1 of 190 ratios adds something beyond chance")
    assert search_text(one).endswith(declaration(row)) and "  2.0  1.0 to 3.0" in search_text(one)
    none = pd.DataFrame(columns=list(row)).astype({"is_found": bool})
    assert search_text(RatioSearch(none, 10, 5, day, day)).startswith("No ratio")
