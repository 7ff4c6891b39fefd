"""Files of secrets that a configuration names and that are not there: a service that needs them would not start."""

from collections.abc import Iterator
from pathlib import Path

from schemas.configuration import Configuration
from schemas.configuration_sources import MqttSource
from services.common.configuration.yaml_places import Mistake


def unreadable_secrets(configuration: Configuration, file: Path) -> list[Mistake]:
    """What this user cannot read here; only a hint, for the services may run as somebody else, somewhere else."""
    found = []
    for place, relative in _named(configuration):
        path = file.parent / relative
        try:
            wrong = "" if path.read_bytes().strip() else "is empty"
        except OSError as error:
            wrong = f"cannot be read here ({error.strerror}), and ingest will not start without it"
        if wrong:
            found.append(Mistake(file, 0, place, f"{path} {wrong}", "a file with the secret"))
    return found


def _named(configuration: Configuration) -> Iterator[tuple[str, Path]]:
    """Each file of a secret with the place that names it."""
    for name, source in configuration.sources.items():
        if source.secret is not None:
            setting = "password_file" if isinstance(source, MqttSource) else "secret_file"
            yield f"sources.{name}.{setting}", source.secret
        for key, device in source.devices.items():
            if device.secret_file is not None:
                yield f"sources.{name}.devices.{key}.secret_file", device.secret_file
        if source.callback is not None and source.callback.target.secret is not None:
            setting, path = source.callback.target.secret
            yield f"sources.{name}.callback.{source.callback.way}.{setting}", path
