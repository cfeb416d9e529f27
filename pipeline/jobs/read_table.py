"""One file as a table with a type per column: Parquet, or CSV and its relatives, compressed
or not.
"""

import codecs
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from features.errors import ConfigError
from pipeline.staging.asking.question import Unanswered
from pipeline.staging.number_writing import (
    NEGATIVE,
    OTHER_MARK,
    grouped_whole,
    written_number,
)

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, TEXT = (".parquet", ".pq"), (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
DELIMITERS = (",", ";", "\t", "|")
# A lone space is how some exports write an empty number.
NULLS = ["", " ", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "\\N"]
# One word such as ? or unknown among at least so many different numbers stands where no number is
# known.
MANY_NUMBERS = 20
OTHER_KINDS = {
    ".xlsx": "save the sheet as CSV (UTF-8)",
    ".xls": "save the sheet as CSV (UTF-8)",
    ".zip": "unpack it",
    ".json": "write it as CSV or Parquet",
    ".jsonl": "write it as CSV or Parquet",
}
# How spreadsheets write dates: day first before month first, as init has it.
DATE_FORMATS = tuple(
    f"{day}{clock}"
    for day in (
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%d.%m.%Y",
        "%d.%m.%y",
        "%d-%m-%Y",
        "%Y/%m/%d",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d %b %Y",
        "%b %d, %Y",
    )
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
)

WRITINGS = "table_writings"
"""Choice of a bundle: how columns of the training file wrote numbers and dates."""

Tell = Callable[[str], None]


def _nobody(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Writing:
    """How the text of one column writes numbers (`format` is the mark of decimals) or dates."""

    kind: Literal["number", "date"]
    format: str
    nothing: str | None = None
    """A word that stands where no number is known."""


@dataclass(frozen=True, eq=False)
class TableFile:
    """Rows of a file, and how its columns of text were read; another file of the kind is read
    alike.
    """

    rows: pd.DataFrame
    writings: Mapping[str, Writing]


def read_table(
    file: Path,
    text_columns: tuple[str, ...] = (),
    tell: Tell = _nobody,
    writings: Mapping[str, Writing] | None = None,
    decimal: str | None = None,
) -> TableFile:
    """Return the rows of a file; times are naive UTC or carry their zone.

    Parameters
    ----------
    text_columns
        Read as text in CSV, whatever they look like: `00123` is another account than `123`.
    writings
        Column -> how it writes numbers or dates, where that is known from another file.
    decimal
        The mark before decimals, where the numbers themselves leave it open.
    tell
        Is told, in sentences, what of a CSV had to be guessed: its encoding, numbers and dates in a
        spreadsheet's writing.

    Raises
    ------
    ConfigError
        When the file does not exist, cannot be read, or holds lists, structures or two columns of
        one name.
    Unanswered
        When nobody can tell whether 1.029 is a little over one or a thousand and twenty-nine.
    """
    if file.is_dir():
        raise ConfigError(f"--table {file} is a folder. Name a Parquet or CSV file in it.")
    if not file.is_file():
        raise ConfigError(
            f"--table {file} does not exist. Name a Parquet or CSV file; relative ones start from"
            " --data."
        )
    name = file.name.lower()
    if not name.endswith((*PARQUET, *TEXT)):
        remedy = OTHER_KINDS.get(file.suffix.lower(), "write it as one of them")
        raise ConfigError(
            f"--table {file} is of no known kind; known are {', '.join((*PARQUET, *TEXT))}:"
            f" {remedy}."
        )
    import pyarrow as pa

    known = writings or {}
    doubtful: tuple[str, ...] = ()
    try:
        if name.endswith(PARQUET):
            table = _parquet(file)
        else:
            table = _text(file, (*text_columns, *known), tell)
            if writings is None:
                doubtful = _doubtful(file, table)
            if doubtful:
                table = _text(file, (*text_columns, *doubtful), _nobody)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ConfigError(f"--table {file} cannot be read: {error}.") from error
    frame = _frame(table, file)
    if name.endswith(PARQUET):
        return TableFile(frame, {})
    mark = decimal if writings is None else "."
    return _as_meant(frame, text_columns, _delimiter(file), known, tell, mark)


def _parquet(file: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    # Not as a data set: folders named `key=value` above the file are no columns of it.
    return pq.ParquetFile(file).read()


def _text(file: Path, text_columns: tuple[str, ...], tell: Tell) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    encoding, delimiter = _encoding(file), _delimiter(file)
    if encoding != "utf-8":
        tell(f"{file.name} is no UTF-8; read as {encoding}.")
    wanted = {name.lower() for name in text_columns}
    names = [part.strip().strip('"') for part in _header(file).split(delimiter)]
    types = {name: pa.string() for name in names if name.lower() in wanted}
    return csv.read_csv(
        file,
        read_options=csv.ReadOptions(encoding=encoding),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(null_values=NULLS, column_types=types),
    )


def _doubtful(file: Path, table: "pa.Table") -> tuple[str, ...]:
    """Columns of numbers whose every point is followed by three figures: 1.029 beside 932."""
    import pyarrow as pa

    names = [
        str(n)
        for n, c in zip(table.column_names, table.schema, strict=True)
        if c.type == pa.float64()
    ]
    likely = [name for name in names if _has_thousandths(table[name].to_numpy())]
    if not likely:
        return ()
    text = _text(file, tuple(names), _nobody).select(names).to_pandas()
    if any(_mark_use(text[name].dropna(), ".").decisive for name in names):
        return ()  # 0.5 somewhere in the file: a point begins decimals
    return tuple(name for name in likely if _mark_use(text[name].dropna(), ".").is_open)


def _has_thousandths(values: "np.ndarray[Any, Any]") -> bool:
    """Whether some number is broken, and none finer than a thousandth."""
    numbers = values[np.isfinite(values)]
    thousandths = numbers * 1000
    is_coarse = np.abs(thousandths - np.round(thousandths)) < 1e-6
    return bool(len(numbers) and is_coarse.all() and (numbers != np.round(numbers)).any())


def _encoding(file: Path) -> str:
    """UTF-8; where the bytes are none, UTF-16 by its mark, else Windows' Western European."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as handle:
        mark = handle.read(2)
        if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        try:
            decoder.decode(mark)
            while block := handle.read(1 << 20):
                decoder.decode(block)
        # The other encoding that spreadsheets write; nothing marks it, so it comes last.
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _delimiter(file: Path) -> str:
    return max(DELIMITERS, key=_header(file).count)


def _header(file: Path) -> str:
    encoding = _encoding(file).replace("utf-8", "utf-8-sig")
    opened = (
        gzip.open(file, "rt", encoding=encoding)
        if file.suffix == ".gz"
        else file.open(encoding=encoding)
    )
    with opened as handle:
        return handle.readline().rstrip("\r\n")


def _as_meant(
    frame: pd.DataFrame,
    text_columns: tuple[str, ...],
    delimiter: str,
    known: Mapping[str, Writing],
    tell: Tell,
    decimal: str | None,
) -> TableFile:
    """Columns of text that hold numbers or dates as spreadsheets write them, as numbers and
    dates.
    """
    kept = {name.lower() for name in text_columns}
    by_name = {name.lower(): writing for name, writing in known.items()}
    texts = {
        name: frame[name].astype("string").str.strip()
        for name in frame.columns
        if pd.api.types.is_string_dtype(frame[name]) and name.lower() not in kept
    }
    texts = {name: text.mask(text.isin(NULLS)) for name, text in texts.items()}
    begins = decimal or _decimal_mark(list(texts.values()))
    meant, writings = {}, {}
    for name, text in texts.items():
        writing = by_name.get(name.lower()) or _writing(name, text, delimiter, tell, begins)
        if writing is not None:
            meant[name] = _read(text, writing)
            writings[name] = writing
    return TableFile(frame.assign(**meant), writings)


def _decimal_mark(texts: Sequence[pd.Series]) -> str | None:
    """The mark that begins decimals beyond doubt in some column of numbers (1,5); None where none
    does, or both do.
    """
    marks = {
        mark
        for text in texts
        for mark in OTHER_MARK
        if _is_number(values := text.dropna(), mark) and _mark_use(values, mark).decisive
    }
    return marks.pop() if len(marks) == 1 else None


def _writing(
    name: str, text: pd.Series, delimiter: str, tell: Tell, begins: str | None
) -> Writing | None:
    """How a column of text writes numbers or dates, where all its values are some."""
    values = pd.Series(text.dropna().unique(), dtype="string")
    word = _lone_word(values)
    number = _number_writing(name, values[values != word] if word else values, delimiter, begins)
    if number is not None:
        tell(
            f"{name} is read as numbers; "
            + (
                f"{word!r} in {int((text == word).sum()):,} rows is read as null."
                if word
                else f"it writes them like {values.iloc[0]}."
            )
        )
        return Writing("number", number, word)
    formats = _date_formats(values) if len(values) else []
    if not formats:
        return None
    other = (
        f", and fits {formats[1]} as well: write 2025-01-31 to be sure" if len(formats) > 1 else ""
    )
    tell(f"{name} is read as dates written {formats[0]}{other}.")
    return Writing("date", formats[0])


def _read(text: pd.Series, writing: Writing) -> pd.Series:
    """Numbers or dates; what is written in another way stays as it is, for others to name."""
    if writing.nothing is not None:
        text = text.mask(text == writing.nothing)
    if writing.kind == "date":
        read = pd.to_datetime(text, format=writing.format, errors="coerce")
    else:
        read = _numbers(text, writing.format)
    strange = text.notna() & read.isna()
    return read.astype(object).where(~strange, text) if strange.any() else read


def _lone_word(values: pd.Series) -> str | None:
    """The one value without a figure among many numbers."""
    words = values[~values.str.contains(r"\d")]
    return str(words.iloc[0]) if len(words) == 1 and len(values) > MANY_NUMBERS else None


@dataclass(frozen=True)
class _TableMarkUse:
    """How numbers use one mark: a thousand and more between its groups, decimals beyond doubt, or
    neither, as of 1029 without any.
    """

    grouped: int
    decisive: bool
    is_long: bool
    example: str = ""
    shortest: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may group thousands, and may begin decimals."""
        return self.grouped > 0 and not self.decisive and not self.is_long


def _mark_use(values: pd.Series, mark: str) -> _TableMarkUse:
    other = OTHER_MARK[mark]
    has_mark = values.str.contains(mark, regex=False).astype(bool)
    has_other = values.str.contains(other, regex=False).astype(bool)
    grouped = values.str.contains(grouped_whole(mark), regex=True).astype(bool) & ~has_other
    # 1.080,50 has a point that begins nothing.
    decisive = (
        has_mark & ~grouped & ~(has_other & values.str.contains(rf"[{mark}]\d{{3}}[{other}]"))
    )
    bare = values[~has_mark & ~has_other]
    return _TableMarkUse(
        int(grouped.sum()),
        bool(decisive.any()),
        bool(bare.str.contains(r"\d{4}").any()),
        str(values[grouped].min()) if grouped.any() else "",
        str(bare.min()) if len(bare) else "",
    )


def _is_number(values: pd.Series, mark: str) -> bool:
    """Whether all values are numbers with this mark before their decimals."""
    return bool(
        len(values)
        and values.str.contains(r"\d").all()
        and values.str.contains(written_number(mark), regex=True).all()
    )


def _number_writing(name: str, values: pd.Series, delimiter: str, begins: str | None) -> str | None:
    """The mark of decimals, where all values are numbers of one writing.

    Raises
    ------
    Unanswered
        Each of both marks fits, and the numbers differ by it.
    """
    fits = [mark for mark in (".", ",") if _is_number(values, mark)]
    if len(fits) < 2:
        return fits[0] if fits else None
    if begins is not None:
        return begins
    for mark in (".", ","):
        use = _mark_use(values, mark)
        # Between commas a comma inside quotes was put there by whoever groups thousands.
        if use.is_open and not (mark == "," and delimiter == ","):
            raise Unanswered(_asked(name, use, mark))
    return "." if delimiter == "," else ","


def _asked(name: str, use: _TableMarkUse, mark: str) -> str:
    number, other = use.example, OTHER_MARK[mark]
    beside = f" beside {use.shortest}" if use.shortest else ""
    whole = int("".join(c for c in number if c.isdigit()))
    return (
        f"column {name} holds {use.grouped:,} values such as {number}{beside}: every {mark!r} in it"
        f" is followed by three figures. Does it group thousands, or begin decimals? Say --decimal"
        f' "{other}" ({number} is {whole:,}) or --decimal "{mark}" ({number} is'
        f" {number.replace(mark, '.')})."
    )


def _numbers(text: pd.Series, mark: str) -> pd.Series:
    """Numbers of one writing; null where a text is written in another."""
    written = text.str.contains(written_number(mark), regex=True) & text.str.contains(r"\d")
    read = text.where(written.fillna(False).astype(bool))
    figures = read.str.replace(rf"[^0-9{mark}]", "", regex=True).str.replace(mark, ".", regex=False)
    sign = read.str.contains(NEGATIVE, regex=True).fillna(False).astype(bool)
    values = pd.to_numeric(figures).astype("float64")
    return values.where(~sign, -values)


def _date_formats(values: pd.Series) -> list[str]:
    """Formats that read every value, the likelier first."""
    if not values.str.contains(r"\d").all():
        return []
    sample = values.head(50)
    likely = [
        f for f in DATE_FORMATS if pd.to_datetime(sample, format=f, errors="coerce").notna().all()
    ]
    return [f for f in likely if pd.to_datetime(values, format=f, errors="coerce").notna().all()]


def _frame(table: "pa.Table", file: Path) -> pd.DataFrame:
    """Arrow's types as pandas': decimals become doubles, dates times at midnight, dictionaries
    text.
    """
    import pyarrow as pa

    names = [str(name) for name in table.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(
            f"{file} has several columns {repeated[0]!r}; rename or remove all but one."
        )
    columns = []
    for field in table.schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_decimal(kind):
            kind = pa.float64()
        elif pa.types.is_date(kind):
            kind = pa.timestamp("us")
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_time(kind):
            raise ConfigError(
                f"column {field.name!r} of {file} holds {field.type}, which is no signal. Leave it"
                " out of the file."
            )
        columns.append(table[field.name].cast(kind))
    frame: pd.DataFrame = pa.table(columns, names=names).to_pandas()
    return frame
