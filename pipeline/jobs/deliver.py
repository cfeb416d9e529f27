"""Send the alerts that were told and not yet sent: at least once, and with a key that stays.

What is about to be sent is written down first, then sent, then written down as sent. Killed after
the second, the same message goes out again with the same key: a receiver that honours the key has
it once.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
import pyarrow as pa

from features.errors import ConfigError
from pipeline.alerts.episodes import OPEN, OPERATOR, Alert
from pipeline.alerts.senders.file import FileSender
from pipeline.alerts.senders.mail import MailSender
from pipeline.alerts.senders.message import Failed, Message, Sends, key_of
from pipeline.alerts.senders.webhook import WebhookSender
from pipeline.alerts.tables import (
    DELIVERIES,
    DELIVERIES_TABLE,
    current_alerts,
    read_alerts,
)
from pipeline.config.schema import Sender, Target
from pipeline.jobs.plan_plays import listed_places
from pipeline.workspace import Workspace

SENDING, SENT, FAILED = "sending", "sent", "failed"
ATTEMPTS = 4
"""Tries of one message in one command; the next command tries again."""
FIRST_WAIT = 1.0
"""Seconds before the second try; each later one waits twice as long."""


@dataclass(frozen=True)
class Delivery:
    """What became of one message."""

    sender: str
    key: str
    owner: str
    alerts: int
    state: str
    attempts: int
    said: str


def deliver(
    workspace: Workspace,
    target: Target,
    *,
    wait: Callable[[float], None],
    senders: Mapping[str, Sends] | None = None,
) -> list[Delivery]:
    """Send what is pending by every sender; one that fails stops no other.

    Parameters
    ----------
    wait
        Called with seconds between two tries.
    senders
        By name, in the place of the configured ones.
    """
    history = read_alerts(workspace.store, target.name)
    deliveries = []
    for settings in workspace.project.alerting.senders:
        sends = (
            senders[settings.name] if senders is not None else opened_sender(workspace, settings)
        )
        for message in pending(workspace, target, settings, history):
            deliveries.append(_send(workspace, target, settings, sends, message, wait))
    return deliveries


def opened_sender(workspace: Workspace, settings: Sender) -> Sends:
    """A sender with its secrets.

    Raises
    ------
    ConfigError
        A variable of the environment is not set.
    """
    if settings.kind == "file":
        return FileSender(workspace.folder / str(settings.path))
    if settings.kind == "mail":
        addresses = workspace.project.alerting.addresses
        return MailSender(settings, addresses, _secret(settings, settings.password))
    url = _secret(settings, settings.url)
    assert url is not None  # the schema asks for it
    token = _secret(settings, settings.token)
    return WebhookSender(url, token, as_slack=settings.kind == "slack")


def _secret(settings: Sender, value: str | None) -> str | None:
    """The value, read from the environment where it says so."""
    if value is None or not value.startswith("env:"):
        return value
    name = value.removeprefix("env:")
    if not os.environ.get(name):
        raise ConfigError(
            f"sender {settings.name!r} reads the environment variable {name}, which is not set."
            " Alerts are kept and sent by the next `tenure alerts run` that has it."
        )
    return os.environ[name]


# --- what is pending
# ---------------------------------------------------------------------------------------


def pending(
    workspace: Workspace, target: Target, settings: Sender, history: Sequence[Alert]
) -> list[Message]:
    """Messages to send, oldest first: those that were begun and not finished as they were, then
    what is new.
    """
    rows = _last_rows(workspace, settings, target.name)
    alert_of = {(a.alert_id, a.telling): a for a in history if a.state == OPEN and a.told_on}
    messages = []
    covered: set[tuple[str, int]] = set()
    digests: set[tuple[str, date]] = set()
    for row in rows.to_dict("records"):
        ids = [(str(a), int(n)) for a, n in json.loads(row["alerts"])]
        covered.update(ids)
        day = pd.Timestamp(row["as_of"]).date()
        digests.add((str(row["owner"]), day))
        alerts = tuple(alert_of[each] for each in ids if each in alert_of)
        if row["state"] != SENT and alerts:
            messages.append(
                Message(row["key"], workspace.project.name, str(row["owner"]), day, alerts)
            )
    # What was closed or taken on before it could be sent is no news to its owner.
    open_now = {a.alert_id for a in current_alerts(history) if a.state == OPEN}
    fresh = [
        alert
        for key, alert in alert_of.items()
        if key not in covered and (alert.kind == OPERATOR or alert.alert_id in open_now)
    ]
    if settings.kind == "mail":
        places = listed_places(workspace, target)
        messages += _digests(workspace, settings, fresh, digests, places)
    else:
        messages += [_single(workspace, settings, alert) for alert in fresh]
    return messages


def _single(workspace: Workspace, settings: Sender, alert: Alert) -> Message:
    key = key_of(settings.name, alert.alert_id, str(alert.telling))
    day = alert.told_on or alert.as_of
    return Message(key, workspace.project.name, alert.owner, day, (alert,))


def _digests(
    workspace: Workspace,
    settings: Sender,
    fresh: Iterable[Alert],
    digests: set[tuple[str, date]],
    places: Mapping[str, int],
) -> list[Message]:
    """One mail for each owner, in the order of the owner's list; what is not on it follows, the
    most at risk first. What comes after a day's mail goes with that of the next run.
    """
    by_owner: dict[str, list[Alert]] = {}
    for alert in fresh:
        by_owner.setdefault(alert.owner, []).append(alert)
    messages = []
    for owner, alerts in sorted(by_owner.items()):
        day = workspace.now.date()
        if (owner, day) in digests:
            continue
        key = key_of(settings.name, alerts[0].target, owner, day.isoformat())
        ordered = sorted(
            alerts,
            key=lambda a: (
                places.get(a.account_id, math.inf),
                -(a.value_at_risk or 0.0),
                a.alert_id,
            ),
        )
        messages.append(Message(key, workspace.project.name, owner, day, tuple(ordered)))
    return messages


def _last_rows(workspace: Workspace, settings: Sender, target: str) -> pd.DataFrame:
    """The last row of each message of a sender."""
    store = workspace.store
    if not store.exists(DELIVERIES_TABLE):
        return pd.DataFrame({name: [] for name, _ in DELIVERIES})
    rows = store.read(
        DELIVERIES_TABLE, filters=[("target", "=", target), ("sender", "=", settings.name)]
    )
    rows = rows.assign(place=rows["state"].map({SENDING: 0, FAILED: 1, SENT: 2}))
    ordered = rows.sort_values(["recorded_at", "attempts", "place"], kind="stable")
    return ordered.drop_duplicates("key", keep="last")


# --- sending
# ---------------------------------------------------------------------------------------


def _send(
    workspace: Workspace,
    target: Target,
    settings: Sender,
    sends: Sends,
    message: Message,
    wait: Callable[[float], None],
) -> Delivery:
    """Write down, send, write down; tries again where that may help."""
    _log(workspace, target, settings, message, SENDING, 0, "")
    pause = FIRST_WAIT
    said = ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            sends(message)
        except Failed as failure:
            said = str(failure)
            if failure.is_final or attempt == ATTEMPTS:
                _log(workspace, target, settings, message, FAILED, attempt, said)
                return _delivery(settings, message, FAILED, attempt, said)
            wait(pause if failure.wait is None else failure.wait)
            pause *= 2
        else:
            _log(workspace, target, settings, message, SENT, attempt, said)
            return _delivery(settings, message, SENT, attempt, said)
    raise AssertionError("the loop returns")


def _delivery(settings: Sender, message: Message, state: str, attempts: int, said: str) -> Delivery:
    count = len(message.alerts)
    return Delivery(settings.name, message.key, message.owner, count, state, attempts, said)


def _log(
    workspace: Workspace,
    target: Target,
    settings: Sender,
    message: Message,
    state: str,
    attempts: int,
    said: str,
) -> None:
    row = {
        "key": message.key,
        "sender": settings.name,
        "target": target.name,
        "owner": message.owner,
        # A digest names no account: its alerts do.
        "account_id": message.alerts[0].account_id if len(message.alerts) == 1 else "",
        "alerts": json.dumps([[a.alert_id, a.telling] for a in message.alerts]),
        "as_of": pd.Timestamp(message.as_of).to_pydatetime(),
        "state": state,
        "attempts": attempts,
        "said": said,
        "recorded_at": workspace.now,
    }
    workspace.store.write(
        DELIVERIES_TABLE,
        pa.Table.from_pylist([row], schema=pa.schema(list(DELIVERIES))),
        append=True,
    )
