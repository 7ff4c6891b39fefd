"""A mail of the outbox as it goes over the wire."""

from datetime import datetime
from email.utils import format_datetime, formataddr, parseaddr
from functools import lru_cache

from services.alerting.changes import Mail
from services.alerting.core.messages import Message, compose
from services.alerting.desk.tokens import Tokens
from services.alerting.engine import Engine
from services.alerting.mailing.mime import build
from services.common.mail.threads import thread_of
from services.common.mail.wire import OnTheWire


class Letters:
    """`public_url` is the desk as recipients reach it, `sender` the From address."""

    def __init__(self, engine: Engine, sender: str, public_url: str, tokens: Tokens) -> None:
        self.envelope_sender = parseaddr(sender)[1]
        self._engine = engine
        self._sender = sender
        self._domain = self.envelope_sender.rpartition("@")[2]
        self._public_url = public_url
        self._tokens = tokens

    def write(self, mail: Mail) -> OnTheWire:
        """The message. Raises whatever a bug in our own texts raises."""
        now = self._engine.clock()
        token = self._tokens.issue(mail.incident.id, mail.notify.recipient.email, now)
        link = f"{self._public_url}/a/{token}"
        message = compose(mail.incident, mail.notify, self._engine.rules(), now=now, link=link)
        headers = {"Date": _date(now.replace(microsecond=0))} | self._headers(mail, message)
        return build(headers, message.text, message.html, boundary=f"rufkette-{mail.id}")

    def _headers(self, mail: Mail, message: Message) -> dict[str, str]:
        recipient, incident = mail.notify.recipient, mail.incident
        thread = thread_of(incident.id, self._domain)
        notify = mail.notify
        level = "unknown" if incident.danger_level is None else str(incident.danger_level)
        headers = {
            "From": self._sender,
            "To": _to(recipient.name or "", recipient.email),
            "Subject": message.subject,
            "Message-ID": f"<{mail.id}@{self._domain}>",
            "In-Reply-To": thread,
            "References": thread,
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-Rufkette-Incident": incident.id,
            "X-Rufkette-Level": level,
            "X-Rufkette-Step": f"{notify.purpose.value}-{notify.cycle}-{notify.step}-{notify.repetition}",
            "X-Rufkette-Attempt": str(mail.attempt),
        }
        return headers | ({"Importance": "high"} if message.importance_high else {})


@lru_cache(maxsize=4096)
def _to(name: str, email: str) -> str:
    return formataddr((name, email))


@lru_cache(maxsize=4)
def _date(second: datetime) -> str:
    return format_datetime(second)
