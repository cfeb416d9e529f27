"""`tenure outcomes`: published scores beside what the raw tables say became of the accounts, worked
out in plain pandas.
"""

import json
import os
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_company import NOW, Command, Company

from features.errors import NotFound
from models.bundle import Bundle
from models.target_words import TARGET_WORDS
from models.track_record import chance_interval, judged, record
from pipeline.engine.duckdb import connected
from pipeline.jobs.outcomes import (
    JudgedRun,
    OutcomesReport,
    _FirstSeen,
    _follow,
    _open_until,
    outcomes_report,
)
from pipeline.jobs.registry import need_version
from pipeline.jobs.report import write_reports
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.ledger import RunRow, append_run, roll_back
from pipeline.reports.outcomes import (
    level_warning,
    next_step,
    outcomes_lines,
    overall_words,
    verdict_words,
)
from pipeline.tracking import CHAMPION

# 90 days of horizon and 14 of grace: data until 1 June complete the labels of 17 February, not
# those of the 18th.
EARLY, LAST_OVER, FIRST_OPEN = date(2025, 1, 5), date(2025, 2, 17), date(2025, 2, 18)
WORDS = TARGET_WORDS["churn"]


def _copied(company: Company, folder: Path) -> Company:
    def copy(source: str, target: str) -> None:
        os.link(source, target) if source.endswith(".parquet") else shutil.copy2(source, target)

    shutil.copytree(company.folder, folder, copy_function=copy)
    return replace(company, folder=folder)


def _score(
    company: Company, day: date, now: datetime | None = None, bundle: Bundle | None = None
) -> str:
    """Publish the scores of a date, in the morning of that date unless said otherwise; returns the
    run's id.
    """
    workspace, target = company.workspace(now or datetime(day.year, day.month, day.day, 6))
    with connected() as connection:
        run = score_target(
            workspace, connection, target, day, bundle=bundle, accept_shift="on purpose"
        ).run
    return run.run_id


@pytest.fixture(scope="module")
def followed(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The small company with scores published on three earlier dates; read it, never change it."""
    made = _copied(company, tmp_path_factory.mktemp("followed") / "project")
    for day in (EARLY, LAST_OVER, FIRST_OPEN):
        _score(made, day)
    return made


@pytest.fixture
def followed_copy(followed: Company, tmp_path: Path) -> Company:
    """The same in a folder of its own, to change."""
    return _copied(followed, tmp_path / "followed")


@pytest.fixture(scope="module")
def report(followed: Company) -> OutcomesReport:
    return outcomes_report(*followed.workspace())


def _run(report: OutcomesReport, day: date) -> JudgedRun:
    return next(each for each in report.judged if each.run.as_of.date() == day)


def _scores(company: Company, run_id: str) -> pd.DataFrame:
    workspace, _ = company.workspace()
    return workspace.store.read("scores", filters=[("run_id", "=", run_id)]).sort_values(
        "account_id", ignore_index=True
    )


def _left_at(company: Company, day: date) -> "pd.Series[pd.Timestamp]":
    """When the cover that held on a date ended, by account, in plain pandas: gaps of up to 14 days
    are no end.
    """
    terms = (
        company.table("subscriptions")
        .sort_values("known_at", kind="stable")
        .drop_duplicates("row_key", keep="last")
    )
    terms = terms[~terms["is_deleted"].astype(bool) & ~terms["is_trial"].astype(bool)].sort_values(
        ["account_id", "starts_at"]
    )
    as_of, found = pd.Timestamp(day), {}
    for account, mine in terms.groupby("account_id"):
        start = end = None
        for term in mine.itertuples():
            if end is None or term.starts_at > end + pd.Timedelta(days=14):
                if end is not None and start < as_of <= end:
                    break
                start, end = term.starts_at, term.ends_at
            else:
                end = max(end, term.ends_at)
        if start is not None and start < as_of <= end:
            found[account] = end
    return pd.Series(found, dtype="datetime64[us]")


def _by_hand(company: Company, run_id: str, day: date) -> pd.DataFrame:
    """Judged scores of a run with whether the account left within 90 days."""
    scores = _scores(company, run_id)
    scores = scores[scores["state"] == "member"]
    ends = scores["account_id"].map(_left_at(company, day))
    assert ends.notna().all()
    return scores.assign(
        left_at=ends, left=(ends < pd.Timestamp(day + timedelta(days=90))).to_numpy()
    )


@pytest.mark.parametrize("day", [EARLY, LAST_OVER])
def test_counts_are_those_of_the_raw_tables(
    followed: Company, report: OutcomesReport, day: date
) -> None:
    found = _run(report, day)
    rows = _by_hand(followed, found.run.run_id, day)
    total = found.record.total
    assert rows["left"].sum() > 3
    assert (total.scores, total.accounts, total.left) == (len(rows), len(rows), rows["left"].sum())
    assert total.promised == pytest.approx(rows["probability"].sum())
    ordered = np.sort(rows["probability"].to_numpy())[::-1]
    assert (total.chance_low, total.chance_high) == chance_interval(ordered[:, None])
    for band, each in found.record.bands:
        mine = rows[rows["band"] == band]
        assert (each.scores, each.left) == (len(mine), mine["left"].sum())
        assert each.promised == pytest.approx(mine["probability"].sum())
    # Who could not leave inside the window is no false alarm, and was not kept.
    ends = _scores(followed, found.run.run_id).set_index("account_id")["decides_on"]
    due = ~(rows["account_id"].map(ends) > pd.Timestamp(day + timedelta(days=90)))
    assert 0 < due.sum() < len(rows) and found.record.is_of_decisions
    rows = rows[due]
    calm = rows[(rows["band"] == "healthy") & rows["left"]]
    assert found.record.calm_left == len(calm) and set(found.calm_left["account_id"]) <= set(
        calm["account_id"]
    )
    assert found.record.alarms_stayed == (~rows.loc[rows["band"] == "at_risk", "left"]).sum()


def test_accounts_under_notice_are_counted_apart(followed: Company, report: OutcomesReport) -> None:
    found = _run(report, EARLY)
    scores = _scores(followed, found.run.run_id)
    told = {each.reason: each.accounts for each in found.record.apart}
    leaving = scores[scores["state"].isin(["notice", "lapsed"])]["band_reason"].value_counts()
    assert told.get("under notice already", 0) == leaving.get("notice", 0) > 0
    assert sum(told.values()) + found.record.total.scores == len(scores)


def test_treated_accounts_are_those_worked_on_before_they_left(
    followed: Company, report: OutcomesReport
) -> None:
    found = _run(report, EARLY)
    rows = _by_hand(followed, found.run.run_id, EARLY)
    plays = followed.table("interventions")
    plays = plays[~plays["is_holdout"].fillna(False).astype(bool)].merge(rows, on="account_id")
    until = plays["left_at"].clip(upper=pd.Timestamp(EARLY + timedelta(days=90)))
    worked = plays.loc[
        (plays["done_at"] >= pd.Timestamp(EARLY)) & (plays["done_at"] < until), "account_id"
    ].nunique()
    assert found.record.treated is not None and found.record.untreated is not None
    assert found.record.treated.scores == worked > 0
    assert found.record.untreated.scores == len(rows) - worked


def test_unmatured_run_is_listed_with_its_day_and_never_judged(report: OutcomesReport) -> None:
    assert [each.run.as_of.date() for each in report.judged] == [EARLY, LAST_OVER]
    waiting = {each.run.as_of.date(): each.matures_on for each in report.waiting}
    assert waiting == {FIRST_OPEN: date(2025, 6, 2), date(2025, 6, 1): date(2025, 9, 13)}


def test_page_of_an_earlier_date_tells_no_later_outcome(followed: Company) -> None:
    def days(day: str) -> list[date]:
        workspace, target = followed.workspace()
        return [
            each.run.as_of.date()
            for each in outcomes_report(workspace, target, on=pd.Timestamp(day)).judged
        ]

    assert days("2025-04-18") == []
    assert days("2025-04-19") == [EARLY]
    assert days("2025-06-01") == [EARLY, LAST_OVER]


def test_fewer_data_judge_fewer_runs(followed_copy: Company) -> None:
    """As it was on 18 April, a day before the labels of January were complete."""
    file = followed_copy.folder / "tenure.toml"
    file.write_text(file.read_text().replace("data_until = 2025-06-01", "data_until = 2025-04-18"))
    workspace, target = followed_copy.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
    found = outcomes_report(workspace, target)
    assert found.judged == () and found.overall is None
    assert found.waiting[0].matures_on == date(2025, 4, 19)


def test_what_became_known_later_enters_the_labels_alone(
    followed_copy: Company, report: OutcomesReport
) -> None:
    """An account that stayed leaves after all, in a table that was corrected later: one more left,
    nothing else moves.
    """
    before = _run(report, EARLY)
    rows = _by_hand(followed_copy, before.run.run_id, EARLY)
    staying = rows[(rows["band"] == "healthy") & ~rows["left"]]
    running = followed_copy.table("subscriptions")
    later = running[
        running["starts_at"].between(pd.Timestamp(EARLY), pd.Timestamp(EARLY + timedelta(days=60)))
    ]
    chosen = str(staying[staying["account_id"].isin(later["account_id"])]["account_id"].iloc[0])
    kept = running[
        (running["account_id"] != chosen) | (running["starts_at"] <= pd.Timestamp(EARLY))
    ]
    followed_copy.replace_table("subscriptions", kept)
    workspace, target = followed_copy.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
    after = _run(outcomes_report(workspace, target), EARLY)
    assert after.record.total.left == before.record.total.left + 1
    assert after.record.total.promised == before.record.total.promised
    assert [each.scores for _, each in after.record.bands] == [
        each.scores for _, each in before.record.bands
    ]
    named = after.calm_left.set_index("account_id").loc[chosen]
    published = rows.set_index("account_id").loc[chosen]
    assert (named["health"], named["probability"]) == (
        published["health"],
        published["probability"],
    )
    drivers = workspace.store.read(
        "drivers", filters=[("run_id", "=", before.run.run_id), ("account_id", "=", chosen)]
    )
    said = str(named["towards"] or named["away"]).rpartition(" (")[0]
    assert said in set(drivers["said"])


def test_run_is_judged_by_its_own_horizon(followed_copy: Company, report: OutcomesReport) -> None:
    """A project that asks for 30 days since then judges earlier scores by the 90 days they spoke
    of.
    """
    file = followed_copy.folder / "tenure.toml"
    file.write_text(file.read_text().replace("horizon_days = 90", "horizon_days = 30", 1))
    found = outcomes_report(*followed_copy.workspace())
    assert found.horizon_days == 30
    assert [each.record.total.left for each in found.judged] == [
        each.record.total.left for each in report.judged
    ]


def test_run_without_its_configuration_is_named_not_judged(followed_copy: Company) -> None:
    workspace, _ = followed_copy.workspace()
    shutil.rmtree(workspace.store.path("configurations"))
    file = followed_copy.folder / "tenure.toml"
    file.write_text(file.read_text().replace("horizon_days = 90", "horizon_days = 30", 1))
    found = outcomes_report(*followed_copy.workspace())
    assert found.judged == () and len(found.unreadable) == 4
    assert "was not kept" in found.unreadable[0][1]


def test_score_of_a_date_long_past_is_no_promise(followed_copy: Company) -> None:
    day = date(2024, 12, 1)
    _score(followed_copy, day, now=NOW)
    found = outcomes_report(*followed_copy.workspace())
    late = _run(found, day)
    assert not late.in_time and late.record.total.scores > 100
    assert found.overall is not None
    assert found.overall.total.scores == sum(
        each.record.total.scores for each in found.judged if each.in_time
    )
    assert verdict_words(late.record.total, WORDS, in_time=False).startswith("In hindsight: ")


def test_same_scores_again_keep_the_day_of_their_promise(followed_copy: Company) -> None:
    workspace, target = followed_copy.workspace()
    runs = workspace.store.read("runs")
    first = RunRow.of(runs[runs["as_of"] == pd.Timestamp(EARLY)].iloc[0].to_dict())
    append_run(workspace.store, replace(first, started_at=NOW, published_at=NOW))
    found = _run(outcomes_report(workspace, target), EARLY)
    assert found.in_time and found.scored_on == EARLY


def test_runs_taken_back_are_left_out(followed_copy: Company, report: OutcomesReport) -> None:
    workspace, target = followed_copy.workspace()
    roll_back(workspace.store, _run(report, EARLY).run.run_id, NOW + timedelta(hours=1))
    found = outcomes_report(workspace, target)
    assert [each.run.as_of.date() for each in found.judged] == [EARLY]
    assert found.superseded == 3 and found.waiting == ()
    assert found.judged[0].scored_on == EARLY


def test_scorecard_is_judged_by_rank_and_band(followed_copy: Company) -> None:
    workspace, target = followed_copy.workspace()
    bundle = need_version(workspace, target, CHAMPION).bundle
    day = date(2025, 1, 19)
    _score(followed_copy, day, bundle=replace(bundle, basis="scorecard"))
    found = outcomes_report(workspace, target)
    card = _run(found, day).record
    assert card.total.promised is None and card.total.verdict == "" and card.total.left > 0
    assert [each.promised for _, each in card.bands] == [None] * 3
    assert sum(each.scores for _, each in card.bands) == card.total.scores
    assert verdict_words(card.total, WORDS).startswith(
        "A scorecard gives no chances to compare with; "
    )
    # What promised nothing is no part of the promise of all.
    assert found.overall is not None and found.overall.total.promised is not None
    # January has two runs, of which the scorecard is judged alone.
    assert found.months == ()


def test_months_are_told_where_one_has_several_runs(followed_copy: Company) -> None:
    _score(followed_copy, date(2025, 1, 19))
    found = outcomes_report(*followed_copy.workspace())
    assert [month for month, _ in found.months] == ["2025-01", "2025-02"]
    january = dict(found.months)["2025-01"]
    assert january.total.scores == sum(each.record.total.scores for each in found.judged[:2])
    assert january.total.accounts < january.total.scores


def test_command_speaks_words_and_json(followed: Company, tenure: Command) -> None:
    answer = tenure("outcomes", "--project", followed.folder, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert [run["as_of"][:10] for run in told["runs"]] == [EARLY.isoformat(), LAST_OVER.isoformat()]
    assert told["runs"][0]["verdict"] in ("held", "more", "fewer")
    assert told["overall"]["ranking"] in ("ranked", "not_ranked", "too_few")
    assert told["waiting"][0] == {
        "run_id": told["waiting"][0]["run_id"],
        "as_of": "2025-02-18T00:00:00",
        "basis": "calibrated",
        "matures_on": "2025-06-02",
    }
    shown = tenure("outcomes", "--project", followed.folder)
    assert "2 runs with known outcomes, by data up to 2025-06-01" in shown.out
    assert "luck alone can make that" in shown.out and "once the data reach 2 Jun 2025" in " ".join(
        shown.out.split()
    )


def test_as_of_judges_as_the_page_of_that_date(followed: Company, tenure: Command) -> None:
    told = json.loads(
        tenure("outcomes", "--project", followed.folder, "--as-of", "2025-04-19", "--json").out
    )
    assert [run["as_of"][:10] for run in told["runs"]] == [EARLY.isoformat()] and told[
        "data_until"
    ] == "2025-04-19"
    absent = tenure("outcomes", "--project", followed.folder, "--as-of", "2024-04-19")
    assert absent.code == 2 and "no published run of 2024-04-19 or before" in absent.err


def test_few_accounts_are_counted_without_percentages(report: OutcomesReport) -> None:
    few = replace(report, judged=(), months=(), overall=None)
    assert not any("%" in str(line) for line in outcomes_lines(few, WORDS))
    for each in report.judged:
        for _, band in each.record.bands:
            assert (band.rate is None) == (band.accounts < 30)


def test_nothing_published_is_said(company_copy: Company, tenure: Command) -> None:
    answer = tenure("outcomes", "--project", company_copy.folder, "--target", "expansion_90d")
    assert answer.code == 2 and "no published run" in answer.err
    workspace, _ = company_copy.workspace()
    with pytest.raises(NotFound, match="tenure score"):
        outcomes_report(workspace, workspace.target("expansion_90d"))


def test_page_says_what_became_of_earlier_scores(company: Company, followed_copy: Company) -> None:
    first = (company.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert (
        "No earlier scores can be judged yet: the outcome of scores of 1 Jun 2025 is known once the"
        " data reach 13 Sep 2025." in first
    )
    workspace, target = followed_copy.workspace()
    with connected() as connection:
        published = score_target(workspace, connection, target)
    page = write_reports(workspace, target, published)[0].read_text()
    section = page.partition("What became of earlier scores")[2].partition("How sure is it?")[0]
    assert "5 Jan 2025" in section and "17 Feb 2025" in section and "18 Feb 2025" not in section
    assert "Healthy that left:" in section and "luck alone can make that" in section


def test_next_renewal_is_judged_contract_by_contract(
    followed: Company, report: OutcomesReport
) -> None:
    """The 90-day scores as if they spoke of the next renewal: whose contract is over is judged, the
    others are counted apart.
    """
    workspace, target = followed.workspace()
    renewal = replace(target, horizon_days=None, horizon="next_renewal")
    run = _run(report, EARLY).run
    promise = _FirstSeen(run, run.published_at, True)
    with connected() as connection:
        staged = load_staged(workspace, connection)
        [found] = _follow(workspace, connection, staged, renewal, [promise], date(2025, 6, 1))
        [early] = _follow(
            workspace, connection, staged, renewal, [promise], EARLY + timedelta(days=14)
        )
    mine = judged(found.rows)
    assert 0 < len(mine) < _run(report, EARLY).record.total.scores
    assert (mine["label_until"] <= pd.Timestamp("2025-06-01")).all()
    waiting = found.rows[found.rows["apart"] == "window not over yet"]
    assert len(waiting) > 0 and (waiting["label_until"] > pd.Timestamp("2025-06-01")).all()
    assert _open_until(found) is None
    first = _open_until(early)  # two weeks on, no contract is over with its grace
    assert first is not None and first > EARLY + timedelta(days=14)


def test_chances_that_held_in_total_alone_are_not_said_to_hold_in_every_band() -> None:
    """Red accounts left half as often as promised and calm ones more often: the sums agree."""
    red, calm, left = 200, 400, [40, 40]
    rows = pd.DataFrame(
        {
            "account_id": [f"A-{place}" for place in range(red + calm)],
            "as_of": pd.Timestamp("2025-01-01"),
            "probability": [0.36] * red + [0.02] * calm,
            "health_exact": [20.0] * red + [90.0] * calm,
            "band": ["at_risk"] * red + ["healthy"] * calm,
            "label": [1] * left[0] + [0] * (red - left[0]) + [1] * left[1] + [0] * (calm - left[1]),
            "apart": "",
            "left": False,
            "treated": pd.array([pd.NA] * (red + calm), dtype="boolean"),
            "decided_later": False,
        }
    )
    overall = record(rows, ("at_risk", "stable", "healthy"))
    assert overall.total.verdict == "held"
    report: Any = SimpleNamespace(judged=(1,), newest=SimpleNamespace(in_use=True), overall=overall)
    words = overall_words(report, TARGET_WORDS["churn"])[0]
    assert "The chances held" in words and "They held in total only" in words
    assert "among at risk accounts fewer left" in words
    assert "among healthy accounts more left" in words
    assert "tenure run" in next_step(overall, TARGET_WORDS["churn"], in_use=True)


def _judged_report(left: int, *, in_use: bool = True) -> OutcomesReport:
    """A report of 400 scores of one in ten each, of which `left` came true."""
    count = 400
    rows = pd.DataFrame(
        {
            "account_id": [f"A-{place}" for place in range(count)],
            "as_of": pd.Timestamp("2025-01-01"),
            "probability": 0.1,
            "health_exact": 50.0,
            "band": "stable",
            "label": [1] * left + [0] * (count - left),
            "apart": "",
            "left": False,
            "treated": pd.array([pd.NA] * count, dtype="boolean"),
            "decided_later": False,
        }
    )
    overall = record(rows, ("at_risk", "stable", "healthy"))
    run = RunRow.of({"as_of": pd.Timestamp("2025-01-01"), "run_id": "r", "model_version": "m"})
    judged_run = JudgedRun(run, date(2025, 1, 1), True, in_use, overall, rows.head(0), rows)
    report: Any = SimpleNamespace(newest=judged_run)
    return report


def test_level_off_by_more_than_luck_is_a_warning_with_the_next_step() -> None:
    words = TARGET_WORDS["churn"]
    said = level_warning(_judged_report(80), words)
    assert said.startswith(
        "Chances read too low: of the scores of 1 January 2025, whose outcome is known, 40.0 were"
        " expected to leave and 80 left (luck alone makes 29 to 52)."
    )
    assert "tenure recalibrate" in said or "tenure run" in said
    assert level_warning(_judged_report(10), words).startswith("Chances read too high: ")
    assert level_warning(_judged_report(41), words) == ""
    assert level_warning(_judged_report(80, in_use=False), words) is None
    assert level_warning(None, words) is None
