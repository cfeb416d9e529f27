"""Notes of customer-success managers, with a pulse rating that expires."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="csm_notes",
    meaning="one row per note",
    event_time="noted_at",
    columns=(
        Column("author", "text", "who wrote it", is_personal=True),
        Column("noted_at", "time", "when it was written", required=True),
        Column("expires_at", "time", "until when the pulse counts"),
        Column("pulse", "number", "1 (leaving) to 5 (delighted)"),
        Column("text", "text", "what was written", is_personal=True),
        Column(
            "text_sentiment",
            "number",
            "tone of the note, -1 to 1; worked out from it where you have none",
        ),
    ),
    streams=(Stream("noted", "noted_at", numbers=("pulse", "text_sentiment"), words="notes"),),
)
