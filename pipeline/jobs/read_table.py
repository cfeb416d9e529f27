"""One file as a table with a type per column: Parquet, or CSV and its relatives, compressed
or not.
"""

import codecs
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from features.errors import ConfigError

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
# How spreadsheets write numbers and dates; day first before month first, as init has it.
COMMA_NUMBER = r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?"
POINT_NUMBER = r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?"
AROUND_NUMBER = r"^[$€£]\s*|\s*[%$€£]$"
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
) -> TableFile:
    """Return the rows of a file; times are naive UTC or carry their zone.

    Parameters
    ----------
    text_columns
        Read as text in CSV, whatever they look like: `00123` is another account than `123`.
    writings
        Column -> how it writes numbers or dates, where that is known from another file.
    tell
        Is told, in sentences, what of a CSV had to be guessed: its encoding, numbers and dates in a
        spreadsheet's writing.

    Raises
    ------
    ConfigError
        When the file does not exist, cannot be read, or holds lists, structures or two columns of
        one name.
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
    try:
        table = (
            _parquet(file) if name.endswith(PARQUET) else _text(file, (*text_columns, *known), tell)
        )
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ConfigError(f"--table {file} cannot be read: {error}.") from error
    frame = _frame(table, file)
    if name.endswith(PARQUET):
        return TableFile(frame, {})
    return _as_meant(frame, text_columns, _delimiter(file), known, tell)


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
) -> TableFile:
    """Columns of text that hold numbers or dates as spreadsheets write them, as numbers and
    dates.
    """
    kept = {name.lower() for name in text_columns}
    by_name = {name.lower(): writing for name, writing in known.items()}
    meant, writings = {}, {}
    for name in frame.columns:
        if not pd.api.types.is_string_dtype(frame[name]) or name.lower() in kept:
            continue
        text = frame[name].astype("string").str.strip()
        text = text.mask(text.isin(NULLS))
        writing = by_name.get(name.lower()) or _writing(name, text, delimiter, tell)
        if writing is not None:
            meant[name] = _read(text, writing)
            writings[name] = writing
    return TableFile(frame.assign(**meant), writings)


def _writing(name: str, text: pd.Series, delimiter: str, tell: Tell) -> Writing | None:
    """How a column of text writes numbers or dates, where all its values are some."""
    values = pd.Series(text.dropna().unique(), dtype="string")
    word = _lone_word(values)
    number = _number_writing(values[values != word] if word else values, delimiter)
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


def _number_writing(values: pd.Series, delimiter: str) -> str | None:
    """The mark of decimals, where all values are numbers of one writing; of `1,234` the delimiter
    decides.
    """
    bare = values.str.replace(AROUND_NUMBER, "", regex=True)
    fits = [
        mark
        for mark, pattern in ((".", POINT_NUMBER), (",", COMMA_NUMBER))
        if len(bare) and bare.str.fullmatch(pattern).all()
    ]
    if len(fits) == 2:
        return "." if delimiter == "," else ","
    return fits[0] if fits else None


def _numbers(text: pd.Series, mark: str) -> pd.Series:
    """Numbers of one writing; null where a text is written in another."""
    bare = text.str.replace(AROUND_NUMBER, "", regex=True)
    written = bare.str.fullmatch(POINT_NUMBER if mark == "." else COMMA_NUMBER).fillna(False)
    plain = bare.where(written.astype(bool)).str.replace(
        "," if mark == "." else ".", "", regex=False
    )
    return pd.to_numeric(plain.str.replace(",", ".", regex=False)).astype("float64")


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
