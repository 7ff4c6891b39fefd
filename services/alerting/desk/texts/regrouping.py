"""Words for joining two incidents and splitting one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RegroupWords:
    """Sentences and words; names in braces are filled in by `str.format`, times come formatted."""

    join: str
    join_hint: str
    into: str
    other: str
    join_button: str
    split: str
    split_hint: str
    reports: str
    split_button: str
    reason: str
    reason_missing: str
    into_missing: str
    reports_missing: str
    refused: Mapping[str, str]
    joined_meanwhile: str
    came_from: str
    by: str
    because: str
    goes_on: str
    part_of_this: str
    split_off: str
    done_split: str
    kinds: Mapping[str, str]


_GERMAN: Final = RegroupWords(
    join="Dieselbe Sache wie ein anderer Vorgang: zusammenlegen",
    join_hint=(
        "Dieser Vorgang geht in dem anderen auf, mit allem, was bekannt ist. Wer hier informiert wurde, erfährt es. "
        "Hat den anderen noch niemand übernommen, wird dort weiter alarmiert."
    ),
    into="Mit welchem Vorgang?",
    other="{place}, {at}, {level}. {status}. Vorgang {code}",
    join_button="Zusammenlegen",
    split="Eine Meldung ist eine andere Sache: abtrennen",
    split_hint=(
        "Was Sie auswählen, wird ein eigener Vorgang und sofort neu alarmiert. Anrufe und Übergaben, die hier "
        "bestätigt wurden, bleiben hier; ebenso immer die erste Meldung."
    ),
    reports="Welche Meldungen?",
    split_button="Abtrennen und neu alarmieren",
    reason="Grund",
    reason_missing="Bitte einen Grund nennen.",
    into_missing="Bitte auswählen, mit welchem Vorgang.",
    reports_missing="Bitte mindestens eine Meldung auswählen.",
    refused={
        "same_incident": "Ein Vorgang kann nicht mit sich selbst zusammengelegt werden.",
        "already_joined": "Nichts geändert: Einer der Vorgänge wurde inzwischen mit einem anderen zusammengelegt.",
        "already_closed": "Nichts geändert: Der Vorgang ist inzwischen beendet.",
        "modes_differ": "Eine Übung und ein echter Vorgang werden nie zusammengelegt.",
        "sites_differ": "Vorgänge zweier Standorte können nicht zusammengelegt werden.",
        "past_and_present": "Ein nachträglich erfasster Vorgang wird nicht mit einem laufenden zusammengelegt.",
        "unknown_report": "Nichts geändert: Eine dieser Meldungen gehört nicht mehr zu diesem Vorgang.",
        "first_report": "Die erste Meldung bleibt bei diesem Vorgang.",
        "several_incidents": "Bitte früher zusammengelegte Vorgänge einzeln abtrennen.",
        "missing": "Diesen Vorgang gibt es nicht mehr.",
    },
    joined_meanwhile=(
        "Der Vorgang wurde inzwischen mit diesem hier zusammengelegt. Bitte ansehen und dann noch einmal entscheiden."
    ),
    came_from="Der Vorgang aus Ihrer Mail ({place}, {at}) wurde mit diesem zusammengelegt.",
    by="Von {by}, {at}.",
    because="Grund: {reason}",
    goes_on="Zusammengelegt mit: {place} (Vorgang {code}). Alles Weitere steht dort.",
    part_of_this="Hierzu gehört jetzt auch Vorgang {code}.",
    split_off="Abgetrennt: Vorgang {code}.",
    done_split="Abgetrennt: Vorgang {code} ist jetzt eine eigene Sache und wird alarmiert.",
    kinds={"panic": "Knopf", "form": "Formular", "manual": "Meldung"},
)

_ENGLISH: Final = RegroupWords(
    join="The same matter as another incident: join them",
    join_hint=(
        "This incident becomes part of the other one, with everything that is known. Those who were told here hear of "
        "it. If nobody has taken the other one over, it goes on alarming there."
    ),
    into="With which incident?",
    other="{place}, {at}, {level}. {status}. Incident {code}",
    join_button="Join",
    split="A report is another matter: split it off",
    split_hint=(
        "What you choose becomes an incident of its own and is alarmed anew at once. Calls and hand-overs that were "
        "confirmed here stay here, and so does always the first report."
    ),
    reports="Which reports?",
    split_button="Split off and alarm anew",
    reason="Reason",
    reason_missing="Please give a reason.",
    into_missing="Please choose with which incident.",
    reports_missing="Please choose at least one report.",
    refused={
        "same_incident": "An incident cannot be joined with itself.",
        "already_joined": "Nothing changed: one of the incidents has been joined with another one meanwhile.",
        "already_closed": "Nothing changed: the incident has been closed meanwhile.",
        "modes_differ": "An exercise and a real incident are never joined.",
        "sites_differ": "Incidents of two sites cannot be joined.",
        "past_and_present": "An incident recorded afterwards is not joined with a current one.",
        "unknown_report": "Nothing changed: one of these reports is no longer part of this incident.",
        "first_report": "The first report stays with this incident.",
        "several_incidents": "Please split off incidents that were joined earlier one by one.",
        "missing": "This incident is no longer there.",
    },
    joined_meanwhile="The incident has been joined with this one meanwhile. Please look, and then decide again.",
    came_from="The incident of your mail ({place}, {at}) was joined with this one.",
    by="By {by}, {at}.",
    because="Reason: {reason}",
    goes_on="Joined with: {place} (incident {code}). Everything else is there.",
    part_of_this="Incident {code} is part of this one now.",
    split_off="Split off: incident {code}.",
    done_split="Split off: incident {code} is a matter of its own now and is being alarmed.",
    kinds={"panic": "button", "form": "form", "manual": "report"},
)
REGROUP_WORDS: Final = {"de": _GERMAN, "en": _ENGLISH}
