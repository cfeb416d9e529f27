"""Contacts: the people on the customer's side and the roles they hold."""

from features.sources.contract import Column, Contract

CONTRACT = Contract(
    table="contacts",
    meaning="one row per person, role and period",
    event_time="valid_from",
    columns=(
        Column("person", "text", "who, as a pseudonym", required=True, is_personal=True),
        Column(
            "role",
            "text",
            "sponsor, champion, admin or user",
            required=True,
            words=("sponsor", "champion", "admin", "user"),
        ),
        Column("valid_from", "time", "since when", required=True),
        Column("valid_to", "time", "until when; empty: still there", clock="valid_to"),
    ),
)
