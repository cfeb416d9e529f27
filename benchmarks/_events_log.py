"""A generated event log for `benchmarks.features`: same size, same bytes."""

import tempfile
from pathlib import Path

from pipeline.engine.duckdb import connected

FIRST_DAY, DAYS = (
    18_993,
    728,
)  # 2022-01-01; two years, so that the last dates have a full window before their longest
LATE_SHARE = 20
"""One row in so many reaches us 1 to 20 days late."""
USERS = 12
"""Most users of one account; a few of them do most."""

# hash() is DuckDB's and stable; row order is by time, as logs are written.
_LOG = """
select 'A' || lpad(cast(account as varchar), 6, '0') as account_id,
  'U' || lpad(cast(account * {users} + person as varchar), 7, '0') as user_id,
  event_time,
  ['open', 'edit', 'share', 'export', 'invite', 'report', 'login',
    'api'][1 + cast(floor(8 * pow(kind, 2)) as int)] as event_name,
  quantity,
  event_time + to_microseconds(
    case when late % {late} = 0 then 86400000000 * cast(1 + (late // {late}) % 20 as bigint)
      else 0 end)
    as known_at
from (
  select least({accounts} - 1, cast(floor({accounts} * pow((hash(i * 5 + 1) % 1000003) / 1000003.0,
    1.5)) as bigint)) as account,
    cast(floor({users} * pow((hash(i * 5 + 2) % 10007) / 10007.0, 1.5)) as bigint) as person,
    make_timestamp(cast({first} * 86400000000 + (i / {events}) * {days} * 86400000000 as bigint))
      as event_time,
    hash(i * 5 + 3) as late,
    (hash(i * 5 + 4) % 10007) / 10007.0 as kind,
    cast((hash(i * 5 + 4) // 10007) % 1000 as bigint) as quantity
  from range({events}) numbers(i)
)"""


def event_log(events: int, accounts: int, folder: Path | None = None) -> Path:
    """A Parquet file of account_id, user_id, event_time, event_name, quantity, known_at; made once.

    Parameters
    ----------
    folder
        Default: `tenure-benchmarks` below the system's temporary folder.
    """
    where = folder or Path(tempfile.gettempdir()) / "tenure-benchmarks"
    where.mkdir(parents=True, exist_ok=True)
    file = where / f"events_{events}_{accounts}_v1.parquet"
    if not file.exists():
        query = _LOG.format(
            users=USERS,
            late=LATE_SHARE,
            accounts=accounts,
            first=FIRST_DAY,
            days=DAYS,
            events=events,
        )
        unfinished = file.with_suffix(".part")
        with connected() as connection:
            connection.execute(f"copy ({query}) to '{unfinished}' (format parquet)")
        unfinished.rename(file)
    return file
