"""The answer for a person who posted a form: some form systems show it to whoever filled the form in."""

from collections.abc import Awaitable
from html import escape
from typing import Final

from starlette.responses import HTMLResponse, Response

from schemas.report_warnings import why
from services.ingest.api.problems import Fault, Refusal

_TEXTS: Final = {
    "de": {
        "taken": "Ihre Meldung ist angekommen.",
        "close": "Sie können dieses Fenster schließen.",
        "learning": "Nur ein Test: Dieses Formular wird gerade eingerichtet.",
        "nobody": "Außer einer Testadresse erfährt niemand von Ihrer Meldung. Melden Sie sich auf anderem Weg.",
        "refused": "Ihre Meldung ist nicht angekommen.",
        "check": "Bitte prüfen Sie diese Angaben und senden Sie sie noch einmal:",
        "again": "Bitte senden Sie sie noch einmal, oder melden Sie sich auf anderem Weg.",
        "fits": "Passend wäre",
        "danger": "Ist jemand in Gefahr, rufen Sie 110 an.",
    },
    "en": {
        "taken": "Your report has arrived.",
        "close": "You may close this window.",
        "learning": "Only a test: this form is being set up.",
        "nobody": "Nobody but a test address is told of your report. Please report it some other way.",
        "refused": "Your report has not arrived.",
        "check": "Please look at these entries and send them again:",
        "again": "Please send it again, or report it some other way.",
        "fits": "Expected",
        "danger": "If anyone is in danger, call the police.",
    },
}


def wanted(accept: str | None) -> bool:
    """Whether the sender would rather have a page than JSON, as every browser does."""
    ranked: dict[str, float] = {}
    for one in (accept or "")[:1000].lower().split(","):
        media_type, *parameters = (part.strip() for part in one.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        ranked[media_type] = float(quality) if quality.replace(".", "", 1).isdecimal() and quality.isascii() else 0.0
    return ranked.get("text/html", 0.0) > ranked.get("application/json", 0.0)


async def shown(answer: Awaitable[Response], language: str, *, learning: bool) -> Response:
    """The answer as a page, with the same status; what is wrong is named by the form's own fields.

    `learning`: the source alarms nobody, so whoever filled the form in must not rely on it.
    """
    texts = _TEXTS[language]
    try:
        response = await answer
    except Refusal as refusal:
        parts = [f"<p>{texts['check' if refusal.errors else 'again']}</p>"]
        if refusal.errors:
            parts.append(f"<ul>{''.join(_entry(fault, language) for fault in refusal.errors)}</ul>")
        page = _page(language, texts["refused"], "".join([*parts, f"<p>{texts['danger']}</p>"]))
        return HTMLResponse(page, status_code=refusal.status, headers=refusal.headers)
    if learning:
        page = _page(language, texts["learning"], f"<p>{texts['nobody']}</p><p>{texts['danger']}</p>")
        return HTMLResponse(page, response.status_code)
    return HTMLResponse(_page(language, texts["taken"], f"<p>{texts['close']}</p>"), response.status_code)


def _entry(fault: Fault, language: str) -> str:
    """The same as the JSON answer has: field, what is wrong, what fits (in English: it names values and formats)."""
    field = fault.pointer.removeprefix("/").replace("~1", "/").replace("~0", "~")
    expected = f'{_TEXTS[language]["fits"]}: <span lang="en">{escape(fault.expected)}</span>'
    return f"<li><strong>{escape(field)}</strong> {escape(why(fault.detail, language))}<br>{expected}</li>"


def _page(language: str, title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        f'<body style="font-family: sans-serif; margin: 2rem"><h1>{title}</h1>{content}</body></html>'
    )
