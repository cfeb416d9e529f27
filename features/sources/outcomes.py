"""Outcome events of your own: any dated thing a target can ask about (a churn log, a
conversion).
"""

from features.sources.contract import Column, Contract

CONTRACT = Contract(
    table="outcomes",
    meaning="one row per thing that happened to an account; read for labels, never for features",
    event_time="event_time",
    columns=(
        Column("event_time", "time", "when it happened", required=True),
        Column("kind", "text", "what happened"),
        Column("reason", "text", "why", clock="event_time"),
        Column("amount", "money", "money involved", clock="event_time"),
    ),
)
