"""What people declare for scores that are counted rather than learned: actions, rules, parts with
weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Match = Literal["first", "all"]


@dataclass(frozen=True)
class Action:
    """One action, the signal that shows it, and its points.

    Without `within_days` the action is done where the signal lies within `at_least` (default 1) and
    `at_most`. With `within_days` alone, the signal counts days since the action was last done: a
    value of N days or fewer is done, N + 1 is missed. With `within_days` and a bound, the action is
    missed from day N + 1 of `counted_from` on, for as long as the signal is out of bounds.
    """

    name: str
    signal: str
    points: int = 0
    """Added where the action is done; below 0 for what speaks against the account."""
    at_least: float | None = None
    at_most: float | None = None
    each: bool = False
    """Points for every whole unit of the signal, not once."""
    up_to: int | None = None
    """With `each`: units beyond this many add nothing."""
    within_days: int | None = None
    missed: int = 0
    """Added where the deadline has passed; below 0."""
    counted_from: str | None = None
    """Signal of the days since the account began: an action never done is missed once this passes
    `within_days`.
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
    """Bounds on one signal, all of which must hold; a null fulfils `missing = true` only."""

    signal: str
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    missing: bool = False

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
    """Points for rows on which every condition holds; below 0 speaks against the account."""

    name: str
    when: tuple[Condition, ...]
    points: int

    def problem(self) -> str | None:
        """Return what is wrong with these settings, or None."""
        if not self.when:
            return "give at least one condition under when."
        if self.points == 0:
            return "give points other than 0: as it stands the rule changes nothing."
        return next((found for found in (each.problem() for each in self.when) if found), None)


@dataclass(frozen=True)
class Part:
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
    given = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    return f"weights must be 0 or more and sum to 100, not {total:g} ({given})."
