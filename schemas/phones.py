"""Phone numbers of the configuration in links."""


def dialled(phone: str) -> str:
    """A configured number as a link takes it (RFC 3966): digits, and the plus of a country; empty where it has none."""
    return "".join(character for character in phone if character in "+0123456789")
