"""What the newest bench of a target recommended, in words, beside the model that is put to use:
advice, never a gate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from models.artifact import fingerprint
from models.bundle import Bundle
from models.contenders import CONSTANT, TUNED
from pipeline.config.schema import Target
from pipeline.workspace import Workspace

NO_BENCH = "no bench run yet: `tenure bench`"
NO_MODEL = "none"
"""In the column `tuned_model`: no model was trained when the bench ran, so untuned LightGBM stood
in its place.
"""
SCORECARD = "scorecard"
VALIDATION, TEST = "validation_log_loss", "log_loss"
_ENDS = ("", "_low", "_high")
_SPOKEN = {
    TUNED: "the tuned model",
    CONSTANT: "the constant",
    SCORECARD: "the scorecard",
    "hybrid": "the hybrid",
    "lightgbm": "untuned LightGBM",
    "logistic": "logistic regression",
}

Losses = Mapping[str, Mapping[str, float]]
"""Method -> the figures of its log loss: value, minus_best, minus_tuned and their ends."""


@dataclass(frozen=True)
class BenchAdvice:
    """What the newest bench recommended, which of its methods the model is, whether they agree, and
    all of it in words.
    """

    recommended: str
    method: str
    agrees: bool
    benched_at: datetime
    words: str


def bench_advice(workspace: Workspace, target: Target, bundle: Bundle) -> BenchAdvice | None:
    """Return what the newest bench of the target says of a bundle, by its basis; None where none
    was run.
    """
    table = _newest(workspace, target)
    if table is None:
        return None
    method = SCORECARD if bundle.basis == SCORECARD else TUNED
    recommended = str(table.loc[table["is_recommended"].to_numpy(dtype=bool), "method"].iloc[0])
    # A model of few events may be a plain logistic regression, which the bench lists under its own
    # name as well.
    agrees = recommended == method or (method == TUNED and recommended == bundle.model.name)
    benched_at = pd.Timestamp(table["benched_at"].iloc[0]).to_pydatetime()
    on_validation, on_test = _losses(table, VALIDATION), _losses(table, TEST)
    said = [
        _recommendation(on_validation, recommended, f"{benched_at:%Y-%m-%d}"),
        (
            "That is the method here."
            if agrees
            else _comparison(on_validation, on_test, recommended, method)
        ),
    ]
    if method == TUNED:
        said += _other_model(table, fingerprint(bundle.model)[:12])
    return BenchAdvice(recommended, method, agrees, benched_at, " ".join(said))


def _newest(workspace: Workspace, target: Target) -> pd.DataFrame | None:
    """Rows of the target's bench, each new one of which replaces the one before."""
    if not workspace.store.exists("bench"):
        return None
    table = workspace.store.read("bench", filters=[("target", "=", target.name)])
    return None if table.empty else table


def _losses(table: pd.DataFrame, metric: str) -> Losses:
    figures = [name for name in table.columns if name == "value" or name.startswith("minus_")]
    rows = table.loc[table["metric"] == metric, ["method", *figures]]
    return {
        str(row["method"]): {name: float(row[name]) for name in figures}
        for row in rows.to_dict("records")
    }


def _recommendation(losses: Losses, recommended: str, day: str) -> str:
    """What was recommended and why, by the validation dates."""
    best, chosen = min(losses, key=lambda name: losses[name]["minus_best"]), losses[recommended]
    if best == recommended:
        return (
            f"the bench of {day} recommends {_spoken(recommended)}: the smallest log loss on the"
            f" validation dates ({chosen['value']:.4f}), and no smaller method with reasons is"
            " within noise of it."
        )
    gap = _interval(*(chosen[f"minus_best{end}"] for end in _ENDS))
    if chosen["minus_best_low"] > 0.0:
        return (
            f"the bench of {day} recommends {_spoken(recommended)}, the best that gives reasons;"
            f" {_spoken(best)}, which gives none, is better beyond noise (log loss {gap})."
        )
    words = (
        f"the bench of {day} found {_spoken(recommended)} adequate: the smallest method with"
        f" reasons within noise of the best, {_spoken(best)} (log loss {gap})."
    )
    return words + (
        " No method was shown to know more than the rate." if recommended == CONSTANT else ""
    )


def _comparison(on_validation: Losses, on_test: Losses, recommended: str, method: str) -> str:
    """By how much the method here differs from the recommended one, on the validation dates and on
    the test.
    """
    gaps = [
        f"{_gap(losses, recommended, method)} on the {where}"
        for losses, where in ((on_validation, "validation dates"), (on_test, "test"))
    ]
    return (
        f"The method here is {_spoken(method)}: its log loss minus that of {_spoken(recommended)}"
        f" is {' and '.join(gaps)} (below 0: this one is better). Advice; the gates do not ask it."
    )


def _gap(losses: Losses, recommended: str, method: str) -> str:
    """Method minus recommended; with the paired interval where the bench kept one, which is against
    the tuned model.
    """
    if method not in losses:
        return "not measured"
    value, low, high = (losses[recommended].get(f"minus_tuned{end}", math.nan) for end in _ENDS)
    if method == TUNED and not math.isnan(value):
        return _interval(-value, -high, -low)
    return _interval(losses[method]["value"] - losses[recommended]["value"])


def _other_model(table: pd.DataFrame, version: str) -> list[str]:
    """A bench older than the model measured other settings than its own."""
    measured = table["tuned_model"].iloc[0] if "tuned_model" in table else None
    if measured is None or measured == version:
        return []
    if measured == NO_MODEL:
        return [
            "No model was trained when it ran, so untuned LightGBM stood in its place: run `tenure"
            " bench` again."
        ]
    return [
        f"It measured the settings of another model ({measured}, this is {version}): run `tenure"
        " bench` again to be sure."
    ]


def _interval(value: float, low: float = math.nan, high: float = math.nan) -> str:
    # Adding 0 turns -0.0 into 0.0: a method against its equal must not read -0.0000.
    shown = f"{value + 0.0:+.4f}"
    return shown if math.isnan(low) else f"{shown} (95% {low + 0.0:+.4f} to {high + 0.0:+.4f})"


def _spoken(method: str) -> str:
    return _SPOKEN.get(method, method.replace("_", " "))
