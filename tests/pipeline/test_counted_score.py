"""A counted score is published as the score, said on the page, and read off for one account."""

import json

import pandas as pd
from small_company import Command, Company

from models.methods import DeclaredPoints
from pipeline.jobs.registry import need_version
from pipeline.tracking import CHAMPION


def _in(company: Company) -> tuple[str, object]:
    return "--project", company.folder


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
    drivers = company_copy.published("drivers").set_index("account_id")
    fired = drivers[drivers["signal"] == "active_days_28d"]
    fired = fired[(fired["points"] < 0) & (fired["value"] < fired["reference"])]
    assert len(fired) and set(fired["reason"]) == {"low_use"}  # what the rule says is a reason
    told = json.loads(tenure("points", low, "--project", company_copy.folder, "--json").out)
    assert told["counted"]["score"] == 25.0
    assert [line["name"] for line in told["counted"]["lines"]] == ["hardly used"]
    again = tenure("run", "--project", company_copy.folder)
    version = answer.out.partition("version ")[2].split()[0]
    assert f"version {version} is in use" in again.out  # the same rules make no other version


def test_a_hybrid_is_published_with_chances_and_rules_that_count(
    company_copy: Company, tenure: Command
) -> None:
    """Trained, calibrated and judged as a model is; the rule is a declared share of it."""
    _declare(company_copy, RULES.replace('"rules"', '"hybrid"', 1))
    _declare(company_copy, "\n[bench]\nmodel_share = 0.4\n")
    answer = tenure("run", "--project", company_copy.folder)
    assert answer.code == 0, answer.err
    workspace, target = company_copy.workspace()
    bundle = need_version(workspace, target, CHAMPION).bundle
    assert bundle.model.declared == ("rules", 0.6)
    assert any("your rules (60%) and the model (40%)" in note for note in bundle.facts.notes)
    # The rule as a part of the log-odds: nothing else reads whether it fires.
    member = next(m for m in bundle.model.members if isinstance(m.method, DeclaredPoints))
    columns = bundle.model.columns
    seen = company_copy.published("features_scored_churn_90d").set_index("account_id")[columns]
    seen = seen.astype("float64")
    fires = (seen["active_days_28d"] < 5, seen["active_users_28d"] >= 3)
    points = -25.0 * fires[0] + 15.0 * fires[1]
    margin = pd.Series(member.method.margin(seen), seen.index)
    slope = (margin.max() - margin.min()) / (points.max() - points.min())
    assert slope > 0
    pd.testing.assert_series_equal(margin, margin.max() - slope * (points - points.min()))
    scores = company_copy.published("scores").set_index("account_id")
    members = scores[scores["health"].notna()]
    assert set(members["basis"]) == {"calibrated"} and members["probability"].notna().all()
    drivers = company_copy.published("drivers")
    sums = drivers.groupby("account_id")["points"].sum().reindex(members.index)
    assert (members["base_points"] + sums - members["health_exact"]).abs().max() < 1e-9
    page = (company_copy.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert "mix the rules that your team declared (60%) with what was learned" in page
    run = str(scores["run_id"].iloc[0])
    for command in (("verify",), ("replay", run)):
        done = tenure(*command, "--project", company_copy.folder)
        assert done.code == 0, done.err


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


ACTIONS = """
[[actions]]
name = "counted"
signal = "{signal}"
points = 4
each = true
up_to = 3

[[actions]]
name = "used lately"
signal = "days_since_use"
points = 10
within_days = 1
missed = -15
"""
# Signal -> source, column that dates its rows, kinds, days; the first that the company has.
COUNTS: dict[str, tuple[str, str, tuple[str, ...], int]] = {
    "meetings_91d": ("touchpoints", "event_time", ("meeting", "business_review"), 91),
    "meetings_28d": ("touchpoints", "event_time", ("meeting", "business_review"), 28),
    "tickets_91d": ("support_tickets", "opened_at", (), 91),
    "tickets_28d": ("support_tickets", "opened_at", (), 28),
    "events_28d": ("usage_events", "event_time", (), 28),
}


def test_points_of_actions_lead_to_the_dated_rows_behind_them(
    company_copy: Company, tenure: Command
) -> None:
    run = company_copy.published("features_scored_churn_90d").set_index("account_id")
    signal = next(each for each in COUNTS if each in run)
    source, event, kinds, window = COUNTS[signal]
    _declare(company_copy, ACTIONS.format(signal=signal))
    day = pd.Timestamp("2025-06-01")
    facts = company_copy.table(source).drop_duplicates()
    facts = facts[(facts[event] < day) & (facts[event] >= day - pd.Timedelta(days=window))]
    if kinds:
        facts = facts[facts["kind"].isin(kinds)]
    if "known_at" in facts:
        facts = facts[facts["known_at"] < day]
    asked = run[signal].nlargest(3).index
    assert run.loc[asked, signal].min() > 0
    for account in asked:
        answer = tenure("points", account, "--method", "actions", "--json", *_in(company_copy))
        told = json.loads(answer.out)
        (behind,) = told["rows"][signal]
        mine = facts[facts["account_id"] == account].sort_values(event, ascending=False)
        assert behind["total"] == len(mine) == run.loc[account, signal]
        assert [row["day"] for row in behind["rows"]] == [
            f"{each:%Y-%m-%d}" for each in mine[event][:5]
        ]
        line = next(each for each in told["counted"]["lines"] if each["name"] == "counted")
        assert line["points"] == 4 * min(3, len(mine)) and line["signals"] == [signal]
    # The deduction begins on the day after the deadline, and the last use is a row of its date.
    late = run["days_since_use"].dropna()
    account, days = str(late.idxmax()), int(late.max())
    assert days > 1
    answer = tenure("points", account, "--method", "actions", "--json", *_in(company_copy))
    told, since = json.loads(answer.out), day - pd.Timedelta(days=days - 2)
    line = next(each for each in told["counted"]["lines"] if each["name"] == "used lately")
    assert line["points"] == -15
    assert line["deadline"].endswith(f"so -15 since {since.day} {since:%b %Y}")
    (behind,) = told["rows"]["days_since_use"]
    assert [row["day"] for row in behind["rows"]] == [f"{day - pd.Timedelta(days=days):%Y-%m-%d}"]


def test_rules_that_rank_the_wrong_way_round_are_refused(
    company_copy: Company, tenure: Command
) -> None:
    before = company_copy.published("scores")
    turned = RULES.replace("points = -25", "points = 25").replace("points = 15", "points = -15")
    _declare(company_copy, turned)
    refused = tenure("run", "--project", company_copy.folder)
    assert refused.code == 3 and "no better than drawing lots" in refused.err
    assert company_copy.published("scores").equals(before)
