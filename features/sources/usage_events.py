"""Usage events: what the account's users did; the contract of every activity source."""

from features.sources.contract import Column, Contract, Stream

CONTRACT = Contract(
    table="usage_events",
    meaning="one row per thing done, or per day and kind where the product counts for you",
    event_time="event_time",
    columns=(
        Column("event_time", "time", "when it happened", required=True),
        Column("user_id", "text", "who did it, inside the account", is_personal=True),
        Column("event_name", "text", "what was done"),
        Column("quantity", "number", "how much or how often, where a row is not one"),
        Column("session_id", "text", "groups the events of one visit"),
        Column(
            "session_minutes",
            "number",
            "on the first event of a visit its length; worked out by session_gap_minutes "
            "where you have none",
            unit="minutes",
        ),
    ),
    streams=(
        Stream(
            "",
            "event_time",
            kind="event_name",
            user="user_id",
            numbers=("quantity", "session_minutes"),
            words="use",
        ),
    ),
)
