"""Plays under hours: who is on the list, who is left alone by lot, who rests, and that a list made
again is the same.
"""

import json
import re
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from small_company import Command, Company

from features.errors import ConfigError
from pipeline.actions.plays import (
    BELOW,
    LEFT_ALONE,
    NO_PLAY,
    ON_LIST,
    RESTING,
    Belief,
    Past,
    PlayPlan,
    plan_plays,
)
from pipeline.alerts.episodes import OPEN, Alert
from pipeline.alerts.rules import Edges, rules_of
from pipeline.config.schema import Play, WorklistRules
from pipeline.jobs.deliver import pending
from pipeline.jobs.report import write_reports
from pipeline.jobs.rollback import published_again
from pipeline.ledger import published_run

JUNE = pd.Timestamp("2025-06-01")
NOTHING = Past({}, {}, frozenset())
CALL = Play("call", minutes=60)


def accounts(count: int = 40) -> pd.DataFrame:
    """A0 saves most; value at risk falls by 100 from one to the next."""
    return pd.DataFrame(
        {
            "account_id": [f"A{place:02d}" for place in range(count)],
            "owner": "Ann",
            "band": ["at_risk" if place % 2 == 0 else "stable" for place in range(count)],
            "segment": "small",
            "value_per_year": 10_000.0,
            "probability": [0.5 - 0.01 * place for place in range(count)],
            "priority": [5_000.0 - 100 * place for place in range(count)],
        }
    )


def planned(
    *plays: Play,
    rules: WorklistRules | None = None,
    past: Past = NOTHING,
    beliefs: dict[str, Belief] | None = None,
    left_out: frozenset[str] = frozenset(),
    share_of_hours: float = 1.0,
    **changes: object,
) -> PlayPlan:
    plays = plays or (CALL,)
    shown = accounts().assign(**changes)
    return plan_plays(
        shown,
        plays,
        rules or WorklistRules(hours=10.0, lot_share=0.0),
        beliefs or {play.name: Belief(0.2, "prior") for play in plays},
        {play.name: 100.0 for play in plays},
        past,
        as_of=JUNE,
        key="demo/churn/2025-06-01",
        reasons={"A01": frozenset({"low_use"}), "A04": frozenset({"low_use", "price"})},
        consents={"mail_ok": frozenset({"A03"})},
        left_out=left_out,
        share_of_hours=share_of_hours,
    )


def status(plan: PlayPlan) -> dict[str, str]:
    return dict(plan.accounts[["account_id", "listed"]].to_numpy().tolist())


def test_an_account_may_have_a_cost_of_its_own() -> None:
    costs = pd.Series([None, 900.0, *[0.0] * 38])
    rows = planned(cost_of_contact=costs).accounts.set_index("account_id")
    # 5,000 x 0.2 - 100; 4,900 x 0.2 - 900; 4,800 x 0.2.
    assert rows.loc[["A00", "A01", "A02"], "value_saved"].tolist() == [900.0, 80.0, 960.0]
    dear = planned(Play("call", minutes=60, cost=100.0), cost_of_contact=costs).accounts
    assert dear.set_index("account_id").loc["A01", "value_saved"] == 880.0


def test_hours_end_the_list() -> None:
    plan = planned()
    listed = plan.accounts[plan.accounts["listed"] == ON_LIST]
    assert listed["account_id"].tolist() == [f"A{place:02d}" for place in range(10)]
    assert plan.owners[0].minutes == 600 and plan.owners[0].listed == 10
    # 5,000 to 4,100 at 20%, less 100 each.
    assert plan.saved == pytest.approx(0.2 * 45_500 - 1_000)
    assert set(listed["due"]) == {pd.Timestamp("2025-06-08")}


def test_owners_have_hours_of_their_own() -> None:
    rules = WorklistRules(hours=10.0, owner_hours={"Ann": 2.0}, lot_share=0.0)
    assert planned(rules=rules).owners[0].listed == 2


def test_a_list_may_take_a_part_of_the_hours_and_leave_accounts_out() -> None:
    plan = planned(left_out=frozenset({"A00", "A02"}), share_of_hours=0.3)
    listed = plan.accounts[plan.accounts["listed"] == ON_LIST]
    assert listed["account_id"].tolist() == ["A01", "A03", "A04"]
    assert plan.owners[0].hours == pytest.approx(3.0) and status(plan)["A00"] == NO_PLAY


@pytest.mark.parametrize(
    ("play", "said"),
    [
        ({"aim": "grow", "bands": ("at_risk",)}, 'aim = "grow" has low, medium, high'),
        ({"bands": ("high",)}, 'aim = "keep" has at_risk, stable, healthy'),
        ({"aim": "grow", "save_share": 0.2}, "has win_share"),
        ({"win_share": 0.2}, "has save_share"),
    ],
)
def test_a_play_has_one_aim(play: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Play("offer", **play)


def test_triggers_say_whom_a_play_is_for() -> None:
    assert status(planned(Play("call", bands=("stable",))))["A00"] == NO_PLAY
    by_reason = planned(Play("call", reasons=("low_use",)))
    on_list = by_reason.accounts.loc[by_reason.accounts["listed"] == ON_LIST, "account_id"]
    assert on_list.tolist() == ["A01", "A04"]
    assert status(planned(Play("mail", consent="mail_ok")))["A03"] == ON_LIST
    assert status(planned(Play("mail", consent="mail_ok")))["A04"] == NO_PLAY


def test_the_better_play_is_recommended_with_its_evidence() -> None:
    plan = planned(
        CALL,
        Play("visit", minutes=60),
        beliefs={"call": Belief(0.2, "prior"), "visit": Belief(0.4, "lot")},
    )
    first = plan.accounts.set_index("account_id").loc["A00"]
    assert (first["play"], first["evidence"]) == ("visit", "lot")


def test_what_saves_nothing_is_on_no_list() -> None:
    plan = planned(beliefs={"call": Belief(0.0, "lot")})
    assert set(plan.accounts["listed"]) == {NO_PLAY} and plan.saved == 0.0


def test_the_lot_draws_near_the_end_and_keeps_the_hours() -> None:
    rules = WorklistRules(hours=20.0, lot_share=0.15)
    plan = planned(rules=rules)
    drawn = plan.accounts[plan.accounts["drawn"]]
    assert drawn["account_id"].tolist() == [f"A{place}" for place in range(17, 23)]
    assert plan.owners[0].listed == 20 and (drawn["listed"] == ON_LIST).sum() == 3
    assert set(drawn["listed"]) == {ON_LIST, LEFT_ALONE}
    rows = plan.assigned.set_index("account_id")
    assert len(rows) == 23 and set(rows.loc[drawn["account_id"], "propensity"]) == {0.5}
    assert 0 < plan.lot_share < 0.05
    pd.testing.assert_frame_equal(planned(rules=rules).assigned, plan.assigned)


def test_strategic_accounts_come_first_and_are_never_drawn() -> None:
    values = [10_000.0] * 39 + [90_000.0]
    plan = planned(
        Play("call", minutes=60, strategic_from=50_000.0),
        rules=WorklistRules(hours=20.0, lot_share=0.15),
        value_per_year=values,
    )
    last = plan.accounts.set_index("account_id").loc["A39"]
    assert last["listed"] == ON_LIST and not last["drawn"]


def test_the_past_is_kept_to() -> None:
    """On the list and not done stays; done lately rests; drawn and not called is left alone."""
    may = pd.Timestamp("2025-05-28")
    past = Past(
        {"A30": ("call", may, 1.0)}, {"call": frozenset({"A00"})}, frozenset({"A01", "A02"})
    )
    plan = planned(past=past, priority=[5_000.0, 4_900.0, 50_000.0, *([4_000.0] * 37)])
    now = status(plan)
    assert now["A30"] == ON_LIST and now["A00"] == RESTING and now["A01"] == LEFT_ALONE
    # It would save more than two and a half times the last on the list.
    assert now["A02"] == ON_LIST
    rows = plan.accounts.set_index("account_id")
    assert rows.loc["A30", "due"] == pd.Timestamp("2025-06-04")
    assert plan.owners[0].listed == 10 and BELOW in set(plan.accounts["listed"])


def test_the_command_keeps_who_was_assigned(company_copy: Company, tenure: Command) -> None:
    file = company_copy.folder / "tenure.toml"
    file.write_text(
        file.read_text()
        + '\n[[plays]]\nname = "success_call"\ncost = 1\ncooldown_days = 20\n[worklist]\nhours = 4\n'
    )
    answer = tenure("worklist", "--project", company_copy.folder, "--json")
    listed = [row for row in json.loads(answer.out)["accounts"] if row["listed"] == ON_LIST]
    assert listed and {row["evidence"] for row in listed} == {"prior"}
    workspace, _ = company_copy.workspace()
    kept = workspace.store.read("assignments")
    assert set(kept.loc[kept["on_list"], "account_id"]) == {row["account_id"] for row in listed}
    first = max(listed, key=lambda row: row["value_saved"])["account_id"]
    told = tenure("explain", first, "--project", company_copy.folder).out
    assert "on the list: success call by" in told and "its effect is assumed" in told
    plain = json.loads(tenure("explain", first, "--project", company_copy.folder, "--json").out)
    assert plain["planned"]["play"] == "success_call" and plain["planned"]["saves"] > 0
    text = tenure("worklist", "--project", company_copy.folder).out
    assert "calling the riskiest first in the same hours would save" in text
    again = workspace.store.read("assignments")
    assert len(again) == len(kept)


def test_page_table_and_mail_show_one_ranking(company_copy: Company) -> None:
    """What the hours reach comes first everywhere, by what it saves, and nobody else is called."""
    file = company_copy.folder / "tenure.toml"
    file.write_text(
        file.read_text()
        + '\n[[plays]]\nname = "success_call"\ncost = 1\nminutes = 60\nalerts = ["at risk"]\n'
        + "[worklist]\nhours = 2\nlot_share = 0.5\n"
        + '[[alerting.senders]]\nname = "post"\nkind = "mail"\nhost = "localhost"\n'
        + 'sender = "tenure@example.org"\nto = "all@example.org"\n'
    )
    workspace, target = company_copy.workspace()
    run = published_run(workspace.store, target.name)
    write_reports(workspace, target, published_again(workspace, target, run))
    folder = company_copy.folder / "reports" / target.name
    table = pd.read_csv(folder / "worklist.csv", encoding="utf-8-sig")
    listed = table[table["listed"] == ON_LIST]
    assert 10 < len(listed) < len(table) and listed.groupby("owner").size().max() == 2

    everybody = pd.read_csv(folder / "accounts.csv").set_index("account_id")
    places = everybody.loc[listed["account_id"], "place"]
    assert sorted(places) == list(range(1, len(listed) + 1))
    for _, mine in listed.groupby("owner"):
        assert mine["rank"].tolist() == list(range(1, len(mine) + 1))
        assert places[mine["account_id"]].is_monotonic_increasing
    saves = everybody.sort_values("place")["saves"].head(len(listed))
    assert saves.is_monotonic_decreasing and saves.gt(0).all()
    alone = table.loc[table["listed"] == LEFT_ALONE, "account_id"]
    assert len(alone) and everybody.loc[alone, "place"].isna().all()
    assert set(everybody.loc[alone, "to_do"]) == {
        "Drawn at random to be left alone: please do not call"
    }
    page = (folder / "portfolio.html").read_text(encoding="utf-8")
    assert f"{len(listed)} accounts to work on now" in page
    at_risk = table[table["band"] == "at_risk"]
    assert f"Of the {len(at_risk)} at risk: " in page
    assert f"{at_risk['listed'].eq(ON_LIST).sum()} on the list" in page
    shown = re.findall(
        r'<tr>\s*<td class="rank num">\d+</td>\s*<td class="name">.*?<span class="part">(.*?)</span>',
        page.partition('id="list"')[2].partition("</section>")[0],
        flags=re.DOTALL,
    )
    assert shown == everybody.sort_values("place").index[: len(listed)].tolist()

    told = [
        Alert(
            alert_id=f"{place:016x}",
            target=target.name,
            account_id=account,
            name=account,
            rule="at risk",
            kind="crossing",
            episode=JUNE.date(),
            state=OPEN,
            owner=owner,
            reason="at risk",
            evidence={},
            value_at_risk=float(place),
            currency="USD",
            play="success_call",
            due=None,
            as_of=JUNE.date(),
            run_id=run.run_id,
            by="data",
            note="",
            until=None,
            told_on=JUNE.date(),
            telling=1,
            recorded_at=workspace.now,
        )
        for place, (account, owner) in enumerate(
            table[["account_id", "owner"]].itertuples(index=False)
        )
    ]
    mails = pending(workspace, target, workspace.project.alerting.senders[0], told)
    assert {mail.owner for mail in mails} == set(table["owner"])
    for mail in mails:
        mine = listed.loc[listed["owner"] == mail.owner, "account_id"].tolist()
        assert [alert.account_id for alert in mail.alerts][: len(mine)] == mine


def test_an_alert_names_the_play_that_asks_for_it() -> None:
    plays = [Play("call", alerts=("at risk",)), Play("visit", alerts=("at risk",))]
    named = {rule.name: rule.play for rule in rules_of((), Edges(40, 70), plays)}
    assert named["at risk"] == "call" and named["notice given"] is None


def test_a_play_that_names_no_alert_is_refused() -> None:
    with pytest.raises(ConfigError, match="alerts names 'at rsk', which is no alert"):
        rules_of((), Edges(40, 70), [Play("call", alerts=("at rsk",))])
