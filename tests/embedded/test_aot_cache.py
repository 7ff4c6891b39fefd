"""Java's cache of Kafka's classes: used where it can be made, and done without where it cannot."""

from pathlib import Path

import pytest

from services.embedded.aot_cache import ensure_aot_cache, prepared_jars
from services.embedded.kafka import Kafka, aot_cache
from services.embedded.ports import free_port


def test_a_broker_starts_with_the_cache(tmp_path: Path) -> None:
    libs = prepared_jars()
    broker = Kafka(tmp_path, libs, free_port())
    broker.prepare()
    part = broker.start(f"-XX:AOTCache={aot_cache(libs)}", "-XX:AOTMode=on")  # on: without it Java would end
    try:
        part.wait_until(broker.ready, timeout=60)
    finally:
        part.stop()


def test_what_is_prepared_is_used_and_says_nothing(tmp_path: Path) -> None:
    broker = Kafka(tmp_path, prepared_jars(), free_port())
    assert f"-XX:AOTCache={aot_cache(broker.libs)}" in broker.command()
    broker.prepare()
    part = broker.start()
    part.wait_until(broker.ready, timeout=60)
    part.stop()
    assert "[aot" not in (tmp_path / "kafka.log").read_text()


def test_what_cannot_be_prepared_is_said_once_and_done_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure_aot_cache(tmp_path)  # no jars
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["Kafka", "Kafka"]
    assert "starts as before: formatting Kafka's directory failed" in said[1]
    assert [path.name for path in tmp_path.iterdir()] == [aot_cache(tmp_path).name], "nothing half made stays"
    ensure_aot_cache(tmp_path)
    assert capsys.readouterr().err == ""
    assert not any("AOT" in word for word in Kafka(tmp_path, tmp_path, free_port()).command())


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # as root nothing else forbids it
    ensure_aot_cache(tmp_path)
    assert list(tmp_path.iterdir()) == []
