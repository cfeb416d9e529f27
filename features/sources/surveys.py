"""Survey answers: NPS, CSAT, CES and agree/disagree."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="surveys",
    meaning="one row per answer",
    event_time="answered_at",
    columns=(
        Column("answered_at", "time", "when it was answered", required=True),
        Column("person", "text", "who answered", is_personal=True),
        Column("kind", "text", "nps, csat, ces or agree"),
        Column("scale", "text", "the scale asked on: 0-10, 1-5, 1-7, yes-no"),
        Column("version", "text", "wording of the question; versions are never pooled"),
        Column("channel", "text", "where it was asked"),
        Column("score", "number", "the answer as given", required=True),
        Column("comment", "text", "free text", is_personal=True),
    ),
    streams=(Stream("answered", "answered_at", kind="kind", numbers=("score",), words="survey answers"),),
)
