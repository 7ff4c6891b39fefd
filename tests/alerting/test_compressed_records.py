"""Foreign writers and topics compress as they like: a press is read whatever it was."""

from pathlib import Path

from aiokafka import AIOKafkaProducer

from schemas import codec, topics
from services.common import kafka as clients
from services.common.settings import AlertingSettings
from tests.alerting.conftest import Shell
from tests.alerting.reading import reading, reported
from tests.core.office import report
from tests.support.waiting import eventually

CODECS = ("gzip", "snappy", "lz4", "zstd")


async def test_each_codec_of_kafka_is_read(shell: Shell, settings: AlertingSettings) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    for name in CODECS:
        producer = AIOKafkaProducer(**clients.connection(settings), compression_type=name)
        await producer.start()
        record = codec.encode(report(shell.now, id=name, location=name, description="so lang, dass es lohnt " * 20))
        await producer.send_and_wait(
            topic, record.value, key=record.key, headers=list(record.headers), partition=CODECS.index(name)
        )
        await producer.stop()
    async with reading(shell, settings):
        await eventually(lambda: reported(shell), lambda found: found == set(CODECS))


def test_what_is_installed_in_production_can_read_them() -> None:
    pinned = Path(__file__).parents[2] / "requirements" / "runtime.txt"
    assert "\ncramjam==" in pinned.read_text()
