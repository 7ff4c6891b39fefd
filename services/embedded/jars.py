"""Kafka's jars: pinned in requirements/kafka-jars.txt, fetched once per user with jgo, verified, kept.

`python -m services.embedded.jars` writes the pins anew (`make lock`).
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.embedded.process import EmbeddedError

PINS = Path(__file__).parents[2] / "requirements" / "kafka-jars.txt"
WANTED = ("org.apache.kafka:kafka_2.13:4.2.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3")
Progress = Callable[[int, int], None]
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Pin:
    """One jar: its Maven coordinates, and the SHA-256 that its content must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name on the class path."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        """`group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"


def read_pins(path: Path = PINS) -> list[Pin]:
    """The pins in a file of lines `group:artifact:version sha256:…`; `#` starts a comment."""
    lines = [line.partition("#")[0].split() for line in path.read_text().splitlines()]
    return [_pin(*line) for line in lines if line]


def _pin(coordinates: str, digest: str) -> Pin:
    group, artifact, version = coordinates.split(":")
    return Pin(group, artifact, version, digest.removeprefix("sha256:"))


def default_cache() -> Path:
    """Where jars are kept for this user, for every checkout."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rufkette"


def show_progress(done: int, total: int) -> None:
    """A count on stderr: one line that rewrites itself on a terminal, every tenth jar in a log."""
    if sys.stderr.isatty():
        print(
            f"\rKafka: downloading jars {done}/{total} ", end="\n" if done == total else "", file=sys.stderr, flush=True
        )
    elif done in (0, total) or done % 10 == 0:
        print(f"Kafka: downloading jars {done}/{total}", file=sys.stderr, flush=True)


def _download(pin: Pin, staging: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jgo's own dependencies: nothing that the person at the terminal can mend
        from jgo.maven import MavenContext  # noqa: PLC0415 – slow to import, and needed on the first start only

        context = MavenContext(repo_cache=staging, local_repos=[], timeout=20)
        path = context.project(pin.group, pin.artifact).at_version(pin.version).artifact().resolve()
    return Path(path)


def _fetch(pin: Pin, staging: Path, libs: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = _download(pin, staging)
            break
        except (OSError, RuntimeError, AssertionError) as error:  # requests' errors are OSErrors; jgo raises the others
            if attempt == _ATTEMPTS:
                raise EmbeddedError(
                    f"cannot download {pin.coordinates} for the embedded Kafka ({type(error).__name__}): the first"
                    " start needs a connection to Maven Central, directly or through the proxy in HTTPS_PROXY"
                ) from None
            time.sleep(attempt)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != pin.sha256:
        raise EmbeddedError(
            f"{pin.coordinates} was downloaded with the SHA-256 {found}, but {PINS.name} expects {pin.sha256}:"
            " it was changed on the way, or the file with the pins is wrong; nothing was kept"
        )
    path.replace(libs / pin.filename)


def ensure_jars(
    cache: Path | None = None, *, pins: Iterable[Pin] | None = None, progress: Progress = show_progress
) -> Path:
    """The directory with all jars; what is missing is downloaded, and kept only with the right SHA-256.

    Raises:
        EmbeddedError: no network, or other content than expected.
    """
    wanted = list(pins if pins is not None else read_pins())
    key = hashlib.sha256("".join(sorted(pin.sha256 for pin in wanted)).encode()).hexdigest()[:12]
    libs = (cache or default_cache()) / f"kafka-jars-{key}"
    try:
        libs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(f"cannot create {libs}: {error.strerror}; XDG_CACHE_HOME chooses another place") from None
    if _missing(wanted, libs):
        with alone(libs):
            # Whoever was before us may have fetched them.
            if missing := _missing(wanted, libs):
                _fetch_all(missing, libs, progress)
    return libs


def _missing(wanted: Iterable[Pin], libs: Path) -> list[Pin]:
    return [pin for pin in wanted if not (libs / pin.filename).exists()]


@contextmanager
def alone(libs: Path) -> Iterator[None]:
    """One process at a time changes what is in there; the kernel lets the next one in when it ends, however it ends."""
    handle = os.open(libs, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fetch_all(missing: list[Pin], libs: Path, progress: Progress) -> None:
    staging = Path(tempfile.mkdtemp(dir=libs.parent, prefix="staging-"))
    progress(0, len(missing))
    try:
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(_fetch, pin, staging, libs) for pin in missing]
            try:
                for done, job in enumerate(as_completed(jobs), 1):
                    job.result()
                    progress(done, len(missing))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_pins(path: Path = PINS) -> None:
    """Resolve `WANTED` with all that it needs at run time, download it, and write the pins."""
    import jgo  # noqa: PLC0415 – see above

    found = {(a.groupId, a.artifactId): a.version for wanted in WANTED for a in jgo.resolve(wanted)}
    with tempfile.TemporaryDirectory() as directory:
        lines = []
        for (group, artifact), version in sorted(found.items()):
            pin = Pin(group, artifact, version, "")
            content = _download(pin, Path(directory)).read_bytes()
            lines.append(f"{pin.coordinates} sha256:{hashlib.sha256(content).hexdigest()}\n")
    path.write_text("# Written by `make lock`: Kafka's jars for the embedded default.\n" + "".join(lines))


if __name__ == "__main__":
    write_pins()
