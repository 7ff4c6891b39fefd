"""What the person at the command line reads of an error of the database or the network."""

from sqlalchemy.exc import DBAPIError

from services.alerting.database import sqlstate

_NOT_MIGRATED = ("42P01", "42703")
"""SQLSTATE: undefined table, undefined column."""


def cause_of(error: Exception) -> str:
    """Kind and first line; whoever only waits for too long says nothing."""
    if isinstance(error, DBAPIError) and sqlstate(error) in _NOT_MIGRATED:
        return "its tables are missing or of an older version; `rufkette migrate` makes them"
    said = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'no answer in time'}"
