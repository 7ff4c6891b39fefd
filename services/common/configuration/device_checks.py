"""What the configuration can get wrong about a device's place, patterns, buttons and secrets."""

import difflib
from typing import Final

from schemas.configuration import Configuration, Site
from schemas.configuration_patterns import DevicePatterns
from schemas.configuration_sources import Device, FlicSource, HttpButtonSource, LorawanSource, Source
from services.common import device_models
from services.common.configuration.yaml_places import Document, Path_
from services.common.flic import read_key

_PATTERNS: Final = frozenset(DevicePatterns.model_fields)
_MOST_NAMES: Final = 10
"""Of a site's locations, shown in one hint."""
_ALIKE: Final = 0.75
"""A letter or two more, fewer or swapped."""


def check_devices(configuration: Configuration, document: Document) -> None:
    """Note generic devices without a press, settings that would be read by nothing, and places that may be misspelt."""
    for source_key, source in configuration.sources.items():
        for device_id, device in source.devices.items():
            path: Path_ = ("sources", source_key, "devices", device_id)
            _hint_at_location(document, path, configuration.sites.get(device.site), device)
            _check_patterns(document, path, source, device)
            _check_buttons(document, path, source, device)
            if device.secret_file is not None and not isinstance(source, HttpButtonSource):
                wrong = "would be read by nothing"
                document.mistake((*path, "secret_file"), wrong, "it only in a source of type http-button")
        if isinstance(source, FlicSource) and source.public_key is not None:
            _check_key(document, ("sources", source_key, "public_key"), source.public_key)
        if isinstance(source, LorawanSource):
            _check_shared(document, source_key, source)


def _hint_at_location(document: Document, path: Path_, site: Site | None, device: Device) -> None:
    """A place that the site does not list is good, too; but a misspelt room has no floor, and is a place of its own."""
    if site is None or not site.locations or device.location is None:
        return
    if site.location_named(device.location) is not None:
        return
    # Room 113 is no misspelt 112: only what has the same number is offered.
    known = {
        name.casefold(): location
        for location in site.locations
        for name in location.names
        if _digits(name) == _digits(device.location)
    }
    close = difflib.get_close_matches(device.location.casefold(), known, n=1, cutoff=_ALIKE)
    names = [location.name for location in site.locations]
    listed = ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
    meant = f" (did you mean `{known[close[0]].name}`?)" if close else ""
    noticed = f"`{device.location}` is none of the locations of `{device.site}`"
    document.hint((*path, "location"), noticed, f"one of {listed}{meant}, or this one among them, too")


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _check_key(document: Document, path: Path_, pem: str) -> None:
    try:
        read_key(pem)
    except ValueError as error:
        document.mistake(path, str(error), "Flic's public key (P-256) as PEM, from -----BEGIN to END PUBLIC KEY-----")


def _check_patterns(document: Document, path: Path_, source: Source, device: Device) -> None:
    generic = device.model == device_models.GENERIC
    own = sorted(_PATTERNS & device.model_fields_set)
    if own and not (generic and isinstance(source, LorawanSource)):
        wrong = f"{' and '.join(f'`{name}`' for name in own)} would be read by nothing"
        expected = "them only with `model: generic`, in a source of type ttn or chirpstack"
        document.mistake((*path, own[0]), wrong, expected)
    described = device.press or (isinstance(source, LorawanSource) and source.generic and source.generic.press)
    if generic and isinstance(source, LorawanSource) and not described:
        wrong = "does not say what a press of this generic device looks like"
        expected = "press: event == 'sos', or press: hex:01.*, here or under `generic` of the source"
        document.mistake(path, wrong, expected)


def _check_buttons(document: Document, path: Path_, source: Source, device: Device) -> None:
    if not device.buttons or (device.model is not None and device.model not in device_models.names()):
        return
    there = device_models.buttons(device.model or "") if isinstance(source, LorawanSource) else frozenset()
    if not there:
        wrong, expected = "this device has no numbered buttons", "`buttons` only for a panel with several buttons"
        document.mistake((*path, "buttons"), wrong, expected)
    elif absent := sorted(device.buttons - there):
        wrong = f"`{device.model}` has no button {absent[0]}"
        document.mistake((*path, "buttons"), wrong, f"numbers from 1 to {max(there)}")


def _check_shared(document: Document, source_key: str, source: LorawanSource) -> None:
    if source.generic is not None and not any(d.model == device_models.GENERIC for d in source.devices.values()):
        noticed = "none of its devices has `model: generic`, so nothing reads this"
        document.hint(("sources", source_key, "generic"), noticed, "devices with `model: generic`, or not this part")
