"""Commands beside a running embedded stack: they use its servers, unless the environment names others."""

import os
from pathlib import Path

from services.common.settings import PREFIX
from services.embedded.data import DataDirectory

_NAMES = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "database": "DATABASE_URL", "configuration": "CONFIG"}
"""Key in the addresses file -> setting."""


def use_stack(data_dir: Path) -> None:
    """Fill in the settings that the environment leaves out from the stack that runs in `data_dir`, if one does.

    A setting that names another installation's server leaves all of the stack out: nothing is taken from one and
    written into the other.
    """
    addresses = DataDirectory(data_dir).read_addresses()
    found = {PREFIX + name: addresses[key] for key, name in _NAMES.items() if key in addresses}
    given = {name: os.environ[name] for name in found if os.environ.get(name)}
    servers = {name: value for name, value in given.items() if not name.endswith("CONFIG")}
    if any(value != found[name] for name, value in servers.items()):
        return
    for name, value in found.items():
        if not os.environ.get(name) and not os.environ.get(f"{name}_FILE"):
            os.environ[name] = value
