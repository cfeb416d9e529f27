"""All cards, in one place: what is computed, and what it means."""

from features.definition import Card, RatioCard, StateCard
from features.dimensions import (
    adoption,
    contract,
    engagement,
    financial,
    outcomes,
    relationship,
    support,
    usage,
)

CARDS: tuple[Card, ...] = (
    *usage.CARDS, *engagement.CARDS, *support.CARDS, *financial.CARDS, *relationship.CARDS, *outcomes.CARDS,
)
STATES: tuple[StateCard, ...] = (
    *support.STATES, *financial.STATES, *relationship.STATES, *outcomes.STATES, *adoption.STATES, *contract.STATES,
)
RATIOS: tuple[RatioCard, ...] = (*usage.RATIOS,)

DIMENSIONS = ("usage", "engagement", "outcomes", "relationship", "financial", "support", "adoption", "contract")
