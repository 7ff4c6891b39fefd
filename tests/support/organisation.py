"""A made-up organisation for tests, with known API keys and short waits."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

KEYS = {name: f"rk_test_{name}" for name in ("buttons", "desk", "forms", "lorawan")}
"""The API key of each source."""

WS101 = "0004A30B001C0530"
"""Device id (dev EUI) of the Milesight WS101 in Zimmer 112; The Things Stack's own example names it."""

Change = Callable[[dict[str, Any]], None]


def _key(source: str) -> str:
    return hashlib.sha256(KEYS[source].encode()).hexdigest()


def _site(key: str, name: str, **more: Any) -> dict[str, Any]:
    people = {
        "site_management": [{"name": "A. Muster", "email": f"leitung.{key}@example.org"}],
        "house_security": [f"wache.{key}@example.org"],
        "deputy": [f"vertretung.{key}@example.org"],
    }
    return {"name": name, "people": people, **more}


def organisation() -> dict[str, Any]:
    """The configuration as YAML would give it; a new object each time, to be changed freely."""
    room = {"id": "r112", "name": "Zimmer 112", "short": "Zi. 112", "floor": "1. OG links", "aliases": ["112"]}
    bernburg = _site(
        "bernburg",
        "Bernburg (Parkstraße)",
        short="Bernburg",
        address="Parkstraße, 06406 Bernburg; Eingang Hofseite",
        hint="Nicht allein hineingehen.",
        locations=[room],
    )
    steps = [
        {"after": "0s", "tell": ["house_security", "site_management"]},
        {"after": "2s", "tell": ["deputy"]},
        {"after": "4s", "tell": ["on_call"]},
    ]
    place = {"site": "bernburg", "location": "Zimmer 112"}
    return {
        "organisation": {"name": "Jobcenter Beispiel", "holidays": "DE-ST", "emergency": ["bereitschaft@example.org"]},
        "sites": {
            "bernburg": bernburg,
            "stassfurt": _site("stassfurt", "Staßfurt"),
            "english": _site("english", "Hilltop", language="en"),
        },
        "roles": {"site_management": ["zentrale@example.org"], "on_call": ["bereitschaft@example.org"]},
        "sources": {
            "buttons": {
                "type": "native",
                "kind": "panic",
                "key_sha256": _key("buttons"),
                "devices": {"btn-112": place},
            },
            "desk": {"type": "native", "kind": "manual", "key_sha256": _key("desk")},
            "forms": {"type": "native", "kind": "form", "key_sha256": _key("forms")},
            "lorawan": {
                "type": "ttn",
                "kind": "panic",
                "key_sha256": _key("lorawan"),
                "devices": {WS101: {**place, "model": "milesight-ws101"}},
            },
        },
        "rules": [
            {"name": "after the event", "when": {"kind": "form", "acute": False}, "policy": "notice"},
            {"name": "weapon", "when": {"danger_level": 3}, "police": "urgent", "policy": "urgent"},
            {"name": "violence or threat", "when": {"danger_level": 2}, "police": "advised", "policy": "urgent"},
            {"name": "panic button", "when": {"kind": "panic"}, "police": "advised", "policy": "urgent"},
            {"name": "everything else", "policy": "normal"},
        ],
        "policies": {
            "urgent": {"steps": steps, "repeat": "10s", "acknowledged_for": "30m"},
            "normal": {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "1h"},
            "notice": {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "next_opening"},
        },
    }


def write_configuration(path: Path, change: Change | None = None) -> Path:
    """Write the organisation, changed by `change` in place, as YAML."""
    content = organisation()
    if change is not None:
        change(content)
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
    return path
