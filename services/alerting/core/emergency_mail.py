"""How mails and pages say that ingest had to mail the emergency contacts itself."""

from services.alerting.core.telling import Telling


def emergency_line(telling: Telling) -> tuple[str, ...]:
    """When the contacts were first mailed about any of it, if they had to be."""
    known = [at for report in telling.incident.reports if (at := report.emergency_mailed_at) is not None]
    return (telling.words.emergency_mailed.format(at=telling.clock(min(known))),) if known else ()
