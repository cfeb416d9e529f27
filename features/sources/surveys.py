"""Survey answers: NPS, CSAT, CES and agree/disagree."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="surveys",
    meaning="one row per answer",
    event_time="answered_at",
    columns=(
        Column("answered_at", "time", "when it was answered", required=True),
        Column("person", "text", "who answered", is_personal=True),
        Column("kind", "text", "nps, csat, ces or agree", words=("nps", "csat", "ces", "agree")),
        Column("scale", "text", "the scale asked on: 0-10, 1-5, 1-7, yes-no"),
        Column("version", "text", "wording of the question; versions are never pooled"),
        Column("score", "number", "the answer as given", required=True),
        Column("comment", "text", "free text", is_personal=True),
        Column(
            "text_sentiment",
            "number",
            "tone of the comment, -1 to 1; worked out from it where you have none",
        ),
        Column(
            "points", "number", "the answer on 0-100, high is good; worked out from score and scale"
        ),
        Column(
            "nps_points",
            "number",
            "100 promoter, 0 passive, -100 detractor; worked out from NPS answers, so that their "
            "mean is the NPS",
        ),
    ),
    streams=(
        Stream(
            "answered",
            "answered_at",
            kind="kind",
            numbers=("points", "text_sentiment"),
            words="survey answers",
        ),
    ),
)
