"""Nothing that somebody writes into a report becomes a mail header or markup."""

from email.headerregistry import HeaderRegistry
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerting.core.effects import Action, Click
from tests.core.made_up import LINK, PRESSED_AT, after, pressed
from tests.core.mails import ABOUT_ONE, FULL, RULES, close, mail


class _Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "background"}]
        assert not any(name.startswith("on") for name, _ in attrs)


ours = _Tags(mail(pressed(FULL, description="x\ny", warnings=("y",)), role="site_management", by=FULL).html).tags
anything = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(max_examples=150, deadline=None)
@given(place=anything, site=anything, description=anything, name=anything, warning=anything)
def test_nothing_in_a_report_becomes_a_header_or_markup(
    place: str, site: str, description: str, name: str, warning: str
) -> None:
    incident = pressed(
        FULL, location=place, site=site, description=description, reported_by=name, warnings=(warning,), device_id=name
    )
    incident = after(incident, Click(name, (Action.ACKNOWLEDGE,)), close(note=description), given=FULL, at=PRESSED_AT)
    for purpose in ABOUT_ONE:
        message = mail(incident, purpose, "site_management", by=FULL)
        assert message.subject.isprintable()
        assert len(message.subject) <= 200
        HeaderRegistry()("Subject", message.subject)  # refuses line ends
        parsed = _Tags(message.html)
        assert parsed.tags <= ours
        assert [address for address in parsed.addresses if address != "tel:110"] == [LINK]
        assert all(char == "\n" or char.isprintable() for char in message.text)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "Zi. 1\r\nBcc: a@b.de"]
)
def test_typical_attacks(text: str) -> None:
    message = mail(pressed(FULL, location=text, description=text), role="site_management", by=FULL)
    assert "<script>" not in message.html
    assert "<img" not in message.html
    assert "\r" not in message.subject + message.text
    assert "\n" not in message.subject


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = mail(pressed(RULES)).html
    assert not {"img", "link", "script", "iframe", "object"} & _Tags(html).tags
    assert "url(" not in html
    assert "@import" not in html
