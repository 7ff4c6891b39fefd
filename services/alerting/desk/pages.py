"""Templates to responses: escaped, self-contained, never cached, never framed, never indexed."""

import base64
import hashlib
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from schemas.phones import dialled

_TEMPLATES: Final = Path(__file__).parent / "templates"
_STYLE: Final = (_TEMPLATES / "desk.css").read_text(encoding="utf-8")
# The style sheet is part of each page, so that a page over a bad connection arrives whole or not at all;
# its hash lets exactly this style through, and nothing else.
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
_environment: Final = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["dialled"] = dialled
_environment.globals["style"] = Markup(_STYLE)  # noqa: S704 - our own file, not anybody's input


def page(template: str, values: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A rendered page."""
    html = _environment.get_template(template).render(values)
    return HTMLResponse(html, status, headers=HEADERS | (headers or {}))


def see_other(address: str) -> Response:
    """After a POST: the browser shows the page anew, and a reload repeats nothing."""
    return RedirectResponse(address, 303, headers=HEADERS)
