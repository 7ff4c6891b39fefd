"""What ties all mails about one incident together in a mail program: a message that never was, to which all answer."""

from functools import lru_cache
from uuid import NAMESPACE_URL

from schemas.ids import named_id


@lru_cache(maxsize=512)
def thread_of(incident_id: str, domain: str) -> str:
    """For `In-Reply-To` and `References`; `domain` is that of the sender's address."""
    return f"<{named_id(NAMESPACE_URL, f'rufkette:incident:{incident_id}')}@{domain}>"
