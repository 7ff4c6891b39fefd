"""Bad input one kind at a time, at the door: limits before anything is parsed, JSON's dark corners, old signatures."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.ingest.every_source import KEYED, SECRETS, SIGNED, key_of, proof, samples
from tests.ingest.reading import events_on
from tests.ingest.support import reported
from tests.support.chain import Surroundings

SOURCES = (*KEYED, *SECRETS, *SIGNED)
JSON = "application/json"


def send(client: httpx.Client, source: str, raw: bytes, kind: str = JSON) -> httpx.Response:
    headers, query = proof(source, raw)
    return client.post(
        f"/v1/hooks/{source}", content=raw, headers=headers | ({"content-type": kind} if kind else {}), params=query
    )


@pytest.mark.parametrize("kind", [JSON, "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("source", SOURCES)
def test_too_large_in_chunks_or_at_once(client: httpx.Client, source: str, kind: str) -> None:
    """Whatever it would be: it is refused before anybody looks at what it says, or who signed it."""
    raw = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"[" * 66_000
    headers, query = proof(source, raw)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(raw), 5000):
            yield raw[start : start + 5000]

    for content in (raw, chunks()):
        answer = client.post(
            f"/v1/hooks/{source}", content=content, headers=headers | {"content-type": kind}, params=query
        )
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("source", SOURCES)
def test_exactly_the_limit_is_not_too_large(client: httpx.Client, source: str) -> None:
    raw, kind = samples(source)[0]
    answer = send(client, source, raw + b" " * (64 * 1024 - len(raw)), kind)
    assert answer.status_code in (200, 202), answer.text


NUL, LONE = "\\u0000", "\\ud83d"


@pytest.mark.parametrize(
    ("raw", "kind", "of_form", "of_press"),
    [
        (b"{" * 9000, JSON, 400, 400),
        (b'{"a":' * 64 + b"1" + b"}" * 64, JSON, 422, 202),
        (b'{"a":' * 65 + b"1" + b"}" * 65, JSON, 400, 400),
        (b'{"site":"bernburg","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", JSON, 400, 400),
        (b'{"site":"bernburg","site":"stassfurt"}', JSON, 400, 202),
        (b'{"site":"bernburg","danger_level":NaN}', JSON, 400, 400),
        (b'{"site":"bernburg","danger_level":-Infinity}', JSON, 400, 400),
        (b'{"site":"bernburg","danger_level":1e308}', JSON, 422, 202),
        (b'{"site":"bernburg","danger_level":1e999}', JSON, 422, 202),
        (b'{"site":"bernburg","danger_level":' + b"9" * 9000 + b"}", JSON, 422, 202),
        (f'{{"site":"bernburg","description":"{NUL}"}}'.encode(), JSON, 422, 202),
        (f'{{"site":"bernburg","description":"{LONE}"}}'.encode(), JSON, 422, 202),
        (f'{{"site":"bernburg","id":"{NUL}{LONE}"}}'.encode(), JSON, 422, 202),
        (f'{{"site":"bernburg","{NUL}{LONE}":1}}'.encode(), JSON, 422, 202),
        (b'{"site":"bernburg","description":"\x00"}', JSON, 400, 400),
        (b'{"site":"bernburg","description":"\xed\xa0\xbd"}', JSON, 400, 400),
        ('{"site":"bernburg","description":"ä"}'.encode("latin-1"), JSON, 400, 400),
        ('{"site":"bernburg"}'.encode("utf-16"), "application/json; charset=utf-16", 400, 400),
        (b'\xef\xbb\xbf{"site":"bernburg"}', JSON, 202, 202),
        (b'{"site":"bernburg"}', "application/json; charset=rot13", 202, 202),
        (b'{"site":"bernburg"}', "text/plain", 415, 202),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_dark_corners_of_json(
    client: httpx.Client, every_around: Surroundings, raw: bytes, kind: str, of_form: int, of_press: int
) -> None:
    answers = {source: send(client, source, raw, kind) for source in ("forms", "buttons")}
    assert (answers["forms"].status_code, answers["buttons"].status_code) == (of_form, of_press), answers
    taken = [answer.json()["event_id"] for answer in answers.values() if answer.status_code == 202]
    on_kafka = {event.id: event for event in await events_on(every_around.kafka, every_around.topic_prefix)}
    for event_id in taken:
        text = json.dumps(on_kafka[event_id].model_dump(mode="json"), ensure_ascii=False)
        text.encode()  # no lone surrogate
        assert "\x00" not in text
        assert reported(on_kafka[event_id]).danger_level is None
    if of_press == 202 != of_form:
        assert answers["buttons"].json()["warnings"] or kind == "text/plain"


@pytest.mark.parametrize("source", ["intranet", "press-form"])
@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        ("standort=bernburg&raum=Würde".encode("latin-1"), "application/x-www-form-urlencoded; charset=latin-1", 202),
        ("standort=bernburg&raum=Würde".encode("latin-1"), "application/x-www-form-urlencoded", 202),
        (b"standort=bernburg", "application/x-www-form-urlencoded; charset=rot13", 415),
        (b"standort=bernburg", "application/x-www-form-urlencoded; charset=\xff", 415),
        ('{"standort": "bernburg"}'.encode("utf-16"), "application/json; charset=utf-16", 202),
        (b"standort=bernburg", "application/json; charset=utf-16", 400),
        (b"&".join(b"f%d=x" % number for number in range(501)), "application/x-www-form-urlencoded", 400),
        (b"--b\r\nContent-Disposition: form-data", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n\r\nx\r\n--b--", "multipart/form-data", 400),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_dark_corners_of_forms(client: httpx.Client, source: str, raw: bytes, kind: str, status: int) -> None:
    headers, query = proof(source, raw)
    named: dict[bytes, bytes] = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    named[b"content-type"] = kind.encode("latin-1")
    answer = client.post(f"/v1/hooks/{source}", content=raw, params=query, headers=named)
    assert answer.status_code == (202 if source == "press-form" else status), answer.text


@pytest.mark.parametrize("source", ["formbricks", "panic-hook"])
@pytest.mark.parametrize(("offset", "taken"), [(-310, False), (-280, True), (0, True), (280, True), (310, False)])
def test_a_recorded_message_cannot_be_played_back_later(
    client: httpx.Client, source: str, offset: int, taken: bool
) -> None:
    raw, kind = samples(source)[0]
    headers, _ = proof(source, raw, datetime.now(UTC) + timedelta(seconds=offset))
    answer = client.post(f"/v1/hooks/{source}", content=raw, headers=headers | {"content-type": kind})
    assert answer.status_code == (202 if taken else 401), answer.text


def test_a_key_opens_no_other_source(client: httpx.Client) -> None:
    for source in KEYED:
        for other in KEYED:
            if source != other:
                headers = {"authorization": f"Bearer {key_of(other)}", "content-type": JSON}
                assert client.post(f"/v1/hooks/{source}", content=b"{}", headers=headers).status_code == 403
