"""How the score holds when it is old, when a source is missing, and on leading signals alone; on
the untouched test.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ContractError
from models import metrics
from models.contenders import refit
from models.dataset import TrainingSet
from models.intervals import FEWER_REPLICATES
from models.methods.base import Floats
from models.model import Model
from models.plan import TrainingPlan
from models.training import fitted_again

MOST_TOGETHER = 3
"""Sources left out together, at most."""


@dataclass(frozen=True)
class Compared:
    """Other probabilities of the same rows; `difference` is their log loss minus the model's."""

    n: int
    events: int
    log_loss: float
    auc: float
    difference: metrics.Estimate


@dataclass(frozen=True)
class OfAge:
    """Scores that are so many days old, compared with fresh ones."""

    age_days: int
    compared: Compared


@dataclass(frozen=True)
class WithoutSources:
    """The model with the signals of some sources empty, compared with itself."""

    without: tuple[str, ...]
    signals: int
    """How many columns are empty."""
    compared: Compared


@dataclass(frozen=True)
class LeadingAlone:
    """The model fitted again on leading signals, compared with the one on all."""

    signals: int
    lagging: int
    """How many signals are left out."""
    all_log_loss: float
    all_auc: float
    compared: Compared


def by_age(model: Model, test: TrainingSet) -> tuple[OfAge, ...]:
    """Accuracy of scores that are days old: outcomes of one test date against the same accounts'
    scores of an earlier one.

    Only pairs inside the test count, since the model was taught with earlier rows. All ages are
    judged on the same outcomes, those of accounts that have a score of every age, so that rows do
    not differ.

    Empty where there is one test date, or no outcome differs.
    """
    dates = np.sort(test.keys["as_of"].unique())
    if len(dates) < 2 or len(dates) * 2 > len(test):
        return ()
    scores = pd.DataFrame(
        {
            "account_id": test.keys["account_id"].to_numpy(),
            "as_of": test.keys["as_of"].to_numpy(),
            "label": test.labels,
            "probability": model.probability(test.features),
        }
    )
    last = (
        scores[scores["as_of"] == dates[-1]]
        .drop(columns="as_of")
        .rename(columns={"probability": "age_0"})
    )
    ages = {0: "age_0"}
    for date in dates[-2::-1]:
        days = int((dates[-1] - date) / np.timedelta64(1, "D"))
        old = scores.loc[scores["as_of"] == date, ["account_id", "probability"]]
        last = last.merge(old.rename(columns={"probability": f"age_{days}"}), on="account_id")
        ages[days] = f"age_{days}"
    labels = last["label"].to_numpy(dtype=np.int8)
    if len(set(labels.tolist())) < 2:
        return ()
    fresh = metrics.log_losses(labels, last["age_0"].to_numpy())
    return tuple(
        OfAge(days, compared_losses(labels, last[column].to_numpy(), fresh, last["account_id"]))
        for days, column in ages.items()
    )


def without_sources(model: Model, test: TrainingSet) -> tuple[WithoutSources, ...]:
    """What is lost without each source: its signals empty on every row, as if the feed had never
    come.

    Sources go by what their absence costs, the dearest first. The last entries leave out the
    dearest two, and three, together: the curve of a company with less and less data. Empty where no
    outcome differs.
    """
    if len(set(test.labels.tolist())) < 2:
        return ()
    full = metrics.log_losses(test.labels, model.probability(test.features))
    alone = [
        _without(model, test, (source,), full)
        for source in sorted({s.source for s in model.signals if s.source})
    ]
    alone.sort(key=lambda each: (-each.compared.difference.value, each.without))
    together = [
        _without(model, test, tuple(each.without[0] for each in alone[:count]), full)
        for count in range(2, min(MOST_TOGETHER + 1, len(alone)))
    ]
    return (*alone, *together)


def leading_alone(model: Model, rows: TrainingSet, plan: TrainingPlan) -> LeadingAlone | None:
    """What `[features] leading_only` would cost: the model's members fitted and calibrated again
    without lagging signals.

    Lagging signals say what has happened already (paid late, rated badly). Emptied columns would
    charge the model for having relied on them, so it is fitted again, on the same folds; settings
    stay as they were chosen for all signals.

    Judged on the test of `rows`. None where the model reads signals of one sort only, its method
    cannot be made of the leading ones, or no outcome differs.
    """
    leading = tuple(s for s in model.signals if s.is_leading)
    test = rows.test
    if len(leading) in (0, len(model.signals)) or len(set(test.labels.tolist())) < 2:
        return None
    taught = TrainingSet(
        rows.keys, rows.features[[s.column for s in leading]], rows.labels, leading
    )
    half_life = model.training.half_life_days
    try:
        alone = fitted_again(
            taught, plan, lambda some, _: refit(model, some).members, half_life_days=half_life
        )
    except ContractError:
        # Such a scorecard, of signals with declared directions, has none left.
        return None
    probability = model.probability(test.features)
    compared = compared_losses(
        test.labels,
        alone.probability(taught.test.features),
        metrics.log_losses(test.labels, probability),
        test.keys["account_id"],
    )
    return LeadingAlone(
        signals=len(leading),
        lagging=len(model.signals) - len(leading),
        all_log_loss=metrics.log_loss(test.labels, probability),
        all_auc=metrics.auc(test.labels, probability),
        compared=compared,
    )


def _without(
    model: Model, test: TrainingSet, sources: tuple[str, ...], full: Floats
) -> WithoutSources:
    gone = [s.column for s in model.signals if s.source in sources]
    features = test.features.assign(**dict.fromkeys(gone, np.nan))
    compared = compared_losses(
        test.labels, model.probability(features), full, test.keys["account_id"]
    )
    return WithoutSources(sources, len(gone), compared)


def compared_losses(
    labels: "np.ndarray[Any, Any]", probability: Floats, beside: Floats, accounts: pd.Series
) -> Compared:
    """Other probabilities of the rows, beside the model's log losses of each row."""
    losses = metrics.log_losses(labels, probability)
    paired = metrics.paired_difference(losses, beside, accounts, replicates=FEWER_REPLICATES)
    return Compared(
        n=len(labels),
        events=int(labels.sum()),
        log_loss=float(losses.mean()),
        auc=metrics.auc(labels, probability),
        difference=paired,
    )
