"""Mails as files: what the mail catcher took, newest first, kept over restarts."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

_ENVELOPE = "X-Envelope-To"
_BROKEN = (ValueError, LookupError, TypeError, AttributeError)  # what the email package raises on hostile headers


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `id` sorts by arrival."""

    id: str
    received_at: datetime
    content: bytes
    message: EmailMessage

    @property
    def subject(self) -> str:
        """The decoded subject on one line."""
        return " ".join(self._header("Subject").split()) or "(ohne Betreff)"

    @property
    def sender(self) -> str:
        """The `From` header."""
        return self._header("From")

    @property
    def recipients(self) -> list[str]:
        """To whom the mail server was told to deliver it, whatever the header `To` says."""
        return [address.strip() for address in self._header(_ENVELOPE).split(",") if address.strip()]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers in their order."""
        found = []
        for name in dict.fromkeys(self.message.keys()):
            with suppress(*_BROKEN):
                found += [(name, str(value)) for value in self.message.get_all(name, [])]
        return found

    def body(self, subtype: str) -> str | None:
        """The body of type `text/plain` or `text/html`; bytes that do not fit their charset are replaced."""
        with suppress(*_BROKEN):
            part = self.message.get_body((subtype,))
            if part is not None:
                payload = part.get_payload(decode=True)
                assert isinstance(payload, bytes)
                return payload.decode(_known(part.get_content_charset()), "replace")
        return None

    def _header(self, name: str) -> str:
        with suppress(*_BROKEN):
            return str(self.message.get(name, ""))
        return ""


def _known(charset: str | None) -> str:
    with suppress(LookupError):
        "".encode(charset or "utf-8")
        return charset or "utf-8"
    return "utf-8"


class Mailbox:
    """All mails in a directory of `.eml` files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)  # the mails hold links that work
        self._directory = directory
        self._ids = sorted(path.stem for path in directory.glob("*.eml"))

    def __iter__(self) -> Iterator[Mail]:
        """Newest first."""
        for mail_id in reversed(self._ids):
            mail = self.get(mail_id)
            if mail is not None:
                yield mail

    def newest(self, count: int) -> list[Mail]:
        """At most `count` mails, newest first."""
        return list(islice(self, count))

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, mail_id: str) -> Mail | None:
        """One mail; None when there is none of this id."""
        if mail_id not in self._ids:
            return None
        try:
            content = (self._directory / f"{mail_id}.eml").read_bytes()
        except FileNotFoundError:
            return None
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        nanoseconds = int(mail_id.partition("-")[0])
        return Mail(mail_id, datetime.fromtimestamp(nanoseconds / 1e9, UTC), content, message)

    def keep(self, recipients: Sequence[str], content: bytes) -> str:
        """Store a mail, on the disk before this returns; returns its id."""
        mail_id = f"{time.time_ns():020d}-{len(self._ids):06d}"
        envelope = f"{_ENVELOPE}: {', '.join(recipients)}\r\n".encode(errors="replace")
        making = self._directory / f".{mail_id}"
        with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(envelope + content)
            file.flush()
            os.fsync(file.fileno())
        making.rename(self._directory / f"{mail_id}.eml")
        self._ids.append(mail_id)
        return mail_id
