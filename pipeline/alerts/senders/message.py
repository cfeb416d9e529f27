"""What a sender is given: a key, and the alerts that one message tells."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from pipeline.alerts.episodes import OPERATOR, Alert


@dataclass(frozen=True)
class Message:
    """One message: the same key always stands for the same words."""

    key: str
    project: str
    owner: str
    as_of: date
    alerts: tuple[Alert, ...]

    @property
    def title(self) -> str:
        """Subject of a digest."""
        count = len(self.alerts)
        if all(alert.kind == OPERATOR for alert in self.alerts):
            return f"{self.project}: what moved scores on {self.as_of}"
        return f"{self.project}: {count} {'account' if count == 1 else 'accounts'} to look at"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; a message of one alert holds its fields at the top."""
        return {
            "key": self.key,
            "project": self.project,
            "owner": self.owner,
            "as_of": self.as_of.isoformat(),
            "alerts": [plain_alert(alert) for alert in self.alerts],
        }


class Failed(Exception):
    """A message that was not taken; `is_final` says that trying again at once is no use."""

    def __init__(self, words: str, *, is_final: bool = False, wait: float | None = None) -> None:
        super().__init__(words)
        self.is_final, self.wait = is_final, wait


class Sends(Protocol):
    """Hands one message over, or raises `Failed`."""

    def __call__(self, message: Message) -> None:
        """Send it once."""


def key_of(*parts: str) -> str:
    """32 hex digits by which a receiver knows a message it has had before."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def plain_alert(alert: Alert) -> Mapping[str, Any]:
    """An alert as receivers read it."""
    return {
        "alert_id": alert.alert_id,
        "telling": alert.telling,
        "target": alert.target,
        "account_id": alert.account_id,
        "name": alert.name,
        "rule": alert.rule,
        "kind": alert.kind,
        "owner": alert.owner,
        "reason": alert.reason,
        "value_at_risk": alert.value_at_risk,
        "currency": alert.currency,
        "play": alert.play,
        "due": None if alert.due is None else alert.due.isoformat(),
        "as_of": alert.as_of.isoformat(),
        "since": alert.episode.isoformat(),
    }


def alert_sentence(alert: Alert) -> str:
    """One alert as people read it."""
    who = f"{alert.name} ({alert.account_id}): " if alert.account_id else ""
    value = (
        f" Expected loss {alert.currency} {alert.value_at_risk:,.0f} a year."
        if alert.value_at_risk
        else ""
    )
    play = f" {alert.play}." if alert.play else ""
    due = f" Act by {alert.due.day} {alert.due:%b %Y}." if alert.due else ""
    return f"{who}{alert.reason.rstrip('.')}.{value}{play}{due}"
