"""The table model in use, on the held-out rows of a newer candidate: where it can be judged there,
and how it does.

Both are judged on rows neither learned from. Where that cannot be made sure, no figure is given and
the reason is said.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from models import metrics
from models.bundle import Bundle, score
from models.dataset import TrainingSet
from models.model import Model
from models.stability import band_changes
from models.table import TableOptions, TableRows
from models.table_codes import ColumnCode, encode, misfits
from pipeline.jobs.train import load_registered
from pipeline.tracking import CHAMPION, alias_version

EVALUATION = "evaluation.json"
IN_USE = "the model in use"
LISTED = 3
_OUTCOME = {
    "label": "predicts another column",
    "positive": "has another event",
    "horizon_days": "looks another time ahead",
}
"""What two tables must agree on before their models can be compared: fact of the table -> what it
is that differs.
"""


@dataclass(frozen=True, eq=False)
class TableInUse:
    """The version behind the alias champion, and which table it was trained on."""

    version: str
    bundle: Bundle
    table: Mapping[str, Any]
    """As `table_facts` says; empty where its run does not tell."""

    def predicts(self, table: Mapping[str, Any]) -> bool:
        """Whether its outcome is that of the table."""
        return all(name in self.table and self.table[name] == table[name] for name in _OUTCOME)

    @property
    def codes(self) -> tuple[ColumnCode, ...]:
        """How it reads columns."""
        return tuple(ColumnCode.from_dict(each) for each in self.bundle.choices["table_columns"])


def table_in_use(tracker: Any, name: str) -> TableInUse | None:
    """The model in use of a registered name, or None."""
    loaded = load_registered(tracker, name, CHAMPION)
    if loaded is None:
        return None
    table = (stored_evaluation(alias_version(tracker, name, CHAMPION)) or {}).get("table", {})
    return TableInUse(loaded[2], loaded[0], table)


def stored_evaluation(version: Any) -> dict[str, Any] | None:
    """The evaluation kept with the run of a registered version, gates and all; None where there is
    none.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        found: dict[str, Any] = mlflow.artifacts.load_dict(
            f"runs:/{version.tags['run_id']}/{EVALUATION}"
        )
    except (KeyError, MlflowException):
        return None
    return found


def table_facts(file: str, options: TableOptions, rows: TableRows) -> dict[str, Any]:
    """What is kept of a candidate's table: its columns' roles, its size, and how its accounts are
    told apart and held out.
    """
    held_as = sorted(str(column) for column in rows.source.columns)
    by = (
        f"named by {options.account}"
        if options.account
        else (
            f"distinct rows of {len(held_as)} columns"
            f" ({hashlib.sha256(json.dumps(held_as).encode()).hexdigest()[:8]})"
        )
    )
    return {
        "file": file,
        "label": options.label,
        "positive": options.positive,
        "account": options.account,
        "as_of": options.as_of,
        "horizon_days": options.horizon_days,
        "test_share": options.test_share,
        "accounts_by": by,
        "columns": len(rows.codes),
        "signals": len(rows.training_set.signals),
        "rows": len(rows.training_set),
    }


def beside_in_use(
    in_use: TableInUse,
    rows: TableRows,
    table: Mapping[str, Any],
    candidate: Bundle,
    reseeded: Model | None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how the candidate does beside the model in use on the candidate's held-out rows, as
    plain values.

    Parameters
    ----------
    table
        What `table_facts` says of the candidate's table.
    reseeded
        The candidate's twin from another seed.

    Returns
    -------
    dict
        registered_version, model_version, and either `note` (why they cannot be compared) or
        log_loss and auc of the model in use, `difference` (the candidate's log loss minus its,
        paired, with `_low` and `_high`), `band_changes` (share of accounts, 0-1) and `reseeded`
        (the same between the candidate and its twin of another seed).
    """
    facts: dict[str, Any] = {
        "registered_version": in_use.version,
        "model_version": in_use.bundle.model_version,
    }
    # It may read a column that the candidate was told to drop.
    held = pd.concat([rows.source.columns, rows.source.dropped], axis=1)[rows.is_test].reset_index(
        drop=True
    )
    test = rows.training_set.test
    why = _not_comparable(in_use, rows, table, held)
    if why is not None:
        return {**facts, "note": why}
    model, as_read = in_use.bundle.model, encode(held, in_use.codes)
    theirs = metrics.log_losses(test.labels, model.probability(as_read))
    ours = metrics.log_losses(test.labels, candidate.model.probability(test.features))
    gap = metrics.paired_difference(ours, theirs, test.keys["account_id"], seed=seed)
    figures = {
        "log_loss": float(theirs.mean()),
        "auc": metrics.auc(test.labels, model.margin(as_read)),
        "difference": gap.value,
        "difference_low": gap.low,
        "difference_high": gap.high,
        **_band_changes(candidate, reseeded, in_use.bundle, test, as_read),
    }
    # JSON knows no NaN: an interval that does not exist is null.
    return {
        **facts,
        "note": None,
        **{k: v if v is not None and math.isfinite(v) else None for k, v in figures.items()},
    }


def beside_words(beside: Mapping[str, Any]) -> str:
    """What `beside_in_use` found, in a sentence."""
    named = f"{IN_USE}, version {beside['registered_version']}"
    if beside["note"] is not None:
        return f"{named}: not compared, {beside['note']}."
    ends = (beside["difference_low"], beside["difference_high"])
    span = "" if None in ends else f" (95% {ends[0]:+.4f} to {ends[1]:+.4f})"
    noise = (
        "" if beside["reseeded"] is None else f", another seed alone moves {beside['reseeded']:.1%}"
    )
    verdict = ""
    if None not in ends and (ends[0] > 0 or ends[1] < 0):
        verdict = (
            f": the candidate is {'worse' if ends[0] > 0 else 'better'} beyond what chance gives"
        )
    return (
        f"{named}: log loss {beside['log_loss']:.4f} on the same held-out rows, AUC"
        f" {beside['auc']:.3f}; the candidate's log loss minus that"
        f" {beside['difference']:+.4f}{span}{verdict}; {beside['band_changes']:.1%} of accounts"
        f" change band{noise}."
    )


def _band_changes(
    candidate: Bundle,
    reseeded: Model | None,
    in_use: Bundle,
    test: TrainingSet,
    as_read: pd.DataFrame,
) -> dict[str, float | None]:
    """Shares of accounts, on the newest row of each, that change band: against the model in use,
    and against another seed.
    """
    newest = np.flatnonzero(~test.keys["account_id"].duplicated(keep="last").to_numpy())
    read = test.features.iloc[newest]
    bands, before = (
        score(bundle, features).table["band"].to_numpy()
        for bundle, features in ((candidate, read), (in_use, as_read.iloc[newest]))
    )
    noise = (
        None
        if reseeded is None
        else band_changes(candidate, replace(candidate, model=reseeded), read)
    )
    return {"band_changes": float(np.mean(bands != before)), "reseeded": noise}


def _not_comparable(
    in_use: TableInUse, rows: TableRows, table: Mapping[str, Any], held: pd.DataFrame
) -> str | None:
    """Why a figure of the model in use on these rows would mislead, as the end of a sentence; None
    where it would not.
    """
    before = in_use.table
    if not before:
        return "its run keeps no evaluation that says what it learned from"
    for name, words in _OUTCOME.items():
        if before.get(name) != table[name]:
            then, here = (_told(name, each.get(name)) for each in (before, table))
            return f"it {words} ({then}, here {here})"
    wrong = misfits(held, in_use.codes, rows.source.dates)
    if wrong:
        more = f" and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        return (
            "this table lacks columns it reads, or holds them as another type:"
            f" {', '.join(wrong[:LISTED])}{more}"
        )
    return _seen(in_use, rows, table)


def _told(name: str, value: Any) -> str:
    if name == "horizon_days":
        return "no dates" if value is None else f"{value} days"
    return "none named" if value is None else repr(value)


def _seen(in_use: TableInUse, rows: TableRows, table: Mapping[str, Any]) -> str | None:
    """Whether the model in use may have learned from held-out rows.

    With dates: not if its last label was complete when the first held-out row was dated. Without:
    accounts are held out by a hash of their name, so the accounts of a share are those of every
    larger share too, in any table that names them in the same way.
    """
    before, unsure = in_use.table, "so it may have learned from some of these rows"
    if rows.has_dates:
        learned = pd.Timestamp(in_use.bundle.model.training["last_as_of"]) + pd.Timedelta(
            days=int(table["horizon_days"])
        )
        first = rows.training_set.test.keys["as_of"].min()
        return (
            None
            if learned <= first
            else (
                f"its last training labels were complete on {learned:%Y-%m-%d}, after the first"
                f" held-out date {first:%Y-%m-%d}, {unsure}"
            )
        )
    if before["accounts_by"] != table["accounts_by"]:
        return f"its accounts were {before['accounts_by']}, here {table['accounts_by']}, {unsure}"
    if before["test_share"] < table["test_share"]:
        return (
            f"it held out {before['test_share']:.0%} of accounts, here {table['test_share']:.0%},"
            f" {unsure}"
        )
    return None
