"""Whatever is sent to whichever source: an answer that says what became of it, and never a mistake of ours."""

import json
from collections import Counter
from typing import Any, NoReturn

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import DATA_TYPES
from services.ingest.api import body as limits
from tests.ingest.every_source import KEYED, OF_JSON, PANIC, SECRETS, SIGNED, key_of, proof, samples, token
from tests.ingest.reading import events_on
from tests.support.chain import Surroundings
from tests.support.service import Service

SOURCES = (*KEYED, *SECRETS, *SIGNED)
REPORTED = "rufkette.incident.reported.v1"
TYPES = [
    "application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "text/plain", "",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data",
    "application/json; charset=utf-16", "application/json; charset=rot13", "application/octet-stream", "\u00e4",
]  # fmt: skip
bounded = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

KEYS = st.text(max_size=9) | st.sampled_from(
    ["site", "id", "device_id", "location", "data", "event", "type", "specversion", "object", "uplink_message",
     "end_device_ids", "decoded_payload", "deviceInfo", "devEui", "token", "form_response", "answers", "fields",
     "danger_level", "time", "subject", "source", "eventType", "event_type", "objectJSON", "frm_payload"]
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(sorted(DATA_TYPES)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
HOSTILE = st.sampled_from(
    [b"", b"{}", b"[]", b"null", b"[" * 9000, b'{"a":' * 9000, b'{"a":' * 63 + b"{}" + b"}" * 63, b'{"site":1e308}',
     b'{"site":1e308999}', b'{"danger_level":1e999}', b'{"danger_level":NaN}', b'{"id":"\\u0000\\ud800"}',
     b'{"id":"\x00"}',
     b'{"site":"bernburg","site":"x"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"--b\r\n\r\n--b--", b"a=b&" * 9000,
     b"%ff=%00&" * 20, b'{"data":' + b"9" * 5000 + b"}", b'{"site":"' + b"\xc3\xa4" * 30000 + b'"}']
)  # fmt: skip
PIECES = st.sampled_from(
    [
        b"\\ud800",
        b"\\u0000",
        b"null",
        b"[]",
        b"{}",
        b"1e999",
        b"true",
        b'"',
        b"%00",
        b"\xff",
        b"&",
        b"9" * 500,
        b"=",
        b"",
    ]
)
DAMAGES = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 40), PIECES), max_size=4)


def damaged(sample: tuple[bytes, str], damages: list[tuple[int, int, bytes]]) -> tuple[bytes, str]:
    raw = bytearray(sample[0])
    for at, length, piece in damages:
        start = at % (len(raw) + 1)
        raw[start : start + length] = piece
    return bytes(raw), sample[1]


def sent_by(source: str) -> st.SearchStrategy[tuple[str, bytes, str]]:
    """The source, and a body with its content type: what it really sends, damaged, or anything at all."""
    real = st.builds(damaged, st.sampled_from(samples(source)), DAMAGES)
    anything = st.tuples(st.binary(max_size=300) | JSON | HOSTILE, st.sampled_from(TYPES))
    if source == "flic":
        # What Flic signs, and nothing else, shows that Flic sends.
        real = st.dictionaries(st.sampled_from(["buttonSerialNumber", "clickType", "pressedAt", "iat"]), st.text()).map(
            lambda claims: (token(**claims), "application/json")
        )
        anything = real
    return (real | anything).map(lambda made: (source, *made))


def is_an_object(raw: bytes) -> bool:
    """Whether it is a JSON object within the limits, as the standard library sees it."""

    def refuse(_: str) -> NoReturn:
        raise ValueError

    def depth(value: object) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=refuse, parse_int=float)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and depth(value) <= limits.MAX_DEPTH and len(raw) <= limits.LIMIT


def is_a_follow_up(raw: bytes, headers: dict[str, Any]) -> bool:
    """Whether it clearly says that it is no report."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    said = {headers.get("ce-type"), value.get("type") if isinstance(value, dict) else None}
    return bool((said - {REPORTED}) & set(DATA_TYPES))


class Tally:
    """What the sources were told, to be compared with what ingest did and said."""

    def __init__(self, every: Service) -> None:
        self._every = every
        self._before = self._said()
        self.events: set[str] = set()
        self.others: Counter[tuple[str, str]] = Counter()

    def _said(self) -> Counter[tuple[str, str]]:
        return Counter((line.get("source", ""), line["event"]) for line in self._every.logs)

    def take(self, source: str, answer: httpx.Response) -> bool:
        """Check an answer; whether it is a refusal."""
        body = answer.json()
        if answer.status_code not in (200, 202):
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert body["detail"]
            self.others[source, "report.refused"] += 1
            return True
        for one in body if isinstance(body, list) else [body]:
            if one["status"] == "ignored":
                assert one["reason"]
                self.others[source, "report.ignored"] += 1
            else:
                assert one["status"] in ("accepted", "queued")
                self.events.add(one["event_id"])
        return False

    async def hold(self, around: Surroundings) -> None:
        """Every event is on Kafka, and every other message is a line in the log."""
        on_kafka = {event.id for event in await events_on(around.kafka, around.topic_prefix)}
        assert self.events - on_kafka == set()
        said = self._said() - self._before
        assert {what: said[what] for what in self.others} == dict(self.others)
        assert all(line["reason"] for line in self._every.events("report.ignored"))
        problems = {line["problem"] for line in self._every.events("report.refused")}
        assert problems <= {"bad-request", "unauthorised", "forbidden", "media-type", "invalid", "too-large"}


def path_of(source: str) -> str:
    return "/v1/incidents" if source in ("buttons", "forms") else f"/v1/hooks/{source}"


def encoded(kind: str) -> dict[str, Any]:
    return {"content-type": kind.encode("latin-1")} if kind else {}


@pytest.mark.parametrize("source", SOURCES)
async def test_no_bytes_break_a_hook_and_no_press_disappears(
    client: httpx.Client, every: Service, every_around: Surroundings, source: str
) -> None:
    tally = Tally(every)

    @settings(bounded, max_examples=120)
    @given(sent_by(source), st.sampled_from(["up", "join", "status", "\x00", ""]), st.booleans())
    def send(sent: tuple[str, bytes, str], event: str, of_incidents: bool) -> None:
        _, raw, kind = sent
        headers, query = proof(source, raw)
        path = path_of(source) if of_incidents else f"/v1/hooks/{source}"
        answer = client.post(path, content=raw, headers=headers | encoded(kind), params=query | {"event": event})
        refused = tally.take(source, answer)
        if source not in PANIC:
            return
        no_message = source in OF_JSON and not is_an_object(raw)
        assert not refused or no_message or (source == "panic-bus" and is_a_follow_up(raw, {})), answer.text

    send()
    await tally.hold(every_around)
    assert every.events("request.failed") == []


CE = st.dictionaries(
    st.sampled_from(["ce-id", "ce-type", "ce-source", "ce-specversion", "ce-time", "ce-subject", "ce-x"]),
    st.sampled_from(
        ["1.0", REPORTED, "rufkette.incident.closed.v1", "%", "%ff%fe", "2026-01-05T09:12:33+01:00", '"', ""]
    ),
)


@pytest.mark.parametrize("source", ["bus", "panic-bus", "forms", "buttons"])
async def test_no_bytes_break_the_route_of_cloudevents(
    client: httpx.Client, every: Service, every_around: Surroundings, source: str
) -> None:
    tally = Tally(every)

    @settings(bounded, max_examples=120)
    @given(sent_by(source) | sent_by("bus"), CE)
    def send(sent: tuple[str, bytes, str], given_headers: dict[str, str]) -> None:
        _, raw, kind = sent
        headers = {"authorization": f"Bearer {key_of(source)}"} | given_headers | encoded(kind)
        answer = client.post("/v1/events", content=raw, headers=headers)
        refused = tally.take(source, answer)
        if source in PANIC:
            assert not refused or not is_an_object(raw) or is_a_follow_up(raw, headers), answer.text

    send()
    await tally.hold(every_around)
    assert every.events("request.failed") == []


FORGED = st.dictionaries(
    st.sampled_from(
        ["authorization", "webhook-id", "webhook-timestamp", "webhook-signature", "typeform-signature",
         "tally-signature", "x-signature"]
    ),
    st.binary(max_size=40).map(bytes.hex)
    | st.sampled_from(
        ["Bearer", "Bearer x", "Basic =", "Basic eA==", "v1,", "v1,=", "sha256=", "sha256", "-1", "1e99", "9" * 40,
         "0", "\u00e4\u00f6", ",", "v1,\u00ff", "whsec_"]
    ),
    max_size=5,
)  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_without_proof_nothing_is_taken(client: httpx.Client, every: Service, source: str) -> None:
    @settings(bounded, max_examples=60)
    @given(sent_by(source), FORGED, st.sampled_from(["", "guess", "\x00", "\u00e4"]))
    def send(sent: tuple[str, bytes, str], forged: dict[str, str], secret: str) -> None:
        _, raw, kind = sent
        headers: dict[str, Any] = {name: value.encode("latin-1") for name, value in forged.items()}
        answer = client.post(
            f"/v1/hooks/{source}",
            content=raw,
            headers=headers | encoded(kind),
            params={"secret": secret, "key": secret},
        )
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"]

    send()
    assert every.events("request.failed") == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_ingest_fetches_itself_cannot_be_posted(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/v1/hooks/mqtt", json={"action": "single"})
    assert (answer.status_code, "MQTT" in answer.json()["detail"]) == (404, True)
