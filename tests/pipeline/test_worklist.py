"""The worklist: ranks by hand, what is left out, and cells that a spreadsheet must not run."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ContractError
from pipeline.actions.worklist import WORKLIST_COLUMNS, worklist, write_worklist_csv
from pipeline.edge.text import defused, visible


def scores_of(*rows, basis="calibrated"):
    table = pd.DataFrame(rows, columns=["account_id", "probability", "health", "band"])
    return table.assign(
        run_id="r1",
        as_of=pd.Timestamp("2025-06-01"),
        decides_on=pd.NaT,
        horizon_days=90,
        basis=basis,
        probability=table.probability.astype(float),
    )


def portfolio_of(*rows):
    table = pd.DataFrame(rows, columns=["account_id", "name", "owner", "value_per_year"])
    return table.assign(
        segment="Small", currency="EUR", renewal_date=pd.Timestamp("2025-09-01"), run_id="r1"
    )


def drivers_of(*rows):
    table = pd.DataFrame(rows, columns=["account_id", "driver", "points", "said"])
    return table.assign(
        signal=table.driver,
        nature="leading",
        reason="low_use",
        compared=None,
        points_displayed=table.points.round().astype(int),
    )


SCORES = scores_of(
    ("A", 0.5, 20, "at_risk"),
    ("B", 0.1, 80, "healthy"),
    ("C", 0.2, 50, "stable"),
    ("D", 0.9, 5, "at_risk"),
    ("E", None, None, "unknown"),
    ("F", 0.4, 30, "leaving"),
)
PORTFOLIO = portfolio_of(
    ("A", "Alpha", "X", 100.0),
    ("B", "Beta", "X", 1000.0),
    ("C", "Gamma", "Y", 300.0),
    ("D", None, None, None),
    ("E", "Epsilon", "X", 9e9),
    ("F", "Zeta", "X", 9e9),
)
DRIVERS = drivers_of(
    ("A", "logins", -8.2, "3 logins"),
    ("A", "rest", -20.0, "9 further signals"),
    ("A", "tickets", -12.0, "5 tickets"),
    ("A", "seats", 4.0, "all seats used"),
    ("A", "mails", -9.0, "no mail opened"),
    ("B", "tiny", -0.3, "nearly nothing"),
)


def test_costs_of_accounts_rank_before_their_value():
    costs = PORTFOLIO.assign(
        cost_if_missed=[1_000.0, 400.0, None, 100.0, 9e9, 9e9],
        cost_of_contact=[300.0, 30.0, 10.0, None, 0.0, 0.0],
    )
    priority = worklist(SCORES, DRIVERS, costs, save_share=0.5).set_index("account_id")["priority"]
    # A: 1000 x 0.5 x 0.5 - 300; B: 400 x 0.1 x 0.5 - 30; C: the middle loss of A, B and D, 400;
    # D: the middle contact, 30.
    assert priority.round(6).to_dict() == {"B": -10.0, "A": -50.0, "C": 30.0, "D": 15.0}
    gross = worklist(SCORES, DRIVERS, costs, less_contact=False).set_index("account_id")
    assert gross["priority"].round(6).to_dict() == {"B": 40.0, "A": 500.0, "C": 80.0, "D": 90.0}
    assert gross.loc["A", "value_at_risk"] == 50.0  # still of the value


def test_accounts_are_ranked_per_owner_by_value_times_probability():
    ranked = worklist(SCORES, DRIVERS, PORTFOLIO)
    assert tuple(ranked.columns) == WORKLIST_COLUMNS
    # B: 1000 x 0.1 = 100 goes before A: 100 x 0.5 = 50, although A is the one in red.
    assert ranked[["owner", "rank", "account_id"]].to_numpy().tolist() == [
        ["X", 1, "B"],
        ["X", 2, "A"],
        ["Y", 1, "C"],
        ["no owner", 1, "D"],
    ]
    assert ranked.value_at_risk.tolist()[:3] == [100.0, 50.0, 60.0]
    assert ranked.chance.iloc[1] == "about 1 in 2 leave within 90 days"


def test_reasons_are_the_two_largest_real_ones_towards_leaving():
    ranked = worklist(SCORES, DRIVERS, PORTFOLIO).set_index("account_id")
    assert ranked.loc["A", ["reason_1", "reason_2"]].tolist() == [
        "5 tickets (-12)",
        "no mail opened (-9)",
    ]
    assert ranked.loc["B", ["reason_1", "reason_2"]].tolist() == ["", ""]


def test_unknown_value_is_ranked_as_the_median_and_stays_empty():
    row = worklist(SCORES, DRIVERS, PORTFOLIO).set_index("account_id").loc["D"]
    assert np.isnan(row.value_per_year) and np.isnan(row.value_at_risk)
    assert row.priority == pytest.approx(300.0 * 0.9)
    assert row["name"] == "D"


def test_scorecard_is_ranked_by_value_and_place():
    blank = SCORES.assign(basis="scorecard", probability=np.nan)
    ranked = worklist(blank, DRIVERS, PORTFOLIO).set_index("account_id")
    # Places of the four: D is worst (3 of 4 score better), then A, C, B.
    assert ranked.loc[["D", "A", "C", "B"], "priority"].tolist() == [300 * 0.75, 50, 75, 0]
    assert (ranked.chance == "").all()


def test_good_events_take_points_upwards_as_reasons():
    good = scores_of(("A", 0.5, 80, "high"), ("B", 0.1, 20, "low"))
    ranked = worklist(good, DRIVERS, PORTFOLIO, event="grow").set_index("account_id")
    assert ranked.loc["A", "reason_1"] == "all seats used (+4)"
    assert ranked.loc["A", "chance"] == "about 1 in 2 grow within 90 days"


def test_scores_of_two_runs_are_refused():
    with pytest.raises(ContractError, match="2 runs"):
        worklist(SCORES.assign(run_id=list("aaabbb")), DRIVERS, PORTFOLIO)
    with pytest.raises(ContractError, match="'A' is scored twice"):
        worklist(pd.concat([SCORES, SCORES.iloc[:1]]), DRIVERS, PORTFOLIO)


def test_row_order_changes_nothing():
    shuffled = worklist(SCORES.iloc[::-1], DRIVERS.iloc[::-1], PORTFOLIO.iloc[::-1])
    pd.testing.assert_frame_equal(shuffled, worklist(SCORES, DRIVERS, PORTFOLIO))


HOSTILE = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\r=1", "  =1+1", "＝1+1")


def test_csv_runs_no_formula_and_keeps_numbers(tmp_path):
    portfolio = PORTFOLIO.assign(name=list(HOSTILE[:6]), segment='a";=1+1', owner="=own")
    path = tmp_path / "worklist.csv"
    write_worklist_csv(worklist(SCORES, DRIVERS, portfolio), path)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert all(row["owner"] == "'=own" for row in rows)
    assert all(not row["name"].lstrip().startswith(tuple("=+-@")) for row in rows)
    assert {row["value_per_year"] for row in rows} == {"100.0", "1000.0", "300.0", ""}
    assert rows[0]["segment"] == 'a";=1+1'
    assert rows[0]["renewal_date"] == "2025-09-01"
    # Every text is quoted, so a semicolon opens no cell of its own.
    assert '"a"";=1+1"' in path.read_text(encoding="utf-8-sig")


@pytest.mark.parametrize("cell", HOSTILE)
def test_formula_starts_are_defused(cell):
    assert defused(cell) == f"'{visible(cell)}"


@given(st.text())
def test_no_text_starts_a_formula_after_defusing(text):
    assert not str(defused(text)).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert str(defused(text)).endswith(visible(text))


def test_reasons_of_the_short_list_and_a_paragraph_for_accounts_at_risk():
    why = pd.DataFrame(
        {
            "account_id": ["A", "A", "C"],
            "reason": ["bug_trouble", "low_use", "payment"],
            "points": [-12.0, -8.0, -3.0],
        }
    )
    ranked = worklist(SCORES, DRIVERS, PORTFOLIO, why=why).set_index("account_id")
    assert ranked["why"].to_dict() == {
        "A": "bug trouble, low use",
        "B": "",
        "C": "payment trouble",
        "D": "not explained",
    }
    assert (
        ranked.loc["A", "paragraph"]
        == "Alpha scores 20 of 100 (at risk). Of accounts like this, about 1 in 2 leave"
        " within 90 days. Why: bug trouble, low use. Pulls the score down: 5 tickets (-12); no"
        " mail opened (-9). Next: Give each open ticket an owner and a date, and tell the"
        " customer both."
    )
    assert "Why: not explained." in ranked.loc["D", "paragraph"]
    assert (ranked.loc[["B", "C"], "paragraph"] == "").all()


def test_a_red_account_whose_contract_ends_later_is_listed_by_its_chance_then():
    as_of = pd.Timestamp("2025-06-01")
    scores = scores_of(
        ("near", 0.02, 60, "stable"), ("red", 0.001, 20, "at_risk"), ("far", 0.001, 20, "at_risk")
    ).assign(
        decides_on=[as_of + pd.Timedelta(days=days) for days in (30, 120, 360)],
        probability_at_decision=[0.03, 0.24, 0.24],
    )
    people = portfolio_of(*((each, each, "X", 1000.0) for each in ("near", "red", "far")))
    ranked = worklist(scores, DRIVERS, people).set_index("account_id")
    # At 120 days 0.24 x 90 / 120, at 360 days 0.24 x 90 / 360; inside the horizon the chance itself.
    assert ranked["priority"].to_dict() == pytest.approx({"red": 180, "far": 60, "near": 20})
    assert ranked["value_at_risk"].to_dict() == pytest.approx({"red": 1, "far": 1, "near": 20})
    assert ranked.loc["red", "chance"] == "about 1 in 4 leave when their contract comes up"
    assert ranked.loc["near", "chance"] == "about 1 in 50 leave within 90 days"
    assert (
        "Cannot leave before 29 Sep 2025, when the contract ends." in ranked.loc["red", "paragraph"]
    )


def test_who_an_account_is_and_when_it_renews_is_no_reason_to_call():
    drivers = drivers_of(
        ("A", "term_days", -15.0, "On a term of 12 months"),
        ("A", "renewal_calendar", -9.0, "Renewal in 12 days"),
        ("A", "tickets", -2.0, "5 tickets"),
    ).assign(nature=["standing", "calendar", "leading"])
    ranked = worklist(SCORES, drivers, PORTFOLIO).set_index("account_id")
    assert ranked.loc["A", ["reason_1", "reason_2"]].tolist() == ["5 tickets (-2)", ""]
    assert "term" not in ranked.loc["A", "paragraph"]


def test_a_line_whose_value_does_not_argue_for_its_points_is_no_reason():
    drivers = drivers_of(
        ("A", "goals_met", -9.0, "7 goals met on time"), ("A", "tickets", -2.0, "5 tickets")
    ).assign(reason=[None, "bug_trouble"])
    ranked = worklist(SCORES, drivers, PORTFOLIO).set_index("account_id")
    assert ranked.loc["A", ["reason_1", "reason_2"]].tolist() == ["5 tickets (-2)", ""]
