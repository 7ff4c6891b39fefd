"""An alarm from the command line: what `rufkette press` does."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.embedded.data import DataDirectory

_TIMEOUT = 20  # seconds


class PressFailed(Exception):
    """The alarm was not taken; the message is one line for the person who wanted to raise it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What ingest said."""

    event_id: str
    status: str
    status_url: str
    warnings: tuple[str, ...]


def send(report: dict[str, Any], *, url: str | None, key: str | None, data_dir: Path) -> Answer:
    """Post a report; address and key come from the running embedded stack where they are not given.

    Raises:
        PressFailed: no address, no key, no answer, or a refusal.
    """
    data = DataDirectory(data_dir)
    url = url or data.read_addresses().get("ingest")
    if url is None:
        raise PressFailed(f"no stack runs in {data_dir}; start one with `rufkette run`, or name ingest with --url")
    if not url.startswith(("http://", "https://")):
        raise PressFailed(f"--url {url}: write the address of ingest, for example http://127.0.0.1:8080")
    key = key or data.read_api_key()
    if key is None:
        raise PressFailed("no API key; set RUFKETTE_API_KEY, or give --key")
    request = urllib.request.Request(  # noqa: S310 – the person at the command line names the address
        f"{url.rstrip('/')}/v1/incidents",
        data=json.dumps(report).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 – as above
            answer = json.load(response)
        status_url = urllib.parse.urljoin(request.full_url, answer["status_url"])
        return Answer(answer["event_id"], answer["status"], status_url, tuple(map(_line, answer.get("warnings", ()))))
    except urllib.error.HTTPError as error:
        other_key = " Name a key of your own configuration: --key, or RUFKETTE_API_KEY." if error.code == 401 else ""
        raise PressFailed(f"{url} refused the alarm: {_explain(error)}{other_key}") from None
    except urllib.error.URLError as error:
        raise PressFailed(f"{url} does not answer: {error.reason}") from None
    except (OSError, ValueError, KeyError) as error:
        raise PressFailed(f"{url} gave no answer of ingest ({type(error).__name__})") from None


def _line(warning: object) -> str:
    return warning if isinstance(warning, str) else json.dumps(warning, ensure_ascii=False)


def _explain(error: urllib.error.HTTPError) -> str:
    """The problem that ingest describes, on one line."""
    try:
        problem = json.load(error)
        parts = [f"{error.code} {problem.get('title', '')}", str(problem.get("detail") or "")]
        parts += [_line(entry) for entry in problem.get("errors", ())]
        return "; ".join(part for part in parts if part)
    except (ValueError, AttributeError):
        return f"{error.code} {error.reason}"
