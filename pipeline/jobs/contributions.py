"""What every signal gave to scores: exact contributions of rows, and as `shap` knows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from features.definition import Signal
from features.errors import ConfigError, NotFound
from models.bundle import Bundle, base_of, score
from models.methods import Floats
from pipeline.config.schema import Target
from pipeline.jobs.past_runs import past_bundle
from pipeline.ledger import published_run
from pipeline.reports.contributions import (
    ContributionInputs,
    beeswarm_figure,
    dependence_figure,
)
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    import shap
    from matplotlib.figure import Figure

Explains = Literal["log-odds", "health"]
"""What contributions add up to: the log-odds of the event on the account's own date before the
calibrator, or the health score before rounding.
"""
SHOWN_SIGNALS = 12
"""Signals with a row of their own, in the picture and in the table beside it."""
MOST_DOTS = 1_000
"""Scores drawn in a picture; the table beside it counts all."""
DOTS_PER_INCH = 100
TOGETHER, EITHER_WAY = 0.3, "either way"
"""Rank correlation of values and points from which high values go one way."""


@dataclass(frozen=True, eq=False)
class RowContributions:
    """Contributions of rows: `base` and the sum of a row of `values` are what is explained.

    `values` is an array of shape (n_rows, n_signals), `features` the values of the signals with the
    same shape, NaN where nothing is known.
    """

    base: float
    values: Floats
    features: pd.DataFrame


def scored_features(
    workspace: Workspace,
    target: Target,
    as_of: date | None = None,
    accounts: Sequence[str] | None = None,
) -> pd.DataFrame:
    """What a published run read of each account: account_id, as_of, run_id and its signals, ordered
    by account.

    Parameters
    ----------
    as_of
        Of the run of this date; default: the current run.
    accounts
        Ids of the accounts wanted; default: all.

    Raises
    ------
    NotFound
        When nothing was published, nothing of that date, or an account is not in the run.
    """
    run_id = published_run(workspace.store, target.name, as_of).run_id
    rows = workspace.store.read(
        f"features_scored_{target.name}", filters=[("run_id", "=", run_id)]
    ).sort_values("account_id", kind="stable", ignore_index=True)
    if accounts is None:
        return rows
    missing = sorted(set(accounts) - set(rows["account_id"]))
    if missing:
        raise NotFound(
            f"run {run_id} has no account {', '.join(missing[:5])}. Name accounts by their ids."
        )
    return rows[rows["account_id"].isin(list(accounts))].reset_index(drop=True)


def row_contributions(
    bundle: Bundle, features: pd.DataFrame, explains: Explains = "log-odds"
) -> RowContributions:
    """Contributions of feature rows with the columns of the bundle.

    Raises
    ------
    ConfigError
        When log-odds are asked of a scorecard, which has none.
    """
    if explains == "health":
        return RowContributions(base_of(bundle)[0], score(bundle, features).points, features)
    if bundle.basis == "scorecard":
        raise ConfigError(
            "the scorecard is in use: it has no log-odds. Ask for explains='health', its points."
        )
    return RowContributions(*bundle.published.contributions(features), features)


def published_contributions(
    workspace: Workspace,
    target: Target,
    as_of: date | None = None,
    accounts: Sequence[str] | None = None,
    explains: Explains = "log-odds",
) -> RowContributions:
    """Contributions to the scores of a published run by the model that made it, with the rows of
    `scored_features`.
    """
    run = published_run(workspace.store, target.name, as_of)
    rows = scored_features(workspace, target, as_of, accounts)
    bundle = past_bundle(workspace, target, run)
    features = rows[bundle.published.columns].astype("float64")
    return row_contributions(bundle, features, explains)


def shap_explanation(contributions: RowContributions) -> "shap.Explanation":
    """The same numbers as `shap` takes them, for all of `shap.plots`."""
    import shap

    features = contributions.features
    return shap.Explanation(
        values=contributions.values,
        base_values=np.full(len(features), contributions.base),
        data=features.to_numpy(),
        feature_names=list(features.columns),
    )


def contribution_pictures(
    contributions: RowContributions, signals: Sequence[Signal]
) -> ContributionInputs:
    """What the model card and the run in MLflow show of contributions in points."""
    chosen = np.unique(
        np.linspace(0, len(contributions.features) - 1, MOST_DOTS).round().astype(int)
    )
    shown = RowContributions(
        contributions.base,
        contributions.values[chosen],
        contributions.features.iloc[chosen],
    )
    strongest, words = strongest_signals(contributions, signals), [*map(_words, signals)]
    names = [signal.column for signal in signals]
    columns = [names.index(each) for each in strongest["signal"]]
    explanation = shap_explanation(shown)
    return ContributionInputs(
        strongest,
        _dots(shown, columns),
        _png(beeswarm_figure(explanation, words, len(strongest))),
        _png(dependence_figure(explanation, columns, words)),
    )


def _dots(shown: RowContributions, columns: Sequence[int]) -> pd.DataFrame:
    """signal, value, points: a row for each score and signal drawn; nobody's name is in it."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "signal": shown.features.columns[each],
                    "value": shown.features.iloc[:, each].to_numpy(),
                    "points": shown.values[:, each],
                }
            )
            for each in columns
        ],
        ignore_index=True,
    )


def strongest_signals(contributions: RowContributions, signals: Sequence[Signal]) -> pd.DataFrame:
    """The signals that move scores most, as `ContributionInputs.strongest` has them."""
    sizes = np.abs(contributions.values).mean(axis=0)
    first = np.argsort(-sizes, kind="stable")[:SHOWN_SIGNALS]
    return pd.DataFrame(
        {
            "signal": [signals[each].column for each in first],
            "words": [_words(signals[each]) for each in first],
            "size": sizes[first],
            "high_values": [
                _high_values(
                    contributions.features.iloc[:, each],
                    pd.Series(contributions.values[:, each], contributions.features.index),
                )
                for each in first
            ],
        }
    )


def _high_values(values: "pd.Series[float]", points: "pd.Series[float]") -> str:
    ranks, of_points = values.rank(), points.where(values.notna()).rank()
    if ranks.nunique() < 2 or of_points.nunique() < 2:
        return EITHER_WAY
    together = float(ranks.corr(of_points))
    return EITHER_WAY if abs(together) < TOGETHER else "raise it" if together > 0 else "lower it"


def _words(signal: Signal) -> str:
    """A signal as a label: `active days, 28 days`."""
    name = signal.driver.replace("_", " ")
    return name if signal.window_days is None else f"{name}, {signal.window_days} days"


def _png(figure: "Figure") -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    return drawn.getvalue()
