"""Words of the page of holds, and of what other pages say of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class HoldWords:
    """Sentences and words; names in braces are filled in by `str.format`, times come formatted."""

    title: str
    standing: str
    none: str
    since: str
    reason: str
    name: str
    end: str
    end_button: str
    place: str
    hint: str
    incident: str
    place_button: str
    name_missing: str
    incident_missing: str
    reason_missing: str
    too_long: str
    unknown: str
    several: str
    already_held: str
    not_held: str
    done: Mapping[str, str]
    shown: str
    link: str


GERMAN: Final = HoldWords(
    title="Löschsperren",
    standing="Gesperrte Vorgänge",
    none="Keine.",
    since="Seit {at}, von {by}",
    reason="Grund",
    name="Ihr Name",
    end="Löschsperre aufheben",
    end_button="Jetzt aufheben",
    place="Löschsperre setzen",
    hint=(
        "Solange sie gilt, wird von diesem Vorgang nichts entfernt und nichts gelöscht, auch nicht von Vorgängen, die "
        "mit ihm zusammengelegt oder von ihm abgetrennt wurden. Was schon gelöscht ist, kommt nicht zurück."
    ),
    incident="Vorgang (vier Zeichen wie in der Mail, oder ganze Kennung)",
    place_button="Löschsperre setzen",
    name_missing="Ihr Name fehlt.",
    incident_missing="Der Vorgang fehlt.",
    reason_missing="Der Grund fehlt.",
    too_long="„{field}“ ist zu lang: höchstens {limit} Zeichen.",
    unknown="Vorgang „{name}“ gibt es nicht oder nicht mehr. Vier Zeichen wie in der Mail, oder die ganze Kennung.",
    several="„{name}“ heißen mehrere Vorgänge. Bitte die ganze Kennung angeben: {which}.",
    already_held="Nichts geändert: Für diesen Vorgang gilt schon eine Löschsperre.",
    not_held="Nichts geändert: Für diesen Vorgang gilt keine Löschsperre.",
    done={"placed": "Die Löschsperre gilt.", "ended": "Die Löschsperre ist aufgehoben."},
    shown="Löschsperre: Von diesem Vorgang wird vorerst nichts gelöscht.",
    link="Löschsperren",
)
ENGLISH: Final = HoldWords(
    title="Holds",
    standing="Incidents on hold",
    none="None.",
    since="Since {at}, by {by}",
    reason="Reason",
    name="Your name",
    end="End the hold",
    end_button="End it now",
    place="Place a hold",
    hint=(
        "While it stands, nothing of this incident is removed or deleted, nor of incidents that were joined with it "
        "or split off it. What has been deleted does not come back."
    ),
    incident="Incident (four characters as in the mail, or the full id)",
    place_button="Place the hold",
    name_missing="Your name is missing.",
    incident_missing="The incident is missing.",
    reason_missing="The reason is missing.",
    too_long="“{field}” is too long: {limit} characters at most.",
    unknown="There is no incident “{name}”, or no longer: four characters as in its mails, or its full id.",
    several="Several incidents are called “{name}”. Please give the full id: {which}.",
    already_held="Nothing changed: the incident is on hold already.",
    not_held="Nothing changed: the incident is not on hold.",
    done={"placed": "The incident is on hold.", "ended": "The hold is ended."},
    shown="On hold: for now nothing of this incident is deleted.",
    link="Holds",
)
HOLD_WORDS: Final = {"de": GERMAN, "en": ENGLISH}
