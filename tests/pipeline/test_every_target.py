"""Leaving and growing from one run: a probability each, and each held against what happened."""

import json

import pandas as pd
from small_company import Command, Company, assert_bands_follow_health

from models.health.scale import GOOD_EVENT_BANDS, HEALTH_BANDS
from pipeline.jobs.explain_scale import band_edges

PLAYS = """
[[plays]]
name = "success_call"
cost = 1
[[plays]]
name = "upgrade_offer"
aim = "grow"
minutes = 30
cost = 1
[worklist]
hours = 2
lot_share = 0
grows_by = 0.2
"""


def test_one_run_scores_every_target_and_judges_each_out_of_time(
    company_copy: Company, tenure: Command
) -> None:
    # Of 250 customers too few buy seats for a model of that alone to pass its gates.
    file = company_copy.folder / "tenure.toml"
    own, every = '["seats", "plan", "product"]', '["seats", "plan", "product", "discount", "price"]'
    assert own in file.read_text()
    # A price rise counts then, so what announces it must not be read.
    off = 'off = ["engagement", '
    text = file.read_text().replace(own, every)
    assert off in text
    file.write_text(text.replace(off, f'{off}"touchpoints", ') + PLAYS)
    done = tenure("run", "--every-target", "--project", company_copy.folder, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert set(told) == {"churn_90d", "expansion_90d"}
    runs = {each["run"]["run_id"] for each in told.values()}
    assert len(runs) == 2 and {each["run"]["target"] for each in told.values()} == set(told)
    for each in told.values():
        test = each["evaluation"]["test"]
        assert test["events"] > 0 and test["log_loss"] > 0 and test["n"] > 100
    workspace, _ = company_copy.workspace()
    scores = workspace.store.read("scores")
    published = scores[scores["run_id"].isin(runs)]
    for name, bands in (("churn_90d", HEALTH_BANDS), ("expansion_90d", GOOD_EVENT_BANDS)):
        mine = published[published["target"] == name]
        assert set(mine["band"].dropna()) <= {*bands} and mine["band"].notna().sum() > 100
        assert_bands_follow_health(mine, band_edges(workspace), bands)
    asked = published.groupby("account_id")["target"].nunique()
    assert (asked == 2).mean() > 0.9
    # Growth is judged cause by cause, each against rows in which nothing changed.
    causes = {each["cause"]: each for each in told["expansion_90d"]["evaluation"]["causes"]}
    assert {"seats", "price"} <= set(causes) and told["churn_90d"]["evaluation"]["causes"] == []
    assert all(each["counts"] and each["accounts"] > 0 for each in causes.values())
    card = (company_copy.folder / "reports" / "expansion_90d" / "model_card.html").read_text()
    assert "AUC against no change" in card and "<td>Seats</td>" in card
    # High health alone is not enough: those most likely to buy more are not simply those least
    # likely to leave.
    table = published.pivot(index="account_id", columns="target", values="probability").dropna()
    growing = set(table["expansion_90d"].nlargest(30).index)
    assert len(table) > 100 and len(growing & set(table["churn_90d"].nsmallest(30).index)) < 20
    _judge_lists(company_copy, tenure)
    pages = [
        (company_copy.folder / "reports" / name / "portfolio.html").read_text()
        for name in ("churn_90d", "expansion_90d")
    ]
    assert pages[0] != pages[1] and "Will the account grow within 90 days?" in pages[1]


def _judge_lists(company: Company, tenure: Command) -> None:
    """Keeping and growing share the hours of an owner; nobody is on both lists, and nobody at risk
    is sold to.
    """
    listed = {}
    for name in ("churn_90d", "expansion_90d"):
        answer = tenure("worklist", "--project", company.folder, "--target", name, "--json")
        plan = json.loads(answer.out)
        rows = pd.DataFrame(plan["accounts"])
        listed[name] = rows[rows["listed"] == "on the list"]
        assert {each["hours"] for each in plan["owners"]} == {1.5 if name == "churn_90d" else 0.5}
        assert (listed[name].groupby("owner")["minutes"].sum() <= 90).all()
        assert listed[name]["value_saved"].gt(0).all()
    keep, grow = listed["churn_90d"], listed["expansion_90d"]
    assert set(keep["play"]) == {"success_call"} and set(grow["play"]) == {"upgrade_offer"}
    assert len(keep) > 5 and len(grow) > 5 and not set(keep["account_id"]) & set(grow["account_id"])
    both = pd.concat([keep, grow]).groupby("owner")["minutes"].sum()
    assert both.max() <= 120
    scores = company.workspace()[0].store.read("scores", filters=[("target", "=", "churn_90d")])
    at_risk = scores.loc[scores["band"] == "at_risk", "account_id"]
    assert len(at_risk) and not set(at_risk) & set(grow["account_id"])
    page = (company.folder / "reports" / "expansion_90d" / "portfolio.html").read_text()
    assert f"{len(grow)} accounts to talk to now" in page and "more of them grow (assumed)" in page
    told = tenure("effects", "--project", company.folder, "--target", "expansion_90d", "--json")
    plays = {each["play"]: each for each in json.loads(told.out)["plays"]}
    assert plays["pilot_call"]["design"] == "holdout" and "upgrade_offer" in plays
    words = tenure("effects", "--project", company.folder, "--target", "expansion_90d").out
    assert "20% more grow with it" in words


def test_every_target_and_one_target_exclude_each_other(company: Company, tenure: Command) -> None:
    refused = tenure("run", "--every-target", "--target", "churn_90d", "--project", company.folder)
    assert refused.code == 2 and "exclude each other" in refused.err


def test_a_target_about_growth_is_spoken_of_in_words_of_growth(
    company: Company, tenure: Command
) -> None:
    checked = tenure("check", "--target", "expansion_90d", "--project", company.folder)
    assert "accounts that grew, per date" in checked.out and " grew (AUC +- " in checked.out
    assert "leaver" not in checked.out and "cannot leave" not in checked.out
    churn = tenure("check", "--project", company.folder)
    assert "accounts that left, per date" in churn.out
