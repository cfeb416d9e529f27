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
    windowed("overage", dimension="financial", contract="invoices", stream="issued", measure=total("overage"),
             days=(91, 364), when_empty=0, unit="money", is_leading=False,
             phrase="{value} for use beyond the contract in the last {days} days",
             meaning="invoiced for use beyond what the contract includes"),
)

STATES = (
    StateCard("invoices_overdue", "financial", "invoices", f"count(case when {_OVERDUE} then 1 end)", 0, "invoices",
              "up", "{value} invoices overdue", "invoices past due and unpaid", needs=("due_at", "paid_at"),
              is_leading=False),
    StateCard("days_overdue", "financial", "invoices",
              f"max(case when {_OVERDUE} then {days_since('t', 'due_at')} end)", 0, "days", "up",
              "oldest unpaid invoice {value} days overdue", "days overdue of the oldest unpaid invoice",
              needs=("due_at", "paid_at"), is_leading=False),
    StateCard("amount_overdue", "financial", "invoices", f"sum(case when {_OVERDUE} then t.amount end)", 0, "money", "up",
              "{value} overdue", "sum of invoices past due and unpaid", needs=("due_at", "paid_at", "amount"),
              scale_of="amount", is_leading=False),
    StateCard("amount_open", "financial", "invoices", "sum(case when t.paid_at is null then t.amount end)", 0, "money",
              "up", "{value} invoiced and not yet paid", "sum of unpaid invoices, due or not", needs=("paid_at", "amount"),
              scale_of="amount", is_leading=False),
    StateCard("paid_late_364d", "financial", "invoices",
              f"count(case when {happened('t', 'paid_at', within_days=364)} and t.paid_at_day > t.due_at_day then 1 end)",
              0, "invoices", "up", "{value} invoices of a year paid late", "invoices paid in 364 days, after their due day",
              needs=("due_at", "paid_at"), is_leading=False),
    StateCard("reminders_91d", "financial", "invoices",
              f"count(case when {happened('t', 'reminded_at', within_days=91)} then 1 end)", 0, "invoices", "up",
              "{value} invoices needed a reminder in the last 91 days", "invoices whose last reminder went out in 91 days",
              needs=("reminded_at",), is_leading=False),
    StateCard("days_since_failed_payment", "financial", "invoices", f"min({days_since('t', 'failed_at')})", None, "days",
              "down", "a payment failed {value} days ago", "days since a payment last failed", needs=("failed_at",),
              is_leading=False),
)
