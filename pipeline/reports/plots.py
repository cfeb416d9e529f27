"""Pictures for MLflow: reliability, lift, lead time, and importance by dimension and driver."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from models.dataset import TrainingSet
from models.intervals import wilson
from models.metrics import Estimate, lift
from models.model import Model
from pipeline.reports.hindsight import days_of_warning
from pipeline.reports.reliability import reliability_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows explained for the importance picture; more move its bars by less than their width.
EXPLAINED_ROWS = 2_000
LIFT_STEPS = 20
MOST_BARS = 20


def reliability_figure(labels: Any, probability: Any) -> "Figure":
    """Share observed against probability given, in bins of equal count with 95% intervals."""
    figure, (axes,) = _axes(("probability given", "share observed, 95% interval"))
    table = reliability_rows(pd.DataFrame({"label": labels, "probability": probability}))
    below, above = table["rate"] - table["rate_low"], table["rate_high"] - table["rate"]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar(
        table["probability"],
        table["rate"],
        yerr=[below.clip(lower=0), above.clip(lower=0)],
        fmt="o-",
        capsize=3,
    )
    top = float(max(table["probability"].max(), table["rate_high"].max())) * 1.05
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    return figure


def lift_figure(tested: pd.DataFrame, top_decile: Estimate) -> "Figure":
    """How many times more events than by chance among the scores worked on, highest probability
    first.

    Parameters
    ----------
    tested
        Scores of the untouched test with label and probability.
    top_decile
        Lift in the top tenth, with its interval.
    """
    figure, (axes,) = _axes(
        (
            "share of scores worked on, highest probability first",
            "events found, times as many as by chance",
        )
    )
    shares = np.arange(1, LIFT_STEPS + 1) / LIFT_STEPS
    labels, probability = tested["label"].to_numpy(), tested["probability"].to_numpy()
    axes.axhline(1.0, color="0.7", linewidth=1)
    axes.plot(
        shares, [lift(labels, probability, share) for share in shares], marker="o", markersize=4
    )
    value, low, high = top_decile.value, top_decile.low, top_decile.high
    if math.isfinite(value) and math.isfinite(low) and math.isfinite(high):
        axes.errorbar(
            [0.1],
            [value],
            yerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
            fmt="none",
            capsize=4,
            color="0.3",
            label="95% interval in the top tenth",
        )
        axes.legend()
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    return figure


def lead_time_figure(tested: pd.DataFrame) -> "Figure | None":
    """Share of the accounts with the event that were shown as an alarm before, by days before it;
    None where none had one.

    Parameters
    ----------
    tested
        Scores of the untouched test dates with label, band and left_at.
    """
    days = days_of_warning(tested)
    if days.empty:
        return None
    figure, (axes,) = _axes(
        ("days before the event", "share already shown as an alarm, 95% interval")
    )
    warned = days.dropna()
    at = np.arange(0, int(np.ceil(warned.max() if len(warned) else 90)) + 1)
    share = np.array([(warned >= day).sum() / len(days) for day in at])
    ends = np.array([wilson(float(each), len(days)) for each in share])
    axes.fill_between(at, ends[:, 0], ends[:, 1], step="pre", alpha=0.2)
    axes.step(at, share, where="pre")
    half_words = "" if warned.empty else f", half of them {warned.median():.0f} days or more"
    axes.set_title(
        f"{len(warned)} of {len(days)} accounts with the event were an alarm before it{half_words}",
        fontsize=10,
    )
    axes.set_xlim(max(1, at[-1]), 0)
    axes.set_ylim(0, 1)
    return figure


def importance_figure(model: Model, rows: TrainingSet) -> "Figure":
    """Mean size of the contribution of each dimension, and of the drivers with the largest, in
    log-odds.
    """
    step = max(1, len(rows) // EXPLAINED_ROWS)
    _, phi = model.contributions(rows.features.iloc[::step])
    figure, (left, right) = _axes(
        ("mean size of contribution, log-odds", ""), ("mean size of contribution, log-odds", "")
    )
    for axes, title, names in (
        (left, "by dimension", [s.dimension for s in model.signals]),
        (right, "by driver", [s.driver for s in model.signals]),
    ):
        # Signals of one name add up account by account first, as points do: opposite ones cancel.
        parts = pd.DataFrame(phi.T).groupby(pd.Series(names)).sum()
        top = parts.abs().mean(axis=1).sort_values(kind="stable").tail(MOST_BARS)
        axes.barh([str(name).replace("_", " ") for name in top.index], top.to_numpy())
        axes.set_title(title, fontsize=10)
    return figure


def _axes(*labels: tuple[str, str]) -> tuple["Figure", list[Any]]:
    """A figure of panels side by side, each with the names of its two axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7 if len(labels) == 1 else 11, 5), layout="constrained")
    panels = list(figure.subplots(1, len(labels), squeeze=False)[0])
    for axes, (x, y) in zip(panels, labels, strict=True):
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return figure, panels
