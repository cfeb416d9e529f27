"""A column that changes its unit is found with day and factor; what business does to numbers is not
mistaken for it.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import GateRefused, LeakageError
from pipeline.checking import CheckReport, Finding, check_sources, refuse_training
from pipeline.checking.evidence import Evidence
from pipeline.checking.units import FACTORS, _nearest_factor, unit_findings
from pipeline.engine.duckdb import connected
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ACCOUNTS = 40
PROJECT = """
name = "units"
[sources.accounts]
location = "accounts.csv"
[sources.subscriptions]
location = "subscriptions.csv"
convention = "fixed_term"
columns.amount_per_month = { column = "mrr", scale = 0.5 }
[sources.usage_events]
location = "usage.csv"
extra = { load_time = { column = "load_ms", type = "number" } }
[sources.invoices]
location = "invoices.csv"
columns.amount = "total"
[[targets]]
name = "churn_30d"
kind = "churn"
horizon_days = 30
dates = { every_days = 30 }
"""
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def healthy() -> Tables:
    """Sixteen months of 40 accounts: a few rows of two kinds a month, a bill a month, with
    outliers.
    """
    random = np.random.default_rng(11)
    accounts = [f"a{number:02}" for number in range(ACCOUNTS)]
    months = pd.date_range("2024-01-01", "2025-04-01", freq="MS")
    size = dict(zip(accounts, random.lognormal(0, 0.8, ACCOUNTS), strict=True))
    at = [(account, month) for month in months for account in accounts]
    usage = pd.DataFrame(
        [
            (account, month + pd.Timedelta(days=int(random.integers(28))), kind)
            for account, month in at
            for kind in ("export", "login")
            for _ in range(3)
        ],
        columns=["account_id", "event_time", "event_name"],
    )
    scale = usage["event_name"].map({"export": 400.0, "login": 1.0})
    usage["quantity"] = np.ceil(
        usage["account_id"].map(size) * scale * random.lognormal(0, 0.7, len(usage))
    )
    usage["load_ms"] = (random.lognormal(0, 0.6, len(usage)) * 2).round(3)
    bills = pd.DataFrame(at, columns=["account_id", "issued_at"])
    bills["total"] = (bills["account_id"].map(size) * 90).round(2)
    outliers = random.choice(len(bills), 12, replace=False)
    bills.loc[outliers, "total"] *= np.array([-1, 1000, 100, -1000] * 3)
    terms = pd.DataFrame(
        [
            (account, f"{account}-{month:%y%m}", month, month + pd.DateOffset(months=1))
            for account, month in at
        ],
        columns=["account_id", "subscription_id", "starts_at", "ends_at"],
    )
    terms["mrr"] = (terms["account_id"].map(size) * 90).round(2)
    listed = pd.DataFrame({"account_id": accounts, "created_at": "2024-01-01"})
    return {"accounts": listed, "subscriptions": terms, "usage": usage, "invoices": bills}


@pytest.fixture
def project(healthy: Tables, tmp_path: Path) -> Callable[..., Path]:
    """Writes the healthy tables, some of them replaced, and their project file."""

    def written(more: str = "", **changed: pd.DataFrame) -> Path:
        # Each is an export of its own, and none has fewer rows than one before it.
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        for name, table in (healthy | changed).items():
            table.to_csv(tmp_path / f"{name}.csv", index=False)
        (tmp_path / "tenure.toml").write_text(PROJECT + more, encoding="utf-8")
        return tmp_path

    return written


@pytest.fixture
def told(project: Callable[..., Path]) -> Callable[..., list[Finding]]:
    """What is found in the healthy tables with some of them replaced."""
    return lambda **changed: asked_alone(project(**changed))


def asked_alone(folder: Path) -> list[Finding]:
    """The one question; a whole check takes longer."""
    workspace = open_workspace(folder, None, NOW)
    with connected() as connection:
        stage_sources(workspace, connection)
        staged = load_staged(workspace, connection)
        return list(
            unit_findings(
                Evidence(workspace, connection, staged, workspace.target(None), NOW.date())
            )
        )


def checked(folder: Path) -> CheckReport:
    with connected() as connection:
        return check_sources(open_workspace(folder, None, NOW), connection)


def times(
    table: pd.DataFrame,
    column: str,
    factor: float,
    since: str,
    time: str,
    until: str = "2099",
    only: "pd.Series[bool] | None" = None,
) -> pd.DataFrame:
    """The table with the column multiplied in a time, rounded as an export would."""
    hit = (table[time] >= since) & (table[time] < until)
    hit = hit if only is None else hit & only
    return table.assign(**{column: table[column].where(~hit, (table[column] * factor).round(3))})


def test_healthy_tables_raise_nothing(told: Callable[..., list[Finding]]) -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("factor", "since"),
    [
        (1000, "2024-09-01"),
        (60, "2024-06-01"),
        (3600, "2025-02-01"),
        (1e6, "2024-12-01"),
        (24, "2024-09-01"),
        (0.001, "2024-09-01"),
    ],
)
def test_seconds_become_milliseconds(
    told: Callable[..., list[Finding]], healthy: Tables, factor: float, since: str
) -> None:
    """Of both kinds alike, in a column of one's own."""
    usage = healthy["usage"].assign(
        load_ms=healthy["usage"]["load_ms"] * (1000 if factor < 1 else 1)
    )
    (found,) = told(usage=times(usage, "load_ms", factor, since, "event_time"))
    words = f"about {factor:,.0f} times" if factor > 1 else "about 1/1,000 of that"
    assert found.what.startswith(
        f"load_time of export, login is in another unit from {since} on: typically "
    )
    assert words in found.what
    assert (
        f"rows_until = {since}" in found.todo
        and f"scale = {1 / factor:.9g} in the rule of extra.load_time" in found.todo
    )
    assert (found.source, found.severity, found.unit) == ("usage_events", "stop", "accounts")
    assert found.count == found.total == ACCOUNTS


def test_one_kind_changes_in_the_middle_of_a_month(
    told: Callable[..., list[Finding]], healthy: Tables
) -> None:
    usage = healthy["usage"]
    changed = times(
        usage, "quantity", 1000, "2024-10-14", "event_time", only=usage["event_name"] == "export"
    )
    (found,) = told(usage=changed)
    assert found.what.startswith("quantity of export is in another unit from 2024-10-14 on")
    before = usage.loc[
        (usage["event_name"] == "export") & usage["event_time"].between("2024-07-01", "2024-09-30"),
        "quantity",
    ]
    assert f"typically {before.quantile(interpolation='lower'):,.4g} before" in found.what


def test_dollars_become_cents_among_outliers(
    told: Callable[..., list[Finding]], healthy: Tables
) -> None:
    bills = healthy["invoices"]
    (found,) = told(invoices=times(bills, "total", 100, "2024-11-01", "issued_at"))
    assert (
        found.what.startswith("amount is in another unit from 2024-11-01 on")
        and "about 100 times" in found.what
    )
    assert 'columns.amount = { column = "total", scale = 0.01 }' in found.todo


def test_a_rule_with_a_scale_keeps_it(told: Callable[..., list[Finding]], healthy: Tables) -> None:
    (found,) = told(
        subscriptions=times(healthy["subscriptions"], "mrr", 1000, "2024-08-01", "starts_at")
    )
    assert (
        found.source == "subscriptions"
        and "scale = 0.0005 in the rule of columns.amount_per_month" in found.todo
    )


def test_contracts_that_each_account_signs_once_are_compared_side_by_side(
    told: Callable[..., list[Finding]],
    healthy: Tables,
) -> None:
    random = np.random.default_rng(3)
    signed = pd.DataFrame({"account_id": [f"n{number:03}" for number in range(480)]})
    signed["starts_at"] = np.repeat(pd.date_range("2024-01-01", "2024-12-01", freq="MS"), 40)
    signed["ends_at"] = signed["starts_at"] + pd.DateOffset(years=1)
    signed["mrr"] = (90 * random.lognormal(0, 0.4, len(signed))).round(2)
    assert told(subscriptions=signed) == []
    (found,) = told(subscriptions=times(signed, "mrr", 100, "2024-07-01", "starts_at"))
    assert "from 2024-07-01 on" in found.what and "about 100 times" in found.what
    few = signed[signed["account_id"].str[-1].isin(["0", "5"])]
    assert told(subscriptions=times(few, "mrr", 100, "2024-07-01", "starts_at")) == []


def test_a_unit_that_is_taken_back_is_told_both_ways(
    told: Callable[..., list[Finding]], healthy: Tables
) -> None:
    changed = times(
        healthy["usage"], "load_ms", 1000, "2024-06-01", "event_time", until="2024-10-01"
    )
    found = told(usage=changed)
    assert [("2024-06-01 on" in f.what, "2024-10-01 on" in f.what) for f in found] == [
        (True, False),
        (False, True),
    ]
    assert "about 1/1,000 of that" in found[1].what


def test_the_last_month_alone_is_enough_unless_such_a_peak_was_seen(
    told: Callable[..., list[Finding]],
    healthy: Tables,
) -> None:
    last = times(healthy["usage"], "load_ms", 1000, "2025-04-01", "event_time")
    assert "from 2025-04-01 on" in told(usage=last)[0].what
    again = times(last, "load_ms", 1000, "2024-04-01", "event_time", until="2024-05-01")
    assert told(usage=again) == []


def test_strong_growth_is_no_unit(told: Callable[..., list[Finding]], healthy: Tables) -> None:
    """Fivefold over the months, and a hundredfold: a ramp has no day."""
    usage, bills = healthy["usage"], healthy["invoices"]
    for total in (5.0, 100.0):
        grown = total ** ((usage["event_time"] - usage["event_time"].min()).dt.days / 480)
        risen = total ** ((bills["issued_at"] - bills["issued_at"].min()).dt.days / 480)
        assert (
            told(
                usage=usage.assign(quantity=(usage["quantity"] * grown).round()),
                invoices=bills.assign(total=(bills["total"] * risen).round(2)),
            )
            == []
        )


def test_a_price_rise_and_a_strong_season_are_no_unit(
    told: Callable[..., list[Finding]], healthy: Tables
) -> None:
    usage = times(healthy["usage"], "quantity", 30, "2024-11-01", "event_time", until="2025-01-01")
    assert (
        told(
            usage=usage, invoices=times(healthy["invoices"], "total", 5, "2024-11-01", "issued_at")
        )
        == []
    )


def test_a_season_that_returns_is_no_unit(
    told: Callable[..., list[Finding]], healthy: Tables
) -> None:
    """Three months of each year with 30 times as much, as a school or an ice-cream shop has
    them.
    """
    usage = times(healthy["usage"], "quantity", 30, "2024-03-01", "event_time", until="2024-06-01")
    usage = times(usage, "quantity", 30, "2025-03-01", "event_time")
    assert told(usage=usage) == []


def test_whales_that_join_are_no_unit(told: Callable[..., list[Finding]], healthy: Tables) -> None:
    """Large customers bring nine of ten rows from then on, a thousand times as large; the others
    stay as they were.
    """
    usage = healthy["usage"]
    whales = pd.concat(
        [
            usage[usage["event_time"] >= "2024-09-01"].assign(
                account_id=f"whale{number}", quantity=lambda t: t["quantity"] * 1000
            )
            for number in range(20)
        ]
    )
    assert told(usage=pd.concat([usage, whales])) == []


def test_another_mix_of_kinds_is_no_unit(
    told: Callable[..., list[Finding]], healthy: Tables
) -> None:
    """From logins (ones) to exports (hundreds): each stays what it was."""
    usage = healthy["usage"]
    late, rare = usage["event_time"] >= "2024-09-01", usage.index % 3 == 0
    assert (
        told(usage=usage[np.where(usage["event_name"] == "export", late | rare, ~late | rare)])
        == []
    )
    # Nor are two accounts that put the product to another use.
    few = usage["account_id"].isin(["a01", "a02"]) & late
    assert (
        told(usage=usage.assign(quantity=usage["quantity"].where(~few, usage["quantity"] * 1000)))
        == []
    )


def test_training_is_refused_until_the_change_is_accepted(
    project: Callable[..., Path], healthy: Tables
) -> None:
    usage = times(healthy["usage"], "load_ms", 1000, "2024-09-01", "event_time")
    report = checked(project(usage=usage))
    with pytest.raises(
        GateRefused,
        match=r"(?s)numbers that are not what they say\.\n- unit-changed \(usage_events\).*"
        r"\"unit-changed/usage_events\" = ",
    ):
        refuse_training(report)
    leak = Finding("value-tells-outcome", "stop", "accounts", "it tells", "Mend it.")
    with pytest.raises(
        LeakageError, match="what it cannot know at the time and numbers that are not what they say"
    ):
        refuse_training(replace(report, findings=(leak, *report.findings)))
    accepted = '[checks.accept]\n"unit-changed/usage_events" = "load_time is in no signal"\n'
    refuse_training(checked(project(usage=usage, more=accepted)))


def test_the_two_parts_that_are_advised_mend_it(
    project: Callable[..., Path], healthy: Tables
) -> None:
    folder = project(usage=times(healthy["usage"], "load_ms", 1000, "2024-09-01", "event_time"))
    file = folder / "tenure.toml"
    file.write_text(
        file.read_text()
        .replace('location = "usage.csv"\n', "")
        .replace(
            "[sources.invoices]",
            """
[[sources.usage_events.parts]]
location = "usage.csv"
rows_until = 2024-09-01
[[sources.usage_events.parts]]
location = "usage.csv"
rows_from = 2024-09-01
extra.load_time = { column = "load_ms", type = "number", scale = 0.001 }
[sources.invoices]""",
        )
    )
    assert asked_alone(folder) == []


def test_a_simulated_company_is_as_it_was_and_its_bills_in_cents_are_found(tmp_path: Path) -> None:
    write_world(simulate(120, 7, options=WorldOptions(truth_dates=())), tmp_path, with_truth=False)
    assert asked_alone(tmp_path) == []
    (file,) = tmp_path.rglob("invoices.parquet")
    bills = pd.read_parquet(file)
    bills["amount"] = bills["amount"].where(
        bills["issued_at"] < pd.Timestamp("2025-01-01"), bills["amount"] * 100
    )
    bills.to_parquet(file)
    (found,) = asked_alone(tmp_path)
    assert found.source == "invoices" and "amount is in another unit from 2025-01-" in found.what
    assert "about 100 times (dollars to cents?)" in found.what


@pytest.mark.parametrize(
    ("shift", "factor"),
    [(3.0, 1000.0), (-3.0, 1000.0), (1.3, 24.0), (2.45, None), (0.9, None), (0.0, None)],
)
def test_only_factors_that_units_have_count(shift: float, factor: float | None) -> None:
    assert _nearest_factor(shift, FACTORS["number"]) == factor
