"""Adoption: how far onboarding has come, how fast beside the accounts that stayed, and when it first brought value."""

from features.definition import StateCard
from features.windows import days_since, happened

# Shares of the accounts that stayed are told in twentieths.
PARTS = 20
_REACHED_LATE = "t.reached_at_day > t.due_at_day"

_DUE = happened("t", "due_at")
_LATE = f"{_DUE} and t.reached_at is null"
_LATE_LATELY = f"{happened('t', 'due_at', within_days=28)} and t.reached_at is null"

STATES = (
    StateCard("milestones_reached", "adoption", "milestones", "count(t.reached_at)", 0, "steps", "down",
              "{value} onboarding steps reached", "onboarding steps reached", needs=("reached_at",)),
    StateCard("milestones_late", "adoption", "milestones", f"count(case when {_LATE} then 1 end)", 0, "steps", "up",
              "{value} onboarding steps late", "onboarding steps due and not reached", needs=("due_at", "reached_at")),
    StateCard("oldest_late_milestone", "adoption", "milestones",
              f"max(case when {_LATE} then {days_since('t', 'due_at')} end)", 0, "days", "up",
              "oldest missing onboarding step {value} days late", "days since the oldest missed step was due",
              needs=("due_at", "reached_at")),
    StateCard("milestones_late_28d", "adoption", "milestones", f"count(case when {_LATE_LATELY} then 1 end)", 0, "steps",
              "up", "{value} steps of the last 28 days late", "steps that fell due in 28 days and were not reached",
              needs=("due_at", "reached_at")),
    StateCard("milestones_met_share", "adoption", "milestones",
              f"count(case when {_DUE} then t.reached_at end) * 1e0 / nullif(count(case when {_DUE} then 1 end), 0)", None,
              "share", "down", "{value} of the steps due so far reached", "steps reached over steps due so far",
              needs=("due_at", "reached_at")),
    StateCard("days_since_milestone", "adoption", "milestones", f"min({days_since('t', 'reached_at')})", None, "days",
              "up", "last step reached {value} days ago", "days since the newest step was reached", needs=("reached_at",)),
    StateCard("milestone_lead_days", "adoption", "milestones",
              "sum(case when t.reached_at is not null then t.due_at_day - t.reached_at_day end) * 1e0 / "
              "nullif(count(case when t.due_at is not null then t.reached_at end), 0)", None, "days", "down",
              "steps reached {value} days before they were due", "mean days from reaching a step to its due date",
              needs=("due_at", "reached_at")),
    StateCard("milestones_reached_late", "adoption", "milestones", f"count(case when {_REACHED_LATE} then 1 end)", 0,
              "steps", "up", "{value} onboarding steps reached late", "steps reached after the day they were due",
              needs=("due_at", "reached_at")),
    StateCard("milestones_share", "adoption", "milestones", "count(t.reached_at) * 1e0 / count(*)", None, "share", "down",
              "{value} of the onboarding steps reached", "steps reached over steps planned", needs=("reached_at",)),
    StateCard("onboarding_days", "adoption", "milestones",
              "case when count(t.reached_at) = count(*) then max(t.reached_at_day) - min(t.assigned_at_day) end", None,
              "days", "up", "onboarding took {value} days", "days from planning to the last step, once all are reached",
              needs=("assigned_at", "reached_at")),
    StateCard("onboarding_pace", "adoption", "milestones", f"sum(t.slower) / nullif(count(t.slower) * {PARTS}e0, 0e0)", None,
              "share", "up", "slower in onboarding than {value} of the accounts that stayed",
              "mean over steps of the share of accounts that stayed which were faster, in twentieths; which those are is "
              "frozen before the first training date", needs=("assigned_at", "reached_at"), rows="pace"),
    StateCard("first_value_reached", "adoption", "usage_events", "max(case when t.value_day is not null then 1 end)", 0,
              "yes", "down", "got first value: {value}", "1 once one of the project's first_value_events happened",
              needs=("event_name",), rows="first_value"),
    StateCard("days_to_first_value", "adoption", "usage_events", "min(t.value_day) - min(t.first_day)", None, "days", "up",
              "first value after {value} days", "days from the first use to the first of the first_value_events",
              needs=("event_name",), rows="first_value"),
)
