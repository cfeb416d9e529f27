"""The account that a person names, by its id or by its name, and accounts that agreed to
something.
"""

from difflib import get_close_matches

import pandas as pd

from features.errors import ConfigError, NotFound
from pipeline.workspace import Workspace

NEAREST_NAMES = 3
SHOWN_IDS = 5


def account_named(wanted: str, people: pd.DataFrame, where: str) -> str:
    """The id of the account that is called so.

    An id counts before a name; names are compared without case.

    Parameters
    ----------
    people
        account_id, name of the accounts that can be meant.
    where
        Where they are, in words: `in run 3f9c0a`.

    Raises
    ------
    NotFound
        Where no account is called so, naming the nearest, or several are, naming their ids.
    """
    if (people["account_id"] == wanted).any():
        return wanted
    names = people["name"].fillna("").str.casefold()
    ids = sorted(set(people["account_id"][names == wanted.casefold()]))
    if len(ids) == 1:
        return str(ids[0])
    if ids:
        shown = ", ".join(ids[:SHOWN_IDS])
        more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
        raise NotFound(
            f"{len(ids)} accounts {where} are called {wanted!r}: {shown}{more}. Name one by its id."
        )
    raise NotFound(
        f"no account {wanted!r} {where}. Nearest: {', '.join(_nearest(wanted, people))}."
    )


def _nearest(wanted: str, people: pd.DataFrame) -> list[str]:
    """The ids and names most like a word, each name with its id; any where none is like it."""
    label = {str(each).casefold(): str(each) for each in people["account_id"]}
    named = people.dropna(subset=["name"])
    for account_id, name in zip(named["account_id"], named["name"], strict=True):
        label[str(name).casefold()] = f"{name} ({account_id})"
    close = get_close_matches(wanted.casefold(), label, n=NEAREST_NAMES, cutoff=0.4)
    return (
        list(dict.fromkeys(label[each] for each in close)) or sorted(label.values())[:NEAREST_NAMES]
    )


def consenting(workspace: Workspace, column: str, asked_by: str) -> frozenset[str]:
    """Accounts of which a flag of the accounts source is true now.

    Raises
    ------
    ConfigError
        When the accounts have no such flag; `asked_by` is the key or option that named it.
    """
    name = workspace.source_named("accounts")
    if name is not None and workspace.store.exists(f"staged_{name}"):
        rows = workspace.store.read(f"staged_{name}")
        if column in rows:
            now = rows[rows["known_until"].isna()]
            return frozenset(now.loc[now[column].eq(True), "account_id"])
    raise ConfigError(
        f"{asked_by} = {column!r}: the accounts have no such column. Add it under"
        ' [sources.accounts.extra] with type = "flag".'
    )
