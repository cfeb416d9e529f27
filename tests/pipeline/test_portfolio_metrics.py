"""Metrics of the portfolio against hand-made subscriptions, and signals that lose their link."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.metrics import METRICS
from models.dataset import training_set
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.signal_links import signal_links
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.take_metrics import TakenMetrics, take_metrics
from pipeline.reports.metrics import metrics_text
from pipeline.workspace import open_workspace

PROJECT = """
name = "hand made"
time_zone = "UTC"
{top}
[sources.accounts]
location = "accounts.parquet"
immutable = ["segment"]
[sources.subscriptions]
location = "subscriptions.parquet"
convention = "fixed_term"
data_until = 2024-08-01
[sources.usage_events]
location = "usage.parquet"
key_features = ["plan"]
[sources.surveys]
location = "surveys.parquet"
[[targets]]
name = "churn"
kind = "churn"
horizon_days = 30
grace_days = 10
"""


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-{text}")


def term(
    account: str, starts: str, ends: str | None, amount: float, seats: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "account_id": account,
        "starts_at": day(starts),
        "ends_at": None if ends is None else day(ends),
        "amount_per_month": amount,
        "seats": seats,
        "is_voluntary": None,
        **more,
    }


# Second quarter, 1 April to 1 July: A stays and grows, B leaves, C lapses for nine days (within
# grace) and shrinks, D is cut off for not paying, E is new. A's change of seats in May is a row of
# its own.
TERMS = [
    term("A", "01-01", "12-31", 100, 10),
    term("A", "05-01", "12-31", 50, 5),
    term("B", "01-01", "05-15", 200, 4, is_voluntary=True),
    term("C", "01-01", "06-01", 80, 8),
    term("C", "06-10", "12-31", 60, 6),
    term("D", "01-01", "06-20", 20, 1, is_voluntary=False),
    term("E", "05-05", None, 40, 2),
]
PARENTS = {"A": None, "B": None, "C": None, "D": None, "E": "A"}


def metrics(
    folder: Path, top: str = "", *, has_history: bool = False
) -> dict[tuple[str, str, str], float]:
    """(metric, segment, wording) -> value, of the second quarter; with history B was small until
    March.
    """
    accounts = pd.DataFrame(
        [
            {
                "account_id": a,
                "created_at": day("01-01"),
                "segment": "big" if a in "AB" else "small",
                "parent_account_id": p,
            }
            for a, p in PARENTS.items()
        ]
    )
    if has_history:
        b = accounts[accounts["account_id"] == "B"]
        before = accounts.assign(valid_from=day("01-01")).replace({"segment": {"big": "small"}})
        before.loc[before["account_id"] == "A", "segment"] = "big"
        accounts = pd.concat([before, b.assign(valid_from=day("03-01"))])
    accounts.to_parquet(folder / "accounts.parquet")
    pd.DataFrame(TERMS).to_parquet(folder / "subscriptions.parquet")
    pd.DataFrame(
        [
            {"account_id": a, "event_time": day(d), "event_name": n}
            for a, d, n in (
                ("A", "06-25", "plan"),
                ("C", "06-25", "login"),
                ("E", "03-01", "plan"),
                ("B", "06-25", "plan"),
            )
        ]
    ).to_parquet(folder / "usage.parquet")
    pd.DataFrame(
        [
            {
                "account_id": a,
                "answered_at": day("05-02"),
                "kind": "nps",
                "scale": "0-10",
                "score": s,
                "version": v,
            }
            for a, s, v in (("A", 10, "1"), ("B", 8, "1"), ("C", 2, "1"), ("E", 9, "2"))
        ]
    ).to_parquet(folder / "surveys.parquet")
    (folder / "tenure.toml").write_text(PROJECT.format(top=top))
    workspace = open_workspace(folder, None, datetime(2024, 8, 1))
    with connected(threads=1) as connection:
        stage_sources(workspace, connection)
        taken = take_metrics(workspace, connection, workspace.target(None))
    assert "logo_churn_rate" in metrics_text(taken, workspace.target(None))
    found = taken.metrics[taken.metrics["period_start"] == day("04-01")]
    return {(r.metric, r.segment, r.wording): r.value for r in found.itertuples()}


def test_rates_reconcile_with_the_subscriptions(tmp_path: Path) -> None:
    found = {k[0]: v for k, v in metrics(tmp_path).items() if k[1] == "all" and k[2] == ""}
    # Four at the start (A, B, C, D), less B and D, plus E: three at the end.
    assert (found["customers"], found["lost_customers"], found["new_customers"]) == (3, 2, 1)
    assert found["logo_churn_rate"] == 2 / 4
    assert found["voluntary_churn_rate"] == found["involuntary_churn_rate"] == 1 / 4
    # Start 100 + 200 + 80 + 20; lost 200 + 20 and C's 20; A grew by 50.
    assert found["gross_revenue_churn_rate"] == 240 / 400
    assert found["net_revenue_retention"] == (150 + 60) / 400
    assert found["monthly_revenue"] == 150 + 60 + 40
    assert found["revenue_per_account"] == pytest.approx(250 / 3)
    assert found["revenue_per_user"] == 250 / (15 + 6 + 2)
    # Three covers ended (B, C, D); C came back after nine days, within grace.
    assert found["renewal_rate"] == 1 / 3
    # Of A, C and E only A used a key feature in 28 days; B used it and is no customer.
    assert found["product_usage_rate"] == 1 / 3


def test_segments_add_up_and_wordings_stay_apart(tmp_path: Path) -> None:
    found = metrics(tmp_path)
    for name in ("customers", "lost_customers", "monthly_revenue"):
        assert found[name, "big", ""] + found[name, "small", ""] == found[name, "all", ""]
    assert found["nps", "all", "1"] == 0  # one promoter, one passive, one detractor
    assert found["nps", "all", "2"] == 100
    assert ("nps", "all", "") not in found


def test_who_stayed_by_the_segment_they_signed_up_in(tmp_path: Path) -> None:
    """B was small when it signed up and big when it left."""
    name = "churn_rate_by_first_segment"
    found = metrics(tmp_path, has_history=True)
    assert found["logo_churn_rate", "big", ""] == 1 / 2  # of A and B
    assert (found[name, "big", ""], found[name, "small", ""]) == (0, 2 / 3)
    assert (name, "all", "") not in found
    # Without history nobody knows what an account was once.
    assert not [each for each in metrics(tmp_path) if each[0] == name]


def test_use_is_what_the_project_says(tmp_path: Path) -> None:
    found = metrics(tmp_path, 'metrics = { active_events = ["login", "plan"] }')
    assert found["product_usage_rate", "all", ""] == 2 / 3


def test_rolled_up_children_are_counted_with_their_parent(tmp_path: Path) -> None:
    """E belongs to A: one customer fewer, no new one, and not a cent more or less."""
    found = metrics(tmp_path, 'roll_up = "parent"')
    assert (found["customers", "all", ""], found["new_customers", "all", ""]) == (2, 0)
    assert found["monthly_revenue", "all", ""] == 250


def test_every_metric_made_is_in_the_dictionary(tmp_path: Path) -> None:
    assert {name for name, *_ in metrics(tmp_path)} <= {m.name for m in METRICS}


def test_a_proxy_that_lost_its_link_is_shown() -> None:
    """`clicks` tells leavers in the first half and nothing in the second; `days` tells them all the
    time.
    """
    generator = np.random.default_rng(3)
    dates = pd.date_range("2024-02-05", periods=4, freq="28D")
    n = 400
    keys = pd.DataFrame(
        {"account_id": [f"A{k:04d}" for k in range(n) for _ in dates], "as_of": list(dates) * n}
    )
    keys["label_until"], keys["is_test"] = keys["as_of"] + pd.Timedelta(days=30), False
    label = pd.Series(generator.random(len(keys)) < 0.2).astype("int64")
    early = (keys["as_of"] < dates[2]).to_numpy()
    noise = generator.normal(size=(2, len(keys)))
    features = pd.DataFrame(
        {"clicks": noise[0] - 1.5 * label * early, "days": noise[1] - 1.5 * label}
    )
    signals = tuple(Signal(c, c, "usage", "usage_events", c, "times", "{value}") for c in features)
    links = signal_links(training_set(keys, features, label, signals), signals)
    assert dict(links.loc[links["state"] != "", ["signal", "state"]].to_numpy()) == {
        "clicks": "lost",
        "days": "kept",
    }
    of_clicks = links[links["signal"] == "clicks"].set_index("period")["auc"]
    assert list(of_clicks.index) == ["earlier", "later", "2024-Q1", "2024-Q2"]
    assert of_clicks["2024-Q1"] < 0.3 and of_clicks["2024-Q2"] == pytest.approx(0.5, abs=0.1)
    target = Target(name="churn", kind="churn", horizon_days=30)
    said = metrics_text(
        TakenMetrics(pd.DataFrame({"segment": [], "metric": []}), links), target
    ).splitlines()
    assert said[0].startswith("no whole quarter")
    shown = {
        line.split()[1]: line.split() for line in said if line.startswith(("  lost", "  kept"))
    }
    assert shown["clicks"][0] == "lost" and shown["clicks"][-1].startswith("(")
    assert shown["days"][0] == "kept" and int(shown["days"][-1]) > 70
