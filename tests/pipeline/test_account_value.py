"""Money per account: from any column that the project names, proposed by init, asked for by check."""

import re
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.errors import ConfigError
from pipeline.checking import check_sources
from pipeline.engine.duckdb import connected
from pipeline.jobs.portfolio import portfolio
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.proposing import propose
from pipeline.workspace import open_workspace

PROJECT = """
name = "shop"
time_zone = "UTC"
{objective}
[sources.accounts]
location = "accounts.parquet"
[sources.accounts.extra]
monthly_fee = {{ column = "monthly_fee", type = "money" }}
[sources.tills]
contract = "usage_events"
location = "tills.parquet"
data_until = 2024-08-01
[sources.tills.extra]
sales_value = {{ column = "sales_value", type = "money" }}
{tills}
[sources.web]
contract = "usage_events"
location = "web.parquet"
data_until = 2024-08-01
[sources.web.extra]
{web}
[[targets]]
name = "silent"
kind = "inactivity"
horizon_days = 30
population = {{ kind = "active", source = "tills", active_within_days = 90 }}
"""
NONE, BY_NAME = "pages = 'pages'", "amount = { column = 'pages', type = 'money' }"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A and B bought, A over a year ago as well; C did nothing but look."""
    sales = [("A", "2023-07-01", 500.0), ("A", "2024-07-01", 20.5), ("A", "2024-07-31", 10.0)]
    sales += [("A", "2024-08-01", 70.0), ("B", "2023-08-03", 4.0), ("B", "2024-07-09", 1.0)]
    tills = pd.DataFrame(sales, columns=["account_id", "event_time", "sales_value"])
    tills["event_time"] = pd.to_datetime(tills["event_time"])
    tills.to_parquet(tmp_path / "tills.parquet")
    web = pd.DataFrame({"account_id": ["A", "C"], "event_time": [datetime(2024, 7, 20)] * 2})
    web.assign(pages=[3.0, 2.0]).to_parquet(tmp_path / "web.parquet")
    accounts = pd.DataFrame({"account_id": ["A", "B", "C"], "monthly_fee": [1.5, None, 10.0]})
    accounts.to_parquet(tmp_path / "accounts.parquet")
    return tmp_path


def values(shop: Path, objective: str, tills: str = "", web: str = NONE) -> dict[str, float | None]:
    """Value per year on 1 August 2024."""
    text = PROJECT.format(objective=objective, tills=tills, web=web)
    (shop / "tenure.toml").write_text(text)
    workspace = open_workspace(shop, None, datetime(2024, 8, 1))
    with connected(threads=1) as connection:
        stage_sources(workspace, connection)
        staged = load_staged(workspace, connection)
        table = portfolio(
            workspace,
            connection,
            staged,
            workspace.target(None),
            date(2024, 8, 1),
            pd.Series(["A", "B", "C"]),
        )
    return {
        str(account): None if pd.isna(value) else float(value)
        for account, value in zip(table["account_id"], table["value_per_year"], strict=True)
    }


def test_declared_columns_are_read_by_what_a_row_says(shop: Path) -> None:
    # 364 days before 1 August begin on 3 August; the day itself is not over. C brought nothing.
    sold = values(shop, '[objective]\nvalue = "tills.sales_value"')
    assert sold == {"A": 30.5, "B": 5.0, "C": 0.0}
    fees = values(shop, '[objective]\nvalue = "accounts.monthly_fee"\nvalue_per = "month"')
    assert fees == {"A": 18.0, "B": None, "C": 120.0}
    a_year = values(shop, '[objective]\nvalue = "accounts.monthly_fee"')
    assert a_year == {"A": 1.5, "B": None, "C": 10.0}


def test_amounts_of_several_activities_are_added_up(shop: Path) -> None:
    assert values(shop, "") == {"A": None, "B": None, "C": None}
    amount = 'amount = { column = "sales_value", type = "money" }'
    # Both used to bring their own column, and neither counted.
    assert values(shop, "", tills=amount, web=BY_NAME) == {"A": 33.5, "B": 5.0, "C": 2.0}


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ('value = "sales_value"', r"must be source.column"),
        ('value = "till.sales_value"', r"did you mean `tills`"),
        ('value = "tills.sales_valeu"', r"did you mean `sales_value`"),
        ('value = "tills.sales_value"\nvalue_per = "month"', r"are added up"),
        ('value = "accounts.monthly_fee"\nvalue_per = "row"', r"one for each account"),
        ('value_per = "row"', r"goes with value"),
        ('value = "accounts.value_per_year"', r"which nothing fills"),
        ('value = "web.pages"', None),
    ],
)
def test_what_cannot_be_money_is_refused(shop: Path, objective: str, told: str | None) -> None:
    if told is None:
        assert values(shop, f"[objective]\n{objective}")["C"] == 2.0
        return
    with pytest.raises(ConfigError, match=told):
        values(shop, f"[objective]\n{objective}")


def findings(shop: Path, objective: str) -> dict[str, str]:
    """Name -> next step."""
    (shop / "tenure.toml").write_text(PROJECT.format(objective=objective, tills="", web=NONE))
    workspace = open_workspace(shop, None, datetime(2024, 8, 1))
    with connected(threads=1) as connection:
        report = check_sources(workspace, connection)
    return {f.name: f"{f.severity}: {f.todo}" for f in report.findings}


def test_check_asks_for_money_where_there_is_none(shop: Path) -> None:
    without = findings(shop, "")
    assert without["no-value"].startswith("warn: Under [objective] write value = ")
    assert "tills.sales_value" in without["no-value"]
    some = findings(shop, '[objective]\nvalue = "accounts.monthly_fee"')
    assert "no-value" not in some and some["value-unknown"].startswith("info")
    assert not {"no-value", "value-unknown"} & set(
        findings(shop, '[objective]\nvalue = "tills.sales_value"')
    )


def test_init_names_the_column_of_money(shop: Path) -> None:
    (shop / "web.parquet").unlink()
    assert 'value = "accounts.monthly_fee"\nvalue_per = "month"' in propose(shop, None).toml
    (shop / "accounts.parquet").unlink()
    table = pd.read_parquet(shop / "tills.parquet").assign(retail_disc=[0.25, 1, 2, 3, 4, 5])
    table.to_parquet(shop / "tills.parquet")
    proposed = propose(shop, None).toml
    assert re.search(r'\nvalue = "\w+\.sales_value"\n', proposed)
    assert "retail_disc?" not in proposed
    table.drop(columns=["sales_value", "retail_disc"]).to_parquet(shop / "tills.parquet")
    bare = propose(shop, None)
    assert '# value = "' in bare.toml
    assert any(line.startswith("value: no column says") for line in bare.unguessed)
