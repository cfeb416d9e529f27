"""What the contract's clock alone says: the rate of the event by length of term and days to its
end.

An account whose term ends after the label window can hardly leave inside it, whatever it does; one
whose term ends in the window can. A model that has learned only this much knows when an account
decides, and nothing about how it decides: so it is the rule to beat.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.definition import Signal
from features.errors import ContractError
from features.terms import term_name
from models.methods.base import Floats, MethodState, logit
from models.methods.penalised import Regression, newton
from models.targets import ENDS_OF_COVER

RENEWAL, TERM = "days_to_renewal", "term_days"
PIECES = 6
"""Pieces of equal length that the label window is cut into."""
WITHOUT_WINDOW = (0.0, 30.0, 61.0, 91.0, 182.0, 365.0)
"""Days to the end at which pieces meet where the label window has no fixed length."""
LEAD_SD, TERM_SD, TOGETHER_SD = 2.0, 1.0, 0.5
"""Scales of the priors, in log-odds: of a piece of the way to the end, of a length of term, and of
what the two have beyond their sum. No cell is estimated by itself, so none is ever infinite.
"""
LEAST_SHARE = 0.02
"""Share of a term's rows in the window that a piece needs to be where its accounts decide."""
NEAR_DECISION = 0.5
"""Log-odds below those of its term's decision from which a row has not the decision before it."""
OPEN = "open-ended"
"""Accounts without a known end."""


def calendar_columns(signals: tuple[Signal, ...]) -> tuple[str, str | None] | None:
    """Columns with the days to the end of the term and its length; None where no end is known."""
    columns = {s.column for s in signals}
    for signal in signals:
        # Of several sources each card is named after its own.
        prefix, _, name = signal.column.rpartition("__")
        if name == RENEWAL and signal.is_calendar:
            term = f"{prefix}__{TERM}" if prefix else TERM
            return signal.column, term if term in columns else None
    return None


def is_contractual(target: Mapping[str, Any], signals: tuple[Signal, ...]) -> bool:
    """Whether the event is the end of a contract and signals tell when contracts end.

    Parameters
    ----------
    target
        Plain facts about what is predicted, as a model keeps them.
    """
    return target.get("kind") in ENDS_OF_COVER and calendar_columns(signals) is not None


def leaving_window(target: Mapping[str, Any]) -> tuple[float, float] | None:
    """First day of the label window and the first after it, counted from the date; None where it
    ends with each account's own term.
    """
    horizon, gap = target.get("horizon_days"), float(target.get("gap_days", 0))
    return None if horizon is None else (gap, gap + float(horizon))


def can_leave(
    features: pd.DataFrame, signals: tuple[Signal, ...], window: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return which accounts have a term that ends inside the label window, or no known end,
    shape (n_rows,).
    """
    columns = calendar_columns(signals)
    if columns is None:
        return np.ones(len(features), dtype=bool)
    days = features[columns[0]].to_numpy(dtype=np.float64)
    return np.asarray(np.isnan(days) | ((days >= window[0]) & (days < window[1])))


class ContractCalendar:
    """Log-odds by piece of the way to the term's end and length of term, and what both have
    together.

    Effects are pulled towards 0 by normal priors, and so a length of term with few accounts says
    what the others say. A length that training never saw has no effect of its own.

    Parameters
    ----------
    window
        First day of the label window and the first after it, counted from the date; None where it
        ends with each account's own term.
    columns
        Days to the end, and length of the term; None: found among the signals.
    hidden
        Columns of the calendar and its disguises: what stands beside this method must not read
        them.
    """

    name = "contract_calendar"

    def __init__(
        self,
        window: tuple[float, float] | None = None,
        columns: tuple[str, str | None] | None = None,
        hidden: tuple[str, ...] = (),
    ) -> None:
        self.window = window
        self.columns = columns
        self.hidden = hidden
        self.terms_: tuple[str, ...] = ()
        self.intercept_ = 0.0
        self.lead_: Floats = np.zeros(0)
        self.term_: Floats = np.zeros(0)
        self.together_: Floats = np.zeros((0, 0))
        self.decision_: NDArray[np.intp] = np.zeros(1, dtype=np.intp)
        """Number of the piece in which a term's accounts decide; the last: of terms never seen."""
        self.centre_ = 0.0
        """Mean effect at the decision, over the rows that taught."""

    @property
    def edges(self) -> Floats:
        """Days to the end at which one piece follows another, rising."""
        if self.window is None:
            return np.asarray(WITHOUT_WINDOW)
        first, end = self.window
        inside = np.linspace(first, end, PIECES + 1)
        # Beyond the window two pieces are left: what an early end or a moved one gives, and none.
        return np.asarray([*inside, end + (end - first)])

    def fit(
        self,
        features: pd.DataFrame,
        labels: NDArray[np.int8],
        signals: tuple[Signal, ...],
        *,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> Self:
        """Learn the effects from the rows' terms and labels."""
        self.columns = self.columns or calendar_columns(signals)
        self.terms_ = tuple(sorted(set(self._term_names(features))))
        lead, term = self._places(features)
        weight = np.ones(len(labels)) if weights is None else weights
        cell = lead * len(self.terms_) + term
        cells = len(self.edges) + 2, len(self.terms_)
        rows, events = (
            np.bincount(cell, each, minlength=cells[0] * cells[1]).astype(np.float64)
            for each in (weight, weight * labels)
        )
        self._solve(rows.reshape(cells), events.reshape(cells))
        self._decide(rows.reshape(cells))
        self.centre_ = float(np.average(self.decision_effects()[term], weights=weight))
        return self

    def _solve(self, rows: Floats, events: Floats) -> None:
        """Effects of the cells; the level has no prior."""
        leads, terms = rows.shape
        rate = float(logit((events.sum() + 0.5) / (rows.sum() + 1.0)))
        design = np.hstack(
            [
                np.repeat(np.eye(leads), terms, axis=0),
                np.tile(np.eye(terms), (leads, 1)),
                np.eye(leads * terms),
            ]
        )
        scales = [LEAD_SD] * leads + [TERM_SD] * terms + [TOGETHER_SD] * leads * terms
        # The intercept is all but free: only so much that the system stays solvable without events.
        pull = np.append(np.square(scales) ** -1.0, 1e-6)
        n, k = rows.ravel(), events.ravel()
        target = np.divide(k, n, out=np.zeros_like(k), where=n > 0)
        start = np.append(np.zeros(len(scales)), rate)
        solution = newton(Regression(design, target, n, pull, centre=start), start)
        self.intercept_ = float(solution[-1])
        self.lead_, self.term_ = solution[:leads], solution[leads : leads + terms]
        self.together_ = solution[leads + terms : -1].reshape(leads, terms)

    def _decide(self, rows: Floats) -> None:
        """Per term the piece in the window at which leaving is most frequent, among those its
        accounts pass through; the last place is of terms never seen.
        """
        leads = len(self.lead_)
        inside = np.zeros(leads, dtype=bool)
        inside[1 : (PIECES + 1 if self.window is not None else leads - 1)] = True
        effects = self.lead_[:, None] + self.together_
        passed = rows >= LEAST_SHARE * rows[inside].sum(axis=0, keepdims=True)
        places = [
            int(np.argmax(np.where(inside & passed[:, n], effects[:, n], -np.inf)))
            if (inside & passed[:, n] & (rows[:, n] > 0)).any()
            else leads - 1
            for n in range(len(self.terms_))
        ]
        unseen = int(np.argmax(np.where(inside, self.lead_, -np.inf)))
        self.decision_ = np.asarray([*places, unseen], dtype=np.intp)

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return the log-odds that lead and term give."""
        by_lead, by_term = self._effects(features)
        return self.intercept_ + by_lead + by_term

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the intercept; the way to the end speaks through `days_to_renewal`, the rest
        through `term_days`.
        """
        by_lead, by_term = self._effects(features)
        renewal, term = self.named_columns()
        phi = np.zeros(features.shape)
        phi[:, features.columns.get_loc(renewal)] = by_lead
        phi[:, features.columns.get_loc(term or renewal)] += by_term
        return self.intercept_, phi

    def decision_effects(self) -> Floats:
        """Log-odds at each term's decision, beside the intercept; the last: of terms never seen."""
        lead = self.lead_[self.decision_]
        term = np.append(self.term_, 0.0)
        number = np.arange(len(self.terms_))
        together = np.append(self.together_[self.decision_[:-1], number], 0.0)
        return np.asarray(lead + term + together, dtype=np.float64)

    def decision_days(self, features: pd.DataFrame) -> Floats:
        """Return days to the end at which each row's term decides; NaN where no end is known."""
        edges = np.asarray([*self.edges, np.inf])
        piece = self.decision_[self.term_places(features)]
        is_known = (piece > 0) & (piece < len(self.edges))
        inner = np.clip(piece, 1, len(self.edges) - 1)
        middle = 0.5 * (edges[inner - 1] + edges[inner])
        return np.asarray(np.where(is_known, middle, np.nan), dtype=np.float64)

    def pieces(self, features: pd.DataFrame) -> int:
        """Number of pieces of the way to the end in which rows stand."""
        return len(np.unique(self._places(features)[0]))

    def near_decision(self, features: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows have nearly the rate of their term's decision, or no known end, shape
        (n_rows,); all without a window.

        Nearer to the end only those are left that gave no notice, so of them fewer leave than of
        those who had the decision before them.
        """
        if self.window is None:
            return np.ones(len(features), dtype=bool)
        by_lead, by_term = self._effects(features)
        at_decision = self.decision_effects()[self.term_places(features)]
        is_unknown = features[self.named_columns()[0]].isna().to_numpy()
        return np.asarray(is_unknown | (by_lead + by_term >= at_decision - NEAR_DECISION))

    def rest(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features without values in the hidden columns."""
        hidden = [column for column in self.hidden if column in features.columns]
        return features.assign(**dict.fromkeys(hidden, np.nan)) if hidden else features

    def at_decision(self) -> "AtDecision":
        """Return the same method with every account at its term's decision."""
        return AtDecision(self)

    def _effects(self, features: pd.DataFrame) -> tuple[Floats, Floats]:
        """What the way to the end adds, and what the length of the term adds to that."""
        lead, term = self._places(features)
        # A length of term never seen stands behind the last, where every effect is 0.
        by_term = np.append(self.term_, 0.0)[term]
        together = np.hstack([self.together_, np.zeros((len(self.lead_), 1))])[lead, term]
        return self.lead_[lead], np.asarray(by_term + together, dtype=np.float64)

    def _places(self, features: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Number of the piece (the last: no known end) and of the term of each row."""
        days = features[self.named_columns()[0]].to_numpy(dtype=np.float64)
        lead = np.where(
            np.isnan(days),
            len(self.edges) + 1,
            np.searchsorted(self.edges, days, side="right"),
        )
        return lead.astype(np.intp), self.term_places(features)

    def term_places(self, features: pd.DataFrame) -> NDArray[np.intp]:
        """Number of the term of each row; one more than there are: a length never seen."""
        number = {name: place for place, name in enumerate(self.terms_)}
        places = [number.get(name, len(self.terms_)) for name in self._term_names(features)]
        return np.asarray(places, dtype=np.intp)

    def _term_names(self, features: pd.DataFrame) -> list[str]:
        term = self.named_columns()[1]
        if term is None:
            return [OPEN] * len(features)
        days = features[term].to_numpy(dtype=np.float64)
        names = {d: OPEN if np.isnan(d) else term_name(int(d)) for d in np.unique(days)}
        return [OPEN if np.isnan(d) else names[d] for d in days]

    def named_columns(self) -> tuple[str, str | None]:
        """Columns with the days to the end and the length of the term."""
        if self.columns is None:
            raise ContractError(
                "no signal counts the days to the end of a term; the contract calendar needs one."
            )
        return self.columns

    def to_dict(self) -> MethodState:
        """Return window, columns, terms and effects."""
        return {
            "window": None if self.window is None else list(self.window),
            "columns": list(self.named_columns()),
            "terms": list(self.terms_),
            "intercept": self.intercept_,
            "lead": self.lead_.tolist(),
            "term": self.term_.tolist(),
            "together": self.together_.tolist(),
            "hidden": list(self.hidden),
            "decision": self.decision_.tolist(),
            "centre": self.centre_,
        }

    @classmethod
    def from_dict(cls, state: MethodState) -> Self:
        """Return the method that `to_dict` described."""
        window = state["window"]
        renewal, term = state["columns"]
        method = cls(
            None if window is None else (float(window[0]), float(window[1])),
            (renewal, term),
            tuple(state["hidden"]),
        )
        method.terms_ = tuple(state["terms"])
        method.intercept_ = float(state["intercept"])
        method.lead_, method.term_ = np.asarray(state["lead"]), np.asarray(state["term"])
        method.together_ = np.asarray(state["together"], dtype=np.float64).reshape(
            len(method.lead_), len(method.terms_)
        )
        method.decision_ = np.asarray(state["decision"], dtype=np.intp)
        method.centre_ = float(state["centre"])
        return method


class AtDecision:
    """The contract calendar read where each term decides, whatever the date of the account's own.

    What is left of it is the length of the term, a standing fact; its mean over the rows that
    taught is part of the base.
    """

    name = ContractCalendar.name

    def __init__(self, calendar: ContractCalendar) -> None:
        self.calendar = calendar

    def margin(self, features: pd.DataFrame) -> Floats:
        """Return the log-odds at the decision, shape (n_rows,)."""
        calendar = self.calendar
        return calendar.intercept_ + calendar.decision_effects()[calendar.term_places(features)]

    def contributions(self, features: pd.DataFrame) -> tuple[float, Floats]:
        """Return the mean over the rows that taught, and what the length of the term adds."""
        base = self.calendar.intercept_ + self.calendar.centre_
        renewal, term = self.calendar.named_columns()
        phi = np.zeros(features.shape)
        phi[:, features.columns.get_loc(term or renewal)] = self.margin(features) - base
        return base, phi


_LEARN_BESIDE = frozenset({"gradient_boosting", "logistic"})
"""Methods that are fitted beside the calendar, without its signals; others are counted."""


def fit_members(
    methods: Sequence[Any],
    features: pd.DataFrame,
    labels: NDArray[np.int8],
    signals: tuple[Signal, ...],
    *,
    seed: int = 0,
    weights: Floats | None = None,
) -> None:
    """Fit methods that are summed: the contract calendar first, the others beside it.

    Parameters
    ----------
    weights
        Of the rows, by their age; they go to trees only.
    """
    calendars = [each for each in methods if isinstance(each, ContractCalendar)]
    offset: Floats | None = None
    for calendar in calendars:
        calendar.fit(features, labels, signals, seed=seed)
        offset = calendar.margin(features)
    rest = calendars[0].rest(features) if calendars else features
    for method in methods:
        if isinstance(method, ContractCalendar):
            continue
        if method.name not in _LEARN_BESIDE:
            method.fit(features, labels, signals, seed=seed)
            continue
        beside = {} if offset is None else {"offset": offset}
        row_weights = weights if method.name == "gradient_boosting" else None
        method.fit(rest, labels, signals, seed=seed, weights=row_weights, **beside)
