"""Interventions: what was tried with an account; never a feature, they flag treated rows."""

from features.sources.contract import Column, Contract

CONTRACT = Contract(
    table="interventions",
    meaning="one row per play assigned to an account",
    event_time="assigned_at",
    columns=(
        Column("play", "text", "which play", required=True),
        Column("owner", "text", "who carries it out", is_personal=True),
        Column("assigned_at", "time", "when it was assigned", required=True),
        Column("done_at", "time", "when it was done", clock="done_at"),
        Column("is_holdout", "flag", "true: left alone on purpose, for comparison"),
    ),
)
