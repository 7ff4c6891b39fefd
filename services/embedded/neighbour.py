"""Commands beside a running embedded stack: they use its servers, unless the environment names others."""

import os
from pathlib import Path
from typing import TypeVar

from services.common.settings import PREFIX, Settings, SettingsError, load
from services.embedded.data import DataDirectory

_NAMES = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "database": "DATABASE_URL", "configuration": "CONFIG"}
"""Key in the addresses file -> setting."""


S = TypeVar("S", bound=Settings)


def load_beside(model: type[S], data_dir: Path) -> S:
    """Read settings from the environment, and what it leaves out from the stack that runs in `data_dir`, if one does.

    Raises:
        SettingsError: with one line that names the setting, the fault and what to write.
    """
    found = _use_stack(data_dir)
    try:
        return load(model)
    except SettingsError as error:
        where = f"`rufkette run` is not running in {data_dir.resolve()} (--data-dir names another place)"
        raise error if found else SettingsError(f"{error}, and {where}") from None


def _use_stack(data_dir: Path) -> bool:
    """Fill in what the environment leaves out; returns whether a stack runs there.

    A setting that names another installation's server leaves all of the stack out: nothing is taken from one and
    written into the other.
    """
    addresses = DataDirectory(data_dir).read_addresses()
    found = {PREFIX + name: addresses[key] for key, name in _NAMES.items() if key in addresses}
    given = {name: os.environ[name] for name in found if os.environ.get(name)}
    servers = {name: value for name, value in given.items() if not name.endswith("CONFIG")}
    if any(value != found[name] for name, value in servers.items()):
        return True
    for name, value in found.items():
        if not os.environ.get(name) and not os.environ.get(f"{name}_FILE"):
            os.environ[name] = value
    return bool(found)
