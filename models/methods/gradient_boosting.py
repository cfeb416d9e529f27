"""LightGBM, bagged over seeds and averaged in log-odds, so that contributions add."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from models.methods.base import Floats, MethodState
from models.methods.tree_shap import CannotExplain, TreeShap

LARGEST_GAP = 1e-6
"""Log-odds by which the tables may differ from `pred_contrib` on the rows checked; rounding gives
about 1e-13.
"""
_CHECKED_ROWS = 32
FEW_COLUMNS = 0.6
"""Share of the columns that a tree sees, up to which sums by columns are faster than by rows."""


@dataclass(frozen=True)
class BoostingSettings:
    """What LightGBM is told; the defaults are the untuned reference of the benches."""

    trees: int = 150
    learning_rate: float = 0.05
    leaves: int = 15
    depth: int = 8
    min_rows_in_leaf: int = 20
    feature_fraction: float = 1.0
    bagging_fraction: float = 1.0
    l1: float = 0.0
    l2: float = 0.0
    min_gain: float = 0.0
    bins: int = 255
    """Values a column is cut into before training; 63 fits 150 columns twice as fast, as well on
    our data.
    """
    monotone: bool = False
    """Follow the cards' `worse` directions."""

    def parameters(
        self, signals: tuple[Signal, ...], *, seed: int, threads: int, is_event_good: bool
    ) -> dict[str, Any]:
        """Return LightGBM's parameters; numeric splits only, and the same trees on every run."""
        settings: dict[str, Any] = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "max_depth": self.depth,
            "min_data_in_leaf": self.min_rows_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1 if self.bagging_fraction < 1.0 else 0,
            "lambda_l1": self.l1,
            "lambda_l2": self.l2,
            "min_gain_to_split": self.min_gain,
            "max_bin": self.bins,
            "feature_pre_filter": False,
            "seed": seed,
            "bagging_seed": seed + 1,
            "feature_fraction_seed": seed + 2,
            "data_random_seed": seed + 3,
            "deterministic": True,
            # The same trees either way; by columns twice as fast where a tree sees few of them.
            "force_col_wise" if self.feature_fraction <= FEW_COLUMNS else "force_row_wise": True,
            "num_threads": threads,
            "verbosity": -1,
        }
        if self.monotone:
            upward = -1 if is_event_good else 1
            meaning = {"up": upward, "down": -upward, None: 0}
            settings["monotone_constraints"] = [meaning[signal.worse] for signal in signals]
        return settings


UNTUNED = BoostingSettings()
MODEST = BoostingSettings(
    trees=60, leaves=4, depth=2, min_rows_in_leaf=30, feature_fraction=0.5, l2=5.0, monotone=True
)
"""Little to overfit with: what firms with few leavers get."""


def binned_rows(
    features: pd.DataFrame,
    labels: NDArray[np.int8],
    signals: tuple[Signal, ...],
    bins: int,
    seed: int,
    threads: int,
    offset: Floats | None = None,
) -> lgb.Dataset:
    """Return rows as LightGBM learns from them, every column cut into `bins`: a byte a value.

    Cutting takes as long as many trees, and depends on no other setting. Weights may change later.
    """
    parameters = BoostingSettings(bins=bins).parameters(
        signals, seed=seed, threads=threads, is_event_good=False
    )
    # Arrays, not frames: LightGBM then names columns by position, and no name can upset it.
    return lgb.Dataset(
        features.to_numpy(dtype=np.float64),
        label=labels.astype(np.float64),
        init_score=offset,
        params=parameters,
    ).construct()


class GradientBoosting:
    """Gradient-boosted trees; with several bags, the mean of their log-odds."""

    name = "gradient_boosting"

    def __init__(
        self,
        settings: BoostingSettings = UNTUNED,
        *,
        bags: int = 1,
        threads: int = 2,
        is_event_good: bool = False,
    ) -> None:
        self.settings = settings
        self.bags = bags
        self.threads = threads
        self.is_event_good = is_event_good
        self.boosters_: list[lgb.Booster] = []
        self.explained_by_ = "tables"
        """`tables`, or `pred_contrib` and why the tables were left."""
        self._tables: list[TreeShap] = []

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
        offset: Floats | None = None,
        binned: lgb.Dataset | None = None,
    ) -> Self:
        """Learn one booster per bag; bags differ in seed, and in rows where `bagging_fraction` is
        below 1.

        Parameters
        ----------
        offset
            Log-odds that others say beside the trees, shape (n_rows,): the trees learn what is
            left, and neither margin nor contributions hold them.
        binned
            The same rows, labels and offset as `binned_rows` made them for the bins of these
            settings, so that several fits share them.
        """
        rows = binned or binned_rows(
            features, labels, signals, self.settings.bins, seed, self.threads, offset
        )
        rows.set_weight(weights)
        self.boosters_ = []
        for bag in range(self.bags):
            parameters = self.settings.parameters(
                signals,
                seed=seed + 1000 * bag,
                threads=self.threads,
                is_event_good=self.is_event_good,
            )
            booster = lgb.Booster(parameters, rows)
            for _ in range(self.settings.trees):
                booster.update()
            # As it will be read: the text is what is kept, and holds none of the rows.
            booster.model_from_string(booster.model_to_string())
            self.boosters_.append(booster.free_dataset())
        self._tables, self.explained_by_ = [], "tables"
        return self

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return the mean raw score of the bags."""
        values = features.to_numpy(dtype=np.float64)
        scores = [self._predict(booster, values, raw_score=True) for booster in self.boosters_]
        return np.asarray(np.mean(scores, axis=0), dtype=np.float64)

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return SHAP values averaged over the bags, equal to `pred_contrib` to rounding and far
        faster.

        A row's values do not depend on the other rows. Some rows of every call are checked against
        `pred_contrib`; where tables cannot explain the trees, or differ, `pred_contrib` answers and
        `explained_by_` says why.
        """
        values = features.to_numpy(dtype=np.float64)
        base = self.base_(values.shape[1])
        if not len(values):
            return base, np.zeros(values.shape)
        if self.explained_by_ == "tables":
            try:
                return base, self._from_tables(values)
            except CannotExplain as reason:
                self.explained_by_ = f"pred_contrib: {reason}"
        return base, self._from_lightgbm(values)

    def _from_tables(self, values: Floats) -> Floats:
        if not self._tables:
            self._tables = [TreeShap(booster.dump_model()) for booster in self.boosters_]
        phi: Floats = np.zeros(values.shape)
        for tables in self._tables:
            phi += tables.values(values, threads=self.threads)
        phi /= len(self._tables)
        some = np.unique(np.linspace(0, len(values) - 1, _CHECKED_ROWS).astype(np.intp))
        gap = float(np.abs(phi[some] - self._from_lightgbm(values[some])).max(initial=0.0))
        if not gap <= LARGEST_GAP:
            raise CannotExplain(
                f"the tables differ from it by {gap:.2g} log-odds, at most {LARGEST_GAP} is"
                " allowed."
            )
        return phi

    def _from_lightgbm(self, values: Floats) -> Floats:
        total = sum(
            self._predict(booster, values, pred_contrib=True)[:, :-1] for booster in self.boosters_
        )
        return np.asarray(total / len(self.boosters_), dtype=np.float64)

    def base_(self, width: int) -> float:
        """Return the expected value of the trees, which does not depend on the rows asked about."""
        blank = np.zeros((1, width))
        return float(
            np.mean(
                [self._predict(each, blank, pred_contrib=True)[0, -1] for each in self.boosters_]
            )
        )

    def _predict(self, booster: lgb.Booster, values: Floats, **how: Any) -> Floats:
        if not len(values):  # LightGBM divides by the number of rows
            return np.zeros((0, values.shape[1] + 1) if how.get("pred_contrib") else 0)
        return np.asarray(
            booster.predict(values, num_threads=self.threads, **how), dtype=np.float64
        )

    def to_dict(self) -> MethodState:
        """Return settings, and LightGBM's text of each bag under `boosters`."""
        return {
            "settings": asdict(self.settings),
            "bags": self.bags,
            "threads": self.threads,
            "is_event_good": self.is_event_good,
            "boosters": [booster.model_to_string() for booster in self.boosters_],
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        method = cls(
            BoostingSettings(**state["settings"]),
            bags=int(state["bags"]),
            threads=int(state["threads"]),
            is_event_good=bool(state["is_event_good"]),
        )
        method.boosters_ = [lgb.Booster(model_str=text) for text in state["boosters"]]
        return method
