"""What `rufkette run` starts and what it leaves out: addresses, ports and the environment of the services."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from services.common.settings import (
    COMMANDS,
    PORTS,
    PREFIX,
    SERVICES,
    SettingsError,
    known_variables,
    unknown_variables,
)
from services.embedded.data import DataDirectory, InUse
from services.embedded.ports import choose, free_port, is_free

_ANYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 – recognised here, not bound


def _given(environment: Mapping[str, str], name: str) -> bool:
    """Whether the user set it, directly or as a file."""
    return bool(environment.get(PREFIX + name) or environment.get(f"{PREFIX}{name}_FILE"))


def _preferred(port: int) -> int:
    return port if choose(port) else free_port()


def _service_port(environment: Mapping[str, str], name: str, preferred: int) -> int:
    """The port that the user wants, or the preferred one, or a free one.

    Raises:
        InUse: the user's port is taken.
        SettingsError: it is no port.
    """
    wish = environment.get(PREFIX + name)
    if wish is None:
        return _preferred(preferred)
    if not wish.isdecimal() or not 1 <= int(wish) <= 65535:
        raise SettingsError(f"{PREFIX}{name}: write a port from 1 to 65535, for example {preferred}")
    if not is_free(int(wish)):
        raise InUse(f"port {wish} ({PREFIX}{name}) is taken by another program; choose another one")
    return int(wish)


def _reachable(environment: Mapping[str, str], name: str) -> str:
    host = environment.get(PREFIX + name, "127.0.0.1")
    return "127.0.0.1" if host in _ANYWHERE else f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Plan:
    """Decided before anything starts. A port is None where the user's own server stands in for the embedded part."""

    data: DataDirectory
    configuration: Path
    ingest_port: int
    alerting_port: int
    kafka_port: int | None
    postgres_port: int | None
    smtp_port: int | None
    mail_port: int | None
    ingest_url: str
    alerting_url: str
    log_format: str

    @property
    def mail_url(self) -> str:
        """The page of the mail catcher."""
        return f"http://127.0.0.1:{self.mail_port}"

    def addresses(self) -> dict[str, str]:
        """Where other commands find the stack. The user's own servers are left out: addresses may be secret."""
        found = {
            "ingest": self.ingest_url,
            "alerting": self.alerting_url,
            "configuration": str(self.configuration.resolve()),
        }
        if self.kafka_port is not None:
            found["kafka"] = f"127.0.0.1:{self.kafka_port}"
        if self.postgres_port is not None:
            found["database"] = f"postgresql://postgres@127.0.0.1:{self.postgres_port}/rufkette"
        return found

    def environment(self, inherited: Mapping[str, str], service: str) -> dict[str, str]:
        """Settings for `ingest` or `alerting`: the user's with what they left out, without what is the other's."""
        ours = {
            "CONFIG": str(self.configuration),
            "INGEST_PORT": str(self.ingest_port),
            "ALERTING_PORT": str(self.alerting_port),
            "LOG_FORMAT": self.log_format,
        }
        if self.kafka_port is not None:
            ours["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{self.kafka_port}"
        if self.postgres_port is not None:
            ours["DATABASE_URL"] = f"postgresql://postgres@127.0.0.1:{self.postgres_port}/rufkette"
        if self.smtp_port is not None:
            ours["SMTP_URL"] = f"smtp://127.0.0.1:{self.smtp_port}?starttls=off"
        defaults = {
            "MAIL_FROM": "rufkette@example.org",
            "PUBLIC_URL": self.alerting_url,
            "JOURNAL_PATH": str(self.data.journal),
        }
        ours |= {name: value for name, value in defaults.items() if not _given(inherited, name)}
        if not _given(inherited, "SECRET_KEY"):
            ours["SECRET_KEY"] = self.data.secret_key()
        own, other = SERVICES if service == "ingest" else reversed(SERVICES)
        foreign = set(other.model_fields) - set(own.model_fields)
        names = {PREFIX + name for name in COMMANDS}
        names |= {f"{PREFIX}{name.upper()}{suffix}" for name in foreign for suffix in ("", "_FILE")}
        merged = {**inherited, **{PREFIX + name: value for name, value in ours.items()}}
        return {name: value for name, value in merged.items() if name not in names}


def decide(data: DataDirectory, configuration: Path, *, terminal: bool) -> Plan:
    """Choose what runs where.

    Raises:
        InUse: a port that the user asked for is taken.
        SettingsError: a setting is wrong.
    """
    environment = os.environ

    def own_port(name: str) -> int:
        return _service_port(environment, name, PORTS[name])

    ingest_port = _service_port(environment, "INGEST_PORT", 8080)
    alerting_port = _service_port(environment, "ALERTING_PORT", 8081)
    catch = not _given(environment, "SMTP_URL")
    return Plan(
        data=data,
        configuration=configuration,
        ingest_port=ingest_port,
        alerting_port=alerting_port,
        kafka_port=None if _given(environment, "KAFKA_BOOTSTRAP_SERVERS") else own_port("KAFKA_PORT"),
        postgres_port=None if _given(environment, "DATABASE_URL") else own_port("POSTGRES_PORT"),
        smtp_port=own_port("MAIL_CATCHER_SMTP_PORT") if catch else None,
        mail_port=own_port("MAIL_CATCHER_PORT") if catch else None,
        ingest_url=f"http://{_reachable(environment, 'INGEST_HOST')}:{ingest_port}",
        alerting_url=f"http://{_reachable(environment, 'ALERTING_HOST')}:{alerting_port}",
        log_format=environment.get(f"{PREFIX}LOG_FORMAT") or ("console" if terminal else "json"),
    )


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable `RUFKETTE_…` that no part reads: most likely it is misspelt, and does nothing."""
    known = known_variables()
    lines = []
    for name in unknown_variables(environment):
        close = get_close_matches(name, known, n=1, cutoff=0.8)
        hint = f"; did you mean {close[0]}?" if close else "; the runbook lists all settings"
        lines.append(f"warning: there is no setting {name}, it has no effect{hint}")
    return lines
