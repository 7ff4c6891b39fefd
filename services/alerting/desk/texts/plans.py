"""Words of the page of announced tests and planned silences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.alerting.core.plans import Mistake


@dataclass(frozen=True, slots=True)
class PlanWords:
    """Sentences and words; names in braces are filled in by `str.format`, times come formatted."""

    title: str
    tests: str
    silences: str
    none: str
    period: str
    by: str
    whole_site: str
    held_back: str
    end: str
    end_button: str
    name: str
    announce: str
    announce_hint: str
    announce_button: str
    site: str
    devices: str
    never_tested: str
    last_test: str
    starts: str
    minutes: str
    plan: str
    plan_hint: str
    plan_button: str
    where: str
    until: str
    reason: str
    mistake: Mapping[Mistake, str]
    time_wrong: str
    minutes_wrong: str
    already_over: str
    done: Mapping[str, str]
    board_test: str
    board_silence: str
    board_link: str


GERMAN: Final = PlanWords(
    title="Tests und Ruhezeiten",
    tests="Angekündigte Tests",
    silences="Geplante Ruhezeiten",
    none="Nichts geplant.",
    period="{start} bis {end}",
    by="von {by}",
    whole_site="{site}: alle Knöpfe",
    held_back="Zurückgehaltene Vorgänge: {count}",
    end="Vorzeitig beenden",
    end_button="Jetzt beenden",
    name="Ihr Name",
    announce="Test ankündigen",
    announce_hint=(
        "Höchstens 30 Minuten. Jeder Druck alarmiert dieselben Personen wie immer, überschrieben mit „ANGEKÜNDIGTER "
        "TEST – im Zweifel echt“, und darf als Test beendet werden."
    ),
    announce_button="Test ankündigen",
    site="Standort",
    devices="Knöpfe (keiner gewählt: alle des Standorts)",
    never_tested="noch nie getestet",
    last_test="zuletzt getestet {at}",
    starts="Ab (leer: jetzt)",
    minutes="Dauer in Minuten",
    plan="Ruhezeit planen",
    plan_hint=(
        "Hält nur Formulare der Stufen 0 und 1 zurück, niemals einen Knopfdruck, höchstens 7 Tage. Am Ende wird alles "
        "Zurückgehaltene gemeldet."
    ),
    plan_button="Ruhezeit planen",
    where="Wo",
    until="Bis",
    reason="Grund",
    mistake={
        Mistake.NAME_MISSING: "Ihr Name fehlt.",
        Mistake.REASON_MISSING: "Der Grund fehlt.",
        Mistake.TEXT_TOO_LONG: "Name und Grund: höchstens 120 Zeichen.",
        Mistake.PLACE_MISSING: "Bitte einen Standort oder ein Gerät wählen.",
        Mistake.SITE_UNKNOWN: "Diesen Standort gibt es nicht.",
        Mistake.DEVICE_UNKNOWN: "Dieses Gerät gibt es nicht.",
        Mistake.DEVICE_ELSEWHERE: "Ein gewählter Knopf gehört nicht zum gewählten Standort.",
        Mistake.ENDS_TOO_EARLY: "Das Ende muss nach dem Anfang liegen.",
        Mistake.IS_OVER: "Das Ende liegt in der Vergangenheit.",
        Mistake.TEST_TOO_LONG: "Ein Test dauert höchstens 30 Minuten.",
        Mistake.SILENCE_TOO_LONG: "Eine Ruhezeit dauert höchstens 7 Tage.",
    },
    time_wrong="„{field}“ ist keine Zeit. Bitte als JJJJ-MM-TT HH:MM schreiben.",
    minutes_wrong="Die Dauer muss eine Zahl von 1 bis 30 sein.",
    already_over="Nichts geändert: Das ist schon zu Ende.",
    done={
        "announced": "Der Test ist angekündigt.",
        "planned": "Die Ruhezeit ist geplant.",
        "ended": "Beendet. Was eine Ruhezeit zurückhielt, wird jetzt gemeldet.",
    },
    board_test="Angekündigter Test bis {end}: {where}",
    board_silence="Geplante Ruhe bis {end}: {where}. Formulare der Stufen 0 und 1 warten.",
    board_link="Tests und Ruhezeiten",
)
ENGLISH: Final = PlanWords(
    title="Tests and silences",
    tests="Announced tests",
    silences="Planned silences",
    none="Nothing is planned.",
    period="{start} to {end}",
    by="by {by}",
    whole_site="{site}: all buttons",
    held_back="Incidents held back: {count}",
    end="End early",
    end_button="End now",
    name="Your name",
    announce="Announce a test",
    announce_hint=(
        "30 minutes at most. Each press alarms the same people as ever, headed “ANNOUNCED TEST – real if in doubt”, "
        "and may be closed as a test."
    ),
    announce_button="Announce the test",
    site="Site",
    devices="Buttons (none chosen: all of the site)",
    never_tested="never tested",
    last_test="last tested {at}",
    starts="From (empty: now)",
    minutes="Minutes",
    plan="Plan a silence",
    plan_hint=(
        "Holds back forms of levels 0 and 1 only, never a press, for 7 days at most. At its end everything that it "
        "held back is told."
    ),
    plan_button="Plan the silence",
    where="Where",
    until="Until",
    reason="Reason",
    mistake={
        Mistake.NAME_MISSING: "Your name is missing.",
        Mistake.REASON_MISSING: "The reason is missing.",
        Mistake.TEXT_TOO_LONG: "Name and reason: 120 characters at most.",
        Mistake.PLACE_MISSING: "Please choose a site or a device.",
        Mistake.SITE_UNKNOWN: "There is no such site.",
        Mistake.DEVICE_UNKNOWN: "There is no such device.",
        Mistake.DEVICE_ELSEWHERE: "A chosen button does not belong to the chosen site.",
        Mistake.ENDS_TOO_EARLY: "The end must come after the beginning.",
        Mistake.IS_OVER: "The end is in the past.",
        Mistake.TEST_TOO_LONG: "A test lasts 30 minutes at most.",
        Mistake.SILENCE_TOO_LONG: "A silence lasts 7 days at most.",
    },
    time_wrong="“{field}” is not a time. Please write YYYY-MM-DD HH:MM.",
    minutes_wrong="The minutes must be a number from 1 to 30.",
    already_over="Nothing changed: it is over already.",
    done={
        "announced": "The test is announced.",
        "planned": "The silence is planned.",
        "ended": "Ended. What a silence held back is told now.",
    },
    board_test="Announced test until {end}: {where}",
    board_silence="Planned silence until {end}: {where}. Forms of levels 0 and 1 wait.",
    board_link="Tests and silences",
)
PLAN_WORDS: Final = {"de": GERMAN, "en": ENGLISH}
