"""Rows that states are read off: as they stood at the date, the newest note, one row per person,
...

Each maker answers with one SELECT of the rows `t`; None where the project declares nothing to build
them from. All rows carry `account_id` and `as_of_day` and hold only what was known before it.
"""

from collections.abc import Callable

from features.dimensions.adoption import PARTS
from features.dimensions.relationship import QUARTER_DAYS, YEAR_DAYS
from features.facts import SourceFacts, as_known
from features.sql import literal
from features.windows import covers, happened, known

# Names under which a project's lists of events are frozen with a model, beside the categories of
# attributes.
KEY_FEATURES, TROUBLE, FIRST_VALUE = "key_features", "trouble_events", "first_value_events"
PACE = "pace_"
"""Before the name of an onboarding step: days it took the accounts that stayed, at each twentieth.
"""
NOTE_COUNTS_DAYS = 91


def state_rows(name: str, source: SourceFacts) -> str | None:
    """The rows of that name for one source."""
    return _MAKERS[name](source)


def _as_known(source: SourceFacts) -> str:
    return as_known(source)


def _newest_note(source: SourceFacts) -> str:
    """The newest pulse that has neither expired nor grown old; ties go to the higher one."""
    return f"""
select r.* from (
  select t.*, row_number() over (
    partition by t.account_id, t.as_of_day order by t.noted_at desc, t.pulse desc) as position
  from ({as_known(source)}) t
  where t.pulse is not null and {happened("t", "noted_at", within_days=NOTE_COUNTS_DAYS)}
    and {covers("t", "noted_at", "expires_at")}) r
where r.position = 1"""


def _one_wording(source: SourceFacts) -> str:
    """Answers to the wording that the account answered last, kind by kind: two wordings are never
    averaged.
    """
    wording = "coalesce(t.version, '')"
    newest = (
        f"first_value({wording}) over (partition by t.account_id, t.as_of_day, t.kind "
        f"order by t.answered_at desc, {wording})"
    )
    return f"""
select r.* from (
  select t.*, {wording} as wording, {newest} as newest_wording
  from ({as_known(source)}) t where {happened("t", "answered_at")}) r
where r.wording = r.newest_wording"""


def _one_question(source: SourceFacts) -> str:
    """Answers of a year to one question: the one answered last of those answered in this quarter
    and before it. Answers to different questions are never compared.
    """
    question = "coalesce(t.kind, '')" if "kind" in source.mapped else "''"
    quarter = happened("t", "answered_at", within_days=QUARTER_DAYS)
    year = happened("t", "answered_at", within_days=YEAR_DAYS)

    def seen(condition: str) -> str:
        return (
            f"max(case when t.points is not null and {condition} then 1 else 0 end) over (partition"
            f" by t.account_id, t.as_of_day, {question})"
        )

    return f"""
select q.* from (
  select p.*, first_value(p.question) over (partition by p.account_id, p.as_of_day
    order by p.is_compared desc, p.answered_at desc, p.question) as chosen
  from (
    select t.*, {question} as question,
      {seen(quarter)} * {seen(f"{year} and not ({quarter})")} as is_compared
    from ({_one_wording(source)}) t) p) q
where q.question = q.chosen"""


def _people(source: SourceFacts) -> str:
    """One row per person of the account: what they did in 28 days, and in the 28 before."""
    days = f"""
select f.account_id, f.user_id, f.event_time_day, {_seen("f")} as known_from_day, f.known_until_day,
  count(*) as n
from {source.table} f where f.user_id is not null
group by 1, 2, 3, 4, 5"""
    now, lately = (
        happened("t", "event_time", within_days=28),
        happened("t", "event_time", within_days=56),
    )
    return f"""
select t.account_id, t.as_of_day, t.user_id,
  sum(case when {now} then t.n end) as n,
  count(distinct case when {now} then t.event_time_day end) as days,
  sum(case when not ({now}) then t.n end) as n_before
from (select s.as_of_day, u.* from snapshots s
      join ({days}) u on u.account_id = s.account_id and {known("u", "s")}) t
where {lately}
group by 1, 2, 3"""


def _stuck(source: SourceFacts) -> str | None:
    """One row per person who met errors or gave up in 28 days: how often."""
    names = source.categories.get(TROUBLE, ())
    if not names:
        return None
    return f"""
select t.account_id, t.as_of_day, t.user_id, count(*) as n
from (select s.as_of_day, f.account_id, f.user_id, f.event_time_day from snapshots s
      join {source.table} f on f.account_id = s.account_id and {known("f", "s")}
        and f.user_id is not null and f.event_name in ({_listed(names)})) t
where {happened("t", "event_time", within_days=28)}
group by 1, 2, 3"""


def _key_use(source: SourceFacts) -> str | None:
    """Who used which key feature on which day; `declared` is how many key features there are."""
    names = source.categories.get(KEY_FEATURES, ())
    if not names:
        return None
    user = "f.user_id" if "user_id" in source.mapped else "cast(null as varchar(1))"
    days = f"""
select f.account_id, f.event_name, {user} as user_id, f.event_time_day, {_seen("f")}
  as known_from_day,
  f.known_until_day
from {source.table} f where f.event_name in ({_listed(names)})
group by 1, 2, 3, 4, 5, 6"""
    return f"""
select s.as_of_day, u.*, {len(names)} as declared from snapshots s
join ({days}) u on u.account_id = s.account_id and {known("u", "s")}"""


def _first_value(source: SourceFacts) -> str | None:
    """First day of use, and first day of an event that stands for value, by the date that first
    sees them.
    """
    names = source.categories.get(FIRST_VALUE, ())
    if not names:
        return None
    days = f"""
select f.account_id, v.visible_day - 1 as known_from_day, f.known_until_day, min(f.event_time_day)
  as first_day,
  min(case when f.event_name in ({_listed(names)}) then f.event_time_day end) as value_day
from {source.table} f join calendar v on v.day = {_seen("f")}
group by 1, 2, 3"""
    return f"""
select s.as_of_day, u.* from snapshots s
join ({days}) u on u.account_id = s.account_id and {known("u", "s")}"""


def _pace(source: SourceFacts) -> str | None:
    """Onboarding steps with `slower`: twentieths of the accounts that stayed which were faster.

    A step not yet reached counts with the days waited so far, once half of those accounts had
    reached it by then.
    """
    cuts = {
        name.removeprefix(PACE): days
        for name, days in source.categories.items()
        if name.startswith(PACE)
    }
    if not cuts:
        return None
    taken = "(coalesce(t.reached_at_day, t.as_of_day) - t.assigned_at_day)"
    cases = " ".join(
        f"when {literal(step)} then {_twentieths(taken, days)}"
        for step, days in sorted(cuts.items())
    )
    return f"""
select r.* from (
  select t.*, case t.milestone {cases} end as slower from ({as_known(source)}) t
  where {happened("t", "assigned_at")}) r
where r.reached_at is not null or r.slower >= {PARTS // 2}"""


def _twentieths(taken: str, cuts: tuple[str, ...]) -> str:
    """How many of the cut points lie below."""
    return (
        "(" + " + ".join(f"case when {taken} > {int(cut)} then 1 else 0 end" for cut in cuts) + ")"
    )


def _seen(row: str) -> str:
    """Day from which a fact counts: it had happened and was known."""
    return (
        f"case when {row}.event_time_day > {row}.known_from_day then {row}.event_time_day "
        f"else {row}.known_from_day end"
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(literal(name) for name in names)


_MAKERS: dict[str, Callable[[SourceFacts], str | None]] = {
    "as_known": _as_known,
    "newest_note": _newest_note,
    "one_question": _one_question,
    "one_wording": _one_wording,
    "people": _people,
    "stuck": _stuck,
    "key_use": _key_use,
    "first_value": _first_value,
    "pace": _pace,
}
