"""A disk under the journal that gives no answer, neither yes nor no: presses are taken without it."""

import time

import httpx

from tests.conftest import StartService
from tests.ingest.reading import events_on, until
from tests.ingest.test_process import post
from tests.support.chain import Surroundings
from tests.support.hung_disk import hung_disk
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

HUNG = "the disk does not answer"


async def accepted(service: Service, event_id: str) -> str:
    """Press; answered in time, and on Kafka. Returns the event id."""
    began = time.monotonic()
    answer = await post(service, {"site": "bernburg", "location": event_id, "id": event_id})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    # The disk is waited for 0.6 s; a busy machine may take some more, but who waits for its answer waits for ever.
    assert time.monotonic() - began < 5
    return str(answer.json()["event_id"])


async def writable(service: Service) -> float:
    async with httpx.AsyncClient(base_url=service.url, timeout=5) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("rufkette_ingest_journal_writable "))


async def test_presses_are_taken_without_it_and_it_has_them_all_when_it_answers(
    start_ingest: StartService, surroundings: Surroundings
) -> None:
    service = await start_ingest()
    pressed = {await accepted(service, "before")}
    with hung_disk(service.pid) as disk:
        pressed.add(await accepted(service, "while it hangs, and nobody knows"))
        assert disk.hangs
        assert await service.wait_for_readiness("degraded") == {"journal": HUNG}
        (said,) = [await service.wait_for_event("journal.unavailable")]
        assert said["reason"] == HUNG
        assert await writable(service) == 0
        pressed |= {await accepted(service, f"while it hangs, {n}") for n in range(2)}
        assert disk.hangs
    await service.wait_ready()
    await service.wait_for_event("journal.recovered")
    assert await writable(service) == 1
    assert len(service.events("journal.unavailable")) == 1
    pressed.add(await accepted(service, "after"))
    assert {event.id for event in await events_on(surroundings.kafka, surroundings.topic_prefix)} == pressed
    service.kill()
    await service.start()
    assert service.events("journal.loaded")[-1]["entries"] == len(pressed)
    assert service.stray_lines == []


async def test_the_watch_mails_and_says_so(
    start_ingest: StartService, surroundings: Surroundings, smtp_sink: SmtpSink
) -> None:
    service = await start_ingest(smtp_url=smtp_sink.url, RUFKETTE_WATCH_AFTER="1")
    with hung_disk(service.pid) as disk:
        event_id = await accepted(service, "unheard")
        await smtp_sink.wait_for(1)
        line = await service.wait_for_event("watch.mailed")
        assert disk.hangs

        async def on_kafka() -> set[str]:
            return {event.id for event in await events_on(surroundings.kafka, surroundings.topic_prefix)}

        await eventually(on_kafka, lambda found: found == {event_id, line["mail_id"]})


async def test_a_process_whose_disk_hangs_can_be_stopped(start_ingest: StartService) -> None:
    service = await start_ingest()
    with hung_disk(service.pid) as disk:
        await accepted(service, "a")
        await until(lambda: disk.hangs)
        service.stop()
        assert service.exit_code == 0
        assert service.events("service.stopped")
