"""Who has a mail in hand: the first half of a lease names the process, the second half this one lease.

So the others can tell what was in the hands of a process that has died, and need not wait for the end of its leases.
"""

import uuid
from typing import Final

LENGTH: Final = 18
"""Characters of a lease, as text, that name the process; the others are different each time."""


def new_holder() -> str:
    """A name for this process, such as `0e37df36-f698-4aa3`."""
    return str(uuid.uuid4())[:LENGTH]


def new_lease(holder: str) -> uuid.UUID:
    """A lease of this process, unlike any other."""
    return uuid.UUID(holder + str(uuid.uuid4())[LENGTH:])
