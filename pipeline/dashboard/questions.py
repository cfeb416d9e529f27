"""Every question that the server asks a page file; none can be asked without a scope."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from features.errors import ConfigError
from pipeline.dashboard.access import Scope
from pipeline.dashboard.schema import FORMAT, NOBODYS, current_file, unpacked
from pipeline.edge.page_values import restored

ROWS = 50
"""Accounts on one page of a list."""
CSV_ROWS = 200_000
MOST_SUMS = 400
"""Sums that are kept at a time; those of a hundred readers."""
MOST_FOUND = 1_000
"""Accounts that a search counts; who found more words the search more narrowly."""
PLACES = ("{accounts}", "{sums}", "{documents}")
SORTS: Mapping[str, str] = {
    "place": "sequence",
    "name": "name",
    "value": "value",
    "ends": "ends_on",
    "score": "health",
    "stake": "at_stake",
}
"""Names in addresses -> columns; nothing else is ever sorted by."""
FILTERS: Mapping[str, str] = {
    "band": "standing",
    "owner": "owner",
    "segment": "segment",
    "month": "month",
}
_TRIGRAM = 3
_FOUND = "sequence in (select rowid from search where search match :find)"
_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Wanted:
    """What a reader asked the list of accounts for."""

    filters: Mapping[str, str]
    only: str = ""
    """`calls`, `falls`, or empty: all."""
    find: str = ""
    sort: str = "place"
    is_down: bool = False
    page: int = 1


class PageFile:
    """One page file, read only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Immutable: no lock is taken and no other file is made beside it.
        self._file = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._file.row_factory = sqlite3.Row
        self._sums: dict[tuple[str, ...], list[sqlite3.Row]] = {}
        self._counts: dict[tuple[str, ...], int] = {}
        kept = self.about.get("format")
        if kept != FORMAT:
            raise ConfigError(
                f"{path} has format {kept}, this release reads {FORMAT}. Run `tenure pages`."
            )

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    @cached_property
    def about(self) -> dict[str, Any]:
        """What is true of the whole run; nothing in it is about one account."""
        return {
            name: json.loads(value)
            for name, value in self._file.execute("select name, value from about")
        }

    @cached_property
    def _dictionary(self) -> bytes:
        return bytes.fromhex(self.about["dictionary"])

    def ask(
        self, scope: Scope, question: str, parameters: Mapping[str, Any] | None = None
    ) -> list[sqlite3.Row]:
        """Rows of a question, which holds the scope's condition in one of `PLACES`.

        Raises
        ------
        TypeError
            The question has no place for the scope, or there is none.
        """
        if not isinstance(scope, Scope) or not any(place in question for place in PLACES):
            raise TypeError("a question to a page file takes a scope")
        asked = (
            question.replace("{accounts}", f"({scope.accounts})")
            .replace("{sums}", f"({scope.sums})")
            .replace("{documents}", f"({scope.documents})")
        )
        return self._file.execute(asked, {**scope.parameters, **(parameters or {})}).fetchall()

    # --- accounts

    def account(self, scope: Scope, account_id: str) -> dict[str, Any] | None:
        """What the page of an account shows; None: there is no such account for this reader."""
        rows = self.ask(
            scope,
            "select view from account_page join latest using (sequence)"
            " where {accounts} and account_id = :account",
            {"account": account_id},
        )
        if not rows:
            return None
        view: dict[str, Any] = restored(json.loads(unpacked(rows[0]["view"], self._dictionary)))
        return view

    def accounts(self, scope: Scope, wanted: Wanted, rows: int = ROWS) -> list[dict[str, Any]]:
        """One page of the list."""
        where, parameters = _where(wanted)
        column, way = SORTS[wanted.sort], "desc" if wanted.is_down else "asc"
        # What is not known comes last, whichever way; `sequence` makes the order one.
        order = (
            f"{column} {way}" if column == "sequence" else f"{column} {way} nulls last, sequence"
        )
        offset = "offset :offset"
        if scope.accounts == "1" and not where and order == "sequence asc":
            # Places are numbered without gaps: a far page need not walk over all before it.
            where, offset = " and sequence > :offset", ""
        source = "latest"
        if _FOUND in where and order == "sequence asc":
            # Words are found in the order of the list, so that one page needs no others.
            where = where.replace(_FOUND, "search match :find")
            source, order = "search cross join latest on sequence = search.rowid", "search.rowid"
        rows_there = self.ask(
            scope,
            f"select latest.* from {source} where {{accounts}}{where} order by {order}"
            f" limit :rows {offset}",
            {**parameters, "rows": rows, "offset": (wanted.page - 1) * rows},
        )
        return [_row(each) for each in rows_there]

    def count(self, scope: Scope, wanted: Wanted) -> int:
        """How many accounts the whole list has; of those that are searched for, `MOST_FOUND` and
        one where there are more.
        """
        filters = sorted(wanted.filters.items())
        key = (repr((filters, wanted.only, wanted.find)), scope.sums, *scope.parameters.values())
        return self._once(self._counts, key, lambda: self._counted(scope, wanted))

    def _once(
        self, kept: dict[tuple[str, ...], _Kept], key: tuple[str, ...], ask: Callable[[], _Kept]
    ) -> _Kept:
        """The file never changes, so nothing is counted twice for the same eyes."""
        if key not in kept:
            if len(kept) >= MOST_SUMS:
                kept.clear()
            kept[key] = ask()
        return kept[key]

    def _counted(self, scope: Scope, wanted: Wanted) -> int:
        if not wanted.find and not wanted.only:
            where, parameters = _where(wanted)
            rows = self.ask(
                scope,
                f"select coalesce(sum(accounts), 0) n from totals where {{sums}} and"
                f" ({scope.accounts}){where}",
                parameters,
            )
            return int(rows[0]["n"])
        where, parameters = _where(wanted)
        rows = self.ask(
            scope,
            f"select count(*) n from (select 1 from latest where {{accounts}}{where} limit :most)",
            {**parameters, "most": MOST_FOUND + 1 if wanted.find else -1},
        )
        return int(rows[0]["n"])

    def calls(self, scope: Scope, rows: int) -> list[dict[str, Any]]:
        """The accounts to work on, the first one first; where plays are planned those that their
        owner's hours reach.
        """
        answers = self.ask(
            scope,
            "select * from latest where {accounts} and place is not null"
            " and coalesce(is_listed, 1) order by place limit :rows",
            {"rows": rows},
        )
        return [_row(each) for each in answers]

    def leaving(self, scope: Scope, rows: int) -> list[dict[str, Any]]:
        """Accounts that gave notice or whose contract ended, the largest first."""
        answers = self.ask(
            scope,
            "select * from latest where {accounts} and standing = 'leaving'"
            " order by value desc nulls last, ends_on nulls last, account_id limit :rows",
            {"rows": rows},
        )
        return [_row(each) for each in answers]

    def falls(self, scope: Scope, rows: int) -> list[dict[str, Any]]:
        """Accounts whose score fell suddenly, by what is at stake."""
        answers = self.ask(
            scope,
            "select * from latest where {accounts} and usual is not null"
            " order by at_stake desc nulls last, account_id limit :rows",
            {"rows": rows},
        )
        return [_row(each) for each in answers]

    # --- sums

    def sums(self, scope: Scope, by: str) -> list[sqlite3.Row]:
        """Accounts, value and at stake by one of `FILTERS`, only of accounts the reader may sum."""
        column = FILTERS[by]
        key = (by, scope.sums, *scope.parameters.values())
        return self._once(self._sums, key, lambda: self._summed(scope, column))

    def _summed(self, scope: Scope, column: str) -> list[sqlite3.Row]:
        return self.ask(
            scope,
            f"select {column} as what, sum(accounts) as accounts, sum(value) as value,"
            " sum(at_stake) as at_stake, sum(calls) as calls, sum(falls) as falls,"
            " sum(case when standing in ('at_risk', 'high') then accounts else 0 end) as alarms,"
            " sum(case when standing = 'leaving' then accounts else 0 end) as leaving"
            f" from totals where {{sums}} group by {column} order by {column}",
        )

    # --- the rest

    def alerts(self, scope: Scope, account_id: str | None = None) -> list[sqlite3.Row]:
        """Alerts that go on, the newest first."""
        one = "" if account_id is None else " and account_id = :account"
        return self.ask(
            scope,
            "select * from alerts where exists (select 1 from latest"
            f" where latest.account_id = alerts.account_id and {{accounts}}){one}"
            " order by began desc, value desc nulls last, alert_id limit 500",
            {"account": account_id} if account_id is not None else None,
        )

    def document(self, scope: Scope, name: str) -> sqlite3.Row | None:
        """A page that was drawn once; None: there is no such page for this reader."""
        rows = self.ask(
            scope, "select * from documents where {documents} and name = :name", {"name": name}
        )
        return rows[0] if rows else None


class CurrentPages:
    """The page file that the pointer names, opened again when the pointer moved or the file was
    written anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: PageFile | None = None
        self._mark: tuple[Path, int, int] | None = None

    def current(self) -> PageFile | None:
        """The file that readers see; None where there is none."""
        path = current_file(self._folder)
        if path is None:
            return None
        stat = path.stat()
        mark = (path, stat.st_ino, stat.st_mtime_ns)
        if self._open is None or mark != self._mark:
            self._open, self._mark = PageFile(path), mark
        return self._open


def _where(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Conditions of a list, from names of ours and parameters."""
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for name, value in wanted.filters.items():
        parts.append(f"{FILTERS[name]} = :{name}")
        parameters[name] = value
    if wanted.only == "calls":
        parts.append("place is not null")
    if wanted.only == "falls":
        parts.append("usual is not null")
    find = wanted.find.strip()
    if len(find) >= _TRIGRAM:
        parts.append(_FOUND)
        parameters["find"] = '"' + find.replace('"', '""').replace("\0", "") + '"'
    elif find:
        parts.append("(name like :find escape '!' or account_id like :find escape '!')")
        escaped = find.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        parameters["find"] = f"{escaped}%"
    return "".join(f" and {part}" for part in parts), parameters


def _row(row: sqlite3.Row) -> dict[str, Any]:
    """An account as the lists' templates read it."""
    fall = None if row["usual"] is None else {"usual": row["usual"], "by": row["fell_by"]}
    return {
        **{name: row[name] for name in row.keys()},  # noqa: SIM118 - a Row iterates values
        "owner": _known(row["owner"]),
        "segment": _known(row["segment"]),
        "month": _known(row["month"]),
        "is_decided_later": bool(row["is_later"]),
        "summary": json.loads(row["summary"]),
        "reasons": json.loads(row["reasons"]),
        "fall": fall,
        "page": address(row["account_id"]),
    }


def _known(value: str) -> str:
    return "" if value == NOBODYS else value


def address(account_id: str) -> str:
    """Where the page of an account is: ids may hold slashes and dots, so they go as a value."""
    from urllib.parse import quote

    return f"/account?id={quote(account_id, safe='')}"


def choices(rows: Sequence[sqlite3.Row]) -> list[tuple[str, int]]:
    """Values of a filter with the accounts that have them."""
    return [(str(row["what"]), int(row["accounts"])) for row in rows if row["accounts"]]
