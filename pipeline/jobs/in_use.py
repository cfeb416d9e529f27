"""The model in use beside a candidate, on the same held-out rows: where it can be judged there, and
how it does.
"""

import math
from dataclasses import dataclass, replace

import pandas as pd

from models import metrics
from models.bundle import Bundle
from models.dataset import TrainingSet
from models.model import Model
from models.stability import band_changes, portfolio_rows
from pipeline.evaluations import Comparison
from pipeline.jobs.registry import Version


@dataclass(frozen=True, eq=False)
class InUse:
    """The version in use, and how it reads a candidate's rows."""

    version: Version
    features: pd.DataFrame | None
    """The candidate's rows, one for one, with the columns it reads; None where no figure of it on
    these rows would be fair.
    """
    note: str | None = None
    """Why none would be, as the end of a sentence."""
    has_same_outcome: bool = True
    """Whether it predicts what the candidate does, so that its scale goes on."""

    @property
    def bundle(self) -> Bundle:
        """Its model, scale and facts."""
        return self.version.bundle


def target_in_use(version: Version | None, rows: TrainingSet) -> InUse | None:
    """A target's model in use as it reads the rows of a training; None where there is none with
    probabilities.
    """
    if version is None or version.bundle.basis != "calibrated":
        return None
    fingerprints = {signal.column: signal.fingerprint for signal in rows.signals}
    if all(fingerprints.get(s.column) == s.fingerprint for s in version.bundle.model.signals):
        return InUse(version, rows.features)
    return InUse(
        version, None, "it is built on other signals, so it cannot be judged on these rows"
    )


def compare(
    in_use: InUse, candidate: Bundle, reseeded: Model | None, rows: TrainingSet, *, seed: int = 0
) -> Comparison:
    """Return how a candidate does beside the model in use on the test rows of a training."""
    facts = Comparison(in_use.version.number, in_use.bundle.model_version, note=in_use.note)
    if in_use.features is None:
        return facts
    is_test = rows.keys["is_test"].to_numpy(dtype=bool)
    test, as_read = rows.rows(is_test), in_use.features[is_test].reset_index(drop=True)
    model = in_use.bundle.model
    theirs = metrics.log_losses(test.labels, model.probability(as_read))
    ours = metrics.log_losses(test.labels, candidate.model.probability(test.features))
    gap = metrics.paired_difference(ours, theirs, test.keys["account_id"], seed=seed)
    shown = portfolio_rows(test.keys)
    return replace(
        facts,
        log_loss=_finite(float(theirs.mean())),
        auc=_finite(metrics.auc(test.labels, model.margin(as_read))),
        difference=_finite(gap.value),
        difference_low=_finite(gap.low),
        difference_high=_finite(gap.high),
        band_changes=band_changes(candidate, in_use.bundle, test.features[shown], as_read[shown]),
        reseeded=reseeded_moves(candidate, reseeded, test),
    )


def reseeded_moves(candidate: Bundle, reseeded: Model | None, test: TrainingSet) -> float | None:
    """Share of accounts that another seed alone puts into another band."""
    if reseeded is None:
        return None
    shown = test.features[portfolio_rows(test.keys)]
    return band_changes(candidate, replace(candidate, model=reseeded), shown)


def _finite(value: float) -> float | None:
    # JSON knows no NaN: an interval that does not exist is null.
    return value if math.isfinite(value) else None
