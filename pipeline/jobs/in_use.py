"""The model in use beside a candidate, on the same held-out accounts and dates, each fed its own
signals: where it can be judged there, how it does, and whether the candidate may follow it.
"""

import math
from dataclasses import dataclass, replace

import pandas as pd

from features.errors import ArtifactMismatch
from features.sql import as_doubles
from features.windows import day_number
from models import metrics
from models.bundle import Bundle
from models.dataset import TrainingSet
from models.gates import Gate, no_worse_than_in_use, not_compared
from models.metrics import Estimate
from models.model import Model
from models.stability import band_changes, portfolio_rows
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.evaluations import Comparison
from pipeline.jobs.features import build_rows
from pipeline.jobs.registry import Version
from pipeline.workspace import Workspace

_OTHER_SIGNALS = "it reads other signals than these rows hold"


@dataclass(frozen=True, eq=False)
class InUse:
    """The version in use, and how it reads the rows a candidate is judged on."""

    version: Version
    test_features: pd.DataFrame | None
    """The held-out rows, one for one, with the columns it reads; None where no figure of it on
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


def target_in_use(version: Version | None, test: TrainingSet) -> InUse | None:
    """A target's model in use as it reads held-out rows; None where there is none with
    probabilities.

    Without features, and with a note, where it learned from dates like theirs, or where they lack
    its signals: `fed_its_own` builds those.
    """
    if version is None or version.bundle.basis != "calibrated":
        return None
    learned = pd.Timestamp(version.bundle.model.training.learned_until)
    first = test.keys["as_of"].min()
    if learned >= first:
        return InUse(
            version,
            None,
            f"it learned from rows until {learned:%Y-%m-%d}, and the test begins on"
            f" {first:%Y-%m-%d}",
        )
    fingerprints = {signal.column: signal.fingerprint for signal in test.signals}
    if all(fingerprints.get(s.column) == s.fingerprint for s in version.bundle.model.signals):
        return InUse(version, test.features)
    return InUse(version, None, _OTHER_SIGNALS)


def fed_its_own(
    workspace: Workspace, target: Target, in_use: InUse | None, test: TrainingSet
) -> InUse | None:
    """The model in use with its own signals of the held-out accounts and dates, where the
    candidate's are others.
    """
    if in_use is None or in_use.note != _OTHER_SIGNALS:
        return in_use
    model, store = in_use.bundle.model, workspace.store
    feeds = store.read(
        "snapshots",
        columns=["account_id", "as_of", "feed"],
        filters=[("target", "=", target.name)],
    )
    asked = test.keys[["account_id", "as_of"]].merge(feeds, on=["account_id", "as_of"])
    snapshots = pd.DataFrame(
        {
            "account_id": asked["account_id"],
            "as_of_day": [day_number(each.date()) for each in asked["as_of"]],
            "partition_name": asked["feed"],
        }
    )
    with connected() as connection:
        try:
            model.check_signals(
                build_rows(
                    workspace, connection, target, snapshots, in_use.bundle.choices, model.signals
                )
            )
        except ArtifactMismatch as mismatch:
            return replace(in_use, note=f"its own signals cannot be built any more ({mismatch})")
        features = connection.execute(
            f"select account_id, as_of_day, {as_doubles(model.columns)} from features"
        ).df()
    in_order = pd.MultiIndex.from_frame(snapshots[["account_id", "as_of_day"]])
    by_key = features.set_index(["account_id", "as_of_day"]).loc[in_order]
    return InUse(in_use.version, by_key.reset_index(drop=True))


def compare(
    in_use: InUse, candidate: Bundle, reseeded: Model | None, test: TrainingSet, *, seed: int = 0
) -> Comparison:
    """Return how a candidate does beside the model in use on held-out rows."""
    facts = Comparison(in_use.version.number, in_use.bundle.model_version, note=in_use.note)
    as_read, model = in_use.test_features, in_use.bundle.model
    if as_read is None:
        return facts
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


def in_use_gate(comparison: Comparison, log_loss: float) -> Gate:
    """Whether the candidate, of this log loss on the same rows, may follow the model in use."""
    if comparison.log_loss is None or comparison.difference is None:
        return not_compared(comparison.words)
    low, high = comparison.difference_low, comparison.difference_high
    difference = Estimate(
        comparison.difference,
        math.nan if low is None else low,
        math.nan if high is None else high,
    )
    return no_worse_than_in_use(log_loss, comparison.log_loss, difference)


def reseeded_moves(candidate: Bundle, reseeded: Model | None, test: TrainingSet) -> float | None:
    """Share of accounts that another seed alone puts into another band."""
    if reseeded is None:
        return None
    shown = test.features[portfolio_rows(test.keys)]
    return band_changes(candidate, replace(candidate, model=reseeded), shown)


def _finite(value: float) -> float | None:
    # JSON knows no NaN: an interval that does not exist is null.
    return value if math.isfinite(value) else None
