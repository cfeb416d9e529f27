"""`tenure effects`: holdouts and lots followed to their labels, refusals, and the words."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_company import NOW, Command, Company

from models.plays import MeasuredEffect, ScoreEffect, months_until_known
from models.target_words import TARGET_WORDS
from pipeline.jobs.effects import PlayEffect, _score_effect, effects_report
from pipeline.reports.effects import play_words

CHURN = TARGET_WORDS["churn"]
KNOWN = MeasuredEffect(
    play="call",
    design="lot",
    verdict="effect",
    reason="",
    treated=2_000,
    untreated=1_990,
    treated_events=160,
    untreated_events=220,
    accounts=3_900,
    estimate=-0.031,
    low=-0.049,
    high=-0.013,
)


def said(effect: MeasuredEffect, **changes: object) -> str:
    facts = {"waiting": 0, "per_arm_per_month": 130.0, "known_in_months": 16, "prior": 0.2}
    each = PlayEffect(effect, **{**facts, **changes})  # type: ignore[arg-type]
    return " ".join(play_words(each, CHURN, 90, is_declared=True))


def test_an_effect_is_said_in_accounts_of_a_hundred() -> None:
    words = said(KNOWN)
    assert "Of 100 accounts it is given to, 3.1 fewer leave within 90 days (1.3 to 4.9 fewer)." in (
        words
    )
    assert "2,000 assignments and 1,990 without, drawn at random near the end of the list" in words
    assert "assumes" not in words and "will know" not in words


def test_an_effect_that_may_be_none_is_said_to_be_unclear() -> None:
    words = said(replace(KNOWN, estimate=-0.01, low=-0.04, high=0.02))
    assert "(between 2.0 more and 4.0 fewer: no clear effect)" in words
    assert "to within 2 percentage points 16 months after its first assignment" in words


def test_a_refusal_holds_no_figure_of_an_effect() -> None:
    words = said(replace(KNOWN, verdict="refused", reason="Too few outcomes."), waiting=12)
    assert words.startswith("We cannot tell. Too few outcomes.")
    assert "Of 100 accounts" not in words
    assert "12 more: outcome not known yet." in words
    assert "assumes that it keeps 20% of those who would leave" in words


def test_scores_after_attention_are_said_without_what_they_do_by_themselves() -> None:
    words = said(KNOWN, score=ScoreEffect(900, 3.1, 0.4, 5.8))
    assert "Scores rose 3.1 points more than of those left alone (+0.4 to +5.8)." in words
    assert "no clear difference" in said(KNOWN, score=ScoreEffect(900, -0.2, -2.0, 1.6))


def test_what_the_worklist_counts_on() -> None:
    measured = PlayEffect(KNOWN, 0, 130.0, 16, prior=0.5)
    assert measured.save_share == pytest.approx(0.031 / (220 / 1_990))
    refused = PlayEffect(replace(KNOWN, verdict="refused"), 0, 130.0, 16, prior=0.5)
    assert refused.save_share == 0.5
    harmful = PlayEffect(replace(KNOWN, estimate=0.02), 0, 130.0, 16, prior=0.5)
    assert harmful.save_share == 0.0


def test_growth_is_an_outcome_as_well() -> None:
    """There more is better, and what is counted on is how many more, as a share."""
    more = replace(KNOWN, estimate=0.031, low=0.013, high=0.049)
    grown = PlayEffect(more, 0, 130.0, 16, prior=0.2, is_good=True)
    assert grown.save_share == pytest.approx(0.031 / (220 / 1_990))
    words = " ".join(play_words(grown, TARGET_WORDS["expansion"], 90, is_declared=True))
    assert "3.1 more grow within 90 days (1.3 to 4.9 more)." in words and "assumes" not in words
    assert PlayEffect(KNOWN, 0, 130.0, 16, prior=0.2, is_good=True).save_share == 0.0


def test_the_pilots_holdout_is_followed_to_its_labels(
    company_copy: Company, tenure: Command
) -> None:
    answer = tenure("effects", "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    plays = {each["play"]: each for each in json.loads(answer.out)["plays"]}
    assert set(plays) == {"pilot_call", "success_call", "training_offer", "discount_offer"}
    pilot = plays["pilot_call"]
    assert (pilot["design"], pilot["verdict"]) == ("holdout", "refused")
    rows = company_copy.table("interventions")
    rows = rows[rows["play"] == "pilot_call"]
    assert 0.8 * len(rows) < pilot["treated"] + pilot["untreated"] <= len(rows)
    assert plays["success_call"]["design"] == "observed"
    kept = company_copy.workspace()[0].store.read("effects")
    assert sorted(kept["play"]) == sorted(plays) and (kept["measured_at"].notna()).all()
    text = tenure("effects", "--project", company_copy.folder).out
    assert "We cannot tell. Too few outcomes" in text


def test_rows_of_a_lot_count_by_their_draw(company_copy: Company) -> None:
    """Drawn rows of a published run, with outcomes known; a run taken back counts for nothing."""
    workspace, target = company_copy.workspace()
    labels = workspace.store.read("labels", filters=[("target", "=", target.name)])
    labels = labels[(labels["as_of"] == labels["as_of"].max()) & labels["label"].notna()]
    run = company_copy.published("scores")["run_id"].iloc[0]
    rows = labels[["account_id", "as_of", "target"]].assign(
        run_id=run,
        assigned_on=labels["as_of"],
        play="call",
        on_list=np.arange(len(labels)) % 2 == 0,
        propensity=0.5,
        made_at=NOW,
    )
    taken_back = rows.assign(run_id="nobody", play="other")
    workspace.store.write("assignments", pd.concat([rows, taken_back], ignore_index=True))
    plays = {each.effect.play: each.effect for each in effects_report(workspace, target).plays}
    assert "other" not in plays
    lot = plays["call"]
    assert lot.design == "lot" and lot.treated + lot.untreated == len(labels)
    assert lot.treated_events + lot.untreated_events == int(labels["label"].sum())


def test_a_lot_without_outcomes_lets_the_next_design_speak(company_copy: Company) -> None:
    """Drawn today: what people chose is told meanwhile, and when the lot will be known."""
    workspace, target = company_copy.workspace()
    scores = company_copy.published("scores").dropna(subset=["probability"])
    rows = scores[["account_id", "as_of", "target", "run_id"]].assign(
        assigned_on=scores["as_of"],
        play="success_call",
        on_list=np.arange(len(scores)) % 2 == 0,
        propensity=0.5,
        made_at=NOW,
    )
    other = rows.assign(play="never_done", account_id=rows["account_id"] + "x")
    workspace.store.write("assignments", pd.concat([rows, other]))
    report = effects_report(workspace, target)
    plays = {each.effect.play: each for each in report.plays}
    call = plays["success_call"]
    assert call.effect.design == "observed" and 0.9 * len(rows) < call.waiting <= len(rows)
    share = scores["probability"].astype(float).mean()
    months = months_until_known(share, share * 0.8, len(rows) // 2, 90, 0.02)
    assert call.known_in_months == months is not None
    alone = plays["never_done"]
    assert (alone.effect.verdict, alone.effect.reason) == ("refused", "No outcome is known yet.")
    words = play_words(alone, CHURN, 90, is_declared=True)
    assert not any("ten years" in line or "Nobody was assigned" in line for line in words)


def test_plays_of_another_aim_promise_nothing() -> None:
    refused = replace(KNOWN, design="observed", verdict="refused", reason="Too few outcomes.")
    each = PlayEffect(refused, 0, float("nan"), None, 0.2)
    other = " ".join(play_words(each, CHURN, 90, is_declared=False))
    assert "assumes" not in other and "declare the play" not in other and "lot" not in other
    assert "declare the play" in " ".join(play_words(each, CHURN, 90, is_declared=None))


def test_scores_are_followed_from_the_run_to_the_last_within_the_horizon(
    company_copy: Company,
) -> None:
    """Everybody rises by 4 points, who was called by 9; a score after the horizon counts for nothing."""
    workspace, target = company_copy.workspace()
    scores = company_copy.published("scores").dropna(subset=["health_exact"])
    called = np.arange(len(scores)) % 2 == 0
    rows = scores[["account_id", "as_of"]].assign(is_assigned=called, label=np.nan)
    later = scores.assign(
        as_of=scores["as_of"] + pd.Timedelta(days=60),
        health_exact=scores["health_exact"] + np.where(called, 9.0, 4.0),
    )
    too_late = later.assign(as_of=later["as_of"] + pd.Timedelta(days=60), health_exact=0.0)
    workspace.store.write("scores", pd.concat([later, too_late]), append=True)
    effect = _score_effect(workspace, target, rows)
    assert effect is not None and effect.accounts == len(scores)
    assert effect.estimate == pytest.approx(5.0)
