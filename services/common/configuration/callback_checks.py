"""What the configuration can get wrong about answers to buttons: ways that do not fit, devices that are not there."""

import re
from typing import Final
from urllib.parse import urlsplit

from schemas.configuration import Configuration
from schemas.configuration_callbacks import Callback, MqttCallback, TtnCallback
from schemas.configuration_sources import ChirpstackSource, Source, TtnSource, normalise_device_id
from services.common import device_models
from services.common.configuration.mqtt_callback_checks import check_mqtt
from services.common.configuration.yaml_places import Document, Path_

_DEV_EUI: Final = re.compile(r"[0-9a-f]{16}")
_HERE: Final = ("127.0.0.1", "::1", "localhost")


def check_callbacks(configuration: Configuration, document: Document) -> None:
    """Note callbacks that could reach nobody, or the wrong ones."""
    for key, source in configuration.sources.items():
        if source.callback is not None:
            path: Path_ = ("sources", key, "callback")
            _check_way(document, path, source, source.callback)
            _check_devices(document, path, source, source.callback)
            _check_safety(document, (*path, source.callback.way, "url"), source.callback)
            check_mqtt(configuration, document, path, source)


def _check_way(document: Document, path: Path_, source: Source, callback: Callback) -> None:
    kinds = {"ttn": TtnSource, "chirpstack": ChirpstackSource}
    if callback.way in kinds and not isinstance(source, kinds[callback.way]):
        wrong = f"a source of type {source.type} has no devices that can be reached so"
        document.mistake((*path, callback.way), wrong, f"http or mqtt, or this in a source of type {callback.way}")


def _check_devices(document: Document, path: Path_, source: Source, callback: Callback) -> None:
    for index, model in enumerate(callback.models):
        if model not in device_models.names():
            expected = f"one of {', '.join(sorted(device_models.names()))}"
            document.mistake((*path, "models", index), f"there is no device model `{model}`", expected)
        elif all(device.model != model for device in source.devices.values()):
            noticed = f"no device of this source has the model `{model}`"
            document.hint((*path, "models", index), noticed, "a model that its devices have")
    register = source.register
    for index, device_id in enumerate(callback.devices):
        if normalise_device_id(device_id) not in register:
            wrong = f"there is no device `{device_id}` in the register of this source"
            document.mistake((*path, "devices", index), wrong, "an id that stands under its `devices`")
    if callback.chirpstack is not None:
        strange = next((k for n, k in source.answered.items() if not _DEV_EUI.fullmatch(n)), None)
        if strange is not None:
            wrong = f"`{strange}` is no dev EUI, so ChirpStack cannot reach this device"
            document.mistake((*path, "chirpstack"), wrong, "devices by their dev EUI, 16 hexadecimal digits")
    if isinstance(callback.ttn, TtnCallback):
        for device_id in callback.ttn.ids:
            if normalise_device_id(device_id) not in source.answered:
                wrong = f"`{device_id}` is no device that is told anything"
                document.mistake((*path, "ttn", "ids", device_id), wrong, "an id of a device that `models` enables")


def _check_safety(document: Document, path: Path_, callback: Callback) -> None:
    if isinstance(callback.target, MqttCallback):
        return
    parts = urlsplit(callback.target.url)
    if parts.scheme == "http" and parts.hostname not in _HERE:
        document.hint(path, "this way is not encrypted: who listens learns that there is an alarm", "https://…")
