"""Outcomes: the goals the customer bought for."""

from features.definition import StateCard, count, total, windowed
from features.windows import days_since, happened

CARDS = (
    windowed("goals_met", dimension="outcomes", contract="goals", stream="met", measure=count(), days=(182, 364),
             when_empty=0, unit="goals", worse="down", phrase="{value} goals met in the last {days} days",
             meaning="goals met"),
    windowed("value_realised", dimension="outcomes", contract="goals", stream="met", measure=total("value"),
             days=(364,), when_empty=0, unit="money", worse="down",
             phrase="{value} of value realised in the last {days} days", meaning="value of goals met"),
)

_DUE = happened("t", "due_at")
_ON_TIME = "t.met_at_day <= t.due_at_day"
_BOTH = ("due_at", "met_at")

STATES = (
    StateCard("goals_missed", "outcomes", "goals",
              f"count(case when {happened('t', 'due_at')} and t.met_at is null then 1 end)", 0, "goals", "up",
              "{value} goals past their date", "goals due and not met", needs=("due_at", "met_at")),
    StateCard("goals_set", "outcomes", "goals", "count(*)", 0, "goals", "down", "{value} goals agreed",
              "goals agreed so far"),
    StateCard("goals_met_on_time", "outcomes", "goals", f"count(case when {_ON_TIME} then 1 end)", 0, "goals", "down",
              "{value} goals met on time", "goals met by the day they were due", needs=_BOTH),
    StateCard("goals_met_late", "outcomes", "goals", "count(case when t.met_at_day > t.due_at_day then 1 end)", 0, "goals",
              "up", "{value} goals met late", "goals met after the day they were due", needs=_BOTH),
    StateCard("goals_on_time_share", "outcomes", "goals",
              f"count(case when {_DUE} and {_ON_TIME} then 1 end) * 1e0 / nullif(count(case when {_DUE} then 1 end), 0)",
              None, "share", "down", "{value} of the goals due so far met on time",
              "goals met on time over goals due so far", needs=_BOTH),
    StateCard("oldest_missed_goal", "outcomes", "goals",
              f"max(case when {_DUE} and t.met_at is null then {days_since('t', 'due_at')} end)", 0, "days", "up",
              "oldest missed goal {value} days late", "days since the oldest missed goal was due", needs=_BOTH),
    StateCard("days_since_goal_met", "outcomes", "goals", f"min({days_since('t', 'met_at')})", None, "days", "up",
              "last goal met {value} days ago", "days since a goal was last met", needs=("met_at",)),
    StateCard("value_so_far", "outcomes", "goals", "sum(t.value)", 0, "money", "down", "{value} of value realised so far",
              "value of all goals met so far", needs=("value", "met_at"), scale_of="value"),
)
