"""Support: volume, severity, waiting and ratings."""

from functools import partial

from features.definition import StateCard, change, count, latest, mean, share, windowed
from features.windows import days_since, happened

_opened = partial(windowed, dimension="support", contract="support_tickets", stream="opened")
_OPEN_NOW = f"{happened('t', 'opened_at')} and t.closed_at is null"

CARDS = (
    _opened("tickets", measure=count(), days=(28, 91, 182), when_empty=0, unit="tickets",
             phrase="{value} tickets in the last {days} days", meaning="tickets opened"),
    _opened("severe_tickets", measure=count("high", "urgent", "critical"), days=(28, 91), when_empty=0,
             unit="tickets", worse="up", phrase="{value} severe tickets in the last {days} days",
             meaning="tickets of severity high, urgent or critical"),
    _opened("severe_share", measure=share("high", "urgent", "critical"), days=(182,), when_empty=None,
             unit="share", worse="up", phrase="{value} of tickets severe in the last {days} days",
             meaning="severe tickets over all tickets"),
    _opened("tickets_change", measure=change(), days=(91,), when_empty=None, unit="change", worse="up",
             phrase="tickets {value} against the {days} days before", meaning="tickets against the window before"),
    windowed("reply_time", dimension="support", contract="support_tickets", stream="replied",
             measure=mean("reply_minutes"), days=(91,), when_empty=None, unit="minutes", worse="up",
             phrase="first answer after {value} on average in {days} days", meaning="minutes to the first reply"),
    windowed("resolve_time", dimension="support", contract="support_tickets", stream="closed",
             measure=mean("resolve_minutes"), days=(91, 182), when_empty=None, unit="minutes", worse="up",
             phrase="tickets solved after {value} on average in {days} days", meaning="minutes from open to closed"),
    windowed("ticket_rating", dimension="support", contract="support_tickets", stream="rated",
             measure=mean("rating"), days=(182,), when_empty=None, unit="rating", worse="down", is_leading=False,
             phrase="tickets rated {value} on average in {days} days", meaning="mean rating of tickets"),
    windowed("last_ticket_rating", dimension="support", contract="support_tickets", stream="rated",
             measure=latest("rating"), days=(364,), when_empty=None, unit="rating", worse="down", is_leading=False,
             phrase="last ticket rated {value}", meaning="newest ticket rating"),
)

STATES = (
    StateCard("tickets_open", "support", "support_tickets", f"count(case when {_OPEN_NOW} then 1 end)", 0, "tickets",
              "up", "{value} tickets open now", "tickets opened and not closed", needs=("closed_at",)),
    StateCard("oldest_open_ticket", "support", "support_tickets",
              f"max(case when {_OPEN_NOW} then {days_since('t', 'opened_at')} end)", 0, "days", "up",
              "oldest open ticket waits {value} days", "age of the oldest open ticket", needs=("closed_at",)),
    StateCard("tickets_reopened", "support", "support_tickets",
              f"count(case when {happened('t', 'reopened_at', within_days=182)} then 1 end)", 0, "tickets", "up",
              "{value} tickets reopened in half a year", "tickets reopened in 182 days", needs=("reopened_at",)),
)
