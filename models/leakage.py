"""Columns that know the outcome: found before any model can profit from them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import LeakageError
from models.dataset import TrainingSet
from models.methods.base import Floats
from models.metrics import auc
from models.splits import Block, Folds, account_groups

LIMIT = 0.93
"""Out-of-fold AUC of one column alone from which it is taken for a proxy of the label."""
BLOCK_LIMIT = 0.97
"""The same on one block of dates: of several, one with few leavers may be this good by luck."""
LEAVERS_TO_AUDIT = 30
"""With fewer leaving accounts a high AUC of one column of many can be luck."""
ONE_SIDED = 0.99
"""A column filled in (or left empty) for practically nobody but those with the event was written
afterwards.
"""
MOST_BLOCKS = 4
"""Blocks of dates that are asked apart, the newest one beside them."""
ACCOUNTS_NAMED = 3
"""Accounts named with a finding."""
PROXY_BINS = 24
ID_WORDS = ("id", "key", "uuid", "guid", "nr", "no", "num", "number", "code")
PERSON_WORDS = (
    "account",
    "client",
    "contact",
    "contract",
    "customer",
    "member",
    "person",
    "subscriber",
    "user",
)
"""Whose key it is: `CLIENTNUM`, `customerid`; without such a word `paid` would end in `id`."""
REPEATED_KEY = 0.05
"""Distinct values over rows from which a column named as somebody's key is one, although accounts
come back.
"""


@dataclass(frozen=True)
class LeakFinding:
    """One suspicious column: what was measured, and the reason it was let through, if any."""

    column: str
    kind: str
    """`value`, `missing`, `filled`, `empty`, `announced` or `identifier`."""
    figure: float
    """AUC; the rate of the event where the column is `filled`, `empty` or `announced`; or the share
    of distinct values.
    """
    waived: str | None = None
    leavers: int = 0
    """Accounts with the event that it gives away; 0 of an identifier."""
    examples: tuple[str, ...] = ()
    """Some of them."""
    dates: tuple[str, str] | None = None
    """First and last date it shows on; None: on all together."""
    rows: str = ""
    """Names the rows that are filled, empty or missing: columns of one export share them."""


def audit(
    training_set: TrainingSet, waivers: Mapping[str, str] | None = None
) -> tuple[LeakFinding, ...]:
    """Return waived findings, or refuse: a column, or its being null, that nearly tells the label
    alone.

    Rate per bin of the column is learned on four fifths of the accounts and judged on the rest, so
    a column of noise scores 0.5 and an unordered code is found, too. All rows are asked together,
    then block by block of dates: what was written over the newest history alone is diluted by the
    rest.

    Parameters
    ----------
    waivers
        Column -> reason why it is known at the date all the same; recorded with the model.

    Raises
    ------
    LeakageError
        Naming every column found, its figure, and what to do.
    """
    findings = suspects(training_set, waivers)
    refuse(findings)
    return findings


def suspects(
    training_set: TrainingSet, waivers: Mapping[str, str] | None = None
) -> tuple[LeakFinding, ...]:
    """Return every column that nearly tells the label alone, waived or not; nothing is refused."""
    waived = waivers or {}
    labels, accounts = training_set.labels, training_set.keys["account_id"]
    if training_set.leaving_accounts() < LEAVERS_TO_AUDIT:
        return ()
    as_of = training_set.keys["as_of"]
    everything = np.ones(len(labels), dtype=bool)
    blocks = _date_blocks(training_set)
    parts = [(everything, None), *((rows, _span(as_of[rows])) for rows in blocks)]
    groups = [account_groups(accounts[rows], labels[rows]) for rows, _ in parts]
    findings = []
    for signal in training_set.signals:
        values = training_set.features[signal.column].to_numpy()
        for (rows, dates), group in zip(parts, groups, strict=True):
            figure = _out_of_fold_auc(values[rows], labels[rows], group)
            suspect = _proxy(
                values[rows],
                figure,
                labels[rows],
                is_behaviour=signal.is_behaviour,
                limit=LIMIT if dates is None else BLOCK_LIMIT,
            )
            if suspect is not None:
                finding = LeakFinding(signal.column, *suspect, waived.get(signal.column))
                findings.append(_told(finding, values[rows], labels[rows], accounts[rows], dates))
                break
    return tuple(findings)


def _date_blocks(training_set: TrainingSet) -> list[NDArray[np.bool_]]:
    """Rows of consecutive dates with `LEAVERS_TO_AUDIT` leaving accounts or more, the newest
    first; one block would be all rows again.
    """
    keys, labels = training_set.keys, training_set.labels
    as_of = keys["as_of"].to_numpy()
    dates = np.unique(as_of)[::-1]
    least_rows = len(keys) / MOST_BLOCKS
    blocks: list[NDArray[np.bool_]] = []
    rows = np.zeros(len(keys), dtype=bool)
    for date in dates:
        rows = rows | (as_of == date)
        is_newest = not blocks
        leavers = keys["account_id"][rows & (labels == 1)].nunique()
        # Only the newest block is as short as it can be: that is where history is rewritten.
        if leavers >= LEAVERS_TO_AUDIT and (is_newest or rows.sum() >= least_rows):
            blocks.append(rows)
            rows = np.zeros(len(keys), dtype=bool)
    if blocks and rows.any():
        blocks[-1] = blocks[-1] | rows
    return blocks if len(blocks) > 1 else []


def _span(as_of: pd.Series) -> tuple[str, str]:
    return f"{as_of.min():%Y-%m-%d}", f"{as_of.max():%Y-%m-%d}"


def _told(
    finding: LeakFinding,
    values: Floats,
    labels: NDArray[np.int8],
    accounts: pd.Series,
    dates: tuple[str, str] | None = None,
) -> LeakFinding:
    """The finding with whom it is about; `values` are codes where the column is text."""
    missing = np.isnan(values)
    everything = np.ones(len(values), dtype=bool)
    about = {"filled": ~missing, "empty": missing}.get(finding.kind, everything)
    leavers = sorted(set(accounts[about & (labels == 1)].astype(str)))
    pattern = "" if finding.kind == "value" else hashlib.sha256(missing.tobytes()).hexdigest()[:16]
    return replace(
        finding,
        leavers=len(leavers),
        examples=tuple(leavers[:ACCOUNTS_NAMED]),
        dates=dates,
        rows=pattern,
    )


def audit_folds(keys: pd.DataFrame, folds: Folds) -> None:
    """Refuse folds that let the judged rows teach: a label window that reaches into them, or an
    account on both sides.

    Parameters
    ----------
    keys
        `account_id`, `as_of`, `label_until`, `is_test` of the training set.

    Raises
    ------
    LeakageError
        Naming the first such row: its account, its date, and when its label was complete.
    """
    is_test = np.flatnonzero(keys["is_test"].to_numpy(dtype=bool))
    blocks = [*folds.tuning, *folds.calibration]
    for block in blocks if folds.is_temporal else ():
        _refuse_overlap(keys, block.train, block.validation, "validation rows")
    for block in () if folds.is_temporal else blocks:
        _refuse_shared(keys, block)
    if len(is_test) and keys["label_until"].nunique() > 1:
        _refuse_overlap(keys, folds.final, is_test, "test rows")


def _refuse_overlap(
    keys: pd.DataFrame, train: NDArray[np.intp], judged: NDArray[np.intp], what: str
) -> None:
    first = keys["as_of"].to_numpy()[judged].min()
    late = train[keys["label_until"].to_numpy()[train] > first]
    if len(late):
        row = keys.iloc[late[0]]
        raise LeakageError(
            f"label windows of {len(late)} training rows reach into the {what}, which begin on"
            f" {pd.Timestamp(first):%Y-%m-%d}: account {row.account_id} at {row.as_of:%Y-%m-%d} has"
            f" a label complete on {row.label_until:%Y-%m-%d} only. Training would know what"
            " happens to the accounts it is judged on; use models.splits.temporal_folds."
        )


def _refuse_shared(keys: pd.DataFrame, block: Block) -> None:
    account = keys["account_id"].to_numpy()
    shared = sorted(set(account[block.train]) & set(account[block.validation]))
    if shared:
        raise LeakageError(
            f"{len(shared)} accounts are spread across folds, such as {shared[0]}: rows of one"
            " account would teach about each other. Group by account:"
            " models.splits.account_groups."
        )


def proxies(
    table: pd.DataFrame,
    labels: NDArray[np.int8],
    accounts: pd.Series,
    waivers: Mapping[str, str] | None = None,
) -> tuple[LeakFinding, ...]:
    """Return columns of a raw table that nearly tell the label alone, under the names their owner
    knows.

    Text is judged by its categories (a rate per category, learned on other accounts), so that a
    column of reasons or states is found whatever code it would get; numbers as in `audit`. Nothing
    is refused here.

    Parameters
    ----------
    table
        Numbers, booleans and text; nulls allowed.
    labels, accounts
        Label and account of each row.
    """
    if accounts[labels == 1].nunique() < LEAVERS_TO_AUDIT:
        return ()
    group = account_groups(accounts, labels)
    findings = []
    for column in table.columns:
        if pd.api.types.is_numeric_dtype(table[column]):
            values = table[column].to_numpy(dtype=np.float64, na_value=np.nan)
            figure = _out_of_fold_auc(values, labels, group)
        else:
            codes = pd.factorize(table[column], sort=True)[0]
            values = np.where(codes < 0, np.nan, codes.astype(np.float64))
            figure = _rate_auc(np.where(codes < 0, codes.max() + 1, codes), labels, group)
        suspect = _proxy(values, figure, labels)
        if suspect is not None:
            finding = LeakFinding(str(column), *suspect, (waivers or {}).get(str(column)))
            findings.append(_told(finding, values, labels, accounts))
    return tuple(findings)


def identifiers(
    table: pd.DataFrame, waivers: Mapping[str, str] | None = None
) -> tuple[LeakFinding, ...]:
    """Return columns of a raw table that name accounts rather than describe them.

    Text with a value of its own in nearly every row; whole numbers named like a key that never
    repeat; and somebody's key (`customer_id`, `CLIENTNUM`) even where accounts come back.
    """
    findings = []
    for column in table.columns:
        known = table[column].dropna()
        if len(known) < 20:
            continue
        distinct = known.nunique() / len(known)
        is_text = not pd.api.types.is_numeric_dtype(
            known
        ) and not pd.api.types.is_datetime64_any_dtype(known)
        is_key = _is_named_key(str(column)) and _is_whole(known)
        is_repeated = is_key and _is_of_person(str(column)) and distinct > REPEATED_KEY
        if (is_text and distinct > 0.95) or (distinct == 1.0 and is_key) or is_repeated:
            findings.append(
                LeakFinding(
                    str(column), "identifier", float(distinct), (waivers or {}).get(str(column))
                )
            )
    return tuple(findings)


def _words(column: str) -> list[str]:
    """`customerID`, `customer_id` and `Customer ID` are the same two words."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column)
    return re.sub(r"[^0-9a-z]+", " ", parted.lower()).split()


def _is_named_key(column: str) -> bool:
    words = _words(column)
    return any(word in ID_WORDS for word in words) or _is_joined_key(words)


def _is_joined_key(words: Sequence[str]) -> bool:
    return any(
        word == person + key for word in words for person in PERSON_WORDS for key in ID_WORDS
    )


def _is_of_person(column: str) -> bool:
    words = _words(column)
    return _is_joined_key(words) or any(word in PERSON_WORDS for word in words)


def _is_whole(known: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(known):
        return True
    return bool((known.astype("float64") % 1 == 0).all())


def _out_of_fold_auc(values: Floats, labels: NDArray[np.int8], group: NDArray[np.intp]) -> float:
    known = values[~np.isnan(values)]
    if len(np.unique(known[:10_000])) < 2 and not np.isnan(values).any():
        return 0.5
    edges = (
        np.unique(np.quantile(known, np.linspace(0, 1, PROXY_BINS + 1)[1:-1]))
        if len(known)
        else np.zeros(0)
    )
    number = np.where(
        np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right")
    )
    return _rate_auc(number, labels, group)


def _rate_auc(number: NDArray[np.intp], labels: NDArray[np.int8], group: NDArray[np.intp]) -> float:
    """Mean AUC over folds of the event rate per bin (or category), learned without the fold that is
    judged.
    """
    bins, folds = int(number.max()) + 1, int(group.max()) + 1
    cells = np.bincount(number * folds + group, minlength=bins * folds)
    events = np.bincount(number * folds + group, weights=labels, minlength=len(cells))
    cells, events = cells.reshape(bins, -1), events.reshape(bins, -1)
    others, other_events = (
        cells.sum(axis=1, keepdims=True) - cells,
        events.sum(axis=1, keepdims=True) - events,
    )
    rate = (other_events + labels.mean()) / (others + 1.0)
    judged = [
        auc(labels[group == fold], rate[number, group][group == fold]) for fold in range(folds)
    ]
    return float(np.nanmean(judged))


def _proxy(
    values: Floats,
    value_auc: float,
    labels: NDArray[np.int8],
    *,
    is_behaviour: bool = False,
    limit: float = LIMIT,
) -> tuple[str, float] | None:
    """Kind and figure of what gives a column away, or None.

    Parameters
    ----------
    limit
        AUC from which it counts.
    is_behaviour
        Whether it counts dated rows: then empty means "never", and those who never used what they
        bought may well be those who left.
    """
    if value_auc >= limit:
        return "value", value_auc
    missing_auc = _missing_auc(values, labels)
    if missing_auc >= limit:
        return "missing", missing_auc
    # A cancellation reason kept for a third of the leavers has an AUC of 0.67 only, and gives them
    # away all the same.
    missing = np.isnan(values)
    sides = [("filled", ~missing)] if is_behaviour else [("filled", ~missing), ("empty", missing)]
    for kind, rows in sides:
        events = int(labels[rows].sum())
        if (
            missing.any()
            and events >= LEAVERS_TO_AUDIT
            and labels[rows].mean() >= ONE_SIDED
            and labels.mean() <= 0.5
        ):
            return kind, float(labels[rows].mean())
    return None


def _missing_auc(values: Floats, labels: NDArray[np.int8]) -> float:
    missing = np.isnan(values).astype(np.float64)
    figure = auc(labels, missing)
    return max(figure, 1.0 - figure)


def refuse(findings: Sequence[LeakFinding], lines: str | None = None) -> None:
    """Raise `LeakageError` naming every finding that is not waived, its figure, and what to do.

    Parameters
    ----------
    lines
        The last sentence; default: the lines of tenure.toml that leave the columns out, or waive
        them.
    """
    refused = [finding for finding in findings if finding.waived is None]
    if not refused:
        return
    why = ""
    if any(each.kind in ("value", "missing") for each in refused):
        why = (
            f" From {LIMIT} on a column is taken for the outcome in disguise; make sure it is known"
            " before the date."
        )
    raise LeakageError(f"{leaks_in_words(refused)}.{why} {lines or advice(refused)}")


def leaks_in_words(findings: Sequence[LeakFinding]) -> str:
    """Return what is wrong with these columns: one part per pattern of rows."""
    # Columns of one export are filled and empty in the same rows, and say one thing.
    alike: dict[tuple[str, ...], list[LeakFinding]] = {}
    for each in findings:
        key = (each.kind, each.rows) if each.rows else (each.kind, each.column)
        alike.setdefault(key, []).append(each)
    return "; ".join(_sentence(group) for group in alike.values())


SAID = {
    "value": "{columns} alone ranks accounts with an AUC of {figure:.3f}",
    "missing": "whether {columns} is null alone ranks accounts with an AUC of {figure:.3f}",
    "filled": (
        "{columns} is filled in where the event happened and hardly elsewhere ({figure:.1%} of such"
        " rows)"
    ),
    "empty": (
        "{columns} is empty where the event happened and hardly elsewhere ({figure:.1%} of such"
        " rows)"
    ),
    "announced": (
        "{columns} announces what you do yourself: where it is not zero, the price or the discount"
        " changes in {figure:.0%} of rows (it says nothing of the customer)"
    ),
    "identifier": "{columns} is an identifier: {figure:.0%} of its values are distinct",
}


def _sentence(alike: Sequence[LeakFinding]) -> str:
    """What is said of columns whose finding is one."""
    first = max(alike, key=lambda each: each.figure)
    columns = first.column
    if len(alike) > 1:
        others = ", ".join(each.column for each in alike if each is not first)
        columns = f"{columns} (in the same rows: {others})"
    words = SAID[first.kind].format(columns=columns, figure=first.figure)
    if first.dates is not None:
        words += f" on the dates {first.dates[0]} to {first.dates[1]}"
    if first.leavers:
        account = "account" if first.leavers == 1 else "accounts"
        words += f"; {first.leavers} {account} with the event, such as {', '.join(first.examples)}"
    return words


def advice(refused: Sequence[LeakFinding]) -> str:
    """Return the lines of tenure.toml that leave columns out, or waive them."""
    off = ", ".join(f'"{each.column}"' for each in refused)
    waived = "\n".join(f'{each.column} = "why it is known on the date"' for each in refused)
    it = "it" if len(refused) == 1 else "them"
    return (
        f"Leave {it} out, in tenure.toml:\n[features]\noff = [{off}]\nor, where known on the date,"
        f" waive {it} with the reason:\n[training.waivers]\n{waived}"
    )
