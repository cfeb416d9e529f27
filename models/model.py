"""The fitted, calibrated model: what scores accounts, and all that travels with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ArtifactMismatch, ContractError
from models.calibration import Interval, Platt, read_calibrator
from models.lines import Lines
from models.methods import (
    METHODS,
    ContractCalendar,
    DeclaredPoints,
    Floats,
    Method,
    Season,
)
from models.training_facts import TrainingFacts

Basis = Literal["calibrated", "scorecard"]
FORMATS = FORMAT, FORMAT_WITH_LINES, FORMAT_WITH_DECISION = 1, 2, 3
"""A version that does not know lines or decisions must not read a model that has them."""


@dataclass(frozen=True, eq=False)
class Member:
    """One method of the blend, its weight in log-odds, and the lines that segments put it on."""

    method: Method
    weight: float
    lines: Lines | None = None

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return log-odds before the weight, shape (n_rows,)."""
        margin = self.method.margin(features)
        return margin if self.lines is None else self.lines.margin(features, margin)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the base and contributions before the weight; together they are `margin`."""
        base, phi = self.method.contributions(features)
        return base, phi if self.lines is None else self.lines.contributions(features, base, phi)


@dataclass(frozen=True, eq=False)
class ChanceAtDecision:
    """What turns log-odds at the decision into the chance of leaving when the contract comes up."""

    calibrator: Platt
    interval_table: Interval | None = None

    def moved(self, shift: float) -> "ChanceAtDecision":
        """The same with its level `shift` log-odds higher."""
        calibrator = self.calibrator
        return replace(self, calibrator=replace(calibrator, intercept=calibrator.intercept + shift))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        table = self.interval_table
        return {
            "calibrator": self.calibrator.to_dict(),
            "interval": None if table is None else table.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ChanceAtDecision":
        """Return what `to_dict` described."""
        table = state["interval"]
        return cls(
            read_calibrator(state["calibrator"]),
            None if table is None else Interval.from_dict(table),
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A blend in log-odds, its calibrator and the cards it understands.

    `margin = sum of weight * member margin`, so contributions are the same sum of the members'
    contributions. Without a calibrator the model is a scorecard: it ranks, and has no probability.
    """

    members: tuple[Member, ...]
    signals: tuple[Signal, ...]
    calibrator: Platt | None = None
    interval_table: Interval | None = None
    target: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingFacts = TrainingFacts()
    decision: "ChanceAtDecision | None" = None
    """How chances are calibrated where every account is read at its term's decision; None where no
    contract ends, and the score speaks of the account's own date.
    """
    references: Mapping[str, float | None] = field(default_factory=dict)
    """Column -> median among training rows of accounts that stayed, for the words of a driver."""
    absent: frozenset[str] = frozenset()
    """Columns read as unknown, because their source did not come; no part of what is kept."""

    @property
    def name(self) -> str:
        """Names of the methods, the heaviest first."""
        weights: dict[str, float] = {}
        for member in self.members:
            weights[member.method.name] = weights.get(member.method.name, 0.0) + member.weight
        # What the calendar adds has no share of the blend.
        beside = (ContractCalendar.name, Season.name)
        return "+".join(sorted(weights, key=lambda name: (name in beside, -weights[name])))

    @property
    def basis(self) -> Basis:
        """`calibrated`, or `scorecard` where probabilities do not exist."""
        return "scorecard" if self.calibrator is None else "calibrated"

    @property
    def declared(self) -> tuple[str, float] | None:
        """Name and share of points that people declared, where they are a part of the blend."""
        for each in self.members:
            if isinstance(each.method, DeclaredPoints):
                return each.method.points.name, each.weight
        return None

    @property
    def reference_values(self) -> dict[str, float]:
        """`references` as numbers: NaN where no account that stayed had a value."""
        return {
            column: float("nan") if median is None else float(median)
            for column, median in self.references.items()
        }

    def without(self, source: str) -> "Model":
        """The same model with the signals of a source unknown."""
        gone = frozenset(signal.column for signal in self.signals if signal.source == source)
        return replace(self, absent=gone)

    @property
    def at_decision(self) -> "Model":
        """The same model with every account read where its term decides: how a relationship stands,
        whatever the date. The model itself where no contract ends.
        """
        if self.decision is None:
            return self
        return replace(
            self,
            members=at_decision(self.members),
            calibrator=self.decision.calibrator,
            interval_table=self.decision.interval_table,
            decision=None,
        )

    def decides(self, features: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows stand where their contract decides, and so show what a health is worth, shape
        (n_rows,); all where health is read at the account's own date.
        """
        return decides(self.members, self._frame(features))

    @property
    def columns(self) -> list[str]:
        """Feature columns in the model's order."""
        return [signal.column for signal in self.signals]

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return raw log-odds of the blend, shape (n_rows,)."""
        frame = self._frame(features)
        return np.asarray(
            sum(each.weight * each.margin(frame) for each in self.members), dtype=np.float64
        )

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return `phi_0` and contributions of shape (n_rows, n_signals); together they are the
        margin.
        """
        frame = self._frame(features)
        base, phi = 0.0, np.zeros((len(frame), len(self.signals)))
        for member in self.members:
            part_base, part = member.contributions(frame)
            base += member.weight * part_base
            phi += member.weight * part
        return base, phi

    def probability(self, features: pd.DataFrame) -> Floats:
        """Return calibrated probabilities of the event; NaN everywhere for a scorecard."""
        if self.calibrator is None:
            return np.full(len(features), np.nan)
        return self.calibrator.calibrate(self.margin(features))

    def interval(self, features: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return low and high ends of the probability; NaN for a scorecard."""
        return self.interval_of_margin(self.margin(features))

    def interval_of_margin(self, margin: Floats) -> tuple[Floats, Floats]:
        """Return low and high ends for margins already computed."""
        if self.calibrator is None or self.interval_table is None:
            return np.full(len(margin), np.nan), np.full(len(margin), np.nan)
        return self.interval_table.around(margin, self.calibrator)

    def check_signals(self, signals: tuple[Signal, ...]) -> None:
        """Refuse features built from other cards than the model was trained on.

        Raises
        ------
        ArtifactMismatch
            Naming signals that are missing or whose definition changed. Further signals are
            ignored.
        """
        built = {signal.column: signal.fingerprint for signal in signals}
        missing = [column for column in self.columns if column not in built]
        if missing:
            raise ArtifactMismatch(_missing_columns(missing))
        changed = [each.column for each in self.signals if built[each.column] != each.fingerprint]
        if changed:
            raise ArtifactMismatch(
                f"{len(changed)} signals are defined otherwise than when the model was trained,"
                f" first {changed[:3]}. Build features with the model's own cards, or train again."
            )

    def health(self, features: pd.DataFrame) -> Floats:
        """Return the 0-100 health of a scorecard; a calibrated model gets its health from a scale.

        Raises
        ------
        ContractError
            For a calibrated model.
        """
        base, points = self.scorecard_points(features)
        return np.asarray(base + points.sum(axis=1), dtype=np.float64)

    def scorecard_points(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return base (50) and points per signal of a scorecard, or of another score that is
        counted; they add to its health exactly, as long as that lies in 0-100.
        """
        method: Any = self.members[0].method
        if self.basis != "scorecard" or not hasattr(method, "counted"):
            raise ContractError(
                "only a scorecard has points of its own; a calibrated model needs a health scale."
            )
        base, points = method.counted(self._frame(features))
        return float(base), points

    def _frame(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the model's columns in the model's order, as float64, absent ones without values;
        further columns are left aside.
        """
        if self.absent:
            features = features.assign(**dict.fromkeys(self.absent, np.nan))
        if list(features.columns) == self.columns and all(
            kind == np.float64 for kind in features.dtypes
        ):
            return features
        missing = [column for column in self.columns if column not in features.columns]
        if missing:
            raise ArtifactMismatch(_missing_columns(missing))
        return features.loc[:, self.columns].astype("float64")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; boosters as LightGBM's text."""
        plain = FORMAT if all(each.lines is None for each in self.members) else FORMAT_WITH_LINES
        return {
            "format": plain if self.decision is None else FORMAT_WITH_DECISION,
            **({} if self.decision is None else {"decision": self.decision.to_dict()}),
            "members": [_member_state(each) for each in self.members],
            "calibrator": None if self.calibrator is None else self.calibrator.to_dict(),
            "interval": None if self.interval_table is None else self.interval_table.to_dict(),
            "signals": [
                {**signal.to_dict(), "fingerprint": signal.fingerprint} for signal in self.signals
            ],
            "target": dict(self.target),
            "training": dict(self.training.recorded),
            "references": dict(self.references),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "Model":
        """Return the model that `to_dict` described.

        Raises
        ------
        ArtifactMismatch
            When the format or a method is unknown to this version, or a card's fingerprint differs.
        """
        if state.get("format") not in FORMATS:
            raise ArtifactMismatch(
                f"model format {state.get('format')!r} is none of {', '.join(map(str, FORMATS))};"
                " train with this version."
            )
        return cls(
            members=tuple(_member(each) for each in state["members"]),
            signals=tuple(_signal(each) for each in state["signals"]),
            calibrator=(
                None if state["calibrator"] is None else read_calibrator(state["calibrator"])
            ),
            interval_table=(
                None if state["interval"] is None else Interval.from_dict(state["interval"])
            ),
            target=state["target"],
            training=TrainingFacts(state["training"]),
            decision=ChanceAtDecision.from_dict(state["decision"]) if "decision" in state else None,
            references=state["references"],
        )


def decides(members: tuple[Member, ...], features: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows stand where their contract decides; all without a contract calendar."""
    for each in members:
        if isinstance(each.method, ContractCalendar):
            return each.method.near_decision(features)
    return np.ones(len(features), dtype=bool)


def at_decision(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """The members with the contract calendar read where each term decides."""
    return tuple(
        # It is read only: never fitted, never written.
        replace(each, method=cast(Method, each.method.at_decision()))
        if isinstance(each.method, ContractCalendar)
        else each
        for each in members
    )


def references(features: pd.DataFrame, labels: Any) -> dict[str, float | None]:
    """Return per column the median among rows without the event; None where all are null."""
    medians = features.loc[np.asarray(labels) == 0].median()
    return {
        str(column): None if np.isnan(value) else float(value) for column, value in medians.items()
    }


def _missing_columns(missing: list[str]) -> str:
    return (
        f"the features lack {len(missing)} columns the model needs, first {missing[:3]}. "
        "Build features with the model's own cards, or train again."
    )


def _member_state(member: Member) -> dict[str, Any]:
    state = {
        "method": member.method.name,
        "weight": member.weight,
        "state": member.method.to_dict(),
    }
    return state if member.lines is None else {**state, "lines": member.lines.to_dict()}


def _member(state: Mapping[str, Any]) -> Member:
    if state["method"] not in METHODS:
        raise ArtifactMismatch(
            f"method {state['method']!r} is unknown; known are {', '.join(METHODS)}."
        )
    lines = Lines.from_dict(state["lines"]) if "lines" in state else None
    return Member(METHODS[state["method"]].from_dict(state["state"]), float(state["weight"]), lines)


def _signal(state: Mapping[str, Any]) -> Signal:
    facts = {key: value for key, value in state.items() if key != "fingerprint"}
    signal = Signal.from_dict(facts)
    if signal.fingerprint != state["fingerprint"]:
        raise ArtifactMismatch(
            f"the card of {signal.column} does not give its recorded fingerprint: the file was"
            " changed, or written by another version. Train again."
        )
    return signal
