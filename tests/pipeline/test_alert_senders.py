"""Messages reach real servers on this machine: at least once, and once where the key is honoured."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from pipeline.alerts.episodes import CLOSED, OPEN, OPERATOR, Alert
from pipeline.alerts.senders.file import FileSender
from pipeline.alerts.senders.message import Message
from pipeline.alerts.senders.webhook import WebhookSender, slack_body
from pipeline.alerts.tables import append_alert
from pipeline.config.schema import Alerting, Dates, Project, Sender, Source, Target
from pipeline.jobs.deliver import FAILED, SENT, deliver, opened_sender
from pipeline.storage import Store
from pipeline.workspace import Workspace

DAY = date(2025, 6, 2)
NOW = datetime(2025, 6, 2, 6)


def an_alert(number: int = 1, **changes: Any) -> Alert:
    made = Alert(
        alert_id=f"{number:016x}",
        target="churn",
        account_id=f"A{number}",
        name="Smith & <!channel> Sons",
        rule="at risk",
        kind="crossing",
        episode=DAY,
        state=OPEN,
        owner="Ann",
        reason="at risk (health 38, was 60)",
        evidence={},
        value_at_risk=1000.0 * number,
        currency="EUR",
        play="",
        due=DAY + timedelta(days=7),
        as_of=DAY,
        run_id="run",
        by="data",
        note="",
        until=None,
        told_on=DAY,
        telling=1,
        recorded_at=NOW,
    )
    return replace(made, **changes)


def workspace(folder: Path, *senders: Sender, now: datetime = NOW) -> tuple[Workspace, Target]:
    target = Target(name="churn", kind="inactivity", horizon_days=90, dates=Dates())
    alerting = Alerting(senders=senders, addresses={"Ann": "ann@example.com"})
    sources = {"usage_events": Source(location="usage.parquet")}
    project = Project(name="demo", sources=sources, targets=(target,), alerting=alerting)
    return Workspace(project, folder, folder, Store(folder / "store"), now), target


def told(folder: Path, *alerts: Alert) -> None:
    for alert in alerts:
        append_alert(workspace(folder)[0].store, alert)


@dataclass
class Hook:
    """A receiver of webhooks; it answers `codes` in order, then 200."""

    url: str = ""
    codes: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self.got]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.got.append((dict(self.headers), body))
            self.send_response(made.codes.pop(0) if made.codes else 200)
            self.send_header("Retry-After", "7")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


class Mailbox:
    """What an SMTP server took, and the codes it answers first."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.codes: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.codes:
            return self.codes.pop(0)
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def waits() -> tuple[list[float], Callable[[float], None]]:
    seconds: list[float] = []
    return seconds, seconds.append


def test_webhook_gets_each_alert_once_with_its_key(tmp_path: Path, hook: Hook) -> None:
    told(tmp_path, an_alert(1), an_alert(2))
    here, target = workspace(tmp_path, Sender(name="hook", kind="webhook", url=hook.url))
    seconds, wait = waits()
    assert [d.state for d in deliver(here, target, wait=wait)] == [SENT, SENT]
    assert deliver(here, target, wait=wait) == [] and seconds == []
    assert len(set(hook.keys)) == 2
    headers, body = hook.got[0]
    assert body["key"] == headers["Idempotency-Key"] and body["alerts"][0]["account_id"] == "A1"


def test_webhook_tries_again_and_waits_as_it_is_asked(tmp_path: Path, hook: Hook) -> None:
    told(tmp_path, an_alert())
    here, target = workspace(tmp_path, Sender(name="hook", kind="webhook", url=hook.url))
    hook.codes = [503, 429]
    seconds, wait = waits()
    (delivery,) = deliver(here, target, wait=wait)
    assert (delivery.state, delivery.attempts, seconds) == (SENT, 3, [7.0, 7.0])
    assert len(set(hook.keys)) == 1 and len(hook.keys) == 3


@pytest.mark.parametrize(("codes", "tries"), [([400], 1), ([302], 1), ([503] * 4, 4)])
def test_what_is_refused_is_kept_and_sent_by_the_next_command(
    tmp_path: Path, hook: Hook, codes: list[int], tries: int
) -> None:
    told(tmp_path, an_alert())
    here, target = workspace(tmp_path, Sender(name="hook", kind="webhook", url=hook.url))
    hook.codes = list(codes)
    (delivery,) = deliver(here, target, wait=lambda _: None)
    assert (delivery.state, delivery.attempts) == (FAILED, tries)
    later = replace(here, now=NOW + timedelta(hours=1))
    assert [d.state for d in deliver(later, target, wait=lambda _: None)] == [SENT]
    assert len(set(hook.keys)) == 1


def test_server_that_is_away_is_no_crash_and_its_address_is_not_said(tmp_path: Path) -> None:
    told(tmp_path, an_alert())
    url = "http://127.0.0.1:9/s3cret"
    here, target = workspace(tmp_path, Sender(name="hook", kind="webhook", url=url))
    (delivery,) = deliver(here, target, wait=lambda _: None)
    assert delivery.state == FAILED and "s3cret" not in delivery.said


def test_slack_calls_nobody(hook: Hook) -> None:
    message = Message("k", "demo", "Ann", DAY, (an_alert(),))
    text = slack_body(message)["text"]
    assert "Smith &amp; &lt;!channel&gt; Sons (A1): at risk" in text and "<" not in text
    WebhookSender(hook.url, as_slack=True)(message)
    assert set(hook.got[0][1]) == {"text", "key"}


def test_token_comes_from_the_environment(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Sender(name="hook", kind="webhook", url="env:HOOK", token="env:HOOK_TOKEN")
    here, _ = workspace(tmp_path, settings)
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(Exception, match="HOOK, which is not set"):
        opened_sender(here, settings)
    monkeypatch.setenv("HOOK", hook.url)
    monkeypatch.setenv("HOOK_TOKEN", "s3cret")
    opened_sender(here, settings)(Message("k", "demo", "Ann", DAY, (an_alert(),)))
    assert hook.got[0][0]["Authorization"] == "Bearer s3cret"


def mail_sender(port: int) -> Sender:
    return Sender(
        name="mail",
        kind="mail",
        host="127.0.0.1",
        port=port,
        encryption="none",
        sender="tenure@example.com",
        to="team@example.com",
    )


def test_mail_is_one_digest_an_owner_and_day(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    told(tmp_path, an_alert(1), an_alert(2), an_alert(3, owner="Zoe\r\nBcc: x@example.com"))
    here, target = workspace(tmp_path, mail_sender(port))
    assert [d.state for d in deliver(here, target, wait=lambda _: None)] == [SENT, SENT]
    assert [m.rcpt_tos for m in box.mails] == [["ann@example.com"], ["team@example.com"]]
    text = box.mails[0].content.decode()
    assert "Subject: demo: 2 accounts to look at" in text
    assert text.index("A2") < text.index("A1"), "the most urgent first"
    # What is told later on the same day goes with the next day's mail.
    told(tmp_path, an_alert(4))
    assert deliver(here, target, wait=lambda _: None) == []
    tomorrow = replace(here, now=NOW + timedelta(days=1))
    assert len(deliver(tomorrow, target, wait=lambda _: None)) == 1


def test_mail_tries_again_with_the_same_message_id(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    told(tmp_path, an_alert())
    here, target = workspace(tmp_path, mail_sender(port))
    box.codes = ["451 later", "550 never"]
    (delivery,) = deliver(here, target, wait=lambda _: None)
    assert (delivery.state, delivery.attempts) == (FAILED, 2)
    (again,) = deliver(replace(here, now=NOW + timedelta(hours=1)), target, wait=lambda _: None)
    assert again.state == SENT and f"Message-ID: <{again.key}@" in box.mails[0].content.decode()
    assert again.key == delivery.key


def test_file_holds_each_key_once_and_no_half_line(tmp_path: Path) -> None:
    sender = FileSender(tmp_path / "out" / "alerts.jsonl")
    first, second = (Message(key, "demo", "Ann", DAY, (an_alert(),)) for key in ("a", "b"))
    sender(first)
    sender.path.write_bytes(sender.path.read_bytes() + b'{"key": "b", "al')
    sender(second)
    sender(first)
    lines = [json.loads(line) for line in sender.path.read_text().splitlines()]
    assert [line["key"] for line in lines] == ["a", "b"]


class Killed(BaseException):
    """The process is gone."""


def test_killed_between_send_and_log_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """A receiver that honours the key: killed after each of the messages in turn."""
    received: dict[str, Message] = {}
    handed: list[str] = []
    told(tmp_path, *(an_alert(n) for n in range(1, 6)))
    here, target = workspace(tmp_path, Sender(name="hook", kind="webhook", url="http://x"))

    def dies(message: Message) -> None:
        handed.append(message.key)
        known = message.key in received
        received.setdefault(message.key, message)
        if not known:
            raise Killed

    for hour in range(6):
        later = replace(here, now=NOW + timedelta(hours=hour))
        try:
            deliver(later, target, wait=lambda _: None, senders={"hook": dies})
        except Killed:
            continue
    assert len(received) == 5 and {m.alerts[0].account_id for m in received.values()} == {
        f"A{n}" for n in range(1, 6)
    }
    assert len(handed) == 10  # at least once: each was handed over again after the kill
    assert deliver(here, target, wait=lambda _: None, senders={"hook": dies}) == []


def test_what_is_over_before_it_is_sent_is_not_sent(tmp_path: Path, hook: Hook) -> None:
    over = an_alert(2, state=CLOSED, recorded_at=NOW + timedelta(hours=1))
    about_a_feed = an_alert(3, kind=OPERATOR, account_id="")
    told(tmp_path, an_alert(1), an_alert(2), over, about_a_feed)
    told(tmp_path, replace(about_a_feed, state=CLOSED, recorded_at=NOW + timedelta(hours=1)))
    here, target = workspace(tmp_path, Sender(name="hook", kind="webhook", url=hook.url))
    assert len(deliver(here, target, wait=lambda _: None)) == 2
    assert [body["alerts"][0]["account_id"] for _, body in hook.got] == ["A1", ""]
