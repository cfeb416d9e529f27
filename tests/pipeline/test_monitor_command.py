"""`tenure monitor`: a row for everything that was measured of a run, judged once it can be."""

import json
from datetime import date

from small_company import Command, Company
from test_company_runs import LATER

from pipeline.engine.duckdb import connected
from pipeline.jobs.drift_bins import BINS
from pipeline.jobs.monitor import MONITOR, monitor_target
from pipeline.jobs.score import score_target


def test_a_run_promises_leavers_log_loss_and_ranking(
    company_copy: Company, tenure: Command
) -> None:
    store = company_copy.workspace()[0].store
    bins = store.read(BINS)
    assert len(bins), "promotion froze them"
    answer = tenure("monitor", "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    figures = json.loads(answer.out)["figures"]
    scores = company_copy.published("scores")
    mine = scores["probability"][scores["state"] == "member"]
    (leavers,) = [f for f in figures if (f["what"], f["segment"]) == ("expected_leavers", "")]
    assert abs(leavers["value"] - mine.sum()) < 1e-9
    assert leavers["low"] < leavers["value"] < leavers["high"] and leavers["verdict"] == "waiting"
    whats = {f["what"] for f in figures}
    assert {"expected_log_loss", "expected_auc", "signal_index", "source_points"} <= whats
    kept = store.read(MONITOR)
    assert len(kept) == len(figures)
    said = tenure("monitor", "--project", company_copy.folder)
    assert said.code == 0 and "Expected if the chances are right" in said.out
    assert "Since training" in said.out
    # Again: the same rows, and the bins as they were.
    assert len(store.read(MONITOR)) == len(figures) and store.read(BINS).equals(bins)


def test_training_again_does_not_move_what_drift_is_measured_against(
    company_copy: Company, tenure: Command
) -> None:
    """The features of another training lie in the store; the model in use keeps its own bins."""
    store = company_copy.workspace()[0].store
    kept = store.read(BINS)
    features = store.read("features_churn_90d")
    numbers = features.select_dtypes("float").columns
    store.write("features_churn_90d", features.assign(**{n: features[n] + 9.0 for n in numbers}))
    answer = tenure("monitor", "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    assert store.read(BINS).equals(kept)


def test_what_was_promised_is_judged_once_it_is_known(company_copy: Company) -> None:
    early = date(2025, 2, 2)
    workspace, target = company_copy.workspace(LATER)
    then = company_copy.workspace(LATER.replace(year=2025, month=2, day=2))[0]
    with connected() as connection:
        score_target(then, connection, target, early)
    promised = monitor_target(then, target, early).rows
    assert set(promised["verdict"][promised["what"].str.startswith("expected")]) == {"waiting"}
    report = monitor_target(workspace, target)
    judged = report.judged
    assert set(judged["what"]) == {"leavers", "log_loss", "auc"}
    assert set(judged["as_of"].dt.date) == {early}
    assert set(judged["verdict"]) <= {"inside", "below", "above"}
    assert (judged["low"] <= judged["high"]).all()
    level = report.rows[report.rows["what"] == "level"]
    assert len(level) == 1 and level["verdict"].iloc[0] in ("held", "more", "fewer")
