"""The split of a difference by hand: three signals, two accounts, every step with its own
numbers.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.changes import CAUSES, ScoredState, Split, change_lines, main_cause, split
from models.health import displayed


def signal(column: str, driver: str, *, nature: str = "leading") -> Signal:
    return Signal(
        column=column,
        driver=driver,
        dimension="usage",
        source="usage_events",
        meaning=f"{column} so far",
        unit="days",
        phrase="{value} days of " + column,
        nature=nature,
    )


SIGNALS = (
    signal("logins_7d", "logins"),
    signal("logins_28d", "logins"),
    signal("age", "age", nature="clock"),
)


def state(
    base: float, points: list[list[float]], values: list[list[float]] | None = None
) -> ScoredState:
    numbers = np.array(points)
    return ScoredState(base, numbers, numbers if values is None else np.array(values))


def lines_of(found: Split, change: list[int]) -> pd.DataFrame:
    return change_lines(found, ["A", "B"], np.array(change), SIGNALS, days=28)


STORED = state(70.0, [[-10, -5, 2], [0, 0, 0]], [[1, 4, 300], [7, 28, 40]])
REBUILT = state(70.0, [[-8, -5, 2], [0, 0, 0]], [[2, 4, 300], [7, 28, 40]])
MOVED = state(70.0, [[-8, 1, -3], [0, 0, 0]], [[2, 12, 328], [7, 28, 40]])
REMODELLED = state(72.0, [[-6, 3, -3], [0, 0, 0]])


def test_each_step_is_its_own_cause() -> None:
    found = split(SIGNALS, STORED, REBUILT, MOVED, REMODELLED, np.array([64.0, 72.0]))
    lines = lines_of(found, [7, 2])
    mine = lines[lines["account_id"] == "A"].set_index(["cause", "driver"])["points"].to_dict()
    # 57 -> 64: +2 data, +6 behaviour (logins of 28 days), -5 clock, model +2 base and +4 signals,
    # scale -2.
    assert mine == {
        ("data", "logins"): 2.0,
        ("behaviour", "logins"): 6.0,
        ("clock", "age"): -5.0,
        ("model", "base"): 2.0,
        ("model", "signals"): 4.0,
        ("scale", "scale"): -2.0,
    }
    other = lines[lines["account_id"] == "B"]
    assert (
        list(other["cause"]) == ["model"]
        and list(other["driver"]) == ["base"]
        and list(other["points"]) == [2.0]
    )
    words = lines[lines["account_id"] == "A"].set_index("cause")["words"]
    assert words["data"] == "2 days of logins_7d, as we know now; first scored as 1 day"
    assert words["clock"] == "11 months of age; before: 10 months"
    assert words["behaviour"] == "12 days of logins_28d; up from 4 days four weeks ago"


def test_nothing_changed_has_no_lines() -> None:
    found = split(SIGNALS, STORED, STORED, STORED, STORED, STORED.base + STORED.points.sum(axis=1))
    assert lines_of(found, [0, 0]).empty
    assert list(main_cause(np.zeros((2, 5)), np.zeros(2))) == ["", ""]


def test_states_of_several_models_are_refused() -> None:
    with pytest.raises(ContractError, match="one model and scale have one base"):
        split(SIGNALS, STORED, REMODELLED, MOVED, REMODELLED, np.zeros(2))


def test_main_cause_goes_with_the_score() -> None:
    """Down by 10: data -4, clock +20, behaviour -26. The clock is larger than data, but it held the
    score up.
    """
    sums = np.array([[-4.0, 20.0, -26.0, 0.0, 0.0], [-4.0, 20.0, -6.0, 0.0, 0.0]])
    assert list(main_cause(sums, sums.sum(axis=1))) == ["behaviour", "clock"]


def test_what_is_not_listed_is_one_rest_per_cause() -> None:
    signals = tuple(signal(f"s{i}", f"s{i}") for i in range(30))
    rising = np.arange(1.0, 31.0)[None, :]
    found = split(
        signals,
        ScoredState(50.0, np.zeros((1, 30)), rising),
        ScoredState(50.0, np.zeros((1, 30)), rising),
        ScoredState(50.0, rising / 30, rising),
        ScoredState(50.0, rising / 30, rising),
        np.array([50.0 + rising.sum() / 30]),
    )
    lines = change_lines(found, ["A"], np.array([16]), signals, days=28, most=3)
    assert list(lines["driver"]) == ["s29", "s28", "s27", "rest"]
    assert lines["points"].sum() == pytest.approx(rising.sum() / 30, abs=1e-12)
    assert lines["points_displayed"].sum() == 16


@given(st.integers(0, 2**32 - 1))
def test_lines_always_add_to_the_difference(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def some(base: float) -> tuple[ScoredState, NDArray[np.float64]]:
        points = np.round(generator.normal(0, 4, (6, 3)), 3) * generator.integers(0, 2, (6, 3))
        return ScoredState(base, points, points), base + points.sum(axis=1)

    (stored, before), (rebuilt, _), (moved, _), (remodelled, _) = (
        some(60.0),
        some(60.0),
        some(60.0),
        some(63.5),
    )
    after = 50.0 + generator.normal(0, 10, 6)
    found = split(SIGNALS, stored, rebuilt, moved, remodelled, after)
    shown = displayed(np.clip(after, 0, 100)) - displayed(np.clip(before, 0, 100))
    lines = change_lines(found, list("ABCDEF"), shown, SIGNALS, days=28)
    sums = (
        lines.groupby("account_id")[["points", "points_displayed"]]
        .sum()
        .reindex(list("ABCDEF"))
        .fillna(0)
    )
    np.testing.assert_allclose(sums["points"], after - before, atol=1e-9)
    assert (sums["points_displayed"].to_numpy() == shown).all()
    assert set(lines["cause"]) <= set(CAUSES)
