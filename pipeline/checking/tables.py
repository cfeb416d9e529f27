"""Questions about single tables: overlaps, negative amounts, duplicate ids, silence, feeds,
clocks.
"""

from collections.abc import Iterator

from features.feeds import coverage, stretches
from features.windows import OPEN_END, day_number, day_of
from models.targets import CONTRACTUAL
from pipeline.checking.evidence import (
    EXAMPLES,
    LATEST,
    PAID,
    SIGNS_OF_LIFE,
    Evidence,
    view,
)
from pipeline.checking.report import Finding
from pipeline.engine.facts import feed_counts
from pipeline.staging.answers import scale_ends
from pipeline.staging.staged import StagedSource
from pipeline.staging.wording import unknown_words
from pipeline.workspace import label_source

# An id column that is this distinct is meant to identify a row; below, it names something rows
# share.
MEANT_TO_BE_UNIQUE = 0.9
# Where several subscriptions at a time are the exception, they deserve a look.
MANY_OVERLAPS = 0.05
STALE_AFTER_DAYS = 30
NEWEST_MATTERS = (*SIGNS_OF_LIFE, "csm_notes")


def table_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings that need one table at a time."""
    for source in evidence.staged.values():
        yield from _bad_rows(source)
        yield from _negative(evidence, source)
        yield from _duplicates(evidence, source)
        yield from _stale(evidence, source)
        yield from _unknown_words(evidence, source)
        if source.contract.table == "surveys":
            yield from _answers_off_scale(evidence, source)
        if source.contract.table in SIGNS_OF_LIFE:
            yield from _silent(evidence, source)
        if source.has_feeds:
            yield from _several_feeds(evidence, source)
    subscriptions = evidence.first("subscriptions")
    if subscriptions is not None:
        yield from _overlaps(evidence, subscriptions)
        yield from _nobody_ended(evidence, subscriptions)
        yield from _entry_ended(evidence, subscriptions)
    yield from _assumed_clocks(evidence)


def _bad_rows(source: StagedSource) -> Iterator[Finding]:
    count = sum(source.rows_bad.values())
    if count:
        listing = "; ".join(f"{reason}: {n:,}" for reason, n in sorted(source.rows_bad.items()))
        yield Finding(
            "bad-rows",
            "warn",
            source.name,
            f"rows were set aside ({listing})",
            f"Look at the table quarantine, source = '{source.name}': mend the mapping, or leave"
            " them out on purpose with drop_missing, keep or drop.",
            count,
            source.rows_read,
        )


def _unknown_words(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    """Values of closed lists that count nowhere; a list with words of your own is milder."""
    now = f"(select * from {view(source)} f where {LATEST})"
    unknowns = unknown_words(evidence.connection, now, source.contract.table, source.settings)
    for unknown in unknowns:
        is_mild = unknown.column.has_own_words and unknown.known > 0
        yield Finding(
            "unknown-words",
            "info" if is_mild else "warn",
            source.name,
            unknown.what,
            f"{unknown.todo}: under [sources.{source.name}.columns] write {unknown.line}",
            unknown.count,
            unknown.count + unknown.known,
        )


def _answers_off_scale(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    """Answers below or above the scale they were asked on: no measure reads them.

    A few are typing errors. More than the source may hold of bad rows are answers on another scale.
    """
    unit = source.unit("score")
    counted = evidence.rows(f"""
select kind, scale, count(*), count(*) filter (points is null), min(score), max(score)
from {view(source)} f where {LATEST} and score is not null group by 1, 2 order by 1, 2""")
    for kind, scale, total, off, low, high in counted:
        ends = scale_ends(kind, scale)
        if ends is None or not off:
            continue
        answers = f"{kind or 'answers'} on {ends[0]}-{ends[1]}"
        yield Finding(
            "answers-off-scale",
            "stop" if off > source.settings.max_bad_share * total else "warn",
            source.name,
            f"scores of {answers} run from {low / unit:g} to {high / unit:g}; those off the scale"
            " say nothing in any signal",
            f"Under [sources.{source.name}.columns] write the scale of the answers"
            ' (scale = { value = "0-100" }), or bring them to theirs'
            ' (score = { column = "...", scale = 0.1 }).',
            off,
            total,
            "answers",
        )


def _negative(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    for name, column in source.columns.items():
        if column.type != "money" or not column.is_mapped:
            continue
        count, total, examples = evidence.count(
            f"(select * from {view(source)} f where {LATEST})", f"{name} < 0"
        )
        if not count:
            continue
        is_credit = source.contract.table in ("invoices", "usage_events")
        yield Finding(
            "negative-amounts",
            "info" if is_credit else "warn",
            source.name,
            f"values of {name} are negative",
            (
                "Credit notes and cancellations are expected; they lower totals. Otherwise correct"
                " the sign."
                if is_credit
                else "Correct the sign, or leave such rows out with keep or drop."
            ),
            count,
            total,
            "rows",
            examples,
        )


def _duplicates(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    for name, column in source.columns.items():
        is_id = name.endswith("_id") and name not in (
            "account_id",
            "parent_account_id",
            "user_id",
            "session_id",
        )
        if not is_id or column.type != "text" or not column.is_mapped:
            continue
        relation = (
            f"(select f.{name} as id, count(*) as n from {view(source)} f where {LATEST} and"
            f" f.{name} is not null group by 1)"
        )
        distinct, total = evidence.row(f"select count(*), coalesce(sum(n), 0) from {relation}")
        if distinct == total or distinct < MEANT_TO_BE_UNIQUE * total:
            continue
        count, ids, examples = evidence.count(relation, "n > 1", "id")
        yield Finding(
            "duplicate-ids",
            "warn",
            source.name,
            f"values of {name} stand on more than one row",
            "If they are corrections of one row, map row_key and known_at; if they are copies,"
            " remove them from the extract.",
            count,
            ids,
            "ids",
            examples,
        )


def _stale(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    if source.newest_known is None or source.contract.table not in NEWEST_MATTERS:
        return
    age = evidence.end_day - day_number(source.newest_known.date())
    allowed = source.settings.max_age_days or STALE_AFTER_DAYS
    if age > allowed:
        yield Finding(
            "stale-source",
            "warn",
            source.name,
            f"the newest row became known on {source.newest_known:%Y-%m-%d}, {age} days before the"
            f" data end on {evidence.end}",
            "Find out whether the feed stopped; declare data_until if it is meant to end there.",
            age,
            None,
            "days",
        )


def _silent(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    counts = feed_counts(evidence.connection, source)
    is_label = _decides_label(evidence, source)
    for feed, mine in counts.groupby("partition_name", sort=True):
        end = source.data_until.get(str(feed), evidence.end)
        _, days = coverage(mine, day_number(end), source.settings.silent_after_days)
        if not len(days):
            continue
        silences = stretches(days)
        periods = ", ".join(
            f"{day_of(first)} to {day_of(last)}" for first, last in silences[:EXAMPLES]
        )
        name = f" of {feed!s}" if feed else ""
        yield Finding(
            "label-feed-silent" if is_label else "feed-silent",
            "warn",
            source.name,
            f"the feed{name} was silent: {periods}"
            + (f" and {len(silences) - EXAMPLES} more times" if len(silences) > EXAMPLES else ""),
            "No label rests on such days, and windows that touch them have no value. Ask for the"
            " missing rows; raise silent_after_days if the business really rests that long.",
            len(days),
            day_number(end) - int(mine["event_day"].min()),
            "days",
        )


def _decides_label(evidence: Evidence, source: StagedSource) -> bool:
    return label_source(evidence.workspace, evidence.target) == source.name


def _several_feeds(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    relation = (
        f"(select account_id, count(distinct partition_name) as feeds from {view(source)} group"
        " by 1)"
    )
    count, total, examples = evidence.count(relation, "feeds > 1")
    if count:
        yield Finding(
            "several-feeds",
            "warn",
            source.name,
            "accounts have rows in more than one feed",
            "Their labels follow the feed that sorts last. Make account_id differ per feed (join),"
            " or map partition only where an account belongs to one.",
            count,
            total,
            "accounts",
            examples,
        )


def _overlaps(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    relation = f"""(select account_id, max(is_overlap) as has_overlap from (
  select f.account_id, case when f.starts_at < max(coalesce(f.ends_at, {OPEN_END})) over (
    partition by f.account_id order by f.starts_at, f.ends_at rows between unbounded preceding
      and 1 preceding)
    then 1 else 0 end as is_overlap from {view(source)} f where {LATEST} and {PAID}) group by 1)"""
    count, total, examples = evidence.count(relation, "has_overlap = 1")
    if count:
        yield Finding(
            "overlapping-subscriptions",
            "warn" if count > MANY_OVERLAPS * total else "info",
            source.name,
            "accounts have paid subscriptions that overlap",
            "Right where one account holds several products: it leaves when the last one ends, and"
            " ending one is a contraction. Otherwise a renewal was entered before the old row was"
            " closed.",
            count,
            total,
            "accounts",
            examples,
        )


def _nobody_ended(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    ended, total = evidence.row(
        f"select count(*) filter (f.ends_at_day <= {evidence.end_day}), count(*) "
        f"from {view(source)} f where {LATEST} and {PAID}"
    )
    if ended or not total:
        return
    is_needed = evidence.target.kind in CONTRACTUAL
    yield Finding(
        "nobody-ever-ended",
        "stop" if is_needed else "warn",
        source.name,
        "not one subscription has ended: the extract holds running contracts only",
        "Ask for ended subscriptions too, and map ends_at; from this table nobody has ever left.",
        0,
        total,
        "subscriptions",
    )


def _entry_ended(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    if source.entered_until is None:
        return
    yield Finding(
        "contracts-end-early",
        "warn",
        source.name,
        f"the newest start is of {source.entered_until}, though other sources go on until"
        f" {evidence.end}: no renewal was entered since, so labels reach to that day only",
        "Export the table again; or declare data_until of the source, if nothing really began"
        " since.",
        (evidence.end - source.entered_until).days,
        None,
        "days",
    )


def _assumed_clocks(evidence: Evidence) -> Iterator[Finding]:
    assumed = [
        s.name
        for s in evidence.staged.values()
        if not s.has_known_at and s.contract.table != "outcomes"
    ]
    if assumed:
        yield Finding(
            "assumed-clock",
            "info",
            "",
            "sources say when things happened but not when you knew (known_at): rows count as known"
            " at their event time plus delay_days",
            "Map known_at where the table has a load or update time, or declare delay_days.",
            len(assumed),
            len(evidence.staged),
            "sources",
            tuple(assumed[:12]),
        )
