"""The proposal as a whole: look at the tables, guess, and write a commented tenure.toml."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from features.errors import ConfigError
from features.sources import CONTRACTS
from pipeline.config.toml_text import TomlTable, comment_lines, table_lines, toml_key, toml_value
from pipeline.edge.locations import has_secret
from pipeline.engine.duckdb import Connection, connected
from pipeline.proposing import names
from pipeline.proposing.answers import question_lines, with_answers, with_common_ids
from pipeline.proposing.guess import (
    FEW_TERMS,
    ProposedSource,
    Refused,
    account_key,
    came_and_went,
    columns_of_leaving,
    common_prefix,
    contract_of_table,
    find,
    is_in_order,
    is_of_contracts,
    is_one_per_account,
    joined_parts,
    key_candidates,
    lookups_to_key,
    named_key,
    proposed_source,
    source_names,
    with_category,
    with_own_id,
    with_own_keys,
)
from pipeline.proposing.leaving import with_leaving_events
from pipeline.proposing.objective import ProposedTarget, proposed_targets
from pipeline.proposing.tables import SeenTable, seen_tables
from pipeline.proposing.value import NO_VALUE, ProposedValue, with_value
from pipeline.staging.asking.question import sentence

ADDRESS_VARIABLE = "TENURE_DATABASE"
SHOWN_NAMES = 5
NO_KEY = "Say which column names the accounts: `tenure init FOLDER --account COLUMN`. "


@dataclass(frozen=True)
class Proposal:
    """A tenure.toml to read and correct.

    Attributes
    ----------
    toml
        Its text; `read_project` accepts it.
    unguessed
        What could not be told from the tables, one sentence each: tables left out and why, columns
        not mapped, time zone, currency.
    """

    toml: str
    unguessed: tuple[str, ...] = field(default=())


def propose(
    location: str | Path,
    data_dir: Path | None,
    project_dir: Path | None = None,
    *,
    account: str | None = None,
) -> Proposal:
    """Look at a folder, file or PostgreSQL address and propose a project.

    Parameters
    ----------
    location
        Folder or file with Parquet, CSV or DuckDB tables, `postgresql://...`, or `env:NAME` that
        holds such an address.
    data_dir, project_dir
        Where locations in the file will start: what `--data` will be, else the project's folder;
        tables outside get absolute paths.
    account
        The column that names the accounts, where its name does not tell.

    Raises
    ------
    ConfigError
        Nothing there is a table, or none of the tables can be used: each is named with the reason.
    """
    with connected() as connection, ExitStack() as resources:
        base = data_dir or project_dir
        tables, failed = seen_tables(connection, str(location), base, resources)
        left_out = [Refused(f.name, f.reason) for f in failed]
        key = named_key(tables, account) if account else account_key(connection, tables)
        if not key:
            tables = with_own_id(tables)
            key = account_key(connection, tables)
        tables, joined = with_own_keys(connection, tables, key)
        sources, refused = _sources(connection, tables, key)
        sources = [
            with_answers(connection, s, base or Path.cwd())
            for s in with_leaving_events(connection, sources)
        ]
        sources = with_common_ids(connection, sources, base or Path.cwd())
        sources, value = with_value(sources)
        left_out += refused
        _require_something(sources, left_out, "" if key else f"{NO_KEY}{key_candidates(tables)} ")
        targets, questions = proposed_targets(connection, sources)
        if not targets:
            told = (
                "; ".join(questions)
                or "there is neither activity nor subscriptions nor a log of outcomes"
            )
            raise ConfigError(
                f"no target can be proposed from {', '.join(s.name for s in sources)}: {told}. Left"
                f" out: {_told(left_out)}. Write tenure.toml by hand; `tenure init --contract` says"
                " what is wanted. A single table with a column that says who left needs no"
                " tenure.toml: `tenure table train`."
            )
        targets, contracts_out = _told_of_contracts(tables, targets, left_out, key)
        unguessed = [
            *contracts_out,
            *([] if account else _key_questions(key, sources)),
            *joined,
            *questions,
            *_open_questions(sources),
            *([NO_VALUE] if value is not None and not value.place else []),
            *(f"table {r.name}: left out, {r.reason}" for r in left_out),
        ]
        return Proposal(
            _text(_project_name(location), sources, targets, left_out, value), tuple(unguessed)
        )


def _sources(
    connection: Connection, tables: Sequence[SeenTable], key: tuple[str, ...]
) -> tuple[list[ProposedSource], list[Refused]]:
    refused: list[Refused] = []
    chosen: list[tuple[SeenTable, str]] = []
    lookups: dict[str, tuple[TomlTable, ...]] = {}
    unique = {t.name: is_one_per_account(connection, t, key) for t in tables}
    repeats = any(not unique[t.name] and find(t, key[-1]) is not None for t in tables if key)
    for table in tables:
        has_all = bool(key) and all(find(table, k) is not None for k in key)
        way = () if has_all or not key else lookups_to_key(table, key, tables)
        contract = contract_of_table(
            table,
            key,
            has_key=has_all or bool(way),
            is_unique=unique[table.name],
            repeats_elsewhere=repeats,
        )
        if isinstance(contract, Refused):
            refused.append(contract)
        else:
            chosen.append((table, contract))
            lookups[table.name] = way
    terms = _terms_of_accounts(connection, chosen, unique)
    # A row per account is no log of what it did.
    chosen = [(t, c) for t, c in chosen if c == "accounts" or (t, "subscriptions") not in terms]
    chosen += terms
    chosen, more = _usable(chosen)
    sources = [
        proposed_source(name, contract, table, key, lookups[table.name])
        for (table, contract), name in zip(
            chosen, source_names(chosen, common_prefix(tables)), strict=True
        )
    ]
    complete: list[ProposedSource] = []
    for source in sources:
        needed = names.TIME_COLUMNS_NEEDED.get(source.contract)
        if needed is None or needed in source.columns:
            complete.append(source)
        else:
            refused.append(
                Refused(
                    source.table.name,
                    f"it looks like {source.contract}, but no column was recognised as {needed}",
                )
            )
    complete = [with_category(source, tables) for source in complete]
    made = sorted(joined_parts(complete), key=lambda s: (list(CONTRACTS).index(s.contract), s.name))
    return made, [*refused, *more]


def _terms_of_accounts(
    connection: Connection, chosen: Sequence[tuple[SeenTable, str]], unique: Mapping[str, bool]
) -> list[tuple[SeenTable, str]]:
    """Lists of accounts that say when each came and went, where no other table tells of leaving:
    the same table fills subscriptions.
    """
    if any(contract in ("subscriptions", "outcomes") for _, contract in chosen):
        return []
    return [
        (table, "subscriptions")
        for table, _ in chosen
        if unique[table.name] and came_and_went(table) and is_in_order(connection, table)
    ]


def _told_of_contracts(
    tables: Sequence[SeenTable],
    targets: Sequence[ProposedTarget],
    left_out: Sequence[Refused],
    key: tuple[str, ...],
) -> tuple[list[ProposedTarget], list[str]]:
    """Where tables of contracts or days of leaving were left out, falling silent is a makeshift:
    said at the target and first of all questions.
    """
    if any(target.keys["kind"] != "inactivity" for target in targets):
        return list(targets), []
    contracts = {t.name for t in tables if is_of_contracts(t)}
    lost = [refused for refused in left_out if refused.name in contracts]
    left = [(t, c) for t in tables for c in columns_of_leaving(t, key)]
    if lost:
        told = (
            "Contracts are there and could not be used, so leaving is taken as falling silent: "
            + "; ".join(f"{each.name}: {each.reason}" for each in lost)
            + ". Map them as [sources.subscriptions] to ask who ends a contract."
        )
    elif left:
        shown = ", ".join(f"`{t.name}.{c.name}` ({c.highest or c.lowest})" for t, c in left)
        told = (
            f"{shown} may say when an account left, and no start beside it could be read, so"
            " leaving is taken as falling silent. Map both as [sources.subscriptions] (starts_at,"
            " ends_at, with format where needed) to ask who leaves."
        )
    else:
        return list(targets), []
    first = replace(targets[0], comments=(*targets[0].comments, told))
    return [first, *targets[1:]], [f"target: {told}"]


def _usable(
    chosen: Sequence[tuple[SeenTable, str]],
) -> tuple[list[tuple[SeenTable, str]], list[Refused]]:
    """One account table only; bills count as activity where nothing else does."""
    refused: list[Refused] = []
    families = {names.tokens(t.name)[0] for t, c in chosen if c != "accounts"}
    accounts = sorted(
        (t for t, c in chosen if c == "accounts"),
        key=lambda t: (-len(t.times), names.tokens(t.name)[0] not in families, -t.rows, t.name),
    )
    refused += [
        Refused(
            t.name,
            f"a project has one account table and {accounts[0].name} was chosen; bring its columns"
            " in with lookups",
        )
        for t in accounts[1:]
    ]
    kept = [(t, c) for t, c in chosen if c != "accounts" or t is accounts[0]]
    contracts = {c for _, c in kept}
    if "usage_events" not in contracts and "subscriptions" not in contracts:
        kept = [(t, "usage_events" if c == "invoices" else c) for t, c in kept]
    return kept, refused


def _require_something(
    sources: Sequence[ProposedSource], left_out: Sequence[Refused], no_key: str
) -> None:
    if not sources:
        raise ConfigError(
            f"none of the tables can be used: {_told(left_out)}. {no_key}A flat table without dates"
            " is trained with `tenure table train FILE --label COLUMN`; else add dated tables"
            " (`tenure init --contract`)."
        )


def _told(left_out: Sequence[Refused]) -> str:
    return "; ".join(f"{r.name}: {r.reason}" for r in left_out) or "none"


def _left_out_words(source: ProposedSource) -> str | None:
    """How many rows `drop_missing` leaves out; a row that lacks several values counts once for
    each.
    """
    names_ = source.settings.get("drop_missing", ())
    if not names_:
        return None
    missing = sum(
        t.rows - c.filled for t in source.members for n in names_ if (c := t.column(n)) is not None
    )
    rows = sum(t.rows for t in source.members)
    return (
        f"{missing:,} of {rows:,} rows ({missing / rows:.1%}) have no {' or '.join(names_)} and are"
        " left out"
    )


def _project_name(location: str | Path) -> str:
    text = str(location)
    if text.startswith(("postgresql://", "postgres://")):
        text = urlsplit(text).path
    if text.startswith("env:"):
        text = text.removeprefix("env:")
    name = names.snake(
        Path(text).resolve().name.split(".")[0] if "/" in text or Path(text).exists() else text
    )
    return name or "project"


# --- open questions
# --------------------------------------------------------------------------------


def _key_questions(key: tuple[str, ...], sources: Sequence[ProposedSource]) -> Iterator[str]:
    """Doubts about the account key: a name not known, or accounts that never come back."""
    if key and key[-1] not in names.ACCOUNT_KEYS:
        yield (
            f"account: no column has a name that is known; {key[-1]} is taken, since tables share"
            " it (else --account COLUMN)"
        )
    active = [s for s in sources if s.contract == "usage_events"]
    if active and all(_each_row_its_own(s, key) for s in active):
        stem = key[-1].split("_")[0]
        others = [
            c.name
            for s in sources
            for t in s.members
            for c in t.columns
            if c.snake != key[-1]
            and c.kind == "text"
            and stem in c.snake
            and FEW_TERMS < c.distinct < t.rows
        ]
        named = next(iter(others), "COLUMN")
        yield (
            f"account: {key[-1]} is another one in every row of"
            f" {', '.join(s.table.name for s in active)}, so no account ever comes back; if another"
            f" column names them, say `tenure init FOLDER --account {named} --force`"
        )


def _each_row_its_own(source: ProposedSource, key: tuple[str, ...]) -> bool:
    own = find(source.table, key[-1])
    through = own or next(
        (
            find(source.table, here)
            for lookup in source.lookups
            for here in map(names.snake, lookup["on"])
        ),
        None,
    )
    return len(key) == 1 and through is not None and through.distinct == through.filled


def _clocked(sources: Sequence[ProposedSource]) -> list[str]:
    """`table.column` of mapped naive times that have a time of day."""
    found = []
    for source in sources:
        for column in (*source.columns, *source.extra):
            raw = source.raw(column)
            if raw is not None and raw.kind == "time" and raw.has_clock and not raw.says_utc:
                found.append(f"{source.table.name}.{raw.name}")
    return list(dict.fromkeys(found))


def _shortened(found: Sequence[str]) -> str:
    more = f" and {len(found) - SHOWN_NAMES} more" if len(found) > SHOWN_NAMES else ""
    return ", ".join(found[:SHOWN_NAMES]) + more


def _open_questions(sources: Sequence[ProposedSource]) -> Iterator[str]:
    clocked = _clocked(sources)
    if clocked:
        yield (
            f"time zone: {_shortened(clocked)} have a time of day and no zone; staging stops until"
            " time_zone is set at the top of the file"
        )
    if _currency(sources) is None and any(
        "amount" in c or "value" in c
        for s in sources
        for c in (*s.columns, *s.extra, *(e for part in s.part_extra for e in part))
    ):
        yield (
            "currency: no column or name tells it; USD is written, correct it if amounts are in"
            " another"
        )
    for source in sources:
        for question in source.questions:
            lines = " or ".join(r.line for r in question.readings)
            answer = f"you choose: {lines}" if lines else f"it is mended. {question.todo}"
            yield (
                f"{source.name}: {sentence(question.words)} `check` and `run` stop until {answer}"
            )
        told = _left_out_words(source)
        if told:
            yield f"{source.name}: {told} (drop_missing); ask who they are (guests, tests)"
    yield "capacity: how many accounts your team can work on at a time ([objective] capacity)"
    for source in sources:
        if source.contract == "subscriptions" and "amount_per_month" not in source.columns:
            yield (f"{source.name}: no monthly amount was recognised; price signals are missing")
        if (
            source.contract == "subscriptions"
            and source.settings.get("convention") == "fixed_term"
            and source.raw("ends_at")
        ):
            yield (
                f"{source.name}: nearly every row has an end, so ends are taken as agreed from the"
                " start (fixed_term); if they are written when somebody leaves, say convention ="
                ' "open_until_cancelled"; else the model knows who leaves'
            )
        if source.unmapped:
            yield f"{source.name}: columns not mapped: {', '.join(source.unmapped)}"


def _currency(sources: Sequence[ProposedSource]) -> str | None:
    found = set()
    for source in sources:
        for table in source.members:
            found |= {
                v.upper()
                for c in table.columns
                if c.snake in ("currency", "currency_code")
                for v in c.values
            }
            found |= {
                m[1].upper() for c in table.columns if (m := names.CURRENCY_SUFFIX.search(c.snake))
            }
    known = {c for c in found if re.fullmatch("[A-Z]{3}", c)}
    return known.pop() if len(known) == 1 else None


# --- the text
# --------------------------------------------------------------------------------------


def _text(
    name: str,
    sources: Sequence[ProposedSource],
    targets: Sequence[ProposedTarget],
    left_out: Sequence[Refused],
    value: ProposedValue | None,
) -> str:
    currency = _currency(sources)
    lines = [
        *comment_lines("Proposed by `tenure init`. Read it, correct it, then run `tenure check`."),
        f"name = {toml_value(name)}",
        f"currency = {toml_value(currency or 'USD')}"
        + ("" if currency else "  # not found in the data: correct it"),
    ]
    clocked = _clocked(sources)
    if clocked:
        lines += comment_lines(
            f"NEEDED: the zone that the clocks of {_shortened(clocked)} showed. Any IANA name:"
        )
        lines.append('# time_zone = "Europe/London"')
    for source in sources:
        lines += ["", *_source_lines(source)]
    for target in targets:
        lines += ["", *_target_lines(target)]
    if any(target.keys["kind"] == "inactivity" for target in targets):
        lines += [
            "",
            *comment_lines(
                "Who falls silent follows the year in most trades; with dates of less than a year"
                " this adds nothing."
            ),
            "[features]",
            "season = true",
        ]
    lines += [
        "",
        *comment_lines(
            "How many accounts can your team work on at a time? Reports then speak of those first."
        ),
        "[objective]",
        'purpose = ""',
        "# capacity = 30",
        *([] if value is None else value.lines()),
    ]
    if left_out:
        lines += ["", *comment_lines("Tables left out:")]
        lines += [line for r in left_out for line in comment_lines(f"  {r.name}: {r.reason}")]
    return "\n".join(lines) + "\n"


def _source_lines(source: ProposedSource) -> Iterator[str]:
    tables = ", ".join(t.name for t in source.members)
    yield from comment_lines(f"{tables}: {sum(t.rows for t in source.members):,} rows")
    for comment in source.comments:
        yield from comment_lines(comment)
    told = _left_out_words(source)
    yield from comment_lines(f"{told}: guests or tests? Else mend the extract.") if told else ()
    head: TomlTable = {}
    if source.name != source.contract:
        head["contract"] = source.contract
    if len(source.members) == 1:
        head |= _place(source.table)
    yield f"[sources.{source.name}]"
    yield from (f"{toml_key(k)} = {toml_value(v)}" for k, v in {**head, **source.settings}.items())
    for question in source.questions:
        yield from question_lines(question)
    if source.unmapped:
        yield from comment_lines(f"not mapped: {', '.join(source.unmapped)}")
    columns = {c: r for c, r in source.columns.items() if not _maps_itself(c, r)}
    yield from table_lines(f"[sources.{source.name}.columns]", columns)
    yield from table_lines(f"[sources.{source.name}.extra]", source.extra)
    for lookup in source.lookups:
        yield f"[[sources.{source.name}.lookups]]"
        yield from (
            f"{toml_key(k)} = {toml_value(_location(v) if k == 'location' else v)}"
            for k, v in lookup.items()
        )
    if len(source.members) > 1:
        yield from _part_lines(source)


def _maps_itself(column: str, rule: object) -> bool:
    return isinstance(rule, str) and rule.casefold() == column


def _part_lines(source: ProposedSource) -> Iterator[str]:
    for index, table in enumerate(source.members):
        until = source.rows_until[index]
        part: TomlTable = _place(table)
        yield from table_lines(f"[[sources.{source.name}.parts]]", part)
        if until is not None:
            yield f"rows_until = {until}  # from then on the next part is used: they overlap"
        yield from table_lines(f"[sources.{source.name}.parts.columns]", source.part_columns[index])
        yield from table_lines(f"[sources.{source.name}.parts.extra]", source.part_extra[index])


def _place(table: SeenTable) -> TomlTable:
    place: TomlTable = {"location": _location(table.location)}
    return {**place, "table": table.table} if table.table else place


def _location(location: str) -> str:
    """Where a table is; an address with a password is kept out of the file."""
    if "://" in location and has_secret(location):
        return f"env:{ADDRESS_VARIABLE}"
    return location


def _target_lines(target: ProposedTarget) -> Iterator[str]:
    for comment in target.comments:
        yield from comment_lines(comment)
    yield from table_lines("[[targets]]", {"name": target.name, **target.keys})
