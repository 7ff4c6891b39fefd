"""What ingest doubts about a report: the sentence that goes over the wire, in English, and how German mails say it."""

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import Final

_UNKNOWN_DEVICE: Final = "device_id {value} is not in the register of this source"
_UNKNOWN_DEVICE_DE: Final = "device_id {value} steht nicht im Verzeichnis dieser Quelle"

WARNINGS: Final[Mapping[str, tuple[str, str]]] = {
    "cut": ("{field} was cut to {count} characters", "{field} wurde auf {count} Zeichen gekürzt"),
    "replaced": (
        "{field} held characters that cannot be stored; they were replaced",
        "{field} enthielt Zeichen, die nicht gespeichert werden können; sie wurden ersetzt",
    ),
    "level": (
        "danger_level was understood as {value}; send it as an integer",
        "danger_level wurde als {value} verstanden; bitte als ganze Zahl senden",
    ),
    "empty_id": ("id was empty and is ignored", "id war leer und wird nicht beachtet"),
    "two_ids": (
        "id differs from the header Idempotency-Key; id counts",
        "id weicht von der Kopfzeile Idempotency-Key ab; es gilt id",
    ),
    "elsewhere": (
        "{field} {value} is not where the register has the device; the register counts",
        "{field} {value} ist nicht der Ort, den das Verzeichnis für das Gerät hat; es gilt das Verzeichnis",
    ),
    "unknown_device_placeless": (
        f"{_UNKNOWN_DEVICE}; its place is unknown", f"{_UNKNOWN_DEVICE_DE}; sein Ort ist unbekannt",
    ),
    "unknown_device": (_UNKNOWN_DEVICE, _UNKNOWN_DEVICE_DE),
    "unknown_site": ("site {value} is unknown", "Standort {value} ist unbekannt"),
    "no_site": ("site is missing", "Der Standort fehlt"),
    "no_device": (
        "the address names no device, so the place is unknown",
        "Die Adresse nennt kein Gerät, daher ist der Ort unbekannt",
    ),
    "no_device_field": (
        "{field} is missing, so the place is unknown", "{field} fehlt, daher ist der Ort unbekannt",
    ),
    "press": (
        "press {value} is neither short, long nor double; ignored",
        "press {value} ist weder short noch long noch double; nicht beachtet",
    ),
    "event_time": (
        "the event's time is no RFC 3339 time with offset; left out",
        "Die Zeit des Ereignisses ist keine Zeit nach RFC 3339 mit Zeitverschiebung; weggelassen",
    ),
    "event_too_old": (
        "the event's time is too long ago; left out",
        "Die Zeit des Ereignisses liegt zu lange zurück; weggelassen",
    ),
    "no_time": (
        "{field} is no RFC 3339 time with offset; left out",
        "{field} ist keine Zeit nach RFC 3339 mit Zeitverschiebung; weggelassen",
    ),
    "not_decoded": (
        "not decoded: what the device sent is not known to be a press, nor to be anything else",
        "Nicht entschlüsselt: Was das Gerät gesendet hat, ist weder als Druck noch als etwas anderes bekannt",
    ),
    "event_attribute": ("the event's {field} {detail}", "{field} des Ereignisses: {detail}"),
    "import_mark": (
        "{field} left out: only the command line may set it",
        "{field} weggelassen: Das darf nur die Befehlszeile setzen",
    ),
    "no_data": ("the event has no data", "Das Ereignis hat keine Daten"),
    "repeated_key": (
        "{value} stands in the message more than once; the last one counts",
        "{value} steht mehrmals in der Nachricht; das letzte gilt",
    ),
    "unknown_charset": (
        "the charset {value} is not known; it was guessed",
        "Der Zeichensatz {value} ist nicht bekannt; er wurde geraten",
    ),
    "wrong_charset": (
        "the message is not in the charset that it declares; it was guessed",
        "Die Nachricht ist nicht in dem Zeichensatz, den sie angibt; er wurde geraten",
    ),
    "unreadable": (
        "the message could not be read; only that it came is known",
        "Die Nachricht war nicht lesbar; bekannt ist nur, dass sie kam",
    ),
    "many_fields": (
        "only the first {count} fields were looked at", "Nur die ersten {count} Felder wurden angesehen",
    ),
    "condition": (
        "the condition `only` cannot be applied to this message; it was taken as met",
        "Die Bedingung `only` passt nicht auf diese Nachricht; sie wurde als erfüllt genommen",
    ),
    "too_long": (
        "{field} was too long and is cut; the description has all of it",
        "{field} war zu lang und ist gekürzt; die Beschreibung enthält alles",
    ),
    "no_room": (
        "{count} fields of the form had no room in the description",
        "{count} Felder des Formulars hatten in der Beschreibung keinen Platz",
    ),
    "day_only": (
        "occurred_at names a day without a time; its beginning was taken",
        "occurred_at nennt einen Tag ohne Uhrzeit; genommen wurde sein Beginn",
    ),
    "more": ("and {count} more", "und {count} weitere"),
    "left_out": ("{field} left out: {detail}", "{field} weggelassen: {detail}"),
}  # fmt: skip
"""Code → English, German. The first that fits a sentence counts, so the narrower stands before the wider."""
DETAILS: Final[Mapping[str, tuple[str, str]]] = {
    "unknown_field": ("is not a known field", "ist kein bekanntes Feld"),
    "missing": ("is missing", "fehlt"),
    "unknown": ("is unknown", "ist unbekannt"),
    "future": ("is in the future", "liegt in der Zukunft"),
    "old": ("is too long ago", "liegt zu lange zurück"),
    "most": ("should be less than or equal to {number}", "darf höchstens {number} sein"),
    "least": ("should be greater than or equal to {number}", "muss mindestens {number} sein"),
    "one_of": ("should be {choices} or {last}", "muss {choices} oder {last} sein"),
    "no_string": ("is not a string", "ist kein Text"),
    "no_time": ("is no RFC 3339 time with offset", "ist keine Zeit nach RFC 3339 mit Zeitverschiebung"),
    "unstorable": ("holds characters that cannot be stored", "enthält Zeichen, die nicht gespeichert werden können"),
    "header": ("the header Idempotency-Key does not fit", "die Kopfzeile Idempotency-Key passt nicht"),
    "unfit": ("{value} does not fit {field}", "{value} passt nicht zu {field}"),
    "other_kind": ("this source reports {field}, not {detail}", "diese Quelle meldet {field}, nicht {detail}"),
}
"""Why something is left out."""
_OTHERWISE: Final = "der Wert passt nicht"
"""For what a validator says besides: why, in its own words, means nothing to those who read an alarm."""


def warning(code: str, **values: object) -> str:
    """The English sentence of a known warning; `values` fill its template."""
    return WARNINGS[code][0].format(**values)


@lru_cache(maxsize=len(WARNINGS) + len(DETAILS))
def _pattern(template: str) -> re.Pattern[str]:
    """Foreign text stands in quotes as `value`, so that what it holds cannot pass for the words around it."""
    parts = Formatter().parse(template)
    holes = {None: "", "value": "(?P<value>“.*”)"}
    return re.compile("".join(re.escape(text) + holes.get(name, f"(?P<{name}>.+?)") for text, name, _, _ in parts))


def said(sentence: str, language: str) -> str:
    """A warning as it came over the wire, in the language of the site; a sentence that is not known stays."""
    return _in_german(sentence, WARNINGS) or sentence if language == "de" else sentence


def why(detail: str, language: str) -> str:
    """The detail of a fault in this language."""
    return _in_german(detail, DETAILS) or _OTHERWISE if language == "de" else detail


def _in_german(sentence: str, table: Mapping[str, tuple[str, str]]) -> str | None:
    for english, german in table.values():
        found = _pattern(english).fullmatch(sentence)
        if found:
            return german.format(**{name: _value(name, text, table) for name, text in found.groupdict().items()})
    return None


def _value(name: str, text: str, table: Mapping[str, tuple[str, str]]) -> str:
    if text[0] == "“" and text[-1] == "”":
        return f"„{text[1:-1]}“"
    if name == "detail" and table is WARNINGS:
        return _in_german(text, DETAILS) or _OTHERWISE
    return text
