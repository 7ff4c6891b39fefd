"""Which module understands which `type` of source."""

from collections.abc import Mapping
from typing import Final

from services.ingest.sources import native, ttn
from services.ingest.sources.shape import Emitter

EMITTERS: Final[Mapping[str, Emitter]] = {
    "native": native.EMITTER,
    "ttn": ttn.EMITTER,
}
