"""Kafka's jars: verified, kept once, and one clear line when they cannot be had."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from services.embedded import jars
from services.embedded.jars import Pin, ensure_jars, read_pins
from services.embedded.process import EmbeddedError

SMALL = "net.sf.jopt-simple:jopt-simple"


@pytest.fixture
def small() -> Pin:
    return next(pin for pin in read_pins() if pin.coordinates.startswith(SMALL))


def quiet(done: int, total: int) -> None:
    pass


def test_every_pin_has_coordinates_and_a_hash() -> None:
    pins = read_pins()
    assert {pin.artifact for pin in pins} > {"kafka_2.13", "kafka-clients", "scala-library"}
    assert all(len(pin.sha256) == 64 and pin.version for pin in pins)
    assert len({pin.filename for pin in pins}) == len(pins)


def test_a_jar_is_downloaded_once_with_progress(tmp_path: Path, small: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    libs = ensure_jars(tmp_path, pins=[small], progress=lambda done, total: seen.append((done, total)))
    assert [path.name for path in libs.iterdir()] == [small.filename]
    assert seen == [(0, 1), (1, 1)]
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert ensure_jars(tmp_path, pins=[small], progress=quiet) == libs
    assert [path.name for path in tmp_path.iterdir()] == [libs.name], "nothing half downloaded stays"


def test_another_content_is_refused_and_not_kept(tmp_path: Path, small: Pin) -> None:
    with pytest.raises(EmbeddedError, match=r"was downloaded with the SHA-256 [0-9a-f]{64}, but .* expects") as raised:
        ensure_jars(tmp_path, pins=[replace(small, sha256="0" * 64)], progress=quiet)
    assert small.coordinates in str(raised.value)
    assert not list(tmp_path.rglob("*.jar"))


def test_without_network_there_is_one_clear_line(tmp_path: Path, small: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(EmbeddedError, match="the first start needs a connection") as raised:
        ensure_jars(tmp_path, pins=[small], progress=quiet)
    assert "\n" not in str(raised.value)


def test_a_connection_that_breaks_is_tried_again(tmp_path: Path, small: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    download, attempts = jars._download, 0

    def breaking(pin: Pin, staging: Path) -> Path:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConnectionError("reset by peer")
        return download(pin, staging)

    monkeypatch.setattr(jars, "_download", breaking)
    assert [path.name for path in ensure_jars(tmp_path, pins=[small], progress=quiet).iterdir()] == [small.filename]
    assert attempts == 3


def test_those_who_come_together_fetch_once(tmp_path: Path, small: Pin) -> None:
    started: list[tuple[int, ...]] = []
    with ThreadPoolExecutor(4) as pool:
        fetch = partial(ensure_jars, tmp_path, pins=[small], progress=lambda *count: started.append(count))
        made = [job.result() for job in [pool.submit(fetch) for _ in range(4)]]
    assert len(set(made)) == 1
    assert started == [(0, 1), (1, 1)]
