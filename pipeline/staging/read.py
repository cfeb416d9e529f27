"""From a location to a relation that DuckDB can select from: Parquet, CSV, DuckDB files,
PostgreSQL.
"""

import codecs
import csv
import glob
import gzip
import io
import itertools
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from features.errors import ContractError
from pipeline.config.checks import nearest
from pipeline.config.schema import Source
from pipeline.edge.locations import has_secret, shown_location
from pipeline.edge.scratch import scratch_folder
from pipeline.engine.duckdb import Connection, columns_of, identifier, literal, row, rows
from pipeline.staging.casts import Physical
from pipeline.staging.inputs import hashes, refuse_cut_off, unchanged

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
DUCKDB_ENDINGS = (".duckdb", ".ddb")
WORKBOOK_ENDINGS = (".xlsx", ".xlsm")
ARCHIVE_ENDINGS = (".zip",)
TEXT_ENDINGS = (*CSV_ENDINGS, *WORKBOOK_ENDINGS, *ARCHIVE_ENDINGS)
"""Files whose values are text to us, whatever they look like."""
READABLE = (
    "Parquet (.parquet), CSV (.csv, .tsv, .txt) and JSON lines (.jsonl, .ndjson, .json), each also"
    " .gz, a .zip of one of them, Excel workbooks (.xlsx), DuckDB (.duckdb), postgresql://...,"
    " env:NAME"
)
FIRST_LINES = 20
FIRST_BYTES = 4 << 20
MOST_IN_A_TITLE = 2
# DuckDB reads these itself; others are rewritten as UTF-8 first, since its add-on would be
# downloaded.
UTF8_NAMES = ("utf-8", "utf8", "utf-8-sig", "utf_8", "ascii")


@dataclass(frozen=True)
class RawTable:
    """A relation with the user's own columns; `rejected` counts lines that are no rows (CSV)."""

    relation: str
    columns: dict[str, str]
    place: str
    rejected: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Name of each file it was read from -> sha256 of its bytes."""
    delimiter: str | None = None
    """What parts the values of a CSV."""
    day_zero: date | None = None
    """The day from which a workbook says that its numbers of days are counted."""

    def column(self, name: str) -> Physical | None:
        """The column of that name, exactly written or regardless of case."""
        found = name if name in self.columns else self._by_case().get(name.casefold())
        return (
            None
            if found is None
            else Physical(identifier(found), self.columns[found], f"`{found}`")
        )

    def required(self, name: str) -> Physical:
        """As `column`; an error with the nearest names where there is none."""
        column = self.column(name)
        if column is None:
            raise ContractError(
                f'{self.place} has no column "{name}"{nearest(name, self._by_case())} '
                f"Columns there: {', '.join(self.columns)}."
            )
        return column

    def _by_case(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.columns}


def open_raw(
    connection: Connection,
    location: str,
    table: str | None,
    source: Source,
    data_dir: Path,
    resources: ExitStack,
) -> RawTable:
    """The relation at a location; what it needs (attached files, temporary tables) is closed with
    `resources`.

    Raises
    ------
    ContractError
        Nothing is there, it cannot be read, or it lacks the table asked for.
    """
    if _is_database(location):
        # Loaded here: psycopg is an optional part and most projects read files.
        from pipeline.staging.postgres import copy_table

        return _closed_with(resources, connection, copy_table(connection, location, str(table)))
    if has_secret(location) or "://" in location:
        raise ContractError(
            f"{shown_location(location)} is no location that is read. Readable: {READABLE}. A"
            " password belongs into an environment variable: env:NAME."
        )
    files = _files(location, data_dir)
    resources.enter_context(unchanged(files, location))
    return replace(
        _opened(connection, files, location, table, source, resources), files=hashes(files)
    )


def _opened(
    connection: Connection,
    files: list[Path],
    location: str,
    table: str | None,
    source: Source,
    resources: ExitStack,
) -> RawTable:
    kind = files[0].name.lower()
    try:
        if kind.endswith(ARCHIVE_ENDINGS):
            files = [_unpacked(files[0], table, resources)]
            kind = files[0].name.lower()
        if kind.endswith(WORKBOOK_ENDINGS):
            return _closed_with(
                resources, connection, sheet_table(connection, files[0], table, location)
            )
        if kind.endswith(DUCKDB_ENDINGS):
            return _duckdb_table(connection, files[0], str(table), resources)
        if kind.endswith(CSV_ENDINGS):
            return _closed_with(
                resources, connection, _csv_table(connection, files, source, location)
            )
        if kind.endswith(JSON_ENDINGS):
            return _closed_with(resources, connection, _json_table(connection, files, location))
        if kind.endswith(PARQUET_ENDINGS):
            return _parquet_view(connection, files, location)
    except duckdb.Error as error:
        raise ContractError(
            f"{location} cannot be read: {_first_line(error)}. Readable: {READABLE}."
        ) from error
    raise ContractError(f"{location} has an ending that is not known. Readable: {READABLE}.")


def _closed_with(resources: ExitStack, connection: Connection, raw: RawTable) -> RawTable:
    resources.callback(connection.execute, f"DROP TABLE IF EXISTS {raw.relation}")
    return raw


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _is_database(location: str) -> bool:
    return location.startswith(("postgresql://", "postgres://", "env:"))


def files_of(location: str, data_dir: Path) -> list[Path] | None:
    """The files that a location reads, in order of name; None where it is no file.

    Raises
    ------
    ContractError
        Nothing is there, or files of several kinds.
    """
    return None if _is_database(location) else _files(location, data_dir)


def _files(location: str, data_dir: Path) -> list[Path]:
    """The files of a path, folder or glob, in order of name."""
    path = data_dir / location
    if path.is_dir():
        found = [
            p
            for p in sorted(path.rglob("*"))
            if p.name.lower().endswith((*PARQUET_ENDINGS, *CSV_ENDINGS, *JSON_ENDINGS))
        ]
    elif path.exists():
        found = [path]
    else:
        found = [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]
    if not found:
        raise ContractError(
            f'nothing found at "{location}": looked for {path.absolute()}. Relative locations start'
            " at the project's folder, or at the folder given with --data DIR."
        )
    endings = {_ending(p) for p in found}
    if len(endings) > 1:
        raise ContractError(
            f'"{location}" mixes kinds of files ({", ".join(sorted(endings))}); give one kind.'
        )
    return found


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _list(paths: list[Path]) -> str:
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _parquet_view(connection: Connection, files: list[Path], location: str) -> RawTable:
    relation = f"read_parquet({_list(files)}, union_by_name = true)"
    return RawTable(relation, columns_of(connection, relation), location)


def _json_table(connection: Connection, files: list[Path], location: str) -> RawTable:
    """A record per line, or one array of records; a key that a record lacks is empty."""
    relation = _free_name("raw_json")
    # All records decide on the types: a value of another kind late in the file is no surprise then.
    # Maps are read as structures, whose keys are columns.
    how = "sample_size = -1, map_inference_threshold = -1"
    read = f"read_json({_list(files)}, {how}, union_by_name = true)"
    types = {name: _as_written(type_) for name, type_ in columns_of(connection, read).items()}
    listed = ", ".join(f"{literal(name)}: {literal(type_)}" for name, type_ in types.items())
    read = f"read_json({_list(files)}, columns = {{{listed}}})"
    whole = _free_name("raw_json")
    connection.execute(f"CREATE TEMP TABLE {whole} AS SELECT * FROM {read}")
    try:
        described = connection.sql(f"SELECT * FROM {_records(connection, whole)}")

        def longest(found: str) -> int:
            records = f"{_records(connection, whole)} AS record"
            return int(row(connection, f"SELECT coalesce(max(len({found})), 0) FROM {records}")[0])

        leaves = [
            leaf
            for name, type_ in zip(described.columns, described.types, strict=True)
            for leaf in _leaves((name,), type_, longest)
        ]
        # What stands at the top comes first: it is what a name means before a nested one.
        selected = ", ".join(
            f"{sql} AS {identifier('.'.join(path))}"
            for path, sql in sorted(leaves, key=lambda leaf: len(leaf[0]) > 1)
        )
        connection.execute(
            f"CREATE TEMP TABLE {relation} AS SELECT {selected} FROM"
            f" {_records(connection, whole)} AS record"
        )
    finally:
        connection.execute(f"DROP TABLE {whole}")
    return RawTable(relation, columns_of(connection, relation), location)


def _as_written(type_: str) -> str:
    """A type of JSON values in which texts stay as they are written: a UUID would lose its
    capitals, a date its zone.
    """
    pieces = type_.split('"')
    guessed = re.compile(r"\b(UUID|DATE|TIME|TIMESTAMP( WITH TIME ZONE)?|TIMESTAMP_\w+)\b")
    pieces[::2] = [guessed.sub("VARCHAR", piece) for piece in pieces[::2]]
    return '"'.join(pieces)


def _records(connection: Connection, whole: str) -> str:
    """The records of a file: its rows, or those of the one list in an answer such as
    {"object": "list", "data": [...]}.
    """
    found = connection.sql(f"SELECT * FROM {whole}")
    lists = [
        name
        for name, type_ in zip(found.columns, found.types, strict=True)
        if str(type_).startswith("STRUCT(") and str(type_).endswith("[]")
    ]
    if len(lists) != 1 or row(connection, f"SELECT count(*) FROM {whole}")[0] != 1:
        return whole
    return (
        f"(SELECT unnest(each_one) FROM (SELECT unnest({identifier(lists[0])}) AS each_one"
        f" FROM {whole}))"
    )


def _leaves(
    path: tuple[str, ...], type_: Any, longest: Callable[[str], int], reached: str | None = None
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(names from the top, SQL) of every single value in a column; a list is its JSON text, unless
    no record has more than one in it.
    """
    reached = reached or f"record.{identifier(path[-1])}"
    if type_.id == "struct":
        for name, below in type_.children:
            yield from _leaves((*path, name), below, longest, f"{reached}.{identifier(name)}")
        return
    if type_.id == "list" and type_.child.id == "struct" and longest(reached) == 1:
        yield from _leaves(path, type_.child, longest, f"{reached}[1]")
        return
    # The type of what is empty in every record has another name, and no single value either.
    is_plain = type_.id not in ("list", "map", "union") and str(type_) != "JSON"
    yield path, reached if is_plain else f"CAST(to_json({reached}) AS VARCHAR)"


def _duckdb_table(connection: Connection, file: Path, table: str, resources: ExitStack) -> RawTable:
    alias = _free_name("attached")
    connection.execute(f"ATTACH {literal(str(file))} AS {alias} (READ_ONLY)")
    resources.callback(connection.execute, f"DETACH {alias}")
    schema, _, name = table.rpartition(".")
    wanted = schema or "main"
    known = rows(
        connection,
        "SELECT table_schema, table_name, table_type FROM information_schema.tables "
        f"WHERE table_catalog = {literal(alias)}",
    )
    match = next(
        (k for k in known if (k[0].lower(), k[1].lower()) == (wanted.lower(), name.lower())), None
    )
    if match is None:
        names = [t if s == "main" else f"{s}.{t}" for s, t, _ in known]
        raise ContractError(
            f'{file.name} has no table "{table}"{nearest(table, names)} '
            f"Tables there: {', '.join(sorted(names)) or 'none'}."
        )
    relation = f"{alias}.{identifier(match[0])}.{identifier(match[1])}"
    place = f"{file.name}:{table}"
    if match[2] != "VIEW":
        return RawTable(relation, columns_of(connection, relation), place)
    return _closed_with(resources, connection, _view_copied(connection, alias, relation, place))


def _view_copied(connection: Connection, alias: str, relation: str, place: str) -> RawTable:
    """A view read inside its own file: the tables it names are looked for there, not among ours."""
    ours = row(connection, "SELECT current_database(), current_schema()")
    copy = _free_name("raw_view")
    connection.execute(f"USE {alias}")
    try:
        connection.execute(f"CREATE TEMP TABLE {copy} AS SELECT * FROM {relation}")
    finally:
        connection.execute(f"USE {'.'.join(map(identifier, ours))}")
    return RawTable(copy, columns_of(connection, copy), place)


# --- CSV
# -------------------------------------------------------------------------------------------


def _csv_table(
    connection: Connection, files: list[Path], source: Source, location: str
) -> RawTable:
    """All values as text: our casts decide what a number or a time is, not a guess from the first
    lines.
    """
    relation = _free_name("raw_csv")
    rejects = _free_name("csv_rejects")
    with scratch_folder("read") as folder:
        readable = [_as_utf8(path, _encoding_of(path, source), folder) for path in files]
        parts = [
            _csv_select(list(group), header, delimiter, above, escape, rejects)
            for (header, delimiter, above, escape), group in itertools.groupby(
                readable, lambda path: (*_header(path, source, location), _escape_of(path))
            )
        ]
        connection.execute(f"CREATE TEMP TABLE {relation} AS " + " UNION ALL BY NAME ".join(parts))
        delimiter = _header(readable[0], source, location)[1]
    if row(connection, f"SELECT count(*) FROM {rejects} WHERE error_type = 'INVALID ENCODING'")[0]:
        raise ContractError(
            _wrong_encoding(files[0], source.encoding, "some bytes are no characters of it")
        )
    rejected = row(connection, f"SELECT count(DISTINCT (scan_id, file_id, line)) FROM {rejects}")[0]
    connection.execute(f"DROP TABLE {rejects}; DROP TABLE {rejects}_scans")
    return RawTable(
        relation,
        columns_of(connection, relation),
        location,
        {"line has a wrong number of fields or quotes": rejected} if rejected else {},
        delimiter=delimiter,
    )


def _csv_select(
    files: list[Path],
    header: tuple[str, ...],
    delimiter: str,
    above: int,
    escape: str,
    rejects: str,
) -> str:
    names = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    return (
        f"SELECT * FROM read_csv({_list(files)}, auto_detect = false, header = true, skip ="
        f" {above}, columns ="
        f" {{{names}}}, delim = {literal(delimiter)}, quote = '\"', escape ="
        f" {literal(escape)}, nullstr = '',"
        f" store_rejects = true, rejects_table = {literal(rejects)}, rejects_scan ="
        f" {literal(rejects + '_scans')}, rejects_limit = 0)"
    )


def _encoding_of(path: Path, source: Source) -> str:
    """The declared encoding; UTF-16 where the file says so in its first bytes."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as content:
        mark = content.read(2)
    return "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else source.encoding


def _escape_of(path: Path) -> str:
    """What stands before a quote inside quotes: another quote, or the backslash that MySQL writes.

    A backslash before the quote that ends a value is one of the value.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as content:
            start = content.read(FIRST_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return '"'  # the header's reader says what is wrong
    is_mysql = re.search(rb'\\"[^,;\t|\r\n]', start) and not re.search(
        rb'[^,;\t|\r\n]""[^,;\t|\r\n]', start
    )
    return "\\" if is_mysql else '"'


def lines_above(lines: Sequence[Sequence[str]]) -> int:
    """How many lines stand above the names of columns: titles, dates of export, empty lines.

    Such a line fills one field or two at most, those below it more.

    >>> table = [["id", "day", "sum"], ["1", "2024-05-01", "3"]]
    >>> lines_above([["Report of May"], [], *table])
    2
    >>> lines_above([["id", "day"], ["1", "2024-05-01"]])
    0
    """
    filled = [sum(bool(value.strip()) for value in line) for line in lines]
    usual = Counter(count for count in filled if count).most_common(1)
    if not usual or usual[0][0] <= MOST_IN_A_TITLE:
        return 0
    place = next((i for i, count in enumerate(filled) if count > MOST_IN_A_TITLE), 0)
    # Names are words; a first wide line of values belongs to a file without names.
    is_named = all(not value[:1].isdigit() for value in lines[place])
    return place if is_named and filled[place] >= usual[0][0] - 1 else 0


def _header(path: Path, source: Source, location: str) -> tuple[tuple[str, ...], str, int]:
    delimiter = source.delimiter or ("\t" if ".tsv" in path.name.lower() else ",")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            first = list(itertools.islice(lines, FIRST_LINES))
            parsed = [next(csv.reader([line], delimiter=delimiter), []) for line in first]
            above = lines_above(parsed)
            lines.seek(0)
            for _ in range(above):
                lines.readline()
            header = tuple(
                name.strip() for name in next(csv.reader(lines, delimiter=delimiter), [])
            )
            second = lines.readline()
    except UnicodeDecodeError as error:
        raise ContractError(_wrong_encoding(path, source.encoding, str(error))) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ContractError(_not_whole(path, error)) from error
    except csv.Error as error:
        raise ContractError(
            f"{path.name} has a first line that cannot be split at {delimiter!r}: {error}. Write a"
            " line of names above, such as account_id,event_time,amount."
        ) from error
    if path.suffix != ".gz":
        refuse_cut_off(path, header, delimiter)
    if not any(header):
        raise ContractError(f"{location} is empty: {path.name} has no header line.")
    if not any(letter.isalpha() for letter in "".join(header)):
        raise ContractError(_no_names(path, delimiter.join(header)))
    if len(header) == 1:
        other = next((d for d in ";\t|," if d != delimiter and d in header[0]), None)
        if other is not None:
            raise ContractError(
                f'{path.name} has one column when split at {delimiter!r}, "{header[0][:80]}". '
                f'Declare the delimiter of {location}: delimiter = "{other}".'
            )
        if 1 < len(header[0].split()) == len(second.split()):
            raise ContractError(
                f'{path.name} has one column when split at {delimiter!r}, "{header[0][:80]}".'
                f" Spaces part its values: write it as CSV, such as by {_commas(path)}."
            )
    # Programs write row names beside a table without a name above them.
    named = tuple(name or f"unnamed_{place}" for place, name in enumerate(header))
    repeated = sorted(
        {name for name in named if [h.casefold() for h in named].count(name.casefold()) > 1}
    )
    if repeated:
        raise ContractError(
            f"{path.name}: column names must differ regardless of case; found"
            f" {', '.join(repeated)}."
        )
    return named, delimiter, above


def _no_names(path: Path, first: str) -> str:
    """What to do about a file that begins with values; values between spaces need commas as
    well.
    """
    told = f'{path.name} begins with values and not with the names of its columns: "{first[:80]}".'
    fields = len(first.split())
    if fields < 2 or any(d in first for d in ";\t|,"):
        return f"{told} Write a line of names above, such as account_id,event_time,amount."
    names = ",".join(["account_id", "event_time", *(f"value_{i}" for i in range(1, fields - 1))])
    return (
        f"{told} Spaces part them: write it as CSV with names that fit, such as by"
        f" {_commas(path, names)}."
    )


def _commas(path: Path, names: str = "") -> str:
    """The command that puts commas where spaces are, below a line of names where there is none."""
    head = f'; print "{names}"' if names else ""
    awk = f"awk 'BEGIN {{ OFS=\",\"{head} }} {{ $1=$1; print }}'"
    return f"`tr -d '\\r' < {path.name} | {awk} > {path.stem}.csv`"


def _as_utf8(path: Path, encoding: str, folder: Path) -> Path:
    """The file itself where it is UTF-8, else a copy rewritten as UTF-8."""
    if encoding.lower() in UTF8_NAMES:
        return path
    copy = folder / path.name.removesuffix(".gz")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding=encoding, newline="") as old:
            with copy.open("w", encoding="utf-8", newline="") as new:
                for block in _blocks(old):
                    new.write(block)
    except UnicodeError as error:
        raise ContractError(_wrong_encoding(path, encoding, str(error))) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ContractError(_not_whole(path, error)) from error
    return copy


def _not_whole(path: Path, error: Exception) -> str:
    return f"{path.name} is no whole gzip file: {error}. Copy or export it again."


def _wrong_encoding(path: Path, encoding: str, detail: str) -> str:
    return (
        f'{path.name} is not encoded as "{encoding}": {detail}. Declare its encoding, such as '
        'encoding = "cp1252".'
    )


def _blocks(text: io.TextIOBase) -> Iterator[str]:
    while block := text.read(1 << 20):
        yield block


# --- archives and workbooks
# ----------------------------------------------------------------------------


def _unpacked(archive: Path, member: str | None, resources: ExitStack) -> Path:
    """The one table in an archive, or the member of that name, unpacked until `resources` close."""
    with zipfile.ZipFile(archive) as content:
        known = archive_members(archive)
        found = [n for n in known if member is None or n == member or Path(n).stem == member]
        if len(found) != 1:
            raise ContractError(
                f"{archive.name} holds {', '.join(known) or 'no table'}; say which with"
                ' table = "...".'
            )
        folder = resources.enter_context(scratch_folder("read"))
        return Path(content.extract(found[0], folder))


def archive_members(archive: Path) -> list[str]:
    """Names of the tables in an archive."""
    try:
        with zipfile.ZipFile(archive) as content:
            return sorted(
                n
                for n in content.namelist()
                if n.lower().endswith((*CSV_ENDINGS, *JSON_ENDINGS, *PARQUET_ENDINGS))
                and not n.startswith("__MACOSX")
            )
    except (zipfile.BadZipFile, OSError) as error:
        raise ContractError(f"{archive.name} cannot be unpacked: {error}.") from error


def sheet_names(workbook: Path) -> list[str]:
    """Names of the sheets of a workbook."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(workbook, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ContractError(f"{workbook.name} is no workbook that can be read: {error}.") from error
    try:
        return [sheet.title for sheet in book.worksheets]
    finally:
        book.close()


def sheet_table(
    connection: Connection, workbook: Path, sheet: str | None, location: str
) -> RawTable:
    """One sheet of a workbook, all values as text: times as ISO, whole numbers without a point."""
    import openpyxl
    import pyarrow as pa

    known = sheet_names(workbook)
    wanted = sheet or (known[0] if len(known) == 1 else None)
    if wanted not in known:
        raise ContractError(
            f"{workbook.name} has the sheets {', '.join(known)}; say which with"
            f' table = "{known[0]}".'
        )
    book = openpyxl.load_workbook(workbook, read_only=True, data_only=True)
    try:
        lines = [
            [_cell_text(value) for value in line]
            for line in book[wanted].iter_rows(values_only=True)
        ]
        day_zero = book.epoch.date()
    finally:
        book.close()
    above = lines_above([[v or "" for v in line] for line in lines[:FIRST_LINES]])
    body = [line for line in lines[above + 1 :] if any(line)]
    if not lines or not any(lines[above]):
        raise ContractError(f"{location} is empty: sheet {wanted} has no header line.")
    header = [name or f"unnamed_{place}" for place, name in enumerate(lines[above])]
    repeated = {n for n in header if [h.casefold() for h in header].count(n.casefold()) > 1}
    if repeated:
        raise ContractError(
            f"{workbook.name}, sheet {wanted}: column names must differ regardless of case; found"
            f" {', '.join(sorted(repeated))}."
        )
    columns = {
        name: pa.array([line[i] if i < len(line) else None for line in body], pa.string())
        for i, name in enumerate(header)
    }
    relation, given = _free_name("raw_sheet"), _free_name("cells")
    connection.register(given, pa.table(columns))
    connection.execute(f"CREATE TEMP TABLE {relation} AS SELECT * FROM {given}")
    connection.unregister(given)
    return RawTable(
        relation, columns_of(connection, relation), f"{location}:{wanted}", day_zero=day_zero
    )


def _cell_text(value: Any) -> str | None:
    """A cell as a CSV would have it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        is_day = (value.hour, value.minute, value.second) == (0, 0, 0)
        return value.date().isoformat() if is_day else value.isoformat(sep=" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


_names = itertools.count(1)


def _free_name(stem: str) -> str:
    """A name that no other table of this process has."""
    return f"{stem}_{next(_names)}"
