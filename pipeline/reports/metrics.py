"""What `tenure metrics` prints: the quarters, the way to first value, where people get
stuck, links of signals.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.dimensions.usage import STUCK_EVENTS
from pipeline.config.schema import Target
from pipeline.jobs.first_value import LEFT, REACHED, UNKNOWN, WAITING, TimeToValue, time_to_value
from pipeline.jobs.signal_links import EARLIER, FEWEST_EVENTS, LATER
from pipeline.jobs.stuck import DAYS
from pipeline.jobs.take_metrics import TakenMetrics
from pipeline.reports.render import counted

SHOWN_ACCOUNTS = 5
"""Accounts named in each list; the tables hold all."""
MOST_LINKS, MOST_KEPT, MOST_QUARTERS = 8, 3, 6


def first_value_text(
    accounts: pd.DataFrame,
    first_value: TimeToValue | None,
    events: Sequence[str],
    names: Mapping[str, str],
) -> list[str]:
    """Who got there, how long it takes, and who has waited longest; `names`: account -> what people
    call it.
    """
    if accounts.empty:
        return [f"first value ({', '.join(events)}): nobody had used the product by then"]
    count = accounts["status"].value_counts()
    lines = [
        f"first value ({', '.join(events)}) as of {accounts['as_of'].iloc[0]:%Y-%m-%d}:"
        f" {count.get(REACHED, 0):,} of {counted(len(accounts), 'account')} got there,"
        f" {count.get(WAITING, 0):,} wait, {count.get(LEFT, 0):,} left without it"
        + (f", {count[UNKNOWN]:,} began before the data" if UNKNOWN in count else "")
    ]
    if first_value is None:
        lines.append("  too few accounts began inside the data to say how long it takes")
    else:
        lines += [
            (
                f"  of the {first_value.accounts:,} that began inside the data:"
                f" {_within('a quarter', first_value.quarter)},"
                f" {_within('half', first_value.half)},"
                f" {_within('three quarters', first_value.three_quarters)}"
            ),
            (
                f"  {first_value.within_days} days after the first use {first_value.reached:.0%}"
                f" got there and {first_value.left:.0%} left without it"
            ),
        ]
    waiting = accounts[accounts["status"] == WAITING].sort_values(
        ["days", "account_id"], ascending=[False, True]
    )
    if len(waiting):
        lines.append(
            "  waiting longest: "
            + ", ".join(
                f"{names.get(account, account)} {days:.0f} days"
                for account, days in (
                    waiting[["account_id", "days"]].head(SHOWN_ACCOUNTS).itertuples(index=False)
                )
            )
        )
    return lines


def _within(part: str, days: float) -> str:
    return (
        f"{part} never did so far"
        if np.isnan(days)
        else f"{part} within {counted(int(days), 'day')}"
    )


def stuck_text(
    stuck: pd.DataFrame, events: Sequence[str], names: Mapping[str, str], days: int, least: int
) -> list[str]:
    """How many accounts have people who are stuck, and the worst of them."""
    title = f"where people get stuck ({', '.join(events)}), last {days} days"
    if stuck.empty:
        return [f"{title}: no account met any of it in {2 * days} days"]
    met, people = stuck[stuck["times"] > 0], stuck["people_stuck"] > 0
    met_by = f"{counted(met['account_id'].nunique(), 'account')} met it"
    if stuck["people_stuck"].notna().any():
        met_by += (
            f"; in {stuck.loc[people, 'account_id'].nunique():,} somebody did {least} times or more"
            f" ({counted(int(stuck['people_stuck'].sum()), 'person', 'people')})"
        )
    if stuck["times"].isna().all():
        met_by = "the feed was not there all that time, so nothing is counted"
    lines = [("account", "trouble", "times", "before", "people", "stuck", "last seen")]
    for row in stuck.head(SHOWN_ACCOUNTS).to_dict("records"):
        counts = (_count(row[name]) for name in ("times", "times_before", "people", "people_stuck"))
        lines.append(
            (
                names.get(row["account_id"], row["account_id"]),
                row["trouble"],
                *counts,
                f"{row['last_seen']:%Y-%m-%d}",
            )
        )
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        f"{title}: {met_by}",
        *(
            f"  {account:<{wide[0]}}  {trouble:<{wide[1]}}  "
            + "  ".join(f"{text:>{width}}" for text, width in zip(counts, wide[2:], strict=True))
            for account, trouble, *counts in lines
        ),
    ]


def _count(value: Any) -> str:
    return "-" if pd.isna(value) else f"{value:,}"


def metrics_text(taken: TakenMetrics, target: Target) -> str:
    """The last quarters for all accounts, the lists per account and the signals whose link was
    lost, for a terminal.
    """
    return "\n\n".join(
        "\n".join(part)
        for part in (
            _quarters_text(taken.metrics),
            _lists_text(taken),
            _links_text(taken.links, target),
        )
    )


def _quarters_text(metrics: pd.DataFrame) -> list[str]:
    """The last four quarters for all accounts."""
    if metrics.empty:
        return ["no whole quarter of subscriptions or surveys yet: no metrics."]
    every = metrics[metrics["segment"] == "all"]
    wording = every["wording"].map(lambda version: f" ({version})" if version else "")
    shown = every.assign(
        metric=every["metric"] + wording,
        text=[_said(v, u) for v, u in zip(every["value"], every["unit"], strict=True)],
    )
    wide = (
        shown.pivot(index="metric", columns="period_start", values="text")
        .reindex(shown["metric"].unique())
        .iloc[:, -4:]
    )
    lines = [f"{'quarter from':<28}" + "".join(f"{day:%Y-%m-%d}".rjust(14) for day in wide.columns)]
    return lines + [
        f"{name:<28}" + "".join(("-" if pd.isna(v) else str(v)).rjust(14) for v in row)
        for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]


def _lists_text(taken: TakenMetrics) -> list[str]:
    """The way to first value and the troubles met, or which list would show them."""
    missing_events = "name such events as {} of the usage source in tenure.toml to see {}."
    lines = (
        [missing_events.format("first_value_events", "how long first value takes")]
        if taken.first_value is None
        else first_value_text(
            taken.first_value,
            time_to_value(taken.first_value),
            taken.events["first_value"],
            taken.names,
        )
    )
    lines += [
        "",
        *(
            [missing_events.format("trouble_events", "where people get stuck")]
            if taken.stuck is None
            else stuck_text(taken.stuck, taken.events["stuck"], taken.names, DAYS, STUCK_EVENTS)
        ),
    ]
    kept = [
        name
        for name, table in (("first_value", taken.first_value), ("stuck", taken.stuck))
        if table is not None
    ]
    return lines + (
        [f"every account: table{'s' * (len(kept) > 1)} {' and '.join(kept)} in the store"]
        if kept
        else []
    )


def _said(value: float, unit: str) -> str:
    if pd.isna(value):
        return "-"
    return (
        f"{value:.1%}"
        if unit == "share"
        else f"{value:,.1f}"
        if unit == "points"
        else f"{value:,.0f}"
    )


def _links_text(links: pd.DataFrame | None, target: Target) -> list[str]:
    """Signals whose link was lost or turned, beside the strongest that kept theirs, quarter by
    quarter.
    """
    if links is None:
        return [
            f"links of signals to {target.name}: run `tenure features --target {target.name}`"
            " first."
        ]
    later = links[links["period"] == LATER].set_index("signal")
    counts = later["state"].value_counts()
    lines = [
        f"signals and {target.name}, earlier against later dates: {counts.get('kept', 0)} keep"
        f" their link, {counts.get('lost', 0)} lost it, {counts.get('turned', 0)} turned,"
        f" {counts.get('none', 0)} had none"
    ]
    changed = [
        name for state in ("lost", "turned") for name in later.index[later["state"] == state]
    ]
    # One a dimension: the windows of one measure would fill the list.
    kept = (
        later[later["state"] == "kept"]
        .assign(strength=(later["auc"] - 0.5).abs())
        .sort_values("strength", ascending=False, kind="stable")
        .drop_duplicates("dimension")
        .index[:MOST_KEPT]
    )
    shown = [*changed[:MOST_LINKS], *kept]
    if not shown:
        return lines
    of_signal = {
        name: rows.set_index("period")
        for name, rows in links[links["signal"].isin(shown)].groupby("signal")
    }
    quarters = [period for period in of_signal[shown[0]].index if period not in (EARLIER, LATER)][
        -MOST_QUARTERS:
    ]
    wide = max(len(name) for name in shown)
    lines += [
        (
            "of 100 pairs of an account with the event and one without, the signal points at the"
            " right one in so many:"
        ),
        " " * (9 + wide) + "".join(f"{quarter:>9}" for quarter in quarters),
    ]
    lines += [
        f"  {later['state'][name]:<7}{name.ljust(wide)}"
        + "".join(f"{_pairs(of_signal[name], quarter):>9}" for quarter in quarters)
        for name in shown
    ]
    more = (
        f" ({len(changed) - MOST_LINKS} more that lost it or turned)"
        if len(changed) > MOST_LINKS
        else ""
    )
    return [
        *lines,
        f"50 is chance; (brackets): may be chance; -: under {FEWEST_EVENTS} accounts on a side",
        (
            f"kept: the strongest of {MOST_KEPT} dimensions; every signal: table signal_links in"
            f" the store{more}"
        ),
    ]


def _pairs(periods: pd.DataFrame, quarter: str) -> str:
    """Pairs of 100 ordered as the earlier dates taught, in brackets where the interval holds
    chance.
    """
    auc, low, high = (float(periods[column][quarter]) for column in ("auc", "auc_low", "auc_high"))
    if np.isnan(auc):
        return "-"
    right = round(100 * (auc if float(periods["auc"][EARLIER]) > 0.5 else 1 - auc))
    return f"({right})" if low <= 0.5 <= high else f"{right}"
