"""How well a target about an amount tells each cause of its change: seats bought are another matter
than a price that the vendor raised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.definition import Signal
from models.dataset import TrainingSet
from models.leakage import ACCOUNTS_NAMED, LEAVERS_TO_AUDIT, LeakFinding
from models.methods.base import Floats
from models.metrics import auc_of_accounts
from models.targets import CAUSES, Cause

FEWEST_BY_CAUSE = 10
"""Accounts on either side from which an AUC of one cause is told."""
ANNOUNCES = 0.5
"""Share of rows in which the vendor's own change follows, from which a signal is taken for its
announcement: not all of those who are told stay until it comes, or are asked for it in the end.
"""
ANNOUNCED_ODDS = 5.0
"""And at least so many times the odds of all rows."""
VENDORS_OWN: tuple[Cause, ...] = tuple(each for each in CAUSES if each in ("discount", "price"))


@dataclass(frozen=True)
class CauseQuality:
    """Test rows whose amount changed by one cause, beside the rows in which nothing changed.

    Attributes
    ----------
    counts
        Whether the target counts the cause.
    n, accounts
        Rows of the test that changed by it, and their accounts.
    mean_probability, mean_unchanged
        What the model gave these rows, and those without a change.
    auc
        How well it ranks the former above the latter, with its 95% interval; None where either side
        has fewer than `FEWEST_BY_CAUSE` accounts.
    """

    cause: str
    counts: bool
    n: int
    accounts: int
    mean_probability: float
    mean_unchanged: float
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None

    @property
    def words(self) -> str:
        """All of it in a line."""
        event_words = (
            f"too few for an AUC (under {FEWEST_BY_CAUSE} accounts)"
            if self.auc is None
            else f"AUC {self.auc:.3f} ({self.auc_low:.3f}-{self.auc_high:.3f}) against no change"
        )
        rows = "row" if self.n == 1 else "rows"
        return (
            f"{self.cause}{'' if self.counts else ' (does not count)'}: {self.n:,} {rows} of"
            f" {self.accounts:,} accounts, {event_words}; mean chance {self.mean_probability:.1%},"
            f" {self.mean_unchanged:.1%} without a change"
        )


def by_cause(
    causes: "pd.Series[str]",
    probability: Floats,
    accounts: "pd.Series[str]",
    counted: Sequence[Cause],
) -> tuple[CauseQuality, ...]:
    """Return the quality for each cause that comes up, in the order of `CAUSES`.

    Parameters
    ----------
    causes
        What the amount of each test row changed by inside its window; empty: by nothing. One value
        per row, like `probability` and `accounts`.
    counted
        Causes that the target counts; empty: all.
    """
    cause, account = causes.to_numpy(), accounts.to_numpy()
    unchanged = cause == ""
    figures = []
    for each in CAUSES:
        mine = cause == each
        if not mine.any():
            continue
        quality = CauseQuality(
            each,
            not counted or each in counted,
            int(mine.sum()),
            len(np.unique(account[mine])),
            float(probability[mine].mean()),
            float(probability[unchanged].mean()) if unchanged.any() else float("nan"),
        )
        asked = mine | unchanged
        if min(quality.accounts, len(np.unique(account[unchanged]))) >= FEWEST_BY_CAUSE:
            found_auc = auc_of_accounts(
                mine[asked].astype(np.int8), probability[asked], account[asked]
            )
            quality = replace(
                quality, auc=found_auc.value, auc_low=found_auc.low, auc_high=found_auc.high
            )
        figures.append(quality)
    return tuple(figures)


def announced(
    rows: TrainingSet,
    causes: "pd.Series[str]",
    counted: Sequence[Cause],
    waivers: Mapping[str, str] | None = None,
) -> tuple[LeakFinding, ...]:
    """Return signals after which a change that the vendor makes itself mostly comes, where the
    target counts such changes: a notice of the price to come tells the outcome, and nothing of
    the customer.

    Only measures of dated facts are asked: the place in the term decides prices too, and announces
    nothing.

    Parameters
    ----------
    causes
        Per row, as for `by_cause`.
    """
    own = [each for each in VENDORS_OWN if not counted or each in counted]
    changed = causes.isin(own).to_numpy()
    rate = float(changed.mean()) if len(changed) else 0.0
    if not 0.0 < rate < 1.0:
        return ()
    least = max(ANNOUNCES, _share(ANNOUNCED_ODDS * rate / (1.0 - rate)))
    findings = {}
    announcing = set()
    for signal in rows.signals:
        if not signal.is_behaviour or signal.is_clock:
            continue
        # Sessions and tickets are never zero for most; what was announced was so to a few.
        is_announced = np.nan_to_num(rows.features[signal.column].to_numpy(dtype=np.float64)) > 0
        hits = is_announced & changed
        accounts = sorted(set(rows.keys["account_id"][hits].astype(str)))
        share = float(hits.sum() / is_announced.sum()) if is_announced.any() else 0.0
        findings[signal.column] = LeakFinding(
            signal.column,
            "announced",
            share,
            (waivers or {}).get(signal.column),
            len(accounts),
            tuple(accounts[:ACCOUNTS_NAMED]),
        )
        if len(accounts) >= LEAVERS_TO_AUDIT and share >= least:
            announcing.add(_read_rows(signal))
    # What one window of an announcement tells, the others and the days since tell as well.
    return tuple(
        findings[signal.column]
        for signal in rows.signals
        if signal.column in findings and _read_rows(signal) in announcing
    )


def _read_rows(signal: Signal) -> tuple[str, ...]:
    """Which rows a measure reads, in whatever window: its source, and the kinds of its facts."""
    kinds = signal.definition.get("kinds") or (signal.column,)
    return (signal.source, *(str(kind) for kind in kinds))


def _share(odds: float) -> float:
    return odds / (1.0 + odds)
