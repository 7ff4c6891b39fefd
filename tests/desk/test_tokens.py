"""Links from mails: signed, short, nobody's address in them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Outcome
from services.alerting.core.incident import Closing, Recipient
from services.alerting.desk.tokens import AFTER_CLOSING, ForgedToken, Tokens
from tests.core.made_up import PRESSED_AT, pressed, rules

OLD, NEW = "the old key, long enough", "the new key, long enough"
WHO = "Leitung@example.org"


@given(st.one_of(st.uuids().map(str), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)))
def test_what_is_issued_is_read(incident_id: str) -> None:
    access = Tokens([NEW]).read(Tokens([NEW]).issue(incident_id, WHO, PRESSED_AT))
    assert access.incident_id == incident_id
    assert access.issued_at == PRESSED_AT
    assert access.is_for(Recipient(WHO.lower(), "site_management"))
    assert not access.is_for(Recipient("wache@example.org", "house_security"))


def test_a_token_is_short_safe_in_a_link_and_names_nobody() -> None:
    token = Tokens([NEW]).issue(str(uuid.uuid4()), WHO, PRESSED_AT)
    assert len(token) <= 60
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert token[-1].isalnum(), "mail programs cut punctuation off the end of a link"
    assert "leitung" not in token.lower()


@pytest.mark.parametrize("more", [".", ">", ").", ",", "!"])
def test_what_mail_programs_take_for_part_of_a_link_does_no_harm(more: str) -> None:
    token = Tokens([NEW]).issue("a", WHO, PRESSED_AT)
    assert Tokens([NEW]).read(token + more).incident_id == "a"
    with pytest.raises(ForgedToken):
        Tokens([NEW]).read(token + "x" + more)


def test_a_new_key_signs_and_the_old_one_still_opens() -> None:
    before = Tokens([OLD]).issue("a", WHO, PRESSED_AT)
    assert Tokens([NEW, OLD]).read(before).incident_id == "a"
    assert Tokens([NEW]).read(Tokens([NEW, OLD]).issue("a", WHO, PRESSED_AT)).incident_id == "a"
    with pytest.raises(ForgedToken):
        Tokens([NEW]).read(before)


def test_links_of_earlier_versions_still_open() -> None:
    """Whatever is changed about tokens: the newest mail may be the only one somebody has."""
    access = Tokens([NEW, "first-key-öä"]).read("AOFr_gi-EWlVuQAON9829phao4scASNFZ4mr.9qZaXvNwgtvvVG_W8x8QAg")
    assert access.incident_id == "0e37df36-f698-5aa3-8b1c-0123456789ab"
    assert access.is_for(Recipient("a@example.org", "site_management"))
    assert access.issued_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("position", range(0, 59, 3))
def test_a_changed_token_is_forged(position: int) -> None:
    token = Tokens([NEW]).issue("8d7b2c5e-38f5-5f0a-8b7d-0a1b2c3d4e5f", WHO, PRESSED_AT)
    other = "B" if token[position] != "B" else "C"
    with pytest.raises(ForgedToken):
        Tokens([NEW]).read(token[:position] + other + token[position + 1 :])


@given(st.text(max_size=80))
def test_anything_else_is_forged(token: str) -> None:
    with pytest.raises(ForgedToken):
        Tokens([NEW]).read(token)


def test_it_is_good_as_long_as_somebody_needs_it() -> None:
    incident = pressed(rules())
    access = Tokens([NEW]).read(Tokens([NEW]).issue(incident.id, WHO, PRESSED_AT))
    assert access.good_until(incident) is None
    ended = PRESSED_AT + timedelta(days=90)
    closed = replace(incident, closing=Closing("A", ended, Outcome.RESOLVED))
    assert access.good_until(closed) == ended + AFTER_CLOSING
