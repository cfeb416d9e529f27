"""Outcomes: the goals the customer bought for."""

from features.definition import StateCard, count, total, windowed
from features.windows import happened

CARDS = (
    windowed("goals_met", dimension="outcomes", contract="goals", stream="met", measure=count(), days=(182, 364),
             when_empty=0, unit="goals", worse="down", phrase="{value} goals met in the last {days} days",
             meaning="goals met"),
    windowed("value_realised", dimension="outcomes", contract="goals", stream="met", measure=total("value"),
             days=(364,), when_empty=0, unit="money", worse="down",
             phrase="{value} of value realised in the last {days} days", meaning="value of goals met"),
)

STATES = (
    StateCard("goals_missed", "outcomes", "goals",
              f"count(case when {happened('t', 'due_at')} and t.met_at is null then 1 end)", 0, "goals", "up",
              "{value} goals past their date", "goals due and not met", needs=("due_at", "met_at")),
    StateCard("goals_set", "outcomes", "goals", "count(*)", 0, "goals", "down", "{value} goals agreed",
              "goals agreed so far"),
)
