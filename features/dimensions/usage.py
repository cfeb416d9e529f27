"""Usage: how often (frequency), by how many (breadth), how much of the product (depth), and who got
stuck.
"""

from functools import partial

from features.definition import (
    Card,
    RatioCard,
    StateCard,
    age_days,
    change,
    count,
    days_since,
    distinct,
    distinct_days,
    mean,
    mean_gap_days,
    silence_ratio,
    total,
)
from features.windows import happened

_activity = partial(Card, dimension="usage", contract="usage_events")
# Read off one row per person; the window is the one of `active_users`, so its feed must have been
# there.
_people = partial(
    StateCard,
    dimension="usage",
    contract="usage_events",
    needs=("user_id",),
    rows="people",
    window_days=28,
    beside="active_users",
)
# Read off the use of the key features that the project names.
_key = partial(
    StateCard, dimension="usage", contract="usage_events", needs=("event_name",), rows="key_use"
)
# Active on this many of 28 days: about two days a week.
POWER_DAYS = 8
# So many errors or given-up steps in 28 days are no accident.
STUCK_EVENTS = 3

CARDS = (
    _activity(
        "events",
        measure=count(),
        days=(7, 28, 91, 182, 364),
        when_empty=0,
        unit="events",
        worse="down",
        phrase="{value} actions in the last {window}",
        meaning="events of all kinds",
        reason="low_use",
    ),
    _activity(
        "events_ever",
        measure=count(),
        when_empty=0,
        unit="events",
        worse="down",
        phrase="{value} actions so far",
        meaning="events of all kinds since the first",
        reason="low_use",
    ),
    _activity(
        "active_days",
        measure=distinct_days(),
        days=(7, 28, 91, 182, 364),
        when_empty=0,
        unit="days",
        worse="down",
        phrase="Active on {value} of the last {days} days",
        meaning="days with at least one event",
        reason="low_use",
        said_at={"0": "Not active in the last {window}"},
    ),
    _activity(
        "active_users",
        measure=distinct("user_id"),
        days=(7, 28, 91),
        when_empty=0,
        unit="users",
        worse="down",
        phrase="{value} people used it in the last {window}",
        meaning="different users with at least one event",
        reason="losing_users",
        said_at={"0": "Nobody used it in the last {window}"},
    ),
    _activity(
        "kinds_used",
        measure=distinct("event_name"),
        days=(28, 91, 364),
        when_empty=0,
        unit="kinds",
        worse="down",
        phrase="{value} different features used in the last {window}",
        meaning="different kinds of event",
        reason="poor_fit",
        said_at={"0": "No feature used in the last {window}"},
    ),
    _activity(
        "sessions",
        measure=distinct("session_id"),
        days=(7, 28, 91, 182, 364),
        when_empty=0,
        unit="visits",
        worse="down",
        phrase="{value} visits in the last {window}",
        meaning="different sessions (or orders, where these are mapped)",
        reason="low_use",
    ),
    _activity(
        "events_change",
        measure=change(),
        days=(7, 28, 91, 182),
        when_empty=None,
        unit="change",
        worse="down",
        phrase="Use is {value} on the {window} before",
        meaning="events of a window against the window before",
        reason="low_use",
        said_at={
            "-1": "No use in the last {window}, after some in the {window} before",
            "0": "Use is the same as in the {window} before",
            "1": "Used in the last {window} but not in the {window} before",
        },
    ),
    _activity(
        "active_days_change",
        measure=change("days"),
        days=(28, 91),
        when_empty=None,
        unit="change",
        worse="down",
        phrase="Active days are {value} on the {window} before",
        meaning="active days of a window against the window before",
        reason="low_use",
        said_at={
            "-1": "No active day in the last {window}, after some in the {window} before",
            "0": "As many active days as in the {window} before",
            "1": "Active in the last {window} but not in the {window} before",
        },
    ),
    _activity(
        "days_since_use",
        measure=days_since(),
        when_empty=None,
        unit="days",
        worse="up",
        phrase="Last used {value} days ago",
        meaning="days since the last event",
        missing="No use on record",
        reason="low_use",
        said_at={"0": "Used within the last day"},
    ),
    _activity(
        "days_since_first_use",
        measure=age_days(),
        when_empty=None,
        unit="days",
        phrase="First used {value} days ago",
        meaning="days since the first event",
        nature="clock",
        said_at={"0": "First used within the last day"},
    ),
    _activity(
        "usual_gap",
        measure=mean_gap_days(),
        when_empty=None,
        unit="days",
        worse="up",
        phrase="Active about every {value} days",
        meaning="mean days between active days",
        reason="low_use",
        said_at={"0": "Active every day", "1": "Active about every day"},
    ),
    _activity(
        "silence",
        measure=silence_ratio(),
        when_empty=None,
        unit="times",
        worse="up",
        phrase="Silent {value} times as long as usual",
        meaning="days since the last event over the usual gap",
        reason="low_use",
        said_at={"0": "Active within the last day", "1": "Silent for as long as usual"},
        inverse="Not silent for longer than usual",
    ),
    _activity(
        "session_minutes",
        measure=total("session_minutes"),
        days=(7, 28, 91),
        when_empty=0,
        unit="minutes",
        worse="down",
        phrase="{value} spent in the product in the last {window}",
        meaning="sum of the lengths of visits",
        reason="low_use",
        said_at={"0": "No time spent in the product in the last {window}"},
    ),
    _activity(
        "session_length",
        measure=mean("session_minutes"),
        days=(28, 91),
        when_empty=None,
        unit="minutes",
        worse="down",
        phrase="A visit lasts {value} on average in the last {window}",
        meaning="mean length of a visit",
        reason="low_use",
        said_at={"0": "A visit lasts less than a minute on average in the last {window}"},
    ),
    _activity(
        "session_minutes_change",
        measure=change("session_minutes"),
        days=(28, 91),
        when_empty=None,
        unit="change",
        worse="down",
        phrase="Time in the product is {value} on the {window} before",
        meaning="sum of the lengths of visits against the window before",
        reason="low_use",
        said_at={
            "-1": "No time in the product in the last {window}, after some in the {window} before",
            "0": "Time in the product is the same as in the {window} before",
            "1": "Time in the product in the last {window} but none in the {window} before",
        },
    ),
)


def _key_share(days: int) -> StateCard:
    """Different key features used in a window over those named."""
    return _key(
        "key_features_share",
        window_days=days,
        beside="kinds_used",
        when_empty=0,
        unit="share",
        worse="down",
        expression=(
            f"count(distinct case when {happened('t', 'event_time', within_days=days)} then"
            " t.event_name end) * 1e0 / max(t.declared)"
        ),
        phrase="{value} of the key features used in the last {window}",
        meaning="different key features used over those the project names in key_features",
        reason="poor_fit",
        said_at={
            "0": "No key feature used in the last {window}",
            "1": "All key features used in the last {window}",
        },
    )


STATES = (
    _people(
        "top_user_share",
        expression="max(t.n) * 1e0 / nullif(sum(t.n), 0)",
        when_empty=None,
        unit="share",
        worse="up",
        phrase="One person did {value} of everything in the last {window}",
        meaning="events of the busiest person over events of all persons",
        reason="losing_users",
        said_at={"1": "One person did everything in the last {window}"},
    ),
    _people(
        "power_users",
        expression=f"count(case when t.days >= {POWER_DAYS} then 1 end)",
        when_empty=0,
        unit="users",
        worse="down",
        phrase="{value} people use it on most working days",
        meaning=f"persons active on {POWER_DAYS} or more of 28 days",
        reason="losing_users",
        said_at={
            "0": "Nobody uses it on most working days",
            "1": "1 person uses it on most working days",
        },
    ),
    _people(
        "users_back_share",
        expression=(
            "count(case when t.n is not null and t.n_before is not null then 1 end) * 1e0 / "
            "nullif(count(t.n_before), 0)"
        ),
        when_empty=None,
        unit="share",
        worse="down",
        phrase="{value} of the people active in the {window} before came back",
        meaning="persons active in 28 days who were so in the 28 before, over those active before",
        reason="losing_users",
        said_at={
            "0": "None of the people active in the {window} before came back",
            "1": "All of the people active in the {window} before came back",
        },
    ),
    _people(
        "users_stuck",
        needs=("user_id", "event_name"),
        rows="stuck",
        expression=f"count(case when t.n >= {STUCK_EVENTS} then 1 end)",
        when_empty=0,
        unit="users",
        worse="up",
        phrase="{value} people kept running into errors in the last {window}",
        meaning=f"persons with {STUCK_EVENTS} or more of the trouble_events in 28 days",
        reason="losing_users",
        said_at={"0": "Nobody kept running into errors in the last {window}"},
    ),
    _key_share(28),
    _key_share(91),
    _key(
        "key_users",
        needs=("event_name", "user_id"),
        window_days=28,
        beside="active_users",
        when_empty=0,
        unit="users",
        worse="down",
        expression=(
            f"count(distinct case when {happened('t', 'event_time', within_days=28)} then t.user_id"
            " end)"
        ),
        phrase="{value} people used a key feature in the last {window}",
        meaning="persons who used at least one key feature",
        reason="losing_users",
        said_at={"0": "Nobody used a key feature in the last {window}"},
    ),
)

RATIOS = (
    RatioCard(
        "seats_used_share",
        "usage",
        "active_users_28d",
        "seats_paid",
        unit="share",
        worse="down",
        phrase="{value} of paid seats are in use",
        meaning=(
            "users active in 28 days over seats paid for; above 1 where more people use it than pay"
        ),
        reason="losing_users",
        said_at={"0": "No paid seat is in use", "1": "Every paid seat is in use"},
    ),
    RatioCard(
        "key_users_share",
        "usage",
        "key_users_28d",
        "active_users_28d",
        unit="share",
        worse="down",
        phrase="{value} of active people use a key feature",
        meaning="users of a key feature over users active in 28 days",
        reason="losing_users",
        said_at={
            "0": "No active person uses a key feature",
            "1": "Every active person uses a key feature",
        },
    ),
    RatioCard(
        "users_stuck_share",
        "usage",
        "users_stuck_28d",
        "active_users_28d",
        unit="share",
        worse="up",
        phrase="{value} of active people kept running into errors",
        meaning="stuck users over users active in 28 days",
        reason="losing_users",
        said_at={
            "0": "No active person kept running into errors",
            "1": "Every active person kept running into errors",
        },
    ),
)
