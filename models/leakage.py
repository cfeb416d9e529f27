"""Columns that know the outcome: found before any model can profit from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import LeakageError
from models.dataset import TrainingSet
from models.methods.base import Floats
from models.metrics import auc
from models.splits import account_groups

LIMIT = 0.93
"""Out-of-fold AUC of one column alone from which it is taken for a proxy of the label."""
MIN_LEAVING = 30
"""With fewer leaving accounts a high AUC of one column of many can be luck."""
BINS = 24
ID_WORDS = ("id", "key", "uuid", "guid", "nr", "no", "number", "code")


@dataclass(frozen=True)
class Finding:
    """One suspicious column: what was measured, and the reason it was let through, if any."""

    column: str
    kind: str
    """`value`, `missing` or `identifier`."""
    figure: float
    """AUC, or the share of distinct values."""
    waived: str | None = None


def audit(training_set: TrainingSet, waivers: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Return waived findings, or refuse: a column, or its being null, that nearly tells the label alone.

    Rate per bin of the column is learned on four fifths of the accounts and judged on the rest, so a column
    of noise scores 0.5 and an unordered code is found, too.

    Parameters
    ----------
    waivers
        Column -> reason why it is known at the date all the same; recorded with the model.

    Raises
    ------
    LeakageError
        Naming every column found, its figure, and what to do.
    """
    waived = waivers or {}
    if training_set.leaving_accounts() < MIN_LEAVING:
        return ()
    labels = training_set.labels
    group = account_groups(training_set.keys["account_id"], labels)
    findings = []
    for signal in training_set.signals:
        values = training_set.features[signal.column].to_numpy()
        figures = {"value": _out_of_fold_auc(values, labels, group), "missing": _missing_auc(values, labels)}
        for kind, figure in figures.items():
            if figure >= LIMIT:
                findings.append(Finding(signal.column, kind, figure, waived.get(signal.column)))
                break
    _refuse([finding for finding in findings if finding.waived is None])
    return tuple(findings)


def identifiers(table: pd.DataFrame, waivers: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Return columns of a raw table that name accounts rather than describe them.

    Text with a value of its own in nearly every row, and whole numbers named like a key that never repeat.
    """
    found = []
    for column in table.columns:
        known = table[column].dropna()
        if len(known) < 20:
            continue
        distinct = known.nunique() / len(known)
        is_text = not pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_datetime64_any_dtype(known)
        if (is_text and distinct > 0.95) or (distinct == 1.0 and _is_named_key(str(column)) and _is_whole(known)):
            found.append(Finding(str(column), "identifier", float(distinct), (waivers or {}).get(str(column))))
    return tuple(found)


def refuse_identifiers(table: pd.DataFrame, waivers: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Return waived identifiers of a raw table, or raise `LeakageError` naming the others."""
    findings = identifiers(table, waivers)
    _refuse([finding for finding in findings if finding.waived is None])
    return findings


def _is_named_key(column: str) -> bool:
    words = "".join(letter if letter.isalnum() else " " for letter in column).lower().split()
    return any(word in ID_WORDS for word in words) or column.lower().endswith("id")


def _is_whole(known: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(known):
        return True
    return bool((known.astype("float64") % 1 == 0).all())


def _out_of_fold_auc(values: Floats, labels: NDArray[np.int8], group: NDArray[np.intp]) -> float:
    known = values[~np.isnan(values)]
    if len(np.unique(known[: 10_000])) < 2 and not np.isnan(values).any():
        return 0.5
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    number = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
    # An event rate per bin, learned without the fold that is judged.
    cells = np.bincount(number * (group.max() + 1) + group, minlength=(len(edges) + 2) * (group.max() + 1))
    events = np.bincount(number * (group.max() + 1) + group, weights=labels, minlength=len(cells))
    cells, events = cells.reshape(len(edges) + 2, -1), events.reshape(len(edges) + 2, -1)
    others, other_events = cells.sum(axis=1, keepdims=True) - cells, events.sum(axis=1, keepdims=True) - events
    rate = (other_events + labels.mean()) / (others + 1.0)
    judged = [auc(labels[group == fold], rate[number, group][group == fold]) for fold in range(group.max() + 1)]
    return float(np.nanmean(judged))


def _missing_auc(values: Floats, labels: NDArray[np.int8]) -> float:
    missing = np.isnan(values).astype(np.float64)
    figure = auc(labels, missing)
    return max(figure, 1.0 - figure)


def _refuse(found: list[Finding]) -> None:
    if not found:
        return
    said = {
        "value": "{column} alone ranks accounts with an AUC of {figure:.3f}",
        "missing": "whether {column} is null alone ranks accounts with an AUC of {figure:.3f}",
        "identifier": "{column} is an identifier: {figure:.0%} of its values are distinct",
    }
    parts = [said[each.kind].format(column=each.column, figure=each.figure) for each in found]
    why = ""
    if any(each.kind != "identifier" for each in found):
        why = f" From {LIMIT} on a column is taken for the outcome in disguise; make sure it is known before the date."
    raise LeakageError(f"{'; '.join(parts)}.{why} Leave it out of the features, or waive it by name with a reason.")
