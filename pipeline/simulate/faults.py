"""What goes wrong between the business and the extract: silent feeds and CRM exports without
history.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import ConfigError
from features.sources import CONTRACTS
from pipeline.simulate import parameters as p

STILL_LISTED_SHARE = 0.3
"""Leavers whom a CRM export still lists, with their value set to zero."""


def silence(table: str, rows: pa.Table, options: p.WorldOptions) -> pa.Table:
    """Rows without those that happened while the table's feed was dead."""
    feed = options.dead_feed
    if feed is None or feed.source != table:
        return rows
    start = np.datetime64(feed.first_day, "us")
    times = rows[CONTRACTS[table].event_time].to_numpy()
    return rows.filter(
        pa.array(~((times >= start) & (times < start + np.timedelta64(feed.days, "D"))))
    )


def check_dead_feed(options: p.WorldOptions) -> None:
    """Refuse the name of a source that does not exist."""
    feed = options.dead_feed
    if feed is not None and feed.source not in CONTRACTS:
        raise ConfigError(
            f"dead_feed names {feed.source!r}. Choose one of: {', '.join(sorted(CONTRACTS))}."
        )


def exported(
    tables: dict[str, pd.DataFrame],
    left: set[str],
    options: p.WorldOptions,
    generator: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """Tables as a CRM export leaves them on `last_day`.

    Accounts have today's attributes only. Most leavers are deleted; the others stay with value
    zero, and their subscriptions shrink to one row with today's status. Usage, invoices and tickets
    keep every id.

    Parameters
    ----------
    tables
        Tables with history.
    left
        account_ids whose cover ended before `last_day`.
    """
    gone = np.array(sorted(left), dtype=object)
    listed = set(gone[generator.random(len(gone)) < STILL_LISTED_SHARE])
    return tables | {
        "accounts": _accounts_today(tables["accounts"], left, listed),
        "subscriptions": _subscriptions_today(tables["subscriptions"], left, listed, options),
        "contacts": _contacts_today(tables["contacts"], left),
    }


def _accounts_today(accounts: pd.DataFrame, left: set[str], listed: set[Any]) -> pd.DataFrame:
    today = accounts.drop_duplicates("account_id", keep="last").drop(
        columns=["valid_from", "valid_to"]
    )
    gone = today["account_id"].isin(left)
    today = today[~gone | today["account_id"].isin(listed)].copy()
    today.loc[today["account_id"].isin(listed), "value_per_year"] = 0.0
    return today.reset_index(drop=True)


def _subscriptions_today(
    subscriptions: pd.DataFrame, left: set[str], listed: set[Any], options: p.WorldOptions
) -> pd.DataFrame:
    """The newest version of each row; leavers are missing, or one row of amount zero that says
    `cancelled`.
    """
    rows = subscriptions.drop_duplicates("row_key", keep="last")
    rows = rows[~rows["is_deleted"].astype(bool)].drop(
        columns=["known_at", "is_deleted", "row_key", "notice_at"]
    )
    rows = rows[~rows["account_id"].isin(left) | rows["account_id"].isin(listed)]
    gone = rows["account_id"].isin(listed)
    last = ~rows["account_id"].duplicated(keep="last")
    rows = rows[~gone | last].assign(status="active")
    gone = rows["account_id"].isin(listed)
    rows.loc[
        ~gone & (rows["ends_at"] <= np.datetime64(options.last_day, "us")).to_numpy(), "status"
    ] = "renewed"
    rows.loc[gone, "amount_per_month"] = 0.0
    rows.loc[gone, "status"] = "cancelled"
    return rows.reset_index(drop=True)


def _contacts_today(contacts: pd.DataFrame, left: set[str]) -> pd.DataFrame:
    """Only people still there, of firms still there."""
    return contacts[contacts["valid_to"].isna() & ~contacts["account_id"].isin(left)].reset_index(
        drop=True
    )
