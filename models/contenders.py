"""Which methods the bench compares, from the simplest to the most elaborate, and how each is
made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.dataset import TrainingSet
from models.declared import CLUSTERS, MODEL_SHARE, Action, Match, Rule, ScorePart
from models.methods import (
    Actions,
    Constant,
    ContractCalendar,
    Floats,
    GradientBoosting,
    Hybrid,
    Logistic,
    Method,
    Recency,
    Rules,
    Scorecard,
    UsageDrop,
    WeightedAverage,
    fit_members,
    leaving_window,
)
from models.methods.clusters import Clusters
from models.methods.cohort import Cohorts, SegmentLine
from models.methods.comparators import NeuralNetwork, RandomForest
from models.methods.segment_weights import SegmentWeights
from models.methods.survival import Survival
from models.methods.weighted_average import four_indicators, frequency_breadth_depth
from models.model import Member, Model
from models.splits import account_groups
from models.targets import ENDS_OF_COVER
from models.tuning import row_weights

TUNED = "tuned"
CONSTANT = "constant"
SEGMENT = "segment"
"""Column of a training set's keys that names the segment of each row, as known on its date; None
where it has none.
"""
UNSEEN = 3
"""Groups of accounts between which the model is fitted and its margins taken, for the cohorts."""


class Ranker(Protocol):
    """What the bench asks of a fitted method: log-odds, or a ranking on their side."""

    @property
    def margin(self) -> Callable[..., Floats]:
        """Takes what `Contender.inputs` gives; returns one number per row, high where the event is
        likely.
        """
        ...


@dataclass(frozen=True, eq=False)
class Contender:
    """A method of the bench: its name, what it is in words, and how rows make it."""

    name: str
    words: str
    fit: Callable[[TrainingSet], Ranker]
    is_log_odds: bool = True
    """Otherwise the margin only ranks, and the sigmoid has to find its scale."""
    gives_reasons: bool = True
    """Otherwise it is compared and never recommended: a score without points that add is not
    published.
    """
    pooled: str | None = None
    """The contender it equals where segments do not differ; only such a method is told the segment
    of each row.
    """

    def inputs(self, rows: TrainingSet) -> tuple[Any, ...]:
        """Return what the fitted method reads of rows: the features, and segments where it knows
        them.
        """
        return (
            (rows.features,)
            if self.pooled is None
            else (rows.features, rows.keys[SEGMENT].to_numpy(dtype=object))
        )


@dataclass(frozen=True)
class CohortDetails:
    """Level and slope of each segment."""

    segments: tuple[SegmentLine, ...]


@dataclass(frozen=True)
class Cohort:
    """The project's model with a level and a slope per segment."""

    model: Any
    cohorts: Cohorts

    def margin(self, features: pd.DataFrame, segments: NDArray[Any]) -> Floats:
        """Return log-odds."""
        level, slope = self.cohorts.line(segments)
        return np.asarray(level + slope * self.model.margin(features), dtype=np.float64)

    def contributions(
        self, features: pd.DataFrame, segments: NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Return a base per row, which differs between segments, and contributions of shape
        (n_rows, n_signals).
        """
        level, slope = self.cohorts.line(segments)
        base, phi = self.model.contributions(features)
        return level + slope * base, slope[:, None] * phi

    def describe(self) -> CohortDetails:
        """Return the line of each segment."""
        return CohortDetails(tuple(self.cohorts.lines()))


@dataclass(frozen=True)
class BenchSettings:
    """What a project declares for the bench; what is absent is proposed from the signals."""

    actions: tuple[Action, ...] = ()
    rules: tuple[Rule, ...] = ()
    match: Match = "all"
    weights: tuple[ScorePart, ...] = ()
    usage_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """frequency, breadth, depth -> signals."""
    clusters: int = CLUSTERS
    hybrid_share: float = MODEL_SHARE
    is_event_good: bool = False
    seed: int = 0
    threads: int = 2
    target: Mapping[str, Any] = field(default_factory=dict)
    """Plain facts about what is predicted, as a model keeps them."""


def contenders(
    settings: BenchSettings,
    model: Model | None,
    elapsed: pd.Series,
    *,
    line_l2: float = 0.01,
    has_segments: bool = False,
) -> tuple[Contender, ...]:
    """Return the methods in the order of effort: to explain, to fit, to keep running.

    Parameters
    ----------
    model
        The project's trained model; its settings are fitted again on the rows the others see. None:
        LightGBM as it comes stands in its place.
    elapsed
        Share of the horizon passed at the event, per (account_id, as_of); for `survival`.
    line_l2
        Strength of the straight lines.
    has_segments
        Whether the rows' keys name segments: then those methods run too that let segments differ.
    """
    good, seed, threads = settings.is_event_good, settings.seed, settings.threads

    def plain(make: Callable[[], Any]) -> Callable[[TrainingSet], Ranker]:
        return lambda rows: make().fit(rows.features, rows.labels, rows.signals, seed=seed)

    def boosting() -> GradientBoosting:
        return GradientBoosting(threads=threads, is_event_good=good)

    def four(rows: TrainingSet) -> Ranker:
        parts = four_indicators(rows.features, rows.signals)
        return _fitted(WeightedAverage(parts, is_event_good=good), rows, seed)

    def usage(rows: TrainingSet) -> Ranker:
        parts = frequency_breadth_depth(rows.signals, dict(settings.usage_parts))
        return _fitted(WeightedAverage(parts, is_event_good=good), rows, seed)

    def survival(rows: TrainingSet) -> Ranker:
        pairs = pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]])
        moments = elapsed.reindex(pairs).to_numpy(dtype=np.float64)
        return Survival(line_l2).fit(
            rows.features, rows.labels, rows.signals, seed=seed, elapsed=moments
        )

    def term(rows: TrainingSet) -> Ranker:
        return _fitted(ContractCalendar(leaving_window(settings.target)), rows, seed)

    def points() -> Method:
        if settings.rules:
            return Rules(settings.rules, match=settings.match, is_event_good=good)
        return Scorecard(is_event_good=good)

    def hybrid(rows: TrainingSet) -> Ranker:
        members = _unfitted(model) if model is not None else [(boosting(), 1.0)]
        mixed = Hybrid(points(), members, share=settings.hybrid_share)
        return mixed.fit(
            rows.features, rows.labels, rows.signals, seed=seed, weights=_age_weights(model, rows)
        )

    def tuned(rows: TrainingSet) -> Ranker:
        return (
            boosting().fit(rows.features, rows.labels, rows.signals, seed=seed)
            if model is None
            else refit(model, rows)
        )

    def segment_weights(rows: TrainingSet) -> Ranker:
        return SegmentWeights(settings.weights, is_event_good=good).fit(
            rows.features,
            rows.labels,
            rows.signals,
            accounts=rows.keys["account_id"],
            segments=rows.keys[SEGMENT].to_numpy(),
        )

    def cohort(rows: TrainingSet) -> Ranker:
        accounts = rows.keys["account_id"]
        margin = _unseen_margin(tuned, rows)
        return Cohort(
            tuned(rows), Cohorts().fit(margin, rows.labels, accounts, rows.keys[SEGMENT].to_numpy())
        )

    every = (
        Contender(CONSTANT, "the same for everybody", plain(Constant)),
        Contender("recency", "days since the last activity", plain(Recency)),
        *(
            (Contender("contract_calendar", "length of term and days to its end", term),)
            if settings.target.get("kind") in ENDS_OF_COVER
            else ()
        ),
        Contender("usage_drop", "change in usage", plain(UsageDrop)),
        Contender("four_indicators", "set-up, usage, NPS, pulse; no history", four, False),
        Contender(
            "scorecard",
            "mean of up to six percentiles",
            plain(lambda: Scorecard(is_event_good=good)),
            False,
        ),
        Contender("usage_score", "frequency, breadth, depth", usage, False),
        Contender(
            "actions",
            "points for actions",
            plain(lambda: Actions(settings.actions, is_event_good=good)),
            False,
        ),
        Contender(
            "rules",
            f"rules, {settings.match} that hold",
            plain(lambda: Rules(settings.rules, match=settings.match, is_event_good=good)),
            False,
        ),
        Contender(
            "weighted_average",
            "weights by hand" if settings.weights else "weights from past outcomes",
            plain(lambda: WeightedAverage(settings.weights, is_event_good=good)),
            False,
        ),
        Contender(
            "segment_weights",
            "weighted average, weights per segment",
            segment_weights,
            False,
            pooled="weighted_average",
        ),
        Contender(
            "clusters",
            "rate of the behavioural group",
            plain(lambda: Clusters(settings.clusters)),
            gives_reasons=False,
        ),
        Contender("logistic", "logistic regression", plain(lambda: Logistic(line_l2))),
        Contender("survival", "discrete-time hazards", survival, gives_reasons=False),
        Contender(
            "random_forest",
            "random forest",
            plain(lambda: RandomForest(threads=threads)),
            gives_reasons=False,
        ),
        Contender("neural_network", "neural network", plain(NeuralNetwork), gives_reasons=False),
        Contender("lightgbm", "LightGBM, untuned", plain(boosting)),
        Contender(
            TUNED,
            (
                "the project's model"
                if model is not None
                else "LightGBM, untuned: no model is trained"
            ),
            tuned,
        ),
        Contender(
            "hybrid",
            f"{points().name.replace('_', ' ')} and model, {settings.hybrid_share:.0%} model",
            hybrid,
        ),
        # Here a base differs between segments; `models.cohorts` publishes such a model with one
        # base and points that add.
        Contender(
            "cohort",
            "the project's model, level and slope per segment",
            cohort,
            gives_reasons=False,
            pooled=TUNED,
        ),
    )
    return tuple(each for each in every if has_segments or each.pooled is None)


def _unseen_margin(fit: Callable[[TrainingSet], Ranker], rows: TrainingSet) -> Floats:
    """Margins of rows by a model that never saw their account: on its own rows a model hides what
    it misses.
    """
    group = account_groups(rows.keys["account_id"], rows.labels, UNSEEN)
    margin = np.empty(len(rows))
    for number in range(UNSEEN):
        margin[group == number] = fit(rows.rows(group != number)).margin(
            rows.rows(group == number).features
        )
    return margin


def _fitted(method: Method, rows: TrainingSet, seed: int) -> Ranker:
    return method.fit(rows.features, rows.labels, rows.signals, seed=seed)


def refit(model: Model, rows: TrainingSet) -> Model:
    """Return a model of the same members and settings, fitted on these rows."""
    weights, seed = _age_weights(model, rows), model.training.seed
    unfitted = _unfitted(model)
    methods = [method for method, _ in unfitted]
    # As in training: a straight line takes no age weights.
    fit_members(methods, rows.features, rows.labels, rows.signals, seed=seed, weights=weights)
    return Model(tuple(Member(*each) for each in unfitted), rows.signals)


def _unfitted(model: Model) -> list[tuple[Method, float]]:
    """Copies of the members, so that fitting them again leaves the model as it is."""
    return [
        (type(member.method).from_dict(member.method.to_dict()), member.weight)
        for member in model.members
    ]


def _age_weights(model: Model | None, rows: TrainingSet) -> Floats | None:
    return row_weights(rows.keys, None if model is None else model.training.half_life_days)
