"""The parts that all other tests lean on."""

import asyncio
import smtplib
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import topics
from tests.support.servers import KafkaServer, PostgresServer, fresh_topics
from tests.support.smtp_sink import SmtpSink


async def test_a_record_goes_through_kafka(kafka: str, topic_prefix: str) -> None:
    name = topics.prefixed(topics.EVENTS, topic_prefix)
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:
        await producer.send_and_wait(name, b"hello", partition=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    consumer.assign([TopicPartition(name, 0)])
    await consumer.seek_to_beginning()
    assert (await consumer.getone()).value == b"hello"
    await consumer.stop()


async def test_kafka_keeps_its_records_when_it_is_killed(own_kafka: KafkaServer) -> None:
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    name = topics.prefixed(topics.REJECTED, prefix)
    async with AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap_servers, acks="all") as producer:
        await producer.send_and_wait(name, b"kept", partition=0)
    own_kafka.kill()
    own_kafka.start()
    consumer = AIOKafkaConsumer(bootstrap_servers=own_kafka.bootstrap_servers)
    await consumer.start()
    assert await consumer.end_offsets([TopicPartition(name, 0)]) == {TopicPartition(name, 0): 1}
    await consumer.stop()


def test_postgres_recovers_when_it_is_killed(own_postgres: PostgresServer) -> None:
    own_postgres.execute("create table t (n int); insert into t values (7)")
    own_postgres.kill()
    own_postgres.start()
    assert own_postgres.execute("select n from t") == "7"
    assert own_postgres.execute("show timezone") == "UTC"
    assert own_postgres.execute("show server_encoding") == "UTF8"


def _send(port: int, *recipients: str) -> dict[str, tuple[int, bytes]]:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Prüfung", "a@example.org", ", ".join(recipients)
    mail.set_content("Zimmer 112")
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        return client.send_message(mail)


async def _in_thread(port: int, *recipients: str) -> dict[str, tuple[int, bytes]]:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _send, port, *recipients)


async def test_the_mail_sink_records_and_refuses(smtp_sink: SmtpSink) -> None:
    smtp_sink.refuse_recipient("b@example.org")
    assert set(await _in_thread(smtp_sink.port, "a@example.org", "b@example.org")) == {"b@example.org"}
    mail = (await smtp_sink.wait_for(1))[0]
    assert (mail.subject, mail.recipients) == ("Prüfung", ("a@example.org",))
    assert mail.text().strip() == "Zimmer 112"


async def test_the_mail_sink_drops_and_defers(smtp_sink: SmtpSink) -> None:
    smtp_sink.misbehave("drop")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await _in_thread(smtp_sink.port, "a@example.org")
    smtp_sink.answer_data("451 4.3.0 later")
    with pytest.raises(smtplib.SMTPDataError):
        await _in_thread(smtp_sink.port, "a@example.org")
    await _in_thread(smtp_sink.port, "a@example.org")
    assert [mail.answered[:4] for mail in smtp_sink.received] == ["drop", "451 ", "250 "]
