"""Calling the police: the number to dial, and one sentence to be read aloud."""

import re

from services.alerting.core.incident import Place
from services.alerting.core.plain_text import one_line
from services.alerting.core.telling import Telling

_POSTCODE = re.compile(r"\b\d{5}\s+")


def sentence(telling: Telling) -> str:
    """In quotes: organisation, street, town, room, entrance; and where else, if anywhere."""
    site = telling.site
    street, _, entrance = ((site.address or "") if site else "").partition(";")
    where = _POSTCODE.sub("", street) or (site.name if site else telling.incident.site_text or "")
    room = telling.room.name if telling.room else telling.incident.location or ""
    parts = [telling.rules.configuration.organisation.name, where, room, entrance]
    if others := telling.other_places:
        parts.append(telling.words.also.format(places="; ".join(_room(telling, place) for place in others)))
    opening, closing = telling.words.quotes
    return f"{opening}{', '.join(one_line(part) for part in parts if part.strip())}{closing}"


def _room(telling: Telling, place: Place) -> str:
    """The room alone where the site is the same and has been said."""
    if place.site != telling.incident.site or telling.site is None:
        return telling.place_of(place)
    room = next((room for room in telling.site.locations if room.id == place.location), None)
    return room.name if room else place.location or ""
