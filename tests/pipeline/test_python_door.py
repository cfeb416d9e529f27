"""`import tenure` does what the commands do, by the same functions, and hands frames out."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from small_company import Company

import pipeline.cli as cli
import tenure
from features.dimensions import usage
from features.errors import ConfigError, NotFound
from models.contenders import CONSTANT, TUNED, Contender, Ranker
from models.dataset import TrainingSet
from models.methods import Constant, GradientBoosting, Recency
from models.model import Member, Model
from pipeline.jobs import bench as bench_job
from pipeline.jobs.contributions import row_contributions, shap_explanation
from pipeline.jobs.prepare import load_training

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {command.__name__: command for group in cli.GROUPS.values() for command in group}
# Method -> the command it is, where their names differ.
NAMED = {"build_features": "features", "side_by_side": "scores"}
# Methods that read what commands left, and are none.
READERS = {
    *("open", "for_target", "features", "labels", "signals", "backtest", "model", "model_uri"),
    *("own_signal", "scores", "drivers", "portfolio", "scored_features", "contributions"),
}
# Jobs that tell, print or ask, which only a terminal needs.
FOR_TERMINALS = {
    *("tell_stage", "tell_features", "tell_training", "tell_evaluation", "tell_beside"),
    *("tell_score", "candidate_advice", "NO_BENCH", "find_account", "score_history", "Version"),
    *("write_account_page", "effect_rows", "plain_run", "refuse_training", "run_history"),
}


def methods() -> list[str]:
    return [
        name
        for name, each in vars(tenure.Project).items()
        if not name.startswith("_") and (inspect.isfunction(each) or isinstance(each, classmethod))
    ]


def jobs_of(function: object) -> set[str]:
    """Names that a function takes from jobs, checks and the flow."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))  # type: ignore[arg-type]
    return (
        {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and str(node.module).startswith(("pipeline.jobs", "pipeline.checking", "pipeline.flow"))
            for alias in node.names
        }
        - FOR_TERMINALS
        - {"check_text"}
    )


@pytest.fixture
def project(company: Company) -> tenure.Project:
    return tenure.Project.open(company.folder)


@pytest.mark.parametrize("method", sorted(set(methods()) - READERS - {"runs"}))
def test_a_method_calls_the_jobs_of_its_command(method: str) -> None:
    command = COMMANDS[NAMED.get(method, method)]
    assert jobs_of(getattr(tenure.Project, method)) == jobs_of(command)


def test_the_door_opens_without_libraries_that_take_seconds() -> None:
    heavy = ("pandas", "lightgbm", "sklearn", "mlflow", "shap", "matplotlib", "duckdb")
    code = f"import tenure, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_frames_are_those_that_commands_left(project: tenure.Project, company: Company) -> None:
    scores = project.scores()
    pd.testing.assert_frame_equal(scores, company.published("scores"))
    assert set(project.portfolio()["account_id"]) == set(scores["account_id"])
    drivers = project.drivers().groupby("account_id")["points"].sum()
    scored = scores.dropna(subset=["health_exact"]).set_index("account_id")
    gap = scored["base_points"] + drivers.reindex(scored.index) - scored["health_exact"]
    assert gap.abs().max() < 1e-9
    features, labels, signals = project.features(), project.labels(), project.signals()
    assert len(features) == len(labels) and labels["is_test"].any()
    assert list(features.columns) == ["account_id", "as_of", *signals["column"]]
    assert project.runs()["run_id"].iloc[-1] == scores["run_id"].iloc[0]
    account = str(scored.index[0])
    assert project.explain(account).score["health"] == scored.loc[account, "health"]
    tested = project.backtest()
    known = labels[labels["is_test"]].dropna(subset=["label"])
    assert len(tested) == len(known)


def test_errors_are_those_of_the_commands(project: tenure.Project) -> None:
    with pytest.raises(NotFound, match="no target 'sales'"):
        project.for_target("sales")
    with pytest.raises(NotFound, match="Nearest"):
        project.explain("nobody of this name")
    with pytest.raises(NotFound, match="Name accounts by their ids"):
        project.contributions(accounts=["nobody"])


@pytest.mark.parametrize("explains", ["log-odds", "health"])
def test_contributions_add_to_the_margin_and_to_the_score(
    project: tenure.Project, explains: str
) -> None:
    explanation = project.contributions(explains=explains)  # type: ignore[arg-type]
    rows, bundle = project.scored_features(), project.model()
    assert explanation.feature_names == bundle.published.columns
    added = explanation.base_values + explanation.values.sum(axis=1)
    if explains == "log-odds":
        wanted = bundle.published.margin(rows[bundle.published.columns])
    else:
        scores = project.scores().set_index("account_id")["health_exact"]
        wanted = scores.reindex(rows["account_id"]).to_numpy()
        added = added[~np.isnan(wanted)]
        wanted = wanted[~np.isnan(wanted)]
    np.testing.assert_allclose(added, wanted, rtol=0, atol=1e-9)


def test_contributions_of_trees_are_those_of_the_shap_package(company: Company) -> None:
    import lightgbm
    import shap

    workspace, target = company.workspace()
    rows, _, _ = load_training(workspace, target)
    settings = replace(GradientBoosting().settings, trees=25)
    trees = GradientBoosting(settings, threads=1).fit(rows.features, rows.labels, rows.signals)
    in_use = tenure.Project.open(company.folder).model(candidate=True)
    model = Model((Member(trees, 1.0),), rows.signals, calibrator=in_use.model.calibrator)
    bundle = replace(in_use, model=model, basis="calibrated")
    shown = rows.features.tail(300)
    ours = shap_explanation(row_contributions(bundle, shown))
    boosters = [lightgbm.Booster(model_str=text) for text in trees.to_dict()["boosters"]]
    theirs = [shap.TreeExplainer(booster)(shown) for booster in boosters]
    values, base = (
        np.mean([getattr(each, name) for each in theirs], axis=0)
        for name in ("values", "base_values")
    )
    assert np.abs(values).max() > 0.01
    np.testing.assert_allclose(ours.values, values, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.base_values, base, rtol=0, atol=1e-6)


@pytest.mark.parametrize("plot", ["beeswarm", "bar", "scatter", "waterfall", "heatmap"])
def test_plots_of_the_shap_package_draw_them(project: tenure.Project, plot: str) -> None:
    import shap
    from matplotlib import pyplot

    explanation = project.contributions(explains="health")
    strongest = int(np.abs(explanation.values).mean(axis=0).argmax())
    shown = {"scatter": explanation[:, strongest], "waterfall": explanation[0]}
    getattr(shap.plots, plot)(shown.get(plot, explanation), show=False)
    assert pyplot.gcf().axes
    pyplot.close("all")


def test_a_signal_of_ones_own_is_measured_on_the_rows_of_the_features(
    project: tenure.Project,
) -> None:
    known = next(card for card in usage.CARDS if card.name == "active_days")
    own = replace(known, name="days_seen", days=(28,))
    features = project.features().sort_values(["account_id", "as_of"], ignore_index=True)
    values = project.own_signal(own)
    pd.testing.assert_frame_equal(
        values.astype({"as_of": features["as_of"].dtype}).rename(
            columns={"days_seen_28d": "active_days_28d"}
        ),
        features[["account_id", "as_of", "active_days_28d"]],
        check_dtype=False,
    )
    elsewhere = replace(known, name="deals", contract="opportunities")
    with pytest.raises(ConfigError, match="'deals' reads 'opportunities': no source"):
        project.own_signal(elsewhere)


# Pages whose blocks need a finished project: `folder` is one that may be changed.
WITH_PROJECT = ("docs/how-to/work-in-python.md",)
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", WITH_PROJECT)
def test_python_of_a_page_runs_on_a_finished_project(
    page: str, company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = bench_job.contenders
    monkeypatch.setattr(
        bench_job,
        "contenders",
        # All others take the same way, and twenty seconds.
        lambda *given, **named: tuple(
            each for each in every(*given, **named) if each.name in (CONSTANT, TUNED)
        ),
    )
    monkeypatch.chdir(company_copy.folder.parent)
    company_copy.folder.rename("crm")
    scope: dict[str, object] = {"__name__": "page"}
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for number, code in enumerate(blocks, 1):
        exec(compile(code, f"{page} block {number}", "exec"), scope)


def test_nothing_that_was_tried_on_the_bench_is_kept_for_promotion(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[object] = []
    workspace, target = company.workspace()
    monkeypatch.setattr(bench_job, "_keep", lambda *result: kept.append(result))
    quick = tuple(Contender(name, "", fitted(Constant)) for name in (CONSTANT, TUNED))
    monkeypatch.setattr(bench_job, "contenders", lambda *_, **__: quick)
    own = Contender("mine", "recency, once more", fitted(Recency))
    result = bench_job.bench_target(workspace, target, own=[own])
    assert list(result.validation["method"]) == [CONSTANT, TUNED, "mine"] and not kept
    bench_job.bench_target(workspace, target)
    assert len(kept) == 1


def fitted(method: type) -> Callable[[TrainingSet], Ranker]:
    return lambda rows: method().fit(rows.features, rows.labels, rows.signals)
