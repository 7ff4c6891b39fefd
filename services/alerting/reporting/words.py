"""Words of the yearly report in both languages, and the definitions that are printed under every report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ReportWords:
    """Sentences and words; names in braces are filled in by `str.format`."""

    code: str
    title: str
    as_of: str
    incidents: str
    still_open: str
    requested: str
    calls: str
    handed_over: str
    handed_over_in_year: str
    by_site: str
    by_month: str
    by_level: str
    by_category: str
    unassigned: str
    unknown: str
    level: str
    months: tuple[str, ...]
    categories: Mapping[str, str]
    excluded: str
    reasons: Mapping[str, str]
    total: str
    acknowledgement: str
    waits: str
    too_few: str
    duration: str
    definitions_title: str
    definitions: Mapping[str, str]
    notes: str
    imported: str
    no_hand_over_known: str
    no_call_known: str
    ids: str
    ids_left_out: str
    changes: str
    unchanged: str
    changed: str
    added: str
    removed: str
    csv: str
    back: str


GERMAN: Final = ReportWords(
    code="de",
    title="Sicherheitsvorfälle {year}",
    as_of="Stand: {day}, Ende des Tages. Was später bekannt wurde, ist nicht enthalten.",
    incidents="Vorfälle",
    still_open="davon noch nicht abgeschlossen",
    requested="Polizei angefordert (Vorfälle)",
    calls="Anrufe bei der Polizei (alle)",
    handed_over="An die Polizei übergeben (Vorfälle dieses Jahres)",
    handed_over_in_year="Übergaben mit Datum in diesem Jahr (alle)",
    by_site="Nach Standort",
    by_month="Nach Monat",
    by_level="Nach Gefährdungsstufe",
    by_category="Nach Art",
    unassigned="nicht zugeordnet",
    unknown="unbekannt",
    level="Stufe {level}",
    months=(
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ),
    categories={
        "insult": "Beleidigung",
        "threat": "Bedrohung",
        "assault": "Körperlicher Angriff",
        "property_damage": "Sachbeschädigung",
        "weapon": "Waffe oder als Waffe benutzter Gegenstand",
        "bomb_threat": "Bombendrohung",
        "self_harm_threat": "Androhung einer Selbstverletzung",
        "house_rules": "Verstoß gegen die Hausordnung",
        "other": "Sonstiges",
    },
    excluded="Nicht mitgezählt",
    reasons={
        "exercise": "Übungen (Probealarme)",
        "false_alarm": "Fehlalarme",
        "not_relevant": "nicht sicherheitsrelevant",
        "test": "angekündigte Tests",
        "learning": "aus Quellen im Lernmodus",
    },
    total="Gemeldet insgesamt",
    acknowledgement="Zeit bis zur Übernahme",
    waits="Median {median}, 90 % innerhalb von {p90} ({count} übernommene Vorfälle)",
    too_few="wird erst ab fünf übernommenen Vorfällen angegeben",
    duration="{minutes} min {seconds:02} s",
    definitions_title="So ist gezählt",
    definitions={
        "incident": "Vorfall: eine tatsächliche Meldung (keine Übung). Mehrere Meldungen, die zu einem Vorfall "
        "zusammengeführt wurden, zählen einmal, ebenso Vorgänge, die jemand zusammengelegt hat. Als Fehlalarm, nicht "
        "sicherheitsrelevant oder Test abgeschlossene zählen nicht und stehen in eigenen Zeilen. Nicht abgeschlossene "
        "zählen mit und sind ausgewiesen.",
        "year": "Jahr: das örtliche Datum, an dem der Vorfall zuerst gemeldet wurde, nicht das, an dem er geschah.",
        "police_requested": "Polizei angefordert: Vorfälle mit mindestens einem bestätigten Anruf; daneben die Zahl "
        "aller Anrufe.",
        "handed_over": "An die Polizei übergeben: Vorfälle dieses Jahres mit mindestens einer Übergabe, wann immer sie "
        "war; daneben alle Übergaben, deren eigenes Datum in diesem Jahr liegt.",
        "not_one_series": "Angefordert und übergeben sind zwei verschiedene Tatsachen mit eigener Zeit: keine "
        "gemeinsame Zahlenreihe.",
        "as_of": "Stand: Es zählen nur Tatsachen, die bis zum Ende des genannten Tages (Ortszeit) festgehalten waren. "
        "Stufe und Art sind die heute bekannten; was erst danach zusammengelegt wurde, zählt noch einzeln.",
        "assignment": "Standorte ohne Vorfall stehen mit 0 da; was keinem Standort zuzuordnen ist, ist „nicht "
        "zugeordnet“. Jede Aufteilung ergibt die Summe.",
        "acknowledgement": "Zeit bis zur Übernahme: von der ersten Meldung bis zur ersten Übernahme, nur ab fünf "
        "Vorfällen und nie nach Person oder Gerät.",
    },
    notes="Hinweise",
    imported="{count} von {all} Vorfällen wurden aus einer Datei übernommen (Quelle „{source}“).",
    no_hand_over_known="* Die übernommenen Daten enthalten keine Übergabe an die Polizei. Das heißt „nicht bekannt "
    "oder nicht veröffentlicht“, nicht „keine“.",
    no_call_known="* Die übernommenen Daten enthalten keinen Anruf bei der Polizei. Das heißt „nicht bekannt oder "
    "nicht veröffentlicht“, nicht „keiner“.",
    ids="Vorgänge hinter den Zahlen",
    ids_left_out="mit --ids hier aufgelistet; mit --format json oder csv immer",
    changes="Änderungen seit dem festgehaltenen Stand",
    unchanged="Seit dem festgehaltenen Stand hat sich nichts geändert. Die Prüfsumme stimmt.",
    changed="{figure}: {before} → {after}",
    added="{figure}: hinzugekommen {ids}",
    removed="{figure}: weggefallen {ids}",
    csv="Als CSV-Datei",
    back="Zur Übersicht",
)

ENGLISH: Final = ReportWords(
    code="en",
    title="Security incidents {year}",
    as_of="As of the end of {day}. What became known later is not included.",
    incidents="Incidents",
    still_open="of these not closed yet",
    requested="Police requested (incidents)",
    calls="Calls to the police (all)",
    handed_over="Handed over to the police (incidents of this year)",
    handed_over_in_year="Hand-overs dated in this year (all)",
    by_site="By site",
    by_month="By month",
    by_level="By danger level",
    by_category="By category",
    unassigned="not assigned",
    unknown="unknown",
    level="Level {level}",
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    categories={
        "insult": "Insult",
        "threat": "Threat",
        "assault": "Assault",
        "property_damage": "Property damage",
        "weapon": "Weapon, or an object used as one",
        "bomb_threat": "Bomb threat",
        "self_harm_threat": "Threat of self-harm",
        "house_rules": "Breach of the house rules",
        "other": "Other",
    },
    excluded="Not counted",
    reasons={
        "exercise": "exercises",
        "false_alarm": "false alarms",
        "not_relevant": "not relevant to security",
        "test": "announced tests",
        "learning": "from sources in learning mode",
    },
    total="Reported in all",
    acknowledgement="Time until somebody took over",
    waits="median {median}, 90 % within {p90} ({count} incidents taken over)",
    too_few="shown only over five incidents or more",
    duration="{minutes} min {seconds:02} s",
    definitions_title="How this is counted",
    definitions={
        "incident": "Incident: an actual report (no exercise). Several reports merged into one incident count once, "
        "and so do incidents that somebody joined. "
        "Those closed as false alarm, not relevant or test do not count and stand on lines of their own. Those not "
        "closed count and are marked.",
        "year": "Year: the local date on which the incident was first reported, not that on which it happened.",
        "police_requested": "Police requested: incidents with at least one confirmed call; beside it the number of all "
        "calls.",
        "handed_over": "Handed over to the police: incidents of this year with at least one hand-over, whenever it "
        "was; beside it all hand-overs whose own date is in this year.",
        "not_one_series": "Requested and handed over are two different facts, each with its own time: never one "
        "series.",
        "as_of": "As of: only facts recorded by the end of that day (local time) count. Level and category are those "
        "known today; what was joined only afterwards still counts by itself.",
        "assignment": "Sites without an incident are shown with 0; what belongs to no site is “not assigned”. Each "
        "breakdown adds up to the total.",
        "acknowledgement": "Time until somebody took over: from the first report to the first acknowledgement, only "
        "over five incidents or more, and never per person or device.",
    },
    notes="Notes",
    imported="{count} of {all} incidents were taken from a file (source “{source}”).",
    no_hand_over_known="* The imported data contain no hand-over to the police. That means “not known or not "
    "published”, not “none”.",
    no_call_known="* The imported data contain no call to the police. That means “not known or not published”, not "
    "“none”.",
    ids="Incidents behind the figures",
    ids_left_out="listed here with --ids; always with --format json or csv",
    changes="Changes since the frozen figures",
    unchanged="Nothing has changed since the figures were frozen. The checksum is right.",
    changed="{figure}: {before} → {after}",
    added="{figure}: added {ids}",
    removed="{figure}: removed {ids}",
    csv="As a CSV file",
    back="To the board",
)
WORDS: Final = {"de": GERMAN, "en": ENGLISH}
