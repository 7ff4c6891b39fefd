"""Addresses of mail servers: `smtp://user:password@host:port?starttls=required&connections=8`, `smtps://…`."""

from dataclasses import dataclass
from typing import Final, Literal, cast, get_args
from urllib.parse import parse_qs, unquote, urlsplit

StartTls = Literal["required", "opportunistic", "off"]
CONNECTIONS: Final = 8
_MOST_CONNECTIONS: Final = 32
_OPTIONS: Final = ("connections", "starttls")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """How to reach a mail server. `tls` means TLS from the first byte (`smtps://`).

    `connections`: over so many at most one process hands mails over at once. Some servers allow few to a client.
    """

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool
    starttls: StartTls
    connections: int = CONNECTIONS


def parse_smtp_url(url: str) -> SmtpServer:
    """The parts of an SMTP URL.

    `starttls` is one of `required`, which it is with a password unless it says otherwise, `opportunistic`, which it is
    without, and `off`; `connections` is a number from 1 to 32, else 8.

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
    unknown = sorted(set(query) - set(_OPTIONS))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; known are {' and '.join(_OPTIONS)}")
    starttls = query.get("starttls", ["required" if parts.username else "opportunistic"])[-1]
    if starttls not in get_args(StartTls):
        raise ValueError("starttls must be required, opportunistic or off")
    connections = query.get("connections", [str(CONNECTIONS)])[-1]
    if not (connections.isascii() and connections.isdecimal() and 1 <= int(connections) <= _MOST_CONNECTIONS):
        raise ValueError(f"connections must be a number from 1 to {_MOST_CONNECTIONS}")
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if tls else 587 if parts.username else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
        starttls=cast("StartTls", starttls),
        connections=int(connections),
    )
