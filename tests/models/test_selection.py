"""What a measure is worth: found where it decides, not where it is noise, and the test stays
unread.
"""

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from models.dataset import TrainingSet, training_set
from models.plan import TrainingPlan
from models.selection import measure_values

PLAN = TrainingPlan(trials=0, threads=1, folds=3)


@pytest.fixture(scope="module")
def rows() -> TrainingSet:
    """300 accounts on 14 dates: `decides` decides, nineteen others are noise."""
    random = np.random.default_rng(2)
    dates = pd.date_range("2024-01-07", periods=14, freq="28D")
    keys = pd.DataFrame(
        [(f"A-{n:03d}", d) for d in dates for n in range(300)], columns=["account_id", "as_of"]
    )
    keys = keys.assign(
        label_until=keys["as_of"] + pd.Timedelta(days=28), is_test=keys["as_of"] >= dates[-2]
    )
    names = ["decides", *(f"noise_{n}" for n in range(19))]
    features = pd.DataFrame(random.normal(size=(len(keys), len(names))), columns=names)
    labels = (
        (random.random(len(keys)) < 1 / (1 + np.exp(1.5 - 1.5 * features["decides"])))
        .to_numpy()
        .astype(np.int8)
    )
    signals = [
        Signal(n, n, "usage" if n == "decides" else "support", "s", "m", "number", "{value}")
        for n in names
    ]
    return training_set(keys, features, labels, signals)


def test_the_measure_that_decides_is_found_and_noise_is_not(rows: TrainingSet) -> None:
    found = measure_values(rows, PLAN)
    first = found[found["level"] == "measure"].iloc[0]
    assert (first["name"], first["is_found"]) == ("decides", True)
    assert first["value_low"] > 0 and first["periods_up"] == first["periods"] > 1
    assert found.loc[found["level"] == "measure", "is_found"].sum() <= 2  # one in ten may be luck
    by_dimension = found[found["level"] == "dimension"].set_index("name")
    assert (
        by_dimension.loc["usage", "is_found"]
        and by_dimension.loc["usage", "value"] > by_dimension.loc["support", "value"]
    )


def test_the_test_is_not_read(rows: TrainingSet) -> None:
    flipped = np.where(rows.keys["is_test"], 1 - rows.labels, rows.labels)
    other = training_set(rows.keys, rows.features, flipped, rows.signals)
    pd.testing.assert_frame_equal(measure_values(other, PLAN), measure_values(rows, PLAN))
