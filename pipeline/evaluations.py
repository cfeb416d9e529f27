"""What the test said of a version of a model: made when it is judged, kept as JSON, read by pages
and other jobs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from models.band_rates import BandRate
from models.by_cause import CauseQuality
from models.calibration.prior import PriorCheck
from models.costs import Savings
from models.evaluation import Beside, Figures, TestFigures
from models.fairness import SegmentCheck
from models.fallback import FallbackCheck
from models.figures import from_side_by_side, side_by_side
from models.gates import Gate
from models.robustness import LeadingAlone, OfAge, WithoutSources

IN_USE = "the model in use"
Part = TypeVar("Part")


EVALUATIONS = "evaluations"
"""The table that keeps them."""


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


@dataclass(frozen=True)
class Stability:
    """Shares of accounts (0-1) that change band: beside the model in use, beside another seed, and
    at most.
    """

    changed: float | None = None
    noise: float | None = None
    budget: float | None = None


@dataclass(frozen=True)
class Untreated:
    """The test without the rows that somebody worked on; metrics None where too few are left."""

    treated_share: float
    n: int
    metrics: TestFigures | None


@dataclass(frozen=True)
class Accuracy:
    """How good probabilities of some rows are."""

    log_loss: float
    auc: float


@dataclass(frozen=True)
class UnderNotice:
    """The test without and with the rows whose account had given notice."""

    notice_rows: int
    notice_left: int
    without_them: Accuracy
    with_them: Accuracy


@dataclass(frozen=True)
class TableFacts:
    """A candidate's table: its columns' roles, its size, and how its accounts are told apart and
    held out.
    """

    file: str
    label: str
    positive: str | None
    account: str | None
    as_of: str | None
    horizon_days: int | None
    test_share: float
    accounts_by: str
    columns: int
    signals: int
    rows: int
    split: str | None = None
    """Column that says which rows are the test; None: they were held out by date or account."""


@dataclass(frozen=True)
class OfTable:
    """What only an evaluation on a table says."""

    registered_model: str
    is_out_of_time: bool
    notes: tuple[str, ...]
    top_columns: tuple[str, ...]
    """Columns that move the log-odds of the test most."""
    table: TableFacts | None
    savings: Savings | None = None
    """What acting on the test by chance and cost saves, where rows have costs."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "registered_model": self.registered_model,
            "is_out_of_time": self.is_out_of_time,
            "notes": list(self.notes),
            "top_columns": list(self.top_columns),
            "table": _plain(self.table),
            "savings": _plain(self.savings),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "OfTable":
        """Return what `to_dict` described."""
        return cls(
            registered_model=kept["registered_model"],
            is_out_of_time=kept["is_out_of_time"],
            notes=tuple(kept["notes"]),
            top_columns=tuple(kept["top_columns"]),
            table=_part(TableFacts, kept.get("table")),
            savings=_part(Savings, kept.get("savings")),
        )


@dataclass(frozen=True, eq=False)
class VersionEvaluation:
    """What the test said of a version; parts that were not asked are empty or None."""

    target: str
    model: str
    test: TestFigures
    can_leave: Figures | None = None
    baselines: Mapping[str, Beside] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    model_version: str = ""
    registered_version: str | None = None
    in_use: Comparison | None = None
    bands: Mapping[str, BandRate] = field(default_factory=dict)
    stability: Stability = field(default_factory=Stability)
    prior: PriorCheck | None = None
    untreated: Untreated | None = None
    segments: tuple[SegmentCheck, ...] = ()
    under_notice: UnderNotice | None = None
    age: tuple[OfAge, ...] = ()
    without_sources: tuple[WithoutSources, ...] = ()
    fallbacks: tuple[FallbackCheck, ...] = ()
    leading_alone: LeadingAlone | None = None
    causes: tuple[CauseQuality, ...] = ()
    savings: Savings | None = None
    """What acting on the test by chance and cost saves, where accounts have costs."""
    of_table: OfTable | None = None

    @property
    def is_out_of_time(self) -> bool:
        """Whether the test is later than what the model learned from."""
        return self.of_table is None or self.of_table.is_out_of_time

    @property
    def refusals(self) -> tuple[Gate, ...]:
        """The gates that are not passed."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def to_dict(self) -> dict[str, Any]:
        """Return the shape of `tenure evaluate --json`: a number that does not exist is None."""
        in_use = _plain(self.in_use)
        return {
            "target": self.target,
            "model": self.model,
            "test": _plain(self.test),
            "can_leave": _plain(self.can_leave),
            "baselines": {name: _plain(each) for name, each in self.baselines.items()},
            "gates": [_plain(gate) for gate in self.gates],
            "model_version": self.model_version,
            "registered_version": self.registered_version,
            "in_use": in_use,
            # The key of releases before 0.2, for one more.
            "champion": in_use,
            "bands": {band: _plain(rate) for band, rate in self.bands.items()},
            "stability": _plain(self.stability),
            **(self._of_target() if self.of_table is None else self.of_table.to_dict()),
        }

    def _of_target(self) -> dict[str, Any]:
        prior, untreated, notice = self.prior, self.untreated, self.under_notice
        return {
            "prior": prior
            and {**side_by_side(prior), "has_moved": prior.has_moved, "words": prior.words},
            "untreated": untreated
            and {
                "treated_share": untreated.treated_share,
                "n": untreated.n,
                "metrics": _plain(untreated.metrics),
            },
            "segments": [_plain(each) for each in self.segments],
            "under_notice": notice
            and {
                "notice_rows": notice.notice_rows,
                "notice_left": notice.notice_left,
                "without": _plain(notice.without_them),
                "with": _plain(notice.with_them),
            },
            "age": [_plain(each) for each in self.age],
            "without_sources": [_plain(each) for each in self.without_sources],
            "fallbacks": [_plain(each) for each in self.fallbacks],
            "leading_alone": _plain(self.leading_alone),
            "causes": [_plain(each) for each in self.causes],
            "savings": _plain(self.savings),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "VersionEvaluation":
        """Return what `to_dict` described, in this release or an earlier one."""
        in_use = kept.get("in_use", kept.get("champion"))
        return cls(
            target=str(kept["target"]),
            model=kept["model"],
            test=from_side_by_side(TestFigures, kept["test"]),
            can_leave=_part(Figures, kept.get("can_leave")),
            baselines={
                name: from_side_by_side(Beside, each) for name, each in kept["baselines"].items()
            },
            gates=_parts(Gate, kept["gates"]),
            model_version=kept["model_version"],
            registered_version=kept.get("registered_version"),
            in_use=_part(Comparison, in_use),
            bands={
                band: from_side_by_side(BandRate, rate)
                for band, rate in kept.get("bands", {}).items()
            },
            stability=from_side_by_side(Stability, kept.get("stability") or {}),
            prior=_part(PriorCheck, kept.get("prior")),
            untreated=_untreated(kept.get("untreated")),
            segments=_parts(SegmentCheck, kept.get("segments")),
            under_notice=_under_notice(kept.get("under_notice")),
            age=_parts(OfAge, kept.get("age")),
            without_sources=_parts(WithoutSources, kept.get("without_sources")),
            fallbacks=_parts(FallbackCheck, kept.get("fallbacks")),
            leading_alone=_part(LeadingAlone, kept.get("leading_alone")),
            causes=_parts(CauseQuality, kept.get("causes")),
            savings=(None if "registered_model" in kept else _part(Savings, kept.get("savings"))),
            of_table=OfTable.from_dict(kept) if "registered_model" in kept else None,
        )


def _plain(part: Any) -> dict[str, Any] | None:
    return None if part is None else side_by_side(part)


def _part(kind: type[Part], kept: Mapping[str, Any] | None) -> Part | None:
    return None if kept is None else from_side_by_side(kind, kept)


def _parts(kind: type[Part], kept: Sequence[Mapping[str, Any]] | None) -> tuple[Part, ...]:
    return tuple(from_side_by_side(kind, each) for each in kept or ())


def _untreated(kept: Mapping[str, Any] | None) -> Untreated | None:
    if kept is None:
        return None
    return Untreated(kept["treated_share"], kept["n"], _part(TestFigures, kept["metrics"]))


def _under_notice(kept: Mapping[str, Any] | None) -> UnderNotice | None:
    if kept is None:
        return None
    return UnderNotice(
        kept["notice_rows"],
        kept["notice_left"],
        from_side_by_side(Accuracy, kept["without"]),
        from_side_by_side(Accuracy, kept["with"]),
    )
