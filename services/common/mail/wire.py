"""A message as it follows DATA (RFC 5321, 4.5.2): lines end in CRLF, dots that begin one are doubled, one ends it."""

from typing import Final, NewType

OnTheWire = NewType("OnTheWire", bytes)
"""Of its own type, so that nothing else can get there: a bare line feed may end a mail, and begin another one."""
END: Final = b".\r\n"


def as_data(message: bytes) -> OnTheWire:
    """Any message in that form."""
    lines = message.count(b"\r\n")
    if message.count(b"\n") != lines or message.count(b"\r") != lines:
        message = b"\r\n".join(message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    if message.startswith(b"."):
        message = b"." + message
    return OnTheWire(message.replace(b"\r\n.", b"\r\n..") + END)
