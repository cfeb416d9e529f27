"""What is kept of accounts, and for how long: deletion on request, and the retention period of
published tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd

from features.errors import NotFound
from pipeline.jobs.accounts import account_named
from pipeline.storage import Store
from pipeline.workspace import Workspace

ACCOUNT = "account_id"


@dataclass(frozen=True)
class Forgotten:
    """Rows removed by table, and pages removed because they named the account."""

    account_id: str
    rows: Mapping[str, int]
    pages: tuple[Path, ...]


def forget_account(workspace: Workspace, account: str) -> Forgotten:
    """Remove every row of an account (its id or name) from the store, earlier versions of the
    tables with it, and the pages that name it.

    Models are not trained anew: they hold no row of an account, only what all rows together taught.
    The source is not touched: an account that is still there comes back with the next staging.

    Raises
    ------
    NotFound
        When no table holds the account, naming the nearest, or several accounts have that name.
    """
    store = workspace.store
    tables = [name for name in store.tables() if ACCOUNT in store.columns(name)]
    account_id = _id_of(store, tables, account)
    names = {account_id, *_names_of(store, account_id)}
    pages = _pages_that_name(workspace.folder / "reports", names)
    rows = {name: store.erase(name, ACCOUNT, [account_id]) for name in tables}
    for page in pages:
        page.unlink()
    return Forgotten(account_id, {name: count for name, count in rows.items() if count}, pages)


def _id_of(store: Store, tables: Sequence[str], account: str) -> str:
    """The account's id: an id that any table holds, else the one published account of that name."""
    for table in tables:
        if len(store.read(table, columns=[ACCOUNT], filters=[(ACCOUNT, "=", account)])):
            return account
    if not store.exists("portfolio"):
        raise NotFound(
            f"no table of {store.folder} holds account {account!r}. Ids are written as in your"
            " tables; names are known once `tenure score` has published."
        )
    people = store.read("portfolio", columns=[ACCOUNT, "name"]).drop_duplicates()
    return account_named(account, people, f"in the tables of {store.folder}")


def drop_old_runs(store: Store, target: str, as_of: pd.Timestamp, keep_days: int) -> dict[str, int]:
    """Remove published rows of dates more than `keep_days` before a run; returns rows removed by
    table.

    The rows of `runs` stay: they say that and when a run was published, and hold no account.
    """
    published = store.read("scores", columns=["run_id", "as_of"], filters=[("target", "=", target)])
    old = sorted(set(published["run_id"][published["as_of"] < as_of - timedelta(days=keep_days)]))
    tables = [
        name
        for name in ("scores", "drivers", "portfolio", f"features_scored_{target}")
        if store.exists(name)
    ]
    removed = {name: store.erase(name, "run_id", old) for name in tables if old}
    return {name: count for name, count in removed.items() if count}


def _names_of(store: Store, account: str) -> set[str]:
    """Names the account had; pages show them instead of its id."""
    if not store.exists("portfolio"):
        return set()
    rows = store.read("portfolio", columns=[ACCOUNT, "name"])
    return {str(name) for name in rows["name"][rows[ACCOUNT] == account].dropna()}


def _pages_that_name(folder: Path, names: set[str]) -> tuple[Path, ...]:
    """Files under `reports/` that hold one of these names."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    wanted = [name.encode() for name in names]
    return tuple(file for file in files if any(name in file.read_bytes() for name in wanted))
