"""Settings from the environment (prefix `RUFKETTE_`); every secret can also come from a file named by `…_FILE`."""

import os
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.configuration_values import is_address
from services.common.mail.smtp import parse_smtp_url

PREFIX = "RUFKETTE_"
S = TypeVar("S", bound="Settings")
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """A missing or wrong setting; the message is the one line that the operator sees."""


def _may_be_in_a_file(field: FieldInfo) -> bool:
    """What names a file already has no use for a file that holds the name."""
    return field.annotation not in (Path, Path | None)


class _FromFiles(PydanticBaseSettingsSource):
    """`RUFKETTE_SECRET_KEY_FILE=/run/secrets/key` stands for the content of that file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if path is None or not _may_be_in_a_file(field):
            return None, field_name, False
        try:
            return Path(path).read_text().strip(), field_name, False
        except OSError as error:
            raise SettingsError(f"{PREFIX}{field_name.upper()}_FILE: cannot read {path}: {error.strerror}") from None

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    """What every command that talks to Kafka needs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    config: Path
    kafka_bootstrap_servers: str
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    topic_prefix: str = ""
    log_format: Literal["json", "console"] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `…_FILE`."""
        return init_settings, env_settings, _FromFiles(settings_cls)


def _smtp_url(value: SecretStr) -> SecretStr:
    parse_smtp_url(value.get_secret_value())
    return value


def _web_address(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("http://", "https://")):
        raise ValueError(
            "write the address that is called while all is well, for example https://watch.example.org/abc"
        )
    return value


def _sender(value: str) -> str:
    if not is_address(parseaddr(value)[1]):
        raise ValueError(
            "write an address such as rufkette@example.org, or with a name: Rufkette <rufkette@example.org>"
        )
    return value


MailFrom = Annotated[str, AfterValidator(_sender)]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]


class IngestSettings(Settings):
    """`rufkette ingest`."""

    ingest_host: str = "127.0.0.1"
    ingest_port: Port = 8080
    journal_path: Path = Path("var/journal.sqlite3")
    watch_after: Annotated[float, Field(gt=0, le=3600)] = 15.0
    smtp_url: SmtpUrl | None = None
    smtp_fallback_url: SmtpUrl | None = None
    mail_from: MailFrom
    lifesign_url: Annotated[SecretStr, AfterValidator(_web_address)] | None = None
    lifesign_every: Annotated[float, Field(ge=1, le=3600)] = 60.0

    @model_validator(mode="after")
    def _can_mail(self) -> Self:
        if self.smtp_url is None and self.smtp_fallback_url is None:
            raise ValueError(f"{PREFIX}SMTP_FALLBACK_URL or {PREFIX}SMTP_URL must be set (or …_FILE): ingest mails too")
        return self


def _database_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("write for example postgresql://user:password@host:5432/rufkette")
    return value


class DatabaseSettings(Settings):
    """Commands that need PostgreSQL."""

    database_url: Annotated[SecretStr, AfterValidator(_database_url)]


class TopicsSettings(Settings):
    """`rufkette topics`: where Kafka is, and nothing else."""

    config: Path = Path()


class MigrateSettings(DatabaseSettings):
    """`rufkette migrate`: where PostgreSQL is, and nothing else."""

    config: Path = Path()
    kafka_bootstrap_servers: str = ""


class AlertingSettings(DatabaseSettings):
    """`rufkette alerting`."""

    smtp_url: SmtpUrl
    smtp_fallback_url: SmtpUrl | None = None
    mail_from: MailFrom
    alerting_host: str = "127.0.0.1"
    alerting_port: Port = 8081
    public_url: str
    secret_key: SecretStr
    accept_unreadable: bool = False

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError(
                "write the address of the desk as recipients reach it, for example https://alarm.example.org"
            )
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        keys = [key.strip() for key in value.get_secret_value().split(",")]
        if any(len(key) < 16 for key in keys):
            raise ValueError("each key needs at least 16 characters; several are separated by commas, the first signs")
        return value

    @property
    def secret_keys(self) -> list[str]:
        """The first signs, all verify."""
        return [key.strip() for key in self.secret_key.get_secret_value().split(",")]


SERVICES: Final[tuple[type[Settings], type[Settings]]] = (IngestSettings, AlertingSettings)
PORTS: Final = {"KAFKA_PORT": 9092, "POSTGRES_PORT": 5432, "MAIL_CATCHER_PORT": 8025, "MAIL_CATCHER_SMTP_PORT": 1025}
"""Settings of `rufkette run` itself: where its own servers listen, and the port that each prefers."""
COMMANDS: Final = frozenset({*PORTS, "API_KEY"})
"""What the command line reads from the environment and no service does."""


def load(model: type[S]) -> S:
    """Read settings from the environment.

    Raises:
        SettingsError: with one line that names the setting, the fault and what to write.
    """
    try:
        return model()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if not first["loc"]:
            raise SettingsError(first["msg"].removeprefix("Value error, ")) from None
        name = PREFIX + str(first["loc"][0]).upper()
        if first["type"] == "missing":
            or_file = f" (or {name}_FILE)" if _may_be_in_a_file(model.model_fields[str(first["loc"][0])]) else ""
            raise SettingsError(f"{name} is not set{or_file}") from None
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """`RUFKETTE_…` variables that no part of Rufkette reads: most likely misspelt.

    One file of settings may serve all parts, so each of them knows those of the others.
    """
    known = known_variables()
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def known_variables() -> set[str]:
    """The variables that some part reads, those that name a file included."""
    fields = {PREFIX + name.upper(): field for model in SERVICES for name, field in model.model_fields.items()}
    files = {f"{name}_FILE" for name, field in fields.items() if _may_be_in_a_file(field)}
    return set(fields) | files | {PREFIX + name for name in COMMANDS}
