"""AutoGluon's tabular predictor: what `benchmarks.quality` compares with, in an environment of its
own.

Run by that benchmark with one folder: reads `train.parquet` (signals and `_label`, where asked
`_fold`), `test.parquet` (signals) and `options.json`; writes `answer.parquet` (`probability`, in
the order of the test) and `facts.json`.
"""

import json
import logging
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from autogluon.tabular.trainer import abstract_trainer
from scipy.optimize import minimize_scalar

LABEL, FOLD = "_label", "_fold"
# Everything that learns on neural networks, by AutoGluon's own keys; trees, forests and lines stay.
DEEP = [
    "NN_TORCH",
    "FASTAI",
    "TABM",
    "REALMLP",
    "TABPFNMIX",
    "REALTABPFN-V2",
    "REALTABPFN-V2.5",
    "TABICL",
    "TABDPT",
    "MITRA",
    "FT_TRANSFORMER",
    "AG_AUTOMM",
    "AG_TEXT_NN",
    "AG_IMAGE_NN",
]


def temperature(y_val_probs: Any, y_val: Any, **_: Any) -> float | None:
    """The divisor of log-odds with the smallest log loss on AutoGluon's own validation, as its
    function of this name.
    """
    with np.errstate(divide="ignore"):
        logit = np.log(y_val_probs[:, 1]) - np.log(y_val_probs[:, 0])
    if not np.isfinite(logit).all():
        return None
    side = np.where(y_val == 1, 1.0, -1.0)
    found = minimize_scalar(
        lambda log: np.logaddexp(0.0, -side * logit * np.exp(-log)).mean(),
        bounds=(-3.0, 3.0),
        method="bounded",
    )
    return float(np.exp(found.x))


def calibrate_without_torch() -> None:
    """Let AutoGluon calibrate, which it leaves out where PyTorch is not installed: it takes it for
    one number only.
    """
    abstract_trainer.try_import_torch = lambda: None
    abstract_trainer.tune_temperature_scaling = temperature


def predict(
    train: pd.DataFrame, test: pd.DataFrame, options: dict[str, Any], folder: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Probabilities of the test rows, and what became of the run."""
    started = time.monotonic()
    # AutoGluon's search for the depth of stacking cannot be had with folds that are given.
    given = {"groups": FOLD} if FOLD in train else {}
    more = {"dynamic_stacking": False} if given else {}
    predictor = TabularPredictor(
        LABEL,
        problem_type="binary",
        eval_metric="log_loss",
        path=str(folder / "models"),
        verbosity=0,
        **given,
    )
    predictor.fit(
        train,
        presets=options["presets"],
        time_limit=options["time_limit"],
        num_cpus=options["threads"],
        num_gpus=0,
        excluded_model_types=DEEP,
        **more,
    )
    seconds = time.monotonic() - started
    board = predictor.leaderboard()
    probability = predictor.predict_proba(test, as_multiclass=True)[1]
    facts = {
        "version": version("autogluon.tabular"),
        "fit_seconds": round(seconds),
        "best": predictor.model_best,
        "models": len(board),
        "own_log_loss": round(-float(board["score_val"].max()), 5),
    }
    return pd.DataFrame({"probability": probability.to_numpy(dtype="float64")}), facts


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    calibrate_without_torch()
    place = Path(sys.argv[1])
    answer, found = predict(
        pd.read_parquet(place / "train.parquet"),
        pd.read_parquet(place / "test.parquet"),
        json.loads((place / "options.json").read_text(encoding="utf-8")),
        place,
    )
    answer.to_parquet(place / "answer.parquet")
    (place / "facts.json").write_text(json.dumps(found), encoding="utf-8")
