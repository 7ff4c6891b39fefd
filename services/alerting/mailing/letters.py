"""A mail of the outbox as it goes over the wire."""

from datetime import datetime
from email.utils import format_datetime, formataddr, parseaddr
from functools import lru_cache

from services.alerting.changes import Mail
from services.alerting.core.messages import compose
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
        id_ = str(mail.id)
        headers = self._headers(mail, id_, now)
        if message.importance_high:
            headers["Importance"] = "high"
        return build(headers, message.subject, message.text, message.html, boundary=f"rufkette-{id_}")

    def _headers(self, mail: Mail, id_: str, now: datetime) -> dict[str, str]:
        notify, incident = mail.notify, mail.incident
        recipient = notify.recipient
        thread = thread_of(incident.id, self._domain)
        return {
            "Date": _date(now.replace(microsecond=0)),
            "From": self._sender,
            "To": _to(recipient.name or "", recipient.email),
            "Message-ID": f"<{id_}@{self._domain}>",
            "In-Reply-To": thread,
            "References": thread,
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-Rufkette-Incident": incident.id,
            "X-Rufkette-Level": "unknown" if incident.danger_level is None else str(incident.danger_level),
            "X-Rufkette-Step": f"{notify.purpose.value}-{notify.cycle}-{notify.step}-{notify.repetition}",
            "X-Rufkette-Attempt": str(mail.attempt),
        }


@lru_cache(maxsize=4096)
def _to(name: str, email: str) -> str:
    return formataddr((name, email))


@lru_cache(maxsize=4)
def _date(second: datetime) -> str:
    return format_datetime(second)
