"""The life of an alert: opened once for a reason, told within a budget, closed by the data.

=============  =====================================================================================
state          meaning
=============  =====================================================================================
waiting        begun; its owner has had enough for this week, or more urgent ones
open           told
acknowledged   somebody has it
snoozed        put off until a date, with a reason; then told again if it still holds
done           somebody acted; it stays quiet until the data close it
suppressed     another alert says of the same account that its score fell; never told
silenced       true, and nothing that a customer did on this run: never told
closed         the data ended it
=============  =====================================================================================

An episode begins when its rule holds and ends when the score has left by the upper edge (or the
fact is over). In between nothing opens it again; after it the account is left in peace for the
rule's cooldown.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from models.health.standing import is_leaving
from pipeline.actions.plays import PLEASE_WAIT
from pipeline.alerts.rules import SCORE_KINDS, RuleReading
from pipeline.alerts.watch import USUAL_DAYS, Watched
from pipeline.alerts.words import reason_words
from pipeline.config.schema import AlertRule

WAITING, OPEN, ACKNOWLEDGED, SNOOZED, DONE, SUPPRESSED, SILENCED, CLOSED = STATES = (
    "waiting",
    "open",
    "acknowledged",
    "snoozed",
    "done",
    "suppressed",
    "silenced",
    "closed",
)
IN_PROGRESS = (WAITING, OPEN, ACKNOWLEDGED, SNOOZED, DONE)
"""States in which no other alert about the same score is raised."""
BY_DATA = "data"
WEEK = timedelta(days=7)
OPERATOR = "operator"
"""Kind of the alerts that no account caused."""


@dataclass(frozen=True)
class Alert:
    """One row of `alerts`: an alert in the state that a run or a person gave it.

    Attributes
    ----------
    episode
        Date of the run at which it began; with account and rule it makes the id.
    owner
        Who is told.
    as_of, run_id
        Run that gave it this state; of a person's action the run they saw.
    by
        `data`, or who acknowledged, snoozed or did it.
    until
        End of a snooze.
    told_on, telling
        Date of the run at which it was told last, and how many times it was.
    """

    alert_id: str
    target: str
    account_id: str
    name: str
    rule: str
    kind: str
    episode: date
    state: str
    owner: str
    reason: str
    evidence: Mapping[str, Any]
    value_at_risk: float | None
    currency: str
    play: str
    due: date | None
    as_of: date
    run_id: str
    by: str
    note: str
    until: date | None
    told_on: date | None
    telling: int
    recorded_at: datetime

    @property
    def is_active(self) -> bool:
        """Whether its episode goes on."""
        return self.state != CLOSED


def alert_id_of(target: str, account_id: str, rule: str, episode: date) -> str:
    """16 hex digits: the same reason has the same id, however often it is found."""
    facts = "\x1f".join((target, account_id, rule, episode.isoformat()))
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunFacts:
    """What a turn is told of its run, beside the scores.

    Attributes
    ----------
    kinds
        Kinds of rules that may be asked; a stale source takes those that rest on it away.
    facts_are_news
        Not on the first run, nor where settings changed: what is true now was perhaps true before.
        It is kept as silenced, so that it is not told tomorrow.
    left_alone
        Accounts that a lot left alone: their owner is told, and asked not to call.
    """

    target: str
    run_id: str
    day: date
    now: datetime
    kinds: frozenset[str]
    facts_are_news: bool = True
    left_alone: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Turn:
    """What a run changed: rows to append, and how many alerts met which fate."""

    rows: tuple[Alert, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    """opened, told, waiting, closed, suppressed, silenced, cooling."""


def turn(
    history: Sequence[Alert],
    rules: Sequence[AlertRule],
    readings: Sequence[RuleReading],
    table: Watched,
    night: RunFacts,
    *,
    per_owner_and_week: int,
) -> Turn:
    """Close what is over, open what is new, tell the most urgent.

    Parameters
    ----------
    history
        Every row of the target's alerts, oldest first, none of this run.
    readings
        Of each rule, in the same order.
    table
        Its accounts have the columns name, owner, value_at_risk and currency beside those that
        rules read.

    Returns
    -------
    Turn
        At most one row per alert.
    """
    current = {alert.alert_id: alert for alert in history}
    place = {account: n for n, account in enumerate(table.accounts["account_id"])}
    of_rule = {rule.name: (rule, reading) for rule, reading in zip(rules, readings, strict=True)}
    changed: dict[str, Alert] = {}
    for alert in current.values():
        if alert.is_active and alert.kind != OPERATOR:
            after = _continued(alert, of_rule, table, place, night)
            if after is not None:
                changed[alert.alert_id] = after
    current |= changed
    opened, counts = _opened(current.values(), rules, readings, table, night)
    changed |= {alert.alert_id: alert for alert in opened}
    current |= changed
    told_alerts = _told(history, current.values(), night, per_owner_and_week)
    changed |= {alert.alert_id: alert for alert in told_alerts}
    current |= changed
    states = Counter(alert.state for alert in changed.values())
    counts |= {
        "told": len(told_alerts),
        "closed": states[CLOSED],
        "waiting": sum(alert.state == WAITING for alert in current.values()),
    }
    return Turn(tuple(changed.values()), counts)


def _continued(
    alert: Alert,
    of_rule: Mapping[str, tuple[AlertRule, RuleReading]],
    table: Watched,
    place: Mapping[str, int],
    night: RunFacts,
) -> Alert | None:
    """An active alert in its next state; None where nothing changes."""
    row = place.get(alert.account_id)
    if alert.rule not in of_rule:
        return _moved(alert, night, CLOSED, note="the rule is no longer declared")
    if row is None:
        return _moved(alert, night, CLOSED, note="the account is no longer scored")
    if alert.kind in night.kinds:
        note = _why_over(alert, of_rule[alert.rule][1], table, row, night)
        if note:
            return _moved(alert, night, CLOSED, note=note)
    if alert.state == SNOOZED and alert.until is not None and alert.until <= night.day:
        return _moved(alert, night, WAITING, note="the snooze is over")
    return None


def _why_over(alert: Alert, reading: RuleReading, table: Watched, row: int, night: RunFacts) -> str:
    """Why an episode has ended, in words; empty where it goes on."""
    if alert.evidence.get("measure") == "fact":
        return "" if reading.holds[row] else "no longer so"
    if reading.is_over[row]:
        return "the account is leaving" if _is_leaving(table, row) else "the date has passed"
    measure, edge = alert.evidence.get("measure"), alert.evidence.get("leaves_at")
    values = table.health if measure == "health" else table.path
    if edge is not None and values[row, -1] >= edge:
        return "the score has recovered"
    if measure == "path" and (night.day - alert.episode).days > USUAL_DAYS:
        return "the lower score has become usual"
    return ""


def _is_leaving(table: Watched, row: int) -> bool:
    return bool(is_leaving(table.accounts.iloc[[row]]).iloc[0])


def _opened(
    current: Iterable[Alert],
    rules: Sequence[AlertRule],
    readings: Sequence[RuleReading],
    table: Watched,
    night: RunFacts,
) -> tuple[list[Alert], dict[str, int]]:
    """New alerts in the order of the rules, waiting to be told, suppressed or silenced."""
    alerts = list(current)
    active = {(alert.account_id, alert.rule) for alert in alerts if alert.is_active}
    over = {(alert.account_id, alert.rule): alert.as_of for alert in alerts if not alert.is_active}
    busy = {
        (alert.account_id, alert.owner)
        for alert in alerts
        if alert.state in IN_PROGRESS and alert.kind in SCORE_KINDS
    }
    opened: list[Alert] = []
    counts = Counter[str](opened=0, suppressed=0, silenced=0, cooling=0)
    for rule, reading in zip(rules, readings, strict=True):
        if rule.kind not in night.kinds:
            continue
        for row in reading.holds.nonzero()[0].tolist():
            account = table.accounts.iloc[row]
            key = (str(account["account_id"]), rule.name)
            if key in active:
                continue
            if key in over and (night.day - over[key]).days < rule.cooldown_days:
                counts["cooling"] += 1
                continue
            owner = rule.to or str(account["owner"])
            if rule.kind in SCORE_KINDS:
                state = SUPPRESSED if (key[0], owner) in busy else WAITING
            else:
                state = WAITING if night.facts_are_news else SILENCED
            counts[{WAITING: "opened"}.get(state, state)] += 1
            if state == WAITING and rule.kind in SCORE_KINDS:
                busy.add((key[0], owner))
            opened.append(_alert(rule, reading, account, table, row, owner, state, night))
    return opened, dict(counts)


def _alert(
    rule: AlertRule,
    reading: RuleReading,
    account: "pd.Series[Any]",
    table: Watched,
    row: int,
    owner: str,
    state: str,
    night: RunFacts,
) -> Alert:
    evidence = evidence_of(rule, reading, table, row)
    value = account["value_at_risk"]
    return Alert(
        alert_id=alert_id_of(night.target, str(account["account_id"]), rule.name, night.day),
        target=night.target,
        account_id=str(account["account_id"]),
        name=str(account["name"]),
        rule=rule.name,
        kind=rule.kind,
        episode=night.day,
        state=state,
        owner=owner,
        reason=reason_words(rule, evidence),
        evidence=evidence,
        value_at_risk=None if pd.isna(value) else float(value),
        currency=str(account["currency"]),
        play=rule.play or "",
        due=None,
        as_of=night.day,
        run_id=night.run_id,
        by=BY_DATA,
        note="",
        until=None,
        told_on=None,
        telling=0,
        recorded_at=night.now,
    )


def evidence_of(rule: AlertRule, reading: RuleReading, table: Watched, row: int) -> dict[str, Any]:
    """The figures that an alert rests on, as plain values."""
    account = table.accounts.iloc[row]
    facts: dict[str, Any] = {
        "measure": reading.measure,
        "leaves_at": _number(reading.leaves_at[row]),
        "fall": _number(reading.fall[row]),
        "health": _number(table.health[row, -1]),
        "health_before": _number(table.health[row, -2]) if len(table.dates) > 1 else None,
        "before": table.dates[-2].isoformat() if len(table.dates) > 1 else None,
        "due_days": rule.due_days,
    }
    if rule.kind in SCORE_KINDS:
        facts["enter"] = rule.enter
    renewal = account.get("renewal_date")
    if renewal is not None and not pd.isna(renewal):
        facts["renewal_date"] = pd.Timestamp(renewal).date().isoformat()
        facts["renewal_in_days"] = (pd.Timestamp(renewal).date() - table.day).days
    if rule.kind == "payment":
        facts["overdue_days"] = _number(account["overdue_days"])
    words = account.get("moved_by_words")
    if rule.kind in SCORE_KINDS and isinstance(words, str) and words:
        facts["because"] = words
    return facts


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else round(float(value), 4)


def _told(
    history: Sequence[Alert], current: Iterable[Alert], night: RunFacts, most: int
) -> list[Alert]:
    """The most urgent of those that wait, for each owner as many as the week has room for."""
    room = {owner: most - count for owner, count in told_within_week(history, night.day).items()}
    told_alerts: list[Alert] = []
    for alert in sorted((a for a in current if a.state == WAITING), key=_urgency):
        if room.setdefault(alert.owner, most) <= 0:
            continue
        room[alert.owner] -= 1
        is_asked = alert.account_id not in night.left_alone
        due = night.day + timedelta(days=int(alert.evidence.get("due_days") or 0))
        told_alerts.append(
            replace(
                _moved(alert, night, OPEN, note=alert.note),
                told_on=night.day,
                telling=alert.telling + 1,
                due=due if is_asked else None,
                play=alert.play if is_asked else PLEASE_WAIT,
            )
        )
    return told_alerts


def told_within_week(history: Sequence[Alert], day: date) -> Counter[str]:
    """Owner -> how many alerts were told in the seven days that end with a date."""
    tellings = {
        (alert.alert_id, alert.telling): alert.owner
        for alert in history
        if alert.kind != OPERATOR
        and alert.state == OPEN
        and alert.told_on is not None
        and day - WEEK < alert.told_on <= day
    }
    return Counter(tellings.values())


def _urgency(alert: Alert) -> tuple[bool, float, date, str]:
    value = alert.value_at_risk
    return (value is None, -(value or 0.0), alert.episode, alert.alert_id)


def _moved(alert: Alert, night: RunFacts, state: str, *, note: str) -> Alert:
    return replace(
        alert,
        state=state,
        note=note,
        by=BY_DATA,
        as_of=night.day,
        run_id=night.run_id,
        until=None,
        recorded_at=night.now,
    )
