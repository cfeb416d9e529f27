"""Facts of each source: rows, span, freshness, clocks, coverage, examples of bad rows."""

from features.windows import day_number
from pipeline.checking.evidence import Evidence, is_mapped, view
from pipeline.checking.report import SourceCheck
from pipeline.engine.duckdb import rows
from pipeline.staging.staged import StagedSource

BAD_EXAMPLES = 3


def source_checks(evidence: Evidence) -> tuple[SourceCheck, ...]:
    """One `SourceCheck` per source, in the project's order; needs `check_accounts`."""
    listed, known = evidence.row("select count(*) filter (is_listed), count(*) from check_accounts")
    return tuple(
        _source_check(evidence, source, listed, known) for source in evidence.staged.values()
    )


def _source_check(evidence: Evidence, source: StagedSource, listed: int, known: int) -> SourceCheck:
    accounts, among_listed = evidence.row(
        "select count(*), count(*) filter (is_listed) from (select distinct account_id from"
        f" {view(source)}) join check_accounts using (account_id)"
    )
    newest = source.newest_known
    return SourceCheck(
        name=source.name,
        contract=source.contract.table,
        rows_read=source.rows_read,
        rows_staged=source.rows_staged,
        rows_left_out=dict(source.rows_left_out),
        rows_bad=dict(source.rows_bad),
        bad_examples=_bad_examples(evidence, source),
        first_event=source.first_event,
        last_event=source.last_event,
        newest_known=newest,
        age_days=None if newest is None else max(0, evidence.end_day - day_number(newest.date())),
        data_until=dict(source.data_until),
        has_known_at=source.has_known_at,
        delay_days=source.settings.delay_days,
        own_clocks={
            c.name: c.clock
            for c in source.contract.columns
            if c.clock and is_mapped(source, c.name)
        },
        accounts=accounts,
        covered=among_listed if listed else accounts,
        covered_of=listed or known,
        notes=tuple(source.notes),
    )


def _bad_examples(evidence: Evidence, source: StagedSource) -> tuple[tuple[str, str], ...]:
    quarantine = f"quarantine_{source.name}"
    is_here = evidence.row(
        f"select count(*) from information_schema.tables where table_name = '{quarantine}'"
    )[0]
    if not source.rows_bad or not is_here:
        return ()
    bad_rows = rows(
        evidence.connection,
        f"""
select reason, coalesce("value", '(empty)') from {quarantine}
qualify row_number() over (partition by reason order by "value", "row") <= {BAD_EXAMPLES}
order by 1, 2""",
    )
    return tuple((reason, value) for reason, value in bad_rows)
