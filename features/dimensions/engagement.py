"""Engagement: meetings, mails, training, community."""

from functools import partial

from features.definition import count, days_since, share, windowed

_contact = partial(windowed, dimension="engagement", contract="touchpoints")

CARDS = (
    _contact("meetings", measure=count("meeting", "business_review"), days=(91, 182), when_empty=0,
             unit="meetings", worse="down", phrase="{value} meetings in the last {days} days",
             meaning="meetings and business reviews held"),
    _contact("days_since_meeting", measure=days_since("meeting", "business_review"), when_empty=None,
             unit="days", worse="up", phrase="last met {value} days ago", meaning="days since the last meeting"),
    _contact("mails_answered", measure=count("mail_answered"), days=(28, 91), when_empty=0, unit="mails",
             worse="down", phrase="answered {value} of our mails in the last {days} days",
             meaning="mails answered"),
    _contact("mails_opened", measure=count("mail_opened"), days=(28, 91), when_empty=0, unit="mails",
             worse="down", phrase="opened {value} of our mails in the last {days} days", meaning="mails opened"),
    _contact("mail_share_opened", measure=share("mail_opened"), days=(91,), when_empty=None, unit="share",
             worse="down", phrase="mails opened are {value} of all contacts in {days} days",
             meaning="mails opened over all contacts"),
    _contact("trainings", measure=count("training"), days=(91, 364), when_empty=0, unit="trainings",
             worse="down", phrase="{value} trainings in the last {days} days", meaning="trainings attended"),
)
