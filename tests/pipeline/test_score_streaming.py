"""Scoring hands accounts on some at a time: values stay, errors keep their kind; the scale is
explained beside scores.
"""

import json

import pytest

from features.catalogue import DIMENSIONS
from features.errors import ArtifactMismatch
from pipeline.jobs import score as job
from pipeline.jobs import scoring_rows
from pipeline.storage import content_hash

KEYS = {
    "scores": ["account_id"],
    "drivers": ["account_id", "dimension", "driver"],
    "portfolio": ["account_id"],
    "features_scored_churn_90d": ["account_id"],
}


def hashes(company):
    return {
        name: content_hash(company.published(name), key, without=["scored_at"])
        for name, key in KEYS.items()
    }


def test_the_number_of_accounts_at_a_time_moves_no_published_value(company_copy, monkeypatch):
    before = company_copy.score()
    expected = hashes(company_copy)
    monkeypatch.setattr(scoring_rows, "ROWS_READ_AT_ONCE", 7)
    after = company_copy.score(staged=True)
    assert after.run.run_id == before.run.run_id
    assert hashes(company_copy) == expected
    assert after.reasons.equals(before.reasons)
    assert after.run.note is None  # nothing fell back to the slow way


def test_rows_are_hashed_as_their_published_table(company):
    workspace, target = company.workspace()
    recorded = json.loads(job.current_run(workspace.store, target.name).input_fingerprints)
    published = company.published("features_scored_churn_90d")
    assert recorded["features"] == content_hash(
        published, ["account_id"], without=["as_of", "run_id"]
    )


def test_an_error_while_drivers_are_written_keeps_its_kind_and_publishes_nothing(
    company_copy, monkeypatch
):
    before = hashes(company_copy)

    def broken(bundle, features):
        raise ArtifactMismatch("contributions of 3 accounts miss their raw log-odds.")

    monkeypatch.setattr(job, "score", broken)
    with pytest.raises(ArtifactMismatch, match="3 accounts"):
        company_copy.score(staged=True)
    assert hashes(company_copy) == before


def test_the_scale_is_explained_per_ten_points(company, tenure):
    answer = tenure("scale", "--json", "--project", company.folder)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    ranges = found["ranges"]
    assert ranges[0]["health_from"] == 0 and ranges[-1]["health_until"] == 100
    assert all(r["observed_low"] <= r["observed"] <= r["observed_high"] for r in ranges)
    assert found["base_displayed"] == int(
        company.published("scores")["base_displayed"].dropna().iloc[0]
    )
    assert "Wilson" in found["interval"]
    told = tenure("scale", "--project", company.folder).out
    assert f"your typical account starts at {found['base_displayed']}" in told
    assert f"Accounts scoring 0-{ranges[0]['health_until']}: " in told


def test_the_sentence_and_the_sub_scores_stand_beside_a_score(company, tenure):
    scores = company.published("scores").dropna(subset=["health"])
    account = scores[scores["state"] == "member"].sort_values("health")["account_id"].iloc[0]
    found = json.loads(tenure("explain", account, "--json", "--project", company.folder).out)
    assert [each["dimension"] for each in found["dimensions"]] == list(DIMENSIONS)
    score = found["score"]
    assert score["base_points"] + sum(e["points"] for e in found["dimensions"]) == pytest.approx(
        score["health_exact"], abs=1e-9
    )
    assert (
        score["base_displayed"] + sum(e["points_displayed"] for e in found["dimensions"])
        == score["health"]
    )
    assert "leave when their contract comes up. When we tested it, " in found["scale_sentence"]
    told = " ".join(tenure("explain", account, "--project", company.folder).out.split())
    assert found["scale_sentence"] in told and found["to_edges"] in told
    page = (company.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert found["scale_sentence"] in page
    assert f"your typical account starts at {int(score['base_displayed'])}" in page
