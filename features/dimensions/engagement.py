"""Engagement: meetings, mails, training, community."""

from functools import partial

from features.definition import RatioCard, count, days_since, distinct, share, windowed

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
    _contact("mails_sent", measure=count("mail_sent"), days=(91,), when_empty=0, unit="mails",
             phrase="{value} mails sent in the last {days} days", meaning="mails we sent"),
    _contact("community_posts", measure=count("community_post"), days=(91,), when_empty=0, unit="posts", worse="down",
             phrase="{value} posts in the community in the last {days} days", meaning="posts in the community"),
    _contact("business_reviews", measure=count("business_review"), days=(364,), when_empty=0, unit="reviews", worse="down",
             phrase="{value} business reviews in the last {days} days", meaning="business reviews held"),
    _contact("people_in_touch", measure=distinct("person"), days=(91,), when_empty=0, unit="people", worse="down",
             phrase="in touch with {value} people in the last {days} days",
             meaning="different persons on the customer's side who took part in a contact"),
    _contact("contact_kinds", measure=distinct("kind"), days=(91,), when_empty=0, unit="kinds", worse="down",
             phrase="{value} kinds of contact in the last {days} days", meaning="different kinds of contact"),
)

RATIOS = (
    RatioCard("mail_response_rate", "engagement", "mails_answered_91d", "mails_sent_91d", unit="share", worse="down",
              phrase="{value} of our mails of a quarter answered", meaning="mails answered over mails sent in 91 days"),
    RatioCard("mail_open_rate", "engagement", "mails_opened_91d", "mails_sent_91d", unit="share", worse="down",
              phrase="{value} of our mails of a quarter opened", meaning="mails opened over mails sent in 91 days"),
)
