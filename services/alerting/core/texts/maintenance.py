"""Words of mails and pages about devices; none of them may read like an alarm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.configuration import Language
from services.alerting.core.devices import News


@dataclass(frozen=True, slots=True)
class MaintenanceWords:
    """Sentences and words; pairs are for one and for several, names in braces are filled in."""

    subject_word: str
    button: tuple[str, str]
    device: tuple[str, str]
    one: Mapping[News, str]
    several: Mapping[News, str]
    to_do: Mapping[News, str]
    gateway: str
    last_seen: str
    never_seen: str
    expected: str
    battery: str
    last_test: str
    more: str
    every: tuple[tuple[str, str], ...]
    no_incident: str
    # the page
    title: str
    state: Mapping[str, str]
    silent_line: tuple[str, str]
    low_line: tuple[str, str]
    nothing: str
    to_board: str


GERMAN: Final = MaintenanceWords(
    subject_word="WARTUNG",
    button=("Knopf", "Knöpfe"),
    device=("Gerät", "Geräte"),
    one={
        News.SILENT: "meldet sich nicht",
        News.RECOVERED: "meldet sich wieder",
        News.BATTERY_LOW: "Batterie schwach",
        News.BATTERY_RESTORED: "Batterie wieder in Ordnung",
    },
    several={
        News.SILENT: "{count} {devices} melden sich nicht",
        News.RECOVERED: "{count} {devices} melden sich wieder",
        News.BATTERY_LOW: "{count} {devices}: Batterie schwach",
        News.BATTERY_RESTORED: "{count} {devices}: Batterie wieder in Ordnung",
    },
    to_do={
        News.SILENT: "Ein Alarm von hier käme vielleicht nicht an. Bitte Batterie und Empfang prüfen; bis dahin gilt "
        "der andere Weg, Hilfe zu rufen.",
        News.RECOVERED: "Sie müssen nichts weiter tun.",
        News.BATTERY_LOW: "Bitte bald die Batterie wechseln.",
        News.BATTERY_RESTORED: "Sie müssen nichts weiter tun.",
    },
    gateway="Melden sich mehrere zugleich nicht, liegt es meist am Empfänger (Gateway) oder am Netz.",
    last_seen="Zuletzt gemeldet: {at}.",
    never_seen="Hat sich noch nie gemeldet.",
    expected="Längste erlaubte Pause: {every}.",
    battery="Batterie: {percent} %.",
    last_test="Letzter Test: {at}.",
    more="und {count} weitere",
    every=(("Tag", "Tage"), ("Std.", "Std."), ("Min.", "Min."), ("Sek.", "Sek.")),
    no_incident="Wartung, kein Vorfall. Antworten auf diese Mail liest niemand.",
    title="Geräte",
    state={
        "silent": "meldet sich nicht",
        "battery_low": "Batterie schwach",
        "ok": "in Ordnung",
        "not_expected": "wird nicht überwacht",
        "waiting": "noch nie gemeldet",
    },
    silent_line=("1 {device} meldet sich nicht", "{count} {devices} melden sich nicht"),
    low_line=("1 {device}: Batterie schwach", "{count} {devices}: Batterie schwach"),
    nothing="In der Konfiguration stehen keine Geräte.",
    to_board="Alle Vorgänge",
)

ENGLISH: Final = MaintenanceWords(
    subject_word="MAINTENANCE",
    button=("button", "buttons"),
    device=("device", "devices"),
    one={
        News.SILENT: "does not report",
        News.RECOVERED: "reports again",
        News.BATTERY_LOW: "battery low",
        News.BATTERY_RESTORED: "battery in order again",
    },
    several={
        News.SILENT: "{count} {devices} do not report",
        News.RECOVERED: "{count} {devices} report again",
        News.BATTERY_LOW: "{count} {devices}: battery low",
        News.BATTERY_RESTORED: "{count} {devices}: battery in order again",
    },
    to_do={
        News.SILENT: "An alarm from here might not arrive. Please check battery and reception; until then use the "
        "other way to call for help.",
        News.RECOVERED: "You need not do anything more.",
        News.BATTERY_LOW: "Please change the battery soon.",
        News.BATTERY_RESTORED: "You need not do anything more.",
    },
    gateway="If several are silent at once, it is most often the receiver (gateway) or the network.",
    last_seen="Last report: {at}.",
    never_seen="Has never reported.",
    expected="Longest pause allowed: {every}.",
    battery="Battery: {percent}%.",
    last_test="Last test: {at}.",
    more="and {count} more",
    every=(("day", "days"), ("h", "h"), ("min", "min"), ("s", "s")),
    no_incident="Maintenance, no incident. Nobody reads replies to this mail.",
    title="Devices",
    state={
        "silent": "does not report",
        "battery_low": "battery low",
        "ok": "in order",
        "not_expected": "not watched",
        "waiting": "never reported yet",
    },
    silent_line=("1 {device} does not report", "{count} {devices} do not report"),
    low_line=("1 {device}: battery low", "{count} {devices}: battery low"),
    nothing="The configuration names no devices.",
    to_board="All incidents",
)

WORDS: Final[dict[Language, MaintenanceWords]] = {"de": GERMAN, "en": ENGLISH}
