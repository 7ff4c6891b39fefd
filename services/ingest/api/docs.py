"""/docs: the OpenAPI document as one plain page. It loads nothing from elsewhere, so it works without internet."""

import json
import re
from typing import Any, Final

from jinja2 import Environment
from markupsafe import Markup, escape

from services.ingest.api.problems import SLUGS


def _code(text: str) -> Markup:
    """What stands between backticks as code; the rest is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 – escaped, and with our tags only


_ENVIRONMENT: Final = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters["code"] = _code
_PAGE: Final = _ENVIRONMENT.from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ doc.info.title }}</title><style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre, table { overflow-x: auto; display: block }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .8rem; background: #8882; border-radius: 6px }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 } h2 { margin-top: 3rem }
</style></head><body>
<h1>{{ doc.info.title }} {{ doc.info.version }}</h1>
<p style="white-space: pre-line">{{ doc.info.description | code }}</p>
<p>For machines: <a href="/openapi.json">/openapi.json</a></p>
{% for path, operations in doc.paths.items() %}{% for method, operation in operations.items() %}
<h2 id="{{ operation.operationId }}"><code>{{ method | upper }} {{ path }}</code></h2>
<p>{{ operation.summary | code }}</p>
{% for kind, media in (operation.requestBody.content.items() if operation.requestBody else []) %}
{% if media.examples %}
<table><tr><th>field<th>expected<th>meaning</tr>
{% for name, field in report.properties.items() %}
<tr><td><code>{{ name }}</code><td>{{ expected[name] | code }}<td>{{ field.description | code }}</tr>
{% endfor %}</table>
{% for example in media.examples.values() %}
<p>{{ example.summary | code }}:</p><pre>curl -H "Authorization: Bearer $KEY" -H "Content-Type: {{ kind }}" \\
  --data '{{ example.json }}' "$INGEST{{ path }}"</pre>
{% endfor %}{% endif %}{% endfor %}
{% for sample in operation["x-codeSamples"] %}<pre>{{ sample.source }}</pre>
{% endfor %}<table>{% for status, answer in operation.responses.items() %}
<tr><td><code>{{ status }}</code><td>{{ answer.description | code }}</tr>{% endfor %}</table>
{% endfor %}{% endfor %}
<h2>Problems</h2>
<p>Errors are <code>application/problem+json</code> (RFC 9457); <code>errors</code> names each wrong field.</p>
<ul>{% for status, slug in slugs.items() %}<li id="{{ slug }}"><code>{{ slug }}</code> – status {{ status }}</li>
{% endfor %}</ul></body></html>
""")


def page(document: dict[str, Any], expected: dict[str, str]) -> str:
    """The page as HTML."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                for example in media.get("examples", {}).values():
                    example["json"] = json.dumps(example["value"], ensure_ascii=False)
    report = document["components"]["schemas"]["Report"]
    return _PAGE.render(doc=document, report=report, expected=expected, slugs=SLUGS)
