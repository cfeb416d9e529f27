"""From a location to a relation that DuckDB can select from: Parquet, CSV, DuckDB files,
PostgreSQL.
"""

import csv
import glob
import gzip
import io
import itertools
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from features.errors import ContractError
from pipeline.config.checks import nearest
from pipeline.config.schema import Source
from pipeline.edge.locations import has_secret, shown_location
from pipeline.engine.duckdb import Connection, columns_of, identifier, literal, row, rows
from pipeline.staging.casts import Physical
from pipeline.staging.inputs import hashes, refuse_cut_off, unchanged

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
DUCKDB_ENDINGS = (".duckdb", ".ddb")
READABLE = (
    "Parquet (.parquet), CSV (.csv, .tsv, .txt) and JSON lines (.jsonl, .ndjson, .json), each also"
    " .gz, DuckDB (.duckdb), postgresql://..., env:NAME"
)
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
    if location.startswith(("postgresql://", "postgres://", "env:")):
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
    connection.execute(
        f"CREATE TEMP TABLE {relation} AS SELECT * FROM read_json({_list(files)}, sample_size = -1,"
        " union_by_name = true)"
    )
    return RawTable(relation, columns_of(connection, relation), location)


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
    with tempfile.TemporaryDirectory(prefix="tenure-") as folder:
        readable = [_as_utf8(path, source.encoding, Path(folder)) for path in files]
        parts = [
            _csv_select(list(group), header, delimiter, rejects)
            for (header, delimiter), group in itertools.groupby(
                readable, lambda path: _header(path, source, location)
            )
        ]
        connection.execute(f"CREATE TEMP TABLE {relation} AS " + " UNION ALL BY NAME ".join(parts))
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
    )


def _csv_select(files: list[Path], header: tuple[str, ...], delimiter: str, rejects: str) -> str:
    names = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    return (
        f"SELECT * FROM read_csv({_list(files)}, auto_detect = false, header = true, columns ="
        f" {{{names}}}, delim = {literal(delimiter)}, quote = '\"', escape = '\"', nullstr = '',"
        f" store_rejects = true, rejects_table = {literal(rejects)}, rejects_scan ="
        f" {literal(rejects + '_scans')}, rejects_limit = 0)"
    )


def _header(path: Path, source: Source, location: str) -> tuple[tuple[str, ...], str]:
    delimiter = source.delimiter or ("\t" if ".tsv" in path.name.lower() else ",")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
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
    return named, delimiter


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


_names = itertools.count(1)


def _free_name(stem: str) -> str:
    """A name that no other table of this process has."""
    return f"{stem}_{next(_names)}"
