"""What an account is worth a year: the column the project names, else those whose names say it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from features.errors import ConfigError
from features.facts import as_known
from features.sources.subscriptions import is_running
from features.windows import happened
from pipeline.config.checks import value_per
from pipeline.config.schema import Objective, ValuePer
from pipeline.engine.duckdb import Connection
from pipeline.engine.facts import source_facts
from pipeline.staging.staged import StagedSource

YEAR_OF_ROWS_DAYS = 364
READ_BY_NAME: tuple[tuple[str, str, ValuePer], ...] = (
    ("accounts", "value_per_year", "year"),
    ("subscriptions", "amount_per_month", "month"),
    ("usage_events", "amount", "row"),
    ("invoices", "amount", "row"),
)
"""Contract, column and what a row of it says, the surest first."""


@dataclass(frozen=True)
class ValueColumn:
    """Where money per account stands.

    Attributes
    ----------
    per
        year: a row says what a year is worth; month: what a month is; row: the rows of the last
        364 days are added up.
    is_declared
        Whether the project names it.
    """

    source: StagedSource
    column: str
    per: ValuePer
    is_declared: bool = False


def value_columns(
    objective: Objective, staged: Mapping[str, StagedSource]
) -> tuple[tuple[ValueColumn, ...], ...]:
    """Where value is read, the surest first; columns of one group are added up.

    Without `[objective] value`: value_per_year of accounts, else what running subscriptions pay a
    month, else `amount` of activity; bills only where there is none of these, for they repeat what
    subscriptions say.

    Raises
    ------
    ConfigError
        The column that the project names is empty, or holds no numbers.
    """
    if objective.value is not None:
        name, _, column = objective.value.partition(".")
        source = staged[name]
        _require_money(source, column)
        per = value_per(objective, source.contract.table, column)
        return ((ValueColumn(source, column, per or "row", is_declared=True),),)
    groups = [
        tuple(
            ValueColumn(source, column, per)
            for source in staged.values()
            if source.contract.table == table and source.is_mapped(column)
        )
        for table, column, per in READ_BY_NAME
    ]
    *surest, bills = groups
    known = tuple(group for group in surest if group)
    return known or ((bills,) if bills else ())


def _require_money(source: StagedSource, column: str) -> None:
    if not source.is_mapped(column):
        raise ConfigError(
            f"[objective] value names {source.name}.{column}, which nothing fills. Map it under"
            f" [sources.{source.name}.columns], or name another column."
        )
    if source.columns[column].type not in ("money", "number"):
        raise ConfigError(
            f"[objective] value names {source.name}.{column}, a column of type"
            f' {source.columns[column].type}. Write its type (type = "money"), or name a column of'
            " money or numbers."
        )


def account_values(
    connection: Connection, objective: Objective, staged: Mapping[str, StagedSource]
) -> "pd.Series[float]":
    """Money per year in units of the currency, by account_id, of the accounts in the temporary
    table `asked` (account_id, as_of_day).

    Accounts of which none is known are missing or null. Where the project names rows to add up, an
    account without any is worth 0: the table says what everybody brought.
    """
    accounts = (
        connection.execute("select distinct account_id from asked").df()["account_id"].astype("str")
    )
    values = pd.Series(float("nan"), index=accounts, dtype="float64")
    for group in value_columns(objective, staged):
        pieces = [_values(connection, each).reindex(accounts) for each in group]
        values = values.fillna(pd.concat(pieces, axis=1).sum(axis=1, min_count=1))
        if all(each.is_declared and each.per == "row" for each in group):
            values = values.fillna(0.0)
    return values


def _values(connection: Connection, value: ValueColumn) -> "pd.Series[float]":
    """Of one column, by account_id."""
    table, name = value.source.contract.table, f"t.{value.column}"
    facts = source_facts(value.source, {})
    rows = as_known(facts, "asked", (value.column,))
    times = 12 if value.per == "month" else 1
    money = f"cast(sum({name}) as double) * {times} / {value.source.unit(value.column)}.0"
    if value.per == "row":
        event = str(value.source.contract.event_time)
        query = f"""select t.account_id, {money} as money from ({rows}) t
where {happened("t", event, within_days=YEAR_OF_ROWS_DAYS)} group by 1"""
    elif table == "accounts":
        order = "t.valid_from desc," if value.source.is_mapped("valid_from") else ""
        newest = f"""select t.*, row_number() over (
  partition by t.account_id order by {order} t.name, t.owner) as position
from ({rows}) t where t.valid_from is null or {happened("t", "valid_from")}"""
        query = (
            f"select t.account_id, {money} as money from ({newest}) t where t.position = 1"
            " group by 1"
        )
    else:
        query = (
            f"select t.account_id, {money} as money from ({rows}) t"
            f" where {is_running('t')} group by 1"
        )
    found = connection.execute(query).df()
    return found.set_index(found["account_id"].astype("str"))["money"].astype("float64")
