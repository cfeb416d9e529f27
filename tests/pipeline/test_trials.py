"""A company of trials from its two tables to the page: who tries the product is scored by whether
they will buy.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from small_company import NOW, Command

from pipeline.ledger import current_run
from pipeline.workspace import open_workspace

TOML = """
name = "trials"
time_zone = "UTC"
[sources.subscriptions]
location = "subscriptions.csv"
convention = "fixed_term"
data_until = 2025-06-01
[sources.usage_events]
location = "usage.csv"
data_until = 2025-06-01
[[targets]]
name = "buys"
kind = "conversion"
horizon_days = 21
population = { kind = "trials" }
dates = { every_days = 7, first = 2024-02-01, last = 2025-05-08 }
test = { count = 12 }
[training]
trials = 0
bags = 1
max_trees = 20
threads = 1
folds = 2
[features]
window_days = [7, 28]
[objective]
purpose = "Help those who try the product to decide"
"""
TRIAL = pd.Timedelta(days=14)
FIRST, LAST = pd.Timestamp("2024-01-01"), pd.Timestamp("2025-06-01")


def trials(folder: Path, count: int = 1200) -> "pd.Series[float]":
    """A folder with trials of two weeks, a third of which become contracts of a year: the keener,
    the more often. Returns how keen each account is.
    """
    generator = np.random.default_rng(3)
    ids = [f"T{number:04}" for number in range(count)]
    begins = FIRST + pd.to_timedelta(generator.integers(0, 530, count), unit="D")
    keen = generator.normal(size=count)
    buys = generator.random(count) < 1 / (1 + np.exp(0.9 - 1.6 * keen))
    tried = pd.DataFrame(
        {"account_id": ids, "starts_at": begins, "ends_at": begins + TRIAL, "is_trial": True}
    )
    starts = begins[buys] + TRIAL
    bought = pd.DataFrame(
        {
            "account_id": np.array(ids)[buys],
            "starts_at": starts,
            "ends_at": starts + pd.Timedelta(days=365),
            "is_trial": False,
        }
    )
    terms = pd.concat([tried, bought[bought["starts_at"] < LAST]])
    terms.assign(amount_per_month=90).to_csv(folder / "subscriptions.csv", index=False)
    times = generator.poisson(np.repeat(np.exp(0.2 + 0.7 * keen), TRIAL.days))
    day = np.repeat(np.tile(np.arange(TRIAL.days), count), times)
    account = np.repeat(np.repeat(np.arange(count), TRIAL.days), times)
    at = begins[account] + pd.to_timedelta(day, unit="D") + pd.Timedelta(hours=9)
    usage = pd.DataFrame(
        {"account_id": np.array(ids)[account], "event_time": at, "event_name": "open"}
    )
    usage["session_id"] = np.arange(len(usage))
    usage[usage["event_time"] < LAST].to_csv(folder / "usage.csv", index=False)
    (folder / "tenure.toml").write_text(TOML)
    return pd.Series(keen, index=ids)


def test_trials_are_scored_by_whether_they_buy(tmp_path: Path, tenure: Command) -> None:
    keen = trials(tmp_path)
    answer = tenure("run", "--project", tmp_path)
    assert answer.code == 0, answer.err
    workspace = open_workspace(tmp_path, None, NOW)
    run = current_run(workspace.store, "buys")
    assert run is not None and run.basis == "calibrated"
    scores = workspace.store.read("scores").set_index("account_id")
    terms = pd.read_csv(workspace.folder / "subscriptions.csv", parse_dates=["starts_at"])
    tried = terms[terms["is_trial"]].set_index("account_id")["starts_at"]
    # Exactly those whose trial covers the date: neither those that bought nor those that left.
    running = tried[(tried < run.as_of) & (tried + TRIAL >= run.as_of)]
    assert set(scores.index) <= set(running.index) and len(scores) >= len(running) - 3
    order = scores["health"].astype(float).corr(keen[scores.index], method="spearman")
    assert order > 0.5, "a high score is a keen account"
    assert set(scores["band"]) <= {"low", "medium", "high"}

    folder = workspace.folder / "reports" / "buys"
    page = (folder / "portfolio.html").read_text()
    assert "a high chance to convert within 21 days" in page
    assert "Help those who try the product to decide" in page
    assert "at risk" not in page.lower() and "Low use" not in page
    assert "Help those who try the product to decide" in (folder / "model_card.md").read_text()
    checked = tenure("check", "--project", workspace.folder)
    assert checked.code == 0 and "objective-not-stated" in checked.out
    assert "how many accounts you can work on at a time" in checked.out
    assert "what the scores are for" not in checked.out
