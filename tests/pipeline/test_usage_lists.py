"""The way to first value and where people get stuck, per account and as known on a date."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError
from models.incidence import LEFT, REACHED, WAITING, cumulative_incidence, day_of_share
from pipeline.engine.duckdb import connected
from pipeline.jobs.first_value import TimeToValue, time_to_value
from pipeline.jobs.privacy import forget_account
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.take_metrics import TakenMetrics, take_metrics
from pipeline.reports.metrics import first_value_text, metrics_text
from pipeline.workspace import Workspace, open_workspace

PROJECT = """
name = "hand made"
time_zone = "UTC"
[sources.accounts]
location = "accounts.parquet"
[sources.subscriptions]
location = "subscriptions.parquet"
convention = "fixed_term"
[sources.usage_events]
location = "usage.parquet"
{lists}
data_until = 2024-03-01
[[targets]]
name = "churn"
kind = "churn"
horizon_days = 30
grace_days = 5
"""
LISTS = 'first_value_events = ["plan"]\ntrouble_events = ["error", "gave_up"]'


def day(text: str) -> datetime:
    return datetime.fromisoformat(text if text.startswith("2023") else f"2024-{text}")


def event(
    account: str, at: str, name: str, user: str = "u1", known: str | None = None
) -> dict[str, Any]:
    return {
        "account_id": account,
        "event_time": day(at),
        "event_name": name,
        "user_id": user,
        "known_at": day(known or at),
    }


# D and E are older than the feed, which begins on 1 January. B's value was known a month late; C
# left on 25 January.
ACCOUNTS = {"A": "01-10", "B": "01-10", "C": "01-05", "D": "2023-06-01", "E": "2023-06-01"}
EVENTS = [
    event("D", "01-01", "login"),
    event("E", "01-02", "login"),
    event("E", "01-03", "plan"),
    event("C", "01-05", "login"),
    event("A", "01-10", "login"),
    event("A", "01-15", "plan"),
    event("A", "01-20", "plan"),
    event("B", "01-12", "login"),
    event("B", "01-20", "plan", known="02-20"),
    # A in the 28 days to 1 March: one person three times, another once and too late to be known;
    # two in the 28 days before.
    *(event("A", at, "error") for at in ("02-02", "02-10", "02-29")),
    event("A", "02-11", "error", "u2", known="03-01"),
    event("A", "01-31", "error", "u3"),
    event("A", "02-01", "error", "u3"),
    event("A", "02-12", "gave_up", "u3"),
    event("B", "01-30", "gave_up"),
]


def opened(folder: Path, lists: str = LISTS) -> Workspace:
    pd.DataFrame(
        [{"account_id": a, "name": f"{a} Ltd", "created_at": day(at)} for a, at in ACCOUNTS.items()]
    ).to_parquet(folder / "accounts.parquet")
    pd.DataFrame(
        [
            {
                "account_id": a,
                "starts_at": day(at),
                "ends_at": day("01-25" if a == "C" else "12-31"),
            }
            for a, at in ACCOUNTS.items()
        ]
    ).to_parquet(folder / "subscriptions.parquet")
    pd.DataFrame(EVENTS).to_parquet(folder / "usage.parquet")
    (folder / "tenure.toml").write_text(PROJECT.format(lists=lists))
    return open_workspace(folder, None, datetime(2024, 3, 1))


def taken(workspace: Workspace, as_of: date | None = None) -> TakenMetrics:
    with connected(threads=1) as connection:
        stage_sources(workspace, connection)
        return take_metrics(workspace, connection, workspace.target(None), as_of)


def test_each_account_has_its_way_to_first_value_as_known_on_the_date(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    early, late = (taken(workspace, on).first_value for on in (date(2024, 2, 1), None))
    assert early is not None and late is not None
    told = early.set_index("account_id")
    assert told["status"].to_dict() == {
        "A": "reached",
        "B": "waiting",
        "C": "left",
        "D": "unknown",
        "E": "reached",
    }
    assert told["days"].dropna().to_dict() == {"A": 5, "B": 20, "C": 20}
    assert told.loc["A", "first_value"] == day("01-15") and pd.isna(told.loc["B", "first_value"])
    told = late.set_index("account_id")
    assert (told.loc["B", "status"], told.loc["B", "days"]) == ("reached", 8)
    assert (late["as_of"] == datetime(2024, 3, 1)).all()
    assert workspace.store.read("first_value")["status"].tolist() == late["status"].tolist()


def test_a_date_after_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="after the data of usage_events, which end on 2024-03-01"
    ):
        taken(opened(tmp_path), date(2024, 3, 2))


def test_a_date_before_all_use_says_so(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    said = metrics_text(taken(workspace, date(2023, 12, 1)), workspace.target(None))
    assert "nobody had used the product by then" in said and "no account met any of it" in said


def test_nothing_later_than_the_date_counts(tmp_path: Path) -> None:
    """Rows known from the date on are as if they did not exist."""
    workspace = opened(tmp_path)
    whole = taken(workspace, date(2024, 2, 11))
    usage = pd.DataFrame(EVENTS)
    usage[usage["known_at"] < datetime(2024, 2, 11)].to_parquet(tmp_path / "usage.parquet")
    cut = taken(workspace, date(2024, 2, 11))
    assert whole.first_value is not None and whole.stuck is not None
    pd.testing.assert_frame_equal(whole.first_value, cut.first_value)
    pd.testing.assert_frame_equal(whole.stuck, cut.stuck)


def test_troubles_are_counted_by_account_kind_and_person(tmp_path: Path) -> None:
    found = taken(opened(tmp_path)).stuck
    assert found is not None
    rows = [tuple(row) for row in found.drop(columns="as_of").astype(object).to_numpy()]
    # The 28 days before the last 28 are 5 January to 1 February; the feed began on 1 January.
    assert rows == [
        ("A", "error", 3, 2, 1, 1, day("02-29")),
        ("A", "gave_up", 1, 0, 1, 0, day("02-12")),
        ("B", "gave_up", 0, 1, 0, 0, day("01-30")),
    ]


def test_counts_before_the_feed_began_are_unknown_and_not_zero(tmp_path: Path) -> None:
    found = taken(opened(tmp_path), date(2024, 2, 4)).stuck
    assert found is not None and found["times_before"].isna().all() and found["times"].notna().all()


def test_the_terminal_says_it_in_words_and_what_would_be_needed(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    said = metrics_text(taken(workspace), workspace.target(None))
    assert (
        "first value (plan) as of 2024-03-01: 3 of 5 accounts got there, 0 wait, 1 left without it,"
        " 1 began before" in said
    )
    assert "too few accounts began inside the data" in said
    assert "1 account met it; in 1 somebody did 3 times or more (1 person)" in said
    assert "A Ltd" in said and "tables first_value and stuck" in said
    forget_account(workspace, "A")
    assert "A" not in set(workspace.store.read("stuck")["account_id"])
    bare = opened(tmp_path, "")
    said = metrics_text(taken(bare), bare.target(None))
    assert "first_value_events" in said and "trouble_events" in said


def test_leavers_and_those_who_wait_bend_the_distribution_as_they_should() -> None:
    """Known truth: half of all would get there within 30 days; leaving and young accounts hide some
    of it.
    """
    random = np.random.default_rng(2)
    way, age = random.exponential(30 / np.log(2), 4000), random.uniform(0, 200, 4000)
    days = np.minimum(way, age)
    states = np.where(way <= age, REACHED, WAITING)
    curve = cumulative_incidence(days, states)
    assert day_of_share(curve, 0.5) == pytest.approx(30, abs=2)
    # The median of those that got there is the naive answer, and too short.
    assert np.median(days[states == REACHED]) < 27
    # One in four leaves on day 10 and never gets there: three quarters is the most that can.
    leaves = random.random(4000) < 0.25
    gone = leaves & (way > 10) & (age > 10)
    curve = cumulative_incidence(np.where(gone, 10.0, days), np.where(gone, LEFT, states))
    expected = 1 - 0.5 ** (10 / 30)
    assert curve["left"].iloc[-1] == pytest.approx(0.25 * (1 - expected), abs=0.02)
    assert (curve["reached"] + curve["left"]).iloc[-1] <= 1 + 1e-9


def test_shares_that_never_got_there_are_said_so() -> None:
    first = pd.Series(pd.date_range("2024-01-01", periods=30, freq="D"))
    accounts = pd.DataFrame(
        {
            "account_id": [f"A{k:02d}" for k in range(30)],
            "as_of": pd.Timestamp("2025-03-01"),
            "status": ["reached"] * 12 + ["left"] * 6 + ["waiting"] * 12,
            "first_use": first,
        }
    )
    accounts["days"] = np.where(
        accounts["status"] == "waiting", (accounts["as_of"] - first).dt.days, 4.0
    )
    found = time_to_value(accounts)
    assert (
        found is not None
        and (found.quarter, found.within_days) == (4, 364)
        and np.isnan(found.half)
    )
    assert (found.reached, found.left) == (pytest.approx(0.4), pytest.approx(0.2))
    said = "\n".join(
        first_value_text(
            accounts, TimeToValue(30, 4, np.nan, np.nan, 364, 0.4, 0.2), ("plan",), {"A18": "Big"}
        )
    )
    assert (
        "a quarter within 4 days, half never did so far" in said
        and "waiting longest: Big 407 days" in said
    )
    assert time_to_value(accounts.head(10)) is None
