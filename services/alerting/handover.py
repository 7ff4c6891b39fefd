"""Mails that the process which decides them sends itself, at the commit: nobody has to ask the outbox for them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.alerting.changes import Changes, Mail


class Senders(Protocol):
    """Connections of this process that are free to send at once what a decision asks for."""

    holder: str
    """Its name in the leases of mails."""

    def reserve(self, wanted: int) -> int:
        """Keep up to `wanted` of them free; returns how many."""

    def write(self, mails: Sequence[Mail]) -> list[Mail]:
        """The mails with their messages, where those can be written."""

    def send(self, mails: Sequence[Mail], reserved: int) -> None:
        """Use what was reserved; what is not needed is free again."""


@dataclass(slots=True)
class Handover:
    """Of one commit; `senders` is None where this process sends nothing."""

    senders: Senders | None
    mails: list[Mail] = field(default_factory=list)
    _reserved: int = 0

    def lease(self, changes: Changes) -> None:
        """Have the most urgent mails leased to this process by the commit; again when the commit is tried again."""
        if self.senders is None:
            return
        if self._reserved == 0:
            self._reserved = self.senders.reserve(len(changes.mails))
        changes.lease_mails(self._reserved, self.senders.holder)
        self.mails = changes.leased_mails()

    def write(self) -> None:
        """Put the messages together ahead, while something else is waited for."""
        if self.senders is not None and self.mails:
            self.mails = self.senders.write(self.mails)

    def keep(self, new: set[uuid.UUID]) -> None:
        """What is not new was decided before: another one has it in hand, or sent it."""
        self.mails = [mail for mail in self.mails if mail.id in new]

    def end(self, *, committed: bool) -> None:
        """Send them, or nothing, and let go of the connections."""
        if not committed:
            self.mails = []
        if self.senders is not None and self._reserved:
            self.senders.send(self.mails, self._reserved)
