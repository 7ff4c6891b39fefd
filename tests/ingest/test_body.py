import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.api import body
from services.ingest.api.auth import Keyring
from services.ingest.api.problems import Refusal
from tests.ingest.support import configuration
from tests.support.organisation import KEYS


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"site=bernburg", 400, "not JSON"),
        (b'{"site": "bernburg"', 400, "column"),
        (b"\xff{}", 400, "not UTF-8 (byte 0)"),
        ("{“a”: 1}".encode("cp1252"), 400, "not UTF-8"),
        (b'{"a": NaN}', 400, "NaN"),
        (b'{"a": -Infinity}', 400, "Infinity"),
        (nested(65), 400, "deeper than 64"),
        (b"[" * 60_000, 400, ""),
        (b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400, "deeper than 64"),
        (b"[1]", 422, "array"),
        (b"null", 422, "null"),
        (b"7", 422, "number"),
    ],
    ids=lambda v: ascii(v)[:30],
)
def test_what_is_no_json_object_is_refused(raw: bytes, status: int, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        body.parse(raw)
    assert refused.value.status == status
    assert says in refused.value.detail


@pytest.mark.parametrize("raw", [nested(64), b"\xef\xbb\xbf{}", b'{"a": ' + b"9" * 60_000 + b"}", b'{"a": 1e999}'])
def test_unusual_json_is_read(raw: bytes) -> None:
    assert isinstance(body.parse(raw).value, dict)


def test_the_last_of_repeated_keys_counts_and_they_are_named() -> None:
    parsed = body.parse(b'{"site": "a", "site": "b", "x": {"y": 1, "y": 2}}')
    assert parsed.value == {"site": "b", "x": {"y": 2}}
    assert set(parsed.repeated) == {"site", "y"}
    with pytest.raises(Refusal, match="site"):
        body.refuse_repeated(parsed.repeated)


@given(st.binary(max_size=200) | st.text().map(str.encode) | st.text(alphabet='{}[]":,0123e-.null ').map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        value: object = body.parse(raw).value
    except Refusal as refusal:
        value = refusal
    assert isinstance(value, dict) or (isinstance(value, Refusal) and value.status in (400, 422))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_what_json_says_is_what_is_read(value: dict[str, object]) -> None:
    assert body.parse(json.dumps(value).encode()).value == value


@pytest.mark.parametrize(
    ("content_type", "json_"),
    [
        (None, True),
        ("", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/cloudevents+json", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("text/json+x", False),
    ],
)
def test_content_types(content_type: str | None, json_: bool) -> None:
    assert body.is_json(content_type) is json_


KEYRING = Keyring(configuration().sources)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_a_key_names_its_source(name: str, scheme: str) -> None:
    assert KEYRING.holders(f"{scheme}{KEYS[name]}".encode()) == (name,)


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"rk_test_forms", b"Bearer x", b"Bearer \xff\x00", b"\xff"],
)
def test_anything_else_is_unauthorised(header: bytes | None) -> None:
    with pytest.raises(Refusal) as refused:
        KEYRING.holders(header)
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"].startswith('Bearer realm="rufkette"')


@given(st.binary())
def test_no_header_breaks_the_keyring(header: bytes) -> None:
    with pytest.raises(Refusal):
        KEYRING.holders(header)
