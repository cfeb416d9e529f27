"""`tenure trajectory` on a small simulated company in which eight customers stopped using the
product.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_company import NOW, Command, Company

from features.errors import ConfigError, GateRefused, NotFound
from models.health import scale_from_anchors
from models.trajectory import AHEAD, FALLEN, SUDDEN, UNKNOWN
from pipeline.engine.duckdb import connected
from pipeline.jobs import past_scores
from pipeline.jobs.explain import explain_account
from pipeline.jobs.history import (
    AccountTrajectory,
    TrajectorySummary,
    account_trajectories,
    score_history,
    summary_from_json,
)
from pipeline.jobs.past_scores import STEP_DAYS
from pipeline.jobs.registry import need_version, register, registered_model
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.trajectory import ACCOUNT_COLUMNS, PAST_COLUMNS, Trajectory, trajectory_target
from pipeline.ledger import RUNS, append_run, current_run
from pipeline.reports.trajectory import account_lines, account_view, band_moves, trajectory_lines
from pipeline.storage import content_hash
from pipeline.tracking import CHAMPION

BANDS = ("leaving", "at_risk", "stable", "healthy")
DAYS = tuple(STEP_DAYS * ahead for ahead in AHEAD)
QUIET_FROM = pd.Timestamp("2025-04-03")
LATER = NOW + timedelta(hours=1)


@dataclass(frozen=True)
class Stopped:
    """The company after eight accounts fell silent, and which they are."""

    company: Company
    accounts: tuple[str, ...]
    made: Trajectory


@pytest.fixture(scope="module", autouse=True)
def fewer_dates() -> Iterator[None]:
    """A year of past dates is enough here, and half the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past_scores, "MOST_DATES", 14)
        yield


def use_a_steeper_scale(firm: Company) -> None:
    """So small a company teaches little; here its silent accounts fall far enough."""
    workspace, target = firm.workspace()
    models = registered_model(workspace, target)
    bundle = need_version(workspace, target, CHAMPION).bundle
    steep = replace(bundle, scale=scale_from_anchors(0.19, 0.127))
    models.put_to_use(register(models, steep), steep.basis)


@pytest.fixture(scope="module")
def stopped(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    folder = tmp_path_factory.mktemp("trajectory") / "project"
    firm = replace(company, folder=Path(shutil.copytree(company.folder, folder)))
    use, people = firm.table("usage_events"), firm.published("scores")
    recent = use[use["event_time"] >= QUIET_FROM].groupby("account_id").size()
    # Not those at 100: the clip hides where they come from.
    good = people[people["health"].between(50, 95)].set_index("account_id").index
    silent = tuple(sorted(recent.reindex(good).nlargest(8).index))
    firm.replace_table(
        "usage_events", use[~(use["account_id"].isin(silent) & (use["event_time"] >= QUIET_FROM))]
    )
    workspace, target = firm.workspace(LATER)
    use_a_steeper_scale(firm)
    with connected() as connection:
        stage_sources(workspace, connection)
        score_target(workspace, connection, target)
        made = trajectory_target(workspace, connection, target)
    return Stopped(firm, silent, made)


def dropped(stopped: Stopped) -> list[str]:
    rows = stopped.made.accounts
    return [
        a
        for a in stopped.accounts
        if (rows.loc[rows["account_id"] == a, "movement"] == SUDDEN).all()
    ]


def test_tables_have_their_columns_and_a_row_per_account(stopped: Stopped) -> None:
    rows = stopped.company.published("trajectory")
    assert list(rows.columns) == [name for name, _ in ACCOUNT_COLUMNS]
    scores = stopped.company.published("scores").set_index("account_id")
    assert rows["account_id"].is_unique and set(rows["account_id"]) == set(scores.index)
    shown = rows.set_index("account_id")["health"]
    pd.testing.assert_series_equal(
        shown.astype("float64"), scores["health"].reindex(shown.index).astype("float64")
    )
    past = stopped.company.published("past_scores")
    assert list(past.columns) == [name for name, _ in PAST_COLUMNS] and set(past["state"]) == {
        "member",
        "leaving",
    }
    assert not past.duplicated(["account_id", "as_of"]).any() and past[
        "as_of"
    ].max() == pd.Timestamp("2025-05-02")


def test_accounts_that_fell_silent_have_dropped_and_others_have_not(stopped: Stopped) -> None:
    """The company's model is small, so not every silence moves a score far."""
    rows = stopped.made.accounts.set_index("account_id")
    silent, others = rows.loc[list(stopped.accounts)], rows.drop(list(stopped.accounts))
    assert (silent["movement"] == SUDDEN).sum() >= 2
    assert others["movement"].isin(FALLEN).mean() < 0.1
    dropped = silent[silent["movement"] == SUDDEN]
    assert (dropped["fall"] >= 12).all() and (dropped["fell_by"] > QUIET_FROM).all()
    assert (silent["use_last"] < silent["use_before"]).all()
    assert silent["p_rises"].mean() < others["p_rises"].mean() / 2


def test_three_ways_sum_to_one_and_leaving_is_the_published_probability(stopped: Stopped) -> None:
    rows = stopped.made.accounts.set_index("account_id")
    scores = stopped.company.published("scores").set_index("account_id")
    known = rows.dropna(subset=["p_leaves"])
    assert len(known) > 80
    assert (known["p_leaves"] == scores.loc[known.index, "probability"]).all()
    split = known.dropna(subset=["p_rises"])
    assert len(split) == len(known)
    assert np.abs(split[["p_leaves", "p_rises", "p_stays"]].sum(axis=1) - 1.0).max() < 1e-12
    ways = stopped.made.summary.three_ways
    assert ways is not None and ways.rows > 100


def test_bands_sum_to_one_and_middles_lie_inside_their_ranges(stopped: Stopped) -> None:
    rows = stopped.made.accounts
    for days in DAYS:
        chances = rows[[f"p_{band}_{days}d" for band in BANDS]].dropna()
        assert np.abs(chances.sum(axis=1) - 1.0).max() < 1e-12 and (chances >= 0).all().all()
        projected = rows.dropna(subset=[f"health_{days}d"])
        assert len(projected) > 50
        low, middle, high = (projected[f"health{end}_{days}d"] for end in ("_low", "", "_high"))
        assert (
            (low <= middle).all()
            and (middle <= high).all()
            and (low >= 0).all()
            and (high <= 100).all()
        )
        measured = stopped.made.summary.projections[days]
        assert measured is not None
        assert (
            0.65 < measured.coverage < 0.95 and measured.low <= measured.coverage <= measured.high
        )


def test_accounts_that_leave_already_have_no_trajectory(stopped: Stopped) -> None:
    gone = stopped.made.accounts[stopped.made.accounts["state"].isin(["notice", "lapsed"])]
    assert len(gone) and set(gone["movement"]) == {UNKNOWN}
    assert (
        gone[["p_leaves", "p_rises", "health_90d", "p_leaving_90d", "usual_health"]]
        .isna()
        .all()
        .all()
    )


def test_past_scores_are_what_the_model_would_have_published(
    stopped: Stopped, tmp_path: Path
) -> None:
    firm = replace(
        stopped.company, folder=Path(shutil.copytree(stopped.company.folder, tmp_path / "project"))
    )
    workspace, target = firm.workspace()
    day = date(2025, 3, 3)
    with connected() as connection:
        published = score_target(workspace, connection, target, day).scores.set_index("account_id")
    said = stopped.made.past
    mine = said[said["as_of"] == pd.Timestamp(day)].set_index("account_id")
    assert set(mine.index) == set(published.index)
    published = published.reindex(mine.index)
    assert (mine["state"] == "leaving").eq(published["state"].isin(["notice", "lapsed"])).all()
    member = mine["state"] == "member"
    pd.testing.assert_series_equal(
        mine["health_exact"][member], published["health_exact"][member], rtol=1e-12
    )
    assert mine["health_exact"][~member].isna().all()


def test_later_rows_change_nothing_said_of_earlier_dates(
    stopped: Stopped, company_copy: Company
) -> None:
    """With and without the use that the eight had later: the scores of the dates before are equal
    to the last bit.
    """
    use_a_steeper_scale(company_copy)
    workspace, target = company_copy.workspace(LATER)
    with connected() as connection:
        score_target(workspace, connection, target)
        before = trajectory_target(workspace, connection, target).past
    hashes = {
        content_hash(past[past["as_of"] <= QUIET_FROM], ["account_id", "as_of"], without=["run_id"])
        for past in (before, stopped.made.past)
    }
    assert len(hashes) == 1
    assert content_hash(before, ["account_id", "as_of"], without=["run_id"]) != content_hash(
        stopped.made.past, ["account_id", "as_of"], without=["run_id"]
    )


def test_targets_without_a_trajectory_and_missing_runs_are_refused(
    stopped: Stopped, tenure: Command, tmp_path: Path
) -> None:
    growth = tenure("trajectory", "--project", stopped.company.folder, "--target", "expansion_90d")
    assert (
        growth.code == 2 and "no trajectory" in growth.err and "churn or inactivity" in growth.err
    )
    unknown = tenure("trajectory", "--project", stopped.company.folder, "--as-of", "2024-01-01")
    assert unknown.code == 2 and "2025-06-01" in unknown.err
    firm = replace(
        stopped.company, folder=Path(shutil.copytree(stopped.company.folder, tmp_path / "project"))
    )
    workspace, target = firm.workspace()
    run = current_run(workspace.store, target.name)
    assert run is not None
    at = pd.Timestamp(NOW.replace(hour=9))
    append_run(workspace.store, replace(run, basis="scorecard", published_at=at))
    with connected() as connection, pytest.raises(GateRefused, match="scorecard"):
        trajectory_target(workspace, connection, target)
    workspace.store.write("runs", RUNS.empty_table())
    with connected() as connection, pytest.raises(NotFound, match="tenure score"):
        trajectory_target(workspace, connection, target)
    with connected() as connection, pytest.raises(ConfigError, match="horizon next_renewal"):
        trajectory_target(
            workspace, connection, replace(target, horizon="next_renewal", horizon_days=None)
        )


def test_the_portfolio_is_told_in_tables(stopped: Stopped) -> None:
    console = Console(width=160, record=True, highlight=False, force_terminal=False)
    with console.capture() as captured:
        for line in trajectory_lines(
            stopped.made.accounts, stopped.made.summary, stopped.made.people, "leave"
        ):
            console.print(line)
    text = captured.get()
    for wanted in (
        "sudden drops",
        "where they will be in 90 days",
        "ranges meant to cover 80% covered",
        "to leave",
    ):
        assert wanted in text, wanted
    moves = band_moves(stopped.made.accounts, 90)
    assert np.abs(moves[list(BANDS)].sum(axis=1) - 1.0).max() < 1e-12


def test_the_command_publishes_the_same_bytes_and_answers_in_json(
    stopped: Stopped, tenure: Command
) -> None:
    answer = tenure("trajectory", "--project", stopped.company.folder, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert {each["account_id"] for each in told["alerts"]} >= set(dropped(stopped))
    assert set(told["band_moves"]) == {"30", "90"} and told["run_id"] == stopped.made.summary.run_id
    for table, rows, key in (
        ("trajectory", stopped.made.accounts, ["account_id"]),
        ("past_scores", stopped.made.past, ["account_id", "as_of"]),
    ):
        again = stopped.company.published(table)
        assert len(again) == len(rows)
        assert content_hash(again, key) == content_hash(rows[list(again.columns)], key)


def test_explain_says_it_and_the_page_draws_it(stopped: Stopped, tenure: Command) -> None:
    one = dropped(stopped)[0]
    answer = tenure("explain", one, "--project", stopped.company.folder)
    assert (
        "sudden drop:" in answer.out
        and "next 90 days:" in answer.out
        and "expected score if the customer stays:" in answer.out
    )
    told = json.loads(tenure("explain", one, "--project", stopped.company.folder, "--json").out)
    assert told["trajectory"]["movement"] == SUDDEN
    answer_page = tenure("explain", one, "--page", "--project", stopped.company.folder).out.strip()
    page = Path(answer_page).read_text()
    assert (
        '<svg class="trajectory"' in page
        and "Sudden drop" in page
        and "what today&#39;s model would have scored" in page
    )
    HTMLParser().feed(page)
    charts = pd.read_csv(Path(answer_page).with_suffix(".csv"))
    series = charts[charts["chart"] == "scores"].groupby("series").size()
    assert series["published"] == page.count('<circle class="published"')
    assert series["as this model would have scored"] > 1
    ahead = charts[charts["series"].str.startswith("expected")]
    assert len(ahead) and (ahead["low"] <= ahead["value"]).all()
    for x, y in re.findall(r'<circle class="published" cx="([\d.]+)" cy="([\d.]+)"', page):
        assert 34 <= float(x) <= 764 and 10 <= float(y) <= 186


def test_without_a_trajectory_nothing_is_said(company: Company) -> None:
    workspace, target = company.workspace()
    account = str(company.published("scores").dropna(subset=["health"])["account_id"].iloc[0])
    explained = explain_account(workspace, target, account)
    assert explained.trajectory is None and account_view(None, None, (40, 70), "leave") is None
    assert account_trajectories(workspace, "nothing", [account]) == {}
    assert [each.health for each in score_history(workspace, target, account)]


def test_what_is_not_known_is_left_out_of_the_words() -> None:
    row = {
        "health": 50,
        "band": "stable",
        "movement": UNKNOWN,
        "usual_health": np.nan,
        "p_rises": np.nan,
        "health_30d": np.nan,
        "p_leaving_30d": np.nan,
    }
    no_past = pd.DataFrame({"as_of": [], "health_exact": []})
    summary = TrajectorySummary(
        target="churn_90d",
        run_id="r1",
        as_of="2025-06-01",
        horizon_days=90,
        accounts=1,
        past_dates=0,
        step_days=30,
        first_date="2025-06-01",
        tested_from=None,
        movements={UNKNOWN: 1},
        movement_records={},
        nominal_coverage=0.8,
        use_days=90,
        projections={30: None},
        three_ways=None,
        notes=(),
    )
    assert summary_from_json(json.dumps(summary.to_dict())) == summary
    nothing = AccountTrajectory(row, no_past, summary)
    assert (
        account_lines(nothing, "leave") == []
        and account_view(nothing, None, (40, 70), "leave") is None
    )
