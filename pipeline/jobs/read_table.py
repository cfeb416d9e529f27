"""One file as a table with a type per column: Parquet, or CSV and its relatives, compressed or not."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from features.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, TEXT = (".parquet", ".pq"), (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = (",", ";", "\t", "|")
# A lone space is how some exports write an empty number.
NULLS = ["", " ", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL"]


def read_table(file: Path, text_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the rows of a file; times are naive UTC or carry their zone.

    Parameters
    ----------
    text_columns
        Read as text in CSV, whatever they look like: `00123` is another account than `123`.

    Raises
    ------
    ConfigError
        When the file does not exist, cannot be read, or holds lists, structures or two columns of one name.
    """
    if file.is_dir():
        raise ConfigError(f"--table {file} is a folder. Name a Parquet or CSV file in it.")
    if not file.is_file():
        raise ConfigError(f"--table {file} does not exist. Name a Parquet or CSV file; relative ones start from --data.")
    name = file.name.lower()
    if not name.endswith((*PARQUET, *TEXT)):
        raise ConfigError(f"--table {file} is of no known kind; known are {', '.join((*PARQUET, *TEXT))}.")
    import pyarrow as pa

    try:
        table = _parquet(file) if name.endswith(PARQUET) else _text(file, text_columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--table {file} cannot be read: {error}.") from error
    return _frame(table, file)


def _parquet(file: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    # Not as a data set: folders named `key=value` above the file are no columns of it.
    return pq.ParquetFile(file).read()


def _text(file: Path, text_columns: tuple[str, ...]) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    header = _header(file)
    delimiter = max(DELIMITERS, key=header.count)
    wanted = {name.lower() for name in text_columns}
    names = [part.strip().strip('"') for part in header.split(delimiter)]
    types = {name: pa.string() for name in names if name.lower() in wanted}
    return csv.read_csv(
        file, parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(null_values=NULLS, column_types=types),
    )


def _header(file: Path) -> str:
    opened = gzip.open(file, "rt", encoding="utf-8-sig") if file.suffix == ".gz" else file.open(encoding="utf-8-sig")
    with opened as handle:
        return handle.readline().rstrip("\r\n")


def _frame(table: "pa.Table", file: Path) -> pd.DataFrame:
    """Arrow's types as pandas': decimals become doubles, dates times at midnight, dictionaries text."""
    import pyarrow as pa

    names = [str(name) for name in table.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"{file} has several columns {repeated[0]!r}; rename or remove all but one.")
    columns = []
    for field in table.schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_decimal(kind):
            kind = pa.float64()
        elif pa.types.is_date(kind):
            kind = pa.timestamp("us")
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_time(kind):
            raise ConfigError(f"column {field.name!r} of {file} holds {field.type}, which is no signal. Leave it out of the "
                              "file.")
        columns.append(table[field.name].cast(kind))
    frame: pd.DataFrame = pa.table(columns, names=names).to_pandas()
    return frame
