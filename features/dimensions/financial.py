"""Financial: bills, late and failed payments. Contract terms are in `contract.py`."""

from features.definition import StateCard, count, mean, total, windowed
from features.windows import days_since, happened

_OVERDUE = f"{happened('t', 'due_at')} and t.paid_at is null"

CARDS = (
    windowed("failed_payments", dimension="financial", contract="invoices", stream="failed", measure=count(),
             days=(91, 364), when_empty=0, unit="payments", worse="up", is_leading=False,
             phrase="{value} payments failed in the last {days} days", meaning="failed payment attempts"),
    windowed("payment_delay", dimension="financial", contract="invoices", stream="paid",
             measure=mean("late_minutes"), days=(182,), when_empty=None, unit="minutes", worse="up", is_leading=False,
             phrase="paid {value} after the due date on average in {days} days",
             meaning="payments with a due date, as minutes late (negative: early)"),
    windowed("invoiced", dimension="financial", contract="invoices", stream="issued", measure=total("amount"),
             days=(91, 364), when_empty=0, unit="money", phrase="{value} invoiced in the last {days} days",
             meaning="sum of invoices issued"),
)

STATES = (
    StateCard("invoices_overdue", "financial", "invoices", f"count(case when {_OVERDUE} then 1 end)", 0, "invoices",
              "up", "{value} invoices overdue", "invoices past due and unpaid", needs=("due_at", "paid_at"),
              is_leading=False),
    StateCard("days_overdue", "financial", "invoices",
              f"max(case when {_OVERDUE} then {days_since('t', 'due_at')} end)", 0, "days", "up",
              "oldest unpaid invoice {value} days overdue", "days overdue of the oldest unpaid invoice",
              needs=("due_at", "paid_at"), is_leading=False),
)
