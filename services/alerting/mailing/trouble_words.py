"""Words of the mails about what could not be processed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.configuration import Language


@dataclass(frozen=True, slots=True)
class TroubleWords:
    """Names in braces are filled in."""

    site_unknown: str
    record_subject: str
    record_text: str
    deadline_subject: str
    deadline_text: str
    mail_subject: str
    mail_text: str


GERMAN: Final = TroubleWords(
    site_unknown="Standort unbekannt",
    record_subject="STÖRUNG {place} · Meldung nicht verarbeitet",
    record_text="""{place}: Eine Meldung konnte nicht verarbeitet werden.

Es kann ein Alarm gewesen sein, und niemand wurde dadurch alarmiert. Bitte jetzt am Standort nachfragen, ob jemand
Hilfe braucht; im Zweifel 110 wählen.

Für den Betrieb: Der Datensatz liegt auf „incidents.events.rejected“. Er stammt aus Topic {topic}, Partition
{partition}, Offset {offset}; weitere können dabei sein. Grund: {reason}.
Was zu tun ist, steht im Runbook unter „record.rejected“.
Antworten auf diese Mail liest niemand.
""",
    deadline_subject="STÖRUNG {place} · Vorgang {code} eskaliert nicht",
    deadline_text="""{place}: Bei Vorgang {code} scheitert der nächste Schritt.

Der Vorgang ist offen, und niemand wird von selbst erinnert. Bitte jetzt am Standort nachfragen, ob jemand Hilfe
braucht; im Zweifel 110 wählen.

In {minutes} Minuten wird der Schritt nochmals versucht.
Für den Betrieb: incident_id {incident_id}. Was zu tun ist, steht im Runbook unter „deadline.set_aside“.
Antworten auf diese Mail liest niemand.
""",
    mail_subject="STÖRUNG {place} · Mail zu Vorgang {code}",
    mail_text="""{place}: Eine Mail zu Vorgang {code} konnte nicht verarbeitet werden.

Es kann sein, dass deshalb jemand nicht alarmiert wurde. Bitte jetzt am Standort nachfragen, ob jemand Hilfe
braucht; im Zweifel 110 wählen.

Für den Betrieb: incident_id {incident_id}. Grund: {reason}. Was zu tun ist, steht im Runbook
unter „mail.unreadable“ und „mail.undecided“.
Antworten auf diese Mail liest niemand.
""",
)
ENGLISH: Final = TroubleWords(
    site_unknown="site unknown",
    record_subject="FAULT {place} · a report was not processed",
    record_text="""{place}: A report could not be processed.

It may have been an alarm, and nobody was alarmed by it. Please ask at the site now whether somebody needs help;
if in doubt call 110.

For operations: the record is on "incidents.events.rejected". It came from topic {topic}, partition {partition},
offset {offset}; there may be more of them. Reason: {reason}. What to do stands in the
runbook under "record.rejected".
Nobody reads answers to this mail.
""",
    deadline_subject="FAULT {place} · case {code} does not escalate",
    deadline_text="""{place}: The next step of case {code} fails.

The case is open, and nobody is reminded of it by itself. Please ask at the site now whether somebody needs help; if
in doubt call 110.

The step is tried again in {minutes} minutes.
For operations: incident_id {incident_id}. What to do stands in the runbook under "deadline.set_aside".
Nobody reads answers to this mail.
""",
    mail_subject="FAULT {place} · a mail about case {code}",
    mail_text="""{place}: A mail about case {code} could not be processed.

It may be that somebody was not alarmed because of that. Please ask at the site now whether somebody needs help; if
in doubt call 110.

For operations: incident_id {incident_id}. Reason: {reason}. What to do stands in the runbook
under "mail.unreadable" and "mail.undecided".
Nobody reads answers to this mail.
""",
)
WORDS: Final[Mapping[Language, TroubleWords]] = {"de": GERMAN, "en": ENGLISH}
