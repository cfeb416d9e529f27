"""Rules: conditions on signals with points; the first that holds counts, or all do, and which fired
is said.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from models.declared import Condition, Match, Rule
from models.methods.actions import require_signals, require_sound
from models.methods.base import Floats, MethodState
from models.methods.scorecard import MARGIN_PER_POINT, NEUTRAL, choose_indicators


@dataclass(frozen=True)
class RulesDetails:
    """The rules that count, and whether people declared them."""

    rules: tuple[Rule, ...]
    match: Match
    is_declared: bool


class Rules:
    """Score = points of the first rule that holds, or the sum over all that hold.

    `fit` learns nothing from labels; where no rules are declared it proposes some from the cards'
    directions and the spread of the training rows.
    """

    name = "rules"

    def __init__(
        self, rules: Sequence[Rule] = (), *, match: Match = "all", is_event_good: bool = False
    ) -> None:
        require_sound(rules, "rule")
        self.rules = tuple(rules)
        self.match = match
        self.is_event_good = is_event_good
        self.rules_: tuple[Rule, ...] = ()
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
        """Find each rule's signals, or propose rules from these rows; labels are not read."""
        self.columns_ = [signal.column for signal in signals]
        self.rules_ = self.rules or propose_rules(features, signals)
        require_signals(
            [each.signal for rule in self.rules_ for each in rule.when], self.columns_, "rules"
        )
        return self

    def fired(self, features: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rules count, shape (n_rows, n_rules); with match = "first" at most one per
        row.
        """
        is_met = np.column_stack([self._holds(rule, features) for rule in self.rules_])
        if self.match == "first":
            is_met &= np.cumsum(is_met, axis=1) == 1
        return is_met

    def _holds(self, rule: Rule, features: pd.DataFrame) -> NDArray[np.bool_]:
        parts = [
            holds(
                each, features.iloc[:, self.columns_.index(each.signal)].to_numpy(dtype=np.float64)
            )
            for each in rule.when
        ]
        return np.asarray(np.logical_and.reduce(parts), dtype=bool)

    def score(self, features: pd.DataFrame) -> NDArray[np.int64]:
        """Return the points per row; high is good."""
        points = np.array([rule.points for rule in self.rules_], dtype=np.int64)
        return np.asarray(self.fired(features) @ points, dtype=np.int64)

    def counted(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the base (50) and each signal's points, shape (n_rows, n_signals); a rule's points
        are shared equally by its conditions.
        """
        fired = self.fired(features)
        points = np.zeros((len(features), len(self.columns_)))
        for number, rule in enumerate(self.rules_):
            for condition in rule.when:
                points[:, self.columns_.index(condition.signal)] += fired[:, number] * (
                    rule.points / len(rule.when)
                )
        return NEUTRAL, points

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return a ranking on the log-odds side: few points are a high margin (reversed for good
        events).
        """
        return np.asarray(self.score(features) * self._per_point(), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return 0 and the points as margin."""
        _, points = self.counted(features)
        return 0.0, points * self._per_point()

    def _per_point(self) -> float:
        return MARGIN_PER_POINT if self.is_event_good else -MARGIN_PER_POINT

    def describe(self) -> RulesDetails:
        """Return the rules that count."""
        return RulesDetails(self.rules_, self.match, bool(self.rules))

    def to_dict(self) -> MethodState:
        """Return the rules and the columns they read from."""
        return {
            "declared": [asdict(rule) for rule in self.rules],
            "rules": [asdict(rule) for rule in self.rules_],
            "match": self.match,
            "is_event_good": self.is_event_good,
            "columns": self.columns_,
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(
            _read(state["declared"]),
            match=state["match"],
            is_event_good=bool(state["is_event_good"]),
        )
        method.rules_ = _read(state["rules"])
        method.columns_ = list(state["columns"])
        return method


def holds(condition: Condition, values: Floats) -> NDArray[np.bool_]:
    """Return whether a condition holds, per row."""
    if condition.missing:
        return np.isnan(values)
    is_true = ~np.isnan(values)
    for bound, compare in (
        (condition.above, np.greater),
        (condition.at_least, np.greater_equal),
        (condition.below, np.less),
        (condition.at_most, np.less_equal),
    ):
        if bound is not None:
            is_true &= compare(values, bound)
    return np.asarray(is_true, dtype=bool)


def _read(rules: list[dict[str, Any]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(each["name"], tuple(Condition(**part) for part in each["when"]), int(each["points"]))
        for each in rules
    )


def propose_rules(features: pd.DataFrame, signals: tuple[Signal, ...]) -> tuple[Rule, ...]:
    """Return rules for a scorecard's indicators, the gravest first: two bad at once, the worst
    tenth, the worst quarter.
    """
    bad: list[tuple[Condition, Condition]] = []
    for number in choose_indicators(features, signals):
        values = features.iloc[:, number].dropna().to_numpy(dtype=np.float64)
        bad.append((_worst(signals[number], values, 0.10), _worst(signals[number], values, 0.25)))
    if not bad:
        raise ContractError(
            "no signal says which direction is worse, so no rules can be proposed. Declare"
            " [[rules]]."
        )
    pairs = zip(bad, bad[1:], strict=False)
    both = [Rule(f"{a.signal} and {b.signal} both bad", (a, b), -40) for (_, a), (_, b) in pairs]
    tenth = [Rule(f"{worst.signal} very bad", (worst,), -20) for worst, _ in bad]
    quarter = [Rule(f"{poor.signal} bad", (poor,), -10) for _, poor in bad]
    return (*both, *tenth, *quarter)


def _worst(signal: Signal, values: Floats, share: float) -> Condition:
    """The worst share of the rows; where most rows share one value, what lies beyond it."""
    if signal.worse == "up":
        edge = float(np.quantile(values, 1.0 - share))
        return (
            Condition(signal.column, at_least=edge)
            if edge > np.median(values)
            else Condition(signal.column, above=edge)
        )
    edge = float(np.quantile(values, share))
    return (
        Condition(signal.column, at_most=edge)
        if edge < np.median(values)
        else Condition(signal.column, below=edge)
    )
