"""Milestones: the steps of onboarding."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="milestones",
    meaning="one row per account and onboarding step",
    event_time="assigned_at",
    columns=(
        Column("milestone", "text", "which step", required=True),
        Column(
            "assigned_at", "time", "when the step was planned; absent: when the account was opened"
        ),
        Column("due_at", "time", "when it should be reached"),
        Column("reached_at", "time", "when it was reached", clock="reached_at"),
    ),
    streams=(Stream("reached", "reached_at", words="milestones reached"),),
)
