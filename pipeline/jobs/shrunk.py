"""Has a source lost rows since it was staged last? A file that was cut between two rows looks like
a small table; what it held the last time tells them apart.
"""

from collections.abc import Mapping
from datetime import datetime

from features.errors import GateRefused
from pipeline.engine.duckdb import Connection, columns_of, identifier, row
from pipeline.staging import StagedSource

LARGEST_LOSS, FEWEST_LOST = 0.05, 5
"""Corrections, and accounts deleted on request, take less than this share and number of rows."""
NEWEST_LOST = 10
"""So many rows newer than any that is left are no correction."""


def refuse_shrunk(
    connection: Connection,
    staged: Mapping[str, StagedSource],
    earlier: Mapping[str, tuple[StagedSource, str]],
) -> None:
    """Stop before tables that lost rows replace what was staged of them last.

    Parameters
    ----------
    earlier
        Source -> what was staged of it last, and the relation with its rows as they are now, less
        those of accounts that were forgotten.

    Raises
    ------
    GateRefused
        A source has fewer rows than corrections explain, saying how many, and how to accept it.
    """
    for source in staged.values():
        fewest = source.settings.fewest_rows
        if fewest is not None and source.rows_read < fewest:
            raise GateRefused(
                f"source {source.name!r} has {source.rows_read:,} rows; fewest_rows of tenure.toml"
                f" says that it holds at least {fewest:,}. Nothing was staged or published; readers"
                " keep the run before. Export again, or give a smaller number."
            )
    losses = {
        name: words
        for name, source in staged.items()
        if name in earlier and (words := _loss(connection, source, *earlier[name]))
    }
    if losses:
        lines = ", ".join(f"[sources.{n}] fewest_rows = {staged[n].rows_read}" for n in losses)
        raise GateRefused(
            f"{' '.join(losses.values())} An export that broke off looks like this. Nothing was"
            " staged or published; readers keep the run before. Export again, or say in tenure.toml"
            f" that the smaller table is right: {lines}."
        )


def _loss(
    connection: Connection, source: StagedSource, before: StagedSource, rows: str
) -> str | None:
    """What a source has lost, as a sentence; None where nothing, or what was declared."""
    fewer = before.rows_read - source.rows_read
    if fewer <= 0 or source.settings.fewest_rows is not None:  # held already
        return None
    event = _event(connection, source, rows)
    # An export of the last months alone drops what became too old, at its beginning.
    since = f"where coalesce({event} >= {_moment(source.first_event)}, true)" if event else ""
    (there,) = row(connection, f"select count(*) from {rows} {since}")
    missing = min(fewer, there - source.rows_staged)
    if missing >= FEWEST_LOST and missing > LARGEST_LOSS * there:
        return (
            f"source {source.name!r} has {source.rows_read:,} rows; the last time it had"
            f" {before.rows_read:,}, and {missing:,} of them ({missing / there:.0%}) are missing."
        )
    if event is None:
        return None
    newest = row(
        connection, f"select count(*) from {rows} where {event} > {_moment(source.last_event)}"
    )
    if newest[0] >= NEWEST_LOST:
        return (
            f"source {source.name!r} has {source.rows_read:,} rows until"
            f" {source.last_event:%Y-%m-%d %H:%M}; the last time it had {before.rows_read:,} until"
            f" {before.last_event:%Y-%m-%d %H:%M}, so {newest[0]:,} of the newest are missing."
        )
    return None


def _event(connection: Connection, source: StagedSource, rows: str) -> str | None:
    """The column with the time of a row, where the source has one, before and now."""
    event = source.contract.event_time
    if event is None or source.first_event is None or event not in columns_of(connection, rows):
        return None
    return identifier(event)


def _moment(moment: datetime | None) -> str:
    return f"timestamp '{moment}'"
