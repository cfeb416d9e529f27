"""Accounts: who they are, and the attributes people sort and filter by."""

from features.sources.contract import Column, Contract

CONTRACT = Contract(
    table="accounts",
    meaning="one row per account, or per account and valid_from where attributes have history",
    event_time="valid_from",
    row_key=("account_id", "valid_from"),
    columns=(
        Column("created_at", "time", "when the account was opened"),
        Column(
            "valid_from", "time", "from when this row's attributes hold; absent: they are today's"
        ),
        Column("valid_to", "time", "until when they hold", clock="valid_to"),
        Column("name", "text", "name for people; never a feature"),
        Column("owner", "text", "customer-success manager; never a feature", is_personal=True),
        Column("value_per_year", "money", "what the account is worth per year, for ranking"),
        Column(
            "cost_if_missed",
            "money",
            "what is lost where the account leaves and nobody acted; never a feature",
        ),
        Column("cost_of_contact", "money", "what acting on the account costs; never a feature"),
        Column("currency", "text", "ISO 4217 code"),
        Column("segment", "text", "size or market segment"),
        Column("plan", "text", "plan or tier"),
        Column("industry", "text", "industry"),
        Column("country", "text", "country"),
        Column("parent_account_id", "text", "the account this one belongs to"),
        Column(
            "merged_into",
            "text",
            "the account that was kept when this one was merged into it; never a feature",
            clock="merged_at",
        ),
        Column("merged_at", "time", "when it was merged", clock="merged_at"),
        Column("seats", "number", "seats bought", unit="seats"),
        Column("consent", "flag", "false: the account may not be processed"),
    ),
)
