"""A level and a slope per segment, over the log-odds of a method: contributions still add to the
account's own log-odds.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.methods import Floats


@dataclass(frozen=True)
class Lines:
    """`level + slope * margin` for the rows of a segment, known by the column that is 1 for them;
    other rows keep theirs.

    Every account starts from one base, as published points need, so what a segment's line does to
    the base is the contribution of its own column: "segment is small" says in points what small
    accounts have apart.
    """

    columns: tuple[str, ...]
    levels: tuple[float, ...]
    slopes: tuple[float, ...]

    def margin(self, features: pd.DataFrame, margin: Floats) -> Floats:
        """Return log-odds on their segments' lines, shape (n_rows,)."""
        moved = margin.copy()
        for inside, _, level, slope in self._each(features):
            moved[inside] = level + slope * margin[inside]
        return moved

    def contributions(self, features: pd.DataFrame, base: float, phi: Floats) -> Floats:
        """Return contributions of shape (n_rows, n_signals) that add, with the same `base`, to the
        log-odds of `margin`.
        """
        moved = phi.copy()
        for inside, place, level, slope in self._each(features):
            moved[inside] *= slope
            moved[inside, place] += level + (slope - 1.0) * base
        return moved

    def _each(self, features: pd.DataFrame) -> list[tuple[NDArray[np.bool_], int, float, float]]:
        place = {str(column): number for number, column in enumerate(features.columns)}
        return [
            (features[column].to_numpy() == 1.0, place[column], level, slope)
            for column, level, slope in zip(self.columns, self.levels, self.slopes, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return columns, levels and slopes."""
        return {
            "columns": list(self.columns),
            "levels": list(self.levels),
            "slopes": list(self.slopes),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return the lines that `to_dict` described."""
        return cls(
            tuple(state["columns"]),
            tuple(map(float, state["levels"])),
            tuple(map(float, state["slopes"])),
        )
