"""A ready feature table as a training set: keys, labels, frozen encodings, and what was found on
the way.

One example runs through the comments: 3,150 rows without dates, 300 of which repeat the values of
others.
"""

import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ConfigError, ContractError
from features.naming import ROW_NAMES
from models import leakage
from models.dataset import TrainingSet, training_set
from models.table_codes import ColumnCode, encode, freeze, signals_of, unseen

NO_DATE = np.datetime64("1970-01-01", "us")
"""Date of rows that have none; their labels are all complete a day later, so that no fold by time
can exist.
"""
LISTED = 8
FEWEST_NUMBERED = 20
"""With fewer rows whole numbers without gap or repeat can be chance."""
TEST_WORDS = ("test", "testing", "holdout", "hold-out")
TRAIN_WORDS = ("train", "training", "valid", "validation", "dev")
"""What a column that splits a table says, whatever the case."""
FLAGS = {"true": "1", "false": "0"}
YES_AND_NO = (("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"))
"""Pairs of label values of which the first is the event, unless --positive says otherwise."""

Advice = Callable[[Sequence[leakage.LeakFinding]], str]


@dataclass(frozen=True)
class TableOptions:
    """Which column is what.

    `positive` is the label value that is the event, all others its absence (None: 1, true or yes of
    two); `account` names the accounts (None: every distinct row is one); `as_of` dates the rows,
    and then `horizon_days` says when a label was complete.
    """

    label: str
    positive: str | None = None
    account: str | None = None
    as_of: str | None = None
    horizon_days: int | None = None
    drop: tuple[str, ...] = ()
    waivers: Mapping[str, str] = field(default_factory=dict)
    """Column -> reason why it is known at the date although the audit refuses it."""
    test_share: float = 0.2
    split: str | None = None
    """Column that says which rows are the test, by the word test, or as `COLUMN=VALUE`; None: they
    are held out by date or account.
    """
    cost_if_missed: str | None = None
    """Column of what is lost if the event is missed, beyond what is lost where somebody acts."""
    cost_of_contact: str | None = None
    """Column of what acting on the row costs."""

    def __post_init__(self) -> None:
        if not 0.0 < self.test_share < 1.0:
            raise ConfigError(
                f"--test-share {self.test_share} must lie between 0 and 1; 0.2 holds out one row in"
                " five."
            )
        if self.as_of is not None and self.horizon_days is None:
            raise ConfigError(
                f"--date {self.as_of} needs --horizon-days N: how many days after that date the"
                " label was complete. Without it nothing keeps the labels of training out of the"
                " test."
            )
        if self.as_of is None and self.horizon_days is not None:
            raise ConfigError(
                "--horizon-days counts from a date; name its column with --date COLUMN."
            )
        if (self.cost_if_missed is None) != (self.cost_of_contact is None):
            raise ConfigError(
                "costs of rows come in pairs: name both columns, --cost-if-missed COLUMN (lost"
                " where nobody acts) and --cost-of-contact COLUMN (spent where somebody does)."
            )
        if self.horizon_days is not None and self.horizon_days < 1:
            raise ConfigError(f"--horizon-days {self.horizon_days} must be at least 1.")


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """Rows with a known label, sorted by key, and the columns that may become signals.

    `keys` has account_id, as_of, label_until and `row` (position in the file, from 0).
    """

    keys: pd.DataFrame
    labels: NDArray[np.int8]
    columns: pd.DataFrame
    dates: frozenset[str]
    """Columns that held times and now hold days before the row's date."""
    has_dates: bool
    notes: tuple[str, ...]
    dropped: pd.DataFrame
    """Columns left out on request, which no signal comes from: an older model of the table may read
    them.
    """
    declared_test: NDArray[np.bool_] | None = None
    """Rows that the table itself says are the test."""
    costs: pd.DataFrame | None = None
    """`if_missed` and `of_contact` of each row, where the table has them."""


@dataclass(frozen=True, eq=False)
class TableRows:
    """A training set made from a table, with the codes of its columns and what must be told."""

    training_set: TrainingSet
    codes: tuple[ColumnCode, ...]
    findings: tuple[leakage.LeakFinding, ...]
    """Waived ones."""
    has_dates: bool
    row: NDArray[np.int64]
    """Position in the file of each row of the training set."""
    notes: tuple[str, ...]
    source: LabelledTable
    """The same rows, in the same order, before encoding: another model may read them by codes of
    its own.
    """

    @property
    def is_test(self) -> NDArray[np.bool_]:
        """Which rows are the untouched test."""
        return self.training_set.keys["is_test"].to_numpy(dtype=bool)

    def signal_waivers(self) -> dict[str, str]:
        """Waivers under the names of the signals that the waived columns became."""
        reasons = {finding.column: str(finding.waived) for finding in self.findings}
        return {
            name: reasons[code.column]
            for code in self.codes
            if code.column in reasons
            for name in code.signals
        }


def table_rows(
    table: pd.DataFrame, options: TableOptions, *, advice: Advice | None = None
) -> TableRows:
    """Return the training set of a table, its test held out, its columns audited and encoded.

    Parameters
    ----------
    table
        Numbers, booleans, text and times (naive UTC), as read from a file; rows in any order.
    advice
        What to do about columns refused, in the caller's words.

    Raises
    ------
    ConfigError
        When a column does not exist, the label has not two values, or dates stand without `as_of`.
    LeakageError
        Naming every identifier and every column that nearly tells the label alone.
    ContractError
        When training or test lack one of the two outcomes.
    """
    usable = labelled(table, options)
    is_test = usable.declared_test
    if is_test is None:
        is_test = held_out(usable, options.test_share)
    return encoded(usable, is_test, options, advice=advice)


def labelled(table: pd.DataFrame, options: TableOptions) -> LabelledTable:
    """Return rows with a label, their keys, and the columns left once label, keys and dropped ones
    are away.
    """
    named = {name: column_named(table, name) for name in roles_of(options)}
    label = named[options.label]
    events, notes = _labels(table[label], label, options.positive)
    known = events.notna().to_numpy()
    taken = {named[name] for name in roles_of(options) if name not in options.waivers}
    account = named[options.account] if options.account is not None else None
    as_of = named[options.as_of] if options.as_of is not None else None
    for column, what in ((account, "account"), (as_of, "date")):
        if column is not None:
            empty = table[column].isna().to_numpy()
            if (empty & known).any():
                notes.append(
                    f"{int((empty & known).sum()):,} rows without {what} ({column}) were left out."
                )
            known = known & ~empty
    rows = np.flatnonzero(known)
    offered = table.drop(columns=[c for c in table.columns if c in taken])
    numbered = [
        c
        for c in offered.columns
        if c not in {named[n] for n in options.waivers} and _numbers_rows(offered[c])
    ]
    if numbered:
        notes.append(
            f"left out, numbers of rows: {', '.join(repr(str(c)) for c in numbered)}; --waive"
            " COLUMN=REASON keeps one."
        )
    plain, more = _plain(offered.drop(columns=numbered).iloc[rows].reset_index(drop=True))
    dropped, _ = _plain(
        table[sorted({named[name] for name in options.drop} - {label, account, as_of})]
        .iloc[rows]
        .reset_index(drop=True)
    )
    if as_of is None:
        dropped = dropped.drop(columns=_times(dropped))
    dates = frozenset((*_times(plain), *_times(dropped)))
    moments = table[as_of].iloc[rows].reset_index(drop=True) if as_of else None
    plain, days = _days(plain, moments, as_of)
    dropped, _ = _days(dropped, moments, as_of)
    labels = events.iloc[rows].to_numpy(dtype=np.int8)
    ids = account_ids(table[account].iloc[rows]).reset_index(drop=True) if account else None
    keys, repeats = _keys(plain, labels, ids, days, options.horizon_days)
    order = keys.sort_values(["account_id", "as_of"], kind="stable").index.to_numpy()
    keys = keys.assign(row=rows).iloc[order].reset_index(drop=True)
    return LabelledTable(
        keys,
        labels[order],
        plain.iloc[order].reset_index(drop=True),
        dates,
        days is not None,
        (*notes, *more, *repeats),
        dropped.iloc[order].reset_index(drop=True),
        None if options.split is None else _declared_test(table, options.split, rows)[order],
        _costs(table, options, rows[order]),
    )


def _split_column(split: str) -> str:
    return split.partition("=")[0].strip()


def _declared_test(table: pd.DataFrame, split: str, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of these rows a column says are the test: those with the value after `=`, else those
    that say test.
    """
    name, _, value = (part.strip() for part in split.partition("="))
    column = column_named(table, name)
    words = _canonical(table[column]).iloc[rows].fillna("").str.strip().str.lower()
    if value:
        is_test = (words == _canonical(pd.Series([value])).iloc[0].lower()).to_numpy(dtype=bool)
    else:
        unknown = sorted(set(words) - set(TRAIN_WORDS) - set(TEST_WORDS))
        if unknown:
            listed = ", ".join(repr(word) for word in unknown[:LISTED])
            raise ConfigError(
                f"--split {name}: {listed} is neither training nor test. Rows say"
                f" {', '.join(TEST_WORDS)} or {', '.join(TRAIN_WORDS)}; of folds name the one that"
                f" is the test, as --split {name}=VALUE."
            )
        is_test = words.isin(TEST_WORDS).to_numpy(dtype=bool)
    if is_test.all() or not is_test.any():
        counts = ", ".join(f"{word!r} ({n:,})" for word, n in words.value_counts().items())
        raise ConfigError(
            f"--split {split} leaves {'nothing to learn from' if is_test.all() else 'no test'};"
            f" the column holds {counts}."
        )
    return np.asarray(is_test, dtype=bool)


def _costs(
    table: pd.DataFrame, options: TableOptions, rows: NDArray[np.intp]
) -> pd.DataFrame | None:
    """Costs of these rows; refused where one is missing, no number or below 0."""
    if options.cost_if_missed is None or options.cost_of_contact is None:
        return None
    columns = {}
    for name, asked in (
        ("if_missed", options.cost_if_missed),
        ("of_contact", options.cost_of_contact),
    ):
        column = column_named(table, asked)
        cost = pd.to_numeric(table[column].iloc[rows], errors="coerce").astype(np.float64)
        wrong = table[column].iloc[rows][(~(cost >= 0)).to_numpy()].astype(str)
        if len(wrong):
            raise ConfigError(
                f"{len(wrong):,} rows have no cost in {column} ({wrong.iloc[0]!r}, for one); it"
                " takes a number from 0 in every row. Fill it, or leave these rows out."
            )
        columns[name] = cost.to_numpy()
    return pd.DataFrame(columns)


def held_out(table: LabelledTable, share: float) -> NDArray[np.bool_]:
    """Return which rows are the untouched test.

    With dates: the last ones, until they hold the share of rows. Without: accounts whose hash falls
    below it, so the choice moves neither with the order of rows nor when other accounts come or go.
    """
    if not table.has_dates:
        accounts = table.keys["account_id"]
        parts = {
            a: int(hashlib.sha256(f"test|{a}".encode()).hexdigest()[:8], 16) / 2**32
            for a in accounts.unique()
        }
        return np.asarray(accounts.map(parts).to_numpy(dtype=np.float64) < share)
    as_of = table.keys["as_of"]
    counts = as_of.value_counts().sort_index(ascending=False)
    if len(counts) < 2:
        raise ContractError(
            f"all rows are of one date, {counts.index[0]:%Y-%m-%d}, so no later one can be the"
            " test. Leave --date away to hold out accounts instead (then nothing is out of time),"
            " or add dates."
        )
    reached = int(np.searchsorted(np.cumsum(counts.to_numpy()), share * len(as_of))) + 1
    first = counts.index[min(reached, len(counts) - 1) - 1]
    return np.asarray((as_of >= first).to_numpy(dtype=bool))


def encoded(
    table: LabelledTable,
    is_test: NDArray[np.bool_],
    options: TableOptions,
    *,
    advice: Advice | None = None,
) -> TableRows:
    """Audit and encode the columns on the training rows, and return the training set with its test
    marked.
    """
    _require_outcomes(table, is_test)
    train = ~is_test
    columns, notes = _varying(table.columns, train)
    by_name = {str(column).lower(): str(column) for column in columns.columns}
    waivers = {
        by_name[n.lower()]: reason for n, reason in options.waivers.items() if n.lower() in by_name
    }
    findings = _audit(table, columns, train, waivers, advice)
    accounts = table.keys["account_id"]
    shared = set(accounts[train]) & set(accounts[is_test])
    if shared and not table.has_dates:
        notes.append(
            f"{len(shared):,} accounts stand on both sides of your split, such as {min(shared)}:"
            " what was learned of them is asked again in the test, which flatters the model."
        )
    if (
        int(table.keys["account_id"][train & (table.labels == 1)].nunique())
        < leakage.LEAVERS_TO_AUDIT
    ):
        notes.append(
            f"fewer than {leakage.LEAVERS_TO_AUDIT} accounts have the event in training: the audit"
            " for columns that know the outcome could not be asked."
        )
    codes = freeze(columns[train], table.dates)
    features = encode(columns, codes)
    notes += unseen(columns[is_test], codes)
    keys = table.keys.assign(is_test=is_test)
    rows = training_set(keys, features, table.labels, signals_of(codes))
    return TableRows(
        rows,
        codes,
        findings,
        table.has_dates,
        table.keys["row"].to_numpy(dtype=np.int64),
        (*table.notes, *notes),
        table,
    )


def account_ids(column: pd.Series) -> pd.Series:
    """Return account ids as text: `12346.0` reads `12346`, text stays as it is but for spaces
    around it.
    """
    if pd.api.types.is_float_dtype(column):
        whole = column.dropna()
        if (whole % 1 == 0).all():
            return column.astype("Int64").astype("string").astype(object)
    return column.astype("string").str.strip().astype(object)


def column_named(table: pd.DataFrame, name: str) -> str:
    """Return the column of that name, regardless of case.

    Raises
    ------
    ConfigError
        When there is none, with the nearest names.
    """
    if name in table.columns:
        return name
    same = [str(column) for column in table.columns if str(column).lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    raise ConfigError(f"the table has no column {name!r}; {near_names(name, table.columns)}.")


def near_names(name: str, columns: Iterable[object]) -> str:
    """Where a column may be that was not found: the nearest names, else the first ones."""
    spelled = [str(column) for column in columns]
    near = difflib.get_close_matches(name, spelled, n=3, cutoff=0.5)
    return f"{'near are' if near else 'it has'} {', '.join(near or spelled[:LISTED])}"


def roles_of(options: TableOptions) -> list[str]:
    """Return the names of columns that a command says something about."""
    split = None if options.split is None else _split_column(options.split)
    roles = (options.label, options.account, options.as_of, split)
    costs = (options.cost_if_missed, options.cost_of_contact)
    named = [*roles, *costs, *options.drop, *options.waivers]
    return [name for name in named if name is not None]


def _labels(values: pd.Series, column: str, positive: str | None) -> tuple[pd.Series, list[str]]:
    """1 for the event, 0 for the other value, null where unknown; and a note where rows are left
    out.
    """
    text = _canonical(values)
    counts = text.value_counts()
    listed = ", ".join(f"{value!r} ({count:,})" for value, count in counts.head(LISTED).items())
    if len(counts) > LISTED:
        listed += f" and {len(counts) - LISTED} more"
    if len(counts) < 2 or len(counts) > (2 if positive is None else LISTED):
        choice = ""
        if 2 < len(counts) <= LISTED:
            choice = "name the event with --positive VALUE, then all others are its absence, "
        raise ConfigError(
            f"label column {column!r} holds {len(counts)} values: {listed or 'none'}. It must hold"
            f" two, the event and its absence; {choice}make"
            " such a column, or name another with --label."
        )
    event = None if positive is None else _canonical(pd.Series([positive], dtype=object)).iloc[0]
    if _is_flag(values) and str(event).lower() in FLAGS:
        event = FLAGS[str(event).lower()]
    if positive is None and set(counts.index) <= {"0", "1"}:
        event = "1"
    taken = []
    if event is None:
        # Some exports end them with a full stop: True. and False.
        said = {value.lower().rstrip("."): value for value in counts.index}
        event = next((said[yes] for yes, no in YES_AND_NO if set(said) == {yes, no}), None)
        taken = (
            [f"{event!r} of {column} is taken as the event; for the other say --positive."]
            if event is not None
            else []
        )
    if event is None:
        raise ConfigError(
            f"label column {column!r} holds {listed}: say which is the event with --positive VALUE."
        )
    if event not in counts.index:
        raise ConfigError(
            f"--positive {positive!r} is no value of label column {column!r}; it holds {listed}."
        )
    if len(counts) > 2:
        taken = [
            f"all values of {column} but {event!r} count as its absence: {listed}; leave out rows"
            " that belong to neither."
        ]
    unknown = int(text.isna().sum())
    notes = [
        *taken,
        *([f"{unknown:,} rows without label ({column}) were left out."] if unknown else []),
    ]
    return (text == event).astype("float64").where(text.notna()), notes


def _canonical(values: pd.Series) -> pd.Series:
    """Values as text: true and 1.0 read `1`, spaces around text go, empty text is null."""
    text = values.astype("string").str.strip()
    if _is_flag(values):
        text = text.str.lower().map(FLAGS).astype("string")
    number = pd.to_numeric(text, errors="coerce").astype("Float64")
    whole = (number.notna() & (number % 1 == 0)).fillna(False).astype(bool)
    text = text.mask(whole, number.where(whole).astype("Int64").astype("string"))
    return text.mask(text == "").astype(object).where(lambda each: each.notna(), None)


def _is_flag(values: pd.Series) -> bool:
    return bool(values.notna().any()) and pd.api.types.is_bool_dtype(
        values.dropna().infer_objects()
    )


def _numbers_rows(values: pd.Series) -> bool:
    """Whether a column only counts the rows: whole numbers that never repeat, and leave no gap or
    bear an index's name.

    A key is none, although it may count: its owner is asked whether it names the accounts.
    """
    if (
        len(values) < FEWEST_NUMBERED
        or not pd.api.types.is_numeric_dtype(values)
        or _is_flag(values)
        or values.isna().any()
    ):
        return False
    if (values % 1 != 0).any() or values.duplicated().any():
        return False
    is_named_so = ROW_NAMES.fullmatch(str(values.name).strip()) is not None
    has_no_gap = values.max() - values.min() == len(values) - 1
    return is_named_so or bool(has_no_gap and not leakage.identifiers(values.to_frame()))


def _plain(columns: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Numbers and flags as float64, text without spaces around it, times untouched; infinities
    become null.
    """
    parts: dict[str, pd.Series] = {}
    notes = []
    for name in columns.columns:
        values = columns[name]
        if pd.api.types.is_datetime64_any_dtype(values):
            parts[str(name)] = (
                values.dt.tz_convert("UTC").dt.tz_localize(None)
                if values.dt.tz is not None
                else values
            )
        elif pd.api.types.is_timedelta64_dtype(values):
            parts[str(name)] = values.dt.total_seconds() / 86_400.0
        elif _is_flag(values):
            parts[str(name)] = values.astype("boolean")
        elif pd.api.types.is_numeric_dtype(values):
            number = pd.Series(
                values.to_numpy(dtype=np.float64, na_value=np.nan), index=values.index
            )
            infinite = int(np.isinf(number).sum())
            if infinite:
                notes.append(f"{infinite:,} infinite values of {name} are read as null.")
            parts[str(name)] = number.mask(np.isinf(number))
        else:
            text = values.astype("string").str.strip()
            parts[str(name)] = text.mask(text == "").astype(object)
    return pd.DataFrame(parts, index=columns.index), notes


def _days(
    columns: pd.DataFrame, as_of: pd.Series | None, as_of_name: str | None
) -> tuple[pd.DataFrame, pd.Series | None]:
    """Times as days before the row's date, and that date; without one a time has nothing to count
    from.
    """
    times = _times(columns)
    if as_of is None:
        if times:
            drops = " ".join(f"--drop {_quoted(name)}" for name in times)
            raise ConfigError(
                f"{', '.join(times)} hold{'s' if len(times) == 1 else ''} dates, and without"
                " --date COLUMN there is no date to count days from. Name the column that dates"
                f" the rows, or leave them out: {drops}."
            )
        return columns, None
    day = row_dates(as_of, str(as_of_name))
    plain = columns.copy()
    for name in times:
        plain[name] = (day - columns[name]).dt.total_seconds() / 86_400.0
    return plain, day


def _times(columns: pd.DataFrame) -> list[str]:
    return [
        str(name) for name in columns.columns if pd.api.types.is_datetime64_any_dtype(columns[name])
    ]


def row_dates(values: pd.Series, name: str) -> pd.Series:
    """Return the midnight of each row's date; text must be written as ISO dates."""
    times = values
    if not pd.api.types.is_datetime64_any_dtype(values):
        is_number = pd.api.types.is_numeric_dtype(values)
        text = (
            values.astype("Int64").astype("string")
            if is_number and (values % 1 == 0).all()
            else values.astype("string")
        )
        times = pd.to_datetime(text, format="%Y%m%d" if is_number else "ISO8601", errors="coerce")
        if is_number and times.isna().any():
            raise ConfigError(
                f"--date {name} holds numbers such as {values[times.isna()].iloc[0]}, not dates"
                " like 20250131. Convert it first."
            )
        if times.isna().any():
            wrong = values[times.isna()].iloc[0]
            raise ConfigError(
                f"--date {name} holds {wrong!r}, which is no date like 2025-01-31. Convert it"
                " first."
            )
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    days: pd.Series = times.dt.normalize().astype("datetime64[us]")
    return days


def _keys(
    columns: pd.DataFrame,
    labels: NDArray[np.int8],
    ids: pd.Series | None,
    days: pd.Series | None,
    horizon_days: int | None,
) -> tuple[pd.DataFrame, list[str]]:
    """Account, date and completion of the label per row.

    With account and date: as given. Date only: every row an account of its own. No date: one moment
    for all; rows of one account, or equal rows without one, follow each other by a microsecond,
    since a key may not repeat, and stay together in every fold because their account is the same.
    """
    content = _content(columns)
    account = ids if ids is not None else "row-" + content
    order = pd.DataFrame({"account_id": account, "content": content, "label": labels})
    order = order.sort_values(["account_id", "content", "label"], kind="stable")
    copy = order.groupby("account_id", sort=False).cumcount().sort_index()
    notes = _duplicates(content, labels, columns) if ids is None else []
    if days is not None:
        if ids is None:
            account = account + copy.map(lambda number: f"-{number + 1}" if number else "")
            notes.append(
                "no --account: every row counts as an account of its own, so an account that comes"
                " back on several dates makes intervals too narrow."
            )
        until = days + pd.Timedelta(days=int(horizon_days or 0))
        return pd.DataFrame({"account_id": account, "as_of": days, "label_until": until}), notes
    moment = NO_DATE + copy.to_numpy().astype("timedelta64[us]")
    complete = np.full(len(labels), NO_DATE + np.timedelta64(1, "D"))
    return pd.DataFrame({"account_id": account, "as_of": moment, "label_until": complete}), notes


def _content(columns: pd.DataFrame) -> pd.Series:
    """A hash of each row's values, whatever the order of columns."""
    ordered = columns[sorted(columns.columns)]
    text = ordered.apply(
        lambda each: (
            each.astype(object).where(each.notna(), "")
            if each.dtype == object
            else each.astype("float64")
            if str(each.dtype) == "boolean"
            else each
        )
    )
    hashed: pd.Series = pd.util.hash_pandas_object(text, index=False)
    return hashed.map("{:016x}".format)


def _duplicates(content: pd.Series, labels: NDArray[np.int8], columns: pd.DataFrame) -> list[str]:
    repeats = int(content.duplicated().sum())
    if not repeats:
        return []
    exact = int(pd.DataFrame({"content": content, "label": labels}).duplicated().sum())
    return [
        f"{repeats:,} rows repeat the values of others ({exact:,} of them the label, too): each set"
        " of equal rows stays together, in one fold or in the test, never in both."
    ]


def _require_outcomes(table: LabelledTable, is_test: NDArray[np.bool_]) -> None:
    for what, rows in (("training", ~is_test), ("held-out", is_test)):
        events = int(table.labels[rows].sum())
        if events < 2 or int(rows.sum()) - events < 2:
            raise ContractError(
                f"of {int(rows.sum()):,} {what} rows {events:,} have the event; at least 2 with and"
                " 2 without it are needed. Choose another --test-share, or bring more rows."
            )


def _varying(columns: pd.DataFrame, train: NDArray[np.bool_]) -> tuple[pd.DataFrame, list[str]]:
    """Columns that have at least two values (null is one) among the training rows."""
    constant = [
        name for name in columns.columns if columns.loc[train, name].nunique(dropna=False) < 2
    ]
    kept = columns.drop(columns=constant)
    if not len(kept.columns):
        raise ContractError("no column of the table varies, so nothing can be learned from it.")
    return kept, (
        [f"left out, the same in every training row: {', '.join(constant)}."] if constant else []
    )


def _audit(
    table: LabelledTable,
    columns: pd.DataFrame,
    train: NDArray[np.bool_],
    waivers: Mapping[str, str],
    advice: Advice | None,
) -> tuple[leakage.LeakFinding, ...]:
    """Identifiers and proxies in one answer, so that nobody has to run into them one by one."""
    kept = columns[train].reset_index(drop=True)
    named = leakage.identifiers(kept, waivers)
    others = kept.drop(columns=[finding.column for finding in named])
    accounts = table.keys["account_id"][train].reset_index(drop=True)
    findings = (*named, *leakage.proxies(others, table.labels[train], accounts, waivers))
    refused = [finding for finding in findings if finding.waived is None]
    if refused and advice is not None:
        leakage.refuse(refused, advice(refused))
    leakage.refuse(refused)
    return findings


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
