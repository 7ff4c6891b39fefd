"""The data directory of the embedded stack: what stands where, its secrets, and the lock that only one run holds."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.keys import key_hash, new_key
from services.embedded.process import EmbeddedError

EXAMPLE = Path(__file__).parents[2] / "config" / "example.yaml"
SOURCES = ("buttons", "desk", "forms", "lorawan")
"""Of the example; in its place of a key's hash the n-th has n as 64 digits: valid in form, the hash of no known key."""
DEMO_SOURCE = SOURCES[0]


class InUse(EmbeddedError):
    """What was asked for is taken: a port, or the data directory. Exit code 2."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Everything of one embedded stack, below one directory."""

    root: Path

    @property
    def configuration(self) -> Path:
        """The organisation's configuration, unless the user names another file."""
        return self.root / "config.yaml"

    @property
    def journal(self) -> Path:
        """What ingest answers for."""
        return self.root / "journal.sqlite3"

    @property
    def addresses(self) -> Path:
        """Where the running stack can be reached, as JSON; absent while none runs."""
        return self.root / "addresses.json"

    @property
    def processes(self) -> Path:
        """The process ids of the running stack's parts, as JSON; absent while none runs."""
        return self.root / "processes.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory. The lock ends with the process, however it ends.

        Raises:
            InUse: another `rufkette run` holds it.
            EmbeddedError: the directory cannot be used.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("a+")
        except OSError as error:
            raise EmbeddedError(f"cannot use the data directory {self.root}: {error.strerror}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InUse(
                    f"another `rufkette run` already uses {self.root}; stop it, or choose another place with --data-dir"
                ) from None
            yield

    def secret_key(self) -> str:
        """Signs links and sessions; made on the first start and kept."""
        return self._kept("secret-key", secrets.token_urlsafe(32))

    @property
    def api_keys(self) -> Path:
        """The keys of the example's sources, as JSON."""
        return self.root / "api-keys.json"

    def read_api_key(self, source: str = DEMO_SOURCE) -> str | None:
        """The kept key of a source of the example, if there is one."""
        try:
            key: str | None = json.loads(self.api_keys.read_text()).get(source)
        except (OSError, ValueError):
            return None
        return key

    def ensure_configuration(self) -> Path:
        """Write the example with the hashes of this installation's own keys, unless there is a configuration.

        A key that everybody can read in the example would be a hole, so the example has none.
        """
        if not self.configuration.exists():
            keys = {source: new_key() for source in SOURCES}
            text = EXAMPLE.read_text()
            for number, key in enumerate(keys.values(), 1):
                text = text.replace(f"{number:064d}", key_hash(key))
            _write(self.api_keys, json.dumps(keys, indent=1), 0o600)
            _write(self.configuration, text, 0o644)
        return self.configuration

    def write_addresses(self, addresses: dict[str, str]) -> None:
        """Tell other commands, such as `rufkette press`, where the stack listens."""
        _write(self.addresses, json.dumps(addresses), 0o644)

    def write_processes(self, processes: dict[str, int]) -> None:
        """Tell a person who tries an outage which process is which."""
        _write(self.processes, json.dumps(processes, indent=1) + "\n", 0o644)

    def read_addresses(self) -> dict[str, str]:
        """Where the stack listens; empty when none runs."""
        try:
            found: dict[str, str] = json.loads(self.addresses.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def _kept(self, name: str, fresh: str) -> str:
        path = self.root / name
        if not path.exists():
            _write(path, fresh, 0o600)
        return path.read_text().strip()


def _write(path: Path, text: str, mode: int) -> None:
    """As a whole or not at all, and never readable by others for a moment."""
    making = path.with_name(f".{path.name}.new")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    making.replace(path)
