"""A mail as HTML: one column, a big button, nothing loaded from elsewhere, light and dark.

Tables and inline styles because Outlook knows nothing else; the style sheet only adds the dark colours.
"""

from html import escape
from typing import Final

from services.alerting.core.mail_parts import Letter, Section

_TONES: Final = {
    "level3": "#8f0d0d",
    "level2": "#b3261e",
    "level1": "#9a4a00",
    "level0": "#1f4e79",
    "notice": "#1f4e79",
    "exercise": "#5b3a8e",
    "calm": "#22603a",
}
_FONT: Final = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_DARK: Final = (
    "body,.page{background:#16181b!important}.card{background:#212429!important}"
    ".card p,.card a.plain{color:#eceef0!important}.card p.quiet{color:#b4bac2!important}"
    ".card .box{background:#2c3036!important;border-color:#6a7079!important}"
    ".card .strong{background:#4a1512!important;border-color:#ff8a80!important}"
    ".card .strong p,.card .strong a.call{color:#ffe9e7!important}.card .strong a.call{border-color:#ff8a80!important}"
    ".card .drill{background:#35264f!important;border-color:#b79cf0!important}"
)
_HEAD: Final = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
    "<style>:root{color-scheme:light dark;supported-color-schemes:light dark}"
    f"@media (prefers-color-scheme:dark){{{_DARK}}}</style>"
)
_TEXT: Final = f"margin:0 0 8px;{_FONT};font-size:17px;line-height:1.45;color:#1a1c1e;overflow-wrap:anywhere"
_QUIET: Final = f"margin:0 0 6px;{_FONT};font-size:14px;line-height:1.45;color:#555b63;overflow-wrap:anywhere"
_ROWS: Final = 'role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"'


def render(letter: Letter) -> str:
    """The whole document."""
    colour = _TONES[letter.tone]
    body = "".join(
        (
            "".join([_paragraph(line) for line in letter.lead]),
            _alert(letter),
            _button(letter, colour),
            "".join([_section(section) for section in letter.sections]),
            "".join([f'<p class="quiet" style="{_QUIET}">{escape(line)}</p>' for line in letter.tail]),
        )
    )
    white = f"margin:0;{_FONT};color:#ffffff;overflow-wrap:anywhere"
    return (
        f'<!DOCTYPE html><html lang="{letter.language}"><head>{_HEAD}<title>{escape(letter.headline)}</title></head>'
        f'<body style="margin:0;padding:0;background:#eef0f2"><table class="page" {_ROWS} style="background:#eef0f2">'
        '<tr><td align="center" style="padding:8px">'
        f'<table class="card" {_ROWS} style="max-width:600px;background:#ffffff;table-layout:fixed">'
        f'<tr><td bgcolor="{colour}" style="background:{colour};padding:14px 16px">'
        # The place comes first, as in the plain text: mail programs preview the first words.
        f'<h1 style="{white};font-size:22px;line-height:1.25">{escape(letter.headline)}</h1>'
        f'<p style="{white};font-size:15px;padding-top:6px;font-weight:bold;letter-spacing:.06em;'
        f'color:#ffffff!important">{escape(letter.word)}</p></td></tr>'
        f'<tr><td style="padding:16px">{body}</td></tr></table></td></tr></table></body></html>'
    )


def _paragraph(line: str) -> str:
    return f'<p style="{_TEXT}">{escape(line)}</p>'


def _alert(letter: Letter) -> str:
    kind, background, edge = "box", "#f2f4f6", "#9aa1a9"
    if letter.alert_strong:
        drill = letter.tone == "exercise"
        kind, background, edge = ("drill", "#efe8fb", "#5b3a8e") if drill else ("strong", "#fdecea", "#b3261e")
    weight = "bold" if letter.alert_strong else "normal"
    advice = "".join([_paragraph(line) for line in letter.advice]) + _call(letter)
    return (
        f'<table {_ROWS}><tr><td class="{kind}" bgcolor="{background}" style="background:{background};'
        f'border-left:5px solid {edge};padding:12px 12px 4px"><p style="{_TEXT};font-weight:{weight}">'
        f"{escape(letter.alert)}</p>{advice}</td></tr></table>"
    )


def _call(letter: Letter) -> str:
    """A number to tap on; phones find long ones by themselves, but not 110."""
    if letter.call is None:
        return ""
    number, heading = letter.call
    return (
        f'<p style="margin:4px 0 8px"><a class="call" href="tel:{number}" style="display:block;padding:11px 12px;'
        f"{_FONT};font-size:17px;line-height:1.3;font-weight:bold;text-align:center;color:#8f0d0d;text-decoration:none;"
        f'border:2px solid #b3261e;border-radius:8px">{escape(heading)}</a></p>'
    )


def _button(letter: Letter, colour: str) -> str:
    link = escape(letter.link)
    return (
        f'<table {_ROWS}><tr><td style="padding:16px 0"><table {_ROWS}><tr>'
        f'<td align="center" bgcolor="{colour}" style="background:{colour};border-radius:8px">'
        f'<a href="{link}" style="display:block;padding:18px 12px;{_FONT};font-size:19px;line-height:1.3;'
        f'font-weight:bold;color:#ffffff;text-decoration:none">{escape(letter.button)}</a></td></tr></table></td></tr></table>'
    )


def _section(section: Section) -> str:
    heading = f'<p style="{_TEXT};font-weight:bold">{escape(section.heading)}</p>' if section.heading else ""
    body = escape(section.body).replace("\n", "<br>")
    return f'{heading}<p style="{_TEXT};margin-bottom:14px">{body}</p>'
