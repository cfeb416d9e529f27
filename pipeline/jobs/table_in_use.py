"""The table model in use: what it learned from, and whether it can be judged on the held-out rows
of a newer candidate.

Both are judged on rows neither learned from. Where that cannot be made sure, no figure is given and
the reason is said.
"""

import hashlib
import json
from typing import Any

import pandas as pd

from models.table import TableOptions, TableRows
from models.table_codes import ColumnCode, encode, misfits
from models.table_input import codes_of
from pipeline.evaluations import TableFacts
from pipeline.jobs.in_use import InUse
from pipeline.jobs.registry import RegisteredModel, Version
from pipeline.tracking import CHAMPION

NOT_OUT_OF_TIME = (
    "not out of time: the table has no dates, so folds and test are other accounts of the same"
    " time. Expect less on later dates; name the column that dates the rows with --date to know"
    " how much."
)
LISTED_COLUMNS = 3
_OUTCOME = {
    "label": "predicts another column",
    "positive": "has another event",
    "horizon_days": "looks another time ahead",
}
"""What two tables must agree on before their models can be compared: fact of the table -> what it
is that differs.
"""


def table_in_use(models: RegisteredModel, table: TableFacts, rows: TableRows) -> InUse | None:
    """The model in use of a label as it reads the rows of a newer table; None where none is in use.

    Parameters
    ----------
    table
        What `table_facts` says of the newer table.
    """
    version = models.load(CHAMPION)
    if version is None:
        return None
    evaluation = models.evaluation(version.number)
    kept = None if evaluation is None else evaluation.of_table
    before = None if kept is None else kept.table
    is_same = before is not None and not _differing(before, table)
    # It may read a column that the candidate was told to drop.
    columns = pd.concat([rows.source.columns, rows.source.dropped], axis=1)
    codes = codes_of(version.bundle.choices)
    note = _not_comparable(version, before, codes, rows, table, columns)
    if note is not None:
        return InUse(version, None, note, is_same)
    is_test = rows.training_set.keys["is_test"].to_numpy(dtype=bool)
    test_features = encode(columns, codes)[is_test].reset_index(drop=True)
    return InUse(version, test_features, None, is_same)


def table_facts(file: str, options: TableOptions, rows: TableRows) -> TableFacts:
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
    return TableFacts(
        file=file,
        label=options.label,
        positive=options.positive,
        account=options.account,
        as_of=options.as_of,
        horizon_days=options.horizon_days,
        test_share=options.test_share,
        split=options.split,
        accounts_by=by,
        columns=len(rows.codes),
        signals=len(rows.training_set.signals),
        rows=len(rows.training_set),
    )


def _differing(before: TableFacts, table: TableFacts) -> list[str]:
    """What of the outcome differs between two tables."""
    return [name for name in _OUTCOME if getattr(before, name) != getattr(table, name)]


def _not_comparable(
    version: Version,
    before: TableFacts | None,
    codes: tuple[ColumnCode, ...],
    rows: TableRows,
    table: TableFacts,
    columns: pd.DataFrame,
) -> str | None:
    """Why a figure of the model in use on these rows would mislead, as the end of a sentence; None
    where it would not.
    """
    if before is None:
        return "its run keeps no evaluation that says what it learned from"
    for name in _differing(before, table):
        then, here = (_outcome_words(name, getattr(each, name)) for each in (before, table))
        return f"it {_OUTCOME[name]} ({then}, here {here})"
    wrong = misfits(columns[rows.is_test], codes, rows.source.dates)
    if wrong:
        more = f" and {len(wrong) - LISTED_COLUMNS} more" if len(wrong) > LISTED_COLUMNS else ""
        return (
            "this table lacks columns it reads, or holds them as another type:"
            f" {', '.join(wrong[:LISTED_COLUMNS])}{more}"
        )
    return _seen(version, before, rows, table)


def _outcome_words(name: str, value: Any) -> str:
    if name == "horizon_days":
        return "no dates" if value is None else f"{value} days"
    return "none named" if value is None else repr(value)


def _seen(version: Version, before: TableFacts, rows: TableRows, table: TableFacts) -> str | None:
    """Whether the model in use may have learned from held-out rows.

    With dates: not if its last label was complete when the first held-out row was dated. Without:
    accounts are held out by a hash of their name, so the accounts of a share are those of every
    larger share too, in any table that names them in the same way.
    """
    unsure = "so it may have learned from some of these rows"
    if before.split != table.split:
        then, here = (each.split or "accounts and dates" for each in (before, table))
        return f"its test rows were told by {then}, here by {here}, {unsure}"
    if rows.has_dates:
        learned = pd.Timestamp(version.bundle.model.training.learned_until) + pd.Timedelta(
            days=int(table.horizon_days or 0)
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
    if before.accounts_by != table.accounts_by:
        return f"its accounts were {before.accounts_by}, here {table.accounts_by}, {unsure}"
    if before.test_share < table.test_share:
        return (
            f"it held out {before.test_share:.0%} of accounts, here {table.test_share:.0%},"
            f" {unsure}"
        )
    return None
