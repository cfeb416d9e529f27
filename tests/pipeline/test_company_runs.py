"""The whole path on a small simulated company: same inputs same bytes, killed runs, stale feeds,
models that travel.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_company import NOW, Command, Company, assert_bands_follow_health

from features.errors import GateRefused, StoreError
from features.windows import day_number
from models.bundle import score
from models.gates import Gate
from models.health import scale_from_anchors
from pipeline.engine.duckdb import connected
from pipeline.flow import run_flows
from pipeline.jobs.evaluate import latest_evaluation
from pipeline.jobs.features import build_scoring
from pipeline.jobs.prepare import load_training, prepare_training
from pipeline.jobs.registry import (
    RegisteredModel,
    model_name,
    need_version,
    register,
    registered_model,
)
from pipeline.jobs.stage import stage_sources
from pipeline.storage import Store, content_hash
from pipeline.tracking import CHAMPION, client

LATER = NOW + timedelta(hours=1)
KEYS = {
    "scores": ["account_id"],
    "drivers": ["account_id", "dimension", "driver"],
    "portfolio": ["account_id"],
}
ROOT = Path(__file__).resolve().parents[2]


def hashes(company: Company, *, without: tuple[str, ...] = ("scored_at",)) -> dict[str, str]:
    """What readers see, as one hash per table."""
    return {
        name: content_hash(company.published(name), key, without=without)
        for name, key in KEYS.items()
    }


def test_published_scores_are_whole(company: Company) -> None:
    scores, people = company.published("scores"), company.published("portfolio")
    assert len(scores) > 100 and scores["account_id"].is_unique
    assert set(scores["account_id"]) == set(people["account_id"])
    assert set(scores["basis"]) == {"calibrated"}
    assert {"at_risk", "stable", "healthy"} == set(scores["band"].dropna())
    scale = company.workspace()[0].project.scale
    assert_bands_follow_health(scores, (scale.at_risk_until, scale.stable_until))
    noticed = scores[scores["state"] == "notice"]
    assert len(noticed) and noticed["health"].notna().any()
    scored = scores.dropna(subset=["probability"])
    assert (scored["probability_low"] <= scored["probability"]).all() and (
        scored["probability"] <= scored["probability_high"]
    ).all()


def test_points_add_for_every_account(company: Company) -> None:
    scores = company.published("scores").dropna(subset=["health_exact"]).set_index("account_id")
    sums = (
        company.published("drivers")
        .groupby("account_id")[["points", "points_displayed"]]
        .sum()
        .reindex(scores.index)
        .fillna(0)
    )
    np.testing.assert_allclose(
        scores["base_points"] + sums["points"], scores["health_exact"], atol=1e-9
    )
    assert (scores["base_displayed"] + sums["points_displayed"] == scores["health"]).all()


def test_health_falls_as_the_probability_at_the_decision_rises(company: Company) -> None:
    scores = company.published("scores").sort_values("probability_at_decision")
    scores = scores.dropna(subset=["probability_at_decision"])
    assert scores["probability_at_decision"].nunique() > 10
    assert (np.diff(scores["health_exact"]) <= 1e-9).all() and (
        np.diff(scores["health"]) <= 0
    ).all()


def test_the_calendar_moves_the_chance_and_never_the_health(company: Company) -> None:
    """Scored with another renewal date, an account has the same health, points and band."""
    workspace, target = company.workspace()
    bundle = need_version(workspace, target, CHAMPION).bundle
    rows = workspace.store.read("features_scored_churn_90d").set_index("account_id")
    features = rows[bundle.published.columns].astype("float64")
    annual = features[features["term_days"] > 300].head(20)
    near = annual.assign(days_to_renewal=80.0, days_in_term=annual["term_days"] - 80.0)
    far = annual.assign(days_to_renewal=250.0, days_in_term=annual["term_days"] - 250.0)
    one, other = (score(bundle, each) for each in (near, far))
    assert len(annual) > 5
    assert np.array_equal(one.points, other.points)
    assert one.table["health_exact"].equals(other.table["health_exact"])
    assert (one.table["probability"] > 5 * other.table["probability"]).all()
    assert (one.table["timing"] > other.table["timing"]).all()


def test_scores_say_when_the_contract_decides(company: Company) -> None:
    scores = company.published("scores").dropna(subset=["probability"])
    people = company.published("portfolio").set_index("account_id")["renewal_date"]
    assert scores["decides_on"].notna().any()
    assert scores.set_index("account_id")["decides_on"].equals(
        people.reindex(scores["account_id"]).rename("decides_on")
    )
    logit = np.log(scores["probability"]) - np.log1p(-scores["probability"])
    then = scores["probability_at_decision"]
    assert np.allclose(scores["timing"], logit - np.log(then) + np.log1p(-then))


def test_same_run_twice_is_byte_equal(company: Company, company_copy: Company) -> None:
    again = company_copy.score(LATER)
    assert again.run.run_id == company.published("scores")["run_id"].iloc[0]
    assert hashes(company_copy) == hashes(company)
    assert set(company_copy.published("scores")["scored_at"]) == {pd.Timestamp(LATER)}


def test_whole_flow_on_shuffled_rows_is_byte_equal(company: Company, company_copy: Company) -> None:
    """Staging, features, training, calibration and scores: row order decides nothing."""
    for path in sorted((company_copy.folder / "data").glob("*.parquet")):
        company_copy.replace_table(
            path.stem, company_copy.table(path.stem).sample(frac=1, random_state=1)
        )
    workspace, target = company_copy.workspace(LATER)
    run_flows(workspace, (target,), lambda step, text: None, is_again=True)
    assert hashes(company_copy) == hashes(company)


def test_owner_change_moves_no_score(company: Company, company_copy: Company) -> None:
    accounts = company_copy.table("accounts")
    company_copy.replace_table(
        "accounts", accounts.assign(owner="CSM-99", name=accounts["account_id"])
    )
    company_copy.score(LATER)
    assert set(company_copy.published("portfolio")["owner"]) == {"CSM-99"}
    not_scores = ("scored_at", "run_id")
    before, after = hashes(company, without=not_scores), hashes(company_copy, without=not_scores)
    assert (before["scores"], before["drivers"]) == (after["scores"], after["drivers"])
    assert before["portfolio"] != after["portfolio"]


def test_raw_rows_of_the_future_move_no_feature(company_copy: Company) -> None:
    """Through raw tables, staging, population and features: the tables as they were exported on the
    day itself.
    """
    workspace, target = company_copy.workspace()
    bundle = need_version(workspace, target, CHAMPION).bundle
    day = pd.Timestamp("2025-01-05")
    before = _features_at(company_copy, day, bundle.choices)
    for path in sorted((company_copy.folder / "data").glob("*.parquet")):
        company_copy.replace_table(path.stem, _as_exported_on(company_copy, path.stem, day))
    assert content_hash(
        _features_at(company_copy, day, bundle.choices), ["account_id"]
    ) == content_hash(before, ["account_id"])


def _as_exported_on(company: Company, table: str, day: pd.Timestamp) -> pd.DataFrame:
    from features.sources import CONTRACTS

    rows = company.table(table)
    contract = CONTRACTS[table]
    clock = (
        "known_at"
        if "known_at" in rows
        else (contract.event_time if contract.event_time in rows else "created_at")
    )
    if clock in rows:
        rows = rows[rows[clock].isna() | (rows[clock] < day)].copy()
    for column in contract.columns:
        # Ends of fixed terms are known with the contract.
        if column.clock in rows.columns and not (
            table == "subscriptions" and column.name == "ends_at"
        ):
            struck = rows[column.clock] < day
            if column.name in rows:
                rows[column.name] = rows[column.name].where(struck, None)
    return rows


def _features_at(company: Company, day: pd.Timestamp, choices: Any) -> pd.DataFrame:
    workspace, target = company.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
        build_scoring(workspace, connection, target, day.date(), choices)
        return connection.execute(
            "select f.*, s.state from features f join snapshots s on s.account_id = f.account_id"
            f" and s.as_of_day = f.as_of_day where f.as_of_day = {day_number(day.date())}"
        ).df()


# --- killed runs
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tables_written", range(5))
def test_failure_between_any_two_tables_leaves_the_old_run_whole(
    company: Company, company_copy: Company, monkeypatch: pytest.MonkeyPatch, tables_written: int
) -> None:
    """features_scored, portfolio, drivers, scores, runs: whichever is missing, readers see the run
    before.
    """
    accounts = company_copy.table("accounts")
    company_copy.replace_table(
        "accounts", accounts.assign(owner="CSM-99")
    )  # so that it is another run
    workspace, _ = company_copy.workspace()
    with connected() as connection:
        stage_sources(workspace, connection)
    real, done = Store.write, []

    def breaks(self: Store, table: str, *arguments: Any, **named: Any) -> Any:
        if len(done) == tables_written:
            raise StoreError(f"broke before {table}")
        done.append(table)
        return real(self, table, *arguments, **named)

    monkeypatch.setattr(Store, "write", breaks)
    with pytest.raises(StoreError, match="broke before"):
        company_copy.score(LATER, staged=True)
    monkeypatch.undo()
    assert hashes(company_copy) == hashes(company)
    if tables_written == 4:
        company_copy.score(LATER, staged=True)
        assert set(company_copy.published("portfolio")["owner"]) == {"CSM-99"}


KILLED = """
import os, signal, sys
from pipeline.cli import main
from pipeline.storage import Store
real = Store.write
def write(self, table, *a, **k):
    found = real(self, table, *a, **k)
    if table == "scores":
        os.kill(os.getpid(), signal.SIGKILL)
    return found
Store.write = write
sys.argv = ["tenure", "score", "--project", sys.argv[1], "--as-of", "2025-05-04"]
main()
"""


def test_killed_process_leaves_the_old_run_and_no_lock(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    """A real SIGKILL after scores are written and before the commit; then the command is run
    again.
    """
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(company_copy.folder)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert hashes(company_copy) == hashes(company)
    again = tenure("score", "--project", company_copy.folder, "--as-of", "2025-05-04", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["run"]["as_of"].startswith("2025-05-04")
    workspace, target = company_copy.workspace()
    runs = workspace.store.read("runs")
    assert len(runs) == 2
    # An earlier date does not hide the newest one.
    assert hashes(company_copy) == hashes(company)


# --- stale feeds
# --------------------------------------------------------------------------------------


def test_stale_feed_refuses_then_a_model_without_it_speaks_for_its_accounts(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    usage = company_copy.table("usage_events")
    last = usage["event_time"].max()
    company_copy.replace_table(
        "usage_events", usage[usage["event_time"] < last - pd.Timedelta(days=5)]
    )
    refused = tenure("score", "--project", company_copy.folder)
    assert refused.code == 3, refused
    assert "usage_events" in refused.err and "--allow-stale usage_events --reason" in refused.err
    assert hashes(company_copy) == hashes(company)

    assert (
        tenure("score", "--project", company_copy.folder, "--allow-stale", "usage_events").code == 2
    )  # needs a reason
    wrong = tenure(
        "score", "--project", company_copy.folder, "--allow-stale", "usage", "--reason", "outage"
    )
    assert wrong.code == 2 and "no such source" in wrong.err

    accepted = tenure(
        "score",
        "--project",
        company_copy.folder,
        "--allow-stale",
        "usage_events",
        "--reason",
        "outage of the feed",
    )
    assert accepted.code == 0, accepted.err
    assert "accounts were scored by the model that does without usage_events" in accepted.out
    scores = company_copy.published("scores")
    spoken = scores[scores["without"] == "usage_events"]
    others = scores[scores["without"].isna()]
    assert len(spoken) > 50 and spoken["health"].notna().sum() == len(spoken)
    assert len(set(spoken["model_version"])) == 1
    assert not set(spoken["model_version"]) & set(others["model_version"])
    assert tenure("verify", "--project", company_copy.folder).code == 0  # the points add up
    shown = company_copy.published("drivers").merge(spoken[["account_id"]])
    assert shown["driver"].nunique() > 5
    assert not shown["signal"].fillna("").str.startswith("active_days").any()
    account = spoken["account_id"].iloc[0]
    page = tenure("explain", account, "--project", company_copy.folder)
    assert "scored without usage events, which came too late" in page.out
    portfolio = (company_copy.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert "accounts were scored without usage events" in portfolio
    workspace, _ = company_copy.workspace()
    assert "outage of the feed" in workspace.store.read("runs")["note"].dropna().iloc[-1]


def test_without_a_light_source_its_accounts_keep_the_score_of_the_model(
    company_copy: Company, tenure: Command
) -> None:
    """What is not known is no reason, and no table of one source makes hundreds unknown."""
    accepted = tenure(
        *("score", "--project", company_copy.folder, "--reason", "tool changed"),
        *("--allow-stale", "surveys"),
    )
    assert accepted.code == 0, accepted.err
    scores = company_copy.published("scores")
    spoken = scores[scores["without"] == "surveys"]
    assert len(spoken) > 50 and spoken["health"].notna().all()
    assert not (scores["band_reason"].fillna("").str.startswith("stale")).any()
    workspace, target = company_copy.workspace()
    model = need_version(workspace, target, CHAMPION).bundle.model
    gone = {signal.column for signal in model.signals if signal.source == "surveys"}
    drivers = company_copy.published("drivers")
    told = drivers[drivers["account_id"].isin(spoken["account_id"])]
    assert gone and not set(told["signal"].dropna()) & gone
    others = drivers[~drivers["account_id"].isin(spoken["account_id"])]
    sums = drivers.groupby("account_id")["points"].sum()
    members = scores[scores["health"].notna()].set_index("account_id")
    gap = members["base_points"] + sums.reindex(members.index) - members["health_exact"]
    assert gap.abs().max() < 1e-9 and len(others)
    for command in (("verify",), ("replay", str(scores["run_id"].iloc[0]))):
        done = tenure(*command, "--project", company_copy.folder)
        assert done.code == 0, done.err


def test_stale_feed_without_a_fallback_marks_its_accounts_unknown(
    company_copy: Company, tenure: Command
) -> None:
    """Two feeds at once: no model does without both."""
    accepted = tenure(
        *("score", "--project", company_copy.folder, "--reason", "outage of the feed"),
        *("--allow-stale", "usage_events", "--allow-stale", "touchpoints"),
    )
    assert accepted.code == 0, accepted.err
    scores = company_copy.published("scores")
    unknown = scores[scores["state"] == "unknown"]
    assert len(unknown) > 50
    assert "stale: usage_events" in set(unknown["band_reason"])
    assert all(each.startswith("stale: ") for each in unknown["band_reason"])
    assert unknown[["health", "health_exact", "probability", "base_points"]].isna().all(axis=None)
    assert not set(company_copy.published("drivers")["account_id"]) & set(unknown["account_id"])
    workspace, _ = company_copy.workspace()
    assert "outage of the feed" in workspace.store.read("runs")["note"].dropna().iloc[-1]
    one = tenure(
        "explain", unknown["account_id"].iloc[0], "--project", company_copy.folder, "--json"
    )
    assert (
        json.loads(one.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["score"][
            "health"
        ]
        is None
    )


def test_emptied_source_keeps_the_previous_result(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    company_copy.replace_table("usage_events", company_copy.table("usage_events").iloc[:0])
    refused = tenure("score", "--project", company_copy.folder)
    assert refused.code == 3 and "has no rows" in refused.err and "usage_events" in refused.err
    assert hashes(company_copy) == hashes(company)
    accepted = tenure(
        "score",
        "--project",
        company_copy.folder,
        "--allow-stale",
        "usage_events",
        "--reason",
        "outage of the feed",
    )
    assert accepted.code == 0, accepted.err
    scores = company_copy.published("scores")
    assert (scores["without"] == "usage_events").sum() > 50


def test_features_built_halfway_are_not_trained_on(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, target = company_copy.workspace()
    written = Store.write

    def stop_at_labels(self: Store, table: str, *args: object, **options: object) -> None:
        if table == "labels":
            raise KeyboardInterrupt
        written(self, table, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "write", stop_at_labels)
    with connected() as connection, pytest.raises(KeyboardInterrupt):
        prepare_training(workspace, connection, target)
    with pytest.raises(StoreError, match="are incomplete. Run `tenure features"):
        load_training(workspace, target)


# --- commands on what was published
# ----------------------------------------------------------------------


def test_rollback_shows_the_earlier_run_again(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    first = company.published("scores")["run_id"].iloc[0]
    company_copy.replace_table("accounts", company_copy.table("accounts").assign(owner="CSM-99"))
    company_copy.score(LATER)
    assert hashes(company_copy) != hashes(company)
    done = tenure("rollback", first[:6], "--yes", "--project", company_copy.folder, "--json")
    assert done.code == 0 and len(json.loads(done.out)["superseded"]) == 1
    assert hashes(company_copy) == hashes(company)
    missing = tenure("rollback", "nothing", "--yes", "--project", company_copy.folder)
    assert missing.code == 2 and first in missing.err


def test_explain_adds_up_and_names_the_nearest(company: Company, tenure: Command) -> None:
    scores = company.published("scores").dropna(subset=["health"])
    account = scores["account_id"].iloc[0]
    told = json.loads(tenure("explain", account, "--project", company.folder, "--json").out)
    assert (
        told["score"]["base_displayed"] + sum(d["points_displayed"] for d in told["drivers"])
        == told["score"]["health"]
    )
    words = tenure("explain", account, "--project", company.folder)
    assert words.code == 0 and account in words.out
    assert str(len(scores)) in tenure("verify", "--project", company.folder).out
    wrong = tenure("explain", f"{account}x", "--project", company.folder)
    assert wrong.code == 2 and account in wrong.err


def test_model_carried_to_another_folder_scores_the_same_bytes(
    company: Company, company_copy: Company, tenure: Command, tmp_path: Path
) -> None:
    """The other folder has the same data and project file, and never trained."""
    other = Company(tmp_path / "other")
    other.folder.mkdir()
    (other.folder / "tenure.toml").write_text((company.folder / "tenure.toml").read_text())
    (other.folder / "data").symlink_to(company.folder / "data")
    nothing = tenure("score", "--project", other.folder)
    assert nothing.code != 0 and "no model in use" in nothing.err
    file = tmp_path / "out" / "churn.zip"
    assert tenure("model", "export", file, "--project", company_copy.folder).code == 0
    imported = tenure("model", "import", file, "--project", other.folder)
    assert imported.code == 0 and "candidate" in imported.out, imported.err
    # Whoever sent it, it is in use once it passed the gates on this project's own test.
    waits = tenure("score", "--project", other.folder)
    assert waits.code == 3 and "no model in use" in waits.err
    for command in ("features", "evaluate", "promote"):
        done = tenure(command, "--project", other.folder)
        assert done.code == 0, (command, done.err)
    assert "learned before the test" in done.out
    other.score(LATER)
    assert hashes(other) == hashes(company)

    spoiled = tmp_path / "spoiled.zip"
    spoiled.write_bytes(file.read_bytes()[:-400])
    refused = tenure("model", "import", spoiled, "--project", other.folder)
    assert refused.code == 1 and "not a packed model" in refused.err


def test_registered_model_loads_as_pyfunc_without_pickle(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    workspace, target = company.workspace()
    client(workspace.folder, None)
    import mlflow

    model = mlflow.pyfunc.load_model(f"models:/{model_name(workspace, target)}@{CHAMPION}")
    frame = workspace.store.read(f"features_scored_{target.name}").set_index("account_id")
    columns = model.metadata.signature.inputs.input_names()
    found = model.predict(frame[columns])
    assert list(found) == [
        "probability",
        "probability_low",
        "probability_high",
        "health",
        "band",
        "drivers",
    ]
    published = company.published("scores").set_index("account_id").reindex(frame.index)
    scored = published["probability"].notna().to_numpy()
    np.testing.assert_array_equal(
        found["probability"].to_numpy()[scored], published["probability"].to_numpy()[scored]
    )
    assert model.predict(frame[columns].iloc[:0]).empty
    for text in found["drivers"]:
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    with pytest.raises(Exception, match=columns[0]):
        model.predict(frame[columns[1:]])


def test_score_without_a_model_in_use_is_refused(company_copy: Company, tenure: Command) -> None:
    workspace, target = company_copy.workspace()
    client(workspace.folder, None).delete_registered_model_alias(
        model_name(workspace, target), CHAMPION
    )
    assert tenure("score", "--project", company_copy.folder).code == 3
    assert tenure("score", "--project", company_copy.folder, "--candidate").code == 0


def test_as_of_after_the_data_is_refused(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    refused = tenure("score", "--project", company_copy.folder, "--as-of", "2030-01-01")
    assert (
        refused.code == 2
        and "2030-01-01 lies after the data, which end on 2025-06-01" in refused.err
    )
    assert hashes(company_copy) == hashes(company)


def test_refused_candidate_keeps_its_reasons(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.jobs import promote

    workspace, target = company_copy.workspace()
    evaluation = latest_evaluation(workspace, target)
    assert evaluation is not None
    failed = replace(
        evaluation, gates=(Gate("beats the baselines", False, "recency alone does better."),)
    )
    monkeypatch.setattr(RegisteredModel, "evaluation", lambda *_: failed)
    with pytest.raises(GateRefused, match="recency alone does better"):
        promote.promote_target(workspace, target)
    tracker = client(workspace.folder, None)
    version = tracker.get_model_version_by_alias(model_name(workspace, target), CHAMPION)
    assert "recency alone" in version.tags["refused"]


def test_scores_that_moved_too_far_are_not_published_until_accepted(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    usage = company_copy.table("usage_events")
    is_late = usage["event_time"] >= usage["event_time"].max() - pd.Timedelta(days=70)
    # A feed that lost nine rows of ten for weeks: no day is unusual beside the others, so it does
    # not look stale.
    lost = usage[~is_late | (np.arange(len(usage)) % 10 == 0)]
    company_copy.replace_table("usage_events", lost)

    refused = tenure("score", "--project", company_copy.folder)
    assert refused.code == 3, refused
    assert "stability index" in refused.err and "--accept-shift" in refused.err
    assert "Signals that moved most: " in refused.err and "nan" not in refused.err
    assert hashes(company_copy) == hashes(company)

    accepted = tenure(
        "score", "--project", company_copy.folder, "--accept-shift", "a product was switched off"
    )
    assert accepted.code == 0, accepted.err
    workspace, _ = company_copy.workspace()
    assert "a product was switched off" in workspace.store.read("runs")["note"].dropna().iloc[-1]
    health = [
        each.published("scores").set_index("account_id")["health_exact"]
        for each in (company, company_copy)
    ]
    assert (health[1] - health[0]).abs().mean() > 2


def test_a_scale_that_no_longer_fits_is_said_at_scoring(
    company: Company, company_copy: Company, tenure: Command
) -> None:
    """Anchors far from these accounts: nobody is healthy, and people are told."""
    workspace, target = company_copy.workspace()
    bundle = need_version(workspace, target, CHAMPION).bundle
    models = registered_model(workspace, target)
    unfit = replace(bundle, scale=scale_from_anchors(0.2, 0.001))
    models.put_to_use(register(models, unfit), unfit.basis)
    told = tenure("score", "--project", company_copy.folder, "--accept-shift", "another scale")
    assert told.code == 0, told.err
    assert "the scale no longer fits these accounts: only 0.0% of accounts are in the healthy" in (
        told.out
    )
    page = (company_copy.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert "The bands fit badly: only 0.0% of accounts are in the healthy band" in page
    first = company.folder / "reports" / "churn_90d" / "portfolio.html"
    assert "The bands fit badly" not in first.read_text()
