"""Invoices and their payments."""

from features.sources.contract import Column, Contract, MinutesBetween, Stream

CONTRACT = Contract(
    table="invoices",
    meaning="one row per invoice; paid_at and failed_at are filled when they happen",
    event_time="issued_at",
    columns=(
        Column("invoice_id", "text", "identifies the invoice"),
        Column("issued_at", "time", "when it was issued", required=True),
        Column("due_at", "time", "when payment is due"),
        Column("paid_at", "time", "when it was paid", clock="paid_at"),
        Column("failed_at", "time", "when a payment attempt last failed", clock="failed_at"),
        Column(
            "reminded_at", "time", "when the last reminder to pay was sent", clock="reminded_at"
        ),
        Column("amount", "money", "invoiced amount; negative: a credit note"),
        Column("overage", "money", "part of the amount for use beyond what the contract includes"),
        Column("currency", "text", "ISO 4217 code"),
    ),
    streams=(
        Stream("issued", "issued_at", numbers=("amount", "overage"), words="invoices issued"),
        Stream(
            "paid",
            "paid_at",
            numbers=("amount", MinutesBetween("late_minutes", "due_at", "paid_at")),
            words="payments",
        ),
        Stream("failed", "failed_at", words="failed payments"),
    ),
)
