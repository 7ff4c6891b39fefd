"""Certificates are checked by the name in the address, whatever address the server was reached at."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.common.mail.names import Address, Names
from services.common.mail.session import SmtpSession, Verdict
from services.common.mail.smtp import parse_smtp_url
from services.common.mail.wire import as_data
from services.embedded.ports import free_port

HOST = "mail.example.org"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of `HOST`, with its key; trusted, as one of a company's own authority is."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    kept = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "certificate.pem"
    file.write_bytes(made.public_bytes(pem) + kept)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


class Taken:
    """Takes every mail."""

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802 – aiosmtpd calls it by this name
        return "250 taken"


@pytest.fixture
async def listening(certificate: Path) -> AsyncIterator[Callable[[bool], Any]]:
    """Starts a server with TLS from the first byte, or after STARTTLS; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    servers: list[asyncio.Server] = []

    async def listen(at_once: bool) -> int:
        port = free_port()
        later: dict[str, Any] = {} if at_once else {"tls_context": context, "require_starttls": True}
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(Taken(), hostname=HOST, **later), "127.0.0.1", port, ssl=context if at_once else None
        )
        servers.append(server)
        return port

    yield listen
    for server in servers:
        server.close()
        await server.wait_closed()


async def look_up(host: str, port: int) -> Sequence[Address]:
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("host", "taken"), [(HOST, True), ("another.example.org", False)])
async def test_a_mail_over_tls(listening: Callable[[bool], Any], at_once: bool, host: str, taken: bool) -> None:
    port = await listening(at_once)
    url = f"smtps://{host}:{port}" if at_once else f"smtp://{host}:{port}?starttls=required"
    session = SmtpSession(parse_smtp_url(url), Names(look_up))
    answer = await session.send("a@example.org", "b@example.org", as_data(b"Subject: x\r\n\r\nx\r\n"), 10)
    await session.close()
    if taken:
        assert answer.verdict is Verdict.ACCEPTED, answer
    else:
        assert (answer.verdict, answer.stage, answer.code) == (Verdict.DEFERRED, "CONNECT", None)
