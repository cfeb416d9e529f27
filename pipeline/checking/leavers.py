"""How much can be learnt: leavers per date, the width of interval to expect, terms longer than the
horizon.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from features.errors import ChurnError
from features.windows import US_PER_DAY, day_number, day_of
from models.gates import FEWEST_TEST_EVENTS
from models.intervals import auc_half_width
from models.methods.cohort import LEAVERS_PER_SEGMENT
from models.splits import temporal_folds
from models.target_words import TARGET_WORDS, TargetWords
from models.targets import ENDS_OF_COVER
from pipeline.checking.evidence import EXAMPLES, LATEST, PAID, Evidence, view
from pipeline.checking.report import DateCount, Finding, FoldCount
from pipeline.engine.duckdb import midnight
from pipeline.jobs import features as build
from pipeline.jobs.terms import seen_terms, terms_words, unseen_terms

EXPECTED_AUC = 0.75
"""A usual result; the half-width moves little between 0.7 and 0.8."""
WIDE = 0.08
"""An interval this wide cannot tell a good model from a middling one."""
NEIGHBOURS = 3
"""Dates on either side that say what is usual."""
SEVERAL_TIMES = 4.0
FEWEST_LEAVERS = 10
NEVER_BY_CHANCE = 1e-6
REASON_WORDS = {
    "lapsed": "cover had ended, within the grace",
    "notice": "notice was given before",
    "incomplete": "the window is not over yet",
    "ended_before": "cover had ended before, learnt later",
    "left_in_gap": "left inside the gap",
    "feed_silent": "the feed was dead",
    "kind_unknown": "nobody says whether by choice",
    "no_contract_end": "no end is agreed",
    "stayed": "stayed in its window",
}
MOST = 0.5


@dataclass(frozen=True)
class Leavers:
    """Counts of labels, and the findings they lead to."""

    dates: tuple[DateCount, ...]
    folds: tuple[FoldCount, ...]
    test_leavers: int | None
    auc_half_width: float | None
    findings: tuple[Finding, ...]


def count_leavers(evidence: Evidence) -> Leavers:
    """Label every date the target is asked on, as training would, and count."""
    try:
        is_dated = _label(evidence)
    except ChurnError as error:
        # Training says the same and with its own exit code; a check goes on to its other questions.
        no_labels = Finding(
            "no-labels",
            "stop",
            "",
            f"no outcome can be worked out: {error}",
            "Change dates, horizon or population as the message says.",
        )
        return Leavers((), (), None, None, (no_labels,))
    dates = _dates(evidence, is_dated=is_dated)
    words = TARGET_WORDS[evidence.target.kind]
    leavers, stayers, accounts = _test_accounts(evidence)
    width = auc_half_width(EXPECTED_AUC, leavers, stayers)
    folds, untrainable = _folds(evidence)
    findings = [
        *(rate_findings(dates, words) if is_dated else ()),
        *_none_labelled(evidence, dates),
        *_never_labelled(evidence),
        *width_finding(leavers, accounts, width, words),
        *_long_terms(evidence),
        *_unseen_terms(evidence),
        *untrainable,
    ]
    return Leavers(dates, folds, leavers, None if math.isinf(width) else width, tuple(findings))


def _label(evidence: Evidence) -> bool:
    """Make the tables `snapshots` and `labels`; True where dates are those of a grid or list."""
    workspace, connection, staged, target = (
        evidence.workspace,
        evidence.connection,
        evidence.staged,
        evidence.target,
    )
    dates = build.resolve_dates(workspace, staged, target)
    if dates is None:
        build.anchored_candidates(connection, staged, target)
    else:
        build.grid_candidates(
            connection, workspace, staged, target, [day_number(d) for d in dates.all]
        )
    build.take_snapshots(workspace, connection, staged, target, {})
    build.take_labels(workspace, connection, staged, target)
    return dates is not None


def _dates(evidence: Evidence, *, is_dated: bool) -> tuple[DateCount, ...]:
    """Counts per date, or per month where every account has its own date."""
    period = "s.as_of_day" if is_dated else f"strftime({midnight('s.as_of_day')}, '%Y-%m')"
    counts = evidence.rows(f"""
select {period} as period, s.is_test, count(*), count(l.label), count(distinct case when l.label = 1
  then s.account_id end)
from snapshots s join labels l on l.account_id = s.account_id and l.as_of_day = s.as_of_day
group by 1, 2 order by 1, 2""")
    return tuple(
        DateCount(
            day_of(p).isoformat() if is_dated else str(p), bool(test), all_rows, labelled, leavers
        )
        for p, test, all_rows, labelled, leavers in counts
    )


def _test_accounts(evidence: Evidence) -> tuple[int, int, int]:
    """Accounts of the test that left, that stayed on some date (also of those that left later), and
    all.
    """
    leavers, stayers, accounts = evidence.row("""
select count(distinct case when l.label = 1 then s.account_id end),
  count(distinct case when l.label = 0 then s.account_id end), count(distinct s.account_id)
from snapshots s join labels l on l.account_id = s.account_id and l.as_of_day = s.as_of_day
where s.is_test and l.label is not null""")
    return leavers, stayers, accounts


def _folds(evidence: Evidence) -> tuple[tuple[FoldCount, ...], list[Finding]]:
    """The validation blocks that training would cut, with their leavers."""
    rows_ = evidence.connection.execute(f"""
select s.account_id, {midnight("s.as_of_day")} as as_of,
  {midnight("l.label_until_day")} as label_until, s.is_test, cast(l.label as tinyint) as label
from snapshots s join labels l on l.account_id = s.account_id and l.as_of_day = s.as_of_day
where l.label is not null order by 1, 2""").df()
    labels = rows_.pop("label").to_numpy(dtype=np.int8)
    try:
        folds = temporal_folds(rows_, evidence.workspace.project.training.folds, labels)
    except ChurnError as error:
        return (), [
            Finding(
                "no-labels",
                "stop",
                "",
                f"there is nothing to learn from: {error}",
                "Change dates, horizon or population, or get more history.",
            )
        ]
    blocks = (
        [*folds.tuning, *folds.calibration]
        if folds.tuning != folds.calibration
        else list(folds.tuning)
    )
    counts = []
    for block in blocks:
        stayed = block.validation[labels[block.validation] == 0]
        width = auc_half_width(
            EXPECTED_AUC, block.leaving_accounts, rows_["account_id"].iloc[stayed].nunique()
        )
        counts.append(
            FoldCount(
                block.first_as_of.date(),
                block.last_as_of.date(),
                block.leaving_accounts,
                None if math.isinf(width) else width,
            )
        )
    return tuple(counts), []


def width_finding(
    leavers: int, accounts: int, width: float, words: TargetWords
) -> Iterator[Finding]:
    """What a test with so many leavers can show, and what it cannot, before anything is trained."""
    if math.isinf(width):
        yield Finding(
            "no-test-leavers",
            "warn",
            "",
            f"{leavers} of {accounts} accounts of the test have the event, so no test is possible",
            "Move the test, widen the population or the horizon, or get more history.",
            leavers,
            accounts,
            "accounts",
        )
        return
    segments = (
        "; that is too few to test segments"
        if leavers < LEAVERS_PER_SEGMENT
        else (
            f"; calibration by segment needs {LEAVERS_PER_SEGMENT} accounts that {words.past} in"
            f" each, so at most {leavers // LEAVERS_PER_SEGMENT} segments"
        )
    )
    if leavers < FEWEST_TEST_EVENTS:
        segments += (
            f"; under {FEWEST_TEST_EVENTS} no model can pass its gates, so the scorecard will be"
            " published"
        )
    yield Finding(
        "interval-to-expect",
        "warn" if width > WIDE else "info",
        "",
        f"{leavers:,} accounts {words.past} in the test: an AUC of {EXPECTED_AUC} would be known to"
        " +-"
        f" {width:.2f}{segments}",
        "More test dates or a longer horizon narrow it; snapshots of one account are not new"
        " accounts.",
        leavers,
        accounts,
        "accounts",
    )


def rate_findings(dates: Sequence[DateCount], words: TargetWords) -> Iterator[Finding]:
    """Dates on which several times as many leave as on the dates around them, beyond chance.

    A table that ended, or ends that were all written on one day, make leavers of customers who
    stay.
    """
    jumps = []
    for place, date in enumerate(dates):
        around = [
            d for d in dates[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1] if d is not date
        ]
        labelled, left = sum(d.labelled for d in around), sum(d.leavers for d in around)
        if date.leavers < FEWEST_LEAVERS or not labelled or date.labelled < FEWEST_LEAVERS:
            continue
        usual = (left + 1) / (labelled + 1)
        chance = binom.sf(date.leavers - 1, date.labelled, min(1.0, usual))
        if date.leavers / date.labelled >= SEVERAL_TIMES * usual and chance < NEVER_BY_CHANCE:
            jumps.append((date, usual))
    if not jumps:
        return
    worst, usual = max(jumps, key=lambda jump: jump[0].leavers / jump[0].labelled)
    yield Finding(
        "leaving-rate-jumps",
        "stop",
        "",
        f"on {worst.period} {worst.leavers:,} of {worst.labelled:,} accounts {words.verb}"
        f" ({worst.leavers / worst.labelled:.0%}), on the dates around it {usual:.1%}: a table that"
        " ended, or ends that were written in one go, look like this",
        f"Ask whether so many really {words.past} then. Else export the table again, or end the"
        " dates before (dates = { last = ... }, or data_until of the source).",
        worst.leavers,
        worst.labelled,
        "accounts",
        tuple(f"{d.period}: {d.leavers:,} of {d.labelled:,}" for d, _ in jumps[:EXAMPLES]),
    )


def _none_labelled(evidence: Evidence, dates: Sequence[DateCount]) -> Iterator[Finding]:
    """Dates on which nobody can be labelled, with the reason."""
    empty = [d for d in dates if d.asked and not d.labelled]
    if not empty:
        return
    reasons = evidence.rows(
        "select coalesce(l.label_reason, 'none'), count(*) from labels l group by 1"
        " having count(l.label) = 0 order by 2 desc, 1"
    )
    listing = ", ".join(
        f"{REASON_WORDS.get(reason, reason)}: {n:,} rows" for reason, n in reasons[:EXAMPLES]
    )
    yield Finding(
        "dates-without-labels",
        "info" if len(empty) < len(dates) else "warn",
        "",
        f"no account can be labelled on {len(empty)} of {len(dates)} dates; of all rows without a"
        f" label {listing}",
        "Where cover of everybody seems to have ended, compare ends_at with the next starts_at"
        " (end_day); where the window is not over yet, choose earlier dates.",
        len(empty),
        len(dates),
        "dates",
        tuple(d.period for d in empty[:EXAMPLES]),
    )


def _never_labelled(evidence: Evidence) -> Iterator[Finding]:
    """Accounts that left while dates were asked, and of which no row ever says so; a target about
    growth has nothing to say of them.
    """
    if evidence.first("subscriptions") is None or evidence.target.kind not in ENDS_OF_COVER:
        return
    left, labelled = evidence.row(
        """
select count(*), count(*) filter (had_label) from (
  select a.account_id, max(coalesce(l.label, 0)) = 1 as had_label from check_accounts a
  join labels l using (account_id), (select min(as_of_day) as first_day,
    max(as_of_day) as last_day from labels where label is not null) d
  where a.has_left and a.left_day > d.first_day and a.left_day <= d.last_day group by 1)"""
    )
    if labelled == left:
        return
    reasons = evidence.rows(
        """
select reason, count(*) from (
  select a.account_id, max_by(coalesce(l.label_reason, 'stayed'), l.as_of_day) as reason
  from check_accounts a join labels l on l.account_id = a.account_id
    and l.as_of_day < a.left_day where a.has_left
  group by 1 having max(coalesce(l.label, 0)) = 0) group by 1 order by 2 desc, 1"""
    )
    listing = ", ".join(f"{REASON_WORDS.get(reason, reason)}: {n:,}" for reason, n in reasons)
    yield Finding(
        "leavers-never-labelled",
        "info",
        "",
        f"{left:,} accounts left between the first and the last date, and a row with the label says"
        f" so of {labelled:,}; their last row before: {listing or 'none'}",
        "Whoever gives notice earlier than the horizon reaches is known to leave before any window"
        " begins: a longer horizon, or dates further apart from the notice, would show them.",
        left - labelled,
        left,
        "leavers",
    )


def _long_terms(evidence: Evidence) -> Iterator[Finding]:
    """Customers whose contract cannot end inside the label window, as was known on the date."""
    source, target = evidence.first("subscriptions"), evidence.target
    if source is None or target.kind not in ENDS_OF_COVER or target.horizon_days is None:
        return
    if source.settings.convention != "fixed_term":
        return
    end = f"(s.as_of_day + {target.gap_days + target.horizon_days}) * {US_PER_DAY}"
    amount = (
        "sum(f.amount_per_month)"
        if source.is_mapped("amount_per_month")
        else "cast(null as bigint)"
    )
    accounts, total, money, all_money = evidence.row(f"""
select count(*) filter (cannot), count(*), sum(amount) filter (cannot), sum(amount) from (
  select s.account_id, s.as_of_day, max(coalesce(f.ends_at, {end})) >= {end} as cannot, {amount}
    as amount
  from snapshots s join {view(source)} f on f.account_id = s.account_id and {LATEST} and {PAID}
    and f.starts_at_day < s.as_of_day and (f.ends_at is null
      or f.ends_at >= s.as_of_day * {US_PER_DAY})
  where s.state = 'member' group by 1, 2)""")
    if not accounts:
        return
    value_share = money / all_money if money is not None and all_money else None
    is_most = accounts > MOST * total or (value_share or 0) > MOST
    value = "" if value_share is None else f" ({value_share:.0%} of the monthly amount)"
    advice = (
        'Consider horizon = "next_renewal": the chance of not renewing at the next contract end.'
        if is_most
        else "Their score covers the next months only, not renewals further off."
    )
    yield Finding(
        "cannot-leave-inside-horizon",
        "warn" if is_most else "info",
        source.name,
        f"customers on a date are on terms that end after the horizon of {target.horizon_days}"
        f" days{value}: they cannot leave inside it",
        advice,
        accounts,
        total,
        "rows of customers",
    )


def _unseen_terms(evidence: Evidence) -> Iterator[Finding]:
    """Customers of today whose term ends inside the window, of a length that no training label saw
    end.
    """
    source, target = evidence.first("subscriptions"), evidence.target
    seen = seen_terms(evidence.workspace, evidence.connection, evidence.staged, target)
    if source is None or seen is None:
        return
    end = evidence.end_day
    amount = (
        "sum(f.amount_per_month)"
        if source.is_mapped("amount_per_month")
        else "cast(null as bigint)"
    )
    evidence.connection.execute(
        f"""
create or replace temp table check_customers as
select f.account_id, cast({end} as bigint) as as_of_day, {amount} as amount from {view(source)} f
where {LATEST} and {PAID} and f.starts_at_day < {end}
  and (f.ends_at is null or f.ends_at >= {end * US_PER_DAY}) group by 1"""
    )
    unseen = unseen_terms(
        evidence.workspace,
        evidence.connection,
        evidence.staged,
        target,
        seen,
        snapshots="check_customers",
        day=end,
    )
    if not unseen:
        return
    amounts = dict(evidence.rows("select account_id, amount from check_customers"))
    every, theirs = (
        sum(a or 0 for a in some) for some in (amounts.values(), (amounts[i] for i in unseen))
    )
    value = f" ({theirs / every:.0%} of the monthly amount)" if every else ""
    fixed = (
        ""
        if target.horizon_days is not None
        else (
            '; with horizon_days in the place of "next_renewal" those that cannot leave inside the'
            " horizon are scored"
        )
    )
    yield Finding(
        "term-never-labelled",
        "warn",
        source.name,
        f"customers on {evidence.end} are on terms ({terms_words(unseen)}) of which none came to"
        f" its end in a complete training label{value}: nothing shows how such customers renew, so"
        " they are published as unknown",
        f"Terms seen to end: {', '.join(seen) or 'none'}. Load older contracts, or wait until such"
        f" terms have ended{fixed}.",
        len(unseen),
        len(amounts),
        "customers",
        tuple(sorted(unseen)[:EXAMPLES]),
    )
