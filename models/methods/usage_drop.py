"""Is usage falling: the alarm most customer-success teams set up first."""

from features.definition import Signal
from features.errors import ContractError
from models.methods.recency import Recency


class UsageDrop(Recency):
    """Logistic regression on the one signal of change in usage that fits the training rows best."""

    name = "usage_drop"

    def _candidates(self, signals: tuple[Signal, ...]) -> list[int]:
        candidates = [
            n
            for n, signal in enumerate(signals)
            if signal.dimension == "usage" and signal.definition.get("measure") == "change"
        ]
        if not candidates:
            raise ContractError(
                "no signal of usage compares a window with the one before; the usage drop needs"
                " one."
            )
        return candidates
