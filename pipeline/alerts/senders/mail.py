"""One digest an owner and day by SMTP; the key is the Message-ID."""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import parseaddr

from pipeline.alerts.senders.message import Failed, Message, alert_sentence
from pipeline.config.schema import Sender
from pipeline.edge.text import visible

MAIL_SECONDS = 20


class MailSender:
    """Sends each message to its owner's address."""

    def __init__(
        self, settings: Sender, addresses: Mapping[str, str], password: str | None
    ) -> None:
        self.settings, self.addresses, self.password = settings, addresses, password

    def __call__(self, message: Message) -> None:
        """Send the digest once."""
        mail = digest(message, self.settings, self.address(message.owner))
        try:
            with self._connected() as server:
                server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            raise Failed(
                f"the server answered {error.smtp_code}", is_final=500 <= error.smtp_code
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise Failed(
                "the server refused the recipient", is_final=min(codes, default=500) >= 500
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Failed(f"{self.settings.host}: {type(error).__name__}") from error

    def address(self, owner: str) -> str:
        """Where an owner's mail goes."""
        if owner in self.addresses:
            return self.addresses[owner]
        is_address = "@" in parseaddr(owner)[1] and not set(owner) & set("\r\n, ")
        return owner if is_address else str(self.settings.to)

    def _connected(self) -> smtplib.SMTP:
        kind, host, port = self.settings.encryption, str(self.settings.host), self.settings.port
        server: smtplib.SMTP
        if kind == "tls":
            server = smtplib.SMTP_SSL(
                host, port, timeout=MAIL_SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, timeout=MAIL_SECONDS)
        try:
            if kind == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.password is not None:
                server.login(str(self.settings.user or self.settings.sender), self.password)
        except BaseException:
            server.close()
            raise
        return server


def digest(message: Message, settings: Sender, to: str) -> EmailMessage:
    """All alerts of an owner's day in one plain mail."""
    mail = EmailMessage()
    sender = str(settings.sender)
    mail["From"], mail["To"] = sender, to
    mail["Subject"] = visible(message.title, one_line=True)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    mail["Message-ID"] = f"<{message.key}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = [f"For {visible(message.owner, one_line=True)}, as of {message.as_of}:", ""]
    for alert in message.alerts:
        lines += [f"- {visible(alert_sentence(alert), one_line=True)}", f"  [{alert.alert_id[:8]}]"]
    lines += ["", "`tenure alerts acknowledge ID`, `snooze ID` or `done ID` says what you do."]
    mail.set_content("\n".join(lines) + "\n")
    return mail
