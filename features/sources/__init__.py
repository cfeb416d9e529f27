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
from features.sources.contract import COMMON, Column, ColumnType, Contract, MinutesBetween, Stream

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

__all__ = ["COMMON", "CONTRACTS", "Column", "ColumnType", "Contract", "MinutesBetween", "Stream"]
