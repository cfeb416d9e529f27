"""Alerts in lines for a terminal, and as plain values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.alerts.episodes import (
    ACKNOWLEDGED,
    DONE,
    OPEN,
    OPERATOR,
    SNOOZED,
    WAITING,
    Alert,
)
from pipeline.jobs.alerts import AlertsReport
from pipeline.jobs.deliver import FAILED, SENT, Delivery

SHOWN_STATES = (OPEN, ACKNOWLEDGED, SNOOZED, DONE)
FEW_DONE, FEWEST_TOLD = 0.05, 20
"""A rule of which so few alerts were acted on is proposed for retirement, once so many were told.
"""


def shown_alerts(current: Iterable[Alert]) -> list[Alert]:
    """Alerts that were told and go on: by owner, the most urgent first."""
    shown = [a for a in current if a.state in SHOWN_STATES]
    return sorted(
        shown, key=lambda a: (a.kind != OPERATOR, a.owner, -(a.value_at_risk or 0.0), a.alert_id)
    )


def list_lines(current: Sequence[Alert], history: Sequence[Alert]) -> list[str]:
    """What `tenure alerts list` says."""
    shown = shown_alerts(current)
    waiting = Counter(a.owner for a in current if a.state == WAITING)
    lines = []
    for owner in dict.fromkeys([*(a.owner for a in shown), *sorted(waiting)]):
        mine = [a for a in shown if a.owner == owner]
        behind = f", {waiting[owner]} waiting" if waiting[owner] else ""
        lines.append(f"{owner}: {len(mine)} told{behind}")
        lines += [f"  {alert_line(alert)}" for alert in mine]
    return [*(lines or ["no alert is open"]), *rule_lines(history)]


def alert_line(alert: Alert) -> str:
    """One alert: id, who, why, and what became of it."""
    who = f"{alert.name} ({alert.account_id})  " if alert.account_id else ""
    due = f"; act by {alert.due:%Y-%m-%d}" if alert.due and alert.state == OPEN else ""
    play = f"; {alert.play}" if alert.play else ""
    state = "" if alert.state == OPEN else f"  [{_state(alert)}]"
    return f"{alert.alert_id[:8]}  {who}{alert.reason}{play}{due}{state}"


def _state(alert: Alert) -> str:
    until = f" until {alert.until:%Y-%m-%d}" if alert.until else ""
    note = f": {alert.note}" if alert.note else ""
    return f"{alert.state}{until} by {alert.by}{note}"


def rule_table(history: Sequence[Alert]) -> list[dict[str, Any]]:
    """Per rule: alerts told, and the share that somebody acknowledged or did."""
    alerts_of: dict[str, set[str]] = {}
    acted: dict[str, set[str]] = {}
    for alert in history:
        if alert.kind == OPERATOR or not alert.telling:
            continue
        alerts_of.setdefault(alert.rule, set()).add(alert.alert_id)
        if alert.state in (ACKNOWLEDGED, DONE):
            acted.setdefault(alert.rule, set()).add(alert.alert_id)
    return [
        {
            "rule": rule,
            "told": len(ids),
            "acted_on": len(acted.get(rule, ())),
            "share": len(acted.get(rule, ())) / len(ids),
            "retire": len(ids) >= FEWEST_TOLD and len(acted.get(rule, ())) < FEW_DONE * len(ids),
        }
        for rule, ids in sorted(alerts_of.items())
    ]


def rule_lines(history: Sequence[Alert]) -> list[str]:
    """How often each rule was acted on."""
    rows = rule_table(history)
    return [
        f"rule {row['rule']!r}: {row['told']} told, {row['acted_on']} acted on"
        + (
            " - hardly anybody acts on it: retire it, or raise its threshold"
            if row["retire"]
            else ""
        )
        for row in rows
    ]


def run_lines(report: AlertsReport) -> list[str]:
    """What `tenure alerts run` says."""
    if report.was_evaluated:
        first = f"run {report.run_id} of {report.as_of} was evaluated before; nothing is new"
        return [first]
    counts = report.counts
    lines = [
        f"run {report.run_id} of {report.as_of}: {counts['opened']} alerts opened,"
        f" {counts['told']} told, {counts['waiting']} waiting for room in their owner's week,"
        f" {counts['closed']} closed by the data; {counts['suppressed']} say what another alert"
        f" says, {counts['cooling']} are left in peace"
    ]
    opened = [a for a in report.news if a.state == OPEN]
    ordered = sorted(opened, key=lambda a: (a.kind != OPERATOR, a.owner))
    return [*lines, *(f"  {a.owner}: {alert_line(a)}" for a in ordered)]


def delivery_lines(deliveries: Sequence[Delivery]) -> list[str]:
    """What was sent by each sender, and what could not be."""
    sent = Counter(each.sender for each in deliveries if each.state == SENT)
    lines = [f"sent by {sender}: {count}" for sender, count in sorted(sent.items())]
    return lines + [
        f"not sent by {each.sender} to {each.owner} after {each.attempts} tries: {each.said}. It is"
        " kept and sent by the next `tenure alerts run`."
        for each in deliveries
        if each.state == FAILED
    ]


def report_json(report: AlertsReport) -> Mapping[str, Any]:
    """The report as plain values."""
    return {
        "target": report.target,
        "run_id": report.run_id,
        "as_of": report.as_of,
        "was_evaluated": report.was_evaluated,
        "counts": dict(report.counts),
        "news": [asdict(alert) for alert in report.news],
    }
