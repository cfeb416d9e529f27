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


@dataclass(frozen=True)
class TargetRule:
    """One target: the event, and the window `[as_of + gap, as_of + gap + horizon)` it must fall
    into.

    `horizon_days` None means the next contract end. `event_names` keeps only those outcomes.
    """

    name: str
    kind: TargetKind
    horizon_days: int | None
    gap_days: int = 0
    grace_days: int = 0
    event_names: tuple[str, ...] = ()
    first_event_only: bool = False
    change_share: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the event is one to hope for (expansion), so that high probability is high
        score.
        """
        return self.kind in GOOD_EVENTS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
