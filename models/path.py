"""The path back: the cheapest combination of steps by which an account would read a better band.

Every combination is tried in the order of its effort until one reaches the band, so that none is
cheaper. A score need not rise with every step, so nothing is taken for granted between two.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_COMBINATIONS = 4_096
"""Of steps that are tried for one account."""
Steps = tuple[int, ...]


@dataclass(frozen=True)
class FoundPath:
    """What was found.

    Attributes
    ----------
    steps
        How many of each lever; None: no combination reaches the band.
    effort
        Of these steps; nan where there is no path.
    health
        What the account would read with them; without a path the best that any combination gives.
    best
        The cheapest combination with that health.
    tried
        Combinations that were tried.
    """

    steps: Steps | None
    effort: float
    health: int
    best: Steps
    tried: int


def combinations(efforts: Sequence[float], most: Sequence[int]) -> list[Steps]:
    """Every combination of steps but none at all, the least effort first; of equal effort the one
    with fewer steps, then with more of the levers named first.

    Parameters
    ----------
    efforts, most
        Of one step of each lever, and how many steps it has at most.

    Examples
    --------
    >>> combinations([1.0, 3.0], [2, 1])
    [(1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    """
    every = itertools.product(*(range(each + 1) for each in most))

    def order(steps: Steps) -> tuple[float, int, Steps]:
        return effort_of(steps, efforts), sum(steps), tuple(-each for each in steps)

    return sorted((steps for steps in every if any(steps)), key=order)


def effort_of(steps: Steps, efforts: Sequence[float]) -> float:
    """What steps cost together."""
    return math.fsum(n * each for n, each in zip(steps, efforts, strict=True))


def cheapest_path(
    efforts: Sequence[float],
    most: Sequence[int],
    health_of: Callable[[Sequence[Steps]], Sequence[int]],
    reaches: Callable[[int], bool],
    at_once: int,
) -> FoundPath:
    """The least effort that reaches, by trying combinations from the cheapest up.

    Parameters
    ----------
    health_of
        What the account would read with each of some combinations.
    reaches
        Whether a health is good enough.
    at_once
        Combinations that are asked about together.

    Raises
    ------
    ValueError
        No lever has a step.
    """
    every = combinations(efforts, most)
    if not every:
        raise ValueError("no lever has a step to try.")
    best: tuple[int, Steps] | None = None
    for start in range(0, len(every), at_once):
        batch = every[start : start + at_once]
        for place, (steps, health) in enumerate(zip(batch, health_of(batch), strict=True), 1):
            if reaches(health):
                tried = start + place
                return FoundPath(steps, effort_of(steps, efforts), health, steps, tried)
            if best is None or health > best[0]:
                best = health, steps
    assert best is not None
    return FoundPath(None, math.nan, *best, len(every))
