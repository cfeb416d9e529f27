"""A forecast as tables: for a terminal, and as plain values for JSON."""

from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from pipeline.jobs.forecast import ALL, Forecast

SHOWN_RENEWALS = 15
SHOWN_DAYS = (30, 60, 90, 180, 270, 360)


def forecast_lines(made: Forecast, account_id: str | None = None) -> list[Any]:
    """Renderables: what it rests on, the portfolio's curve (or one account's), renewals by month,
    the renewal calendar.
    """
    facts = made.facts
    events = ", ".join(
        f"{count} {cause}" if cause != "all" else str(count)
        for cause, count in facts["events"].items()
    )
    lines: list[Any] = [
        Text(
            f"{facts['target']} as of {facts['as_of']:%Y-%m-%d}, run {facts['run_id']}:"
            f" {facts['accounts']:,} accounts; hazards from {facts['snapshots']:,} snapshots of"
            f" {facts['past_accounts']:,} accounts, events: {events}"
        )
    ]
    lines.append(_curve_table(made, account_id))
    if account_id is not None:
        return [*lines, *_remaining_lines(made, account_id), *_notes(made)]
    lines += _remaining_lines(made, None)
    if len(made.monthly):
        lines.append(_month_table(made))
    if len(made.renewals):
        lines.append(_calendar_table(made))
    return lines + _notes(made)


def forecast_json(made: Forecast, account_id: str | None = None) -> dict[str, Any]:
    """Facts, mean curve, months and calendar; with an account its own curve and value."""
    found: dict[str, Any] = {
        **made.facts,
        "horizons": _mean_curve(made).to_dict("records"),
        "renewal_forecast": _records(made.monthly),
        "renewals": _records(made.renewals),
    }
    if account_id is not None:
        mine = made.horizons["account_id"] == account_id
        found["account"] = {
            "account_id": account_id,
            "horizons": _records(made.horizons[mine]),
            "remaining_value": _records(made.remaining[made.remaining["account_id"] == account_id]),
        }
    return found


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.drop(columns=["as_of", "run_id", "target"]).to_dict("records")


def _mean_curve(made: Forecast) -> pd.DataFrame:
    """Mean probability per kind and day: the share of accounts expected to have had the event."""
    return made.horizons.groupby(["kind", "days"], sort=True)["probability"].mean().reset_index()


def _curve_table(made: Forecast, account_id: str | None) -> Table:
    rows = made.horizons
    title = "share of accounts expected by day"
    if account_id is None:
        rows = _mean_curve(made)
    else:
        rows, title = (
            rows[rows["account_id"] == account_id],
            f"{account_id}: probability by day, 95% interval",
        )
    days = [
        day for day in sorted(set(rows["days"])) if day in {*SHOWN_DAYS, made.facts["horizon_days"]}
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


def _remaining_lines(made: Forecast, account_id: str | None) -> list[Text]:
    table = (
        made.remaining
        if account_id is None
        else made.remaining[made.remaining["account_id"] == account_id]
    )
    if table.empty:
        return []
    facts = made.facts
    discount = (
        f", discounted {facts['yearly_discount']:.1%} a year"
        if facts["yearly_discount"]
        else ", not discounted"
    )
    within = f"within {facts['months']} months{discount}"
    if account_id is None:
        return [
            Text(
                f"mean time with us within {facts['curve_days']} days:"
                f" {table['expected_days'].mean():.0f} days; expected remaining value {within}:"
                f" {_money(table['remaining_value'].sum())} {table['currency'].iloc[0]}"
            )
        ]
    row = table.iloc[0]
    return [
        Text(
            f"expected time with us within {facts['curve_days']} days: {row['expected_days']:.0f}"
            f" days ({row['expected_days_low']:.0f}-{row['expected_days_high']:.0f})"
        ),
        Text(
            f"expected remaining value {within}: {_money(row['remaining_value'])} {row['currency']}"
            f" ({_money(row['remaining_value_low'])} to {_money(row['remaining_value_high'])})"
        ),
    ]


def _month_table(made: Forecast) -> Table:
    shock = made.facts["shock_deviation"]
    shared = "not estimated" if shock is None else f"{shock:.0%} of the expected losses"
    # A later end counts only where the account is still there, so what is due is uncertain too:
    # without its interval the upper end of what is renewed looks like more than there is.
    table = Table(
        "month",
        "value due",
        "95% interval",
        "renewed of it",
        "95% interval",
        "lost",
        "under notice",
        box=None,
        pad_edge=False,
        title=f"value a year up for renewal, all segments, {made.monthly['currency'].iloc[0]}",
        title_justify="left",
        title_style="bold",
        caption=f"deviation that all accounts of a month share: {shared}",
        caption_justify="left",
    )
    for row in made.monthly[made.monthly["segment"] == ALL].to_dict("records"):
        table.add_row(
            f"{row['month']:%Y-%m}",
            _money(row["value_due"]),
            f"{_money(row['value_due_low'])} to {_money(row['value_due_high'])}",
            _money(row["renewed"]),
            f"{_money(row['renewed_low'])} to {_money(row['renewed_high'])}",
            _money(row["lost"]),
            _money(row["value_under_notice"]) if row["value_under_notice"] else "",
        )
    return table


def _calendar_table(made: Forecast) -> Table:
    title = (
        f"next renewals, {min(SHOWN_RENEWALS, len(made.renewals))} of {len(made.renewals)}; all are"
        " in the table `renewals`"
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
    for row in made.renewals.head(SHOWN_RENEWALS).to_dict("records"):
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


def _notes(made: Forecast) -> list[Text]:
    return [Text(f"note: {note}", style="dim") for note in made.facts["notes"]]


def _money(amount: float) -> str:
    return "" if pd.isna(amount) else f"{amount:,.0f}"
