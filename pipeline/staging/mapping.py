"""From a column rule of the project file to SQL: start, codes, prefixes, minus, times, scale, plus,
cast.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from features.errors import ContractError
from features.sources import COMMON, WORD_GAPS, Column, ColumnType, Contract, word_key
from pipeline.config.checks import nearest
from pipeline.config.schema import ColumnRule, Rule, Scalar, Source
from pipeline.engine.duckdb import literal
from pipeline.staging.casts import (
    AWARE_TIME,
    BY_SIZE,
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
    period_length,
    scaled,
    text,
    value_text,
)
from pipeline.staging.number_writing import LETTERED
from pipeline.staging.read import RawTable
from pipeline.staging.steps import Steps

# Account keys: written as text whatever the table's type, `12346.0` as `12346`.
KEY_COLUMNS = ("account_id", "parent_account_id", "merged_into")
MINOR_UNITS = 100
EPOCH_UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds", BY_SIZE)
DAY_AND_MONTH = re.compile("(%d|%m)([^%A-Za-z]+)(%d|%m)")
# Form of `id_writing` -> SQL of an id in it.
ID_WRITINGS = {
    "first_15_letters": "left({}, 15)",
    "small_letters": "lower({})",
    "no_leading_zeros": "coalesce(nullif(ltrim({0}, '0'), ''), left({0}, 1))",
    "no_signs": "coalesce(nullif(regexp_replace(lower({0}), '[^\\pL\\pN]', '', 'g'), ''), {0})",
    "from_first_figure": "coalesce(nullif(regexp_replace({0}, '^[^0-9]+', ''), ''), {0})",
}


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
    from_column: str = ""
    """The user's column that it starts from."""
    epoch_unit: str | None = None
    """A number of these since 1970."""
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
) -> tuple[RawTable, dict[str, MappedColumn]]:
    """Every contract column and extra that this table fills, by name, as SQL over the table with
    steps beside its own columns, which comes first.

    Raises
    ------
    ContractError
        A column named in a rule is not in the table, a required one is neither named nor found, or
        a type cannot become what the contract wants.
    """
    mapper = _Mapper(raw, source, project_zone, Steps())
    wanted = (*COMMON, *contract.columns)
    rules = {**_self_mapped(raw, wanted), **columns}
    _refuse_missing(raw, wanted, rules)
    mapped = {
        c.name: mapper.mapped(c.name, rules[c.name], c.type, c.words)
        for c in wanted
        if c.name in rules
    }
    if source.paid_above is not None and "amount_per_month" in mapped:
        mapped["is_trial"] = _unpaid(mapped, source.paid_above)
    for name, rule in extra.items():
        mapped[name] = replace(mapper.mapped(name, rule, None), is_extra=True)
    return replace(raw, relation=mapper.steps.over(raw.relation)), mapped


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


def _unpaid(mapped: dict[str, MappedColumn], above: float) -> MappedColumn:
    """Terms that nobody pays for: trials, and those whose amount is not above the declared one."""
    amount, trial = mapped["amount_per_month"], mapped.get("is_trial")
    is_trial = "false" if trial is None else f"coalesce({trial.value}, false)"
    return MappedColumn(
        "is_trial",
        "flag",
        amount.shown if trial is None else trial.shown,
        given="true" if trial is None else f"({trial.value} IS NOT NULL OR NOT ({trial.given}))",
        value=f"({is_trial} OR coalesce({amount.value} <= {above!r}, false))",
        from_column=amount.from_column if trial is None else trial.from_column,
    )


@dataclass(frozen=True)
class _Mapper:
    raw: RawTable
    source: Source
    project_zone: str | None
    steps: Steps

    @property
    def _mark(self) -> str:
        return self.source.decimal or "."

    def mapped(
        self, name: str, rule: Rule, type_: ColumnType | None, words: tuple[str, ...] = ()
    ) -> MappedColumn:
        """One column by its rule; errors say which column of ours they are about."""
        full = ColumnRule(column=rule) if isinstance(rule, str) else rule
        try:
            start = self._start(name, full)
            cast = self._cast(name, full, start, type_ or full.type or _own_type(start, full))
            if words:
                cast = replace(cast, value=_in_words(cast.value, words))
            return replace(cast, from_column=full.column or full.plus or "")
        except ContractError as error:
            raise ContractError(f"{self.raw.place}, column {name}: {error}") from error

    def _start(self, name: str, rule: ColumnRule) -> Physical:
        if rule.column is not None:
            start = self._start_of_column(name, self.raw.required(rule.column))
        elif rule.join:
            parts = [key_text(self.raw.required(column)) for column in rule.join]
            # || gives NULL when a part is NULL: half a key is no key.
            joined = " || '/' || ".join(f"({part})" for part in parts)
            start = self._text_step(
                Physical(f"({joined})", "VARCHAR", "+".join(rule.join), is_clean=True)
            )
        else:
            is_day_zero = rule.day_zero is not None and self.source.day_zero is not None
            start = _constant(self.source.day_zero if is_day_zero else rule.value)
        if rule.codes or rule.prefixes or rule.otherwise is not None:
            start = self._text_step(
                Physical(f"({self._coded(start, rule)})", "VARCHAR", start.name, is_clean=True)
            )
        return start

    def _start_of_column(self, name: str, column: Physical) -> Physical:
        if name in KEY_COLUMNS:
            written = _one_writing(key_text(column), self.source.id_writing)
            column = Physical(f"({written})", "VARCHAR", column.name, is_clean=True)
        return self._text_step(column)

    def _text_step(self, start: Physical) -> Physical:
        """Text as a step; what is no text as it is."""
        if not start.is_text:
            return start
        return replace(start, sql=self.steps.add(text(start)), type="VARCHAR", is_clean=True)

    def _value(self, start: Physical) -> Physical:
        """Of a time, number or flag: text without words for nothing as a step."""
        if not start.is_text:
            return start
        return replace(start, sql=self.steps.add(value_text(start)), is_clean=True, is_value=True)

    def _local(self, start: Physical, rule: ColumnRule) -> LocalTime:
        local = local_time(self._value(start), self._format(rule))
        if not start.is_text:
            return local
        return replace(
            local,
            aware=local.aware and self.steps.add(local.aware),
            naive=local.naive and self.steps.add(local.naive),
        )

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
        if isinstance(value, float) and self._mark == ",":
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
        given, value = flag(self._value(start)) if type_ == "flag" else ("", shown)
        return MappedColumn(name, type_, shown, given=given, value=value)

    def _number(
        self, name: str, rule: ColumnRule, start: Physical, type_: ColumnType, shown: str
    ) -> MappedColumn:
        start = self._value(start)
        less = None if rule.minus is None else self._value(self.raw.required(rule.minus))
        factor = None if rule.times is None else self._value(self.raw.required(rule.times))
        scale = rule.scale
        if name in (self.source.minor_units or ()):
            scale /= MINOR_UNITS
        if name in (self.source.turn_sign or ()):
            scale = -scale
        is_whole = less is None or {start.type, less.type} <= set(INTEGERS)
        is_scaled = factor is not None or scale != 1.0 or rule.per is not None or not is_whole
        decimals = rule.decimals
        if decimals is None:
            decimals = default_decimals(type_, start, is_scaled=is_scaled)

        divisor = self._period(rule)
        letters = self.source.negative_letters
        if type_ == "money" and letters is not None and start.is_text:
            start = replace(start, sql=self.steps.add(_with_sign(start.sql, letters)))
        if type_ == "money" and letters is not None and less is not None and less.is_text:
            less = replace(less, sql=self.steps.add(_with_sign(less.sql, letters)))
        is_negative = self._negative_rows() if type_ == "money" else None

        def rescaled(to: int) -> tuple[str, str]:
            given, value = scaled(start, factor, scale, to, self._mark, divisor, less)
            if name.endswith("_share") and start.is_text:
                # 5% of a share is 0.05, however other rows write it.
                percent = f"TRY_CAST(({value}) / 100 AS DECIMAL(18, {to}))"
                value = f"CASE WHEN contains({start.sql}, '%') THEN {percent} ELSE {value} END"
            if is_negative is not None:
                value = f"CASE WHEN {is_negative} THEN -({value}) ELSE {value} END"
            return given, value

        if less is not None:
            shown = f"concat({shown}, ' - ', {text(less)})"
        if factor is not None:
            shown = f"concat({shown}, ' x ', {text(factor)})"
        if rule.per is not None:
            shown = f"concat({shown}, ' per ', {text(self.raw.required(rule.per))})"
        given, value = rescaled(decimals)
        return MappedColumn(
            name, type_, shown, decimals=decimals, given=given, value=value, rescaled=rescaled
        )

    def _negative_rows(self) -> str | None:
        """SQL that is true for rows whose amounts another column makes negative."""
        found = []
        for name, values in (self.source.negative_where or {}).items():
            listed = ", ".join(literal(scalar_text(value)) for value in values)
            found.append(f"coalesce({key_text(self.raw.required(name))} IN ({listed}), false)")
        return f"({' OR '.join(found)})" if found else None

    def _period(self, rule: ColumnRule) -> tuple[str, str] | None:
        if rule.per is None:
            return None
        count = None if rule.per_count is None else self._value(self.raw.required(rule.per_count))
        length = self._value(self.raw.required(rule.per))
        return period_length(length, rule.per_codes, count, self._mark)

    def _time(self, name: str, rule: ColumnRule, start: Physical, shown: str) -> MappedColumn:
        local = self._local(start, rule)
        epoch_unit, counted_in = None, self.source.epochs_in.get(name)
        if rule.plus is not None:
            column = self.raw.required(rule.plus)
            given, shift = microseconds(
                self._value(column), rule.plus_unit, rule.plus_codes, self._mark
            )
            # Seconds since a midnight in a zone were counted on the clock of that zone.
            is_wall_clock = rule.value is not None and local.naive is not None and rule.time_zone
            if rule.value is not None and rule.plus_unit in EPOCH_UNITS:
                epoch_unit = rule.plus_unit
                if local.aware is not None and counted_in not in (None, "UTC"):
                    local, is_wall_clock = _as_wall_clock(local), counted_in
            is_calendar = rule.plus_unit == "days" or bool(is_wall_clock)
            local = replace(
                local,
                shift_given=given,
                calendar_shift=shift if is_calendar else None,
                elapsed_shift=None if is_calendar else shift,
            )
            # A constant beside it says nothing: day zero of a number.
            shown = (
                text(column)
                if rule.value is not None
                else f"concat({shown}, ' + ', {text(column)})"
            )
        if name == "starts_at" and self.source.trial_ends:
            local = self._after_trial(rule, local)
        if name == "ends_at" and self.source.end_day == "included":
            local = replace(
                local,
                aware=local.aware and _day_after(local.aware, local.elapsed_shift),
                naive=local.naive and _day_after(local.naive, local.elapsed_shift),
                elapsed_shift=None,
            )
        own_zone = rule.time_zone or (counted_in if epoch_unit is not None else None)
        return MappedColumn(
            name,
            "time",
            shown,
            local=local,
            zone=own_zone or self.source.time_zone or self.project_zone,
            zone_is_own=own_zone is not None,
            epoch_unit=epoch_unit,
        )

    def _format(self, rule: ColumnRule) -> str | None:
        """The format, with day and month in the order that `day_first` says."""
        if rule.format is None or self.source.day_first is None:
            return rule.format
        first, second = ("%d", "%m") if self.source.day_first else ("%m", "%d")
        return DAY_AND_MONTH.sub(rf"{first}\2{second}", rule.format, count=1)

    def _after_trial(self, rule: ColumnRule, start: LocalTime) -> LocalTime:
        """The start of paid cover: the end of the trial where it lies later; written as the start
        is.
        """
        own = (
            replace(rule, plus=self.source.trial_ends)
            if rule.value is not None
            else replace(rule, column=self.source.trial_ends)
        )
        base = self._start("trial_ends", own)
        trial = self._local(base, own)
        if own.plus is None:
            return replace(
                start,
                aware=start.aware and _later(start.aware, trial.aware),
                naive=start.naive and _later(start.naive, trial.naive),
            )
        _, shift = microseconds(
            self._value(self.raw.required(own.plus)), own.plus_unit, own.plus_codes, self._mark
        )
        return replace(
            start,
            calendar_shift=start.calendar_shift and _later(start.calendar_shift, shift),
            elapsed_shift=start.elapsed_shift and _later(start.elapsed_shift, shift),
        )


def _as_wall_clock(time: LocalTime) -> LocalTime:
    """A moment taken for what a clock on the wall showed."""
    return replace(time, aware=None, naive=time.aware)


def _with_sign(amount: str, negative: tuple[str, ...]) -> str:
    """SQL of amounts without the letters behind them, which become a sign."""
    bare = f"regexp_replace({amount}, {literal(LETTERED)}, '\\1')"
    listed = ", ".join(literal(letter.upper()) for letter in negative) or "''"
    letter = f"upper(regexp_extract({amount}, {literal(LETTERED)}, 2))"
    return f"CASE WHEN {letter} IN ({listed}) THEN '-' || {bare} ELSE {bare} END"


def _in_words(as_text: str, words: tuple[str, ...]) -> str:
    """SQL of `word_among`: a word of a closed list as the list writes it, other text as it is."""
    key = f"regexp_replace(lower({as_text}), {literal(WORD_GAPS)}, '_', 'g')"
    whens = " ".join(f"WHEN {literal(word_key(w))} THEN {literal(w)}" for w in words)
    return f"CASE {key} {whens} ELSE {as_text} END"


def _later(value: str, other: str | None) -> str:
    """SQL: the larger of two, the first where the other is NULL; NULL where the first is."""
    return f"CASE WHEN {value} < {other} THEN {other} ELSE {value} END"


def _day_after(stamp: str, shift: str | None) -> str:
    """SQL: the first moment after the day of a time."""
    moved = stamp if shift is None else f"({stamp} + to_microseconds({shift}))"
    return f"(date_trunc('day', {moved}) + INTERVAL 1 DAY)"


def _one_writing(as_text: str, forms: tuple[str, ...]) -> str:
    """SQL: an id in the writing that `id_writing` asks for."""
    for form in forms:
        as_text = ID_WRITINGS[form].format(as_text)
    return as_text


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
    if rule.minus or rule.times or rule.per or rule.scale != 1.0 or rule.decimals is not None:
        return "number"
    if (
        start.type in ("DATE", AWARE_TIME, *NAIVE_TIMES)
        or rule.plus is not None
        or rule.format is not None
    ):
        return "time"
    return "flag" if start.type == "BOOLEAN" else "text"
