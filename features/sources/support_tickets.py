"""Support tickets; each column has the clock of the step that fills it."""

from features.sources.contract import Column, Contract, MinutesBetween, Stream

SEVERE = ("high", "urgent", "critical")

CONTRACT = Contract(
    table="support_tickets",
    meaning="one row per ticket; later steps fill their columns as they happen",
    event_time="opened_at",
    columns=(
        Column("ticket_id", "text", "identifies the ticket"),
        Column("opened_at", "time", "when it was opened", required=True),
        Column("first_reply_at", "time", "first answer", clock="first_reply_at"),
        Column("closed_at", "time", "when it was closed", clock="closed_at"),
        Column("reopened_at", "time", "when it was last reopened", clock="reopened_at"),
        Column("rated_at", "time", "when the customer rated it", clock="rated_at"),
        Column(
            "severity",
            "text",
            "low, normal, medium, high, urgent, critical or your own words; the last three are"
            " severe",
            words=("low", "normal", "medium", *SEVERE),
            has_own_words=True,
        ),
        Column("category", "text", "bug, question, billing, ..."),
        Column("rating", "number", "customer's rating", clock="rated_at"),
        Column("text", "text", "what the customer wrote", is_personal=True),
        Column(
            "text_sentiment",
            "number",
            "tone of the text, -1 to 1; worked out from it where you have none",
        ),
    ),
    streams=(
        Stream(
            "opened",
            "opened_at",
            kind="severity",
            numbers=("text_sentiment",),
            words="tickets opened",
        ),
        Stream(
            "replied",
            "first_reply_at",
            numbers=(MinutesBetween("reply_minutes", "opened_at", "first_reply_at"),),
            words="tickets answered",
        ),
        Stream(
            "closed",
            "closed_at",
            numbers=(MinutesBetween("resolve_minutes", "opened_at", "closed_at"),),
            words="tickets closed",
        ),
        Stream("rated", "rated_at", numbers=("rating",), words="ticket ratings"),
    ),
)
