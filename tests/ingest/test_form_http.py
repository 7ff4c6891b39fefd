"""Forms through the real application, with the real Kafka behind it."""

import base64
import hashlib
import hmac
import html
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook

from schemas.configuration import Configuration
from schemas.events import Event
from services.common.settings import IngestSettings
from services.ingest.app import app_for
from tests.ingest.reading import events_on
from tests.ingest.support import reported
from tests.support.organisation import organisation
from tests.support.servers import fresh_topics

KEY = "rk_test_intranet"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
URLENCODED = "application/x-www-form-urlencoded"
MAP = {"site": {"field": "standort", "required": True}, "location": "raum", "danger_level": "stufe"}


class Api:
    def __init__(self, client: httpx.AsyncClient, kafka: str, prefix: str) -> None:
        self.client, self.kafka, self.prefix = client, kafka, prefix

    async def post(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"/v1/hooks/{path}", content=content, headers=named)

    async def event(self, answer: httpx.Response) -> Event:
        assert answer.status_code == 202, answer.text
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:  # what is queued first is forwarded a little later
            for event in await events_on(self.kafka, self.prefix):
                if event.id == answer.json()["event_id"]:
                    return event
        raise AssertionError("the event did not reach Kafka")


@pytest.fixture(scope="module")
async def api(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("forms")
    (folder / "standard").write_text(SECRET)
    (folder / "typeform").write_text("geheim")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    content = organisation()
    content["sources"] |= {
        "intranet": {"type": "form", "key_sha256": digest, "map": MAP},
        "open": {"type": "form", "key_sha256": digest, "key_in_url": True, "map": MAP},
        "press": {"type": "form", "kind": "panic", "key_sha256": digest, "key_in_url": True, "map": MAP},
        "typeform": {"type": "form", "preset": "typeform", "secret_file": "typeform", "map": MAP},
        "formbricks": {"type": "standard-webhooks", "secret_file": "standard", "only": "event == 'responseFinished'",
                       "fields": "data.data", "map": MAP},
    }  # fmt: skip
    prefix = await fresh_topics(kafka)
    config = folder / "organisation.yaml"
    given_settings = IngestSettings(
        config=config, kafka_bootstrap_servers=kafka, topic_prefix=prefix, journal_path=folder / "journal.sqlite3",
        smtp_url=SecretStr("smtp://127.0.0.1:9"), mail_from="rufkette@example.org", watch_after=3600,
    )  # fmt: skip
    app = app_for(given_settings, Configuration.model_validate(content))
    async with app.router.lifespan_context(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest")
        yield Api(client, kafka, prefix)


BEARER = f"Bearer {KEY}"
BODY = b"standort=Bernburg&raum=112&stufe=2&sonst=x"


async def test_a_form_reaches_kafka(api: Api) -> None:
    event = await api.event(await api.post("intranet", BODY, content_type=URLENCODED, authorization=BEARER))
    report = reported(event)
    assert (report.site, report.location, report.danger_level, report.kind) == ("bernburg", "112", 2, "form")
    assert report.description == "sonst: x"


@pytest.mark.parametrize("login", [f"rufkette:{KEY}", f"{KEY}:", f":{KEY}"])
async def test_the_key_may_be_the_password_or_the_name(login: str, api: Api) -> None:
    basic = "Basic " + base64.b64encode(login.encode()).decode()
    assert (await api.post("intranet", BODY, content_type=URLENCODED, authorization=basic)).status_code == 202


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("intranet", {}, 401),
        ("intranet", {"authorization": "Basic !"}, 401),
        ("intranet", {"authorization": "Basic " + base64.b64encode(b"a:b").decode()}, 401),
        (f"intranet?key={KEY}", {}, 401),
        (f"open?key={KEY}", {}, 202),
        ("open?key=wrong", {}, 401),
        (f"open?key={KEY}", {"authorization": "Bearer wrong"}, 401),
        ("typeform", {}, 401),
        ("typeform", {"typeform-signature": "sha256=AAAA"}, 401),
        ("formbricks", {}, 401),
    ],
)
async def test_who_may_post(path: str, headers: dict[str, str], status: int, api: Api) -> None:
    answer = await api.post(path, BODY, content_type=URLENCODED, **headers)
    assert answer.status_code == status, answer.text
    assert KEY not in answer.text


async def test_a_refusal_names_the_forms_own_fields(api: Api) -> None:
    answer = await api.post("intranet", b"raum=112&stufe=viel", content_type=URLENCODED, authorization=BEARER)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    errors = {one["pointer"]: (one["detail"], one["expected"]) for one in answer.json()["errors"]}
    assert errors["/standort"] == ("is missing", "one of bernburg, stassfurt, english")
    assert errors["/stufe"] == ("“viel” does not fit danger_level", "an integer from 0 to 3")


async def test_signed_messages_are_taken(api: Api) -> None:
    text = json.dumps({"event": "responseFinished", "data": {"data": {"standort": "stassfurt"}}})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, text),
        "content-type": "application/json",
    }
    assert reported(await api.event(await api.post("formbricks", text.encode(), **headers))).site == "stassfurt"
    body = json.dumps(
        {"event_type": "form_response", "form_response": {"token": "t1", "hidden": {"standort": "bernburg"}}}
    )
    signature = "sha256=" + base64.b64encode(hmac.new(b"geheim", body.encode(), hashlib.sha256).digest()).decode()
    first, again = [
        await api.post("typeform", body.encode(), typeform_signature=signature, content_type="application/json")
        for _ in range(2)
    ]
    assert first.json()["event_id"] == again.json()["event_id"]


async def test_a_browser_gets_a_page(api: Api) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    sent = {"content_type": URLENCODED, "accept": accept}
    taken = await api.post(f"open?key={KEY}", BODY, **sent)
    assert (taken.status_code, taken.headers["content-type"]) == (202, "text/html; charset=utf-8")
    assert "Ihre Meldung ist angekommen." in taken.text
    refused = await api.post(f"open?key={KEY}", b"standort=<script>&stufe=9", **sent)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert "nicht angekommen" in refused.text
    json_answer = await api.post(f"open?key={KEY}", b"standort=<script>&stufe=9", content_type=URLENCODED)
    shown = html.unescape(refused.text)
    for fault in json_answer.json()["errors"]:
        name, expected = fault["pointer"].removeprefix("/"), fault["expected"]
        assert f"<li><strong>{name}</strong> " in shown
        assert f'Passend wäre: <span lang="en">{expected}</span>' in shown
    assert "„<script>“ passt nicht zu site" in shown
    assert "<script>" not in refused.text
    assert "110" in refused.text


async def test_beside_a_press_no_page_opens(api: Api) -> None:
    answer = await api.post(f"press?key={KEY}", b"", accept="text/html")
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")


async def test_a_multipart_body_has_the_same_limit_also_in_chunks(api: Api) -> None:
    head = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'

    async def chunks() -> AsyncIterator[bytes]:
        yield head
        for _ in range(100):
            yield b"x" * 1000
        yield b"\r\n--XX--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=XX", "authorization": BEARER}
    answer = await api.client.post("/v1/hooks/intranet", content=chunks(), headers=headers)
    assert answer.status_code == 413
    whole = await api.post("intranet", head + b"x" * 65_536, content_type=headers["content-type"], authorization=BEARER)
    assert whole.status_code == 413


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | st.text(max_size=50).map(str.encode),
    kind=st.sampled_from(["application/json", URLENCODED, "multipart/form-data; boundary=XX", "a/b", ""]),
    hook=st.sampled_from(["intranet", "press", "typeform", "formbricks"]),
    signature=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60),
)
async def test_no_bytes_break_the_application(content: bytes, kind: str, hook: str, signature: str, api: Api) -> None:
    headers = [
        (name, signature.encode("latin-1")) for name in ("webhook-signature", "typeform-signature", "webhook-id")
    ]
    named = [(b"content-type", kind.encode()), (b"authorization", BEARER.encode()), (b"webhook-timestamp", b"1")]
    answer = await api.client.post(
        f"/v1/hooks/{hook}", content=content, headers=[*((n.encode(), v) for n, v in headers), *named]
    )
    assert answer.status_code in ((202,) if hook == "press" else (202, 400, 401, 415, 422)), answer.text
