"""Advocates: healthy, and somebody said so."""

import json

import pandas as pd
from small_company import Command, Company

from pipeline.actions.advocates import advocates

SCORES = pd.DataFrame(
    {
        "account_id": list("ABCDE"),
        "health": [90, 85, 95, 30, 80],
        "band": ["healthy", "healthy", "healthy", "at_risk", "healthy"],
    }
)
PEOPLE = pd.DataFrame(
    {"account_id": list("ABCDE"), "name": list("ABCDE"), "owner": "Ann", "value_per_year": 1.0}
)
SIGNALS = pd.DataFrame(
    {
        "account_id": list("ABCDE"),
        "nps_balance": [100.0, None, None, 100.0, 100.0],
        "pulse": [5.0, 4.0, 3.0, 5.0, None],
        "champions_present": [1.0, 1.0, 1.0, 1.0, 0.0],
    }
)


def test_high_health_alone_is_not_enough() -> None:
    """C is the healthiest and nobody praised it, D is at risk, E has one sign."""
    found = advocates(SCORES, PEOPLE, SIGNALS)
    assert found["account_id"].tolist() == ["A", "B"]
    assert found["signs"].tolist() == [
        "promoter in surveys, rated 4 or 5 by its manager, has a champion",
        "rated 4 or 5 by its manager, has a champion",
    ]


def test_signals_that_a_model_has_not_are_left_out() -> None:
    assert advocates(SCORES, PEOPLE, SIGNALS[["account_id"]]).empty


def test_advocates_of_the_company_are_healthy(company: Company, tenure: Command) -> None:
    rows = json.loads(tenure("advocates", "--project", company.folder, "--json").out)["advocates"]
    bands = company.published("scores").set_index("account_id")["band"]
    assert all(bands[row["account_id"]] == "healthy" and row["signs"] for row in rows)
    assert tenure("advocates", "--project", company.folder).code == 0


def test_a_promoter_is_who_answered_nine_or_ten(company: Company, tenure: Command) -> None:
    """Counted from the raw answers: a 7 of 10 is no praise."""
    day = pd.Timestamp("2025-06-01")
    answers = company.table("surveys")
    answers = answers[answers["kind"] == "nps"].drop_duplicates()
    recent = answers["answered_at"].between(day - pd.Timedelta(days=182), day, inclusive="left")
    best = answers[recent].groupby("account_id")["score"].max()
    rows = json.loads(tenure("advocates", "--project", company.folder, "--json").out)["advocates"]
    called = [r["account_id"] for r in rows if "promoter in surveys" in r["signs"]]
    assert called and all(best.get(account, 0.0) >= 9 for account in called)
