"""A post of JSON: the message as it is, or as Slack reads it, with a key for receivers that honour
one.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from pipeline.alerts.senders.message import Failed, Message, alert_sentence
from pipeline.edge.locations import redacted
from pipeline.edge.text import visible

WEBHOOK_SECONDS = 10
_LATER = (408, 409, 425, 429)
_MOST_WAIT = 60.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the address that was written down, and nowhere else."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        """Follow nothing."""
        return None


class WebhookSender:
    """Posts each message; the key stands in the header `Idempotency-Key` and in the body."""

    def __init__(self, url: str, token: str | None = None, *, as_slack: bool = False) -> None:
        self.url, self.token, self.as_slack = url, token, as_slack
        self._opener = urllib.request.build_opener(_NoRedirects)

    def __call__(self, message: Message) -> None:
        """Post the message once."""
        body = slack_body(message) if self.as_slack else message.to_dict()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=WEBHOOK_SECONDS):
                return
        except urllib.error.HTTPError as error:
            with error:
                is_final = error.code < 500 and error.code not in _LATER
                wait = _seconds(error.headers.get("Retry-After"))
                raise Failed(f"answered {error.code}", is_final=is_final, wait=wait) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Failed(redacted(str(reason), (self.url, self.token or ""))) from error


def slack_body(message: Message) -> Mapping[str, Any]:
    """A message as Slack reads it; names of accounts are text and call nobody."""
    lines = [f"*{_plain(message.title)}* for {_plain(message.owner)}"]
    lines += [f"• {_plain(alert_sentence(alert))}" for alert in message.alerts]
    return {"text": "\n".join(lines), "key": message.key}


def _plain(text: str) -> str:
    shown = visible(text, one_line=True)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _seconds(value: str | None) -> float | None:
    """`Retry-After` in seconds, no longer than a minute; None where it is a date or absent."""
    return min(_MOST_WAIT, float(value)) if value is not None and value.isdigit() else None
