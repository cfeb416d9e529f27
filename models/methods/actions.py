"""Actions with points: what was done adds, what was not done in time takes away, and the score is
the sum.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.declared import Action, Rule
from models.methods.base import Floats, MethodState
from models.methods.recency import recency_signals
from models.methods.scorecard import MARGIN_PER_POINT, NEUTRAL, choose_indicators

POINTS = 10
"""Points of a proposed action."""


@dataclass(frozen=True)
class ActionsDetails:
    """The actions that count, and whether people declared them."""

    actions: tuple[Action, ...]
    is_declared: bool


class Actions:
    """Score = exact sum of whole points; each point belongs to one action and its signal.

    `fit` learns nothing from labels. Where no actions are declared it proposes some from the cards'
    directions and the spread of the training rows.
    """

    name = "actions"

    def __init__(self, actions: Sequence[Action] = (), *, is_event_good: bool = False) -> None:
        require_sound(actions, "action")
        self.actions = tuple(actions)
        self.is_event_good = is_event_good
        self.actions_: tuple[Action, ...] = ()
        self.columns_: list[str] = []

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Find each action's signal, or propose actions from these rows; labels are not read."""
        self.columns_ = [signal.column for signal in signals]
        self.actions_ = self.actions or propose_actions(features, signals)
        named = [action.signal for action in self.actions_]
        named += [action.counted_from for action in self.actions_ if action.counted_from]
        require_signals(named, self.columns_, "actions")
        return self

    def points(self, features: pd.DataFrame) -> NDArray[np.int64]:
        """Return points per row and action, shape (n_rows, n_actions)."""
        columns = [
            action_points(
                action, self._values(features, action.signal), self._age(features, action)
            )
            for action in self.actions_
        ]
        return np.column_stack(columns)

    def score(self, features: pd.DataFrame) -> NDArray[np.int64]:
        """Return the sum of points per row; high is good."""
        return np.asarray(self.points(features).sum(axis=1), dtype=np.int64)

    def trace(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return one line per row and action that gave points: row, action, signal, value,
        points.
        """
        points = self.points(features)
        row, action = np.nonzero(points)
        actions = [self.actions_[number] for number in action]
        return pd.DataFrame(
            {
                "row": features.index.to_numpy()[row],
                "action": [each.name for each in actions],
                "signal": [each.signal for each in actions],
                "value": [
                    features[each.signal].iloc[at] for each, at in zip(actions, row, strict=True)
                ],
                "points": points[row, action],
            }
        )

    def counted(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the base (50) and each signal's points, shape (n_rows, n_signals)."""
        points = self.points(features)
        own = np.zeros((len(features), len(self.columns_)))
        for number, action in enumerate(self.actions_):
            own[:, self.columns_.index(action.signal)] += points[:, number]
        return NEUTRAL, own

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return a ranking on the log-odds side: many points are a low margin (reversed for good
        events).
        """
        _, phi = self.contributions(features)
        return np.asarray(phi.sum(axis=1), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return 0 and each signal's points turned into margin."""
        _, points = self.counted(features)
        return 0.0, points * (MARGIN_PER_POINT if self.is_event_good else -MARGIN_PER_POINT)

    def _values(self, features: pd.DataFrame, column: str) -> Floats:
        return features.iloc[:, self.columns_.index(column)].to_numpy(dtype=np.float64)

    def _age(self, features: pd.DataFrame, action: Action) -> Floats | None:
        return None if action.counted_from is None else self._values(features, action.counted_from)

    def describe(self) -> ActionsDetails:
        """Return the actions that count."""
        return ActionsDetails(self.actions_, bool(self.actions))

    def to_dict(self) -> MethodState:
        """Return the actions and the columns they read from."""
        return {
            "declared": [asdict(action) for action in self.actions],
            "is_event_good": self.is_event_good,
            "actions": [asdict(action) for action in self.actions_],
            "columns": self.columns_,
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(
            [Action(**each) for each in state["declared"]],
            is_event_good=bool(state["is_event_good"]),
        )
        method.actions_ = tuple(Action(**each) for each in state["actions"])
        method.columns_ = list(state["columns"])
        return method


def action_points(action: Action, values: Floats, age: Floats | None) -> NDArray[np.int64]:
    """Return points per row from the signal's values and the days counted from; null adds
    nothing.
    """
    if action.each:
        units = np.floor(np.nan_to_num(np.maximum(values, 0.0)))
        counted = units if action.up_to is None else np.minimum(units, action.up_to)
        return np.asarray(action.points * counted.astype(np.int64), dtype=np.int64)
    is_done, missed = _state(action, values, np.full(len(values), np.nan) if age is None else age)
    return np.asarray(
        action.points * is_done.astype(np.int64) + action.missed * missed.astype(np.int64),
        dtype=np.int64,
    )


def _state(
    action: Action, values: Floats, age: Floats
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Done, and missed; comparisons with null are false."""
    deadline = np.inf if action.within_days is None else float(action.within_days)
    if action.counts_days:
        # A null here is "never done": the deadline then runs from the account's beginning.
        never = np.isnan(values) & (age > deadline)
        return values <= deadline, (values > deadline) | never
    least = 1.0 if action.at_least is None and action.at_most is None else action.at_least
    is_done = ~np.isnan(values)
    if least is not None:
        is_done &= values >= least
    if action.at_most is not None:
        is_done &= values <= action.at_most
    return is_done, ~is_done & ~np.isnan(values) & (age > deadline)


def require_sound(declared: Sequence[Action | Rule], what: str) -> None:
    """Refuse actions or rules whose settings contradict each other.

    Raises
    ------
    ContractError
        With the first one's name and what is wrong.
    """
    for each in declared:
        wrong = each.problem()
        if wrong:
            raise ContractError(f"{what} {each.name!r}: {wrong}")


def require_signals(named: Sequence[str], columns: Sequence[str], what: str) -> None:
    """Refuse names that are no signals of this target.

    Raises
    ------
    ContractError
        With the nearest names.
    """
    import difflib

    for name in named:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=3, cutoff=0.5)
            nearest = f" Nearest: {', '.join(close)}." if close else ""
            raise ContractError(
                f"{what} name the signal {name!r}, which this target does not have.{nearest} "
                "docs/reference/signals.md lists all; the features table has the ones built."
            )


def propose_actions(features: pd.DataFrame, signals: tuple[Signal, ...]) -> tuple[Action, ...]:
    """Return actions for a scorecard's indicators: the better half earns points, the worst tenth
    loses them.

    A signal that counts days since something was last done gets a deadline instead, at its worst
    tenth.
    """
    chosen = choose_indicators(features, signals)
    if not chosen:
        raise ContractError(
            "no signal says which direction is worse, so no actions can be proposed. Declare"
            " [[actions]]."
        )
    counts_days = set(recency_signals(signals))
    actions: list[Action] = []
    for number in chosen:
        values = features.iloc[:, number].dropna().to_numpy(dtype=np.float64)
        if number in counts_days and signals[number].worse == "up":
            actions.append(_deadline(signals[number], values))
        else:
            actions += _bounds(signals[number], values)
    return tuple(actions)


def _deadline(signal: Signal, values: Floats) -> Action:
    # At least a day, and never the largest value seen: a deadline nobody misses says nothing.
    latest = int(max(1.0, min(np.ceil(np.quantile(values, 0.9)), np.ceil(values.max()) - 1)))
    return Action(
        f"{signal.driver} within {latest} days",
        signal.column,
        POINTS,
        within_days=latest,
        missed=-POINTS,
    )


def _bounds(signal: Signal, values: Floats) -> list[Action]:
    """Points for the better half, points off for the worst tenth, where the two differ."""
    middle, low, high = (float(np.quantile(values, q)) for q in (0.5, 0.1, 0.9))
    if signal.worse == "down":
        worst = low if low < middle else _next(values[values < middle], -1)
        good = Action(f"{signal.driver} as usual or more", signal.column, POINTS, at_least=middle)
        bad = (
            []
            if worst is None
            else [Action(f"{signal.driver} low", signal.column, -POINTS, at_most=worst)]
        )
    else:
        worst = high if high > middle else _next(values[values > middle], 0)
        good = Action(f"{signal.driver} as usual or less", signal.column, POINTS, at_most=middle)
        bad = (
            []
            if worst is None
            else [Action(f"{signal.driver} high", signal.column, -POINTS, at_least=worst)]
        )
    return [good, *bad]


def _next(beyond: Floats, end: int) -> float | None:
    """The value nearest to the middle among those beyond it."""
    return float(np.sort(beyond)[end]) if len(beyond) else None
