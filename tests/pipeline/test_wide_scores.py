"""All targets side by side: what a column says, and that chance and health run against each
other.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from small_company import Command, Company

from pipeline.jobs.wide_scores import wide_scores
from pipeline.ledger import current_run


def test_chance_and_health_run_in_opposite_directions(company: Company) -> None:
    workspace, _ = company.workspace()
    wide = wide_scores(workspace)
    # Health is read at the decision, so the two are compared where the chance is of one.
    run = current_run(workspace.store, "churn_90d")
    assert run is not None
    scores = workspace.store.read("scores", filters=[("run_id", "=", run.run_id)])
    rows = wide.merge(scores, on="account_id", suffixes=("", "_published"))
    known = rows.dropna(subset=["health_churn_90d"])
    assert len(wide) == len(scores) and len(known) > 100
    published = known["probability"]
    assert (known["p_churn_90d"] == published).all()
    soon = known[(known["timing"].fillna(0.0).abs() < 0.2)]
    order = soon.sort_values("p_churn_90d")["health_churn_90d"].to_numpy(dtype=float)
    assert len(soon) > 10 and np.corrcoef(np.arange(len(order)), order)[0, 1] < -0.8


def test_band_follows_from_health_and_state_stands_beside_it(company: Company) -> None:
    workspace, _ = company.workspace()
    wide = wide_scores(workspace)
    scale = workspace.project.scale
    health = wide["health_churn_90d"]
    edges = [-np.inf, scale.at_risk_until, scale.stable_until, np.inf]
    expected = pd.cut(health.astype("Float64"), edges, labels=["at_risk", "stable", "healthy"])
    assert (
        wide["band_churn_90d"].fillna("").tolist()
        == expected.astype("str").replace("nan", "").fillna("").tolist()
    )
    assert set(wide["state"]) <= {"member", "notice", "lapsed", "unknown"}
    leaving = wide[wide["state"].isin(["notice", "lapsed"])]
    assert len(leaving) > 0 and leaving["health_churn_90d"].notna().any()
    assert wide.loc[wide["state"] == "unknown", "health_churn_90d"].isna().all()


def test_command_writes_the_table_and_counts_it(
    company: Company, tenure: Command, tmp_path: Path
) -> None:
    answer = tenure("scores", "--project", company.folder, "--csv", tmp_path / "wide.csv")
    assert answer.code == 0 and "churn_90d: " in answer.out and "member" in answer.out
    written = pd.read_csv(tmp_path / "wide.csv", encoding="utf-8-sig")
    rows = json.loads(tenure("scores", "--project", company.folder, "--json").out)
    assert len(written) == len(rows) and {"p_churn_90d", "health_churn_90d"} <= set(rows[0])


def test_without_a_run_it_says_what_to_do(company_copy: Company, tenure: Command) -> None:
    import shutil

    shutil.rmtree(company_copy.folder / "store")
    answer = tenure("scores", "--project", company_copy.folder)
    assert answer.code == 2 and "tenure score" in answer.err
