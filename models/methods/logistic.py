"""Logistic regression on frozen transforms: the linear part of the blend, and a baseline of its
own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from models.methods.base import Floats, MethodState, logit
from models.methods.penalised import FREE, bounded, ridge_fit, ridge_regression

CLIP = 5.0
"""Standardised values stop here: one absurd amount must not decide an account's score."""
MIN_FLAG_ROWS = 5
"""A missing flag needs this many rows with and without the value."""
_SIDES = {1: (0.0, None), -1: (None, 0.0), 0: FREE}
"""Bounds of a weight by the sign that its card gives it."""


@dataclass(frozen=True, eq=False)
class Transform:
    """Frozen preparation of one table: impute the median, asinh of value over scale, standardise,
    clip, centre.
    """

    medians: Floats
    scales: Floats
    means: Floats
    deviations: Floats
    """0 where a column is constant: it then contributes nothing."""
    centres: Floats
    """Mean of the prepared training column, so that contributions average to zero in training."""
    flag_group: NDArray[np.intp]
    """Number of the missing flag a column takes part in, -1 for none."""
    flag_means: Floats

    @property
    def flag_columns(self) -> list[NDArray[np.intp]]:
        """Columns behind each flag; they are missing on the same training rows."""
        return [np.flatnonzero(self.flag_group == number) for number in range(len(self.flag_means))]

    def apply(self, values: Floats) -> Floats:
        """Return the centred design matrix of shape (n_rows, n_columns + n_flags)."""
        count = values.shape[1]
        design = np.empty((len(values), count + len(self.flag_means)))
        for number, (columns, mean) in enumerate(
            zip(self.flag_columns, self.flag_means, strict=True), start=count
        ):
            design[:, number] = np.isnan(values[:, columns]).mean(axis=1) - mean
        for number in range(count):
            # Column by column: a table of a million rows is held once beside its design, not five
            # times.
            design[:, number] = self._prepared(values[:, number], number)
        return design

    def _prepared(self, column: Floats, number: int) -> Floats:
        """One column, centred; zero where it was constant in training."""
        if self.deviations[number] == 0:
            return np.zeros(len(column))
        filled = np.where(np.isnan(column), self.medians[number], column)
        standard = (
            np.arcsinh(filled / self.scales[number]) - self.means[number]
        ) / self.deviations[number]
        # Clipped, so that one absurd value cannot move a score by more than a large one does.
        return np.asarray(np.clip(standard, -CLIP, CLIP) - self.centres[number], dtype=np.float64)


def fit_transform(values: Floats) -> Transform:
    """Learn the preparation from training values of shape (n_rows, n_columns)."""
    missing = np.isnan(values)
    count = values.shape[1]
    medians, scales = np.zeros(count), np.ones(count)
    means, deviations, centres = np.zeros(count), np.zeros(count), np.zeros(count)
    for number in range(count):
        known = values[~missing[:, number], number]
        if len(known):
            medians[number] = np.median(known)
            size = np.abs(known[known != 0])
            scales[number] = np.median(size) if len(size) else 1.0
        bent = np.arcsinh(
            np.where(missing[:, number], medians[number], values[:, number]) / scales[number]
        )
        means[number], deviation = bent.mean(), bent.std()
        # A column that hardly varies would be blown up by its own rounding; it is left at zero.
        if deviation > 1e-12:
            deviations[number] = deviation
            centres[number] = np.clip((bent - means[number]) / deviation, -CLIP, CLIP).mean()
    flag_group, flag_means = _missing_flags(missing)
    return Transform(medians, scales, means, deviations, centres, flag_group, flag_means)


def _missing_flags(missing: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Floats]:
    """One flag per pattern of missing rows: columns of one silent source are missing together."""
    rows = len(missing)
    group = np.full(missing.shape[1], -1, dtype=np.intp)
    seen: dict[bytes, int] = {}
    means: list[float] = []
    for number in range(missing.shape[1]):
        absent = int(missing[:, number].sum())
        if min(absent, rows - absent) < MIN_FLAG_ROWS:
            continue
        pattern = np.packbits(missing[:, number]).tobytes()
        if pattern not in seen:
            seen[pattern] = len(means)
            means.append(absent / rows)
        group[number] = seen[pattern]
    return group, np.asarray(means)


class Logistic:
    """L2-penalised logistic regression, `phi_i = w_i (x_i - mean_i)` on prepared values.

    Minimises the mean log loss plus `l2 / 2 * sum(w^2)`; the intercept is not penalised, so `l2`
    means the same for any number of rows. With `signed`, weights follow the cards' `worse`
    directions.
    """

    name = "logistic"

    def __init__(
        self, l2: float = 0.01, *, signed: bool = False, is_event_good: bool = False
    ) -> None:
        self.l2 = l2
        self.signed = signed
        self.is_event_good = is_event_good
        self.transform_: Transform
        self.weights_: Floats
        self.intercept_ = 0.0

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
        offset: Floats | None = None,
    ) -> Self:
        """Learn transform and weights; the result does not depend on `seed`.

        `offset` are log-odds that others say beside the line, shape (n_rows,); the margin is
        without them.
        """
        values = features.to_numpy(dtype=np.float64)
        self.transform_ = fit_transform(values)
        weight = np.ones(len(labels)) if weights is None else weights
        self._solve(
            self.transform_.apply(values),
            labels.astype(np.float64),
            weight / weight.sum(),
            signals,
            None,
            offset,
        )
        return self

    @classmethod
    def path(
        cls,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        strengths: Sequence[float],
        *,
        signed: bool = False,
        is_event_good: bool = False,
        offset: Floats | None = None,
    ) -> list[Self]:
        """Return one fit per L2 strength; they share the transform, and each starts where the last
        one ended.
        """
        values = features.to_numpy(dtype=np.float64)
        transform = fit_transform(values)
        design, weight = transform.apply(values), np.full(len(labels), 1.0 / len(labels))
        fitted: list[Self] = []
        start: Floats | None = None
        for l2 in strengths:
            method = cls(l2, signed=signed, is_event_good=is_event_good)
            method.transform_ = transform
            method._solve(design, labels.astype(np.float64), weight, signals, start, offset)
            start = np.append(method.weights_, method.intercept_)
            fitted.append(method)
        return fitted

    def _solve(
        self,
        design: Floats,
        target: Floats,
        weight: Floats,
        signals: tuple[Signal, ...],
        start: Floats | None,
        offset: Floats | None,
    ) -> None:
        """Set intercept and weights; `weight` sums to one, `start` has the intercept last."""
        beside = 0.0 if offset is None else offset
        if start is None:
            level = 0.0 if offset is not None else float(logit(float(weight @ target)))
            start = np.append(np.zeros(design.shape[1]), level)
        if self.signed:
            signs = _signs(signals, design.shape[1], self.is_event_good)
            coefficients = bounded(
                ridge_regression(design, target, weight, self.l2, beside),
                start,
                [*(_SIDES[sign] for sign in signs.tolist()), FREE],
            )
            self.intercept_, self.weights_ = float(coefficients[-1]), coefficients[:-1]
        else:
            self.intercept_, self.weights_ = ridge_fit(
                design, target, weight, self.l2, start, beside
            )

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return intercept plus weighted prepared values."""
        design = self.transform_.apply(features.to_numpy(dtype=np.float64))
        # A matrix product may add up a row in another order when it stands among other rows.
        terms = np.ascontiguousarray(design * self.weights_)
        return np.asarray(self.intercept_ + terms.sum(axis=1), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the intercept, and per signal its weighted value and its share of the missing
        flags.
        """
        values = features.to_numpy(dtype=np.float64)
        terms = self.transform_.apply(values) * self.weights_
        count = values.shape[1]
        phi = terms[:, :count].copy()
        for number, columns in enumerate(self.transform_.flag_columns):
            # A flag is the mean over its columns, so what each column adds is exact even where,
            # later, only some of them are missing.
            weight, mean = self.weights_[count + number], self.transform_.flag_means[number]
            phi[:, columns] += weight * (np.isnan(values[:, columns]) - mean) / len(columns)
        return self.intercept_, phi

    def to_dict(self) -> MethodState:
        """Return transform, weights and settings as lists."""
        frozen = self.transform_
        return {
            "l2": self.l2,
            "signed": self.signed,
            "is_event_good": self.is_event_good,
            "intercept": self.intercept_,
            "weights": self.weights_.tolist(),
            "transform": {
                name: getattr(frozen, name).tolist() for name in Transform.__dataclass_fields__
            },
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(
            float(state["l2"]),
            signed=bool(state["signed"]),
            is_event_good=bool(state["is_event_good"]),
        )
        arrays = {
            name: np.asarray(value, dtype=np.float64) for name, value in state["transform"].items()
        }
        group = arrays.pop("flag_group").astype(np.intp)
        method.transform_ = Transform(flag_group=group, **arrays)
        method.weights_ = np.asarray(state["weights"], dtype=np.float64)
        method.intercept_ = float(state["intercept"])
        return method


def _signs(signals: tuple[Signal, ...], width: int, is_event_good: bool) -> NDArray[np.intp]:
    """+1 where more of it means more events, -1 where fewer, 0 without opinion (missing flags,
    too).
    """
    meaning = {"up": 1, "down": -1, None: 0}
    signs = np.zeros(width, dtype=np.intp)
    signs[: len(signals)] = [meaning[signal.worse] for signal in signals]
    return -signs if is_event_good else signs
