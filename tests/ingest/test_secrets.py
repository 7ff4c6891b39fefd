"""After a session with all senders: no secret and nothing personal is in anything that ingest wrote or shows."""

import base64
import json
import socket
from collections.abc import AsyncIterator, Iterable, Iterator

import httpx
import pytest

from tests.ingest.every_source import (
    BROKERS,
    KEYED,
    OPERATOR,
    SECRET,
    SECRETS,
    SIGNED,
    WHSEC,
    key_of,
    proof,
    samples,
    start,
)
from tests.support.chain import Surroundings, ingest_service
from tests.support.service import Service

SMTPS, LIFESIGNS = "what-only-the-mail-server-knows", "what-only-the-lifesign-knows"
PERSONAL = {
    "description": "Herr Beispielmann droht mit Anwalt",
    "reported_by": "Frau Musterfrau",
    "location": "Hinterzimmer der Bibliothek",
}
GUESS = "a-guess-that-may-be-nearly-right"
PROOFS = ("authorization", "webhook-signature", "typeform-signature", "tally-signature", "x-signature")


@pytest.fixture(scope="module")
async def every(every_around: Surroundings) -> AsyncIterator[Service]:
    """As in conftest.py, with secrets in its settings; its log level is debug."""
    service = ingest_service(
        every_around,
        RUFKETTE_SMTP_URL=f"smtp://rufkette:{SMTPS}@127.0.0.1:9?starttls=off",
        RUFKETTE_LIFESIGN_URL=f"http://127.0.0.1:9/{LIFESIGNS}",
    )
    try:
        await start(service)
        yield service
    finally:
        service.stop()


def requests(source: str) -> Iterator[tuple[bytes, dict[str, str], dict[str, str]]]:
    """Body, headers and parameters: what the source sends, and what people get wrong when they set it up."""
    for raw, kind in samples(source):
        headers, query = proof(source, raw)
        typed = headers | {"content-type": kind}
        yield raw, typed, query
        yield raw, typed, query | {"key": key_of(source), "secret": query.get("secret", SECRET), "token": SECRET}
        yield raw + b"}", typed, query
        yield raw, {name: value + "x" for name, value in typed.items()}, {"secret": GUESS}
        yield raw, {"content-type": kind}, {}
        yield raw, typed | {"authorization": key_of(source)}, {}
        basic = base64.b64encode(f"rufkette:{key_of(source)}".encode()).decode()
        yield raw, typed | {"authorization": f"Basic {basic}"}, query
    personal = json.dumps(PERSONAL | {"site": "bernburg"}).encode()
    headers, query = proof(source, personal)
    yield personal, headers | {"content-type": "application/json"}, query
    wrong = json.dumps(PERSONAL | {"site": "nowhere", PERSONAL["reported_by"]: PERSONAL["description"]}).encode()
    headers, query = proof(source, wrong)
    yield wrong, headers | {"content-type": "application/json"}, query


def session(client: httpx.Client) -> tuple[list[httpx.Response], set[str]]:
    """All senders at all addresses; returns the answers, and the proofs that were shown."""
    answers: list[httpx.Response] = []
    shown: set[str] = set()
    for source in (*KEYED, *SECRETS, *SIGNED):
        hook = f"/v1/hooks/{source}"
        for raw, headers, query in requests(source):
            answers += [
                client.post(path, content=raw, headers=headers, params=query)
                for path in (hook, f"{hook}/btn-7", "/v1/hooks/mqtt", "/v1/incidents", "/v1/events")
            ]
            answers.append(client.get(f"{hook}/btn-7", headers=headers, params=query))
            shown |= {headers[name] for name in PROOFS if name in headers}
        if source == "flic":
            shown |= {json.loads(raw)["token"] for raw, _ in samples(source)}
    return answers, shown


def strange(client: httpx.Client, port: int) -> None:
    """What is no HTTP, and addresses that hold a secret where none belongs."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as broken:
        broken.sendall(f"GET /v1/hooks/shelly?secret={SECRET} HTTP/9\r\nauthorization: {OPERATOR}\r\n\x00".encode())
        assert b"400" in broken.recv(1000)
    for path in (f"/v1/hooks/{SECRET}", f"/{SECRET}", f"/v1/events/{SECRET}", f"/v1/hooks/shelly/{SECRET}"):
        client.get(path, headers={"authorization": f"Bearer {key_of('buttons')}", "user-agent": SECRET})


def found(these: Iterable[str], text: str) -> set[str]:
    return {one for one in these if one in text}


def test_a_session_with_all_senders(client: httpx.Client, every: Service, every_around: Surroundings) -> None:
    answers, shown = session(client)
    codes = {answer.status_code for answer in answers}
    assert codes >= {200, 202, 400, 401, 403, 404, 405, 415, 422}
    assert max(codes) < 500
    strange(client, every.port)
    pages = [client.get(path) for path in ("/metrics", "/docs", "/openapi.json", "/readyz", "/healthz")]
    pages.append(client.get("/v1/sources", headers={"authorization": f"Bearer {OPERATOR}"}))
    assert {page.status_code for page in pages} == {200}

    every.stop()
    whsec = WHSEC.decode()
    secrets = {SECRET, whsec, whsec.removeprefix("whsec_"), BROKERS, OPERATOR, SMTPS, LIFESIGNS, GUESS, *shown}
    secrets |= {key_of(source) for source in KEYED}
    assert {line["event"] for line in every.logs} >= {"report.accepted", "report.ignored", "report.refused"}
    assert found((*secrets, *PERSONAL.values()), every.output) == set()
    assert every.stray_lines == []
    assert every.events("request.failed") == []
    assert found(secrets, "\n".join(f"{answer.headers}{answer.text}" for answer in (*answers, *pages))) == set()
    assert found(PERSONAL.values(), "\n".join(page.text for page in pages)) == set()
    journals = list(every_around.directory.glob("journal-*"))
    assert journals
    assert [found(secrets, file.read_bytes().decode("latin-1")) for file in journals] == [set()] * len(journals)
