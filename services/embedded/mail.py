"""The mail catcher: takes every mail by SMTP on the loopback address and shows it on a page. Delivers nothing.

`python -m services.embedded.mail --directory DIR --smtp-port N --http-port N`
"""

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.templating import Jinja2Templates

from services.embedded.mailbox import Mail, Mailbox

_TEMPLATES = Jinja2Templates(Path(__file__).with_name("templates"))
_LISTED = 200  # mails on the page and in the API's list
_SIZE_LIMIT = 30_000_000  # bytes
_PAGE_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'"
# A mail's own page: no script, no form, no request to anybody; its links open in a new tab outside the sandbox.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
)
_VIEWS = ("html", "text", "headers")


class Taker:
    """Takes whatever comes by SMTP."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 – aiosmtpd's name
        """Keep the mail; answers 250 once it is on the disk."""
        content = envelope.content
        assert isinstance(content, bytes)
        mail_id = self._mailbox.keep(envelope.rcpt_tos, content)
        return f"250 2.0.0 kept as {mail_id}"


def _summary(mail: Mail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "subject": mail.subject,
        "from": mail.sender,
        "to": mail.recipients,
        "received_at": mail.received_at.isoformat(),
    }


def _in_new_tab(html: str) -> str:
    """The mail's HTML with links that leave the frame, and still with its own doctype first."""
    base = '<base target="_blank">'
    changed, found = re.subn(r"(<head[^>]*>)", rf"\1{base}", html, count=1, flags=re.IGNORECASE)
    return changed if found else f"<!doctype html>{base}{html}"


def create_app(mailbox: Mailbox) -> FastAPI:
    """The page and its JSON API over a mailbox."""
    app = FastAPI(title="Rufkette mail catcher", docs_url=None, redoc_url=None)

    def find(mail_id: str) -> Mail:
        mail = mailbox.get(mail_id)
        if mail is None:
            raise HTTPException(404, "no such mail")
        return mail

    def page(request: Request, name: str, **context: Any) -> Response:
        headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"}
        return _TEMPLATES.TemplateResponse(request, name, context, headers=headers)

    @app.get("/", response_class=HTMLResponse)
    def index(request: Request) -> Response:
        mails = mailbox.newest(_LISTED)
        return page(request, "mails.html", mails=mails, count=len(mailbox), newest=mails[0].id if mails else "")

    @app.get("/messages/{mail_id}", response_class=HTMLResponse)
    def one(request: Request, mail_id: str, view: str | None = None) -> Response:
        mail = find(mail_id)
        usual = "html" if mail.body("html") is not None else "text"
        return page(request, "mail.html", mail=mail, view=view if view in _VIEWS else usual, text=mail.body("plain"))

    @app.get("/messages/{mail_id}/html")
    def html(mail_id: str) -> Response:
        body = find(mail_id).body("html")
        if body is None:
            raise HTTPException(404, "the mail has no HTML part")
        headers = {"Content-Security-Policy": _MAIL_POLICY, "Referrer-Policy": "no-referrer"}
        return HTMLResponse(_in_new_tab(body), headers=headers)

    @app.get("/messages/{mail_id}/raw")
    def raw(mail_id: str) -> Response:
        return Response(find(mail_id).content, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})

    @app.get("/api/messages")
    def messages() -> dict[str, Any]:
        return {"total": len(mailbox), "messages": [_summary(mail) for mail in mailbox.newest(_LISTED)]}

    @app.get("/api/messages/{mail_id}")
    def message(mail_id: str) -> dict[str, Any]:
        mail = find(mail_id)
        bodies = {"text": mail.body("plain"), "html": mail.body("html")}
        return _summary(mail) | bodies | {"headers": [list(header) for header in mail.headers]}

    @app.get("/{name}.{kind}")
    def static(name: str, kind: str) -> Response:
        if (name, kind) not in {("refresh", "js"), ("style", "css")}:
            raise HTTPException(404, "no such file")
        media_type = {"js": "text/javascript", "css": "text/css"}[kind]
        return Response((Path(__file__).with_name("templates") / f"{name}.{kind}").read_text(), media_type=media_type)

    @app.get("/healthz")
    def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok")

    return app


async def serve(directory: Path, smtp_port: int, http_port: int) -> None:
    """Take and show mails until SIGTERM or SIGINT."""
    mailbox = Mailbox(directory)
    taker = Taker(mailbox)

    def protocol() -> SMTP:
        return SMTP(taker, hostname="mail.catcher", enable_SMTPUTF8=True, data_size_limit=_SIZE_LIMIT)

    smtp = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", smtp_port)
    config = uvicorn.Config(create_app(mailbox), host="127.0.0.1", port=http_port, log_level="warning")
    async with smtp:
        await uvicorn.Server(config).serve()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Takes mails and shows them; delivers nothing.")
    parser.add_argument("--directory", type=Path, required=True, help="where the mails are kept")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.directory, arguments.smtp_port, arguments.http_port))


if __name__ == "__main__":
    main()
