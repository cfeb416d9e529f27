"""Is a row that equals another a copy? Only the table's owner can tell, so `check` asks and changes
nothing.

Asked of the user's own table: two lines of one bill may be equal in the columns that are mapped and
differ in the article.
"""

from collections.abc import Iterator
from contextlib import ExitStack

from pipeline.checking.evidence import LATEST, SIGNS_OF_LIFE, Evidence, is_mapped, view
from pipeline.checking.report import Finding
from pipeline.config.checks import needs_table
from pipeline.engine.duckdb import identifier, rows
from pipeline.staging.parts import MappedPart, mapped_parts
from pipeline.staging.staged import StagedSource

# Under this share totals hardly move.
COPIES_WARNING = 0.005
SHOWN_COLUMNS, SHOWN_LETTERS = 8, 24


def repeat_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about rows of activity and bills that are there more than once."""
    for source in evidence.of(*SIGNS_OF_LIFE):
        if is_mapped(source, "row_key") or source.settings.drop_duplicates:
            continue
        # Cheap, on columns that are read already; most tables end here.
        repeats = _mapped_repeats(evidence, source)
        if repeats:
            yield from _finding(source, *_raw_repeats(evidence, source, repeats))


def _mapped_repeats(evidence: Evidence, source: StagedSource) -> int:
    """Rows that equal another in every mapped column."""
    columns = ", ".join(f"f.{name}" for name, column in source.columns.items() if column.is_mapped)
    return int(
        evidence.row(
            f"select coalesce(sum(n - 1), 0) from (select count(*) as n from {view(source)} f "
            f"where {LATEST} group by {columns})"
        )[0]
    )


def _raw_repeats(evidence: Evidence, source: StagedSource, mapped: int) -> tuple[int, str, str]:
    """(rows that equal another in every column of the user's table, an example, columns
    looked at).
    """
    settings = source.settings
    places = [str(settings.location), *(part.location for part in settings.parts)]
    if any(needs_table(place) and not place.endswith((".duckdb", ".ddb")) for place in places):
        return mapped, "", "every mapped column"  # a server is not asked for all its rows twice
    workspace = evidence.workspace
    count, largest, example = 0, 1, ""
    with ExitStack() as resources:
        for part in mapped_parts(
            workspace.project,
            settings,
            source.contract,
            workspace.data_dir,
            evidence.connection,
            resources,
            [],
        ):
            repeats, most, shown = _repeats_of(evidence, part)
            count += repeats
            if most > largest:
                largest, example = most, shown
    return count, example, "every column of the table"


def _repeats_of(evidence: Evidence, part: MappedPart) -> tuple[int, int, str]:
    """(rows beyond the first of each set of equal ones, size of the largest set, that row in
    words).
    """
    names = list(part.raw.columns)
    listed = ", ".join(identifier(name) for name in names)
    groups = (
        f"select {listed}, count(*) as times from {part.raw.relation} as source_row where"
        f" {part.kept} group by all having count(*) > 1"
    )
    count = int(evidence.row(f"select coalesce(sum(times - 1), 0) from ({groups})")[0])
    if not count:
        return 0, 1, ""
    *values, times = rows(
        evidence.connection, f"select * from ({groups}) order by times desc, {listed} limit 1"
    )[0]
    examples = ", ".join(
        f"{name} = {str(value)[:SHOWN_LETTERS]}"
        for name, value in zip(names, values, strict=True)
        if value is not None
    )
    more = "" if len(names) <= SHOWN_COLUMNS else ", ..."
    return count, times, f"{', '.join(examples.split(', ')[:SHOWN_COLUMNS])}{more} ({times} times)"


def _finding(source: StagedSource, count: int, example: str, columns: str) -> Iterator[Finding]:
    if not count:
        return
    yield Finding(
        "identical-rows",
        "warn" if count > COPIES_WARNING * source.rows_staged else "info",
        source.name,
        f"rows equal another in {columns}: copies of an export, or things that did happen twice?",
        "Ask whoever makes the table. Copies count double in every total: drop_duplicates = true in"
        f" [sources.{source.name}] leaves them out and counts them; as they are, all count.",
        count,
        source.rows_staged,
        "rows",
        (example,) if example else (),
    )
