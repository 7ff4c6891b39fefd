"""The incidents that an event of a batch may concern, found by what they are merged by."""

from collections.abc import Mapping, Sequence

from schemas.events import Event, Reported
from services.alerting import store
from services.alerting.core.incident import Incident


class Candidates:
    """Over the incidents of one transaction; each one that is opened or changed must be noted.

    An index, because a batch of 500 presses has 500 incidents to look through for each of them.
    """

    def __init__(self, known: Mapping[str, Incident]) -> None:
        self._by_key: dict[str, set[str]] = {}
        self._holders: dict[str, str] = {}
        for incident in known.values():
            self.note(incident)

    def note(self, incident: Incident) -> None:
        """The incident has these keys and reports now."""
        if incident.joined is None:
            self._holders.update(dict.fromkeys(incident.event_ids, incident.id))
        for key in incident.keys:
            self._by_key.setdefault(key, set()).add(incident.id)

    def of(self, event: Event, keys: Sequence[str], known: Mapping[str, Incident]) -> list[Incident]:
        """In the order of `known`, as they are there."""
        if not isinstance(event.data, Reported):
            # Whoever only knows the event that they sent names that one.
            holder = self._holders.get(event.subject or "", event.subject)
            return [store.living(known[holder], known)] if holder is not None and holder in known else []
        found = set[str]().union(*(self._by_key.get(key, ()) for key in keys))
        in_order = [id_ for id_ in known if id_ in found] if len(found) > 1 else found
        wanted = set(keys)
        return [known[id_] for id_ in in_order if not wanted.isdisjoint(known[id_].keys)]
