"""Rows that share a key: identical ones collapse, versions get a span of time, contradictions are
refused.
"""

from dataclasses import dataclass, field

from features.errors import ContractError
from pipeline.engine.duckdb import Connection, literal, row, rows
from pipeline.staging.parts import QUOTED

IDENTICAL = "identical rows"
SUPERSEDED_AT_ONCE = "superseded at the same known_at"
RETRACTED = "retractions (is_deleted)"
DUPLICATE_KEY = "duplicate row_key"
NO_END = "CAST(NULL AS TIMESTAMP)"


@dataclass(frozen=True)
class Resolved:
    """A query for the surviving rows, with `known_until`, and what was left behind."""

    query: str
    left_out: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    bad_rows: str | None = None
    """Query (column, value, row as JSON) of rows refused here."""


def spans(connection: Connection, good: str, columns: list[str], key: tuple[str, ...]) -> Resolved:
    """Versions of rows: each is known from its `known_at` until the next one of its key.

    Worked example, key 7 (known_at: amount): 03-01: 100, 03-05: 120, 03-09: is_deleted, 03-20: 120.
    Rows: 100 known 03-01..03-05, 120 known 03-05..03-09, 120 known from 03-20; nothing between
    03-09 and 03-20. Of two versions with the same known_at nobody could have seen the first: the
    last in the order of all columns stays, whatever the order of the input.
    """
    keys = ", ".join(key)
    order = ", ".join(f"{column} DESC NULLS LAST" for column in columns)
    distinct = f"SELECT DISTINCT {', '.join(columns)} FROM {good}"
    latest = (
        f"SELECT * FROM ({distinct}) QUALIFY row_number() OVER (PARTITION BY {keys}, known_at "
        f"ORDER BY {order}) = 1"
    )
    spanned = (
        f"SELECT *, lead(known_at) OVER (PARTITION BY {keys} ORDER BY known_at) AS known_until FROM"
        f" ({latest})"
    )
    total, n_distinct, n_latest, n_deleted = row(
        connection,
        f"SELECT (SELECT count(*) FROM {good}), (SELECT count(*) FROM ({distinct})), count(*), "
        f"count(*) FILTER (WHERE coalesce(is_deleted, false)) FROM ({latest})",
    )
    left_out = {
        IDENTICAL: total - n_distinct,
        SUPERSEDED_AT_ONCE: n_distinct - n_latest,
        RETRACTED: n_deleted,
    }
    return Resolved(
        f"SELECT * FROM ({spanned}) WHERE NOT coalesce(is_deleted, false)", _counted(left_out)
    )


def unversioned(connection: Connection, good: str) -> Resolved:
    """Rows without versions; one marked `is_deleted` is gone, and nobody says since when."""
    deleted = row(connection, f"SELECT count(*) FROM {good} WHERE is_deleted")[0]
    return Resolved(
        f"SELECT *, {NO_END} AS known_until FROM {good} WHERE NOT coalesce(is_deleted, false)",
        _counted({RETRACTED: deleted}),
    )


def without_repeats(connection: Connection, good: str, columns: list[str]) -> Resolved:
    """Rows that are equal in every column collapse into one."""
    live = f"SELECT {', '.join(columns)} FROM {good} WHERE NOT coalesce(is_deleted, false)"
    distinct = f"SELECT DISTINCT * FROM ({live})"
    total, n_live, n_distinct = row(
        connection,
        f"SELECT (SELECT count(*) FROM {good}), (SELECT count(*) FROM ({live})), "
        f"(SELECT count(*) FROM ({distinct}))",
    )
    left_out = {IDENTICAL: n_live - n_distinct, RETRACTED: total - n_live}
    return Resolved(f"SELECT *, {NO_END} AS known_until FROM ({distinct})", _counted(left_out))


def one_per_key(
    connection: Connection, good: str, columns: list[str], key: tuple[str, ...]
) -> Resolved:
    """Rows with a key but no `known_at`: identical ones collapse, others of one key are bad."""
    keys = ", ".join(key)
    live = f"SELECT {', '.join(columns)} FROM {good} WHERE NOT coalesce(is_deleted, false)"
    distinct = f"SELECT DISTINCT * FROM ({live})"
    counted = f"SELECT *, count(*) OVER (PARTITION BY {keys}) AS rows_of_key FROM ({distinct})"
    total, n_live, n_distinct, n_repeated = row(
        connection,
        f"SELECT (SELECT count(*) FROM {good}), (SELECT count(*) FROM ({live})), count(*), "
        f"count(*) FILTER (WHERE rows_of_key > 1) FROM ({counted})",
    )
    left_out = {IDENTICAL: n_live - n_distinct, RETRACTED: total - n_live}
    surviving = (
        f"SELECT * EXCLUDE (rows_of_key), {NO_END} AS known_until FROM ({counted}) "
        "WHERE rows_of_key = 1"
    )
    repeated = (
        f"SELECT {literal(key[-1])}, CAST({key[-1]} AS VARCHAR), CAST(to_json(twin) AS VARCHAR)"
        f" FROM (SELECT * EXCLUDE (rows_of_key) FROM ({counted}) WHERE rows_of_key > 1) AS twin"
    )
    return Resolved(
        surviving,
        _counted(left_out),
        _counted({DUPLICATE_KEY: n_repeated}),
        repeated if n_repeated else None,
    )


def refuse_contradicting_accounts(
    connection: Connection, table: str, place: str, *, has_history: bool
) -> None:
    """Stop where one account (at one `valid_from`) is described in two ways."""
    key = "account_id, valid_from" if has_history else "account_id"
    repeated = rows(
        connection,
        f"SELECT {key}, count(*) OVER () FROM {table} GROUP BY {key} HAVING count(*) > 1 "
        f"ORDER BY {key} LIMIT {QUOTED}",
    )
    if not repeated:
        return
    examples = ", ".join(" from ".join(str(v) for v in found[:-1]) for found in repeated)
    help_ = (
        "Two rows of one account need different valid_from."
        if has_history
        else (
            "Keep one row per account, or map valid_from where the rows are a history of"
            " attributes."
        )
    )
    raise ContractError(
        f"{place}: {repeated[0][-1]:,} accounts have several rows that differ, such as {examples}. "
        f"{help_}"
    )


def _counted(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
