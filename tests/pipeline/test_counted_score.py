"""A counted score is published as the score, said on the page, and read off for one account."""

import json

from small_company import Command, Company


def _declare(company: Company, text: str) -> None:
    toml = company.folder / "tenure.toml"
    toml.write_text(toml.read_text() + text)


RULES = """
[score]
basis = "rules"
largest_shift = 10

[[rules]]
name = "hardly used"
when = [{ signal = "active_days_28d", below = 5 }]
points = -25

[[rules]]
name = "many people"
when = [{ signal = "active_users_28d", at_least = 3 }]
points = 15
"""


def test_rules_are_published_as_the_score_and_said_on_the_page(
    company_copy: Company, tenure: Command
) -> None:
    _declare(company_copy, RULES)
    answer = tenure("run", "--project", company_copy.folder)
    assert answer.code == 0, answer.err
    assert "[score] basis has the score counted from rules" in answer.out
    scores = company_copy.published("scores")
    members = scores[scores["health"].notna()]
    assert set(members["health"]) <= {25, 40, 50, 65}
    assert set(members["basis"]) == {"scorecard"} and members["probability"].isna().all()
    page = (company_copy.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert "counted from rules: no chances" in page
    assert "Scores are counted from rules, as your team declared." in page
    assert tenure("verify", "--project", company_copy.folder).code == 0
    low = members.loc[members["health"] == 25, "account_id"].iloc[0]
    told = json.loads(tenure("points", low, "--project", company_copy.folder, "--json").out)
    assert told["counted"]["score"] == 25.0
    assert [line["name"] for line in told["counted"]["lines"]] == ["hardly used"]
    again = tenure("run", "--project", company_copy.folder)
    version = answer.out.partition("version ")[2].split()[0]
    assert f"version {version} is in use" in again.out  # the same rules make no other version


def test_points_of_other_counted_scores_need_no_publication(
    company: Company, tenure: Command
) -> None:
    account = company.published("scores")["account_id"].iloc[0]
    for method, said in (
        ("actions", "counted from points for actions"),
        ("usage_score", "frequency"),
        ("four_indicators", "counted from four indicators"),
        ("clusters", "group "),
    ):
        answer = tenure("points", account, "--project", company.folder, "--method", method)
        assert answer.code == 0 and said in answer.out, answer
    wrong = tenure("points", "nobody", "--project", company.folder)
    assert wrong.code == 2 and "nobody" in wrong.err


def test_rules_that_rank_the_wrong_way_round_are_refused(
    company_copy: Company, tenure: Command
) -> None:
    before = company_copy.published("scores")
    turned = RULES.replace("points = -25", "points = 25").replace("points = 15", "points = -15")
    _declare(company_copy, turned)
    refused = tenure("run", "--project", company_copy.folder)
    assert refused.code == 3 and "no better than drawing lots" in refused.err
    assert company_copy.published("scores").equals(before)
