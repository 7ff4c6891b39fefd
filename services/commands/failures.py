"""What the person at the command line reads of an error of the database or the network."""

from sqlalchemy.exc import DBAPIError


def cause_of(error: Exception) -> str:
    """Kind and first line; whoever only waits for too long says nothing."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'no answer in time'}"
