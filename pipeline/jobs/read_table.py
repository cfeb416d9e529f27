"""One file as a table with a type per column: Parquet, or CSV and its relatives, compressed
or not.
"""

import codecs
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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

Tell = Callable[[str], None]


def _nobody(text: str) -> None:
    """Tell nobody."""


def read_table(
    file: Path, text_columns: tuple[str, ...] = (), tell: Tell = _nobody
) -> pd.DataFrame:
    """Return the rows of a file; times are naive UTC or carry their zone.

    Parameters
    ----------
    text_columns
        Read as text in CSV, whatever they look like: `00123` is another account than `123`.
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

    try:
        table = _parquet(file) if name.endswith(PARQUET) else _text(file, text_columns, tell)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ConfigError(f"--table {file} cannot be read: {error}.") from error
    frame = _frame(table, file)
    return (
        frame if name.endswith(PARQUET) else _as_meant(frame, text_columns, _delimiter(file), tell)
    )


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
    frame: pd.DataFrame, text_columns: tuple[str, ...], delimiter: str, tell: Tell
) -> pd.DataFrame:
    """Columns of text that hold numbers or dates as spreadsheets write them, as numbers and
    dates.
    """
    kept = {name.lower() for name in text_columns}
    meant = {}
    for name in frame.columns:
        if not pd.api.types.is_string_dtype(frame[name]) or name.lower() in kept:
            continue
        text = frame[name].astype("string").str.strip()
        text = text.mask(text.isin(NULLS))
        values = pd.Series(text.dropna().unique(), dtype="string")
        word = _lone_word(values)
        number = _number_writing(values[values != word] if word else values, delimiter)
        formats = _date_formats(values) if number is None and len(values) else []
        if number is not None:
            meant[name] = _numbers(text.mask(text == word) if word else text, number)
            tell(
                f"{name} is read as numbers; "
                + (
                    f"{word!r} in {int((text == word).sum()):,} rows is read as null."
                    if word
                    else f"it writes them like {values.iloc[0]}."
                )
            )
        elif formats:
            meant[name] = pd.to_datetime(text, format=formats[0])
            other = (
                f", and fits {formats[1]} as well: write 2025-01-31 to be sure"
                if len(formats) > 1
                else ""
            )
            tell(f"{name} is read as dates written {formats[0]}{other}.")
    return frame.assign(**meant)


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
    bare = text.str.replace(AROUND_NUMBER, "", regex=True).str.replace(
        "," if mark == "." else ".", "", regex=False
    )
    return pd.to_numeric(bare.str.replace(",", ".", regex=False)).astype("float64")


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
