"""Calling the police: the number to dial, and one sentence to be read aloud."""

from schemas.spoken_address import spoken_address
from services.alerting.core.incident import Place
from services.alerting.core.plain_text import one_line
from services.alerting.core.telling import Telling


def sentence(telling: Telling) -> str:
    """In quotes: organisation, street, town, room, entrance; and where else, if anywhere."""
    site = telling.site
    street, entrance = spoken_address(site.address if site else None)
    where = street or (site.name if site else telling.incident.site_text or "")
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
