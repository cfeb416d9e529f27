"""What each signal should be, in slow plain Python over rows: written from the words of the cards,
not from their SQL.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from tiny_world import (
    FIRST_VALUE_EVENTS,
    KEY_FEATURES,
    PACE_CUTS,
    TROUBLE_EVENTS,
    Row,
    TinySource,
    World,
    moment_of,
)

from features.definition import Signal
from features.sources import CONTRACTS, MinutesBetween

EPOCH = datetime(1970, 1, 1)


def day(moment: datetime) -> int:
    """Day number."""
    return (moment - EPOCH).days


def has_reference(signal: Signal) -> bool:
    """Whether somebody wrote down what the signal should be."""
    facts = signal.definition
    if "numerator" in facts:
        return signal.column in RATIOS or _is_of_windows(facts)
    return (
        _card_name(signal) in STATES
        if "state" in facts
        else "attribute" in facts or facts["measure"] in MEASURES
    )


def _card_name(signal: Signal) -> str:
    """The column without the name of a source of its own."""
    return signal.column.removeprefix(f"{signal.source}__")


def _is_of_windows(facts: dict[str, Any]) -> bool:
    return all("measure" in facts[part] for part in ("numerator", "divisor"))


def reference(world: World, signal: Signal, account: str, as_of: int, feed: str) -> float | None:
    """The value of one signal of one snapshot; None is null."""
    facts = signal.definition
    if "numerator" in facts and _is_of_windows(facts):
        top, bottom = (
            windowed(world[facts[p]["source"]], facts[p], account, as_of, feed)
            for p in ("numerator", "divisor")
        )
        return None if top is None or not bottom else top / bottom
    if "numerator" in facts:
        return RATIOS[signal.column](world, account, as_of, feed)
    source = world[signal.source]
    if "attribute" in facts:
        return attribute(source, facts, account, as_of)
    if "state" in facts:
        window = signal.window_days
        if not (
            began(source, as_of, feed) if window is None else covered(source, as_of, feed, window)
        ):
            return None
        if not words_occur(source, *COUNTED.get(_card_name(signal), ("", ())), as_of):
            return None
        value = STATES[_card_name(signal)](rows_as_known(source, account, as_of), as_of)
        return signal.when_empty if value is None else float(value)
    value = windowed(source, facts, account, as_of, feed)
    return value


# --- what was known
# ------------------------------------------------------------------------------------


def is_known(row: Row, as_of: int) -> bool:
    """Arrived before as_of and not taken back or corrected before it."""
    now = moment_of(as_of)
    return (row["known_from"] or EPOCH) < now and (
        row["known_until"] is None or row["known_until"] >= now
    )


def words_occur(source: TinySource, column: str, words: tuple[str, ...], as_of: int) -> bool:
    """Whether some account's row had held one of the words by then; words of a project's own are
    taken as they are.
    """
    declared = CONTRACTS[source.contract].column(column)
    if declared is None or not words or not set(words) <= set(declared.words):
        return True
    return any(
        row[column] in words and (row["known_from"] or EPOCH) < moment_of(as_of)
        for row in source.rows
    )


def rows_as_known(source: TinySource, account: str, as_of: int) -> list[Row]:
    """The account's rows, each column blank until its clock struck."""
    found = []
    for row in source.rows:
        if row["account_id"] != account or not is_known(row, as_of):
            continue
        seen = dict(row)
        for column in CONTRACTS[source.contract].columns:
            clock = column.clock
            if (
                source.contract == "subscriptions"
                and source.settings.convention == "fixed_term"
                and column.name == "ends_at"
            ):
                clock = None
            if clock and not (row.get(clock) and row[clock] < moment_of(as_of)):
                seen[column.name] = None
        found.append(seen)
    return found


def feed_days(source: TinySource, as_of: int, feed: str) -> dict[int, int]:
    """Rows per day of the feed, of everything that had been heard of before as_of."""
    event = CONTRACTS[source.contract].event_time
    counts: dict[int, int] = {}
    for row in source.rows:
        if row["partition"] != feed:
            continue
        known = row["known_from"] or EPOCH
        happened = row.get(event) or known
        if known < moment_of(as_of) and happened < moment_of(as_of):
            counts[day(happened)] = counts.get(day(happened), 0) + 1
    return counts


def silent(source: TinySource, as_of: int, feed: str) -> set[int]:
    """Days on which a busy feed was dead."""
    counts = feed_days(source, as_of, feed)
    days = sorted(counts)
    if len(days) < 2 or median(counts.values()) < 5:
        return set()
    usual = median(b - a for a, b in zip(days, days[1:], strict=False))
    found: set[int] = set()
    for here, there in zip(days, [*days[1:], as_of], strict=True):
        gap = list(range(here + 1, there))
        if len(gap) >= 15 and len(gap) >= 3 * usual:
            found |= set(gap)
    return found


def began(source: TinySource, as_of: int, feed: str) -> bool:
    """Whether anything of the feed had been heard before as_of."""
    return bool(feed_days(source, as_of, feed))


def covered(source: TinySource, as_of: int, feed: str, window: int) -> bool:
    """Whether the feed was there for the whole window."""
    days = feed_days(source, as_of, feed)
    return (
        bool(days)
        and min(days) <= as_of - window
        and not silent(source, as_of, feed) & set(range(as_of - window, as_of))
    )


# --- windows
# ---------------------------------------------------------------------------------------------


def windowed(
    source: TinySource, facts: dict[str, Any], account: str, as_of: int, feed: str
) -> float | None:
    """Measures over facts; the feed must have covered what they read."""
    measure, window = facts["measure"], facts["window_days"]
    if measure == "change":
        is_there = covered(source, as_of, feed, 2 * window)
    elif window is not None:
        is_there = covered(source, as_of, feed, window)
    elif measure in ("days_since", "silence_ratio"):
        is_there = began(source, as_of, feed) and as_of - 1 not in silent(source, as_of, feed)
    else:
        is_there = began(source, as_of, feed)
    kind = next(s.kind for s in CONTRACTS[source.contract].streams if s.name == facts["stream"])
    if not is_there or not words_occur(source, str(kind), tuple(facts["kinds"]), as_of):
        return None
    every = facts_of(source, facts["stream"], account, as_of)
    chosen = [f for f in every if not facts["kinds"] or f["kind"] in facts["kinds"]]
    return MEASURES[measure](chosen, every, facts, as_of)


def facts_of(source: TinySource, stream_name: str, account: str, as_of: int) -> list[Row]:
    """The dated facts of one stream that had happened and were known, with kind, value columns and
    Spans.
    """
    stream = next(s for s in CONTRACTS[source.contract].streams if s.name == stream_name)
    found = []
    for row in source.rows:
        moment = row.get(stream.event_time)
        if (
            row["account_id"] != account
            or not is_known(row, as_of)
            or moment is None
            or moment >= moment_of(as_of)
        ):
            continue
        fact = {**row, "at": moment, "kind": row.get(stream.kind) if stream.kind else None}
        for number in stream.numbers:
            if isinstance(number, MinutesBetween):
                start, end = row.get(number.start), row.get(number.end)
                fact[number.name] = (
                    None if start is None or end is None else (end - start) // timedelta(minutes=1)
                )
        found.append(fact)
    return found


def within(facts: list[Row], as_of: int, first: int, until: int = 0) -> list[Row]:
    """Facts in [as_of - first, as_of - until)."""
    return [f for f in facts if moment_of(as_of - first) <= f["at"] < moment_of(as_of - until)]


def _window(facts: list[Row], spec: dict[str, Any], as_of: int) -> list[Row]:
    return facts if spec["window_days"] is None else within(facts, as_of, spec["window_days"])


def _values(facts: list[Row], spec: dict[str, Any], as_of: int) -> list[int]:
    return [
        f[spec["number"]] for f in _window(facts, spec, as_of) if f.get(spec["number"]) is not None
    ]


def _scaled(value: float | None, spec: dict[str, Any]) -> float | None:
    return None if value is None else float(value) / 10 ** spec["decimals"]


def _count(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    return float(len(_window(chosen, spec, as_of)))


def _total(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    return _scaled(sum(_values(chosen, spec, as_of)), spec)


def _mean(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    values = _values(chosen, spec, as_of)
    return _scaled(sum(values) / len(values), spec) if values else None


def _largest(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    return _scaled(max(_values(chosen, spec, as_of), default=None), spec)


def _smallest(
    chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int
) -> float | None:
    return _scaled(min(_values(chosen, spec, as_of), default=None), spec)


def _distinct(
    chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int
) -> float | None:
    return float(len(set(_values(chosen, spec, as_of))))


def _days(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    return float(len({day(f["at"]) for f in _window(chosen, spec, as_of)}))


def _days_since(
    chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int
) -> float | None:
    return float(as_of - max(day(f["at"]) for f in chosen)) if chosen else None


def _age(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    return float(as_of - min(day(f["at"]) for f in chosen)) if chosen else None


def _gap(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    days = {day(f["at"]) for f in chosen}
    return (max(days) - min(days)) / (len(days) - 1) if len(days) > 1 else None


def _silence(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    gap, since = _gap(chosen, every, spec, as_of), _days_since(chosen, every, spec, as_of)
    return None if gap is None or since is None else since / gap


def _share(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    whole = _window(every, spec, as_of)
    return len(_window(chosen, spec, as_of)) / len(whole) if whole else None


def _change(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    window = spec["window_days"]

    def size(facts: list[Row]) -> int:
        if spec["number"] == "days":
            return len({day(f["at"]) for f in facts})
        return (
            len(facts) if spec["number"] is None else sum(f.get(spec["number"]) or 0 for f in facts)
        )

    now, before = (
        size(within(chosen, as_of, window)),
        size(within(chosen, as_of, 2 * window, window)),
    )
    return (now - before) / (abs(now) + abs(before)) if abs(now) + abs(before) else None


def _latest(chosen: list[Row], every: list[Row], spec: dict[str, Any], as_of: int) -> float | None:
    found = [
        (f["at"], f["known_from"] or EPOCH, f[spec["number"]])
        for f in _window(chosen, spec, as_of)
        if f.get(spec["number"]) is not None
    ]
    return _scaled(max(found)[2], spec) if found else None


MEASURES: dict[str, Callable[[list[Row], list[Row], dict[str, Any], int], float | None]] = {
    "count": _count,
    "total": _total,
    "mean": _mean,
    "largest": _largest,
    "smallest": _smallest,
    "distinct": _distinct,
    "distinct_days": _days,
    "days_since": _days_since,
    "age_days": _age,
    "mean_gap_days": _gap,
    "silence_ratio": _silence,
    "share": _share,
    "change": _change,
    "latest": _latest,
}


# --- attributes
# ------------------------------------------------------------------------------------------


def attribute(source: TinySource, facts: dict[str, Any], account: str, as_of: int) -> float | None:
    """The newest attributes that hold on the date."""
    rows = [
        r
        for r in rows_as_known(source, account, as_of)
        if r.get("valid_from") is None or r["valid_from"] < moment_of(as_of)
    ]
    if not rows:
        return None
    names = [n for n in source.staged().columns if n in ("segment", "plan", "seats", "consent")]
    # Python sorts upward, so the order of ties (values upward, nothing last) is applied first and
    # kept.
    rows.sort(
        key=lambda r: [(r.get(n) is None, r.get(n) if r.get(n) is not None else 0) for n in names]
    )
    rows.sort(key=lambda r: (r["valid_from"] or datetime.min, r["known_from"]), reverse=True)
    value = rows[0].get(facts["attribute"])
    if value is None:
        return None
    if isinstance(value, bool):
        value = str(value).lower()
    if "category" in facts:
        return None if value not in facts["seen"] else float(value == facts["category"])
    if "seen" in facts:
        return None if value not in facts["seen"] else float(1 + facts["seen"].index(value))
    return float(value) / 10 ** facts["decimals"]


# --- states
# ----------------------------------------------------------------------------------------------


def _past(moment: datetime | None, as_of: int) -> bool:
    return moment is not None and moment < moment_of(as_of)


def _running(row: Row, as_of: int, starts: str, ends: str) -> bool:
    """Covers the last instant before as_of."""
    return _past(row.get(starts), as_of) and not _past(row.get(ends), as_of)


def _lately(moment: datetime | None, as_of: int, days: int) -> bool:
    return moment is not None and moment_of(as_of - days) <= moment < moment_of(as_of)


def _paid(rows: list[Row]) -> list[Row]:
    return [r for r in rows if not r.get("is_trial")]


def _terms(rows: list[Row], as_of: int) -> list[Row]:
    return [r for r in _paid(rows) if _running(r, as_of, "starts_at", "ends_at")]


def _open(rows: list[Row], as_of: int) -> list[Row]:
    return [r for r in rows if _past(r["opened_at"], as_of) and r["closed_at"] is None]


def _overdue(rows: list[Row], as_of: int, done: str) -> list[Row]:
    return [r for r in rows if _past(r["due_at"], as_of) and r[done] is None]


def _oldest(rows: list[Row], as_of: int, column: str) -> int | None:
    return max((as_of - day(r[column]) for r in rows), default=None)


def _sum(rows: list[Row], column: str, scale: int) -> float | None:
    found = [r[column] for r in rows if r.get(column) is not None]
    return sum(found) / scale if found else None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _role(rows: list[Row], role: str) -> list[Row]:
    return [r for r in rows if r["role"] == role]


# States that count rows of some words.
COUNTED = {"severe_open": ("severity", ("high", "urgent", "critical"))} | {
    name.format(role): ("role", (role,))
    for role in ("champion", "sponsor")
    for name in ("{}s_present", "{}_lost_91d", "{}_new_91d", "{}_missing_days")
}

StateReference = Callable[[list[Row], int], float | None]
STATES: dict[str, StateReference] = {
    "tickets_open": lambda rows, t: len(_open(rows, t)),
    "oldest_open_ticket": lambda rows, t: _oldest(_open(rows, t), t, "opened_at"),
    "tickets_reopened": lambda rows, t: sum(_lately(r["reopened_at"], t, 182) for r in rows),
    "invoices_overdue": lambda rows, t: len(_overdue(rows, t, "paid_at")),
    "days_overdue": lambda rows, t: _oldest(_overdue(rows, t, "paid_at"), t, "due_at"),
    "goals_missed": lambda rows, t: len(_overdue(rows, t, "met_at")),
    "goals_set": lambda rows, t: len(rows),
    "milestones_reached": lambda rows, t: sum(r["reached_at"] is not None for r in rows),
    "milestones_late_28d": lambda rows, t: len(
        [r for r in _overdue(rows, t, "reached_at") if _lately(r["due_at"], t, 28)]
    ),
    "milestones_met_share": lambda rows, t: _ratio(
        sum(r["reached_at"] is not None for r in rows if _past(r["due_at"], t)),
        sum(_past(r["due_at"], t) for r in rows),
    ),
    "days_since_milestone": lambda rows, t: min(
        (t - day(r["reached_at"]) for r in rows if r["reached_at"]), default=None
    ),
    "milestone_lead_days": lambda rows, t: _ratio(
        sum(
            day(r["due_at"]) - day(r["reached_at"]) for r in rows if r["reached_at"] and r["due_at"]
        ),
        sum(1 for r in rows if r["reached_at"] and r["due_at"]),
    ),
    "milestones_late": lambda rows, t: len(_overdue(rows, t, "reached_at")),
    "oldest_late_milestone": lambda rows, t: _oldest(_overdue(rows, t, "reached_at"), t, "due_at"),
    "contacts_present": lambda rows, t: sum(_running(r, t, "valid_from", "valid_to") for r in rows),
    "days_to_renewal": lambda rows, t: min(
        (day(r["ends_at"]) - t for r in _terms(rows, t) if r["ends_at"]), default=None
    ),
    "term_days": lambda rows, t: max(
        (day(r["ends_at"]) - day(r["starts_at"]) for r in _terms(rows, t) if r["ends_at"]),
        default=None,
    ),
    "days_in_term": lambda rows, t: min(
        (t - day(r["starts_at"]) for r in _terms(rows, t)), default=None
    ),
    "days_as_customer": lambda rows, t: _oldest(
        [r for r in _paid(rows) if _past(r["starts_at"], t)], t, "starts_at"
    ),
    "terms_so_far": lambda rows, t: sum(_past(r["starts_at"], t) for r in _paid(rows)),
    "terms_running": lambda rows, t: len(_terms(rows, t)),
    "paid_per_month": lambda rows, t: _sum(_terms(rows, t), "amount_per_month", 100),
    "seats_paid": lambda rows, t: _sum(_terms(rows, t), "seats", 10),
    "renews_itself": lambda rows, t: max(
        (float(bool(r["auto_renew"])) for r in _terms(rows, t)), default=None
    ),
    "discount": lambda rows, t: max(
        (r["discount_share"] / 10 for r in _terms(rows, t) if r["discount_share"] is not None),
        default=None,
    ),
    "terms_ended_91d": lambda rows, t: sum(_lately(r["ends_at"], t, 91) for r in _paid(rows)),
    "days_since_trial": lambda rows, t: min(
        (t - day(r["starts_at"]) for r in rows if r.get("is_trial") and _past(r["starts_at"], t)),
        default=None,
    ),
}
for _name in ("champion", "sponsor"):
    STATES[f"{_name}s_present"] = lambda rows, t, role=_name: sum(  # type: ignore[misc]
        _running(r, t, "valid_from", "valid_to") for r in _role(rows, role)
    )
    STATES[f"{_name}_lost_91d"] = lambda rows, t, role=_name: sum(  # type: ignore[misc]
        _lately(r["valid_to"], t, 91) for r in _role(rows, role)
    )


# What people did, one by one.
def _by_person(rows: list[Row], as_of: int, first: int, until: int = 0) -> dict[str, list[Row]]:
    """Events in [as_of - first, as_of - until) of each person."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["user_id"] is not None and moment_of(as_of - first) <= row["event_time"] < moment_of(
            as_of - until
        ):
            found.setdefault(row["user_id"], []).append(row)
    return found


def _top_share(rows: list[Row], as_of: int) -> float | None:
    counts = [len(events) for events in _by_person(rows, as_of, 28).values()]
    return _ratio(max(counts, default=0), sum(counts))


def _back_share(rows: list[Row], as_of: int) -> float | None:
    before = _by_person(rows, as_of, 56, 28)
    return _ratio(len(before.keys() & _by_person(rows, as_of, 28)), len(before))


def _stuck(rows: list[Row], as_of: int) -> int:
    return sum(
        len([r for r in events if r["event_name"] in TROUBLE_EVENTS]) >= 3
        for events in _by_person(rows, as_of, 28).values()
    )


def _key_share(rows: list[Row], as_of: int, days: int) -> float:
    used = {r["event_name"] for r in rows if _lately(r["event_time"], as_of, days)}
    return len(used & set(KEY_FEATURES)) / len(KEY_FEATURES)


def _key_users(rows: list[Row], as_of: int) -> int:
    return sum(
        any(r["event_name"] in KEY_FEATURES for r in events)
        for events in _by_person(rows, as_of, 28).values()
    )


def _first_value(rows: list[Row], as_of: int) -> tuple[int | None, int | None]:
    """First day of use and first day of value."""
    past = [r for r in rows if _past(r["event_time"], as_of)]
    valued = [day(r["event_time"]) for r in past if r["event_name"] in FIRST_VALUE_EVENTS]
    return min((day(r["event_time"]) for r in past), default=None), min(valued, default=None)


def _days_to_value(rows: list[Row], as_of: int) -> int | None:
    used, valued = _first_value(rows, as_of)
    return None if used is None or valued is None else valued - used


# What people said.
def _pulse(rows: list[Row], as_of: int) -> float | None:
    fresh = [
        r
        for r in rows
        if r["pulse"] is not None
        and _lately(r["noted_at"], as_of, 91)
        and _running(r, as_of, "noted_at", "expires_at")
    ]
    return max((r["noted_at"], r["pulse"]) for r in fresh)[1] / 10 if fresh else None


def _one_wording(rows: list[Row], as_of: int) -> list[Row]:
    """Answers to the wording answered last, kind by kind."""
    past = [r for r in rows if _past(r["answered_at"], as_of)]
    newest: dict[Any, tuple[datetime, str]] = {}
    for row in sorted(past, key=lambda r: r["version"] or "", reverse=True):
        if row["kind"] not in newest or row["answered_at"] >= newest[row["kind"]][0]:
            newest[row["kind"]] = (row["answered_at"], row["version"] or "")
    return [r for r in past if (r["version"] or "") == newest[r["kind"]][1]]


def _mean_of(rows: list[Row], column: str) -> float | None:
    values = [r[column] for r in rows if r[column] is not None]
    return sum(values) / len(values) if values else None


def _survey(rows: list[Row], as_of: int, kind: str, column: str = "points") -> float | None:
    mean = _mean_of(
        [
            r
            for r in _one_wording(rows, as_of)
            if r["kind"] == kind and _lately(r["answered_at"], as_of, 182)
        ],
        column,
    )
    return None if mean is None else mean / 10


def _one_question(rows: list[Row], as_of: int) -> list[Row]:
    """Answers to one question: of those answered in this quarter and in the nine months before, the
    one answered last.
    """
    answers = _one_wording(rows, as_of)
    questions: dict[str, list[Row]] = {}
    for row in answers:
        questions.setdefault(row["kind"] or "", []).append(row)

    def is_compared(asked: list[Row]) -> bool:
        ages = {
            as_of - day(r["answered_at"]) <= 91
            for r in asked
            if r["points"] is not None and as_of - day(r["answered_at"]) <= 364
        }
        return ages == {True, False}

    compared = {name: asked for name, asked in questions.items() if is_compared(asked)}
    newest = {name: max(r["answered_at"] for r in asked) for name, asked in compared.items()}
    latest = [n for n in sorted(newest) if newest[n] == max(newest.values())]
    return compared[latest[0]] if latest else []


def _survey_trend(rows: list[Row], as_of: int) -> float | None:
    answers = _one_question(rows, as_of)
    now = _mean_of([r for r in answers if _lately(r["answered_at"], as_of, 91)], "points")
    before = _mean_of(
        [r for r in answers if moment_of(as_of - 364) <= r["answered_at"] < moment_of(as_of - 91)],
        "points",
    )
    return None if now is None or before is None else (now - before) / 10


# Contracts then and now.
def _terms_then(rows: list[Row], as_of: int, days: int) -> list[Row]:
    return [r for r in _paid(rows) if _running(r, as_of - days, "starts_at", "ends_at")]


def _change_of(rows: list[Row], as_of: int, column: str) -> float | None:
    now, then = _sum(_terms(rows, as_of), column, 1), _sum(_terms_then(rows, as_of, 182), column, 1)
    return None if now is None or then is None else _ratio(now - then, abs(now) + abs(then))


def _discount_change(rows: list[Row], as_of: int) -> float | None:
    now, then = (
        [r["discount_share"] for r in found if r["discount_share"] is not None]
        for found in (_terms(rows, as_of), _terms_then(rows, as_of, 364))
    )
    return (max(now) - max(then)) / 10 if now and then else None


def _plans(rows: list[Row], as_of: int) -> int:
    began = [r for r in _paid(rows) if _lately(r["starts_at"], as_of, 364)]
    return len(
        {r["plan"] for r in [*began, *_terms(rows, as_of), *_terms_then(rows, as_of, 364)]} - {None}
    )


# Onboarding.
def _pace(rows: list[Row], as_of: int) -> float | None:
    slower = []
    for row in rows:
        cuts = PACE_CUTS.get(row["milestone"])
        if cuts is None or not _past(row["assigned_at"], as_of):
            continue
        taken = (day(row["reached_at"]) if row["reached_at"] else as_of) - day(row["assigned_at"])
        faster = sum(taken > cut for cut in cuts)
        if row["reached_at"] is not None or faster >= 10:
            slower.append(faster)
    return sum(slower) / (20 * len(slower)) if slower else None


def _onboarding_days(rows: list[Row], as_of: int) -> int | None:
    if not rows or any(r["reached_at"] is None for r in rows):
        return None
    return max(day(r["reached_at"]) for r in rows) - min(day(r["assigned_at"]) for r in rows)


def _met(rows: list[Row], *, late: bool) -> list[Row]:
    return [
        r
        for r in rows
        if r["met_at"] and r["due_at"] and (day(r["met_at"]) > day(r["due_at"])) == late
    ]


def _gone_days(rows: list[Row], as_of: int, role: str) -> int | None:
    mine = _role(rows, role)
    if any(_running(r, as_of, "valid_from", "valid_to") for r in mine):
        return 0
    return min(
        (as_of - day(r["valid_to"]) for r in mine if r["valid_to"] is not None), default=None
    )


STATES |= {
    "top_user_share_28d": _top_share,
    "power_users_28d": lambda rows, t: sum(
        len({day(r["event_time"]) for r in events}) >= 8
        for events in _by_person(rows, t, 28).values()
    ),
    "users_back_share_28d": _back_share,
    "users_stuck_28d": _stuck,
    "key_features_share_28d": lambda rows, t: _key_share(rows, t, 28),
    "key_features_share_91d": lambda rows, t: _key_share(rows, t, 91),
    "key_users_28d": _key_users,
    "first_value_reached": lambda rows, t: float(_first_value(rows, t)[1] is not None),
    "days_to_first_value": _days_to_value,
    "amount_overdue": lambda rows, t: _sum(_overdue(rows, t, "paid_at"), "amount", 100),
    "amount_open": lambda rows, t: _sum([r for r in rows if r["paid_at"] is None], "amount", 100),
    "paid_late_364d": lambda rows, t: sum(
        _lately(r["paid_at"], t, 364)
        and r["due_at"] is not None
        and day(r["paid_at"]) > day(r["due_at"])
        for r in rows
    ),
    "reminders_91d": lambda rows, t: sum(_lately(r["reminded_at"], t, 91) for r in rows),
    "days_since_failed_payment": lambda rows, t: min(
        (t - day(r["failed_at"]) for r in rows if r["failed_at"]), default=None
    ),
    "tickets_unanswered": lambda rows, t: sum(r["first_reply_at"] is None for r in _open(rows, t)),
    "severe_open": lambda rows, t: sum(
        r["severity"] in ("high", "urgent", "critical") for r in _open(rows, t)
    ),
    "pulse": _pulse,
    "nps_balance": lambda rows, t: _survey(rows, t, "nps", "nps_points"),
    "csat": lambda rows, t: _survey(rows, t, "csat"),
    "effort": lambda rows, t: _survey(rows, t, "ces"),
    "agreement": lambda rows, t: _survey(rows, t, "agree"),
    "survey_trend": _survey_trend,
    "milestones_reached_late": lambda rows, t: sum(
        bool(r["reached_at"] and r["due_at"] and day(r["reached_at"]) > day(r["due_at"]))
        for r in rows
    ),
    "milestones_share": lambda rows, t: _ratio(
        sum(r["reached_at"] is not None for r in rows), len(rows)
    ),
    "onboarding_days": _onboarding_days,
    "onboarding_pace": _pace,
    "goals_met_on_time": lambda rows, t: len(_met(rows, late=False)),
    "goals_met_late": lambda rows, t: len(_met(rows, late=True)),
    "goals_on_time_share": lambda rows, t: _ratio(
        sum(_past(r["due_at"], t) for r in _met(rows, late=False)),
        sum(_past(r["due_at"], t) for r in rows),
    ),
    "oldest_missed_goal": lambda rows, t: _oldest(_overdue(rows, t, "met_at"), t, "due_at"),
    "days_since_goal_met": lambda rows, t: min(
        (t - day(r["met_at"]) for r in rows if r["met_at"]), default=None
    ),
    "value_so_far": lambda rows, t: _sum(rows, "value", 100),
    "paid_change_182d": lambda rows, t: _change_of(rows, t, "amount_per_month"),
    "seats_change_182d": lambda rows, t: _change_of(rows, t, "seats"),
    "plans_364d": lambda rows, t: _plans(rows, t) if rows else None,
    "terms_with_notice": lambda rows, t: sum(r["notice_at"] is not None for r in _terms(rows, t)),
    "discount_change_364d": _discount_change,
}
for _name_of_role in ("champion", "sponsor"):
    STATES[f"{_name_of_role}_new_91d"] = lambda rows, t, role=_name_of_role: sum(  # type: ignore[misc]
        _lately(r["valid_from"], t, 91) for r in _role(rows, role)
    )
    STATES[f"{_name_of_role}_missing_days"] = lambda rows, t, role=_name_of_role: _gone_days(
        rows, t, role
    )  # type: ignore[misc]


def _seats_used(world: World, account: str, as_of: int, feed: str) -> float | None:
    usage, terms = world["usage_events"], world["subscriptions"]
    if not covered(usage, as_of, feed, 28) or not began(terms, as_of, feed):
        return None
    users = {
        f["user_id"]
        for f in within(facts_of(usage, "", account, as_of), as_of, 28)
        if f["user_id"] is not None
    }
    seats = _sum(_terms(rows_as_known(terms, account, as_of), as_of), "seats", 10)
    return len(users) / seats if seats else None


def _per_active_user(state: str) -> Callable[[World, str, int, str], float | None]:
    """A number of users over those active in 28 days."""

    def share(world: World, account: str, as_of: int, feed: str) -> float | None:
        usage = world["usage_events"]
        if not covered(usage, as_of, feed, 28):
            return None
        rows = rows_as_known(usage, account, as_of)
        return _ratio(float(STATES[state](rows, as_of) or 0), len(_by_person(rows, as_of, 28)))

    return share


def _price_per_seat(world: World, account: str, as_of: int, feed: str) -> float | None:
    terms = world["subscriptions"]
    running = _terms(rows_as_known(terms, account, as_of), as_of)
    paid, seats = _sum(running, "amount_per_month", 100), _sum(running, "seats", 10)
    return paid / seats if began(terms, as_of, feed) and paid is not None and seats else None


def _pulse_trend(world: World, account: str, as_of: int, feed: str) -> float | None:
    notes = world["csm_notes"]
    if not covered(notes, as_of, feed, 364):
        return None
    rows = rows_as_known(notes, account, as_of)
    now, mean = (
        _pulse(rows, as_of),
        _mean_of([r for r in rows if _lately(r["noted_at"], as_of, 364)], "pulse"),
    )
    return None if now is None or not mean else now / (mean / 10)


RATIOS: dict[str, Callable[[World, str, int, str], float | None]] = {
    "seats_used_share": _seats_used,
    "key_users_share": _per_active_user("key_users_28d"),
    "users_stuck_share": _per_active_user("users_stuck_28d"),
    "price_per_seat": _price_per_seat,
    "pulse_trend": _pulse_trend,
}
