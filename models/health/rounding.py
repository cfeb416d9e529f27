"""Whole points that add up: largest remainder, first over dimensions, then inside each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from features.errors import ContractError
from models.health.scale import Floats, Integers

_TIE_DIGITS = 9
"""Remainders equal to this many digits are a tie: sums of doubles differ in the last places."""


def largest_remainder(exact: npt.ArrayLike, totals: npt.ArrayLike) -> Integers:
    """Whole numbers near `exact` whose rows add up to `totals`.

    Every entry is rounded down, then the largest remainders get what is missing, first column first
    in a tie. An entry of exactly 0 stays 0 while its row has another: a signal that did nothing
    shows nothing.

    Parameters
    ----------
    exact
        Shape (n, k).
    totals
        Whole numbers, shape (n,); usually within 1 of the row's sum, since both the score and the
        base are rounded.

    Returns
    -------
    array of int, shape (n, k)
    """
    values = np.round(np.asarray(exact, dtype=np.float64), _TIE_DIGITS)
    wanted = np.asarray(totals, dtype=np.int64)
    if values.ndim != 2 or wanted.shape != (len(values),):
        raise ContractError(
            f"points of shape {values.shape} and totals of shape {wanted.shape}: (n, k) and (n,)"
            " needed."
        )
    if values.shape[1] == 0:
        if wanted.any():
            raise ContractError("no points to carry a total other than 0.")
        return np.zeros(values.shape, dtype=np.int64)
    takes = values != 0
    takes[~takes.any(axis=1) & (wanted != 0)] = True
    whole = np.floor(values)
    fraction = np.where(takes, np.round(values - whole, _TIE_DIGITS), -1.0)
    takers = takes.sum(axis=1)
    # Floor division also serves a shortage: one too many becomes -1 for all and +1 for all but the
    # smallest.
    missing = wanted - whole.sum(axis=1).astype(np.int64)
    each, extra = np.divmod(missing, np.maximum(takers, 1))
    rank = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(
        rank,
        np.argsort(-fraction, axis=1, kind="stable"),
        np.arange(values.shape[1], dtype=np.int64)[None, :],
        axis=1,
    )
    added = each[:, None] + (rank < extra[:, None])
    return whole.astype(np.int64) + np.where(takes, added, 0)


def displayed_points(
    points: npt.ArrayLike,
    dimensions: Sequence[str],
    health_displayed: npt.ArrayLike,
    base_displayed: int,
) -> Integers:
    """Whole points per signal that add to `health_displayed - base_displayed` for every account.

    Dimensions are rounded first, so that what a dimension shows is right to within a point, and the
    signals inside share exactly that.

    Parameters
    ----------
    points
        Exact points, shape (n_accounts, k).
    dimensions
        Dimension of each of the k columns.
    health_displayed
        Displayed score, shape (n_accounts,).
    base_displayed
        Displayed base, one number per model.

    Returns
    -------
    array of int, shape (n_accounts, k)
    """
    values: Floats = np.asarray(points, dtype=np.float64)
    if values.ndim != 2 or len(dimensions) != values.shape[1]:
        raise ContractError(
            f"points of shape {values.shape} need a dimension per column, got {len(dimensions)}"
            " dimensions."
        )
    names = list(dict.fromkeys(dimensions))
    columns = [np.flatnonzero(np.array(dimensions, dtype=object) == name) for name in names]
    sums = (
        np.column_stack([values[:, c].sum(axis=1) for c in columns])
        if columns
        else np.zeros((len(values), 0))
    )
    targets = np.asarray(health_displayed, dtype=np.int64) - int(base_displayed)
    per_dimension = largest_remainder(_keep_alive(sums, values, columns), targets)
    shown = np.zeros(values.shape, dtype=np.int64)
    for index, inside in enumerate(columns):
        shown[:, inside] = largest_remainder(values[:, inside], per_dimension[:, index])
    return shown


def _keep_alive(sums: Floats, values: Floats, columns: list[npt.NDArray[np.intp]]) -> Floats:
    """Sums in which a dimension whose points cancel to 0 may still carry a rounding point; an empty
    one may not.
    """
    cancelled = (
        np.column_stack(
            [(sums[:, i] == 0) & (values[:, c] != 0).any(axis=1) for i, c in enumerate(columns)]
        )
        if columns
        else np.zeros(sums.shape, dtype=bool)
    )
    kept: Floats = np.where(cancelled, 10.0**-_TIE_DIGITS, sums)
    return kept
