"""Rows that became known later than rows of their source usually do.

A run sees what was known before its date. What happened before that date and reached your systems
after it is news of the data, not of the customer: read as if it had come in time, it tells what the
run would have said. Rows that took no longer than usual are left as they are: the last hours before
every run arrive after it. Contracts, goals and the like say from when something holds, not when it
was agreed: what is known of them later is news of the customer.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from pipeline.engine.duckdb import Connection, literal, row
from pipeline.staging.reach import RECORDS
from pipeline.staging.staged import StagedSource

SHARE_IN_TIME = 0.95
"""Share of a source's rows that came within what is called its usual lag."""
LAG_DAYS = 365
"""How far back rows tell the usual lag."""


@dataclass(frozen=True)
class InTime:
    """Staged rows as if those that came late between two dates had come in time.

    Rows are late that happened before `first` and became known on it or later, but before `last`.
    """

    first: date
    last: date

    def relation(self, connection: Connection, source: StagedSource, relation: str) -> str:
        """The relation of a staged source, its late rows known from when they happened.

        A later version of a row stays as it is: what it changes is dated by when it was made known.
        """
        late = self._late(connection, source, relation)
        if late is None:
            return relation
        return (
            f"(SELECT r.* REPLACE (CASE WHEN {late} THEN r.{source.contract.event_time} ELSE"
            f" r.known_from END AS known_from) FROM {relation} r)"
        )

    def has_late_rows(self, connection: Connection, source: StagedSource, relation: str) -> bool:
        """Whether any row of a staged source came late."""
        late = self._late(connection, source, relation)
        if late is None:
            return False
        return bool(row(connection, f"SELECT count(*) FROM {relation} r WHERE {late}")[0])

    def _late(self, connection: Connection, source: StagedSource, relation: str) -> str | None:
        """Condition on a row `r`; None where no row of the source can be late."""
        event = source.contract.event_time
        is_record = source.contract.table in RECORDS and event in source.columns
        if not is_record or not source.has_known_at or self.first >= self.last:
            return None
        lag = f"date_diff('day', r.{event}, r.known_from)"
        (usual,) = row(
            connection,
            f"SELECT quantile_disc(greatest({lag}, 0), {SHARE_IN_TIME}) FROM {relation} r WHERE"
            f" r.known_from < {literal(self.last)} AND r.{event} >="
            f" {literal(self.first - timedelta(days=LAG_DAYS))}",
        )
        if usual is None:
            return None
        late = (
            f"r.known_from >= {literal(self.first)} AND r.known_from < {literal(self.last)}"
            f" AND r.{event} < {literal(self.first)} AND {lag} > {usual}"
        )
        if source.has_versions:
            # A version that takes another's place begins when that one ends.
            late += (
                f" AND NOT EXISTS (SELECT 1 FROM {relation} v WHERE v.account_id = r.account_id AND"
                f" v.{event} = r.{event} AND v.known_until = r.known_from)"
            )
        return late
