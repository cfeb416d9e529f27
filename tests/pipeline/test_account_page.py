"""The account brief: a waterfall that ends at the score, escaped text, and what it says without a
score.
"""

from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from pipeline.console import explained_text
from pipeline.jobs.account_facts import AccountFacts, Weekly
from pipeline.jobs.explain import Explained, SinceLast
from pipeline.reports.account import (
    account_page,
    account_paragraph,
    foot_lines,
    points_rows,
    waterfall,
)
from pipeline.reports.account_facts import unknown_lines, weekly_pictures


def _drivers():
    rows = [
        (
            "relationship",
            "champion_missing_days",
            -9,
            "no champion for 166 days",
            "was 138 earlier",
            "sponsor_lost",
            False,
            True,
        ),
        (
            "usage",
            "events",
            -31,
            "<b>active</b> on 0 of the last 91 days",
            "accounts that stayed: 40",
            "low_use",
            False,
            False,
        ),
        (
            "financial",
            "failed_payments",
            -2,
            "1 payment failed in the last 91 days",
            None,
            "payment",
            False,
            True,
        ),
        ("contract", "country", 3, "country is GB: yes", None, None, True, True),
        ("usage", "rest", -4, "49 further usage signals together", None, None, False, None),
        ("support", "tickets", 0, "0 tickets", None, None, False, True),
    ]
    table = pd.DataFrame(
        rows,
        columns=[
            "dimension",
            "driver",
            "points_displayed",
            "said",
            "compared",
            "reason",
            "protects",
            "is_sure",
        ],
    )
    table["points"] = table["points_displayed"] + 0.2
    table["is_sure"] = table["is_sure"].astype(object)
    table["nature"] = ["leading", "leading", "lagging", "standing", None, "leading"]
    table["signal"] = table["driver"].where(table["driver"] != "rest")
    table["twins"] = ["", "active days, sessions", "", "", "", ""]
    return table


def explained(**changed):
    score = {
        "account_id": "A<1>",
        "as_of": pd.Timestamp("2025-06-01"),
        "horizon_days": 90,
        "health": 22,
        "base_displayed": 65,
        "band": "at_risk",
        "band_reason": None,
        "basis": "calibrated",
        "probability": 0.12,
        "probability_low": 0.06,
        "probability_high": 0.2,
        "run_id": "r1",
        "model_version": "m1",
        **changed.pop("score", {}),
    }
    account = {
        "account_id": "A<1>",
        "name": "Mill & <Sons>",
        "owner": "CSM 02",
        "value_per_year": 1200.0,
        "currency": "USD",
        "renewal_date": pd.Timestamp("2025-08-01"),
    }
    history = pd.DataFrame(
        {
            "as_of": [pd.Timestamp("2025-05-04"), pd.Timestamp("2025-06-01")],
            "health": [40, 22],
            "standing": ["at_risk", "at_risk"],
            "marker": ["", "model"],
        }
    )
    dimensions = pd.DataFrame(
        {"dimension": ["usage"], "points": [-35.0], "points_displayed": [-35]}
    )
    told = {
        "reasons": (("low_use", -31.0), ("sponsor_lost", -9.0)),
        "reseeded_health": 25,
        "history": history,
        "open_actions": (
            {"play": "success_call", "owner": "CSM 02", "assigned_at": pd.Timestamp("2025-05-20")},
        ),
        **changed,
    }
    return Explained(
        score,
        told.pop("drivers", _drivers()),
        account,
        dimensions,
        "of 100 accounts about 8 leave",
        "",
        "19 points below stable",
        **told,
    )


def page(one):
    return account_page(
        one, horizon_days=90, verb="leave", edges=(40, 70), project="demo", now=datetime(2025, 6, 1)
    )


def test_waterfall_goes_down_then_up_then_the_rest_and_ends_at_the_score():
    steps = waterfall(_drivers().to_dict("records"), 65)
    assert [s.end - s.start for s in steps] == [0, -31, -9, -2, 3, -4]
    assert steps[-1].end == 22
    assert all(one.end == two.start for one, two in zip(steps, steps[1:], strict=False))


def test_what_a_team_can_do_something_about_comes_first():
    steps = waterfall(_drivers().to_dict("records"), 65, alterable_first=True)
    rows = points_rows(steps)
    assert [row.points for row in rows] == ["65", "−31", "−9", "−2", "+3", "−4", "22"]
    assert [row.starts_group for row in rows if row.starts_group] == [
        "What a team can do something about",
        "Who they are, and their contract",
        "Many small things together",
    ]


def test_bars_lie_between_0_and_100_and_meet():
    rows = points_rows(waterfall(_drivers().to_dict("records"), 65, alterable_first=True))
    assert all(0 <= row.left and row.left + row.width <= 100 for row in rows)
    assert (rows[0].left, rows[0].width, rows[-1].width) == (0, 65, 22)
    assert (rows[1].left, rows[1].width) == (34, 31)
    low = points_rows(waterfall(_drivers().assign(points_displayed=-30).to_dict("records"), 65))
    assert all(0 <= row.left and row.left + row.width <= 100 for row in low)


def test_small_histories_say_what_their_bars_show():
    facts = AccountFacts(
        as_of=datetime(2025, 6, 1),
        use=None,
        pulse=None,
        nps=None,
        tickets=None,
        sources=(),
        absent=("surveys",),
        weekly=(Weekly("Tickets", "", (0,) * 13 + (4,) * 13), Weekly("None", "", (0,) * 26)),
    )
    (picture,) = weekly_pictures(facts)
    assert picture.words == (
        "4 a week over the last three months, 0 in the three before; last week 4"
    )
    assert picture.picture.count("<rect") == 26 and picture.picture.count('"none"') == 13
    assert "The project has no table of: surveys." in unknown_lines(facts)


def test_what_moved_since_the_run_before_is_told():
    since = SinceLast(pd.Timestamp("2025-05-04"), 40, "at_risk", ((-7, "No <b>champion</b>"),))
    text = page(explained(since=since))
    assert "Since 4 May 2025" in text and "−7" in text
    assert "No &lt;b&gt;champion&lt;/b&gt;" in text
    assert "Since" not in page(explained())


def test_page_says_what_is_wrong_how_sure_and_what_to_do_without_outside_hosts():
    text = page(explained())
    for wanted in (
        "Low use, sponsor lost",
        "About 1 in 8 leave within 90 days",
        "Ask what changed",
        "success call (CSM 02)",
        "19 points below stable",
        "Mill &amp; &lt;Sons&gt;",
        "−31",
        "country is GB: yes (+3)",
        "payment trouble · lagging",
        "&lt;b&gt;active&lt;/b&gt; on 0",
    ):
        assert wanted in text, wanted
    assert (
        "<Sons>" not in text
        and "http" not in text.lower().replace("http-equiv", "")
        and "<script" not in text
    )
    HTMLParser().feed(text)


def test_feet_tell_what_is_unsure_lagging_and_counted_as_one():
    told = " ".join(foot_lines(explained()))
    assert (
        "3 of 4 reasons are sure" in told
        and "scores this account 25" in told
        and "? marks the others" in told
    )
    assert "lagging" in told and "events, active days, sessions" in told
    alone = explained(reseeded_health=None, drivers=_drivers().assign(is_sure=None))
    assert "tenure verify ACCOUNT" in " ".join(foot_lines(alone))


def test_red_without_a_reason_is_not_explained_and_healthy_has_nothing_to_explain():
    red = explained(reasons=())
    assert red.why == "not explained" and red.advice == ()
    assert "ask before you act" in page(red)
    healthy = explained(reasons=(), score={"band": "healthy", "health": 90})
    assert healthy.why == "" and "Nothing needs doing now" in page(healthy)
    assert explained(score={"band": "healthy", "health": 90}).advice == ()


def test_paragraph_holds_what_protects_and_nothing_that_is_trouble_elsewhere():
    odd = _drivers()
    odd.loc[3, ["said", "protects"]] = ["no sponsor for 90 days", False]
    assert "country is GB: yes (+3)" in account_paragraph(explained(), 90, "leave")
    assert "no sponsor" not in account_paragraph(explained(drivers=odd), 90, "leave")


@pytest.mark.parametrize("width", [100, 140])
def test_terminal_says_the_same(width):
    from rich.console import Console

    console = Console(width=width, record=True, file=None, highlight=False, force_terminal=False)
    with console.capture() as captured:
        for line in explained_text(explained(), 90, "leave"):
            console.print(line)
    text = captured.get()
    for wanted in (
        "what pulls it down: low use, sponsor lost",
        "what to do: Ask what changed",
        "what holds it up: country is GB",
        "-31 ?",
        "the score: the sum",
        "19 points below stable",
    ):
        assert wanted in text, wanted


def test_account_without_a_score_says_so():
    nothing = explained(
        score={
            "health": np.nan,
            "probability": np.nan,
            "probability_low": np.nan,
            "probability_high": np.nan,
            "base_displayed": np.nan,
            "band": "unknown",
            "band_reason": "no data",
        },
        drivers=_drivers().iloc[:0],
        reasons=(),
    )
    assert "No score: unknown (no data)" in page(nothing)
    assert (
        account_paragraph(nothing, 90, "leave") == "Mill & <Sons> has no score: unknown (no data)."
    )
