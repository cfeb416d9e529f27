"""Support: volume, severity, waiting and ratings."""

from functools import partial

from features.definition import (
    RatioCard,
    StateCard,
    change,
    count,
    days_since,
    latest,
    mean,
    share,
    silence_ratio,
    windowed,
)
from features.windows import days_since as days_from
from features.windows import happened

_opened = partial(windowed, dimension="support", contract="support_tickets", stream="opened")
_SEVERE = ("high", "urgent", "critical")
_SEVERE_LISTED = ", ".join(f"'{severity}'" for severity in _SEVERE)
_OPEN_NOW = f"{happened('t', 'opened_at')} and t.closed_at is null"

CARDS = (
    _opened("tickets", measure=count(), days=(28, 91, 182), when_empty=0, unit="tickets",
             phrase="{value} tickets in the last {days} days", meaning="tickets opened"),
    _opened("severe_tickets", measure=count(*_SEVERE), days=(28, 91), when_empty=0,
             unit="tickets", worse="up", phrase="{value} severe tickets in the last {days} days",
             meaning="tickets of severity high, urgent or critical"),
    _opened("severe_share", measure=share(*_SEVERE), days=(182,), when_empty=None,
             unit="share", worse="up", phrase="{value} of tickets severe in the last {days} days",
             meaning="severe tickets over all tickets"),
    _opened("tickets_change", measure=change(), days=(91,), when_empty=None, unit="change", worse="up",
             phrase="tickets {value} against the {days} days before", meaning="tickets against the window before"),
    windowed("reply_time", dimension="support", contract="support_tickets", stream="replied",
             measure=mean("reply_minutes"), days=(91, 364), when_empty=None, unit="minutes", worse="up",
             phrase="first answer after {value} on average in {days} days", meaning="minutes to the first reply"),
    windowed("resolve_time", dimension="support", contract="support_tickets", stream="closed",
             measure=mean("resolve_minutes"), days=(91, 182, 364), when_empty=None, unit="minutes", worse="up",
             phrase="tickets solved after {value} on average in {days} days", meaning="minutes from open to closed"),
    windowed("ticket_rating", dimension="support", contract="support_tickets", stream="rated",
             measure=mean("rating"), days=(182,), when_empty=None, unit="rating", worse="down", is_leading=False,
             phrase="tickets rated {value} on average in {days} days", meaning="mean rating of tickets"),
    windowed("last_ticket_rating", dimension="support", contract="support_tickets", stream="rated",
             measure=latest("rating"), days=(364,), when_empty=None, unit="rating", worse="down", is_leading=False,
             phrase="last ticket rated {value}", meaning="newest ticket rating"),
    _opened("days_since_ticket", measure=days_since(), when_empty=None, unit="days",
             phrase="last ticket {value} days ago", meaning="days since the last ticket was opened"),
    _opened("ticket_silence", measure=silence_ratio(), when_empty=None, unit="times",
             phrase="no ticket for {value} times as long as usual",
             meaning="days since the last ticket over the usual gap: silence after heavy use of support"),
    _opened("ticket_tone", measure=mean("text_sentiment"), days=(91, 364), when_empty=None, unit="tone", worse="down",
             phrase="tone of tickets {value} (-1 to 1) in {days} days", meaning="mean tone of what the customer wrote"),
    _opened("last_ticket_tone", measure=latest("text_sentiment"), days=(364,), when_empty=None, unit="tone", worse="down",
             phrase="tone of the last ticket {value} (-1 to 1)", meaning="tone of the newest ticket"),
)

STATES = (
    StateCard("tickets_open", "support", "support_tickets", f"count(case when {_OPEN_NOW} then 1 end)", 0, "tickets",
              "up", "{value} tickets open now", "tickets opened and not closed", needs=("closed_at",)),
    StateCard("oldest_open_ticket", "support", "support_tickets",
              f"max(case when {_OPEN_NOW} then {days_from('t', 'opened_at')} end)", 0, "days", "up",
              "oldest open ticket waits {value} days", "age of the oldest open ticket", needs=("closed_at",)),
    StateCard("tickets_reopened", "support", "support_tickets",
              f"count(case when {happened('t', 'reopened_at', within_days=182)} then 1 end)", 0, "tickets", "up",
              "{value} tickets reopened in half a year", "tickets reopened in 182 days", needs=("reopened_at",)),
    StateCard("tickets_unanswered", "support", "support_tickets",
              f"count(case when {_OPEN_NOW} and t.first_reply_at is null then 1 end)", 0, "tickets", "up",
              "{value} tickets wait for a first answer", "open tickets without a reply",
              needs=("closed_at", "first_reply_at")),
    StateCard("severe_open", "support", "support_tickets",
              f"count(case when {_OPEN_NOW} and t.severity in ({_SEVERE_LISTED}) then 1 end)", 0, "tickets", "up",
              "{value} severe tickets open now", "open tickets of severity high, urgent or critical",
              needs=("closed_at", "severity")),
)

RATIOS = (
    RatioCard("reply_time_trend", "support", "reply_time_91d", "reply_time_364d", unit="times", worse="up",
              phrase="first answers take {value} times as long as over the year",
              meaning="time to the first reply in 91 days over that in 364 days"),
    RatioCard("resolve_time_trend", "support", "resolve_time_91d", "resolve_time_364d", unit="times", worse="up",
              phrase="solving takes {value} times as long as over the year",
              meaning="time to solve a ticket in 91 days over that in 364 days"),
)
