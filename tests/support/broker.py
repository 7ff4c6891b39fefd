"""A real MQTT broker for tests: Mosquitto, which the package manager installs."""

import shutil
from pathlib import Path

from services.embedded.ports import free_port, is_free
from services.embedded.process import Part

_DEBIAN = Path("/usr/sbin/mosquitto")  # not on everybody's PATH


class Broker:
    """Can be stopped and started again on the same port; it keeps sessions and what waits in them.

    `more`: further lines of its configuration, instead of that everybody may connect.
    """

    def __init__(self, directory: Path, more: str = "allow_anonymous true") -> None:
        program = shutil.which("mosquitto") or (str(_DEBIAN) if _DEBIAN.exists() else None)
        assert program is not None, "Mosquitto is not installed; on Debian: apt-get install mosquitto"
        self.port = free_port()
        self._log = directory / "mosquitto.log"
        configuration = directory / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} 127.0.0.1\n{more}\npersistence true\n"
            f"persistence_location {directory}/\nautosave_interval 1\nuser root\n"
        )
        self._command = [program, "-c", str(configuration)]
        self._part: Part | None = None

    def start(self) -> None:
        self._part = Part.start("Mosquitto", self._command, log=self._log)
        self._part.wait_until(lambda: not is_free(self.port), timeout=10)

    def stop(self) -> None:
        if self._part is not None:
            self._part.stop()
