"""Goals: the outcomes the customer wants, and whether they came."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="goals",
    meaning="one row per account and goal",
    event_time="set_at",
    columns=(
        Column("goal", "text", "which goal", required=True),
        Column("set_at", "time", "when it was agreed; absent: when the account was opened"),
        Column("due_at", "time", "when it should be met"),
        Column("met_at", "time", "when it was met", clock="met_at"),
        Column("value", "money", "what it brought the customer", clock="met_at"),
    ),
    streams=(Stream("met", "met_at", numbers=("value",), words="goals met"),),
)
