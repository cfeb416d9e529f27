"""Subscriptions: what is paid for, from when to when."""

from features.sources.contract import Column, Contract
from features.windows import covers

# The end of a subscription is known in one of two ways, declared by `convention`:
# fixed_term: the end stands in the contract and is known with the row;
# open_until_cancelled: the end is written when it happens, or when notice was given.
CONTRACT = Contract(
    table="subscriptions",
    meaning="one row per subscription term; a renewal or a change of seats or price is a new row",
    event_time="starts_at",
    columns=(
        Column("subscription_id", "text", "identifies the subscription"),
        Column("starts_at", "time", "first moment covered", required=True),
        Column("ends_at", "time", "first moment no longer covered; empty: open", clock="ends_at"),
        Column("notice_at", "time", "when notice to leave was given", clock="notice_at"),
        Column("amount_per_month", "money", "recurring amount per month"),
        Column("currency", "text", "ISO 4217 code"),
        Column("seats", "number", "seats paid for", unit="seats"),
        Column("plan", "text", "plan or tier"),
        Column(
            "billing_period",
            "text",
            "monthly, quarterly, annual",
            words=("monthly", "quarterly", "annual"),
            has_own_words=True,
        ),
        Column("auto_renew", "flag", "renews by itself"),
        Column("is_trial", "flag", "a trial; covers no paid time"),
        Column("discount_share", "number", "share of the list price taken off, 0-1"),
        Column("end_reason", "text", "why it ended", clock="ends_at"),
        Column("is_voluntary", "flag", "the customer chose to leave", clock="ends_at"),
    ),
)


def is_paid(row: str) -> str:
    """SQL: the term is paid for; a source that does not say which terms are trials has none."""
    return f"({row}.is_trial is null or not {row}.is_trial)"


def is_running(row: str) -> str:
    """SQL: the term is paid for and covers the last instant before the row's as_of."""
    return f"{is_paid(row)} and {covers(row, 'starts_at', 'ends_at')}"
