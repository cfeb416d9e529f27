"""Models of simulated companies against the truth that only the simulator knows.

    python -m benchmarks.simulated --accounts 5000 [--seeds 1 2] [--json]
    python -m benchmarks.simulated --small --seeds 1 2 3 [--json]

Every seed is one company, run through the whole flow as `tenure demo` does. Log losses are taken
against the true probability of leaving, so they hold no luck of the draw. *Attainable* is the log
loss of trees that were taught with the true probabilities on the training dates: what the signals
allow, not what the full state would. *Coverage* is the share of score bins whose mean true
probability lies inside the bin's mean interval, which is what the published interval means; it is
also printed for the accounts whose contract ends within the horizon, since the others cannot leave.

`--small` is the firm of 900 accounts and about 70 leavers a year (1,100 signed, 7.8% a year).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bundle import Bundle
from models.dataset import TrainingSet
from models.health.standing import standing
from pipeline.config.schema import Target
from pipeline.flow import run_flow
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import load_version
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.tracking import CHALLENGER
from pipeline.workspace import Workspace, open_workspace

Floats = NDArray[np.float64]
SMALL_ACCOUNTS, SMALL_YEARLY_CHURN = 1_100, 0.078
BINS = 10
HORIZON_DAYS = 90
FUTURES = 60
"""Futures simulated per account and date: with few, the truth of a calm bin is noise beside its
interval.
"""
# Trees taught with probabilities instead of outcomes hardly overfit.
_TAUGHT = {
    "objective": "cross_entropy",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.5,
    "num_threads": 2,
    "verbose": -1,
    "deterministic": True,
    "seed": 0,
}


def expected_log_loss(truth: Floats, probability: Floats) -> float:
    """Mean log loss over all outcomes the truth allows."""
    held = np.clip(probability, 1e-9, 1 - 1e-9)
    return float(-(truth * np.log(held) + (1 - truth) * np.log1p(-held)).mean())


def measure(accounts: int, seed: int, yearly_churn: float | None = None) -> dict[str, Any]:
    """Simulate one company, run the flow, and judge what it published."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "demo"
        write_world(
            simulate(
                accounts,
                seed,
                options=WorldOptions(yearly_churn=yearly_churn, truth_replicates=FUTURES),
            ),
            folder,
        )
        workspace = open_workspace(folder, None, datetime(2026, 1, 1))
        target = workspace.target(None)
        started = time.monotonic()
        run = run_flow(workspace, target, lambda step, words: None)
        seconds = time.monotonic() - started
        judged = _judge(workspace, target, pd.read_parquet(folder / "truth" / "churn_90d.parquet"))
        scores = run.published.scores
    health = scores["health_exact"].dropna()
    return {
        "accounts": accounts,
        "seed": seed,
        "seconds": round(seconds),
        **judged,
        "basis": run.published.run.basis,
        "refused": run.refused,
        "scored": len(health),
        "share_at_ends": round(float(((health <= 0) | (health >= 100)).mean()), 4),
        "red": int((standing(scores) == "at_risk").sum()),
        "gates": [gate.name for gate in run.evaluation.refusals] if run.evaluation else [],
    }


def _judge(workspace: Workspace, target: Target, truth: pd.DataFrame) -> dict[str, Any]:
    rows, _, _ = load_training(workspace, target)
    version = load_version(workspace, target, CHALLENGER)
    assert version is not None
    bundle, baselines = version.bundle, version.baselines
    known = truth_of(rows, truth)
    has_truth = ~np.isnan(known)
    is_test = rows.keys["is_test"].to_numpy(dtype=bool)
    test, true = rows.rows(is_test & has_truth), known[is_test & has_truth]
    probability = bundle.model.probability(test.features)
    losses = {
        "ours": expected_log_loss(true, probability),
        "truth": expected_log_loss(true, true),
        "constant": expected_log_loss(true, baselines["constant"].probability(test.features)),
        "constant_hindsight": expected_log_loss(true, np.full(len(true), true.mean())),
    }
    for name in ("logistic", "lightgbm", "recency", "scorecard"):
        if name in baselines:
            losses[name] = expected_log_loss(true, baselines[name].probability(test.features))
    taught = ~is_test & has_truth
    losses["attainable"] = expected_log_loss(
        true, attainable(rows.rows(taught), known[taught], test)
    )
    gain = losses["constant"] - losses["ours"]
    return {
        "method": bundle.model.name,
        "test_rows": len(true),
        "leaving_accounts": bundle.model.training.leaving_accounts,
        "log_loss": {name: round(value, 5) for name, value in losses.items()},
        "share_of_attainable": round(gain / (losses["constant"] - losses["attainable"]), 4),
        "share_of_truth": round(gain / (losses["constant"] - losses["truth"]), 4),
        "mean_expected": round(float(probability.mean()), 4),
        "mean_true": round(float(true.mean()), 4),
        **_coverage(bundle, test, true, probability),
    }


def truth_of(rows: TrainingSet, truth: pd.DataFrame) -> Floats:
    """True probability per row; NaN where the simulator wrote none, or notice was already given."""
    told = truth[~truth["notice_known"]] if "notice_known" in truth else truth
    told = told.set_index(["account_id", "as_of"])["probability"]
    wanted = pd.MultiIndex.from_frame(
        rows.keys[["account_id", "as_of"]].astype({"as_of": truth["as_of"].dtype})
    )
    return np.asarray(told.reindex(wanted).to_numpy(dtype=np.float64))


def attainable(train: TrainingSet, true: Floats, test: TrainingSet) -> Floats:
    """What trees say that were taught the true probabilities of the training dates; rounds chosen
    on the latest of them.
    """
    last = np.sort(train.keys["as_of"].unique())[-max(1, train.keys["as_of"].nunique() // 4)]
    late = (train.keys["as_of"] >= last).to_numpy()
    values = train.features.to_numpy()
    early_rows = lgb.Dataset(values[~late], label=true[~late], params=_TAUGHT)
    fitted = lgb.train(
        _TAUGHT,
        early_rows,
        1_500,
        valid_sets=[lgb.Dataset(values[late], label=true[late], reference=early_rows)],
        callbacks=[lgb.early_stopping(50, verbose=False)],
    )
    rounds = max(20, fitted.best_iteration)
    final = lgb.train(_TAUGHT, lgb.Dataset(values, label=true, params=_TAUGHT), rounds)
    return np.asarray(final.predict(test.features.to_numpy()))


def _coverage(
    bundle: Bundle, test: TrainingSet, true: Floats, probability: Floats
) -> dict[str, Any]:
    """Share of score bins whose mean truth lies in their mean interval, and calibration of the
    score against the truth.
    """
    low, high = bundle.model.interval(test.features)
    everybody = np.argsort(probability, kind="stable")
    # A contract that ends after the horizon makes the truth 0, which no interval in log-odds can
    # hold.
    can_leave = everybody[(test.features["days_to_renewal"] <= HORIZON_DAYS).to_numpy()[everybody]]

    def coverage(rows: NDArray[np.intp]) -> float:
        bins = np.array_split(rows, BINS)
        return round(
            float(
                np.mean(
                    [low[each].mean() <= true[each].mean() <= high[each].mean() for each in bins]
                )
            ),
            3,
        )

    z, p = np.log(probability / (1 - probability)), probability
    # One Newton step from slope 1 tells how far the slope of the truth on the score is from 1.
    design = np.column_stack([np.ones(len(z)), z])
    weight = p * (1 - p)
    step = np.linalg.solve(design.T @ (design * weight[:, None]), design.T @ (true - p))
    return {
        "coverage": coverage(everybody),
        "coverage_can_leave": coverage(can_leave),
        "slope_against_truth": round(float(1 + step[1]), 3),
        "interval_width": round(float((high - low).mean()), 4),
    }


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several companies say together."""
    frame = pd.DataFrame(
        [{**one, **{f"loss_{k}": v for k, v in one["log_loss"].items()}} for one in results]
    )
    return {
        "companies": len(frame),
        "promoted": int((frame["basis"] == "calibrated").sum()),
        "no_worse_than_constant": round(
            float((frame["loss_ours"] <= frame["loss_constant"] + 0.002).mean()), 3
        ),
        "mean_share_of_attainable": round(float(frame["share_of_attainable"].mean()), 3),
        "mean_coverage": round(float(frame["coverage"].mean()), 3),
        "mean_coverage_can_leave": round(float(frame["coverage_can_leave"].mean()), 3),
        "largest_seconds": int(frame["seconds"].max()),
        "most_at_ends": float(frame["share_at_ends"].max()),
        "fewest_red": int(frame["red"].min()),
    }


def main() -> None:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=5_000)
    parser.add_argument(
        "--small", action="store_true", help="the firm of 900 accounts and 70 leavers a year"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    size = (SMALL_ACCOUNTS, SMALL_YEARLY_CHURN) if arguments.small else (arguments.accounts, None)
    results = []
    for seed in arguments.seeds:
        results.append(measure(size[0], seed, size[1]))
        if not arguments.json:
            _tell(results[-1])
    if arguments.json:
        print(json.dumps({"companies": results, "summary": summary(results)}))
        return
    print(
        "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in summary(results).items())
    )


def _tell(one: Mapping[str, Any]) -> None:
    losses = ", ".join(f"{name} {value:.4f}" for name, value in one["log_loss"].items())
    refused = f"; refused: {', '.join(one['gates'])}" if one["gates"] else ""
    print(
        f"seed {one['seed']}: {one['scored']:,} scored, {one['leaving_accounts']} leavers in"
        f" training, {one['basis']} ({one['method']}), {one['red']} red, {one['share_at_ends']:.1%}"
        f" at 0 or 100, {one['seconds']} s\n  log loss against the truth: {losses}\n "
        f" {one['share_of_attainable']:.0%} of the attainable gain, {one['share_of_truth']:.0%} of"
        f" the truth's; {one['mean_expected']:.2%} expected, {one['mean_true']:.2%} true; slope"
        f" {one['slope_against_truth']:.2f}; intervals hold {one['coverage']:.0%} of bins"
        f" ({one['coverage_can_leave']:.0%} of bins of accounts whose contract ends within the"
        f" horizon), {one['interval_width']:.2%} wide on average{refused}",
        flush=True,
    )


if __name__ == "__main__":
    main()
