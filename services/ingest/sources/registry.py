"""Which module understands which `type` of source."""

from collections.abc import Mapping
from typing import Final

from services.ingest.sources import (
    chirpstack,
    cloudevents,
    flic,
    form,
    http_button,
    mqtt,
    native,
    standard_webhooks,
    ttn,
)
from services.ingest.sources.shape import Emitter

EMITTERS: Final[Mapping[str, Emitter]] = {
    "form": form.EMITTER,
    "native": native.EMITTER,
    "standard-webhooks": standard_webhooks.EMITTER,
    "ttn": ttn.EMITTER,
    "chirpstack": chirpstack.EMITTER,
    "cloudevents": cloudevents.EMITTER,
    "http-button": http_button.EMITTER,
    "flic": flic.EMITTER,
    "mqtt": mqtt.EMITTER,
}
