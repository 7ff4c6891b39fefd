"""What the watch writes, to whom."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from schemas.configuration import Configuration
from schemas.events import Category, Event, Kind, Reported
from services.common.mail.threads import thread_of
from services.ingest.watch.mail import contacts, known_site, message, write
from services.ingest.watch.words import WORDS
from tests.support.organisation import organisation

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
NOW = datetime(2026, 1, 5, 8, 12, tzinfo=UTC)


def configured(**mail: str) -> Configuration:
    content = organisation()
    content["sites"]["bernburg"]["emergency"] = ["notfall.bernburg@example.org"]
    content["sites"]["bernburg"]["people"]["site_management"] = [
        {"name": "A. Muster", "email": "leitung.bernburg@example.org", "phone": "03471 1"}
    ]
    return Configuration.model_validate(content | {"mail": mail})


def report(event_id: str = "a", **fields: Any) -> Event:
    press: dict[str, Any] = {
        "kind": Kind.PANIC, "site": "bernburg", "location": "112", "danger_level": 2, "category": Category.THREAT,
        "description": "Geheimnis", "reported_by": "B. Beispiel",
    }  # fmt: skip
    return Event(id=event_id, source="buttons", time=NOW, data=Reported(**press | fields))


def test_a_number_that_nobody_can_dial_is_no_link() -> None:
    content = organisation()
    content["sites"]["bernburg"]["police"] = {"phone": "Leitstelle"}
    written = write([report()], "bernburg", Configuration.model_validate(content))
    assert "Leitstelle WÄHLEN" in written.text or "Leitstelle wählen" in written.text
    assert 'class="call"' not in written.html.split("</style>")[1]


def test_a_number_that_begins_as_another_does_is_dialled_as_a_whole() -> None:
    content = organisation()
    people = [
        {"name": "A", "email": f"a{len(number)}@example.org", "phone": f"03471 {number}"}
        for number in ("1", "12", "1<2>")
    ]
    content["sites"]["bernburg"]["people"] = {"site_management": people}
    html = write([report()], "bernburg", Configuration.model_validate(content)).html
    for number, shown in (("034711", "03471 1"), ("0347112", "03471 12"), ("0347112", "03471 1&lt;2&gt;")):
        assert f'<a href="tel:{number}">{shown}</a>' in html


def test_one_press() -> None:
    written = write([report()], "bernburg", configured())
    assert written.subject == "ALARM Zi. 112 Bernburg · Bedrohung · 110 · Notbetrieb"
    lines = written.text.splitlines()
    assert lines[0] == "Zimmer 112, 1. OG links, Bernburg (Parkstraße) – 5.1., 09:12 Uhr"
    assert lines[2].startswith("ECHTER ALARM. Stufe 2: Bedrohung. Stiller Alarm.")
    for part in (
        "Alarmkette gestört, Übernahme per Link nicht möglich", "Derselbe Alarm kann nochmals eintreffen",
        "„Jobcenter Beispiel, Parkstraße, Bernburg, Zimmer 112, 1. OG links, Eingang Hofseite“",
    ):  # fmt: skip
        assert part in written.text
        assert part in written.html
    assert "A. Muster: 03471 1" in written.text
    assert 'A. Muster: <a href="tel:034711">03471 1</a>' in written.html
    assert '<a class="call" href="tel:110">110 anrufen</a>' in written.html
    assert "Geheimnis" not in written.text + written.html
    assert "Beispiel." not in written.text


def test_a_room_is_known_however_it_is_spelt() -> None:
    written = write([report(location="ZI-112")], "bernburg", configured())
    assert written.text.startswith("Zimmer 112, 1. OG links, Bernburg (Parkstraße) – ")


def test_without_an_address_the_police_hears_the_name_of_the_site() -> None:
    written = write([report(site="stassfurt", location="Flur 3")], "stassfurt", configured())
    assert "110 braucht: „Jobcenter Beispiel, Staßfurt, Flur 3“" in written.text


def test_details_only_where_the_configuration_lets_them_out() -> None:
    written = write([report()], "bernburg", configured(details="full"))
    assert "Geheimnis B. Beispiel" in written.text


def test_all_reports_the_gravest_first() -> None:
    first, second = report("a", danger_level=1, category=None), report("b", location="Flur <3>", danger_level=3)
    written = write([first, second], "bernburg", configured())
    assert written.subject == "NOTFALL Flur <3> Bernburg +1 · Bedrohung · 110 · Notbetrieb"
    assert "2 Meldungen" in written.text
    assert "• Zimmer 112" in written.text
    said = next(line for line in written.text.splitlines() if line.startswith("110 braucht"))
    assert "Flur <3>; Zimmer 112" in said
    assert "Flur &lt;3&gt;" in written.html
    assert "<3>" not in written.html


@pytest.mark.parametrize(
    ("fields", "word", "police"),
    [
        ({"danger_level": None}, "ALARM", True),
        ({"danger_level": 1}, "HILFERUF", True),
        ({"danger_level": 1, "kind": Kind.FORM}, "HILFERUF", False),
        ({"danger_level": 3, "kind": Kind.FORM, "acute": False}, "HINWEIS", False),
        ({"danger_level": 0, "kind": Kind.FORM, "police": "wanted"}, "HINWEIS", True),
    ],
)
def test_the_first_word_and_110(fields: dict[str, Any], word: str, police: bool) -> None:
    subject = write([report(**fields)], "bernburg", configured()).subject
    assert subject.startswith(f"{word} Zi. 112 Bernburg")
    assert ("110" in subject) is police


def test_in_english_and_at_no_known_site() -> None:
    english = write([report(site="english", location=None)], "english", configured())
    assert english.subject == "ALARM place unknown Hilltop · Threat · 110 · Notbetrieb"
    assert "REAL ALARM" in english.text
    unknown = report(site=None, site_text="Bernbrug")
    assert known_site(unknown, configured()) is None
    assert write([unknown], None, configured()).text.startswith("112, Bernbrug – ")


def test_one_mark_for_the_mail_filters_of_all_languages() -> None:
    assert {words.mark for words in WORDS.values()} == {"Notbetrieb"}
    assert "**Filters for the watch's mails.** Their subject ends with ` · Notbetrieb`" in RUNBOOK.read_text("utf-8")


def test_who_is_mailed() -> None:
    assert contacts("bernburg", configured()) == ("notfall.bernburg@example.org",)
    assert contacts("stassfurt", configured()) == ("bereitschaft@example.org",)
    assert contacts(None, configured()) == ("bereitschaft@example.org",)


def test_the_message() -> None:
    written = write([report()], "bernburg", configured())

    def sent(recipient: str, attempt: int) -> EmailMessage:
        content = message(written, "Rufkette <rufkette@example.org>", recipient, "mail", NOW, attempt)
        parsed = message_from_bytes(content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    first, again, other = sent("a@example.org", 1), sent("a@example.org", 2), sent("b@example.org", 1)
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert [mail["X-Rufkette-Attempt"] for mail in (first, again)] == ["1", "2"]
    assert (first["Importance"], first["Auto-Submitted"]) == ("high", "auto-generated")
    assert first["Subject"] == written.subject
    assert [part.get_content_type() for part in first.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(("level", "header"), [(3, b"3"), (None, b"unknown")])
def test_the_level_that_nobody_knows_is_said_to_be_unknown(level: int | None, header: bytes) -> None:
    written = write([report(danger_level=level)], "bernburg", configured())
    sent = message(written, "rufkette@example.org", "notfall@example.org", "m-1", NOW, 1)
    assert b"X-Rufkette-Level: " + header in sent


def test_the_normal_alarm_follows_in_the_same_thread() -> None:
    """Alerting's mails answer to the same message that never was: see `services/common/mail/threads.py`."""
    written = write([report("b", danger_level=1), report("a", danger_level=3)], "bernburg", configured())
    sent = message_from_bytes(message(written, "Rufkette <rufkette@example.org>", "n@example.org", "m-1", NOW, 1))
    threads = [thread_of(event_id, "example.org") for event_id in ("a", "b")]
    assert sent["In-Reply-To"] == threads[0], "the gravest"
    assert str(sent["References"]).split() == threads
