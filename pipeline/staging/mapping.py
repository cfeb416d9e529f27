"""From a column rule of the project file to SQL: start, codes, prefixes, times, scale, plus,
cast.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from features.errors import ContractError
from features.sources import COMMON, Column, ColumnType, Contract
from pipeline.config.checks import nearest
from pipeline.config.schema import ColumnRule, Rule, Scalar, Source
from pipeline.engine.duckdb import literal
from pipeline.staging.casts import (
    AWARE_TIME,
    FLOATS,
    INTEGERS,
    NAIVE_TIMES,
    LocalTime,
    Physical,
    as_bigint,
    default_decimals,
    flag,
    key_text,
    local_time,
    microseconds,
    scaled,
    text,
)
from pipeline.staging.read import RawTable

# Account keys: written as text whatever the table's type, `12346.0` as `12346`.
KEY_COLUMNS = ("account_id", "parent_account_id", "merged_into")


@dataclass(frozen=True)
class MappedColumn:
    """One column of a source's part, ready to be selected.

    `given` and `value` are SQL; for times they are settled later (`local`), when the zone is known.
    `shown` is the user's value as text, for quarantine.
    """

    name: str
    type: ColumnType
    shown: str
    is_extra: bool = False
    decimals: int = 0
    given: str = ""
    value: str = ""
    """Of text: the text, which is given where it is not NULL. Of money and numbers: an exact
    decimal, see `staged`.
    """
    local: LocalTime | None = None
    zone: str | None = None
    """The zone declared for naive times: by the rule, the source or the project."""
    zone_is_own: bool = False
    """The rule itself names the zone, so dates without a time of day follow it too."""
    rescaled: Callable[[int], tuple[str, str]] | None = None
    """(given, value) for other decimals, where parts of a source must agree."""

    def selected(self) -> str:
        """The columns `v_<name>` and `g_<name>` (is there a value) of the first, costly step."""
        both = f"{self.value} AS v_{self.name}"
        return both if self.type == "text" else f"{self.given} AS g_{self.name}, {both}"

    @property
    def is_given(self) -> str:
        """SQL on the first step: whether the user's table has a value here."""
        return f"v_{self.name} IS NOT NULL" if self.type == "text" else f"g_{self.name}"

    @property
    def staged(self) -> str:
        """SQL on the first step: the value as the staged table holds it."""
        return (
            as_bigint(f"v_{self.name}", self.decimals)
            if self.rescaled is not None
            else f"v_{self.name}"
        )


def mapped_columns(
    raw: RawTable,
    contract: Contract,
    columns: dict[str, Rule],
    extra: dict[str, Rule],
    source: Source,
    project_zone: str | None,
) -> dict[str, MappedColumn]:
    """Every contract column and extra that this table fills, by name.

    Raises
    ------
    ContractError
        A column named in a rule is not in the table, a required one is neither named nor found, or
        a type cannot become what the contract wants.
    """
    mapper = _Mapper(raw, source, project_zone)
    wanted = (*COMMON, *contract.columns)
    rules = {**_self_mapped(raw, wanted), **columns}
    _refuse_missing(raw, wanted, rules)
    mapped = {
        c.name: mapper.mapped(c.name, rules[c.name], c.type) for c in wanted if c.name in rules
    }
    for name, rule in extra.items():
        mapped[name] = replace(mapper.mapped(name, rule, None), is_extra=True)
    return mapped


def _self_mapped(raw: RawTable, wanted: tuple[Column, ...]) -> dict[str, Rule]:
    return {column.name: column.name for column in wanted if raw.column(column.name) is not None}


def _refuse_missing(raw: RawTable, wanted: tuple[Column, ...], rules: dict[str, Rule]) -> None:
    missing = [column for column in wanted if column.required and column.name not in rules]
    if not missing:
        return
    small = {name.casefold(): name for name in raw.columns}
    told = "; ".join(f"{c.name} ({c.meaning}){nearest(c.name, small).rstrip('.')}" for c in missing)
    raise ContractError(
        f"{raw.place} lacks required columns: {told}. Columns there: {', '.join(raw.columns)}. "
        f'Map them, such as columns = {{ {missing[0].name} = "your column" }}.'
    )


@dataclass(frozen=True)
class _Mapper:
    raw: RawTable
    source: Source
    project_zone: str | None

    def mapped(self, name: str, rule: Rule, type_: ColumnType | None) -> MappedColumn:
        """One column by its rule; errors say which column of ours they are about."""
        full = ColumnRule(column=rule) if isinstance(rule, str) else rule
        try:
            start = self._start(name, full)
            return self._cast(name, full, start, type_ or full.type or _own_type(start, full))
        except ContractError as error:
            raise ContractError(f"{self.raw.place}, column {name}: {error}") from error

    def _start(self, name: str, rule: ColumnRule) -> Physical:
        if rule.column is not None:
            start = self.raw.required(rule.column)
            if name in KEY_COLUMNS:
                start = Physical(f"({key_text(start)})", "VARCHAR", start.name, is_clean=True)
        elif rule.join:
            parts = [key_text(self.raw.required(column)) for column in rule.join]
            # || gives NULL when a part is NULL: half a key is no key.
            joined = " || '/' || ".join(f"({part})" for part in parts)
            start = Physical(f"({joined})", "VARCHAR", "+".join(rule.join), is_clean=True)
        else:
            start = _constant(rule.value)
        if rule.codes or rule.prefixes or rule.otherwise is not None:
            start = Physical(f"({self._coded(start, rule)})", "VARCHAR", start.name, is_clean=True)
        return start

    def _coded(self, start: Physical, rule: ColumnRule) -> str:
        """CASE over the value as text: codes, then the longest prefix, then otherwise or the value
        itself.
        """
        as_text = text(start)
        whens = (
            [f"WHEN {as_text} IS NULL THEN {self._scalar(rule.codes[''])}"]
            if "" in rule.codes
            else []
        )
        # An empty value is no code: it stays empty, whatever `otherwise` says.
        whens += [] if whens else [f"WHEN {as_text} IS NULL THEN NULL"]
        whens += [
            f"WHEN {as_text} = {literal(c)} THEN {self._scalar(v)}"
            for c, v in rule.codes.items()
            if c
        ]
        by_length = sorted(rule.prefixes.items(), key=lambda item: (-len(item[0]), item[0]))
        whens += [
            f"WHEN starts_with({as_text}, {literal(p)}) THEN {self._scalar(v)}"
            for p, v in by_length
        ]
        otherwise = as_text if rule.otherwise is None else self._scalar(rule.otherwise)
        return f"CASE {' '.join(whens)} ELSE {otherwise} END"

    def _scalar(self, value: Scalar) -> str:
        as_text = scalar_text(value)
        if isinstance(value, float) and self.source.decimal == ",":
            as_text = as_text.replace(".", ",")
        return literal(as_text)

    def _cast(
        self, name: str, rule: ColumnRule, start: Physical, type_: ColumnType
    ) -> MappedColumn:
        shown = text(start)
        if type_ == "time":
            return self._time(name, rule, start, shown)
        if type_ in ("money", "number"):
            return self._number(name, rule, start, type_, shown)
        given, value = flag(start) if type_ == "flag" else ("", shown)
        return MappedColumn(name, type_, shown, given=given, value=value)

    def _number(
        self, name: str, rule: ColumnRule, start: Physical, type_: ColumnType, shown: str
    ) -> MappedColumn:
        factor = None if rule.times is None else self.raw.required(rule.times)
        is_scaled = factor is not None or rule.scale != 1.0
        decimals = rule.decimals
        if decimals is None:
            decimals = default_decimals(type_, start, is_scaled=is_scaled)

        def rescaled(to: int) -> tuple[str, str]:
            return scaled(start, factor, rule.scale, to, self.source.decimal)

        if factor is not None:
            shown = f"concat({shown}, ' x ', {text(factor)})"
        given, value = rescaled(decimals)
        return MappedColumn(
            name, type_, shown, decimals=decimals, given=given, value=value, rescaled=rescaled
        )

    def _time(self, name: str, rule: ColumnRule, start: Physical, shown: str) -> MappedColumn:
        local = local_time(start, rule.format)
        if rule.plus is not None:
            column = self.raw.required(rule.plus)
            given, shift = microseconds(
                column, rule.plus_unit, rule.plus_codes, self.source.decimal
            )
            is_calendar = rule.plus_unit == "days"
            local = replace(
                local,
                shift_given=given,
                calendar_shift=shift if is_calendar else None,
                elapsed_shift=None if is_calendar else shift,
            )
            shown = f"concat({shown}, ' + ', {text(column)})"
        zone = rule.time_zone or self.source.time_zone or self.project_zone
        return MappedColumn(
            name, "time", shown, local=local, zone=zone, zone_is_own=rule.time_zone is not None
        )


def scalar_text(value: Scalar) -> str:
    """A value of the project file as the text it is compared and cast as.

    >>> scalar_text(True), scalar_text(0.5), scalar_text(date(2014, 2, 1))
    ('true', '0.5', '2014-02-01')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _constant(value: Scalar | None) -> Physical:
    """A constant with the type that a column of such values would have."""
    if isinstance(value, bool):
        return Physical(literal(value), "BOOLEAN", str(value))
    if isinstance(value, int):
        return Physical(f"CAST({value} AS BIGINT)", "BIGINT", str(value))
    if isinstance(value, float):
        return Physical(literal(str(value)), "VARCHAR", str(value))
    if isinstance(value, date):
        return Physical(literal(value), "DATE", str(value))
    return Physical(literal(value), "VARCHAR", f'"{value}"')


def _own_type(start: Physical, rule: ColumnRule) -> ColumnType:
    """The type of an extra column that declares none: that of the column itself."""
    if start.type in (*INTEGERS, *FLOATS) or start.is_decimal or isinstance(rule.value, float):
        return "number"
    if rule.times is not None or rule.scale != 1.0 or rule.decimals is not None:
        return "number"
    if (
        start.type in ("DATE", AWARE_TIME, *NAIVE_TIMES)
        or rule.plus is not None
        or rule.format is not None
    ):
        return "time"
    return "flag" if start.type == "BOOLEAN" else "text"
