"""A second model for the day on which a feed does not come.

A model that relies on a source and finds its signals old or empty reads silence where there is
none: without the feed it can be worse than one rate for all. So each source that moves scores much
has a model without it, of the same members and settings, fitted and calibrated on the same folds.
Where another source does not come, the model itself speaks with that source's signals unknown, if
it passes the same gates so.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from features.errors import ContractError
from models import metrics
from models.contenders import refit
from models.dataset import TrainingSet
from models.evaluation import evaluate
from models.gates import gates
from models.intervals import FEWER_REPLICATES
from models.methods.season import Season
from models.model import Member, Model
from models.plan import TrainingPlan
from models.robustness import Compared, compared_losses
from models.training import fitted_again

HEAVY_SHARE = 0.1
"""Of all that moves the log-odds of training rows: a source that moves so much has a fallback."""
MOST_FALLBACKS = 3
_BESIDE = ("constant", "contract_calendar")
"""Baselines that need no feed of activity."""


@dataclass(frozen=True)
class FallbackCheck:
    """A fallback on the untouched test.

    Attributes
    ----------
    source, signals
        The source it does without, and how many signals it reads.
    compared
        The fallback, beside the model with all its sources.
    emptied, constant
        Log loss of the model itself with the source's signals empty, and of one rate for all.
    refused
        Why it may not be used; empty: it may.
    has_own_model
        Whether a model was fitted without the source; else the model in use speaks with the
        source's signals unknown.
    """

    source: str
    signals: int
    compared: Compared
    emptied: float
    constant: float
    refused: tuple[str, ...] = ()
    has_own_model: bool = True

    @property
    def words(self) -> str:
        """One sentence for people."""
        speaks, beside = "the model with its signals unknown", ""
        if self.has_own_model:
            speaks = "a model of its own"
            beside = f"; the model with nothing in {self.source}: {self.emptied:.4f}"
        said = (
            f"without {self.source} {speaks} has log loss {self.compared.log_loss:.4f} on the test"
            f" (one rate for all: {self.constant:.4f}{beside})"
        )
        if self.refused:
            return f"{said}; it is not used: {' '.join(self.refused)}"
        return f"{said}; it speaks for accounts where {self.source} did not come."


def heavy_sources(model: Model, rows: TrainingSet, needed: Collection[str]) -> tuple[str, ...]:
    """Sources that move scores much, the heaviest first.

    Parameters
    ----------
    rows
        Rows whose contributions count; labels are not read.
    needed
        Sources that nothing can be said without: those that tell who is a customer.
    """
    _, phi = model.at_decision.contributions(rows.features)
    weight = np.abs(phi).mean(axis=0)
    total = float(weight.sum())
    shares: dict[str, float] = {}
    for signal, moved in zip(model.signals, weight, strict=True):
        if signal.source and signal.source not in needed:
            shares[signal.source] = shares.get(signal.source, 0.0) + float(moved)
    heavy = [name for name, moved in shares.items() if total and moved / total >= HEAVY_SHARE]
    return tuple(sorted(heavy, key=lambda name: (-shares[name], name))[:MOST_FALLBACKS])


def fit_fallbacks(
    model: Model, rows: TrainingSet, plan: TrainingPlan, needed: Collection[str]
) -> dict[str, Model]:
    """Source -> the model without its signals; the test of `rows` is not looked at.

    Sources without a fallback: light ones, those of `needed`, and those without which the model's
    method cannot be made.
    """
    taught = rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool))
    # The season is fitted anew by `fitted_again`.
    members = tuple(each for each in model.members if not isinstance(each.method, Season))
    half_life = model.training.half_life_days
    fallbacks = {}
    for source in heavy_sources(model, taught, needed):
        kept = tuple(signal for signal in model.signals if signal.source != source)
        if not kept:
            continue
        some = TrainingSet(rows.keys, rows.features[[s.column for s in kept]], rows.labels, kept)
        bare = Model(members, model.signals, training=model.training)
        try:
            fallbacks[source] = fitted_again(
                some,
                plan,
                partial(_members, bare),
                half_life_days=half_life,
                target=model.target,
                with_interval=True,
            )
        except ContractError:
            continue  # such a scorecard has no signal left
    return fallbacks


def _members(model: Model, rows: TrainingSet, _: int) -> tuple[Member, ...]:
    return refit(model, rows).members


def check_fallbacks(
    model: Model,
    fallbacks: Mapping[str, Model],
    baselines: Mapping[str, Model],
    rows: TrainingSet,
    needed: Collection[str],
) -> tuple[FallbackCheck, ...]:
    """Ask the gates of what would speak without each source but those of `needed`, on the untouched
    test of `rows`: its fallback, or the model itself. Those with a fallback come first.

    Empty where no outcome differs.
    """
    test = rows.test
    if model.basis != "calibrated" or len(set(test.labels.tolist())) < 2:
        return ()
    beside = {name: baselines[name] for name in _BESIDE if name in baselines}
    full = metrics.log_losses(test.labels, model.probability(test.features))
    constant = metrics.log_loss(test.labels, baselines["constant"].probability(test.features))
    others = {s.source for s in model.signals if s.source} - set(fallbacks) - set(needed)
    checks = []
    for source in (*fallbacks, *sorted(others)):
        emptied = model.without(source)
        speaks = fallbacks.get(source, emptied)
        judged = evaluate(speaks, beside, rows, replicates=FEWER_REPLICATES)
        asked: list[Any] = [gate for gate in gates(judged) if not gate.passed and gate.applies]
        checks.append(
            FallbackCheck(
                source=source,
                signals=len(speaks.signals) - len(speaks.absent),
                compared=compared_losses(
                    test.labels, speaks.probability(test.features), full, test.keys["account_id"]
                ),
                emptied=metrics.log_loss(test.labels, emptied.probability(test.features)),
                constant=constant,
                refused=tuple(f"{gate.name}: {gate.reason}" for gate in asked),
                has_own_model=source in fallbacks,
            )
        )
    return tuple(checks)
