"""What people declare in `tenure.toml`, and what holds where they declare nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Match = Literal["first", "all"]
AT_RISK_UNTIL, STABLE_UNTIL = 40, 70
"""Last displayed scores of the first two bands."""
CLUSTERS = 6
"""Behavioural groups of the method `clusters`."""
MODEL_SHARE = 0.5
"""The model's share of the hybrid, in log-odds."""
CountedName = Literal["actions", "rules", "weighted_average", "usage_score", "four_indicators"]
"""Counted scores that can be published."""
COUNTED_IN_WORDS: dict[str, str] = {
    "actions": "points for actions",
    "rules": "rules",
    "weighted_average": "a weighted average of signals",
    "usage_score": "frequency, breadth and depth of use",
    "four_indicators": "four indicators",
    "clusters": "the group of accounts that behave alike",
}
HYBRID = "hybrid"
"""The score that mixes declared points with the model."""


@dataclass(frozen=True)
class Action:
    """An action with points, for the method `actions` of `tenure bench`; the score is the exact
    sum.

    Without `within_days` the action is done where its signal lies within the bounds. With
    `within_days` alone the signal counts days since the action was last done: N days or fewer are
    done, the day after is missed. With both, the action is missed once `counted_from` passes N days
    and the signal is still out of bounds.
    """

    name: str
    """Said beside its points."""
    signal: str
    """Column of the features table."""
    points: int = 0
    """Added where the action is done; below 0 for what speaks against the account."""
    at_least: float | None = None
    """Smallest value that counts as done; 1 where no bound is given."""
    at_most: float | None = None
    """Largest value that counts as done."""
    each: bool = False
    """Points for every whole unit of the signal, not once."""
    up_to: int | None = None
    """With `each`: further units add nothing."""
    within_days: int | None = None
    """The deadline."""
    missed: int = 0
    """Added from the day after the deadline until the action is done."""
    counted_from: str | None = None
    """Signal of the days since the account began, by which the deadline of an action never done
    runs.
    """

    def problem(self) -> str | None:
        """Return what is wrong with these settings, or None."""
        has_bounds = self.at_least is not None or self.at_most is not None
        if self.points == 0 and self.missed == 0:
            return "give points, or missed, other than 0: as it stands the action changes nothing."
        if self.missed > 0:
            return (
                f"missed = {self.missed} must be below 0: it is what a missed deadline takes away."
            )
        if self.missed and self.within_days is None:
            return "missed needs within_days, the deadline."
        if self.within_days is not None and has_bounds and self.counted_from is None:
            return (
                "within_days beside at_least or at_most needs counted_from, the signal that the"
                " days are counted by."
            )
        if self.each and (self.within_days is not None or has_bounds):
            return "each goes with points alone, without at_least, at_most and within_days."
        if self.up_to is not None and not self.each:
            return "up_to goes with each = true."
        return None

    @property
    def counts_days(self) -> bool:
        """Whether the signal counts days since the action was last done."""
        return self.within_days is not None and self.at_least is None and self.at_most is None


@dataclass(frozen=True)
class Condition:
    """Bounds on one signal that must all hold; where it has no value only `missing = true`
    holds.
    """

    signal: str
    """Column of the features table."""
    above: float | None = None
    """Holds for larger values."""
    at_least: float | None = None
    """Holds for this value and larger ones."""
    below: float | None = None
    """Holds for smaller values."""
    at_most: float | None = None
    """Holds for this value and smaller ones."""
    missing: bool = False
    """Holds where the signal has no value."""

    def problem(self) -> str | None:
        """Return what is wrong with these settings, or None."""
        has_bound = any(
            bound is not None for bound in (self.above, self.at_least, self.below, self.at_most)
        )
        if has_bound == self.missing:
            return (
                f"the condition on {self.signal} needs one of above, at_least, below, at_most, or"
                " missing = true alone."
            )
        return None


@dataclass(frozen=True)
class Rule:
    """Points for accounts on which every condition holds, for the method `rules` of `tenure
    bench`.
    """

    name: str
    """Said where the rule fires."""
    when: tuple[Condition, ...]
    """Conditions, all of which must hold."""
    points: int
    """Below 0 speaks against the account."""

    def problem(self) -> str | None:
        """Return what is wrong with these settings, or None."""
        if not self.when:
            return "give at least one condition under when."
        if self.points == 0:
            return "give points other than 0: as it stands the rule changes nothing."
        problems = (each.problem() for each in self.when)
        return next((problem for problem in problems if problem), None)


@dataclass(frozen=True)
class Mixture:
    """Points that are mixed with what is learned, in log-odds: those of the rules, or of the
    scorecard where there are none.
    """

    rules: tuple[Rule, ...] = ()
    match: Match = "all"
    model_share: float = MODEL_SHARE
    """The model's share, 0-1."""

    @property
    def words(self) -> str:
        """Both parts with their shares."""
        points = "your rules" if self.rules else "the scorecard"
        return f"{points} ({1 - self.model_share:.0%}) and the model ({self.model_share:.0%})"


@dataclass(frozen=True)
class ScorePart:
    """A part of the score: the mean of its indicators, and its weight; the weights of all parts sum
    to 100.
    """

    name: str
    weight: float
    columns: tuple[str, ...]


def weights_problem(weights: Mapping[str, float]) -> str | None:
    """Return what is wrong with weights that must be 0 or more and sum to 100, or None."""
    total = sum(weights.values())
    if abs(total - 100.0) <= 1e-6 and min(weights.values()) >= 0:
        return None
    listed = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return f"weights must be 0 or more and sum to 100, not {total:g} ({listed})."
