"""Adoption: how far onboarding has come."""

from features.definition import StateCard
from features.windows import days_since, happened

_LATE = f"{happened('t', 'due_at')} and t.reached_at is null"

STATES = (
    StateCard("milestones_reached", "adoption", "milestones", "count(t.reached_at)", 0, "steps", "down",
              "{value} onboarding steps reached", "onboarding steps reached", needs=("reached_at",)),
    StateCard("milestones_late", "adoption", "milestones", f"count(case when {_LATE} then 1 end)", 0, "steps", "up",
              "{value} onboarding steps late", "onboarding steps due and not reached", needs=("due_at", "reached_at")),
    StateCard("oldest_late_milestone", "adoption", "milestones",
              f"max(case when {_LATE} then {days_since('t', 'due_at')} end)", 0, "days", "up",
              "oldest missing onboarding step {value} days late", "days since the oldest missed step was due",
              needs=("due_at", "reached_at")),
)
