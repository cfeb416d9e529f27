"""The user's tables as `init` sees them: where they are, and what each column seems to hold."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from features.errors import ConfigError, ContractError
from pipeline.config.schema import DAY_ZEROS, Source
from pipeline.edge.locations import said_of_address, shown_location
from pipeline.engine.duckdb import Connection, identifier, literal, row, rows
from pipeline.proposing.names import MONEY_NAME, NAMING_NUMBER, snake
from pipeline.staging.asking.ends import LAST_SECOND, MOST_WORDS, is_last_second, is_stand_in
from pipeline.staging.casts import (
    AWARE_TIME,
    FLOATS,
    HAS_OFFSET,
    INTEGERS,
    MICROSECONDS,
    NOTHING_WORDS,
    four_figure_year,
    in_microseconds,
    is_nothing,
)
from pipeline.staging.number_writing import (
    LETTERED,
    NEGATIVE,
    OTHER_MARK,
    SPACE,
    written_number,
)
from pipeline.staging.read import (
    ARCHIVE_ENDINGS,
    CSV_ENDINGS,
    DUCKDB_ENDINGS,
    JSON_ENDINGS,
    PARQUET_ENDINGS,
    TEXT_ENDINGS,
    WORKBOOK_ENDINGS,
    RawTable,
    archive_members,
    open_raw,
    sheet_names,
)

Kind = Literal["time", "number", "flag", "text"]
EpochUnit = Literal["seconds", "milliseconds", "microseconds", "nanoseconds", "by_size", "days"]
# Shares of non-empty values that must read as such: a few typing errors do not hide a date column.
NEARLY_ALL = 0.95
MOSTLY = 0.5
"""The same of a column that is called a time: what it does not read is asked about."""
FLAG_WORDS = ("yes", "no", "y", "n", "true", "false", "t", "f", "0", "1")
_SIGNS, _LETTERS = "[^A-Za-z0-9]*", "[A-Za-z]{0,4}"
FIGURES = rf"^{_SIGNS}{_LETTERS}{_SIGNS}[0-9](?:[0-9.,'’]|{SPACE})*{_SIGNS}{_LETTERS}{_SIGNS}$"
"""One number with a few letters around it: $1.2K, 80.00 CR."""
FEW_VALUES = 12
FEWEST_FIELDS = 3
FIRST_ROWS = 200
FIRST_LINES = 20
USUAL_YEARS = ("1971-01-01", "2038-01-01")
"""Days outside are looked at one by one: they may stand for no date."""
READ_ROWS = 20_000
"""Values that are tried as dates and numbers; each is tried in a dozen ways."""
# Day first before month first: where both read every value, init asks.
MONTH = "%Y-%m"
TIME_FORMATS = (
    "%Y%m%d",
    MONTH,
    *(
        f"{day}{clock}"
        for day in (
            "%d/%m/%Y",
            "%m/%d/%Y",
            "%d.%m.%Y",
            "%d-%m-%Y",
            "%Y/%m/%d",
            "%d-%b-%Y",
            "%d %b %Y",
            "%b %d, %Y",
            "%B %d, %Y",
            "%b %d %Y",
            "%B %d %Y",
            "%d %B %Y",
            "%Y.%m.%d",
            "%d/%m/%y",
            "%m/%d/%y",
            "%d.%m.%y",
            "%d-%b-%y",
        )
        for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
    ),
    # As browsers write a moment in words and figures.
    *(
        f"{day}, {clock}"
        for day in ("%b %d, %Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y")
        for clock in ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
    ),
    # Letters, logs of versions, and web servers; all three tell their zone.
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y %z",
    "%d/%b/%Y:%H:%M:%S %z",
)
# Of whole numbers, both ends of what may be a day or a moment: 1900 to 2100 as 20240131, 2000 to
# 2100 since 1970.
DAY_NUMBERS, LAST_DAY = (19_000_101, 21_001_231), 99_991_231
EPOCHS: dict[EpochUnit, tuple[int, int]] = {
    "seconds": (946_684_800, 4_102_444_800),
    "milliseconds": (946_684_800_000, 4_102_444_800_000),
    "microseconds": (946_684_800_000_000, 4_102_444_800_000_000),
    "nanoseconds": (946_684_800_000_000_000, 4_102_444_800_000_000_000),
}
LAST_SERIAL_DAY = 2_958_465
"""9999-12-31 as spreadsheets count it."""
NO_MOMENTS = (0, -1, LAST_SERIAL_DAY, LAST_DAY, LAST_SECOND, 1000 * LAST_SECOND)
# Seconds from the year 2200 on are milliseconds, or no moment anybody means.
FIRST_FAR_SECOND = 7_258_118_400
# Days since 1899-12-30, as spreadsheets count them: 1982 to 2064.
SERIAL_DAYS = (30_000, 60_000)
SERIAL_NAME = re.compile(
    r"(^|_)(date|datum|day|at|on|start|end|starts|ends|begin|begins|von|bis|from|until|time|when"
    r"|since|created|updated|joined|left|opened|closed|started|ended|paid|due|expires|beginn|ende"
    r"|seit|eintritt|austritt|erstellt|ablauf)$|date$|datum$"
)
TIME_NAME = re.compile(
    r"(^|_)(ts|time|timestamp|date|datetime|day|epoch|unix|at|on|ms|millis|when|since|created|updated"
    r"|registered|registration|joined|signup)(_|$)"
)
"""Names that make ten or thirteen digits a moment, and not a telephone number."""
_WORKBOOK = "an old Excel workbook is not read: save it as .xlsx, or each sheet as CSV (UTF-8)"
_STATISTICS = "files of statistics programs are not read: write it as CSV or Parquet"
_ARCHIVE = "an archive is not read: unpack it"
_TABLES = "a file of a program is not read: save each table as CSV (UTF-8)"
_DATABASE = "a file of a database is not read: write each table as CSV or Parquet"
OTHER_KINDS = {
    ".xls": _WORKBOOK,
    ".xlsb": _WORKBOOK,
    ".ods": _TABLES,
    ".numbers": _TABLES,
    ".xml": _TABLES,
    ".html": _TABLES,
    ".sql": "a dump of statements is not read: load it into a database, or write each table as CSV",
    ".db": _DATABASE,
    ".sqlite": _DATABASE,
    ".sqlite3": _DATABASE,
    ".mdb": _DATABASE,
    ".accdb": _DATABASE,
    ".avro": _DATABASE,
    ".orc": _DATABASE,
    ".feather": _DATABASE,
    ".arrow": _DATABASE,
    ".7z": _ARCHIVE,
    ".rar": _ARCHIVE,
    ".tar": _ARCHIVE,
    ".tgz": _ARCHIVE,
    ".bz2": _ARCHIVE,
    ".xz": _ARCHIVE,
    ".zst": _ARCHIVE,
    ".sav": _STATISTICS,
    ".dta": _STATISTICS,
    ".rds": _STATISTICS,
}


@dataclass(frozen=True)
class SeenColumn:
    """What a column seems to hold.

    `values` are all its distinct values where they are few; `time_format` is strptime's, where the
    text is not ISO; `epoch_unit`: a number of these since 1970, UTC; `has_clock`: naive times with
    a time of day, which need a zone. `lowest` and `highest` of a time are written as ISO.
    """

    name: str
    kind: Kind
    filled: int
    distinct: int
    lowest: str
    highest: str
    values: tuple[str, ...] = ()
    time_format: str | None = None
    epoch_unit: EpochUnit | None = None
    has_clock: bool = False
    has_decimal_comma: bool = False
    is_negative: bool = False
    short: str = ""
    """Of a nested column: the last part of its name, by which it is known."""
    day_zero: date = DAY_ZEROS[0]
    """The day from which numbers of days are counted."""
    stand_ins: tuple[str, ...] = ()
    """Values of a time that stand for none, as written; they are in none of the figures above."""
    is_mixed: bool = False
    """A time or an amount of which more than a few values are written in another way."""

    @property
    def snake(self) -> str:
        """The name in small letters and underscores."""
        return self.short or snake(self.name)

    @property
    def has_decimals(self) -> bool:
        """Whether its lowest or highest number, or one of its few, is no whole one."""
        shown = (self.lowest, self.highest, *self.values)
        return self.kind == "number" and any(re.search(r"[.,]\d{1,2}\D*$", v) for v in shown)

    @property
    def says_utc(self) -> bool:
        """Whether the name says that its clock showed UTC."""
        return self.has_clock and bool(re.search(r"(?i)(^|[^a-z])(utc|gmt)\W*$", self.name))

    @property
    def time_sql(self) -> str:
        """SQL of a column of times as a timestamp; NULL where the value is none."""
        quoted = identifier(self.name)
        if self.stand_ins:
            listed = ", ".join(map(literal, self.stand_ins))
            is_none = f"cast({quoted} as varchar) in ({listed})"
            quoted = f"(case when {is_none} then null else {quoted} end)"
        if self.epoch_unit == "days":
            number = f"replace({quoted}, ',', '.')" if self.has_decimal_comma else quoted
            microseconds = f"try_cast({number} as double) * {MICROSECONDS['days']}"
            days = f"to_microseconds(cast({microseconds} as bigint))"
            return f"(timestamp '{self.day_zero}' + {days})"
        if self.epoch_unit is not None:
            moment = in_microseconds(f"try_cast({quoted} as double)", self.epoch_unit)
            return f"make_timestamp(cast({moment} as bigint))"
        if self.time_format is not None:
            read = f"try_strptime(cast({quoted} as varchar), {literal(self.time_format)})"
            if self.time_format.endswith("%z"):
                return f"timezone('UTC', {read})"
            return f"({four_figure_year(read, self.time_format)})"
        return f"try_cast({quoted} as timestamp)"


@dataclass(frozen=True)
class SeenTable:
    """One file or table; `relation` holds it inside the connection."""

    name: str
    location: str
    table: str | None
    relation: str
    rows: int
    columns: tuple[SeenColumn, ...]
    delimiter: str | None = None
    encoding: str | None = None
    day_zero: date | None = None
    """The day from which a workbook says that its numbers of days are counted."""

    def column(self, name: str) -> SeenColumn | None:
        """The column of exactly that name, or None."""
        return next((c for c in self.columns if c.name == name), None)

    @property
    def times(self) -> tuple[SeenColumn, ...]:
        """Its columns of dates or times."""
        return tuple(c for c in self.columns if c.kind == "time")


@dataclass(frozen=True)
class Unreadable:
    """A file that looked like a table and could not be read."""

    name: str
    reason: str


def seen_tables(
    connection: Connection, location: str, base: Path | None, resources: ExitStack
) -> tuple[list[SeenTable], list[Unreadable]]:
    """Every readable table at a location, profiled, in order of name.

    Raises
    ------
    ConfigError
        Nothing readable is there.
    """
    if location.startswith(("postgresql://", "postgres://", "env:")):
        found: Iterator[tuple[str, str, str | None]] = _server_tables(location)
    else:
        found = _folder_tables(Path(location), base, connection)
    tables: list[SeenTable] = []
    failed = list(_other_kinds(Path(location))) if "://" not in location else []
    for name, place, table in found:
        try:
            tables.append(_seen(connection, name, place, table, base or Path.cwd(), resources))
        except ContractError as error:
            failed.append(Unreadable(name, str(error)))
    if not tables:
        told = "; ".join(f"{f.name}: {f.reason}" for f in failed)
        raise ConfigError(
            f"no table can be read at {shown_location(location)}. "
            + (
                told
                or "Put Parquet, CSV, JSON lines or DuckDB files there, or name another folder or"
                " a postgresql:// address."
            )
        )
    return tables, failed


def _folder_tables(
    folder: Path, base: Path | None, connection: Connection
) -> Iterator[tuple[str, str, str | None]]:
    if not folder.exists():
        raise ConfigError(
            f"{folder} does not exist. Name a folder with tables, a file, or a postgresql://"
            " address."
        )
    files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    for file in files:
        small = file.name.lower()
        place = _relative(file, base)
        if small.endswith(DUCKDB_ENDINGS):
            for table in _duckdb_tables(connection, file):
                yield table.rpartition(".")[2], place, table
        elif small.endswith(WORKBOOK_ENDINGS):
            sheets = _names_inside(sheet_names, file)
            stem = file.name.rpartition(".")[0]
            for sheet in sheets:
                yield sheet if len(sheets) > 1 else stem, place, sheet if len(sheets) > 1 else None
        elif small.endswith(ARCHIVE_ENDINGS):
            members = _names_inside(archive_members, file)
            for member in members:
                name = Path(member).name.split(".")[0]
                yield name, place, member if len(members) > 1 else None
        elif small.endswith((*PARQUET_ENDINGS, *CSV_ENDINGS, *JSON_ENDINGS)) and not _is_prose(
            file
        ):
            yield file.name.split(".")[0], place, None


def _names_inside(names: Callable[[Path], list[str]], file: Path) -> list[str]:
    """Tables inside a file; the file itself where it is broken, which opening it will say."""
    try:
        return names(file)
    except ContractError:
        return [file.name]


def _other_kinds(folder: Path) -> Iterator[Unreadable]:
    """Files that hold tables in a form that nothing here reads: named, so that nobody takes them
    for read.
    """
    for file in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if file.suffix.lower() in OTHER_KINDS:
            yield Unreadable(file.name, OTHER_KINDS[file.suffix.lower()])


def _is_prose(file: Path) -> bool:
    """A text to be read by people, as a README beside the tables mostly is: neither names nor
    values in its first lines.
    """
    if not file.name.lower().endswith(".txt"):
        return False
    with file.open(encoding="utf-8", errors="replace") as lines:
        first, *others = list(itertools.islice(lines, FIRST_LINES)) or [""]
    if any(d in first for d in ";\t|,") or not any(letter.isalpha() for letter in first):
        return False
    # As many words in every line, with figures in all but the first, are names above values between
    # spaces.
    is_table = others and all(
        re.search(r"\d", line) and len(line.split()) == len(first.split()) for line in others
    )
    return not is_table


def _relative(file: Path, base: Path | None) -> str:
    """Relative to the folder that locations start at, else absolute: right from wherever it is
    read.
    """
    if base is not None and file.resolve().is_relative_to(base.resolve()):
        return os.path.relpath(file.resolve(), base.resolve())
    return str(file.resolve())


def _duckdb_tables(connection: Connection, file: Path) -> list[str]:
    connection.execute(f"ATTACH {literal(str(file.resolve()))} AS listed (READ_ONLY)")
    try:
        found = rows(
            connection,
            "select table_schema, table_name from information_schema.tables "
            "where table_catalog = 'listed' order by 1, 2",
        )
    finally:
        connection.execute("DETACH listed")
    return [name if schema == "main" else f"{schema}.{name}" for schema, name in found]


def _server_tables(location: str) -> Iterator[tuple[str, str, str | None]]:
    # Loaded here: psycopg is an optional part.
    from pipeline.staging.postgres import address_of, psycopg_module

    psycopg, address = psycopg_module(), address_of(location)
    try:
        with psycopg.connect(address, connect_timeout=15) as server:
            server.read_only = True
            found = server.execute(
                "select table_schema, table_name from information_schema.tables where table_schema "
                "not in ('pg_catalog', 'information_schema') order by 1, 2"
            ).fetchall()
    except psycopg.Error as error:
        raise ContractError(
            f"PostgreSQL at {shown_location(location)} cannot be read: "
            f"{said_of_address(address, str(error))}."
        ) from None
    for schema, name in found:
        yield name, location, name if schema == "public" else f"{schema}.{name}"


# --- one table
# -------------------------------------------------------------------------------------


def _seen(
    connection: Connection,
    name: str,
    place: str,
    table: str | None,
    base: Path,
    resources: ExitStack,
) -> SeenTable:
    raw, delimiter, encoding = _opened(connection, place, table, base, resources)
    count = row(connection, f"select count(*) from {raw.relation}")[0]
    is_csv = place.lower().endswith(TEXT_ENDINGS)
    columns = tuple(
        _seen_column(connection, raw, column, type_, is_csv=is_csv)
        for column, type_ in raw.columns.items()
    )
    if place.lower().endswith(JSON_ENDINGS) or _are_fields(columns):
        columns = _short_names(columns)
    return SeenTable(
        name, place, table, raw.relation, count, columns, delimiter, encoding, raw.day_zero
    )


def _are_fields(columns: tuple[SeenColumn, ...]) -> bool:
    """Whether a point in names parts a table from its field, as in subscriptions.started_at;
    Kd.Nr is a word cut short.
    """
    tables = Counter(
        c.name.rpartition(".")[0]
        for c in columns
        if re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", c.name)
    )
    return bool(tables) and tables.most_common(1)[0][1] >= FEWEST_FIELDS


def _short_names(columns: tuple[SeenColumn, ...]) -> tuple[SeenColumn, ...]:
    """Nested columns known by the last part of their names, where no other column has it."""
    parts = [snake(c.name.rpartition(".")[2]) for c in columns]
    return tuple(
        replace(c, short=part) if "." in c.name and parts.count(part) == 1 else c
        for c, part in zip(columns, parts, strict=True)
    )


def _opened(
    connection: Connection, place: str, table: str | None, base: Path, resources: ExitStack
) -> tuple[RawTable, str | None, str | None]:
    """Try the usual delimiters and encodings; the first that reads wins."""
    settings = [Source(location=place), *(Source(location=place, delimiter=d) for d in ";\t|")]
    settings += [replace(s, encoding="cp1252") for s in settings]
    first: ContractError | None = None
    for source in settings:
        try:
            raw = open_raw(connection, place, table, source, base, resources)
            return raw, source.delimiter, None if source.encoding == "utf-8" else source.encoding
        except ContractError as error:
            first = first or error
            if not place.lower().endswith((*CSV_ENDINGS, *ARCHIVE_ENDINGS)):
                break
    assert first is not None
    raise first


def _seen_column(
    connection: Connection, raw: RawTable, name: str, type_: str, *, is_csv: bool
) -> SeenColumn:
    seen = _kind_of_column(connection, raw, name, type_, is_csv=is_csv)
    return _without_stand_ins(connection, raw, seen) if seen.kind == "time" else seen


def _without_stand_ins(connection: Connection, raw: RawTable, seen: SeenColumn) -> SeenColumn:
    """The column without far days that stand for "no end", or for "no date"."""
    inside = f"t between timestamp '{USUAL_YEARS[0]}' and timestamp '{USUAL_YEARS[1]}'"
    times = (
        f"(select cast({identifier(seen.name)} as varchar) as written, {seen.time_sql} as t from"
        f" {raw.relation})"
    )
    far, first, last = row(
        connection,
        f"select count(*) filter (not ({inside})), cast(min(t) filter ({inside}) as date),"
        f" cast(max(t) filter ({inside}) as date) from {times} where t is not null",
    )
    if not far or first is None:
        return seen
    found = rows(
        connection,
        f"select written, cast(min(t) as varchar) from {times} where t is not null"
        f" and not ({inside}) group by 1 order by count(*) desc, 1 limit {FEW_VALUES}",
    )
    far_days = tuple(w for w, day in found if is_last_second(w) or _stands_in(day, first, last))
    if not far_days:
        return seen
    stand_ins = (*seen.stand_ins, *far_days)
    listed = ", ".join(map(literal, stand_ins))
    filled, distinct = row(
        connection,
        f"select count(t), count(distinct t) from {times} where written not in ({listed})",
    )
    found_without = replace(seen, stand_ins=stand_ins, filled=filled, distinct=distinct, values=())
    return _with_ends(connection, raw, found_without)


def _stands_in(stamp: str, first: date, last: date) -> bool:
    try:
        return is_stand_in(date.fromisoformat(stamp[:10]), first, last)
    except ValueError:
        return True  # beyond the year 9999


def _kind_of_column(
    connection: Connection, raw: RawTable, name: str, type_: str, *, is_csv: bool
) -> SeenColumn:
    quoted = identifier(name)
    filled, distinct, lowest, highest = row(
        connection,
        f"select count({quoted}) filter (trim(cast({quoted} as varchar)) <> ''), count(distinct"
        f" {quoted}), cast(min({quoted}) as varchar), cast(max({quoted}) as varchar) from"
        f" {raw.relation}",
    )
    values: tuple[str, ...] = ()
    if 0 < distinct <= FEW_VALUES:
        values = tuple(
            v
            for (v,) in rows(
                connection,
                f"select distinct cast({quoted} as varchar) as v from {raw.relation} "
                f"where {quoted} is not null order by 1",
            )
        )
    seen = SeenColumn(name, "text", filled, distinct, lowest or "", highest or "", values)
    if type_ == "BOOLEAN":
        return replace(seen, kind="flag")
    if type_ in (*INTEGERS, *FLOATS) or type_.startswith("DECIMAL"):
        negative = bool(
            row(connection, f"select count(*) from {raw.relation} where {quoted} < 0")[0]
        )
        return _read_number(connection, raw, replace(seen, kind="number", is_negative=negative))
    if type_ == AWARE_TIME or type_ == "DATE":
        return replace(seen, kind="time")
    if type_.startswith("TIMESTAMP"):
        clock = bool(
            row(
                connection,
                f"select count(*) from {raw.relation} where {quoted} <> date_trunc('day',"
                f" {quoted})",
            )[0]
        )
        return replace(seen, kind="time", has_clock=clock)
    if type_ != "VARCHAR" or not filled:
        return seen
    read = _read_text(connection, raw, quoted, seen)
    if read.kind == "text" or (read.kind == "number" and read.is_mixed):
        read = _without_letters(connection, raw, quoted, seen, read)
    if read.kind == "number":
        read = _read_number(connection, raw, read)
    # Where a table has types, digits kept as text are a number of an invoice rather than an amount.
    return read if is_csv or read.kind != "number" else seen


def _without_letters(
    connection: Connection, raw: RawTable, quoted: str, seen: SeenColumn, read: SeenColumn
) -> SeenColumn:
    """Amounts with a letter for debit or credit behind them; else the column as it was read."""
    lettered, others, filled = row(
        connection,
        f"select count(*) filter (regexp_matches({quoted}, {literal(LETTERED)})),"
        f" count(*) filter (regexp_matches({quoted}, '(?i)[0-9)]\\s*[SH]\\s*$')), count({quoted})"
        f" from (select {quoted} from {raw.relation} where {quoted} is not null limit {READ_ROWS})",
    )
    # A bank writes CR behind credits and nothing behind debits.
    if lettered < NEARLY_ALL * filled and (not lettered or others):
        return read
    bare = f"regexp_replace({quoted}, {literal(LETTERED)}, '\\1')"
    stripped = replace(
        raw, relation=f"(select * replace ({bare} as {quoted}) from {raw.relation} as each_row)"
    )
    found = _kind_of_text(connection, stripped, quoted, seen)
    return found if found.kind == "number" and not found.is_mixed else read


def _likely_formats(connection: Connection, raw: RawTable, quoted: str) -> list[str]:
    """Formats that read half of the first values: all of them on all values would take most of the
    time of `init`.
    """
    tried = ", ".join(_read_by(quoted, f) for f in TIME_FORMATS)
    count, *read = row(
        connection,
        f"select count(*), {tried} from (select {quoted} from {raw.relation} "
        f"where {quoted} is not null limit {FIRST_ROWS})",
    )
    return [f for f, n in zip(TIME_FORMATS, read, strict=True) if 2 * n >= count]


def _read_by(quoted: str, format_: str) -> str:
    """SQL that counts the values a format reads."""
    parsed = f"try_strptime({quoted}, '{format_}')"
    return f"count({parsed if '%z' in format_ else four_figure_year(parsed, format_)})"


def _read_number(connection: Connection, raw: RawTable, seen: SeenColumn) -> SeenColumn:
    """Numbers that are days (20240131) or moments (seconds or milliseconds since 1970), by their
    values and name.
    """
    written = identifier(seen.name)
    if seen.has_decimal_comma:
        written = f"replace({written}, ',', '.')"
    number = f"try_cast({written} as double)"
    # Zero and the last moments of calendars stand for no day, and say nothing of the others.
    none = ", ".join(str(each) for each in NO_MOMENTS)
    are_moments = " or ".join(
        f"{number} between {low} and {high}" for low, high in list(EPOCHS.values())[1:]
    )
    held = (
        f"{identifier(seen.name)} is not null and coalesce({number} not in ({none})"
        f" and {number} < {FIRST_FAR_SECOND} or {are_moments}, true)"
    )
    inside = ", ".join(
        f"count(*) filter ({number} between {low} and {high} and {number} = trunc({number}))"
        for low, high in (DAY_NUMBERS, *EPOCHS.values())
    )
    inside += f", count(*) filter ({number} between {SERIAL_DAYS[0]} and {SERIAL_DAYS[1]})"
    count, *counts = row(
        connection,
        f"select count(*), {inside} from (select {identifier(seen.name)} from {raw.relation} "
        f"where {held} limit {READ_ROWS})",
    )
    # All rows: another program may have written the later ones.
    moments = row(
        connection,
        "select "
        + ", ".join(
            f"count(*) filter ({number} between {low} and {high})" for low, high in EPOCHS.values()
        )
        + f" from {raw.relation} where {held}",
    )
    days, *epochs, serials = (count and each >= NEARLY_ALL * count for each in counts)
    if seen.has_decimal_comma:
        days, epochs, moments = False, [False for _ in epochs], ()  # a comma begins decimals
    if serials and SERIAL_NAME.search(seen.snake):
        day_zero = raw.day_zero or seen.day_zero
        as_days = replace(seen, kind="time", epoch_unit="days", day_zero=day_zero)
        return _with_ends(connection, raw, as_days)
    if days:
        as_days = replace(seen, time_format="%Y%m%d")
        read = row(
            connection,
            f"select count({as_days.time_sql}) from (select {identifier(seen.name)} from"
            f" {raw.relation} where {held} limit {READ_ROWS})",
        )[0]
        return (
            _with_ends(connection, raw, replace(as_days, kind="time"))
            if read >= NEARLY_ALL * count
            else seen
        )
    unit: EpochUnit | None = None
    if TIME_NAME.search(seen.snake):
        unit = next((u for u, fits in zip(EPOCHS, epochs, strict=True) if fits), None)
        # Two programs that write one log may count in different units.
        is_several = sum(found > 0 for found in moments) > 1
        if is_several and sum(counts[1:-1]) >= NEARLY_ALL * count:
            unit = "by_size"
    return (
        seen
        if unit is None
        else _with_ends(connection, raw, replace(seen, kind="time", epoch_unit=unit))
    )


def _with_ends(connection: Connection, raw: RawTable, seen: SeenColumn) -> SeenColumn:
    """The column with its first and last time as ISO, which sort as text."""
    first, last = row(
        connection,
        f"select cast(min({seen.time_sql}) as varchar), cast(max({seen.time_sql}) as varchar) "
        f"from {raw.relation}",
    )
    return replace(seen, lowest=first or "", highest=last or "")


def _read_text(connection: Connection, raw: RawTable, quoted: str, seen: SeenColumn) -> SeenColumn:
    """Times, numbers and flags that are written as text, as every column of a CSV is; words for
    nothing among them say nothing of the kind.
    """
    said = f"(case when {is_nothing(f'trim({quoted})')} then null else {quoted} end)"
    raw = replace(
        raw, relation=f"(select * replace ({said} as {quoted}) from {raw.relation} as each_row)"
    )
    read = _kind_of_text(connection, raw, quoted, seen)
    if read.kind == "text" or read.is_mixed:
        among = _among_words(connection, raw, quoted, seen)
        read = among if among.kind == "time" and not among.is_mixed else read
    words = row(connection, f"select count(*) from {raw.relation} where {quoted} is not null")[0]
    if read.kind == "text" or read.stand_ins or words >= seen.filled:
        return read
    values = tuple(v for v in read.values if v.strip().lower() not in NOTHING_WORDS)
    read = replace(read, filled=words, values=values)
    if read.kind == "time":
        return _with_ends(connection, raw, read)
    lowest, highest = row(
        connection,
        f"select cast(min({quoted}) as varchar), cast(max({quoted}) as varchar) from"
        f" {raw.relation}",
    )
    return replace(read, lowest=lowest or "", highest=highest or "")


def _among_words(
    connection: Connection, raw: RawTable, quoted: str, seen: SeenColumn
) -> SeenColumn:
    """Dates among a few words for no date (open, unbefristet); else the column as it is."""
    is_word = f"not regexp_matches({quoted}, '[1-9]')"
    found = rows(
        connection,
        f"select distinct {quoted} from {raw.relation} where {quoted} is not null and {is_word}"
        f" limit {MOST_WORDS + 1}",
    )
    if not found or len(found) > MOST_WORDS:
        return seen
    dates = f"(case when {is_word} then null else {quoted} end)"
    dated = replace(
        raw, relation=f"(select * replace ({dates} as {quoted}) from {raw.relation} as each_row)"
    )
    count = row(connection, f"select count({quoted}) from {dated.relation}")[0]
    read = _kind_of_text(connection, dated, quoted, seen) if count else seen
    if read.kind != "time":
        return seen
    words = tuple(sorted(str(word) for (word,) in found))
    return _with_ends(connection, dated, replace(read, stand_ins=words, filled=count, values=()))


def _kind_of_text(
    connection: Connection, raw: RawTable, quoted: str, seen: SeenColumn
) -> SeenColumn:
    likely = _likely_formats(connection, raw, quoted)
    formats = "".join(f", {_read_by(quoted, f)}" for f in likely)
    writings = {mark: literal(written_number(mark)) for mark in OTHER_MARK}
    count, plain, negatives, points, commas, iso, zoned, clocks, *by_format = row(
        connection,
        f"""
select count(*), count(try_cast({quoted} as double)),
  count(*) filter (regexp_matches({quoted}, {literal(NEGATIVE)})),
  count(*) filter (regexp_matches({quoted}, '[0-9]')
    and regexp_matches({quoted}, {writings["."]})),
  count(*) filter (regexp_matches({quoted}, '[0-9]')
    and regexp_matches({quoted}, {writings[","]})),
  count(*) filter (regexp_matches({quoted}, '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')
    and try_cast({quoted} as timestamp) is not null),
  count(*) filter (regexp_matches({quoted}, {literal(HAS_OFFSET)})),
  count(*) filter (regexp_matches({quoted}, '[1-9][0-9]?:|:[0-9]*[1-9]')){formats}
from (select {quoted} from {raw.relation} where {quoted} is not null limit {READ_ROWS})""",
    )
    enough = NEARLY_ALL * count
    if iso >= enough:
        return replace(seen, kind="time", has_clock=clocks > 0 and zoned < enough)
    fitting = [f for f, n in zip(likely, by_format, strict=True) if n >= enough]
    if fitting:
        return _with_ends(
            connection,
            raw,
            replace(
                seen,
                kind="time",
                time_format=fitting[0],
                has_clock=clocks > 0 and not fitting[0].endswith("%z"),
            ),
        )
    if {v.lower() for v in seen.values} <= set(FLAG_WORDS) and len(seen.values) == 2:
        return replace(seen, kind="flag")
    # What fits both marks (1.029 beside 80) is asked about.
    if plain >= enough or points >= enough:
        return replace(seen, kind="number", is_negative=negatives > 0)
    if commas >= enough:
        return replace(seen, kind="number", has_decimal_comma=True, is_negative=negatives > 0)
    most, written = max(
        [(iso, None), *zip(by_format, likely, strict=True)], key=lambda each: each[0]
    )
    if most >= MOSTLY * count and (SERIAL_NAME.search(seen.snake) or TIME_NAME.search(seen.snake)):
        mixed = replace(seen, kind="time", time_format=written, is_mixed=True)
        return _with_ends(connection, raw, mixed)
    if MONEY_NAME.search(seen.snake) and not NAMING_NUMBER.search(seen.snake):
        figures = row(
            connection,
            f"select count(*) filter (regexp_matches({quoted}, {literal(FIGURES)})) from (select"
            f" {quoted} from {raw.relation} where {quoted} is not null limit {READ_ROWS})",
        )[0]
        if figures >= MOSTLY * count:
            is_comma = commas > points
            return replace(seen, kind="number", has_decimal_comma=is_comma, is_mixed=True)
    return seen
