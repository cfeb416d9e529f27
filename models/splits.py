"""Which rows teach, which rows tune, which rows calibrate: folds by time, with label windows kept
apart.

One example runs through the comments: dates every 28 days from 2024-01-01, horizon 90 days, so the
row of 2024-01-01 has `label_until` 2024-03-31 and may teach a block that starts on 2024-03-31 or
later.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ContractError, TooFewEvents

Positions = NDArray[np.intp]

LEAVERS_PER_BLOCK = 60
"""Distinct leaving accounts a block should hold: with fewer, its log loss mostly measures luck."""
FEW_LEAVING = 10
"""With fewer leaving accounts in all blocks together, time cannot be validated at all."""
RECENT_SHARE = 0.35
"""Share of the training rows, the latest ones, that validation blocks are cut from."""
TRAIN_SHARES = (0.25, 0.10, 0.0)
"""Share of all training rows that the first block must find before it, tried in this order."""
GROUP_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Block:
    """Validation rows and the rows that may teach a model judged on them (positions in the training
    set).
    """

    train: Positions
    validation: Positions
    first_as_of: pd.Timestamp
    last_as_of: pd.Timestamp
    leaving_accounts: int
    """Distinct accounts that left among the validation rows."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The plan of a training run.

    `tuning` and `calibration` are the same blocks where data allow no others; `notes` then says so.
    """

    tuning: tuple[Block, ...]
    calibration: tuple[Block, ...]
    final: Positions
    """Rows of the final fit: label complete before the first test date."""
    purged: int
    """Training rows left out because their label window reaches into the test."""
    is_temporal: bool
    leaving_accounts: int
    """Distinct accounts that left among the final rows."""
    notes: tuple[str, ...] = field(default=())


def temporal_folds(keys: pd.DataFrame, count: int, labels: NDArray[np.int8]) -> Folds:
    """Return validation blocks from the latest training dates, oldest first; the last one
    calibrates.

    The latest third of the training rows is cut at dates into `count` blocks of about equal size;
    blocks with fewer than 60 leaving accounts are merged. A block is taught by rows whose
    `label_until` is not after its first date. Dates of accounts' own (anchored) work the same way:
    blocks are date ranges. Where no block can be had, accounts are divided into five groups, and a
    note says "not out of time".

    Parameters
    ----------
    keys
        `account_id`, `as_of`, `label_until`, `is_test`, sorted by account and date.
    count
        Blocks wished for, at least 1; fewer where dates or leaving accounts do not suffice.
    labels
        0 or 1 per row; counts leaving accounts, never chooses rows by outcome.

    Raises
    ------
    ContractError
        When fewer than two accounts left, or fewer than two stayed, before the test.
    """
    if count < 1:
        raise ContractError(f"folds={count} must be at least 1.")
    final, purged = _final_rows(keys)
    _require_both_classes(keys, labels, final)
    blocks = _time_blocks(keys, labels, final, count)
    leaving = _leaving(keys, labels, final)
    notes: list[str] = []
    if purged:
        notes.append(
            f"{purged} training rows were left out because their outcome was known only after the"
            " test had begun."
        )
    if not blocks:
        groups = _account_blocks(keys, labels, final)
        notes.append(
            f"validated on {len(groups)} groups of accounts, not out of time: there are too few"
            " training dates to keep outcomes apart, or too few accounts with the event."
        )
        return Folds(groups, groups, final, purged, False, leaving, tuple(notes))
    tuning, calibration = blocks[:-1], blocks[-1:]
    if not tuning:
        tuning = calibration
        notes.append(
            f"the same dates ({_span(blocks[0])}) were used for tuning and calibration; there were"
            " too few dates or accounts with the event for two sets."
        )
    elif len(blocks) < count:
        notes.append(
            f"validated on {len(blocks)} sets of dates instead of {count}: there is not enough"
            f" history for more, or not {LEAVERS_PER_BLOCK} accounts with the event for each."
        )
    return Folds(tuning, calibration, final, purged, True, leaving, tuple(notes))


def thinned(folds: Folds, keys: pd.DataFrame, most: int) -> Folds:
    """Return the folds with at most `most` teaching rows each; validation rows all stay.

    Dates of one account repeat each other: with hundreds of thousands of rows the others hardly
    add.
    """
    if len(folds.final) <= most:
        return folds
    thin = _thinning(keys, most)

    def lighter(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        return tuple(replace(block, train=thin(block.train)) for block in blocks)

    tuning = lighter(folds.tuning)
    # One block may both tune and calibrate, and others ask by identity.
    calibration = tuning if folds.calibration is folds.tuning else lighter(folds.calibration)
    note = (
        f"the model learned from {most:,} of {len(folds.final):,} training rows, drawn by a hash of"
        " account and date (training.max_rows)."
    )
    return replace(
        folds,
        tuning=tuning,
        calibration=calibration,
        final=thin(folds.final),
        notes=(*folds.notes, note),
    )


def searched(folds: Folds, keys: pd.DataFrame, most: int) -> Folds:
    """Return the folds with at most `most` rows in every part of the tuning blocks, validation too.

    A search fits dozens of models only to put settings in order; the calibration block and the
    final fit keep their rows.
    """
    largest = max(max(len(block.train), len(block.validation)) for block in folds.tuning)
    if largest <= most:
        return folds
    thin = _thinning(keys, most)
    tuning = tuple(
        replace(block, train=thin(block.train), validation=thin(block.validation))
        for block in folds.tuning
    )
    note = (
        f"the search used {most:,} of up to {largest:,} rows per set of dates"
        " (training.search_rows)."
    )
    return replace(folds, tuning=tuning, notes=(*folds.notes, note))


def unmatured(keys: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows lie before the test while their outcome reaches into it, shape (n_rows,).

    They teach nothing, and no test label is among them: what a model says of them is what it would
    have published.
    """
    is_test = keys["is_test"].to_numpy(dtype=bool)
    first_test = keys["as_of"][is_test].min()
    return np.asarray(
        ~is_test
        & (keys["label_until"] > first_test).to_numpy()
        & (keys["as_of"] < first_test).to_numpy()
    )


def _thinning(keys: pd.DataFrame, most: int) -> Callable[[Positions], Positions]:
    """Keeps at most so many rows by a hash of account and date, which knows neither labels nor the
    order of rows.
    """
    hashed = pd.util.hash_pandas_object(keys[["account_id", "as_of"]], index=False).to_numpy()
    return lambda rows: (
        rows if len(rows) <= most else np.sort(rows[np.argsort(hashed[rows], kind="stable")[:most]])
    )


def _span(block: Block) -> str:
    return f"{block.first_as_of:%Y-%m-%d} to {block.last_as_of:%Y-%m-%d}"


def _final_rows(keys: pd.DataFrame) -> tuple[Positions, int]:
    """Training rows whose label is complete before the test starts, and how many others there
    are.
    """
    is_test = keys["is_test"].to_numpy(dtype=bool)
    train = np.flatnonzero(~is_test)
    if not is_test.any():
        return train, 0
    first_test = keys["as_of"].to_numpy()[is_test].min()
    is_flat = keys["as_of"].nunique() == 1 or keys["label_until"].nunique() == 1
    if (keys["as_of"].to_numpy()[train] >= first_test).any() and is_flat:
        # A flat table's labels are all complete at one moment: its test is other accounts, no time
        # to keep apart.
        shared = set(keys["account_id"].iloc[train]) & set(keys["account_id"][is_test])
        if shared:
            raise ContractError(
                f"{len(shared)} accounts are both in training and test, e.g. {min(shared)}."
            )
        return train, 0
    matured = keys["label_until"].to_numpy()[train] <= first_test
    return train[matured], int((~matured).sum())


def _leaving(keys: pd.DataFrame, labels: NDArray[np.int8], rows: Positions) -> int:
    return int(keys["account_id"].iloc[rows[labels[rows] == 1]].nunique())


def _require_both_classes(keys: pd.DataFrame, labels: NDArray[np.int8], final: Positions) -> None:
    leaving, staying = _leaving(keys, labels, final), int((labels[final] == 0).sum())
    if leaving < 2 or staying < 2:
        if not len(final):
            raise TooFewEvents(
                "no training row's outcome was known before the test began: the horizon is too long"
                " for the data. Choose a shorter horizon or a later test, or bring more history."
            )
        raise TooFewEvents(
            f"{len(final)} training rows before the test hold {leaving} accounts with the event and"
            f" {staying} rows without; at least 2 of each are needed. Bring more history,"
            " begin the training dates earlier, or ask about an event that more accounts have."
        )


def _time_blocks(
    keys: pd.DataFrame, labels: NDArray[np.int8], final: Positions, count: int
) -> tuple[Block, ...]:
    """Blocks by time, or none; a small share of history before the first block is accepted only
    when needed.
    """
    for share in TRAIN_SHARES:
        eligible = _eligible_dates(keys, labels, final, share)
        if not len(eligible):
            continue
        recent = _recent_dates(keys, final, eligible, count)
        for dates in (
            recent,
            eligible,
        ):  # the wider choice where the latest third holds too few that left
            blocks = _cut(keys, labels, final, dates, count)
            if blocks and blocks[-1].leaving_accounts >= LEAVERS_PER_BLOCK:
                return blocks
        if blocks and blocks[-1].leaving_accounts >= FEW_LEAVING:
            return blocks
    return ()


def _eligible_dates(
    keys: pd.DataFrame, labels: NDArray[np.int8], final: Positions, share: float
) -> NDArray[np.datetime64]:
    """Dates before which enough rows of both classes are matured (2024-03-31 and later in the
    example).
    """
    dates = np.unique(keys["as_of"].to_numpy()[final])
    until = keys["label_until"].to_numpy()[final]
    matured = np.searchsorted(np.sort(until), dates, side="right")
    events = np.searchsorted(np.sort(until[labels[final] == 1]), dates, side="right")
    enough = (
        (matured >= max(20, share * len(final)))
        & (events >= FEW_LEAVING)
        & (matured - events >= FEW_LEAVING)
    )
    return dates[enough]


def _recent_dates(
    keys: pd.DataFrame, final: Positions, eligible: NDArray[np.datetime64], count: int
) -> NDArray[np.datetime64]:
    """The latest eligible dates that hold about a third of all training rows, at least one per
    block.
    """
    counts = _rows_per_date(keys, final, eligible)
    rows_since = np.cumsum(counts[::-1])[::-1]
    kept = rows_since <= RECENT_SHARE * len(final)
    return eligible[-max(int(kept.sum()), count) :]


def _rows_per_date(
    keys: pd.DataFrame, final: Positions, dates: NDArray[np.datetime64]
) -> NDArray[np.intp]:
    as_of = np.sort(keys["as_of"].to_numpy()[final])
    return np.searchsorted(as_of, dates, side="right") - np.searchsorted(as_of, dates, side="left")


def _cut(
    keys: pd.DataFrame,
    labels: NDArray[np.int8],
    final: Positions,
    dates: NDArray[np.datetime64],
    count: int,
) -> tuple[Block, ...]:
    """Cut consecutive dates into at most `count` blocks of about equal rows, then merge the small
    ones.
    """
    counts = _rows_per_date(keys, final, dates)
    middle = np.cumsum(counts) - counts / 2.0
    piece = np.minimum((middle / counts.sum() * count).astype(int), count - 1)
    ranges = [dates[piece == number] for number in range(count)]
    ranges = [each for each in ranges if len(each)]
    merged: list[NDArray[np.datetime64]] = []
    for each in reversed(ranges):  # from the latest: calibration deserves the first full block
        if merged and _block(keys, labels, final, merged[-1]).leaving_accounts < LEAVERS_PER_BLOCK:
            merged[-1] = np.concatenate([each, merged[-1]])
        else:
            merged.append(each)
    if (
        len(merged) > 1
        and _block(keys, labels, final, merged[-1]).leaving_accounts < LEAVERS_PER_BLOCK
    ):
        oldest = merged.pop()
        merged[-1] = np.concatenate([oldest, merged[-1]])
    return tuple(_block(keys, labels, final, each) for each in reversed(merged))


def _block(
    keys: pd.DataFrame, labels: NDArray[np.int8], final: Positions, dates: NDArray[np.datetime64]
) -> Block:
    as_of, until = keys["as_of"].to_numpy()[final], keys["label_until"].to_numpy()[final]
    validation = final[(as_of >= dates[0]) & (as_of <= dates[-1])]
    return Block(
        train=final[until <= dates[0]],
        validation=validation,
        first_as_of=pd.Timestamp(dates[0]),
        last_as_of=pd.Timestamp(dates[-1]),
        leaving_accounts=_leaving(keys, labels, validation),
    )


def account_groups(
    accounts: pd.Series, labels: NDArray[np.int8], count: int = GROUP_FOLDS, *, deal: int = 0
) -> NDArray[np.intp]:
    """Return a group number per row: all rows of an account in one, leavers and stayers spread
    evenly.

    Accounts are dealt in the order of a hash of their id, so the order of rows does not matter;
    another `deal` is another order.
    """
    frame = pd.DataFrame({"account_id": accounts.to_numpy(), "left": labels})
    ever = frame.groupby("account_id", sort=True)["left"].max()
    before = f"{deal}|" if deal else ""
    hashed = [hashlib.sha256(f"{before}{account}".encode()).hexdigest() for account in ever.index]
    order = pd.DataFrame({"left": ever.to_numpy(), "hashed": hashed}, index=ever.index).sort_values(
        ["left", "hashed"]
    )
    group = (order.groupby("left").cumcount() % count).astype(np.intp)
    return np.asarray(group.reindex(frame["account_id"]).to_numpy(), dtype=np.intp)


def _account_blocks(
    keys: pd.DataFrame, labels: NDArray[np.int8], final: Positions
) -> tuple[Block, ...]:
    accounts = keys["account_id"].iloc[final]
    ever = pd.Series(labels[final]).groupby(accounts.to_numpy()).max()
    count = int(min(GROUP_FOLDS, (ever == 1).sum(), max(2, (ever == 0).sum())))
    group = account_groups(accounts, labels[final], count)
    as_of = keys["as_of"].iloc[final]
    blocks = []
    for number in range(count):
        validation = final[group == number]
        blocks.append(
            Block(
                final[group != number],
                validation,
                as_of.min(),
                as_of.max(),
                _leaving(keys, labels, validation),
            )
        )
    # Where one account holds all rows that stayed, the others alone would teach that everybody
    # leaves.
    return tuple(
        block for block in blocks if len(block.validation) and len(set(labels[block.train])) == 2
    )
