"""The mail catcher, spoken to by SMTP and HTTP as its own process."""

import re
import smtplib
import stat
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from services.embedded.ports import free_port
from services.embedded.process import Part


class Catcher:
    def __init__(self, directory: Path) -> None:
        self.directory, self.smtp_port, self.http_port = directory, free_port(), free_port()
        self.page = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}")

    def start(self) -> None:
        ports = ["--smtp-port", str(self.smtp_port), "--http-port", str(self.http_port)]
        command = [sys.executable, "-m", "services.embedded.mail", "--directory", str(self.directory), *ports]
        self.part = Part.start("mail", command, log=self.directory.with_suffix(".log"))
        self.part.wait_until(self.ready, timeout=20)

    def ready(self) -> bool:
        try:
            return self.page.get("/healthz").is_success
        except httpx.TransportError:
            return False

    def send(self, subject: str, text: str = "Zimmer 112", html: str | None = None) -> str:
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = subject, "rufkette@example.org", "wache@example.org"
        mail.set_content(text)
        if html is not None:
            mail.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=5) as client:
            client.send_message(mail)
        newest: str = self.page.get("/api/messages").json()["messages"][0]["id"]
        return newest


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    catcher = Catcher(tmp_path / "mails")
    catcher.start()
    yield catcher
    catcher.part.stop()
    catcher.page.close()


def test_mails_are_listed_newest_first_and_survive_a_restart(catcher: Catcher) -> None:
    catcher.send("ALARM Zi. 112 Bernburg · Bedrohung")
    catcher.send("ÜBERNOMMEN Zi. 112")
    catcher.part.kill()
    catcher.start()
    listed = catcher.page.get("/api/messages").json()
    assert [m["subject"] for m in listed["messages"]] == ["ÜBERNOMMEN Zi. 112", "ALARM Zi. 112 Bernburg · Bedrohung"]
    assert listed["messages"][0]["to"] == ["wache@example.org"]
    page = catcher.page.get("/").text
    assert page.index("ÜBERNOMMEN") < page.index("Bedrohung")


def test_others_on_this_machine_cannot_read_the_links(catcher: Catcher) -> None:
    mail_id = catcher.send("ALARM")
    assert stat.S_IMODE(catcher.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((catcher.directory / f"{mail_id}.eml").stat().st_mode) == 0o600


def test_times_say_their_zone(catcher: Catcher) -> None:
    mail_id = catcher.send("ALARM")
    for address in ("/", f"/messages/{mail_id}"):
        shown = re.search(r"\d\d:\d\d:\d\d (\S+)</time>", catcher.page.get(address).text)
        assert shown is not None
        assert shown[1] == time.strftime("%Z")


def test_one_mail_has_text_html_and_headers(catcher: Catcher) -> None:
    mail_id = catcher.send(
        "A", "Text – ä", '<html><head></head><body><a href="http://127.0.0.1:1/a/x">ja</a></body></html>'
    )
    one = catcher.page.get(f"/api/messages/{mail_id}").json()
    assert one["text"].strip() == "Text – ä"
    assert ["Subject", "A"] in one["headers"]
    html = catcher.page.get(f"/messages/{mail_id}/html")
    assert '<head><base target="_blank">' in html.text
    assert html.headers["content-security-policy"].startswith("sandbox allow-popups ")
    assert "allow-scripts" not in catcher.page.get(f"/messages/{mail_id}").text
    for view, expected in (("text", "Text – ä"), ("headers", "rufkette@example.org"), ("html", "<iframe")):
        assert expected in catcher.page.get(f"/messages/{mail_id}", params={"view": view}).text


def test_html_in_a_subject_or_text_stays_text(catcher: Catcher) -> None:
    mail_id = catcher.send("<script>alert(1)</script>", "<img src=x onerror=alert(1)>")
    pages = [catcher.page.get("/").text, catcher.page.get(f"/messages/{mail_id}?view=text").text]
    assert "<script>alert" not in "".join(pages)
    assert "<img" not in "".join(pages)


def test_what_is_not_there_is_not_found(catcher: Catcher) -> None:
    for path in ("/messages/1", "/api/messages/1", "/messages/..%2Fx/html", "/templates.html"):
        assert catcher.page.get(path).status_code == 404
