"""Which contract a table fills, and which of its columns fill the contract's."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from features.errors import ConfigError
from features.naming import ROW_NAMES
from features.sources import COMMON, CONTRACTS, ColumnType
from pipeline.config.checks import PLAIN_NAME, SQL_WORDS, nearest
from pipeline.config.toml_text import TomlTable, toml_value
from pipeline.engine.duckdb import Connection, identifier, row
from pipeline.proposing import names
from pipeline.proposing.tables import FLAG_WORDS, MONTH, SeenColumn, SeenTable
from pipeline.staging.asking import Question
from pipeline.staging.read import TEXT_ENDINGS

FEW_TERMS = 50
"""At most this many values in a column that completes a composite key: a site, a course, a brand.
"""
COMPANION = re.compile(
    r"code|site|project|brand|market|shop|store|tenant|course|module|presentation"
)
SHOWN_KEYS = 6
FEWEST_SHARED = 5
NEARLY_SHARED = 0.9
SOME_SHARED = 0.5
"""Of the values of a column, how many must name an account of another table: of one that is called
something else, and of one that is called an account.
"""
LONGEST_MONTH = 31
OPEN_ENDS = 0.02
# Two extracts that share this part of their span at most were cut to follow each other.
SHORT_OVERLAP = 0.1
USUAL_BAD_SHARE = 0.05
"""What a source may hold of bad rows unless it says otherwise (`max_bad_share`)."""
SURVEY_SPANS = ((1, 5, "csat", "1-5"), (0, 10, "nps", "0-10"))
"""Lowest and highest score, and what such answers mostly are."""
# Technical columns that staging takes by name; a guess at them would do harm.
MAP_THEMSELVES = ("row_key", "partition")
BILLING_WORDS = {
    (1, "month"): "monthly",
    (3, "month"): "quarterly",
    (1, "quarter"): "quarterly",
    (12, "month"): "annual",
    (1, "year"): "annual",
}
EPOCH = "1970-01-01T00:00:00Z"
Rule = str | TomlTable


@dataclass(frozen=True)
class ProposedSource:
    """One `[sources.X]` of the file to be; `members` are the tables it reads, oldest first."""

    name: str
    contract: str
    members: tuple[SeenTable, ...]
    columns: dict[str, Rule]
    extra: dict[str, Rule] = field(default_factory=dict)
    lookups: tuple[TomlTable, ...] = ()
    settings: TomlTable = field(default_factory=dict)
    part_columns: tuple[dict[str, Rule], ...] = ()
    part_extra: tuple[dict[str, Rule], ...] = ()
    rows_until: tuple[str | None, ...] = ()
    comments: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    """What the rows leave open; each reading is written as a line, commented out."""

    @property
    def table(self) -> SeenTable:
        """The first table."""
        return self.members[0]

    def raw(self, column: str) -> SeenColumn | None:
        """The user's column that a rule of ours starts from."""
        rule = self.columns.get(column, self.extra.get(column))
        if rule is None and self.part_columns:
            rule = self.part_columns[0].get(column)
        return seen_column(self.table, rule)


@dataclass(frozen=True)
class Refused:
    """A table that init leaves out, and why."""

    name: str
    reason: str


def seen_column(table: SeenTable, rule: Rule | None) -> SeenColumn | None:
    """The column of a table that a rule starts from; of a constant, the one that is added to it."""
    name = rule if isinstance(rule, str) else (rule or {}).get("column", (rule or {}).get("plus"))
    return table.column(name) if name else None


# --- the account key
# -------------------------------------------------------------------------------


def account_key(connection: Connection, tables: Sequence[SeenTable]) -> tuple[str, ...]:
    """Snake names of the columns that together name an account; empty where none is recognised.

    The surest name wins unless another stands in more than twice as many tables. Where no name is
    known, the column that tables share (`shared_key`).
    """
    counts = {
        key: sum(find(table, key) is not None for table in tables) for key in names.ACCOUNT_KEYS
    }
    most = max(counts.values())
    if most == 0:
        shared = shared_key(tables)
        return () if shared is None else (shared,)
    key = next(k for k in names.ACCOUNT_KEYS if 2 * counts[k] >= most and counts[k])
    for table in tables:
        column = find(table, key)
        if column is not None and _says_account(table) and column.distinct < column.filled:
            companions = _companions(connection, table, column, tables)
            if companions:
                return (*companions, key)
    return (key,)


def shared_key(tables: Sequence[SeenTable]) -> str | None:
    """The column that most tables share, which names each row of one of them and repeats in
    another.
    """

    def seen(name: str) -> list[tuple[SeenTable, SeenColumn]]:
        return [
            (t, c)
            for t in tables
            if (c := find(t, name)) is not None and c.kind in ("text", "number")
        ]

    def rank(name: str) -> tuple[int, int, str]:
        return len(seen(name)), max(c.distinct for _, c in seen(name)), name

    shared = {c.snake for t in tables for c in t.columns if len(seen(c.snake)) > 1}
    fitting = [
        n
        for n in shared
        if any(c.distinct == t.rows for t, c in seen(n))
        and any(c.distinct < t.rows for t, c in seen(n))
    ]
    return max(fitting, key=rank, default=None)


def with_own_id(tables: Sequence[SeenTable]) -> list[SeenTable]:
    """The tables, of which one tells what accounts are and calls their id `id`, as interfaces do:
    it is known as `account_id` there.
    """
    leading = [
        (t, c)
        for t in tables
        if _says_account(t) and (c := find(t, "id")) is not None and c.distinct == t.rows
    ]
    if len(leading) != 1:
        return list(tables)
    table, own = leading[0]
    columns = tuple(replace(c, short="account_id") if c is own else c for c in table.columns)
    return [replace(t, columns=columns) if t is table else t for t in tables]


def with_own_keys(
    connection: Connection, tables: Sequence[SeenTable], key: tuple[str, ...]
) -> tuple[list[SeenTable], list[str]]:
    """The tables with the account column of each known by the key's name, and a sentence per table
    whose column was found by its values.

    One table calls it `Customer ID`, another `account_code`: what they share is the values.
    """
    if len(key) != 1:
        return list(tables), []
    leading = [(t, c) for t in tables if (c := find(t, key[0])) is not None]
    known: list[SeenTable] = []
    told: list[str] = []
    for table in tables:
        found = None
        if leading and find(table, key[0]) is None:
            if not lookups_to_key(table, key, tables):
                found = _same_values(connection, table, leading)
        if found is None:
            known.append(table)
            continue
        column, other, theirs, share = found
        told.append(
            f"`{table.name}.{column.name}` names the accounts there: {share:.0%} of its values"
            f" stand in `{other.name}.{theirs.name}`."
        )
        columns = tuple(replace(c, short=key[0]) if c is column else c for c in table.columns)
        known.append(replace(table, columns=columns))
    return known, told


def _same_values(
    connection: Connection, table: SeenTable, leading: Sequence[tuple[SeenTable, SeenColumn]]
) -> tuple[SeenColumn, SeenTable, SeenColumn, float] | None:
    """The column that shares most of its values with an account column of another table."""
    best: tuple[SeenColumn, SeenTable, SeenColumn, float] | None = None
    for column in table.columns:
        is_own_id = column.snake == "id" and column.distinct == table.rows and _says_account(table)
        is_named = is_own_id or names.squeezed(column.snake) in map(
            names.squeezed, names.ACCOUNT_KEYS
        )
        # Small whole numbers agree by chance: such a column must be called an account's.
        if column.kind not in ("text", "number") or column.distinct < FEWEST_SHARED:
            continue
        if column.kind == "number" and not is_named:
            continue
        for other, theirs in leading:
            if theirs.kind not in ("text", "number"):
                continue
            share = _shared(connection, table, column, other, theirs)
            if is_own_id:
                # A list of accounts holds those that the other table never meets, too.
                share = max(share, _shared(connection, other, theirs, table, column))
            enough = SOME_SHARED if is_named else NEARLY_SHARED
            if share >= enough and (best is None or share > best[3]):
                best = (column, other, theirs, share)
    return best


def _shared(
    connection: Connection,
    table: SeenTable,
    column: SeenColumn,
    other: SeenTable,
    theirs: SeenColumn,
) -> float:
    """Share of the values of one column that stand in another."""

    def values(of: SeenTable, name: str) -> str:
        return (
            f"(select distinct regexp_replace(trim(cast({identifier(name)} as varchar)),"
            f" '\\.0+$', '') as v from {of.relation} where {identifier(name)} is not null)"
        )

    count, both = row(
        connection,
        f"select count(*), count(o.v) from {values(table, column.name)} m left join"
        f" {values(other, theirs.name)} o using (v)",
    )
    return both / count if count else 0.0


def named_key(tables: Sequence[SeenTable], name: str) -> tuple[str, ...]:
    """The key that the user names; an error with what might be meant where no table has such a
    column.
    """
    key = names.snake(name)
    if any(find(table, key) is not None for table in tables):
        return (key,)
    known = {c.snake for t in tables for c in t.columns}
    raise ConfigError(
        f'no table has a column "{name}"{nearest(key, known)} {key_candidates(tables)}'.rstrip()
    )


def key_candidates(tables: Sequence[SeenTable]) -> str:
    """What could name an account: columns whose values come again, but are many; in a sentence."""
    found = [
        f"{t.name}.{c.name} ({c.distinct:,} values in {c.filled:,} rows)"
        for t in tables
        for c in t.columns
        if c.kind in ("text", "number")
        and FEW_TERMS < c.distinct <= c.filled / 2
        and not c.has_decimal_comma
        and (c.kind == "text" or _is_id(c) or c is t.columns[0])
    ]
    return f"Columns that may name the accounts: {', '.join(found[:SHOWN_KEYS])}." if found else ""


def _says_account(table: SeenTable) -> bool:
    return bool(
        set(names.tokens(table.name))
        & {*names.TABLE_WORDS["accounts"], "registration", "registrations"}
    )


def _companions(
    connection: Connection, table: SeenTable, key: SeenColumn, tables: Sequence[SeenTable]
) -> tuple[str, ...]:
    """Columns of few values, known to other tables too, that make the key unique."""
    shared = [
        c
        for c in table.columns
        if c.kind == "text"
        and c.distinct <= FEW_TERMS
        and COMPANION.search(c.snake)
        and sum(find(t, c.snake) is not None for t in tables) > 1
    ]
    if not shared:
        return ()
    listed = ", ".join(identifier(c.name) for c in (*shared, key))
    distinct = row(
        connection, f"select count(*) from (select distinct {listed} from {table.relation})"
    )[0]
    return tuple(c.snake for c in shared) if distinct == table.rows else ()


def find(table: SeenTable, wanted: str) -> SeenColumn | None:
    """The column of that snake name, underscores aside."""
    return next(
        (c for c in table.columns if names.squeezed(c.snake) == names.squeezed(wanted)), None
    )


# --- the contract
# ----------------------------------------------------------------------------------


def is_one_per_account(connection: Connection, table: SeenTable, key: tuple[str, ...]) -> bool:
    """Whether the account key, all its columns together, identifies the rows."""
    columns = [find(table, part) for part in key]
    if not key or None in columns:
        return False
    listed = ", ".join(identifier(c.name) for c in columns if c is not None)
    return bool(
        row(connection, f"select count(*) from (select distinct {listed} from {table.relation})")[0]
        == table.rows
    )


def contract_of_table(
    table: SeenTable,
    key: tuple[str, ...],
    *,
    has_key: bool,
    is_unique: bool,
    repeats_elsewhere: bool = False,
) -> str | Refused:
    """Name of the contract a table fills, or why it is left out."""
    words = set(names.tokens(table.name))
    exact = snake_contract(table.name)
    if (
        exact is not None
        and all(find(table, c.name) for c in CONTRACTS[exact].columns if c.required)
        and has_key
    ):
        return exact
    if not has_key and not table.times and _outcome(table) is not None:
        return _undated(table)
    if not has_key:
        asked = " and ".join(key) if key else "that names an account"
        return Refused(
            table.name,
            f"it has no column {asked}, and no other table leads from it to one (reference tables "
            "need not be mapped)",
        )
    if not table.times:
        return (
            "accounts"
            if is_unique and not _outcome(table) and _says_account(table)
            else _undated(table)
        )
    if words & set(names.TABLE_WORDS["outcomes"]):
        return "outcomes"
    panel = _panel(table, key)
    if panel is not None:
        return panel
    if _has_term(table) and not came_and_went(table):
        return "subscriptions"
    if words & set(names.TABLE_WORDS["subscriptions"]):
        return (
            "subscriptions"
            if plan_column(table) is not None or not words & {"purchase", "purchases"}
            else "invoices"
        )
    if words & set(names.TABLE_WORDS["support_tickets"]):
        return "support_tickets"
    if words & set(names.TABLE_WORDS["surveys"]) and _has(table, "surveys", "score"):
        return "surveys"
    if is_unique and (
        words & set(names.TABLE_WORDS["accounts"]) or _has(table, "accounts", "created_at")
    ):
        return "accounts"
    if is_unique and repeats_elsewhere:
        # A row per account tells what an account is; nobody ever comes back in it.
        return "accounts"
    is_bill = words & set(names.TABLE_WORDS["invoices"]) or _has(table, "invoices", "invoice_id")
    return (
        "invoices"
        if is_bill and (_has(table, "invoices", "amount") or price_and_quantity(table))
        else "usage_events"
    )


def snake_contract(name: str) -> str | None:
    """The contract whose name the table bears."""
    return next((c for c in CONTRACTS if snake_equal(c, name)), None)


def snake_equal(contract: str, name: str) -> bool:
    """Whether a table's name is the contract's."""
    return names.snake(name) == contract


NAMED_COLUMNS = 3
CALLED_A_TIME = re.compile(
    r"(^|_)(date|time|day|datum|zeit|tag|jour|heure|fecha|timestamp|ts|when|at|on)(_|$)|date$|time$|datum$"
)


_MONTHS = "jan|feb|m(ä|ae|a)?r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]"
NAMED_BY_MONTH = re.compile(
    rf"(?i)(\d{{4}}[-/. ]?(0?[1-9]|1[0-2])([-/. ]\d{{1,2}})?|(0?[1-9]|1[0-2])[-/.]\d{{4}}"
    rf"|({_MONTHS})[a-z]*[-_/. ']*\d{{2,4}}|\d{{4}}[-_ ]?({_MONTHS})[a-z]*|\d{{4}}[-_ ]?q[1-4])"
)
"""Columns that are called by a month or a day: 2023-01, Jan 2023, 01/2023."""


def _undated(table: SeenTable) -> Refused:
    outcome = _outcome(table)
    days = [c.name for c in table.columns if c.kind == "number" and "date" in c.snake]
    spread = [c.name for c in table.columns if NAMED_BY_MONTH.fullmatch(c.name.strip())]
    if len(spread) >= NAMED_COLUMNS:
        told = (
            f"it has no date in its rows; {len(spread)} of its columns are called by one"
            f" ({spread[0]} to {spread[-1]}): write a row per account and month, with the month in"
            " a column (in a spreadsheet: unpivot)"
        )
    elif days:
        told = (
            f"it has no date; {', '.join(days)} may be day numbers: give them a start with a rule"
            ' such as { column = "START", plus = "' + days[0] + '" }'
        )
    elif outcome is not None:
        told = (
            f"it has no date, so nothing can be known as of a date; `{outcome.name}` looks like an"
            " outcome: a flat table "
            f'can be trained with `tenure table train FILE --label "{outcome.name}"`'
        )
    else:
        told = "it has no date, so nobody can say what of it was known when"
        called = [c for c in table.columns if c.filled and CALLED_A_TIME.search(c.snake)]
        if called:
            shown = ", ".join(f"`{c.name}` ({c.lowest})" for c in called[:NAMED_COLUMNS])
            told += (
                f"; {shown} may be one, written in a way that is not recognised: write it as"
                " 2024-01-31 or 2024-01-31 14:30:00, or map it with format"
            )
    return Refused(table.name, told)


def _panel(table: SeenTable, key: tuple[str, ...]) -> Refused | None:
    """A row per account and month with its outcome beside it is a training set, and no log of what
    was done.
    """
    flag, month = _outcome(table), table.times[0]
    own = find(table, key[-1]) if len(key) == 1 else None
    if (
        flag is None
        or len(flag.values) != 2
        or own is None
        or len(table.times) > 1
        or month.time_format != MONTH
    ):
        return None
    return Refused(
        table.name,
        f"its rows are of months, with the outcome `{flag.name}` beside them: such a table is"
        " trained "
        f'with `tenure table train {table.location} --label "{flag.name}" --account "{own.name}"'
        " --date "
        f'"{month.name}" --horizon-days 31`',
    )


def _outcome(table: SeenTable) -> SeenColumn | None:
    return next((c for c in table.columns if names.OUTCOME_COLUMN.search(c.snake)), None)


def _has(table: SeenTable, contract: str, column: str) -> bool:
    return _matching(table, contract, column, set()) is not None


def _has_term(table: SeenTable) -> bool:
    return _has(table, "subscriptions", "starts_at") and _has(table, "subscriptions", "ends_at")


def is_of_contracts(table: SeenTable) -> bool:
    """Whether a table is called contracts, or has the start and end of terms."""
    return _has_term(table) or bool(
        set(names.tokens(table.name)) & set(names.TABLE_WORDS["subscriptions"])
    )


def came_and_went(table: SeenTable) -> bool:
    """Whether start and end of a term are there, one of them by a word for accounts only: joined,
    left.
    """
    pairs = (("starts_at", names.JOINED), ("ends_at", names.LEFT))
    found = [(_matching(table, "subscriptions", column, set()), words) for column, words in pairs]
    return all(column is not None for column, _ in found) and any(
        column is not None and any(re.fullmatch(word, column.snake) for word in words)
        for column, words in found
    )


def columns_of_leaving(table: SeenTable, key: tuple[str, ...]) -> list[SeenColumn]:
    """Columns of a list of accounts that are called the end of something, filled for some."""
    own = find(table, key[-1]) if key else None
    if own is None or own.distinct < table.rows:
        return []
    patterns = names.patterns("subscriptions")["ends_at"]
    return [
        c
        for c in table.columns
        if 0 < c.filled < table.rows and any(re.fullmatch(p, c.snake) for p in patterns)
    ]


def is_in_order(connection: Connection, table: SeenTable) -> bool:
    """Whether hardly any end of a term lies before its start."""
    starts = _matching(table, "subscriptions", "starts_at", set())
    ends = _matching(table, "subscriptions", "ends_at", set())
    if starts is None or ends is None or starts is ends:
        return False
    before, both = row(
        connection,
        f"select count(*) filter ({ends.time_sql} < {starts.time_sql}), count(*) from"
        f" {table.relation} where {ends.time_sql} is not null and {starts.time_sql} is not null",
    )
    return bool(both and before <= USUAL_BAD_SHARE * both)


def plan_column(table: SeenTable) -> SeenColumn | None:
    """A column whose values are lengths of plans (Monthly, Annual)."""
    return next(
        (
            c
            for c in table.columns
            if c.kind == "text" and c.values and all(names.plan_length(v) for v in c.values)
        ),
        None,
    )


def price_and_quantity(table: SeenTable) -> tuple[SeenColumn, SeenColumn] | None:
    """Unit price and quantity, where a row is an invoice line."""
    price = next(
        (c for c in table.columns if c.snake in names.UNIT_PRICES and c.kind == "number"), None
    )
    quantity = next(
        (c for c in table.columns if c.snake in names.QUANTITIES and c.kind == "number"), None
    )
    return (price, quantity) if price and quantity else None


# --- the columns
# -----------------------------------------------------------------------------------


_ALLOWED: dict[ColumnType, tuple[str, ...]] = {
    "time": ("time",),
    "money": ("number",),
    "number": ("number",),
    "flag": ("flag", "number"),
    "text": ("text", "number", "flag"),
}


def _matching(table: SeenTable, contract: str, column: str, taken: set[str]) -> SeenColumn | None:
    """The user's column for one of ours: same name first, then the synonyms in order."""
    wanted = CONTRACTS[contract].column(column)
    if wanted is None:
        return None
    for pattern in (re.escape(column), *names.patterns(contract).get(column, ())):
        for candidate in table.columns:
            # Values that are not read are asked about where leaving hangs on them.
            is_asked = wanted.required or column in ("ends_at", "amount_per_month")
            fits = (
                candidate.kind in _ALLOWED[wanted.type]
                and (is_asked or not candidate.is_mixed)
                and candidate.name not in taken
                and candidate.filled > 0
            )
            if wanted.type == "flag" and candidate.kind == "number":
                fits = fits and set(candidate.values) <= {"0", "1"}
            if fits and re.fullmatch(pattern, candidate.snake):
                return candidate
    return None


def proposed_source(
    name: str,
    contract: str,
    table: SeenTable,
    key: tuple[str, ...],
    lookups: tuple[TomlTable, ...],
) -> ProposedSource:
    """The mapping of one table."""
    columns: dict[str, Rule] = {"account_id": _key_rule(table, key, lookups)}
    own_key = find(table, key[-1])
    taken = {c.name for c in (find(table, k) for k in key) if c is not None}
    for column in (*CONTRACTS[contract].columns, *COMMON):
        if column.name in ("account_id", "row_key", "partition"):
            continue
        found = _matching(table, contract, column.name, taken)
        if found is not None:
            columns[column.name] = _rule(found)
            taken.add(found.name)
    needed, left = (
        names.TIME_COLUMNS_NEEDED.get(contract),
        [c for c in table.times if c.name not in taken],
    )
    if needed is not None and needed not in columns and len(left) == 1:
        columns[needed] = _rule(left[0])
    made = ProposedSource(
        name, contract, (table,), columns, lookups=lookups, settings=_settings(table, own_key)
    )
    made = _without_required(made)
    made = {
        "subscriptions": _subscriptions,
        "support_tickets": _tickets,
        "accounts": _accounts,
        "usage_events": _usage,
        "invoices": _invoices,
        "surveys": _surveys,
    }.get(contract, lambda s: s)(made)
    made = _of_nobody(_without_stand_ins(_months(made)))
    if lookups:
        # Kept, so that `check` can compare a row with what it was looked up through.
        made = _with_lookup_id(made, lookups[0])
    return replace(made, unmapped=_unmapped(made, key))


def _of_nobody(source: ProposedSource) -> ProposedSource:
    """Flags of rows that are no customer's doing, each with the line that leaves them out."""
    rules: dict[str, list[bool]] = {}
    for column in source.table.columns:
        if column.kind != "flag" and not set(column.values) <= set(FLAG_WORDS):
            continue
        is_turned = bool(re.fullmatch("(is_)?live(_?mode)?", column.snake))
        if is_turned or re.search("(^|_)(bot|test|internal|sandbox)(_|$)", column.snake):
            rules[column.name] = [not is_turned]
    if not rules:
        return source
    told = f"Rows that are no customer's doing? drop = {toml_value(rules)}"
    return replace(source, comments=(*source.comments, told))


def _key_rule(table: SeenTable, key: tuple[str, ...], lookups: tuple[TomlTable, ...]) -> Rule:
    looked_up = {names.squeezed(names.snake(c)): c for lookup in lookups for c in lookup["take"]}
    found = []
    for part in key:
        column = find(table, part)
        found.append(column.name if column is not None else looked_up[names.squeezed(part)])
    return found[0] if len(found) == 1 else {"join": found}


def _rule(column: SeenColumn) -> Rule:
    if column.epoch_unit == "days":
        zero = column.day_zero.isoformat()
        return {"value": zero, "plus": column.name, "plus_unit": "days"}
    if column.epoch_unit:
        return {"value": EPOCH, "plus": column.name, "plus_unit": column.epoch_unit}
    own: TomlTable = {"format": column.time_format} if column.time_format else {}
    if column.says_utc:
        own["time_zone"] = "UTC"
    return {"column": column.name, **own} if own else column.name


def _settings(table: SeenTable, key: SeenColumn | None) -> TomlTable:
    settings: TomlTable = {}
    if table.delimiter:
        settings["delimiter"] = table.delimiter
    if table.encoding:
        settings["encoding"] = table.encoding
    if any(c.has_decimal_comma for c in table.columns):
        settings["decimal"] = ","
    if key is not None and key.filled < table.rows:
        settings["drop_missing"] = [key.name]
    return settings


def _without_required(source: ProposedSource) -> ProposedSource:
    """Rows that lack another required value are left out on purpose where they are too many to be
    errors.
    """
    needed = [c.name for c in CONTRACTS[source.contract].columns if c.required]
    raw = [r for r in map(source.raw, needed) if r is not None]
    missing = [
        r.name for r in raw if source.table.rows - r.filled > USUAL_BAD_SHARE * source.table.rows
    ]
    named = list(dict.fromkeys([*source.settings.get("drop_missing", ()), *missing]))
    return replace(source, settings={**source.settings, "drop_missing": named}) if named else source


def _months(source: ProposedSource) -> ProposedSource:
    """Rows of a month are complete when it is over, and not on its first day."""
    needed = names.TIME_COLUMNS_NEEDED.get(source.contract)
    dated = source.raw(needed) if needed is not None else None
    if (
        dated is None
        or dated.time_format != MONTH
        or source.contract == "subscriptions"
        or "known_at" in source.columns
    ):
        return source
    comment = f"`{dated.name}` names months: a row counts as known when its month is over."
    return replace(
        source,
        settings={**source.settings, "delay_days": LONGEST_MONTH},
        comments=(*source.comments, comment),
    )


def _without_stand_ins(source: ProposedSource) -> ProposedSource:
    """Far days that stand for no date, in the columns that are mapped."""
    used = _used(source)
    empty = {c.name: list(c.stand_ins) for c in source.table.times if c.stand_ins}
    empty = {name: values for name, values in empty.items() if name in used}
    return replace(source, settings={**source.settings, "empty": empty}) if empty else source


def _subscriptions(source: ProposedSource) -> ProposedSource:
    table, columns, comments = source.table, dict(source.columns), []
    plan = plan_column(table)
    starts = source.raw("starts_at")
    if "ends_at" not in columns and plan is not None and starts is not None and _is_a_term(table):
        columns["ends_at"] = {
            "column": starts.name,
            "plus": plan.name,
            "plus_codes": {value: _plan_days(value) for value in plan.values},
        }
        columns.setdefault("plan", plan.name)
        comments.append(
            f"No end is given; it is taken from the length of the plan in `{plan.name}`."
        )
    if plan is not None:
        columns["billing_period"] = plan.name
        words = {value: BILLING_WORDS.get(_plan_length(value), value) for value in plan.values}
        if _period_count(source) is not None:
            del columns["billing_period"]  # a month of three is a quarter
        elif any(value.lower() != word for value, word in words.items()):
            columns["billing_period"] = {"column": plan.name, "codes": words}
        if "amount_per_month" not in columns:
            comments += _add_amount(source, columns, plan)
    ends = source.raw("ends_at")
    is_fixed = "ends_at" in columns and (
        ends is None or ends.filled >= (1 - OPEN_ENDS) * table.rows
    )
    convention = "fixed_term" if is_fixed else "open_until_cancelled"
    comments.append(
        f"{_with_end(table, ends)}, so ends are taken as agreed from the start."
        if is_fixed
        else "Rows without an end are still running; an end is taken as written when it happens."
    )
    return replace(
        source,
        columns=columns,
        settings={**source.settings, "convention": convention},
        comments=(*source.comments, *comments),
    )


def _with_end(table: SeenTable, ends: SeenColumn | None) -> str:
    """How many rows have an end, in words."""
    if ends is None or ends.filled >= table.rows:
        return "Every row has an end"
    return f"{ends.filled:,} of {table.rows:,} rows have an end"


def _is_a_term(table: SeenTable) -> bool:
    """Whether a row is one term: nothing says that it goes on from one to the next, or is counted
    in several periods.
    """
    return not any(
        names.CURRENT_PERIOD.fullmatch(c.snake)
        or names.PERIOD_COUNT.fullmatch(c.snake)
        or c.values
        and {"active", "canceled", "cancelled"} & {v.lower() for v in c.values}
        for c in table.columns
    )


def _plan_length(text: str) -> tuple[int, str]:
    return names.plan_length(text) or (0, "day")


def _plan_days(text: str) -> int:
    count, unit = _plan_length(text)
    return count * names.PLAN_DAYS[unit]


def _plan_months(text: str) -> float:
    count, unit = _plan_length(text)
    return round(count * names.PLAN_MONTHS[unit], 6)


def _period_count(source: ProposedSource) -> SeenColumn | None:
    """The column that counts intervals, where one does: every 3 months."""
    return next(
        (
            c
            for c in source.table.columns
            if c.kind == "number" and names.PERIOD_COUNT.fullmatch(c.snake)
        ),
        None,
    )


def _add_amount(source: ProposedSource, columns: dict[str, Rule], plan: SeenColumn) -> list[str]:
    """The amount per month from an amount per period; the sentences that say so."""
    numbers = [
        c for c in source.table.columns if c.kind == "number" and c.name not in _used(source)
    ]
    unit = next((c for c in numbers if names.UNIT_AMOUNT.fullmatch(c.snake)), None)
    amount = unit or next((c for c in numbers if names.PERIOD_AMOUNT.fullmatch(c.snake)), None)
    if amount is None:
        return []
    months = {value: _plan_months(value) for value in plan.values}
    rule: TomlTable = {"column": amount.name, "per": plan.name, "per_codes": months}
    count = _period_count(source)
    if count is not None:
        rule["per_count"] = count.name
    seats = source.raw("seats")
    told = f"`{amount.name}` is taken for the amount of a period of `{plan.name}`"
    if count is not None:
        told += f" x `{count.name}`"
    if unit is not None and seats is not None and seats.kind == "number":
        rule["times"] = seats.name
        told += f" and of one of `{seats.name}`"
    columns["amount_per_month"] = rule
    return [f"{told}, and divided into months."]


def _tickets(source: ProposedSource) -> ProposedSource:
    columns, comments = dict(source.columns), []
    opened = source.raw("opened_at")
    for column in source.table.columns:
        found = re.fullmatch(
            r"(first_)?(reply|response|resolution|resolve)_time_(minutes|hours)", column.snake
        )
        if found is None or opened is None or column.kind != "number":
            continue
        ours = "first_reply_at" if found[2] in ("reply", "response") else "closed_at"
        if ours not in columns:
            columns[ours] = {"column": opened.name, "plus": column.name, "plus_unit": found[3]}
    if "rating" in columns and "rated_at" not in columns and "closed_at" in columns:
        columns["rated_at"] = columns["closed_at"]
        comments.append(
            "The rating has no date of its own; it is taken as given when the ticket was closed."
        )
    return replace(source, columns=columns, comments=tuple(comments))


def _surveys(source: ProposedSource) -> ProposedSource:
    """Answers without kind and scale have no points; the span of the scores mostly tells both."""
    score = source.raw("score")
    if score is None or score.kind != "number" or {"kind", "scale"} & set(source.columns):
        return source
    lowest, highest = float(score.lowest), float(score.highest)
    found = next(
        (
            (kind, scale)
            for low, high, kind, scale in SURVEY_SPANS
            if low <= lowest and highest <= high
        ),
        None,
    )
    if found is None:
        return source
    kind, scale = found
    columns = {**source.columns, "kind": {"value": kind}, "scale": {"value": scale}}
    comment = (
        f"Scores run from {score.lowest} to {score.highest}: taken for {kind} on {scale}; correct"
        " it if they are not."
    )
    return replace(source, columns=columns, comments=(*source.comments, comment))


def _accounts(source: ProposedSource) -> ProposedSource:
    """Outcome-like flags come along so that `check` can compare them; without history they are no
    signals.
    """
    used = _used(source)
    extra: dict[str, Rule] = {
        c.snake: c.name
        for c in source.table.columns
        if c.name not in used
        and names.OUTCOME_COLUMN.search(c.snake)
        and c.kind in ("flag", "text")
        and c.values
    }
    comments = [
        "Attributes are today's values and so no signals, unless they have a history (valid_from)"
        " or never change:"
    ]
    fixed = [c for c in ("industry", "country") if c in source.columns]
    comments.append(f"immutable = {_list(fixed)}" if fixed else "immutable = [...]")
    if "valid_from" in source.columns:
        comments = []
    columns = dict(source.columns)
    pointer = source.raw("merged_into")
    if pointer is not None and "merged_at" not in columns:
        del columns["merged_into"]
        comments.append(
            f"{pointer.name} could be merged_into, if merged_at (the time of the merge) were there"
            " as well"
        )
    return replace(source, columns=columns, extra=extra, comments=tuple(comments))


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{v}"' for v in values) + "]"


def _usage(source: ProposedSource) -> ProposedSource:
    """Numbers of an activity table become extras: each gets totals, means and changes of its
    own.
    """
    used = _used(source)
    extra: dict[str, Rule] = {}
    # All of a CSV is text, and text of the user's own becomes no signal.
    is_text = source.table.location.lower().endswith(TEXT_ENDINGS)
    bill = price_and_quantity(source.table)
    if bill is not None:
        extra["amount"] = {"column": bill[1].name, "times": bill[0].name, "type": "money"}
        used |= {bill[0].name}
    for column in source.table.columns:
        is_measure = column.kind == "number" and column.distinct > 1 and not _is_id(column)
        if is_measure and column.name not in used:
            if not names.OUTCOME_COLUMN.search(column.snake):
                extra[_extra_name(source, column)] = _measure(column, is_text=is_text)
    return replace(source, extra=extra)


def _measure(column: SeenColumn, *, is_text: bool) -> Rule:
    """The rule of a number that is measured; money where its name says so and it has decimals."""
    if names.MONEY_NAME.search(column.snake) and column.has_decimals:
        return {"column": column.name, "type": "money"}
    return {"column": column.name, "type": "number"} if is_text else column.name


def _extra_name(source: ProposedSource, column: SeenColumn) -> str:
    taken = {c.name for c in (*CONTRACTS[source.contract].columns, *COMMON)}
    name = column.snake
    if not PLAIN_NAME.fullmatch(name):
        name = f"n_{name}"
    return f"{name}_value" if name in SQL_WORDS or name in taken else name


def _invoices(source: ProposedSource) -> ProposedSource:
    bill = price_and_quantity(source.table)
    if bill is None:
        return source
    columns = {**source.columns, "amount": {"column": bill[1].name, "times": bill[0].name}}
    return replace(source, columns=columns)


def _is_id(column: SeenColumn) -> bool:
    """Whether a name says that numbers name something, or stand on the calendar: `order_number`
    and `no_of_order` differ by where the word stands.
    """
    return bool(
        names.NAMING_NUMBER.search(column.snake)
        or names.CALENDAR_NUMBER.fullmatch(column.snake)
        or ROW_NAMES.fullmatch(column.snake)
    )


def _with_lookup_id(source: ProposedSource, lookup: TomlTable) -> ProposedSource:
    mine = next(iter(lookup["on"]))
    name = names.snake(mine)
    if CONTRACTS[source.contract].column(name) is not None or name in source.extra:
        return source
    return replace(source, extra={**source.extra, name: mine})


def _used(source: ProposedSource) -> set[str]:
    used: set[str] = set()
    for rule in (*source.columns.values(), *source.extra.values()):
        if isinstance(rule, str):
            used.add(rule)
        else:
            used |= {
                v for k, v in rule.items() if k in ("column", "plus", "times", "per", "per_count")
            } | set(rule.get("join", ()))
    return used


def _unmapped(source: ProposedSource, key: tuple[str, ...]) -> tuple[str, ...]:
    used = _used(source)
    keys = {names.squeezed(k) for k in key}
    return tuple(
        c.name
        for c in source.table.columns
        if c.name not in used
        and names.squeezed(c.snake) not in keys
        and c.snake not in MAP_THEMSELVES
    )


# --- one table through another, several tables as one
# ----------------------------------------------


def lookups_to_key(
    table: SeenTable, key: tuple[str, ...], tables: Sequence[SeenTable]
) -> tuple[TomlTable, ...]:
    """How to fetch the missing columns of the key: through a table that has them, or one that leads
    to such a table.

    A line of an order knows the order, the order a buyer's login, the login the customer.
    """
    direct = _lookup(table, key, tables)
    if direct is not None:
        return (direct,)
    for other in tables:
        last = None if other is table else _lookup(other, key, tables)
        between = next(iter(last["on"])) if last is not None else None
        first = _lookup(table, (names.snake(between),), [other]) if between is not None else None
        if first is not None and last is not None:
            return first, last
    return ()


def _lookup(
    table: SeenTable, key: tuple[str, ...], tables: Sequence[SeenTable]
) -> TomlTable | None:
    """How to fetch the missing columns of the key through an id that is unique in a table which has
    them.
    """
    missing = [part for part in key if find(table, part) is None]
    if not missing:
        return None
    for column in table.columns:
        if not re.search(r"(^|_)id(_|$)", column.snake) or names.squeezed(column.snake) in map(
            names.squeezed, key
        ):
            continue
        for other in tables:
            theirs = find(other, column.snake)
            if other is table or theirs is None or theirs.distinct < other.rows:
                continue
            # Two tables that call their own ids `id` share no more than that word.
            if column.snake == "id" and column.distinct == table.rows:
                continue
            fetched = [find(other, part) for part in missing]
            if all(fetched):
                found: TomlTable = {
                    "location": other.location,
                    "on": {column.name: theirs.name},
                    "take": [c.name for c in fetched if c is not None],
                }
                return {**found, "table": other.table} if other.table else found
    return None


def with_category(source: ProposedSource, tables: Sequence[SeenTable]) -> ProposedSource:
    """A log of things bought, without names of events, told apart by the category that another
    table has of each thing.
    """
    if source.contract != "usage_events" or "event_name" in source.columns or source.lookups:
        return source
    for column in source.table.columns:
        if column.name in _used(source) or not re.search(
            r"(^|_)id(_|$)|(nr|nummer|sku)$", column.snake
        ):
            continue
        for other in tables:
            theirs = find(other, column.snake)
            if other is source.table or theirs is None or theirs.distinct < other.rows:
                continue
            category = next(
                (
                    c
                    for c in other.columns
                    if names.CATEGORY_NAME.fullmatch(c.snake)
                    and c.kind == "text"
                    and 1 < c.distinct <= FEW_TERMS
                ),
                None,
            )
            if category is None or source.table.column(category.name) is not None:
                continue
            lookup: TomlTable = {
                "location": other.location,
                "on": {column.name: theirs.name},
                "take": [category.name],
            }
            lookup |= {"table": other.table} if other.table else {}
            comment = (
                f"Rows are told apart by `{category.name}`, which {other.name} has of each"
                f" `{column.name}`."
            )
            return replace(
                source,
                columns={**source.columns, "event_name": category.name},
                lookups=(lookup,),
                comments=(*source.comments, comment),
            )
    return source


def joined_parts(sources: Sequence[ProposedSource]) -> list[ProposedSource]:
    """Sources whose tables are extracts of one table, made one source with parts."""
    groups: dict[object, list[ProposedSource]] = {}
    for source in sources:
        shape = (
            source.contract,
            tuple(source.columns),
            tuple(source.extra),
            tuple(names.squeezed(c.snake) for c in source.table.times),
            source.table.name if source.contract == "accounts" else "",
        )
        groups.setdefault(shape, []).append(source)
    made: list[ProposedSource] = []
    for group in groups.values():
        made += [_joined(group)] if len(group) > 1 and _are_extracts(group) else group
    return made


def _are_extracts(group: Sequence[ProposedSource]) -> bool:
    """Same number of columns, mostly of the same names."""
    first = {c.snake for c in group[0].table.columns}
    return all(
        len(s.table.columns) == len(group[0].table.columns)
        and len(first & {c.snake for c in s.table.columns}) * 2 > len(first)
        for s in group
    )


def _joined(group: Sequence[ProposedSource]) -> ProposedSource:
    event = (
        "event_time"
        if "event_time" in group[0].columns
        else next(c for c, r in group[0].columns.items() if c != "account_id")
    )
    ordered = sorted(group, key=lambda s: (_edge(s, event, first=True), s.name))
    feed = _feed_column([s.table for s in ordered])
    columns = dict(ordered[0].columns)
    if feed is not None:
        key = columns["account_id"]
        columns["account_id"] = {
            "join": [feed, key] if isinstance(key, str) else [feed, *key["join"]]
        }
        columns["partition"] = feed
    different = {c for c in ordered[0].columns if len({str(s.columns[c]) for s in ordered}) > 1}
    other_extra = {c for c in ordered[0].extra if len({str(s.extra[c]) for s in ordered}) > 1}
    until = [
        None if feed is not None else _cut(a, b, event)
        for a, b in zip(ordered[:-1], ordered[1:], strict=True)
    ]
    missing = list(dict.fromkeys(c for s in ordered for c in s.settings.get("drop_missing", ())))
    settings = dict(ordered[0].settings)
    if missing:
        settings["drop_missing"] = missing
    return replace(
        ordered[0],
        name=ordered[0].contract,
        members=tuple(s.table for s in ordered),
        columns={
            c: r
            for c, r in columns.items()
            if c not in different or c == "account_id" and feed is not None
        },
        extra={c: r for c, r in ordered[0].extra.items() if c not in other_extra},
        settings=settings,
        part_columns=tuple({c: s.columns[c] for c in s.columns if c in different} for s in ordered),
        part_extra=tuple({c: s.extra[c] for c in s.extra if c in other_extra} for s in ordered),
        rows_until=(*until, None),
        unmapped=tuple(dict.fromkeys(c for s in ordered for c in s.unmapped if c != feed)),
    )


def _feed_column(tables: Sequence[SeenTable]) -> str | None:
    """A column that is constant in each table and differs between them: the name of the feed."""
    for column in tables[0].columns:
        values = [t.column(column.name) for t in tables]
        constants = [
            v.lowest for v in values if v is not None and v.distinct == 1 and v.kind == "text"
        ]
        if len(set(constants)) == len(tables):
            return column.name
    return None


def _edge(source: ProposedSource, event: str, *, first: bool) -> str:
    column = source.raw(event)
    return "" if column is None else (column.lowest if first else column.highest)[:10]


def _cut(earlier: ProposedSource, later: ProposedSource, event: str) -> str | None:
    """The day from which the later extract is used, where the two overlap a little."""
    try:
        begin, end, start = (
            date.fromisoformat(d)
            for d in (
                _edge(earlier, event, first=True),
                _edge(earlier, event, first=False),
                _edge(later, event, first=True),
            )
        )
    except ValueError:
        return None
    is_short = start <= end and (end - start).days <= SHORT_OVERLAP * max(1, (end - begin).days)
    return start.isoformat() if is_short else None


def common_prefix(tables: Sequence[SeenTable]) -> int:
    """How many words all names of tables begin with (`ravenstack_`)."""
    split = [names.tokens(t.name) for t in tables]
    shortest = min(len(s) for s in split)
    if len(split) < 2:
        return 0
    return next(
        (i for i in range(shortest - 1) if len({s[i] for s in split}) > 1), max(0, shortest - 1)
    )


def source_names(contracts: Sequence[tuple[SeenTable, str]], prefix: int) -> list[str]:
    """The contract's name where one table fills it, else the table's own; unique and plain."""
    counts = Counter(contract for _, contract in contracts)
    chosen: list[str] = []
    for table, contract in contracts:
        name = contract if counts[contract] == 1 else "_".join(names.tokens(table.name)[prefix:])
        name = name if re.match(r"[a-z]", name) else f"t_{name}"
        while name in chosen:
            name += "_2"
        chosen.append(name)
    return chosen
