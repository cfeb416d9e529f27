"""How a model is searched for: budget, folds, seeds, waivers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from features.errors import ContractError
from models.declared import Mixture

LEAST = {
    "trials": 0,
    "folds": 1,
    "bags": 1,
    "max_trees": 10,
    "threads": 1,
    "max_rows": 1_000,
    "search_rows": 1_000,
    "few_events_below": 0,
}
"""Smallest value of each number of a plan."""


@dataclass(frozen=True)
class TrainingPlan:
    """How a model is searched for; the defaults of `[training]` in the project file."""

    trials: int = 20
    folds: int = 4
    seed: int = 0
    bags: int = 3
    max_trees: int = 300
    """Trees of the whole blend, all bags together."""
    threads: int = 2
    max_rows: int = 400_000
    """Rows that teach one fit; of more, as many are drawn by a hash."""
    search_rows: int = 150_000
    """Rows that teach, and rows that judge, one trial of the search; of more, as many are drawn by
    a hash.
    """
    few_events_below: int = 100
    """With fewer distinct leaving accounts nothing is tuned."""
    beside_calendar: bool = True
    """Whether behaviour is learned beside the contract calendar, and health read where terms
    decide; `benchmarks/health.py` compares both.
    """
    is_event_good: bool = False
    """Expansion, conversion: the directions of the cards turn round."""
    waivers: Mapping[str, str] = field(default_factory=dict)
    """Column -> reason, for columns the leakage audit would refuse."""
    mixture: Mixture | None = None
    """Declared points that become a part of the model; None: all of it is learned."""

    def facts(self) -> dict[str, Any]:
        """Plain values, as a model keeps them; a mixture is named only where there is one."""
        plain = {**asdict(self), "waivers": dict(self.waivers)}
        if self.mixture is None:
            del plain["mixture"]
        return plain

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ContractError(f"{name}={getattr(self, name)} must be at least {least}.")
