"""Children counted for their parents: one account id for a family, in every source, and no row
twice.

The rule, where the project says `roll_up = "parent"`: every row of a child is a row of the topmost
parent, and the child is no account of its own any more. The parent of an account never changes: one
that does would let a date see a purchase of later, so it is refused. A parent that is not among the
accounts (or withheld consent) is passed over. People keep their children apart: user u1 of two
children is two people.
"""

from dataclasses import replace

import pandas as pd

from features.errors import ConfigError, ContractError
from pipeline.engine.duckdb import Connection, rows
from pipeline.staging.parts import QUOTED
from pipeline.staging.staged import StagedSource

CHILDREN = "children, counted with their parent"
# Ids that are unique inside an account only.
INSIDE_ACCOUNT = ("user_id", "session_id", "person")
FAMILIES = ("account_id", "root_id")


def families(connection: Connection, accounts: StagedSource) -> pd.DataFrame:
    """account_id and root_id of every account that has a parent among the accounts.

    Raises
    ------
    ContractError
        No parents are mapped, a parent changed, or parents go round in a circle.
    """
    if not accounts.is_mapped("parent_account_id"):
        raise ConfigError(
            'roll_up = "parent" needs the column parent_account_id of accounts. Map it, or take'
            " roll_up out."
        )
    changed = rows(
        connection,
        "SELECT account_id, string_agg(DISTINCT coalesce(parent_account_id, 'none'), ', ') "
        f"FROM {accounts.table} GROUP BY 1 "
        "HAVING count(DISTINCT coalesce(parent_account_id, '')) > 1 ORDER BY 1",
    )
    if changed:
        conflicts = "; ".join(f"{account}: {parents}" for account, parents in changed[:QUOTED])
        raise ContractError(
            f'{len(changed):,} accounts change their parent ({conflicts}). With roll_up = "parent"'
            " a parent must never change, else earlier dates would know of a later purchase. Give"
            ' such accounts a new id, or set roll_up = "none".'
        )
    known = dict(
        rows(
            connection,
            f"SELECT DISTINCT account_id, parent_account_id FROM {accounts.table} ORDER BY 1",
        )
    )
    parents = {
        child: parent for child, parent in known.items() if parent in known and parent != child
    }
    roots = [(child, _root(child, parents)) for child in sorted(parents)]
    return pd.DataFrame(roots, columns=list(FAMILIES)).astype("str")


def _root(child: str, parents: dict[str, str]) -> str:
    """The topmost parent."""
    path = [child]
    while path[-1] in parents:
        path.append(parents[path[-1]])
        if path[-1] in path[:-1]:
            raise ContractError(
                f"the parents of account {child} go round in a circle ({' -> '.join(path)}). "
                "Correct parent_account_id."
            )
    return path[-1]


def roll_up(connection: Connection, source: StagedSource, roots: pd.DataFrame) -> StagedSource:
    """One source with children's rows under their root; of accounts only the roots stay."""
    connection.register("families", roots)
    if source.contract.table == "accounts":
        kept = f"{_kept_accounts(source)} WHERE account_id NOT IN (SELECT account_id FROM families)"
        connection.execute(f"CREATE OR REPLACE TABLE {source.table} AS {kept}")
        left = rows(connection, f"SELECT count(*) FROM {source.table}")[0][0]
        gone = {CHILDREN: source.rows_staged - left} if left < source.rows_staged else {}
        source = replace(source, rows_staged=left, rows_left_out={**source.rows_left_out, **gone})
    else:
        own = [name for name in INSIDE_ACCOUNT if name in source.columns and source.is_mapped(name)]
        qualified = "".join(
            f", CASE WHEN family.root_id IS NULL THEN staged.{name} ELSE staged.account_id || '/'"
            f" || staged.{name} END AS {name}"
            for name in own
        )
        connection.execute(
            f"CREATE OR REPLACE TABLE {source.table} AS SELECT staged.* REPLACE"
            f" (coalesce(family.root_id, staged.account_id) AS account_id{qualified}) FROM"
            f" {source.table} AS staged LEFT JOIN families AS family ON family.account_id ="
            " staged.account_id"
        )
    connection.unregister("families")
    return source


def _kept_accounts(source: StagedSource) -> str:
    """SELECT of accounts, to which a WHERE about their id is added; who was merged into a child was
    merged into its root.
    """
    if not source.is_mapped("merged_into"):
        return f"SELECT * FROM {source.table}"
    return (
        "SELECT * FROM (SELECT staged.* REPLACE (CASE WHEN family.root_id IS NULL THEN"
        " staged.merged_into WHEN family.root_id <> staged.account_id THEN family.root_id END AS"
        f" merged_into) FROM {source.table} AS staged LEFT JOIN families AS family ON"
        " family.account_id = staged.merged_into) AS merged"
    )
