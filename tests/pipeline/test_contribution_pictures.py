"""Pictures of contributions: the same every time, whatever the names, with words for who cannot see
them.
"""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from features.definition import Signal
from pipeline.jobs.contributions import (
    RowContributions,
    contribution_pictures,
    shap_explanation,
    strongest_signals,
)
from pipeline.reports.contributions import ContributionInputs, beeswarm_figure

HOSTILE = r"$\frac{ </script> عربي " + "x" * 200


def signal(column: str) -> Signal:
    return Signal(column, column, "usage", "usage_events", "", "days", "{value}", window_days=28)


def some(columns: int = 5, rows: int = 60) -> tuple[RowContributions, list[Signal]]:
    """Column n gives 2^n - 1 times its value, the last one the other way round."""
    generator = np.random.default_rng(1)
    features = pd.DataFrame(
        generator.normal(size=(rows, columns)), columns=[f"s{n}" for n in range(columns)]
    )
    values = features.to_numpy() * (2.0 ** np.arange(columns) - 1)
    values[:, -1] *= -1
    features.iloc[0, -1] = np.nan
    return RowContributions(50.0, values, features), [signal(each) for each in features.columns]


def test_the_strongest_signals_are_named_with_the_way_their_high_values_go() -> None:
    table = strongest_signals(*some())
    assert list(table["signal"]) == ["s4", "s3", "s2", "s1", "s0"]
    assert list(table["high_values"]) == ["lower it", *["raise it"] * 3, "either way"]
    contributions, _ = some()
    assert table["size"].iloc[0] == pytest.approx(np.abs(contributions.values[:, 4]).mean())
    assert table["words"].iloc[0] == "s4, 28 days"


def test_pictures_are_the_same_every_time_and_leave_nothing_behind() -> None:
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    first, second = contribution_pictures(*some()), contribution_pictures(*some())
    assert np.random.random() == expected
    assert (first.beeswarm, first.dependence) == (second.beeswarm, second.dependence)
    assert pyplot.get_fignums() == []


def test_names_of_any_kind_are_drawn_and_no_formula_is_read_in_them() -> None:
    contributions, signals = some()
    hostile = [signal(f"{HOSTILE}{n}") for n in range(len(signals))]
    drawn = contribution_pictures(contributions, hostile)
    assert drawn.beeswarm[:4] == b"\x89PNG" and HOSTILE[:5] in drawn.dependence_words


@pytest.mark.parametrize("columns", [1, 2, 40])
def test_few_signals_many_and_such_as_give_nothing_are_drawn(columns: int) -> None:
    contributions, signals = some(columns)
    nothing = RowContributions(50.0, np.zeros_like(contributions.values), contributions.features)
    for each in (contributions, nothing):
        drawn = contribution_pictures(each, signals)
        assert len(drawn.strongest) == min(columns, 12) and drawn.dependence
        dots = drawn.dots.groupby("signal")["points"]
        assert list(drawn.dots["signal"].unique()) == list(drawn.strongest["signal"])
        size = dots.apply(lambda points: points.abs().mean())
        assert np.allclose(size[drawn.strongest["signal"]], drawn.strongest["size"])


def test_the_beeswarm_names_signals_in_words_and_points() -> None:
    contributions, signals = some(20)
    figure = beeswarm_figure(shap_explanation(contributions), [f"name {n}" for n in range(20)], 12)
    names = [each.get_text() for each in figure.axes[0].get_yticklabels()]
    assert names[-1] == "name 19" and names[0] == "Sum of 8 other signals"
    assert figure.axes[0].get_xlabel() == "points of the score"


def test_who_cannot_see_the_beeswarm_is_told_the_strongest() -> None:
    table = pd.DataFrame(
        {"signal": ["a"], "words": ["days idle"], "size": [3.14], "high_values": ["lower it"]}
    )
    words = ContributionInputs(table, pd.DataFrame(), b"", b"").beeswarm_words
    assert "days idle: 3.1 points on average, high values lower it." in words
