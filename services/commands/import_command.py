"""What `rufkette import` says about a file that can be imported, and may still not be what was meant."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.events import Event, Reported
from services.common.configuration import file as configuration_file
from services.common.configuration.checks import suggestion

NO_CONFIGURATION = Path()


def unknown_sites(events: Sequence[Event], configuration: Path) -> Iterator[str]:
    """A line for each site that the configuration does not have: figures count its reports as not assigned.

    It may have been closed since, so that is no mistake.

    Args:
        events: all that are to be imported.
        configuration: the file; `NO_CONFIGURATION`: none, and no word about sites.

    Raises:
        services.common.configuration.file.ConfigurationError: the configuration has mistakes.
    """
    if configuration == NO_CONFIGURATION:
        return
    known = configuration_file.load(configuration).sites
    named = Counter(event.data.site for event in events if isinstance(event.data, Reported) and event.data.site)
    for site, count in sorted(named.items()):
        if site not in known:
            reports = "1 report names" if count == 1 else f"{count} reports name"
            expected = suggestion(site, known)
            yield f"{reports} a site `{site}` that is not configured, and count as not assigned; expected {expected}"
