"""Who was told, and whether the mails came that far: on the page behind the link of a mail."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.alerting.core.incident import Recipient
from services.alerting.core.telling import Telling
from services.alerting.desk.incidents import Arrival, Arrived
from services.alerting.desk.texts import PageWords
from services.alerting.desk.tokens import Access


@dataclass(frozen=True, slots=True)
class Informed:
    """Somebody who was told. `arrival` is a sentence; without one no mail was wanted any more."""

    role: str
    name: str | None
    phone: str | None
    arrival: str | None
    failed: bool


def informed(telling: Telling, access: Access, arrived: Mapping[str, Arrived], words: PageWords) -> Iterator[Informed]:
    """Everybody who was told, whose link it is first; `arrived` by address in lower case."""
    for person in sorted(telling.incident.told, key=lambda person: not access.is_for(person)):
        mails = arrived.get(person.email.casefold())
        yield Informed(
            role=telling.words.role(person.role),
            name=person.name,
            phone=_phone(telling, person),
            arrival=_sentence(telling, mails, words) if mails else None,
            failed=mails is not None and mails.how is Arrival.FAILED,
        )


def _sentence(telling: Telling, mails: Arrived, words: PageWords) -> str:
    at = telling.clock(mails.at, bare=True) if mails.at else ""
    if mails.earlier is None:
        return words.arrival[mails.how.value].format(at=at)
    earlier = telling.clock(mails.earlier, bare=True)
    return words.arrival_of_a_new_mail[mails.how.value].format(earlier=earlier)


def _phone(telling: Telling, recipient: Recipient) -> str | None:
    groups = (telling.site.people if telling.site else {}, telling.rules.configuration.roles)
    people = (person for roles in groups for role in roles.values() for person in role.people)
    return next((p.phone for p in people if p.phone and p.email.casefold() == recipient.email.casefold()), None)
