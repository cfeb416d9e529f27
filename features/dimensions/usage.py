"""Usage: how often (frequency), by how many (breadth), how much of the product (depth)."""

from functools import partial

from features.definition import (
    RatioCard,
    age_days,
    change,
    count,
    days_since,
    distinct,
    distinct_days,
    mean_gap_days,
    silence_ratio,
    windowed,
)

_activity = partial(windowed, dimension="usage", contract="usage_events")

CARDS = (
    _activity("events", measure=count(), days=(7, 28, 91, 182, 364), when_empty=0, unit="events",
             worse="down", phrase="{value} things done in the last {days} days",
             meaning="events of all kinds"),
    _activity("events_ever", measure=count(), when_empty=0, unit="events", worse="down",
             phrase="{value} things done so far", meaning="events of all kinds since the first"),
    _activity("active_days", measure=distinct_days(), days=(7, 28, 91, 182, 364), when_empty=0,
             unit="days", worse="down", phrase="active on {value} of the last {days} days",
             meaning="days with at least one event"),
    _activity("active_users", measure=distinct("user_id"), days=(7, 28, 91), when_empty=0, unit="users",
             worse="down", phrase="{value} people used it in the last {days} days",
             meaning="different users with at least one event"),
    _activity("kinds_used", measure=distinct("event_name"), days=(28, 91, 364), when_empty=0, unit="kinds",
             worse="down", phrase="{value} different things used in the last {days} days",
             meaning="different kinds of event"),
    _activity("sessions", measure=distinct("session_id"), days=(7, 28, 91, 182, 364), when_empty=0,
             unit="visits", worse="down", phrase="{value} visits in the last {days} days",
             meaning="different sessions (or orders, where these are mapped)"),
    _activity("events_change", measure=change(), days=(7, 28, 91, 182), when_empty=None, unit="change",
             worse="down", phrase="use {value} against the {days} days before",
             meaning="events of a window against the window before"),
    _activity("active_days_change", measure=change("days"), days=(28, 91), when_empty=None, unit="change",
             worse="down", phrase="active days {value} against the {days} days before",
             meaning="active days of a window against the window before"),
    _activity("days_since_use", measure=days_since(), when_empty=None, unit="days", worse="up",
             phrase="last used {value} days ago", meaning="days since the last event"),
    _activity("days_since_first_use", measure=age_days(), when_empty=None, unit="days",
             phrase="first used {value} days ago", meaning="days since the first event"),
    _activity("usual_gap", measure=mean_gap_days(), when_empty=None, unit="days", worse="up",
             phrase="usually comes back after {value} days", meaning="mean days between active days"),
    _activity("silence", measure=silence_ratio(), when_empty=None, unit="times", worse="up",
             phrase="silent {value} times as long as usual",
             meaning="days since the last event over the usual gap"),
)

RATIOS = (
    RatioCard("seats_used_share", "usage", "active_users_28d", "seats_paid", unit="share", worse="down",
              phrase="{value} of paid seats in use",
              meaning="users active in 28 days over seats paid for"),
)
