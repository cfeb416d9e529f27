"""What the end of a subscription means: the last day paid for or the first that is not, a day that
stands for "no end", a request, a trial inside the row, a row that never became active.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from pipeline.config.toml_text import toml_key
from pipeline.engine.duckdb import literal
from pipeline.staging.asking.question import SHOWN, Opened, Question, Reading
from pipeline.staging.casts import TRUE_WORDS, is_nothing, text, wall_clock
from pipeline.staging.mapping import MappedColumn

FEWEST = 5
"""Under five terms a pattern is chance."""
FEW = 0.02
LAST_SECOND = 2_147_483_647
"""The last moment that fits 32 bits."""
A_FIFTH = 0.2
ALL_BUT_A_FEW = 0.9
FAR_SHARED_DAYS = 5 * 366
"""The same of one day on which terms of many lengths would end."""
FAR_DAYS = 15 * 366
"""A term that would end so long after the newest start is none that anybody agreed on."""
# Days that programs write for "no end" or "no date": ends of calendars, first days of eras.
STAND_INS = frozenset(
    {
        date(1, 1, 1),
        date(1753, 1, 1),
        date(1899, 12, 30),
        date(1899, 12, 31),
        date(1900, 1, 1),
        date(1900, 1, 2),
        date(1970, 1, 1),
        date(2079, 6, 6),
        date(2099, 1, 1),
        date(2099, 12, 31),
        date(2100, 1, 1),
        date(2100, 12, 31),
        date(2199, 12, 31),
        date(2222, 2, 2),
        date(2222, 12, 31),
        date(2299, 12, 31),
        date(2500, 12, 31),
        date(2999, 12, 31),
        date(3000, 1, 1),
        date(3000, 12, 31),
        date(3999, 12, 31),
        date(4000, 12, 31),
        date(9999, 1, 1),
        date(9999, 12, 30),
        date(9999, 12, 31),
    }
)
TRIAL_END = re.compile(r"(trial_?(period_?)?(ends?|until|expires?|expiry)(_?(at|on|date|time))?)")
STATUS = re.compile(
    r"(subscription_|contract_|invoice_|payment_|charge_|order_|deal_|opportunity_|financial_)?"
    r"(status|state|stage|stagename)"
)
NEVER_HAPPENED = {
    "invoices": re.compile(
        r"failed|declined|rejected|blocked|void(ed)?|draft|incomplete|abandoned|deleted|cancell?ed"
        r"|requires[ _](payment[ _]method|action|confirmation|capture)|closed[ _-]?lost|storniert",
        re.IGNORECASE,
    ),
    "usage_events": re.compile(
        r"closed[ _-]?lost|lost|void(ed)?|cancell?ed|no[ _-]?show|storniert", re.IGNORECASE
    ),
}
"""Contract -> statuses of rows that are no bill, or no act, although they have a date."""
NEVER_ACTIVE = re.compile(
    r"incomplete|incomplete[ _]expired|draft|in[ _]approval([ _]process)?|abandoned|void(ed)?"
    r"|future|failed|not[ _]started|never[ _]activ\w*|rejected|declined|pending([ _]\w+)?|quote"
    r"|proposal",
    re.IGNORECASE,
)
END_NAME = re.compile(
    r"(\w+_)?(ends?|ended|valid_to|valid_until|expires?|expiry|expiration|terminated)"
    r"(_?(at|on|date|time))?|\w*ende|enddatum|g(ue|u|_)?ltig_bis"
)
ENDED = re.compile(
    r"cancell?ed|expired|ended|terminated|churned|lapsed|closed|gek(ü|ue)ndigt|beendet|abgelaufen",
    re.IGNORECASE,
)
MOST_WORDS, MOST_STATUSES = 5, 30
# Later words are the surer ends: a request to cancel comes before what it asks for.
REQUEST = re.compile(r"cancell?(ed|ation)(_?(at|on|date|time))?|cancel(_?(date|requested\w*))")
AT_PERIOD_END = re.compile(r"(is_)?cancel(l?ed|s)?_at_(period|term)_end")
PERIOD_END = re.compile(r"(current_)?(billing_)?(period|term)_ends?(_?(at|on|date))?")
REAL_END = re.compile(
    r"(ended|terminated|expired|deactivated)(_?(at|on|date|time))?|expires?(_?(at|on|date))?"
)


def status_questions(opened: Opened) -> Iterator[Question]:
    """Rows of bills and of activity whose status says that nothing came of them."""
    part, pattern = opened.parts[0], NEVER_HAPPENED.get(opened.contract.table)
    if pattern is None:
        return
    for name in part.raw.columns:
        is_ruled = name in (*opened.source.keep, *opened.source.drop)
        if not STATUS.fullmatch(_small(name)) or is_ruled:
            continue
        status = text(part.raw.required(name))
        found = opened.rows(
            f"SELECT {status}, count(*) FROM {part.raw.relation} AS source_row WHERE {part.kept}"
            f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_STATUSES + 1}"
        )
        values = [(str(v), n) for v, n in found if v is not None and pattern.fullmatch(str(v))]
        if not values or len(values) == len(found) or len(found) > MOST_STATUSES:
            continue
        rows, total = sum(n for _, n in values), sum(n for _, n in found)
        told = ", ".join(f"{v} on {n:,} rows" for v, n in values)
        what = "bills" if opened.contract.table == "invoices" else "activity"
        everything = [str(v) for v, _ in found if v is not None]
        yield Question(
            "never-happened",
            opened.name,
            f"`{name}` says {told} of {total:,}, which are taken for {what} like the others",
            (
                Reading(
                    "drop",
                    opened.with_values("drop", name, [v for v, _ in values]),
                    f"{rows:,} rows are left out and counted",
                ),
                Reading(
                    "keep",
                    opened.with_values("keep", name, everything),
                    f"all of them are {what}",
                ),
            ),
            ask="Do they count?",
            count=rows,
            total=total,
        )
        return


def end_questions(opened: Opened) -> Iterator[Question]:
    """Questions about the ends of subscriptions."""
    if opened.contract.table != "subscriptions":
        return
    yield from _not_read(opened, "starts_at")
    if not opened.is_mapped("ends_at"):
        yield from _not_mapped(opened)
    else:
        yield from _not_read(opened, "ends_at")
        yield from _words(opened)
        yield from _stand_ins(opened)
        if opened.source.end_day is None:
            yield from _last_days(opened)
        yield from _requests(opened)
        yield from _until_period_end(opened)
        yield from _ended_without_an_end(opened)
    if opened.source.paid_above is None and opened.is_mapped("amount_per_month"):
        yield from _unpaid(opened)
    yield from _trials(opened)
    yield from _never_active(opened)


def is_stand_in(day: date, first: date, last: date) -> bool:
    """Whether a day far outside the others stands for none; `first` and `last` of the others.

    >>> is_stand_in(date(2099, 12, 31), date(2022, 1, 1), date(2024, 5, 1))
    True
    >>> is_stand_in(date(2031, 12, 31), date(2022, 1, 1), date(2024, 5, 1))
    False
    """
    far = timedelta(days=FAR_DAYS)
    is_outside = day - last > far or first - day > far
    return is_outside and (day in STAND_INS or day.year >= 2200 or day.year < 1800)


def is_last_second(written: str) -> bool:
    """Whether a moment is the largest that a clock of 32 bits can write.

    >>> is_last_second("2147483647"), is_last_second("2147483647000"), is_last_second("1704067200")
    (True, True, False)
    """
    whole = written.strip().removesuffix(".0")
    return whole in (str(LAST_SECOND), str(1000 * LAST_SECOND))


def _not_mapped(opened: Opened) -> Iterator[Question]:
    """A column that is called an end, of which no value may be read: nobody could ever leave."""
    part = opened.parts[0]
    used = {c.from_column for c in part.columns.values()}
    for name in part.raw.columns:
        if name in used or not (END_NAME.fullmatch(_small(name))):
            continue
        value = text(part.raw.required(name))
        found = opened.rows(
            f"SELECT {value}, count(*), sum(count(*)) OVER () FROM {part.raw.relation} AS"
            f" source_row WHERE {part.kept} AND {value} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
            f" LIMIT {SHOWN}"
        )
        if not found:
            continue
        told = ", ".join(f"{v} ({n:,})" for v, n, _ in found)
        yield Question(
            "ends-not-read",
            opened.name,
            f"ends_at is not mapped, so nobody could ever leave, and `{name}` is called an end; its"
            f" values are such as {told}",
            todo=f"Under [sources.{opened.name}.columns] map ends_at from `{name}`: with format"
            " where it writes dates in its own way, and with empty = { "
            f'"{name}" = [...] }} under [sources.{opened.name}] for words that mean no end.',
            count=int(found[0][2]),
            unit="values",
        )
        return


def _not_read(opened: Opened, column: str) -> Iterator[Question]:
    """Dates that most rows write in one way and more than a few in another."""
    relation = opened.relation(read=column, shown=f"shown:{column}", given=f"given:{column}")
    is_unread = (
        f"read IS NULL AND given AND NOT {is_nothing('shown')} AND regexp_matches(shown, '[1-9]')"
        if column == "ends_at"  # words for no end are asked about apart
        else "read IS NULL AND given"
    )
    unread, filled = opened.row(
        f"SELECT count(*) FILTER ({is_unread}), count(*) FILTER (given) FROM {relation}"
    )
    if unread < max(FEWEST, FEW * filled):
        return
    found = opened.rows(
        f"SELECT shown, count(*) FROM {relation} WHERE {is_unread} GROUP BY 1 ORDER BY 2 DESC, 1"
        f" LIMIT {SHOWN}"
    )
    name = opened.raw_name(column)
    effect = (
        "Rows without a start are left out, and their customers with them"
        if column == "starts_at"
        else "Without an end such rows would be customers for ever"
    )
    yield Question(
        f"{column.removesuffix('_at')}-not-read",
        opened.name,
        f"`{name}` holds {unread:,} of {filled:,} values that are no date as the others are"
        f" written, such as {', '.join(f'{v} ({n:,})' for v, n in found)}",
        todo=f"{effect}. Write them as the others are, in the source or with codes of {column}; or"
        f" say with empty = {{ {toml_key(name)} = [...] }} under [sources.{opened.name}] which of"
        " them mean none. Accept the finding where they may be left out.",
        count=unread,
        total=filled,
        unit="values",
    )


def _words(opened: Opened) -> Iterator[Question]:
    """Words among the dates of ends: unbefristet, open, current."""
    relation = opened.relation(ends="ends_at", shown="shown:ends_at")
    found = opened.rows(
        f"SELECT shown, count(*) FROM {relation} WHERE ends IS NULL AND shown IS NOT NULL"
        f" AND NOT regexp_matches(shown, '[1-9]') AND NOT {is_nothing('shown')}"
        f" GROUP BY shown ORDER BY 2 DESC, 1 LIMIT {MOST_WORDS + 1}"
    )
    if not found or len(found) > MOST_WORDS:
        return
    column = opened.raw_name("ends_at")
    rows = sum(n for _, n in found)
    yield Question(
        "open-ends",
        opened.name,
        f"`{column}` holds words among its dates: "
        + ", ".join(f"{word} on {n:,} rows" for word, n in found),
        (
            Reading(
                "empty",
                opened.with_values("empty", column, [word for word, _ in found]),
                f"{rows:,} rows have no end yet",
            ),
        ),
        ask="Words for what has no end?",
        is_sure=True,
        count=rows,
        unit="ends",
    )


def _stand_ins(opened: Opened) -> Iterator[Question]:
    """Ends on one far day for many, or long before the first start."""
    relation = opened.relation(
        account="account_id", starts="starts_at", ends="ends_at", shown="shown:ends_at"
    )
    first, last, filled = opened.row(
        f"SELECT CAST(min(starts) AS DATE), CAST(max(starts) AS DATE), count(ends) FROM {relation}"
    )
    if first is None or not filled:
        return
    # Compared as text: DuckDB's calendar goes further than Python's.
    found = opened.rows(
        f"""WITH terms AS MATERIALIZED (SELECT * FROM {relation})
SELECT shown, CAST(min(ends) AS VARCHAR), count(*), count(DISTINCT account)
FROM terms WHERE ends > TIMESTAMP '{last + timedelta(days=FAR_DAYS)}'
  OR ends < TIMESTAMP '{first - timedelta(days=min(FAR_DAYS, (first - date.min).days))}'
  OR shown IN ('{LAST_SECOND}', '{1000 * LAST_SECOND}')
GROUP BY shown
UNION ALL
SELECT shown, CAST(min(ends) AS VARCHAR), count(*), count(DISTINCT account) FROM terms
WHERE ends > TIMESTAMP '{last + timedelta(days=FAR_SHARED_DAYS)}'
  AND ends <= TIMESTAMP '{last + timedelta(days=FAR_DAYS)}'
  AND shown NOT IN ('{LAST_SECOND}', '{1000 * LAST_SECOND}')
GROUP BY shown HAVING count(DISTINCT CAST(starts AS DATE)) >= {FEWEST}
  AND count(DISTINCT account) >= {FEWEST} AND count(*) >= {A_FIFTH} * {filled}
ORDER BY 3 DESC, 1 LIMIT {SHOWN}"""
    )
    alike = [each for each in found if each[2] >= FEWEST or each[2] >= A_FIFTH * filled]
    sure = [each for each in found if is_last_second(each[0]) or _is_sure(each[1], first, last)]
    values = list(dict.fromkeys([str(each[0]) for each in (*sure, *alike)]))
    if not values:
        return
    rows = sum(each[2] for each in found if str(each[0]) in values)
    column = opened.raw_name("ends_at")
    told = ", ".join(f"{value} on {n:,} rows" for value, _, n, _ in found if str(value) in values)
    yield Question(
        "open-ends",
        opened.name,
        f"`{column}` holds {told} of {filled:,}",
        (
            Reading(
                "empty",
                opened.with_values("empty", column, values),
                f"{rows:,} rows have no end yet",
            ),
        ),
        ask="A day that stands for no end, or a real one? As an end it would never be reached, and"
        " days until renewal would tell who stays",
        is_sure=len(sure) >= len(values),
        count=rows,
        total=filled,
        unit="ends",
    )


def _is_sure(stamp: str, first: date, last: date) -> bool:
    try:
        day = date.fromisoformat(stamp[:10])
    except ValueError:
        return True  # beyond the year 9999, or before our era
    return is_stand_in(day, first, last)


def _last_days(opened: Opened) -> Iterator[Question]:
    """Terms whose successor begins the day after their end, or that last whole months less a
    day.
    """
    local = opened.parts[0].columns["ends_at"].local if opened.parts else None
    if local is not None and local.calendar_shift is not None:
        return  # worked out from the length of a plan
    relation = opened.relation(account="account_id", starts="starts_at", ends="ends_at")
    touching, after, whole, short, dated = opened.row(
        f"""
WITH terms AS (SELECT * FROM {relation} WHERE ends >= starts AND account IS NOT NULL
    AND ends < TIMESTAMP '2200-01-01'),
steps AS (SELECT *, lead(starts) OVER (PARTITION BY account ORDER BY starts, ends) AS following,
  ends = date_trunc('day', ends) OR CAST(ends AS TIME) >= TIME '23:59:00' AS is_day,
  date_trunc('day', ends) + INTERVAL 1 DAY AS day_after FROM terms)
SELECT count(*) FILTER (following = ends
    OR ends = date_trunc('day', ends) AND CAST(following AS DATE) = CAST(ends AS DATE)),
  count(*) FILTER (is_day AND CAST(following AS DATE) = CAST(day_after AS DATE)),
  count(*) FILTER (ends > starts
    AND starts + to_months(date_diff('month', starts, ends)) = ends),
  count(*) FILTER (is_day AND day_after > starts + INTERVAL 20 DAY
    AND date_trunc('day', starts) + to_months(date_diff('month', starts, day_after)) = day_after),
  count(*) FROM steps"""
    )
    followed = touching + after
    if followed >= FEWEST and after >= max(FEWEST, A_FIFTH * followed):
        is_sure = touching <= FEW * followed
        told = (
            f"{after:,} of {followed:,} terms that another one follows end on the day before it"
            " begins" + (f", {touching:,} on the day itself" if touching else "")
        )
        included = f"the next term begins the day after on {after:,} of {followed:,}"
        excluded = f"it begins on that day on {touching:,} of {followed:,}"
    elif (
        followed < FEWEST and short >= max(FEWEST, A_FIFTH * dated) and whole <= FEW * dated < short
    ):
        is_sure = short >= ALL_BUT_A_FEW * dated
        told = f"{short:,} of {dated:,} terms last whole months less a day (1 to 31 January)"
        included = f"{short:,} of {dated:,} then last whole months"
        excluded = f"{whole:,} of {dated:,} last whole months as they are"
    else:
        return
    yield Question(
        "ends-on-last-day",
        opened.name,
        f"`{opened.raw_name('ends_at')}`: {told}",
        (
            Reading("end_day", "included", included),
            Reading("end_day", "excluded", excluded),
        ),
        ask="Is the day in it the last one paid for, or the first one that is not? Read wrongly,"
        " every account seems to leave on the first of a term",
        is_sure=is_sure,
        count=after or short,
        total=followed or dated,
        unit="terms",
    )


def _requests(opened: Opened) -> Iterator[Question]:
    """The request to cancel taken for the end, where the end stands beside it."""
    column = opened.raw_name("ends_at")
    if not column or not REQUEST.fullmatch(_small(column)) or opened.is_mapped("notice_at"):
        return
    part = opened.parts[0]
    others = [
        name
        for name in part.raw.columns
        if REAL_END.fullmatch(_small(name))
        and name not in {c.from_column for c in part.columns.values()}
    ]
    for other in others:
        required = part.raw.required(other)
        mine = part.raw.required(column)
        both, later = opened.row(
            f"SELECT count(*), count(*) FILTER ({text(required)} <> {text(mine)}) FROM"
            f" {part.raw.relation} AS source_row WHERE {part.kept} AND {text(required)} IS NOT NULL"
            f" AND {text(mine)} IS NOT NULL"
        )
        if both and later:
            yield Question(
                "request-taken-for-end",
                opened.name,
                f"ends_at is filled from `{column}`, and `{other}` differs from it on {later:,} of"
                f" {both:,} rows that have both: when leaving was asked for, and when cover ended",
                todo=f"Under [sources.{opened.name}.columns] map ends_at from `{other}` and"
                f" notice_at from `{column}`, or accept this finding with a reason.",
                count=later,
                total=both,
            )
            return


def _until_period_end(opened: Opened) -> Iterator[Question]:
    """The request to cancel taken for the end, where rows say that they run on to the period's
    end.
    """
    column = opened.raw_name("ends_at")
    part = opened.parts[0]
    if not column or not REQUEST.fullmatch(_small(column)):
        return
    if any(REAL_END.fullmatch(_small(name)) for name in part.raw.columns):
        return  # `_requests` names the end
    flag_name = next((n for n in part.raw.columns if AT_PERIOD_END.fullmatch(_small(n))), None)
    period = next((n for n in part.raw.columns if PERIOD_END.fullmatch(_small(n))), None)
    if flag_name is None or period is None:
        return
    mine, until = text(part.raw.required(column)), text(part.raw.required(period))
    at_end, ended = opened.row(
        f"SELECT count(*) FILTER (lower({text(part.raw.required(flag_name))}) IN"
        f" ({', '.join(map(literal, TRUE_WORDS))}) AND {until} <> {mine}), count(*) FROM"
        f" {part.raw.relation} AS source_row WHERE {part.kept} AND {mine} IS NOT NULL AND"
        f" NOT {is_nothing(mine)}"
    )
    if not at_end:
        return
    yield Question(
        "request-taken-for-end",
        opened.name,
        f"ends_at is filled from `{column}`, and on {at_end:,} of {ended:,} rows with it"
        f" `{flag_name}` says that cover runs on to `{period}`",
        todo=f"Write the day cover ended into a column of its own (`{period}` where"
        f" `{flag_name}`, else `{column}`) and map ends_at from it and notice_at from `{column}`;"
        " Stripe exports it as ended_at. Accept this finding where they left on that day.",
        count=at_end,
        total=ended,
    )


def _trials(opened: Opened) -> Iterator[Question]:
    """A trial inside the row of the subscription: cover counts as paid from its end on."""
    says_trial = opened.is_mapped("is_trial") and opened.source.paid_above is None
    if opened.source.trial_ends is not None or says_trial:
        return
    part = opened.parts[0]
    used = {c.from_column for c in part.columns.values()}
    name = next(
        (n for n in part.raw.columns if TRIAL_END.fullmatch(_small(n)) and n not in used), None
    )
    if name is None or "starts_at" not in part.columns:
        return
    trial = text(part.raw.required(name))
    filled, total = opened.row(
        f"SELECT count({trial}), count(*) FROM {part.raw.relation} AS source_row WHERE {part.kept}"
    )
    if not filled:
        return
    yield Question(
        "trial-inside-the-row",
        opened.name,
        f"`{name}` is filled on {filled:,} of {total:,} rows: a trial that is part of the row",
        (
            Reading("trial_ends", name, f"paid cover begins at the trial's end on {filled:,} rows"),
            Reading("trial_ends", "", "the time of a trial counts as paid"),
        ),
        ask="Taken as paid, whoever only tried is a customer who leaves",
        is_sure=True,
        count=filled,
        total=total,
    )


def _unpaid(opened: Opened) -> Iterator[Question]:
    """Terms that cost nothing: a free plan, a month as a gift, a paused collection."""
    relation = opened.relation(
        account="account_id",
        starts="starts_at",
        ends="ends_at",
        amount="amount_per_month",
        trial="is_trial",
    )
    free, accounts, turned, between, paid = opened.row(
        f"""
WITH terms AS (SELECT *, amount <= 0 AS is_free FROM {relation}
    WHERE amount IS NOT NULL AND NOT coalesce(trial, false)),
steps AS (SELECT *,
  coalesce(bool_or(NOT is_free) OVER (PARTITION BY account ORDER BY starts, ends
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS paid_before,
  coalesce(bool_or(NOT is_free) OVER (PARTITION BY account ORDER BY starts, ends
    ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), false) AS paid_after FROM terms)
SELECT count(*) FILTER (is_free), count(DISTINCT account) FILTER (is_free),
  count(DISTINCT account) FILTER (is_free AND paid_before AND NOT paid_after),
  count(*) FILTER (is_free AND paid_before AND paid_after), count(*) FILTER (NOT is_free)
FROM steps"""
    )
    if free < FEWEST or not paid:
        return
    bridged = (
        f"{between:,} lie between two paid terms, as a gift or a pause does: with [[targets]]"
        " grace_days as long as one of them, nobody leaves there."
        if between
        else ""
    )
    yield Question(
        "terms-without-payment",
        opened.name,
        f"`{opened.raw_name('amount_per_month')}` is 0 on {free:,} of {free + paid:,} terms of"
        f" {accounts:,} accounts; {turned:,} accounts paid before and never again",
        (
            Reading("paid_above", 0, f"free is not paying: these {turned:,} accounts left"),
            Reading("paid_above", -1, f"a free plan is a customer, too: these {turned:,} stayed"),
        ),
        ask="Is whoever has a free term a customer?",
        todo=bridged,
        count=free,
        total=free + paid,
        unit="terms",
    )


def _never_active(opened: Opened) -> Iterator[Question]:
    """Rows whose status says that they never became a running subscription."""
    part = opened.parts[0]
    for name in part.raw.columns:
        if not STATUS.fullmatch(_small(name)) or name in (*opened.source.keep,):
            continue
        status = text(part.raw.required(name))
        found = opened.rows(
            f"SELECT {status}, count(*) FROM {part.raw.relation} AS source_row WHERE {part.kept}"
            " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 30"
        )
        values = [(str(v), n) for v, n in found if v is not None and NEVER_ACTIVE.fullmatch(str(v))]
        if not values or len(values) == len(found):
            continue
        rows, total = sum(n for _, n in values), sum(n for _, n in found)
        told = ", ".join(f"{v} on {n:,} rows" for v, n in values)
        yield Question(
            "never-active",
            opened.name,
            f"`{name}` says {told} of {total:,}: subscriptions that never ran",
            (
                Reading(
                    "drop",
                    opened.with_values("drop", name, [v for v, _ in values]),
                    f"{rows:,} rows are left out and counted",
                ),
            ),
            ask="Without an end they would be customers for ever",
            is_sure=True,
            count=rows,
            total=total,
        )


def _ended_without_an_end(opened: Opened) -> Iterator[Question]:
    """Rows whose status says that they are over, and that have no end."""
    part = opened.parts[0]
    ends = part.columns.get("ends_at")
    if len(opened.parts) > 1 or ends is None:
        return
    for name in part.raw.columns:
        if not STATUS.fullmatch(_small(name)):
            continue
        status = text(part.raw.required(name))
        found = opened.rows(
            f"SELECT {status}, count(*), count(*) FILTER (NOT ({_has_end(ends)})) FROM"
            f" {part.raw.relation} AS source_row WHERE {part.kept} GROUP BY 1 ORDER BY 3 DESC, 1"
            " LIMIT 30"
        )
        over = [(str(v), n, open_) for v, n, open_ in found if v and ENDED.fullmatch(str(v))]
        without = sum(open_ for _, _, open_ in over)
        if without < FEWEST:
            continue
        told = ", ".join(f"{v} on {open_:,} of {n:,} rows" for v, n, open_ in over if open_)
        dated = [
            n
            for n in part.raw.columns
            if (REQUEST.fullmatch(_small(n)) or END_NAME.fullmatch(_small(n)))
            and n != ends.from_column
        ]
        other = f" (`{'`, `'.join(dated)}` may say when)" if dated else ""
        yield Question(
            "ended-without-an-end",
            opened.name,
            f"`{name}` says {told} that have no end in `{ends.from_column}`{other}: they would be"
            " customers for ever",
            todo=f"Under [sources.{opened.name}.columns] map ends_at from the column that says when"
            " they ended, leave such rows out with drop, or accept this finding with a reason.",
            count=without,
            total=sum(n for _, n, _ in over),
        )
        return


def _has_end(ends: MappedColumn) -> str:
    """SQL that is true where a row has an end."""
    if ends.local is None:
        return ends.given
    return wall_clock(ends.local, ends.zone) + " IS NOT NULL"


def _small(name: str) -> str:
    """The name in small letters and underscores, the last part of a dotted one."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.rpartition(".")[2])
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return re.sub(r"(?<=.)_(utc|gmt)$", "", plain)  # the zone is no part of what it is
