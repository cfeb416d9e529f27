"""Who the accounts are on a date: name, owner, segment, value and renewal, as they were known
then.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from features.facts import SourceFacts, as_known
from features.terms import open_terms
from features.windows import day_number, happened
from pipeline.config.schema import Objective, Target
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import put_table, source_facts
from pipeline.jobs.account_value import account_values
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace

PORTFOLIO_COLUMNS = (
    "account_id",
    "name",
    "owner",
    "segment",
    "value_per_year",
    "currency",
    "renewal_date",
)
COST_COLUMNS = ("cost_if_missed", "cost_of_contact")
"""Follow the others where accounts have them."""


def portfolio(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    day: date,
    account_ids: "pd.Series[str]",
) -> pd.DataFrame:
    """One row per account; money in units of the currency, renewal_date null where no end is known.

    Value per year is null where none is known (`pipeline.jobs.account_value`).
    Costs of accounts (`COST_COLUMNS`) follow where the accounts table has them.
    """
    day_no = day_number(day)
    put_table(
        connection,
        "asked",
        pd.DataFrame({"account_id": account_ids.astype("str"), "as_of_day": day_no}),
    )
    table = pd.DataFrame({"account_id": account_ids.astype("str")})
    for source in staged.values():
        if source.contract.table == "accounts":
            attributes = _attributes(connection, source_facts(source, {})).drop(columns="as_of_day")
            table = table.merge(attributes, on="account_id", how="left")
        elif source.contract.table == "subscriptions":
            table = table.merge(
                _renewals(connection, source_facts(source, {})), on="account_id", how="left"
            )
    values = account_values(connection, workspace.project.objective, staged)
    table["value_per_year"] = table["account_id"].map(values)
    table["name"] = (
        table["name"].fillna(table["account_id"]) if "name" in table else table["account_id"]
    )
    table["currency"] = workspace.project.currency
    costs = [name for name in COST_COLUMNS if name in table]
    return table.reindex(columns=[*PORTFOLIO_COLUMNS, *costs]).astype(
        {
            "name": "str",
            "owner": "str",
            "segment": "str",
            "currency": "str",
            "value_per_year": "float64",
            "renewal_date": "datetime64[us]",
            **dict.fromkeys(costs, "float64"),
        }
    )


def row_segments(
    connection: Connection, staged: Mapping[str, StagedSource], keys: pd.DataFrame
) -> "pd.Series[Any]":
    """Segment per row of `keys` (account_id, as_of), as known on its date; None where it has
    none.
    """
    known = _row_attributes(connection, staged, keys)
    if known is None:
        return pd.Series(None, index=keys.index, dtype="object")
    segment = known["segment"].to_numpy(dtype=object, copy=True)
    segment[pd.isna(segment)] = None
    return pd.Series(segment, index=keys.index, dtype="object")


def row_costs(
    connection: Connection, staged: Mapping[str, StagedSource], keys: pd.DataFrame
) -> pd.DataFrame:
    """Costs per row of `keys` (account_id, as_of), as known on its date: the columns of
    `COST_COLUMNS` that accounts have, null where an account has none.
    """
    known = _row_attributes(connection, staged, keys)
    names = [] if known is None else [name for name in COST_COLUMNS if name in known]
    if known is None or not names:
        return pd.DataFrame(index=keys.index)
    return known[names].astype("float64")


def acting_costs(costs: pd.DataFrame, objective: Objective) -> pd.DataFrame | None:
    """What acting on each row is about, from `row_costs`: `if_missed`, the share of what is lost
    that acting saves (all of it where `save_share` is not declared), and `of_contact`; null where
    not known.

    None where rows have no cost of what is lost, or nothing says what a contact costs.
    """
    lost, contact = costs.get(COST_COLUMNS[0]), costs.get(COST_COLUMNS[1])
    default = objective.cost_per_contact
    if lost is None or not lost.notna().any() or (contact is None and default is None):
        return None
    spent = pd.Series(np.nan, index=costs.index) if contact is None else contact
    share = 1.0 if objective.save_share is None else objective.save_share
    return pd.DataFrame(
        {
            "if_missed": lost * share,
            "of_contact": spent if default is None else spent.fillna(default),
        }
    )


def _row_attributes(
    connection: Connection, staged: Mapping[str, StagedSource], keys: pd.DataFrame
) -> pd.DataFrame | None:
    """What `_attributes` knows of each row of `keys`, in their order; None without accounts."""
    days = {as_of: day_number(pd.Timestamp(as_of).date()) for as_of in keys["as_of"].unique()}
    snapshots = pd.DataFrame(
        {"account_id": keys["account_id"].astype("str"), "as_of_day": keys["as_of"].map(days)}
    )
    accounts = next(
        (source for source in staged.values() if source.contract.table == "accounts"), None
    )
    if accounts is None:
        return None
    put_table(connection, "asked", snapshots)
    known = _attributes(connection, source_facts(accounts, {})).set_index(
        ["account_id", "as_of_day"]
    )
    return known.reindex(pd.MultiIndex.from_frame(snapshots)).set_index(keys.index)


def _attributes(connection: Connection, facts: SourceFacts) -> pd.DataFrame:
    """Newest known row of each account on each date asked for."""
    order = "t.valid_from desc," if "valid_from" in facts.mapped else ""
    wanted = ", ".join(f"r.{c}" for c in ("name", "owner", "segment"))
    costs = "".join(
        f", cast(r.{name} as double) / {facts.unit(name)}.0 as {name}"
        for name in COST_COLUMNS
        if name in facts.mapped
    )
    return connection.execute(f"""
select r.account_id, r.as_of_day, {wanted}{costs}
from (select t.*, row_number() over (partition by t.account_id, t.as_of_day order by {order} t.name,
  t.owner) as position
      from ({as_known(facts, "asked")}) t
      where t.valid_from is null or {happened("t", "valid_from")}) r
where r.position = 1""").df()


def _renewals(connection: Connection, facts: SourceFacts) -> pd.DataFrame:
    """Next end that nobody has signed beyond; no row where none is known."""
    return connection.execute(f"""
select t.account_id, make_timestamp(cast(min(t.ends_at) as bigint)) as renewal_date
from ({open_terms(facts, "asked")}) t where t.is_covered = 1 group by 1""").df()
