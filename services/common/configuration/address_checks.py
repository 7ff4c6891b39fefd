"""Mail addresses that a mail server may take and that still reach nobody."""

from collections.abc import Iterator
from typing import Any

from schemas.configuration import Configuration, Role
from services.common.configuration.yaml_places import Document, Path_


def hint_at_addresses(configuration: Configuration, document: Document) -> None:
    """Addresses whose domain has no dot: most have lost their end; in an intranet they may be as they should.

    Args:
        configuration: all of the file, so that its parts have the same places in both.
        document: the file.
    """
    for path, address in _addresses(configuration, document.data):
        domain = address.rpartition("@")[2]
        if "." not in domain and domain.casefold() != "localhost":
            noticed = f"the domain of `{address}` has no dot: mail servers elsewhere do not know it"
            document.hint(path, noticed, "a whole address such as leitung@example.org, unless it is one of an intranet")


def _addresses(configuration: Configuration, data: Any) -> Iterator[tuple[Path_, str]]:
    """Every address with its place in the file."""
    for number, address in enumerate(configuration.organisation.emergency):
        yield ("organisation", "emergency", number), address
    for key, site in configuration.sites.items():
        for name, role in site.people.items():
            yield from _people(("sites", key, "people", name), role, data["sites"][key]["people"][name])
        for number, address in enumerate(site.emergency):
            yield ("sites", key, "emergency", number), address
    for name, role in configuration.roles.items():
        yield from _people(("roles", name), role, data["roles"][name])
    for key, source in configuration.sources.items():
        if source.test_address is not None:
            yield ("sources", key, "test_address"), source.test_address


def _people(path: Path_, role: Role, written: Any) -> Iterator[tuple[Path_, str]]:
    """A role is written as a list or with the key `people`, a person as an address or with the key `email`."""
    if isinstance(written, dict):
        path, written = (*path, "people"), written.get("people", [])
    for number, person in enumerate(role.people):
        place: Path_ = (*path, number)
        yield (*place, "email") if isinstance(written[number], dict) else place, person.email
