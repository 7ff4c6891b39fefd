"""A source of the configuration, prepared for looking things up while a press waits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from schemas.configuration import Configuration, Site
from schemas.configuration_sources import Device, Source, StandardWebhooksSource, normalise_device_id
from schemas.events import Kind
from services.common.configuration.file import ConfigurationError, Mistake
from services.ingest.sources.signatures import standard_key

_NONE: Final[Mapping[str, bytes]] = {}


@dataclass(frozen=True, slots=True)
class Registered:
    """A device that the register knows: its id as the configuration spells it, and where it is."""

    device_id: str
    device: Device


class Sites:
    """The configured sites, by key, and by the names that people and devices use for them.

    `devices`: the ids of all sources' registers, because a form may name the button that was pressed.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        timezone: str = "Europe/Berlin",
        language: str = "de",
        devices: Iterable[str] = (),
    ) -> None:
        self.keys = tuple(sites)
        self.timezone = timezone
        self.language = language
        self._devices = frozenset(map(normalise_device_id, devices))
        names: dict[str, set[str]] = {}
        for key, site in sites.items():
            for name in (key, site.name, site.short):
                if name:
                    names.setdefault(_plain(name), set()).add(key)
        # A name that two sites share says nothing.
        self._by_name = {name: min(keys) for name, keys in names.items() if len(keys) == 1}

    def have(self, device_id: str) -> bool:
        """Whether some source's register knows the device, however its id is spelt."""
        return normalise_device_id(device_id) in self._devices

    def exactly(self, key: str) -> str | None:
        """The site with this key."""
        return key if key in self.keys else None

    def by_name(self, text: str) -> str | None:
        """The site that the text names by key, name or short name, without regard to case."""
        return self.exactly(text) or self._by_name.get(_plain(text))

    def today(self, now: datetime) -> date:
        """The organisation's local date at `now`."""
        return now.astimezone(ZoneInfo(self.timezone)).date()

    @property
    def expectation(self) -> str:
        """What to write instead of an unknown site."""
        return f"one of {', '.join(self.keys[:50])}"


class Sender:
    """A source: its name, its configuration, its secret (empty where its type has none) and its register of devices.

    `device_secrets`: those of devices that have their own, by their ids as the configuration spells them.
    """

    def __init__(
        self, name: str, source: Source, sites: Sites, secret: bytes = b"", device_secrets: Mapping[str, bytes] = _NONE
    ) -> None:
        self.name = name
        self.source = source
        self.sites = sites
        self.secret = secret
        self.device_secrets = device_secrets
        self.lenient = source.kind is Kind.PANIC
        """A press is never refused for its content."""
        self._devices = {normalise_device_id(k): Registered(k, device) for k, device in source.devices.items()}

    def device(self, device_id: str) -> Registered | None:
        """The device, however its id is spelt."""
        return self._devices.get(normalise_device_id(device_id))

    def secret_for(self, device_id: str) -> bytes:
        """The secret that a device must show: its own, else the source's; empty: it has none."""
        known = self.device(device_id) if self.device_secrets else None
        return self.device_secrets.get(known.device_id, self.secret) if known else self.secret


def senders(configuration: Configuration, file: Path = Path()) -> dict[str, Sender]:
    """Every source of the configuration by name.

    Args:
        configuration: the secrets that it names are read now.
        file: the configuration's; relative paths of secrets start beside it.

    Raises:
        ConfigurationError: a secret cannot be read, or is empty.
    """
    sites = sites_of(configuration)
    return {
        name: Sender(name, one, sites, secret_of(name, one, file), device_secrets_of(name, one, file))
        for name, one in configuration.sources.items()
    }


def sites_of(configuration: Configuration) -> Sites:
    """The sites as senders may name them."""
    organisation = configuration.organisation
    devices = [device for source in configuration.sources.values() for device in source.devices]
    return Sites(configuration.sites, organisation.timezone, organisation.language, devices)


def secret_of(name: str, source: Source, file: Path) -> bytes:
    """The secret that a source of the configuration in `file` signs with; empty for one that does not.

    Raises:
        ConfigurationError: it cannot be read, is empty, or is no secret of this kind.
    """
    return _read(source.secret, file, f"sources.{name}.secret_file", source) if source.secret else b""


def device_secrets_of(name: str, source: Source, file: Path) -> dict[str, bytes]:
    """The secrets of the devices that have their own, by id.

    Raises:
        ConfigurationError: one cannot be read, or is empty.
    """
    files = {key: device.secret_file for key, device in source.devices.items()}
    place = f"sources.{name}.devices"
    return {key: _read(path, file, f"{place}.{key}.secret_file", source) for key, path in files.items() if path}


def _read(path: Path, file: Path, place: str, source: Source) -> bytes:
    path = file.parent / path
    try:
        secret = path.read_bytes().strip()
        wrong = _wrong(source, secret) if secret else "is empty"
        wrong = f"{path} {wrong}" if wrong else ""
    except OSError as error:
        secret, wrong = b"", f"cannot read {path}: {error.strerror}"
    if wrong:
        raise ConfigurationError([Mistake(file, 0, place, wrong, "a file with the secret")])
    return secret


def _wrong(source: Source, secret: bytes) -> str:
    if isinstance(source, StandardWebhooksSource) and standard_key(secret) is None:
        return "holds no secret of Standard Webhooks, which is whsec_ and base64"
    return ""


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
