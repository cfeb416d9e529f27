"""What staging hands on: where a source's rows are, what their columns mean, and what was left
behind.
"""

from dataclasses import dataclass
from datetime import date, datetime

from features.sources import ColumnType, Contract
from pipeline.config.schema import Source

DUCKDB_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "time": "TIMESTAMP",
    "money": "BIGINT",
    "number": "BIGINT",
    "flag": "BOOLEAN",
}


@dataclass(frozen=True)
class StagedColumn:
    """One column of a staged table; money and numbers are whole numbers of 10^-decimals."""

    type: ColumnType
    decimals: int = 0
    is_mapped: bool = False
    is_extra: bool = False


@dataclass(frozen=True)
class StagedSource:
    """A source that was read, checked and put into `staged_<name>`.

    `rows_read` = sum of `rows_left_out` + sum of `rows_bad` + `rows_staged`.

    Attributes
    ----------
    rows_left_out
        Rule of the project file or of the contract (`drop is_bot`, `identical rows`) -> rows.
    rows_bad
        Reason (`opened_at is not a time`) -> rows, all of them; `quarantine_<name>` stores the
        first of them.
    first_event, last_event
        Earliest and latest time of the contract's event column; None where it is not mapped.
    newest_known
        Latest `known_from`, also of versions that were superseded.
    data_until
        Partition -> first day no longer covered.
    notes
        Things a reader should know, in sentences (local times that occur twice, lookups without a
        match).
    """

    name: str
    table: str
    contract: Contract
    settings: Source
    columns: dict[str, StagedColumn]
    rows_read: int
    rows_left_out: dict[str, int]
    rows_bad: dict[str, int]
    rows_staged: int
    first_event: datetime | None
    last_event: datetime | None
    newest_known: datetime | None
    has_known_at: bool
    data_until: dict[str, date]
    notes: tuple[str, ...] = ()
