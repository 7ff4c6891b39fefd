"""One running chain for all scenarios: each takes rooms of its own, so that none can merge with another's."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.chain import Chain
from tests.support.office import office_on, start_both
from tests.support.organisation import WS101
from tests.support.servers import KafkaServer, PostgresServer

OWN_BUTTON = "24E124535B316048"
"""Another WS101, beside the one that The Things Stack's own example names."""
SHELLY_SECRET = "what-only-the-button-knows"
FLIC = ec.generate_private_key(ec.SECP256R1())
"""Instead of Flic's own key, which signs for Flic alone."""
FLIC_PUBLIC = FLIC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
NEW_KEY = "rk_test_new_form"
INTEGRATOR = "integrator@example.org"
"""The test address of `new-form`, a source in learning mode."""
PANEL = "24E124535B316056"
"""A WS156 behind ChirpStack."""


def short_waits(content: dict[str, Any]) -> None:
    """Bernburg waits an hour between steps, so its scenarios are quiet; Staßfurt waits seconds."""
    policies, steps = content["policies"], content["policies"]["urgent"]["steps"]
    policies["quick"] = {
        "steps": [{**step, "after": f"{second}s"} for second, step in enumerate(steps)],
        "repeat": "10s",
        "acknowledged_for": "2s",
    }
    policies["urgent"] |= {
        "steps": [{**step, "after": f"{hour}h"} for hour, step in enumerate(steps)],
        "repeat": "1h",
    }
    quick = {"name": "short waits", "when": {"site": "stassfurt"}, "police": "advised", "policy": "quick"}
    content["rules"].insert(0, quick)
    devices = content["sources"]["lorawan"]["devices"]
    devices[OWN_BUTTON] = devices[WS101] | {"location": "Zimmer 501"}
    devices[WS101] |= {"location": "Zimmer 502"}
    place = {"site": "bernburg", "location": "Zimmer 503", "model": "milesight-ws156"}
    content["sources"]["chirpstack"] = content["sources"]["lorawan"] | {
        "type": "chirpstack", "devices": {PANEL: place}, "presses": {"long": {"danger_level": 3, "police": "wanted"}},
    }  # fmt: skip
    # It shares the key of the people at the desk: which route is called tells them apart.
    content["sources"]["bus"] = {
        "type": "cloudevents", "kind": "form", "key_sha256": content["sources"]["desk"]["key_sha256"],
        "may": ["reported", "acknowledged", "police_requested", "handed_over", "closed"],
    }  # fmt: skip
    content["sources"]["shelly"] = {
        "type": "http-button", "kind": "panic", "secret_file": "shelly.secret",
        "devices": {"btn-504": {"site": "bernburg", "location": "Zimmer 504"}},
    }  # fmt: skip
    content["sources"]["flic"] = {
        "type": "flic", "kind": "panic", "secret_file": "shelly.secret", "public_key": FLIC_PUBLIC,
        "devices": {"BC44-B06243": {"site": "bernburg", "location": "Zimmer 506"}},
    }  # fmt: skip
    content["sources"]["new-form"] = {
        "type": "form", "kind": "form", "key_sha256": hashlib.sha256(NEW_KEY.encode()).hexdigest(),
        "map": {"site": {"field": "standort"}, "location": {"field": "raum"}, "danger_level": {"default": 3}},
        "learn": True, "test_address": INTEGRATOR,
    }  # fmt: skip
    content["mail"] = {"details": "link", "roles": {"site_management": "full"}}


@pytest.fixture(scope="package")
async def office(
    kafka_server: KafkaServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Chain]:
    """The whole chain, ready, with `short_waits`."""
    directory = tmp_path_factory.mktemp("office")
    (directory / "shelly.secret").write_text(SHELLY_SECRET)
    async with office_on(kafka_server, postgres_server, directory, short_waits) as chain:
        await start_both(chain)
        yield chain
