"""Feature rows of one date in DuckDB, handed out some accounts at a time, so that memory stays
bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from features.sql import as_doubles, listed
from features.windows import day_number
from pipeline.engine.duckdb import Connection
from pipeline.engine.memory import rows_at_once
from pipeline.jobs.features import BEFORE_DAYS
from pipeline.storage import columns_hash

ROWS_READ_AT_ONCE = 50_000
"""Accounts scored and explained at a time, fewer where `[engine] memory_gb` holds fewer. Values do
not depend on it.
"""
BYTES_OF_AN_ACCOUNT = 70_000
"""Of an account with 400 signals while it is scored and explained, as estimated."""
_COLUMNS_HASHED = 8
_ROWS = "scoring_rows"


@dataclass(frozen=True)
class ScoringRows:
    """Rows of the date by account, numbered from 0 in the order of `account_id`."""

    connection: Connection
    columns: tuple[str, ...]
    day: date
    count: int

    def chunks(self, size: int | None = None) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Rows of the date and of the date before, by account; once without rows where there are
        none.
        """
        at_once = size or rows_at_once(BYTES_OF_AN_ACCOUNT, ROWS_READ_AT_ONCE)
        now = listed(self.columns, "r")
        earlier = as_doubles(self.columns, "f")
        for start in range(0, max(1, self.count), at_once):
            part = (
                f"from {_ROWS} r {{}} where r.place >= {start} and r.place < {start + at_once}"
                " order by r.place"
            )
            before = (
                "left join features f on f.account_id = r.account_id "
                f"and f.as_of_day = {day_number(self.day) - BEFORE_DAYS}"
            )
            yield (
                self._frame(f"select r.account_id, {now} {part.format('')}"),
                self._frame(f"select r.account_id, {earlier} {part.format(before)}"),
            )

    def frame(self) -> pd.DataFrame:
        """All rows of the date by account, in memory at once."""
        return self._frame(f"select account_id, {listed(self.columns)} from {_ROWS} order by place")

    def hash(self) -> str:
        """`content_hash` of all rows, read a few columns at a time."""
        return columns_hash(self._series())

    def relation(self, run_id: str) -> Any:
        """The rows with `as_of` and `run_id`, for the store to stream."""
        columns = listed(self.columns)
        return self.connection.sql(
            f"select account_id, {columns}, timestamp '{self.day}' as as_of, '{run_id}' as run_id "
            f"from {_ROWS} order by place"
        )

    def _series(self) -> "Iterator[tuple[str, pd.Series[Any]]]":
        names = sorted(("account_id", *self.columns))
        for start in range(0, len(names), _COLUMNS_HASHED):
            some = names[start : start + _COLUMNS_HASHED]
            rows = self.connection.execute(
                f"select {listed(some)} from {_ROWS} order by place"
            ).df()
            for name in some:
                yield name, rows[name]

    def _frame(self, query: str) -> pd.DataFrame:
        return self.connection.execute(query).df().set_index("account_id").astype("float64")


def scoring_rows(connection: Connection, columns: list[str], day: date) -> ScoringRows:
    """Number the feature rows of a date in the order of their accounts."""
    numbers = as_doubles(columns)
    connection.execute(f"""
create or replace temp table {_ROWS} as
select row_number() over (order by account_id) - 1 as place, account_id, {numbers}
from features where as_of_day = {day_number(day)} order by place""")
    [(count,)] = connection.execute(
        f"select count(*) from {_ROWS}"
    ).fetchall()  # a result left open blocks the connection
    return ScoringRows(connection, tuple(columns), day, int(count))
