"""From a physical column to text, number, flag or time: SQL that gives NULL where the value cannot
be cast.

A cast is bad where `given` is true and `value` is NULL. All expressions are DuckDB's dialect:
staging runs on DuckDB only, the portable subset begins with the staged tables.
"""

import re
from dataclasses import dataclass

from features.errors import ContractError
from features.sources import ColumnType
from features.windows import US_PER_DAY
from pipeline.engine.duckdb import literal
from pipeline.staging.number_writing import NEGATIVE, written_number

INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
FLOATS = ("FLOAT", "DOUBLE")
NAIVE_TIMES = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
AWARE_TIME = "TIMESTAMP WITH TIME ZONE"
PLAIN = (
    "VARCHAR",
    "UUID",
    '"NULL"',
    "BOOLEAN",
    "DATE",
    AWARE_TIME,
    *INTEGERS,
    *FLOATS,
    *NAIVE_TIMES,
)

TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")

# A zone or offset counts only after a time of day: the end of 2024-01-05 is no offset.
HAS_OFFSET = r"\d:\d{2}.*(Z|z| ?UTC|[+-]\d{2}(:?\d{2})?)$"
# Most text is a plain number, which needs no second look.
PLAIN_NUMBER = {
    ".": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
    ",": r"^[+-]?\d+$",
}
NOTHING_WORDS = ("null", "(null)", r"\n", "none", "nil", "nan", "nat", "n/a", "na", "#n/a", "-")
"""What databases and programs write where there is no time, number or flag; no spelling of one."""
MICROSECONDS = {
    "days": US_PER_DAY,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
    "milliseconds": 1_000,
    "microseconds": 1,
    "nanoseconds": 0.001,
}
BY_SIZE = "by_size"
SIZES = {"seconds": 100_000_000_000, "milliseconds": 10**14, "microseconds": 10**17}
"""Unit of numbers since 1970 -> below which they are of it: days from 1973 to 5138 fall into one
unit each. Larger numbers are nanoseconds.
"""
# Blanks that no eye sees: no-break spaces, spaces without width, the mark of a file's start.
WIDE_BLANKS = "\u00a0\u2007\u200b\u202f\ufeff"
BLANKS = f" \t\r\n\f{WIDE_BLANKS}"
AT_AN_END = rf"^[\s{WIDE_BLANKS}]|[\s{WIDE_BLANKS}]$|^$"
# Longest duration that `plus` may add: 200 years; beyond it is a wrong column, and arithmetic would
# overflow.
LONGEST_DURATION = 200 * 366 * MICROSECONDS["days"]


@dataclass(frozen=True)
class Physical:
    """An SQL expression with the type that DuckDB gives it, and how the user calls it."""

    sql: str
    type: str
    name: str
    is_clean: bool = False
    """Text that `text` or `key_text` made: not to be trimmed again."""
    is_value: bool = False
    """Text that `value_text` made: not to be searched for words for nothing again."""

    @property
    def is_text(self) -> bool:
        """Text, or a column without any value."""
        return self.type in ("VARCHAR", '"NULL"')

    @property
    def is_decimal(self) -> bool:
        """An exact decimal number."""
        return self.type.startswith("DECIMAL")


@dataclass(frozen=True)
class LocalTime:
    """A time before its zone is settled: `aware` is in UTC already, `naive` is as a clock on the
    wall showed it.
    """

    given: str
    aware: str | None
    naive: str | None
    calendar_shift: str | None = None
    """Microseconds added on the wall clock (whole days stay the same time of day)."""
    elapsed_shift: str | None = None
    """Microseconds that pass; added after conversion."""
    shift_given: str | None = None
    format: str | None = None
    """How it is written, where that was declared."""


def refuse_nested(source: Physical) -> None:
    """Stop at a column that holds no single value (a list, a struct, bytes)."""
    if source.type not in PLAIN and not source.is_decimal:
        raise ContractError(
            f"{source.name} is of type {source.type}; text, a number, a time or true/false is"
            " needed."
        )


# --- text
# ------------------------------------------------------------------------------------------


def text(source: Physical) -> str:
    """The value as text: spaces around it cut, empty is NULL, 12346.0 is `12346`, midnight is its
    date.
    """
    refuse_nested(source)
    x = source.sql
    if source.is_clean:
        return x
    if source.type == '"NULL"':
        return f"CAST({x} AS VARCHAR)"
    if source.is_text:
        # The test costs a third of the cut, and clean text is the rule.
        return f"CASE WHEN regexp_matches({x}, '{AT_AN_END}') THEN {_trimmed(x)} ELSE {x} END"
    if source.type in FLOATS:
        as_text = _float_text(x)
        return (
            f"CASE WHEN {as_text} LIKE '%.0' THEN left({as_text}, length({as_text}) - 2) ELSE"
            f" {as_text} END"
        )
    if source.is_decimal:
        as_text = f"CAST({x} AS VARCHAR)"
        return (
            f"CASE WHEN contains({as_text}, '.') THEN rtrim(rtrim({as_text}, '0'), '.') ELSE"
            f" {as_text} END"
        )
    if source.type in NAIVE_TIMES:
        stamp = f"CAST({x} AS TIMESTAMP)"
        return (
            f"CASE WHEN {stamp} = date_trunc('day', {stamp}) THEN CAST(CAST({stamp} AS DATE) AS"
            f" VARCHAR) ELSE CAST({stamp} AS VARCHAR) END"
        )
    return f"CAST({x} AS VARCHAR)"


def _float_text(x: str) -> str:
    """Shortest decimal text of a float; NaN, which many tools write for an empty cell, is NULL.

    Not `isnan`: DuckDB answers it from a Parquet file's smallest and largest value, which leave NaN
    out, and so calls every value of such a column a number.
    """
    return f"nullif(CAST({x} AS VARCHAR), 'nan')"


def key_text(source: Physical) -> str:
    """As `text`; a key that a spreadsheet turned into a float (`12346.0`) is read as `12346`."""
    if not source.is_text or source.is_clean:
        return text(source)
    x = source.sql
    return (
        f"CASE WHEN regexp_matches({x}, '{AT_AN_END}|\\.0+$') "
        f"THEN regexp_replace({_trimmed(x)}, '^(-?\\d+)\\.0+$', '\\1') "
        f"WHEN {x} IN ('NULL', '\\N', '(null)') THEN NULL ELSE {x} END"
    )


def value_text(source: Physical) -> str:
    """As `text`; words for nothing (NULL, 0000-00-00) are NULL: of a time, number or flag they can
    say no more.
    """
    as_text = text(source)
    if not source.is_text or source.is_value:
        return as_text
    return f"CASE WHEN {is_nothing(as_text)} THEN NULL ELSE {as_text} END"


def is_nothing(as_text: str) -> str:
    """SQL that is true where a text is a word for nothing."""
    return (
        f"(lower({as_text}) IN {_words(NOTHING_WORDS)} OR starts_with({as_text}, '0000-00-00')"
        f" OR {as_text} = '00.00.0000')"
    )


def _trimmed(x: str) -> str:
    return f"nullif(trim({x}, {literal(BLANKS)}), '')"


def parts_of_cell(as_text: str, mark: str) -> str:
    """SQL: a row for what stands between marks in one cell, without the brackets and quotes of a
    list that a program wrote: ["a","b"] and {a,b} are a and b.
    """
    bare = f"regexp_replace({as_text}, '^\\s*[\\[{{](.*)[\\]}}]\\s*$', '\\1', 's')"
    blanks = literal(BLANKS + "\"'")
    return f"trim(unnest(string_split({bare}, {literal(mark)})), {blanks})"


# --- flags
# -----------------------------------------------------------------------------------------


def flag(source: Physical) -> tuple[str, str]:
    """(given, value) of a true/false column: booleans, 0/1, or yes/no in words."""
    if source.type == "BOOLEAN":
        return f"{source.sql} IS NOT NULL", source.sql
    if source.type in ("DATE", AWARE_TIME, *NAIVE_TIMES):
        raise ContractError(f"{source.name} is of type {source.type}, not true/false.")
    as_text = value_text(source)
    small = f"lower({as_text})"
    value = (
        f"CASE WHEN {small} IN {_words(TRUE_WORDS)} THEN true WHEN {small} IN {_words(FALSE_WORDS)}"
        " THEN false END"
    )
    return f"{as_text} IS NOT NULL", value


def _words(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(word) for word in words) + ")"


# --- numbers
# ---------------------------------------------------------------------------------------


def default_decimals(type_: ColumnType, source: Physical, *, is_scaled: bool) -> int:
    """Decimals kept where none are declared: 2 for money, 0 for whole numbers, 3 for the rest."""
    if type_ == "money":
        return 2
    if is_scaled:
        return 3
    if source.is_decimal:
        return min(int(source.type.rstrip(")").split(",")[1]), 6)
    return 0 if source.type in (*INTEGERS, "BOOLEAN") else 3


def scaled(
    source: Physical,
    factor: Physical | None,
    scale: float,
    decimals: int,
    decimal: str,
    divisor: tuple[str, str] | None = None,
    less: Physical | None = None,
) -> tuple[str, str]:
    """(given, value) of a number as DECIMAL(18, decimals), rounded half away from zero; see
    `as_bigint`.

    Binary floats go through their shortest decimal text, so 0.285 is 0.29 and not the 0.28 of the
    double 0.28499999999999998. DECIMAL(18, d) holds what fits BIGINT with room for the rounding;
    beyond it: bad. `divisor` is (given, value) of a double that the product is divided by; before
    all else `less` is subtracted.
    """
    is_alone = factor is None and scale == 1.0 and divisor is None and less is None
    if is_alone and source.type in FLOATS:
        return _rounded_float(source.sql, decimals)
    first = _exact(source, decimal)
    given = f"({first}) IS NOT NULL"
    if is_alone:
        return given, f"TRY_CAST({first} AS DECIMAL(18, {decimals}))"
    # DECIMAL(19, 6) and not 18: DuckDB widens the product of the former to 38 digits, of the latter
    # not.
    product = f"TRY_CAST({first} AS DECIMAL(19, 6))"
    if less is not None:
        subtracted = _exact(less, decimal)
        given += f" AND ({subtracted}) IS NOT NULL"
        product = (
            f"TRY_CAST({product} - TRY_CAST({subtracted} AS DECIMAL(19, 6)) AS DECIMAL(19, 6))"
        )
    if factor is not None:
        second = _exact(factor, decimal)
        given += f" AND ({second}) IS NOT NULL"
        product = f"({product} * TRY_CAST({second} AS DECIMAL(19, 6)))"
    if scale != 1.0:
        product = _times_constant(product, scale)
    if divisor is not None:
        given += f" AND {divisor[0]}"
        product = f"CAST(CAST({product} AS DOUBLE) / {divisor[1]} AS VARCHAR)"
    return given, f"TRY_CAST({product} AS DECIMAL(18, {decimals}))"


def _rounded_float(x: str, decimals: int) -> tuple[str, str]:
    """(given, value) of a float as DECIMAL(18, decimals).

    Text is needed near a tie only: a double of less than 1e12 steps is within 0.0002 of its decimal
    text, so a value 0.001 away from x.5 rounds alike both ways, at a twentieth of the cost.
    """
    steps = f"({x} * {10**decimals})"
    is_clear = f"abs({steps}) < 1e12 AND abs(abs({steps} - trunc({steps})) - 0.5) > 0.001"
    direct = f"TRY_CAST({x} AS DECIMAL(18, {decimals}))"
    value = (
        f"CASE WHEN {is_clear} THEN {direct} ELSE TRY_CAST({_float_text(x)} AS DECIMAL(18,"
        f" {decimals})) END"
    )
    return f"CASE WHEN {direct} IS NOT NULL THEN true ELSE {_float_text(x)} IS NOT NULL END", value


def _times_constant(product: str, scale: float) -> str:
    exact = f"{scale:.9f}"
    if float(exact) == scale:
        return f"(TRY_CAST({product} AS DECIMAL(20, 6)) * CAST('{exact}' AS DECIMAL(18, 9)))"
    # 1/60 has no nine decimals: multiply as double, row by row, and come back through text.
    return f"CAST(CAST({product} AS DOUBLE) * CAST({scale!r} AS DOUBLE) AS VARCHAR)"


def as_bigint(number: str, decimals: int) -> str:
    """A DECIMAL(18, d) as whole number of 10^-d; 38 digits only where 18 would overflow, for they
    cost twice.
    """
    if decimals == 0:
        return f"CAST({number} AS BIGINT)"
    power = 10**decimals
    wide = f"CAST(CAST({number} AS DECIMAL(38, {decimals})) * {power} AS BIGINT)"
    if decimals > 4:
        return wide
    largest = f"CAST({10 ** (18 - 2 * decimals) - 1} AS DECIMAL(18, {decimals}))"
    return (
        f"CASE WHEN abs({number}) < {largest} THEN CAST({number} * {power} AS BIGINT) ELSE"
        f" {wide} END"
    )


def _exact(source: Physical, decimal: str) -> str:
    """An expression that casts to DECIMAL exactly: text for floats and text, the number itself for
    the rest.
    """
    x = source.sql
    if source.is_text:
        return _number_text(value_text(source), decimal)
    if source.type in FLOATS:
        return _float_text(x)
    if source.type == "BOOLEAN":
        return f"CAST({x} AS INTEGER)"
    if source.type in INTEGERS or source.is_decimal:
        return x
    raise ContractError(f"{source.name} is of type {source.type}, not a number.")


def _number_text(as_text: str, mark: str) -> str:
    """Text rewritten as SQL reads numbers; 'not a number' where it is none with this mark.

    With a comma before decimals `1.5` is refused, since the point groups thousands.
    """
    digits = f"regexp_replace({as_text}, '[^0-9{mark}]', '', 'g')"
    if mark == ",":
        digits = f"replace({digits}, ',', '.')"
    sign = f"CASE WHEN regexp_matches({as_text}, {literal(NEGATIVE)}) THEN '-' ELSE '' END"
    is_written = (
        f"regexp_matches({as_text}, {literal(written_number(mark))}) AND"
        f" regexp_matches({as_text}, '[0-9]')"
    )
    return (
        f"CASE WHEN {as_text} IS NULL THEN NULL"
        f" WHEN regexp_matches({as_text}, {literal(PLAIN_NUMBER[mark])}) THEN {as_text}"
        f" WHEN {is_written} THEN {sign} || {digits} ELSE 'not a number' END"
    )


def period_length(
    source: Physical, codes: dict[str, float], count: Physical | None, decimal: str
) -> tuple[str, str]:
    """(given, value) of the length of a period as a double; NULL where it is none."""
    if codes:
        as_text = value_text(source)
        cases = " ".join(f"WHEN {literal(code)} THEN {length!r}" for code, length in codes.items())
        given, value = f"{as_text} IS NOT NULL", f"CAST(CASE {as_text} {cases} END AS DOUBLE)"
    else:
        exact = _exact(source, decimal)
        given, value = f"({exact}) IS NOT NULL", f"TRY_CAST({exact} AS DOUBLE)"
    if count is not None:
        exact = _exact(count, decimal)
        given += f" AND ({exact}) IS NOT NULL"
        value = f"{value} * TRY_CAST({exact} AS DOUBLE)"
    return given, f"nullif({value}, 0)"


def in_microseconds(number: str, unit: str) -> str:
    """SQL: a number of units as microseconds; `by_size`, each by how large it is."""
    if unit != BY_SIZE:
        return f"({number} * {MICROSECONDS[unit]})"
    whens = " ".join(
        f"WHEN abs({number}) < {top} THEN {number} * {MICROSECONDS[name]}"
        for name, top in SIZES.items()
    )
    return f"(CASE {whens} ELSE {number} * {MICROSECONDS['nanoseconds']} END)"


def unit_by_size(number: str) -> str:
    """SQL: the unit in which a number since 1970 counts, by how large it is."""
    whens = " ".join(f"WHEN abs({number}) < {top} THEN '{name}'" for name, top in SIZES.items())
    return f"(CASE WHEN {number} IS NULL THEN NULL {whens} ELSE 'nanoseconds' END)"


def microseconds(
    source: Physical, unit: str, codes: dict[str, int], decimal: str
) -> tuple[str, str]:
    """(given, value) of a duration in microseconds, read from a number or through codes."""
    if codes:
        as_text = value_text(source)
        cases = " ".join(f"WHEN {literal(code)} THEN {amount}" for code, amount in codes.items())
        given, number = f"{as_text} IS NOT NULL", f"CAST(CASE {as_text} {cases} END AS DOUBLE)"
    else:
        exact = _exact(source, decimal)
        given, number = f"({exact}) IS NOT NULL", f"TRY_CAST({exact} AS DOUBLE)"
    amount = f"round({in_microseconds(number, unit)})"
    return given, f"CASE WHEN abs({amount}) < {LONGEST_DURATION} THEN CAST({amount} AS BIGINT) END"


# --- times
# -----------------------------------------------------------------------------------------


def local_time(source: Physical, format_: str | None) -> LocalTime:
    """A time column before its zone is settled.

    - TIMESTAMP WITH TIME ZONE, or text with an offset or Z: an instant, converted to UTC here.
    - DATE, TIMESTAMP, or text without an offset: naive.
    - Numbers only with `format` (20240131 as `%Y%m%d`).
    """
    x = source.sql
    if source.type == AWARE_TIME:
        return LocalTime(f"{x} IS NOT NULL", _finite(f"timezone('UTC', {x})"), None)
    if source.type in NAIVE_TIMES or source.type == "DATE":
        return LocalTime(f"{x} IS NOT NULL", None, _finite(f"CAST({x} AS TIMESTAMP)"))
    if not source.is_text and format_ is None:
        raise ContractError(
            f"{source.name} is of type {source.type}, not a time. Numbers such as 20240131 need"
            ' format = "%Y%m%d"; numbers since 1970 need { value = "1970-01-01T00:00:00Z",'
            ' plus = "'
            + source.name.strip("`")
            + '", plus_unit = "seconds" } (or milliseconds, days).'
        )
    return _text_time(value_text(source), format_)


def _text_time(as_text: str, format_: str | None) -> LocalTime:
    # A day that is not there is written as zeros by many programs.
    as_text = f"CASE WHEN regexp_matches({as_text}, '^0+$') THEN NULL ELSE {as_text} END"
    given = f"{as_text} IS NOT NULL"
    if format_ is not None:
        parsed = f"try_strptime({as_text}, {literal(format_)})"
        if re.search("%[zZ]", format_):
            aware = _finite(f"timezone('UTC', {parsed})")
            return LocalTime(given, aware, None, format=format_)
        naive = _finite(four_figure_year(parsed, format_))
        return LocalTime(given, None, naive, format=format_)
    has_offset = f"regexp_matches({as_text}, {literal(HAS_OFFSET)})"
    joined = f"regexp_replace({as_text}, ' *([+-]\\d{{2}}):?(\\d{{2}})$', '\\1:\\2')"
    aware = f"CASE WHEN {has_offset} THEN timezone('UTC', TRY_CAST({joined} AS TIMESTAMPTZ)) END"
    naive = f"CASE WHEN NOT {has_offset} THEN TRY_CAST({as_text} AS TIMESTAMP) END"
    return LocalTime(given, _finite(aware), _finite(naive))


def four_figure_year(parsed: str, format_: str) -> str:
    """SQL of a parsed time; NULL where `%Y` read the year 23 of 01.02.23."""
    if "%Y" not in format_:
        return parsed
    return f"CASE WHEN {parsed} >= TIMESTAMP '1000-01-01' THEN {parsed} END"


def _finite(stamp: str) -> str:
    """NULL for `infinity`, which no later arithmetic survives."""
    return f"CASE WHEN isfinite({stamp}) THEN {stamp} END"


def time_value(time: LocalTime, zone: str | None) -> tuple[str, str]:
    """(given, UTC value): naive times are read in `zone`, or as UTC days where it is None."""
    parts = []
    if time.aware is not None:
        parts.append(_shifted(time.aware, time.calendar_shift))
    if time.naive is not None:
        parts.append(_in_utc(_shifted(time.naive, time.calendar_shift), zone))
    value = parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"
    given = time.given if time.shift_given is None else f"{time.given} AND {time.shift_given}"
    return given, _shifted(value, time.elapsed_shift)


def _in_utc(wall_clock: str, zone: str | None) -> str:
    if zone is None or zone == "UTC":
        return wall_clock
    return f"timezone('UTC', timezone({literal(zone)}, {wall_clock}))"


def wall_clock(time: LocalTime, zone: str | None) -> str:
    """The time as a clock in the source's place showed it; for `rows_from` and `rows_until`."""
    parts = []
    if time.naive is not None:
        parts.append(_shifted(time.naive, time.calendar_shift))
    if time.aware is not None:
        utc = _shifted(time.aware, time.calendar_shift)
        parts.append(
            utc if zone in (None, "UTC") else f"timezone({literal(zone)}, timezone('UTC', {utc}))"
        )
    shown = parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"
    return _shifted(shown, time.elapsed_shift)


def _shifted(stamp: str, shift: str | None) -> str:
    return stamp if shift is None else f"({stamp} + to_microseconds({shift}))"
