"""What is kept of a staged source beside its rows, so that later commands need not read raw data
again.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from features.sources import CONTRACTS, Contract
from pipeline.config.schema import Source


@dataclass(frozen=True)
class StagedFacts:
    """A staged source as later jobs know it; `columns` maps a name to type, decimals, is_mapped,
    is_extra.
    """

    name: str
    contract: Contract
    settings: Source
    columns: dict[str, dict[str, Any]]
    rows_read: int
    rows_left_out: dict[str, int]
    rows_bad: dict[str, int]
    rows_staged: int
    first_event: datetime | None
    last_event: datetime | None
    newest_known: datetime | None
    has_known_at: bool
    data_until: dict[str, date]
    notes: tuple[str, ...]
    has_versions: bool
    """Whether some row was superseded by a later version."""

    @property
    def has_feeds(self) -> bool:
        """Whether its rows came through feeds that end at different dates."""
        return any(feed != "" for feed in self.data_until)

    def to_json(self) -> str:
        """Facts as JSON; the contract by name, the settings left to the project file."""
        plain = asdict(replace(self, contract=self.contract, settings=self.settings))
        plain["contract"] = self.contract.table
        del plain["settings"]
        return json.dumps(plain, sort_keys=True, default=str)


def staged_facts(staged: Any, *, has_versions: bool) -> StagedFacts:
    """From what staging returns."""
    return StagedFacts(
        name=staged.name,
        contract=staged.contract,
        settings=staged.settings,
        columns={n: asdict(c) for n, c in staged.columns.items()},
        rows_read=staged.rows_read,
        rows_left_out=dict(staged.rows_left_out),
        rows_bad=dict(staged.rows_bad),
        rows_staged=staged.rows_staged,
        first_event=staged.first_event,
        last_event=staged.last_event,
        newest_known=staged.newest_known,
        has_known_at=staged.has_known_at,
        data_until=dict(staged.data_until),
        notes=tuple(staged.notes),
        has_versions=has_versions,
    )


def from_json(text: str, settings: Source) -> StagedFacts:
    """Back from JSON, with the settings of the project file."""
    plain = json.loads(text)
    plain["contract"] = CONTRACTS[plain["contract"]]
    for name in ("first_event", "last_event", "newest_known"):
        plain[name] = datetime.fromisoformat(plain[name]) if plain[name] else None
    plain["data_until"] = {k: date.fromisoformat(v) for k, v in plain["data_until"].items()}
    plain["notes"] = tuple(plain["notes"])
    return StagedFacts(settings=settings, **plain)
