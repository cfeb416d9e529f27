"""A forecast as tables: for a terminal, and as plain values for JSON."""

from dataclasses import asdict
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from pipeline.jobs.forecast import ALL, Forecast, Recurring

SHOWN_RENEWALS = 15
SHOWN_DAYS = (30, 60, 90, 180, 270, 360)


def forecast_lines(forecast: Forecast, account_id: str | None = None) -> list[Any]:
    """Renderables: what it rests on, the portfolio's curve (or one account's), renewals by month,
    the renewal calendar.
    """
    summary = forecast.summary
    events = ", ".join(
        f"{count} {cause}" if cause != "all" else str(count)
        for cause, count in summary.events.items()
    )
    lines: list[Any] = [
        Text(
            f"{summary.target} as of {summary.as_of:%Y-%m-%d}, run {summary.run_id}:"
            f" {summary.accounts:,} accounts, judged by {summary.snapshots:,} past snapshots of"
            f" {summary.past_accounts:,} accounts, of which left: {events}"
        )
    ]
    lines.append(_curve_table(forecast, account_id))
    if account_id is not None:
        return [*lines, *_remaining_lines(forecast, account_id), *_notes(forecast)]
    lines += _remaining_lines(forecast, None)
    if len(forecast.monthly):
        lines += [_month_table(forecast), _recurring_line(forecast.summary.recurring)]
    if len(forecast.renewals):
        lines.append(_calendar_table(forecast))
    return lines + _notes(forecast)


def forecast_json(forecast: Forecast, account_id: str | None = None) -> dict[str, Any]:
    """Facts, mean curve, months and calendar; with an account its own curve and value."""
    plain: dict[str, Any] = {
        **asdict(forecast.summary),
        "horizons": _mean_curve(forecast).to_dict("records"),
        "renewal_forecast": _records(forecast.monthly),
        "renewals": _records(forecast.renewals),
    }
    if account_id is not None:
        mine = forecast.horizons["account_id"] == account_id
        plain["account"] = {
            "account_id": account_id,
            "horizons": _records(forecast.horizons[mine]),
            "remaining_value": _records(
                forecast.remaining[forecast.remaining["account_id"] == account_id]
            ),
        }
    return plain


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.drop(columns=["as_of", "run_id", "target"]).to_dict("records")


def _mean_curve(forecast: Forecast) -> pd.DataFrame:
    """Mean probability per kind and day: the share of accounts expected to have had the event."""
    return (
        forecast.horizons.groupby(["kind", "days"], sort=True)["probability"].mean().reset_index()
    )


def _curve_table(forecast: Forecast, account_id: str | None) -> Table:
    rows = forecast.horizons
    title = "expected share of accounts that leave, by day"
    if account_id is None:
        rows = _mean_curve(forecast)
    else:
        rows, title = (
            rows[rows["account_id"] == account_id],
            f"{account_id}: chance by day, 95% interval",
        )
    days = [
        day
        for day in sorted(set(rows["days"]))
        if day in {*SHOWN_DAYS, forecast.summary.horizon_days}
    ]
    table = Table(
        "",
        *(str(day) for day in days),
        box=None,
        pad_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for kind in sorted(set(rows["kind"]), key=lambda each: (each != "total", each)):
        mine = rows[rows["kind"] == kind].set_index("days")
        table.add_row(kind, *(_share(mine.loc[day]) for day in days))
    return table


def _share(row: "pd.Series[Any]") -> str:
    if "probability_low" not in row:
        return f"{row['probability']:.1%}"
    return f"{row['probability']:.1%} ({row['probability_low']:.1%}-{row['probability_high']:.1%})"


def _remaining_lines(forecast: Forecast, account_id: str | None) -> list[Text]:
    table = (
        forecast.remaining
        if account_id is None
        else forecast.remaining[forecast.remaining["account_id"] == account_id]
    )
    if table.empty:
        return []
    summary = forecast.summary
    discount = (
        f", discounted {summary.yearly_discount:.1%} a year"
        if summary.yearly_discount
        else ", not discounted"
    )
    within = f"within {summary.months} months{discount}"
    if account_id is None:
        return [
            Text(
                f"mean time with us in the next {summary.curve_days} days:"
                f" {table['expected_days'].mean():.0f} days; expected remaining value {within}:"
                f" {_money(table['remaining_value'].sum())} {table['currency'].iloc[0]}"
            )
        ]
    row = table.iloc[0]
    return [
        Text(
            f"expected time with us in the next {summary.curve_days} days:"
            f" {row['expected_days']:.0f} days"
            f" ({row['expected_days_low']:.0f}-{row['expected_days_high']:.0f})"
        ),
        Text(
            f"expected remaining value {within}: {_money(row['remaining_value'])} {row['currency']}"
            f" ({_money(row['remaining_value_low'])} to {_money(row['remaining_value_high'])})"
        ),
    ]


def _month_table(forecast: Forecast) -> Table:
    shock = forecast.summary.shock_deviation
    shared = "not estimated" if shock is None else f"{shock:.0%} of the expected losses"
    # A later end counts only where the account is still there, so what is due is uncertain too:
    # without its interval the upper end of what is renewed looks like more than there is.
    table = Table(
        "month",
        "value due",
        "95% interval",
        "expected to renew",
        "95% interval",
        "lost a year",
        "95% interval",
        "under notice",
        box=None,
        pad_edge=False,
        title=(
            "renewals by month, all segments,"
            f" {forecast.monthly['currency'].iloc[0]}: what the terms that end are paid, at most a"
            " year's money of each; lost and under notice are recurring money a year"
        ),
        title_justify="left",
        title_style="bold",
        caption=f"swing that all accounts of a month share: {shared}",
        caption_justify="left",
    )
    for row in forecast.monthly[forecast.monthly["segment"] == ALL].to_dict("records"):
        table.add_row(
            f"{row['month']:%Y-%m}",
            _money(row["value_due"]),
            f"{_money(row['value_due_low'])} to {_money(row['value_due_high'])}",
            _money(row["renewed"]),
            f"{_money(row['renewed_low'])} to {_money(row['renewed_high'])}",
            _money(row["lost_per_year"]),
            f"{_money(row['lost_per_year_low'])} to {_money(row['lost_per_year_high'])}",
            _money(row["value_under_notice"]) if row["value_under_notice"] else "",
        )
    return table


def _recurring_line(recurring: Recurring) -> Text:
    """How the months add up to what is paid a year."""
    parts = [
        (recurring.comes_up, "comes up for renewal in these months if everybody renews"),
        (recurring.ends_later, "ends later"),
        (recurring.no_known_end, "has no known end"),
        (recurring.under_notice, "is under notice or lapsed"),
        (recurring.not_scored, "belongs to accounts without a chance"),
    ]
    said = ", ".join(f"{_money(amount)} {words}" for amount, words in parts if round(amount))
    return Text(f"of {recurring.currency} {_money(recurring.per_year)} a year, {said}")


def _calendar_table(forecast: Forecast) -> Table:
    title = (
        f"next renewals, {min(SHOWN_RENEWALS, len(forecast.renewals))} of"
        f" {len(forecast.renewals)}; all are in the table `renewals`"
    )
    table = Table(
        "renewal",
        "days",
        "account",
        "segment",
        "value a year",
        "not renewing",
        "95% interval",
        "at risk",
        box=None,
        pad_edge=False,
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for row in forecast.renewals.head(SHOWN_RENEWALS).to_dict("records"):
        known = not pd.isna(row["probability"])
        interval = (
            f"{row['probability_low']:.1%}-{row['probability_high']:.1%}"
            if known
            else str(row["reason"])
        )
        table.add_row(
            f"{row['renewal_date']:%Y-%m-%d}",
            f"{row['days_to_renewal']:.0f}",
            f"{row['name']} ({row['account_id']})",
            "" if pd.isna(row["segment"]) else str(row["segment"]),
            _money(row["value_per_year"]),
            f"{row['probability']:.1%}" if known else "",
            interval,
            _money(row["value_at_risk"]),
        )
    return table


def _notes(forecast: Forecast) -> list[Text]:
    return [Text(f"note: {note}", style="dim") for note in forecast.summary.notes]


def _money(amount: float) -> str:
    return "" if pd.isna(amount) else f"{amount:,.0f}"
