"""The dictionary of portfolio metrics: one meaning for each, used by every report that shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number about many accounts over a period `[start, end)`: numerator over denominator."""

    name: str
    meaning: str
    numerator: str
    denominator: str
    unit: str


_AT_START, _AT_END = "customers at the start", "customers at the end"
_MONEY_START = "their monthly amounts at the start"

METRICS: tuple[Metric, ...] = (
    Metric(
        "customers",
        "accounts that a paid subscription covers at the end (a gap within grace counts as"
        " covered)",
        _AT_END,
        "-",
        "accounts",
    ),
    Metric(
        "new_customers",
        "customers at the end who were none at the start",
        "new or returned",
        "-",
        "accounts",
    ),
    Metric(
        "lost_customers", "customers at the start who are none at the end", "lost", "-", "accounts"
    ),
    Metric("logo_churn_rate", "share of customers lost", "customers lost", _AT_START, "share"),
    Metric(
        "churn_rate_by_first_segment",
        "share of customers lost, by the segment they signed up in",
        "customers lost",
        _AT_START,
        "share",
    ),
    Metric(
        "voluntary_churn_rate",
        "share of customers who chose to leave",
        "lost, is_voluntary of the last ended term true",
        _AT_START,
        "share",
    ),
    Metric(
        "involuntary_churn_rate",
        "share of customers lost without choosing to (unpaid, closed down)",
        "lost, is_voluntary of the last ended term false",
        _AT_START,
        "share",
    ),
    Metric(
        "monthly_revenue",
        "recurring amount per month at the end",
        "monthly amounts at the end",
        "-",
        "money",
    ),
    Metric(
        "gross_revenue_churn_rate",
        "share of the monthly amount lost to leaving and to smaller contracts",
        "what the start's customers pay less at the end",
        _MONEY_START,
        "share",
    ),
    Metric(
        "net_revenue_retention",
        "what the start's customers pay at the end, growth included",
        "their monthly amounts at the end",
        _MONEY_START,
        "share",
    ),
    Metric(
        "renewal_rate",
        "share of ends of a customer's cover that were followed by more of it",
        "ends followed by cover within grace",
        "ends in the period while no other term ran",
        "share",
    ),
    Metric(
        "revenue_per_account",
        "monthly amount per customer (ARPA)",
        "monthly amounts at the end",
        _AT_END,
        "money",
    ),
    Metric(
        "revenue_per_user",
        "monthly amount per seat (ARPU)",
        "monthly amounts at the end",
        "seats at the end",
        "money",
    ),
    Metric(
        "product_usage_rate",
        "share of customers who use the product, as [metrics] defines use",
        "customers with enough active days before the end",
        _AT_END,
        "share",
    ),
    Metric(
        "nps",
        "percent promoters minus percent detractors, one wording at a time",
        "sum of 100, 0, -100",
        "NPS answers in the period",
        "points",
    ),
    Metric(
        "csat",
        "mean satisfaction on 0-100, one wording at a time",
        "sum of points",
        "CSAT answers in the period",
        "points",
    ),
)


def metric(name: str) -> Metric:
    """The metric of that name."""
    return next(m for m in METRICS if m.name == name)
