"""What is removed of accounts: deletion on request, and consent that was withdrawn.

Both walk `pipeline/kept.py`, as `retention.py` does for what is old.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import ConfigError, NotFound, StoreError
from pipeline.artefacts import note_again
from pipeline.dashboard.access import ACCESS, forget_in_audit
from pipeline.dashboard.inbox import inbox_of
from pipeline.dashboard.schema import ENDING, PAGES
from pipeline.edge.faults import said
from pipeline.edge.file_names import file_name
from pipeline.edge.scratch import remove_left_behind
from pipeline.edge.text import visible
from pipeline.jobs.accounts import account_named
from pipeline.kept import ACCOUNT, INBOX_KEPT, Kept, kept_as
from pipeline.ledger import note_removed_rows
from pipeline.staging.roll_up import INSIDE_ACCOUNT
from pipeline.storage import Store
from pipeline.workspace import Workspace

FORGOTTEN = "(forgotten)"
NAME = "name"


@dataclass(frozen=True)
class Forgotten:
    """Rows removed by table, and files removed because they named the account."""

    account_id: str
    rows: Mapping[str, int]
    pages: tuple[Path, ...]


def forget_account(workspace: Workspace, account: str) -> Forgotten:
    """Remove every trace of an account (its id or name) from the store, earlier versions of its
    tables with it, and the pages that name it.

    Models and what MLflow keeps stay: they name no account, only what all rows together taught.
    The source is not touched: an account that is still there comes back with the next staging.

    Raises
    ------
    NotFound
        When no table holds the account, naming the nearest, or several accounts have that name.
    ConfigError
        When its rows are counted with its parent's.
    """
    store = workspace.store
    begun = _begun(store)
    if begun is not None:
        resumed = _remove(workspace, *begun)
        if account in (resumed.account_id, *begun[1]):
            return resumed
    account_id = _id_of(store, account)
    _refuse_child(store, account_id)
    return _forget(workspace, [account_id])


def forget_without_consent(workspace: Workspace, denied: Iterable[str]) -> Forgotten | None:
    """Remove what is kept of accounts that withhold consent, and go on with a deletion that was
    stopped; None where there is neither.
    """
    begun = _begun(workspace.store)
    if begun is not None:
        _remove(workspace, *begun)
    denied = {*denied}
    _forget_told(workspace, sorted(denied), ())
    accounts = _held(workspace.store, denied)
    return _forget(workspace, accounts) if accounts else None


def _forget(workspace: Workspace, accounts: Sequence[str]) -> Forgotten:
    store = workspace.store
    ids = _with_merged(store, accounts)
    return _remove(workspace, ids, _words_of(store, ids))


def _remove(workspace: Workspace, ids: Sequence[str], words: Sequence[str]) -> Forgotten:
    """Remove files, then rows table by table. What stops half way is gone on with: whose words are
    still there is noted in the store until the last of them is gone.
    """
    store = workspace.store
    files = _files_that_name(workspace.folder / "reports", ids, words)
    # Whole: their pages are compressed against one another. The next publication writes them anew.
    files += sorted((workspace.folder / PAGES).glob(f"*/*{ENDING}"))
    forget_in_audit(workspace.folder / PAGES / ACCESS, [*ids])
    forgotten = _forget_told(workspace, ids, words)
    rows: dict[str, int] = {INBOX_KEPT.table: forgotten}
    left = [name for name in store.tables() if kept_table(store, name).names_accounts]
    # Pages and small tables first: on a full disk they make the room that large ones need.
    left.sort(key=lambda name: (store.size(name), name))
    try:
        for file in files:
            file.unlink()
        _note(store).write_text(json.dumps({"ids": [*ids], "words": [*words]}), encoding="utf-8")
        while left:
            rows[left[0]] = _erase(store, left[0], kept_table(store, left[0]), ids, words)
            del left[0]
        note_removed_rows(store)
        note_again(workspace, "accounts deleted on request or without consent")
        _note(store).unlink()
    except OSError as error:
        raise StoreError(
            f"{len(rows) - 1} tables are rid of {ids[0]}, and {len(left)} are not:"
            f" {', '.join(left) or 'none'}. {said(error)}. Make room, then run `tenure forget"
            f" {ids[0]}` again: it goes on there, as the next `tenure score` does."
        ) from error
    remove_left_behind()
    return Forgotten(ids[0], {name: count for name, count in rows.items() if count}, (*files,))


def _forget_told(workspace: Workspace, ids: Sequence[str], words: Sequence[str]) -> int:
    """Take accounts out of what people told on the dashboard: their entries go, of other entries
    the note that names them.
    """
    named = re.compile(_whole_words(words), re.IGNORECASE) if words else None
    return inbox_of(workspace.folder / PAGES).forget(
        lambda told: told.entry.account_id in ids,
        lambda told: named is not None and bool(named.search(f"{told.entry.note}\n{told.refused}")),
    )


def _note(store: Store) -> Path:
    return store.folder / ".forgetting"


def _begun(store: Store) -> tuple[list[str], list[str]] | None:
    """Ids and words of a deletion that was stopped."""
    try:
        note = json.loads(_note(store).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:  # half a note: no table was touched yet
        _note(store).unlink()
        return None
    return note["ids"], note["words"]


def _erase(store: Store, table: str, kept: Kept, ids: Sequence[str], words: Sequence[str]) -> int:
    """Take the accounts out of one table and its past; returns the rows that went."""
    if kept.is_cache:
        store.drop(table)
        return 0
    if table == "staged_sources":
        return _erase_quotes(store, table, words)
    columns = store.columns(table)
    conditions = [
        *(is_one_of(name, ids) for name in kept.accounts if name in columns),
        *(_names_one_of(name, words) for name in kept.texts if name in columns),
    ]
    blank = {name: is_one_of(name, ids) for name in kept.mentions if name in columns}
    count = store.erase(table, reduce(or_, conditions, pc.scalar(False)), blank=blank)
    store.give_up_versions(table)
    return count


def is_one_of(column: str, values: Sequence[str]) -> pc.Expression:
    # Read as text: a column of a category or a wide string compares with nothing else.
    return pc.field(column).cast(pa.string()).isin(list(values))


def _names_one_of(column: str, words: Sequence[str]) -> pc.Expression:
    """Whether a text holds one of the words whole, in any case, as it is or as JSON writes it."""
    forms = {form for word in words for form in (word, json.dumps(word, ensure_ascii=False)[1:-1])}
    return pc.match_substring_regex(pc.field(column), pattern=_whole_words(forms), ignore_case=True)


def _whole_words(words: Iterable[str]) -> str:
    """A pattern that RE2 and Python read alike; an id "1" is no part of "2019"."""
    escaped = "|".join(re.sub(r"([!-/:-@\[-^`{-~])", r"\\\1", word) for word in sorted(words))
    return rf"(^|[^\w])({escaped})($|[^\w])"


def _erase_quotes(store: Store, table: str, words: Sequence[str]) -> int:
    """Take the words out of notes and questions that quote values of a source."""
    pattern = re.compile(_whole_words(words), re.IGNORECASE)

    def without(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(rf"\1{FORGOTTEN}\3", value)
        if isinstance(value, list):
            return [without(each) for each in value]
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items()}
        return value

    entries = store.read(table)
    facts = []
    for text in entries["facts"]:
        plain = json.loads(text)
        quoting = {key: without(plain[key]) for key in ("notes", "questions") if key in plain}
        facts.append(json.dumps({**plain, **quoting}, sort_keys=True))
    if facts != list(entries["facts"]):
        store.write(table, pa.Table.from_pandas(entries.assign(facts=facts), preserve_index=False))
    store.give_up_versions(table)
    return 0


# --- whose words


def kept_table(store: Store, table: str) -> Kept:
    return kept_as(table, tuple(store.columns(table)))


def _id_of(store: Store, account: str) -> str:
    """The account's id: an id that anything kept holds, else the one account of that name."""
    if _held(store, [account]):
        return account
    people = pd.DataFrame(_named(store), columns=[ACCOUNT, NAME]).drop_duplicates()
    if people.empty:
        raise NotFound(
            f"no table of {store.folder} holds account {account!r}. Ids are written as in your"
            " tables; names are known once your accounts were read."
        )
    return account_named(account, people, f"in the tables of {store.folder}")


def _refuse_child(store: Store, account_id: str) -> None:
    if not store.exists("families"):
        return
    families = store.read("families")
    roots = list(families["root_id"][families[ACCOUNT] == account_id])
    if roots:
        raise ConfigError(
            f"the rows of {account_id} are counted with those of {roots[0]} and cannot be told"
            " apart. Delete it at the source, run `tenure run`, then forget it: what is left of it"
            f" are earlier versions. Or forget {roots[0]}, which removes all of the family."
        )


def _held(store: Store, accounts: Iterable[str]) -> list[str]:
    """Those of the accounts of which any file of the store, of whatever version, holds a row."""
    wanted = sorted(set(accounts))
    if not wanted:
        return []
    rows = _kept_rows(store, (ACCOUNT,), lambda: is_one_of(ACCOUNT, wanted))
    return sorted({str(account) for (account,) in rows})


def _named(store: Store) -> Iterator[tuple[str, str]]:
    """Ids with every name they have or had."""
    for account, name in _kept_rows(store, (ACCOUNT, NAME)):
        yield str(account), str(name)


def _with_merged(store: Store, accounts: Sequence[str]) -> list[str]:
    """The accounts, and those that became part of them."""
    became = set(_kept_rows(store, (ACCOUNT, "merged_into")))
    ids = list(accounts)
    while more := sorted({part for part, whole in became if whole in ids} - {*ids}):
        ids += more
    return ids


def _words_of(store: Store, ids: Sequence[str]) -> list[str]:
    """What tells who an account is: ids, names, and addresses of its people."""
    words = set(ids)

    def mine() -> pc.Expression:
        return is_one_of(ACCOUNT, ids)

    words |= {str(name) for _, name in _kept_rows(store, (ACCOUNT, NAME), mine)}
    for column in INSIDE_ACCOUNT:
        # `u1` is somebody else elsewhere, an address is nobody else.
        people = {str(person) for _, person in _kept_rows(store, (ACCOUNT, column), mine)}
        words |= {person for person in people if "@" in person}
    return sorted(word for word in words if word.strip())


def _kept_rows(
    store: Store, columns: tuple[str, ...], only: Callable[[], pc.Expression] | None = None
) -> Iterator[tuple[Any, ...]]:
    """Distinct values of some columns in every file of every version that has them all."""
    for table in store.tables():
        for file in sorted(store.path(table).rglob("*.parquet")):
            if "_delta_log" in file.parts:
                continue
            try:
                if not set(columns) <= set(pq.read_schema(file).names):
                    continue
                rows = pq.read_table(
                    file, columns=list(columns), filters=only() if only else None, partitioning=None
                )
            except (OSError, pa.ArrowException):
                continue  # half a file of a writer that was killed; readers are told of others
            distinct = rows.group_by(list(columns)).aggregate([])
            for row in zip(*(distinct[name].to_pylist() for name in columns), strict=True):
                if None not in row:
                    yield row


def _files_that_name(folder: Path, ids: Sequence[str], words: Sequence[str]) -> list[Path]:
    """Files in a folder that name one of the accounts, as text or as their own name."""
    own = {file_name(account, ending) for account in ids for ending in (".html", ".json", ".csv")}
    seen = {form for word in words for form in _as_drawn(word)}
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and (file.name in own or any(form in text_of(file) for form in seen))
    ]


def _as_drawn(word: str) -> set[str]:
    """The word as pages and files write it."""
    shown = visible(word, one_line=True)
    forms = {word, shown, visible(word)}
    forms |= {json.dumps(form)[1:-1] for form in tuple(forms)}
    return forms | {form.replace('"', '""') for form in tuple(forms)}


def text_of(file: Path) -> str:
    """The bytes as text, with the escapes of pages undone beside them; of Parquet the values."""
    if file.suffix == ".parquet":
        with suppress(OSError, pa.ArrowException):
            columns = pq.read_table(file, partitioning=None).columns
            return "\n".join(
                str(value) for column in columns for value in column.unique().to_pylist()
            )
    text = file.read_bytes().decode("utf-8", "replace")
    return text + html.unescape(text) if "&" in text else text
