"""Mails and the pages behind their links, as a person sees them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import httpx

from tests.support.smtp_sink import Received, SmtpSink

_LINK = re.compile(r"https?://\S+/a/[^\s\"<]+")


class Named(NamedTuple):
    """What a mail says it is in its headers."""

    incident_id: str
    step: str
    message_id: str

    @property
    def purpose(self) -> str:
        """`alarm`, `taken_over`, `reminder` or `closed`."""
        return self.step.partition("-")[0]


@lru_cache(maxsize=4_096)
def named(mail: Received) -> Named:
    """Remembered, because tests ask again and again while they wait."""
    message = mail.message
    return Named(str(message["X-Rufkette-Incident"]), str(message["X-Rufkette-Step"]), str(message["Message-ID"]))


def mails_about(sink: SmtpSink, incident_id: str, purpose: str | None = None) -> list[Received]:
    """The accepted mails about one incident, oldest first."""
    return [
        mail
        for mail in sink.accepted
        if named(mail).incident_id == incident_id and purpose in (None, named(mail).purpose)
    ]


async def wait_for_mails(
    sink: SmtpSink, incident_id: str, count: int, purpose: str = "alarm", *, within: float = 30.0
) -> list[Received]:
    """Wait until this many mails about the incident were accepted (more are no error); returns all that were."""

    def enough(_: Sequence[Received]) -> bool:
        return len(mails_about(sink, incident_id, purpose)) >= count

    await sink.wait_until(enough, within)
    return mails_about(sink, incident_id, purpose)


def to(mails: Sequence[Received], address: str) -> Received:
    """The first of these mails that went to this address."""
    found = [mail for mail in mails if mail.recipients == (address,)]
    assert found, f"no mail to {address}, only to {[mail.recipients for mail in mails]}"
    return found[0]


def recipients(mails: Sequence[Received]) -> list[str]:
    """Who got them, sorted."""
    return sorted(address for mail in mails for address in mail.recipients)


def first_line(mail: Received) -> str:
    """The first line of the plain text: what a mail program shows as preview."""
    return mail.text().splitlines()[0]


def link_in(mail: Received) -> str:
    """The one link of the mail, which the plain text and the HTML share."""
    found = set(_LINK.findall(mail.text()))
    assert len(found) == 1, found
    assert found == set(_LINK.findall(mail.text("html")))
    return str(found.pop())


async def look(link: str) -> str:
    """Open the link of a mail; returns the page."""
    async with httpx.AsyncClient(timeout=10) as browser:
        answer = await browser.get(link)
    assert answer.status_code == 200, answer.text
    return answer.text


async def press_button(link: str, **fields: str | list[str]) -> str:
    """Send the form of the page behind the link; returns the page that follows."""
    async with httpx.AsyncClient(timeout=10, follow_redirects=True) as browser:
        answer = await browser.post(link, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.text
