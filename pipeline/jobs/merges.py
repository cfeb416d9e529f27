"""Accounts that were merged into another: whose rows count as theirs, from when until when.

The one that was merged keeps a pointer to the one that was kept (`merged_into`) and the time of it
(`merged_at`). A chain is followed: A merged into B in March and B into C in May is held by A until
March, by B until May, by C from then on. Where B had become part of C before A came to it, A is
held by C at once.
"""

from collections.abc import Mapping

import pandas as pd

from features.errors import ConfigError, ContractError
from features.facts import SourceFacts
from features.naming import facts_table
from features.windows import OPEN_END, is_latest
from pipeline.engine.duckdb import Connection, rows
from pipeline.engine.facts import put_table, source_facts
from pipeline.staging.parts import QUOTED
from pipeline.staging.staged import StagedSource

Merges = Mapping[str, tuple[str, int]]
"""Account -> the account it was merged into, and when in microseconds."""


def merged_accounts(
    connection: Connection, staged: Mapping[str, StagedSource]
) -> SourceFacts | None:
    """The source that tells of merges, with its table `holders` made; None where no merges are
    mapped.

    Raises
    ------
    ConfigError
        No time of the merge is mapped.
    ContractError
        A merge has no time, an account was merged into two, into an unknown one, or merges go round
        in a circle.
    """
    source = next(
        (
            s
            for s in staged.values()
            if s.contract.table == "accounts" and s.is_mapped("merged_into")
        ),
        None,
    )
    if source is None:
        return None
    if not source.is_mapped("merged_at"):
        raise ConfigError(
            f"source {source.name} maps merged_into but not merged_at: without the time of the"
            " merge an earlier date would know of it. Map merged_at (often the time of the row's"
            " last change), or take merged_into out (a column of that name maps itself until it is"
            " renamed in the export)."
        )
    put_table(connection, "holders", holders(_merges(connection, source)))
    return source_facts(source, {})


def holders(merges: Merges) -> pd.DataFrame:
    """account_id, holder_id, from_us, until_us: of every merged account, whose rows are its own
    when.
    """
    spells = []
    for account in sorted(merges):
        path = [account]
        since = -OPEN_END
        while path[-1] in merges:
            kept, merged_us = merges[path[-1]]
            if kept in path:
                raise ContractError(
                    f"the merges of account {account} go round in a circle"
                    f" ({' -> '.join([*path, kept])}). Correct merged_into: the account that was"
                    " kept has none."
                )
            until = max(since, merged_us)
            spells.append((account, path[-1], since, until))
            path.append(kept)
            since = until
        spells.append((account, path[-1], since, OPEN_END))
    table = pd.DataFrame(
        [f for f in spells if f[2] < f[3]],
        columns=["account_id", "holder_id", "from_us", "until_us"],
    )
    return table.astype(
        {"account_id": "str", "holder_id": "str", "from_us": "int64", "until_us": "int64"}
    )


def _merges(connection: Connection, source: StagedSource) -> dict[str, tuple[str, int]]:
    """What the newest versions of the rows say."""
    table = facts_table(source.name)
    merged = rows(
        connection,
        f"select distinct f.account_id, f.merged_into, f.merged_at from {table} f "
        f"where f.merged_into is not null and {is_latest('f')} order by 1, 2, 3",
    )
    undated = [account for account, _, merged_us in merged if merged_us is None]
    if undated:
        raise ContractError(
            f"source {source.name}: {len(undated):,} accounts with merged_into have no merged_at,"
            f" such as {', '.join(undated[:QUOTED])}. Fill it in the export, or leave their"
            " merged_into empty."
        )
    repeated = [
        f"{one[0]} (into {one[1]} and {two[1]})"
        for one, two in zip(merged, merged[1:], strict=False)
        if one[0] == two[0]
    ]
    if repeated:
        raise ContractError(
            f"source {source.name}: accounts were merged more than once, such as"
            f" {', '.join(repeated[:QUOTED])}. Keep one merged_into and one merged_at per"
            " account; where the kept account was merged later, that row says so."
        )
    known = {
        account for (account,) in rows(connection, f"select distinct f.account_id from {table} f")
    }
    lost = [f"{account} into {kept}" for account, kept, _ in merged if kept not in known]
    if lost:
        raise ContractError(
            f"source {source.name}: {len(lost):,} accounts were merged into accounts that it does"
            f" not hold, such as {', '.join(lost[:QUOTED])}. Add the kept accounts to the export,"
            " or leave such merged_into empty."
        )
    return {account: (kept, merged_us) for account, kept, merged_us in merged}
