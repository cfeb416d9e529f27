"""Plays under hours: who is on the list, who is left alone by lot, who rests, and that a list made
again is the same.
"""

import json

import pandas as pd
import pytest
from small_company import Command, Company

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
from pipeline.config.schema import Play, WorklistRules

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
    )


def status(plan: PlayPlan) -> dict[str, str]:
    return dict(plan.accounts[["account_id", "listed"]].to_numpy().tolist())


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
    text = tenure("worklist", "--project", company_copy.folder).out
    assert "calling the riskiest first in the same hours would save" in text
    again = workspace.store.read("assignments")
    assert len(again) == len(kept)
