"""When will it happen: a hazard per piece of the horizon, from which the chance over all of it
follows.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.methods.base import Floats, logit, sigmoid
from models.methods.logistic import Logistic

HAZARD_PIECES = 3


@dataclass(frozen=True)
class SurvivalDetails:
    """How many pieces of the horizon there are, and how many hold events."""

    pieces: int
    pieces_with_events: int


class Survival:
    """Discrete-time hazards: one logistic regression over all (row, piece) pairs still without the
    event.

    The signals, age among them, move all hazards alike in log-odds; each piece has a level of its
    own. P(event within the horizon) = 1 - product of (1 - hazard).

    References
    ----------
    [Singer1993] It's about time: discrete-time survival analysis, eq. 7.
    """

    name = "survival"

    def __init__(self, l2: float = 0.01, pieces: int = HAZARD_PIECES) -> None:
        self.l2 = l2
        self.pieces = pieces
        self.kept_: list[int] = []
        self.hazard_: Logistic

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
        elapsed: Floats | None = None,
    ) -> Self:
        """Learn from rows and, for those with the event, when in the horizon it came.

        Parameters
        ----------
        elapsed
            Share of the horizon, above 0 and at most 1, that had passed at the event; not read
            where the label is 0.
        """
        if elapsed is None:
            raise ContractError("survival needs the moment of each event; give elapsed.")
        inside = elapsed[labels == 1]
        if not ((inside > 0) & (inside <= 1)).all():
            raise ContractError(
                "the moment of an event must lie inside the horizon: elapsed above 0 and at most 1."
            )
        piece = np.where(
            labels == 1,
            np.ceil(np.nan_to_num(elapsed) * self.pieces).astype(np.intp) - 1,
            self.pieces,
        )
        # A piece without a single event has no hazard to learn and cannot change the product.
        self.kept_ = [number for number in range(self.pieces) if (piece == number).any()]
        at_risk = [np.flatnonzero(piece >= number) for number in self.kept_]
        rows = pd.concat(
            [
                self._pair(features.iloc[at], number)
                for at, number in zip(at_risk, self.kept_, strict=True)
            ],
            ignore_index=True,
        )
        happened = np.concatenate(
            [piece[at] == number for at, number in zip(at_risk, self.kept_, strict=True)]
        )
        weight = None if weights is None else np.concatenate([weights[at] for at in at_risk])
        self.hazard_ = Logistic(self.l2).fit(
            rows, happened.astype(np.int8), signals, weights=weight
        )
        return self

    def _pair(self, features: pd.DataFrame, piece: int) -> pd.DataFrame:
        """Rows as they stand in one piece: the signals, and 0 or 1 for every piece but the
        first.
        """
        steps = {
            f"in_piece_{number}": np.full(len(features), float(number == piece))
            for number in self.kept_[1:]
        }
        return pd.concat([features, pd.DataFrame(steps, index=features.index)], axis=1)

    def hazards(self, features: pd.DataFrame) -> Floats:
        """Return the chance of the event in each piece, given none before, shape (n_rows,
        n_pieces).
        """
        chances = np.zeros((len(features), self.pieces))
        for number in self.kept_:
            chances[:, number] = sigmoid(self.hazard_.margin(self._pair(features, number)))
        return chances

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds of the event within the whole horizon."""
        return logit(1.0 - np.prod(1.0 - self.hazards(features), axis=1))

    def describe(self) -> SurvivalDetails:
        """Return how many pieces hold events."""
        return SurvivalDetails(self.pieces, len(self.kept_))
