"""What is predicted: the definition of a target, apart from where its data are."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

TargetKind = Literal[
    "churn",
    "voluntary",
    "involuntary",
    "contraction",
    "expansion",
    "conversion",
    "inactivity",
    "event",
]
GOOD_EVENTS = frozenset({"expansion", "conversion"})
ENDS_OF_COVER = frozenset({"churn", "voluntary", "involuntary"})
CONTRACTUAL = frozenset(
    {"churn", "voluntary", "involuntary", "contraction", "expansion", "conversion"}
)
AMOUNT_KINDS = frozenset({"contraction", "expansion"})
"""Kinds about what an account pays, which can change for several causes."""
WITHOUT_MOMENT = AMOUNT_KINDS | {"inactivity"}
"""Kinds whose event has no moment that anybody sees: a silence has only the last sign of life
before it, and amounts are compared at the two ends of the window. Whether it came is known when the
window is over; no page counts days before it.
"""

Cause = Literal["seats", "plan", "product", "discount", "price"]
CAUSES: tuple[Cause, ...] = ("seats", "plan", "product", "discount", "price")
"""What a monthly amount changed by; of several the first is the main one. `price` is what none of
the others explains.
"""
CUSTOMERS_OWN: tuple[Cause, ...] = ("seats", "plan", "product")
"""Causes that the customer chooses; a price and a discount are the vendor's own doing."""


@dataclass(frozen=True)
class TargetRule:
    """One target: the event, and the window `[as_of + gap, as_of + gap + horizon)` it must fall
    into.

    `horizon_days` None means the next contract end. `event_names` keeps only those outcomes.
    `causes` keeps only changes of the amount by one of them; empty: every change.
    """

    name: str
    kind: TargetKind
    horizon_days: int | None
    gap_days: int = 0
    grace_days: int = 0
    event_names: tuple[str, ...] = ()
    first_event_only: bool = False
    change_share: float = 0.0
    causes: tuple[Cause, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the event is one to hope for (expansion), so that high probability is high
        score.
        """
        return self.kind in GOOD_EVENTS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
