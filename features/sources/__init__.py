"""Contracts of the raw tables: what tenure reads, with units and clocks."""

from features.sources import (
    accounts,
    contacts,
    csm_notes,
    goals,
    interventions,
    invoices,
    milestones,
    outcomes,
    subscriptions,
    support_tickets,
    surveys,
    touchpoints,
    usage_events,
)
from features.sources.contract import (
    COMMON,
    WORD_GAPS,
    Column,
    ColumnType,
    Contract,
    MinutesBetween,
    Stream,
    word_among,
    word_key,
)

CONTRACTS: dict[str, Contract] = {
    module.CONTRACT.table: module.CONTRACT
    for module in (
        accounts,
        subscriptions,
        usage_events,
        invoices,
        support_tickets,
        surveys,
        contacts,
        touchpoints,
        milestones,
        goals,
        csm_notes,
        interventions,
        outcomes,
    )
}

__all__ = [
    "COMMON",
    "CONTRACTS",
    "WORD_GAPS",
    "Column",
    "ColumnType",
    "Contract",
    "MinutesBetween",
    "Stream",
    "word_among",
    "word_key",
]
