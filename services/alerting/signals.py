"""What one loop of a process tells the others at once, instead of their finding it in the database a moment later."""

import asyncio
from dataclasses import dataclass, field

from schemas.events import Event


@dataclass(slots=True)
class Signals:
    """Wakes the loops of this process when there is work for them; `behind`: events wait to be read in numbers."""

    behind: bool = False
    mail: asyncio.Event = field(default_factory=asyncio.Event)
    relay: asyncio.Event = field(default_factory=asyncio.Event)
    probes: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
