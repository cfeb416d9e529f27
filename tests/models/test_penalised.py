"""One regression, solved in several ways that must agree."""

from dataclasses import replace

import numpy as np
import pytest

from models.methods.base import Floats, sigmoid
from models.methods.penalised import FREE, Regression, bounded, levels, lines, newton

ROWS = 600


@pytest.fixture(scope="module")
def regression() -> Regression:
    rng = np.random.default_rng(5)
    design = rng.normal(size=(ROWS, 3))
    offset = rng.normal(-1.0, 0.5, ROWS)
    target = (rng.random(ROWS) < sigmoid(offset + design @ [1.0, -0.5, 0.0])).astype(np.float64)
    return Regression(
        design,
        target,
        rng.exponential(1.0, ROWS),
        np.array([1.0, 2.0, 3.0, 0.0]),
        centre=np.array([0.5, 0.0, 0.0, 0.0]),
        offset=offset,
    )


def test_newton_ends_where_the_loss_is_flat(regression: Regression) -> None:
    best = newton(regression, np.zeros(4))
    slopes = regression.gradient(sigmoid(regression.margin(best)), best)
    assert np.abs(slopes).max() < 1e-9 * ROWS


def test_kept_curvature_ends_in_the_same_place(regression: Regression) -> None:
    asked = []

    class Counted(Regression):
        def curvature(self, probability: Floats) -> Floats:
            asked.append(1)
            return super().curvature(probability)

    counted = Counted(**vars(regression))
    anew = newton(counted, np.zeros(4))
    of_every_step = len(asked)
    kept = newton(counted, np.zeros(4), keep_curvature=True)
    assert len(asked) - of_every_step < of_every_step
    np.testing.assert_allclose(kept, anew, atol=1e-9)


def test_bounds_that_hold_nothing_give_newtons_coefficients(regression: Regression) -> None:
    apart = bounded(regression, np.zeros(4), [FREE] * 4) - newton(regression, np.zeros(4))
    assert np.abs(apart).max() < 1e-5


def test_coefficient_beyond_its_bound_lies_on_it(regression: Regression) -> None:
    best = bounded(regression, np.zeros(4), [(None, 0.2), *[FREE] * 3])
    assert best[0] == 0.2
    assert newton(regression, np.zeros(4))[0] > 0.2


def test_level_that_is_not_stored_equals_a_column_of_ones(regression: Regression) -> None:
    stored = replace(
        regression,
        design=np.column_stack([regression.design, np.ones(ROWS)]),
        has_level=False,
    )
    np.testing.assert_allclose(
        newton(stored, np.zeros(4)), newton(regression, np.zeros(4)), atol=1e-12
    )


def test_diagonal_penalty_equals_its_matrix(regression: Regression) -> None:
    matrix = replace(regression, penalty=np.diag(regression.penalty))
    np.testing.assert_allclose(
        newton(matrix, np.zeros(4)), newton(regression, np.zeros(4)), atol=1e-12
    )


def test_far_start_reaches_the_same_coefficients(regression: Regression) -> None:
    """From there a whole step overshoots, so it has to be halved."""
    np.testing.assert_allclose(
        newton(regression, np.array([6.0, 6.0, -6.0, 9.0])),
        newton(regression, np.zeros(4)),
        atol=1e-9,
    )


def test_curvature_is_the_change_of_the_gradient(regression: Regression) -> None:
    at, small = np.array([0.3, -0.2, 0.1, 0.4]), 1e-6
    change = [
        (_slopes(regression, at + small * unit) - _slopes(regression, at - small * unit))
        / (2.0 * small)
        for unit in np.eye(4)
    ]
    np.testing.assert_allclose(
        regression.curvature(sigmoid(regression.margin(at))), change, rtol=1e-6, atol=1e-5
    )


def test_level_of_a_group_where_all_left_is_finite() -> None:
    """Two rows with even odds and two events: 2 (1 - p) + 0.5 - p = 0, so p = 5/6."""
    shift, _ = levels(np.zeros(2), np.ones(2), np.ones(2), np.zeros(2, dtype=np.intp), np.zeros(1))
    assert sigmoid(shift)[0] == pytest.approx(5.0 / 6.0)


def test_lines_under_many_weights_equal_lines_one_by_one() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=ROWS)
    y = (rng.random(ROWS) < sigmoid(0.7 * x - 0.5)).astype(np.float64)
    weights = rng.integers(0, 3, (4, ROWS)).astype(np.float64)
    for number, weight in enumerate(weights):
        alone = newton(Regression(x[:, None], y, weight, np.zeros(2)), np.array([1.0, 0.0]))
        np.testing.assert_allclose(
            [each[number] for each in lines(x, y, weights)], alone, atol=1e-9
        )


def _slopes(regression: Regression, at: np.ndarray) -> np.ndarray:
    return regression.gradient(sigmoid(regression.margin(at)), at)
