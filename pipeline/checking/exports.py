"""Questions about exports: does the account table know only those who stayed, and only today's
values?

A CRM overwrites history. A model taught on its export learns "value is zero" or "is in the table"
and predicts the past perfectly. Three signs, each a finding:

    leavers-missing-from-accounts   ids with usage or invoices that the account table no longer
        lists
    empty-only-for-leavers          a value that is zero or empty exactly for accounts that left
    attributes-without-history      attributes as of today; grave only beside one of the other two
"""

import re
from collections.abc import Iterator, Sequence

from models.labels import outcome_filter
from pipeline.checking.evidence import (
    EXAMPLES,
    LATEST,
    PAID,
    QUIET_DAYS,
    SIGNS_OF_LIFE,
    Evidence,
    is_mapped,
    view,
)
from pipeline.checking.report import Finding
from pipeline.staging.staged import StagedSource
from pipeline.workspace import population_source, target_rule

LEAVERS_TO_TELL = 5
"""Under five accounts a pattern is chance."""
MOST_LACKING = 0.5
NEARLY_ALL = 0.95
# Leavers that an export zeroes are zeroed by a rule, so nearly all of them are.
MOST_LEAVERS = 0.8
# Not attributes of the business: keys, words for people, permissions.
NO_ATTRIBUTES = (
    "account_id",
    "name",
    "owner",
    "parent_account_id",
    "currency",
    "consent",
    "partition",
    "row_key",
    "is_deleted",
    "subscription_id",
    "merged_into",
    "merged_at",
)
# Shares of accounts for which a flag and the log may differ by timing alone.
AGREES, TELLS = 0.9, 0.98
SEVERAL_VALUES = 10
ENDED_LOG = re.compile(r"churn|cancel|leav|left|attrit|unregist", re.IGNORECASE)
STATUS_NAME = re.compile(
    r"churn|cancel|attrit|status|active|left|lapsed|terminat|closed|retain|lost", re.IGNORECASE
)
STAYED_NAME = re.compile(r"(?<!in)active|retain", re.IGNORECASE)
LEFT_VALUE = re.compile(
    r"churn|cancel|inactive|closed|left|lost|ended|expired|terminat|attrit|withdrawn", re.IGNORECASE
)
OUTCOME_WORD = re.compile(
    r"^\W*(active|inactive|current|former|cancell?ed|churned|expired|lapsed|terminated|closed|lost"
    r"|ended|past[ _-]?due|unpaid|trialing|paused)\W*$",
    re.IGNORECASE,
)
"""The whole of a value that is a state of a subscription, and nothing that people do."""
OUTCOME_NAME = re.compile(
    r"churn|cancel|attrit|unregist|end_reason|reason_left|left_at|lost|final_result|renewed|refund",
    re.IGNORECASE,
)
STILL_COVERED_DAYS = 31


def export_findings(evidence: Evidence) -> Iterator[Finding]:
    """Findings about what an export leaves out or overwrites; needs `check_accounts`."""
    accounts, subscriptions = evidence.first("accounts"), evidence.first("subscriptions")
    overwritten: list[Finding] = []
    if accounts is not None:
        overwritten += _missing_ids(evidence)
        overwritten += _telling_emptiness(
            evidence, accounts, _account_columns(accounts), _one_row(accounts)
        )
    if subscriptions is not None and evidence.target.kind != "event":
        columns = [c for c in ("amount_per_month", "seats") if is_mapped(subscriptions, c)]
        largest = ", ".join(f"max(f.{c}) as {c}" for c in columns)
        if columns:
            overwritten += _telling_emptiness(
                evidence,
                subscriptions,
                columns,
                f"select f.account_id, {largest} from "
                f"{view(subscriptions)} f where {LATEST} and {PAID} group by 1",
            )
    yield from overwritten
    if accounts is not None:
        is_overwritten = any(f.severity == "stop" for f in overwritten)
        yield from _without_history(accounts, is_overwritten=is_overwritten)
        yield from _flags(evidence, accounts)
    if subscriptions is not None:
        yield from _subscription_flags(evidence, subscriptions)
        yield from _log_against_subscriptions(evidence, subscriptions)
    yield from _outcome_columns(evidence)
    yield from _outcome_words(evidence)


# --- accounts that the account table does not list
# -------------------------------------------------


def _missing_ids(evidence: Evidence) -> Iterator[Finding]:
    missing, known, gone, listed_gone, listed = evidence.row("""
select count(*) filter (not is_listed), count(*), count(*) filter (not is_listed and is_gone),
  count(*) filter (is_listed and is_gone), count(*) filter (is_listed and is_gone is not null)
from check_accounts where is_listed or has_contract or last_day is not null""")
    if not missing:
        return
    per_source = ", ".join(f"{name}: {n:,}" for name, n in _missing_per_source(evidence) if n)
    share, usual = gone / missing, listed_gone / listed if listed else 0.0
    is_leavers = gone >= LEAVERS_TO_TELL and share >= MOST_LACKING and share > 2 * usual
    examples = tuple(
        i
        for (i,) in evidence.rows(
            "select account_id from check_accounts where not is_listed and (has_contract or"
            " last_day is not null) order by coalesce(is_gone, false) desc, account_id limit"
            f" {EXAMPLES}"
        )
    )
    if not is_leavers:
        yield Finding(
            "ids-missing-from-accounts",
            "warn",
            "",
            f"account ids are in other tables ({per_source}) but not "
            f"in the account table; {share:.0%} of them have gone, {usual:.0%} of those listed",
            "Find out which accounts the table leaves out (tests, free users, merged accounts).",
            missing,
            known,
            "accounts",
            examples,
        )
        return
    is_biased = _are_missing_from_population(evidence)
    effect = (
        "the model would never see them and would learn from survivors only"
        if is_biased
        else (
            "population and labels come from another table that has them, but their attributes are"
            " missing, and missing attributes tell who left"
        )
    )
    yield Finding(
        "leavers-missing-from-accounts",
        "stop" if is_biased else "warn",
        "",
        f"account ids are in other tables ({per_source}) but not in the account table, and"
        f" {share:.0%} of them have left or shown no sign of life for {QUIET_DAYS} days, against"
        f" {usual:.0%} of those listed: churned accounts were deleted; {effect}",
        "Export accounts and subscriptions with those that ended (CRM: include closed, archived and"
        " deleted records).",
        missing,
        known,
        "accounts",
        examples,
    )


def _missing_per_source(evidence: Evidence) -> list[tuple[str, int]]:
    return [
        (
            s.name,
            evidence.row(
                f"select count(distinct account_id) from {view(s)} join check_accounts "
                "using (account_id) where not is_listed"
            )[0],
        )
        for s in evidence.of("subscriptions", *SIGNS_OF_LIFE)
    ]


def _are_missing_from_population(evidence: Evidence) -> bool:
    """Whether the table that decides who is asked about lacks most of the missing leavers too."""
    _, name = population_source(evidence.workspace, evidence.target)
    source = evidence.staged[name]
    lacking, total = evidence.row(
        f"""
select count(*) filter (p.account_id is null), count(*) from check_accounts a
left join (select distinct account_id from {view(source)}) p using (account_id)
where not a.is_listed and a.is_gone"""
    )
    return bool(total > 0 and lacking > (1 - MOST_LACKING) * total)


# --- values that tell who left
# ---------------------------------------------------------------------


def _account_columns(accounts: StagedSource) -> list[str]:
    """Attributes as of today; with history (valid_from) a value may well end when the account
    does.
    """
    if is_mapped(accounts, "valid_from"):
        return []
    return [
        name
        for name, c in accounts.columns.items()
        if c.is_mapped and name not in (*NO_ATTRIBUTES, "created_at", "valid_to")
    ]


def _one_row(accounts: StagedSource) -> str:
    return f"select f.* from {view(accounts)} f where {LATEST}"


def _telling_emptiness(
    evidence: Evidence, source: StagedSource, columns: Sequence[str], per_account: str
) -> Iterator[Finding]:
    """Columns that are zero or empty for leavers and for nobody else, or filled for leavers
    only.
    """
    for name in columns:
        is_number = source.columns[name].type in ("money", "number")
        empty = f"(t.{name} is null{f' or t.{name} = 0' if is_number else ''})"
        both, empty_stay, full_left, full_stay = evidence.row(f"""
select count(*) filter ({empty} and a.has_left), count(*) filter ({empty} and not a.has_left),
  count(*) filter (not {empty} and a.has_left), count(*) filter (not {empty} and not a.has_left)
from ({per_account}) t join check_accounts a using (account_id) where a.has_left is not null""")
        for word, hits, others, missed in (
            ("zero or empty" if is_number else "empty", both, empty_stay, full_left),
            ("filled", full_left, full_stay, both),
        ):
            if (
                hits < LEAVERS_TO_TELL
                or hits < NEARLY_ALL * (hits + others)
                or hits < MOST_LEAVERS * (hits + missed)
            ):
                continue
            condition = empty if word != "filled" else f"not {empty}"
            examples = tuple(
                i
                for (i,) in evidence.rows(
                    f"select t.account_id from ({per_account}) t join check_accounts a using"
                    f" (account_id) where a.has_left and {condition} order by 1 limit {EXAMPLES}"
                )
            )
            yield _telling(source, name, word, (hits, hits + others, hits + missed), examples)


def _telling(
    source: StagedSource,
    name: str,
    word: str,
    counts: tuple[int, int, int],
    examples: tuple[str, ...],
) -> Finding:
    hits, with_it, leavers = counts
    return Finding(
        "filled-only-for-leavers" if word == "filled" else "empty-only-for-leavers",
        "stop",
        source.name,
        f"{name} is {word} for {hits:,} of {leavers:,} accounts that left and for"
        f" {with_it - hits:,} of those that stayed: it was overwritten when they left and tells the"
        " outcome",
        f"Give {name} history (valid_from, valid_to, or one row per term), or leave it out of the"
        " mapping.",
        hits,
        with_it,
        "accounts",
        examples,
    )


def _without_history(accounts: StagedSource, *, is_overwritten: bool) -> Iterator[Finding]:
    if is_mapped(accounts, "valid_from"):
        return
    mapped = [
        n
        for n, c in accounts.columns.items()
        if c.is_mapped and n not in NO_ATTRIBUTES and c.type != "time"
    ]
    named = [n for n in mapped if n not in accounts.settings.immutable]
    if not named:
        return
    grave = (
        "the same table deletes or overwrites accounts that left, so no value in it can be taken as"
        " known at an earlier date"
        if is_overwritten
        else "they are no signals unless declared immutable"
    )
    yield Finding(
        "attributes-without-history",
        "stop" if is_overwritten else "info",
        accounts.name,
        f"attributes hold today's values only; {grave}",
        "Map valid_from and valid_to from a history table, or declare immutable = [...] for what"
        " never changes.",
        len(named),
        len(mapped),
        "attributes",
        tuple(named),
    )


# --- flags, logs and columns that speak of the outcome
# ---------------------------------------------


def _flags(evidence: Evidence, accounts: StagedSource) -> Iterator[Finding]:
    log = (
        "the log of outcomes" if evidence.target.kind == "event" else "the end of all subscriptions"
    )
    for name, says_left in _status_columns(evidence, accounts):
        relation = (
            f"(select f.account_id, ({says_left}) = a.has_left as agrees from {view(accounts)} f "
            f"join check_accounts a using (account_id) where {LATEST} and f.{name} is not null "
            "and a.has_left is not null)"
        )
        yield from _agreement(evidence, relation, accounts, name, log, "accounts")


def _subscription_flags(evidence: Evidence, source: StagedSource) -> Iterator[Finding]:
    for name, says_left in _status_columns(evidence, source):
        relation = (
            f"(select f.account_id, ({says_left}) = coalesce(f.ends_at_day <= {evidence.end_day},"
            f" false) as agrees from {view(source)} f where {LATEST} and f.{name} is not null)"
        )
        yield from _agreement(evidence, relation, source, name, "ends_at", "subscriptions")


def _agreement(
    evidence: Evidence, relation: str, source: StagedSource, name: str, log: str, unit: str
) -> Iterator[Finding]:
    agreeing, total, _ = evidence.count(relation, "agrees")
    if not total:
        return
    _, _, examples = evidence.count(relation, "not agrees")
    share = agreeing / total
    if share < AGREES:
        yield Finding(
            "flag-disagrees",
            "warn",
            source.name,
            f"{name} agrees with {log} for {share:.1%} of {unit}: one of them is wrong, or they"
            " mean different things",
            f"Ask who sets {name} and when; labels follow {log}.",
            agreeing,
            total,
            f"{unit} agreeing",
            examples,
        )
    elif share >= TELLS and name in source.settings.immutable:
        yield Finding(
            "flag-tells-outcome",
            "stop",
            source.name,
            f"{name} is declared immutable but says who left ({share:.1%} of {unit})",
            f"Take {name} out of immutable.",
            agreeing,
            total,
            f"{unit} agreeing",
        )


def _status_columns(evidence: Evidence, source: StagedSource) -> Iterator[tuple[str, str]]:
    """(column, SQL that is true where it says the account left) of flags and statuses."""
    for name, column in source.columns.items():
        if not column.is_mapped or not STATUS_NAME.search(name) or column.type in ("time", "money"):
            continue
        if column.type == "text":
            values = [
                v
                for (v,) in evidence.rows(
                    f"select distinct {name} from {view(source)} where {name} is not null "
                    f"limit {SEVERAL_VALUES + 1}"
                )
            ]
            left = [v for v in values if LEFT_VALUE.search(v)]
            if left and len(left) < len(values) <= SEVERAL_VALUES:
                yield name, " or ".join(f"f.{name} = '" + v.replace("'", "''") + "'" for v in left)
            continue
        if (
            column.type == "number"
            and evidence.row(f"select count(distinct {name}) from {view(source)}")[0] != 2
        ):
            continue
        is_set = f"f.{name}" if column.type == "flag" else f"f.{name} <> 0"
        yield name, f"not ({is_set})" if STAYED_NAME.search(name) else is_set


def _log_against_subscriptions(
    evidence: Evidence, subscriptions: StagedSource
) -> Iterator[Finding]:
    """Accounts logged as gone whose paid cover went on."""
    target = evidence.target
    if target.kind != "event" or not ENDED_LOG.search(
        f"{target.name} {target.source} {' '.join(target.event_names)}"
    ):
        return
    log = evidence.staged[str(target.source)]
    relation = f"""(select e.account_id, max(coalesce(f.ends_at_day,
      1000000)) > max(e.day) + {STILL_COVERED_DAYS} as runs_on
from (select f.account_id, max(f.event_time_day) as day from {view(log)} f
      where {LATEST} and {outcome_filter(target_rule(target))} group by 1) e
join {view(subscriptions)} f on f.account_id = e.account_id and f.starts_at_day <= e.day
  and {LATEST} and {PAID} group by 1)"""
    count, total, examples = evidence.count(relation, "runs_on")
    if total and count > (1 - AGREES) * total:
        yield Finding(
            "outcome-log-disagrees",
            "warn",
            log.name,
            "accounts in the log keep paying: their subscriptions run more than"
            f" {STILL_COVERED_DAYS} days past their last logged event",
            "Ask what the log records (a request, a product, an account), or take "
            'labels from subscriptions: kind = "churn".',
            count,
            total,
            "accounts",
            examples,
        )


def _outcome_columns(evidence: Evidence) -> Iterator[Finding]:
    for source in evidence.staged.values():
        if source.contract.table in ("outcomes", "interventions") or not source.settings.features:
            continue
        named = [
            n
            for n, c in source.columns.items()
            if c.is_extra and OUTCOME_NAME.search(n) and _is_signal(source, n)
        ]
        if named:
            yield Finding(
                "outcome-columns-mapped",
                "warn",
                source.name,
                "extra columns sound like outcomes and become signals",
                "Leave them out of extra unless they are known before the account decides; the"
                " leakage audit refuses those that tell the label.",
                len(named),
                len(source.columns),
                "columns",
                tuple(named),
            )


def _outcome_words(evidence: Evidence) -> Iterator[Finding]:
    """Kinds of event that are states of a subscription: a status of today, read as if it happened
    on every day that a row stands for.
    """
    for source in evidence.staged.values():
        if "event_name" not in source.columns or source.contract.table != "usage_events":
            continue
        kinds = evidence.rows(
            f"select f.event_name, count(distinct f.account_id) from {view(source)} f"
            f" where {LATEST} and f.event_name is not null group by 1 order by 2 desc, 1"
        )
        states = {str(kind): accounts for kind, accounts in kinds if OUTCOME_WORD.match(str(kind))}
        if not states:
            continue
        named = tuple(f"{kind} ({accounts:,} accounts)" for kind, accounts in states.items())
        yield Finding(
            "outcome-words",
            "warn",
            source.name,
            f"{len(states)} of {len(kinds)} kinds of event are words for a state:"
            f" {', '.join(named[:EXAMPLES])}",
            "If the column is a status as of today, it tells the outcome: map another column as"
            " event_name, or leave these out with drop = { event_name = [...] }.",
            len(states),
            len(kinds),
            "kinds",
            named[:EXAMPLES],
        )


def _is_signal(source: StagedSource, name: str) -> bool:
    if source.contract.table == "accounts":
        return name in source.settings.immutable or is_mapped(source, "valid_from")
    return source.columns[name].type in ("number", "money")
