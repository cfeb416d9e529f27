"""What staging hands on and the store keeps, so that later commands need not read raw data again:
where a source's rows are, what their columns mean, and what was left behind.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from features.sources import CONTRACTS, ColumnType, Contract
from pipeline.config.schema import Source
from pipeline.staging.asking.question import Question, questions_from

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
    has_versions
        Whether some row was superseded by a later version.
    files
        Name of each file it was read from -> sha256 of its bytes.
    questions
        What its rows leave open: `check` and `run` stop until each is answered or accepted.
    entered_until
        Of contracts: the newest start, where the table ended before other sources did.
    losing_accounts
        Accounts most of whose rows or values cannot be read.
    """

    name: str
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
    has_versions: bool = False
    files: dict[str, str] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    entered_until: date | None = None
    losing_accounts: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """Name of the table with its rows."""
        return f"staged_{self.name}"

    @property
    def has_feeds(self) -> bool:
        """Whether its rows came through feeds that end at different dates."""
        return any(feed != "" for feed in self.data_until)

    def is_mapped(self, column: str) -> bool:
        """Whether the project file fills the column.

        False too for a column that the contract gained after the source was staged.
        """
        return column in self.columns and self.columns[column].is_mapped

    def unit(self, column: str) -> int:
        """Stored whole numbers in one unit of the column: 100 where cents are stored."""
        return int(10 ** self.columns[column].decimals)

    def to_json(self) -> str:
        """Facts as JSON; the contract by name, the settings left to the project file."""
        plain = asdict(self)
        plain["contract"] = self.contract.table
        del plain["settings"]
        return json.dumps(plain, sort_keys=True, default=str)


def from_json(text: str, settings: Source) -> StagedSource:
    """Back from JSON, with the settings of the project file."""
    plain: dict[str, Any] = json.loads(text)
    plain["contract"] = CONTRACTS[plain["contract"]]
    plain["columns"] = {name: StagedColumn(**column) for name, column in plain["columns"].items()}
    for name in ("first_event", "last_event", "newest_known"):
        plain[name] = datetime.fromisoformat(plain[name]) if plain[name] else None
    plain["data_until"] = {k: date.fromisoformat(v) for k, v in plain["data_until"].items()}
    plain["notes"] = tuple(plain["notes"])
    plain["losing_accounts"] = tuple(plain.get("losing_accounts", ()))
    plain["questions"] = questions_from(plain.get("questions", ()))
    if plain.get("entered_until"):
        plain["entered_until"] = date.fromisoformat(plain["entered_until"])
    return StagedSource(settings=settings, **plain)
