"""Words of the watch's mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.category_words import CATEGORY_WORDS
from schemas.configuration import Language
from schemas.events import Category


@dataclass(frozen=True, slots=True)
class WatchWords:
    """Names in braces are filled in. `levels`: the first word of the subject, from level 0.

    `mark`: the last word of the subject, the same in all languages: mail filters and monitoring look for it.
    """

    levels: tuple[str, str, str, str]
    mark: str
    place_unknown: str
    site_unknown: str
    time: str
    real: str
    level: str
    level_unknown: str
    silent: str
    reports: str
    broken: str
    act: str
    urgent: str
    call: str
    called: str
    say: str
    phone: str
    no_phones: str
    again: str
    nobody_reads: str
    category: Mapping[Category, str]


GERMAN: Final = WatchWords(
    levels=("HINWEIS", "HILFERUF", "ALARM", "NOTFALL"),
    mark="Notbetrieb",
    place_unknown="Ort unbekannt",
    site_unknown="Standort unbekannt",
    time="{day}.{month}., {clock} Uhr",
    real="ECHTER ALARM",
    level="Stufe {level}",
    level_unknown="Stufe unbekannt, wie 2",
    silent="Stiller Alarm.",
    reports="{count} Meldungen, von denen niemand erfahren hat:",
    broken="Alarmkette gestört, Übernahme per Link nicht möglich. Außer den Notfallkontakten wurde bisher wohl niemand"
    " benachrichtigt. Bitte jetzt selbst handeln.",
    act="Bitte zuerst anrufen und klären, wer hilft. Im Zweifel {police} wählen.",
    urgent="{police} WÄHLEN, wenn nicht sicher ist, dass schon jemand hilft. Dieses System ruft niemanden an.",
    call="{police} anrufen",
    called="Laut Meldung wurde {police} schon angerufen.",
    say="{police} braucht: „{what}“",
    phone="Telefon:",
    no_phones="Telefonnummern sind für diesen Standort nicht hinterlegt.",
    again="Derselbe Alarm kann nochmals eintreffen, wenn die Alarmkette wieder arbeitet.",
    nobody_reads="Antworten auf diese Mail liest niemand.",
    category=CATEGORY_WORDS["de"],
)
ENGLISH: Final = WatchWords(
    levels=("NOTICE", "HELP CALL", "ALARM", "EMERGENCY"),
    mark="Notbetrieb",
    place_unknown="place unknown",
    site_unknown="site unknown",
    time="{clock} on {day}/{month}",
    real="REAL ALARM",
    level="Level {level}",
    level_unknown="level unknown, treated as 2",
    silent="Silent alarm.",
    reports="{count} reports that nobody has heard of:",
    broken="The alarm chain is disturbed; taking over by link is not possible. Apart from the emergency contacts most"
    " likely nobody has been told. Please act yourself now.",
    act="Please phone first and find out who helps. If in doubt call {police}.",
    urgent="CALL {police} unless you are sure that somebody helps already. This system calls nobody.",
    call="Call {police}",
    called="The report says that {police} was called already.",
    say="{police} needs: “{what}”",
    phone="Phone:",
    no_phones="No phone numbers are configured for this site.",
    again="The same alarm may arrive once more when the alarm chain works again.",
    nobody_reads="Nobody reads answers to this mail.",
    category=CATEGORY_WORDS["en"],
)
WORDS: Final[Mapping[Language, WatchWords]] = {"de": GERMAN, "en": ENGLISH}
