"""`tenure verify`: published points against contributions worked out again."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from small_company import NOW, Command, Company

from features.errors import ContractError
from pipeline.engine.duckdb import connected
from pipeline.jobs.explain import check_points, published_rows
from pipeline.jobs.point_bound import BoundCheck, bound_words, check_bound
from pipeline.jobs.registry import need_version
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import load_staged
from pipeline.ledger import published_run
from pipeline.tracking import CHAMPION


def test_no_published_points_exceed_their_bound(company: Company, tenure: Command) -> None:
    answer = tenure("verify", "--project", company.folder)
    assert answer.code == 0 and "times the score's largest slope" in answer.out
    told = json.loads(tenure("verify", "--json", "--project", company.folder).out)["bound"]
    assert told["drivers"] == len(company.published("drivers")) and told["not_checked"] is None
    # The sigmoid is straight in log-odds: accounts that are not clipped use all of the bound, and
    # nobody more.
    assert told["largest_share"] == pytest.approx(1.0, abs=1e-6)


def test_points_beyond_the_bound_are_named(company: Company) -> None:
    workspace, target = company.workspace()
    run = published_run(workspace.store, target.name)
    scores = published_rows(workspace, target, "scores").dropna(subset=["health_exact"])
    drivers = published_rows(workspace, target, "drivers")
    worst = drivers["points"].abs().idxmax()
    drivers.loc[worst, "points"] *= 1.01
    with pytest.raises(ContractError, match=str(drivers.loc[worst, "driver"])):
        check_bound(workspace, target, run, scores, drivers)


def test_a_scorecard_is_checked_against_its_own_points(company_copy: Company) -> None:
    workspace, target = company_copy.workspace(NOW + timedelta(hours=1))
    bundle = need_version(workspace, target, CHAMPION).bundle
    with connected() as connection:
        load_staged(workspace, connection)
        score_target(workspace, connection, target, bundle=replace(bundle, basis="scorecard"))
    bound = check_points(workspace, target).bound
    assert bound.slope == 1.0 and bound.drivers > 0 and "its rules give" in bound_words(bound)


def test_a_run_whose_model_is_gone_says_so() -> None:
    words = bound_words(BoundCheck("calibrated", not_checked="model m1 is gone."))
    assert words == "not checked against contributions: model m1 is gone"
