"""What a project file must satisfy beyond types: names that refer to each other, zones, dates."""

import codecs
import difflib
import json
import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from zoneinfo import available_timezones

from features.naming import LONGEST
from features.sources import COMMON, CONTRACTS, ColumnType, Contract
from models.declared import weights_problem
from models.path import MOST_COMBINATIONS
from models.targets import AMOUNT_KINDS, CAUSES
from pipeline.config.ranges import out_of_range
from pipeline.config.schema import (
    ColumnRule,
    Dates,
    Objective,
    Project,
    Ratio,
    Rule,
    Source,
    SourcePart,
    Target,
    Test,
    ValuePer,
)
from pipeline.edge.locations import has_secret, shown_location

# Names become table and column names in SQL that runs on DuckDB and Spark without quotes.
PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*")
PLAIN_NAME_WORDS = "small letters, digits and underscores, starting with a letter"
# Python can turn bytes into text by them, and no file is written in them.
NO_ENCODINGS = ("idna", "punycode", "undefined", "raw_unicode_escape", "unicode_escape")
NO_DELIMITERS = '"\n\r\0'
LEVER_TABLES = (
    "usage_events",
    "touchpoints",
    "support_tickets",
    "invoices",
    "milestones",
    "goals",
)
"""Tables whose rows people can bring about; nobody brings about an answer or a contract."""
ANY_ZONE_NAME = "Continent/City"
"""Where `init` cannot know the zone; it is none, so that the line as it stands is refused."""
# Columns that staging adds to every table.
RESERVED = ("known_from", "known_until")
# Words that DuckDB or Spark (ANSI) will not take as a column name without quotes.
SQL_WORDS = frozenset(
    "all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by"
    " case cast check collate collation column columns concurrently constraint create cross"
    " current_date current_time current_timestamp current_user default deferrable desc describe"
    " distinct do else end except exists false fetch filter for foreign freeze from full generated"
    " glob grant group having ilike in initially inner intersect into is isnull join lambda lateral"
    " leading left like limit map minus natural not notnull null offset on only or order outer"
    " overlaps pivot placing positional primary qualify references returning right select semi"
    " session_user show similar some struct summarize symmetric table tablesample then to trailing"
    " true try_cast tuple union unique unknown unpack unpivot user using values variadic verbose"
    " when where window with within".split()
)
Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: the path of the key in the file, and what to say."""

    path: Location
    text: str


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean ...?` where a similar name exists, else a full stop."""
    matches = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean `{matches[0]}`?" if matches else "."


def project_problems(project: Project) -> list[Problem]:
    """All mistakes that need more than one key to see."""
    return [
        *(Problem(path, text) for path, text in out_of_range(project)),
        *_general_problems(project),
        *_ratio_problems(project.features.ratios),
        *(
            p
            for name, source in project.sources.items()
            for p in _source_problems(project, name, source)
        ),
        *(
            p
            for index, target in enumerate(project.targets)
            for p in _target_problems(project, index, target)
        ),
        *_bench_problems(project),
        *_alert_problems(project),
        *_publish_problems(project),
        *_play_problems(project),
        *_lever_problems(project),
    ]


def contract_of(name: str, source: Source) -> Contract | None:
    """The contract a source fills, or None where it names no known one."""
    return CONTRACTS.get(source.contract or name)


def value_per(objective: Objective, table: str, column: str) -> ValuePer | None:
    """What a row of `[objective] value` says; None where the project must say it."""
    if objective.value_per is not None:
        return objective.value_per
    if table == "subscriptions":
        return "month" if column == "amount_per_month" else None
    return "year" if table == "accounts" else "row"


# --- the file as a whole
# ---------------------------------------------------------------------------


def _general_problems(project: Project) -> Iterator[Problem]:
    yield from _zone_problems(project.time_zone, ("time_zone",))
    yield from _value_problems(project)
    if "://" in project.store.uri:
        yield Problem(
            ("store", "uri"),
            "must be a folder: object stores cannot hold the store yet. Mount the bucket, or copy"
            " the folder there after each run.",
        )
    if not re.fullmatch(r"[A-Z]{3}", project.currency):
        yield Problem(
            ("currency",), f'"{project.currency}" is not an ISO 4217 code, such as "EUR" or "USD".'
        )
    windows = project.features.window_days
    if not windows or min(windows) < 1 or list(windows) != sorted(set(windows)):
        yield Problem(
            ("features", "window_days"),
            f"{list(windows)} must be whole numbers of days above 0, "
            "each once, smallest first, such as [7, 28, 91].",
        )
    if not project.sources:
        yield Problem(
            (),
            "no source is configured. Add at least one activity source, such as"
            " [sources.usage_events].",
        )
    if not project.targets:
        yield Problem(
            (), "no target is configured. Add [[targets]] with name, kind and horizon_days."
        )
    for name, count in Counter(target.name for target in project.targets).items():
        if count > 1:
            index = max(i for i, target in enumerate(project.targets) if target.name == name)
            yield Problem(
                ("targets", index, "name"),
                f'"{name}" is used {count} times; names of targets are unique.',
            )


# --- sources
# ---------------------------------------------------------------------------------------


def _source_problems(project: Project, name: str, source: Source) -> Iterator[Problem]:
    path: Location = ("sources", name)
    if not PLAIN_NAME.fullmatch(name) or len(name) > LONGEST:
        yield Problem(
            path,
            f"the name of a source needs {PLAIN_NAME_WORDS}; at most {LONGEST} characters.",
        )
    contract = contract_of(name, source)
    if contract is None:
        where = (*path, "contract") if source.contract else path
        contract_name = source.contract or name
        yield Problem(
            where,
            f'"{contract_name}" is not a contract{nearest(contract_name, CONTRACTS)} '
            f'Allowed: {", ".join(CONTRACTS)}. Say which with contract = "...".',
        )
        return
    yield from _place_problems(path, source)
    yield from _zone_problems(source.time_zone, (*path, "time_zone"))
    for name, zone in source.epochs_in.items():
        yield from _zone_problems(zone, (*path, "epochs_in", name))
    yield from _encoding_problems(source.encoding, (*path, "encoding"))
    yield from _mapping_problems(path, contract, source)
    for index, part in enumerate(source.parts):
        yield from _mapping_problems((*path, "parts", index), contract, part)
    yield from _immutable_problems(path, contract, source)
    if source.delimiter is not None and (
        len(source.delimiter) != 1
        or not source.delimiter.isascii()
        or source.delimiter in NO_DELIMITERS
    ):
        yield Problem(
            (*path, "delimiter"),
            f"{json.dumps(source.delimiter)} must be one ASCII character other than a quotation"
            ' mark or the end of a line, such as ";".',
        )


def _place_problems(path: Location, source: Source) -> Iterator[Problem]:
    if source.location is None and not source.parts:
        yield Problem(
            path, 'give location = "..." (a file, a glob, postgresql://... or env:NAME), or parts.'
        )
    if source.location is not None and source.parts:
        yield Problem(
            (*path, "location"),
            "give location or parts, not both: each part has a location of its own.",
        )
    places = [((*path,), source.location, source.table)]
    places += [
        ((*path, "parts", i), part.location, part.table) for i, part in enumerate(source.parts)
    ]
    places += [
        ((*path, "lookups", i), lookup.location, lookup.table)
        for i, lookup in enumerate(source.lookups)
    ]
    for place, location, table in places:
        if location is not None and table is None and needs_table(location):
            yield Problem(
                (*place, "location"),
                f'"{shown_location(location)}" holds many tables; say which with table = "...".',
            )
    for index, lookup in enumerate(source.lookups):
        if not lookup.on or not lookup.take:
            yield Problem(
                (*path, "lookups", index), "give at least one column in on and one in take."
            )


def needs_table(location: str) -> bool:
    """Whether the location is a database, where `table` says what to read.

    >>> needs_table("env:CRM_ADDRESS"), needs_table("usage/*.parquet")
    (True, False)
    """
    return location.startswith(("postgresql://", "postgres://", "env:")) or location.endswith(
        (".duckdb", ".ddb")
    )


def _encoding_problems(encoding: str, path: Location) -> Iterator[Problem]:
    try:
        is_text = codecs.lookup(encoding)._is_text_encoding
    except (LookupError, ValueError, UnicodeError):
        is_text = False
    if not is_text or encoding.lower().replace("-", "_") in NO_ENCODINGS:
        yield Problem(
            path, f'"{encoding}" is not an encoding. Examples: "utf-8", "latin-1", "cp1252".'
        )


def _immutable_problems(path: Location, contract: Contract, source: Source) -> Iterator[Problem]:
    known = [
        *_column_names(contract),
        *source.extra,
        *(name for part in source.parts for name in part.extra),
    ]
    for index, name in enumerate(source.immutable):
        if name not in known:
            yield Problem(
                (*path, "immutable", index),
                f'"{name}" is no column of {contract.table}'
                f"{nearest(name, known)} Allowed: {', '.join(known)}.",
            )


def _column_names(contract: Contract) -> list[str]:
    return [column.name for column in (*COMMON, *contract.columns)]


def _mapping_problems(
    path: Location, contract: Contract, place: Source | SourcePart
) -> Iterator[Problem]:
    names = _column_names(contract)
    for name, rule in place.columns.items():
        where = (*path, "columns", name)
        column = contract.column(name)
        if column is None:
            yield Problem(
                where,
                f'"{name}" is no column of {contract.table}{nearest(name, names)} Allowed: '
                f"{', '.join(names)}. A column of your own goes under [{_header(path)}.extra].",
            )
            continue
        yield from _rule_problems(where, rule, column.type)
        if isinstance(rule, ColumnRule) and rule.type is not None and rule.type != column.type:
            yield Problem(
                (*where, "type"),
                f'"{rule.type}" is not allowed: {name} is of type {column.type} in the '
                "contract. type belongs to columns under extra.",
            )
    for name, rule in place.extra.items():
        where = (*path, "extra", name)
        if not PLAIN_NAME.fullmatch(name):
            yield Problem(where, f"the name of an extra column needs {PLAIN_NAME_WORDS}.")
        if name in SQL_WORDS:
            yield Problem(
                where,
                f'"{name}" is a word of SQL; give the column another name, such as "{name}_value".',
            )
        if name in names or name in RESERVED:
            yield Problem(
                where,
                f'"{name}" is a column that {contract.table} has already; map it under columns, or '
                "give your column another name.",
            )
        yield from _rule_problems(where, rule, rule.type if isinstance(rule, ColumnRule) else None)
    if place.rows_from and place.rows_until and place.rows_from >= place.rows_until:
        yield Problem(
            (*path, "rows_until"),
            f"{place.rows_until} must be after rows_from = {place.rows_from}.",
        )


def _header(path: Location) -> str:
    return ".".join(str(part) for part in path if not isinstance(part, int))


def _rule_problems(path: Location, rule: Rule, type_: str | None) -> Iterator[Problem]:
    if isinstance(rule, str):
        return
    yield from _zone_problems(rule.time_zone, (*path, "time_zone"))
    for_times = {
        "plus": rule.plus is not None,
        "format": rule.format is not None,
        "time_zone": rule.time_zone is not None,
    }
    for_numbers = {
        "minus": rule.minus is not None,
        "times": rule.times is not None,
        "per": rule.per is not None,
        "scale": rule.scale != 1.0,
        "decimals": rule.decimals is not None,
    }
    if type_ is not None and type_ != "time":
        yield from _misplaced(path, for_times, "times", type_)
    if type_ is not None and type_ not in ("money", "number"):
        yield from _misplaced(path, for_numbers, "numbers and money", type_)
    if rule.scale == 0 or abs(rule.scale) >= 1e9:
        yield Problem((*path, "scale"), f"{rule.scale} must be other than 0 and below 1e9.")


def _misplaced(
    path: Location, keys: dict[str, bool], allowed: str, type_: str
) -> Iterator[Problem]:
    for key, is_given in keys.items():
        if is_given:
            yield Problem(
                (*path, key), f"`{key}` goes with {allowed} only; this column is of type {type_}."
            )


# --- time zones
# ------------------------------------------------------------------------------------


@cache
def zone_names() -> frozenset[str]:
    """Zones that mean one thing: area/place names of the IANA database, and UTC."""
    areas = (
        "Africa/",
        "America/",
        "Antarctica/",
        "Arctic/",
        "Asia/",
        "Atlantic/",
        "Australia/",
        "Europe/",
        "Indian/",
        "Pacific/",
    )
    return frozenset({"UTC", *(name for name in available_timezones() if name.startswith(areas))})


def _zone_problems(zone: str | None, path: Location) -> Iterator[Problem]:
    if zone is None or zone in zone_names():
        return
    if zone == ANY_ZONE_NAME:
        yield Problem(
            path,
            f'"{zone}" stands for a zone that only you know: write the one whose clock was read,'
            ' such as "Europe/Berlin" or "America/New_York", or "UTC" where they are real moments.',
        )
        return
    if re.fullmatch(r"[A-Z]{2,5}(\d[A-Z]{3})?", zone):
        # CST is used in Chicago, Havana and Shanghai; IST in Mumbai, Dublin and Jerusalem. EST has
        # no summer time.
        yield Problem(
            path,
            f'"{zone}" is an abbreviation that means several zones. Give an IANA name such as '
            '"Europe/London" or "America/Chicago", or "UTC".',
        )
        return
    yield Problem(
        path,
        f'"{zone}" is not an IANA time zone{_nearest_zone(zone)} Allowed: area/place names such as '
        '"Europe/London", or "UTC".',
    )


def _nearest_zone(zone: str) -> str:
    by_small = {name.lower(): name for name in zone_names()}
    matches = difflib.get_close_matches(
        zone.lower().replace(" ", "_"), list(by_small), n=1, cutoff=0.6
    )
    places = [
        name
        for name in sorted(zone_names())
        if name.split("/")[-1].lower() == zone.lower().replace(" ", "_")
    ]
    nearest_zones = places or [by_small[match] for match in matches]
    return f'; did you mean "{nearest_zones[0]}"?' if nearest_zones else "."


# --- targets
# ---------------------------------------------------------------------------------------


def _target_problems(project: Project, index: int, target: Target) -> Iterator[Problem]:
    path: Location = ("targets", index)
    if not PLAIN_NAME.fullmatch(target.name) or len(target.name) > LONGEST:
        yield Problem(
            (*path, "name"),
            f'"{target.name}" needs {PLAIN_NAME_WORDS}; at most {LONGEST} characters.',
        )
    yield from _target_source_problems(project, path, target)
    yield from _population_problems(project, path, target)
    yield from _dates_problems(project, (*path, "dates"), target.dates)
    yield from _test_problems((*path, "test"), target.test, target.dates)


def _target_source_problems(project: Project, path: Location, target: Target) -> Iterator[Problem]:
    if target.source is not None:
        where = (*path, "source")
        if target.kind != "event":
            yield Problem(
                where, f'`source` goes with kind = "event" only, not with "{target.kind}".'
            )
        yield from _reference_problems(project, where, target.source, "outcomes")
    if target.event_names and target.kind != "event":
        yield Problem(
            (*path, "event_names"),
            f'goes with kind = "event" only, not with "{target.kind}". '
            "For activity: [targets.population] event_names.",
        )
    if target.first_event_only and target.kind != "event":
        yield Problem(
            (*path, "first_event_only"), f'goes with kind = "event" only, not with "{target.kind}".'
        )
    if target.change_share > 0 and target.kind not in ("contraction", "expansion"):
        yield Problem(
            (*path, "change_share"), 'goes with kind = "contraction" or "expansion" only.'
        )
    if target.causes is not None and target.kind not in AMOUNT_KINDS:
        yield Problem((*path, "causes"), 'goes with kind = "contraction" or "expansion" only.')
    if target.causes == ():
        yield Problem((*path, "causes"), f"is empty; choose of {', '.join(CAUSES)}.")
    needs = ("churn", "voluntary", "involuntary", "contraction", "expansion")
    if (
        target.kind in needs
        and not _sources_with(project, "subscriptions")
        and target.horizon == "next_renewal"
    ):
        yield Problem(
            (*path, "horizon"), 'next_renewal needs a source with contract = "subscriptions".'
        )


def _sources_with(project: Project, table: str) -> list[str]:
    contracts = {name: contract_of(name, source) for name, source in project.sources.items()}
    return [
        name
        for name, contract in contracts.items()
        if contract is not None and contract.table == table
    ]


def _reference_problems(
    project: Project, path: Location, name: str, table: str | None
) -> Iterator[Problem]:
    if name not in project.sources:
        yield Problem(
            path,
            f'"{name}" is no source{nearest(name, project.sources)} '
            f"Sources: {', '.join(project.sources) or 'none'}.",
        )
        return
    contract = contract_of(name, project.sources[name])
    if contract is None:  # told with the source itself
        return
    if table is not None and contract.table != table:
        yield Problem(
            path,
            f'"{name}" has contract {contract.table}; {table} is needed here. Sources with it: '
            f"{', '.join(_sources_with(project, table)) or 'none'}.",
        )
    if table is None and not contract.streams:
        yield Problem(
            path,
            f'"{name}" has contract {contract.table}, which holds no activity. '
            f"Activity: {', '.join(t for t, c in CONTRACTS.items() if c.streams)}.",
        )


def _population_problems(project: Project, path: Location, target: Target) -> Iterator[Problem]:
    population = target.population
    where = (*path, "population")
    if population.source is not None:
        yield from _reference_problems(project, (*where, "source"), population.source, None)
    elif population.kind in ("active", "ever_active") and len(_activity_sources(project)) > 1:
        yield Problem(
            where,
            'several activity sources: say which counts with source = "...". '
            f"Sources: {', '.join(_activity_sources(project))}.",
        )
    if population.kind in ("customers", "trials") and not _sources_with(project, "subscriptions"):
        yield Problem(
            (*where, "kind"), f'"{population.kind}" needs a source with contract = "subscriptions".'
        )
    if population.kind == "active" and population.active_within_days is None:
        yield Problem(
            where,
            'kind = "active" needs active_within_days; everybody who was ever active is kind ='
            ' "ever_active".',
        )
    if population.kind == "ever_active" and population.active_within_days is not None:
        yield Problem(
            (*where, "active_within_days"),
            'goes with kind = "active"; "ever_active" counts activity however long ago.',
        )
    if population.max_age_days is not None and population.max_age_days <= population.min_age_days:
        yield Problem(
            (*where, "max_age_days"),
            f"{population.max_age_days} must be above min_age_days = {population.min_age_days}.",
        )


def _activity_sources(project: Project) -> list[str]:
    return [name for name in _sources_with(project, "usage_events")]


def _dates_problems(project: Project, path: Location, dates: Dates) -> Iterator[Problem]:
    if dates.first and dates.last and dates.first > dates.last:
        yield Problem((*path, "last"), f"{dates.last} is before first = {dates.first}.")
    if dates.list and (dates.first or dates.last):
        yield Problem((*path, "list"), "a list says every date; drop first and last.")
    yield from _sorted_problems((*path, "list"), dates.list)
    if dates.offset_days != (0,) and dates.anchor is None:
        yield Problem((*path, "offset_days"), "goes with anchor only.")
    if dates.anchor is not None:
        yield from _anchor_problems(project, (*path, "anchor"), dates.anchor)


def _anchor_problems(project: Project, path: Location, anchor: str) -> Iterator[Problem]:
    yield from _column_problems(project, path, anchor, ("time",), "subscriptions.ends_at")


def _column_problems(
    project: Project, path: Location, place: str, types: tuple[ColumnType, ...], example: str
) -> Iterator[Problem]:
    """Of a `source.column` that must be of one of the types."""
    name, dot, column_name = place.partition(".")
    if not dot:
        yield Problem(path, f'"{place}" must be source.column, such as "{example}".')
        return
    if name not in project.sources:
        yield from _reference_problems(project, path, name, None)
        return
    source = project.sources[name]
    contract = contract_of(name, source)
    if contract is None:
        return
    allowed = [c.name for c in (*contract.columns, *COMMON) if c.type in types]
    # An extra's type may come from the table itself; staging refuses one that turns out to be
    # another.
    extras = dict(source.extra)
    for part in source.parts:
        extras |= part.extra
    allowed += [
        n for n, rule in extras.items() if isinstance(rule, str) or rule.type in (None, *types)
    ]
    if column_name not in allowed:
        yield Problem(
            path,
            f'"{column_name}" is no {types[0]} column of {name}{nearest(column_name, allowed)} '
            f"Allowed: {', '.join(allowed)}.",
        )


def _value_problems(project: Project) -> Iterator[Problem]:
    objective = project.objective
    path: Location = ("objective", "value")
    if objective.value is None:
        if objective.value_per is not None:
            yield Problem(
                ("objective", "value_per"), "goes with value, the column that it is about."
            )
        return
    problems = list(
        _column_problems(
            project, path, objective.value, ("money", "number"), "purchases.sales_value"
        )
    )
    yield from problems
    if problems:
        return
    name, _, column = objective.value.partition(".")
    source = project.sources[name]
    contract = contract_of(name, source)
    if contract is None:
        return
    per = value_per(objective, contract.table, column)
    if per is None:
        yield Problem(
            path,
            f'say what a row of {objective.value} is: value_per = "year" or "month" (of each'
            ' term that runs), or "row" (paid when the term starts).',
        )
    elif contract.table == "accounts" and per == "row":
        yield Problem(
            ("objective", "value_per"),
            f'"row" adds up dated rows, and {name} has one for each account. Allowed: "year",'
            ' "month".',
        )
    elif contract.table not in ("accounts", "subscriptions") and per != "row":
        yield Problem(
            ("objective", "value_per"),
            f'"{per}" goes with accounts and subscriptions; the rows of {name} are added up: leave'
            ' it out, or write "row".',
        )


def _test_problems(path: Location, test: Test, dates: Dates) -> Iterator[Problem]:
    if test.first and test.last and test.first > test.last:
        yield Problem((*path, "last"), f"{test.last} is before first = {test.first}.")
    ways = [
        key
        for key, is_set in (
            ("list", bool(test.list)),
            ("count", test.count is not None),
            ("first", test.first is not None),
        )
        if is_set
    ]
    if len(ways) > 1:
        yield Problem(
            (*path, ways[0]), f"give one of list, count, first; given: {', '.join(ways)}."
        )
    if test.last and not test.first:
        yield Problem((*path, "last"), "goes with first only.")
    yield from _sorted_problems((*path, "list"), test.list)
    if test.offset_days and dates.anchor is None:
        yield Problem((*path, "offset_days"), "goes with [targets.dates] anchor only.")
    if test.offset_days and dates.anchor is not None:
        unknown = sorted(set(test.offset_days) - set(dates.offset_days))
        if unknown:
            yield Problem(
                (*path, "offset_days"),
                f"{unknown} are not among dates.offset_days = {list(dates.offset_days)}.",
            )
    start = test.first or (test.list[0] if test.list else None)
    # Listed test dates may lie beyond the grid; a `first` beyond it would leave no test at all.
    if test.first and dates.last and test.first > dates.last:
        yield Problem((*path, "first"), f"{test.first} is after dates.last = {dates.last}.")
    if start and dates.first and start <= dates.first:
        yield Problem(
            (*path, "first" if test.first else "list"),
            f"{start} leaves no training date: dates.first = {dates.first}.",
        )


# --- bench
# -----------------------------------------------------------------------------------------


def _ratio_problems(ratios: tuple[Ratio, ...]) -> Iterator[Problem]:
    """What can be said of a ratio without the sources; its columns are looked up where features are
    built.
    """
    for index, ratio in enumerate(ratios):
        path: Location = ("features", "ratios", index)
        if (
            not PLAIN_NAME.fullmatch(ratio.name)
            or ratio.name in SQL_WORDS
            or len(ratio.name) > LONGEST
        ):
            yield Problem(
                (*path, "name"),
                f'"{ratio.name}" needs {PLAIN_NAME_WORDS}; '
                f"at most {LONGEST} characters, no word of SQL.",
            )
        if ratio.name in (other.name for other in ratios[:index]):
            yield Problem(
                (*path, "name"),
                f'"{ratio.name}" is the name of two ratios; each needs a name of its own.',
            )
        if ratio.numerator == ratio.divisor:
            yield Problem(
                (*path, "divisor"),
                f'"{ratio.divisor}" over itself is always 1; name two different signals.',
            )
        if ratio.phrase is not None and not _speaks_of_value(ratio.phrase):
            yield Problem(
                (*path, "phrase"),
                f'"{ratio.phrase}" must hold {{value}} and nothing else in braces, such as '
                '"{value} tickets per active person".',
            )


def _speaks_of_value(phrase: str) -> bool:
    try:
        named = [
            (name, kind, how)
            for _, name, kind, how in string.Formatter().parse(phrase)
            if name is not None
        ]
    except ValueError:
        return False
    return bool(named) and all(each == ("value", "", None) for each in named)


def _bench_problems(project: Project) -> Iterator[Problem]:
    problems_of = {
        "actions": [action.problem() for action in project.actions],
        "rules": [rule.problem() for rule in project.rules],
    }
    for table, problems in problems_of.items():
        yield from (Problem((table, index), wrong) for index, wrong in enumerate(problems) if wrong)
    wrong = weights_problem(project.bench.weights) if project.bench.weights else None
    if wrong:
        yield Problem(("bench", "weights"), wrong)


# --- alerts
# ----------------------------------------------------------------------------------------


def _alert_problems(project: Project) -> Iterator[Problem]:
    senders = project.alerting.senders
    lists: tuple[tuple[Location, list[str]], ...] = (
        (("alerts",), [rule.name for rule in project.alerts]),
        (("alerting", "senders"), [sender.name for sender in senders]),
    )
    for path, names in lists:
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Problem(
                    (*path, index, "name"), f'"{name}" is used twice; each needs a name of its own.'
                )
    plays = [play.name for play in project.plays]
    for index, rule in enumerate(project.alerts):
        if plays and rule.play is not None and rule.play not in plays:
            yield Problem(
                ("alerts", index, "play"),
                f'"{rule.play}" is no play of [[plays]]{nearest(rule.play, plays)} Allowed:'
                f" {', '.join(plays)}.",
            )
    for index, sender in enumerate(senders):
        place: Location = ("alerting", "senders", index, "url")
        if sender.url is None or sender.url.startswith("env:"):
            continue
        if not sender.url.startswith(("http://", "https://")):
            yield Problem(place, 'must begin with https:// or http://, or be "env:NAME".')
        elif has_secret(sender.url) or sender.kind == "slack":
            yield Problem(
                place,
                'may hold a secret; keep it in an environment variable and write "env:NAME".',
            )


# --- copies
# ----------------------------------------------------------------------------------------


def _publish_problems(project: Project) -> Iterator[Problem]:
    publish = project.publish
    if PLAIN_NAME.fullmatch(publish.schema) is None:
        yield Problem(("publish", "schema"), f"must be {PLAIN_NAME_WORDS}.")
    address = publish.postgres
    if address is None or address.startswith("env:"):
        return
    if not address.startswith(("postgresql://", "postgres://")):
        yield Problem(("publish", "postgres"), 'must be "env:NAME" or begin with postgresql://.')
    elif has_secret(address):
        yield Problem(
            ("publish", "postgres"),
            'may hold a secret; keep it in an environment variable and write "env:NAME".',
        )


# --- plays
# -----------------------------------------------------------------------------------------


def _play_problems(project: Project) -> Iterator[Problem]:
    rules = [rule.name for rule in project.alerts]
    for index, play in enumerate(project.plays):
        path: Location = ("plays", index)
        if play.name in (other.name for other in project.plays[:index]):
            yield Problem(
                (*path, "name"), f'"{play.name}" is used twice; each needs a name of its own.'
            )
        for place, name in enumerate(play.alerts):
            if rules and name not in rules:
                yield Problem(
                    (*path, "alerts", place),
                    f'"{name}" is no rule of [[alerts]]{nearest(name, rules)} Allowed:'
                    f" {', '.join(rules)}.",
                )


# --- levers
# ----------------------------------------------------------------------------------------


def _lever_problems(project: Project) -> Iterator[Problem]:
    for index, lever in enumerate(project.levers):
        path: Location = ("levers", index)
        if lever.name in (other.name for other in project.levers[:index]):
            yield Problem(
                (*path, "name"), f'"{lever.name}" is used twice; each needs a name of its own.'
            )
        source = project.sources.get(lever.source)
        contract = None if source is None else contract_of(lever.source, source)
        if contract is None or contract.table not in LEVER_TABLES:
            names = [
                name
                for name, each in project.sources.items()
                if getattr(contract_of(name, each), "table", "") in LEVER_TABLES
            ]
            yield Problem(
                (*path, "source"),
                f'"{lever.source}" is no source of {_listed(LEVER_TABLES)}'
                f"{nearest(lever.source, names)} Allowed: {', '.join(names) or 'none'}.",
            )
            continue
        closing = [c.name for c in contract.columns if c.type == "time" and c.clock == c.name]
        if lever.close is not None and lever.close not in closing:
            yield Problem(
                (*path, "close"),
                f'"{lever.close}" is no time by which a row of {contract.table} is closed'
                f"{nearest(lever.close, closing)} Allowed: {', '.join(closing) or 'none'}.",
            )
        values = [c.name for c in contract.columns if c.type != "time"]
        for name in lever.add or ():
            if name not in values:
                yield Problem(
                    (*path, "add", name),
                    f"is no column of {contract.table}{nearest(name, values)} Allowed:"
                    f" {', '.join(values)}.",
                )
        if lever.add is not None and contract.event_time is None:
            yield Problem((*path, "add"), f"rows of {contract.table} have no time of their own.")
    combinations = math.prod(lever.most + 1 for lever in project.levers)
    if combinations > MOST_COMBINATIONS:
        yield Problem(
            ("levers",),
            f"{combinations:,} combinations of steps; at most {MOST_COMBINATIONS:,} are tried."
            " Lower most.",
        )


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _sorted_problems(path: Location, days: tuple[date, ...]) -> Iterator[Problem]:
    if list(days) != sorted(set(days)):
        yield Problem(path, "dates must be given once each, oldest first.")
