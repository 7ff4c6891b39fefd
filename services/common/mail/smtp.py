"""Addresses of mail servers: `smtp://user:password@host:port?starttls=required|opportunistic|off`, `smtps://…`."""

from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import parse_qs, unquote, urlsplit

StartTls = Literal["required", "opportunistic", "off"]


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """How to reach a mail server. `tls` means TLS from the first byte (`smtps://`)."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    starttls: StartTls


def parse_smtp_url(url: str) -> SmtpServer:
    """The parts of an SMTP URL; `starttls` defaults to `required` with a password and `opportunistic` without.

    Raises:
        ValueError: with what is wrong and an example. The message never contains the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL; write for example smtp://user:password@mail.example.org:587") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must start with smtp:// or smtps:// and name a host, for example smtp://mail.example.org:587")
    query = parse_qs(parts.query)
    unknown = sorted(set(query) - {"starttls"})
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; only starttls is known")
    starttls = query.get("starttls", ["required" if parts.username else "opportunistic"])[-1]
    if starttls not in get_args(StartTls):
        raise ValueError("starttls must be required, opportunistic or off")
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if tls else 587 if parts.username else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
        starttls=cast("StartTls", starttls),
    )
