"""What the commands beside the services share: their settings, and how they say no."""

from services.common.settings import DatabaseSettings


class OfficeSettings(DatabaseSettings):
    """The organisation's configuration and the database, and nothing else."""

    kafka_bootstrap_servers: str = ""


class Refused(Exception):
    """`mistakes`: what is wrong with what was asked for, a line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
