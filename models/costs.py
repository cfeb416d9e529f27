"""What acting on a model's chances saves, where each row has a cost of its own.

A row may say what is lost if its event is missed, beyond what is lost where somebody acts, and what
acting costs. Then the chance alone decides no longer whom to contact: a small account at 40% may
not be worth the call that a large one at 5% is.

References
----------
[Elkan2001] The foundations of cost-sensitive learning, section 2: act where the expected loss
exceeds the cost of acting.
[Bahnsen2014] Example-dependent cost-sensitive logistic regression, section 3: savings beside the
better of acting on nobody and on everybody.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.intervals import REPLICATES
from models.methods.base import Floats
from models.metrics import Estimate

SAVINGS_FACT = "costs of the test rows"
"""What a model card calls the sentence."""


@dataclass(frozen=True)
class Savings:
    """What acting by chance and cost would have cost on the test, beside simpler rules.

    Costs are sums over the rows, in the unit of the table.
    """

    rows: int
    acted_on: int
    cost: float
    cost_nobody: float
    cost_everybody: float
    saved: Estimate
    """Share of the cost of the better of nobody and everybody that is saved; below 0 acting by
    chances costs more.
    """
    saved_constant: float
    """The same with one chance for all rows: what their costs alone tell."""

    @property
    def words(self) -> str:
        """One sentence for people."""
        if np.isnan(self.saved.value):
            return "nothing can be saved: no row costs anything where nobody acts, or somebody does"
        interval = f"{self.saved.low:.0%} to {self.saved.high:.0%}"
        return (
            f"acting on {self.acted_on:,} of {self.rows:,} rows, where chance times loss exceeds"
            f" the cost, costs {self.cost:,.0f} in all; on nobody {self.cost_nobody:,.0f}, on"
            f" everybody {self.cost_everybody:,.0f}: {self.saved.value:.0%} saved ({interval});"
            f" with one chance for all rows {self.saved_constant:.0%}"
        )


def savings(
    labels: NDArray[np.int8],
    probability: Floats,
    if_missed: Floats,
    of_contact: Floats,
    accounts: pd.Series,
    *,
    constant: float,
    seed: int = 0,
) -> Savings:
    """Return what acting where `probability * if_missed > of_contact` saves.

    Parameters
    ----------
    labels, probability
        Outcome and chance of each row, shape (n_rows,).
    if_missed
        What is lost if the event is missed, beyond what is lost where somebody acts.
    of_contact
        What acting on the row costs, whatever happens.
    accounts
        Account of each row: the 95% interval resamples accounts.
    constant
        One chance for all rows, for comparison: the rate that training saw.
    """
    missed = np.where(labels == 1, if_missed, 0.0)
    acts = probability * if_missed > of_contact
    acts_constant = constant * if_missed > of_contact
    # Cost of a row under each rule: shape (n_rules, n_rows).
    rules = np.array(
        [
            np.where(acts, of_contact, missed),
            missed,
            of_contact,
            np.where(acts_constant, of_contact, missed),
        ]
    )
    codes, names = pd.factorize(accounts, sort=True)
    per_account = np.array([np.bincount(codes, rule, len(names)) for rule in rules])
    generator = np.random.default_rng(seed)
    drawn = [
        _saved(per_account[:, generator.integers(0, len(names), len(names))].sum(axis=1))[0]
        for _ in range(REPLICATES)
    ]
    saved, saved_constant = _saved(rules.sum(axis=1))
    low, high = (np.nan, np.nan) if np.isnan(saved) else np.nanquantile(drawn, [0.025, 0.975])
    totals = rules.sum(axis=1)
    return Savings(
        rows=len(labels),
        acted_on=int(acts.sum()),
        cost=float(totals[0]),
        cost_nobody=float(totals[1]),
        cost_everybody=float(totals[2]),
        saved=Estimate(saved, float(low), float(high)),
        saved_constant=saved_constant,
    )


def saved_share(
    labels: NDArray[np.int8], probability: Floats, if_missed: Floats, of_contact: Floats
) -> float:
    """Return the share of the cheaper of nobody and everybody that acting by chance saves; NaN
    where nothing can be saved.
    """
    missed = np.where(labels == 1, if_missed, 0.0)
    spent = np.where(probability * if_missed > of_contact, of_contact, missed)
    totals = np.array([spent.sum(), missed.sum(), of_contact.sum(), spent.sum()])
    return _saved(totals)[0]


def _saved(totals: Floats) -> tuple[float, float]:
    """Savings of both rules; totals in the order of `rules`."""
    cheaper = min(totals[1], totals[2])
    if cheaper <= 0:
        return float("nan"), float("nan")
    return float(1.0 - totals[0] / cheaper), float(1.0 - totals[3] / cheaper)
