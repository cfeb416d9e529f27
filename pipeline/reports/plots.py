"""Pictures for MLflow: reliability, and importance by driver."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from models.dataset import TrainingSet
from models.metrics import reliability_table
from models.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows explained for the importance picture; more move its bars by less than their width.
SAMPLE = 2_000


def reliability_figure(labels: Any, probability: Any) -> "Figure":
    """Share observed against probability given, in bins of equal count."""
    figure, axes = _axes("probability given", "share observed")
    table = reliability_table(np.asarray(labels), np.asarray(probability))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(table["probability"], table["rate"], marker="o")
    top = float(max(table["probability"].max(), table["rate"].max())) * 1.1
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    return figure


def importance_figure(model: Model, rows: TrainingSet, most: int = 20) -> "Figure":
    """Mean size of the contribution of each driver, in log-odds."""
    step = max(1, len(rows) // SAMPLE)
    _, phi = model.contributions(rows.features.iloc[::step])
    size = pd.Series(np.abs(phi).mean(axis=0), index=[s.driver for s in model.signals]).groupby(level=0).sum()
    top = size.sort_values().tail(most)
    figure, axes = _axes("mean size of contribution, log-odds", "")
    axes.barh(list(top.index), top.to_numpy())
    return figure


def _axes(x: str, y: str) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes
