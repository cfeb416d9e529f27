"""Why an account is on somebody's list, in one sentence."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pipeline.config.schema import AlertRule


def reason_words(rule: AlertRule, evidence: Mapping[str, Any]) -> str:
    """The reason of an alert, and what the customer did where the change ledger tells it."""
    words = _WORDS[rule.kind](evidence)
    because = evidence.get("because")
    return f"{words}: {because}" if because else words


def _score(evidence: Mapping[str, Any]) -> str:
    now, before = evidence.get("health"), evidence.get("health_before")
    if now is None:
        return "no score"
    if before is None or before == now:
        return f"health {now:.0f}"
    return f"health {now:.0f}, was {before:.0f}{_on(evidence)}"


def _on(evidence: Mapping[str, Any]) -> str:
    day = evidence.get("before")
    return f" on {_named(day)}" if day else ""


def _fall(evidence: Mapping[str, Any]) -> str:
    return f"{evidence['fall']:.0f} points" if evidence.get("fall") is not None else "clearly"


def _crossing(evidence: Mapping[str, Any]) -> str:
    return f"at risk ({_score(evidence)}), {_fall(evidence)} below its usual level"


def _sudden_drop(evidence: Mapping[str, Any]) -> str:
    return f"fell by {_fall(evidence)} within weeks ({_score(evidence)})"


def _slow_decline(evidence: Mapping[str, Any]) -> str:
    return f"has declined by {_fall(evidence)} over half a year ({_score(evidence)})"


def _renewal_ahead(evidence: Mapping[str, Any]) -> str:
    days = evidence.get("renewal_in_days")
    when = "soon" if days is None else "today" if days == 0 else f"in {_days(days)}"
    return f"at risk ({_score(evidence)}) and its contract ends {when}"


def _strategic(evidence: Mapping[str, Any]) -> str:
    return f"important account, {_fall(evidence)} below its usual level ({_score(evidence)})"


def _notice(evidence: Mapping[str, Any]) -> str:
    end = evidence.get("renewal_date")
    return f"gave notice; the contract ends on {_named(end)}" if end else "gave notice"


def _payment(evidence: Mapping[str, Any]) -> str:
    return f"an invoice is {_days(evidence.get('overdue_days') or 0)} overdue"


def _days(count: float) -> str:
    return f"{count:.0f} {'day' if round(count) == 1 else 'days'}"


def _named(day: str) -> str:
    when = date.fromisoformat(day)
    return f"{when.day} {when:%b %Y}"


_WORDS = {
    "crossing": _crossing,
    "sudden_drop": _sudden_drop,
    "slow_decline": _slow_decline,
    "renewal_ahead": _renewal_ahead,
    "strategic": _strategic,
    "notice": _notice,
    "payment": _payment,
}
