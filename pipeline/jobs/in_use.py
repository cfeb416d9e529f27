"""The model in use beside a candidate, on the same held-out rows: where it can be judged there, and
how it does.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import pandas as pd

from models import metrics
from models.bundle import Bundle
from models.dataset import TrainingSet
from models.model import Model
from models.stability import band_changes, portfolio_rows
from pipeline.jobs.registry import Version

IN_USE = "the model in use"


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


@dataclass(frozen=True)
class Comparison:
    """How a candidate does beside the model in use on the candidate's held-out rows.

    Attributes
    ----------
    note
        Why they were not compared, as the end of a sentence; then there are no figures.
    log_loss, auc
        Of the model in use.
    difference
        The candidate's log loss minus that of the model in use, negative where the candidate is
        better; `difference_low` and `difference_high` are its 95% interval, paired, accounts
        resampled.
    band_changes
        Share of accounts (0-1) that change band.
    reseeded
        The same between the candidate and its twin of another seed: what is noise.
    """

    registered_version: str
    model_version: str
    note: str | None = None
    log_loss: float | None = None
    auc: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    band_changes: float | None = None
    reseeded: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Comparison":
        """What `to_dict` described, by this or an earlier release."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in state.items() if name in known})

    @property
    def words(self) -> str:
        """All of it in a sentence."""
        named = f"{IN_USE}, version {self.registered_version}"
        if self.note is not None or self.log_loss is None:
            return f"{named}: not compared, {self.note}."
        low, high = self.difference_low, self.difference_high
        span = verdict = ""
        if low is not None and high is not None:
            span = f" (95% {low:+.4f} to {high:+.4f})"
            if low > 0 or high < 0:
                which = "worse" if low > 0 else "better"
                verdict = f": the candidate is {which} beyond what chance gives"
        moves = ""
        if self.band_changes is not None:
            moves = f"; {self.band_changes:.1%} of accounts change band"
        if self.reseeded is not None:
            moves += f", another seed alone moves {self.reseeded:.1%}"
        return (
            f"{named}: log loss {self.log_loss:.4f} on the same held-out rows, AUC {self.auc:.3f};"
            f" the candidate's log loss minus that {self.difference:+.4f}{span}{verdict}{moves}."
        )


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
