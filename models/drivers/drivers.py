"""Published reasons: signals of one measure merged, the largest each way kept, whole points that
add up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definition import Signal
from features.errors import ContractError
from models.drivers.reasons import reason_of
from models.drivers.twins import Twins
from models.drivers.words import OTHERS, comparison, rest_words, signal_words
from models.health.rounding import displayed_points
from models.health.scale import Floats, Integers

DRIVER_COLUMNS = (
    "account_id",
    "dimension",
    "driver",
    "signal",
    "reason",
    "nature",
    "points",
    "points_displayed",
    "value",
    "value_before",
    "reference",
    "said",
    "compared",
)
MOST_EACH_WAY = 8
REST = "rest"
_ACCOUNTS_AT_ONCE = 20_000


@dataclass(frozen=True)
class _Group:
    """Signals of one measure (all windows of a card and of its twins), by their places among the
    signals.
    """

    dimension: str
    driver: str
    columns: npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Signals:
    """What is the same for every account."""

    signals: tuple[Signal, ...]
    groups: tuple[_Group, ...]
    listed: npt.NDArray[np.bool_]
    """Which groups may be listed: those with a signal that is not absent."""
    dimensions: tuple[str, ...]
    references: Floats
    before_days: int | None
    currency: str
    others: str


@dataclass(frozen=True)
class _Spoken:
    """What a row says: its signal, the reason, what is so now, and what it is compared with."""

    signal: str | None
    reason: str | None
    nature: str | None
    said: str
    compared: str | None


def shown_driver(signal: Signal, twins: Twins) -> str:
    """Name of the driver that a signal is shown under: its own, or that of the twin it moves
    with.
    """
    return twins.get(signal.dimension, {}).get(signal.driver, signal.driver)


def driver_table(
    account_ids: Sequence[str],
    features: pd.DataFrame,
    features_before: pd.DataFrame | None,
    points: npt.ArrayLike,
    signals: Sequence[Signal],
    references: Mapping[str, float],
    health_displayed: npt.ArrayLike,
    base_displayed: int,
    *,
    before_days: int | None = None,
    currency: str = "",
    others: str = OTHERS,
    most: int = MOST_EACH_WAY,
    twins: Twins | None = None,
    absent: Collection[str] = (),
) -> pd.DataFrame:
    """Published drivers of accounts: the largest `most` each way, and one `rest` per dimension.

    Signals of one `driver` and of its twins are one row: their points are summed, and the value
    shown is that of the signal with the most points. Accounts without a score are left out by the
    caller.

    Parameters
    ----------
    features, features_before
        One row per account, in the order of `account_ids`; a column per signal. None or NaN before:
        no comparison with the past.
    points
        Exact points, shape (n_accounts, n_signals).
    references
        Signal column -> median among accounts that stayed (`Model.reference_values`).
    health_displayed, base_displayed
        Displayed score of each account and of the base; the rows of an account add up to the
        difference.
    before_days
        Days between the two sets of features.
    others
        Whose medians the references are, in words.
    twins
        Drivers shown under the name of another (`find_twins`), as frozen with the model.
    absent
        Columns that are unknown because their source did not come: they are no reason, and count
        in `rest`.

    Returns
    -------
    DataFrame
        account_id; dimension; driver (`rest` for what is not listed); signal (column whose value is
        shown); reason (code of `REASONS` for drivers below 0 whose value bears it out); nature (of
        the signal); points (exact, below 0 pulls the score down); points_displayed (whole); value,
        value_before, reference (unit of the signal); said (what is so now, in words); compared
        (what it is compared with, in words). Null where there is none, so signal, nature and
        numbers on `rest`. Accounts in the order given, their rows by size of points, rests last.

    Raises
    ------
    ContractError
        Shapes do not fit each other, a signal has no column, or a value is infinite.
    """
    values, before, exact, health = _checked(
        account_ids, features, features_before, points, signals, health_displayed
    )
    shared = _prepare(signals, references, before_days, currency, others, twins or {}, absent)
    ids = np.asarray(account_ids, dtype=object)
    parts = []
    for start in range(0, len(ids), _ACCOUNTS_AT_ONCE):
        rows = slice(start, start + _ACCOUNTS_AT_ONCE)
        parts.append(
            _chunk(
                ids[rows],
                values[rows],
                before[rows],
                exact[rows],
                health[rows],
                base_displayed,
                shared,
                most,
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else _empty()


def _chunk(
    ids: npt.NDArray[np.object_],
    values: Floats,
    before: Floats,
    points: Floats,
    health: Integers,
    base_displayed: int,
    shared: _Signals,
    most: int,
) -> pd.DataFrame:
    grouped, shown_signal = _merge(points, shared.groups)
    published = largest_each_way(np.where(shared.listed, grouped, 0.0), most)
    left_out = (grouped != 0) & ~published
    rest, rest_counts = _rests(grouped, left_out, shared)
    every = np.hstack([np.where(published, grouped, 0.0), rest])
    dimensions = [group.dimension for group in shared.groups] + list(shared.dimensions)
    whole = displayed_points(every, dimensions, health, base_displayed)
    present = np.hstack([published, rest_counts > 0])
    # A rounding point can only fall on a row whose points are not 0; rests that cancel out keep
    # theirs by being listed.
    account, place = np.nonzero(present | (whole != 0))
    is_rest = place >= len(shared.groups)
    order = np.lexsort((place, -np.abs(every[account, place]), is_rest, account))
    account, place, is_rest = account[order], place[order], is_rest[order]
    signal = np.where(is_rest, -1, shown_signal[account, np.minimum(place, len(shared.groups) - 1)])
    now, past, reference = (
        np.where(is_rest, np.nan, array)
        for array in (values[account, signal], before[account, signal], shared.references[signal])
    )
    counts = rest_counts[account, np.maximum(place - len(shared.groups), 0)]
    names = [group.driver for group in shared.groups] + [REST] * len(shared.dimensions)
    spoken = _spoken(shared, signal, place, counts, now, past, every[account, place] < 0)
    return pd.DataFrame(
        {
            "account_id": pd.Series(ids[account], dtype="str"),
            "dimension": pd.Series(np.array(dimensions, dtype=object)[place], dtype="str"),
            "driver": pd.Series(np.array(names, dtype=object)[place], dtype="str"),
            "signal": pd.Series([row.signal for row in spoken], dtype="str"),
            "reason": pd.Series([row.reason for row in spoken], dtype="str"),
            "nature": pd.Series([row.nature for row in spoken], dtype="str"),
            "points": every[account, place],
            "points_displayed": whole[account, place],
            "value": now,
            "value_before": past,
            "reference": reference,
            "said": pd.Series([row.said for row in spoken], dtype="str"),
            "compared": pd.Series([row.compared for row in spoken], dtype="str"),
        }
    )


def _merge(points: Floats, groups: tuple[_Group, ...]) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Points per driver, and the signal that carries most of them for each account."""
    summed = np.empty((len(points), len(groups)))
    chosen = np.empty((len(points), len(groups)), dtype=np.intp)
    for index, group in enumerate(groups):
        # Chosen columns come laid out by columns, and such rows are summed in another order than a
        # row alone.
        inside = np.ascontiguousarray(points[:, group.columns])
        summed[:, index] = inside.sum(axis=1)
        # Rounded, so that equal windows are a tie and the first wins, whatever the last bits say.
        chosen[:, index] = group.columns[np.argmax(np.round(np.abs(inside), 9), axis=1)]
    return summed, chosen


def largest_each_way(points: Floats, most: int) -> npt.NDArray[np.bool_]:
    """Return which are the `most` largest of their row above 0, or below; shape of points."""
    kept = np.zeros(points.shape, dtype=bool)
    # Rounded, so that what is equal but for its last bits is a tie and the first wins.
    rounded = np.round(points, 9)
    for sign in (-1.0, 1.0):
        top = np.argsort(-sign * rounded, axis=1, kind="stable")[:, :most]
        right_way = sign * np.take_along_axis(points, top, axis=1) > 0
        np.put_along_axis(kept, top, right_way | np.take_along_axis(kept, top, axis=1), axis=1)
    return kept


def _rests(
    points: Floats, left_out: npt.NDArray[np.bool_], shared: _Signals
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Points and number of the drivers that are not listed, per dimension."""
    sums = np.zeros((len(points), len(shared.dimensions)))
    counts = np.zeros(sums.shape, dtype=np.int64)
    of_group = np.array(
        [shared.dimensions.index(group.dimension) for group in shared.groups], dtype=np.intp
    )
    for index in range(len(shared.dimensions)):
        inside = of_group == index
        rest = np.where(left_out[:, inside], points[:, inside], 0.0)
        sums[:, index] = np.ascontiguousarray(rest).sum(axis=1)
        counts[:, index] = left_out[:, inside].sum(axis=1)
    return sums, counts


def _spoken(
    shared: _Signals,
    signal: npt.NDArray[np.intp],
    place: npt.NDArray[np.intp],
    counts: npt.NDArray[np.int64],
    now: Floats,
    past: Floats,
    pulls_down: npt.NDArray[np.bool_],
) -> list[_Spoken]:
    """What every row says of its signal; equal facts are phrased once, since counts repeat."""
    memory: dict[tuple[int, float | None, float | None, bool], _Spoken] = {}
    spoken = []
    for s, p, count, value, before, is_down in zip(
        signal.tolist(),
        place.tolist(),
        counts.tolist(),
        now.tolist(),
        past.tolist(),
        pulls_down.tolist(),
        strict=True,
    ):
        if s < 0:
            dimension = shared.dimensions[p - len(shared.groups)]
            spoken.append(_Spoken(None, None, None, rest_words(count, dimension), None))
            continue
        # NaN is not equal to itself, so it would never be found again as a key.
        key = (
            s,
            value if value == value else None,
            before if before == before else None,
            is_down,
        )
        if key not in memory:
            memory[key] = _say(shared, s, key[1], key[2], pulls_down=is_down)
        spoken.append(memory[key])
    return spoken


def _say(
    shared: _Signals, place: int, value: float | None, before: float | None, *, pulls_down: bool
) -> _Spoken:
    signal, reference = shared.signals[place], float(shared.references[place])
    compared = comparison(
        signal,
        value,
        before,
        reference,
        pulls_down=pulls_down,
        before_days=shared.before_days,
        currency=shared.currency,
        others=shared.others,
    )
    reason = reason_of(signal, value, before, reference) if pulls_down else ""
    return _Spoken(
        signal.column,
        reason or None,
        signal.nature,
        signal_words(signal, value, currency=shared.currency),
        compared or None,
    )


def _prepare(
    signals: Sequence[Signal],
    references: Mapping[str, float],
    before_days: int | None,
    currency: str,
    others: str,
    twins: Twins,
    absent: Collection[str],
) -> _Signals:
    members: dict[tuple[str, str], list[int]] = {}
    for index, signal in enumerate(signals):
        members.setdefault((signal.dimension, shown_driver(signal, twins)), []).append(index)
    return _Signals(
        signals=tuple(signals),
        groups=tuple(
            _Group(d, name, np.array(columns, dtype=np.intp))
            for (d, name), columns in members.items()
        ),
        listed=np.array(
            [any(signals[i].column not in absent for i in each) for each in members.values()]
        ),
        dimensions=tuple(dict.fromkeys(signal.dimension for signal in signals)),
        references=np.array(
            [references.get(signal.column, np.nan) for signal in signals], dtype=np.float64
        ),
        before_days=before_days,
        currency=currency,
        others=others,
    )


def _checked(
    account_ids: Sequence[str],
    features: pd.DataFrame,
    features_before: pd.DataFrame | None,
    points: npt.ArrayLike,
    signals: Sequence[Signal],
    health_displayed: npt.ArrayLike,
) -> tuple[Floats, Floats, Floats, Integers]:
    exact = np.asarray(points, dtype=np.float64)
    health = np.asarray(health_displayed)
    n = len(account_ids)
    if exact.shape != (n, len(signals)) or health.shape != (n,) or len(features) != n:
        raise ContractError(
            f"{n} accounts and {len(signals)} signals need points of that shape, got {exact.shape},"
            f" {health.shape} scores and {len(features)} feature rows."
        )
    if not signals:
        raise ContractError("no signals: there is nothing that could be a reason.")
    if not np.issubdtype(health.dtype, np.integer):
        raise ContractError(
            f"displayed health must be whole numbers, got {health.dtype}. Leave out unknown"
            " accounts."
        )
    if not np.isfinite(exact).all():
        raise ContractError("points are missing or infinite. Leave out unknown accounts.")
    columns = [signal.column for signal in signals]
    values = _matrix(features, columns)
    if features_before is None:
        return values, np.full(values.shape, np.nan), exact, health.astype(np.int64)
    if len(features_before) != n:
        raise ContractError(
            f"{n} accounts but {len(features_before)} rows of features before. Reindex them first."
        )
    return values, _matrix(features_before, columns), exact, health.astype(np.int64)


def _matrix(features: pd.DataFrame, columns: list[str]) -> Floats:
    if missing := [column for column in columns if column not in features.columns]:
        raise ContractError(
            f"{len(missing)} signals have no column, the first is {missing[0]!r}. Build the"
            " features again."
        )
    matrix = features[columns].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(matrix).any():
        column = columns[int(np.argmax(np.isinf(matrix).any(axis=0)))]
        raise ContractError(
            f"signal {column} is infinite somewhere. A ratio over zero must be null: check its"
            " card."
        )
    return matrix


def _empty() -> pd.DataFrame:
    text, number = pd.Series([], dtype="str"), pd.Series([], dtype=np.float64)
    types = {name: number for name in DRIVER_COLUMNS}
    words = ("account_id", "dimension", "driver", "signal", "reason", "nature", "said", "compared")
    types |= {name: text for name in words}
    return pd.DataFrame({**types, "points_displayed": pd.Series([], dtype=np.int64)})[
        list(DRIVER_COLUMNS)
    ]
