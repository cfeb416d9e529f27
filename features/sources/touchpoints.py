"""Touchpoints: meetings, mails, training, community, business reviews."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="touchpoints",
    meaning="one row per contact between the vendor and the account",
    event_time="event_time",
    columns=(
        Column("event_time", "time", "when it happened", required=True),
        Column(
            "kind",
            "text",
            "meeting, mail_sent, mail_opened, mail_answered, training, community_post, "
            "business_review",
            required=True,
            words=(
                "meeting",
                "mail_sent",
                "mail_opened",
                "mail_answered",
                "training",
                "community_post",
                "business_review",
            ),
            has_own_words=True,
        ),
        Column("person", "text", "who took part on the customer's side", is_personal=True),
    ),
    streams=(Stream("", "event_time", kind="kind", user="person", words="contacts"),),
)
