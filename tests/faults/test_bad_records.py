"""Records that cannot be applied are set aside with the reason, and their partition goes on."""

from typing import Any, NamedTuple

import pytest

from schemas import codec, topics
from schemas.events import REPORTED
from tests.support.chain import Chain
from tests.support.office import all_mailed
from tests.support.records import records_on, write
from tests.support.waiting import eventually

SOUND = {
    "ce_specversion": b"1.0", "ce_id": b"sound-1", "ce_source": b"buttons", "ce_type": REPORTED.encode(),
    "ce_time": b"2026-01-05T09:12:33+01:00", "content-type": b"application/json",
}  # fmt: skip
VALUE = b'{"kind": "panic", "site": "bernburg", "location": "Raum 1", "danger_level": 2}'


class Bad(NamedTuple):
    name: str
    reason: str
    value: bytes | None = VALUE
    headers: tuple[tuple[str, bytes], ...] = ()
    without: str = ""


CASES = (
    Bad("garbage", "Invalid JSON", value=b"\x00\xff\xfegarbage"),
    Bad("not an object", "object", value=b"[1, 2]"),
    Bad("no value", "EOF", value=None),
    Bad("wrong data", "danger_level", value=b'{"danger_level": 9}'),
    Bad("NUL in the data", "NUL", value=b'{"site": "bernburg", "description": "a\\u0000b"}'),
    Bad("lone surrogate in the data", "hex escape", value=b'{"site": "bernburg", "description": "a\\ud800b"}'),
    Bad("nested without end", "", value=b'{"site":' + b"[" * 100_000),
    Bad("no id", "ce_id", without="ce_id"),
    Bad("no type", "ce_type", without="ce_type"),
    Bad("no version", "ce_specversion", without="ce_specversion"),
    Bad("no headers that mean anything", "ce_specversion", without="ce_"),
    Bad("unknown type", "unknown type", headers=(("ce_type", b"rufkette.incident.exploded.v1"),)),
    Bad("header not UTF-8", "UTF-8", headers=(("ce_source", b"\xff\xfe"),)),
    Bad("time without an offset", "ce_time", headers=(("ce_time", b"2026-01-05T09:12:33"),)),
    Bad("time before the calendar", "ce_time", headers=(("ce_time", b"0001-01-01T00:00:00+14:00"),)),
    Bad("time after the calendar", "ce_time", headers=(("ce_time", b"9999-12-31T23:59:59-12:00"),)),
    Bad(
        "time of the report out of range", "year", value=b'{"site": "bernburg", "occurred_at": "0001-01-01T00:00:00Z"}'
    ),
    Bad("NUL in a header's name", "ce_specversion", without="ce_", headers=(("a\x00b", b"c"),)),
    Bad("NUL in the id", "NUL", headers=(("ce_id", b"a\x00b"),)),
    Bad("NUL in the subject", "NUL", headers=(("ce_subject", b"a\x00b"),)),
    Bad("id without end", "", headers=(("ce_id", b"x" * 5_000),)),
)


def headers_of(case: Bad) -> list[tuple[str, bytes]]:
    kept = {name: value for name, value in SOUND.items() if not (case.without and name.startswith(case.without))}
    return list((kept | dict(case.headers)).items())


def event_headers(event_id: str) -> list[tuple[str, bytes]]:
    return list((SOUND | {"ce_id": event_id.encode()}).items())


def about(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers if name.startswith("rufkette_")}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_it_is_set_aside_and_the_next_press_is_heard(office: Chain, case: Bad) -> None:
    partition = CASES.index(case) % 6
    offset = await write(office.around, case.value, headers_of(case), partition=partition)
    event_id = f"after {case.name}"
    place = f"Raum {case.name}"
    value = VALUE.replace(b"Raum 1", place.encode())
    await write(office.around, value, event_headers(event_id), partition=partition)
    await all_mailed(office, [event_id])

    topic = topics.prefixed(topics.EVENTS, office.around.topic_prefix)
    where = {"rufkette_topic": topic, "rufkette_partition": str(partition), "rufkette_offset": str(offset)}

    async def set_aside() -> list[Any]:
        rejected = await records_on(office.around, topics.REJECTED)
        return [record for record in rejected if about(record).items() >= where.items()]

    (record,) = await eventually(set_aside, bool)
    assert case.reason.lower() in about(record)["rufkette_reason"].lower()
    assert record.value == (case.value or b"")
    assert office.alerting.events("record.rejected", topic=topic, partition=partition, offset=offset)
    assert office.alerting.running


async def test_several_in_one_batch_with_presses_between_them(office: Chain) -> None:
    office.alerting.kill()
    offsets = {}
    for number, case in enumerate(CASES):
        offsets[case.name] = await write(office.around, case.value, headers_of(case), partition=3)
        value = VALUE.replace(b"Raum 1", f"Raum zwischen {number}".encode())
        await write(office.around, value, event_headers(f"between {number}"), partition=3)
    before = len(office.alerting.events("record.rejected"))
    await office.alerting.start()
    await all_mailed(office, [f"between {number}" for number in range(len(CASES))])
    assert len(office.alerting.events("record.rejected")) - before == len(CASES)


async def test_what_was_set_aside_can_be_read_again_as_it_was(office: Chain) -> None:
    offset = await write(office.around, b"{", event_headers("broken"), key=b"k", partition=5)

    async def set_aside() -> list[Any]:
        return [r for r in await records_on(office.around, topics.REJECTED) if is_it(r)]

    def is_it(record: Any) -> bool:
        return about(record)["rufkette_offset"] == str(offset) and record.key == b"k"

    (record,) = await eventually(set_aside, bool)
    assert dict(record.headers).items() >= dict(event_headers("broken")).items()
    with pytest.raises(codec.Unreadable):
        codec.decode(record.headers, record.value, arrived_at=None)  # type: ignore[arg-type]  # it has a time
