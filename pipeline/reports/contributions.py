"""What signals give to scores as pictures: drawn by `shap` from tenure's own exact points."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import shap
    from matplotlib.figure import Figure

SHOWN_CURVES = 4
UNIT = "points of the score"


@dataclass(frozen=True)
class ContributionInputs:
    """What the model card shows of contributions.

    Parameters
    ----------
    strongest
        The signals that move the score most, the first one most: signal, words, size (mean size in
        points), high_values (`raise it`, `lower it` or `either way`).
    dots
        What both pictures draw: signal, value, points, a row for each dot of these signals.
    beeswarm, dependence
        Pictures as PNG.
    """

    strongest: pd.DataFrame
    dots: pd.DataFrame
    beeswarm: bytes
    dependence: bytes

    @property
    def beeswarm_words(self) -> str:
        """The beeswarm for those who cannot see it."""
        return (
            f"The {len(self.strongest)} signals that move the score most, the strongest on top: a"
            " dot for each score of the test at the points the signal gave it, red where its value"
            f" is high and blue where it is low. {self._first(3)} The table holds all of them."
        )

    @property
    def dependence_words(self) -> str:
        """The curves for those who cannot see them."""
        names = ", ".join(self.strongest["words"].head(SHOWN_CURVES))
        return f"Points by value, a dot for each score of the test, for {names}."

    def _first(self, count: int) -> str:
        return " ".join(
            f"{row.words}: {row.size:.1f} points on average, high values {row.high_values}."
            for row in self.strongest.head(count).itertuples()
        )


def beeswarm_figure(explanation: "shap.Explanation", words: Sequence[str], shown: int) -> "Figure":
    """A row of dots per signal, the strongest on top, and what all others add up to.

    Parameters
    ----------
    words
        What each signal is called, in the order of the explanation's columns.
    shown
        How many signals get a row of their own.
    """
    import shap

    figure, axes = _figure(1, (7.0, 5.6))
    with _same_every_time():
        shap.plots.beeswarm(
            _named(explanation, words),
            ax=axes[0],
            plot_size=None,
            show=False,
            max_display=shown + 1,
            color_bar_label="value of the signal",
        )
    # Customer-success people call a feature what their product can do.
    names = [each.get_text().replace("features", "signals") for each in axes[0].get_yticklabels()]
    axes[0].set_yticks(axes[0].get_yticks(), names, fontsize=10)
    axes[0].set_xlabel(UNIT, fontsize=10)
    return _let_go(figure)


def dependence_figure(
    explanation: "shap.Explanation", columns: Sequence[int], words: Sequence[str]
) -> "Figure":
    """Points by value of the first few of chosen signals, with the histogram of their values
    behind.

    Parameters
    ----------
    columns
        Positions of the signals in the explanation.
    """
    import shap

    columns = columns[:SHOWN_CURVES]
    named = _named(explanation, words)
    figure, axes = _figure(len(columns), (11.0, 3.4 * ((len(columns) + 1) // 2)))
    with _same_every_time():
        for panel, column in zip(axes, columns, strict=False):
            shap.plots.scatter(named[:, column], ax=panel, show=False)
            panel.set_xlabel(named.feature_names[column], fontsize=10)
            panel.set_ylabel(UNIT, fontsize=10)
    return _let_go(figure)


def _named(explanation: "shap.Explanation", words: Sequence[str]) -> "shap.Explanation":
    """The explanation with these names; a `$` in one would begin a formula, or stop the drawing."""
    import shap

    return shap.Explanation(
        values=explanation.values,
        base_values=explanation.base_values,
        data=explanation.data,
        feature_names=[each.replace("$", r"\$") for each in words],
    )


def _figure(panels: int, size: tuple[float, float]) -> tuple["Figure", list[Any]]:
    """A figure that needs no screen, with its panels in up to two columns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    across = min(2, panels)
    grid = figure.subplots((panels + across - 1) // across, across, squeeze=False)
    return figure, list(grid.ravel())


def _let_go(figure: "Figure") -> "Figure":
    """Have pyplot, to which shap introduces every figure, forget it."""
    from matplotlib import pyplot

    pyplot.close(figure)
    return figure


@contextmanager
def _same_every_time() -> Iterator[None]:
    """shap scatters dots by numpy's global generator: seed it, and leave it as it was found."""
    state_before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state_before)
