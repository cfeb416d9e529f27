"""Staging: every source read, checked, converted, and put into one table with two clocks."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from features.errors import ConfigError, ContractError, EmptySource, GateRefused
from features.sources import COMMON, Contract
from features.windows import US_PER_DAY
from pipeline.config.checks import contract_of, nearest
from pipeline.config.schema import Project, Source
from pipeline.edge.faults import said
from pipeline.engine.duckdb import Connection, identifier, literal, row, rows
from pipeline.staging import quarantine, versions
from pipeline.staging.asking import Opened, Question, moment_notes, questions_of
from pipeline.staging.asking.question import refused
from pipeline.staging.asking.rules import rule_notes
from pipeline.staging.mapping import MappedColumn
from pipeline.staging.parts import QUOTED, MappedPart, mapped_parts
from pipeline.staging.reach import (
    FAR_BEYOND,
    GAP_OF_CONTRACTS,
    RECORDS,
    SHORTEST_GAP,
    end_of_rows,
)
from pipeline.staging.staged import DUCKDB_TYPES, StagedColumn, StagedSource

NO_CONSENT = "consent = false"
DENIED = "staging_denied_accounts"
FEWEST_LOST = 3
"""Rows of one account that say its losses are no chance."""
# Columns that drive staging; known_at becomes known_from, is_deleted is applied, partition moves to
# the end.
INTERNAL = ("known_at", "row_key", "is_deleted", "partition")
NOTHING = "CAST(NULL AS TIMESTAMP)"


def stage(
    project: Project,
    data_dir: Path,
    connection: Connection,
    *,
    only: Collection[str] | None = None,
    started: datetime | None = None,
) -> dict[str, StagedSource]:
    """Read the project's sources into `staged_<source>` and `quarantine_<source>` tables of a
    connection.

    The staged rows depend on the rows of the sources, never on their order. A staged table has
    account_id, every column of the contract (typed NULL where the source has none), the extras,
    then known_from, known_until (NULL: still holds) and partition ('' where none is mapped).
    known_from is NULL where nothing says when a row became known (milestones without assigned_at).

    Parameters
    ----------
    data_dir
        Where relative locations start.
    only
        Names of the sources wanted; default: all. Accounts without consent are left out of these
        too, so accounts are read in any case.
    started
        When the command began: what a source records cannot lie after it.

    Raises
    ------
    ConfigError
        A name in `only` is no source.
    ContractError
        A source is absent, empty, lacks required columns, has too many bad rows, contradicts
        itself, or states no time zone. Nothing of that source is left in the connection then.
    """
    wanted = _wanted(project, only)
    # Accounts first: whoever withheld consent is left out of every other table.
    accounts = [name for name in project.sources if _contract(project, name).table == "accounts"]
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {DENIED} (account_id VARCHAR)")
    staged = {}
    for name in (
        *accounts,
        *(name for name in project.sources if name in wanted and name not in accounts),
    ):
        staged[name] = _staged(project, name, data_dir, connection, started)
    for name in set(staged) - wanted:
        drop_staged(connection, name)
    return {name: staged[name] for name in project.sources if name in wanted}


def denied_accounts(connection: Connection) -> set[str]:
    """Accounts that withhold consent, as the tables staged last say."""
    return {account for (account,) in rows(connection, f"SELECT account_id FROM {DENIED}")}


def drop_staged(connection: Connection, name: str) -> None:
    """Remove the tables of one source."""
    for table in (f"staged_{name}", f"quarantine_{name}"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def _wanted(project: Project, only: Collection[str] | None) -> set[str]:
    if only is None:
        return set(project.sources)
    for name in only:
        if name not in project.sources:
            raise ConfigError(
                f'"{name}" is no source{nearest(name, project.sources)} '
                f"Sources: {', '.join(project.sources)}."
            )
    return set(only)


def _contract(project: Project, name: str) -> Contract:
    contract = contract_of(name, project.sources[name])
    if contract is None:  # read_project refuses such a file
        raise ConfigError(f"source {name} names no known contract.")
    return contract


def _staged(
    project: Project,
    name: str,
    data_dir: Path,
    connection: Connection,
    started: datetime | None,
) -> StagedSource:
    try:
        with ExitStack() as resources:  # inputs that changed meanwhile are told when it ends
            resources.callback(connection.execute, f"DROP TABLE IF EXISTS mapped_{name}")
            source, contract = project.sources[name], _contract(project, name)
            notes: list[str] = []
            parts = mapped_parts(project, source, contract, data_dir, connection, resources, notes)
            opened = Opened(name, contract, source, tuple(parts), connection)
            questions = questions_of(opened)
            notes.extend([*rule_notes(opened), *moment_notes(opened)])
            end = _end_of_rows(opened, started)
            stager = _Stager(
                project, name, source, contract, parts, connection, notes, questions, end
            )
            try:
                return stager.staged()
            except ContractError as error:
                unanswered = [q for q in questions if not _is_accepted(project, q)]
                if not unanswered:
                    raise
                # What stops the rows from being read is most likely what is asked.
                raise refused(name, unanswered) from error
    except GateRefused:
        drop_staged(connection, name)
        raise
    except (ContractError, ConfigError) as error:
        drop_staged(connection, name)
        raise type(error)(f"source {name}: {error}") from error
    except duckdb.Error as error:
        # A Parquet file that breaks off, a strptime letter that DuckDB does not know.
        drop_staged(connection, name)
        raise ContractError(
            f"source {name} cannot be read or converted: {said(error)}. Look at its columns in"
            " tenure.toml and at the file; `tenure check` reads it alone."
        ) from error


def _end_of_rows(opened: Opened, started: datetime | None) -> tuple[date, str] | None:
    """(first day beyond what the rows as a whole reach, why). Of sources that record the past no
    row may lie there; of others it moves no end of data.
    """
    event = opened.contract.event_time
    if event is None or not opened.is_mapped(event):
        return None
    if opened.source.data_until is not None:
        return None  # whoever says where the rows end knows of those beyond
    counts = opened.rows(
        f"SELECT CAST(t AS DATE) AS day, count(*) FROM {opened.relation(t=event)}"
        f" WHERE t BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31' GROUP BY 1 ORDER BY 1"
    )
    is_record = opened.contract.table in RECORDS
    return end_of_rows(counts, started, SHORTEST_GAP if is_record else GAP_OF_CONTRACTS)


def _is_accepted(project: Project, question: Question) -> bool:
    keys = (question.name, f"{question.name}/{question.source}")
    return any(key in project.checks.accept for key in keys)


@dataclass(frozen=True)
class _Stager:
    """One source on its way: mapped rows, good rows, surviving rows, staged table."""

    project: Project
    name: str
    source: Source
    contract: Contract
    parts: list[MappedPart]
    connection: Connection
    notes: list[str]
    questions: tuple[Question, ...]
    end: tuple[date, str] | None
    """First day beyond what the rows reach, and why: see `_end_of_rows`."""

    def staged(self) -> StagedSource:
        """The source, with its two tables made."""
        read, left_out = self._count_rows()
        quarantine.create_quarantine(self.connection, self.quarantine_table)
        bad = self._map_rows()
        left_out |= self._without_denied()
        for part in self.parts:
            bad |= {reason: bad.get(reason, 0) + n for reason, n in part.raw.rejected.items()}
        left_out = _counted(left_out)
        resolved = self._resolved()
        unread = self._unread_values()
        values = {
            reason: quarantine.unread_examples(self.connection, self.parts, reason.split()[0])
            for reason in unread
        }
        for reason, count in unread.items():
            shown = quarantine.quoted_counts(values[reason])
            self.notes.append(f"{count:,} values left empty: {reason}{shown}.")
        losses = self._losses()
        self._store_repeated(resolved)
        bad |= resolved.bad
        left_out |= resolved.left_out
        quarantine.refuse_too_many(
            self.connection,
            self.quarantine_table,
            self._places(),
            # Of one column that is mapped wrongly hardly a value can be read.
            bad | {r: n for r, n in unread.items() if n > self.source.max_bad_share * read},
            read - sum(left_out.values()),
            self.source.max_bad_share,
            values,
        )
        self._note_far_rows()
        newest_known = row(
            self.connection, f"SELECT max({self._known_from()}) FROM {self._good()}"
        )[0]
        self._write(resolved)
        self._refuse_contradictions()
        self._refuse_other_currencies()
        return self._summary(read, left_out, bad, newest_known, losses)

    # --- names and columns

    @property
    def table(self) -> str:
        return f"staged_{self.name}"

    @property
    def quarantine_table(self) -> str:
        return f"quarantine_{self.name}"

    @property
    def mapped_table(self) -> str:
        return f"mapped_{self.name}"

    def _good(self) -> str:
        # A merge marks the record it leaves behind as deleted: its pointer is what it is kept for.
        kept = (
            " REPLACE (is_deleted AND merged_into IS NULL AS is_deleted)"
            if self._is_mapped("merged_into")
            else ""
        )
        return (
            f"(SELECT * EXCLUDE (problem, unread){kept} FROM {self.mapped_table} WHERE problem IS"
            " NULL)"
        )

    def _places(self) -> str:
        return ", ".join(dict.fromkeys(part.raw.place for part in self.parts))

    def _is_mapped(self, column: str) -> bool:
        return any(column in part.columns for part in self.parts)

    def _extras(self) -> dict[str, MappedColumn]:
        return {c.name: c for part in self.parts for c in part.columns.values() if c.is_extra}

    def _columns(self) -> dict[str, StagedColumn]:
        """All columns of the mapped table, in order, the internal ones included."""
        found = {}
        for column in (COMMON[0], *self.contract.columns, *COMMON[1:]):
            mapped = [
                part.columns[column.name] for part in self.parts if column.name in part.columns
            ]
            default = 2 if column.type == "money" else 0
            decimals = mapped[0].decimals if mapped else default
            found[column.name] = StagedColumn(column.type, decimals, is_mapped=bool(mapped))
        for name, extra in self._extras().items():
            found[name] = StagedColumn(extra.type, extra.decimals, is_mapped=True, is_extra=True)
        return found

    def _handed_on(self) -> dict[str, StagedColumn]:
        return {name: column for name, column in self._columns().items() if name not in INTERNAL}

    def _key(self) -> tuple[str, ...]:
        """What identifies a row: the contract's key, or the row_key that the user maps; none: every
        row is one.
        """
        return self.contract.row_key or (("row_key",) if self._is_mapped("row_key") else ())

    # --- steps

    def _count_rows(self) -> tuple[int, dict[str, int]]:
        """(rows in the files, rule -> rows it leaves out)."""
        total, left_out = 0, dict[str, int]()
        for part in self.parts:
            counts, before = ["count(*)"], "true"
            for _, condition in part.left_out:
                counts.append(f"count(*) FILTER (WHERE {before} AND ({condition}))")
                before += f" AND NOT ({condition})"
            found = row(
                self.connection,
                f"SELECT {', '.join(counts)} FROM {part.raw.relation} AS source_row",
            )
            total += found[0] + sum(part.raw.rejected.values())
            for (rule, _), count in zip(part.left_out, found[1:], strict=True):
                left_out[rule] = left_out.get(rule, 0) + count
        if total == 0:
            raise EmptySource(
                f"{self._places()} has no rows. An empty table is more often a failed export than"
                " the truth; take the source out of tenure.toml if it really is empty."
            )
        if total == sum(left_out.values()):
            rules = ", ".join(
                f"{rule}: {count:,} rows" for rule, count in left_out.items() if count
            )
            raise ContractError(
                f"every row of {self._places()} is left out ({rules}). Check the values under keep,"
                " drop, drop_missing, rows_from and rows_until."
            )
        return total, left_out

    def _map_rows(self) -> dict[str, int]:
        """Fill the mapped table and the quarantine; reason -> bad rows."""
        checks = [self._checks(part) for part in self.parts]
        selects = [
            self._part_select(part, found) for part, found in zip(self.parts, checks, strict=True)
        ]
        self.connection.execute(
            f"CREATE TEMP TABLE {self.mapped_table} AS "
            + " UNION ALL ".join(
                f"SELECT * REPLACE (problem + {1000 * i} AS problem) FROM ({select})"
                for i, select in enumerate(selects)
            )
        )
        self._note_denied(checks)
        found = rows(
            self.connection,
            f"SELECT problem, count(*) FROM {self.mapped_table} WHERE problem IS NOT NULL "
            f"AND {not_denied('account_id')} GROUP BY problem ORDER BY problem",
        )
        bad: dict[str, int] = {}
        for code, count in found:
            reason = checks[code // 1000][code % 1000].reason
            bad[reason] = bad.get(reason, 0) + count
        for i in sorted({code // 1000 for code, _ in found}):
            quarantine.store_bad_rows(
                self.connection,
                self.quarantine_table,
                self.name,
                checks[i],
                self._part_select(self.parts[i], checks[i], with_raw=True),
                not_denied("account_id"),
            )
        return bad

    def _required(self) -> frozenset[str]:
        required = {c.name for c in (*COMMON, *self.contract.columns) if c.required}
        # Half-filled keys and clocks would be guesses: where they are mapped, every row needs them.
        return frozenset(required | {"known_at"} | ({"row_key"} & set(self._key())))

    def _unread_values(self) -> dict[str, int]:
        """Values of optional columns that cannot be read, by reason; their rows stay."""
        return dict(
            rows(
                self.connection,
                f"SELECT unread, count(*) FROM {self.mapped_table} WHERE problem IS NULL AND unread"
                " IS NOT NULL GROUP BY 1 ORDER BY 1",
            )
        )

    def _losses(self) -> tuple[Question | None, tuple[str, ...]]:
        """Accounts that lose most of their rows, or of the values in them, and the question about
        them: few rows of all may be every row of the largest customer.
        """
        found = rows(
            self.connection,
            f"""
SELECT account_id, lost, n FROM (
  SELECT account_id, count(*) FILTER (problem IS NOT NULL OR unread IS NOT NULL) AS lost,
    count(*) AS n FROM {self.mapped_table} WHERE account_id IS NOT NULL GROUP BY 1)
WHERE lost >= {FEWEST_LOST} AND 2 * lost > n ORDER BY lost DESC, 1""",
        )
        if not found:
            return None, ()
        accounts, lost, quoted = len(found), sum(part for _, part, _ in found), found[:QUOTED]
        told = ", ".join(f"{account}: {part:,} of {n:,}" for account, part, n in quoted)
        return (
            Question(
                "losses-in-few-accounts",
                self.name,
                f"{accounts:,} accounts lose most of their rows or amounts, {int(lost):,} in all"
                f" ({told}): what cannot be read is not spread by chance",
                todo=f"Look at the table quarantine, source = '{self.name}', and at the notes of"
                " the source: write what these rows need (decimal, format, codes), or accept the"
                " finding with a reason: these accounts are then published as unknown.",
                count=accounts,
                unit="accounts",
                examples=tuple(str(account) for account, *_ in quoted),
            ),
            tuple(str(account) for account, *_ in found),
        )

    def _checks(self, part: MappedPart) -> list[quarantine.Check]:
        key = self._key()
        is_versioned = bool(key) and self._is_mapped("known_at")
        retracts = (
            "coalesce(v_is_deleted, false)"
            if is_versioned and "is_deleted" in part.columns
            else "false"
        )
        return quarantine.checks_of(
            part,
            self.contract,
            self._required(),
            excused=retracts,
            never_excused=frozenset({*key, "known_at"}),
            end=self.end if self.contract.table in RECORDS else None,
        )

    def _part_select(
        self, part: MappedPart, checks: list[quarantine.Check], *, with_raw: bool = False
    ) -> str:
        """A part's rows in the shape of the mapped table; with what quarantine keeps if asked."""
        inner = [column.selected() for column in part.columns.values()]
        outer = []
        for name, column in self._columns().items():
            mapped = part.columns.get(name)
            outer.append(
                f"{mapped.staged if mapped else self._absent(name, column, part)} AS {name}"
            )
        outer.append(f"{quarantine.problem_code(checks)} AS problem")
        outer.append(f"{quarantine.unread_value(part, self._required())} AS unread")
        if with_raw:
            own = ", ".join(f"{literal(n)}: {identifier(n)}" for n in part.raw.columns)
            inner += [f"{{{own}}} AS raw_row", *(f"{c.shown} AS s_{c.code}" for c in checks)]
            outer += ["raw_row", *(f"s_{c.code}" for c in checks)]
        return (
            f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {part.raw.relation} AS"
            f" source_row WHERE {part.kept})"
        )

    def _absent(self, name: str, column: StagedColumn, part: MappedPart) -> str:
        """A column that this part does not fill: empty, except a clock that other parts have."""
        event = self.contract.event_time
        if name == "known_at" and self._is_mapped("known_at") and event in part.columns:
            return f"v_{event} + {self._delay()}"
        return f"CAST(NULL AS {DUCKDB_TYPES[column.type]})"

    def _note_denied(self, checks: list[list[quarantine.Check]]) -> None:
        """Add accounts whose newest row withholds consent, or whose consent cannot be read."""
        if self.contract.table != "accounts" or not self._is_mapped("consent"):
            return
        unreadable = [
            str(1000 * i + c.code)
            for i, found in enumerate(checks)
            for c in found
            if c.column == "consent"
        ]
        long_ago = literal(datetime(1, 1, 1))
        newest = f"(coalesce(valid_from, {long_ago}), coalesce(known_at, {long_ago}))"
        self.connection.execute(
            f"INSERT INTO {DENIED} SELECT account_id FROM {self.mapped_table} WHERE account_id IS"
            " NOT NULL GROUP BY account_id HAVING max_by(coalesce(consent, true) AND"
            f" coalesce(problem NOT IN ({', '.join(unreadable)}), true), ({newest}, NOT"
            " coalesce(consent, true))) = false"
        )
        if self._is_mapped("merged_into"):
            # Whoever became part of an account that withheld consent withheld it too.
            self.connection.execute(
                f"INSERT INTO {DENIED} WITH RECURSIVE refused AS (SELECT account_id FROM {DENIED}"
                f" UNION SELECT m.account_id FROM {self.mapped_table} m JOIN refused r ON"
                " m.merged_into = r.account_id AND m.account_id IS NOT NULL) SELECT account_id"
                " FROM refused"
            )

    def _without_denied(self) -> dict[str, int]:
        """Take rows of accounts without consent out of the mapped table; rule -> rows."""
        denied = f"NOT {not_denied('account_id')}"
        count = row(self.connection, f"SELECT count(*) FROM {self.mapped_table} WHERE {denied}")[0]
        if count:
            self.connection.execute(f"DELETE FROM {self.mapped_table} WHERE {denied}")
        if self.contract.table == "accounts" and self._is_mapped("parent_account_id"):
            # A child stays, and no longer says whose it is.
            self.connection.execute(
                f"UPDATE {self.mapped_table} SET parent_account_id = NULL WHERE NOT"
                f" {not_denied('parent_account_id')}"
            )
        return {NO_CONSENT: count}

    def _resolved(self) -> versions.Resolved:
        """The good rows with versions and repeats dealt with."""
        key, names = self._key(), list(self._columns())
        if key and self._is_mapped("known_at"):
            return versions.spans(self.connection, self._good(), names, key)
        if self.contract.row_key:
            return versions.without_repeats(self.connection, self._good(), names)
        if key:
            return versions.one_per_key(self.connection, self._good(), names, key)
        return versions.unversioned(self.connection, self._good())

    def _store_repeated(self, resolved: versions.Resolved) -> None:
        if resolved.bad_rows is None:
            return
        self.connection.execute(
            f"INSERT INTO {self.quarantine_table} SELECT {literal(self.name)},"
            f" {literal(versions.DUPLICATE_KEY)}, * FROM ({resolved.bad_rows}) ORDER BY ALL LIMIT"
            f" greatest(0, {quarantine.STORED_ROWS} - (SELECT count(*) FROM"
            f" {self.quarantine_table}))"
        )

    def _delay(self) -> str:
        return f"to_microseconds({round(self.source.delay_days * US_PER_DAY)})"

    def _event(self) -> str:
        """When a row happened. Accounts without history happened when they were opened."""
        if self.contract.table == "accounts":
            return "coalesce(valid_from, created_at)"
        return self.contract.event_time or NOTHING

    def _known_from(self) -> str:
        return "known_at" if self._is_mapped("known_at") else f"{self._event()} + {self._delay()}"

    def _write(self, resolved: versions.Resolved) -> None:
        handed_on = ", ".join(self._handed_on())
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {self.table} AS SELECT {handed_on}, {self._known_from()} AS"
            " known_from, known_until, coalesce(partition, '') AS partition FROM"
            f" ({resolved.query})"
        )

    # --- what the staged table must satisfy

    def _refuse_contradictions(self) -> None:
        if self.contract.row_key and not self._is_mapped("known_at"):
            versions.refuse_contradicting_accounts(
                self.connection,
                self.table,
                self._places(),
                has_history=self._is_mapped("valid_from"),
            )

    def _refuse_other_currencies(self) -> None:
        if not self._is_mapped("currency"):
            return
        ours = self.project.currency
        found = rows(
            self.connection,
            f"SELECT upper(currency), count(*) AS n FROM {self.table} "
            f"WHERE upper(currency) <> {literal(ours)} GROUP BY 1 ORDER BY n DESC, 1",
        )
        if found:
            told = ", ".join(f"{currency}: {count:,} rows" for currency, count in found[:QUOTED])
            raise ContractError(
                f"{self._places()} holds amounts in other currencies than the project's {ours} "
                f"({told}). Convert them before tenure reads them, leave them out with keep, or"
                " set "
                f'currency = "{found[0][0]}" if that is what all reports should be in.'
            )

    def _summary(
        self,
        read: int,
        left_out: dict[str, int],
        bad: dict[str, int],
        newest_known: datetime | None,
        losses: tuple[Question | None, tuple[str, ...]],
    ) -> StagedSource:
        count, first, last = row(
            self.connection,
            f"SELECT count(*), min({self._event()}), max({self._event()}) FROM {self.table}",
        )
        return StagedSource(
            name=self.name,
            contract=self.contract,
            settings=self.source,
            columns=self._handed_on(),
            rows_read=read,
            rows_left_out=left_out,
            rows_bad=bad,
            rows_staged=count,
            first_event=first,
            last_event=last,
            newest_known=newest_known,
            has_known_at=self._is_mapped("known_at"),
            data_until=self._data_until(),
            notes=tuple(self.notes),
            files={name: mark for part in self.parts for name, mark in part.raw.files.items()},
            questions=(*self.questions, *filter(None, losses[:1])),
            losing_accounts=losses[1],
        )

    def _note_far_rows(self) -> None:
        """Say which rows of a source that may speak of days to come lie far beyond all others."""
        if self.end is None or self.end[1] != FAR_BEYOND or self.contract.table in RECORDS:
            return
        event, day = self._event(), self.end[0]
        count, last = row(
            self.connection,
            f"SELECT count(*), CAST(max({event}) AS DATE) FROM {self._good()}"
            f" WHERE {event} >= {literal(day)}",
        )
        if count:
            days = f"on {day}" if last == day else f"from {day} to {last}"
            self.notes.append(
                f"{count:,} {'row has' if count == 1 else 'rows have'} {event} {days}, far beyond"
                f" all others: no end of data is taken from {'it' if count == 1 else 'them'}."
            )

    def _data_until(self) -> dict[str, date]:
        """Partition -> first day not covered.

        Undeclared, it is the day of the newest row (by known_at where there is one, else by event
        time): that day may have been cut short by the export, so it is not counted as covered. A
        contract that begins years ahead, or was typed so, says nothing of how far the others reach.
        """
        newest = "known_from" if self._is_mapped("known_at") else self._event()
        reached = "true" if self.end is None else f"{newest} < {literal(self.end[0])}"
        found = dict(
            rows(
                self.connection,
                f"SELECT partition, CAST(coalesce(max({newest}) FILTER ({reached}), max({newest}))"
                f" AS DATE) FROM {self.table} GROUP BY partition ORDER BY partition",
            )
        )
        declared = self.source.data_until
        if declared is None:
            return {partition: day for partition, day in found.items() if day is not None}
        if isinstance(declared, date):
            return dict.fromkeys(found, declared)
        unknown = [partition for partition in found if partition not in declared]
        if unknown:
            raise ContractError(
                "data_until says nothing of the partitions "
                f"{', '.join(map(repr, unknown[:QUOTED]))}; it names {', '.join(declared)}. "
                "Add a date for each, or give one date for all."
            )
        # A partition that is declared but has no row is a silent feed, and stays in sight.
        return dict(declared)


def not_denied(account: str) -> str:
    """SQL: the account does not withhold consent, as the tables staged last say."""
    return f"coalesce({account} NOT IN (SELECT account_id FROM {DENIED}), true)"


def _counted(counts: dict[str, int]) -> dict[str, int]:
    return {rule: count for rule, count in counts.items() if count}
