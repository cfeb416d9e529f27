"""Two scores of the same accounts side by side: who stands elsewhere, and which was right.

Scores on different scales are compared by the order they put accounts in: the place on a list that
begins with the account most likely to have the event.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.metrics import Estimate, account_weights, auc, estimate, log_losses, paired_difference

Floats = npt.NDArray[np.float64]
FEWEST_EVENTS = 10
"""With fewer events, or fewer accounts without, which score was right is not told."""
JUDGED_DRAWS = 500
"""Resamples of the accounts."""
OURS, THEIRS, EVEN, TOO_FEW = "tenure", "other", "even", "too few"


@dataclass(frozen=True)
class Judgement:
    """Which of two scores was right on outcomes that are known.

    `listed` rows stand on each list: of every date the `capacity` most likely. `caught` are those
    of them with the event. Differences are ours less theirs, with 95% intervals from resampling
    accounts; `log_loss` is None where one of the scores is no probability.
    """

    group: str
    rows: int
    accounts: int
    events: int
    listed: int
    ours_caught: int
    theirs_caught: int
    caught: Estimate
    ours_auc: float
    theirs_auc: float
    auc: Estimate
    log_loss: Estimate | None
    verdict: str
    """`tenure`, `other` or `even`, by the log loss where there is one, else by the AUC; `too few`.
    """


def places(risk: Floats) -> npt.NDArray[np.int64]:
    """Place of each account on a list by risk, 1 the most likely; equal risks share a place.

    >>> places(np.array([0.1, 0.9, 0.9, 0.5])).tolist()
    [4, 1, 1, 3]
    """
    ranks = pd.Series(-np.asarray(risk, dtype=np.float64)).rank(method="min")
    return ranks.to_numpy().astype(np.int64)


def judge(rows: pd.DataFrame, capacity: int, *, group: str = "", seed: int = 0) -> Judgement:
    """Judge two scores on the same rows.

    Parameters
    ----------
    rows
        account_id, as_of, label (0 or 1), ours, theirs (risk: high is likely), and where both are
        probabilities ours_probability and theirs_probability.
    capacity
        Accounts that a team can call at a date.
    """
    rows = rows.reset_index(drop=True)
    label = rows["label"].to_numpy(dtype=np.float64)
    events, accounts = int(label.sum()), rows["account_id"]
    ours, theirs = (rows[name].to_numpy(dtype=np.float64) for name in ("ours", "theirs"))
    on_ours, on_theirs = (_listed(rows, name, capacity) for name in ("ours", "theirs"))
    gained = (on_ours - on_theirs) * label
    facts: dict[str, Any] = {
        "group": group,
        "rows": len(rows),
        "accounts": int(accounts.nunique()),
        "events": events,
        "listed": int(on_ours.sum()),
        "ours_caught": int((on_ours * label).sum()),
        "theirs_caught": int((on_theirs * label).sum()),
    }
    unknown = Estimate(math.nan, math.nan, math.nan)
    if min(events, len(rows) - events) < FEWEST_EVENTS:
        return Judgement(
            **facts,
            caught=unknown,
            ours_auc=math.nan,
            theirs_auc=math.nan,
            auc=unknown,
            log_loss=None,
            verdict=TOO_FEW,
        )
    caught, drawn = [], []
    for weights in account_weights(accounts, seed=seed, replicates=JUDGED_DRAWS):
        caught.append(weights @ gained)
        drawn.append([auc(label, ours, w) - auc(label, theirs, w) for w in weights])
    areas = auc(label, ours), auc(label, theirs)
    difference = estimate(areas[0] - areas[1], np.concatenate(drawn))
    loss = None
    if "theirs_probability" in rows:
        ours_loss, theirs_loss = (
            log_losses(label, rows[f"{name}_probability"].to_numpy(dtype=np.float64))
            for name in ("ours", "theirs")
        )
        loss = paired_difference(
            ours_loss, theirs_loss, accounts, seed=seed, replicates=JUDGED_DRAWS
        )
    better = difference if loss is None else Estimate(-loss.value, -loss.high, -loss.low)
    return Judgement(
        **facts,
        caught=estimate(float(gained.sum()), np.concatenate(caught)),
        ours_auc=areas[0],
        theirs_auc=areas[1],
        auc=difference,
        log_loss=loss,
        verdict=OURS if better.low > 0 else THEIRS if better.high < 0 else EVEN,
    )


def _listed(rows: pd.DataFrame, name: str, capacity: int) -> Floats:
    """1 for rows on the list of their date; of equal risks those whose id comes first, so that each
    list has one length.
    """
    ordered = rows.assign(place=range(len(rows))).sort_values(
        ["as_of", name, "account_id"], ascending=[True, False, True], kind="stable"
    )
    number = ordered.groupby("as_of").cumcount()
    listed = np.zeros(len(rows))
    listed[ordered["place"][number < capacity].to_numpy()] = 1.0
    return listed
